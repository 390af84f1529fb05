//! Measures the time of an invocation by each way to the Runtime API.
//!
//! - The machine does other work at the same time, so the ways alternate in short blocks: a disturbance affects all
//!   ways alike in the long run. Every other round goes backwards, so that no way always follows the same one.
//! - A block counts as its median, which a few disturbed invocations do not change.
//! - Of a way's blocks the lower quartile counts, because a disturbance only makes a block slower. With builds running,
//!   the quartile differed less from run to run than the median.
//! - All connections are opened again many times. The kernel sizes a connection's buffers early in its life, which
//!   makes one relay up to a third faster than the next at 1 MB.

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
    /// How often all ways are opened again.
    openings: usize,
    /// Blocks of each way in one opening.
    rounds: usize,
    /// Invocations in one block.
    block: usize,
    /// The reference for the proxy.
    reference: Way,
    /// The limit of what the proxy adds, as a factor of what the reference adds.
    limit: f64,
    /// The number of ways; conditions have a limit at one size only.
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
        reference: Way::Relay,
        limit: 1.14,
        ways: 5,
    },
    Plan {
        name: "10 KB",
        size: 10 << 10,
        openings: 10,
        rounds: 20,
        block: 100,
        reference: Way::Relay,
        limit: 1.14,
        ways: 6,
    },
    Plan {
        name: "1 MB",
        size: 1 << 20,
        openings: 30,
        rounds: 4,
        block: 8,
        reference: Way::PassThrough,
        limit: 1.0,
        ways: 5,
    },
    Plan {
        name: "6 MB",
        size: 6 << 20,
        openings: 12,
        rounds: 4,
        block: 4,
        reference: Way::PassThrough,
        limit: 1.0,
        ways: 5,
    },
];
/// The longest time for one size. After it, no ways are opened again.
const LONGEST: Duration = Duration::from_secs(45);

/// The limit of an invocation with a fault that does not apply, as a factor of one without faults.
const NEVER_DUE_LIMIT: f64 = 1.1;
const NO_MATCH_LIMIT: f64 = 1.5;
/// The limit of the proxy's memory while it passes everything.
const RESIDENT_LIMIT: f64 = 4.0;

/// Measures every size, prints a row for each, and returns the checks of its limits.
pub fn measure(proxy: &Path) -> io::Result<Vec<Check>> {
    println!("µs of an invocation, and what each way adds: lower quartiles of the blocks' medians");
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
        // Connections are made and buffers grow only in the first invocations.
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

    /// Returns the time of a way without disturbances.
    fn time(&self, way: Way) -> f64 {
        quantile(self.of(way), 0.25)
    }

    fn adds(&self, way: Way) -> f64 {
        self.time(way) - self.time(Way::Direct)
    }

    /// Returns what the proxy adds, as a factor of what the reference adds.
    fn ratio(&self, plan: &Plan) -> f64 {
        self.adds(Way::Proxy) / self.adds(plan.reference)
    }

    /// Returns the time of a way, as a factor of that of the proxy without faults.
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
        for way in [Way::NeverApplies, Way::NoMatch].into_iter().filter(|way| !self.of(*way).is_empty()) {
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
                format!("{name}: what the proxy adds to what {} adds", plan.reference.name()),
                self.ratio(plan),
            ),
            Check::at_most(
                NEVER_DUE_LIMIT,
                " x",
                format!("{name}: a fault at 0 % to no fault"),
                self.share(Way::NeverApplies),
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
