//! The settings of a stack, as its outputs and its functions' environments state them.

use super::input::InvalidInput;
use super::proxy_layers::ProxyLayers;

/// The settings of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The prefix of the names of snapback's own resources.
    pub prefix: String,
    /// The tag that a function opts in with: key and value.
    pub opt_in: (String, String),
    /// The maximum number of targets of one run.
    pub target_limit: usize,
    /// The layers with the proxy; empty for a stack that predates the proxy.
    pub proxy_layers: ProxyLayers,
    /// The concurrency that the stack reserves for rollback and reaper; 0 where it reserves nothing.
    pub reserved_concurrency: u32,
}

/// The names of the tasks. Snapback's own functions are named `PREFIX-TASK`.
pub const TASKS: [&str; 9] =
    ["prepare", "arm", "inject", "observe", "restore", "report", "rollback", "reaper", "notify"];

/// Reads the name of the ledger's table, and the settings, from a function's environment.
///
/// # Errors
/// Names the variable that is missing or wrong.
pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<(String, Settings), InvalidInput> {
    let required = |name: &str| {
        let missing = || InvalidInput {
            field: name.to_owned(),
            problem: "is not set; deploy the function with its template".into(),
        };
        variable(name).filter(|value| !value.is_empty()).ok_or_else(missing)
    };
    // Only Prepare gets the layers and the reserved concurrency: it checks them, and the run keeps the layers.
    let proxy_layers = variable("SNAPBACK_PROXY_LAYERS").unwrap_or_default();
    let settings = parse(
        &required("SNAPBACK_PREFIX")?,
        &required("SNAPBACK_OPT_IN_TAG")?,
        &required("SNAPBACK_TARGET_LIMIT")?,
        &proxy_layers,
        &variable("SNAPBACK_RESERVED_CONCURRENCY").unwrap_or_default(),
    )?;
    Ok((required("SNAPBACK_TABLE")?, settings))
}

/// Parses the stack's parameters, as its outputs and its functions' environments state them.
///
/// # Errors
/// Names the parameter that is wrong.
pub fn parse(
    prefix: &str,
    opt_in: &str,
    target_limit: &str,
    proxy_layers: &str,
    reserved_concurrency: &str,
) -> Result<Settings, InvalidInput> {
    let wrong = |field: &str, problem: String| InvalidInput { field: field.to_owned(), problem };
    let opt_in = opt_in.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = opt_in.ok_or_else(|| wrong("OptInTag", "write KEY=VALUE, such as chaos=allowed".into()))?;
    let limit = target_limit.parse::<usize>().ok().filter(|limit| *limit > 0);
    let target_limit =
        limit.ok_or_else(|| wrong("TargetLimit", format!("`{target_limit}` is not a whole number above 0")))?;
    let proxy_layers = ProxyLayers::parse(proxy_layers).map_err(|problem| wrong("ProxyLayers", problem))?;
    // A stack without this output reserves nothing.
    let reserved_concurrency = match reserved_concurrency {
        "" => 0,
        text => text.parse().map_err(|_| {
            wrong("RollbackReservedConcurrency", format!("`{text}` is not a whole number of 0 or more"))
        })?,
    };
    let opt_in = (key.to_owned(), value.to_owned());
    Ok(Settings { prefix: prefix.to_owned(), opt_in, target_limit, proxy_layers, reserved_concurrency })
}
