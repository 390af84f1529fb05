//! The command `plan`, and the plan that `run` shows before it asks.

use crate::model::experiment::Experiment;
use crate::plan::guardrails::evaluate;
use crate::plan::preview::{PlanView, plan_view};
use crate::steps::facts::collect_facts;

use super::arguments::{Arguments, PlanFormat, PlanOptions};
use super::artifacts::Artifact;
use super::exit::Exit;
use super::file::read_seeded;
use super::identity::{Identified, read_identity};
use super::output::Output;
use super::stack::Stack;
use super::summary::plan_summary;
use super::{Failure, stack};

/// Shows what a run would do.
pub(super) async fn plan(arguments: &Arguments, options: &PlanOptions, output: &Output) -> Result<Exit, Failure> {
    if output.as_json && options.format == PlanFormat::Markdown {
        return Err(Failure::invalid("--json and --format markdown exclude each other; use one of them"));
    }
    let (experiment, _) = read_seeded(&options.file, options.seed)?;
    let summary = options.summary.as_deref().map(|path| Artifact::open(path, &options.file)).transpose()?;
    let stack = stack::find(arguments).await?;
    let identity = read_identity(&stack).await;
    let is_text = options.format == PlanFormat::Text && !output.as_json;
    // It comes first, and is also there if the plan cannot be made.
    if is_text {
        output.print_sentences(&identity.to_string())
    } else {
        output.note(&identity.to_string())
    }
    let view = view(&stack, &experiment).await?;
    match (output.as_json, options.format) {
        (true, _) => output.json(&Identified { identity: &identity, view: &view }),
        (false, PlanFormat::Text) => output.plan(&view),
        (false, PlanFormat::Markdown) => output.print_text(&plan_summary(&view, &identity)),
    }
    if let Some(summary) = summary {
        output.keep(summary.write(&plan_summary(&view, &identity)));
    }
    Ok(if view.refusals.is_empty() { Exit::Success } else { Exit::Refused })
}

/// Reads what a run would do now.
pub(super) async fn view(stack: &Stack, experiment: &Experiment) -> Result<PlanView, Failure> {
    let facts = collect_facts(&stack.world, &stack.settings, experiment).await?;
    Ok(plan_view(experiment, &facts, &evaluate(experiment, &facts)))
}
