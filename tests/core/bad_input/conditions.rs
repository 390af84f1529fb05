//! Mistakes in stop conditions and in the steady state.

use serde_json::json;

use super::{Row, metric, with};

pub const STOP_CONDITIONS: &[Row] = &[
    ("/stopConditions", || json!(["errors"]), "stopConditions[0]: `errors` is text; write `alarm: errors`"),
    ("/stopConditions", || json!({ "alarm": "errors" }), "stopConditions: it is an object; write a list"),
    ("/stopConditions", || json!([["errors"]]), "stopConditions[0]: it is a list; write an object"),
    ("/stopConditions", || json!([{}]), "stopConditions[0]: `alarm` is missing; add it"),
    (
        "/stopConditions",
        || json!([{ "alarm": "" }]),
        "stopConditions[0].alarm: `` is not an alarm; write its name (1 to 255 printable characters) or arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
    ),
    (
        "/stopConditions",
        || json!([{ "alarm": "two\nlines" }]),
        "stopConditions[0].alarm: `two\\nlines` is not an alarm; write its name (1 to 255 printable characters) or arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
    ),
    (
        "/stopConditions",
        || json!([{ "alarm": "x".repeat(256) }]),
        "stopConditions[0].alarm: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is not an alarm; write its name (1 to 255 printable characters) or arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
    ),
    (
        "/stopConditions",
        || json!([{ "alarm": "a" }, { "alarm": "b" }, { "alarm": "c" }, { "alarm": "d" }, { "alarm": "e" }, { "alarm": "f" }]),
        "`stopConditions` has 6 entries; write at most 5",
    ),
];

pub const STEADY_STATE: &[Row] = &[
    (
        "/steadyState",
        || with("namespace", json!("")),
        "steadyState[0]: has a metric with the namespace ``; write 1 to 255 printable characters that do not begin with a colon",
    ),
    (
        "/steadyState",
        || with("namespace", json!(":a")),
        "steadyState[0]: has a metric with the namespace `:a`; write 1 to 255 printable characters that do not begin with a colon",
    ),
    (
        "/steadyState",
        || with("name", json!("a\u{1b}b")),
        "steadyState[0]: has a metric with the name `a\\u{1b}b`; write 1 to 255 printable characters",
    ),
    (
        "/steadyState",
        || {
            with(
                "dimensions",
                (0..31).map(|at| (format!("d{at}"), json!("x"))).collect::<serde_json::Map<_, _>>().into(),
            )
        },
        "steadyState[0]: has a metric with 31 dimensions; write at most 30",
    ),
    (
        "/steadyState",
        || with("dimensions", json!({ "größe": "x" })),
        "steadyState[0]: has a metric with the dimension `größe`; write 1 to 255 printable ASCII characters that do not begin with a colon",
    ),
    (
        "/steadyState",
        || with("dimensions", json!({ "FunctionName": " " })),
        "steadyState[0]: has a metric with the dimension value ` `; write 1 to 1024 printable ASCII characters",
    ),
    ("/steadyState", || json!([{}]), "steadyState[0]: names neither `alarm` nor `metric`; write one of them"),
    (
        "/steadyState",
        || json!([{ "alarm": "errors", "below": 5 }]),
        "steadyState[0]: has more than `alarm`; write one condition for the alarm and one for the metric",
    ),
    (
        "/steadyState",
        || json!([{ "alarm": "errors", "metric": metric(), "below": 5 }]),
        "steadyState[0]: has more than `alarm`; write one condition for the alarm and one for the metric",
    ),
    (
        "/steadyState",
        || json!([{ "metric": metric() }]),
        "steadyState[0]: has `metric` without `below` or `above`; write one of them",
    ),
    (
        "/steadyState",
        || json!([{ "metric": metric(), "below": 5, "above": 1 }]),
        "steadyState[0]: has both `below` and `above`; write two conditions, one with each",
    ),
    (
        "/steadyState",
        || json!([{ "metric": metric(), "below": "5" }]),
        "steadyState[0].below: `5` is text; write a number",
    ),
    (
        "/steadyState",
        || json!([{ "below": 5 }]),
        "steadyState[0]: names neither `alarm` nor `metric`; write one of them",
    ),
    (
        "/steadyState",
        || json!([{ "metric": ["AWS/Lambda", "Errors"], "below": 5 }]),
        "steadyState[0].metric: it is a list; write an object",
    ),
    (
        "/steadyState",
        || with("statistic", json!("Median")),
        "steadyState[0].metric.statistic: `Median` is not a statistic; write Sum, Average, Minimum, Maximum, SampleCount or a percentile such as p99",
    ),
    (
        "/steadyState",
        || with("statistic", json!("p101")),
        "steadyState[0].metric.statistic: `p101` is not a statistic; write Sum, Average, Minimum, Maximum, SampleCount or a percentile such as p99",
    ),
    (
        "/steadyState",
        || with("period", json!("PT7S")),
        "steadyState[0].metric.period: `PT7S` is not a period of CloudWatch's; write PT1S, PT5S, PT10S, PT20S, PT30S or whole minutes",
    ),
    (
        "/steadyState",
        || with("period", json!("PT25H")),
        "steadyState[0].metric.period: `PT25H` is out of range; write PT1S to PT24H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/steadyState",
        || with("period", json!(60)),
        "steadyState[0].metric.period: `60` is a number; did you mean `PT60S`?",
    ),
    (
        "/steadyState",
        || with("dimension", json!({})),
        "steadyState[0].metric: `dimension` is not a known field; did you mean `dimensions`?",
    ),
    (
        "/steadyState",
        || with("dimensions", json!([{ "Name": "FunctionName", "Value": "checkout" }])),
        "steadyState[0].metric.dimensions: it is a list; write an object",
    ),
    ("/steadyState", || json!({ "alarm": "errors" }), "steadyState: it is an object; write a list"),
];
