//! The state machine's definition, read from `infra/statemachine.asl.json`: everything in it that decides what runs next.
//!
//! The types hold only what the simulation can play. An expression, a state or a setting that it does not know is an error at
//! the first use, and never ignored.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use crate::model::time::in_whole_seconds;

const FILE: &str = include_str!("../../../infra/statemachine.asl.json");

/// The definition in the repository.
#[allow(clippy::expect_used, reason = "a definition that cannot be played fails every test")]
pub static DEFINITION: LazyLock<Scope> =
    LazyLock::new(|| serde_json::from_str(FILE).expect("the simulation can play the state machine"));

/// States among which `Next` chooses: those of the whole machine, or those of one iteration of a Map.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Scope {
    /// The name of the first state.
    pub start_at: String,
    states: BTreeMap<String, State>,
}

impl Scope {
    /// The state of this name.
    ///
    /// # Panics
    /// If the scope has no such state.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a state that is missing fails every test")]
    pub fn state(&self, name: &str) -> &State {
        self.states.get(name).expect(name)
    }

    /// The states of this scope and of the Maps in it, by name.
    #[must_use]
    pub fn all_states(&self) -> Vec<(&str, &State)> {
        let mut all = Vec::new();
        for (name, state) in &self.states {
            all.push((name.as_str(), state));
            if let State::Map(map) = state {
                all.extend(map.item_processor.all_states());
            }
        }
        all
    }
}

/// One state.
#[derive(Debug, Deserialize)]
#[serde(tag = "Type")]
pub enum State {
    /// Invokes a function.
    Task(Task),
    /// Runs one iteration for each target.
    Map(Map),
    /// Chooses the next state.
    Choice(Choice),
    /// Waits as long as the task before it says.
    Wait(Wait),
    /// Converts data. Only the states around batches do that, which the simulation does not play.
    Pass {},
    /// Ends the execution, or the iteration.
    Succeed {},
    /// Ends the execution as failed.
    Fail {},
}

/// A Task state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    /// Tried in this order.
    pub retry: Vec<Retrier>,
    catch: Vec<Catcher>,
    /// The next state.
    pub next: String,
}

/// A Map state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Map {
    /// The states of an iteration.
    pub item_processor: Scope,
    assign: Option<Assign>,
    catch: Vec<Catcher>,
    /// The next state.
    pub next: String,
}

/// A Choice state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Choice {
    choices: Vec<Rule>,
    default: String,
}

/// A Wait state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Wait {
    seconds: Seconds,
    /// The next state.
    pub next: String,
}

#[derive(Debug, Deserialize)]
enum Seconds {
    #[serde(rename = "{% $states.input.waitSeconds %}")]
    OfInput,
}

impl Wait {
    /// How long it waits, where the task before it asks for this: whole seconds.
    #[must_use]
    pub fn span(&self, asked: Duration) -> Duration {
        let Seconds::OfInput = self.seconds;
        in_whole_seconds(asked)
    }
}

/// When a failed task is repeated.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Retrier {
    error_equals: Vec<String>,
    interval_seconds: u32,
    backoff_rate: u32,
    max_delay_seconds: u32,
    /// How often it is repeated.
    pub max_attempts: u32,
    jitter_strategy: JitterStrategy,
}

#[derive(Debug, Deserialize)]
enum JitterStrategy {
    #[serde(rename = "FULL")]
    Full,
}

impl Retrier {
    /// Whether it is for an error of this name.
    #[must_use]
    pub fn matches(&self, error: &str) -> bool {
        is_listed(&self.error_equals, error)
    }

    /// The longest time until the n-th repetition; the first one is 0. Full jitter: the time is at random up to this.
    #[must_use]
    pub fn longest_wait(&self, repetition: u32) -> Duration {
        let JitterStrategy::Full = self.jitter_strategy;
        let factor = self.backoff_rate.saturating_pow(repetition);
        Duration::from_secs(self.interval_seconds.saturating_mul(factor).min(self.max_delay_seconds).into())
    }

    /// The longest time between two attempts.
    #[must_use]
    pub fn max_delay(&self) -> Duration {
        Duration::from_secs(self.max_delay_seconds.into())
    }
}

/// Where a failure leads that is not retried.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Catcher {
    error_equals: Vec<String>,
    assign: Option<Assign>,
    output: Option<serde_json::Value>,
    next: String,
}

/// What a state sets.
#[derive(Debug, Deserialize)]
struct Assign {
    failure: Option<FailureRule>,
}

/// What `$failure` becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum FailureRule {
    /// The failure that was caught.
    #[serde(rename = "{% $states.errorOutput %}")]
    Last,
    /// The failure that was caught, unless there was one before.
    #[serde(rename = "{% $failure = null ? $states.errorOutput : $failure %}")]
    First,
    /// The first failed iteration's, unless there was one before.
    #[serde(
        rename = "{% ($failed := ($states.result[status = 'failed'].failure)[0]; $failure = null and $exists($failed) ? $failed : $failure) %}"
    )]
    FirstIteration,
    /// The first failed batch's.
    #[serde(
        rename = "{% ($failed := ($states.input.failures)[0]; $failure != null ? $failure : $exists($failed) ? $failed : $count($states.input[status = 'done']) < $batches ? {'Error': 'BatchLost', 'Cause': 'a batch of targets ended without an answer'} : null) %}"
    )]
    FirstBatch,
}

/// Where a caught failure leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught<'d> {
    /// The next state.
    pub next: &'d str,
    /// What `$failure` becomes; `None` in an iteration, whose output has the failure.
    pub failure: Option<FailureRule>,
}

fn caught<'d>(catchers: &'d [Catcher], error: &str) -> Option<Caught<'d>> {
    let catcher = catchers.iter().find(|catcher| is_listed(&catcher.error_equals, error))?;
    // An iteration has no variables to set: its output says that it has failed.
    let failure = match (&catcher.assign, &catcher.output) {
        (Some(assign), None) => Some(assign.failure?),
        (None, Some(output)) if output.get("failure").is_some() || output.get("failures").is_some() => None,
        _ => return None,
    };
    Some(Caught { next: &catcher.next, failure })
}

impl Task {
    /// Where a failure of this name leads.
    #[must_use]
    pub fn caught(&self, error: &str) -> Option<Caught<'_>> {
        caught(&self.catch, error)
    }

    /// The retrier for an error of this name: the first that lists it (step-functions/latest/dg/concepts-error-handling).
    #[must_use]
    pub fn retrier(&self, error: &str) -> Option<usize> {
        self.retry.iter().position(|retrier| retrier.matches(error))
    }
}

impl Map {
    /// What `$failure` becomes.
    #[must_use]
    pub fn failure(&self) -> Option<FailureRule> {
        self.assign.as_ref().and_then(|assign| assign.failure)
    }

    /// Where a failure of the Map itself leads.
    #[must_use]
    pub fn caught(&self, error: &str) -> Option<Caught<'_>> {
        caught(&self.catch, error)
    }
}

/// `States.ALL` does not match these two (step-functions/latest/dg/concepts-error-handling).
const NOT_IN_ALL: [&str; 2] = ["States.DataLimitExceeded", "States.Runtime"];

fn is_listed(listed: &[String], error: &str) -> bool {
    listed.iter().any(|name| name == error || name == "States.ALL" && !NOT_IN_ALL.contains(&error))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Rule {
    condition: Condition,
    next: String,
}

/// What a Choice decides on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The status in the state's input.
    pub status: &'a str,
    /// Whether `$failure` is set.
    pub has_failed: bool,
    /// How many targets the run has.
    pub targets: usize,
}

impl Choice {
    /// The next state.
    #[must_use]
    pub fn next(&self, facts: Facts<'_>) -> &str {
        self.choices.iter().find(|rule| rule.condition.holds(facts)).map_or(&self.default, |rule| &rule.next)
    }
}

/// A conjunction.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Condition(Vec<Clause>);

#[derive(Debug, PartialEq, Eq)]
enum Clause {
    Status(String),
    Failed(bool),
    MaxTargets(usize),
}

impl Condition {
    fn holds(&self, facts: Facts<'_>) -> bool {
        self.0.iter().all(|clause| match clause {
            Clause::Status(status) => status == facts.status,
            Clause::Failed(failed) => *failed == facts.has_failed,
            Clause::MaxTargets(most) => facts.targets <= *most,
        })
    }
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let clauses = text.strip_prefix("{% ").and_then(|rest| rest.strip_suffix(" %}")).unwrap_or_default();
        clauses
            .split(" and ")
            .map(|clause| clause_of(clause).ok_or_else(|| format!("the simulation does not know the condition {text}")))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn clause_of(clause: &str) -> Option<Clause> {
    let count = ["$count($functions) <= ", "$count($states.input.functions) <= "];
    Some(match clause {
        "$failure = null" => Clause::Failed(false),
        "$failure != null" => Clause::Failed(true),
        other => match other.strip_prefix("$states.input.status = '") {
            Some(status) => Clause::Status(status.strip_suffix('\'')?.to_owned()),
            None => Clause::MaxTargets(count.iter().find_map(|count| other.strip_prefix(count))?.parse().ok()?),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports errors by failing")]

    use super::*;
    use crate::testing::worker::Role;

    const TEMPLATE: &str = include_str!("../../../infra/template.yaml");
    const UNAVAILABLE: &str = "Unavailable";

    fn tasks() -> Vec<(&'static str, &'static Task)> {
        let task = |(name, state): (&'static str, &'static State)| match state {
            State::Task(task) => Some((name, task)),
            _ => None,
        };
        DEFINITION.all_states().into_iter().filter_map(task).collect()
    }

    #[test]
    fn the_simulation_plays_every_task_except_those_of_batches() {
        let mut played: Vec<&str> =
            tasks().into_iter().map(|(name, _)| name).filter(|n| !n.contains("Batch")).collect();
        played.sort_unstable();
        let known =
            ["Arm", "BeginRestore", "Inject", "Observe", "Prepare", "Rehearse", "RehearseAgain", "Report", "Restore"];
        assert_eq!(played, known);
    }

    #[test]
    fn every_failure_of_a_task_is_caught() {
        for (name, task) in tasks() {
            let next = task.caught(UNAVAILABLE).map(|caught| caught.next);
            assert!(next.is_some(), "{name}");
            assert_eq!(task.caught("States.DataLimitExceeded").map(|caught| caught.next), next, "{name}");
        }
        for (name, state) in DEFINITION.all_states() {
            let State::Map(map) = state else { continue };
            // A Map that fails as a whole is followed by the restore, or by the report if it was the restore.
            let next = map.caught("States.ItemReaderFailed").map(|caught| caught.next);
            let expected = if name.starts_with("Restore") { "Report" } else { "BeginRestore" };
            assert_eq!(next, Some(expected), "{name}");
        }
    }

    #[test]
    fn only_what_takes_faults_away_is_repeated_after_every_error() {
        for (name, task) in tasks() {
            let restores = ["BeginRestore", "Restore", "RestoreBatch", "Report"].contains(&name);
            assert_eq!(task.retrier("FunctionFailed").is_some(), restores, "{name}");
            for transient in [UNAVAILABLE, "Sandbox.Timedout", "Lambda.TooManyRequestsException"] {
                assert_eq!(task.retrier(transient), Some(0), "{name}: {transient}");
            }
        }
    }

    #[test]
    fn the_wait_before_a_repetition_doubles_up_to_its_limit() {
        let State::Task(prepare) = DEFINITION.state("Prepare") else { unreachable!("Prepare is a task") };
        let waits = [0, 1, 2, 3, 4].map(|repetition| prepare.retry[0].longest_wait(repetition).as_secs());
        assert_eq!(waits, [1, 2, 4, 8, 10]);
    }

    #[test]
    fn what_the_simulation_does_not_know_is_an_error() {
        let (known, unknown) = ("$failure = null and $count", "$failure = 0 and $count");
        for text in
            [FILE.replace(known, unknown), FILE.replace("$states.input.waitSeconds", "5"), FILE.replace("FULL", "NONE")]
        {
            assert_ne!(text, FILE);
            assert!(serde_json::from_str::<Scope>(&text).is_err());
        }
    }

    #[test]
    fn an_invocation_lives_as_long_as_the_template_says() {
        let roles = [
            (Role::Prepare, "PrepareFunction"),
            (Role::Arm, "ArmFunction"),
            (Role::Inject, "InjectFunction"),
            (Role::Observe, "ObserveFunction"),
            (Role::Restore, "RestoreFunction"),
            (Role::Report, "ReportFunction"),
            (Role::Rollback, "RollbackFunction"),
            (Role::Reaper, "ReaperFunction"),
        ];
        for (role, function) in roles {
            let block = TEMPLATE.split_once(&format!("\n  {function}:\n"));
            let timeout = block.and_then(|(_, block)| block.split_once("\n      Timeout: "));
            let seconds = timeout.and_then(|(_, timeout)| timeout.lines().next());
            assert_eq!(seconds, Some(&*role.timeout().as_secs().to_string()), "{function}");
        }
    }
}
