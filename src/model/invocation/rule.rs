//! What the settings of all faults inside invocations share: which invocations trigger them.

use std::time::Duration;

use crate::model::bounded::BoundedU32;

use super::condition::EventCondition;
use super::percentage::Percentage;

/// A span of time in milliseconds, up to a function's longest timeout of 15 minutes
/// (lambda/latest/dg/configuration-timeout).
pub type Milliseconds = BoundedU32<0, 900_000>;

impl Milliseconds {
    /// Returns the span of time.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.get().into())
    }
}

/// Declares the settings of a fault, with those that every fault has: which invocations trigger it.
macro_rules! invocation_fault {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// The percentage of invocations that have the fault; default: 100.
            #[serde(default, skip_serializing_if = "Percentage::is_all")]
            pub percentage: Percentage,
            /// Conditions on the event, all of which must hold.
            #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
            pub conditions: Vec<EventCondition>,
            /// The alias or version that must be invoked; `$LATEST` includes invocations without one.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub qualifier: Option<String>,
        }

        impl $name {
            pub(super) fn rule(&self) -> Rule<'_> {
                Rule { percentage: self.percentage, conditions: &self.conditions, qualifier: self.qualifier.as_deref() }
            }
        }
    };
}

pub(super) use invocation_fault;

/// Which invocations trigger a fault.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// The percentage of invocations.
    pub percentage: Percentage,
    /// Conditions on the event, all of which must hold.
    pub conditions: &'a [EventCondition],
    /// The alias or version that must have been invoked.
    pub qualifier: Option<&'a str>,
}
