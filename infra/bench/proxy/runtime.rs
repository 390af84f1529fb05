//! A runtime without a handler: it takes an event, sends a response of the same size, and measures how long both took.

use std::io::{self, BufRead, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::event;
use crate::wire::{Connection, ID, INVOCATION, REQUEST_ID, place_of_id, wrong};

/// Longer than any step takes on any machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Prints the address of its Runtime API. Then, for each number on stdin, it handles that many invocations and prints
/// their nanoseconds in one line.
pub fn run(size: usize) -> io::Result<()> {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
    let mut runtime = Runtime::connect(&api, size)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{api}")?;
    for line in io::stdin().lock().lines() {
        let count: usize = line?.trim().parse().map_err(io::Error::other)?;
        let block = runtime.block(count)?;
        let block: Vec<String> = block.iter().map(u64::to_string).collect();
        writeln!(out, "{}", block.join(" "))?;
        out.flush()?;
    }
    Ok(())
}

struct Runtime {
    connection: Connection,
    size: usize,
    next: Vec<u8>,
    response: Vec<u8>,
    id: usize,
}

impl Runtime {
    fn connect(api: &str, size: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(api)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let next = format!("GET {INVOCATION}/next HTTP/1.1\r\nHost: {api}\r\nUser-Agent: bench\r\n\r\n");
        let head = format!(
            "POST {INVOCATION}/{ID}/response HTTP/1.1\r\nHost: {api}\r\nUser-Agent: bench\r\n\
             Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
        );
        let id = place_of_id(&head)?;
        let mut response = head.into_bytes();
        response.extend_from_slice(event::json(size).as_bytes());
        Ok(Self { connection: Connection::new(stream)?, size, next: next.into_bytes(), response, id })
    }

    fn block(&mut self, count: usize) -> io::Result<Vec<u64>> {
        let mut block = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            self.invocation()?;
            block.push(u64::try_from(began.elapsed().as_nanos()).map_err(io::Error::other)?);
        }
        Ok(block)
    }

    fn invocation(&mut self) -> io::Result<()> {
        self.connection.send(&self.next)?;
        let event = self.connection.receive()?.ok_or_else(|| wrong("the Runtime API has closed"))?;
        let id = event.header(REQUEST_ID).filter(|id| id.len() == ID.len());
        let id = id.ok_or_else(|| wrong("an event without an id"))?;
        if !event.starts_with("HTTP/1.1 200 ") || event.length()? != self.size {
            return Err(wrong("an event that is not the one that was sent"));
        }
        self.response[self.id..self.id + ID.len()].copy_from_slice(id.as_bytes());
        self.connection.send(&self.response)?;
        let response = self.connection.receive()?.ok_or_else(|| wrong("the Runtime API has closed"))?;
        match response.starts_with("HTTP/1.1 202 ") {
            true => Ok(()),
            false => Err(wrong("a response that was not accepted")),
        }
    }
}
