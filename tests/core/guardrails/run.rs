//! Alarms, the safety lever and a steady state that stop a run before its start.

use serde_json::json;
use snapback::model::refusal::Guardrail as G;
use snapback::model::run::Lever;
use snapback::testing::BEGINNING;

use super::{Case, case, metric, steady, with};

pub const CASES: &[Case] = &[
    case(
        G::Alarm,
        || with("timeout"),
        |s| {
            s.alarms.remove("errors");
        },
        "errors: there is no such alarm; create it, or correct its name or Region",
    ),
    case(
        G::Alarm,
        || with("timeout"),
        |s| {
            s.alarms.insert("errors".into(), true);
        },
        "errors: it is already in ALARM; wait until it is OK",
    ),
    case(
        G::Lever,
        || with("timeout"),
        |s| s.lever = Some(Lever { engaged: true, since: BEGINNING, reason: "Black Friday".into(), by: None }),
        "safety lever: it has been engaged since 2026-06-01T00:00:00Z (reason: Black Friday); to disengage it: snapback lever disengage",
    ),
    case(
        G::SteadyState,
        || steady(json!({ "alarm": "latency" })),
        |s| {
            s.alarms.insert("latency".into(), true);
        },
        "steady state: it does not hold: alarm latency is in ALARM; wait until it holds, or correct the condition",
    ),
    case(
        G::SteadyState,
        || steady(metric("below", 5)),
        |s| {
            s.metrics.insert("Errors".into(), 7.5);
        },
        "steady state: it does not hold: Sum of AWS/Lambda Errors per 1 min < 5, but it is 7.5; wait until it holds, or correct the condition",
    ),
    case(
        G::SteadyState,
        || steady(metric("above", 5)),
        |_| {},
        "steady state: it does not hold: Sum of AWS/Lambda Errors per 1 min > 5, but it is no data; wait until it holds, or correct the condition",
    ),
];
