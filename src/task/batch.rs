//! A batch of one run's targets, as a Distributed Map hands them out:
//! `{runId, functions}` → `{status: pending | unrehearsed | done, waitSeconds, runId, functions, unrehearsed, tries,
//! failures, failed}`.
//!
//! A result that is not done is the next payload. `functions` need another attempt, `unrehearsed` have to be rehearsed
//! before they are injected, `tries` counts each one's transient errors, `failures` are the first few of the `failed`.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::input::read;
use crate::model::names::{FunctionArn, RunId};
use crate::model::time::seconds_up;
use crate::ports::World;
use crate::steps::error::{StepError, StepErrorKind};
use crate::steps::{Budget, MAX_CONCURRENCY};

/// The time that one target may take of an invocation, throttled calls included. With less time left, the target is
/// attempted in the next invocation.
const MAX_TURN: Duration = Duration::from_secs(10);
/// Time until the next invocation, for a target that was not attempted in this one.
const NEXT_TURN_WAIT: Duration = Duration::from_secs(1);
/// Failures that one batch passes on. Only the run's first one is ever shown; the ledger has each target's.
const FAILURES: usize = 3;
/// Bytes of a failure's cause. The outputs of all batches are one input of the state machine, which holds 256 KiB
/// (step-functions/latest/dg/service-quotas): 50 batches of three failures take a third of that.
const CAUSE: usize = 400;

/// Whether a payload names a batch and not one target.
pub(super) fn is_batch(payload: &Value) -> bool {
    payload.get("functions").is_some()
}

/// The outcome of one attempt on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetProgress {
    /// Nothing more to do.
    Done,
    /// Try again after this time.
    Requeue(Duration),
    /// Try again once the restore is rehearsed.
    Unrehearsed,
}

/// The outcome of a target in this invocation; `None` where it was not attempted.
pub(super) type Attempted = (FunctionArn, Option<Result<TargetProgress, StepError>>);

/// How often one target of a batch is tried. The state machine's Retry has the same limits for a single target.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryLimits {
    /// On transient errors: `Unavailable`.
    transient: u32,
    /// On all other errors.
    permanent: u32,
    /// The longest wait after an error; the wait doubles with each attempt.
    max_wait: Duration,
}

impl RetryLimits {
    /// For arming, rehearsing and injecting: giving up restores the run.
    pub(super) const FORWARD: Self = Self { transient: 6, permanent: 1, max_wait: Duration::from_secs(10) };
    /// For restoring: giving up leaves a fault in place until the reaper runs.
    pub(super) const RESTORE: Self = Self { transient: 21, permanent: 4, max_wait: Duration::from_secs(30) };
}

/// A batch, before and after an invocation.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Batch {
    pub(super) run_id: RunId,
    pub(super) functions: Vec<FunctionArn>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unrehearsed: Vec<FunctionArn>,
    #[serde(default)]
    tries: BTreeMap<FunctionArn, u32>,
    #[serde(default)]
    failures: Vec<Failure>,
    #[serde(default)]
    failed: u32,
    #[serde(default)]
    status: Progress,
    #[serde(default)]
    wait_seconds: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
enum Progress {
    #[default]
    Pending,
    Unrehearsed,
    Done,
}

/// The outcome of one invocation, by target.
#[derive(Default)]
struct AttemptResults {
    done: Vec<FunctionArn>,
    to_retry: Vec<FunctionArn>,
    unrehearsed: Vec<FunctionArn>,
    /// Time until the first of `to_retry` is tried again.
    wait: Option<Duration>,
}

/// A failure in the form of the state machine, so that the first one of a batch can be the run's.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    function: FunctionArn,
    #[serde(rename = "Error")]
    error: String,
    #[serde(rename = "Cause")]
    cause: String,
}

impl Batch {
    /// Reads a batch.
    ///
    /// # Errors
    /// `InvalidInput`, with the field.
    pub(super) fn of(payload: &Value) -> Result<Self, StepError> {
        Ok(read(payload)?)
    }

    /// Attempts each of these targets, a few concurrently, while the budget lasts. A failing target delays no other.
    pub(super) async fn each<'a, F>(
        functions: &'a [FunctionArn],
        world: &impl World,
        budget: Budget,
        step: impl Fn(&'a FunctionArn) -> F,
    ) -> Vec<Attempted>
    where
        F: Future<Output = Result<TargetProgress, StepError>>,
    {
        let attempts = functions.iter().map(|function| {
            let step = &step;
            async move {
                let in_time = world.now() + MAX_TURN < budget.deadline;
                (function.clone(), if in_time { Some(step(function).await) } else { None })
            }
        });
        stream::iter(attempts).buffer_unordered(MAX_CONCURRENCY).collect().await
    }

    /// The next payload, after `functions` were attempted.
    pub(super) fn after(mut self, attempted: Vec<Attempted>, tries: RetryLimits) -> Value {
        let results = self.attempt_results(attempted, tries);
        self.functions = results.to_retry;
        self.unrehearsed.extend(results.unrehearsed);
        let status = match (self.unrehearsed.is_empty(), self.functions.is_empty()) {
            (false, _) => Progress::Unrehearsed,
            (true, false) => Progress::Pending,
            (true, true) => Progress::Done,
        };
        self.into_payload(status, results.wait)
    }

    /// The next payload, after `unrehearsed` were attempted: those that are rehearsed can be injected.
    pub(super) fn after_rehearsal(mut self, attempted: Vec<Attempted>, tries: RetryLimits) -> Value {
        let results = self.attempt_results(attempted, tries);
        self.unrehearsed = results.to_retry;
        self.functions.extend(results.done);
        let status = if self.unrehearsed.is_empty() { Progress::Done } else { Progress::Pending };
        self.into_payload(status, results.wait)
    }

    fn into_payload(mut self, status: Progress, wait: Option<Duration>) -> Value {
        let (functions, unrehearsed) = (&self.functions, &self.unrehearsed);
        self.tries.retain(|function, _| functions.contains(function) || unrehearsed.contains(function));
        self.status = status;
        self.wait_seconds = wait.map_or(0, seconds_up);
        json!(self)
    }

    /// Targets without a turn go first in the next invocation, so slow targets cannot starve the others.
    fn attempt_results(&mut self, attempted: Vec<Attempted>, tries: RetryLimits) -> AttemptResults {
        let (mut results, mut to_retry, mut wait) = (AttemptResults::default(), Vec::new(), None);
        for (function, outcome) in attempted {
            let this_wait = match outcome {
                None => {
                    results.to_retry.push(function);
                    NEXT_TURN_WAIT
                }
                Some(Ok(progress)) => {
                    // A success resets the count, as it does for a single target.
                    self.tries.remove(&function);
                    match progress {
                        TargetProgress::Done => {
                            results.done.push(function);
                            continue;
                        }
                        TargetProgress::Unrehearsed => {
                            results.unrehearsed.push(function);
                            continue;
                        }
                        TargetProgress::Requeue(wait) => {
                            to_retry.push(function);
                            wait
                        }
                    }
                }
                Some(Err(error)) => match self.try_again(&function, &error, tries) {
                    None => continue,
                    Some(wait) => {
                        to_retry.push(function);
                        wait
                    }
                },
            };
            wait = Some(wait.map_or(this_wait, |least: Duration| least.min(this_wait)));
        }
        results.to_retry.extend(to_retry);
        AttemptResults { wait, ..results }
    }

    /// Returns the time until the next attempt; `None` after the last one.
    fn try_again(&mut self, function: &FunctionArn, error: &StepError, tries: RetryLimits) -> Option<Duration> {
        let tried = self.tries.get(function).map_or(1, |tried| tried + 1);
        let most = if error.kind() == StepErrorKind::Unavailable { tries.transient } else { tries.permanent };
        if tried < most {
            self.tries.insert(function.clone(), tried);
            return Some(tries.max_wait.min(Duration::from_secs(1 << tried.min(5))));
        }
        self.failed += 1;
        if self.failures.len() < FAILURES {
            let mut cause = error.to_string();
            cause.truncate(cause.floor_char_boundary(CAUSE));
            self.failures.push(Failure { function: function.clone(), error: error.name().to_owned(), cause });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports errors by failing")]

    use super::*;
    use crate::testing::state_machine::definition::{DEFINITION, State};

    #[test]
    fn a_target_of_a_batch_is_tried_as_often_as_a_single_one() {
        let states = DEFINITION.all_states();
        let limits = [
            ("Arm", RetryLimits::FORWARD),
            ("Rehearse", RetryLimits::FORWARD),
            ("Inject", RetryLimits::FORWARD),
            ("Restore", RetryLimits::RESTORE),
        ];
        for (name, limits) in limits {
            let task = states.iter().find_map(|(state, found)| match found {
                State::Task(task) if *state == name => Some(task),
                _ => None,
            });
            let Some(task) = task else { unreachable!("{name} is a task") };
            let retrier = |error: &str| task.retrier(error).map(|at| &task.retry[at]);
            let attempts = |error: &str| retrier(error).map_or(0, |retrier| retrier.max_attempts) + 1;
            assert_eq!(attempts(StepErrorKind::Unavailable.name()), limits.transient, "{name}");
            assert_eq!(attempts(StepErrorKind::AccessDenied.name()), limits.permanent, "{name}");
            assert!(task.retry.iter().all(|retrier| retrier.max_delay() == limits.max_wait), "{name}");
        }
    }
}
