//! The fault catalogue: one row a fault. Tests walk it.

/// What everybody should know about a fault.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in an experiment.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub sentence: &'static str,
    /// The IAM actions that injecting and restoring it need, beyond reading the function.
    pub actions: &'static [&'static str],
    /// A sample in `events/`.
    pub sample: &'static str,
}

const UPDATE: &str = "lambda:UpdateFunctionConfiguration";
const LAYER: &str = "lambda:GetLayerVersion";

/// Every fault.
pub const CATALOGUE: [Row; 7] = [
    Row {
        name: "reservedConcurrency",
        sentence: "Sets the reserved concurrency, so that invocations above it are throttled; 0 throttles all of them.",
        actions: &["lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency"],
        sample: "demo-1-concurrency.json",
    },
    Row {
        name: "handler",
        sentence: "Replaces the handler by one that comes in a layer and may call the original.",
        actions: &[UPDATE, LAYER],
        sample: "demo-2-handler.json",
    },
    Row {
        name: "layer",
        sentence: "Appends layers, with the variables and the wrapper that they need.",
        actions: &[UPDATE, LAYER],
        sample: "demo-3-layer.json",
    },
    Row {
        name: "environment",
        sentence: "Sets and unsets environment variables.",
        actions: &[UPDATE],
        sample: "fault-environment.json",
    },
    Row { name: "timeout", sentence: "Sets the function's timeout.", actions: &[UPDATE], sample: "fault-timeout.json" },
    Row {
        name: "memory",
        sentence: "Sets the function's memory, and with it its share of CPU.",
        actions: &[UPDATE],
        sample: "fault-memory.json",
    },
    Row {
        name: "eventSourceMapping",
        sentence: "Disables one or all of the function's event source mappings.",
        actions: &["lambda:UpdateEventSourceMapping", "lambda:ListEventSourceMappings"],
        sample: "fault-event-source-mapping.json",
    },
];
