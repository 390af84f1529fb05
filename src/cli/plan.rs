//! The commands `check` and `plan`.

use std::path::Path;

use serde_json::json;

use crate::model::target::Target;
use crate::plan::guardrails::evaluate;
use crate::plan::preview::plan_view;
use crate::steps::facts::collect_facts;

use super::arguments::Arguments;
use super::artifacts::Artifact;
use super::exit::Exit;
use super::file::{read_file, read_seeded};
use super::identity::{Identified, show_identity};
use super::output::{Output, targets};
use super::summary::plan_summary;
use super::{Failure, stack};

/// Validates a file, without any call to AWS.
pub(super) fn check(file: &Path, output: &Output) -> Result<Exit, Failure> {
    let (experiment, _) = read_file(file)?;
    if output.as_json {
        output.json(&json!({ "valid": true, "experiment": experiment.name }));
    } else {
        let faults: Vec<&str> = experiment.faults.iter().map(|fault| fault.name()).collect();
        let has_tags = experiment.targets.iter().any(|target| matches!(target, Target::Tagged { .. }));
        let on = match (has_tags, experiment.targets.len()) {
            (false, count) => targets(count),
            (true, 1) => "the functions with its tags (plan resolves them)".to_owned(),
            (true, count) => format!("{count} entries of targets (plan resolves their tags)"),
        };
        let what = format!("{} on {on} for {}", faults.join(", "), experiment.duration);
        output.print_line(&format!("valid: {}: {what}", experiment.name));
    }
    Ok(Exit::Success)
}

/// Shows what a run would do.
pub(super) async fn plan(
    arguments: &Arguments,
    file: &Path,
    seed: Option<u32>,
    summary: Option<&Path>,
    output: &Output,
) -> Result<Exit, Failure> {
    let (experiment, _) = read_seeded(file, seed)?;
    let summary = summary.map(|path| Artifact::open(path, file)).transpose()?;
    let stack = stack::find(arguments).await?;
    let identity = show_identity(&stack, output).await;
    let facts = collect_facts(&stack.world, &stack.settings, &experiment).await?;
    let view = plan_view(&experiment, &facts, &evaluate(&experiment, &facts));
    if output.as_json {
        output.json(&Identified { identity: &identity, view: &view });
    } else {
        output.plan(&view);
    }
    if let Some(summary) = summary {
        output.keep(summary.write(&plan_summary(&view)));
    }
    Ok(if view.refusals.is_empty() { Exit::Success } else { Exit::Refused })
}
