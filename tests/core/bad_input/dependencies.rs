//! Mistakes in `dependency` faults.

use serde_json::{Value, json};

use super::Row;

fn refused(settings: Value) -> Value {
    let mut fault = json!({ "dependency": { "hosts": ["db.shop"], "refuse": true } });
    fault["dependency"].as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    json!([fault])
}

pub const DEPENDENCIES: &[Row] = &[
    (
        "/faults",
        || refused(json!({ "hosts": [] })),
        "faults[0].dependency: `hosts` has 0 hosts; write 1 to 10, such as *.amazonaws.com or 10.0.0.0/8",
    ),
    ("/faults", || json!([{ "dependency": { "refuse": true } }]), "faults[0].dependency: `hosts` is missing; add it"),
    (
        "/faults",
        || refused(json!({ "hosts": ["https://db.shop/orders"] })),
        "faults[0].dependency.hosts[0]: `https://db.shop/orders` is a URL; write only its host, and its port in `ports`",
    ),
    (
        "/faults",
        || refused(json!({ "hosts": ["db.shop", "db.shop:5432"] })),
        "faults[0].dependency.hosts[1]: `db.shop:5432` has a port or brackets; write the host alone, and the port in `ports`",
    ),
    (
        "/faults",
        || refused(json!({ "hosts": ["db shop"] })),
        "faults[0].dependency.hosts[0]: `db shop` is not a name; write letters, digits, hyphens and dots, and `*` for any of them",
    ),
    (
        "/faults",
        || refused(json!({ "hosts": ["*"] })),
        "faults[0].dependency.hosts[0]: `*` is every host; write a part of the name, or 0.0.0.0/0 and ::/0 for every address",
    ),
    (
        "/faults",
        || refused(json!({ "hosts": ["127.0.0.0/8"] })),
        "faults[0].dependency.hosts[0]: `127.0.0.0/8` is the machine itself or link-local, which no fault touches; write an address that the function connects to",
    ),
    (
        "/faults",
        || refused(json!({ "hosts": ["10.0.0.1/8"] })),
        "faults[0].dependency.hosts[0]: `10.0.0.1/8` begins in the middle of its range; write 10.0.0.0/8",
    ),
    (
        "/faults",
        || refused(json!({ "ports": [0] })),
        "faults[0].dependency.ports[0]: `0` is out of range; write a whole number from 1 to 65535",
    ),
    (
        "/faults",
        || refused(json!({ "ports": [443, 70_000] })),
        "faults[0].dependency.ports[1]: `70000` is out of range; write a whole number from 1 to 65535",
    ),
    (
        "/faults",
        || json!([{ "dependency": { "hosts": ["db.shop"] } }]),
        "faults[0].dependency: needs exactly one of `latency`, `bandwidth`, `refuse: true`, `reset`, `blackhole: true` and `unresolvable`; keep one, and write another `dependency` fault for each other one",
    ),
    (
        "/faults",
        || refused(json!({ "reset": {} })),
        "faults[0].dependency: needs exactly one of `latency`, `bandwidth`, `refuse: true`, `reset`, `blackhole: true` and `unresolvable`; keep one, and write another `dependency` fault for each other one",
    ),
    (
        "/faults",
        || json!([{ "dependency": { "hosts": ["db.shop", "10.0.0.1"], "unresolvable": "notFound" } }]),
        "faults[0].dependency: has `unresolvable` for `10.0.0.1`, and an address is not resolved; write names, or use `refuse` or `blackhole`",
    ),
    (
        "/faults",
        || json!([{ "dependency": { "hosts": ["db.shop"], "latency": { "minMs": 6, "maxMs": 5 } } }]),
        "faults[0].dependency: `latency` has `minMs` 6 and `maxMs` 5; write the smaller one in `minMs`",
    ),
];
