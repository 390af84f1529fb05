//! Follows a run: shows its status, targets, alarms and the time left, and rolls it back when the user asks.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use crate::aws::ExecutionState;
use crate::model::actor::Actor;
use crate::model::experiment::Experiment;
use crate::model::facts::AlarmFact;
use crate::model::names::{AlarmName, RunId};
use crate::model::refusal::StatedRefusal;
use crate::model::run::{EndReason, Run, RunStatus, TargetRecord};
use crate::model::target::{Target, tags_text};
use crate::model::time::{Time, seconds_up};
use crate::plan::outcome_text::status_text;
use crate::ports::{Alarms, Clock, Ledger};
use crate::steps::error::{StepError, StepErrorKind, failure_message};
use crate::steps::retry::retry;
use crate::steps::run_targets::run_targets;

use super::Failure;
use super::arguments::Arguments;
use super::awaited::{awaited, is_restored};
use super::exit::Exit;
use super::interrupt::{Interruption, Interruptions, Reaction, Stage, can_ask, react};
use super::output::Output;
use super::pen::Tone;
use super::progress_text::ShownTargets;
use super::screen::Screen;
use super::stack::{RollbackError, Stack};
use super::stream::{RunEvent, RunLine};
use super::undo::{Undo, instead, through_function};

/// How often the run is read.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Follows one run.
pub(super) struct Follower<'a> {
    stack: &'a Stack,
    arguments: &'a Arguments,
    id: &'a RunId,
    execution: String,
    alarms: Vec<AlarmName>,
    /// The names in refusals that may have a colon in them.
    subjects: Vec<String>,
    output: &'a Output,
    began: Time,
    /// Who follows the run, and rolls it back.
    user: &'a Actor,
    /// Whether to leave once the faults are in place.
    detaches: bool,
    /// Whether this process restores, because the rollback function could not be reached.
    restores_itself: Cell<bool>,
}

/// What was shown last, so that only changes are shown.
#[derive(Default)]
struct Shown {
    status: Option<RunStatus>,
    ends_at: Option<Time>,
    targets: ShownTargets,
    alarms: BTreeMap<String, bool>,
    awaited: Option<String>,
}

/// What one poll found.
struct Seen {
    execution: ExecutionState,
    run: Option<(Run, Vec<TargetRecord>)>,
    alarms: Vec<Option<AlarmFact>>,
}

/// A future that is polled together with the others.
type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// The state of following one run.
struct Progress<'a> {
    stage: Stage,
    screen: Screen<'a>,
    shown: Shown,
    undo: Option<Pending<'a, ()>>,
    /// Set when there is nothing more to follow.
    over: Option<Followed>,
}

/// Why a run is no longer followed.
pub(super) enum Followed {
    /// The faults are in place, and the user wanted to leave then.
    Detached,
    /// The execution has ended. The ledger has the outcome.
    Ended,
    /// The execution was refused, which leaves nothing in the ledger.
    Refused(Failure),
}

impl<'a> Follower<'a> {
    pub(super) fn new(
        stack: &'a Stack,
        arguments: &'a Arguments,
        id: &'a RunId,
        execution: String,
        experiment: &Experiment,
        user: &'a Actor,
        output: &'a Output,
    ) -> Self {
        Self {
            stack,
            arguments,
            id,
            execution,
            alarms: experiment.stop_conditions.iter().map(|stop| stop.alarm.clone()).collect(),
            subjects: subjects(experiment),
            output,
            began: stack.world.now(),
            user,
            detaches: false,
            restores_itself: Cell::new(false),
        }
    }

    /// Tells that the run was started: its name must be known even if this command is ended by force.
    pub(super) fn started(&self) {
        self.event(RunEvent::Started { execution_arn: &self.execution });
    }

    /// Sets whether to leave once the faults are in place. A rollback that a user has asked for is followed to its end.
    pub(super) fn detaching(self, detaches: bool) -> Self {
        Self { detaches, ..self }
    }

    /// Shows what happens until the execution has ended. All waiting is in one `select`, so Ctrl-C works at any time.
    pub(super) async fn follow(&'a self, interruptions: &mut Interruptions) -> Result<Followed, Failure> {
        let mut progress = Progress {
            stage: Stage::Following,
            screen: Screen::new(self.output),
            shown: Shown::default(),
            undo: None,
            over: None,
        };
        let mut poll: Pending<'a, Seen> = Box::pin(self.poll(Duration::ZERO));
        loop {
            tokio::select! {
                seen = &mut poll, if progress.over.is_none() => {
                    match seen {
                        Ok(seen) => self.show(&mut progress, seen),
                        // A rollback continues even if the run cannot be read in the meantime.
                        Err(failure) if progress.undo.is_none() => {
                            progress.screen.clear();
                            return Err(failure);
                        }
                        Err(_) => {}
                    }
                    poll = Box::pin(self.poll(POLL_INTERVAL));
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
                && let Some(over) = progress.over.take()
            {
                if progress.screen.is_asking() {
                    progress.screen.clear();
                    self.output.note("the run has ended; no reply is needed");
                }
                progress.screen.clear();
                return Ok(over);
            }
        }
    }

    async fn poll(&self, after: Duration) -> Result<Seen, Failure> {
        let world = &self.stack.world;
        tokio::time::sleep(after).await;
        let execution = self.execution().await?;
        let run = self.run().await.map_err(|error| {
            let failure = Failure::from(error);
            let cause = format!("{}; {}", failure.cause, self.continues());
            Failure { cause, ..failure }
        })?;
        let alarms = match self.alarms.is_empty() {
            true => Vec::new(),
            // The alarms are for display only; the run itself watches them.
            false => world.alarms(&self.alarms).await.unwrap_or_default(),
        };
        Ok(Seen { execution, run, alarms })
    }

    async fn run(&self) -> Result<Option<(Run, Vec<TargetRecord>)>, StepError> {
        let world = &self.stack.world;
        Ok(match retry(world, || world.run(self.id)).await? {
            Some(run) => {
                let targets = run_targets(world, &run).await?;
                Some((run, targets))
            }
            None => None,
        })
    }

    async fn execution(&self) -> Result<ExecutionState, Failure> {
        self.stack.world.execution(&self.execution).await.map_err(|why| {
            Failure::new("Unavailable", format!("the execution cannot be read: {why}; {}", self.continues()))
        })
    }

    /// Returns advice for when this command stops following a run.
    pub(super) fn continues(&self) -> String {
        let status = self.arguments.repeat(&format!("status {}", self.id));
        let rollback = self.arguments.repeat(&format!("rollback {}", self.id));
        format!("the run continues without this command; see {status}; to end it: {rollback}")
    }

    fn interrupted(
        &'a self,
        progress: &mut Progress<'a>,
        interruption: Interruption,
        interruptions: &mut Interruptions,
    ) -> Result<(), Failure> {
        if matches!(interruption, Interruption::Reply(_)) && progress.screen.is_asking() {
            progress.screen.replied();
        }
        match react(progress.stage, interruption, can_ask(self.output)) {
            Reaction::Ignore => {}
            Reaction::Ask => {
                progress.stage = Stage::Asking;
                progress.screen.ask();
                interruptions.read_reply();
            }
            Reaction::KeepFollowing => {
                progress.stage = Stage::Following;
                self.line(progress, "the run continues; Ctrl-C asks again");
            }
            Reaction::RollBack => {
                progress.stage = Stage::RollingBack;
                progress.screen.clear();
                self.event(RunEvent::RollingBack { has_timed_out: interruption == Interruption::TimedOut });
                let why = if interruption == Interruption::TimedOut { "the timeout has elapsed; " } else { "" };
                self.line(progress, &format!("{why}rolling back; Ctrl-C stops following"));
                progress.undo = Some(Box::pin(self.roll_back(interruption == Interruption::TimedOut)));
            }
            Reaction::Leave => {
                progress.screen.clear();
                return Err(self.left(progress.stage));
            }
        }
        Ok(())
    }

    /// Rolls the run back. If the run is not in the ledger yet, this prevents its start.
    async fn roll_back(&self, has_timed_out: bool) -> Result<(), Failure> {
        let stop = Undo::Stop(self.id);
        let by = if has_timed_out { self.user.by_timeout() } else { self.user.clone() };
        let undone = match through_function(self.stack, stop, &by, self.arguments, self.output).await {
            Ok(undone) => undone,
            Err(RollbackError::Failed(failure)) => return Err(failure),
            Err(RollbackError::Unreachable(why)) => {
                self.restores_itself.set(true);
                instead(&self.stack.world, stop, &by, &why, self.arguments, self.output).await?
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
                "left in the middle of the restore; the run's execution or the reaper continues it; see {status}; if they do not: {rollback}"
            ),
            Stage::RollingBack => format!(
                "left; the rollback was requested and continues without this command; see {status}; if it does not end: {rollback}"
            ),
            Stage::Restored => {
                let report = self.arguments.repeat(&format!("report {}", self.id));
                format!("left; everything is restored; see {report}")
            }
            Stage::Following | Stage::Asking => {
                format!("left; the run keeps running; see {status}; to end it: {rollback}")
            }
        };
        Failure { exit: Exit::Unfinished, ..Failure::new("Left", cause) }
    }

    /// Prints what happened as a line of JSON, if JSON was asked for.
    pub(super) fn event(&self, event: RunEvent<'_>) {
        if self.output.as_json && !self.output.quiet {
            let at = self.stack.world.now().to_string();
            self.output.json(&RunLine { at, run_id: self.id.as_str(), event });
        }
    }

    fn show(&self, progress: &mut Progress<'a>, seen: Seen) {
        for (alarm, fact) in self.alarms.iter().zip(seen.alarms) {
            let Some(fact) = fact else { continue };
            if progress.shown.alarms.insert(alarm.name().to_owned(), fact.in_alarm) != Some(fact.in_alarm) {
                let state = if fact.in_alarm {
                    self.output.progress.paint(Tone::Bad, "ALARM")
                } else {
                    "not in ALARM".to_owned()
                };
                self.line(progress, &format!("alarm {} {state}", alarm.name()));
                self.event(RunEvent::Alarm { alarm: alarm.name(), in_alarm: fact.in_alarm });
            }
        }
        if let Some((run, targets)) = &seen.run {
            self.news(progress, run, targets);
            if is_restored(run, targets) {
                self.restored(progress, run, targets);
            }
            let live = progress.shown.targets.remaining(run, targets, self.stack.world.now());
            progress.screen.live(&live);
        }
        progress.over = match seen.execution {
            ExecutionState::Running if self.detaches && progress.stage == Stage::Following => {
                seen.run.as_ref().is_some_and(|(run, _)| is_observed(run)).then_some(Followed::Detached)
            }
            ExecutionState::Running => None,
            ExecutionState::Succeeded => Some(Followed::Ended),
            ExecutionState::Interrupted(how) => {
                progress.screen.clear();
                self.output.note(&format!("snapback: the run's execution was ended from outside: {how}"));
                Some(Followed::Ended)
            }
            ExecutionState::Failed { error, cause } => {
                let message = failure_message(&cause);
                if !is_in_ledger(&error, seen.run.as_ref()) {
                    progress.screen.clear();
                    self.output.note(&format!("snapback: the run's execution failed: {error}: {message}"));
                }
                Some(refusal(error, &message, &self.subjects).map_or(Followed::Ended, Followed::Refused))
            }
        };
    }

    /// Shows what a restored run waits for, and withdraws the question whether to roll it back.
    fn restored(&self, progress: &mut Progress<'a>, run: &Run, targets: &[TargetRecord]) {
        let awaited = awaited(run, targets);
        if let Some(text) = &awaited
            && progress.shown.awaited != awaited
        {
            if progress.screen.is_asking() {
                progress.screen.clear();
                self.output.note("there is nothing left to roll back");
            }
            self.line(progress, &format!("{text}; Ctrl-C leaves safely"));
            self.event(RunEvent::Waiting { message: text });
            progress.shown.awaited = awaited;
        }
        if progress.shown.awaited.is_some() && progress.stage != Stage::RollingBack {
            progress.stage = Stage::Restored;
        }
    }

    /// Shows causes before effects: a status that starts something comes before its targets, a final status after them.
    fn news(&self, progress: &mut Progress<'a>, run: &Run, targets: &[TargetRecord]) {
        if !run.status.is_final() {
            self.status_news(progress, run);
        }
        let changed = progress.shown.targets.changed(targets);
        for target in &changed {
            let (function, arn) = (target.function.name(), target.function.to_string());
            self.event(RunEvent::Target { function, arn, status: target.status });
        }
        for line in progress.shown.targets.lines(targets, &changed, self.output.progress) {
            self.line(progress, &line);
        }
        if is_observed(run) && progress.shown.ends_at != run.ends_at {
            self.line(progress, &format!("observing until {}", run.expected_end()));
            self.event(RunEvent::Observing { until: run.expected_end().to_string() });
        }
        progress.shown.ends_at = run.ends_at;
        self.status_news(progress, run);
    }

    fn status_news(&self, progress: &mut Progress<'a>, run: &Run) {
        if progress.shown.status.replace(run.status) != Some(run.status) {
            let reason = run.reason_text();
            // How the run has ended is in its report, which follows.
            if !run.status.is_final() {
                self.line(progress, &format!("run {}", status_text(run.status, reason.as_deref())));
            }
            self.event(RunEvent::Status { status: run.reported_status(), reason });
        }
    }

    fn line(&self, progress: &mut Progress<'a>, text: &str) {
        let seconds = seconds_up(self.began.until(self.stack.world.now()));
        let at = self.output.progress.paint(Tone::Faint, &format!("{:>3}:{:02}", seconds / 60, seconds % 60));
        progress.screen.news(&format!("{at} {text}"));
    }
}

/// Returns the subjects of refusals that may have a colon in them: alarms and tags.
fn subjects(experiment: &Experiment) -> Vec<String> {
    let alarms = experiment.alarms().into_iter().map(|alarm| alarm.name().to_owned());
    let tags = experiment.targets.iter().filter_map(|target| match target {
        Target::Tagged { tags, .. } => Some(tags_text(tags)),
        Target::Function(_) => None,
    });
    alarms.chain(tags).collect()
}

/// Waits for the rollback to end, or forever if none was requested.
async fn undone(undo: &mut Option<Pending<'_, ()>>) -> Result<(), Failure> {
    match undo {
        Some(undo) => undo.await,
        None => pending().await,
    }
}

/// Whether all faults are in place, and the duration has begun.
fn is_observed(run: &Run) -> bool {
    run.ends_at.is_some() && run.status == RunStatus::Running
}

/// Whether the report, or the refusal, shows why the execution failed. A failure of the report itself is in no ledger.
fn is_in_ledger(error: &str, run: Option<&(Run, Vec<TargetRecord>)>) -> bool {
    let is_of_the_run = |run: &Run| match &run.reason {
        _ if !run.status.is_final() => false,
        Some(EndReason::Error { error: ended, .. }) => ended == error,
        _ => false,
    };
    matches!(StepErrorKind::from_name(error), Some(StepErrorKind::Refused | StepErrorKind::InvalidInput))
        // The state machine's names for a run that failed without a failed task.
        || ["RunFailed", "RestoreFailed"].contains(&error)
        || run.is_some_and(|(run, _)| is_of_the_run(run))
}

/// Returns the failure of a refused execution, which leaves nothing in the ledger. The report shows any other failure.
fn refusal(error: String, cause: &str, subjects: &[String]) -> Option<Failure> {
    let exit = match StepErrorKind::from_name(&error) {
        Some(StepErrorKind::Refused) => Exit::Refused,
        Some(StepErrorKind::InvalidInput) => Exit::Invalid,
        _ => return None,
    };
    if exit == Exit::Invalid {
        return Some(Failure { exit, ..Failure::new(error, cause) });
    }
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    let refusals = cause.lines().map(|line| StatedRefusal::read(line, &subjects)).collect();
    let cause = format!("refused, and nothing was changed:\n  {}", cause.replace('\n', "\n  "));
    Some(Failure { exit, refusals, ..Failure::new(error, cause) })
}
