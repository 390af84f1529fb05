//! Random histories: every invariant holds in all of them, and breaks when a part of the protocol is left out.
//!
//! `make test` plays 40,000 of them with `soak`. These tests play a few, so that every test run has some.

use std::collections::BTreeSet;

use snapback::testing::history::play;
use snapback::testing::history::soak::{find, soak};
use snapback::testing::history::weakening::Weakening;

/// The number of histories in a test run. `SNAPBACK_SEEDS` overrides it.
fn seeds() -> u64 {
    std::env::var("SNAPBACK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000)
}

#[test]
fn invariants_hold_in_every_history() {
    let soak = soak(0..seeds(), None);
    assert_eq!(soak.broken, Default::default(), "`make soak SEED=...` prints one history");
    assert_eq!(soak.histories, seeds());
}

#[test]
fn the_histories_reach_every_situation() {
    let soak = soak(0..600, None);
    let expected = [
        "restored",
        "drifted",
        "deleted",
        "untouched",
        "completed",
        "stopped",
        "failed",
        "alarm",
        "user request",
        "lever",
        "error",
        "execution stopped",
        "duration elapsed",
        "version keeps the fault",
        "Refused",
        "Locked",
        "Overtaken",
        "AccessDenied",
        "written",
    ];
    let reached: BTreeSet<&str> = soak.reached.keys().copied().collect();
    let missing: Vec<&&str> = expected.iter().filter(|what| !reached.contains(*what)).collect();
    assert!(missing.is_empty(), "{missing:?} did not occur in {} histories: {:?}", soak.histories, soak.reached);
    // An invariant about nothing would always hold, and so would one that excuses everything.
    assert!(soak.reached["written"] * 2 > soak.histories, "{:?}", soak.reached);
    assert!(soak.reached.get("excused").copied().unwrap_or_default() * 20 < soak.histories, "{:?}", soak.reached);
}

#[test]
fn a_missing_part_of_the_protocol_breaks_an_invariant() {
    // `make test` searches 20,000 histories for all of them. These need only a few.
    use Weakening::{NoRevision, NoSecondRead, NoWaitAfterRelease, StoppedUnseen};
    let rare = |weakening| matches!(weakening, NoSecondRead | NoWaitAfterRelease | NoRevision | StoppedUnseen);
    let quick = Weakening::ALL.into_iter().filter(|weakening| !rare(*weakening));
    for weakening in quick {
        assert!(find(weakening, 0..1_000).is_some(), "no invariant breaks under {weakening:?}");
    }
}

#[test]
fn a_seed_always_plays_the_same_history() {
    for seed in [3, 42, 400] {
        let (one, two) = (play(seed, None, true), play(seed, None, true));
        assert!(!one.journal.is_empty());
        assert_eq!((one.journal, one.calls, one.elapsed), (two.journal, two.calls, two.elapsed), "seed {seed}");
    }
}

#[test]
fn a_journal_shows_no_value_of_a_variable() {
    let shown: String = (0..60).flat_map(|seed| play(seed, None, true).journal).collect();
    assert!(shown.contains("(hidden)") && !shown.contains(snapback::testing::samples::SECRET));
}
