//! Command-line arguments and their help texts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::model::names::{ExperimentName, FunctionName, LeverReason, RunId};
use crate::model::time::{BoundedDuration, Time};
use crate::plan::import::Format;

use super::asked_outcome::AskedOutcome;
use super::place_options::PlaceOptions;
use super::schedule_arguments::ScheduleAction;

/// Runs chaos experiments on AWS Lambda functions, and always restores what it changed.
#[derive(Debug, Parser)]
#[command(name = "snapback", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,

    /// The CloudFormation stack of snapback's control plane.
    #[arg(long, global = true, env = "SNAPBACK_STACK", default_value = DEFAULT_STACK, value_name = "NAME",
          value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) stack: String,

    /// The ledger's table, for when the stack cannot be read.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) table: Option<String>,

    /// The AWS profile; credentials in the environment are then ignored.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) profile: Option<String>,

    /// The AWS Region, instead of that in AWS_REGION.
    #[arg(long, global = true, value_name = "REGION")]
    pub(super) region: Option<String>,

    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Print results and errors only, no progress.
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

/// The name that `make deploy` gives the stack.
const DEFAULT_STACK: &str = "snapback";

const EXIT_CODES: &str = "\
Exit codes:
  0  steady state held, or no steady state given, and everything is restored; or the command succeeded
  1  ended in failure, and everything is restored; failed to start; or another error
  2  wrong usage or input; nothing was done
  3  refused by a guardrail; nothing was done
  4  ended early by an alarm, a deviation, a user, a signal or the lever; deviated after the
     restore; or steady state not judged; everything is restored
  5  changed outside the run: restored, except for what was changed or deleted; or a fault was
     removed before the end; or a version published during the run keeps the fault
  6  NOT restored yet; the reaper keeps trying
  7  not over yet
  8  no effect shown, and everything is restored
  9  ended early because --timeout had elapsed, and everything is restored

Endpoints, credentials, profiles and regions are read as every AWS tool reads them (AWS_ENDPOINT_URL, AWS_PROFILE, ...).";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Validate experiments; changes nothing, needs no account.
    ///
    /// Every error is shown with its file, line and column.
    Check {
        /// Files in JSON or YAML; - reads standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print the experiment as JSON, for a tool that does not read YAML; takes one file.
        #[arg(long, conflicts_with = "json")]
        print_json: bool,
    },
    /// Show what would happen to which functions, what would end it, and every refusal; changes nothing.
    Plan(PlanOptions),
    /// Write a commented experiment to standard output; needs no account.
    ///
    /// It begins with one fault, with all settings explained, or with a common failure, with its hypothesis, what good looks
    /// like and what to alarm on.
    Init {
        /// A fault, or a common failure.
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(super::init::names()))]
        fault: String,
        /// The target function, by name or ARN.
        #[arg(long, value_name = "NAME", value_parser = function)]
        function: FunctionName,
    },
    /// Turn another tool's configuration into an experiment; changes nothing, needs no account.
    ///
    /// Prints the experiment as YAML, or with --json as JSON. Standard error has a line for everything that is not
    /// imported, and for every decision that was made.
    Import {
        /// A file in JSON or YAML, or with lines NAME=VALUE; - reads standard input.
        file: PathBuf,
        /// The tool: fis, failure-lambda, chaos-lambda, chaos-lambda-extension or chaos-toolkit; default: recognized by
        /// the file's content.
        #[arg(long, value_name = "TOOL", value_parser = format)]
        from: Option<Format>,
        /// A target function, by name or ARN; repeat for more. Overrides the functions named in the file.
        #[arg(long = "function", value_name = "NAME", value_parser = function)]
        functions: Vec<FunctionName>,
    },
    /// Start a run and follow it to its end; Ctrl-C rolls back.
    ///
    /// On a terminal, the command first shows the plan and asks whether to start; --yes, --json and a pipeline do not ask.
    ///
    /// Then, on a terminal, the first Ctrl-C asks whether to roll back, the second one rolls back, and the third one stops
    /// following. Without a terminal, the first one rolls back and the second one stops following. SIGTERM is
    /// like Ctrl-C without a terminal. SIGHUP rolls back. Once everything is restored, each of them just stops following.
    Run(RunOptions),
    /// Show the lever, what is armed, and a table of the latest runs and refused starts; or one run.
    Status(StatusOptions),
    /// Stop a run and restore its targets now.
    #[command(group = clap::ArgGroup::new("runs").required(true))]
    Rollback {
        /// The run.
        #[arg(value_parser = run_id, group = "runs")]
        run: Option<RunId>,
        /// All active runs.
        #[arg(long, group = "runs")]
        all: bool,
        /// Why, for the report and for other users of the stack.
        #[arg(long, value_parser = lever_reason)]
        reason: Option<LeverReason>,
        /// If the run has not started yet, prevent its start.
        #[arg(long, conflicts_with = "all")]
        prevent_start: bool,
        /// Restore from this machine, with only the table and your own credentials: for when the stack is broken.
        #[arg(long)]
        direct: bool,
    },
    /// Show the outcome of a run; with --html or --markdown, write the evidence of it to a file.
    Report {
        /// The run.
        #[arg(value_parser = run_id)]
        run: RunId,
        #[command(flatten)]
        files: ReportFiles,
    },
    /// Compare how long runs took to detect, to roll back and to recover.
    Compare {
        /// The runs, two or more.
        #[arg(value_parser = run_id, required = true, num_args = 2.., value_name = "RUN")]
        runs: Vec<RunId>,
        #[command(flatten)]
        options: HistoryOptions,
    },
    /// Show how long the runs of an experiment took to detect, to roll back and to recover.
    History {
        /// The experiment's name.
        #[arg(value_parser = experiment)]
        experiment: ExperimentName,
        #[command(flatten)]
        options: HistoryOptions,
    },
    /// Move or show the safety lever: while it is engaged, nothing starts, and active runs are rolled back.
    Lever {
        #[command(subcommand)]
        action: LeverAction,
    },
    /// Start experiments by schedule: add, list, show, pause, resume or remove schedules.
    Schedule {
        #[command(subcommand)]
        action: ScheduleAction,
    },
    /// Print the JSON Schema of an experiment, or of the JSON that a command prints.
    Schema {
        /// What the schema describes.
        #[arg(long, value_enum, default_value = "experiment", value_name = "DOCUMENT")]
        of: super::schema::Document,
    },
    /// Print a script that completes commands and options in a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page of snapback or of one command, or write all of them to a folder.
    Man {
        /// The command, such as run or schedule add.
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
        /// Write the pages of snapback and of every command to this folder.
        #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
        folder: Option<PathBuf>,
    },
}

/// What `status` is asked.
#[derive(Debug, Default, clap::Args)]
pub(super) struct StatusOptions {
    /// The run.
    #[arg(value_parser = run_id)]
    pub(super) run: Option<RunId>,
    /// Follow the run until it is closed; Ctrl-C ends this command and not the run.
    #[arg(long, requires = "run")]
    pub(super) watch: bool,
    /// List at most this number of runs and failed starts in addition to the active runs; default: 10.
    #[arg(long, value_name = "NUMBER", conflicts_with = "run", value_parser = limit, allow_hyphen_values = true)]
    limit: Option<usize>,
    /// List runs of this experiment only.
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    experiment: Option<String>,
    /// List runs with this outcome only, by its name in JSON or by the words of the table.
    #[arg(long, value_name = "OUTCOME", conflicts_with = "run", ignore_case = true, value_parser = AskedOutcome::parser())]
    pub(super) outcome: Option<AskedOutcome>,
    /// List runs that have started since then: a time such as 2026-11-26T10:00:00Z, a date, or a duration such as P7D.
    #[arg(long, value_name = "TIME", conflicts_with = "run", value_parser = since, allow_hyphen_values = true)]
    pub(super) since: Option<Since>,
}

/// The runs that are listed, in addition to the active ones, if no limit is given.
const DEFAULT_LIMIT: usize = 10;

impl StatusOptions {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// Whether runs of this experiment are listed.
    pub(super) fn is_of(&self, experiment: Option<&str>) -> bool {
        self.experiment.as_deref().is_none_or(|asked| experiment == Some(asked))
    }

    /// What the options ask for, as it was typed; nothing if they do not choose among the runs.
    pub(super) fn asked(&self, now: Time) -> Vec<String> {
        let experiment = self.experiment.as_ref().map(|name| format!("--experiment `{name}`"));
        let outcome = self.outcome.and_then(AskedOutcome::name).map(|name| format!("--outcome `{name}`"));
        let since = self.since.map(|since| format!("--since {}", since.before(now)));
        [experiment, outcome, since].into_iter().flatten().collect()
    }

    /// Whether starts that left no run can be among what is listed.
    pub(super) fn lists_starts(&self) -> bool {
        self.outcome.is_none_or(AskedOutcome::is_start)
    }
}

/// From when on runs are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// From this time on.
    At(Time),
    /// From this long ago on.
    Ago(Duration),
}

impl Since {
    /// Returns the time, seen from now.
    pub(super) fn before(self, now: Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now - span,
        }
    }
}

/// What `plan` is asked.
#[derive(Debug, clap::Args)]
pub(super) struct PlanOptions {
    /// A file in JSON or YAML; - reads standard input.
    pub(super) file: PathBuf,
    /// Make the draws of select and percentages repeatable; overrides the file's seed.
    #[arg(long, value_name = "NUMBER", value_parser = seed, allow_hyphen_values = true)]
    pub(super) seed: Option<u32>,
    /// Print text for a terminal, or Markdown for a comment on a pull request.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = PlanFormat::Text)]
    pub(super) format: PlanFormat,
    /// Append a summary in Markdown to a file, for a job's page or a comment.
    #[arg(long, value_name = "FILE")]
    pub(super) summary: Option<PathBuf>,
}

/// The format of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PlanFormat {
    /// For a terminal.
    Text,
    /// For a comment on a pull request.
    Markdown,
}

/// The files that `report` writes.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ReportFiles {
    /// Write the report as one HTML file, with charts; it needs no network.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write the report as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(super) markdown: Option<PathBuf>,
}

/// The file that `history` and `compare` write.
#[derive(Debug, Default, clap::Args)]
pub(super) struct HistoryOptions {
    /// Write the times as one HTML file, with charts; it needs no network.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

/// What `run` is asked.
#[derive(Debug, clap::Args)]
pub(super) struct RunOptions {
    /// A file in JSON or YAML; - reads standard input.
    pub(super) file: PathBuf,
    /// The run's name; default: made from the experiment's name and the time.
    #[arg(long, value_name = "RUN", value_parser = new_run_id, allow_hyphen_values = true)]
    pub(super) name: Option<RunId>,
    /// Why, for the report and for other users of the stack.
    #[arg(long, value_parser = lever_reason)]
    pub(super) reason: Option<LeverReason>,
    /// Make the draws of select and percentages repeatable; overrides the file's seed.
    #[arg(long, value_name = "NUMBER", value_parser = seed, allow_hyphen_values = true)]
    pub(super) seed: Option<u32>,
    /// Start without showing the plan and asking, as without a terminal.
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Leave with exit code 0 once the faults are in place; the run continues without this command.
    #[arg(long, conflicts_with_all = ["timeout", "junit", "summary"])]
    pub(super) detach: bool,
    /// Roll the run back after this time, an ISO 8601 duration such as PT30M, and follow it to its end.
    #[arg(long, value_name = "DURATION", value_parser = timeout, allow_hyphen_values = true)]
    pub(super) timeout: Option<RunTimeout>,
    /// Write a report for CI systems in JUnit's XML format to a file.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Append a summary in Markdown to a file, for a job's page.
    #[arg(long, value_name = "FILE")]
    pub(super) summary: Option<PathBuf>,
}

/// How long `run` waits before it rolls back: as long as a run can last, with its start and its restore.
pub(super) type RunTimeout = BoundedDuration<1, 86_400>;

#[derive(Debug, Subcommand)]
pub(super) enum LeverAction {
    /// Block new runs, and roll back the active ones.
    Engage {
        /// Why, for other users of the stack.
        #[arg(long, default_value = "engaged from the command line", value_parser = lever_reason)]
        reason: LeverReason,
        /// Write to the ledger and roll back from this machine, not through the rollback function: for when the stack
        /// is broken.
        #[arg(long)]
        direct: bool,
    },
    /// Let runs start again.
    #[command(alias = "release")]
    Disengage {
        /// Why, for other users of the stack.
        #[arg(long, default_value = "disengaged from the command line", value_parser = lever_reason)]
        reason: LeverReason,
        /// Write to the ledger from this machine, not through the rollback function: for when the stack is broken.
        #[arg(long)]
        direct: bool,
    },
    /// Show whether the lever is engaged.
    Show,
}

impl Arguments {
    /// A command of snapback's to be typed next, with the options that reach the same place: ready to be pasted.
    pub(super) fn repeat(&self, command: &str) -> String {
        format!("snapback {command}{}", self.places().of(command))
    }

    /// The options that a further command needs to reach the same place.
    pub(super) fn places(&self) -> PlaceOptions {
        // A variable of the shell may name another stack than the default.
        let is_default = |stack: &String| stack == DEFAULT_STACK && std::env::var_os("SNAPBACK_STACK").is_none();
        let stack = Some(&self.stack).filter(|stack| !is_default(stack));
        PlaceOptions::new([
            ("stack", stack),
            ("table", self.table.as_ref()),
            ("profile", self.profile.as_ref()),
            ("region", self.region.as_ref()),
        ])
    }
}

fn lever_reason(text: &str) -> Result<LeverReason, String> {
    LeverReason::try_from(text)
}

fn experiment(text: &str) -> Result<ExperimentName, String> {
    ExperimentName::try_from(text.to_owned())
}

fn seed(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("write a whole number from 0 to {}", u32::MAX))
}

fn limit(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "write a whole number, 0 or more".to_owned())
}

fn since(text: &str) -> Result<Since, String> {
    let at = |timestamp: jiff::Timestamp| Since::At(Time(timestamp.as_millisecond()));
    if let Ok(timestamp) = text.parse() {
        return Ok(at(timestamp));
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && let Ok(midnight) = date.to_zoned(jiff::tz::TimeZone::UTC)
    {
        return Ok(at(midnight.timestamp()));
    }
    // A day has 24 hours here: how long ago something was does not depend on a time zone.
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let span = text.parse::<jiff::Span>().ok().and_then(|span| span.to_duration(relative).ok());
    let span = span.and_then(|span| Duration::try_from(span).ok());
    span.map(Since::Ago)
        .ok_or_else(|| "write a time such as 2026-11-26T10:00:00Z, a date, or a duration such as P7D".into())
}

fn timeout(text: &str) -> Result<RunTimeout, String> {
    RunTimeout::try_from(text.to_owned())
}

fn run_id(text: &str) -> Result<RunId, String> {
    RunId::try_from(text)
}

/// A new name: one that begins with a hyphen would be taken for an option by other commands.
fn new_run_id(text: &str) -> Result<RunId, String> {
    match text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        true => RunId::try_from(text),
        false => Err("write 1 to 80 letters, digits, - and _, beginning with a letter or a digit".to_owned()),
    }
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
    fn runs_are_listed_since_a_time_a_date_or_a_span() {
        let now = Time(10 * 86_400_000);
        for (text, expected) in [
            ("1970-01-02T00:00:00Z", 86_400_000),
            ("1970-01-02", 86_400_000),
            ("P7D", 3 * 86_400_000),
            ("PT30M", 10 * 86_400_000 - 1_800_000),
        ] {
            assert_eq!(since(text).map(|since| since.before(now)), Ok(Time(expected)), "{text}");
        }
        for text in ["yesterday", "-P1D", ""] {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_next_command_can_be_pasted() {
        let parse = |words: &[&str]| Arguments::try_parse_from(words).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(parse(&["snapback", "status"]).repeat("rollback r"), "snapback rollback r");
        let words = ["snapback", "status", "--stack", "lab", "--profile", "two words", "--region", "eu-west-1"];
        let expected = "snapback rollback r --stack lab --profile 'two words' --region eu-west-1";
        assert_eq!(parse(&words).repeat("rollback r"), expected);
    }
}
