//! Collects the facts that the guardrails evaluate, for `plan` and for `Prepare`.
//!
//! 1. Resolves the targets: named functions, and draws from those that carry the tags.
//! 2. Observes each function, with its lock and with what the faults need to know of it.
//! 3. Reads alarms, steady state, layers and the account's concurrency.
//!
//! Safe to repeat because it only reads.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use futures_util::stream;

use crate::model::experiment::Experiment;
use crate::model::facts::{AccountConcurrency, AlarmFact, CodeSigning, Draw, Facts, LayerFact, TargetFacts};
use crate::model::fault::Fault;
use crate::model::function::Package;
use crate::model::handler_fault::HandlerFault;
use crate::model::names::{AlarmName, FunctionArn, FunctionName, LayerVersionArn};
use crate::model::settings::Settings;
use crate::model::steady_state::Condition;
use crate::model::target::{Select, Target, tags_text};
use crate::model::time::Time;
use crate::plan::guardrails::may_pile_up;
use crate::plan::selection::draw;
use crate::ports::{FunctionError, World};

use super::MAX_CONCURRENCY;
use super::error::StepError;
use super::rate_limiter::{Quota, RateLimiter};
use super::retry::retry;
use super::steady_state::readings;

/// Reads all facts that the guardrails need.
///
/// # Errors
/// If AWS or the ledger cannot be read. Something that does not exist is a fact and no error.
pub async fn collect_facts(
    world: &impl World,
    settings: &Settings,
    experiment: &Experiment,
) -> Result<Facts, StepError> {
    // A read changes nothing, so it can wait for its turn without a limit.
    let limiter = &RateLimiter::until(Time(i64::MAX));
    let mut pools = resolve(world, experiment).await?;
    let (functions, observed) = observe_functions(world, limiter, settings, experiment, &mut pools).await?;
    let target_count = functions.len();
    let mut unresolved = pools.unmatched();
    let targets = targets(functions, observed, &mut unresolved)?;
    let alarms = alarm_facts(world, experiment).await?;
    let steady_state = readings(world, &existing_conditions(experiment, &alarms), None).await?;
    Ok(Facts {
        account: account(world, limiter, settings, experiment, &targets).await?,
        notes: pools.notes(),
        draws: pools.draws(),
        now: world.now(),
        settings: settings.clone(),
        lever: retry(world, || world.lever()).await?,
        seed: pools.seed,
        target_count,
        layers: layer_facts(world, limiter, settings, experiment, &targets).await?,
        targets,
        unresolved,
        alarms,
        steady_state,
    })
}

/// The facts about each observed function, or the error of its observation.
type Observed = BTreeMap<FunctionName, Result<TargetFacts, StepError>>;

/// Observes the functions that the targets resolve to, and draws others for those that were deleted. Returns the
/// functions, and what was observed of them up to the stack's limit of targets.
async fn observe_functions(
    world: &impl World,
    limiter: &RateLimiter,
    settings: &Settings,
    experiment: &Experiment,
    pools: &mut Pools,
) -> Result<(Vec<FunctionName>, Observed), StepError> {
    let mut observed = Observed::new();
    loop {
        // A tag can match thousands of functions. Too many are refused, so further reads would be wasted.
        let functions = pools.functions();
        let allowed = functions.iter().take(settings.target_limit);
        let new: Vec<FunctionName> = allowed.filter(|name| !observed.contains_key(*name)).cloned().collect();
        let mut observations = stream::iter(new)
            .map(|name| async move { (name.clone(), target_facts(world, limiter, experiment, name).await) })
            .buffered(MAX_CONCURRENCY);
        while let Some((name, target)) = observations.next().await {
            observed.insert(name, target);
        }
        if !pools.drop_ghosts(&observed) {
            return Ok((functions, observed));
        }
    }
}

/// Returns the targets, and adds each function that is no valid target to `unresolved`, with the reason.
fn targets(
    functions: Vec<FunctionName>,
    mut observed: Observed,
    unresolved: &mut Vec<(String, String)>,
) -> Result<Vec<TargetFacts>, StepError> {
    let mut targets: Vec<TargetFacts> = Vec::new();
    for name in functions {
        match observed.remove(&name) {
            Some(Ok(target)) if targets.iter().any(|other| other.seen.arn == target.seen.arn) => {
                unresolved.push((name.to_string(), "it is the same function as another target".to_owned()));
            }
            Some(Ok(target)) => targets.push(target),
            Some(Err(StepError::Function {
                error:
                    error @ (FunctionError::NotFound(_)
                    | FunctionError::Denied(_)
                    | FunctionError::Rejected(_)
                    | FunctionError::OtherRegion { .. }
                    | FunctionError::Unreadable(_)),
                ..
            })) => {
                unresolved.push((name.to_string(), error.to_string()));
            }
            Some(Err(error)) => return Err(error),
            // This function exceeds the limit of targets.
            None => {}
        }
    }
    Ok(targets)
}

/// Returns the conditions of the steady state that can be evaluated. A guardrail refuses an alarm that does not exist.
fn existing_conditions(experiment: &Experiment, alarms: &[(AlarmName, Option<AlarmFact>)]) -> Vec<Condition> {
    let is_missing = |name: &AlarmName| alarms.iter().any(|(other, fact)| other == name && fact.is_none());
    let exists = |condition: &&Condition| match condition {
        Condition::Alarm(name) => !is_missing(name),
        Condition::Metric { .. } => true,
    };
    experiment.steady_state.iter().filter(exists).cloned().collect()
}

/// The functions that the targets of an experiment may resolve to.
struct Pools {
    named: BTreeSet<FunctionName>,
    tagged: Vec<Pool>,
    seed: Option<u32>,
    ghosts: BTreeSet<FunctionName>,
}

/// The functions that have certain tags, in the order in which they are drawn.
struct Pool {
    tags: String,
    drawn: Vec<FunctionArn>,
    select: Select,
}

impl Pool {
    fn without<'a>(&'a self, ghosts: &'a BTreeSet<FunctionName>) -> impl Iterator<Item = &'a FunctionArn> {
        self.drawn.iter().filter(|arn| !ghosts.iter().any(|ghost| ghost.as_str() == arn.as_str()))
    }
}

async fn resolve(world: &impl World, experiment: &Experiment) -> Result<Pools, StepError> {
    // Without a seed in the experiment, each run draws again. A fixed draw would always choose the same functions.
    let seed = experiment.draws().then(|| experiment.seed.unwrap_or_else(|| fresh_seed(world)));
    let mut pools = Pools { named: BTreeSet::new(), tagged: Vec::new(), seed, ghosts: BTreeSet::new() };
    for target in &experiment.targets {
        match target {
            Target::Function(name) => {
                pools.named.insert(name.clone());
            }
            Target::Tagged { tags, select } => {
                let matching = retry(world, || world.tagged(tags)).await;
                let matching = matching.map_err(|error| StepError::function("tags", error))?;
                let tags = tags_text(tags);
                // If all functions are targets, their order does not matter.
                let drawn = draw(matching, seed.unwrap_or_default());
                pools.tagged.push(Pool { tags, drawn, select: *select });
            }
        }
    }
    Ok(pools)
}

/// Makes a random seed. It has 32 bits, so it combines both halves of a random number.
fn fresh_seed(world: &impl World) -> u32 {
    let random = world.random();
    u32::try_from((random ^ (random >> 32)) & u64::from(u32::MAX)).unwrap_or_default()
}

impl Pools {
    /// Returns the functions that are named or drawn, each once.
    fn functions(&self) -> Vec<FunctionName> {
        let mut tagged: BTreeSet<&FunctionArn> = BTreeSet::new();
        for pool in &self.tagged {
            let amount = pool.select.amount(pool.without(&self.ghosts).count());
            tagged.extend(pool.without(&self.ghosts).take(amount));
        }
        // A function that is named and also has the tags is one target, under the name in the experiment.
        tagged.retain(|arn| !self.named.iter().any(|name| names(name, arn)));
        let tagged = tagged.into_iter().filter_map(|arn| FunctionName::try_from(arn.as_str()).ok());
        self.named.iter().cloned().chain(tagged).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Excludes deleted functions, which GetResources can still return (aws/aws-sdk#302). The next functions of the
    /// draw take their place. Returns whether any were excluded.
    fn drop_ghosts(&mut self, observed: &Observed) -> bool {
        let before = self.ghosts.len();
        let is_deleted = |target: &Result<TargetFacts, StepError>| {
            matches!(target, Err(StepError::Function { error: FunctionError::NotFound(_), .. }))
        };
        let deleted = observed.iter().filter(|(name, target)| is_deleted(target) && !self.named.contains(*name));
        let deleted: Vec<FunctionName> = deleted.map(|(name, _)| name.clone()).collect();
        self.ghosts.extend(deleted);
        self.ghosts.len() > before
    }

    fn draws(&self) -> Vec<Draw> {
        let draw = |pool: &Pool| {
            let matching = pool.without(&self.ghosts).count();
            Draw { tags: pool.tags.clone(), matching, drawn: pool.select.amount(matching) }
        };
        self.tagged.iter().map(draw).collect()
    }

    /// Returns the tags without a function, each with the reason.
    fn unmatched(&self) -> Vec<(String, String)> {
        let empty = self.tagged.iter().filter(|pool| pool.without(&self.ghosts).next().is_none());
        empty
            .map(|pool| {
                let why = if pool.drawn.is_empty() { "has these tags" } else { "with these tags exists any more" };
                (pool.tags.clone(), format!("no function {why}"))
            })
            .collect()
    }

    fn notes(&self) -> Vec<String> {
        let note = |name: &FunctionName| {
            let name = name.as_str().rsplit(':').next().unwrap_or_default();
            format!("{name}: it was deleted, although its tags can still be found; it is no target")
        };
        self.ghosts.iter().map(note).collect()
    }
}

/// Whether a name, a partial ARN or an ARN refers to this function, regardless of its qualifier.
fn names(name: &FunctionName, arn: &FunctionArn) -> bool {
    let rest = arn.as_str().strip_suffix(name.unqualified());
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(':'))
}

async fn target_facts(
    world: &impl World,
    limiter: &RateLimiter,
    experiment: &Experiment,
    asked: FunctionName,
) -> Result<TargetFacts, StepError> {
    let mappings = experiment.needs_mappings();
    let seen =
        limiter.read(world, Quota::of_observation(mappings), || world.observe(asked.unqualified(), mappings)).await;
    let seen = seen.map_err(|error| StepError::function(asked.as_str(), error))?;
    let lock = retry(world, || world.lock(&seen.arn)).await?;
    let aliases = if experiment.changes_latest() {
        let aliases = limiter.read(world, &[Quota::ControlPlane], || world.aliases(&seen.arn)).await;
        aliases.map_err(|error| StepError::function(asked.as_str(), error))?
    } else {
        Vec::new()
    };
    let mut mapping_tags = BTreeMap::new();
    for mapping in &seen.mappings {
        let tags = limiter.read(world, &[Quota::ControlPlane], || world.mapping_tags(&seen.arn, &mapping.id)).await;
        mapping_tags.insert(mapping.id.clone(), tags.map_err(|error| StepError::function(asked.as_str(), error))?);
    }
    // A container image cannot have layers, and Lambda refuses to return its code signing configuration.
    let code_signing = if experiment.adds_layers() && seen.package == Package::Zip {
        let code_signing = limiter.read(world, &[Quota::ControlPlane], || world.code_signing(&seen.arn)).await;
        code_signing.map_err(|error| StepError::function(asked.as_str(), error))?
    } else {
        CodeSigning::Off
    };
    // The runtime of a container image is in the image (lambda/latest/dg/runtimes-update).
    let runtime_updates = if experiment.changes_latest() && seen.package == Package::Zip {
        let updates = limiter.read(world, &[Quota::ControlPlane], || world.runtime_updates(&seen.arn)).await;
        Some(updates.map_err(|error| StepError::function(asked.as_str(), error))?)
    } else {
        None
    };
    Ok(TargetFacts { asked: Some(asked), seen, lock, aliases, mapping_tags, code_signing, runtime_updates })
}

/// Reads the account's concurrency if the faults could use it up.
async fn account(
    world: &impl World,
    limiter: &RateLimiter,
    settings: &Settings,
    experiment: &Experiment,
    targets: &[TargetFacts],
) -> Result<Option<AccountConcurrency>, StepError> {
    if !targets.iter().any(|target| may_pile_up(experiment, settings, &target.seen)) {
        return Ok(None);
    }
    match limiter.read(world, &[Quota::ControlPlane], || world.account()).await {
        Ok(account) => Ok(Some(account)),
        Err(FunctionError::Denied(_)) => Ok(None),
        Err(error) => Err(StepError::function("the account's settings", error)),
    }
}

async fn layer_facts(
    world: &impl World,
    limiter: &RateLimiter,
    settings: &Settings,
    experiment: &Experiment,
    targets: &[TargetFacts],
) -> Result<BTreeMap<LayerVersionArn, LayerFact>, StepError> {
    let mut layers: BTreeSet<&LayerVersionArn> = BTreeSet::new();
    for fault in &experiment.faults {
        match fault {
            Fault::Handler(HandlerFault::Brought(fault)) => layers.extend(&fault.layers),
            Fault::Layer(fault) => layers.extend(&fault.layers),
            _ => {}
        }
    }
    if experiment.needs_proxy() {
        layers.extend(targets.iter().filter_map(|target| settings.proxy_layers.of(&target.seen.architecture)));
    }
    if experiment.needs_chaos_handler() {
        layers.extend(settings.proxy_layers.handler());
    }
    if layers.is_empty() {
        return Ok(BTreeMap::new());
    }
    layers.extend(targets.iter().flat_map(|target| &target.seen.layers));
    let mut facts = BTreeMap::new();
    for layer in layers {
        if layer.is_lambdas_own() {
            facts.insert(layer.clone(), LayerFact::plain());
            continue;
        }
        let fact = limiter.read(world, &[Quota::ControlPlane], || world.layer(layer)).await;
        facts.insert(layer.clone(), fact.map_err(|error| StepError::function(layer.as_str(), error))?);
    }
    Ok(facts)
}

async fn alarm_facts(
    world: &impl World,
    experiment: &Experiment,
) -> Result<Vec<(AlarmName, Option<AlarmFact>)>, StepError> {
    let names = experiment.alarms();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let facts = retry(world, || world.alarms(&names)).await?;
    Ok(names.into_iter().zip(facts).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SimWorld;

    #[test]
    fn a_fresh_seed_combines_both_halves_of_a_random_number() {
        let world = SimWorld::default();
        // The simulated world's numbers are the multiples of 0x9e37_79b9_7f4a_7c15.
        assert_eq!([fresh_seed(&world), fresh_seed(&world)], [0, 0x9e37_79b9 ^ 0x7f4a_7c15]);
    }
}
