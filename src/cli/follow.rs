//! Following a run live: phase, targets, alarms and the time that is left.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::model::experiment::Experiment;
use crate::model::names::{AlarmName, RunId};
use crate::model::run::{EndReason, Run, RunStatus, TargetRecord};
use crate::model::time::Time;
use crate::ports::{Alarms, Clock, Ledger};
use crate::steps::error::failure_message;
use crate::steps::retry::retry;
use crate::steps::rollback::stop;

use super::exit::Exit;
use super::output::{Output, Tone};
use super::stack::Stack;
use super::{Failure, say};

/// Milliseconds between two looks.
const LOOK: u64 = 1000;

/// Follows one run.
pub(super) struct Follower<'a> {
    stack: &'a Stack,
    id: &'a RunId,
    execution: String,
    sfn: aws_sdk_sfn::Client,
    alarms: Vec<AlarmName>,
    output: &'a Output,
    began: Time,
}

/// What was shown last, so that only news are shown.
#[derive(Default)]
struct Shown {
    status: Option<RunStatus>,
    ends_at: Option<Time>,
    targets: BTreeMap<String, String>,
    alarms: BTreeMap<String, bool>,
}

/// What a look at the execution found.
enum Execution {
    Running,
    Ended,
    Failed { error: String, cause: String },
}

impl<'a> Follower<'a> {
    pub(super) fn new(
        stack: &'a Stack,
        id: &'a RunId,
        execution: String,
        experiment: &Experiment,
        output: &'a Output,
    ) -> Self {
        Self {
            stack,
            id,
            execution,
            sfn: aws_sdk_sfn::Client::new(&stack.config),
            alarms: experiment.stop_conditions.iter().map(|stop| stop.alarm.clone()).collect(),
            output,
            began: stack.world.now(),
        }
    }

    /// Shows what happens until the execution is over. A refusal is a failure; every other end is in the ledger.
    pub(super) async fn follow(&self) -> Result<Option<Failure>, Failure> {
        let mut shown = Shown::default();
        let mut asked = false;
        // One stream for the whole run: it keeps a Ctrl-C that comes while something else is waited for.
        let mut interrupts = signal(SignalKind::interrupt())
            .map_err(|error| Failure::new("NoSignals", format!("Ctrl-C cannot be heard: {error}; the run goes on")))?;
        loop {
            let execution = self.execution().await?;
            self.look(&mut shown).await?;
            match execution {
                Execution::Running => {}
                Execution::Ended => break,
                Execution::Failed { error, cause } => return Ok(self.failed(&error, &cause)),
            }
            tokio::select! {
                () = self.stack.world.sleep(LOOK) => {}
                _ = interrupts.recv() => {
                    if asked {
                        return Err(self.left());
                    }
                    asked = true;
                    self.interrupted().await?;
                }
            }
        }
        self.clear();
        Ok(None)
    }

    async fn execution(&self) -> Result<Execution, Failure> {
        let described = self.sfn.describe_execution().execution_arn(&self.execution).send().await;
        let described = described.map_err(|_| {
            let advice = format!("the run goes on; see snapback status {}", self.id);
            Failure::new("Unavailable", format!("Step Functions did not answer; {advice}"))
        })?;
        Ok(match described.status() {
            ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Execution::Running,
            ExecutionStatus::Succeeded => Execution::Ended,
            status => Execution::Failed {
                error: described.error().unwrap_or(status.as_str()).to_owned(),
                cause: failure_message(described.cause().unwrap_or_default()),
            },
        })
    }

    /// A refusal left nothing in the ledger; another failure did, and the report tells it.
    fn failed(&self, error: &str, cause: &str) -> Option<Failure> {
        self.clear();
        let exit = match error {
            "Refused" => Exit::Refused,
            "InvalidInput" => Exit::Invalid,
            _ => return None,
        };
        let cause = match exit {
            Exit::Refused => format!("refused, and nothing was changed:\n  {}", cause.replace('\n', "\n  ")),
            _ => cause.to_owned(),
        };
        Some(Failure { error: error.to_owned(), cause, exit })
    }

    async fn look(&self, shown: &mut Shown) -> Result<(), Failure> {
        let world = &self.stack.world;
        let Some(run) = retry(world, || world.run(self.id)).await? else { return Ok(()) };
        let targets = retry(world, || world.targets(self.id)).await?;
        let alarms = match self.alarms.is_empty() {
            true => Vec::new(),
            // The alarms are shown for people; the run itself watches them.
            false => world.alarms(&self.alarms).await.unwrap_or_default(),
        };
        for (alarm, fact) in self.alarms.iter().zip(alarms) {
            let Some(fact) = fact else { continue };
            if shown.alarms.insert(alarm.name().to_owned(), fact.in_alarm) != Some(fact.in_alarm) {
                let state =
                    if fact.in_alarm { self.output.paint(Tone::Bad, "ALARM") } else { "not in ALARM".to_owned() };
                self.line(&format!("alarm {} {state}", alarm.name()));
            }
        }
        self.news(shown, &run, &targets);
        self.live(&run, &targets);
        Ok(())
    }

    /// Cause before effect: what a run's status begins stands before its targets, what ends it behind them.
    fn news(&self, shown: &mut Shown, run: &Run, targets: &[TargetRecord]) {
        if !run.status.is_final() {
            self.status_news(shown, run);
        }
        for target in targets {
            let status = self.output.target(target.status);
            if shown.targets.insert(target.function.to_string(), status.clone()).as_ref() != Some(&status) {
                self.line(&format!("{} {status}", target.function.name()));
            }
        }
        if run.ends_at.is_some() && shown.ends_at != run.ends_at && run.status == RunStatus::Running {
            self.line(&format!("observing until {}", run.due()));
        }
        shown.ends_at = run.ends_at;
        self.status_news(shown, run);
    }

    fn status_news(&self, shown: &mut Shown, run: &Run) {
        if shown.status.replace(run.status) != Some(run.status) {
            let reason = run.reason.as_ref().map_or(String::new(), |reason| format!("; {reason}"));
            self.line(&format!("run {}{reason}", run.status.name()));
        }
    }

    fn line(&self, text: &str) {
        if self.output.as_json {
            return;
        }
        self.clear();
        let seconds = self.began.seconds_until(self.stack.world.now());
        say(&format!("{} {text}", self.output.paint(Tone::Faint, &format!("{:>3}:{:02}", seconds / 60, seconds % 60))));
    }

    /// The line at the bottom of a terminal, written anew each second.
    fn live(&self, run: &Run, targets: &[TargetRecord]) {
        if !self.output.live {
            return;
        }
        let back = targets.iter().filter(|target| target.status.is_final()).count();
        let left = match run.status {
            RunStatus::Running if run.ends_at.is_some() => {
                format!("{} s left", self.stack.world.now().seconds_until(run.due()))
            }
            RunStatus::Stopping => format!("{back} of {} back", targets.len()),
            status => status.name().to_owned(),
        };
        let _ = write!(std::io::stdout(), "\r\u{1b}[K{}", self.output.paint(Tone::Faint, &left));
        let _ = std::io::stdout().flush();
    }

    fn clear(&self) {
        if self.output.live {
            let _ = write!(std::io::stdout(), "\r\u{1b}[K");
        }
    }

    /// Asks whether to roll back. Where nobody can be asked, the careful answer is yes.
    async fn interrupted(&self) -> Result<(), Failure> {
        self.clear();
        if std::io::stdin().is_terminal() && !answer_is_yes("roll the run back now? [Y/n] ") {
            return Err(self.left());
        }
        self.line("rolling back; once more Ctrl-C leaves the run to itself");
        // From here, for the run may not be written yet: then this keeps it from starting.
        stop(&self.stack.world, self.id, &EndReason::Person).await?;
        self.stack.roll_back(&json!({ "runId": self.id })).await
    }

    fn left(&self) -> Failure {
        let cause =
            format!("the run goes on; see it with snapback status {0}, end it with snapback rollback {0}", self.id);
        Failure { exit: Exit::Unfinished, ..Failure::new("Left", cause) }
    }
}

fn answer_is_yes(question: &str) -> bool {
    let _ = write!(std::io::stderr(), "{question}");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_err() || !answer.trim_start().to_lowercase().starts_with('n')
}
