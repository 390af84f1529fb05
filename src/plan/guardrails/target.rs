//! Guardrails on one target: its state, opt-in and lock, and whether a restore could update it.

use std::time::Duration;

use crate::model::experiment::Experiment;
use crate::model::facts::{Facts, TargetFacts};
use crate::model::function::{Environment, LastUpdate, Lifecycle, Observation, Tags};
use crate::model::names::RunId;
use crate::model::refusal::{Guardrail, Refusal};
use crate::model::settings::Settings;
use crate::model::text::LATEST_PUBLISHED;
use crate::plan::own::is_named_as_own;
use crate::plan::runtimes::blocked_from;

use super::qualifiers::{qualifier, qualifiers_of_faults};

/// The longest delay of a restore for which a function must still be updatable.
const MAX_RESTORE_DELAY: Duration = Duration::from_secs(86_400);

pub(super) fn about_target(experiment: &Experiment, facts: &Facts, target: &TargetFacts) -> Vec<Refusal> {
    let seen = &target.seen;
    let mut refusals = Vec::new();
    let mut refuse = |guardrail, reason: String, fix: String| {
        refusals.push(Refusal::new(guardrail, seen.arn.name(), reason, fix));
    };
    // All further reasons would have fixes that must not be followed.
    if is_own(&facts.settings, seen) {
        refuse(
            Guardrail::OwnFunction,
            "it is one of snapback's own functions".into(),
            "remove it from the targets".into(),
        );
        return refusals;
    }
    if let Lifecycle::Other(state) = &seen.state {
        let (reason, fix) = not_active(state);
        refuse(Guardrail::Ready, reason, fix.to_owned());
    }
    match seen.last_update {
        LastUpdate::Successful => {}
        // A function that is being created is not active either: one cause, one refusal.
        LastUpdate::InProgress if seen.state != Lifecycle::Active => {}
        LastUpdate::InProgress => {
            refuse(Guardrail::Ready, "an update is in progress".into(), "wait until the update has ended".into())
        }
        LastUpdate::Failed => refuse(
            Guardrail::Ready,
            "its last update failed, so invocations run with an older configuration than it shows".into(),
            "update it successfully".into(),
        ),
    }
    if let Some((reason, fix)) = opt_in(&facts.settings, &seen.tags) {
        refuse(Guardrail::OptIn, reason, fix);
    }
    if let Some(run) = holder(target) {
        refuse(
            Guardrail::Unlocked,
            format!("the run {run} has locked it"),
            format!("wait for the run to end, or end it: snapback rollback {run}"),
        );
    } else if let Some(leftover) = leftover(&facts.settings, seen) {
        refuse(
            Guardrail::Leftovers,
            format!("it already has a leftover of snapback: {leftover}"),
            "remove it, if no run is using it".into(),
        );
    }
    if experiment.changes_latest() {
        refusals.extend(about_latest(experiment, facts, target));
    }
    refusals
}

/// The run that has locked the target. What snapback finds in the function then belongs to that run.
pub(super) fn holder(target: &TargetFacts) -> Option<&RunId> {
    target.lock.as_ref()?.run.as_ref()
}

/// Whether a change of `$LATEST` can be restored, and whether the target's invocations meet it.
fn about_latest(experiment: &Experiment, facts: &Facts, target: &TargetFacts) -> Vec<Refusal> {
    let seen = &target.seen;
    let mut refusals = Vec::new();
    let mut refuse = |guardrail, reason: String, fix: String| {
        refusals.push(Refusal::new(guardrail, seen.arn.name(), reason, fix));
    };
    if let Some(runtime) = &seen.runtime {
        // The restore also needs an update, and may be late.
        if let Some(from) = blocked_from(runtime, facts.now + experiment.duration.get() + MAX_RESTORE_DELAY) {
            let reason =
                format!("Lambda refuses updates of functions on {runtime} from {from}, so nothing could be restored");
            refuse(Guardrail::Runtime, reason, "move the function to a current runtime".into());
        }
    }
    if seen.environment == Environment::Unreadable {
        refuse(
            Guardrail::Environment,
            "its environment cannot be read, so it could not be restored".into(),
            "give snapback's roles kms:Decrypt on the function's key".into(),
        );
    }
    if seen.managed_instances {
        let reason = format!(
            "it runs on Lambda Managed Instances, where invocations without a qualifier go to {LATEST_PUBLISHED}, so \
             none would meet a fault on $LATEST"
        );
        refuse(Guardrail::Effect, reason, "target functions that do not run on Managed Instances".into());
    }
    if let Some((reason, fix)) = qualifier(target) {
        refuse(Guardrail::Qualifier, reason, fix);
    }
    for (reason, fix) in qualifiers_of_faults(experiment, target) {
        refuse(Guardrail::Qualifier, reason, fix);
    }
    refusals
}

/// A function that was idle for long becomes inactive, and only an invocation reactivates it. A function whose creation
/// failed never becomes active (lambda/latest/dg/functions-states).
fn not_active(state: &str) -> (String, &'static str) {
    match state {
        "Inactive" => (
            "its state is Inactive: it was idle for so long that Lambda has reclaimed its resources".into(),
            "invoke it once, then wait until it is Active",
        ),
        "Failed" => ("its state is Failed".into(), "delete it and create it again"),
        other => (format!("its state is {other}"), "wait until it is Active"),
    }
}

pub(super) fn opt_in(settings: &Settings, tags: &Tags) -> Option<(String, String)> {
    let (key, value) = &settings.opt_in;
    match tags {
        Tags::Known(tags) if tags.get(key) == Some(value) => None,
        Tags::Known(_) => Some((
            format!("it does not have the tag {key}: {value}"),
            "tag it, if its owners agree to experiments".to_owned(),
        )),
        Tags::Unknown => Some((
            "its tags cannot be read, so it has not opted in".to_owned(),
            "allow lambda:ListTags on it".to_owned(),
        )),
    }
}

fn is_own(settings: &Settings, seen: &Observation) -> bool {
    let tagged = matches!(&seen.tags, Tags::Known(tags) if tags.contains_key("snapback"));
    tagged || is_named_as_own(&settings.prefix, &seen.arn)
}

/// Finds a variable or a layer that another run has left. Its fault would be recorded as the original.
fn leftover(settings: &Settings, seen: &Observation) -> Option<String> {
    if let Environment::Readable(variables) = &seen.environment
        && let Some(name) = variables.keys().find(|name| name.starts_with("SNAPBACK_"))
    {
        return Some(format!("the variable {name}"));
    }
    let (proxy, handler) = (format!("{}-proxy-", settings.prefix), format!("{}-handler", settings.prefix));
    let is_snapbacks = |name: &str| name.starts_with("snapback-") || name.starts_with(&proxy) || name == handler;
    let layer = seen.layers.iter().find(|layer| layer.layer().rsplit(':').next().is_some_and(is_snapbacks))?;
    Some(format!("the layer {layer}"))
}
