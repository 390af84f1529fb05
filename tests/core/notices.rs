//! The notices: each transition of the ledger in the words of its sample in `events/`, and no value of a variable.

use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::actor::Actor;
use snapback::model::input::read_experiment;
use snapback::model::marker::stopped_marker;
use snapback::model::notice::{LedgerChange, Origin, SOURCE, Transition};
use snapback::model::run::{EndReason, Lever, Run, RunEnding, RunStatus, TargetRecord, TargetStatus};
use snapback::model::snapshot::Drift;
use snapback::model::time::Time;
use snapback::plan::notices::notice_of;
use snapback::testing::BEGINNING;
use snapback::testing::samples::{SECRET, alarm_arn, experiment, faults, function_arn, run_id, world};

use super::stage::{experiments, machine};
use super::support::block_on;

/// When the samples begin.
fn at(seconds: u64) -> Time {
    BEGINNING + Duration::from_secs(seconds)
}

fn ana() -> Actor {
    let caller = "arn:aws:sts::123456789012:assumed-role/Admin/ana";
    serde_json::from_value(json!({ "caller": caller, "via": "command line" })).unwrap()
}

fn origin(seconds: u64, number: u64) -> Origin {
    let sequence_number = format!("30000000002600000000{number}");
    Origin { stack: "snapback".into(), written_at: at(seconds), sequence_number }
}

fn run(status: RunStatus) -> Run {
    let mut text = experiment(&["checkout"], &faults()[..1]);
    text["name"] = json!("Checkout without capacity");
    let mut run = stopped_marker(&run_id("checkout-1"), &RunEnding { reason: EndReason::UserRequest, by: None }, at(0));
    run.experiment = Some(read_experiment(&text).unwrap());
    run.deadline = at(25 * 60);
    run.started_by = Some(ana());
    (run.status, run.stopping_at, run.closed_at, run.reason) = (status, None, None, None);
    run
}

fn run_change(old: Run, new: Run) -> LedgerChange {
    let experiment = new.experiment.as_ref().map(|experiment| experiment.name.to_string());
    LedgerChange::Run { old: Some(old.into()), new: new.into(), experiment }
}

fn stopping() -> Run {
    let reason = EndReason::Alarm { alarm: "checkout-errors".into() };
    let ended_by = Some(Actor::alarm(&alarm_arn("checkout-errors")));
    Run { reason: Some(reason), ended_by, stopping_at: Some(at(130)), ..run(RunStatus::Stopping) }
}

fn target(status: TargetStatus) -> TargetRecord {
    let record = TargetRecord::new(run_id("checkout-1"), function_arn("checkout"));
    TargetRecord { status, ended_at: status.is_final().then(|| at(132)), ..record }
}

fn target_change(new: TargetRecord) -> LedgerChange {
    LedgerChange::Target { old: Some(target(TargetStatus::Restoring).into()), new: new.into() }
}

/// Each sample, and the write that it is about.
fn samples() -> Vec<(&'static str, LedgerChange, Origin)> {
    let observing = Run { ends_at: Some(at(609)), ..run(RunStatus::Running) };
    let ended = Run { status: RunStatus::Stopped, closed_at: Some(at(134)), ..stopping() };
    let note = "was 512 MB, injected 1024 MB, now 2048 MB; left alone".to_owned();
    let drift = vec![Drift { field: "memory".into(), note }];
    let denied = Some("Lambda denies the call".to_owned());
    let lever = Lever { engaged: true, since: at(300), reason: "game day is over".into(), by: Some(ana()) };
    vec![
        ("run-started", run_change(run(RunStatus::Pending), run(RunStatus::Running)), origin(1, 0)),
        ("run-observing", run_change(run(RunStatus::Running), observing.clone()), origin(9, 0)),
        ("run-stopping", run_change(observing, stopping()), origin(0, 0)),
        ("run-ended", run_change(stopping(), ended), origin(0, 0)),
        ("target-restored", target_change(target(TargetStatus::Restored)), origin(0, 0)),
        ("target-drifted", target_change(TargetRecord { drift, ..target(TargetStatus::Drifted) }), origin(0, 0)),
        ("target-deleted", target_change(target(TargetStatus::Deleted)), origin(0, 0)),
        (
            "restore-failed",
            target_change(TargetRecord { restore_error: denied, ..target(TargetStatus::Restoring) }),
            origin(132, 1),
        ),
        ("lever-moved", LedgerChange::Lever { old: None, new: Box::new(lever) }, origin(0, 2)),
    ]
}

fn sample(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("events/event-{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn each_sample_is_the_notice_of_its_transition() {
    for (name, change, origin) in samples() {
        let notice = notice_of(&change, &origin).unwrap_or_else(|| panic!("{name}: no notice"));
        let (sample, detail) = (sample(name), serde_json::to_value(&notice).unwrap());
        assert_eq!(detail, sample["detail"], "{name}");
        assert_eq!((&detail["type"], sample["source"].as_str()), (&sample["detail-type"], Some(SOURCE)), "{name}");
        // The same record again, in another invocation.
        assert_eq!(notice_of(&change, &origin), Some(notice), "{name}");
    }
}

#[test]
fn other_writes_are_no_transition() {
    let running = run(RunStatus::Running);
    let annotated = Run { notes: vec!["a note".into()], ..running.clone() };
    let late = Run { ends_at: Some(at(9)), ..stopping() };
    let waiting = TargetRecord { waiting_for: Some("a deploy".into()), ..target(TargetStatus::Restoring) };
    let mut quiet = vec![
        run_change(running.clone(), annotated),
        run_change(stopping(), late),
        LedgerChange::Run { old: None, new: run(RunStatus::Pending).into(), experiment: None },
        target_change(waiting),
    ];
    use TargetStatus::{Armed, Injected, Injecting, Pending, Untouched};
    quiet.extend([Pending, Armed, Injecting, Injected, Untouched].map(|status| target_change(target(status))));
    let failing = TargetRecord { restore_error: Some("denied".into()), ..target(TargetStatus::Restoring) };
    quiet.push(LedgerChange::Target { old: Some(failing.clone().into()), new: failing.clone().into() });
    // The error is cleared with the target's end, which is the transition.
    let lever = Lever { engaged: true, since: at(1), reason: String::new(), by: None };
    quiet.push(LedgerChange::Lever { old: Some(Box::new(lever.clone())), new: Box::new(lever) });
    for change in quiet {
        assert_eq!(notice_of(&change, &origin(0, 0)), None, "{change:?}");
    }
    let restored = LedgerChange::Target { old: Some(failing.into()), new: target(TargetStatus::Restored).into() };
    let notice = notice_of(&restored, &origin(0, 0)).unwrap();
    assert!(matches!(notice.transition, Transition::TargetRestored { .. }));
}

#[test]
fn the_sentence_of_an_ended_run_says_what_is_open() {
    let summary = |new: Run| notice_of(&run_change(stopping(), new), &origin(0, 0)).unwrap().summary;
    let ended = |status| Run { status, ..stopping() };
    assert!(
        summary(ended(RunStatus::Failed))
            .ends_with(" ended in failure: alarm checkout-errors went into ALARM. NOT restored yet.")
    );
    let reason = Some(EndReason::Overdue);
    assert!(!summary(Run { reason, ..ended(RunStatus::Failed) }).contains("NOT restored yet"));
    let deviated = Run { deviations: Some(vec!["alarm a".into()]), ..ended(RunStatus::Completed) };
    assert!(summary(deviated).ends_with(" Deviated after the restore: alarm a."));
    // Without a steady state, an empty list says nothing.
    let unproven =
        Run { deviations: Some(Vec::new()), effect: Some("no invocation".into()), ..ended(RunStatus::Stopped) };
    assert!(summary(unproven).ends_with("went into ALARM. No effect shown: no invocation."));
}

#[test]
fn the_sentence_of_a_prevented_start_tells_no_failure() {
    let ended = |reason: EndReason| {
        let marker = stopped_marker(&run_id("checkout-1"), &RunEnding { reason, by: None }, at(0));
        notice_of(&LedgerChange::Run { old: None, new: marker.into(), experiment: None }, &origin(0, 1)).unwrap()
    };
    let prevented = ended(EndReason::UserRequest);
    assert_eq!(prevented.summary, "Run checkout-1 ended early: stopped by a user.");
    assert_eq!(serde_json::to_value(&prevented).unwrap()["status"], "stopped");
    assert!(ended(EndReason::ExecutionStopped).summary.starts_with("Run checkout-1 ended in failure: "));
}

#[test]
fn a_second_failure_has_another_id_and_a_double_the_same() {
    let failed =
        |why: &str| target_change(TargetRecord { restore_error: Some(why.into()), ..target(TargetStatus::Restoring) });
    let id = |change: &LedgerChange, number| notice_of(change, &origin(0, number)).unwrap().id;
    assert_ne!(id(&failed("denied"), 1), id(&failed("denied"), 2));
    assert_eq!(id(&failed("denied"), 1), id(&failed("denied"), 1));
    // What happens once is named without the stream: a pipe that starts again sends the same ID.
    assert_eq!(id(&samples()[3].1, 1), id(&samples()[3].1, 2));
}

#[test]
fn a_notice_of_the_longest_record_fits_into_an_event() {
    let drift: Vec<Drift> =
        (0..2_000).map(|number| Drift { field: format!("variable {number}"), note: "n".repeat(200) }).collect();
    let frozen_versions = (0..2_000).map(|number| number.to_string()).collect();
    let drifted = TargetRecord { drift, frozen_versions, ..target(TargetStatus::Drifted) };
    let long = TargetRecord { restore_error: Some("\u{202e}ü".repeat(50_000)), ..target(TargetStatus::Restoring) };
    for record in [drifted, long] {
        let text = serde_json::to_string(&notice_of(&target_change(record), &origin(0, 0)).unwrap()).unwrap();
        assert!(text.len() < 256 * 1024 && !text.contains('\u{202e}'), "{} bytes", text.len());
    }
}

/// Every fault, with runs that end early, and a restore that is refused first.
#[test]
fn no_notice_of_any_fault_shows_a_value() {
    for (fault, mut experiment) in experiments() {
        if fault == "environment" {
            let set = json!({ "API_KEY": SECRET, "RUST_LOG": SECRET });
            experiment["faults"] = json!([{ "environment": { "set": set, "unset": ["DB_PASSWORD"] } }]);
        }
        let world = world(&["checkout"]);
        let machine = machine(&world, &experiment);
        block_on(machine.start()).unwrap();
        world.with(|state| {
            let function = state.functions.get_mut(&function_arn("checkout")).unwrap();
            function.edit(|seen| super::stage::set(seen, "RUST_LOG", SECRET));
        });
        let _ = block_on(machine.end(None));
        let notices = world.with(|state| std::mem::take(&mut state.outbox.notices));
        let text = serde_json::to_string(&notices).unwrap();
        assert!(notices.len() >= 4 && !text.contains("hunter2"), "{fault}: {text}");
    }
}
