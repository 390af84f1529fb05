//! The limits and their results.

/// One limit.
pub struct Check {
    what: String,
    measured: f64,
    limit: f64,
    unit: &'static str,
}

impl Check {
    /// Checks that `measured` is at most `limit`.
    pub fn at_most(limit: f64, unit: &'static str, what: impl Into<String>, measured: f64) -> Self {
        Self { what: what.into(), measured, limit, unit }
    }

    /// Returns whether the limit was held. A value that is not a number was not measured, so it was not.
    fn held(&self) -> bool {
        self.measured <= self.limit
    }
}

/// Prints all limits. Returns whether all were held.
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
