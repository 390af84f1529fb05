//! The changes that an experiment's faults make on one function, and the reasons to refuse them.

use std::collections::BTreeMap;

use crate::model::fault::{Fault, LayerFault, MappingFault};
use crate::model::function::{Environment, MappingState, Observation, Package, Slot};
use crate::model::handler_fault::{BroughtHandler, HandlerFault};
use crate::model::invocation::{FAULTS_VARIABLE, HANDLER_FAULTS_VARIABLE, WRAPPER_VARIABLE};
use crate::model::mappings::Mappings;
use crate::model::names::{LayerVersionArn, VariableName};
use crate::model::refusal::{Guardrail, Refusal};
use crate::model::secret::Secret;
use crate::model::snapshot::Change;

use super::bystanders::datadog_without_its_wrapper;
use super::chaos_handler::{HandlerAttachment, attach_handler};
use super::injection::Injection;
use super::objection::Objection;
use super::proxy::{ProxyAttachment, attach_proxy};
use super::runtimes::honors_wrapper;
use super::size::{MAX_ENVIRONMENT_BYTES, MAX_REQUEST_BYTES, environment_bytes, request_bytes, variable_bytes};

/// The maximum number of layers (lambda/latest/dg/chapter-layers).
const MAX_LAYERS: usize = 5;

/// The changes of one function, with refusals and warnings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// The fields whose value the faults change.
    pub changes: Vec<Change>,
    /// The reasons for which the changes must not be made.
    pub refusals: Vec<Refusal>,
    /// Refusals of faults that would change nothing. They prevent the start of a run. If the function reaches that
    /// state only later, the other faults are injected, and a target without any change proves nothing (see the outcome
    /// of a run).
    pub idle: Vec<Refusal>,
    /// Warnings for the reader of the plan.
    pub warnings: Vec<String>,
}

/// Determines what an injection changes on the observed function.
#[must_use]
pub fn change_set(injection: &Injection<'_>, now: &Observation) -> ChangeSet {
    let mut builder =
        ChangeSetBuilder { now, injection, set: ChangeSet::default(), layers: Vec::new(), variables: BTreeMap::new() };
    for fault in &injection.experiment.faults {
        builder.add(fault);
    }
    builder.finish()
}

struct ChangeSetBuilder<'a> {
    now: &'a Observation,
    injection: &'a Injection<'a>,
    set: ChangeSet,
    layers: Vec<LayerVersionArn>,
    variables: BTreeMap<VariableName, Slot<Secret>>,
}

impl ChangeSetBuilder<'_> {
    fn refuse(&mut self, guardrail: Guardrail, reason: impl Into<String>, fix: impl Into<String>) {
        let subject = self.now.arn.name().to_owned();
        self.set.refusals.push(Refusal { guardrail, subject, reason: reason.into(), fix: fix.into() });
    }

    fn push(&mut self, change: Change, changes_something: bool) {
        if changes_something {
            self.set.changes.push(change);
        } else {
            let note =
                format!("{}: the {} already has the value that the fault sets", self.now.arn.name(), change.field());
            self.set.warnings.push(note);
        }
    }

    fn add(&mut self, fault: &Fault) {
        if let Some(already) = self.already(fault) {
            let subject = self.now.arn.name().to_owned();
            let reason = format!("{already}, so {} would change nothing", fault.name());
            let fix = "give the fault another value, or remove the fault or the target".to_owned();
            return self.set.idle.push(Refusal { guardrail: Guardrail::Effect, subject, reason, fix });
        }
        match fault {
            Fault::ReservedConcurrency(fault) => {
                let (original, injected) = (self.now.concurrency, fault.limit.get());
                self.push(Change::ReservedConcurrency { original, injected }, original != Slot::Present(injected));
            }
            Fault::Timeout(fault) => self.timeout(fault.timeout.seconds()),
            Fault::Memory(fault) => self.memory(fault.megabytes.get()),
            Fault::Environment(fault) => {
                self.set(&fault.set);
                self.variables.extend(fault.unset.iter().map(|name| (name.clone(), Slot::Absent)));
            }
            Fault::Handler(HandlerFault::Brought(fault)) => self.handler(fault),
            Fault::Layer(fault) => self.layer(fault),
            Fault::EventSourceMapping(fault) => self.mappings(fault),
            // All of these together need the chaos handler once, or the proxy: see `chaos_handler` and `proxy`.
            Fault::Handler(HandlerFault::Chaos(_))
            | Fault::Latency(_)
            | Fault::InvocationTimeout(_)
            | Fault::Error(_)
            | Fault::Response(_)
            | Fault::Corrupt(_)
            | Fault::Disk(_)
            | Fault::Init(_)
            | Fault::Exit(_)
            | Fault::Dependency(_) => {}
        }
    }

    /// Returns what the function already has if the fault would change nothing. The text never contains values of
    /// variables.
    fn already(&self, fault: &Fault) -> Option<String> {
        let now = self.now;
        match fault {
            Fault::ReservedConcurrency(fault) if now.concurrency == Slot::Present(fault.limit.get()) => {
                Some(format!("its reserved concurrency is already {}", fault.limit.get()))
            }
            Fault::Timeout(fault) if now.timeout == fault.timeout.seconds() => {
                Some(format!("its timeout is already {} s", now.timeout))
            }
            Fault::Memory(fault) if now.memory == fault.megabytes.get() => {
                Some(format!("its memory is already {} MB", now.memory))
            }
            Fault::Environment(fault) if self.has(&fault.set) && fault.unset.iter().all(|name| self.lacks(name)) => {
                let names =
                    fault.set.keys().chain(&fault.unset).map(VariableName::as_str).collect::<Vec<_>>().join(", ");
                Some(format!("its environment already is as the fault would leave it ({names})"))
            }
            Fault::Handler(HandlerFault::Brought(fault))
                if now.handler.as_ref() == Some(&fault.handler) && self.changes_only_handler(fault) =>
            {
                Some(format!("its handler is already {}", fault.handler))
            }
            Fault::EventSourceMapping(MappingFault { disable: Mappings::One(id) }) => {
                let is_disabled = now.mapping(id).is_some_and(|mapping| mapping.state == MappingState::Disabled);
                is_disabled.then(|| format!("its event source mapping {id} is already disabled"))
            }
            _ => None,
        }
    }

    /// Whether a handler fault changes nothing besides the handler.
    fn changes_only_handler(&self, fault: &BroughtHandler) -> bool {
        fault.layers.is_empty()
            && self.has(&fault.environment)
            && fault.original_handler_variable.is_none()
            && fault.deadline_variable.is_none()
            && fault.timeout.is_none_or(|timeout| timeout.seconds() == self.now.timeout)
            && fault.memory.is_none_or(|memory| memory.get() == self.now.memory)
    }

    /// Whether the function has these variables with these values. An unreadable environment is refused elsewhere.
    fn has(&self, variables: &BTreeMap<VariableName, Secret>) -> bool {
        let same = |(name, value): (&VariableName, &Secret)| {
            self.now.environment.variable(name.as_str()).is_some_and(|now| now == Slot::Present(value.clone()))
        };
        variables.iter().all(same)
    }

    fn lacks(&self, name: &VariableName) -> bool {
        self.now.environment.variable(name.as_str()) == Some(Slot::Absent)
    }

    fn timeout(&mut self, injected: u32) {
        let original = self.now.timeout;
        self.push(Change::Timeout { original, injected }, original != injected);
    }

    fn memory(&mut self, injected: u32) {
        let original = self.now.memory;
        self.push(Change::Memory { original, injected }, original != injected);
    }

    fn set(&mut self, variables: &BTreeMap<VariableName, Secret>) {
        self.variables.extend(variables.iter().map(|(name, value)| (name.clone(), Slot::Present(value.clone()))));
    }

    /// Gives the fault its deadline, so that it stops even if the control plane no longer exists.
    fn deadline(&mut self, variable: Option<&VariableName>) {
        let deadline = Slot::Present(Secret::new(self.injection.deadline.0.to_string()));
        self.variables.extend(variable.map(|variable| (variable.clone(), deadline)));
    }

    fn handler(&mut self, fault: &BroughtHandler) {
        let Some(original) = self.now.handler.clone().filter(|_| self.now.package == Package::Zip) else {
            return self.refuse(
                Guardrail::Package,
                "it is a container image, whose handler is in the image",
                "use a fault that works on container images: reservedConcurrency, environment, timeout, memory",
            );
        };
        if let Some(variable) = &fault.original_handler_variable {
            self.variables.insert(variable.clone(), Slot::Present(Secret::new(original.as_str())));
        }
        self.deadline(fault.deadline_variable.as_ref());
        let injected = fault.handler.clone();
        let differs = original != injected;
        self.push(Change::Handler { original, injected }, differs);
        self.layers.extend(fault.layers.iter().cloned());
        self.set(&fault.environment);
        if let Some(timeout) = fault.timeout {
            self.timeout(timeout.seconds());
        }
        if let Some(memory) = fault.memory {
            self.memory(memory.get());
        }
    }

    fn layer(&mut self, fault: &LayerFault) {
        self.layers.extend(fault.layers.iter().cloned());
        self.set(&fault.environment);
        self.deadline(fault.deadline_variable.as_ref());
        let (Some(wrapper), Ok(slot)) = (&fault.wrapper, VariableName::try_from(WRAPPER_VARIABLE)) else { return };
        match &self.now.runtime {
            Some(runtime) if honors_wrapper(runtime) => {}
            runtime => {
                let runtime = runtime.clone().unwrap_or_else(|| "a container image".to_owned());
                self.refuse(
                    Guardrail::Runtime,
                    format!("{runtime} does not start through a wrapper"),
                    "target functions on a managed runtime (Node.js, Python, Java, .NET, Ruby), or leave the wrapper out",
                );
            }
        }
        if let Some(Objection { guardrail, reason, fix }) = datadog_without_its_wrapper(self.now) {
            self.refuse(guardrail, reason, fix);
        }
        if let Some(Slot::Present(displaced)) = self.now.environment.variable(WRAPPER_VARIABLE) {
            match &fault.chained_wrapper_variable {
                Some(chained) => {
                    self.variables.insert(chained.clone(), Slot::Present(displaced));
                }
                None => self.refuse(
                    Guardrail::Wrapper,
                    "it already starts through a wrapper",
                    "set chainedWrapperVariable to the variable in which the new wrapper looks for the one to start next",
                ),
            }
        }
        self.variables.insert(slot, Slot::Present(Secret::new(wrapper.as_str())));
    }

    fn mappings(&mut self, fault: &MappingFault) {
        let mappings = &self.now.mappings;
        let chosen: Vec<_> = match &fault.disable {
            Mappings::All => {
                mappings.iter().filter(|mapping| mapping.state != MappingState::Disabled).cloned().collect()
            }
            Mappings::One(id) => mappings.iter().filter(|mapping| mapping.id == *id).cloned().collect(),
        };
        if chosen.is_empty() {
            self.refuse(
                Guardrail::Mapping,
                "it has no such enabled event source mapping",
                "name the UUID of one of its mappings, or remove the fault",
            );
        }
        for mapping in chosen {
            match mapping.state {
                MappingState::Enabled => self.push(Change::Mapping { id: mapping.id }, true),
                // A named one is refused above as already disabled; with `ALL`, disabled ones are left out.
                MappingState::Disabled => {}
                MappingState::Busy => {
                    let reason = format!("its event source mapping {} is changing", mapping.id);
                    self.refuse(Guardrail::Mapping, reason, "wait until it is enabled or disabled");
                }
            }
        }
    }

    fn chaos_handler(&mut self) {
        let Some(config) = self.injection.handler_config() else { return };
        match attach_handler(&config, self.injection.proxy_layers, self.now) {
            Ok(HandlerAttachment { layer, handler: injected, variables }) => {
                // It is there: without one, there is an objection.
                let Some(original) = self.now.handler.clone() else { return };
                self.set.warnings.push(format!(
                    "{}: whether {original} can be loaded is known only when the function runs; if not, the error is the \
                     one that it would be without the fault",
                    self.now.arn.name()
                ));
                self.push(Change::Handler { original, injected }, true);
                self.layers.push(layer);
                let named = |(name, value)| Some((VariableName::try_from(name).ok()?, Slot::Present(value)));
                self.variables.extend(variables.into_iter().filter_map(named));
            }
            Err(Objection { guardrail, reason, fix }) => self.refuse(guardrail, reason, fix),
        }
    }

    fn proxy(&mut self) {
        let Some(config) = self.injection.config() else { return };
        match attach_proxy(&config, self.injection.proxy_layers, self.now) {
            Ok(ProxyAttachment { layer, variables }) => {
                self.layers.push(layer);
                let named = |(name, value)| Some((VariableName::try_from(name).ok()?, Slot::Present(value)));
                self.variables.extend(variables.into_iter().filter_map(named));
            }
            Err(objections) => {
                for objection in objections {
                    self.refuse(objection.guardrail, objection.reason, objection.fix);
                }
            }
        }
    }

    fn finish(mut self) -> ChangeSet {
        self.chaos_handler();
        self.proxy();
        if !self.layers.is_empty() {
            self.finish_layers();
        }
        if !self.variables.is_empty() {
            self.finish_environment();
        }
        self.set
    }

    fn finish_layers(&mut self) {
        let added = std::mem::take(&mut self.layers);
        let original = self.now.layers.clone();
        if self.now.package == Package::Image {
            return self.refuse(
                Guardrail::Package,
                "it is a container image, which cannot have layers",
                "use a fault that works on container images: reservedConcurrency, environment, timeout, memory",
            );
        }
        if original.len() + added.len() > MAX_LAYERS {
            self.refuse(
                Guardrail::Layers,
                format!(
                    "it has {} layers, and {} more would exceed Lambda's {MAX_LAYERS}",
                    original.len(),
                    added.len()
                ),
                "combine the fault's layers into one, or target functions with fewer layers",
            );
        }
        // Two faults can add the same layer only if one of them names the stack's proxy.
        for (at, layer) in added.iter().enumerate() {
            if added[..at].iter().any(|other| other.layer() == layer.layer()) {
                let reason = format!("the layer {} would be added twice", layer.layer());
                self.refuse(
                    Guardrail::Layers,
                    reason,
                    "remove it from the `layer` fault, because snapback adds it automatically",
                );
            }
        }
        for layer in added.iter().filter(|layer| original.iter().any(|own| own.layer() == layer.layer())) {
            let reason = format!("it already has a version of the layer {}", layer.layer());
            self.refuse(Guardrail::Layers, reason, "remove the layer from the function or from the fault");
        }
        self.push(Change::Layers { original, added }, true);
    }

    fn finish_environment(&mut self) {
        let variables = std::mem::take(&mut self.variables);
        let Environment::Readable(now) = &self.now.environment else {
            return self.refuse(
                Guardrail::Environment,
                "its environment cannot be read, so writing it would delete the existing variables",
                "give snapback's roles kms:Decrypt on the function's key",
            );
        };
        let mut during = now.clone();
        let mut faults = 0;
        for (name, injected) in variables {
            let original: Slot<Secret> = now.get(name.as_str()).cloned().into();
            match &injected {
                Slot::Present(value) => {
                    if [FAULTS_VARIABLE, HANDLER_FAULTS_VARIABLE].contains(&name.as_str()) {
                        faults += variable_bytes(name.as_str(), value);
                    }
                    during.insert(name.to_string(), value.clone())
                }
                Slot::Absent => during.remove(name.as_str()),
            };
            let differs = original != injected;
            self.push(Change::Variable { name, original, injected }, differs);
        }
        self.check_size(&during, faults);
    }

    /// Refuses what Lambda would refuse for its size. The layers must be in the set already.
    fn check_size(&mut self, during: &BTreeMap<String, Secret>, faults: usize) {
        let (bytes, request) = (environment_bytes(during), request_bytes(&self.set.changes, during));
        let mut reason = if bytes > MAX_ENVIRONMENT_BYTES {
            format!(
                "its environment would have {bytes} bytes, measured as JSON text like Lambda does, over the limit of \
                 {MAX_ENVIRONMENT_BYTES}"
            )
        } else if request > MAX_REQUEST_BYTES {
            format!("its update would have {request} bytes, over Lambda's limit of {MAX_REQUEST_BYTES}")
        } else {
            return;
        };
        let mut fix = "set fewer or shorter variables";
        if faults > 0 {
            reason.push_str(&format!("; the faults inside invocations take {faults} of them"));
            fix = "write fewer of these faults, shorter texts in them, or fewer conditions";
        }
        self.refuse(Guardrail::EnvironmentSize, reason, fix);
    }
}
