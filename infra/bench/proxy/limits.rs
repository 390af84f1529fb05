//! The limits, and what came of them.

/// One limit.
pub struct Check {
    what: String,
    measured: f64,
    limit: f64,
    unit: &'static str,
}

impl Check {
    /// At most so much.
    pub fn at_most(limit: f64, unit: &'static str, what: impl Into<String>, measured: f64) -> Self {
        Self { what: what.into(), measured, limit, unit }
    }

    /// What is not a number has not been measured, and so not been held.
    fn held(&self) -> bool {
        self.measured <= self.limit
    }
}

/// Prints all of them; whether all are held.
pub fn report(checks: &[Check]) -> bool {
    println!("\n{:<68} {:>12} {:>12}", "limit", "measured", "at most");
    for check in checks {
        let Check { what, measured, limit, unit } = check;
        let (measured, limit) = (format!("{measured:.2}{unit}"), format!("{limit}{unit}"));
        println!("{what:<68} {measured:>12} {limit:>12}  {}", if check.held() { "ok" } else { "MISSED" });
    }
    let missed = checks.iter().filter(|check| !check.held()).count();
    println!("{} of {} limits held", checks.len() - missed, checks.len());
    missed == 0
}
