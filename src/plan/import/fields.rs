//! Reads the objects of other tools leniently, and keeps track of the fields that were not read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::bounded::BoundedU32;
use crate::model::input::{InvalidInput, kind};
use crate::model::invocation::Percentage;
use crate::model::text::shorten;

use super::cloudformation::shown_reference;

/// A share has four decimals of a percent.
pub(super) const SMALLEST_SHARE: &str = "0.0001 %";

/// The fields of an object that have not been read yet.
#[derive(Debug)]
pub(super) struct Fields<'v> {
    path: String,
    left: BTreeMap<&'v str, &'v Value>,
    /// The source spells its names as `Name` where the code asks for `name`.
    capitalized: bool,
}

impl<'v> Fields<'v> {
    /// Reads an object; a field that is null counts as absent.
    pub(super) fn of(path: &str, value: &'v Value) -> Result<Self, InvalidInput> {
        let map = value.as_object().ok_or_else(|| InvalidInput {
            field: path.to_owned(),
            // Without the value: the environment of a function may be here.
            problem: format!("{} is not an object; write one, with names and values", kind(value)),
        })?;
        let left = map.iter().filter(|(_, value)| !value.is_null());
        let left = left.map(|(key, value)| (key.as_str(), value)).collect();
        Ok(Self { path: path.to_owned(), left, capitalized: false })
    }

    /// Sets whether the fields have CloudFormation's spelling.
    pub(super) fn spelled(mut self, capitalized: bool) -> Self {
        self.capitalized = capitalized;
        self
    }

    /// Whether the fields have CloudFormation's spelling.
    pub(super) fn is_capitalized(&self) -> bool {
        self.capitalized
    }

    /// A field's name as the source spells it.
    fn written<'k>(&self, key: &'k str) -> Cow<'k, str> {
        match key.chars().next() {
            Some(first) if self.capitalized && first.is_ascii_lowercase() => {
                Cow::Owned(format!("{}{}", first.to_ascii_uppercase(), &key[1..]))
            }
            _ => Cow::Borrowed(key),
        }
    }

    /// The path of a field, for display.
    pub(super) fn at(&self, key: &str) -> String {
        let key = shorten(&self.written(key));
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<&'v Value> {
        self.left.remove(&*self.written(key))
    }

    pub(super) fn peek(&self, key: &str) -> Option<&'v Value> {
        self.left.get(&*self.written(key)).copied()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains_key(&*self.written(key))
    }

    /// Takes the fields of an object; `None` where it is absent.
    pub(super) fn object(&mut self, key: &str) -> Result<Option<Fields<'v>>, InvalidInput> {
        let path = self.at(key);
        self.take(key).map(|value| Fields::of(&path, value)).transpose()
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<&'v str>, String> {
        self.take(key)
            .map(|value| value.as_str().ok_or_else(|| format!("`{key}` is {}, and not text", shown(value))))
            .transpose()
    }

    /// Takes true or false, also as text.
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, String> {
        self.take(key)
            .map(|value| match (value, value.as_str()) {
                (Value::Bool(flag), _) => Ok(*flag),
                (_, Some("true")) => Ok(true),
                (_, Some("false")) => Ok(false),
                _ => Err(format!("`{key}` is {}, and neither true nor false", shown(value))),
            })
            .transpose()
    }

    /// Takes a number, also as text.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<f64>, String> {
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        self.take(key)
            .map(|value| {
                number(value)
                    .filter(|n| n.is_finite())
                    .ok_or_else(|| format!("`{key}` is {}, and not a number", shown(value)))
            })
            .transpose()
    }

    /// Takes a whole number within limits, also as text.
    pub(super) fn whole<const MIN: u32, const MAX: u32>(
        &mut self,
        key: &str,
    ) -> Result<Option<BoundedU32<MIN, MAX>>, String> {
        self.number(key)?.map(|number| whole(key, number)).transpose()
    }

    /// Reads a share in percent.
    pub(super) fn percent(&mut self, key: &str) -> Result<Option<Percentage>, String> {
        let share = |number| {
            let share = Percentage::new(number);
            let share = share.ok_or_else(|| format!("`{key}` is {number}, and not a percentage from 0 to 100"))?;
            not_rounded_to_none(key, number, share)
        };
        self.number(key)?.map(share).transpose()
    }

    /// Reads a share of one; more than one is all.
    pub(super) fn share(&mut self, key: &str) -> Result<Option<Percentage>, String> {
        let share = |number: f64| {
            let share = Percentage::new(number.min(1.0) * 100.0);
            let share = share.ok_or_else(|| format!("`{key}` is {number}, and not a share from 0 to 1"))?;
            not_rounded_to_none(key, number, share)
        };
        self.number(key)?.map(share).transpose()
    }

    /// The paths of the fields that were not read.
    pub(super) fn rest(self) -> Vec<String> {
        self.left.keys().map(|key| self.at(key)).collect()
    }

    /// The names of the fields that were not read yet.
    pub(super) fn keys(&self) -> Vec<&'v str> {
        self.left.keys().copied().collect()
    }
}

/// A fault that never happens is another experiment than one that happens rarely.
fn not_rounded_to_none(key: &str, number: f64, share: Percentage) -> Result<Percentage, String> {
    match number > 0.0 && share.share() == 0.0 {
        true => {
            Err(format!("`{key}` is {number:e}, which is less than the smallest share, {SMALLEST_SHARE}; raise it"))
        }
        false => Ok(share),
    }
}

pub(super) fn whole<const MIN: u32, const MAX: u32>(key: &str, number: f64) -> Result<BoundedU32<MIN, MAX>, String> {
    let fits = number.fract() == 0.0 && (f64::from(MIN)..=f64::from(MAX)).contains(&number);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    let whole = fits.then(|| BoundedU32::new(number as u32)).flatten();
    whole.ok_or_else(|| format!("`{key}` is {number}, and not a whole number from {MIN} to {MAX}"))
}

/// Shows a value in a message.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => match shown_reference(value) {
            Some(reference) => format!("`{}`, which only CloudFormation can resolve", shorten(&reference)),
            None => "an object".to_owned(),
        },
        Value::String(text) => format!("`{}`", shorten(text)),
        scalar => format!("`{}`", shorten(&scalar.to_string())),
    }
}
