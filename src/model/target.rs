//! Which functions an experiment is about.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::FunctionName;
use super::text::shorten;

/// One entry of `targets`: a function, or the functions that carry some tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawTarget", into = "RawTarget")]
pub enum Target {
    /// A function by name or ARN.
    Function(FunctionName),
    /// Functions that carry all of these tags, and how many of them.
    Tagged {
        /// Tags, all of which a function must carry.
        tags: BTreeMap<String, String>,
        /// How many of the matching functions.
        select: Select,
    },
}

/// A target as it is written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawTarget {
    /// A function by name or ARN, with a qualifier where it matters. Not together with `tags`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<FunctionName>,
    /// Tags, all of which a function must carry to be a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    /// How many of the functions with these tags: `ALL` (the default), `COUNT(n)` or `PERCENT(n)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    select: Option<Select>,
}

impl TryFrom<RawTarget> for Target {
    type Error = String;

    fn try_from(raw: RawTarget) -> Result<Self, String> {
        match (raw.function, raw.tags, raw.select) {
            (Some(function), None, None) => Ok(Self::Function(function)),
            (None, Some(tags), select) => {
                check_tags(&tags)?;
                Ok(Self::Tagged { tags, select: select.unwrap_or(Select::All) })
            }
            (Some(_), Some(_), _) => Err("has both `function` and `tags`; write two targets, one with each".into()),
            (Some(_), None, Some(_)) => {
                Err("has `select` beside `function`; `select` goes with `tags`: take it out".into())
            }
            (None, None, _) => Err("names no function; write `function: NAME`, or `tags: {KEY: VALUE}`".into()),
        }
    }
}

/// A function has at most 50 tags, keys of 1 to 128 characters, values of up to 256
/// (lambda/latest/dg/configuration-tags).
fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), String> {
    if tags.is_empty() || tags.len() > 50 {
        return Err(format!("has `tags` with {} entries; write 1 to 50", tags.len()));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(format!(
                "has the tag `{}`, which no function can carry; a key has 1 to 128 characters, a value up to 256",
                shorten(key)
            ));
        }
    }
    Ok(())
}

impl From<Target> for RawTarget {
    fn from(target: Target) -> Self {
        match target {
            Target::Function(function) => Self { function: Some(function), ..Self::default() },
            Target::Tagged { tags, select } => Self { tags: Some(tags), select: Some(select), ..Self::default() },
        }
    }
}

/// How many of the matching functions become targets; the forms are those of AWS FIS's selection mode
/// (fis/latest/userguide/targets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Select {
    /// All of them.
    All,
    /// This many, or all where there are fewer.
    Count(u32),
    /// This share, rounded down as in FIS, but never to none.
    Percent(u32),
}

impl Select {
    /// How many of `matching` functions.
    #[must_use]
    pub fn amount(self, matching: usize) -> usize {
        match self {
            Self::All => matching,
            Self::Count(count) => matching.min(count as usize),
            Self::Percent(percent) => (matching * percent as usize / 100).max(1).min(matching),
        }
    }
}

impl TryFrom<String> for Select {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |prefix: &str, max: u32| {
            let digits = text.strip_prefix(prefix)?.strip_prefix('(')?.strip_suffix(')')?;
            digits.parse::<u32>().ok().filter(|n| (1..=max).contains(n))
        };
        if text == "ALL" {
            Ok(Self::All)
        } else if let Some(count) = number("COUNT", 1000) {
            Ok(Self::Count(count))
        } else if let Some(percent) = number("PERCENT", 100) {
            Ok(Self::Percent(percent))
        } else {
            Err(format!("`{}` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)", shorten(&text)))
        }
    }
}

impl From<Select> for String {
    fn from(select: Select) -> String {
        select.to_string()
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("ALL"),
            Self::Count(count) => write!(f, "COUNT({count})"),
            Self::Percent(percent) => write!(f, "PERCENT({percent})"),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Select {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Select".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^(ALL|COUNT\([0-9]{1,4}\)|PERCENT\([0-9]{1,3}\))$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_as_fis_does() {
        for (text, of_five) in [("ALL", 5), ("COUNT(2)", 2), ("COUNT(9)", 5), ("PERCENT(50)", 2), ("PERCENT(1)", 1)] {
            assert_eq!(Select::try_from(text.to_owned()).map(|s| s.amount(5)), Ok(of_five), "{text}");
        }
        assert_eq!(Select::Percent(50).amount(0), 0);
    }
}
