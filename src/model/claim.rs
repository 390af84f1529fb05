//! The fields of a function that faults claim for themselves.

use std::collections::BTreeMap;
use std::fmt;

use super::invocation::{
    CHAINED_WRAPPER_VARIABLE, FAULTS_VARIABLE, HANDLER_FAULTS_VARIABLE, ORIGINAL_HANDLER_VARIABLE, WRAPPER_VARIABLE,
};
use super::mappings::Mappings;
use super::names::VariableName;
use super::text::shorten;

/// What a fault claims for itself: no two faults of an experiment may claim the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// The reserved concurrency.
    ReservedConcurrency,
    /// The handler.
    Handler,
    /// The handler, for the chaos handler. All of its faults share it.
    ChaosHandler,
    /// The timeout.
    Timeout,
    /// The memory.
    Memory,
    /// One layer, without its version.
    Layer(String),
    /// One environment variable.
    Variable(VariableName),
    /// One of the variables that the proxy, or the chaos handler, is set up with. All of its faults share it.
    ProxyVariable(&'static str),
    /// Event source mappings.
    Mappings(Mappings),
}

/// The variables that set up the proxy: it is the wrapper of the runtime, has faults to inject, and starts the next
/// wrapper.
pub(super) const PROXY_VARIABLES: [&str; 3] = [WRAPPER_VARIABLE, FAULTS_VARIABLE, CHAINED_WRAPPER_VARIABLE];

/// The variables that set up the chaos handler: the faults, and the handler that it replaces.
pub(super) const HANDLER_VARIABLES: [&str; 2] = [HANDLER_FAULTS_VARIABLE, ORIGINAL_HANDLER_VARIABLE];

impl Claim {
    /// Whether both claims are about the same field of a function.
    #[must_use]
    pub fn meets(&self, other: &Claim) -> bool {
        match (self, other) {
            (Self::ProxyVariable(_), Self::ProxyVariable(_)) | (Self::ChaosHandler, Self::ChaosHandler) => false,
            (Self::Handler, Self::ChaosHandler) | (Self::ChaosHandler, Self::Handler) => true,
            (Self::ProxyVariable(name), Self::Variable(other)) | (Self::Variable(other), Self::ProxyVariable(name)) => {
                other.as_str() == *name
            }
            (Self::Mappings(a), Self::Mappings(b)) => a == b || *a == Mappings::All || *b == Mappings::All,
            _ => self == other,
        }
    }

    /// Finds the first earlier claim that [meets](Self::meets) this one. A file can have thousands of claims, so each
    /// is looked up; only a claim of mappings is compared with all others, and there is one per fault.
    #[must_use]
    pub fn find_in<T: Copy + Ord>(&self, earlier: &BTreeMap<Claim, T>) -> Option<T> {
        let get = |claim: &Claim| earlier.get(claim).copied();
        match self {
            Self::ProxyVariable(name) => VariableName::try_from(*name).ok().and_then(|name| get(&Self::Variable(name))),
            Self::Variable(name) => {
                let proxy = PROXY_VARIABLES.into_iter().chain(HANDLER_VARIABLES).find(|proxy| name.as_str() == *proxy);
                get(self).into_iter().chain(proxy.and_then(|proxy| get(&Self::ProxyVariable(proxy)))).min()
            }
            Self::Handler => get(self).into_iter().chain(get(&Self::ChaosHandler)).min(),
            Self::ChaosHandler => get(&Self::Handler),
            Self::Mappings(_) => earlier.iter().filter(|(claim, _)| self.meets(claim)).map(|(_, at)| *at).min(),
            _ => get(self),
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedConcurrency => f.write_str("the reserved concurrency"),
            Self::Handler | Self::ChaosHandler => f.write_str("the handler"),
            Self::Timeout => f.write_str("the timeout"),
            Self::Memory => f.write_str("the memory"),
            Self::Layer(layer) => write!(f, "the layer {}", shorten(layer)),
            Self::Variable(name) => write!(f, "the variable {}", shorten(name.as_str())),
            Self::ProxyVariable(name) => write!(f, "the variable {name}"),
            Self::Mappings(_) => f.write_str("the same event source mapping"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::MappingId;

    #[test]
    fn looking_a_claim_up_finds_what_comparing_finds() {
        let variable = |name: &str| VariableName::try_from(name).map(Claim::Variable);
        let mapping = MappingId::try_from("11111111-2222-3333-4444-555555555555").map(Mappings::One);
        let claims: Vec<Claim> = [variable("A1"), variable(WRAPPER_VARIABLE), mapping.map(Claim::Mappings)]
            .into_iter()
            .flatten()
            .chain(PROXY_VARIABLES.map(Claim::ProxyVariable))
            .chain(HANDLER_VARIABLES.map(Claim::ProxyVariable))
            .chain([
                Claim::ChaosHandler,
                Claim::Handler,
                Claim::Layer("a".into()),
                Claim::Layer("b".into()),
                Claim::Mappings(Mappings::All),
            ])
            .collect();
        assert_eq!(claims.len(), 13);
        for one in &claims {
            for other in &claims {
                let earlier = BTreeMap::from([(other.clone(), 7)]);
                assert_eq!(one.find_in(&earlier), one.meets(other).then_some(7), "{one}, {other}");
            }
        }
        let earlier = BTreeMap::from([(Claim::ProxyVariable(WRAPPER_VARIABLE), 1), (claims[1].clone(), 0)]);
        assert_eq!(claims[1].find_in(&earlier), Some(0));
    }
}
