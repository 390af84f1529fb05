//! What the control plane tells the proxy: the one thing that the two planes share.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::faults::InvocationFault;

/// The variable in which the proxy finds its orders.
pub const FAULTS_VARIABLE: &str = "SNAPBACK_FAULTS";
/// The variable in which the proxy finds the wrapper that it displaces.
pub const CHAINED_WRAPPER_VARIABLE: &str = "SNAPBACK_CHAINED_WRAPPER";
/// Where the layer puts the proxy (lambda/latest/dg/packaging-layers: a layer's root is /opt).
pub const PROXY_PATH: &str = "/opt/snapback-proxy";

/// Faults of one run, at most.
pub const MAX_FAULTS: usize = 20;

/// The faults of one run, in the order in which they are applied, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Orders {
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
}

impl Orders {
    /// Reads what the control plane has written, and JSON as it is: nothing in JSON begins as the other form does.
    ///
    /// # Errors
    /// One sentence that says what cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json = if text.starts_with("{'") { Cow::Owned(exchange(text)) } else { Cow::Borrowed(text) };
        let orders: Self = serde_json::from_str(&json).map_err(|error| error.to_string())?;
        if orders.faults.len() > MAX_FAULTS {
            return Err(format!("{} faults are more than {MAX_FAULTS}", orders.faults.len()));
        }
        for (at, fault) in orders.faults.iter().enumerate() {
            fault.check().map_err(|wrong| format!("faults[{at}].{}: {wrong}", fault.name()))?;
        }
        Ok(orders)
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
        assert_eq!(Orders::parse(&text).map(|orders| exchange(&orders.to_text())), Ok(text));
    }

    #[test]
    fn texts_with_quotes_and_backslashes_come_back_as_they_were() {
        let message = r#"it's "quoted" in C:\temp, ~ or so, {"a":"\u00e9"}"#;
        let text = serde_json::json!({
            "until": 9, "experiment": "it's ~", "run": "r", "faults": [{ "error": { "message": message } }]
        });
        let orders = Orders::parse(&text.to_string());
        let written = orders.clone().map(|orders| orders.to_text()).unwrap_or_default();
        assert!(written.starts_with("{'until':9,'experiment':'it\"s \\'"), "{written}");
        assert_eq!(Orders::parse(&written), orders);
    }

    #[test]
    fn what_is_written_costs_less_than_json_where_it_counts() {
        let body = r#"{"error":"unavailable","retry":"it's \"later\""}"#;
        let text = serde_json::json!({
            "until": 1_780_272_060_000_u64, "experiment": "checkout survives", "run": "run-1",
            "faults": [{ "response": { "statusCode": 503, "headers": { "retry-after": "1" }, "body": body } }]
        });
        let orders = Orders::parse(&text.to_string());
        let measured = |text: &str| serde_json::to_string(text).unwrap_or_default().len();
        let (json, written) = orders.map(|orders| (exchange(&orders.to_text()), orders.to_text())).unwrap_or_default();
        assert_eq!((json.len(), measured(&json), measured(&written)), (213, 265, 216));
    }

    #[test]
    fn what_is_left_out_is_what_is_documented() {
        let text = r#"{"until":9,"experiment":"e","run":"r","faults":[{"error":{}},{"exit":{}}]}"#;
        let written = Orders::parse(text).map(|orders| orders.to_text()).unwrap_or_default();
        for part in
            [r#""type":"InjectedError""#, r#""message":"snapback has injected this error""#, r#""exit":{"delayMs":0}"#]
        {
            assert!(exchange(&written).contains(part), "{written}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let refusal = |faults: &str| {
            let text = format!(r#"{{"until":9,"experiment":"e","run":"r","faults":[{faults}]}}"#);
            Orders::parse(&text).err().unwrap_or_default()
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
