//! The list of a function's versions: 50 per page, one call per page, and never a reason to keep a lock.

use std::time::Duration;

use serde_json::json;
use snapback::model::run::TargetStatus;
use snapback::model::time::seconds_up;
use snapback::plan::rendering::{Outcome, has_version};
use snapback::ports::{Clock, Functions};
use snapback::steps::rollback::roll_back;
use snapback::testing::samples::{self, function_arn, world};
use snapback::testing::{CallFailure, SimWorld};

use super::stage::machine;
use super::support::{Machine, assert_nothing_stays, block_on, budget, reap_for, target_of};

const LIST: &str = "ListVersionsByFunction";

/// A run on a function with versions 1 to `last`, of which the last one was published during the run.
fn run_with_versions(world: &SimWorld, last: u64) -> Machine<'_> {
    let publish = |versions: std::ops::RangeInclusive<u64>| {
        world.with(|state| state.functions.get_mut(&function_arn("checkout")).unwrap().versions.extend(versions));
    };
    publish(1..=last - 1);
    let machine = machine(world, &samples::experiment(&["checkout"], &[("timeout", json!({ "timeout": "PT1S" }))]));
    block_on(machine.start()).unwrap();
    publish(last..=last);
    machine
}

#[test]
fn a_page_has_fifty_versions_including_latest() {
    for (versions, pages) in
        [(0, [0].as_slice()), (49, &[49]), (50, &[49, 1]), (149, &[49, 50, 50]), (150, &[49, 50, 50, 1])]
    {
        let world = world(&["checkout"]);
        world.with(|state| state.functions.get_mut(&function_arn("checkout")).unwrap().versions.extend(1..=versions));
        let (mut sizes, mut next) = (Vec::new(), None::<String>);
        loop {
            let page = block_on(world.versions(&function_arn("checkout"), next.as_deref())).unwrap();
            sizes.push(page.versions.len());
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(sizes, pages, "{versions} versions");
    }
}

#[test]
fn every_page_is_read_once_and_the_last_one_is_named() {
    let world = world(&["checkout"]);
    let machine = run_with_versions(&world, 1_000);
    let armed = world.count(LIST);
    let ended = block_on(machine.end(None));
    assert_eq!(ended.report.unwrap().targets[0].frozen_versions, ["1000"]);
    assert_eq!((armed, world.count(LIST)), (20, 41), "999 and $LATEST are 20 pages, 1,000 and $LATEST are 21");
}

#[test]
fn the_pages_of_a_list_keep_to_lambdas_rate() {
    let world = world(&["checkout"]);
    world.with(snapback::testing::State::limit_rates);
    let machine = run_with_versions(&world, 2_000);
    world.advance(Duration::from_secs(60));
    let ended = block_on(machine.end(None));
    assert_eq!(ended.report.unwrap().targets[0].frozen_versions, ["2000"]);
    assert_eq!(world.with(|state| state.rates.as_ref().unwrap().throttled), 0, "calls went over the rate");
}

#[test]
fn a_429_does_not_restart_the_list() {
    let world = world(&["checkout"]);
    let machine = run_with_versions(&world, 200);
    let armed = world.count(LIST);
    world.with(|state| state.call_failures = vec![(LIST, CallFailure::Throttled); 12]);
    let ended = block_on(machine.end(None));
    assert_eq!(ended.report.unwrap().targets[0].frozen_versions, ["200"]);
    assert_eq!(world.count(LIST) - armed, 12 + 5);
}

#[test]
fn an_unreadable_list_does_not_keep_the_lock() {
    let world = world(&["checkout"]);
    let machine = run_with_versions(&world, 2);
    world.with(|state| state.call_failures = vec![(LIST, CallFailure::Throttled); 10_000]);
    let began = world.now();
    block_on(machine.end(None));
    let target = target_of(&world, &machine.run, "checkout");
    assert_eq!(target.status, TargetStatus::Restored);
    assert!(target.frozen_versions[0].starts_with("unknown"), "{:?}", target.frozen_versions);
    let waited = began.until(world.now());
    assert!((120..240).contains(&seconds_up(waited)), "{waited:?}");
    assert_nothing_stays(&world);
}

#[test]
fn a_restore_waits_for_a_slow_list() {
    let world = world(&["checkout"]);
    let machine = run_with_versions(&world, 2);
    world.with(|state| state.call_failures = vec![(LIST, CallFailure::Throttled); 20]);
    let ending = snapback::model::run::EndReason::UserRequest.into();
    block_on(roll_back(&world, &machine.run, &ending, budget(&world, Duration::from_secs(20)))).unwrap();
    assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Restoring);
    machine.kill();
    reap_for(&world, 1);
    let target = target_of(&world, &machine.run, "checkout");
    assert_eq!((target.status, target.frozen_versions), (TargetStatus::Restored, vec!["2".to_owned()]));
}

#[test]
fn a_run_whose_fault_a_version_keeps_is_drifted() {
    let world = world(&["checkout"]);
    let machine = run_with_versions(&world, 2);
    let report = block_on(machine.end(None)).report.unwrap();
    assert_eq!((report.targets[0].status, &report.targets[0].drift), (TargetStatus::Restored, &vec![]));
    assert_eq!(report.outcome, Outcome::Drifted);
    assert!(has_version(&report.targets[0].frozen_versions));
    // An unreadable list names no version.
    assert!(!has_version(&["unknown, they could not be listed: throttled".to_owned()]));
}
