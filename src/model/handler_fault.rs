//! The `handler` fault: a handler that the user brings in a layer, or snapback's chaos handler.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bounded::BoundedU32;
use super::invocation::{
    EventCondition, ExceptionFault, HandlerOrder, LatencyFault, Milliseconds, Moment, Percentage, ResponseFault,
};
use super::names::{Handler, LayerVersionArn, VariableName};
use super::problems::Problems;
use super::secret::Secret;
use super::time::BoundedDuration;

/// A function's timeout: 1 to 900 seconds (lambda/latest/dg/configuration-timeout).
pub type FunctionTimeout = BoundedDuration<1, 900>;

/// A function's memory: 128 to 10,240 MB (lambda/latest/dg/configuration-memory).
pub type Megabytes = BoundedU32<128, 10_240>;

/// A replaced handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawHandlerFault", into = "RawHandlerFault")]
#[cfg_attr(feature = "schema", schemars(with = "RawHandlerFault"))]
pub enum HandlerFault {
    /// One that the user brings.
    Brought(BroughtHandler),
    /// snapback's own, with what it injects.
    Chaos(HandlerOrder),
}

/// A handler that the user brings, and what it usually needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroughtHandler {
    /// The handler during the run.
    pub handler: Handler,
    /// Layer versions to append, in this order, after the function's own.
    pub layers: Vec<LayerVersionArn>,
    /// Environment variables to set.
    pub environment: BTreeMap<VariableName, Secret>,
    /// The variable that is set to the target's own handler, so that the new one can call it.
    pub original_handler_variable: Option<VariableName>,
    /// The variable that is set to the run's deadline, in milliseconds since the epoch. After it, the new handler
    /// does what the original does.
    pub deadline_variable: Option<VariableName>,
    /// The function's timeout during the run.
    pub timeout: Option<FunctionTimeout>,
    /// The function's memory during the run, in MB.
    pub memory: Option<Megabytes>,
}

/// A handler fault as it is written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "HandlerFault"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawHandlerFault {
    /// The handler during the run; if absent, snapback's chaos handler, for Python and Node.js.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handler: Option<Handler>,
    /// With `handler`: layer versions to append, in this order, after the function's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layers: Vec<LayerVersionArn>,
    /// With `handler`: environment variables to set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<VariableName, Secret>,
    /// With `handler`: the variable that is set to the target's own handler, so that the new one can call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original_handler_variable: Option<VariableName>,
    /// With `handler`: the variable that is set to the run's deadline, in milliseconds since the epoch. After it, the
    /// new handler does what the original does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline_variable: Option<VariableName>,
    /// With `handler`: the function's timeout during the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<FunctionTimeout>,
    /// With `handler`: the function's memory during the run, in MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<Megabytes>,
    /// Without `handler`: raises an exception. The default, if neither `latency` nor `response` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exception: Option<RawException>,
    /// Without `handler`: delays an invocation, by `delayMs`, or by a random time from `minMs` to `maxMs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency: Option<RawLatency>,
    /// Without `handler`: responds, in HTTP form or with any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response: Option<RawResponse>,
    /// Without `handler`: whether the fault takes effect before the original handler, or after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<Moment>,
    /// Without `handler`: the percentage of invocations that have the fault; default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percentage: Option<Percentage>,
    /// Without `handler`: conditions on the event, all of which must hold.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<EventCondition>,
    /// Without `handler`: the alias or version that must be invoked; `$LATEST` includes invocations without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    qualifier: Option<String>,
}

/// An exception.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "HandlerException"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawException {
    /// The name of a class of the language or of the function; default: RuntimeError in Python, Error in Node.js.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    exception_type: Option<String>,
    /// The exception's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// A delay.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "HandlerLatency"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawLatency {
    /// The delay in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay_ms: Option<Milliseconds>,
    /// The shortest delay in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_ms: Option<Milliseconds>,
    /// The longest delay in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_ms: Option<Milliseconds>,
}

/// A response.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "HandlerResponse"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawResponse {
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status_code: Option<BoundedU32<100, 599>>,
    /// HTTP headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    /// The HTTP body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The whole response as JSON, for callers that do not use HTTP. Excludes `statusCode`, `headers` and `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

impl TryFrom<RawHandlerFault> for HandlerFault {
    type Error = Problems;

    fn try_from(raw: RawHandlerFault) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let Some(handler) = raw.handler.clone() else {
            for name in raw.settings_of_a_brought_handler() {
                let text = format!(
                    "has `{name}` without `handler`; add the name of your handler, or remove `{name}` to use \
                     snapback's own"
                );
                problems.lacking(name, &["handler"], text);
            }
            let order = raw.order(&mut problems);
            problems.into_result()?;
            return Ok(Self::Chaos(order));
        };
        for name in raw.settings_of_the_chaos_handler() {
            let text = format!(
                "has `{name}` next to `handler`; remove one of them: only snapback's own handler, which runs \
                 without `handler`, injects faults"
            );
            problems.wrong(name, text);
        }
        problems.into_result()?;
        Ok(Self::Brought(BroughtHandler {
            handler,
            layers: raw.layers,
            environment: raw.environment,
            original_handler_variable: raw.original_handler_variable,
            deadline_variable: raw.deadline_variable,
            timeout: raw.timeout,
            memory: raw.memory,
        }))
    }
}

/// The names of the settings that are there.
fn given<const COUNT: usize>(settings: [(&'static str, bool); COUNT]) -> Vec<&'static str> {
    settings.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

impl RawHandlerFault {
    fn settings_of_the_chaos_handler(&self) -> Vec<&'static str> {
        given([
            ("exception", self.exception.is_some()),
            ("latency", self.latency.is_some()),
            ("response", self.response.is_some()),
            ("when", self.when.is_some()),
            ("percentage", self.percentage.is_some()),
            ("match", !self.conditions.is_empty()),
            ("qualifier", self.qualifier.is_some()),
        ])
    }

    fn settings_of_a_brought_handler(&self) -> Vec<&'static str> {
        given([
            ("layers", !self.layers.is_empty()),
            ("environment", !self.environment.is_empty()),
            ("originalHandlerVariable", self.original_handler_variable.is_some()),
            ("deadlineVariable", self.deadline_variable.is_some()),
            ("timeout", self.timeout.is_some()),
            ("memory", self.memory.is_some()),
        ])
    }

    /// Returns what the chaos handler is to inject: the first of several, which are a problem.
    fn order(self, problems: &mut Problems) -> HandlerOrder {
        let Self { exception, latency, response, conditions, qualifier, .. } = self;
        let (when, percentage) = (self.when.unwrap_or_default(), self.percentage.unwrap_or_default());
        let orders = given([
            ("exception", exception.is_some()),
            ("latency", latency.is_some()),
            ("response", response.is_some()),
        ]);
        if let [_, second, ..] = &*orders {
            let text =
                "has more than one of `exception`, `latency` and `response`; write a separate `handler` fault for each";
            problems.wrong(second, text);
        }
        let order: HandlerOrder = match (exception, latency, response) {
            (None, Some(RawLatency { delay_ms, min_ms, max_ms }), _) => {
                LatencyFault { delay_ms, min_ms, max_ms, when, percentage, conditions, qualifier }.into()
            }
            (None, None, Some(RawResponse { status_code, headers, body, raw })) => {
                ResponseFault { status_code, headers, body, raw, when, percentage, conditions, qualifier }.into()
            }
            (exception, ..) => {
                let RawException { exception_type, message } = exception.unwrap_or_default();
                let message = message.unwrap_or_else(ExceptionFault::default_message);
                ExceptionFault { exception_type, message, when, percentage, conditions, qualifier }.into()
            }
        };
        order.add_problems(problems);
        order
    }

    /// Returns the form in which a fault of the chaos handler is written.
    fn chaos(order: HandlerOrder) -> Self {
        let rule = order.rule();
        let common = Self {
            when: Some(order.when()).filter(|when| *when != Moment::default()),
            percentage: Some(rule.percentage).filter(|percentage| !percentage.is_all()),
            conditions: rule.conditions.to_vec(),
            qualifier: rule.qualifier.map(str::to_owned),
            ..Self::default()
        };
        match order {
            HandlerOrder::Exception(ExceptionFault { exception_type, message, .. }) => {
                Self { exception: Some(RawException { exception_type, message: Some(message) }), ..common }
            }
            HandlerOrder::Latency(LatencyFault { delay_ms, min_ms, max_ms, .. }) => {
                Self { latency: Some(RawLatency { delay_ms, min_ms, max_ms }), ..common }
            }
            HandlerOrder::Response(ResponseFault { status_code, headers, body, raw, .. }) => {
                Self { response: Some(RawResponse { status_code, headers, body, raw }), ..common }
            }
        }
    }
}

impl From<HandlerFault> for RawHandlerFault {
    fn from(fault: HandlerFault) -> Self {
        match fault {
            HandlerFault::Brought(brought) => Self {
                handler: Some(brought.handler),
                layers: brought.layers,
                environment: brought.environment,
                original_handler_variable: brought.original_handler_variable,
                deadline_variable: brought.deadline_variable,
                timeout: brought.timeout,
                memory: brought.memory,
                ..Self::default()
            },
            HandlerFault::Chaos(order) => Self::chaos(order),
        }
    }
}

impl HandlerFault {
    /// Returns what the chaos handler injects, if it is the one.
    #[must_use]
    pub fn order(&self) -> Option<&HandlerOrder> {
        match self {
            Self::Chaos(order) => Some(order),
            Self::Brought(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problems::first_of;

    fn read(text: &str) -> Result<HandlerFault, String> {
        serde_json::from_str(text).map_err(|error| first_of(&error.to_string()).to_owned())
    }

    #[test]
    fn each_form_is_written_as_it_was_read() {
        for text in [
            r#"{"handler":"chaos.handler","deadlineVariable":"DEADLINE","memory":256}"#,
            r#"{"exception":{"type":"ValueError","message":"no stock"},"percentage":50,"match":[{"path":"a","equals":1}]}"#,
            r#"{"latency":{"minMs":1,"maxMs":2},"when":"after","qualifier":"live"}"#,
            r#"{"response":{"statusCode":503,"headers":{"a":"b"},"body":"busy"}}"#,
        ] {
            assert_eq!(read(text).map(|fault| serde_json::to_string(&fault).ok()), Ok(Some(text.into())));
        }
    }

    #[test]
    fn an_exception_is_what_the_chaos_handler_injects_by_default() {
        let fault = read("{}").map(|fault| serde_json::to_string(&fault).ok());
        assert_eq!(fault, Ok(Some(r#"{"exception":{"message":"snapback has injected this error"}}"#.into())));
    }

    #[test]
    fn settings_of_the_two_handlers_exclude_each_other() {
        for (text, expected) in [
            (r#"{"handler":"a.b","exception":{}}"#, "has `exception` next to `handler`"),
            (r#"{"handler":"a.b","when":"before"}"#, "has `when` next to `handler`"),
            (r#"{"handler":"a.b","percentage":100}"#, "has `percentage` next to `handler`"),
            (r#"{"layers":["arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1"]}"#, "has `layers` without `handler`"),
            (r#"{"exception":{},"deadlineVariable":"DEADLINE"}"#, "has `deadlineVariable` without `handler`"),
            (r#"{"memory":256}"#, "has `memory` without `handler`"),
            (r#"{"exception":{},"latency":{"delayMs":1}}"#, "write a separate `handler` fault for each"),
            (r#"{"latency":{}}"#, "needs exactly one delay"),
            (r#"{"response":{"body":"x"}}"#, "has no `statusCode`"),
            (r#"{"exception":{"type":"a b"}}"#, "is not the name of a class"),
            (r#"{"match":[{"path":"a","regex":"(a+)+"}]}"#, "repeats a group"),
        ] {
            assert!(read(text).is_err_and(|why| why.contains(expected)), "{text}: {:?}", read(text));
        }
    }
}
