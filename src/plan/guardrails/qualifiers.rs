//! Guardrails on aliases and versions: whether traffic through a qualifier meets a change of `$LATEST`.

use crate::model::experiment::Experiment;
use crate::model::facts::TargetFacts;
use crate::model::fault::Fault;
use crate::model::text::LATEST_PUBLISHED;

/// Published versions are immutable: traffic through one does not see a change of `$LATEST`.
pub(super) fn qualifier(target: &TargetFacts) -> Option<(String, String)> {
    let qualifier = target.asked.as_ref()?.qualifier()?;
    let fix = "target the function without the qualifier if its $LATEST serves traffic, or use reservedConcurrency";
    match sees_latest(target, qualifier) {
        Sight::Latest => None,
        Sight::Pinned(why) => Some((format!("the fault changes $LATEST, and {why}"), fix.to_owned())),
        Sight::Nothing => Some((format!("it has no alias {qualifier}"), "correct the target".to_owned())),
    }
}

/// A fault for one alias or version is never triggered if that one does not serve `$LATEST`.
pub(super) fn qualifiers_of_faults(experiment: &Experiment, target: &TargetFacts) -> Vec<(String, String)> {
    let mut refusals = Vec::new();
    for fault in experiment.faults.iter().filter_map(Fault::invocation) {
        let (name, rule) = (fault.name(), fault.rule());
        let Some(qualifier) = rule.qualifier else { continue };
        let reason = match sees_latest(target, qualifier) {
            Sight::Latest => continue,
            Sight::Pinned(why) => format!("the {name} fault changes $LATEST, and {why}"),
            Sight::Nothing => format!("the {name} fault is for its alias {qualifier}, which it does not have"),
        };
        let fix = "name an alias that points at $LATEST, or remove the fault's qualifier";
        refusals.push((reason, fix.to_owned()));
    }
    refusals
}

/// What serves traffic through a qualifier.
enum Sight {
    Latest,
    /// A version; why that is.
    Pinned(String),
    /// There is no such alias.
    Nothing,
}

fn sees_latest(target: &TargetFacts, qualifier: &str) -> Sight {
    if qualifier == "$LATEST" {
        return Sight::Latest;
    }
    if qualifier == LATEST_PUBLISHED || qualifier.bytes().all(|b| b.is_ascii_digit()) {
        return Sight::Pinned(format!("version {qualifier} would not see it"));
    }
    match target.aliases.iter().find(|alias| alias.name == qualifier) {
        Some(alias) if alias.version == "$LATEST" => Sight::Latest,
        Some(alias) => Sight::Pinned(format!("the alias {qualifier} points at version {}", alias.version)),
        None => Sight::Nothing,
    }
}
