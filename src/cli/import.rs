//! The command `import`.

use std::path::Path;

use crate::model::names::FunctionName;
use crate::plan::import::{Format, import as convert};

use super::exit::Exit;
use super::file::{invalid, read_foreign};
use super::output::Output;
use super::{Failure, yaml};

/// Prints the experiment on standard output, and on standard error what is not imported and which decisions were made.
pub(super) fn import(
    file: &Path,
    from: Option<Format>,
    functions: &[FunctionName],
    output: &Output,
) -> Result<Exit, Failure> {
    let source = read_foreign(file)?;
    let imported = convert(&source, from, functions).map_err(|wrong| invalid(file, &wrong.to_string()))?;
    if output.as_json {
        output.json(&imported.experiment);
    } else {
        output.print(&format!("{}\n", yaml::text(&imported.experiment).trim_end()));
    }
    for note in &imported.notes {
        output.note(&format!("note {note}"));
    }
    Ok(Exit::Success)
}
