//! The checks of the notices at the end of a history: they tell what the ledger then says, each transition once, in
//! order, and no value of a variable.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::names::{FunctionArn, RunId};
use crate::model::notice::{EndStatus, Notice, NoticeReason, Transition};
use crate::model::run::{EndReason, Run, TargetRecord, TargetStatus};
use crate::testing::State;
use crate::testing::samples::SECRET;

/// Returns what is wrong with the notices of a history that is over.
pub(super) fn violations(state: &State) -> Vec<String> {
    let notices = &state.outbox.notices;
    let mut found = Vec::new();
    let ids: BTreeSet<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
    if ids.len() != notices.len() {
        found.push("two notices have the same ID".to_owned());
    }
    if notices.iter().any(|notice| serde_json::to_string(notice).is_ok_and(|text| text.contains(SECRET))) {
        found.push("a notice has the value of a variable".to_owned());
    }
    for run in state.runs.values() {
        let targets: Vec<&TargetRecord> = state.targets.values().filter(|target| target.run == run.id).collect();
        let told: Vec<String> = notices.iter().filter_map(|notice| of_run(notice, &run.id)).collect();
        let expected = expected_of_run(run, &targets, &told);
        if told != expected {
            found.push(format!("the notices of {} are {told:?}, expected {expected:?}", run.id));
        }
    }
    let told = told_endings(notices);
    let ended = state.targets.iter().filter_map(|(key, target)| Some((key.clone(), vec![ending(target)?])));
    let expected: BTreeMap<(RunId, FunctionArn), Vec<String>> = ended.collect();
    if told != expected {
        found.push(format!("the targets' notices are {told:?}, expected {expected:?}"));
    }
    found.extend(state.targets.values().filter_map(|target| untold_error(notices, target)));
    found
}

/// Returns a notice about a run itself in a few words.
fn of_run(notice: &Notice, id: &RunId) -> Option<String> {
    let reason = |reason: &Option<NoticeReason>| reason.as_ref().map(|reason| reason.text.clone());
    let (run, what) = match &notice.transition {
        Transition::RunStarted { run, .. } => (run, "started".to_owned()),
        Transition::RunObserving { run, .. } => (run, "observing".to_owned()),
        Transition::RunStopping { run, reason: why, .. } => (run, format!("stopping: {:?}", reason(why))),
        Transition::RunEnded { run, status, reason: why, .. } => (run, format!("{status:?}: {:?}", reason(why))),
        _ => return None,
    };
    (run.run_id == *id).then_some(what)
}

/// Returns what the notices of a closed run should be. The ledger does not say when a run was started, only that some
/// target was armed; and its duration may have begun when the run was already stopping. There, what was told decides.
fn expected_of_run(run: &Run, targets: &[&TargetRecord], told: &[String]) -> Vec<String> {
    let armed = targets.iter().any(|target| !matches!(target.status, TargetStatus::Pending | TargetStatus::Untouched));
    let was_told = |what: &str| told.iter().any(|told| told == what);
    let reason = run.reason.as_ref().map(ToString::to_string);
    let status = EndStatus::of(run.reported_status());
    // A marker was never active.
    let was_recorded = !run.is_without_record();
    let mut expected = Vec::new();
    expected.extend((armed || was_told("started")).then(|| "started".to_owned()));
    let has_elapsed = run.reason == Some(EndReason::DurationElapsed);
    expected.extend((run.ends_at.is_some() && (has_elapsed || was_told("observing"))).then(|| "observing".to_owned()));
    expected.extend(was_recorded.then(|| format!("stopping: {reason:?}")));
    expected.extend(status.map(|status| format!("{status:?}: {reason:?}")));
    expected
}

/// Returns how each target has ended, as the notices tell it after its run was stopping.
fn told_endings(notices: &[Notice]) -> BTreeMap<(RunId, FunctionArn), Vec<String>> {
    let mut told = BTreeMap::<_, Vec<_>>::new();
    let mut stopping = BTreeSet::new();
    for notice in notices {
        let (target, how) = match &notice.transition {
            Transition::TargetRestored { target, .. } => (target, "restored".to_owned()),
            Transition::TargetDrifted { target, drift, .. } => {
                (target, in_words(TargetStatus::Drifted, drift.iter().map(|drift| &drift.field)))
            }
            Transition::TargetDeleted { target } => (target, "deleted".to_owned()),
            Transition::RunStopping { run, .. } => {
                stopping.insert(&run.run_id);
                continue;
            }
            _ => continue,
        };
        let how = if stopping.contains(&target.run_id) { how } else { format!("{how} too early") };
        told.entry((target.run_id.clone(), target.function.clone())).or_default().push(how);
    }
    told
}

fn ending(target: &TargetRecord) -> Option<String> {
    match target.status {
        TargetStatus::Restored | TargetStatus::Deleted => Some(target.status.name().to_owned()),
        TargetStatus::Drifted => Some(in_words(target.status, target.drift.iter().map(|drift| &drift.field))),
        _ => None,
    }
}

fn in_words<'a>(status: TargetStatus, fields: impl Iterator<Item = &'a String>) -> String {
    format!("{}: {:?}", status.name(), fields.collect::<Vec<_>>())
}

/// A target that is not restored must have told its last error.
fn untold_error(notices: &[Notice], record: &TargetRecord) -> Option<String> {
    let error = record.restore_error.as_ref()?;
    let last = notices.iter().rev().find_map(|notice| match &notice.transition {
        Transition::RestoreFailed { target, error }
            if target.run_id == record.run && target.function == record.function =>
        {
            Some(error)
        }
        _ => None,
    });
    (last != Some(error)).then(|| format!("{}: its error `{error}` was not told", record.function.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::guarded_write::{self as writes, GuardedWrite};
    use crate::model::marker::stopped_marker;
    use crate::model::run::{RunEnding, RunStatus, TargetEnding};
    use crate::model::time::Time;
    use crate::ports::WriteOutcome;
    use crate::testing::BEGINNING;
    use crate::testing::samples::{function_arn, run_id};

    fn ending_of(function: &FunctionArn) -> TargetEnding {
        TargetEnding {
            run: run_id("r"),
            function: function.clone(),
            from: TargetStatus::Pending,
            status: TargetStatus::Untouched,
            observed_at: BEGINNING,
            drift: Vec::new(),
            frozen_versions: Vec::new(),
            runtime_version: None,
            redacted: Vec::new(),
        }
    }

    /// A run that was stopped before it armed its target.
    fn played() -> State {
        let mut state = State::default();
        let (id, function) = (run_id("r"), function_arn("checkout"));
        let ending = RunEnding { reason: EndReason::UserRequest, by: None };
        let mut run = stopped_marker(&id, &ending, BEGINNING);
        (run.status, run.reason, run.stopping_at, run.closed_at) = (RunStatus::Pending, None, None, None);
        run.unread = Some("a test".into());
        let mut all: Vec<GuardedWrite> = vec![writes::create_run(&run)];
        all.extend(writes::add_targets(&id, std::slice::from_ref(&function)));
        all.push(writes::start_run(&id));
        all.push(writes::stop_run(&id, &ending, Time(7)));
        all.push(writes::end_target(&ending_of(&function), Time(8), false));
        all.push(writes::close_run(&id, RunStatus::Stopped, Time(9)));
        for write in &all {
            assert_eq!(state.carry_out(write), WriteOutcome::Applied, "{}", write.name);
        }
        state
    }

    #[test]
    fn a_lost_a_doubled_and_a_swapped_notice_are_found() {
        assert_eq!(violations(&played()), Vec::<String>::new());
        assert_eq!(played().outbox.notices.len(), 3);
        let lost = |at: usize| {
            let mut state = played();
            state.outbox.notices.remove(at);
            state
        };
        // Nothing in the ledger tells that a run has started which has armed nothing.
        assert_eq!([0, 1, 2].map(|at| violations(&lost(at)).len()), [0, 1, 1]);
        let mut doubled = played();
        let again = doubled.outbox.notices[1].clone();
        doubled.outbox.notices.push(again);
        assert_eq!(violations(&doubled).len(), 2);
        let mut swapped = played();
        swapped.outbox.notices.swap(0, 1);
        assert_eq!(violations(&swapped).len(), 1);
        let mut shown = played();
        shown.outbox.notices[2].summary.push_str(SECRET);
        assert_eq!(violations(&shown).len(), 1);
    }
}
