//! The starts that left no run, which `status` reads from Step Functions.

use std::collections::BTreeSet;

use crate::aws::{AwsWorld, FailedExecution, ListedExecution};
use crate::ports::Clock;

use super::arguments::StatusOptions;
use super::listed::FailedStart;
use super::output::Output;

/// The most executions that are read, the newest first. Only its description tells which experiment an execution had, and
/// Step Functions throttles these calls for the whole account (step-functions/latest/dg/service-quotas).
const MAX_READ: usize = 200;

/// Returns the latest executions that have failed, left nothing in the ledger, and are what the options ask for.
pub(super) async fn failed_starts(
    world: &AwsWorld,
    state_machine: &str,
    known: &BTreeSet<String>,
    options: &StatusOptions,
    output: &Output,
) -> Vec<FailedStart> {
    let listed = world.latest_executions(state_machine).await.unwrap_or_else(|why| {
        output.note(&format!("snapback: starts that were refused cannot be listed: {why}"));
        Vec::new()
    });
    let since = options.since.map(|since| since.before(world.now()));
    let is_start = |execution: &&ListedExecution| {
        execution.has_failed
            && !known.contains(&execution.name)
            && since.is_none_or(|since| execution.started_at >= since)
    };
    let listed: Vec<&ListedExecution> = listed.iter().filter(is_start).collect();
    choose(&listed, options, output, async |execution| world.failed_execution(&execution.arn).await).await
}

/// Reads executions until there are as many as the options ask for.
async fn choose(
    listed: &[&ListedExecution],
    options: &StatusOptions,
    output: &Output,
    read: impl AsyncFn(&ListedExecution) -> Result<FailedExecution, String>,
) -> Vec<FailedStart> {
    let mut starts = Vec::new();
    for execution in listed.iter().take(MAX_READ) {
        if starts.len() >= options.limit() {
            return starts;
        }
        match read(execution).await {
            // Its run is in the ledger no longer.
            Ok(failed) if !failed.left_no_run() => {}
            Ok(failed) => {
                let is_of_experiment = options.is_of(failed.experiment.as_deref());
                let start = FailedStart::of(execution, failed);
                let is_of_outcome = options.outcome.is_none_or(|asked| asked.is_of_start(start.outcome));
                if is_of_experiment && is_of_outcome {
                    starts.push(start);
                }
            }
            Err(why) => output.note(&format!("snapback: the start {} cannot be read: {why}", execution.name)),
        }
    }
    if let Some(last) = listed.get(MAX_READ - 1).filter(|_| listed.len() > MAX_READ && starts.len() < options.limit()) {
        output.note(&format!(
            "snapback: of the failed starts, only the latest {MAX_READ} were searched, back to {}",
            last.started_at
        ));
    }
    starts
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use clap::Parser;

    use super::*;
    use crate::cli::arguments::{Arguments, Command};
    use crate::model::time::Time;

    /// Chooses among starts of which every twentieth is of the experiment `rare`, and every thirtieth was refused. Returns the
    /// names of the chosen ones and how many were read.
    async fn chosen(count: u16, words: &[&str]) -> (Vec<String>, usize) {
        let parsed = Arguments::try_parse_from([&["snapback", "status"], words].concat());
        let Ok(Arguments { command: Command::Status(options), .. }) = parsed else { unreachable!("{words:?}") };
        let listed: Vec<ListedExecution> = (1..=count)
            .map(|number| {
                let (name, started_at) = (number.to_string(), Time(i64::from(count - number)));
                ListedExecution { name, arn: String::new(), started_at, has_failed: true }
            })
            .collect();
        let reads = Cell::new(0);
        let read = async |execution: &ListedExecution| {
            reads.set(reads.get() + 1);
            let number: u16 = execution.name.parse().unwrap_or_default();
            let experiment = if number.is_multiple_of(20) { "rare" } else { "usual" };
            let error = if number.is_multiple_of(30) { "Refused" } else { "AccessDenied" };
            Ok(FailedExecution { error: error.into(), experiment: Some(experiment.into()), ..Default::default() })
        };
        let listed: Vec<&ListedExecution> = listed.iter().collect();
        let starts = choose(&listed, &options, &Output::new(false), read).await;
        (starts.into_iter().map(|start| start.run_id).collect(), reads.get())
    }

    #[tokio::test]
    async fn failed_starts_are_filtered_before_they_are_limited() {
        for (words, expected, reads) in [
            (&["--limit", "2"][..], &["1", "2"][..], 2),
            (&["--limit", "2", "--experiment", "rare"], &["20", "40"], 40),
            (&["--limit", "2", "--outcome", "refused"], &["30", "60"], 60),
            (&["--experiment", "rare", "--outcome", "refused"], &["60"], 100),
            (&["--experiment", "none"], &[], 100),
            (&["--limit", "0"], &[], 0),
        ] {
            let (names, read) = chosen(100, words).await;
            assert_eq!((names, read), (expected.iter().map(ToString::to_string).collect(), reads), "{words:?}");
        }
    }

    #[tokio::test]
    async fn a_search_for_failed_starts_ends() {
        assert_eq!(chosen(1000, &["--experiment", "none"]).await, (Vec::new(), MAX_READ));
    }
}
