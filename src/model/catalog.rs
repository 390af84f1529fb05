//! The fault catalog: one row per fault. Tests walk it.

/// What users and reviewers should know about a fault.
#[derive(Clone, Copy, Debug)]
pub struct FaultInfo {
    /// Its name in an experiment.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub sentence: &'static str,
    /// An example of its settings, as YAML in one line; `{}` if it needs none.
    pub example: &'static str,
    /// The IAM actions that injecting and restoring it need, beyond reading the function.
    pub actions: &'static [&'static str],
    /// A sample in `events/`.
    pub sample: &'static str,
}

const UPDATE: &str = "lambda:UpdateFunctionConfiguration";
const LAYER: &str = "lambda:GetLayerVersion";

/// Every fault.
pub const FAULT_CATALOG: [FaultInfo; 16] = [
    FaultInfo {
        name: "reservedConcurrency",
        sentence: "Sets the reserved concurrency, so that invocations above it are throttled; 0 throttles all of them.",
        example: "{limit: 0}",
        actions: &["lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency"],
        sample: "demo-1-concurrency.json",
    },
    FaultInfo {
        name: "handler",
        sentence: "Replaces the handler with snapback's, which raises exceptions, delays and responds, or with one from a layer.",
        example: "{exception: {type: ValueError}}",
        actions: &[UPDATE, LAYER],
        sample: "demo-2-handler.json",
    },
    FaultInfo {
        name: "layer",
        sentence: "Appends layers, with the variables and the wrapper that they need.",
        example: "{layers: [arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1]}",
        actions: &[UPDATE, LAYER],
        sample: "fault-layer.json",
    },
    FaultInfo {
        name: "environment",
        sentence: "Sets and unsets environment variables.",
        example: "{set: {NAME: VALUE}}",
        actions: &[UPDATE],
        sample: "fault-environment.json",
    },
    FaultInfo {
        name: "timeout",
        sentence: "Sets the function's timeout.",
        example: "{timeout: PT2S}",
        actions: &[UPDATE],
        sample: "fault-timeout.json",
    },
    FaultInfo {
        name: "memory",
        sentence: "Sets the function's memory, and with it its share of CPU.",
        example: "{megabytes: 256}",
        actions: &[UPDATE],
        sample: "fault-memory.json",
    },
    FaultInfo {
        name: "eventSourceMapping",
        sentence: "Disables one or all of the function's event source mappings.",
        example: "{disable: ALL}",
        actions: &["lambda:UpdateEventSourceMapping", "lambda:ListEventSourceMappings"],
        sample: "fault-event-source-mapping.json",
    },
    FaultInfo {
        name: "latency",
        sentence: "Makes invocations slower, before the handler runs or after it.",
        example: "{delayMs: 200}",
        actions: &[UPDATE, LAYER],
        sample: "fault-latency.json",
    },
    FaultInfo {
        name: "invocationTimeout",
        sentence: "Delays invocations before the handler until shortly before their timeout.",
        example: "{}",
        actions: &[UPDATE, LAYER],
        sample: "fault-invocation-timeout.json",
    },
    FaultInfo {
        name: "error",
        sentence: "Makes invocations fail, in place of the handler or after it has run.",
        example: "{}",
        actions: &[UPDATE, LAYER],
        sample: "fault-error.json",
    },
    FaultInfo {
        name: "response",
        sentence: "Responds in place of the handler, or changes its response.",
        example: "{statusCode: 503}",
        actions: &[UPDATE, LAYER],
        sample: "fault-response.json",
    },
    FaultInfo {
        name: "corrupt",
        sentence: "Truncates the handler's response, replaces it, or changes its values.",
        example: "{mangle: true}",
        actions: &[UPDATE, LAYER],
        sample: "fault-corrupt.json",
    },
    FaultInfo {
        name: "disk",
        sentence: "Fills /tmp while invocations run.",
        example: "{megabytes: 100}",
        actions: &[UPDATE, LAYER],
        sample: "fault-disk.json",
    },
    FaultInfo {
        name: "init",
        sentence: "Delays or fails the initialization of execution environments.",
        example: "{delayMs: 500}",
        actions: &[UPDATE, LAYER],
        sample: "fault-init.json",
    },
    FaultInfo {
        name: "exit",
        sentence: "Kills the runtime's process in the middle of invocations.",
        example: "{}",
        actions: &[UPDATE, LAYER],
        sample: "fault-exit.json",
    },
    FaultInfo {
        name: "dependency",
        sentence: "Delays, limits, refuses, resets or silences connections to some hosts, or stops their names from resolving.",
        example: "{hosts: [api.payments.example], refuse: true, percentage: 10}",
        actions: &[UPDATE, LAYER],
        sample: "fault-dependency.json",
    },
];
