//! Experiments, as users write them.

use std::collections::BTreeMap;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::bounded::BoundedU32;
use super::claim::Claim;
use super::fault::Fault;
use super::names::{AlarmName, ExperimentName};
use super::steady_state::Condition;
use super::target::{Select, Target};
use super::time::{BoundedDuration, Time};

/// How long a run may take to arm and inject, in addition to its duration, unless its experiment sets another limit.
pub const STARTUP_LIMIT: Duration = Duration::from_secs(600);
/// The limit that an experiment may set instead. An update of a function takes several seconds.
pub type StartLimit = BoundedDuration<10, 600>;
/// How long a fault stays: 5 seconds to 12 hours, as long as FIS allows.
pub type RunDuration = BoundedDuration<5, 43_200>;
/// Time between two checks of a run that lasts this long. An execution may have 25,000 events in its history
/// (step-functions/latest/dg/service-quotas), and a check adds nine: a thousand checks leave room for the rest.
#[must_use]
pub fn observe_interval(duration: Duration) -> Duration {
    // In whole seconds, for that is how long a Wait state waits.
    Duration::from_secs((duration.as_secs() / 1000).clamp(5, 60))
}

/// What random draws begin with.
pub(super) type Seed = BoundedU32<0, { u32::MAX }>;
/// How long the steady state may take to hold again: up to 15 minutes.
pub type Recovery = BoundedDuration<0, 900>;

/// An experiment: targets, faults, duration, stop conditions and steady state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", try_from = "RawExperiment")]
pub struct Experiment {
    /// Its name in reports.
    pub name: ExperimentName,
    /// The functions.
    pub targets: Vec<Target>,
    /// What is injected into each of them.
    pub faults: Vec<Fault>,
    /// How long the faults stay.
    pub duration: RunDuration,
    /// How long the run may take to arm and inject; `None` is [`STARTUP_LIMIT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_within: Option<StartLimit>,
    /// The alarms that end the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_conditions: Vec<StopCondition>,
    /// The conditions that hold before, during and after the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steady_state: Vec<Condition>,
    /// How long the steady state may take, after the restore, to hold again.
    pub recovery: Recovery,
    /// The seed for the draws of `select` and of the percentages inside invocations, so that both can be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// Who starts a run of it. It is stored with the run and not with the experiment, which earlier releases would not
    /// read with this field.
    #[serde(skip_serializing)]
    pub started_by: Option<Actor>,
}

/// An experiment before its checks.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Experiment"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawExperiment {
    /// The name of the experiment in reports.
    name: ExperimentName,
    /// The functions to experiment on, 1 to 50 entries.
    targets: Vec<Target>,
    /// What is injected into each of them, 1 to 20 entries.
    faults: Vec<Fault>,
    /// How long the faults stay: an ISO 8601 duration from PT5S to PT12H.
    duration: RunDuration,
    /// How long the run may take to arm and inject, from PT10S to PT10M; PT10M if absent. The deadline that faults have
    /// of their own is this long after the end of the duration, because they are written before the duration begins.
    start_within: Option<StartLimit>,
    /// The alarms that end the run, at most 5.
    #[serde(default)]
    stop_conditions: Vec<StopCondition>,
    /// What should hold before (else the run is refused), during (else it is rolled back) and after; at most 10.
    #[serde(default)]
    steady_state: Vec<Condition>,
    /// How long the steady state may take to hold again after the restore; PT1M if absent.
    recovery: Option<Recovery>,
    /// The seed for the draws of `select` and of the percentages inside invocations. If absent, both differ in each
    /// run, and the report shows the seed of `select`.
    seed: Option<Seed>,
    /// Who starts the run, for its report. Nothing checks it; `snapback run` fills it in.
    started_by: Option<Actor>,
}

/// An alarm that ends the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StopCondition {
    /// The alarm, metric or composite, by name or ARN.
    pub alarm: AlarmName,
}

impl TryFrom<RawExperiment> for Experiment {
    type Error = String;

    fn try_from(raw: RawExperiment) -> Result<Self, String> {
        let lengths = [raw.targets.len(), raw.faults.len(), raw.stop_conditions.len(), raw.steady_state.len()];
        for ((field, ..), length) in COUNTS.into_iter().zip(lengths) {
            check_count(field, length)?;
        }
        let wrong = conflicts(&numbered(&raw.faults)).into_iter();
        let wrong = wrong.chain(twins("targets", &numbered(&raw.targets)));
        let mut wrong = wrong.chain(twins("stopConditions", &numbered(&raw.stop_conditions)));
        if let Some((_, problem)) = wrong.next() {
            return Err(problem);
        }
        Ok(Self {
            name: raw.name,
            targets: raw.targets,
            faults: raw.faults,
            duration: raw.duration,
            start_within: raw.start_within,
            stop_conditions: raw.stop_conditions,
            steady_state: raw.steady_state,
            recovery: match raw.recovery {
                Some(recovery) => recovery,
                None => Recovery::try_from("PT1M".to_owned())?,
            },
            seed: raw.seed.map(BoundedU32::get),
            started_by: raw.started_by,
        })
    }
}

/// The lists, each with the least and the greatest number of its entries.
const COUNTS: [(&str, usize, usize); 4] =
    [("targets", 1, 50), ("faults", 1, 20), ("stopConditions", 0, 5), ("steadyState", 0, 10)];

/// Checks the number of entries of a list.
pub(super) fn check_count(field: &str, count: usize) -> Result<(), String> {
    let Some((_, min, max)) =
        COUNTS.into_iter().find(|(name, min, max)| *name == field && !(*min..=*max).contains(&count))
    else {
        return Ok(());
    };
    let fix = if min == 0 { "at most".to_owned() } else { format!("{min} to") };
    Err(format!("`{field}` has {count} entries; write {fix} {max}"))
}

fn numbered<T>(entries: &[T]) -> Vec<(usize, &T)> {
    entries.iter().enumerate().collect()
}

/// Finds every field that two faults claim, which would have two injected values and one original. Each fault comes
/// with its number in the list, and each conflict with the number of its last fault.
pub(super) fn conflicts(faults: &[(usize, &Fault)]) -> Vec<(usize, String)> {
    let mut earlier: BTreeMap<Claim, (usize, &str)> = BTreeMap::new();
    let mut found = Vec::new();
    for &(at, fault) in faults {
        let name = fault.name();
        for claim in fault.claims() {
            match claim.find_in(&earlier) {
                Some((first, _)) if first == at => {
                    found.push((at, format!("faults[{at}] ({name}) claims {claim} twice; keep it once")));
                }
                Some((first, other)) => {
                    let both = format!("faults[{first}] ({other}) and faults[{at}] ({name}) both claim {claim}");
                    found.push((at, format!("{both}; keep it in one of them")));
                }
                None => {}
            }
            earlier.entry(claim).or_insert((at, name));
        }
    }
    found
}

/// Finds every entry of a list that is the same as an earlier one. Each comes with its number in the list.
pub(super) fn twins<T: PartialEq>(list: &str, entries: &[(usize, &T)]) -> Vec<(usize, String)> {
    let first = |number: usize, entry: &T| entries[..number].iter().find(|(_, earlier)| **earlier == *entry);
    let twin = |(number, &(at, entry)): (usize, &(usize, &T))| {
        let (first, _) = first(number, entry)?;
        Some((at, format!("{list}[{first}] and {list}[{at}] are the same; remove one")))
    };
    entries.iter().enumerate().filter_map(twin).collect()
}

impl Experiment {
    /// Returns the experiment without the values of variables, for the record of an ended run.
    #[must_use]
    pub fn redacted(&self) -> Self {
        Self { faults: self.faults.iter().map(Fault::redacted).collect(), ..self.clone() }
    }

    /// Whether a target draws at random among the functions that have its tags.
    #[must_use]
    pub fn draws(&self) -> bool {
        self.targets.iter().any(|target| matches!(target, Target::Tagged { select, .. } if *select != Select::All))
    }

    /// Whether any fault needs the event source mappings of a target.
    #[must_use]
    pub fn needs_mappings(&self) -> bool {
        self.faults.iter().any(Fault::needs_mappings)
    }

    /// Whether any fault adds layers, which code signing may refuse.
    #[must_use]
    pub fn adds_layers(&self) -> bool {
        self.faults.iter().any(Fault::adds_layers)
    }

    /// Whether any fault needs the proxy.
    #[must_use]
    pub fn needs_proxy(&self) -> bool {
        self.faults.iter().any(Fault::is_inside_invocations)
    }

    /// Whether any fault is one of the chaos handler.
    #[must_use]
    pub fn needs_chaos_handler(&self) -> bool {
        self.faults.iter().any(|fault| fault.order().is_some())
    }

    /// Whether metrics count how often a fault was injected.
    #[must_use]
    pub fn counts_faults(&self) -> bool {
        self.faults.iter().any(|fault| fault.counted_as().is_some())
    }

    /// Whether all faults expire at the run's deadline: the restore of such targets can wait for others.
    #[must_use]
    pub fn expires_by_itself(&self) -> bool {
        self.faults.iter().all(Fault::expires_by_itself)
    }

    /// Returns how long a run may take to arm and inject.
    #[must_use]
    pub fn startup_limit(&self) -> Duration {
        self.start_within.map_or(STARTUP_LIMIT, BoundedDuration::get)
    }

    /// Returns the latest end of a run that begins `now`. It includes the time to arm and inject, and the duration.
    #[must_use]
    pub fn deadline(&self, now: Time) -> Time {
        now + self.duration.get() + self.startup_limit()
    }

    /// Returns the alarms of the stop conditions and of the steady state, each once.
    #[must_use]
    pub fn alarms(&self) -> Vec<AlarmName> {
        let mut alarms: Vec<AlarmName> = self.stop_conditions.iter().map(|stop| stop.alarm.clone()).collect();
        for condition in &self.steady_state {
            match condition {
                Condition::Alarm(alarm) if !alarms.contains(alarm) => alarms.push(alarm.clone()),
                Condition::Alarm(_) | Condition::Metric { .. } => {}
            }
        }
        alarms
    }

    /// Whether any fault changes `$LATEST` only.
    #[must_use]
    pub fn changes_latest(&self) -> bool {
        self.faults.iter().any(Fault::changes_latest)
    }
}
