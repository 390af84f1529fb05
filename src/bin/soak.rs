//! `soak --seeds N` plays the first N random histories; with `--of TEXT`, N histories derived from the text.
//! `soak --seed S` plays one history and prints its journal.
//! `soak --weakenings N` leaves out each part of the protocol in turn, and prints the history that detects it.
//! `soak --crashes` crashes every runner around every call, once and twice.

use std::ops::Range;
use std::process::ExitCode;

use snapback::testing::crash::{Case, Crashes, alone, cases, pairs};
use snapback::testing::history::play;
use snapback::testing::history::soak::{find, seeds_of, soak};
use snapback::testing::history::weakening::Weakening;

const USAGE: &str = "usage: soak --seeds N [--of TEXT] | --seed S | --weakenings N | --crashes";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Does what the arguments ask for. Returns whether everything passed, or `None` for invalid arguments.
fn run(arguments: &[&str]) -> Option<bool> {
    Some(match arguments {
        ["--seeds", count] => play_all(0..count.parse().ok()?),
        ["--seeds", count, "--of", text] => {
            let seeds = seeds_of(text, count.parse().ok()?);
            println!("seeds {} to {}, derived from {text}", seeds.start, seeds.end - 1);
            play_all(seeds)
        }
        ["--seed", seed] => play_one(seed.parse().ok()?),
        ["--weakenings", seeds] => weakenings(seeds.parse().ok()?),
        ["--crashes"] => crashes(),
        _ => return None,
    })
}

fn play_all(seeds: Range<u64>) -> bool {
    let soak = soak(seeds, None);
    println!(
        "{} histories in {:.1} s: {:.0} a second, {} calls; at most {} calls (seed {}) and {:.0} simulated seconds (seed {})",
        soak.histories,
        soak.took.as_secs_f64(),
        soak.rate(),
        soak.calls,
        soak.longest.0,
        soak.longest.1,
        soak.slowest.0 as f64 / 1000.0,
        soak.slowest.1
    );
    let reached: Vec<String> = soak.reached.iter().map(|(what, count)| format!("{what} {count}")).collect();
    println!("reached: {}", reached.join(", "));
    for (seed, violations) in &soak.broken {
        println!("seed {seed} (make soak SEED={seed}): {}", violations.join("; "));
    }
    println!("{} histories broke an invariant", soak.broken.len());
    soak.broken.is_empty()
}

fn play_one(seed: u64) -> bool {
    let outcome = play(seed, None, true);
    outcome.journal.iter().for_each(|line| println!("{line}"));
    outcome.violations.iter().for_each(|what| println!("BROKEN: {what}"));
    println!("{} calls; reached: {}", outcome.calls, outcome.reached.join(", "));
    outcome.violations.is_empty()
}

fn weakenings(seeds: u64) -> bool {
    let mut all_found = true;
    for weakening in Weakening::ALL {
        match find(weakening, 0..seeds) {
            Some((seed, violations)) => println!("{weakening:?}: seed {seed}: {}", violations.join("; ")),
            None => {
                println!("{weakening:?}: NOT FOUND within {seeds} seeds");
                all_found = false;
            }
        }
    }
    all_found
}

fn crashes() -> bool {
    let cases = cases();
    let alone = alone(&cases);
    println!("{} single crashes in {} cases: {}", alone.places, cases.len(), figures(&alone));
    let pairs = pairs(&cases.into_iter().map(Case::short).collect::<Vec<_>>());
    println!("{} pairs of crashes: {}", pairs.places, figures(&pairs));
    let broken: Vec<&String> = alone.broken.iter().chain(&pairs.broken).collect();
    broken.iter().take(20).for_each(|what| println!("BROKEN: {what}"));
    println!("{} worlds broke an invariant", broken.len());
    broken.is_empty()
}

fn figures(crashes: &Crashes) -> String {
    let (worlds, took) = (crashes.worlds, crashes.took.as_secs_f64());
    let rate = worlds as f64 / took.max(0.001);
    let (calls, ticks) = (crashes.calls, crashes.most_ticks);
    format!("{worlds} worlds in {took:.1} s: {rate:.0} a second, {calls} calls; at most {ticks} ticks of the reaper")
}
