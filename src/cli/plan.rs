//! The command `plan`.

use std::path::Path;

use crate::plan::guardrails::evaluate;
use crate::plan::rendering::plan_view;
use crate::steps::facts::collect_facts;

use super::arguments::Arguments;
use super::artifacts::Artifact;
use super::exit::Exit;
use super::file::read_seeded;
use super::identity::{Identified, show_identity};
use super::output::Output;
use super::summary::plan_summary;
use super::{Failure, stack};

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
    let view = plan_view(&experiment, &evaluate(&experiment, &facts));
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
