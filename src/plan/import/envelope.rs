//! Opens what AWS's command line puts around a configuration: the output of `aws ssm get-parameter`, or a text that is
//! JSON itself (systems-manager/latest/APIReference/API_GetParameter).

use serde_json::Value;

use crate::model::input::InvalidInput;

/// The configuration in the envelope, and the other fields.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) content: Value,
    /// The paths of the fields that only describe the parameter.
    pub(super) about: Vec<String>,
}

/// Opens an envelope; `None` where the source is not one.
///
/// # Errors
/// If a parameter's value is encrypted, or is not JSON.
pub(super) fn open(source: &Value) -> Result<Option<Opened>, InvalidInput> {
    if let Some(text) = source.as_str() {
        let content = serde_json::from_str(text)
            .map_err(|_| InvalidInput::whole("the text is not JSON; write the content of the parameter"))?;
        return Ok(Some(Opened { content, about: Vec::new() }));
    }
    let single = source.get("Parameter").map(|parameter| ("Parameter".to_owned(), parameter));
    let several = source.get("Parameters").and_then(Value::as_array);
    let only = several.and_then(|list| Some(("Parameters[0]".to_owned(), list.first().filter(|_| list.len() == 1)?)));
    let Some((path, parameter)) = single.or(only) else { return Ok(None) };
    let (Some(fields), Some(text)) = (parameter.as_object(), parameter.get("Value").and_then(Value::as_str)) else {
        return Ok(None);
    };
    let content = serde_json::from_str(text).map_err(|_| InvalidInput {
        field: format!("{path}.Value"),
        problem: match fields.get("Type").and_then(Value::as_str) {
            Some("SecureString") => "it is encrypted; get it with --with-decryption".to_owned(),
            _ => "it is not JSON; write the tool's configuration".to_owned(),
        },
    })?;
    let about = fields.keys().filter(|key| *key != "Value").map(|key| format!("{path}.{key}")).collect();
    Ok(Some(Opened { content, about }))
}
