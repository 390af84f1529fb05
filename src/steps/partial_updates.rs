//! The smaller updates that a restore sends after AWS has refused an update of the configuration.
//!
//! AWS can refuse one part of an update permanently. A layer version that was deleted during the run cannot be attached
//! again (lambda/latest/dg/chapter-layers). An environment can exceed 4 KB with its original values, or need a key that
//! may not be used (lambda/latest/dg/configuration-envvars). AWS then refuses the whole call, and every other field
//! keeps its fault. So the restore sends the rest without the layers, then without the environment, then without both.

use std::collections::VecDeque;

use crate::model::snapshot::{ConfigurationUpdate, Write};
use crate::ports::FunctionError;

/// The updates that are left to try, and what is known about the refused parts.
#[derive(Debug, Default)]
pub(super) struct PartialUpdates {
    /// Whether the whole update was refused.
    begun: bool,
    left: VecDeque<Partial>,
    /// The distinct messages of the refusals.
    refusals: Vec<String>,
    /// The parts that the accepted update did not have.
    missing: Option<&'static str>,
}

#[derive(Debug)]
struct Partial {
    update: ConfigurationUpdate,
    missing: &'static str,
}

impl PartialUpdates {
    /// Records the refusal of a write. Returns the update to send in its place, if there is one. Each has fewer fields
    /// than the whole update.
    pub(super) fn refused(&mut self, write: &Write, error: &FunctionError) -> Option<Write> {
        let Write::Configuration(update) = write else { return None };
        let (FunctionError::Rejected(why) | FunctionError::Denied(why)) = error else { return None };
        if !self.refusals.contains(why) {
            self.refusals.push(why.clone());
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.left = partials(update);
        } else {
            self.left.pop_front();
        }
        self.left.front().map(|partial| Write::Configuration(partial.update.clone()))
    }

    /// Records that a write has landed. If it was a smaller update, AWS refuses the parts that it did not have.
    pub(super) fn landed(&mut self, write: &Write) {
        if matches!(write, Write::Configuration(_)) {
            self.missing = self.left.drain(..).next().map(|partial| partial.missing);
        }
    }

    /// Adds the refused parts to a refusal, if the rest of the update has landed.
    pub(super) fn named(&self, write: &Write, error: FunctionError) -> FunctionError {
        let Write::Configuration(update) = write else { return error };
        let Some(missing) = self.missing.or_else(|| only_parts(update)) else { return error };
        let refusals = self.refusals.join("; ");
        let why = format!("the {missing} cannot be restored, the rest of the configuration is restored: {refusals}");
        match error {
            FunctionError::Rejected(_) => FunctionError::Rejected(why),
            FunctionError::Denied(_) => FunctionError::Denied(why),
            error => error,
        }
    }
}

/// Returns which of the refusable parts an update has, if it has no other field.
fn only_parts(update: &ConfigurationUpdate) -> Option<&'static str> {
    let parts = ConfigurationUpdate {
        revision_id: update.revision_id.clone(),
        layers: update.layers.clone(),
        environment: update.environment.clone(),
        ..ConfigurationUpdate::default()
    };
    match (*update == parts, &update.layers, &update.environment) {
        (true, Some(_), None) => Some("layers"),
        (true, None, Some(_)) => Some("environment"),
        (true, Some(_), Some(_)) => Some("layers and the environment"),
        _ => None,
    }
}

fn partials(update: &ConfigurationUpdate) -> VecDeque<Partial> {
    let nothing = ConfigurationUpdate { revision_id: update.revision_id.clone(), ..ConfigurationUpdate::default() };
    let without = |layers: bool, environment: bool| ConfigurationUpdate {
        layers: update.layers.clone().filter(|_| !layers),
        environment: update.environment.clone().filter(|_| !environment),
        ..update.clone()
    };
    let mut partials: VecDeque<Partial> = VecDeque::new();
    for (layers, environment, missing) in
        [(true, false, "layers"), (false, true, "environment"), (true, true, "layers and the environment")]
    {
        let rest = without(layers, environment);
        let is_new = rest != *update && partials.iter().all(|partial| partial.update != rest);
        if is_new && rest != nothing {
            partials.push_back(Partial { update: rest, missing });
        }
    }
    partials
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::samples::layer_arn;

    fn update(layers: bool, environment: bool, timeout: bool) -> ConfigurationUpdate {
        ConfigurationUpdate {
            revision_id: "revision-1".into(),
            layers: layers.then(|| vec![layer_arn("own")]),
            environment: environment.then(BTreeMap::new),
            timeout: timeout.then_some(3),
            ..ConfigurationUpdate::default()
        }
    }

    #[test]
    fn the_rest_of_an_update_is_distinct_and_not_empty() {
        let missing = |layers, environment, timeout| -> Vec<&str> {
            partials(&update(layers, environment, timeout)).iter().map(|partial| partial.missing).collect()
        };
        assert_eq!(missing(true, true, true), ["layers", "environment", "layers and the environment"]);
        assert_eq!(missing(true, true, false), ["layers", "environment"], "without both, nothing is left");
        assert_eq!(missing(true, false, true), ["layers"]);
        assert_eq!(missing(false, true, true), ["environment"]);
        for nothing_left in [(true, false, false), (false, true, false), (false, false, true)] {
            assert_eq!(missing(nothing_left.0, nothing_left.1, nothing_left.2), Vec::<&str>::new());
        }
    }

    #[test]
    fn only_a_refused_configuration_is_sent_in_parts() {
        let whole = Write::Configuration(update(true, true, true));
        let mut partial = PartialUpdates::default();
        assert_eq!(partial.refused(&whole, &FunctionError::NotFound("it".into())), None);
        let disable = Write::Concurrency(crate::model::function::Slot::Absent);
        assert_eq!(partial.refused(&disable, &FunctionError::Rejected("no".into())), None);
        let no = FunctionError::Rejected("no".into());
        let mut sent = vec![whole.clone()];
        while let Some(rest) = partial.refused(&sent[sent.len() - 1], &no) {
            sent.push(rest);
        }
        let parts = [(true, true), (false, true), (true, false), (false, false)];
        let parts = parts.map(|(layers, environment)| Write::Configuration(update(layers, environment, true)));
        assert_eq!(sent, parts);
        assert_eq!(partial.named(&whole, no.clone()), no, "nothing has landed, so nothing is known about the parts");
    }
}
