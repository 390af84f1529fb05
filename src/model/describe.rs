//! What a fault does, as one phrase for people: `latency +3000 ms on 30 % of invocations where path = /checkout`.
//!
//! It names every setting that decides what invocations meet, and never the value of a variable.

use serde_json::Value;

use super::fault::{EnvironmentFault, Fault, LayerFault};
use super::handler_fault::{BroughtHandler, HandlerFault};
use super::invocation::{
    Breakage, Corrupt, CorruptFault, DependencyFault, EventCondition, ExceptionFault, HandlerOrder, Host, InitFault,
    InvocationFault, LatencyFault, Milliseconds, Moment, Operator, ResponseFault, Rule, Unresolvable,
};
use super::mappings::Mappings;
use super::names::{LayerVersionArn, VariableName};
use super::text::shorten;

/// Returns what a fault does and which invocations meet it.
#[must_use]
pub fn describe(fault: &Fault) -> String {
    match fault {
        Fault::ReservedConcurrency(fault) => match fault.limit.get() {
            0 => "reserved concurrency 0: every invocation is throttled".to_owned(),
            limit => format!("reserved concurrency {limit}: invocations above {limit} at once are throttled"),
        },
        Fault::Handler(HandlerFault::Brought(fault)) => brought(fault),
        Fault::Handler(HandlerFault::Chaos(order)) => format!("{} {}", ordered(order), invocations(&order.rule())),
        Fault::Layer(fault) => layer(fault),
        Fault::Environment(fault) => environment(fault),
        Fault::Timeout(fault) => format!("timeout {} s", fault.timeout.seconds()),
        Fault::Memory(fault) => format!("memory {} MB", fault.megabytes.get()),
        Fault::EventSourceMapping(fault) => match &fault.disable {
            Mappings::All => "all enabled event source mappings disabled".to_owned(),
            Mappings::One(id) => format!("event source mapping {id} disabled"),
        },
        Fault::Latency(_)
        | Fault::InvocationTimeout(_)
        | Fault::Error(_)
        | Fault::Response(_)
        | Fault::Corrupt(_)
        | Fault::Disk(_)
        | Fault::Init(_)
        | Fault::Exit(_)
        | Fault::Dependency(_) => fault.invocation().as_ref().map(inside).unwrap_or_default(),
    }
}

/// Describes a fault of the proxy.
fn inside(fault: &InvocationFault) -> String {
    let what = match fault {
        InvocationFault::Latency(fault) => latency(fault),
        InvocationFault::InvocationTimeout(fault) => match fault.buffer_ms {
            Milliseconds::MIN => "delay until the timeout".to_owned(),
            buffer => format!("delay until {} ms before the timeout", buffer.get()),
        },
        InvocationFault::Error(fault) => {
            let what = format!("error {} ({})", fault.error_type, shorten(&fault.message));
            format!("{what} {}", moment(fault.when))
        }
        InvocationFault::Response(fault) => response(fault),
        InvocationFault::Corrupt(fault) => corrupt(fault).to_owned(),
        InvocationFault::Disk(fault) => format!("up to {} MB of /tmp filled", fault.megabytes.get()),
        InvocationFault::Exit(fault) => match fault.delay_ms {
            Milliseconds::MIN => "runtime killed at the event".to_owned(),
            delay => format!("runtime killed {} ms after the event", delay.get()),
        },
        InvocationFault::Dependency(fault) => dependency(fault),
        InvocationFault::Init(fault) => return init(fault),
    };
    format!("{what} {}", invocations(&fault.rule()))
}

/// Describes what the chaos handler injects.
fn ordered(order: &HandlerOrder) -> String {
    match order {
        HandlerOrder::Exception(ExceptionFault { exception_type, message, when, .. }) => {
            let kind = exception_type.as_deref().map(|kind| format!(" {kind}")).unwrap_or_default();
            format!("exception{kind} ({}) {}", shorten(message), moment(*when))
        }
        HandlerOrder::Latency(fault) => latency(fault),
        HandlerOrder::Response(fault) => response(fault),
    }
}

fn latency(fault: &LatencyFault) -> String {
    let delay = match fault.range() {
        Some((least, most)) if least == most => format!("+{} ms", most.get()),
        Some((least, most)) => format!("+{} to {} ms", least.get(), most.get()),
        None => "without a delay".to_owned(),
    };
    let when = if fault.when == Moment::After { " after the handler" } else { "" };
    format!("latency {delay}{when}")
}

fn response(fault: &ResponseFault) -> String {
    let mut parts: Vec<String> = fault.status_code.iter().map(|code| format!("status {}", code.get())).collect();
    let headers: Vec<&str> = fault.headers.keys().map(String::as_str).collect();
    if !headers.is_empty() {
        parts.push(format!("{} {}", if headers.len() == 1 { "header" } else { "headers" }, headers.join(", ")));
    }
    parts.extend(fault.body.iter().map(|body| format!("body {}", quoted(body))));
    parts.extend(fault.raw.iter().map(|raw| quoted(raw)));
    match fault.when {
        Moment::Before => format!("response with {} in place of the handler", parts.join(", ")),
        Moment::After => format!("response changed after the handler to {}", parts.join(", ")),
    }
}

fn corrupt(fault: &CorruptFault) -> String {
    match fault.how() {
        Some(Corrupt::Truncate(bytes)) => format!("response body truncated to {bytes} bytes"),
        Some(Corrupt::Replace(text)) => format!("response body replaced by {}", quoted(text)),
        Some(Corrupt::Mangle) => "values in the response body changed".to_owned(),
        None => "response body unchanged".to_owned(),
    }
}

fn dependency(fault: &DependencyFault) -> String {
    let hosts: Vec<&str> = fault.hosts.iter().map(Host::as_str).collect();
    let ports: Vec<String> = fault.ports.iter().map(|port| port.get().to_string()).collect();
    let ports = match ports.len() {
        0 => String::new(),
        1 => format!(" at port {}", ports.join(", ")),
        _ => format!(" at ports {}", ports.join(", ")),
    };
    let whom = format!("{}{ports}", hosts.join(", "));
    match fault.breakage() {
        Some(Breakage::Latency(least, most)) if least == most => format!("answers of {whom} +{} ms", most.get()),
        Some(Breakage::Latency(least, most)) => format!("answers of {whom} +{} to {} ms", least.get(), most.get()),
        Some(Breakage::Bandwidth(limit)) => format!("connections to {whom} limited to {limit} bytes per second"),
        Some(Breakage::Refuse) => format!("connections to {whom} refused"),
        Some(Breakage::Reset(0)) => format!("connections to {whom} reset at the first bytes"),
        Some(Breakage::Reset(bytes)) => format!("connections to {whom} reset after {bytes} bytes of answers"),
        Some(Breakage::Blackhole) => format!("connections to {whom} silent"),
        Some(Breakage::Unresolvable(Unresolvable::NotFound)) => format!("{whom} not found when resolved"),
        Some(Breakage::Unresolvable(Unresolvable::TryAgain)) => format!("{whom} without an answer when resolved"),
        None => format!("connections to {whom} unchanged"),
    }
}

fn init(fault: &InitFault) -> String {
    let delay = fault.delay_ms.map(|delay| format!("delayed by {} ms", delay.get()));
    let failure = fault.fail.as_ref();
    let failure = failure.map(|error| format!("failed with {} ({})", error.error_type, shorten(&error.message)));
    let what: Vec<String> = delay.into_iter().chain(failure).collect();
    let share = match fault.percentage {
        all if all.is_all() => "every initialization".to_owned(),
        share => format!("{share} % of initializations"),
    };
    format!("{share} {}", what.join(" and "))
}

fn brought(fault: &BroughtHandler) -> String {
    let mut parts = vec![format!("handler {} in place of the function's own", fault.handler)];
    parts.extend(layers(&fault.layers));
    let variables = [&fault.original_handler_variable, &fault.deadline_variable];
    parts.extend(variables_set(fault.environment.keys().chain(variables.into_iter().flatten())));
    parts.extend(fault.timeout.map(|timeout| format!("timeout {} s", timeout.seconds())));
    parts.extend(fault.memory.map(|memory| format!("memory {} MB", memory.get())));
    parts.join(", ")
}

fn layer(fault: &LayerFault) -> String {
    let mut parts: Vec<String> = layers(&fault.layers).into_iter().collect();
    let variables = [&fault.chained_wrapper_variable, &fault.deadline_variable];
    parts.extend(variables_set(fault.environment.keys().chain(variables.into_iter().flatten())));
    parts.extend(fault.wrapper.iter().map(|wrapper| format!("wrapper {wrapper}")));
    parts.join(", ")
}

fn environment(fault: &EnvironmentFault) -> String {
    let removed: Vec<&str> = fault.unset.iter().map(VariableName::as_str).collect();
    let removed = (!removed.is_empty()).then(|| format!("{} removed", named("variable", &removed)));
    let parts: Vec<String> = variables_set(fault.set.keys()).into_iter().chain(removed).collect();
    parts.join(", ")
}

fn layers(layers: &[LayerVersionArn]) -> Option<String> {
    let name = |layer: &LayerVersionArn| {
        let arn = layer.as_str();
        arn.rsplit_once("layer:").map_or(arn, |(_, name)| name).to_owned()
    };
    let names: Vec<String> = layers.iter().map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| format!("{} added", named("layer", &names)))
}

fn variables_set<'a>(names: impl Iterator<Item = &'a VariableName>) -> Option<String> {
    let names: Vec<&str> = names.map(VariableName::as_str).collect();
    (!names.is_empty()).then(|| format!("{} set", named("variable", &names)))
}

fn named(noun: &str, names: &[&str]) -> String {
    format!("{noun}{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}

fn moment(when: Moment) -> &'static str {
    match when {
        Moment::Before => "in place of the handler",
        Moment::After => "after the handler",
    }
}

/// Describes which invocations trigger a fault.
fn invocations(rule: &Rule<'_>) -> String {
    let share = match rule.percentage {
        all if all.is_all() => "on every invocation".to_owned(),
        share => format!("on {share} % of invocations"),
    };
    let qualifier = rule.qualifier.map(|name| format!(" of {name}")).unwrap_or_default();
    let conditions: Vec<String> = rule.conditions.iter().map(condition).collect();
    match conditions.is_empty() {
        true => format!("{share}{qualifier}"),
        false => format!("{share}{qualifier} where {}", conditions.join(" and ")),
    }
}

fn condition(condition: &EventCondition) -> String {
    let path = condition.path.to_string();
    match &condition.operator {
        Operator::Equals(value) => format!("{path} = {}", scalar(value)),
        Operator::Exists(true) => format!("{path} exists"),
        Operator::Exists(false) => format!("{path} does not exist"),
        Operator::StartsWith(prefix) => format!("{path} starts with {}", text(prefix)),
        Operator::Regex(regex) => format!("{path} matches {}", shorten(regex.as_str())),
        Operator::In(values) => {
            let values: Vec<String> = values.iter().map(scalar).collect();
            format!("{path} is one of {}", values.join(", "))
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// Quotes a text that would be read as something else without quotes: a number, several words, or nothing.
fn text(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/-_.:@+*%".contains(c);
    let is_other = serde_json::from_str::<Value>(value).is_ok();
    if value.is_empty() || is_other || !value.chars().all(is_plain) { quoted(value) } else { shorten(value) }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", shorten(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(fault: Value) -> String {
        let shown = fault.to_string();
        let fault: Fault = serde_json::from_value(fault).unwrap_or_else(|error| unreachable!("{shown}: {error}"));
        describe(&fault)
    }

    #[test]
    fn a_fault_inside_invocations_says_what_it_does_to_which() {
        let on = |name: &str| json!([{ "path": "path", "equals": name }]);
        for (fault, expected) in [
            (
                json!({ "latency": { "delayMs": 3000, "percentage": 30, "match": on("/checkout") } }),
                "latency +3000 ms on 30 % of invocations where path = /checkout",
            ),
            (
                json!({ "latency": { "minMs": 1, "maxMs": 2, "when": "after", "qualifier": "live" } }),
                "latency +1 to 2 ms after the handler on every invocation of live",
            ),
            (json!({ "invocationTimeout": {} }), "delay until the timeout on every invocation"),
            (
                json!({ "invocationTimeout": { "bufferMs": 200 } }),
                "delay until 200 ms before the timeout on every invocation",
            ),
            (
                json!({ "error": { "type": "Broken", "message": "no stock", "percentage": 12.5 } }),
                "error Broken (no stock) in place of the handler on 12.5 % of invocations",
            ),
            (
                json!({ "response": { "statusCode": 503, "headers": { "a": "b" }, "body": "busy" } }),
                "response with status 503, header a, body \"busy\" in place of the handler on every invocation",
            ),
            (
                json!({ "response": { "raw": "[1]", "when": "before" } }),
                "response with \"[1]\" in place of the handler on every invocation",
            ),
            (
                json!({ "response": { "statusCode": 500, "when": "after" } }),
                "response changed after the handler to status 500 on every invocation",
            ),
            (json!({ "corrupt": { "truncateBytes": 7 } }), "response body truncated to 7 bytes on every invocation"),
            (json!({ "corrupt": { "replace": "x" } }), "response body replaced by \"x\" on every invocation"),
            (json!({ "corrupt": { "mangle": true } }), "values in the response body changed on every invocation"),
            (json!({ "disk": { "megabytes": 100 } }), "up to 100 MB of /tmp filled on every invocation"),
            (json!({ "exit": {} }), "runtime killed at the event on every invocation"),
            (json!({ "exit": { "delayMs": 5 } }), "runtime killed 5 ms after the event on every invocation"),
            (
                json!({ "init": { "delayMs": 5, "fail": { "message": "m" }, "percentage": 50 } }),
                "50 % of initializations delayed by 5 ms and failed with InjectedError (m)",
            ),
        ] {
            assert_eq!(described(fault), expected);
        }
    }

    #[test]
    fn a_broken_dependency_has_its_hosts_and_the_breakage() {
        for (fault, expected) in [
            (
                json!({ "dependency": { "hosts": ["db.*", "10.0.0.0/8"], "ports": [443], "refuse": true, "percentage": 5 } }),
                "connections to db.*, 10.0.0.0/8 at port 443 refused on 5 % of invocations",
            ),
            (
                json!({ "dependency": { "hosts": ["db"], "ports": [1, 2], "latency": { "minMs": 1, "maxMs": 2 } } }),
                "answers of db at ports 1, 2 +1 to 2 ms on every invocation",
            ),
            (
                json!({ "dependency": { "hosts": ["db"], "latency": { "delayMs": 9 } } }),
                "answers of db +9 ms on every invocation",
            ),
            (
                json!({ "dependency": { "hosts": ["db"], "bandwidth": { "bytesPerSecond": 100 } } }),
                "connections to db limited to 100 bytes per second on every invocation",
            ),
            (
                json!({ "dependency": { "hosts": ["db"], "reset": {} } }),
                "connections to db reset at the first bytes on every invocation",
            ),
            (
                json!({ "dependency": { "hosts": ["db"], "reset": { "afterBytes": 7 } } }),
                "connections to db reset after 7 bytes of answers on every invocation",
            ),
            (
                json!({ "dependency": { "hosts": ["db"], "blackhole": true } }),
                "connections to db silent on every invocation",
            ),
            (
                json!({ "dependency": { "hosts": ["db"], "unresolvable": "notFound" } }),
                "db not found when resolved on every invocation",
            ),
            (
                json!({ "dependency": { "hosts": ["db"], "unresolvable": "tryAgain" } }),
                "db without an answer when resolved on every invocation",
            ),
        ] {
            assert_eq!(described(fault), expected);
        }
    }

    #[test]
    fn a_fault_of_the_configuration_names_each_setting_and_no_value() {
        let layer = "arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1";
        for (fault, expected) in [
            (json!({ "reservedConcurrency": { "limit": 0 } }), "reserved concurrency 0: every invocation is throttled"),
            (
                json!({ "reservedConcurrency": { "limit": 2 } }),
                "reserved concurrency 2: invocations above 2 at once are throttled",
            ),
            (json!({ "timeout": { "timeout": "PT2S" } }), "timeout 2 s"),
            (json!({ "memory": { "megabytes": 256 } }), "memory 256 MB"),
            (
                json!({ "environment": { "set": { "AA": "secret", "BB": "s" }, "unset": ["CC"] } }),
                "variables AA, BB set, variable CC removed",
            ),
            (
                json!({ "layer": { "layers": [layer], "environment": { "AA": "secret" }, "wrapper": "/opt/w" } }),
                "layer chaos:1 added, variable AA set, wrapper /opt/w",
            ),
            (
                json!({ "handler": { "handler": "chaos.handler", "timeout": "PT1S", "memory": 128 } }),
                "handler chaos.handler in place of the function's own, timeout 1 s, memory 128 MB",
            ),
            (
                json!({ "handler": { "exception": { "type": "ValueError", "message": "m" }, "percentage": 50 } }),
                "exception ValueError (m) in place of the handler on 50 % of invocations",
            ),
            (json!({ "handler": { "latency": { "delayMs": 9 } } }), "latency +9 ms on every invocation"),
            (json!({ "eventSourceMapping": { "disable": "ALL" } }), "all enabled event source mappings disabled"),
        ] {
            assert_eq!(described(fault), expected);
        }
    }

    #[test]
    fn each_condition_is_words_and_a_text_like_a_number_has_quotes() {
        let conditions = json!([
            { "path": "a", "equals": "7" },
            { "path": "b", "equals": 7 },
            { "path": "c", "equals": "two words" },
            { "path": "d", "exists": false },
            { "path": "e", "startsWith": "/api" },
            { "path": "f", "regex": "^(GET)$" },
            { "path": "g", "in": [1, "x", null] },
        ]);
        let expected = "runtime killed at the event on every invocation where a = \"7\" and b = 7 and c = \"two words\" \
                        and d does not exist and e starts with /api and f matches ^(GET)$ and g is one of 1, x, null";
        assert_eq!(described(json!({ "exit": { "match": conditions } })), expected);
    }
}
