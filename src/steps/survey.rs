//! Gathering the facts that the guardrails judge: read only, for `plan` and for `Prepare`.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use futures_util::stream;

use crate::model::experiment::Experiment;
use crate::model::fault::Fault;
use crate::model::function::Package;
use crate::model::names::{AlarmName, FunctionArn, FunctionName, LayerVersionArn};
use crate::model::steady_state::Condition;
use crate::model::target::Target;
use crate::model::time::Time;
use crate::plan::guardrails::{AlarmFact, CodeSigning, Facts, LayerFact, Settings, TargetFacts};
use crate::plan::selection::choose;
use crate::ports::{FunctionError, World};

use super::AT_ONCE;
use super::error::StepError;
use super::pace::{Kind, Pace};
use super::retry::retry;
use super::steady_state::deviations;

/// Reads everything that the guardrails need to know.
///
/// # Errors
/// When AWS cannot be read; what is merely not there is a fact.
pub async fn gather(world: &impl World, settings: &Settings, experiment: &Experiment) -> Result<Facts, StepError> {
    // A look changes nothing, so none comes too late.
    let pace = &Pace::until(Time(i64::MAX));
    let resolved = resolve(world, experiment).await?;
    let target_count = resolved.functions.len();
    // A tag can match thousands: over the limit, the limit is the refusal, and more looks would only cost calls.
    let seed = resolved.seed;
    let asked: Vec<_> = resolved.functions.into_iter().take(settings.target_limit).collect();
    let mut unresolved = resolved.unmatched;
    let mut targets: Vec<TargetFacts> = Vec::new();
    let mut looks = stream::iter(asked)
        .map(|asked| async move { (asked.to_string(), look(world, pace, experiment, asked).await) })
        .buffered(AT_ONCE);
    while let Some((name, looked)) = looks.next().await {
        match looked {
            Ok(target) if targets.iter().any(|other| other.seen.arn == target.seen.arn) => {
                unresolved.push((name, "it is the same function as another target".to_owned()));
            }
            Ok(target) => targets.push(target),
            Err(StepError::Function {
                error: error @ (FunctionError::NotFound(_) | FunctionError::Denied(_) | FunctionError::Rejected(_)),
                ..
            }) => {
                unresolved.push((name, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    let alarms = alarm_facts(world, experiment).await?;
    // An alarm that does not exist is refused as such.
    let missing = |name: &AlarmName| alarms.iter().any(|(other, fact)| other == name && fact.is_none());
    let conditions: Vec<Condition> = experiment
        .steady_state
        .iter()
        .filter(|condition| match condition {
            Condition::Alarm(name) => !missing(name),
            Condition::Metric { .. } => true,
        })
        .cloned()
        .collect();
    let deviations = deviations(world, &conditions, None).await?;
    Ok(Facts {
        now: world.now(),
        settings: settings.clone(),
        lever: retry(world, || world.lever()).await?,
        seed,
        target_count,
        layers: layer_facts(world, pace, settings, experiment, &targets).await?,
        targets,
        unresolved,
        alarms,
        deviations,
    })
}

struct Resolved {
    functions: Vec<FunctionName>,
    seed: Option<u32>,
    unmatched: Vec<(String, String)>,
}

async fn resolve(world: &impl World, experiment: &Experiment) -> Result<Resolved, StepError> {
    let mut functions: BTreeSet<FunctionName> = BTreeSet::new();
    let mut tagged: BTreeSet<FunctionArn> = BTreeSet::new();
    let mut unmatched = Vec::new();
    // Without a seed of its own, each run draws anew: what is never drawn would never be tried.
    let seed = experiment.draws().then(|| experiment.seed.unwrap_or_else(|| fresh_seed(world)));
    for target in &experiment.targets {
        match target {
            Target::Function(name) => {
                functions.insert(name.clone());
            }
            Target::Tagged { tags, select } => {
                let matching = retry(world, || world.tagged(tags)).await;
                let matching = matching.map_err(|error| StepError::function("tags", error))?;
                let asked = tags.iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join(", ");
                if matching.is_empty() {
                    unmatched.push((asked, "no function carries these tags".to_owned()));
                }
                // Where nothing is drawn, any seed gives all of them.
                tagged.extend(choose(matching, *select, seed.unwrap_or_default()));
            }
        }
    }
    // A function that is named and carries the tags, too, is one target: as it is named.
    tagged.retain(|arn| !functions.iter().any(|name| names(name, arn)));
    functions.extend(tagged.iter().filter_map(|arn| FunctionName::try_from(arn.as_str()).ok()));
    Ok(Resolved { functions: functions.into_iter().collect(), seed, unmatched })
}

/// A seed has 32 bits: both halves of a random number in one.
fn fresh_seed(world: &impl World) -> u32 {
    let random = world.random();
    u32::try_from((random ^ (random >> 32)) & u64::from(u32::MAX)).unwrap_or_default()
}

/// Whether a name, a partial ARN or an ARN, whatever its qualifier, is this function's.
fn names(name: &FunctionName, arn: &FunctionArn) -> bool {
    let rest = arn.as_str().strip_suffix(name.unqualified());
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(':'))
}

async fn look(
    world: &impl World,
    pace: &Pace,
    experiment: &Experiment,
    asked: FunctionName,
) -> Result<TargetFacts, StepError> {
    let mappings = experiment.needs_mappings();
    let seen = pace.read(world, Kind::of_look(mappings), || world.observe(asked.unqualified(), mappings)).await;
    let seen = seen.map_err(|error| StepError::function(asked.as_str(), error))?;
    let lock = retry(world, || world.lock(&seen.arn)).await?;
    let aliases = if experiment.changes_latest() {
        let aliases = pace.read(world, &[Kind::Control], || world.aliases(&seen.arn)).await;
        aliases.map_err(|error| StepError::function(asked.as_str(), error))?
    } else {
        Vec::new()
    };
    let mut mapping_tags = BTreeMap::new();
    for mapping in &seen.mappings {
        let tags = pace.read(world, &[Kind::Control], || world.mapping_tags(&seen.arn, &mapping.id)).await;
        mapping_tags.insert(mapping.id.clone(), tags.map_err(|error| StepError::function(asked.as_str(), error))?);
    }
    // A container image takes no layers, and Lambda refuses to say anything about its code signing.
    let code_signing = if experiment.adds_layers() && seen.package == Package::Zip {
        let code_signing = pace.read(world, &[Kind::Control], || world.code_signing(&seen.arn)).await;
        code_signing.map_err(|error| StepError::function(asked.as_str(), error))?
    } else {
        CodeSigning::Off
    };
    Ok(TargetFacts { asked: Some(asked), seen, lock, aliases, mapping_tags, code_signing })
}

async fn layer_facts(
    world: &impl World,
    pace: &Pace,
    settings: &Settings,
    experiment: &Experiment,
    targets: &[TargetFacts],
) -> Result<BTreeMap<LayerVersionArn, LayerFact>, StepError> {
    let mut layers: BTreeSet<&LayerVersionArn> = BTreeSet::new();
    for fault in &experiment.faults {
        match fault {
            Fault::Handler(fault) => layers.extend(&fault.layers),
            Fault::Layer(fault) => layers.extend(&fault.layers),
            _ => {}
        }
    }
    if experiment.needs_proxy() {
        layers.extend(targets.iter().filter_map(|target| settings.proxy_layers.of(&target.seen.architecture)));
    }
    if layers.is_empty() {
        return Ok(BTreeMap::new());
    }
    layers.extend(targets.iter().flat_map(|target| &target.seen.layers));
    let mut facts = BTreeMap::new();
    for layer in layers {
        let fact = pace.read(world, &[Kind::Control], || world.layer(layer)).await;
        facts.insert(layer.clone(), fact.map_err(|error| StepError::function(layer.as_str(), error))?);
    }
    Ok(facts)
}

async fn alarm_facts(
    world: &impl World,
    experiment: &Experiment,
) -> Result<Vec<(AlarmName, Option<AlarmFact>)>, StepError> {
    let mut names: Vec<AlarmName> = experiment.stop_conditions.iter().map(|stop| stop.alarm.clone()).collect();
    for condition in &experiment.steady_state {
        match condition {
            Condition::Alarm(alarm) if !names.contains(alarm) => names.push(alarm.clone()),
            _ => {}
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let facts = retry(world, || world.alarms(&names)).await?;
    Ok(names.into_iter().zip(facts).collect())
}
