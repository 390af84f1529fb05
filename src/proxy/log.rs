//! What the proxy writes to the function's log: metrics, and why it does not inject.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::json;

use crate::model::invocation::{FAULTS_VARIABLE, ProxyConfig};

/// The namespace of snapback's metrics.
const NAMESPACE: &str = "snapback";
/// The most bytes of one line. Up to this size a write to a pipe is atomic (POSIX, `PIPE_BUF` on Linux), so a line
/// never mixes with one of the function's.
const MAX_LINE: usize = 4096;

/// Writes one message to standard error, which Lambda adds to the function's log.
pub(crate) fn log_line(message: &str) {
    // An error has nowhere to go: standard error is the only place to report it.
    let _ = std::io::stderr().write_all(format!("snapback-proxy: {message}\n").as_bytes());
}

/// Logs the parts of the configuration that this proxy does not know and ignores.
pub(crate) fn log_ignored(config: &ProxyConfig) {
    for what in &config.ignored {
        log_line(&format!("{FAULTS_VARIABLE}: {what}; ignored"));
    }
}

/// Metrics in the embedded metric format (AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format).
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Standard output without the standard library's buffer, so that one line is one write.
    out: Option<File>,
    function: String,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let out = std::io::stdout().as_fd().try_clone_to_owned().ok().map(File::from);
        Self { out, function: std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default() }
    }

    /// Writes the metrics of an injected fault and of the delay that it causes, with properties that are no dimensions.
    /// `now` is since the epoch.
    pub(crate) fn injected(
        &self,
        config: &ProxyConfig,
        fault: &str,
        delay: Duration,
        properties: &[(&str, &str)],
        now: Duration,
    ) {
        let Some(mut out) = self.out.as_ref() else { return };
        let properties = [&[("FunctionName", self.function.as_str())], properties].concat();
        let mut line = line(config, fault, delay, &properties, now);
        if line.len() > MAX_LINE {
            line = self::line(config, fault, delay, &[], now);
        }
        if line.len() <= MAX_LINE {
            let _ = out.write_all(line.as_bytes());
        }
    }
}

fn line(config: &ProxyConfig, fault: &str, delay: Duration, properties: &[(&str, &str)], now: Duration) -> String {
    let mut metric = json!({
        "_aws": {
            "Timestamp": milliseconds(now),
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
        "InjectedDelay": milliseconds(delay),
    });
    for (name, value) in properties.iter().filter(|(_, value)| !value.is_empty()) {
        metric[*name] = json!(value);
    }
    format!("{metric}\n")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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
            Duration::from_mins(15),
            &[("FunctionName", &"f".repeat(64)), ("RequestId", &"a".repeat(36))],
            Duration::from_millis(1_780_272_060_000),
        );
        assert!(line.len() <= MAX_LINE && line.ends_with("}\n"), "{}", line.len());
    }
}
