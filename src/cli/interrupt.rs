//! What ends a command early: Ctrl-C, SIGTERM, SIGHUP, the reply at the prompt and a timeout; and how the command reacts.

use std::io::{self, BufRead, IsTerminal};
use std::pin::Pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::output::Output;
use super::{Failure, process};

/// A signal or a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// Ctrl-C.
    CtrlC,
    /// SIGTERM: the command must end, and no user can be asked.
    Terminated,
    /// SIGHUP: the terminal is gone.
    HungUp,
    /// The command's own timeout has elapsed.
    TimedOut,
    /// A reply at the prompt.
    Reply(Reply),
}

/// What a user replies at the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Roll the run back.
    RollBack,
    /// Keep following the run.
    KeepFollowing,
    /// Stop following; the run keeps running.
    Leave,
}

/// What the user has asked for so far, or what makes asking pointless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing yet.
    Following,
    /// The prompt is open.
    Asking,
    /// The rollback.
    RollingBack,
    /// Everything is restored already: there is nothing to roll back.
    Restored,
}

/// What to do about an interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Open the prompt.
    Ask,
    /// Roll the run back.
    RollBack,
    /// Close the prompt and keep following.
    KeepFollowing,
    /// Leave; the run, or its rollback, continues without this command.
    Leave,
    /// Nothing: it is in progress.
    Ignore,
}

/// Decides what an interruption means. Where no user can be asked, the careful reaction is to roll back. SIGTERM is what
/// Ctrl-C is without a terminal: a second one of either leaves a rollback, because a pipeline that sends it kills the
/// command soon. SIGHUP never does: a terminal that closes may send it twice.
pub(super) fn react(stage: Stage, interruption: Interruption, can_ask: bool) -> Reaction {
    match (stage, interruption) {
        (Stage::Following, Interruption::CtrlC) if can_ask => Reaction::Ask,
        (Stage::Asking, Interruption::Reply(Reply::RollBack)) => Reaction::RollBack,
        (Stage::Asking, Interruption::Reply(Reply::KeepFollowing)) => Reaction::KeepFollowing,
        (Stage::Asking, Interruption::Reply(Reply::Leave)) => Reaction::Leave,
        (_, Interruption::Reply(_)) => Reaction::Ignore,
        (Stage::Following | Stage::Asking, _) => Reaction::RollBack,
        (Stage::RollingBack | Stage::Restored, Interruption::CtrlC | Interruption::Terminated) => Reaction::Leave,
        (Stage::Restored, Interruption::HungUp) => Reaction::Leave,
        (Stage::RollingBack, Interruption::HungUp) => Reaction::Ignore,
        // What is left then is short, and the report is worth it.
        (Stage::RollingBack | Stage::Restored, Interruption::TimedOut) => Reaction::Ignore,
    }
}

/// The signals and replies of one command. They are kept until [`Interruptions::next`] is polled.
pub(super) struct Interruptions {
    ctrl_c: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
    timeout: Option<Pin<Box<Sleep>>>,
    timed_out: bool,
    replies: Option<mpsc::UnboundedReceiver<Reply>>,
}

impl Interruptions {
    /// Starts listening, and begins the timeout. A signal that this process was started to ignore stays ignored (`nohup`).
    pub(super) fn new(timeout: Option<Duration>) -> Result<Self, Failure> {
        let listen = |kind: SignalKind| match process::is_ignored(kind.as_raw_value()) {
            true => Ok(None),
            false => signal(kind).map(Some).map_err(|error| {
                Failure::new("NoSignals", format!("signals cannot be handled: {error}; nothing was started"))
            }),
        };
        Ok(Self {
            ctrl_c: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            timeout: timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout))),
            timed_out: false,
            replies: None,
        })
    }

    /// Ends the timeout: there is nothing left to end.
    pub(super) fn end_timeout(&mut self) {
        self.timeout = None;
    }

    /// Whether the timeout was an interruption.
    pub(super) fn has_timed_out(&self) -> bool {
        self.timed_out
    }

    /// Returns the next interruption. Cancel-safe.
    pub(super) async fn next(&mut self) -> Interruption {
        let reply = async {
            match &mut self.replies {
                Some(replies) => replies.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = next_of(&mut self.ctrl_c) => Interruption::CtrlC,
            () = next_of(&mut self.terminate) => Interruption::Terminated,
            () = next_of(&mut self.hang_up) => Interruption::HungUp,
            () = end_of(&mut self.timeout) => {
                self.timeout = None;
                self.timed_out = true;
                Interruption::TimedOut
            }
            reply = reply => {
                self.replies = None;
                // A reader that ended without a reply has read none: the careful reply is to roll back.
                Interruption::Reply(reply.unwrap_or(Reply::RollBack))
            }
        }
    }

    /// Reads a reply in a separate thread, which nothing waits for and which ends with the process.
    pub(super) fn read_reply(&mut self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.replies = Some(receiver);
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            // If the run has ended, no one receives the reply.
            let _ = sender.send(if read.is_err() { Reply::RollBack } else { reply(&line) });
        });
    }
}

async fn end_of(timeout: &mut Option<Pin<Box<Sleep>>>) {
    match timeout {
        Some(timeout) => timeout.await,
        None => std::future::pending().await,
    }
}

async fn next_of(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Reads a reply. Everything but a clear "no" or "leave" rolls back: a user who types something else at this prompt is
/// not sure that the fault may stay.
fn reply(line: &str) -> Reply {
    match line.trim().to_lowercase().as_str() {
        "l" | "leave" => Reply::Leave,
        line if line.starts_with('n') => Reply::KeepFollowing,
        _ => Reply::RollBack,
    }
}

/// Whether a user can be asked: there is a terminal to reply on, and one that shows the question.
pub(super) fn can_ask(output: &Output) -> bool {
    io::stdin().is_terminal() && process::may_read_terminal() && (output.live || io::stderr().is_terminal())
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: Interruption = Interruption::Reply(Reply::RollBack);
    const NO: Interruption = Interruption::Reply(Reply::KeepFollowing);
    const LEAVE: Interruption = Interruption::Reply(Reply::Leave);

    #[test]
    fn on_a_terminal_ctrl_c_asks_then_rolls_back_then_leaves() {
        assert_eq!(react(Stage::Following, Interruption::CtrlC, true), Reaction::Ask);
        assert_eq!(react(Stage::Asking, Interruption::CtrlC, true), Reaction::RollBack);
        assert_eq!(react(Stage::RollingBack, Interruption::CtrlC, true), Reaction::Leave);
        assert_eq!(react(Stage::Asking, YES, true), Reaction::RollBack);
        assert_eq!(react(Stage::Asking, NO, true), Reaction::KeepFollowing);
        assert_eq!(react(Stage::Asking, LEAVE, true), Reaction::Leave);
        // The prompt was void.
        assert_eq!(react(Stage::RollingBack, NO, true), Reaction::Ignore);
        assert_eq!(react(Stage::Following, YES, true), Reaction::Ignore);
    }

    #[test]
    fn without_a_terminal_ctrl_c_rolls_back_then_leaves() {
        assert_eq!(react(Stage::Following, Interruption::CtrlC, false), Reaction::RollBack);
        assert_eq!(react(Stage::RollingBack, Interruption::CtrlC, false), Reaction::Leave);
    }

    #[test]
    fn sigterm_is_what_ctrl_c_is_without_a_terminal() {
        for stage in [Stage::Following, Stage::Asking, Stage::RollingBack, Stage::Restored] {
            let without_terminal = react(stage, Interruption::CtrlC, false);
            for can_ask in [true, false] {
                assert_eq!(react(stage, Interruption::Terminated, can_ask), without_terminal, "{stage:?}");
            }
        }
    }

    #[test]
    fn sighup_and_a_timeout_roll_back_and_never_leave_a_rollback() {
        for interruption in [Interruption::HungUp, Interruption::TimedOut] {
            for can_ask in [true, false] {
                assert_eq!(react(Stage::Following, interruption, can_ask), Reaction::RollBack);
                assert_eq!(react(Stage::Asking, interruption, can_ask), Reaction::RollBack);
                assert_eq!(react(Stage::RollingBack, interruption, can_ask), Reaction::Ignore);
            }
        }
        assert_eq!(react(Stage::Restored, Interruption::TimedOut, false), Reaction::Ignore);
    }

    #[test]
    fn a_restored_run_is_left_without_a_question() {
        for can_ask in [true, false] {
            assert_eq!(react(Stage::Restored, Interruption::CtrlC, can_ask), Reaction::Leave);
            assert_eq!(react(Stage::Restored, Interruption::Terminated, can_ask), Reaction::Leave);
            assert_eq!(react(Stage::Restored, Interruption::HungUp, can_ask), Reaction::Leave);
            assert_eq!(react(Stage::Restored, YES, can_ask), Reaction::Ignore);
        }
    }

    #[test]
    fn everything_but_a_clear_no_or_leave_rolls_back() {
        for (lines, expected) in [
            (&["", "\n", "y\n", "Yes\n", "clear; ls\n", "ls\n", "later\n"][..], Reply::RollBack),
            (&["n\n", "No\n", "  never\n"], Reply::KeepFollowing),
            (&["l\n", " Leave \n"], Reply::Leave),
        ] {
            for line in lines {
                assert_eq!(reply(line), expected, "{line:?}");
            }
        }
    }
}
