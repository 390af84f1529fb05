//! The checks of a write by snapback at the moment when it lands: the run holds the function's lock, its target has not
//! ended, and it writes only fields that the run touches.

use std::collections::BTreeSet;

use crate::model::names::FunctionArn;
use crate::model::run::TargetStatus;
use crate::model::snapshot::Write;
use crate::testing::State;
use crate::testing::calls::Sending;

use super::fields::{Fields, current_fields, differing, sent_fields, shown};

/// A write by snapback that is about to land.
pub struct Landing {
    sending: Sending,
    before: Fields,
    sent: Vec<String>,
    /// Whether AWS makes the write conditional on a revision.
    guarded: bool,
}

impl Landing {
    /// Records what the function is before the write lands. Returns `None` outside of a history.
    #[must_use]
    pub fn begin(state: &State, function: &FunctionArn, write: &Write) -> Option<Self> {
        let sending = state.drive.as_ref()?.caller.sending.clone()?;
        let before = current_fields(state, function);
        Some(Self { sending, before, sent: sent_fields(write), guarded: matches!(write, Write::Configuration(_)) })
    }

    /// Checks the write after it has landed. Returns whether it changed anything.
    pub fn end(self, state: &mut State) -> bool {
        let after = current_fields(state, &self.sending.function);
        let changed = differing(&self.before, &after);
        let violations = self.violations(state, &changed);
        let now = state.now();
        let Some(drive) = &mut state.drive else { return false };
        if let Some(journal) = &mut drive.journal {
            journal.extend(changed.iter().map(|field| self.journal_line(&after, field)));
        }
        let Sending { run, function, read_at } = &self.sending;
        let monitor = &mut drive.monitor;
        monitor.written.insert((run.clone(), function.clone()));
        violations.into_iter().for_each(|violation| monitor.add_violation(violation));
        if !self.guarded && *read_at < now {
            let overwritten = self.sent.iter().filter(|field| monitor.edited_since(*read_at, function, field));
            let overwritten: Vec<_> = overwritten.map(|field| (function.clone(), field.clone())).collect();
            monitor.excused.extend(overwritten);
        }
        !changed.is_empty()
    }

    fn violations(&self, state: &State, changed: &BTreeSet<String>) -> Vec<String> {
        let Sending { run, function, .. } = &self.sending;
        let (name, mut found) = (function.name(), Vec::new());
        let holder = state.locks.get(function).and_then(|lock| lock.run.clone());
        if holder.as_ref() != Some(run) {
            found.push(format!("{run} writes to {name}, whose lock is held by {holder:?}"));
        }
        let record = state.targets.get(&(run.clone(), function.clone()));
        let status = record.map(|record| record.status);
        if status.is_none_or(TargetStatus::is_final) {
            found.push(format!("a call of {run} lands on {name}, which is recorded as {status:?}"));
        }
        let touched: BTreeSet<String> = record
            .map(|record| record.changes.iter().map(|change| change.field().to_string()).collect())
            .unwrap_or_default();
        let written = changed.iter().chain(&self.sent);
        let untouched = written.filter(|field| !touched.contains(*field));
        found.extend(untouched.map(|field| format!("{run} writes the {field} of {name}, which it does not touch")));
        found
    }

    fn journal_line(&self, after: &Fields, field: &str) -> String {
        let (name, before) = (self.sending.function.name(), shown(&self.before, field));
        format!("{:11}-> {name} {field}: {before} -> {}", "", shown(after, field))
    }
}
