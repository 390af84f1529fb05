//! Which event source mappings a fault disables.

use serde::{Deserialize, Serialize};

use super::names::MappingId;

/// Which event source mappings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
pub enum Mappings {
    /// All that are enabled when the run arms.
    All,
    /// This one.
    One(MappingId),
}

impl TryFrom<String> for Mappings {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "ALL" { Ok(Self::All) } else { MappingId::try_from(text).map(Self::One) }
    }
}

impl From<Mappings> for String {
    fn from(mappings: Mappings) -> String {
        match mappings {
            Mappings::All => "ALL".into(),
            Mappings::One(id) => id.into(),
        }
    }
}
