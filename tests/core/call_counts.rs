//! Counts the calls of a run, and compares them with the table in `src/task/README.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use snapback::model::run::RunStatus;
use snapback::steps::rollback::roll_back_alarm;
use snapback::testing::SimWorld;
use snapback::testing::samples::{self, alarm_arn, faults, world};

use super::stage::is_inside_invocations;
use super::support::{Machine, block_on, budget, mutating};

/// The table in `src/task/README.md`.
const CALLS: &str = "\
| fault | mutating calls to inject | mutating calls to restore | GetFunction | other reads | DynamoDB calls |
|---|---|---|---|---|---|
| `reservedConcurrency` | 1 PutFunctionConcurrency | 1 PutFunctionConcurrency | 8 | 1 DescribeAlarms | 23 |
| `handler` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `layer` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `environment` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `timeout` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `memory` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `eventSourceMapping` | 1 UpdateEventSourceMapping | 1 UpdateEventSourceMapping | 8 | 1 DescribeAlarms, 8 ListEventSourceMappings, 1 ListTags | 23 |
| `latency` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `invocationTimeout` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `error` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `response` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `corrupt` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `disk` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `init` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `exit` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| `dependency` | 1 UpdateFunctionConfiguration | 1 UpdateFunctionConfiguration | 10 | 1 DescribeAlarms, 1 GetFunctionCodeSigningConfig, 1 GetRuntimeManagementConfig, 1 ListAliases, 2 ListVersionsByFunction | 26 |
| each run, once | – | – | – | 3 DescribeAlarms | 19 |
| each round of Observe | – | – | – | 1 DescribeAlarms | 2 |
| each target that such a round samples | – | – | 1 | – | 1 |
";

/// The text after the table: the calls that it does not count.
const FURTHER_CALLS: &str = "\
Further calls:

- A fault that adds layers: each run reads each layer version once (1 GetLayerVersion), those to add and those of the
  targets. The rehearsal reads those of each target, once per batch.
- A target with a code signing configuration: 1 GetCodeSigningConfig.
- A round of Observe samples up to 50 targets in turn, 8 if mappings are touched, with 1 ListEventSourceMappings each.
- An update of a configuration is polled every second until it has completed; here it takes 1.5 s.
- Faults inside invocations: each run checks whether they took effect (1 GetMetricData or more, and 1 more for the
  invocations of its whole minutes), and records it (1 UpdateItem).
- For the report, the reaper reads the metrics of each run once, minutes after its restore: 1 GetMetricData or more, 5 reads of the
  ledger, 1 UpdateItem and 1 TransactWriteItems; with a bucket for reports, also 1 PutObject.
";

const PAGE: &str = include_str!("../../src/task/README.md");
const BEGIN: &str = "<!-- calls:begin -->\n";
const END: &str = "<!-- calls:end -->";

/// The number of calls by name.
type Calls = BTreeMap<String, usize>;

fn experiment(targets: &[&str], fault: (&'static str, Value), duration: &str) -> Value {
    let mut experiment = samples::experiment(targets, &[fault]);
    experiment["duration"] = duration.into();
    experiment
}

/// Counts the calls of one whole run without disturbances.
fn calls(targets: &[&str], fault: &(&'static str, Value), duration: &str) -> Calls {
    let world = world(targets);
    let ended = block_on(Machine::new(&world, "run-1", experiment(targets, fault.clone(), duration)).execute());
    assert_eq!(ended.failure, None);
    assert_eq!(ended.report.map(|report| report.status), Some(RunStatus::Completed));
    counted(&world, 0)
}

fn counted(world: &SimWorld, from: usize) -> Calls {
    let mut calls = Calls::new();
    world.with(|state| state.calls[from..].iter().for_each(|call| *calls.entry(call.clone()).or_default() += 1));
    calls
}

/// Returns the calls that `more` has in addition to `less`.
fn difference(more: &Calls, less: &Calls) -> Calls {
    let rest = more.iter().map(|(name, count)| (name.clone(), count - less.get(name).copied().unwrap_or(0)));
    rest.filter(|(_, count)| *count > 0).collect()
}

fn is_ledger(name: &str) -> bool {
    name.ends_with("Item") || name.ends_with("Items") || name == "Query"
}

fn is_mutating(name: &str) -> bool {
    !is_ledger(name) && ["Put", "Delete", "Update"].iter().any(|verb| name.starts_with(verb))
}

/// Formats calls: `2 GetFunction`, `1 ListAliases + 2 ListVersionsByFunction`, or a dash.
fn list(calls: &Calls, which: impl Fn(&str) -> bool) -> String {
    let names: Vec<String> =
        calls.iter().filter(|(name, _)| which(name)).map(|(name, n)| format!("{n} {name}")).collect();
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}

fn ledger(calls: &Calls) -> usize {
    calls.iter().filter(|(name, _)| is_ledger(name)).map(|(_, count)| count).sum()
}

fn others(calls: &Calls) -> String {
    list(calls, |name| !is_ledger(name) && !is_mutating(name) && name != "GetFunction" && name != "GetLayerVersion")
}

/// Subtracts `less` from `calls`, `times` times.
fn subtract(calls: &mut Calls, less: &Calls, times: usize) {
    for (name, count) in less {
        *calls.get_mut(name).unwrap() -= times * count;
    }
    calls.retain(|_, count| *count > 0);
}

/// Returns the calls up to the end of Inject, and those after it.
fn inject_and_restore(fault: &(&'static str, Value)) -> (Calls, Calls) {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", experiment(&["checkout"], fault.clone(), "PT1M"));
    block_on(machine.start()).unwrap();
    let injected = counted(&world, 0);
    let from = world.with(|state| state.calls.len());
    block_on(async {
        machine.observe().await.unwrap();
        machine.end(None).await
    });
    (injected, counted(&world, from))
}

fn adds_layers(fault: &str) -> bool {
    ["handler", "layer"].contains(&fault) || is_inside_invocations(fault)
}

fn table() -> String {
    let mut table = String::from(
        "| fault | mutating calls to inject | mutating calls to restore | GetFunction | other reads | DynamoDB calls |\n\
         |---|---|---|---|---|---|\n",
    );
    let mut run = None;
    let mut layers = Vec::new();
    for fault in faults() {
        let counted = |targets: &[&str], duration| calls(targets, &fault, duration);
        let (one, two) = (counted(&["a"], "PT1M"), counted(&["a", "b"], "PT1M"));
        // One more round, with one target and with two.
        let (round, round_of_two) =
            (difference(&counted(&["a"], "PT65S"), &one), difference(&counted(&["a", "b"], "PT65S"), &two));
        let mut sampled = difference(&round_of_two, &round);
        let round = difference(&round, &sampled);
        let mut target = difference(&two, &one);
        let mut own = difference(&one, &target);
        if let Some(count) = own.remove("GetLayerVersion") {
            layers.push((fault.0, count, target["GetLayerVersion"]));
        }
        // 60 seconds take twelve rounds, one every five seconds, and a last one.
        subtract(&mut target, &sampled, 12);
        subtract(&mut own, &round, 12);
        let (inject, restore) = inject_and_restore(&fault);
        let mut row = vec![format!("`{}`", fault.0), list(&inject, is_mutating), list(&restore, is_mutating)];
        row.push(target.get("GetFunction").copied().unwrap_or(0).to_string());
        row.extend([others(&target), ledger(&target).to_string()]);
        writeln!(table, "| {} |", row.join(" | ")).unwrap();

        // The run reads once whether faults inside invocations took effect, and records it. It does not read the number of
        // invocations, because no whole minute fits into this run.
        if is_inside_invocations(fault.0) {
            assert_eq!(own.remove("GetMetricData"), Some(1), "{}", fault.0);
            *own.get_mut("UpdateItem").unwrap() -= 1;
        }
        // The run's own calls do not depend on the fault, except for the layers that it reads and for mappings.
        assert_eq!(sampled.remove("ListEventSourceMappings").is_some(), fault.0 == "eventSourceMapping");
        let found = (own, round, sampled);
        assert_eq!(run.get_or_insert(found.clone()), &found, "{}", fault.0);
    }
    // The sample function's two layers, and the fault's.
    let adding = faults().into_iter().map(|(name, _)| name).filter(|name| adds_layers(name));
    assert_eq!(layers, adding.map(|name| (name, 3, 2)).collect::<Vec<_>>());
    let (own, round, sampled) = run.unwrap();
    for (name, calls) in
        [("each run, once", own), ("each round of Observe", round), ("each target that such a round samples", sampled)]
    {
        assert_eq!(list(&calls, is_mutating), "–");
        let seen = calls.get("GetFunction").map_or("–".to_owned(), usize::to_string);
        writeln!(table, "| {name} | – | – | {seen} | {} | {} |", others(&calls), ledger(&calls)).unwrap();
    }
    table
}

#[test]
fn the_table_of_calls_is_true() {
    let table = table();
    assert!(table == CALLS, "the number of calls has changed; the table is now:\n{table}");
}

#[test]
fn the_internals_page_has_the_table_of_calls() {
    let between = PAGE.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let expected = format!("{CALLS}\n{FURTHER_CALLS}");
    let (shown, _) =
        between.unwrap_or_else(|| panic!("src/task/README.md: no {BEGIN}...{END}; add this table:\n{expected}"));
    assert!(
        shown.trim() == expected.trim(),
        "src/task/README.md: the table of calls is outdated; replace it by:\n{expected}"
    );
}

#[test]
fn each_surface_takes_one_call_to_inject_and_one_to_restore() {
    for fault in faults() {
        let (inject, restore) = inject_and_restore(&fault);
        let count = |calls: &Calls| calls.iter().filter(|(name, _)| is_mutating(name)).map(|(_, n)| n).sum::<usize>();
        assert_eq!((count(&inject), count(&restore)), (1, 1), "{}", fault.0);
    }
}

#[test]
fn an_alarm_event_restores_after_four_round_trips() {
    for fault in faults() {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", experiment(&["checkout"], fault.clone(), "PT1M"));
        block_on(machine.start()).unwrap();
        let changed = mutating(&world).len();
        let (trips, calls) = world.with(|state| (state.round_trips, state.calls.len()));
        let mut first = None;
        let watch = async {
            while mutating(&world).len() == changed {
                super::support::give_way().await;
            }
            first = Some(world.with(|state| (state.round_trips - trips, state.calls[calls..].to_vec())));
        };
        let alarm = alarm_arn("errors");
        let rollback = roll_back_alarm(&world, &alarm, "errors", budget(&world, Duration::from_secs(120)));
        let (rolled, ()) = block_on(futures_util::future::join(rollback, watch));
        assert_eq!(rolled.unwrap().len(), 1);
        // The fifth trip is the restoring call itself.
        let (trips, calls) = first.unwrap();
        assert!(trips <= 5, "{}: {trips} round trips: {calls:?}", fault.0);
        assert!(is_mutating(calls.last().unwrap()), "{}: {calls:?}", fault.0);
    }
}
