//! The command `schema`: JSON Schemas of the experiment, of what each command prints, and of the events, made from the types.

use clap::ValueEnum;
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

/// The version of JSON Schema that the schemas are written in.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

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

impl Document {
    /// The last part of its identifier, which is what `--of` takes.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What an editor or a generator of code shows for it.
    fn title(self) -> &'static str {
        match self {
            Self::Experiment => "An experiment of snapback",
            Self::Check => "What snapback check has found in files",
            Self::Plan => "The plan of an experiment of snapback",
            Self::Run => "A line of snapback run",
            Self::Report => "The report of a run of snapback",
            Self::Status => "The status of a stack of snapback",
            Self::Rollback => "The runs that snapback rollback has ended",
            Self::Lever => "The safety lever of snapback",
            Self::History => "Runs of snapback, side by side",
            Self::Schedule => "A schedule of snapback",
            Self::Schedules => "The schedules of a stack of snapback",
            Self::ScheduleChange => "A change of a schedule of snapback",
            Self::Event => "The detail of snapback's events",
            Self::Failure => "The failure of a command of snapback",
        }
    }
}

/// The version in the schemas' identifiers. It grows with a change that a reader of the former documents cannot read.
const VERSION: u32 = 1;

/// Returns the schema, with a title and an identifier.
///
/// The identifier is a URN, because the schemas are on no host. Editors find the schema of a file by the path in its first line
/// and not by its identifier.
pub(super) fn schema_of(document: Document) -> Schema {
    let mut schema = schema_of_type(document);
    schema.insert("$id".to_owned(), format!("urn:snapback:schema:{}:{VERSION}", document.name()).into());
    schema.insert("title".to_owned(), document.title().into());
    schema
}

fn schema_of_type(document: Document) -> Schema {
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
    json_schema!({ "$schema": DRAFT, "anyOf": lines, "$defs": definitions })
}

/// The schema of a type that is only printed.
fn printed<T: JsonSchema>() -> Schema {
    generator().into_root_schema_for::<T>()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_schema_has_a_title_for_people_and_an_identifier() {
        let mut titles = BTreeSet::new();
        for document in Document::value_variants() {
            let schema = schema_of(*document);
            let text = |key: &str| schema.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
            let title = text("title");
            assert!(title.contains("snapback") && title.contains(' '), "{document:?}: {title}");
            assert_eq!(text("$id"), format!("urn:snapback:schema:{}:1", document.name()));
            assert_eq!(text("$schema"), DRAFT, "{document:?}");
            titles.insert(title);
            // A second identifier would change what `#/$defs/...` refers to below it.
            let nested = serde_json::to_string(&schema).unwrap_or_default();
            assert_eq!(nested.matches("\"$id\":").count(), 1, "{document:?}");
        }
        assert_eq!(titles.len(), Document::value_variants().len());
    }
}
