//! Reads failure-lambda's `denylist`: regular expressions for the names of hosts that the function cannot reach.

use serde_json::Value;

use crate::model::invocation::{
    DependencyFault, EventCondition, Host, InvocationFault, Percentage, Reset, Unresolvable,
};

use super::fields::shown;

/// How a connection fails: since version 1.0 the name does not resolve, before that the connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    NotFound,
    Closed,
}

/// Returns the fault for a list of patterns: all of them, or the reason to import nothing.
pub(super) fn dependency(
    patterns: Option<&Value>,
    denial: Denial,
    percentage: Percentage,
    conditions: Vec<EventCondition>,
) -> Result<InvocationFault, String> {
    let patterns = patterns.and_then(Value::as_array).filter(|patterns| !patterns.is_empty());
    let hosts: Result<Vec<Host>, String> = patterns.ok_or("it has no list of hosts")?.iter().map(host).collect();
    let fault = InvocationFault::Dependency(DependencyFault {
        hosts: hosts?,
        ports: Vec::new(),
        latency: None,
        bandwidth: None,
        refuse: false,
        reset: (denial == Denial::Closed).then(Reset::default),
        blackhole: false,
        unresolvable: (denial == Denial::NotFound).then_some(Unresolvable::NotFound),
        percentage,
        conditions,
        qualifier: None,
    });
    fault.check()?;
    Ok(fault)
}

fn host(pattern: &Value) -> Result<Host, String> {
    let text = pattern.as_str().ok_or_else(|| format!("{} is not text", shown(pattern)))?;
    let name = name(text).ok_or_else(|| {
        format!("`{text}` is more than a name with `.*` in it; write a `dependency` fault with its hosts")
    })?;
    Host::try_from(name)
}

/// Translates a regular expression for names into a name with `*`; `None` if it has any other part. As in a name, a dot
/// is taken for itself: its authors mean no other character. The expression matches a part of the name, unless it says
/// where the name begins or ends.
fn name(pattern: &str) -> Option<String> {
    let inner = pattern.strip_prefix('^');
    let (mut name, mut rest) = (if inner.is_some() { String::new() } else { "*".to_owned() }, inner.unwrap_or(pattern));
    let body = rest.strip_suffix('$').filter(|body| !body.ends_with('\\'));
    let is_open = body.is_none();
    rest = body.unwrap_or(rest);
    while let Some(first) = rest.chars().next() {
        let any = rest.strip_prefix(".*").or_else(|| rest.strip_prefix(".+"));
        if let Some(after) = any.or_else(|| (is_open && rest == "*").then_some("")) {
            name.push('*');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\.") {
            name.push('.');
            rest = after;
        } else if first.is_ascii_alphanumeric() || ".-_".contains(first) {
            name.push(first);
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    if is_open {
        name.push('*');
    }
    while name.contains("**") {
        name = name.replace("**", "*");
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_becomes_the_names_that_it_matches() {
        for (pattern, expected) in [
            ("s3.*.amazonaws.com", Some("*s3*.amazonaws.com*")),
            (r"^s3\.eu-west-1\.amazonaws\.com$", Some("s3.eu-west-1.amazonaws.com")),
            (r"\.amazonaws\.com$", Some("*.amazonaws.com")),
            ("^db", Some("db*")),
            (".*", Some("*")),
            ("s3|dynamodb", None),
            ("[a-z]+", None),
            (r"db\d", None),
            (r"db\$", None),
        ] {
            assert_eq!(name(pattern).as_deref(), expected, "{pattern}");
        }
    }
}
