//! Targets that must not be touched, or that the experiment does not reach.

use std::collections::BTreeMap;

use serde_json::json;
use snapback::model::function::{LastUpdate, Lifecycle, MappingState, Tags};
use snapback::model::refusal::Guardrail as G;
use snapback::testing::samples::{experiment, function_arn};

use super::{
    Case, add, alias, case, edit, fault, function, lock, mapping, on, qualified, set, set_layers, tag, tagged, with,
};

pub const CASES: &[Case] = &[
    case(
        G::Exists,
        || on("checkuot", "timeout"),
        |_| {},
        "checkuot: not found: checkuot; correct the target, or the rights to read it",
    ),
    case(
        G::Exists,
        || tagged(json!({ "team": "nobody" })),
        |_| {},
        "team: nobody: no function has these tags; correct the target, or the rights to read it",
    ),
    case(
        G::Exists,
        || experiment(&["checkout", function_arn("checkout").as_str()], &[fault("timeout")]),
        |_| {},
        "checkout: it is the same function as another target; correct the target, or the rights to read it",
    ),
    case(
        G::Ready,
        || with("timeout"),
        |s| edit(s, |f| f.state = Lifecycle::Other("Pending".into())),
        "checkout: its state is Pending; wait until it is Active",
    ),
    case(
        G::Ready,
        || with("timeout"),
        |s| edit(s, |f| f.last_update = LastUpdate::InProgress),
        "checkout: an update is in progress; wait until the update has ended",
    ),
    case(
        G::Ready,
        || with("timeout"),
        |s| edit(s, |f| f.last_update = LastUpdate::Failed),
        "checkout: its last update failed, so invocations run with an older configuration than it shows; update it successfully",
    ),
    case(
        G::Ready,
        || with("timeout"),
        |s| edit(s, |f| f.state = Lifecycle::Other("Inactive".into())),
        "checkout: its state is Inactive: it was idle for so long that Lambda has reclaimed its resources; invoke it once, then wait until it is Active",
    ),
    case(
        G::Ready,
        || with("timeout"),
        |s| edit(s, |f| f.state = Lifecycle::Other("Failed".into())),
        "checkout: its state is Failed; delete it and create it again",
    ),
    case(
        G::OptIn,
        || with("timeout"),
        |s| edit(s, |f| f.tags = Tags::Known(BTreeMap::new())),
        "checkout: it does not have the tag chaos: allowed; tag it, if its owners agree to experiments",
    ),
    case(
        G::OptIn,
        || with("timeout"),
        |s| edit(s, |f| f.tags = Tags::Unknown),
        "checkout: its tags cannot be read, so it has not opted in; allow lambda:ListTags on it",
    ),
    case(
        G::OptIn,
        || with("eventSourceMapping"),
        |s| s.mappings.values_mut().for_each(|mapping| mapping.tags = Tags::Known(BTreeMap::new())),
        "checkout event source mapping 11111111-2222-3333-4444-555555555555: it does not have the tag chaos: allowed; tag it, if its owners agree to experiments",
    ),
    case(
        G::OwnFunction,
        || on("snapback-restore", "timeout"),
        |s| add(s, "snapback-restore"),
        "snapback-restore: it is one of snapback's own functions; remove it from the targets",
    ),
    case(
        G::OwnFunction,
        || with("timeout"),
        |s| edit(s, |f| tag(f, "snapback", "reaper")),
        "checkout: it is one of snapback's own functions; remove it from the targets",
    ),
    case(
        G::Unlocked,
        || with("timeout"),
        |s| lock(s, "other-run"),
        "checkout: the run other-run has locked it; wait for the run to end, or end it: snapback rollback other-run",
    ),
    case(
        G::TargetLimit,
        || tagged(json!({ "team": "shop" })),
        |s| (0..10).for_each(|n| add(s, &format!("f{n}"))),
        "targets: 11 functions, over the limit of 10; name fewer, select fewer with COUNT(n), or raise the stack's TargetLimit",
    ),
    case(
        G::Qualifier,
        || on("checkout:7", "timeout"),
        |_| {},
        "checkout: the fault changes $LATEST, and version 7 would not see it; target the function without the qualifier if its $LATEST serves traffic, or use reservedConcurrency",
    ),
    case(
        G::Qualifier,
        || on("checkout:live", "timeout"),
        |s| alias(s, "live", "7"),
        "checkout: the fault changes $LATEST, and the alias live points at version 7; target the function without the qualifier if its $LATEST serves traffic, or use reservedConcurrency",
    ),
    case(G::Qualifier, || on("checkout:live", "timeout"), |_| {}, "checkout: it has no alias live; correct the target"),
    case(
        G::Qualifier,
        || qualified("live"),
        |s| alias(s, "live", "7"),
        "checkout: the exit fault changes $LATEST, and the alias live points at version 7; name an alias that points at $LATEST, or remove the fault's qualifier",
    ),
    case(
        G::Qualifier,
        || qualified("7"),
        |_| {},
        "checkout: the exit fault changes $LATEST, and version 7 would not see it; name an alias that points at $LATEST, or remove the fault's qualifier",
    ),
    case(
        G::Qualifier,
        || qualified("live"),
        |_| {},
        "checkout: the exit fault is for its alias live, which it does not have; name an alias that points at $LATEST, or remove the fault's qualifier",
    ),
    case(
        G::Leftovers,
        || with("timeout"),
        |s| edit(s, |f| set(f, "SNAPBACK_FAULT", "{}")),
        "checkout: it already has a leftover of snapback: the variable SNAPBACK_FAULT; remove it, if no run is using it",
    ),
    case(
        G::Leftovers,
        || with("timeout"),
        |s| set_layers(s, &["shared", "snapback-proxy"]),
        "checkout: it already has a leftover of snapback: the layer arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy:1; remove it, if no run is using it",
    ),
    case(
        G::Qualifier,
        || on("checkout:$LATEST.PUBLISHED", "timeout"),
        |_| {},
        "checkout: the fault changes $LATEST, and version $LATEST.PUBLISHED would not see it; target the function without the qualifier if its $LATEST serves traffic, or use reservedConcurrency",
    ),
    case(
        G::Qualifier,
        || qualified("$LATEST.PUBLISHED"),
        |_| {},
        "checkout: the exit fault changes $LATEST, and version $LATEST.PUBLISHED would not see it; name an alias that points at $LATEST, or remove the fault's qualifier",
    ),
    case(
        G::Exists,
        || tagged(json!({ "team": "shop" })),
        |s| function(s).ghost = true,
        "team: shop: no function with these tags exists any more; correct the target, or the rights to read it",
    ),
    case(
        G::Mapping,
        || with("eventSourceMapping"),
        |s| s.mappings.clear(),
        "checkout: it has no such enabled event source mapping; name the UUID of one of its mappings, or remove the fault",
    ),
    case(
        G::Mapping,
        || with("eventSourceMapping"),
        |s| mapping(s, MappingState::Busy),
        "checkout: its event source mapping 11111111-2222-3333-4444-555555555555 is changing; wait until it is enabled or disabled",
    ),
    case(
        G::Mapping,
        || with("eventSourceMapping"),
        |s| mapping(s, MappingState::Disabled),
        "checkout: it has no such enabled event source mapping; name the UUID of one of its mappings, or remove the fault",
    ),
    case(
        G::Mapping,
        || {
            experiment(
                &["checkout"],
                &[("eventSourceMapping", json!({ "disable": "99999999-2222-3333-4444-555555555555" }))],
            )
        },
        |_| {},
        "checkout: it has no such enabled event source mapping; name the UUID of one of its mappings, or remove the fault",
    ),
];
