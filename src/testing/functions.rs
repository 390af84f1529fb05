//! AWS Lambda, as far as snapback sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join;

use crate::model::facts::{AccountConcurrency, Alias, CodeSigning, LayerFact, RuntimeUpdates};
use crate::model::function::{Environment, LastUpdate, MappingState, Observation, Slot, Tags};
use crate::model::names::{FunctionArn, LayerVersionArn, MappingId};
use crate::model::snapshot::{ConfigurationUpdate, Write};
use crate::model::time::Time;
use crate::ports::{FunctionError, Functions, Permit, VersionPage};

use super::calls::{CallError, CallKind};
use super::drive::StormKind;
use super::history::monitor::Landing;
use super::network::Failure;
use super::{CallFailure, SimWorld, State};

/// Milliseconds for which a function stays `InProgress` after an update of its configuration.
const UPDATE_TIME: i64 = 1500;
/// Versions that one page of a list has (lambda/latest/api/API_ListVersionsByFunction).
const VERSIONS_A_PAGE: usize = 50;
/// The longest such time in a history: changing a VPC takes a minute (lambda/latest/dg/functions-states).
pub const LONGEST_UPDATE: i64 = 60_000;

/// A function, with what its observation does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimFunction {
    /// What `GetFunction` shows: without its event source mappings, which have a life of their own.
    pub seen: Observation,
    /// Its aliases.
    pub aliases: Vec<Alias>,
    /// Its code signing; `Unknown` is one that may not be read.
    pub code_signing: CodeSigning,
    /// Its published versions.
    pub versions: Vec<u64>,
    /// Whether it was deleted, and only its tags can still be found (aws/aws-sdk#302).
    pub ghost: bool,
    /// When its runtime is updated.
    pub runtime_updates: RuntimeUpdates,
    /// The newest version of its runtime, by ARN, where it is not the one that it has.
    pub newest_runtime: Option<String>,
    /// When the update in progress is through.
    pub busy_until: Option<Time>,
    /// Calls that land later.
    pub late: Vec<(Time, Write)>,
    /// What serves invocations: an update in progress, or one that has failed, does not.
    pub serving: Observation,
    /// The last number that is used up.
    numbered: u64,
    /// When those of them were published that a list can miss.
    published_at: BTreeMap<u64, Time>,
    /// Whether the update in progress will fail.
    failing: bool,
    /// What it looked like when time moved on, for reads that are stale.
    past: Vec<(Time, Observation)>,
    revision: u64,
    /// Whether it has changed since its past was written down.
    changed: bool,
}

impl SimFunction {
    /// A function that looks like this.
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
            late: Vec::new(),
            numbered: 0,
            published_at: BTreeMap::new(),
            failing: false,
            past: Vec::new(),
            revision: 0,
            changed: true,
        }
    }

    /// Changes it as somebody else would: with a new revision, and at once.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Observation)) {
        edit(&mut self.seen);
        self.revise();
        self.serve();
    }

    /// Updates it as somebody else would: for so many milliseconds it is in progress.
    pub(super) fn deploy(&mut self, now: Time, milliseconds: i64, fails: bool, edit: impl FnOnce(&mut Observation)) {
        edit(&mut self.seen);
        self.seen.last_update = LastUpdate::InProgress;
        self.busy_until = Some(Time(now.0 + milliseconds));
        self.failing = fails;
        self.revise();
    }

    /// What has no update to wait for serves at once; so does the configuration when none is in progress.
    fn serve(&mut self) {
        self.serving.concurrency = self.seen.concurrency;
        if self.busy_until.is_none() && self.seen.last_update == LastUpdate::Successful {
            self.serving.clone_from(&self.seen);
        }
    }

    fn revise(&mut self) {
        self.revision += 1;
        self.changed = true;
        self.seen.revision_id = format!("revision-{}", self.revision);
    }

    /// The number of its last version, or of the last one of the function that had its name before.
    pub(super) fn last_version(&self) -> u64 {
        self.versions.last().copied().unwrap_or_default().max(self.numbered)
    }

    /// Numbers its versions from there on.
    pub(super) fn continue_versions(&mut self, last: u64) {
        self.numbered = last;
    }

    /// Makes its revisions those of a function that was created at that time: no function has had them before.
    pub(super) fn begin_revisions(&mut self, now: Time) {
        self.revision = now.0.unsigned_abs();
    }

    /// Publishes a version as somebody else would.
    pub(super) fn publish(&mut self, now: Time) -> u64 {
        let version = self.last_version() + 1;
        self.versions.push(version);
        self.published_at.insert(version, now);
        version
    }

    /// A page of its versions, `$LATEST` among them, as it was at some time: a version that was published since is missed.
    fn versions_at(&self, then: Time, from: usize) -> VersionPage {
        let listed = |version: &&u64| self.published_at.get(version).is_none_or(|at| *at <= then);
        let all: Vec<u64> = self.versions.iter().filter(listed).copied().collect();
        let until = from + VERSIONS_A_PAGE - usize::from(from == 0);
        let next = (until < all.len()).then(|| until.to_string());
        VersionPage { versions: all.into_iter().take(until).skip(from).collect(), next }
    }

    /// Takes down what it looks like from this moment on.
    pub(super) fn remember(&mut self, now: Time, driven: bool) {
        if driven && !self.changed {
            return;
        }
        self.changed = false;
        if self.past.last().is_none_or(|(_, seen)| *seen != self.seen) {
            self.past.push((now, self.seen.clone()));
        }
    }

    /// What it looked like at some time.
    fn seen_at(&self, then: Time, now: Time) -> &Observation {
        // Whoever looks at now sees what has been changed since time moved on.
        let past = self.past.iter().rev().find(|(since, _)| *since <= then);
        past.filter(|_| then < now).map_or(&self.seen, |(_, seen)| seen)
    }

    /// Lets time pass for it. What it has to do with its mappings is returned: they are not its own.
    fn catch_up(&mut self, now: Time) -> Vec<(Time, Write)> {
        let mut switches = Vec::new();
        self.late.sort_by_key(|(at, _)| *at);
        while let Some((at, _)) = self.late.first().filter(|(at, _)| *at <= now) {
            let at = *at;
            self.settle(at);
            match self.late.remove(0).1 {
                write @ Write::Mapping { .. } => switches.push((at, write)),
                // Whoever sent it is dead; nobody hears a refusal.
                write => drop(self.apply(&write, at, UPDATE_TIME)),
            }
            self.remember(at, false);
        }
        self.settle(now);
        switches
    }

    /// Ends an update that is through by then.
    fn settle(&mut self, now: Time) {
        if let Some(until) = self.busy_until.filter(|until| *until <= now) {
            self.busy_until = None;
            self.seen.last_update = if self.failing { LastUpdate::Failed } else { LastUpdate::Successful };
            self.serve();
            self.remember(until, false);
        }
    }

    fn apply(&mut self, write: &Write, now: Time, update_time: i64) -> Result<(), FunctionError> {
        match write {
            Write::Concurrency(slot) => {
                self.seen.concurrency = *slot;
                self.revise();
            }
            Write::Mapping { .. } => {}
            Write::Configuration(update) => self.configure(update, now, update_time)?,
        }
        self.serve();
        Ok(())
    }

    fn configure(&mut self, update: &ConfigurationUpdate, now: Time, update_time: i64) -> Result<(), FunctionError> {
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
        self.busy_until = Some(Time(now.0 + update_time));
        self.failing = false;
        self.revise();
        Ok(())
    }
}

fn call_name(write: &Write) -> &'static str {
    match write {
        Write::Concurrency(Slot::Present(_)) => "PutFunctionConcurrency",
        Write::Concurrency(Slot::Absent) => "DeleteFunctionConcurrency",
        Write::Mapping { .. } => "UpdateEventSourceMapping",
        Write::Configuration(_) => "UpdateFunctionConfiguration",
    }
}

/// All variables together have at most 4 KB (lambda/latest/dg/configuration-envvars).
fn environment_of(write: &Write) -> Result<(), FunctionError> {
    let Write::Configuration(ConfigurationUpdate { environment: Some(environment), .. }) = write else { return Ok(()) };
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.expose().len()).sum();
    match bytes > 4096 {
        true => Err(FunctionError::Rejected("the environment variables exceed the 4 KB limit".into())),
        false => Ok(()),
    }
}

fn find<'a>(state: &'a mut State, function: &str) -> Result<&'a mut SimFunction, FunctionError> {
    let named = |arn: &FunctionArn| {
        arn.as_str().strip_suffix(function).is_some_and(|rest| rest.is_empty() || rest.ends_with(':'))
    };
    let found = state.functions.iter_mut().find(|(arn, function)| named(arn) && !function.ghost);
    found.map(|(_, function)| function).ok_or_else(|| FunctionError::NotFound(function.to_owned()))
}

impl State {
    /// Lets time pass for everything that Lambda has.
    pub(super) fn catch_up(&mut self, now: Time) {
        let switches: Vec<(Time, Write)> =
            self.functions.values_mut().flat_map(|function| function.catch_up(now)).collect();
        for (at, switch) in switches {
            if let Write::Mapping { id, enabled } = switch {
                let _ = self.switch(&id, enabled);
                self.remember_mappings(at);
            }
        }
    }

    /// Lambda takes a write, or refuses it.
    fn write(&mut self, function: &FunctionArn, write: &Write) -> Result<(), FunctionError> {
        let now = self.now();
        self.parts_of(write)?;
        let landing = Landing::begin(self, function, write);
        self.room_for(function, write)?;
        let (update_time, fails) = self.update_time();
        // Lambda's pages let every call answer so during an update, and say of none that it does.
        let conflicts = self.drive.as_mut().is_some_and(|drive| drive.dice.percent(50));
        let updating =
            self.functions.get(function).is_some_and(|function| function.seen.last_update == LastUpdate::InProgress);
        if conflicts && updating {
            return Err(FunctionError::Busy("an update is in progress".into()));
        }
        if let Write::Mapping { id, enabled } = write {
            self.switch(id, *enabled)?;
        } else {
            let target = find(self, function.as_str())?;
            target.apply(write, now, update_time)?;
            if matches!(write, Write::Configuration(_)) {
                target.failing = fails;
            }
        }
        self.writes.push((function.clone(), write.clone()));
        let Some(landing) = landing else { return Ok(()) };
        let changed = landing.end(self);
        if let Write::Mapping { id, .. } = write
            && changed
        {
            self.switch_later(id);
        }
        Ok(())
    }

    /// Lambda refuses an update for one of its parts.
    fn parts_of(&self, write: &Write) -> Result<(), FunctionError> {
        self.layers_of(write)?;
        environment_of(write)
    }

    /// A layer version that is not there cannot be attached (lambda/latest/dg/chapter-layers).
    fn layers_of(&self, write: &Write) -> Result<(), FunctionError> {
        let Write::Configuration(ConfigurationUpdate { layers: Some(layers), .. }) = write else { return Ok(()) };
        match layers.iter().find(|layer| !layer.is_lambdas_own() && !self.layers.contains_key(layer)) {
            Some(missing) => Err(FunctionError::Rejected(format!("there is no layer version {missing}"))),
            None => Ok(()),
        }
    }

    /// The account's unreserved concurrency must stay above a floor (lambda/latest/dg/configuration-concurrency).
    fn room_for(&mut self, function: &FunctionArn, write: &Write) -> Result<(), FunctionError> {
        let (Write::Concurrency(Slot::Present(limit)), Some((total, floor))) = (write, self.pool) else {
            return Ok(());
        };
        let others = self.functions.iter().filter(|(arn, _)| *arn != function);
        let reserved: u32 = others.filter_map(|(_, other)| other.seen.concurrency.as_option()).sum();
        let taken = if self.has_storm(StormKind::PoolTaken) { total } else { 0 };
        match limit + reserved + taken + floor > total {
            true => Err(FunctionError::Rejected("the unreserved concurrency would fall below its floor".into())),
            false => Ok(()),
        }
    }

    pub(super) fn has_storm(&self, kind: StormKind) -> bool {
        self.drive.as_ref().is_some_and(|drive| drive.has_storm(kind, self.elapsed))
    }

    /// How long the next update takes, and whether it fails.
    fn update_time(&mut self) -> (i64, bool) {
        let fails = self.has_storm(StormKind::UpdatesFail);
        let Some(drive) = &mut self.drive else { return (UPDATE_TIME, false) };
        let most = if drive.dice.percent(3) { LONGEST_UPDATE } else { 4_000 };
        (drive.dice.between(200, most), fails)
    }
}

impl SimWorld {
    /// A look at a function, and the moment that it shows.
    pub(super) async fn look(&self, function: &str, with_mappings: bool) -> Result<(Observation, Time), FunctionError> {
        let name = function.to_owned();
        let blind = self.with(|state| state.is_without_rights());
        let seen = self.exchange(CallKind::Look, "GetFunction", move |state| {
            state.admit("GetFunction")?;
            if with_mappings {
                state.admit("ListEventSourceMappings")?;
            }
            match state.take_failure("GetFunction") {
                Some(CallFailure::Denied) => return Err(FunctionError::of(CallError::Denied, "GetFunction")),
                Some(CallFailure::Throttled) => {
                    return Err(FunctionError::of(CallError::Throttled(Duration::from_secs(1)), "GetFunction"));
                }
                _ => {}
            }
            let (then, now) = (state.read_at(), state.now());
            let mut seen = find(state, &name)?.seen_at(then, now).clone();
            if with_mappings {
                seen.mappings = state.mappings_at(&seen.arn, then);
            }
            if blind {
                seen.environment = Environment::Unreadable;
            }
            Ok((seen, then))
        });
        let mappings = async {
            if with_mappings && self.with(|state| state.drive.is_none()) {
                self.call("ListEventSourceMappings").await;
            }
        };
        join(seen, mappings).await.0
    }
}

impl Functions for SimWorld {
    async fn observe(&self, function: &str, with_mappings: bool) -> Result<Observation, FunctionError> {
        self.look(function, with_mappings).await.map(|(seen, _)| seen)
    }

    async fn write(&self, permit: &Permit, write: &Write, not_after: Time) -> Result<(), FunctionError> {
        let (function, write, name) = (permit.function().clone(), write.clone(), call_name(write));
        self.exchange(CallKind::Write, name, move |state| {
            let now = state.now();
            if now > not_after {
                return Err(FunctionError::Throttled(Duration::ZERO));
            }
            state.admit(name)?;
            let trouble = state.take_failure(name);
            state.parts_of(&write)?;
            match trouble {
                None => state.write(&function, &write),
                Some(CallFailure::Lost) => Err(FunctionError::of(CallError::NoResponse, name)),
                Some(CallFailure::LandsLate(delay)) => {
                    find(state, function.as_str())?.late.push((now + delay, write));
                    Err(FunctionError::of(CallError::NoResponse, name))
                }
                Some(CallFailure::Denied) => Err(FunctionError::of(CallError::Denied, name)),
                Some(CallFailure::Busy) => Err(FunctionError::of(CallError::Busy, name)),
                Some(CallFailure::Throttled) => {
                    Err(FunctionError::of(CallError::Throttled(Duration::from_secs(1)), name))
                }
                Some(CallFailure::ResponseLost) => {
                    state.write(&function, &write)?;
                    Err(FunctionError::of(CallError::NoResponse, name))
                }
            }
        })
        .await
    }

    async fn mapping(&self, id: &MappingId) -> Result<MappingState, FunctionError> {
        self.look_at_mapping(id).await.map(|(state, _)| state)
    }

    async fn layer(&self, layer: &LayerVersionArn) -> Result<LayerFact, FunctionError> {
        let layer = layer.clone();
        let blind = self.with(|state| state.is_without_rights());
        self.exchange(CallKind::Look, "GetLayerVersion", move |state| {
            state.admit("GetLayerVersion")?;
            if blind {
                return Ok(LayerFact::Denied);
            }
            Ok(state.layers.get(&layer).cloned().unwrap_or(LayerFact::Missing))
        })
        .await
    }

    async fn code_signing(&self, function: &FunctionArn) -> Result<CodeSigning, FunctionError> {
        let function = function.clone();
        let found = self.exchange(CallKind::Look, "GetFunctionCodeSigningConfig", move |state| {
            state.admit("GetFunctionCodeSigningConfig")?;
            find(state, function.as_str()).map(|function| function.code_signing.clone())
        });
        let found = found.await?;
        if !matches!(found, CodeSigning::On { .. }) {
            return Ok(found);
        }
        self.exchange(CallKind::Look, "GetCodeSigningConfig", move |state| {
            state.admit("GetCodeSigningConfig")?;
            Ok(found.clone())
        })
        .await
    }

    async fn aliases(&self, function: &FunctionArn) -> Result<Vec<Alias>, FunctionError> {
        let function = function.clone();
        self.exchange(CallKind::Look, "ListAliases", move |state| {
            state.admit("ListAliases")?;
            find(state, function.as_str()).map(|function| function.aliases.clone())
        })
        .await
    }

    async fn versions(&self, function: &FunctionArn, page: Option<&str>) -> Result<VersionPage, FunctionError> {
        let (function, from) = (function.clone(), page.and_then(|page| page.parse().ok()).unwrap_or(0));
        self.exchange(CallKind::Look, "ListVersionsByFunction", move |state| {
            state.admit("ListVersionsByFunction")?;
            match state.take_failure("ListVersionsByFunction") {
                Some(CallFailure::Denied) => {
                    return Err(FunctionError::of(CallError::Denied, "ListVersionsByFunction"));
                }
                Some(CallFailure::Throttled) => {
                    return Err(FunctionError::of(
                        CallError::Throttled(Duration::from_secs(1)),
                        "ListVersionsByFunction",
                    ));
                }
                _ => {}
            }
            let then = state.read_at();
            find(state, function.as_str()).map(|function| function.versions_at(then, from))
        })
        .await
    }

    async fn runtime_updates(&self, function: &FunctionArn) -> Result<RuntimeUpdates, FunctionError> {
        let function = function.clone();
        self.exchange(CallKind::Look, "GetRuntimeManagementConfig", move |state| {
            state.admit("GetRuntimeManagementConfig")?;
            find(state, function.as_str()).map(|function| function.runtime_updates)
        })
        .await
    }

    async fn account(&self) -> Result<AccountConcurrency, FunctionError> {
        self.exchange(CallKind::Look, "GetAccountSettings", move |state| {
            state.admit("GetAccountSettings")?;
            if let Some(CallFailure::Denied) = state.take_failure("GetAccountSettings") {
                return Err(FunctionError::of(CallError::Denied, "GetAccountSettings"));
            }
            let reserved: u32 = state.functions.values().filter_map(|other| other.seen.concurrency.as_option()).sum();
            let total = state.pool.map_or(1000, |(total, _)| total);
            Ok(AccountConcurrency { total, unreserved: total.saturating_sub(reserved) })
        })
        .await
    }

    async fn mapping_tags(&self, _: &FunctionArn, mapping: &MappingId) -> Result<Tags, FunctionError> {
        let mapping = mapping.clone();
        self.exchange(CallKind::Look, "ListTags", move |state| {
            state.admit("ListTags")?;
            let found = state.mappings.get(&mapping).map(|mapping| mapping.tags.clone());
            found.ok_or_else(|| FunctionError::NotFound("mapping".into()))
        })
        .await
    }

    async fn tagged(&self, tags: &BTreeMap<String, String>) -> Result<Vec<FunctionArn>, FunctionError> {
        let tags = tags.clone();
        self.exchange(CallKind::Look, "GetResources", move |state| {
            let carries = |function: &&SimFunction| match &function.seen.tags {
                Tags::Known(own) => tags.iter().all(|(key, value)| own.get(key) == Some(value)),
                Tags::Unknown => false,
            };
            Ok(state.functions.values().filter(carries).map(|function| function.seen.arn.clone()).collect())
        })
        .await
    }
}
