//! The targets of an experiment.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::FunctionName;
use super::problems::{Problems, escape};
use super::text::{is_control, shorten};

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

/// A target before its checks.
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
    type Error = Problems;

    fn try_from(raw: RawTarget) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        if let Some(tags) = &raw.tags {
            check_tags(tags, &mut problems);
        }
        match (&raw.function, &raw.tags, &raw.select) {
            (Some(_), Some(_), _) => {
                problems.wrong("tags", "has both `function` and `tags`; write two targets, one with each");
            }
            (Some(_), None, Some(_)) => {
                problems.lacking(
                    "select",
                    &["tags"],
                    "has `select` next to `function`, but it works only with `tags`; remove it",
                );
            }
            (None, None, _) => {
                let text = "names no function; write `function: NAME`, or `tags: {KEY: VALUE}`";
                problems.lacking("", &["function", "tags"], text);
            }
            _ => {}
        }
        match (raw.function, raw.tags) {
            (Some(function), None) if problems.is_empty() => Ok(Self::Function(function)),
            (None, Some(tags)) if problems.is_empty() => {
                Ok(Self::Tagged { tags, select: raw.select.unwrap_or(Select::All) })
            }
            _ => Err(problems),
        }
    }
}

/// The tags of a target, for display and as the subject of a refusal.
#[must_use]
pub fn tags_text(tags: &BTreeMap<String, String>) -> String {
    tags.iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join(", ")
}

/// A function has at most 50 tags. A key has 1 to 128 characters, a value up to 256: letters, spaces, numbers and
/// `+ - = . _ : / @` (lambda/latest/dg/configuration-tags, general/latest/gr/aws_tagging).
fn check_tags(tags: &BTreeMap<String, String>, problems: &mut Problems) {
    let count = |count: usize| format!("has `tags` with {count} entries; write 1 to 50");
    match tags.len() {
        0 => problems.lacking("tags", &["tags"], count(0)),
        more if more > 50 => problems.wrong("tags", count(more)),
        _ => {}
    }
    for (key, value) in tags {
        problems.add(&format!("tags/{}", escape(key)), check_tag(key, value));
    }
}

fn check_tag(key: &str, value: &str) -> Result<(), String> {
    let shown = shorten(key);
    if let Some(c) = key.chars().chain(value.chars()).find(|c| !may_be_in_a_tag(*c)) {
        return Err(format!(
            "has the tag `{shown}`, which no function can carry: `{}` is not allowed; write letters, spaces, digits and \
             + - = . _ : / @",
            shorten(&c.to_string())
        ));
    }
    if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
        return Err(format!(
            "has the tag `{shown}`, which no function can carry; a key has 1 to 128 characters, a value up to 256"
        ));
    }
    Ok(())
}

fn may_be_in_a_tag(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !is_control(c)) || "+-=._:/@".contains(c)
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
    fn a_tag_has_the_characters_that_aws_allows() {
        let tagged = |key: &str, value: &str| {
            let tags = Some(BTreeMap::from([(key.to_owned(), value.to_owned())]));
            Target::try_from(RawTarget { tags, ..RawTarget::default() })
        };
        for text in ["team", "größe 決", "a+b-c=d.e_f:g/h@i", "two words", "\u{a0}"] {
            assert!(tagged(text, text).is_ok(), "{text}");
        }
        for (text, shown) in
            [("a\u{1b}[2J", r"`\u{1b}`"), ("a\u{202e}b", r"`\u{202e}`"), ("a\nb", r"`\n`"), ("a*", "`*`")]
        {
            for refused in [tagged(text, "x"), tagged("x", text)] {
                assert!(
                    refused
                        .is_err_and(|why| why.to_string().contains(&format!("{shown} is not allowed; write letters,"))),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn selects_as_fis_does() {
        for (text, of_five) in [("ALL", 5), ("COUNT(2)", 2), ("COUNT(9)", 5), ("PERCENT(50)", 2), ("PERCENT(1)", 1)] {
            assert_eq!(Select::try_from(text.to_owned()).map(|s| s.amount(5)), Ok(of_five), "{text}");
        }
        assert_eq!(Select::Percent(50).amount(0), 0);
    }
}
