//! The faults to inject, with what they have to know about their run.

use crate::model::experiment::Experiment;
use crate::model::fault::Fault;
use crate::model::invocation::{FaultConfig, HandlerConfig, ProxyConfig};
use crate::model::proxy_layers::ProxyLayers;
use crate::model::run::Run;
use crate::model::time::Time;

/// The name for a run that has no name yet. It has the maximum length, so a configuration that fits with it fits with
/// any name (step-functions/latest/apireference/API_StartExecution: 80 characters).
const PLACEHOLDER_NAME: &str = "a-run-that-has-no-name-yet------------------------------------------------------";

/// The faults of an experiment in one run.
#[derive(Clone, Copy, Debug)]
pub struct Injection<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The run's name, for the metrics.
    pub run: &'a str,
    /// The latest end of the run. Faults that can, expire then.
    pub deadline: Time,
    /// The layers that contain the proxy, and the one with the chaos handler.
    pub proxy_layers: &'a ProxyLayers,
}

impl<'a> Injection<'a> {
    /// Returns the injection of a run; `None` if the run has no readable experiment.
    #[must_use]
    pub fn of(run: &'a Run) -> Option<Self> {
        let experiment = run.experiment.as_ref()?;
        let (deadline, proxy_layers) = (run.deadline, &run.proxy_layers);
        Some(Self { experiment, run: run.id.as_str(), deadline, proxy_layers })
    }

    /// Returns the injection of a run that would begin now.
    #[must_use]
    pub fn planned(experiment: &'a Experiment, now: Time, proxy_layers: &'a ProxyLayers) -> Self {
        Self { experiment, run: PLACEHOLDER_NAME, deadline: experiment.deadline(now), proxy_layers }
    }

    /// Returns the proxy's configuration; `None` without a fault inside invocations.
    #[must_use]
    pub fn config(&self) -> Option<ProxyConfig> {
        self.config_of(self.experiment.faults.iter().filter_map(Fault::invocation).collect())
    }

    /// Returns the chaos handler's configuration; `None` without one of its faults.
    #[must_use]
    pub fn handler_config(&self) -> Option<HandlerConfig> {
        self.config_of(self.experiment.faults.iter().filter_map(Fault::order).cloned().collect())
    }

    fn config_of<F>(&self, faults: Vec<F>) -> Option<FaultConfig<F>> {
        (!faults.is_empty()).then(|| FaultConfig {
            // A deadline before 1970 has passed, as has the time 0.
            expires_at_ms: u64::try_from(self.deadline.0).unwrap_or(0),
            experiment: self.experiment.name.to_string(),
            run: self.run.to_owned(),
            seed: self.experiment.seed,
            faults,
            ignored: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::RunId;

    #[test]
    fn the_name_that_stands_for_any_is_the_longest() {
        assert!(RunId::try_from(PLACEHOLDER_NAME).is_ok());
        assert!(RunId::try_from(format!("{PLACEHOLDER_NAME}x")).is_err());
    }
}
