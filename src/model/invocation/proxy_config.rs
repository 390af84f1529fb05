//! The configuration that the control plane writes for the proxy and for the chaos handler: the only thing that the two
//! planes share.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::problems::first_of;

use super::faults::InvocationFault;
use super::handler::HandlerOrder;

/// The variable that names a wrapper for managed runtimes (lambda/latest/dg/runtimes-modify).
pub const WRAPPER_VARIABLE: &str = "AWS_LAMBDA_EXEC_WRAPPER";
/// The variable that holds the proxy's configuration.
pub const FAULTS_VARIABLE: &str = "SNAPBACK_FAULTS";
/// The variable that holds the path of the wrapper that the proxy displaces, and chains.
pub const CHAINED_WRAPPER_VARIABLE: &str = "SNAPBACK_CHAINED_WRAPPER";
/// The path of the proxy in its layer (lambda/latest/dg/packaging-layers: a layer's root is /opt).
pub const PROXY_PATH: &str = "/opt/snapback-proxy";

/// The variable that holds the chaos handler's configuration.
pub const HANDLER_FAULTS_VARIABLE: &str = "SNAPBACK_HANDLER_FAULTS";
/// The variable that holds the name of the handler that the chaos handler replaces, and calls.
pub const ORIGINAL_HANDLER_VARIABLE: &str = "SNAPBACK_HANDLER";

/// The most faults inside invocations that a run can have.
pub const MAX_FAULTS: usize = 20;

/// A fault in a configuration.
pub trait WireFault: Serialize + DeserializeOwned {
    /// Checks what the types cannot express.
    ///
    /// # Errors
    /// The settings are invalid. The message names the setting, its value and the fix.
    fn check(&self) -> Result<(), String>;
}

impl WireFault for InvocationFault {
    fn check(&self) -> Result<(), String> {
        Self::check(self)
    }
}

impl WireFault for HandlerOrder {
    fn check(&self) -> Result<(), String> {
        Self::check(self)
    }
}

/// The configuration of the proxy.
pub type ProxyConfig = FaultConfig<InvocationFault>;
/// The configuration of the chaos handler (infra/handler/), in the same form.
pub type HandlerConfig = FaultConfig<HandlerOrder>;

/// The faults of one run in the order of the experiment, and the time at which they expire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultConfig<F> {
    /// When the faults expire, in milliseconds since the epoch. From then on, everything passes unchanged.
    #[serde(rename = "until")]
    pub expires_at_ms: u64,
    /// The experiment's name, a dimension of the metrics.
    pub experiment: String,
    /// The run, a dimension of the metrics.
    pub run: String,
    /// The seed of percentages and random delays, so that a sequence can be repeated; default: a new sequence each
    /// time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// The faults.
    pub faults: Vec<F>,
    /// The parts that their reader does not know and ignores, one message each. Never written.
    #[serde(skip)]
    pub ignored: Vec<String>,
}

/// The configuration as read, with fields and faults that a newer control plane may have added.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "until")]
    expires_at_ms: u64,
    experiment: String,
    run: String,
    seed: Option<u32>,
    faults: Vec<Value>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

impl<F: WireFault> FaultConfig<F> {
    /// Parses the text that the control plane writes, and plain JSON, which never begins like that text.
    ///
    /// A fault with anything unknown is ignored as a whole, because the unknown part could be a condition.
    ///
    /// # Errors
    /// The text is not a configuration. The message is one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json = if text.starts_with("{'") { Cow::Owned(exchange(text)) } else { Cow::Borrowed(text) };
        let written: Written = serde_json::from_str(&json).map_err(|error| error.to_string())?;
        let Written { expires_at_ms, experiment, run, seed, faults: all, unknown } = written;
        if all.len() > MAX_FAULTS {
            return Err(format!("{} faults are more than the limit of {MAX_FAULTS}", all.len()));
        }
        let mut ignored: Vec<String> = unknown.into_keys().map(|name| format!("`{name}` is unknown")).collect();
        let mut faults = Vec::new();
        for (at, fault) in all.into_iter().enumerate() {
            match read_fault(fault) {
                Ok(fault) => faults.push(fault),
                Err(why) => ignored.push(format!("faults[{at}].{why}")),
            }
        }
        Ok(Self { expires_at_ms, experiment, run, seed, faults, ignored })
    }

    /// Returns the time until the faults expire; `None` once they have. `now` is since the epoch.
    #[must_use]
    pub fn remaining(&self, now: Duration) -> Option<Duration> {
        Duration::from_millis(self.expires_at_ms).checked_sub(now).filter(|remaining| !remaining.is_zero())
    }

    /// Formats the configuration as compactly as possible. A function's variables share 4 KB
    /// (lambda/latest/dg/configuration-envvars), and Lambda measures them as JSON, which escapes each quotation mark
    /// and each backslash of a value with one more character. So the text is JSON with both exchanged for unescaped
    /// characters.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Numbers, texts and lists always serialize.
        exchange(&serde_json::to_string(self).unwrap_or_default())
    }
}

impl ProxyConfig {
    /// Whether a fault concerns invocations, and not only initializations.
    #[must_use]
    pub fn concerns_invocations(&self) -> bool {
        self.faults.iter().any(|fault| !matches!(fault, InvocationFault::Init(_)))
    }
}

fn read_fault<F: WireFault>(written: Value) -> Result<F, String> {
    let name = written.as_object().and_then(|fault| fault.keys().next()).cloned().unwrap_or_default();
    let fault: F =
        serde_json::from_value(written).map_err(|error| format!("{name}: {}", first_of(&error.to_string())))?;
    fault.check().map_err(|wrong| format!("{name}: {wrong}"))?;
    Ok(fault)
}

/// Exchanges `"` with `'`, and `\` with `~`. A second exchange restores the text.
fn exchange(text: &str) -> String {
    let other = |c| match c {
        '"' => '\'',
        '\'' => '"',
        '\\' => '~',
        '~' => '\\',
        c => c,
    };
    text.chars().map(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_not_written() {
        let faults = concat!(
            r#"[{"latency":{"delayMs":5,"when":"after"}},{"latency":{"minMs":5,"maxMs":5}},"#,
            r#"{"response":{"statusCode":503,"percentage":12.5,"qualifier":"live"}},{"corrupt":{"mangle":true}},"#,
            r#"{"corrupt":{"truncateBytes":0,"match":[{"path":"a","equals":1}]}},{"init":{"delayMs":1}}]"#,
        );
        let text = format!(r#"{{"until":9,"experiment":"e","run":"r","faults":{faults}}}"#);
        assert_eq!(ProxyConfig::parse(&text).map(|config| exchange(&config.to_text())), Ok(text));
    }

    #[test]
    fn texts_with_quotes_and_backslashes_are_read_unchanged() {
        let message = r#"it's "quoted" in C:\temp, ~ or so, {"a":"\u00e9"}"#;
        let text = serde_json::json!({
            "until": 9, "experiment": "it's ~", "run": "r", "faults": [{ "error": { "message": message } }]
        });
        let config = ProxyConfig::parse(&text.to_string());
        let written = config.clone().map(|config| config.to_text()).unwrap_or_default();
        assert!(written.starts_with("{'until':9,'experiment':'it\"s \\'"), "{written}");
        assert_eq!(ProxyConfig::parse(&written), config);
    }

    #[test]
    fn the_text_is_shorter_than_json_as_lambda_measures_it() {
        let body = r#"{"error":"unavailable","retry":"it's \"later\""}"#;
        let text = serde_json::json!({
            "until": 1_780_272_060_000_u64, "experiment": "checkout survives", "run": "run-1",
            "faults": [{ "response": { "statusCode": 503, "headers": { "retry-after": "1" }, "body": body } }]
        });
        let config = ProxyConfig::parse(&text.to_string());
        let measured = |text: &str| serde_json::to_string(text).unwrap_or_default().len();
        let (json, written) = config.map(|config| (exchange(&config.to_text()), config.to_text())).unwrap_or_default();
        assert_eq!((json.len(), measured(&json), measured(&written)), (213, 265, 216));
    }

    #[test]
    fn absent_settings_have_their_documented_defaults() {
        let text = r#"{"until":9,"experiment":"e","run":"r","faults":[{"error":{}},{"exit":{}}]}"#;
        let written = ProxyConfig::parse(text).map(|config| config.to_text()).unwrap_or_default();
        for part in
            [r#""type":"InjectedError""#, r#""message":"snapback has injected this error""#, r#""exit":{"delayMs":0}"#]
        {
            assert!(exchange(&written).contains(part), "{written}");
        }
    }

    #[test]
    fn unknown_parts_are_ignored_and_the_rest_is_kept() {
        let text = r#"{"until":9,"mood":{"a":[1]},"experiment":"e","run":"r","seed":3,"faults":[
            {"exit":{}},{"error":{"tenant":"a"}},{"melt":{}},7,{"error":{"match":[{"path":"a","like":"x"}]}},{"init":{"delayMs":1}}
        ]}"#;
        let config = ProxyConfig::parse(text).unwrap_or_else(|why| unreachable!("{why}"));
        let names: Vec<_> = config.faults.iter().map(InvocationFault::name).collect();
        assert_eq!((names.as_slice(), config.seed), (&["exit", "init"][..], Some(3)));
        let begins = [
            "`mood` is unknown",
            "faults[1].error: unknown field `tenant`",
            "faults[2].melt: unknown variant `melt`",
            "faults[3].: ",
            "faults[4].error: unknown field `like`",
        ];
        assert_eq!(config.ignored.len(), begins.len(), "{:?}", config.ignored);
        for (message, begin) in config.ignored.iter().zip(begins) {
            assert!(message.starts_with(begin), "{message}");
        }
        assert_eq!(ProxyConfig::parse(&config.to_text()), Ok(ProxyConfig { ignored: Vec::new(), ..config }));
    }

    #[test]
    fn a_text_without_a_time_or_faults_is_refused() {
        for text in
            [r#"{"experiment":"e","run":"r","faults":[]}"#, r#"{"until":9,"experiment":"e","run":"r"}"#, "[]", ""]
        {
            assert!(ProxyConfig::parse(text).is_err(), "{text}");
        }
    }

    fn with_faults(faults: &str) -> ProxyConfig {
        let text = format!(r#"{{"until":9,"experiment":"e","run":"r","faults":[{faults}]}}"#);
        ProxyConfig::parse(&text).unwrap_or_else(|why| unreachable!("{why}"))
    }

    #[test]
    fn faults_expire_at_their_time() {
        let config = with_faults("");
        let remaining = [0, 7, 8, 9, 10].map(|now| config.remaining(Duration::from_millis(now)));
        assert_eq!(remaining, [Some(9), Some(2), Some(1), None, None].map(|left| left.map(Duration::from_millis)));
    }

    #[test]
    fn init_faults_do_not_concern_invocations() {
        for (faults, wanted) in [
            ("", false),
            (r#"{"init":{"delayMs":1}}"#, false),
            (r#"{"init":{"delayMs":1}},{"exit":{}}"#, true),
            (r#"{"exit":{}}"#, true),
        ] {
            assert_eq!(with_faults(faults).concerns_invocations(), wanted, "{faults}");
        }
    }

    #[test]
    fn a_run_can_have_twenty_faults() {
        assert_eq!(with_faults(&[r#"{"exit":{}}"#; 20].join(",")).faults.len(), 20);
    }

    #[test]
    fn a_fault_with_contradictory_settings_is_ignored() {
        let refusal = |faults: &str| {
            let text = format!(r#"{{"until":9,"experiment":"e","run":"r","faults":[{faults}]}}"#);
            match ProxyConfig::parse(&text) {
                Ok(config) => config.ignored.join("\n"),
                Err(why) => why,
            }
        };
        for (fault, expected) in [
            (r#"{"latency":{"minMs":6,"maxMs":5}}"#, "`minMs` is 6 and `maxMs` 5"),
            (r#"{"latency":{"delayMs":1,"minMs":1,"maxMs":2}}"#, "write `delayMs`, or both"),
            (r#"{"error":{"type":"has space"}}"#, "`type` is `has space`"),
            (r#"{"response":{"raw":"x","body":"y"}}"#, "keep one form"),
            (r#"{"response":{"body":"y"}}"#, "has no `statusCode`"),
            (r#"{"response":{}}"#, "has no response"),
            (r#"{"corrupt":{"mangle":true,"replace":"x"}}"#, "one kind of damage"),
            (r#"{"init":{}}"#, "changes nothing"),
            (r#"{"disk":{"megabytes":1,"qualifier":"a b"}}"#, "`qualifier` is `a b`"),
        ] {
            assert!(
                refusal(fault).starts_with("faults[0].") && refusal(fault).contains(expected),
                "{}",
                refusal(fault)
            );
        }
        assert!(refusal(&[r#"{"exit":{}}"#; 21].join(",")).contains("21 faults are more than the limit of 20"));
    }
}
