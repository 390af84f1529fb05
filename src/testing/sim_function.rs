//! A simulated Lambda function: its configuration, an update in progress, its versions, and its past for stale reads.

use std::collections::BTreeMap;

use crate::model::facts::{Alias, CodeSigning, RuntimeUpdates};
use crate::model::function::{Environment, LastUpdate, Observation};
use crate::model::snapshot::{ConfigurationUpdate, Write};
use crate::model::time::Time;
use crate::ports::{FunctionError, VersionPage};

/// How long an update of the configuration is `InProgress` outside of a history, in milliseconds.
pub(super) const UPDATE_MS: i64 = 1500;
/// The number of versions on a page of a list (lambda/latest/api/API_ListVersionsByFunction).
const VERSIONS_PER_PAGE: usize = 50;

/// A simulated function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimFunction {
    /// What `GetFunction` returns. Its list of event source mappings is empty: they are separate resources.
    pub seen: Observation,
    /// The aliases.
    pub aliases: Vec<Alias>,
    /// The code signing. `Unknown` stands for one that may not be read.
    pub code_signing: CodeSigning,
    /// The numbers of the published versions.
    pub versions: Vec<u64>,
    /// Whether the function was deleted, and only a search for its tags still finds it (aws/aws-sdk#302).
    pub ghost: bool,
    /// When Lambda updates the runtime.
    pub runtime_updates: RuntimeUpdates,
    /// The ARN of a runtime version that is newer than the function's.
    pub newest_runtime: Option<String>,
    /// When the update in progress ends.
    pub busy_until: Option<Time>,
    /// Writes that land later.
    pub late_writes: Vec<(Time, Write)>,
    /// The configuration that serves invocations. It lacks an update that is in progress or has failed.
    pub serving: Observation,
    /// The last version number of an earlier function with this name.
    last_number: u64,
    /// When each version was published that a stale list can miss.
    published_at: BTreeMap<u64, Time>,
    /// Whether the update in progress will fail.
    pub(super) failing: bool,
    /// What stale reads return: each observation, with the time from which it was current.
    past: Vec<(Time, Observation)>,
    revision: u64,
    /// Whether the function has changed since its past was last recorded.
    changed: bool,
}

impl SimFunction {
    /// Creates a function that is observed like this.
    #[must_use]
    pub fn new(seen: Observation) -> Self {
        Self {
            serving: seen.clone(),
            seen,
            aliases: Vec::new(),
            code_signing: CodeSigning::Off,
            versions: Vec::new(),
            ghost: false,
            runtime_updates: RuntimeUpdates::Auto,
            newest_runtime: None,
            busy_until: None,
            late_writes: Vec::new(),
            last_number: 0,
            published_at: BTreeMap::new(),
            failing: false,
            past: Vec::new(),
            revision: 0,
            changed: true,
        }
    }

    /// Changes the function from outside snapback, with a new revision and without an update in progress.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Observation)) {
        edit(&mut self.seen);
        self.new_revision();
        self.update_serving();
    }

    /// Updates the function from outside snapback. The update is in progress for `duration_ms`, and can fail at its
    /// end.
    pub(super) fn deploy(&mut self, now: Time, duration_ms: i64, fails: bool, edit: impl FnOnce(&mut Observation)) {
        edit(&mut self.seen);
        self.seen.last_update = LastUpdate::InProgress;
        self.busy_until = Some(Time(now.0 + duration_ms));
        self.failing = fails;
        self.new_revision();
    }

    /// Lets invocations see changes: the concurrency immediately, the configuration when no update is in progress.
    fn update_serving(&mut self) {
        self.serving.concurrency = self.seen.concurrency;
        if self.busy_until.is_none() && self.seen.last_update == LastUpdate::Successful {
            self.serving.clone_from(&self.seen);
        }
    }

    fn new_revision(&mut self) {
        self.revision += 1;
        self.changed = true;
        self.seen.revision_id = format!("revision-{}", self.revision);
    }

    /// Returns the number of the last version, also of an earlier function with this name.
    pub(super) fn last_version(&self) -> u64 {
        self.versions.last().copied().unwrap_or_default().max(self.last_number)
    }

    /// Numbers new versions after this one.
    pub(super) fn continue_versions(&mut self, last: u64) {
        self.last_number = last;
    }

    /// Numbers the revisions from the time of creation, so that no earlier function with this name has used them.
    pub(super) fn start_revisions(&mut self, now: Time) {
        self.revision = now.0.unsigned_abs();
    }

    /// Publishes a version from outside snapback.
    pub(super) fn publish(&mut self, now: Time) -> u64 {
        let version = self.last_version() + 1;
        self.versions.push(version);
        self.published_at.insert(version, now);
        version
    }

    /// Returns a page of the versions that existed at a time. `$LATEST` takes a place on the first page.
    pub(super) fn versions_at(&self, then: Time, from: usize) -> VersionPage {
        let listed = |version: &&u64| self.published_at.get(version).is_none_or(|at| *at <= then);
        let all: Vec<u64> = self.versions.iter().filter(listed).copied().collect();
        let until = from + VERSIONS_PER_PAGE - usize::from(from == 0);
        let next = (until < all.len()).then(|| until.to_string());
        VersionPage { versions: all.into_iter().take(until).skip(from).collect(), next }
    }

    /// Records what stale reads return for the time from `now` on. In a history, only if the function has changed.
    pub(super) fn record_past(&mut self, now: Time, in_history: bool) {
        if in_history && !self.changed {
            return;
        }
        self.changed = false;
        if self.past.last().is_none_or(|(_, seen)| *seen != self.seen) {
            self.past.push((now, self.seen.clone()));
        }
    }

    /// Returns what a read returns that shows the function as of `then`.
    pub(super) fn seen_at(&self, then: Time, now: Time) -> &Observation {
        // A read that is not stale also sees the changes since time last advanced.
        let past = self.past.iter().rev().find(|(since, _)| *since <= then);
        past.filter(|_| then < now).map_or(&self.seen, |(_, seen)| seen)
    }

    /// Advances the function to a time. Returns late writes to its mappings, which are separate resources.
    pub(super) fn advance_to(&mut self, now: Time) -> Vec<(Time, Write)> {
        let mut switches = Vec::new();
        self.late_writes.sort_by_key(|(at, _)| *at);
        while let Some((at, _)) = self.late_writes.first().filter(|(at, _)| *at <= now) {
            let at = *at;
            self.finish_update(at);
            match self.late_writes.remove(0).1 {
                write @ Write::Mapping { .. } => switches.push((at, write)),
                // The sender no longer waits for a result, so a refusal has no effect.
                write => drop(self.apply(&write, at, UPDATE_MS)),
            }
            self.record_past(at, false);
        }
        self.finish_update(now);
        switches
    }

    /// Ends an update whose time has come.
    fn finish_update(&mut self, now: Time) {
        if let Some(until) = self.busy_until.filter(|until| *until <= now) {
            self.busy_until = None;
            self.seen.last_update = if self.failing { LastUpdate::Failed } else { LastUpdate::Successful };
            self.update_serving();
            self.record_past(until, false);
        }
    }

    /// Applies a write, or refuses it because of an update in progress or an old revision.
    pub(super) fn apply(&mut self, write: &Write, now: Time, update_ms: i64) -> Result<(), FunctionError> {
        match write {
            Write::Concurrency(slot) => {
                self.seen.concurrency = *slot;
                self.new_revision();
            }
            Write::Mapping { .. } => {}
            Write::Configuration(update) => self.configure(update, now, update_ms)?,
        }
        self.update_serving();
        Ok(())
    }

    fn configure(&mut self, update: &ConfigurationUpdate, now: Time, update_ms: i64) -> Result<(), FunctionError> {
        if self.seen.last_update == LastUpdate::InProgress {
            return Err(FunctionError::Busy("an update is in progress".into()));
        }
        if update.revision_id != self.seen.revision_id {
            return Err(FunctionError::Changed);
        }
        let seen = &mut self.seen;
        if let Some(handler) = &update.handler {
            seen.handler = Some(handler.clone());
        }
        if let Some(layers) = &update.layers {
            seen.layers.clone_from(layers);
        }
        if let Some(environment) = &update.environment {
            seen.environment = Environment::Readable(environment.clone());
        }
        seen.timeout = update.timeout.unwrap_or(seen.timeout);
        seen.memory = update.memory.unwrap_or(seen.memory);
        if self.runtime_updates != RuntimeUpdates::Manual
            && let Some(newest) = self.newest_runtime.take()
        {
            seen.runtime_version = Some(newest);
        }
        seen.last_update = LastUpdate::InProgress;
        self.busy_until = Some(Time(now.0 + update_ms));
        self.failing = false;
        self.new_revision();
        Ok(())
    }
}
