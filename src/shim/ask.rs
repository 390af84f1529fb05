//! Asks the proxy. Each question has its own connection, so that threads and forked processes share nothing.

use crate::rules::Rules;
use crate::sys::Socket;
use crate::wire::{ANSWER_BYTES, Answer, Question};

/// How long each step of a question waits. After that, the program continues as without the shim.
const MAX_WAIT_US: i64 = 1_000_000;

/// Asks the proxy. Without an answer in time, the program must continue as without the shim.
pub fn ask(rules: &Rules, question: Question) -> Answer {
    try_ask(rules, question).unwrap_or(Answer::Pass)
}

fn try_ask(rules: &Rules, question: Question) -> Option<Answer> {
    let socket = Socket::unix()?;
    socket.limit_waits(MAX_WAIT_US)?;
    socket.connect_abstract(rules.socket())?;
    socket.send(&question.to_bytes())?;
    let mut answer = [0; ANSWER_BYTES];
    socket.receive(&mut answer)?;
    Some(Answer::from_bytes(answer))
}
