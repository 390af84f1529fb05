//! A statically linked program: connects to the address in its first argument, and prints the address of its peer.

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_default();
    println!("{}", std::net::TcpStream::connect(address)?.peer_addr()?);
    Ok(())
}
