//! What an invocation takes, by each way to the Runtime API.
//!
//! The machine does other things meanwhile, so the ways take turns in short blocks: what disturbs one disturbs all alike,
//! sooner or later; and every other round goes backwards, so that no way always comes after the same one. A block counts
//! as its median, which a few disturbed invocations do not move. Of a way's blocks the lower quartile counts: what
//! disturbs a block only ever makes it slower, and with builds beside it the quartile moved less from run to run than the
//! median did. Everything is opened anew many times: how the kernel sizes the buffers of a connection is decided early in
//! its life, and makes one relay up to a third faster than the next at 1 MB.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::lanes::{Lane, Way};
use crate::limits::Check;
use crate::processes::Server;
use crate::statistics::quantile;

/// How to measure one size of events and responses.
pub struct Plan {
    name: &'static str,
    size: usize,
    /// How often everything is opened anew.
    openings: usize,
    /// Turns of each way in one opening.
    rounds: usize,
    /// Invocations in one turn.
    block: usize,
    /// What the proxy is compared with.
    yardstick: Way,
    /// How much more than the yardstick the proxy may add, as a factor.
    limit: f64,
    /// How many of the ways: conditions have a limit at one size only.
    ways: usize,
}

/// The last one is the largest payload of a synchronous invocation (lambda/latest/dg/gettingstarted-limits).
pub const PLANS: [Plan; 4] = [
    Plan {
        name: "100 B",
        size: 100,
        openings: 10,
        rounds: 20,
        block: 100,
        yardstick: Way::Relay,
        limit: 1.14,
        ways: 5,
    },
    Plan {
        name: "10 KB",
        size: 10 << 10,
        openings: 10,
        rounds: 20,
        block: 100,
        yardstick: Way::Relay,
        limit: 1.14,
        ways: 6,
    },
    Plan {
        name: "1 MB",
        size: 1 << 20,
        openings: 30,
        rounds: 4,
        block: 8,
        yardstick: Way::PassThrough,
        limit: 1.0,
        ways: 5,
    },
    Plan {
        name: "6 MB",
        size: 6 << 20,
        openings: 12,
        rounds: 4,
        block: 4,
        yardstick: Way::PassThrough,
        limit: 1.0,
        ways: 5,
    },
];
/// One size is not measured for longer: what has been opened by then has to do.
const LONGEST: Duration = Duration::from_secs(45);

/// What an invocation may take while a fault is configured that is not due, as a factor to one without faults.
const NEVER_DUE_LIMIT: f64 = 1.1;
const NO_MATCH_LIMIT: f64 = 1.5;
/// What the proxy may keep in memory while it passes everything.
const RESIDENT_LIMIT: f64 = 4.0;

/// Measures every size, prints a row for each, and says what came of its limits.
pub fn measure(proxy: &Path) -> io::Result<Vec<Check>> {
    println!("µs of an invocation, and what is added to it: lower quartiles of the blocks' medians");
    println!(
        "{:<6} {:>6} {:>9} {:>11} {:>11} {:>11} {:>6} {:>9} {:>9}",
        "size", "rounds", "direct", "relay adds", "hyper adds", "proxy adds", "ratio", "0 % adds", "no match"
    );
    let mut checks = Vec::new();
    for plan in &PLANS {
        let figures = Figures::gather(plan, proxy)?;
        println!("{}", figures.row(plan));
        checks.extend(figures.checks(plan));
    }
    Ok(checks)
}

/// The medians of each way's blocks, in nanoseconds, and the proxy's memory.
#[derive(Default)]
struct Figures {
    medians: [Vec<f64>; Way::ALL.len()],
    peak: f64,
}

impl Figures {
    fn gather(plan: &Plan, proxy: &Path) -> io::Result<Self> {
        let mut figures = Self::default();
        let began = Instant::now();
        for _ in 0..plan.openings {
            if began.elapsed() < LONGEST {
                figures.opening(plan, proxy)?;
            }
        }
        Ok(figures)
    }

    fn opening(&mut self, plan: &Plan, proxy: &Path) -> io::Result<()> {
        let api = Server::api(plan.size)?;
        let open = |way| Lane::open(way, proxy, &api.address, plan.size);
        let mut lanes = Way::ALL.into_iter().take(plan.ways).map(open).collect::<io::Result<Vec<Lane>>>()?;
        // Connections are made and buffers grow in the first invocations, and not in every one.
        lanes.iter_mut().try_for_each(|lane| lane.block(plan.block).map(drop))?;
        for _ in 0..plan.rounds {
            for lane in &mut lanes {
                self.medians[lane.way as usize].push(lane.block(plan.block)?);
            }
            lanes.reverse();
        }
        for lane in lanes.iter().filter(|lane| lane.way == Way::Proxy) {
            self.peak = self.peak.max(lane.usage()?.peak);
        }
        Ok(())
    }

    fn of(&self, way: Way) -> &[f64] {
        &self.medians[way as usize]
    }

    /// What it takes when nothing disturbs it.
    fn time(&self, way: Way) -> f64 {
        quantile(self.of(way), 0.25)
    }

    fn adds(&self, way: Way) -> f64 {
        self.time(way) - self.time(Way::Direct)
    }

    /// What the proxy adds to what the yardstick adds.
    fn ratio(&self, plan: &Plan) -> f64 {
        self.adds(Way::Proxy) / self.adds(plan.yardstick)
    }

    /// The time of a way to that of the proxy without faults.
    fn share(&self, way: Way) -> f64 {
        self.time(way) / self.time(Way::Proxy)
    }

    fn row(&self, plan: &Plan) -> String {
        let mut row = format!(
            "{:<6} {:>6} {:>9} {:>11} {:>11} {:>11} {:>6.2}",
            plan.name,
            self.of(Way::Direct).len(),
            micros(self.time(Way::Direct)),
            micros(self.adds(Way::Relay)),
            micros(self.adds(Way::PassThrough)),
            micros(self.adds(Way::Proxy)),
            self.ratio(plan)
        );
        for way in [Way::NeverDue, Way::NoMatch].into_iter().filter(|way| !self.of(*way).is_empty()) {
            row.push_str(&format!(" {:>9}", micros(self.adds(way))));
        }
        row
    }

    fn checks(&self, plan: &Plan) -> Vec<Check> {
        let name = plan.name;
        let mut checks = vec![
            Check::at_most(
                plan.limit,
                " x",
                format!("{name}: what the proxy adds to what {} adds", plan.yardstick.name()),
                self.ratio(plan),
            ),
            Check::at_most(
                NEVER_DUE_LIMIT,
                " x",
                format!("{name}: a fault at 0 % to no fault"),
                self.share(Way::NeverDue),
            ),
            Check::at_most(RESIDENT_LIMIT, " MB", format!("{name}: most that was resident, without faults"), self.peak),
        ];
        if !self.of(Way::NoMatch).is_empty() {
            let what = format!("{name}: conditions that do not hold to no fault");
            checks.push(Check::at_most(NO_MATCH_LIMIT, " x", what, self.share(Way::NoMatch)));
        }
        checks
    }
}

fn micros(nanoseconds: f64) -> String {
    format!("{:.1}", nanoseconds / 1000.0)
}
