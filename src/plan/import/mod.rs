//! Turning what other tools are configured with into an experiment. What is not carried over, and what had to be
//! decided, is said: nothing is dropped in silence.

mod chaos_lambda;
mod chaos_lambda_extension;
mod cloudformation;
mod draft;
mod envelope;
mod failure_lambda;
mod failure_lambda_flat;
mod fields;
mod fis;

use serde_json::Value;

use crate::model::input::InvalidInput;
use crate::model::names::FunctionName;

pub use chaos_lambda_extension::variables;
pub use cloudformation::without_short_forms;

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An experiment template of AWS FIS.
    Fis,
    /// failure-lambda's flags, or the flat form of its versions before 1.0.
    FailureLambda,
    /// What `chaos_lambda` keeps in a parameter.
    ChaosLambda,
    /// chaos-lambda-extension's variables.
    ChaosLambdaExtension,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Fis, Self::FailureLambda, Self::ChaosLambda, Self::ChaosLambdaExtension];

    /// As it is written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fis => "fis",
            Self::FailureLambda => "failure-lambda",
            Self::ChaosLambda => "chaos-lambda",
            Self::ChaosLambdaExtension => "chaos-lambda-extension",
        }
    }

    /// The tool, as it calls itself.
    fn tool(self) -> &'static str {
        match self {
            Self::Fis => "AWS FIS",
            Self::FailureLambda => "failure-lambda",
            Self::ChaosLambda => "chaos_lambda",
            Self::ChaosLambdaExtension => "chaos-lambda-extension",
        }
    }

    /// Whose configuration this looks like.
    #[must_use]
    pub fn of(source: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|format| match format {
            Self::Fis => fis::recognises(source),
            Self::FailureLambda => failure_lambda::recognises(source) || failure_lambda_flat::recognises(source),
            Self::ChaosLambda => chaos_lambda::recognises(source),
            Self::ChaosLambdaExtension => chaos_lambda_extension::recognises(source),
        })
    }
}

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The experiment, as a person would write it.
    pub experiment: Value,
    /// What is not carried over, and what was decided; one line each.
    pub notes: Vec<String>,
}

/// Makes an experiment of another tool's configuration. `functions` are its targets, in the place of those that the
/// configuration names, if any.
///
/// # Errors
/// Where it is no configuration of that tool, where nothing of it can be carried over, or where no target is known.
pub fn import(source: &Value, format: Option<Format>, functions: &[FunctionName]) -> Result<Imported, InvalidInput> {
    if let Some(opened) = envelope::open(source)? {
        let mut imported = import(&opened.content, format, functions)?;
        if !opened.about.is_empty() {
            let about = opened.about.join(", ");
            imported.notes.push(format!("{about}: not carried over: only the parameter's Value configures the tool"));
        }
        return Ok(imported);
    }
    let format = format.or_else(|| Format::of(source)).ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join(", ");
        InvalidInput::whole(format!(
            "this is no configuration that is known; if it is one of {names}, name it with --from to hear what is missing"
        ))
    })?;
    let draft = match format {
        Format::Fis => fis::read(source)?,
        Format::FailureLambda if failure_lambda_flat::recognises(source) => failure_lambda_flat::read(source)?,
        Format::FailureLambda => failure_lambda::read(source)?,
        Format::ChaosLambda => chaos_lambda::read(source)?,
        Format::ChaosLambdaExtension => chaos_lambda_extension::read(source)?,
    };
    draft.finish(format, functions)
}
