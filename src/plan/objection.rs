//! A reason against a change of one function.

use crate::model::refusal::Guardrail;

/// A reason to refuse, with its fix.
#[derive(Debug)]
pub(super) struct Objection {
    pub(super) guardrail: Guardrail,
    pub(super) reason: String,
    pub(super) fix: &'static str,
}
