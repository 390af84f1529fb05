//! An error in a file, with its place.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::model::findings::Finding;
use crate::model::text::escape_controls;

use super::places::Place;

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(crate) struct FileError {
    file: String,
    /// Counted from 1; absent if the error has no place.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// The field, such as `faults[0].latency.delayMs`; empty for the whole file.
    field: String,
    /// What is wrong with which value, and what to write instead.
    problem: String,
    /// The value or the name that is wrong, a long text shortened; absent if it may be a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// What to write instead, also a part of `problem`; absent if that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// A path for a message: a line break in it would begin another line.
pub(super) fn shown(path: &Path) -> String {
    escape_controls(&path.to_string_lossy()).into_owned()
}

impl FileError {
    pub(super) fn new(path: &Path, place: Option<Place>, field: &str, problem: &str) -> Self {
        let is_input = path.as_os_str() == "-";
        Self {
            file: if is_input { "standard input".to_owned() } else { path.display().to_string() },
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            field: field.to_owned(),
            problem: problem.to_owned(),
            value: None,
            fix: None,
        }
    }

    /// An error of an experiment.
    pub(super) fn found(path: &Path, place: Option<Place>, found: &Finding, experiment: &Value) -> Self {
        let error = Self::new(path, place, &found.error.field, &found.error.problem);
        Self { value: found.value(experiment), fix: found.fix().map(str::to_owned), ..error }
    }

    /// The order of errors: by their places in the file.
    pub(super) fn place(&self) -> (Option<usize>, Option<usize>) {
        (self.line, self.column)
    }
}

/// `FILE:LINE:COLUMN: FIELD: PROBLEM`, as compilers write it.
impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_controls(&self.file))?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        let separator = if self.field.is_empty() { "" } else { ": " };
        write!(f, ": {}{separator}{}", self.field, self.problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_file_name_begins_no_line() {
        let error = FileError::new(Path::new("odd\nname\u{1b}.yaml"), None, "name", "is missing");
        assert_eq!(error.to_string(), "odd\\nname\\u{1b}.yaml: name: is missing");
        assert_eq!(error.file, "odd\nname\u{1b}.yaml", "JSON escapes it itself");
    }
}
