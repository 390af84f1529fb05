//! The command line: arguments → commands → output.

mod actor;
mod arguments;
mod artifacts;
mod asked_outcome;
mod awaited;
mod check;
mod command_line;
mod commands;
mod common_options;
mod direct;
mod encoding;
mod evidence;
mod examples;
mod exit;
mod failed_starts;
mod file;
mod file_error;
mod finished;
mod follow;
mod identity;
mod import;
mod init;
mod init_settings;
mod interrupt;
mod junit;
#[cfg(test)]
mod layouts;
mod lever;
mod lever_text;
mod listed;
mod manual;
#[cfg(test)]
mod one_phrase;
mod output;
mod pen;
mod place_options;
mod places;
mod plan;
mod plan_text;
mod process;
mod progress_text;
mod records;
mod report;
mod report_text;
mod rollback;
mod rollback_watch;
mod run;
mod schedule;
mod schedule_arguments;
mod schema;
mod screen;
mod stack;
mod stack_failure;
mod status;
mod status_text;
mod stream;
mod summary;
mod syntax;
mod table;
mod undo;
mod usage_error;
mod watch;
mod words;
mod wrap;
mod yaml;

use crate::model::refusal::StatedRefusal;
use crate::steps::error::{StepError, StepErrorKind};

use arguments::{Arguments, Command};
pub use exit::Exit;
use file_error::FileError;
use output::Output;
pub use process::unset_empty_variables;
use records::Records;
use undo::Undo;

/// Runs the command line and returns its exit code.
pub async fn main() -> Exit {
    let arguments = match command_line::parse() {
        Ok(arguments) => arguments,
        Err(unparsed) => return command_line::show(&unparsed),
    };
    let output = Output::new(arguments.json).with_places(arguments.places()).quieter(arguments.quiet);
    let output = output.in_lines(matches!(arguments.command, Command::Run(_)));
    // Boxed: the commands' futures together are too deep a type for the compiler.
    let exit = match Box::pin(command(&arguments, &output)).await {
        Ok(exit) => exit,
        Err(failure) => {
            let failure = stack_failure::with_place(failure, arguments.table.as_deref());
            output.failure(&failure);
            failure.exit
        }
    };
    output.finish(exit)
}

async fn command(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Check { files, print_json: true } => check::print(files, output),
        Command::Check { files, print_json: false } => check::check(files, output),
        Command::Completions { shell } => {
            output.print(&completions(*shell));
            Ok(Exit::Success)
        }
        Command::Init { fault, function } => {
            output.print(&init::init(fault, function)?);
            Ok(Exit::Success)
        }
        Command::Man { folder: Some(folder), .. } => manual::write(folder, output),
        Command::Man { command, folder: None } => manual::print(command, output),
        Command::Schema { of } => {
            output.json(&schema::schema_of(*of));
            Ok(Exit::Success)
        }
        Command::Import { file, from, functions } => import::import(file, *from, functions, output),
        Command::Plan(options) => plan::plan(arguments, options, output).await,
        Command::Run(options) => run::run(arguments, options, output).await,
        Command::Status(options) => status::status(arguments, options, output).await,
        Command::Report { run, files } => {
            let records = Records::open(arguments).await?;
            evidence::write_files(&records, run, files, output).await?;
            report::report(&records, run, output).await
        }
        Command::Compare { runs, options } => evidence::compare(arguments, runs, options, output).await,
        Command::History { experiment, options } => evidence::history(arguments, experiment, options, output).await,
        Command::Rollback { run, reason, prevent_start, direct, .. } => {
            let what = match run {
                Some(run) if *prevent_start => Undo::Stop(run),
                Some(run) => Undo::Run(run),
                None => Undo::All,
            };
            rollback::rollback(arguments, what, reason.as_ref(), *direct, output).await
        }
        Command::Lever { action } => lever::lever(arguments, action, output).await,
        Command::Schedule { action } => schedule::schedule(arguments, action, output).await,
    }
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command_line::completed_command(), "snapback", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The stable name.
    pub(crate) error: String,
    /// What is wrong, and what to do.
    pub(crate) cause: String,
    /// The exit code.
    pub(crate) exit: Exit,
    /// The errors of files; `cause` has them too.
    pub(crate) errors: Vec<FileError>,
    /// The reasons for which a run was refused; `cause` has them too.
    pub(crate) refusals: Vec<StatedRefusal>,
}

impl Failure {
    pub(crate) fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { error: error.into(), cause: cause.into(), exit: Exit::Error, errors: Vec::new(), refusals: Vec::new() }
    }

    /// What a user has written wrongly.
    pub(crate) fn invalid(cause: impl Into<String>) -> Self {
        Self { exit: Exit::Invalid, ..Self::new("InvalidInput", cause) }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        let exit = match error.kind() {
            StepErrorKind::Refused => Exit::Refused,
            StepErrorKind::InvalidInput | StepErrorKind::NoSuchRun => Exit::Invalid,
            _ => Exit::Error,
        };
        let refusals = match &error {
            StepError::Refused(refusals) => refusals.iter().map(StatedRefusal::from).collect(),
            _ => Vec::new(),
        };
        Self { exit, refusals, ..Self::new(error.name(), error.to_string()) }
    }
}

impl From<crate::ports::LedgerError> for Failure {
    fn from(error: crate::ports::LedgerError) -> Self {
        crate::steps::error::StepError::from(error).into()
    }
}
