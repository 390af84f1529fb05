//! Decides what an inject does next, from one fresh observation.

use crate::model::function::{LastUpdate, Observation};
use crate::model::snapshot::{Change, Surface, Write};

use super::field_state::{FieldState, field_state, is_untouched};
use super::writes::{Direction, writes};

/// The next step of an inject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InjectPlan {
    /// Make these calls.
    Write(Vec<Write>),
    /// The fault is in place and serves invocations.
    Injected,
    /// Observe again later, for this reason.
    Wait(&'static str),
    /// Do not inject, because this field no longer has the value that the snapshot recorded.
    Stale(String),
}

/// Decides the first inject of one function: every touched field must have the value that the snapshot recorded.
#[must_use]
pub fn plan_first_inject(changes: &[Change], now: &Observation) -> InjectPlan {
    if let Some(changed) = changes.iter().find(|change| !is_untouched(change, now)) {
        if let FieldState::Unknown(why) = field_state(changed, now) {
            return InjectPlan::Wait(why);
        }
        return InjectPlan::Stale(changed.field().to_string());
    }
    plan_inject(changes, now)
}

/// Decides an inject that may have begun before: a field that has the fault stays, and the others are written.
#[must_use]
pub fn plan_inject(changes: &[Change], now: &Observation) -> InjectPlan {
    let configuration = changes.iter().any(|change| change.surface() == Surface::Configuration);
    if configuration && now.last_update == LastUpdate::InProgress {
        return InjectPlan::Wait("an update of the function is in progress");
    }
    let mut to_inject: Vec<&Change> = Vec::new();
    for change in changes {
        match field_state(change, now) {
            FieldState::Original => to_inject.push(change),
            FieldState::Injected => {}
            FieldState::Drifted(drift) => return InjectPlan::Stale(drift.field),
            FieldState::Unknown(why) => return InjectPlan::Wait(why),
        }
    }
    match to_inject.is_empty() {
        true if configuration && now.last_update == LastUpdate::Failed => {
            InjectPlan::Stale("configuration (its update failed)".to_owned())
        }
        true => InjectPlan::Injected,
        false => InjectPlan::Write(writes(&to_inject, now, Direction::Inject)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::function::{Environment, Slot};
    use crate::model::names::VariableName;
    use crate::model::secret::Secret;
    use crate::testing::samples::{layer_arn, observation};

    const CONCURRENCY: Change = Change::ReservedConcurrency { original: Slot::Present(5), injected: 0 };
    const TIMEOUT: Change = Change::Timeout { original: 10, injected: 1 };

    fn seen(change: impl FnOnce(&mut Observation)) -> Observation {
        let mut now = observation("checkout");
        change(&mut now);
        now
    }

    #[test]
    fn a_configuration_is_in_place_only_after_its_update_completed() {
        let with = |last_update| seen(|now| (now.timeout, now.last_update) = (1, last_update));
        let plan = |last_update| plan_inject(&[TIMEOUT], &with(last_update));
        assert_eq!(plan(LastUpdate::Successful), InjectPlan::Injected);
        assert_eq!(plan(LastUpdate::InProgress), InjectPlan::Wait("an update of the function is in progress"));
        assert_eq!(plan(LastUpdate::Failed), InjectPlan::Stale("configuration (its update failed)".into()));
    }

    #[test]
    fn an_update_of_the_configuration_is_nothing_to_the_concurrency() {
        for last_update in [LastUpdate::InProgress, LastUpdate::Failed] {
            let with = |concurrency| {
                seen(|now| (now.concurrency, now.last_update) = (Slot::Present(concurrency), last_update))
            };
            let write = InjectPlan::Write(vec![Write::Concurrency(Slot::Present(0))]);
            assert_eq!(plan_first_inject(&[CONCURRENCY], &with(5)), write, "{last_update:?}");
            assert_eq!(plan_inject(&[CONCURRENCY], &with(0)), InjectPlan::Injected, "{last_update:?}");
        }
    }

    #[test]
    fn only_the_first_inject_insists_on_the_layers_of_the_snapshot() {
        let (original, added) = (vec![layer_arn("otel"), layer_arn("shared")], vec![layer_arn("chaos")]);
        let changes = [Change::Layers { original, added }];
        let now = seen(|now| now.layers.push(layer_arn("deployed")));
        assert_eq!(plan_first_inject(&changes, &now), InjectPlan::Stale("layers".into()));
        assert!(matches!(plan_inject(&changes, &now), InjectPlan::Write(_)));
    }

    #[test]
    fn what_cannot_be_seen_is_waited_for() {
        let Ok(name) = VariableName::try_from("RUST_LOG") else { unreachable!("it is a name") };
        let (original, injected) = (Slot::Absent, Slot::Present(Secret::new("trace")));
        let changes = [Change::Variable { name, original, injected }];
        let now = seen(|now| now.environment = Environment::Unreadable);
        let wait = InjectPlan::Wait("the environment cannot be read");
        assert_eq!((plan_first_inject(&changes, &now), plan_inject(&changes, &now)), (wait.clone(), wait));
    }
}
