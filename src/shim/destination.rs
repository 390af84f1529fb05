//! Where a call wants to connect to, and which destinations are never touched.

use core::mem::{offset_of, size_of};

use libc::{sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

use crate::sys;

/// An address and a port. IPv4 addresses are in their IPv4-mapped form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    pub address: u128,
    pub port: u16,
    pub is_ipv6_socket: bool,
}

const MAPPED: u128 = 0xffff << 32;
/// The fewest bytes of an IPv6 address that the kernel takes (`SIN6_LEN_RFC2133` of its net/ipv6.h): those before the
/// scope.
const SHORTEST_IPV6: usize = offset_of!(sockaddr_in6, sin6_scope_id);
/// The most bytes of any address (unix(7) and others use `sockaddr_storage`); the kernel refuses more.
const LONGEST: usize = size_of::<sockaddr_storage>();

impl Destination {
    /// Reads it from a call's arguments; `None` if it has another family, or if the kernel refuses the arguments.
    ///
    /// # Safety
    /// If `length` bytes are readable at `address` now, they must stay readable until the call returns.
    pub unsafe fn read(address: *const sockaddr, length: socklen_t) -> Option<Self> {
        let length = length as usize;
        let read = length.min(SHORTEST_IPV6);
        if !(size_of::<sockaddr_in>()..=LONGEST).contains(&length) || !sys::is_readable(address.cast(), read) {
            return None;
        }
        // SAFETY: there are enough bytes for the family and the port, which have the same place in both structures.
        // Programs need not align them.
        let (family, port) = unsafe {
            let ipv4 = address.cast::<sockaddr_in>();
            ((&raw const (*ipv4).sin_family).read_unaligned(), (&raw const (*ipv4).sin_port).read_unaligned())
        };
        let port = u16::from_be(port);
        match i32::from(family) {
            libc::AF_INET => {
                // SAFETY: there are enough bytes for the structure.
                let read = unsafe { address.cast::<sockaddr_in>().read_unaligned() };
                let address = MAPPED | u128::from(u32::from_be(read.sin_addr.s_addr));
                Some(Self { address, port, is_ipv6_socket: false })
            }
            libc::AF_INET6 if length >= SHORTEST_IPV6 => {
                // SAFETY: there are enough bytes for the address.
                let bytes =
                    unsafe { (&raw const (*address.cast::<sockaddr_in6>()).sin6_addr.s6_addr).read_unaligned() };
                Some(Self { address: u128::from_be_bytes(bytes), port, is_ipv6_socket: true })
            }
            _ => None,
        }
    }

    /// Whether it is an IPv4 address, to which no socket can connect that is for IPv6 only.
    pub fn is_ipv4(&self) -> bool {
        is_ipv4(self.address)
    }

    /// Whether no fault may touch it: the machine itself, where the proxy and extensions listen, and link-local
    /// addresses, where Lambda's own services do (lambda/latest/dg/configuration-envvars: the address of X-Ray's
    /// daemon).
    pub fn is_exempt(&self) -> bool {
        is_exempt(self.address)
    }
}

/// Whether an address is an IPv4 address in its IPv4-mapped form.
pub fn is_ipv4(address: u128) -> bool {
    address >> 32 == MAPPED >> 32
}

/// Whether an address, IPv4-mapped or IPv6, is one of the machine itself or a link-local one.
pub fn is_exempt(address: u128) -> bool {
    if is_ipv4(address) {
        let [a, b, _, _] = (address as u32).to_be_bytes();
        return a == 127 || a == 0 || (a, b) == (169, 254);
    }
    // fe80::/10, :: and ::1.
    address >> 118 == 0xfe80 >> 6 || address <= 1
}

/// Returns the address of a loopback port for a socket of the destination's family, with its length.
pub fn loopback(port: u16, is_ipv6_socket: bool, is_only_ipv6: bool) -> (sockaddr_in6, socklen_t) {
    // SAFETY: a structure of numbers, for which zeros are valid.
    let mut address: sockaddr_in6 = unsafe { core::mem::zeroed() };
    if is_ipv6_socket {
        let loopback = if is_only_ipv6 { 1 } else { MAPPED | 0x7f00_0001 };
        address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
        address.sin6_port = port.to_be();
        address.sin6_addr.s6_addr = u128::to_be_bytes(loopback);
        return (address, size_of::<sockaddr_in6>() as socklen_t);
    }
    // Family and port have the same place in both structures; the address follows the port.
    address.sin6_family = libc::AF_INET as libc::sa_family_t;
    address.sin6_port = port.to_be();
    address.sin6_flowinfo = 0x7f00_0001_u32.to_be();
    (address, size_of::<sockaddr_in>() as socklen_t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_itself_and_link_local_addresses_are_exempt() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", true),
            ("::ffff:127.200.0.1", true),
            ("::ffff:0.0.0.0", true),
            ("::ffff:169.254.79.129", true),
            ("::ffff:169.253.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("::", true),
            ("::1", true),
            ("::2", false),
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", false),
            ("2001:db8::1", false),
        ] {
            let parsed: Result<core::net::Ipv6Addr, _> = address.parse();
            assert_eq!(parsed.map(|parsed| is_exempt(parsed.to_bits())), Ok(expected), "{address}");
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_not_read() {
        let (ipv6, length) = loopback(8443, true, true);
        let read = |address: *const sockaddr, length: socklen_t| {
            // SAFETY: the memory does not change.
            unsafe { Destination::read(address, length) }
        };
        let good: *const sockaddr = (&raw const ipv6).cast();
        assert_eq!(read(core::ptr::null(), length), None);
        assert_eq!(read(core::ptr::without_provenance(8), length), None);
        for (length, is_read) in [(15, false), (23, false), (24, true), (27, true), (28, true), (u32::MAX, false)] {
            assert_eq!(read(good, length).is_some(), is_read, "{length}");
        }
    }

    #[test]
    fn a_loopback_port_is_read_as_it_was_written() {
        for (is_ipv6, is_only_ipv6, expected) in
            [(false, false, MAPPED | 0x7f00_0001), (true, false, MAPPED | 0x7f00_0001), (true, true, 1)]
        {
            let (address, length) = loopback(8443, is_ipv6, is_only_ipv6);
            // SAFETY: the structure has `length` bytes.
            let read = unsafe { Destination::read((&raw const address).cast(), length) };
            assert_eq!(read, Some(Destination { address: expected, port: 8443, is_ipv6_socket: is_ipv6 }));
        }
    }
}
