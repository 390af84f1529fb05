//! Crash anywhere: a runner that is cut off around any call, and the runner after it too, leave nothing behind.
//!
//! This plays all single cuts, and the pairs of one demo; `soak --crashes` plays the pairs of every case.

use snapback::testing::crash::{Case, Crashes, alone, cases, pairs};

fn assert_put_right(crashes: &Crashes) {
    println!("{crashes:?}");
    assert!(crashes.broken.is_empty(), "{} broke, among them {:#?}", crashes.broken.len(), crashes.broken.first());
}

#[test]
fn a_runner_that_is_cut_off_around_any_call_is_put_right_by_the_reaper() {
    let cases = cases();
    let crashes = alone(&cases);
    assert_put_right(&crashes);
    assert!(cases.len() > 10 && crashes.places > cases.len() as u64 * 60 * 9, "{}", crashes.places);
}

#[test]
fn so_is_one_whose_reaper_is_cut_off_too() {
    let one: Vec<Case> = cases().into_iter().map(Case::short).filter(|case| case.name == "demo 1").collect();
    let crashes = pairs(&one);
    assert_put_right(&crashes);
    assert!(crashes.places > 10_000, "{}", crashes.places);
}
