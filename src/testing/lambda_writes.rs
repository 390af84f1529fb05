//! The writes that simulated Lambda accepts, and why it refuses the others.

use crate::model::function::{LastUpdate, Slot};
use crate::model::names::FunctionArn;
use crate::model::snapshot::{ConfigurationUpdate, Write};
use crate::model::time::Time;
use crate::ports::FunctionError;

use super::State;
use super::drive::StormKind;
use super::functions::find;
use super::history::landing::Landing;
use super::sim_function::UPDATE_MS;

/// The longest update in a history, in milliseconds: a change of the VPC takes a minute
/// (lambda/latest/dg/functions-states).
pub const MAX_UPDATE_MS: i64 = 60_000;
/// The limit of all environment variables together, in bytes (lambda/latest/dg/configuration-envvars).
const MAX_ENVIRONMENT_BYTES: usize = 4096;

fn check_environment(write: &Write) -> Result<(), FunctionError> {
    let Write::Configuration(ConfigurationUpdate { environment: Some(environment), .. }) = write else { return Ok(()) };
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.expose().len()).sum();
    match bytes > MAX_ENVIRONMENT_BYTES {
        true => Err(FunctionError::Rejected("the environment variables exceed the 4 KB limit".into())),
        false => Ok(()),
    }
}

impl State {
    /// Advances all functions and mappings to a time.
    pub(super) fn advance_lambda(&mut self, now: Time) {
        let switches: Vec<(Time, Write)> =
            self.functions.values_mut().flat_map(|function| function.advance_to(now)).collect();
        for (at, switch) in switches {
            if let Write::Mapping { id, enabled } = switch {
                let _ = self.switch_mapping(&id, enabled);
                self.record_mappings_past(at);
            }
        }
    }

    /// Applies a write, or refuses it as Lambda does. In a history, the monitor checks it.
    pub(super) fn write(&mut self, function: &FunctionArn, write: &Write) -> Result<(), FunctionError> {
        let now = self.now();
        self.check_write(write)?;
        let landing = Landing::begin(self, function, write);
        self.check_pool(function, write)?;
        let (update_ms, fails) = self.draw_update();
        // AWS documents `ResourceConflictException` for every write, but not which ones return it during an update.
        let conflicts = self.drive.as_mut().is_some_and(|drive| drive.dice.percent(50));
        let updating =
            self.functions.get(function).is_some_and(|function| function.seen.last_update == LastUpdate::InProgress);
        if conflicts && updating {
            return Err(FunctionError::Busy("an update is in progress".into()));
        }
        if let Write::Mapping { id, enabled } = write {
            self.switch_mapping(id, *enabled)?;
        } else {
            let target = find(self, function.as_str())?;
            target.apply(write, now, update_ms)?;
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
            self.delay_switch(id);
        }
        Ok(())
    }

    /// Checks the layers and the environment of a write.
    pub(super) fn check_write(&self, write: &Write) -> Result<(), FunctionError> {
        self.check_layers(write)?;
        check_environment(write)
    }

    /// A layer version that does not exist cannot be attached (lambda/latest/dg/chapter-layers).
    fn check_layers(&self, write: &Write) -> Result<(), FunctionError> {
        let Write::Configuration(ConfigurationUpdate { layers: Some(layers), .. }) = write else { return Ok(()) };
        match layers.iter().find(|layer| !layer.is_lambdas_own() && !self.layers.contains_key(layer)) {
            Some(missing) => Err(FunctionError::Rejected(format!("there is no layer version {missing}"))),
            None => Ok(()),
        }
    }

    /// The account's unreserved concurrency must stay above a floor (lambda/latest/dg/configuration-concurrency).
    fn check_pool(&mut self, function: &FunctionArn, write: &Write) -> Result<(), FunctionError> {
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

    /// Whether calls fail in this way now.
    pub(super) fn has_storm(&self, kind: StormKind) -> bool {
        self.drive.as_ref().is_some_and(|drive| drive.has_storm(kind, self.elapsed))
    }

    /// Draws how long the next update takes in milliseconds, and whether it fails.
    fn draw_update(&mut self) -> (i64, bool) {
        let fails = self.has_storm(StormKind::UpdatesFail);
        let Some(drive) = &mut self.drive else { return (UPDATE_MS, false) };
        let most = if drive.dice.percent(3) { MAX_UPDATE_MS } else { 4_000 };
        (drive.dice.between(200, most), fails)
    }
}
