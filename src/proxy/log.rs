//! What the proxy writes: metrics to the function's own log, and why it does not inject.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use serde_json::json;

use crate::model::invocation::{FAULTS_VARIABLE, ProxyConfig};

/// The namespace of snapback's metrics.
const NAMESPACE: &str = "snapback";
/// Bytes of one line: up to here a pipe takes a write whole or not at all (POSIX, `PIPE_BUF` on Linux), so that a line
/// never mixes with one of the function's.
const MAX_LINE: usize = 4096;

/// One sentence on standard error, which Lambda puts into the function's log.
pub(crate) fn log_line(sentence: &str) {
    // Nobody is left to tell if that fails.
    let _ = std::io::stderr().write_all(format!("snapback-proxy: {sentence}\n").as_bytes());
}

/// Says which faults of the configuration are not injected, because this proxy does not know it.
pub(crate) fn say_left_out(config: &ProxyConfig) {
    for what in &config.left_out {
        log_line(&format!("{FAULTS_VARIABLE}: {what}; it is left out"));
    }
}

/// Metrics in the embedded metric format (AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format).
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Standard output without the standard library's buffer: one line is one write.
    out: Option<File>,
    function: String,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let out = std::io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
        Self { out, function: std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default() }
    }

    /// Says that a fault was injected, and by how many milliseconds it delays.
    pub(crate) fn injected(&self, config: &ProxyConfig, fault: &str, delay: u64, request: &str, now: u64) {
        let Some(mut out) = self.out.as_ref() else { return };
        let mut line = line(config, fault, delay, &[("FunctionName", &self.function), ("RequestId", request)], now);
        if line.len() > MAX_LINE {
            line = self::line(config, fault, delay, &[], now);
        }
        if line.len() <= MAX_LINE {
            let _ = out.write_all(line.as_bytes());
        }
    }
}

fn line(config: &ProxyConfig, fault: &str, delay: u64, properties: &[(&str, &str)], now: u64) -> String {
    let mut metric = json!({
        "_aws": {
            "Timestamp": now,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Experiment", "Run", "Fault"]],
                "Metrics": [
                    { "Name": "InjectedFaults", "Unit": "Count" },
                    { "Name": "InjectedDelay", "Unit": "Milliseconds" },
                ],
            }],
        },
        "Experiment": config.experiment,
        "Run": config.run,
        "Fault": fault,
        "InjectedFaults": 1,
        "InjectedDelay": delay,
    });
    for (name, value) in properties.iter().filter(|(_, value)| !value.is_empty()) {
        metric[*name] = json!(value);
    }
    format!("{metric}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_fit_into_one_write() {
        let long = |length| "\u{10348}".repeat(length);
        // An experiment's name has up to 128 characters, a run's up to 80.
        let text = format!(r#"{{"until":1,"experiment":"{}","run":"{}","faults":[]}}"#, long(128), "r".repeat(80));
        let config = ProxyConfig::parse(&text).unwrap_or_else(|error| unreachable!("{error}"));
        let line = line(
            &config,
            "invocationTimeout",
            900_000,
            &[("FunctionName", &"f".repeat(64)), ("RequestId", &"a".repeat(36))],
            1,
        );
        assert!(line.len() <= MAX_LINE && line.ends_with("}\n"), "{}", line.len());
    }
}
