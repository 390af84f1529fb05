//! The size of an update, measured as Lambda measures it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::secret::Secret;
use crate::model::snapshot::Change;

/// The limit of all variables together: 4 KB (lambda/latest/dg/configuration-envvars). Inferred: the JSON text of the
/// map counts, including escapes, because Lambda's error shows it ("String measured: {...}").
pub(super) const MAX_ENVIRONMENT_BYTES: usize = 4096;
/// The limit of a request. Lambda's error (413) is "Request must be smaller than 5120 bytes for the
/// UpdateFunctionConfiguration operation"; no page has the figure.
pub(super) const MAX_REQUEST_BYTES: usize = 5119;
/// A sample revision. AWS's revisions are UUIDs, so all have this length.
const REVISION: &str = "11111111-2222-3333-4444-555555555555";

/// Returns the size of an environment in bytes.
pub(super) fn environment_bytes(variables: &BTreeMap<String, Secret>) -> usize {
    environment(variables).to_string().len()
}

/// Returns the bytes that one variable adds: name, colon and value.
pub(super) fn variable_bytes(name: &str, value: &Secret) -> usize {
    json!(name).to_string().len() + 1 + json!(value.expose()).to_string().len()
}

/// Returns the size in bytes of the request that makes these changes and writes this environment.
pub(super) fn request_bytes(changes: &[Change], variables: &BTreeMap<String, Secret>) -> usize {
    let mut request = json!({ "Environment": { "Variables": environment(variables) }, "RevisionId": REVISION });
    for change in changes {
        match change {
            Change::Handler { injected, .. } => request["Handler"] = json!(injected),
            Change::Layers { original, added } => {
                request["Layers"] = original.iter().chain(added).map(|layer| json!(layer)).collect();
            }
            Change::Timeout { injected, .. } => request["Timeout"] = json!(injected),
            Change::Memory { injected, .. } => request["MemorySize"] = json!(injected),
            Change::Variable { .. } | Change::ReservedConcurrency { .. } | Change::Mapping { .. } => {}
        }
    }
    request.to_string().len()
}

fn environment(variables: &BTreeMap<String, Secret>) -> Value {
    variables.iter().map(|(name, value)| (name.clone(), json!(value.expose()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_counts_as_often_as_it_is_written_in_json() {
        let variables = BTreeMap::from([("AB".to_owned(), Secret::new(r#"[{"arn":"x"}]"#))]);
        assert_eq!(environment(&variables).to_string(), r#"{"AB":"[{\"arn\":\"x\"}]"}"#);
        assert_eq!(environment_bytes(&variables), 26);
        assert_eq!(variable_bytes("AB", &variables["AB"]), 24);
        let timeout = Change::Timeout { original: 3, injected: 20 };
        let request = r#"{"Environment":{"Variables":},"RevisionId":"","Timeout":20}"#;
        assert_eq!(request_bytes(&[timeout], &variables), request.len() + 26 + 36);
    }
}
