//! What ends a command early: Ctrl-C, SIGTERM, SIGHUP and the answer at the prompt; and what each of them means.

use std::io::{self, BufRead, IsTerminal};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::output::Output;
use super::{Failure, process};

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// Ctrl-C.
    CtrlC,
    /// SIGTERM or SIGHUP: whoever started the command wants it to end, and nobody can be asked.
    Ended,
    /// An answer at the prompt.
    Answer {
        /// Whether to roll back.
        roll_back: bool,
    },
}

/// How far a user has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was asked for.
    Following,
    /// The prompt is open.
    Asking,
    /// The rollback was asked for.
    RollingBack,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Open the prompt.
    Ask,
    /// Roll the run back.
    RollBack,
    /// Leave; the run, or its rollback, goes on without this command.
    Leave,
    /// Nothing: it is under way.
    Ignore,
}

/// Where nobody can be asked, the careful answer is yes. Only Ctrl-C leaves a rollback: a terminal that closes may send
/// SIGHUP twice, and the second one must not arrive before the first one has done anything.
pub(super) fn react(stage: Stage, interruption: Interruption, can_ask: bool) -> Reaction {
    match (stage, interruption) {
        (Stage::Following, Interruption::CtrlC) if can_ask => Reaction::Ask,
        (Stage::Following | Stage::Asking, Interruption::CtrlC | Interruption::Ended) => Reaction::RollBack,
        (Stage::Asking, Interruption::Answer { roll_back: true }) => Reaction::RollBack,
        (Stage::Asking, Interruption::Answer { roll_back: false }) => Reaction::Leave,
        (Stage::RollingBack, Interruption::CtrlC) => Reaction::Leave,
        (Stage::RollingBack, Interruption::Ended) | (_, Interruption::Answer { .. }) => Reaction::Ignore,
    }
}

/// The signals and answers of one command. They wait here while nobody listens.
pub(super) struct Interruptions {
    ctrl_c: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
    answers: Option<mpsc::UnboundedReceiver<bool>>,
}

impl Interruptions {
    /// Begins to listen. A signal that this process was started to ignore stays ignored (`nohup`).
    pub(super) fn new() -> Result<Self, Failure> {
        let listen = |kind: SignalKind| match process::is_ignored(kind.as_raw_value()) {
            true => Ok(None),
            false => signal(kind).map(Some).map_err(|error| {
                Failure::new("NoSignals", format!("Ctrl-C cannot be heard: {error}; nothing was started"))
            }),
        };
        Ok(Self {
            ctrl_c: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            answers: None,
        })
    }

    /// The next one. Nothing is lost where this is given up.
    pub(super) async fn next(&mut self) -> Interruption {
        let answer = async {
            match &mut self.answers {
                Some(answers) => answers.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = next_of(&mut self.ctrl_c) => Interruption::CtrlC,
            () = next_of(&mut self.terminate) => Interruption::Ended,
            () = next_of(&mut self.hang_up) => Interruption::Ended,
            answer = answer => {
                self.answers = None;
                // A reader that is gone has been told nothing.
                Interruption::Answer { roll_back: answer.unwrap_or(true) }
            }
        }
    }

    /// Reads an answer, in a thread of its own: nothing else waits for it, and it ends with the process.
    pub(super) fn read_answer(&mut self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.answers = Some(receiver);
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            // Nobody listens any more where the run has ended.
            let _ = sender.send(read.is_err() || is_yes(&line));
        });
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

/// Everything but a no: whoever types something else at this prompt is not sure that the fault may stay.
fn is_yes(line: &str) -> bool {
    !line.trim_start().to_lowercase().starts_with('n')
}

/// Whether there is somebody to ask: a terminal that answers, and one that shows the question.
pub(super) fn can_ask(output: &Output) -> bool {
    io::stdin().is_terminal() && process::may_read_terminal() && (output.live || io::stderr().is_terminal())
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: Interruption = Interruption::Answer { roll_back: true };
    const NO: Interruption = Interruption::Answer { roll_back: false };

    #[test]
    fn on_a_terminal_ctrl_c_asks_then_rolls_back_then_leaves() {
        assert_eq!(react(Stage::Following, Interruption::CtrlC, true), Reaction::Ask);
        assert_eq!(react(Stage::Asking, Interruption::CtrlC, true), Reaction::RollBack);
        assert_eq!(react(Stage::RollingBack, Interruption::CtrlC, true), Reaction::Leave);
        assert_eq!(react(Stage::Asking, YES, true), Reaction::RollBack);
        assert_eq!(react(Stage::Asking, NO, true), Reaction::Leave);
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
    fn sigterm_and_sighup_roll_back_and_never_leave_a_rollback() {
        for can_ask in [true, false] {
            assert_eq!(react(Stage::Following, Interruption::Ended, can_ask), Reaction::RollBack);
            assert_eq!(react(Stage::Asking, Interruption::Ended, can_ask), Reaction::RollBack);
            assert_eq!(react(Stage::RollingBack, Interruption::Ended, can_ask), Reaction::Ignore);
        }
    }

    #[test]
    fn everything_but_a_no_is_a_yes() {
        for line in ["", "\n", "y\n", "Yes\n", "clear; ls\n"] {
            assert!(is_yes(line), "{line:?}");
        }
        for line in ["n\n", "No\n", "  never\n"] {
            assert!(!is_yes(line), "{line:?}");
        }
    }
}
