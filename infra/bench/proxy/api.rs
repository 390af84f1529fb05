//! A Runtime API that always has the next invocation ready, with as little work as possible.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::event;
use crate::server;
use crate::wire::{Connection, ID, INVOCATION, REQUEST_ID, number, place_of_id, wrong};

/// AWS's response to a runtime's response.
const ACCEPTED: &str =
    "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";
/// The year 2100, in milliseconds since the epoch: a deadline that no measurement reaches.
const DEADLINE_MS: u64 = 4_102_444_800_000;

/// Serves events of `size` bytes until it is killed. Each connection has a thread, so that none waits for another.
pub fn run(size: usize) -> io::Result<()> {
    let listener = server::listen("bench-proxy api")?;
    let invocations = Arc::new(AtomicU64::new(0));
    loop {
        let (stream, _) = listener.accept()?;
        let invocations = Arc::clone(&invocations);
        thread::spawn(move || {
            // A client that closes in the middle of a message was ended by the driver, or reports its error itself.
            if let Err(error) = serve(stream, size, &invocations) {
                eprintln!("bench-proxy api: {error}");
            }
        });
    }
}

fn serve(stream: TcpStream, size: usize, invocations: &AtomicU64) -> io::Result<()> {
    let mut connection = Connection::new(stream)?;
    let head = event_head(size);
    let id = place_of_id(&head)?;
    let mut event = head.into_bytes();
    event.extend_from_slice(event::json(size).as_bytes());
    let next = format!("GET {INVOCATION}/next ");
    let response = format!("POST {INVOCATION}/");
    while let Some(request) = connection.receive()? {
        if request.starts_with(&next) {
            number(&mut event, id, invocations.fetch_add(1, Ordering::Relaxed))?;
            connection.send(&event)?;
        } else if request.starts_with(&response) && request.length()? == size {
            connection.send(ACCEPTED.as_bytes())?;
        } else {
            return Err(wrong("a request that is neither for the next invocation nor a whole response"));
        }
    }
    Ok(())
}

/// Builds the head of an event with the headers that AWS sends (lambda/latest/dg/runtimes-api).
fn event_head(size: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{REQUEST_ID}: {ID}\r\n\
         Lambda-Runtime-Deadline-Ms: {DEADLINE_MS}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:bench\r\n\
         Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n\
         Date: Thu, 12 Mar 2026 19:03:58 GMT\r\nContent-Length: {size}\r\n\r\n"
    )
}
