//! Following a run live: phase, targets, alarms and the time that is left; and ending it early.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use crate::aws::ExecutionState;
use crate::model::experiment::Experiment;
use crate::model::facts::AlarmFact;
use crate::model::names::{AlarmName, RunId};
use crate::model::run::{Run, RunStatus, TargetRecord};
use crate::model::time::{Time, seconds_up};
use crate::ports::{Alarms, Clock, Ledger};
use crate::steps::error::{StepErrorKind, failure_message};
use crate::steps::retry::retry;
use crate::steps::run_targets::run_targets;

use super::Failure;
use super::arguments::Arguments;
use super::exit::Exit;
use super::interrupt::{Interruption, Interruptions, Reaction, Stage, can_ask, react};
use super::output::{Output, Tone};
use super::screen::Screen;
use super::stack::{RollbackError, Stack};
use super::undo::{Undo, instead, through_function};

/// Between two looks.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Follows one run.
pub(super) struct Follower<'a> {
    stack: &'a Stack,
    arguments: &'a Arguments,
    id: &'a RunId,
    execution: String,
    alarms: Vec<AlarmName>,
    output: &'a Output,
    began: Time,
    /// The rollback function could not be reached, and this very process restores.
    restores_itself: Cell<bool>,
}

/// What was shown last, so that only news are shown.
#[derive(Default)]
struct Shown {
    status: Option<RunStatus>,
    ends_at: Option<Time>,
    targets: BTreeMap<String, String>,
    alarms: BTreeMap<String, bool>,
}

/// What a look found.
struct Seen {
    execution: ExecutionState,
    run: Option<(Run, Vec<TargetRecord>)>,
    alarms: Vec<Option<AlarmFact>>,
}

/// Something that is awaited while everything else goes on.
type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// How far things are.
struct Progress<'a> {
    stage: Stage,
    screen: Screen<'a>,
    shown: Shown,
    undo: Option<Pending<'a, ()>>,
    /// The execution is over; with the refusal, if it is one.
    over: Option<Option<Failure>>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(
        stack: &'a Stack,
        arguments: &'a Arguments,
        id: &'a RunId,
        execution: String,
        experiment: &Experiment,
        output: &'a Output,
    ) -> Self {
        Self {
            stack,
            arguments,
            id,
            execution,
            alarms: experiment.stop_conditions.iter().map(|stop| stop.alarm.clone()).collect(),
            output,
            began: stack.world.now(),
            restores_itself: Cell::new(false),
        }
    }

    /// Shows what happens until the execution is over. A refusal is a failure; every other end is in the ledger. Nothing
    /// is awaited outside of the one `select`, so that Ctrl-C is heard at every moment.
    pub(super) async fn follow(&'a self, interruptions: &mut Interruptions) -> Result<Option<Failure>, Failure> {
        let mut progress = Progress {
            stage: Stage::Following,
            screen: Screen::new(self.output),
            shown: Shown::default(),
            undo: None,
            over: None,
        };
        let mut look: Pending<'a, Seen> = Box::pin(self.look(Duration::ZERO));
        loop {
            tokio::select! {
                seen = &mut look, if progress.over.is_none() => {
                    match seen {
                        Ok(seen) => self.show(&mut progress, seen),
                        // Whoever waits for the rollback need not see it.
                        Err(failure) if progress.undo.is_none() => {
                            progress.screen.clear();
                            return Err(failure);
                        }
                        Err(_) => {}
                    }
                    look = Box::pin(self.look(POLL_INTERVAL));
                }
                undone = undone(&mut progress.undo) => {
                    progress.undo = None;
                    if let Err(failure) = undone {
                        progress.screen.clear();
                        return Err(failure);
                    }
                }
                interruption = interruptions.next() => self.interrupted(&mut progress, interruption, interruptions)?,
            }
            if progress.undo.is_none()
                && let Some(refusal) = progress.over.take()
            {
                if progress.screen.is_asking() {
                    progress.screen.clear();
                    self.output.note("the run has ended; there is nothing to roll back any more");
                }
                progress.screen.clear();
                return Ok(refusal);
            }
        }
    }

    async fn look(&self, after: Duration) -> Result<Seen, Failure> {
        let world = &self.stack.world;
        tokio::time::sleep(after).await;
        let execution = self.execution().await?;
        let run = match retry(world, || world.run(self.id)).await? {
            Some(run) => {
                let targets = run_targets(world, &run).await?;
                Some((run, targets))
            }
            None => None,
        };
        let alarms = match self.alarms.is_empty() {
            true => Vec::new(),
            // The alarms are shown for people; the run itself watches them.
            false => world.alarms(&self.alarms).await.unwrap_or_default(),
        };
        Ok(Seen { execution, run, alarms })
    }

    async fn execution(&self) -> Result<ExecutionState, Failure> {
        self.stack.world.execution(&self.execution).await.map_err(|why| {
            let advice = self.arguments.repeat(&format!("status {}", self.id));
            let cause = format!("the execution cannot be read: {why}; the run continues; see {advice}");
            Failure::new("Unavailable", cause)
        })
    }

    fn interrupted(
        &'a self,
        progress: &mut Progress<'a>,
        interruption: Interruption,
        interruptions: &mut Interruptions,
    ) -> Result<(), Failure> {
        if matches!(interruption, Interruption::Answer { .. }) && progress.screen.is_asking() {
            progress.screen.answered();
        }
        match react(progress.stage, interruption, can_ask(self.output)) {
            Reaction::Ignore => {}
            Reaction::Ask => {
                progress.stage = Stage::Asking;
                progress.screen.ask();
                interruptions.read_answer();
            }
            Reaction::RollBack => {
                progress.stage = Stage::RollingBack;
                progress.screen.clear();
                self.line(progress, "rolling back; Ctrl-C leaves");
                progress.undo = Some(Box::pin(self.roll_back()));
            }
            Reaction::Leave => {
                progress.screen.clear();
                return Err(self.left(progress.stage));
            }
        }
        Ok(())
    }

    /// Also where the run is not written yet: then this keeps it from starting.
    async fn roll_back(&self) -> Result<(), Failure> {
        let stop = Undo::Stop(self.id);
        let undone = match through_function(self.stack, stop, self.arguments).await {
            Ok(undone) => undone,
            Err(RollbackError::Failed(failure)) => return Err(failure),
            Err(RollbackError::Unreachable(why)) => {
                self.restores_itself.set(true);
                instead(&self.stack.world, stop, &why, self.arguments, self.output).await?
            }
        };
        match undone.failure {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn left(&self, stage: Stage) -> Failure {
        let status = self.arguments.repeat(&format!("status {}", self.id));
        let rollback = self.arguments.repeat(&format!("rollback {}", self.id));
        let cause = match stage {
            Stage::RollingBack if self.restores_itself.get() => format!(
                "left in the middle of the restore; the run's execution or the reaper goes on with it; see {status}; if they do not: {rollback}"
            ),
            Stage::RollingBack => format!(
                "left; the rollback was asked for, and goes on without this command; see {status}; if it does not end: {rollback}"
            ),
            _ => format!("left; the run goes on; see {status}; to end it: {rollback}"),
        };
        Failure { exit: Exit::Unfinished, ..Failure::new("Left", cause) }
    }

    fn show(&self, progress: &mut Progress<'a>, seen: Seen) {
        for (alarm, fact) in self.alarms.iter().zip(seen.alarms) {
            let Some(fact) = fact else { continue };
            if progress.shown.alarms.insert(alarm.name().to_owned(), fact.in_alarm) != Some(fact.in_alarm) {
                let state =
                    if fact.in_alarm { self.output.paint(Tone::Bad, "ALARM") } else { "not in ALARM".to_owned() };
                self.line(progress, &format!("alarm {} {state}", alarm.name()));
            }
        }
        if let Some((run, targets)) = &seen.run {
            self.news(progress, run, targets);
            progress.screen.live(&self.remaining(run, targets));
        }
        progress.over = match seen.execution {
            ExecutionState::Running => None,
            ExecutionState::Succeeded => Some(None),
            ExecutionState::Failed { error, cause } => Some(refusal(error, &failure_message(&cause))),
        };
    }

    /// Cause before effect: what a run's status begins stands before its targets, what ends it after them.
    fn news(&self, progress: &mut Progress<'a>, run: &Run, targets: &[TargetRecord]) {
        if !run.status.is_final() {
            self.status_news(progress, run);
        }
        for target in targets {
            let status = self.output.target(target.status);
            if progress.shown.targets.insert(target.function.to_string(), status.clone()).as_ref() != Some(&status) {
                self.line(progress, &format!("{} {status}", target.function.name()));
            }
        }
        if run.ends_at.is_some() && progress.shown.ends_at != run.ends_at && run.status == RunStatus::Running {
            self.line(progress, &format!("observing until {}", run.expected_end()));
        }
        progress.shown.ends_at = run.ends_at;
        self.status_news(progress, run);
    }

    fn status_news(&self, progress: &mut Progress<'a>, run: &Run) {
        if progress.shown.status.replace(run.status) != Some(run.status) {
            let reason = run.reason.as_ref().map_or(String::new(), |reason| format!("; {reason}"));
            self.line(progress, &format!("run {}{reason}", run.status.name()));
        }
    }

    fn line(&self, progress: &mut Progress<'a>, text: &str) {
        let seconds = seconds_up(self.began.until(self.stack.world.now()));
        let at = self.output.paint(Tone::Faint, &format!("{:>3}:{:02}", seconds / 60, seconds % 60));
        progress.screen.news(&format!("{at} {text}"));
    }

    fn remaining(&self, run: &Run, targets: &[TargetRecord]) -> String {
        let back = targets.iter().filter(|target| target.status.is_final()).count();
        match run.status {
            RunStatus::Running if run.ends_at.is_some() => {
                format!("{} s left", seconds_up(self.stack.world.now().until(run.expected_end())))
            }
            RunStatus::Stopping => format!("{back} of {} back", targets.len()),
            status => status.name().to_owned(),
        }
    }
}

/// The rollback's end; never, where none was asked for.
async fn undone(undo: &mut Option<Pending<'_, ()>>) -> Result<(), Failure> {
    match undo {
        Some(undo) => undo.await,
        None => pending().await,
    }
}

/// A refusal left nothing in the ledger; another failure did, and the report tells it.
fn refusal(error: String, cause: &str) -> Option<Failure> {
    let exit = match StepErrorKind::from_name(&error) {
        Some(StepErrorKind::Refused) => Exit::Refused,
        Some(StepErrorKind::InvalidInput) => Exit::Invalid,
        _ => return None,
    };
    let cause = match exit {
        Exit::Refused => format!("refused, and nothing was changed:\n  {}", cause.replace('\n', "\n  ")),
        _ => cause.to_owned(),
    };
    Some(Failure { error, cause, exit })
}
