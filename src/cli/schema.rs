//! The command `schema`: JSON Schemas of the experiment, of what each command prints, and of the events, made from the types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::experiment::Experiment;
use crate::model::notice::Notice;
use crate::plan::preview::PlanView;
use crate::plan::rendering::ReportView;

use super::check::CheckView;
use super::evidence::HistoryRow;
use super::identity::Identified;
use super::lever::LeverOutput;
use super::listed::StatusView;
use super::output::FailureView;
use super::rollback::RollbackView;
use super::run::FinalLine;
use super::schedule::{ScheduleChange, ScheduleList, ScheduleView};
use super::stream::RunLine;

/// What a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Document {
    /// An experiment, as users write it.
    Experiment,
    /// What check prints.
    Check,
    /// What plan prints.
    Plan,
    /// Each line that run prints.
    Run,
    /// What report and status RUN print.
    Report,
    /// What status prints without a run.
    Status,
    /// What rollback prints.
    Rollback,
    /// What lever prints.
    Lever,
    /// What history and compare print.
    History,
    /// What schedule show and schedule add print.
    Schedule,
    /// What schedule list prints.
    Schedules,
    /// What schedule pause, resume and remove print.
    ScheduleChange,
    /// The detail of snapback's events.
    Event,
    /// What every command prints that has failed.
    Failure,
}

/// Returns the schema.
pub(super) fn schema_of(document: Document) -> Schema {
    match document {
        Document::Experiment => schemars::schema_for!(Experiment),
        Document::Check => printed::<CheckView>(),
        Document::Plan => printed::<Identified<'static, PlanView>>(),
        Document::Run => any_line(),
        Document::Report => printed::<ReportView>(),
        Document::Status => printed::<StatusView<'static>>(),
        Document::Rollback => printed::<RollbackView<'static>>(),
        Document::Lever => printed::<LeverOutput<'static>>(),
        Document::History => printed::<Vec<HistoryRow>>(),
        Document::Schedule => printed::<ScheduleView>(),
        Document::Schedules => printed::<ScheduleList>(),
        Document::ScheduleChange => printed::<ScheduleChange<'static>>(),
        Document::Event => printed::<Notice>(),
        Document::Failure => printed::<FailureView<'static>>(),
    }
}

/// The schema of each line of `run`.
fn any_line() -> Schema {
    let mut generator = generator();
    let lines = [
        generator.subschema_for::<RunLine<'static>>(),
        generator.subschema_for::<FinalLine<'static>>(),
        generator.subschema_for::<FailureView<'static>>(),
    ];
    let definitions = generator.take_definitions(true);
    json_schema!({ "title": "A line of run", "anyOf": lines, "$defs": definitions })
}

/// The schema of a type that is only printed.
fn printed<T: JsonSchema>() -> Schema {
    generator().into_root_schema_for::<T>()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}
