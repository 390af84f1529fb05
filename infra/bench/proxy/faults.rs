//! Configurations of the proxy whose faults are never injected.

use crate::event::NO_MATCH;

/// Returns the proxy's configuration with a fault that never applies.
pub fn never_applies() -> String {
    config(r#""percentage":0"#)
}

/// Returns the proxy's configuration with a fault whose conditions do not hold.
pub fn never_matches() -> String {
    config(&format!(r#""match":{NO_MATCH}"#))
}

/// Returns the proxy's configuration with a latency fault of this rule, until 2100, which no measurement reaches.
fn config(rule: &str) -> String {
    format!(
        r#"{{"until":4102444800000,"experiment":"bench","run":"bench","faults":[{{"latency":{{"delayMs":200,{rule}}}}}]}}"#
    )
}
