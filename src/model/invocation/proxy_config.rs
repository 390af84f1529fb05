//! What the control plane tells the proxy: the one thing that the two planes share.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::faults::InvocationFault;

/// The variable in which the proxy finds its configuration.
pub const FAULTS_VARIABLE: &str = "SNAPBACK_FAULTS";
/// The variable in which the proxy finds the wrapper that it displaces.
pub const CHAINED_WRAPPER_VARIABLE: &str = "SNAPBACK_CHAINED_WRAPPER";
/// Where the layer puts the proxy (lambda/latest/dg/packaging-layers: a layer's root is /opt).
pub const PROXY_PATH: &str = "/opt/snapback-proxy";

/// Faults of one run, at most.
pub const MAX_FAULTS: usize = 20;

/// The faults of one run, in the order in which they are applied, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyConfig {
    /// Milliseconds since the epoch: from then on, everything passes.
    pub until: u64,
    /// The experiment's name, for the metrics.
    pub experiment: String,
    /// The run, for the metrics.
    pub run: String,
    /// What the percentages are rolled with, so that a sequence can be repeated; absent: another one each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// The faults.
    pub faults: Vec<InvocationFault>,
    /// What the reader has left out because it does not know it, one sentence each. It is not written.
    #[serde(skip)]
    pub left_out: Vec<String>,
}

/// The configuration as it is read: a newer control plane may have written more.
#[derive(Deserialize)]
struct Written {
    until: u64,
    experiment: String,
    run: String,
    seed: Option<u32>,
    faults: Vec<Value>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

impl ProxyConfig {
    /// Reads what the control plane has written, and JSON as it is: nothing in JSON begins as the other form does.
    ///
    /// A fault in which anything is unknown is left out as a whole: what is unknown could be a condition.
    ///
    /// # Errors
    /// One sentence that says what cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json = if text.starts_with("{'") { Cow::Owned(exchange(text)) } else { Cow::Borrowed(text) };
        let written: Written = serde_json::from_str(&json).map_err(|error| error.to_string())?;
        let Written { until, experiment, run, seed, faults: all, unknown } = written;
        if all.len() > MAX_FAULTS {
            return Err(format!("{} faults are more than {MAX_FAULTS}", all.len()));
        }
        let mut left_out: Vec<String> = unknown.into_keys().map(|name| format!("`{name}` is not known")).collect();
        let mut faults = Vec::new();
        for (at, fault) in all.into_iter().enumerate() {
            match read_fault(fault) {
                Ok(fault) => faults.push(fault),
                Err(why) => left_out.push(format!("faults[{at}].{why}")),
            }
        }
        Ok(Self { until, experiment, run, seed, faults, left_out })
    }

    /// Milliseconds that are left at `now`, in milliseconds since the epoch; `None` when their time is up.
    #[must_use]
    pub fn left(&self, now: u64) -> Option<u64> {
        self.until.checked_sub(now).filter(|left| *left > 0)
    }

    /// Whether any of the faults is one of invocations, and not of the initialisation only.
    #[must_use]
    pub fn concern_invocations(&self) -> bool {
        self.faults.iter().any(|fault| !matches!(fault, InvocationFault::Init(_)))
    }

    /// As compact as it can be: a function's variables share 4 KB (lambda/latest/dg/configuration-envvars), and Lambda
    /// measures them as JSON text, in which each quote and each backslash of a value counts twice. So this is JSON with
    /// both exchanged for characters that JSON does not escape.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Numbers, text and lists always serialize.
        exchange(&serde_json::to_string(self).unwrap_or_default())
    }
}

fn read_fault(written: Value) -> Result<InvocationFault, String> {
    let name = written.as_object().and_then(|fault| fault.keys().next()).cloned().unwrap_or_default();
    let fault: InvocationFault = serde_json::from_value(written).map_err(|error| format!("{name}: {error}"))?;
    fault.check().map_err(|wrong| format!("{name}: {wrong}"))?;
    Ok(fault)
}

/// Exchanges `"` with `'`, and `\` with `~`. Done twice, it changes nothing.
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
    fn what_is_written_says_no_more_than_it_must() {
        let faults = concat!(
            r#"[{"latency":{"delayMs":5,"when":"after"}},{"latency":{"minMs":5,"maxMs":5}},"#,
            r#"{"response":{"statusCode":503,"percentage":12.5,"qualifier":"live"}},{"corrupt":{"mangle":true}},"#,
            r#"{"corrupt":{"truncateBytes":0,"match":[{"path":"a","equals":1}]}},{"init":{"delayMs":1}}]"#,
        );
        let text = format!(r#"{{"until":9,"experiment":"e","run":"r","faults":{faults}}}"#);
        assert_eq!(ProxyConfig::parse(&text).map(|config| exchange(&config.to_text())), Ok(text));
    }

    #[test]
    fn texts_with_quotes_and_backslashes_come_back_as_they_were() {
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
    fn what_is_written_costs_less_than_json_where_it_counts() {
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
    fn what_is_left_out_is_what_is_documented() {
        let text = r#"{"until":9,"experiment":"e","run":"r","faults":[{"error":{}},{"exit":{}}]}"#;
        let written = ProxyConfig::parse(text).map(|config| config.to_text()).unwrap_or_default();
        for part in
            [r#""type":"InjectedError""#, r#""message":"snapback has injected this error""#, r#""exit":{"delayMs":0}"#]
        {
            assert!(exchange(&written).contains(part), "{written}");
        }
    }

    #[test]
    fn what_is_not_understood_is_left_out_and_the_rest_is_kept() {
        let text = r#"{"until":9,"mood":{"a":[1]},"experiment":"e","run":"r","seed":3,"faults":[
            {"exit":{}},{"error":{"tenant":"a"}},{"melt":{}},7,{"error":{"match":[{"path":"a","like":"x"}]}},{"init":{"delayMs":1}}
        ]}"#;
        let config = ProxyConfig::parse(text).unwrap_or_else(|why| unreachable!("{why}"));
        let names: Vec<_> = config.faults.iter().map(InvocationFault::name).collect();
        assert_eq!((names.as_slice(), config.seed), (&["exit", "init"][..], Some(3)));
        let begins = [
            "`mood` is not known",
            "faults[1].error: unknown field `tenant`",
            "faults[2].melt: unknown variant `melt`",
            "faults[3].: ",
            "faults[4].error: unknown field `like`",
        ];
        assert_eq!(config.left_out.len(), begins.len(), "{:?}", config.left_out);
        for (said, begin) in config.left_out.iter().zip(begins) {
            assert!(said.starts_with(begin), "{said}");
        }
        assert_eq!(ProxyConfig::parse(&config.to_text()), Ok(ProxyConfig { left_out: Vec::new(), ..config }));
    }

    #[test]
    fn what_says_no_time_or_no_fault_is_no_order() {
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
    fn orders_end_when_their_time_is_up() {
        let orders = with_faults("");
        assert_eq!([0, 7, 8, 9, 10].map(|now| orders.left(now)), [Some(9), Some(2), Some(1), None, None]);
    }

    #[test]
    fn orders_of_an_initialisation_do_not_concern_invocations() {
        for (faults, wanted) in [
            ("", false),
            (r#"{"init":{"delayMs":1}}"#, false),
            (r#"{"init":{"delayMs":1}},{"exit":{}}"#, true),
            (r#"{"exit":{}}"#, true),
        ] {
            assert_eq!(with_faults(faults).concern_invocations(), wanted, "{faults}");
        }
    }

    #[test]
    fn a_run_can_have_twenty_faults() {
        assert_eq!(with_faults(&[r#"{"exit":{}}"#; 20].join(",")).faults.len(), 20);
    }

    #[test]
    fn a_fault_that_does_not_fit_together_is_left_out() {
        let refusal = |faults: &str| {
            let text = format!(r#"{{"until":9,"experiment":"e","run":"r","faults":[{faults}]}}"#);
            match ProxyConfig::parse(&text) {
                Ok(config) => config.left_out.join("\n"),
                Err(why) => why,
            }
        };
        for (fault, says) in [
            (r#"{"latency":{"minMs":6,"maxMs":5}}"#, "`minMs` is 6 and `maxMs` 5"),
            (r#"{"latency":{"delayMs":1,"minMs":1,"maxMs":2}}"#, "write `delayMs`, or both"),
            (r#"{"error":{"type":"has space"}}"#, "`type` is `has space`"),
            (r#"{"response":{"raw":"x","body":"y"}}"#, "keep one form"),
            (r#"{"response":{"body":"y"}}"#, "has no `statusCode`"),
            (r#"{"response":{}}"#, "says no answer"),
            (r#"{"corrupt":{"mangle":true,"replace":"x"}}"#, "one kind of damage"),
            (r#"{"init":{}}"#, "changes nothing"),
            (r#"{"disk":{"megabytes":1,"qualifier":"a b"}}"#, "`qualifier` is `a b`"),
        ] {
            assert!(refusal(fault).starts_with("faults[0].") && refusal(fault).contains(says), "{}", refusal(fault));
        }
        assert!(refusal(&[r#"{"exit":{}}"#; 21].join(",")).contains("21 faults are more than 20"));
    }
}
