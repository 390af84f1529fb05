//! What is to be injected, and what the faults have to know of their run.

use crate::model::experiment::Experiment;
use crate::model::fault::Fault;
use crate::model::invocation::ProxyConfig;
use crate::model::proxy_layers::ProxyLayers;
use crate::model::run::Run;
use crate::model::time::Time;

/// Stands for a run that has no name yet. It is as long as a name can be, so that what fits with it fits with any
/// (step-functions/latest/apireference/API_StartExecution: 80 characters).
const UNNAMED: &str = "a-run-that-has-no-name-yet------------------------------------------------------";

/// The faults of an experiment, in one run.
#[derive(Clone, Copy, Debug)]
pub struct Injection<'a> {
    /// What is asked for.
    pub experiment: &'a Experiment,
    /// The run's name, for the metrics.
    pub run: &'a str,
    /// When the run ends at the latest; the faults that can, end by themselves then.
    pub deadline: Time,
    /// The layers that bring the proxy.
    pub proxy_layers: &'a ProxyLayers,
}

impl<'a> Injection<'a> {
    /// The injection of a run; none for the marker of a run that never was.
    #[must_use]
    pub fn of(run: &'a Run) -> Option<Self> {
        let experiment = run.experiment.as_ref()?;
        let (deadline, proxy_layers) = (run.deadline, &run.proxy_layers);
        Some(Self { experiment, run: run.id.as_str(), deadline, proxy_layers })
    }

    /// The injection of a run that would begin now.
    #[must_use]
    pub fn planned(experiment: &'a Experiment, now: Time, proxy_layers: &'a ProxyLayers) -> Self {
        Self { experiment, run: UNNAMED, deadline: experiment.deadline(now), proxy_layers }
    }

    /// What the proxy is told; `None` where no fault is inside invocations.
    #[must_use]
    pub fn config(&self) -> Option<ProxyConfig> {
        let faults: Vec<_> = self.experiment.faults.iter().filter_map(Fault::invocation).collect();
        (!faults.is_empty()).then(|| ProxyConfig {
            // A deadline before 1970 has passed in any case.
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
        assert!(RunId::try_from(UNNAMED).is_ok());
        assert!(RunId::try_from(format!("{UNNAMED}x")).is_err());
    }
}
