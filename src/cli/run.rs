//! The command `run`: starts an execution and follows it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::aws::StartError;
use crate::model::actor::Actor;
use crate::model::experiment::Experiment;
use crate::model::names::{ExperimentName, RunId};
use crate::model::run::{EndReason, TargetStatus};
use crate::model::time::Time;
use crate::plan::rendering::{Outcome, ReportView};
use crate::ports::Clock;
use crate::steps::error::StepErrorKind;

use super::actor::{actor, starter};
use super::arguments::{Arguments, RunOptions, RunTimeout};
use super::artifacts::Artifacts;
use super::exit::Exit;
use super::file::read_seeded;
use super::finished::Finished;
use super::follow::{Followed, Follower};
use super::identity::{Identified, Identity, show_identity};
use super::interrupt::{Interruption, Interruptions, can_ask};
use super::output::Output;
use super::rollback::is_restored;
use super::stack::RollbackError;
use super::undo::{Undo, instead, through_function};
use super::{Failure, plan, report, stack};

/// The last line of `run --json`.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct FinalLine<'a> {
    #[serde(rename = "type")]
    kind: FinalKind,
    #[serde(flatten)]
    report: Identified<'a, ReportView>,
}

/// What the last line is.
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
enum FinalKind {
    Report,
}

/// Starts a run, follows it to its end and shows its report. If it is detached, it is left once its faults are in place.
pub(super) async fn run(arguments: &Arguments, options: &RunOptions, output: &Output) -> Result<Exit, Failure> {
    let (experiment, value) = read_seeded(&options.file, options.seed)?;
    // Before the files are opened, because an interruption must not leave an empty one.
    let mut interruptions = Interruptions::new(options.timeout.map(RunTimeout::get))?;
    let artifacts = Artifacts::open(options.junit.as_deref(), options.summary.as_deref(), &options.file)?;
    let followed = start_and_follow(arguments, options, &experiment, value, &mut interruptions, output).await;
    artifacts.write(experiment.name.as_str(), followed.as_ref().map(|(_, finished)| finished), output);
    followed.map(|(exit, _)| exit)
}

async fn start_and_follow(
    arguments: &Arguments,
    options: &RunOptions,
    experiment: &Experiment,
    mut value: Value,
    interruptions: &mut Interruptions,
    output: &Output,
) -> Result<(Exit, Finished), Failure> {
    let (stack, identity) = found(arguments, interruptions, output).await?;
    let user = actor(identity.caller.as_deref());
    let has_plan = confirm(&stack, options, experiment, interruptions, output).await?;
    state_starter(&stack, &mut value, options, &user, output);
    let id = match &options.name {
        Some(name) => name.clone(),
        None => run_id(&experiment.name, stack.world.now(), stack.world.random())?,
    };
    let execution = tokio::select! {
        execution = start(&stack, arguments, &id, &value) => execution?,
        // Whether the execution has started is not known. Either way, it is stopped.
        _ = interruptions.next() => {
            return Err(stop_before_start(&stack, &user, arguments, &id, &value, interruptions, output).await);
        }
    };
    if !output.as_json && !output.quiet {
        output.print_line(&format!("run {id}"));
    }
    let follower = Follower::new(&stack, arguments, &id, execution, experiment, &user, output);
    let follower = follower.detaching(options.detach);
    follower.started();
    let followed = follower.follow(interruptions).await?;
    if let Followed::Refused(failure) = followed {
        return Err(failure);
    }
    interruptions.end_timeout();
    let mut finished = finished(&stack, arguments, &id, interruptions).await?;
    if finished.run.is_marker() {
        complete_marker(&mut finished, experiment, &value, output);
    }
    let view = &finished.view;
    let is_open = view.outcome == Outcome::Unfinished;
    let is_left = is_open && matches!(followed, Followed::Detached);
    if output.as_json {
        output.json(&FinalLine { kind: FinalKind::Report, report: Identified { identity: &identity, view } });
    } else if is_left {
        output.print_line(&follower.continues());
    } else if has_plan {
        // The plan has the notes already.
        output.report(&ReportView { notes: Vec::new(), ..view.clone() });
    } else {
        output.report(view);
    }
    if is_open && !is_left {
        output.note(&format!("snapback: {}", left_to_the_reaper(view)));
    }
    let exit = if is_left { Exit::Success } else { exit(&finished, interruptions.has_timed_out()) };
    Ok((exit, finished))
}

/// Reads a run that has ended, unless the command is interrupted.
async fn finished(
    stack: &stack::Stack,
    arguments: &Arguments,
    id: &RunId,
    interruptions: &mut Interruptions,
) -> Result<Finished, Failure> {
    tokio::select! {
        finished = report::finished(&stack.world, id) => finished.map_err(|failure| not_begun(id, failure)),
        _ = interruptions.next() => {
            let advice = arguments.repeat(&format!("report {id}"));
            Err(Failure::new("Left", format!("left; the run has ended; see {advice}")))
        }
    }
}

/// On a terminal, shows the plan and asks whether to start; returns whether the plan was shown. Fails if the run would be
/// refused, or if the user does not want it.
async fn confirm(
    stack: &stack::Stack,
    options: &RunOptions,
    experiment: &Experiment,
    interruptions: &mut Interruptions,
    output: &Output,
) -> Result<bool, Failure> {
    if options.yes || output.as_json || !can_ask(output) {
        return Ok(false);
    }
    let planned = tokio::select! {
        planned = plan::view(stack, experiment) => planned,
        interruption = interruptions.next() => return Err(not_started(interruption)),
    };
    let is_shown = planned.is_ok();
    match planned {
        Ok(view) => {
            output.plan(&view);
            if !view.refusals.is_empty() {
                let cause = "refused, and nothing was changed; the reasons are above";
                return Err(Failure { exit: Exit::Refused, ..Failure::new("Refused", cause) });
            }
        }
        // A user may have the right to start runs and not to read functions. The run makes the same checks.
        Err(failure) => output.note(&format!("snapback: the plan cannot be shown: {}", failure.cause)),
    }
    output.print_progress("start this run? [y/N] ");
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // Nothing waits for this thread, which ends with the process.
    std::thread::spawn(move || {
        let mut reply = String::new();
        // After an interruption, no one receives the reply.
        let _ = sender.send(std::io::stdin().read_line(&mut reply).map(|_| reply));
    });
    let reply = tokio::select! {
        reply = receiver => reply.ok().and_then(Result::ok).unwrap_or_default(),
        interruption = interruptions.next() => {
            output.print_progress("\n");
            return Err(not_started(interruption));
        }
    };
    match matches!(reply.trim().to_lowercase().as_str(), "y" | "yes") {
        true => Ok(is_shown),
        false => Err(Failure::new("NotStarted", "not started; nothing was changed; --yes starts without asking")),
    }
}

/// Writes who starts the run, and why, into the experiment.
fn state_starter(stack: &stack::Stack, experiment: &mut Value, options: &RunOptions, user: &Actor, output: &Output) {
    if stack.records_actors {
        let starting = Actor { reason: options.reason.clone(), ..user.clone() };
        experiment["startedBy"] = json!(stack.recorded(&starter(experiment, &starting), output));
    }
}

/// Finds the stack and shows where it is, unless the command is interrupted.
async fn found(
    arguments: &Arguments,
    interruptions: &mut Interruptions,
    output: &Output,
) -> Result<(stack::Stack, Identity), Failure> {
    let found = async {
        let stack = stack::find(arguments).await?;
        let identity = show_identity(&stack, output).await;
        Ok((stack, identity))
    };
    tokio::select! {
        found = found => found,
        interruption = interruptions.next() => Err(not_started(interruption)),
    }
}

/// The failure of a command that was interrupted before it has started anything.
fn not_started(interruption: Interruption) -> Failure {
    let (exit, what) = match interruption {
        Interruption::TimedOut => (Exit::TimedOut, "the timeout has elapsed"),
        _ => (Exit::EndedEarly, "interrupted"),
    };
    Failure { exit, ..Failure::new("NotStarted", format!("{what}; nothing was started")) }
}

/// Returns the exit code of a run. One that had ended before its rollback was requested has its own outcome.
fn exit(finished: &Finished, has_timed_out: bool) -> Exit {
    match Exit::of(&finished.view) {
        Exit::EndedEarly if has_timed_out && finished.run.reason == Some(EndReason::UserRequest) => Exit::TimedOut,
        Exit::Error if was_locked_out(finished) => Exit::Refused,
        exit => exit,
    }
}

/// Whether the run has injected nothing, because another run had locked a function after the guardrails were checked: of two
/// runs that start at the same time, one is refused in this way.
fn was_locked_out(finished: &Finished) -> bool {
    let is_locked = |error: &str| StepErrorKind::from_name(error) == Some(StepErrorKind::Locked);
    matches!(&finished.run.reason, Some(EndReason::Error { error, .. }) if is_locked(error))
        && finished.view.targets.iter().all(|target| target.status == TargetStatus::Untouched)
}

/// Replaces the failure to find a run whose execution has ended. Without a record, no target is ever injected into.
fn not_begun(id: &RunId, failure: Failure) -> Failure {
    match StepErrorKind::from_name(&failure.error) {
        Some(StepErrorKind::NoSuchRun) => {
            Failure::new("NotBegun", format!("the execution of {id} ended before the run began; nothing was changed"))
        }
        _ => failure,
    }
}

/// Adds what the marker of a prevented start lacks, and tells what it means for the next start.
fn complete_marker(finished: &mut Finished, experiment: &Experiment, input: &Value, output: &Output) {
    let view = &mut finished.view;
    view.experiment = experiment.name.to_string();
    view.started_by = serde_json::from_value(input["startedBy"].clone()).ok();
    output.note(&format!(
        "snapback: a rollback has prevented the start of {}; to start the experiment, use another --name",
        view.run_id
    ));
}

/// Tells what becomes of a run whose execution has ended before it. The reaper runs every minute (`infra/template.yaml`),
/// and most restores take less than another one.
fn left_to_the_reaper(view: &ReportView) -> String {
    let run = &view.run_id;
    match is_restored(view) {
        true => format!(
            "everything is restored; the reaper closes the run within about 2 minutes; then see snapback report {run}"
        ),
        false => format!(
            "the reaper restores this run within about 2 minutes; to restore it immediately: \
             snapback rollback {run}"
        ),
    }
}

/// Stops a run whose start has not been confirmed. A run that had the name before is left alone: its execution has another
/// input, and Step Functions refuses the start.
async fn stop_before_start(
    stack: &stack::Stack,
    user: &Actor,
    arguments: &Arguments,
    id: &RunId,
    input: &Value,
    interruptions: &mut Interruptions,
    output: &Output,
) -> Failure {
    interruptions.end_timeout();
    let by_timeout = user.by_timeout();
    let user = if interruptions.has_timed_out() { &by_timeout } else { user };
    let exit = if interruptions.has_timed_out() { Exit::TimedOut } else { Exit::EndedEarly };
    let stop = async {
        // Without the right to read it, the run is stopped: one that may have started must not be left running.
        let found = stack.world.execution_input(&stack.state_machine, id.as_str()).await;
        if found.is_ok_and(|found| found.is_some_and(|found| found != *input)) {
            return Err(Failure { exit, ..name_taken(arguments, id) });
        }
        match through_function(stack, Undo::Stop(id), user, arguments, output).await {
            Err(RollbackError::Unreachable(why)) => {
                instead(&stack.world, Undo::Stop(id), user, &why, arguments, output).await.map(drop)
            }
            Err(RollbackError::Failed(failure)) => Err(failure),
            Ok(_) => Ok(()),
        }
    };
    let left = |what: &str, exit: Exit| {
        let advice = arguments.repeat(&format!("status {id}"));
        Failure { exit, ..Failure::new("Left", format!("{what}; see {advice}")) }
    };
    tokio::select! {
        stopped = stop => match stopped {
            Ok(()) => left("the run was stopped while it was starting", exit),
            Err(failure) => failure,
        },
        _ = interruptions.next() => left("left; it is not known whether the run has started", Exit::Unfinished),
    }
}

async fn start(stack: &stack::Stack, arguments: &Arguments, id: &RunId, experiment: &Value) -> Result<String, Failure> {
    let started = stack.world.start_execution(&stack.state_machine, id.as_str(), experiment).await;
    started.map_err(|failed| match failed {
        StartError::NameTaken => name_taken(arguments, id),
        StartError::NoStateMachine => {
            let cause = format!(
                "the run {id} could not be started: the stack {} has no state machine any more; to deploy it again: make deploy",
                arguments.stack
            );
            Failure::new("NotStarted", cause)
        }
        StartError::Refused(why) => Failure::new("NotStarted", format!("the run {id} could not be started: {why}")),
        StartError::Unknown(why) => {
            let status = arguments.repeat(&format!("status {id}"));
            let rollback = arguments.repeat(&format!("rollback {id} --prevent-start"));
            let cause =
                format!("it is not known whether the run {id} has started: {why}; see {status}; to end it: {rollback}");
            Failure::new("StartUnknown", cause)
        }
    })
}

fn name_taken(arguments: &Arguments, id: &RunId) -> Failure {
    let report = arguments.repeat(&format!("report {id}"));
    let cause = format!("the name {id} belongs to an earlier run; choose another --name; to see that run: {report}");
    Failure { exit: Exit::Invalid, ..Failure::new("NotStarted", cause) }
}

/// Makes a unique run ID from the experiment's name, the time, and a random number.
fn run_id(name: &ExperimentName, now: Time, random: u64) -> Result<RunId, Failure> {
    let mut slug = String::new();
    for c in name.as_str().chars() {
        match c {
            c if c.is_ascii_alphanumeric() => slug.push(c.to_ascii_lowercase()),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(40);
    let digits: String = now.to_string().chars().filter(char::is_ascii_digit).collect();
    let id = format!("{}-{digits}-{:04x}", slug.trim_end_matches('-'), random & 0xffff);
    RunId::try_from(id.trim_start_matches('-')).map_err(|wrong| Failure::new("NotStarted", wrong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::marker::stopped_marker;
    use crate::model::run::{RunStatus, TargetRecord};
    use crate::plan::rendering::report_view;
    use crate::testing::samples::{function_arn, run_id as sample_id};

    #[test]
    fn of_two_runs_that_race_for_a_function_the_loser_is_refused() {
        let finished = |error: &str, status: TargetStatus| {
            let reason = EndReason::Error { error: error.to_owned(), cause: "why".to_owned() };
            let mut run = stopped_marker(&sample_id("r"), &reason.into(), Time(0));
            run.status = RunStatus::Failed;
            let mut target = TargetRecord::new(sample_id("r"), function_arn("checkout"));
            target.status = status;
            let view = report_view(&run, &[target]);
            Finished { run, view }
        };
        assert_eq!(exit(&finished("Locked", TargetStatus::Untouched), false), Exit::Refused);
        assert_eq!(
            exit(&finished("Locked", TargetStatus::Restored), false),
            Exit::Error,
            "another target was injected"
        );
        assert_eq!(exit(&finished("AccessDenied", TargetStatus::Untouched), false), Exit::Error);
    }

    #[test]
    fn a_run_id_starts_with_the_name_of_its_experiment() {
        let name = |text: &str| ExperimentName::try_from(text).unwrap_or_else(|e| unreachable!("{e}"));
        let id = |text: &str| run_id(&name(text), Time(0), 0xabcd).map(|id| id.to_string()).unwrap_or_default();
        assert_eq!(id("Checkout survives: throttling!"), "checkout-survives-throttling-19700101000000-abcd");
        assert_eq!(id("日本"), "19700101000000-abcd");
        assert!(id(&"long ".repeat(25)).len() <= 80);
    }
}
