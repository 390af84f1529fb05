//! Reading what others have written: leniently, and with an eye on what has not been read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::bounded::BoundedU32;
use crate::model::input::InvalidInput;
use crate::model::invocation::Percentage;
use crate::model::text::shorten;

use super::cloudformation::shown_reference;

/// The fields of an object that have not been read yet.
#[derive(Debug)]
pub(super) struct Fields<'v> {
    path: String,
    left: BTreeMap<&'v str, &'v Value>,
    /// Its names are asked for as `name`, and written as `Name`.
    capitalized: bool,
}

impl<'v> Fields<'v> {
    /// What is null counts as absent.
    pub(super) fn of(path: &str, value: &'v Value) -> Result<Self, InvalidInput> {
        let map = value.as_object().ok_or_else(|| InvalidInput {
            field: path.to_owned(),
            problem: format!("{} is not an object; write one, with names and values", shown(value)),
        })?;
        let left = map.iter().filter(|(_, value)| !value.is_null());
        let left = left.map(|(key, value)| (key.as_str(), value)).collect();
        Ok(Self { path: path.to_owned(), left, capitalized: false })
    }

    /// The same fields, in CloudFormation's spelling where that is theirs.
    pub(super) fn spelled(mut self, capitalized: bool) -> Self {
        self.capitalized = capitalized;
        self
    }

    /// Whether they are in CloudFormation's spelling.
    pub(super) fn is_capitalized(&self) -> bool {
        self.capitalized
    }

    /// A name as it is written.
    fn written<'k>(&self, key: &'k str) -> Cow<'k, str> {
        match key.chars().next() {
            Some(first) if self.capitalized && first.is_ascii_lowercase() => {
                Cow::Owned(format!("{}{}", first.to_ascii_uppercase(), &key[1..]))
            }
            _ => Cow::Borrowed(key),
        }
    }

    /// Where a field stands, for people.
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

    /// An object's fields; none where it is absent.
    pub(super) fn object(&mut self, key: &str) -> Result<Option<Fields<'v>>, InvalidInput> {
        let path = self.at(key);
        self.take(key).map(|value| Fields::of(&path, value)).transpose()
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<&'v str>, String> {
        self.take(key)
            .map(|value| value.as_str().ok_or_else(|| format!("`{key}` is {}, and not text", shown(value))))
            .transpose()
    }

    /// True or false, also as text.
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

    /// A number, also as text.
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

    /// A whole number within limits, also as text.
    pub(super) fn whole<const MIN: u32, const MAX: u32>(
        &mut self,
        key: &str,
    ) -> Result<Option<BoundedU32<MIN, MAX>>, String> {
        self.number(key)?.map(|number| whole(key, number)).transpose()
    }

    /// A share in percent.
    pub(super) fn percent(&mut self, key: &str) -> Result<Option<Percentage>, String> {
        let share = |number| {
            Percentage::new(number).ok_or_else(|| format!("`{key}` is {number}, and not a percentage from 0 to 100"))
        };
        self.number(key)?.map(share).transpose()
    }

    /// A share of one; what is more than one is all.
    pub(super) fn share(&mut self, key: &str) -> Result<Option<Percentage>, String> {
        let share = |number: f64| {
            Percentage::new(number.min(1.0) * 100.0)
                .ok_or_else(|| format!("`{key}` is {number}, and not a share from 0 to 1"))
        };
        self.number(key)?.map(share).transpose()
    }

    /// Where those stand that nobody has asked for.
    pub(super) fn rest(self) -> Vec<String> {
        self.left.keys().map(|key| self.at(key)).collect()
    }

    /// The fields that nobody has asked for yet.
    pub(super) fn keys(&self) -> Vec<&'v str> {
        self.left.keys().copied().collect()
    }
}

pub(super) fn whole<const MIN: u32, const MAX: u32>(key: &str, number: f64) -> Result<BoundedU32<MIN, MAX>, String> {
    let fits = number.fract() == 0.0 && (f64::from(MIN)..=f64::from(MAX)).contains(&number);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    let whole = fits.then(|| BoundedU32::new(number as u32)).flatten();
    whole.ok_or_else(|| format!("`{key}` is {number}, and not a whole number from {MIN} to {MAX}"))
}

/// What stands there, for people.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => match shown_reference(value) {
            Some(reference) => format!("`{}`, which only CloudFormation knows", shorten(&reference)),
            None => "an object".to_owned(),
        },
        Value::String(text) => format!("`{}`", shorten(text)),
        scalar => format!("`{}`", shorten(&scalar.to_string())),
    }
}
