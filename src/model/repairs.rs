//! An experiment without its wrong parts, and where each part that is left is in the file.
//!
//! Paths and pointers come in two forms. Those *as repaired* lead to a part of the repaired experiment. Those *as
//! written* have the file's numbers in lists, but the names that were meant: messages have this form.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::Segment;

use super::input::{key, name_of};
use super::problems::escape;

/// An experiment, and its repairs.
#[derive(Default)]
pub(super) struct Repairs {
    value: Value,
    /// The numbers in the file of the entries that are left of a list, by the list's pointer as written.
    numbers: BTreeMap<String, Vec<usize>>,
    /// The pointers as written of parts that got another name, and their pointers in the file.
    renamed: Vec<(String, String)>,
    /// The pointers as written of everything that was taken out or put in.
    repaired: Vec<String>,
}

/// An error of serde, with its path as repaired.
pub(super) struct ReadError {
    pub(super) path: Vec<Segment>,
    pub(super) message: String,
}

/// Returns values of which each type of a required field takes one.
fn stand_ins() -> [Value; 7] {
    // The number is in the range of each type: the least memory has 128 MB.
    let id = "00000000-0000-0000-0000-000000000000";
    [json!(128), json!("PT1M"), json!("Sum"), json!(id), json!("a"), json!([]), json!({})]
}

impl Repairs {
    pub(super) fn of(experiment: &Value) -> Self {
        Self { value: experiment.clone(), ..Self::default() }
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// Reads the part at a path.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &[Segment]) -> Result<T, ReadError> {
        let part = self.value.pointer(&pointer(path)).unwrap_or(&Value::Null);
        serde_path_to_error::deserialize(part).map_err(|error| {
            let inside = error.path().iter().filter(|segment| !matches!(segment, Segment::Unknown)).cloned();
            ReadError { path: path.iter().cloned().chain(inside).collect(), message: error.into_inner().to_string() }
        })
    }

    /// Returns a path as written.
    pub(super) fn written(&self, path: &[Segment]) -> Vec<Segment> {
        let mut written: Vec<Segment> = Vec::new();
        for segment in path {
            let segment = match segment {
                Segment::Seq { index } => {
                    let numbers = self.numbers.get(&pointer(&written));
                    Segment::Seq { index: numbers.and_then(|numbers| numbers.get(*index)).copied().unwrap_or(*index) }
                }
                other => other.clone(),
            };
            written.push(segment);
        }
        written
    }

    /// Returns the pointer as written of a part of an object, which is as written too. The rest is as repaired.
    pub(super) fn inside(&self, object: &str, rest: &str) -> String {
        rest.split('/').filter(|part| !part.is_empty()).fold(object.to_owned(), |written, part| {
            let number = part.parse::<usize>().ok().and_then(|index| self.numbers.get(&written)?.get(index));
            number.map_or_else(|| format!("{written}/{part}"), |number| format!("{written}/{number}"))
        })
    }

    /// Returns the pointer in the file for one as written.
    pub(super) fn in_file(&self, written: &str) -> String {
        let renamed = self.renamed.iter().rev().find_map(|(new, old)| {
            let rest = written.strip_prefix(new.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{old}{rest}"))
        });
        renamed.unwrap_or_else(|| written.to_owned())
    }

    /// Whether the part at a pointer as written, or a part of it, was taken out or put in.
    pub(super) fn is_repaired(&self, written: &str) -> bool {
        self.repaired
            .iter()
            .any(|repaired| repaired.strip_prefix(written).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// Takes the part at a path out; returns whether it could.
    pub(super) fn take_out(&mut self, path: &[Segment]) -> bool {
        let Some((last, around)) = path.split_last() else { return false };
        let written = self.written(path);
        let list = pointer(&written[..around.len()]);
        let is_out = match (self.value.pointer_mut(&pointer(around)), last) {
            (Some(Value::Array(entries)), Segment::Seq { index }) if *index < entries.len() => {
                self.numbers.entry(list).or_insert_with(|| (0..entries.len()).collect()).remove(*index);
                entries.remove(*index);
                true
            }
            (Some(Value::Object(fields)), last) => name_of(last).and_then(|name| fields.remove(name)).is_some(),
            _ => false,
        };
        if is_out {
            self.repaired.push(pointer(&written));
        }
        is_out
    }

    /// Gives a field of the object at a path the name that was meant, or takes it out; returns whether it could.
    pub(super) fn rename(&mut self, object: &[Segment], name: &str, meant: Option<&str>) -> bool {
        let old = [object, &[key(name)]].concat();
        let value = self.value.pointer(&pointer(&old)).cloned();
        if !self.take_out(&old) {
            return false;
        }
        let fields = self.value.pointer_mut(&pointer(object)).and_then(Value::as_object_mut);
        if let (Some(fields), Some(value), Some(meant)) = (fields, value, meant)
            && !fields.contains_key(meant)
        {
            fields.insert(meant.to_owned(), value);
            let object = pointer(&self.written(object));
            let in_file = self.in_file(&format!("{object}/{}", escape(name)));
            self.renamed.push((format!("{object}/{}", escape(meant)), in_file));
        }
        true
    }

    /// Puts a value in for a field that is missing, so that the rest of the part at a path can be read; returns whether
    /// it could.
    pub(super) fn stand_in<T: DeserializeOwned>(&mut self, part: &[Segment], object: &[Segment], name: &str) -> bool {
        let path = [object, &[key(name)]].concat();
        for value in stand_ins() {
            let fields = self.value.pointer_mut(&pointer(object)).and_then(Value::as_object_mut);
            let Some(fields) = fields else { return false };
            fields.insert(name.to_owned(), value);
            let error = self.read::<T>(part).err();
            if error.is_none_or(|error| !pointer(&error.path).starts_with(&pointer(&path))) {
                self.repaired.push(pointer(&self.written(&path)));
                return true;
            }
        }
        false
    }
}

/// Formats a path as a JSON pointer.
pub(super) fn pointer(path: &[Segment]) -> String {
    path.iter().fold(String::new(), |text, segment| match (segment, name_of(segment)) {
        (Segment::Seq { index }, _) => format!("{text}/{index}"),
        (_, Some(name)) => format!("{text}/{}", escape(name)),
        (_, None) => text,
    })
}
