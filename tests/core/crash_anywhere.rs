//! Crashes around any call: the run is restored even if the next worker crashes as well.
//!
//! These tests play every single crash, and every pair of crashes of one demo. `soak --crashes` plays the pairs of every case.

use snapback::testing::crash::{Case, Crashes, alone, cases, pairs};

fn assert_recovered(crashes: &Crashes) {
    println!("{crashes:?}");
    assert!(crashes.broken.is_empty(), "{} broke, among them {:#?}", crashes.broken.len(), crashes.broken.first());
}

#[test]
fn the_reaper_recovers_a_runner_that_crashes_at_any_call() {
    let cases = cases();
    let crashes = alone(&cases);
    assert_recovered(&crashes);
    assert!(cases.len() > 10 && crashes.places > cases.len() as u64 * 60 * 9, "{}", crashes.places);
}

#[test]
fn a_run_recovers_when_the_reaper_crashes_too() {
    let one: Vec<Case> = cases().into_iter().map(Case::short).filter(|case| case.name == "demo 1").collect();
    let crashes = pairs(&one);
    assert_recovered(&crashes);
    assert!(crashes.places > 10_000, "{}", crashes.places);
}
