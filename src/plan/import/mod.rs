//! Turns the configurations of other tools into experiments. Every field that is not imported, and every decision, has
//! a note: nothing is dropped silently.

mod chaos_lambda;
mod chaos_lambda_extension;
mod chaos_toolkit;
mod chaos_toolkit_actions;
mod chaos_toolkit_variables;
mod cloudformation;
mod denylist;
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

/// The tool that a configuration belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An experiment template of AWS FIS.
    Fis,
    /// failure-lambda's flags, or the flat form of its versions before 1.0.
    FailureLambda,
    /// The parameter of `chaos_lambda`.
    ChaosLambda,
    /// The variables of chaos-lambda-extension.
    ChaosLambdaExtension,
    /// An experiment of the Chaos Toolkit.
    ChaosToolkit,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] =
        [Self::Fis, Self::FailureLambda, Self::ChaosLambda, Self::ChaosLambdaExtension, Self::ChaosToolkit];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fis => "fis",
            Self::FailureLambda => "failure-lambda",
            Self::ChaosLambda => "chaos-lambda",
            Self::ChaosLambdaExtension => "chaos-lambda-extension",
            Self::ChaosToolkit => "chaos-toolkit",
        }
    }

    /// The name that the tool has for itself.
    fn tool(self) -> &'static str {
        match self {
            Self::Fis => "AWS FIS",
            Self::FailureLambda => "failure-lambda",
            Self::ChaosLambda => "chaos_lambda",
            Self::ChaosLambdaExtension => "chaos-lambda-extension",
            Self::ChaosToolkit => "the Chaos Toolkit",
        }
    }

    /// Recognizes a configuration by its content.
    #[must_use]
    pub fn of(source: &Value) -> Option<Self> {
        Self::ALL.into_iter().find(|format| match format {
            Self::Fis => fis::recognizes(source),
            Self::FailureLambda => failure_lambda::recognizes(source) || failure_lambda_flat::recognizes(source),
            Self::ChaosLambda => chaos_lambda::recognizes(source),
            Self::ChaosLambdaExtension => chaos_lambda_extension::recognizes(source),
            Self::ChaosToolkit => chaos_toolkit::recognizes(source),
        })
    }
}

/// The experiment that a configuration became.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The experiment, as a user would write it.
    pub experiment: Value,
    /// What is not imported, and what was decided; one line each.
    pub notes: Vec<String>,
}

/// Makes an experiment from another tool's configuration. `functions` are its targets, and replace those that the
/// configuration names.
///
/// # Errors
/// Where it is not a configuration of that tool, where nothing of it can be imported, or where no target is known.
pub fn import(source: &Value, format: Option<Format>, functions: &[FunctionName]) -> Result<Imported, InvalidInput> {
    if let Some(opened) = envelope::open(source)? {
        let mut imported = import(&opened.content, format, functions)?;
        if !opened.about.is_empty() {
            let about = opened.about.join(", ");
            imported.notes.push(format!("{about}: not imported: only the parameter's Value configures the tool"));
        }
        return Ok(imported);
    }
    let format = format.or_else(|| Format::of(source)).ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join(", ");
        InvalidInput::whole(chaos_lambda_extension::misnamed(source).unwrap_or_else(|| {
            format!("unrecognized configuration; if it comes from one of {names}, pass --from to see what is missing")
        }))
    })?;
    let draft = match format {
        Format::Fis => fis::read(source)?,
        Format::FailureLambda if failure_lambda_flat::recognizes(source) => failure_lambda_flat::read(source)?,
        Format::FailureLambda => failure_lambda::read(source)?,
        Format::ChaosLambda => chaos_lambda::read(source)?,
        Format::ChaosLambdaExtension => chaos_lambda_extension::read(source)?,
        Format::ChaosToolkit => chaos_toolkit::read(source)?,
    };
    draft.finish(format, functions)
}
