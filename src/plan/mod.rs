//! The decisions: pure, total and synchronous. A plan is a value that can be printed, stored and tested.

mod bystanders;
pub mod changes;
mod chaos_handler;
pub mod checks;
pub mod effect;
pub mod evidence;
pub mod field_row;
pub mod field_state;
pub mod guardrails;
pub mod import;
pub mod inject;
pub mod injection;
pub mod metric_reads;
pub mod notices;
mod objection;
pub mod outcome_text;
pub mod own;
pub mod preview;
mod proxy;
pub mod removal;
pub mod rendering;
pub mod report_key;
pub mod restore;
pub mod runtimes;
pub mod selection;
mod size;
pub mod writes;
