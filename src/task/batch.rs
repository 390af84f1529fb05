//! A batch of one run's targets, as a Distributed Map hands them out:
//! `{runId, functions}` → `{status: pending | unrehearsed | done, waitSeconds, runId, functions, unrehearsed, tries,
//! failures, failed}`.
//!
//! What comes out goes in again while it is not done: `functions` are those that need another look, `unrehearsed` those
//! that have to be rehearsed before they are injected, `tries` how often each of them has met trouble that may pass,
//! `failures` the first few of the `failed` so far.

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

/// The time that one target may take of an invocation, calls that are throttled included: with less left, it has its
/// turn in the next one.
const MAX_TURN: Duration = Duration::from_secs(10);
/// Time until the next invocation for a target that had no turn in this one.
const NEXT_TURN_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a failure; it doubles with each try.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(30);
/// Failures of one batch that are passed on. Only the run's first one is ever shown; each target's is in the ledger.
const FAILURES: usize = 3;
/// Bytes of a failure's cause. The outputs of all batches are one input of the state machine, which holds 256 KiB
/// (step-functions/latest/dg/service-quotas): 50 batches of three failures take a third of that.
const CAUSE: usize = 400;

/// Whether a payload names a batch and not one target.
pub(super) fn is_batch(payload: &Value) -> bool {
    payload.get("functions").is_some()
}

/// What one look at a target came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetProgress {
    /// Nothing more to do.
    Done,
    /// Again after this time.
    Requeue(Duration),
    /// Again, once its restore is rehearsed.
    Unrehearsed,
}

/// What became of a target in this invocation; nothing, where it had no turn.
pub(super) type Attempted = (FunctionArn, Option<Result<TargetProgress, StepError>>);

/// How often one target is tried, as the state machine's Retry has it for one target alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryLimits {
    /// Against trouble that may pass: `Unavailable`.
    pub(super) transient: u32,
    /// Against all other.
    pub(super) permanent: u32,
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

/// What the turns of one invocation came to.
#[derive(Default)]
struct AttemptResults {
    over: Vec<FunctionArn>,
    again: Vec<FunctionArn>,
    unrehearsed: Vec<FunctionArn>,
    /// Time until the first of `again` is due.
    wait: Option<Duration>,
}

/// As the state machine knows a failure, so that the first of a batch can be the run's.
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

    /// Gives each of these targets of the batch its turn, a few at once, as far as the budget goes: none waits for another
    /// one's failure.
    pub(super) async fn each<'a, F>(
        functions: &'a [FunctionArn],
        world: &impl World,
        budget: Budget,
        look: impl Fn(&'a FunctionArn) -> F,
    ) -> Vec<Attempted>
    where
        F: Future<Output = Result<TargetProgress, StepError>>,
    {
        let turns = functions.iter().map(|function| {
            let look = &look;
            async move {
                let in_time = world.now() + MAX_TURN < budget.deadline;
                (function.clone(), if in_time { Some(look(function).await) } else { None })
            }
        });
        stream::iter(turns).buffer_unordered(MAX_CONCURRENCY).collect().await
    }

    /// What is left of a batch whose `functions` had their turn.
    pub(super) fn after(mut self, looked: Vec<Attempted>, tries: RetryLimits) -> Value {
        let turned = self.turned(looked, tries);
        self.functions = turned.again;
        self.unrehearsed.extend(turned.unrehearsed);
        let status = match (self.unrehearsed.is_empty(), self.functions.is_empty()) {
            (false, _) => Progress::Unrehearsed,
            (true, false) => Progress::Pending,
            (true, true) => Progress::Done,
        };
        self.shown(status, turned.wait)
    }

    /// What is left of a batch whose `unrehearsed` had their turn: what is rehearsed can be injected.
    pub(super) fn after_rehearsal(mut self, looked: Vec<Attempted>, tries: RetryLimits) -> Value {
        let turned = self.turned(looked, tries);
        self.unrehearsed = turned.again;
        self.functions.extend(turned.over);
        let status = if self.unrehearsed.is_empty() { Progress::Done } else { Progress::Pending };
        self.shown(status, turned.wait)
    }

    fn shown(mut self, status: Progress, wait: Option<Duration>) -> Value {
        let (functions, unrehearsed) = (&self.functions, &self.unrehearsed);
        self.tries.retain(|function, _| functions.contains(function) || unrehearsed.contains(function));
        self.status = status;
        self.wait_seconds = wait.map_or(0, seconds_up);
        json!(self)
    }

    /// Targets without a turn go first in the next invocation, so slow targets cannot starve the others.
    fn turned(&mut self, looked: Vec<Attempted>, tries: RetryLimits) -> AttemptResults {
        let (mut turned, mut again, mut wait) = (AttemptResults::default(), Vec::new(), None);
        for (function, turn) in looked {
            let this_wait = match turn {
                None => {
                    turned.again.push(function);
                    NEXT_TURN_WAIT
                }
                Some(Ok(turn)) => {
                    // It went well: what failed before is forgotten, as it is for one target.
                    self.tries.remove(&function);
                    match turn {
                        TargetProgress::Done => {
                            turned.over.push(function);
                            continue;
                        }
                        TargetProgress::Unrehearsed => {
                            turned.unrehearsed.push(function);
                            continue;
                        }
                        TargetProgress::Requeue(wait) => {
                            again.push(function);
                            wait
                        }
                    }
                }
                Some(Err(error)) => match self.try_again(&function, &error, tries) {
                    None => continue,
                    Some(wait) => {
                        again.push(function);
                        wait
                    }
                },
            };
            wait = Some(wait.map_or(this_wait, |least: Duration| least.min(this_wait)));
        }
        turned.again.extend(again);
        AttemptResults { wait, ..turned }
    }

    /// The time until the next try; `None` where this was the last one.
    fn try_again(&mut self, function: &FunctionArn, error: &StepError, tries: RetryLimits) -> Option<Duration> {
        let tried = self.tries.get(function).map_or(1, |tried| tried + 1);
        let most = if error.kind() == StepErrorKind::Unavailable { tries.transient } else { tries.permanent };
        if tried < most {
            self.tries.insert(function.clone(), tried);
            return Some(MAX_RETRY_WAIT.min(Duration::from_secs(1 << tried.min(5))));
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
