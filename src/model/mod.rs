//! The nouns: what a person writes, what a function looks like, what the ledger keeps.
//!
//! Everything here is parsed at the edge into types that cannot hold a wrong value; nothing here does I/O, reads a
//! clock or names an SDK.

pub mod catalogue;
pub mod experiment;
pub mod fault;
pub mod function;
pub mod input;
pub mod names;
pub mod refusal;
pub mod run;
pub mod secret;
pub mod snapshot;
pub mod steady_state;
pub mod target;
pub mod time;
pub mod whole;
