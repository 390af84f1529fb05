//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::model::names::{FunctionName, LeverReason, RunId};
use crate::plan::import::Format;

/// Chaos experiments on AWS Lambda functions that always put things back.
#[derive(Debug, Parser)]
#[command(name = "snapback", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,

    /// The CloudFormation stack of snapback's control plane.
    #[arg(long, global = true, default_value = DEFAULT_STACK, value_name = "NAME")]
    pub(super) stack: String,

    /// The ledger's table, for when the stack itself cannot be read (rollback --direct, status, report).
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) table: Option<String>,

    /// The AWS profile: the only source of credentials, also where the environment has some.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) profile: Option<String>,

    /// The AWS region, as AWS_REGION.
    #[arg(long, global = true, value_name = "REGION")]
    pub(super) region: Option<String>,

    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// As `make deploy` calls it.
const DEFAULT_STACK: &str = "snapback";

const EXIT_CODES: &str = "\
Exit codes:
  0  the steady state held, or none was given, and everything is restored; or the command did what it was asked
  1  an error; a run that failed is restored all the same
  2  wrong usage or input; nothing was done
  3  refused by a guardrail; nothing was done
  4  restored, but it deviated, or an alarm, a person or the lever ended it
  5  restored, except for what was changed or deleted outside the run; or a fault was taken out before the end
  6  a restore failed; the reaper goes on trying
  7  the run is not over yet
  8  everything is restored, and nothing shows that the faults took effect

Endpoints, credentials, profiles and regions are read as every AWS tool reads them (AWS_ENDPOINT_URL, AWS_PROFILE, ...).";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Validate an experiment; touches nothing, needs no account.
    Check {
        /// JSON or YAML; - reads standard input.
        file: PathBuf,
    },
    /// Show per target and field what would change, and every refusal; changes nothing.
    Plan {
        /// JSON or YAML; - reads standard input.
        file: PathBuf,
        /// Makes the draws of select and percentages repeatable, in the place of the file's seed.
        #[arg(long, value_name = "NUMBER", value_parser = seed)]
        seed: Option<u32>,
    },
    /// Turn another tool's configuration into an experiment; touches nothing, needs no account.
    ///
    /// Prints the experiment, as YAML or with --json as JSON, and on standard error a line for everything that is not
    /// carried over and for everything that had to be decided.
    Import {
        /// JSON, YAML or lines NAME=VALUE; - reads standard input.
        file: PathBuf,
        /// Whose it is: fis, failure-lambda, chaos-lambda or chaos-lambda-extension; if absent, the file's content tells.
        #[arg(long, value_name = "TOOL", value_parser = format)]
        from: Option<Format>,
        /// A function to experiment on, by name or ARN; again for each further one. They take the place of those that the file names, if any.
        #[arg(long = "function", value_name = "NAME", value_parser = function)]
        functions: Vec<FunctionName>,
    },
    /// Start a run and follow it to its end; Ctrl-C rolls back.
    ///
    /// On a terminal, the first Ctrl-C asks whether to roll back, a second one says yes, and a third one leaves. Without a
    /// terminal, the first one rolls back and the second one leaves. SIGTERM and SIGHUP roll back.
    Run {
        /// JSON or YAML; - reads standard input.
        file: PathBuf,
        /// The run's name; made from the experiment's name and the time if absent.
        #[arg(long, value_name = "RUN", value_parser = run_id)]
        name: Option<RunId>,
        /// Makes the draws of select and percentages repeatable, in the place of the file's seed.
        #[arg(long, value_name = "NUMBER", value_parser = seed)]
        seed: Option<u32>,
    },
    /// Show what runs and what is armed, or one run.
    Status {
        /// The run.
        #[arg(value_parser = run_id)]
        run: Option<RunId>,
    },
    /// Stop a run and restore its targets now.
    Rollback {
        /// The run.
        #[arg(value_parser = run_id, required_unless_present = "all", conflicts_with = "all")]
        run: Option<RunId>,
        /// All runs that are not over.
        #[arg(long)]
        all: bool,
        /// Restore from here, with nothing but the table and your own credentials: for when the stack is broken.
        #[arg(long)]
        direct: bool,
    },
    /// Show what a run came to.
    Report {
        /// The run.
        #[arg(value_parser = run_id)]
        run: RunId,
    },
    /// The safety lever: engaged, nothing starts, and what runs is rolled back.
    Lever {
        #[command(subcommand)]
        action: LeverAction,
    },
    /// Print the JSON Schema of an experiment.
    Schema,
}

#[derive(Debug, Subcommand)]
pub(super) enum LeverAction {
    /// Let nothing start, and roll back what runs.
    Engage {
        /// Why, for whoever finds it engaged.
        #[arg(long, default_value = "engaged from the command line", value_parser = lever_reason)]
        reason: LeverReason,
        /// Write to the ledger and roll back from here, not through the rollback function: for when the stack is broken.
        #[arg(long)]
        direct: bool,
    },
    /// Let runs start again.
    #[command(alias = "release")]
    Disengage {
        /// Why.
        #[arg(long, default_value = "disengaged from the command line", value_parser = lever_reason)]
        reason: LeverReason,
        /// Write to the ledger from here, not through the rollback function: for when the stack is broken.
        #[arg(long)]
        direct: bool,
    },
    /// Show whether it is engaged.
    Show,
}

impl Arguments {
    /// A command of snapback's to be typed next, with what tells where: ready to be pasted.
    pub(super) fn repeat(&self, command: &str) -> String {
        let quoted = |text: &str| match text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c)) {
            true => text.to_owned(),
            false => format!("'{}'", text.replace('\'', "'\\''")),
        };
        let stack = Some(&self.stack).filter(|stack| *stack != DEFAULT_STACK);
        let places = [
            ("stack", stack),
            ("table", self.table.as_ref()),
            ("profile", self.profile.as_ref()),
            ("region", self.region.as_ref()),
        ];
        let given = places.into_iter().filter_map(|(name, value)| Some(format!(" --{name} {}", quoted(value?))));
        format!("snapback {command}{}", given.collect::<String>())
    }
}

fn lever_reason(text: &str) -> Result<LeverReason, String> {
    LeverReason::try_from(text)
}

fn seed(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("write a whole number from 0 to {}", u32::MAX))
}

fn run_id(text: &str) -> Result<RunId, String> {
    RunId::try_from(text)
}

fn function(text: &str) -> Result<FunctionName, String> {
    FunctionName::try_from(text)
}

fn format(text: &str) -> Result<Format, String> {
    let names = Format::ALL.map(Format::name).join(", ");
    Format::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| format!("write one of {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_can_be_pasted() {
        let parse = |words: &[&str]| Arguments::try_parse_from(words).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(parse(&["snapback", "status"]).repeat("rollback r"), "snapback rollback r");
        let words = ["snapback", "status", "--stack", "lab", "--profile", "two words", "--region", "eu-west-1"];
        let expected = "snapback rollback r --stack lab --profile 'two words' --region eu-west-1";
        assert_eq!(parse(&words).repeat("rollback r"), expected);
    }
}
