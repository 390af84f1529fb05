//! What an invocation takes, by each way to the Runtime API.
//!
//! The machine does other things meanwhile, so the ways take turns in short blocks: what disturbs one disturbs all alike,
//! sooner or later. A block counts as its median, which a few disturbed invocations do not move; what a way adds is taken
//! round by round, against the direct connection of the same round, so that slow changes (the clock of the CPU, its
//! caches, a busy neighbour) fall out; and of all rounds the median counts again. Every other round goes backwards, so
//! that no way always comes after the same one.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::event::NO_MATCH;
use crate::limits::Check;
use crate::memory::{self, Usage};
use crate::processes::{Runtime, Server};
use crate::statistics::{median, pairs, quantile};

/// How to measure one size of events and responses.
pub struct Plan {
    name: &'static str,
    size: usize,
    /// Invocations of one block.
    block: usize,
    rounds: usize,
    /// How much more than the relay the proxy may add, as a factor.
    limit: f64,
    /// Whether conditions are measured, too.
    conditions: bool,
}

/// The last one is the largest payload of a synchronous invocation (lambda/latest/dg/gettingstarted-limits).
pub const PLANS: [Plan; 4] = [
    Plan { name: "100 B", size: 100, block: 100, rounds: 200, limit: 1.6, conditions: false },
    Plan { name: "10 KB", size: 10 << 10, block: 100, rounds: 200, limit: 1.6, conditions: true },
    Plan { name: "1 MB", size: 1 << 20, block: 10, rounds: 100, limit: 1.1, conditions: false },
    Plan { name: "6 MB", size: 6 << 20, block: 4, rounds: 50, limit: 1.1, conditions: false },
];
/// One size is not measured for longer, once there are enough rounds for a median.
const LONGEST: Duration = Duration::from_secs(45);
const ENOUGH_ROUNDS: usize = 15;

/// What a fault that is configured may cost, in total and as a factor, although it is not due.
const NOT_DUE_LIMIT: f64 = 1.1;
const NO_MATCH_LIMIT: f64 = 1.5;
/// What the proxy may keep in memory while it passes everything.
const RESIDENT_LIMIT: f64 = 4.0;

/// A latency fault with such a rule, until a moment that no measurement meets.
pub fn orders(rule: &str) -> String {
    format!(
        r#"{{"until":4102444800000,"experiment":"bench","run":"bench","faults":[{{"latency":{{"delayMs":200,{rule}}}}}]}}"#
    )
}

/// A fault that is never due.
pub fn never_due() -> String {
    orders(r#""percentage":0"#)
}

/// One way to the Runtime API.
struct Lane {
    runtime: Runtime,
    /// What is in the way, if anything is.
    server: Option<Server>,
    /// The median of each block, in nanoseconds.
    medians: Vec<f64>,
}

impl Lane {
    fn open(api: &str, server: Option<Server>, size: usize) -> io::Result<Self> {
        let address = server.as_ref().map_or(api, |server| &server.address);
        Ok(Self { runtime: Runtime::at(address, size)?, server, medians: Vec::new() })
    }

    fn usage(&self) -> io::Result<Usage> {
        self.server.as_ref().map_or(Ok(Usage::default()), |server| memory::usage(server.pid()))
    }
}

/// The ways, in the order in which they are opened.
const DIRECT: usize = 0;
const RELAY: usize = 1;
const PROXY: usize = 2;
const NOT_DUE: usize = 3;
const NO_MATCH_LANE: usize = 4;

/// Measures one size, prints its row, and says what came of its limits.
pub fn measure(plan: &Plan, proxy: &Path) -> io::Result<Vec<Check>> {
    let api = Server::api(plan.size)?;
    let mut lanes = open(plan, proxy, &api.address)?;
    turns(plan, &mut lanes)?;
    let medians: Vec<&[f64]> = lanes.iter().map(|lane| &lane.medians[..]).collect();
    let adds = |lane: usize| pairs(medians[lane], medians[DIRECT], |lane, direct| lane - direct);
    let (relay, ours) = (adds(RELAY), adds(PROXY));
    let ratio = median(&ours) / median(&relay);
    let ratios = pairs(&ours, &relay, |ours, relay| ours / relay);
    print!(
        "{:<6} {:>7} {:>11} {:>11} {:>11} {ratio:>7.2} ({:.2} to {:.2})",
        plan.name,
        medians[DIRECT].len(),
        micros(median(medians[DIRECT])),
        micros(median(&relay)),
        micros(median(&ours)),
        quantile(&ratios, 0.25),
        quantile(&ratios, 0.75)
    );
    let mut checks = vec![Check::at_most(
        plan.limit,
        " x",
        format!("{}: what the proxy adds, of what the relay adds", plan.name),
        ratio,
    )];
    let not_due =
        [(NOT_DUE, NOT_DUE_LIMIT, "a fault at 0 %"), (NO_MATCH_LANE, NO_MATCH_LIMIT, "conditions that do not hold")];
    for (lane, limit, what) in not_due.into_iter().filter(|(lane, ..)| *lane < lanes.len()) {
        let share = median(&pairs(medians[lane], medians[PROXY], |lane, ours| lane / ours));
        print!(" {:>11}", micros(median(&adds(lane))));
        checks.push(Check::at_most(
            limit,
            " x",
            format!("{}: {what}, of a pass through the proxy in all", plan.name),
            share,
        ));
    }
    println!();
    let usage = lanes[PROXY].usage()?;
    checks.push(Check::at_most(
        RESIDENT_LIMIT,
        " MB",
        format!("{}: resident at the most, passing through", plan.name),
        usage.peak,
    ));
    Ok(checks)
}

/// The head of the rows.
pub fn head() {
    println!(
        "added to a direct invocation, medians of blocks in µs; the ratio's quartiles over the rounds in brackets"
    );
    println!(
        "{:<6} {:>7} {:>11} {:>11} {:>11} {:>7} {:<14} {:>11} {:>11}",
        "size", "rounds", "direct", "relay adds", "proxy adds", "ratio", "", "0 % adds", "no match"
    );
}

fn open(plan: &Plan, proxy: &Path, api: &str) -> io::Result<Vec<Lane>> {
    let mut servers = vec![
        None,
        Some(Server::relay(api)?),
        Some(Server::proxy(proxy, api, None)?),
        Some(Server::proxy(proxy, api, Some(&never_due()))?),
    ];
    if plan.conditions {
        let orders = orders(&format!(r#""match":{NO_MATCH}"#));
        servers.push(Some(Server::proxy(proxy, api, Some(&orders))?));
    }
    servers.into_iter().map(|server| Lane::open(api, server, plan.size)).collect()
}

fn turns(plan: &Plan, lanes: &mut [Lane]) -> io::Result<()> {
    // Buffers grow and connections are made in the first invocations, which happen once and not in every one.
    for lane in lanes.iter_mut() {
        lane.runtime.block(plan.block)?;
    }
    let began = Instant::now();
    for round in 0..plan.rounds {
        if round >= ENOUGH_ROUNDS && began.elapsed() > LONGEST {
            break;
        }
        for turn in 0..lanes.len() {
            let turn = if round % 2 == 0 { turn } else { lanes.len() - 1 - turn };
            let block = lanes[turn].runtime.block(plan.block)?;
            lanes[turn].medians.push(median(&block));
        }
    }
    Ok(())
}

fn micros(nanoseconds: f64) -> String {
    format!("{:.1}", nanoseconds / 1000.0)
}
