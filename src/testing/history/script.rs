//! What happens in a history, drawn from its seed: functions, experiments, troubles, and what other people do.

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

/// Everything that is drawn beforehand.
#[derive(Clone, Debug)]
pub struct Script {
    /// The functions, by name.
    pub functions: Vec<(String, Observation)>,
    /// The executions.
    pub runs: Vec<RunScript>,
    /// What other people do, and when, in milliseconds.
    pub acts: Vec<(i64, Act)>,
    /// Times of trouble.
    pub storms: Vec<Storm>,
    /// Of a hundred calls, so many meet trouble of their own.
    pub failure_percent: u32,
    /// Of a hundred invocations, so many die on the way, and as many answers are lost.
    pub death_percent: u32,
    /// By how much reads may be late.
    pub staleness: Duration,
    /// Of a hundred reads, so many are.
    pub stale_percent: u32,
    /// Whether a floor on the account's unreserved concurrency is near.
    pub floor: bool,
    /// Whether the role that undoes may read neither environments nor layers.
    pub blind: bool,
    /// What Lambda does with a mapping whose function is gone.
    pub orphans: Orphans,
}

/// An execution.
#[derive(Clone, Debug)]
pub struct RunScript {
    /// Its name.
    pub name: String,
    /// When it starts, in milliseconds.
    pub at: i64,
    /// Whether it waits until the first one is over, and starts right behind it.
    pub follows: bool,
    /// Its input.
    pub experiment: Value,
}

/// Something that somebody does.
#[derive(Clone, Debug)]
pub enum Act {
    /// The alarm goes into ALARM; its event is delivered after so many milliseconds each time.
    Trip(Vec<i64>),
    /// The alarm is OK again.
    Clear,
    /// An event of an alarm that nobody uses.
    StrangeAlarm,
    /// A person rolls this run back.
    RollBack(String),
    /// A person rolls everything back.
    RollBackAll,
    /// The lever is engaged or released.
    Lever(bool),
    /// An execution is stopped: no Catch runs.
    StopExecution(String),
    /// A deploy: an update of the configuration that takes so many milliseconds, and may fail then.
    Deploy(String, Vec<Edit>, i64, bool),
    /// New code.
    UpdateCode(String, i64),
    /// Somebody sets the reserved concurrency.
    SetConcurrency(String, Slot<u32>),
    /// Somebody switches a mapping.
    SwitchMapping(String, bool),
    /// An operator puts by hand back what the experiment has changed.
    PutBack(String),
    /// Somebody publishes a version.
    Publish(String),
    /// The opt-in tag is dropped.
    DropTag(String),
    /// A layer version is deleted.
    DeleteLayer(&'static str),
    /// The function is deleted.
    Delete(String),
    /// The function is deleted, and created again after so many milliseconds, as its owner last deployed it.
    Recreate(String, i64),
    /// The function's event source mappings are deleted.
    DeleteMappings(String),
}

/// What a deploy changes.
#[derive(Clone, Debug)]
pub enum Edit {
    /// The timeout.
    Timeout(u32),
    /// The memory.
    Memory(u32),
    /// The handler.
    Handler(&'static str),
    /// The runtime, which no fault touches.
    Runtime(&'static str),
    /// A variable.
    Set(&'static str, &'static str),
    /// A variable less.
    Unset(&'static str),
    /// A layer at the front.
    Layer(&'static str),
    /// All layers.
    Layers(Vec<&'static str>),
}

impl Script {
    /// What is given, for people.
    #[must_use]
    pub fn shown(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (name, seen) in &self.functions {
            lines.push(format!("{name}: concurrency {:?}, {} layers", seen.concurrency, seen.layers.len()));
        }
        for run in &self.runs {
            let behind = if run.follows { ", right behind the first one" } else { "" };
            lines.push(format!("{} at {} ms{behind}: {}", run.name, run.at, run.experiment["faults"]));
            lines.push(format!("    for {}", run.experiment["duration"]));
        }
        for storm in &self.storms {
            lines.push(format!("{:?} from {} to {} ms", storm.kind, storm.from, storm.until));
        }
        lines.push(format!("a mapping whose function is gone, and that is to be enabled: {:?}", self.orphans));
        lines.push(format!(
            "in a hundred: {} calls with trouble of their own, {} invocations that die, {} reads up to {} s late",
            self.failure_percent,
            self.death_percent,
            self.stale_percent,
            self.staleness.as_secs()
        ));
        if self.blind {
            lines.push("the role that undoes can read neither environments nor layers".to_owned());
        }
        lines.push(String::new());
        lines
    }

    /// Whether nothing comes in between: then every run that is let in comes to its end.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.acts.is_empty()
            && self.storms.is_empty()
            && self.failure_percent == 0
            && self.death_percent == 0
            && !self.blind
    }
}

impl Edit {
    /// Makes the change.
    pub fn apply(&self, function: &mut Observation) {
        match (self, &mut function.environment) {
            (Self::Timeout(seconds), _) => function.timeout = *seconds,
            (Self::Memory(megabytes), _) => function.memory = *megabytes,
            (Self::Handler(name), _) => function.handler = Handler::try_from(*name).ok(),
            (Self::Runtime(name), _) => function.runtime = Some((*name).to_owned()),
            (Self::Set(name, value), Environment::Readable(variables)) => {
                variables.insert((*name).to_owned(), Secret::new(*value));
            }
            (Self::Unset(name), Environment::Readable(variables)) => drop(variables.remove(*name)),
            (Self::Layer(name), _) => {
                function.layers.retain(|layer| *layer != layer_arn(name));
                function.layers.insert(0, layer_arn(name));
            }
            (Self::Layers(names), _) => function.layers = arns(names),
            _ => {}
        }
    }
}

fn arns(names: &[&str]) -> Vec<LayerVersionArn> {
    names.iter().map(|name| layer_arn(name)).collect()
}

/// The faults that a history's experiment may have.
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

/// The script of this seed.
#[must_use]
pub fn script(dice: &mut Dice) -> Script {
    if dice.percent(10) { handover(dice) } else { anything(dice) }
}

/// One run right behind another one on the same function, while most reads are late: nothing but staleness goes wrong.
fn handover(dice: &mut Dice) -> Script {
    let names = vec!["checkout".to_owned()];
    let first = run(dice, &names, 1, 0, &["reservedConcurrency"]);
    let second = run(dice, &names, 2, 0, &["reservedConcurrency"]);
    Script {
        functions: vec![("checkout".to_owned(), function(dice, "checkout"))],
        runs: vec![first, RunScript { follows: true, ..second }],
        acts: Vec::new(),
        storms: Vec::new(),
        failure_percent: 0,
        death_percent: 0,
        staleness: MAX_READ_STALENESS,
        stale_percent: 90,
        floor: false,
        blind: false,
        orphans: Orphans::default(),
    }
}

fn anything(dice: &mut Dice) -> Script {
    let names: Vec<String> =
        ["checkout", "payment"][..if dice.percent(25) { 2 } else { 1 }].iter().map(|name| (*name).to_owned()).collect();
    let functions = names.iter().map(|name| (name.clone(), function(dice, name))).collect();
    let runs = runs(dice, &names);
    let busy = dice.between(0, 3);
    let last = runs.iter().map(|run| run.at).max().unwrap_or_default() + 90_000;
    let mut acts: Vec<(i64, Act)> =
        (0..busy * 2).map(|_| (moment(dice, &runs, last), act(dice, &names, &runs))).collect();
    acts.sort_by_key(|(at, _)| *at);
    let storms = (0..dice.between(0, 2)).map(|_| storm(dice, last)).collect();
    Script {
        functions,
        runs,
        acts,
        storms,
        failure_percent: *dice.pick(&[0, 0, 1, 4, 12]).unwrap_or(&0),
        death_percent: *dice.pick(&[0, 0, 3, 15]).unwrap_or(&0),
        staleness: *dice.pick(&[Duration::ZERO, Duration::from_secs(2), MAX_READ_STALENESS]).unwrap_or(&Duration::ZERO),
        stale_percent: if dice.percent(25) { 90 } else { 30 },
        floor: dice.percent(20),
        blind: dice.percent(4),
        orphans: *dice.pick(&[Orphans::Updated, Orphans::Refused, Orphans::DisabledAgain]).unwrap_or(&Orphans::Updated),
    }
}

/// Half of what happens, happens while a run begins: that is when most can meet.
fn moment(dice: &mut Dice, runs: &[RunScript], last: i64) -> i64 {
    match dice.pick(runs).filter(|_| dice.percent(50)) {
        Some(run) => run.at + dice.between(300, 15_000),
        None => dice.between(0, last),
    }
}

fn function(dice: &mut Dice, name: &str) -> Observation {
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

fn runs(dice: &mut Dice, names: &[String]) -> Vec<RunScript> {
    let kinds = dice.pick(&FAULTS).copied().unwrap_or_default();
    let first = run(dice, names, 1, 0, kinds);
    if dice.percent(65) {
        return vec![first];
    }
    // The second one comes at any time: so early that it is let in before the first one has its lock, or right behind it.
    let at = if dice.percent(50) { 3_000 } else { 100_000 };
    let at = dice.between(0, at);
    let kinds = dice.pick(&FAULTS).copied().unwrap_or_default();
    let second = run(dice, names, 2, at, kinds);
    vec![first, RunScript { follows: dice.percent(60), ..second }]
}

/// An execution that starts then or soon after.
fn run(dice: &mut Dice, names: &[String], number: u32, at: i64, kinds: &[&str]) -> RunScript {
    let mut faults: Vec<(&str, Value)> =
        samples::faults().into_iter().filter(|(name, _)| kinds.contains(name)).collect();
    faults.iter_mut().for_each(|(name, fault)| vary(dice, name, fault));
    let targets: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut experiment = samples::experiment(&targets, &faults);
    let longest = if dice.percent(40) { 7 } else { 40 };
    experiment["duration"] = json!(format!("PT{}S", dice.between(5, longest)));
    RunScript { name: format!("run-{number}"), at: at + dice.between(0, 3_000), follows: false, experiment }
}

/// Other values than the samples': one run's fault must not be another's by chance.
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

fn storm(dice: &mut Dice, last: i64) -> Storm {
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

fn act(dice: &mut Dice, names: &[String], runs: &[RunScript]) -> Act {
    let name = dice.pick(names).cloned().unwrap_or_default();
    let run = dice.pick(runs).map(|run| run.name.clone()).unwrap_or_default();
    match dice.between(0, 26) {
        0..=3 => Act::Trip(deliveries(dice)),
        4 => Act::Clear,
        5 => Act::StrangeAlarm,
        6 | 7 => Act::RollBack(run),
        8 => Act::RollBackAll,
        9 => Act::Lever(dice.percent(60)),
        10..=12 => Act::StopExecution(run),
        13..=15 => Act::Deploy(name, edits(dice), dice.between(100, 6_000), dice.percent(25)),
        16 => Act::UpdateCode(name, dice.between(100, 8_000)),
        17 => Act::SetConcurrency(
            name,
            *dice.pick(&[Slot::Absent, Slot::Present(0), Slot::Present(7)]).unwrap_or(&Slot::Absent),
        ),
        18 => Act::SwitchMapping(name, dice.percent(50)),
        19 => Act::PutBack(name),
        20 => Act::Publish(name),
        21 => Act::DropTag(name),
        22 => Act::DeleteLayer(
            dice.pick(&["chaos", "otel", "shared", "snapback-proxy-arm64"]).copied().unwrap_or("chaos"),
        ),
        23 => Act::Delete(name),
        24 | 25 => Act::Recreate(name, dice.between(100, 20_000)),
        _ => Act::DeleteMappings(name),
    }
}

/// Lost, once, several times, late.
fn deliveries(dice: &mut Dice) -> Vec<i64> {
    match dice.between(0, 4) {
        0 => Vec::new(),
        1 => vec![dice.between(20_000, 200_000)],
        2 => (0..dice.between(2, 4)).map(|_| dice.between(100, 5_000)).collect(),
        _ => vec![dice.between(100, 2_000)],
    }
}

fn edits(dice: &mut Dice) -> Vec<Edit> {
    let edit = |dice: &mut Dice| match dice.between(0, 10) {
        0 => Edit::Timeout(1),
        1 => Edit::Timeout(42),
        2 => Edit::Memory(1024),
        3 => Edit::Handler("app.deployed"),
        4 => Edit::Runtime("python3.13"),
        5 => Edit::Set("RUST_LOG", "debug"),
        6 => Edit::Set("DEPLOYED", "yes"),
        7 => Edit::Unset("DB_PASSWORD"),
        8 => Edit::Layer("deployed"),
        9 => Edit::Layers(vec!["deployed", "shared"]),
        _ => Edit::Set("CHAOS_RATE", "7"),
    };
    (0..dice.between(1, 3)).map(|_| edit(dice)).collect()
}
