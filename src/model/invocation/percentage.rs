//! A share of invocations, in percent.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::model::text::shorten;

/// Parts of one percent: a percentage has four decimals.
const PARTS: u32 = 10_000;

/// A share of invocations from 0 to 100 percent, with four decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentage(u32);

impl Percentage {
    /// All invocations.
    pub const ALL: Self = Self(100 * PARTS);

    /// Creates a percentage if the number is within 0 to 100, rounded to four decimals.
    #[must_use]
    pub fn new(percent: f64) -> Option<Self> {
        // Within 0 to 100 the product is at most a million.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        (0.0..=100.0).contains(&percent).then(|| Self((percent * f64::from(PARTS)).round() as u32))
    }

    /// Whether it selects all invocations.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::ALL
    }

    /// Whether it selects the invocation with this roll, which can be any number.
    #[must_use]
    pub fn includes(self, roll: u64) -> bool {
        roll % u64::from(Self::ALL.0) < u64::from(self.0)
    }

    /// Returns the share as a number from 0 to 1.
    #[must_use]
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }

    fn percent(self) -> f64 {
        f64::from(self.0) / f64::from(PARTS)
    }
}

impl Default for Percentage {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.percent())
    }
}

impl Serialize for Percentage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.is_multiple_of(PARTS) {
            true => serializer.serialize_u32(self.0 / PARTS),
            false => serializer.serialize_f64(self.percent()),
        }
    }
}

impl<'de> Deserialize<'de> for Percentage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PercentageVisitor)
    }
}

struct PercentageVisitor;

#[allow(clippy::float_cmp, reason = "both are the nearest numbers to the same four decimals")]
fn parse<E: de::Error>(shown: &dyn fmt::Display, percent: f64) -> Result<Percentage, E> {
    let percentage = Percentage::new(percent)
        .ok_or_else(|| E::custom(format!("`{shown}` is out of range; write a percentage from 0 to 100")))?;
    match percentage.percent() == percent {
        true => Ok(percentage),
        false => Err(E::custom(format!(
            "`{shown}` has more than four decimals; write a percentage from 0 to 100 with at most four"
        ))),
    }
}

impl Visitor<'_> for PercentageVisitor {
    type Value = Percentage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a percentage from 0 to 100")
    }

    #[allow(clippy::cast_precision_loss, reason = "numbers that large are out of range anyway")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Percentage, E> {
        parse(&number, number as f64)
    }

    #[allow(clippy::cast_precision_loss, reason = "numbers that large are out of range anyway")]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Percentage, E> {
        parse(&number, number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Percentage, E> {
        parse(&format!("{number:?}"), number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Percentage, E> {
        Err(E::custom(format!("`{}` is text; write a percentage from 0 to 100, without quotes", shorten(text))))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Percentage {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percentage".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": 100 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_selects_its_share_of_a_million_rolls() {
        for (text, of_a_million) in
            [("0", 0), ("100", 1_000_000), ("12.5", 125_000), ("0.0001", 1), ("33.3333", 333_333)]
        {
            let share: Result<Percentage, _> = serde_json::from_str(text);
            let share = share.unwrap_or_else(|error| unreachable!("{text}: {error}"));
            assert_eq!((0..1_000_000).filter(|roll| share.includes(*roll)).count(), of_a_million, "{text}");
            assert_eq!(serde_json::to_string(&share).ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn an_invalid_percentage_is_refused() {
        for text in [
            "-1",
            "100.1",
            "101",
            "1e300",
            "\"50\"",
            "null",
            "true",
            "99999999999999999999",
            "0.00001",
            "99.99999",
            "1e-300",
        ] {
            let refusal = serde_json::from_str::<Percentage>(text).map_err(|why| why.to_string());
            assert!(refusal.is_err_and(|why| why.contains("a percentage from 0 to 100")), "{text}");
        }
    }

    #[test]
    fn a_percentage_is_displayed_in_percent_and_gives_its_share() {
        for (percent, shown, share) in [(0.0, "0", 0.0), (12.5, "12.5", 0.125), (100.0, "100", 1.0)] {
            let percentage = Percentage::new(percent).unwrap_or_default();
            assert_eq!((percentage.to_string().as_str(), percentage.share()), (shown, share));
        }
    }

    /// The schema is inline, so that an editor shows the limits and not the name of a definition.
    #[cfg(feature = "schema")]
    #[test]
    fn the_schema_is_an_inline_number_with_its_limits() {
        let limits = serde_json::json!({ "type": "number", "minimum": 0, "maximum": 100 });
        let mut generator = schemars::SchemaGenerator::default();
        assert_eq!(generator.subschema_for::<Percentage>().to_value(), limits);
        let named = generator.into_root_schema_for::<Percentage>();
        assert_eq!(named.get("title"), Some(&"Percentage".into()));
    }
}
