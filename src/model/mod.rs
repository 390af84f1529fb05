//! The nouns: experiments as users write them, functions as AWS returns them, records as the ledger keeps them.
//!
//! Everything here is parsed at the edge into types that cannot hold a wrong value; nothing here does I/O, reads a
//! clock or names an SDK.

#[cfg(feature = "control")]
pub mod actor;
pub mod bounded;
#[cfg(feature = "control")]
pub mod catalog;
#[cfg(feature = "control")]
pub mod claim;
#[cfg(feature = "control")]
pub mod describe;
#[cfg(feature = "control")]
pub mod experiment;
#[cfg(feature = "control")]
pub mod facts;
#[cfg(feature = "control")]
pub mod fault;
#[cfg(feature = "control")]
pub mod findings;
#[cfg(feature = "control")]
pub mod function;
#[cfg(feature = "control")]
pub mod guarded_write;
#[cfg(feature = "control")]
pub mod handler_fault;
#[cfg(feature = "control")]
pub mod input;
#[cfg(any(feature = "control", feature = "proxy"))]
pub mod invocation;
#[cfg(feature = "control")]
pub mod kept_metrics;
#[cfg(feature = "control")]
pub mod mappings;
#[cfg(feature = "control")]
pub mod marker;
#[cfg(feature = "control")]
pub mod names;
#[cfg(feature = "control")]
pub mod notice;
#[cfg(any(feature = "control", feature = "proxy"))]
pub(crate) mod problems;
#[cfg(feature = "control")]
pub mod proxy_layers;
#[cfg(feature = "control")]
pub mod refusal;
#[cfg(feature = "control")]
mod repairs;
#[cfg(feature = "control")]
pub mod report_bucket;
#[cfg(feature = "control")]
pub mod run;
#[cfg(feature = "control")]
pub mod schedule;
#[cfg(feature = "control")]
pub mod secret;
#[cfg(feature = "control")]
pub mod settings;
#[cfg(feature = "control")]
pub mod snapshot;
#[cfg(feature = "control")]
pub mod steady_state;
#[cfg(feature = "control")]
pub mod target;
pub(crate) mod text;
#[cfg(feature = "control")]
pub mod time;
