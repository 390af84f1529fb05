//! The command line: arguments → commands → output.

mod arguments;
mod exit;
mod file;
mod follow;
mod import;
mod lever;
mod output;
mod plan;
mod report;
mod rollback;
mod run;
mod stack;
mod yaml;

use std::io::Write;

use clap::Parser;

use arguments::{Arguments, Command};
pub use exit::Exit;
use output::Output;

/// Runs the command line and returns its exit code.
pub async fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Invalid } else { Exit::Held };
        }
    };
    let output = Output::new(arguments.json);
    // Boxed: the commands' futures together are too deep a type for the compiler.
    match Box::pin(command(&arguments, &output)).await {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    }
}

async fn command(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Check { file } => plan::check(file, output),
        Command::Schema => {
            output.json(&schemars::schema_for!(crate::model::experiment::Experiment));
            Ok(Exit::Held)
        }
        Command::Import { file, from, functions } => import::import(file, *from, functions, output),
        Command::Plan { file } => plan::plan(arguments, file, output).await,
        Command::Run { file, name } => run::run(arguments, file, name.as_ref(), output).await,
        Command::Status { run } => report::status(arguments, run.as_ref(), output).await,
        Command::Report { run } => report::report(arguments, run, output).await,
        Command::Rollback { run, all, direct } => {
            rollback::rollback(arguments, run.as_ref(), *all, *direct, output).await
        }
        Command::Lever { action } => lever::lever(arguments, action, output).await,
    }
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
}

impl Failure {
    pub(crate) fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { error: error.into(), cause: cause.into(), exit: Exit::Error }
    }
}

impl From<crate::steps::error::StepError> for Failure {
    fn from(error: crate::steps::error::StepError) -> Self {
        let exit = match error.name() {
            "Refused" => Exit::Refused,
            "InvalidInput" | "NoSuchRun" => Exit::Invalid,
            _ => Exit::Error,
        };
        Self { error: error.name().to_owned(), cause: error.to_string(), exit }
    }
}

impl From<crate::ports::LedgerError> for Failure {
    fn from(error: crate::ports::LedgerError) -> Self {
        crate::steps::error::StepError::from(error).into()
    }
}

/// A line on standard output; a closed pipe ends the output, not the run.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
