//! The script of a history, drawn from its seed: functions, experiments, failures, and the acts of others.

use std::time::Duration;

use serde_json::{Value, json};

use crate::model::function::{Environment, Observation, Slot};
use crate::model::names::{Handler, LayerVersionArn};
use crate::model::secret::Secret;
use crate::steps::MAX_READ_STALENESS;
use crate::testing::Orphans;
use crate::testing::dice::Dice;
use crate::testing::drive::{Storm, StormKind};
use crate::testing::samples::{self, layer_arn};

/// Everything that is drawn before a history starts.
#[derive(Clone, Debug)]
pub struct Script {
    /// The functions, by name.
    pub functions: Vec<(String, Observation)>,
    /// The executions.
    pub runs: Vec<RunScript>,
    /// The acts of others, each with its time in milliseconds.
    pub acts: Vec<(i64, Act)>,
    /// The periods in which one kind of call fails.
    pub storms: Vec<Storm>,
    /// How many calls in a hundred fail outside of storms.
    pub failure_percent: u32,
    /// How many invocations in a hundred die. As many responses are lost.
    pub death_percent: u32,
    /// How stale a read may be.
    pub staleness: Duration,
    /// How many reads in a hundred are stale.
    pub stale_percent: u32,
    /// Whether the account has little unreserved concurrency left.
    pub pool_is_tight: bool,
    /// Whether the role that restores may read neither environments nor layers.
    pub undo_lacks_rights: bool,
    /// What Lambda does when a mapping of a deleted function is to be enabled.
    pub orphans: Orphans,
}

/// An execution.
#[derive(Clone, Debug)]
pub struct RunScript {
    /// Its name.
    pub name: String,
    /// When it starts, in milliseconds.
    pub at: i64,
    /// Whether it starts right after the first run's targets have ended.
    pub follows: bool,
    /// Its input.
    pub experiment: Value,
}

/// An act of someone other than snapback.
#[derive(Clone, Debug)]
pub enum Act {
    /// The alarm goes into ALARM. Its event is delivered once after each of these delays, in milliseconds.
    TripAlarm(Vec<i64>),
    /// The alarm returns to OK.
    ClearAlarm,
    /// An event arrives for an alarm that no run uses.
    UnusedAlarm,
    /// A user rolls this run back.
    RollBack(String),
    /// A user rolls all runs back.
    RollBackAll,
    /// A user engages or disengages the lever.
    SetLever(bool),
    /// A user stops an execution, so no Catch runs.
    StopExecution(String),
    /// A deploy updates the configuration. It takes this long in milliseconds, and fails at its end if the flag is set.
    Deploy(String, Vec<Edit>, i64, bool),
    /// A deploy updates the code. It takes this long in milliseconds.
    UpdateCode(String, i64),
    /// A user sets the reserved concurrency.
    SetConcurrency(String, Slot<u32>),
    /// A user enables or disables the mappings.
    SwitchMapping(String, bool),
    /// A user restores by hand what the experiment has changed.
    RestoreByHand(String),
    /// A user publishes a version.
    Publish(String),
    /// A user removes the opt-in tag.
    RemoveTag(String),
    /// A user deletes a layer version.
    DeleteLayer(&'static str),
    /// A user deletes the function.
    Delete(String),
    /// A user deletes the function and creates it again this many milliseconds later, as its owner last deployed it.
    Recreate(String, i64),
    /// A user deletes the function's event source mappings.
    DeleteMappings(String),
}

/// One change of a deploy.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Sets the timeout, in seconds.
    Timeout(u32),
    /// Sets the memory, in megabytes.
    Memory(u32),
    /// Sets the handler.
    Handler(&'static str),
    /// Sets the runtime, which no fault touches.
    Runtime(&'static str),
    /// Sets a variable.
    SetVariable(&'static str, &'static str),
    /// Removes a variable.
    UnsetVariable(&'static str),
    /// Adds a layer at the front.
    AddLayer(&'static str),
    /// Replaces all layers.
    SetLayers(Vec<&'static str>),
}

impl Script {
    /// Describes the script for a journal, one fact a line.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (name, seen) in &self.functions {
            lines.push(format!("{name}: concurrency {:?}, {} layers", seen.concurrency, seen.layers.len()));
        }
        for run in &self.runs {
            let follows = if run.follows { ", right after the first run" } else { "" };
            lines.push(format!("{} at {} ms{follows}: {}", run.name, run.at, run.experiment["faults"]));
            lines.push(format!("    for {}", run.experiment["duration"]));
        }
        for storm in &self.storms {
            lines.push(format!("{:?} from {} to {} ms", storm.kind, storm.from, storm.until));
        }
        lines.push(format!("enabling a mapping of a deleted function: {:?}", self.orphans));
        lines.push(format!(
            "in a hundred: {} calls fail, {} invocations die, {} reads are up to {} s stale",
            self.failure_percent,
            self.death_percent,
            self.stale_percent,
            self.staleness.as_secs()
        ));
        if self.undo_lacks_rights {
            lines.push("the role that restores can read neither environments nor layers".to_owned());
        }
        lines.push(String::new());
        lines
    }

    /// Whether nothing disturbs the runs, so that every run that passes the guardrails completes.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.acts.is_empty()
            && self.storms.is_empty()
            && self.failure_percent == 0
            && self.death_percent == 0
            && !self.undo_lacks_rights
    }
}

impl Edit {
    /// Applies the change to a function.
    pub fn apply(&self, function: &mut Observation) {
        match (self, &mut function.environment) {
            (Self::Timeout(seconds), _) => function.timeout = *seconds,
            (Self::Memory(megabytes), _) => function.memory = *megabytes,
            (Self::Handler(name), _) => function.handler = Handler::try_from(*name).ok(),
            (Self::Runtime(name), _) => function.runtime = Some((*name).to_owned()),
            (Self::SetVariable(name, value), Environment::Readable(variables)) => {
                variables.insert((*name).to_owned(), Secret::new(*value));
            }
            (Self::UnsetVariable(name), Environment::Readable(variables)) => drop(variables.remove(*name)),
            (Self::AddLayer(name), _) => {
                function.layers.retain(|layer| *layer != layer_arn(name));
                function.layers.insert(0, layer_arn(name));
            }
            (Self::SetLayers(names), _) => function.layers = arns(names),
            _ => {}
        }
    }
}

fn arns(names: &[&str]) -> Vec<LayerVersionArn> {
    names.iter().map(|name| layer_arn(name)).collect()
}

/// The combinations of faults that an experiment can have.
const FAULTS: [&[&str]; 16] = [
    &["reservedConcurrency"],
    &["handler"],
    &["layer"],
    &["environment"],
    &["timeout"],
    &["memory"],
    &["eventSourceMapping"],
    &["reservedConcurrency", "environment", "timeout", "memory", "eventSourceMapping"],
    &["reservedConcurrency", "handler"],
    &["reservedConcurrency", "layer"],
    &["eventSourceMapping", "layer", "timeout"],
    &["environment", "eventSourceMapping"],
    &["reservedConcurrency", "eventSourceMapping"],
    &["latency"],
    &["reservedConcurrency", "error", "exit"],
    &["latency", "timeout", "eventSourceMapping"],
];

/// Draws a script.
#[must_use]
pub fn draw_script(dice: &mut Dice) -> Script {
    if dice.percent(10) { draw_handover(dice) } else { draw_any(dice) }
}

/// Draws a script of two runs, one right after the other on the same function. Nothing goes wrong except that most
/// reads are stale.
fn draw_handover(dice: &mut Dice) -> Script {
    let names = vec!["checkout".to_owned()];
    let first = draw_run(dice, &names, 1, 0, &["reservedConcurrency"]);
    let second = draw_run(dice, &names, 2, 0, &["reservedConcurrency"]);
    Script {
        functions: vec![("checkout".to_owned(), draw_function(dice, "checkout"))],
        runs: vec![first, RunScript { follows: true, ..second }],
        acts: Vec::new(),
        storms: Vec::new(),
        failure_percent: 0,
        death_percent: 0,
        staleness: MAX_READ_STALENESS,
        stale_percent: 90,
        pool_is_tight: false,
        undo_lacks_rights: false,
        orphans: Orphans::default(),
    }
}

fn draw_any(dice: &mut Dice) -> Script {
    let names: Vec<String> =
        ["checkout", "payment"][..if dice.percent(25) { 2 } else { 1 }].iter().map(|name| (*name).to_owned()).collect();
    let functions = names.iter().map(|name| (name.clone(), draw_function(dice, name))).collect();
    let runs = draw_runs(dice, &names);
    let pairs_of_acts = dice.between(0, 3);
    let last = runs.iter().map(|run| run.at).max().unwrap_or_default() + 90_000;
    let mut acts: Vec<(i64, Act)> =
        (0..pairs_of_acts * 2).map(|_| (draw_time(dice, &runs, last), draw_act(dice, &names, &runs))).collect();
    acts.sort_by_key(|(at, _)| *at);
    let storms = (0..dice.between(0, 2)).map(|_| draw_storm(dice, last)).collect();
    Script {
        functions,
        runs,
        acts,
        storms,
        failure_percent: *dice.pick(&[0, 0, 1, 4, 12]).unwrap_or(&0),
        death_percent: *dice.pick(&[0, 0, 3, 15]).unwrap_or(&0),
        staleness: *dice.pick(&[Duration::ZERO, Duration::from_secs(2), MAX_READ_STALENESS]).unwrap_or(&Duration::ZERO),
        stale_percent: if dice.percent(25) { 90 } else { 30 },
        pool_is_tight: dice.percent(20),
        undo_lacks_rights: dice.percent(4),
        orphans: *dice.pick(&[Orphans::Updated, Orphans::Refused, Orphans::DisabledAgain]).unwrap_or(&Orphans::Updated),
    }
}

/// Draws the time of an act. Half of them happen while a run starts, because most races are possible then.
fn draw_time(dice: &mut Dice, runs: &[RunScript], last: i64) -> i64 {
    match dice.pick(runs).filter(|_| dice.percent(50)) {
        Some(run) => run.at + dice.between(300, 15_000),
        None => dice.between(0, last),
    }
}

fn draw_function(dice: &mut Dice, name: &str) -> Observation {
    let mut function = samples::observation(name);
    function.concurrency = match dice.between(0, 3) {
        0 => Slot::Absent,
        1 => Slot::Present(0),
        _ => Slot::Present(5),
    };
    function.layers = arns(dice.pick(&[&["otel", "shared"][..], &["shared"], &[]]).copied().unwrap_or_default());
    if dice.percent(30)
        && let Environment::Readable(variables) = &mut function.environment
    {
        variables.remove("AWS_LAMBDA_EXEC_WRAPPER");
    }
    if dice.percent(20) {
        function.mappings = Vec::new();
    }
    function
}

fn draw_runs(dice: &mut Dice, names: &[String]) -> Vec<RunScript> {
    let kinds = dice.pick(&FAULTS).copied().unwrap_or_default();
    let first = draw_run(dice, names, 1, 0, kinds);
    if dice.percent(65) {
        return vec![first];
    }
    // The second run starts at any time: so early that it is admitted before the first one has its lock, or right after
    // it.
    let at = if dice.percent(50) { 3_000 } else { 100_000 };
    let at = dice.between(0, at);
    let kinds = dice.pick(&FAULTS).copied().unwrap_or_default();
    let second = draw_run(dice, names, 2, at, kinds);
    vec![first, RunScript { follows: dice.percent(60), ..second }]
}

/// Draws an execution that starts at this time or up to three seconds later.
fn draw_run(dice: &mut Dice, names: &[String], number: u32, at: i64, kinds: &[&str]) -> RunScript {
    let mut faults: Vec<(&str, Value)> =
        samples::faults().into_iter().filter(|(name, _)| kinds.contains(name)).collect();
    faults.iter_mut().for_each(|(name, fault)| vary(dice, name, fault));
    let targets: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut experiment = samples::experiment(&targets, &faults);
    let longest = if dice.percent(40) { 7 } else { 40 };
    experiment["duration"] = json!(format!("PT{}S", dice.between(5, longest)));
    RunScript { name: format!("run-{number}"), at: at + dice.between(0, 3_000), follows: false, experiment }
}

/// Varies the sample's values, so that the faults of two runs rarely have the same values.
fn vary(dice: &mut Dice, name: &str, fault: &mut Value) {
    let number = dice.between(0, 3);
    match name {
        "reservedConcurrency" => fault["limit"] = json!(number),
        "timeout" => fault["timeout"] = json!(format!("PT{}S", 1 + number)),
        "memory" => fault["megabytes"] = json!(128 + number),
        "environment" => fault["set"]["RUST_LOG"] = json!(format!("trace-{number}")),
        _ => {}
    }
}

fn draw_storm(dice: &mut Dice, last: i64) -> Storm {
    use StormKind as K;
    let kinds = [
        K::WritesDenied,
        K::LambdaDenied,
        K::LambdaUnclear,
        K::LambdaThrottled,
        K::LambdaBusy,
        K::UpdatesFail,
        K::PoolTaken,
        K::LedgerDown,
        K::LedgerFlaky,
        K::Conflicts,
        K::AlarmsDown,
        K::ExecutionsDown,
        K::ReaperAsleep,
    ];
    let kind = *dice.pick(&kinds).unwrap_or(&K::LedgerFlaky);
    let (from, longest) = (dice.between(0, last), if dice.percent(20) { 300_000 } else { 40_000 });
    Storm { from, until: from + dice.between(500, longest), kind }
}

fn draw_act(dice: &mut Dice, names: &[String], runs: &[RunScript]) -> Act {
    let name = dice.pick(names).cloned().unwrap_or_default();
    let run = dice.pick(runs).map(|run| run.name.clone()).unwrap_or_default();
    match dice.between(0, 26) {
        0..=3 => Act::TripAlarm(draw_delays(dice)),
        4 => Act::ClearAlarm,
        5 => Act::UnusedAlarm,
        6 | 7 => Act::RollBack(run),
        8 => Act::RollBackAll,
        9 => Act::SetLever(dice.percent(60)),
        10..=12 => Act::StopExecution(run),
        13..=15 => Act::Deploy(name, draw_edits(dice), dice.between(100, 6_000), dice.percent(25)),
        16 => Act::UpdateCode(name, dice.between(100, 8_000)),
        17 => Act::SetConcurrency(
            name,
            *dice.pick(&[Slot::Absent, Slot::Present(0), Slot::Present(7)]).unwrap_or(&Slot::Absent),
        ),
        18 => Act::SwitchMapping(name, dice.percent(50)),
        19 => Act::RestoreByHand(name),
        20 => Act::Publish(name),
        21 => Act::RemoveTag(name),
        22 => Act::DeleteLayer(
            dice.pick(&["chaos", "otel", "shared", "snapback-proxy-arm64"]).copied().unwrap_or("chaos"),
        ),
        23 => Act::Delete(name),
        24 | 25 => Act::Recreate(name, dice.between(100, 20_000)),
        _ => Act::DeleteMappings(name),
    }
}

/// Draws when an event is delivered: never, late, several times, or once soon.
fn draw_delays(dice: &mut Dice) -> Vec<i64> {
    match dice.between(0, 4) {
        0 => Vec::new(),
        1 => vec![dice.between(20_000, 200_000)],
        2 => (0..dice.between(2, 4)).map(|_| dice.between(100, 5_000)).collect(),
        _ => vec![dice.between(100, 2_000)],
    }
}

fn draw_edits(dice: &mut Dice) -> Vec<Edit> {
    let edit = |dice: &mut Dice| match dice.between(0, 10) {
        0 => Edit::Timeout(1),
        1 => Edit::Timeout(42),
        2 => Edit::Memory(1024),
        3 => Edit::Handler("app.deployed"),
        4 => Edit::Runtime("python3.13"),
        5 => Edit::SetVariable("RUST_LOG", "debug"),
        6 => Edit::SetVariable("DEPLOYED", "yes"),
        7 => Edit::UnsetVariable("DB_PASSWORD"),
        8 => Edit::AddLayer("deployed"),
        9 => Edit::SetLayers(vec!["deployed", "shared"]),
        _ => Edit::SetVariable("CHAOS_RATE", "7"),
    };
    (0..dice.between(1, 3)).map(|_| edit(dice)).collect()
}
