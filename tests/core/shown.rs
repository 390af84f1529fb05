//! Texts for display: the rows and warnings of a plan, the drift in a report, and the names and messages of errors.

use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::facts::{Alias, CodeSigning, RuntimeUpdates};
use snapback::model::function::{Package, Slot};
use snapback::model::input::read_experiment;
use snapback::model::run::RunList;
use snapback::model::settings::Settings;
use snapback::plan::guardrails::evaluate;
use snapback::plan::preview::{PlanView, plan_view};
use snapback::plan::rendering::report_view;
use snapback::ports::{AlarmError, FunctionError, LedgerError};
use snapback::steps::error::{StepError, failure_message};
use snapback::steps::facts::collect_facts;
use snapback::steps::prepare::{Request, prepare};
use snapback::testing::samples::{self, faults, function_arn, run_id, settings, world};
use snapback::testing::{CallFailure, SimFunction, SimWorld};

use super::stage::{deploy_over, experiments, machine, set};
use super::support::{block_on, roll_back_by_user, run_of, target_of};

#[test]
fn a_plan_shows_each_field_now_during_and_after() {
    let rows = |fault: &str| plan(&world(&["checkout"]), &sample(fault)).targets[0].fields.clone();
    let shown = |fault: &str| -> Vec<String> {
        rows(fault)
            .iter()
            .map(|row| format!("{}: {} → {} → {}", row.field, row.before, row.during, row.after))
            .collect()
    };
    assert_eq!(shown("reservedConcurrency"), ["reserved concurrency: 5 → 0 → 5"]);
    assert_eq!(
        shown("handler"),
        [
            "handler: app.handler → chaos.handler → app.handler",
            "timeout: 10 s → 20 s → 10 s",
            "memory: 256 MB → 512 MB → 256 MB",
            "layers: otel:1, shared:1 → otel:1, shared:1, chaos:1 → otel:1, shared:1",
            "variable CHAOS_DEADLINE_MS: absent → (hidden) → absent",
            "variable CHAOS_DELAY_MS: absent → (hidden) → absent",
            "variable CHAOS_ORIGINAL_HANDLER: absent → (hidden) → absent",
        ]
    );
    assert_eq!(
        shown("layer"),
        [
            "layers: otel:1, shared:1 → otel:1, shared:1, chaos:1 → otel:1, shared:1",
            "variable AWS_LAMBDA_EXEC_WRAPPER: (hidden) → (hidden, changed) → (hidden)",
            "variable CHAOS_CHAINED_WRAPPER: absent → (hidden) → absent",
            "variable CHAOS_DEADLINE_MS: absent → (hidden) → absent",
            "variable CHAOS_RATE: absent → (hidden) → absent",
        ]
    );
    assert_eq!(
        shown("environment"),
        [
            "variable DB_PASSWORD: (hidden) → absent → (hidden)",
            "variable RUST_LOG: (hidden) → (hidden, changed) → (hidden)",
        ]
    );
    assert_eq!(shown("timeout"), ["timeout: 10 s → 1 s → 10 s"]);
    assert_eq!(shown("memory"), ["memory: 256 MB → 128 MB → 256 MB"]);
    assert_eq!(
        shown("eventSourceMapping"),
        ["event source mapping 11111111-2222-3333-4444-555555555555: enabled → disabled → enabled"]
    );
}

#[test]
fn a_plan_has_numbers_and_lists_with_their_units() {
    let values = |fault: &str| -> Vec<Value> {
        let rows = plan(&world(&["checkout"]), &sample(fault)).targets[0].fields.clone();
        rows.iter().filter_map(|row| row.values.as_ref()).map(|values| json!(values)).collect()
    };
    let arns = |names: &[&str]| names.iter().map(|name| samples::layer_arn(name).to_string()).collect::<Vec<_>>();
    let (before, during) = (arns(&["otel", "shared"]), arns(&["otel", "shared", "chaos"]));
    let layers = json!({ "layerArns": { "before": before, "during": during, "after": before } });
    let concurrency = json!({ "concurrentExecutions": { "before": 5, "during": 0, "after": 5 } });
    assert_eq!(values("reservedConcurrency"), [concurrency]);
    assert_eq!(
        values("handler"),
        [
            json!({ "seconds": { "before": 10, "during": 20, "after": 10 } }),
            json!({ "megabytes": { "before": 256, "during": 512, "after": 256 } }),
            layers.clone(),
        ]
    );
    assert_eq!(values("layer"), [layers]);
    assert_eq!(values("environment"), [Value::Null; 0], "variables are hidden");
    let enabled = json!({ "enabled": { "before": true, "during": false, "after": true } });
    assert_eq!(values("eventSourceMapping"), [enabled]);
}

#[test]
fn a_plan_says_what_faults_inside_invocations_do() {
    let (_, experiment) =
        experiments().into_iter().find(|(name, _)| *name == "several inside invocations").expect("it is there");
    let plan = plan(&world(&["checkout"]), &experiment);
    let latency = "latency +200 to 800 ms on 50 % of invocations where requestContext.http.method = GET";
    let error = "error Service.Unavailable (chaos) after the handler on every invocation";
    assert_eq!(plan.faults, [latency, latency, error, "up to 64 MB of /tmp filled on every invocation"]);
    let fields = &plan.targets[0].fields;
    let whole = &fields[3].during;
    assert!(whole.starts_with("{'until':1780272660000,'experiment':'a test'") && whole.ends_with('}'), "{whole}");
    let shown =
        fields.iter().map(|row| format!("{}: {} → {} → {}", row.field, row.before, row.during_text(), row.after));
    let configuration =
        format!("variable SNAPBACK_FAULTS: absent → the faults above ({} characters) → absent", whole.chars().count());
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "layers: otel:1, shared:1 → otel:1, shared:1, snapback-proxy-arm64:1 → otel:1, shared:1",
            "variable AWS_LAMBDA_EXEC_WRAPPER: (hidden) → /opt/snapback-proxy → (hidden)",
            "variable SNAPBACK_CHAINED_WRAPPER: absent → (hidden) → absent",
            &configuration,
        ]
    );
}

#[test]
fn a_plan_warns_of_a_layer_that_code_signing_would_only_log() {
    let world = world(&["checkout"]);
    edit(&world, |function| function.code_signing = CodeSigning::On { enforced: false, trusted: vec!["ours".into()] });
    let plan = plan(&world, &sample("disk"));
    assert_eq!(plan.refusals, []);
    let warning = "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy-arm64:1 is not signed by a \
                   profile that its code signing trusts; Lambda accepts it and logs a warning";
    assert!(plan.warnings.iter().any(|shown| shown == warning), "{:?}", plan.warnings);
}

#[test]
fn a_plan_shows_absent_values() {
    let world = world(&["checkout"]);
    edit(&world, |function| {
        function.edit(|seen| {
            seen.concurrency = Slot::Absent;
            seen.layers.clear();
        });
    });
    let row = |fault: &str| plan(&world, &sample(fault)).targets[0].fields[0].clone();
    let concurrency = row("reservedConcurrency");
    assert_eq!((&*concurrency.before, &*concurrency.during, &*concurrency.after), ("none", "0", "none"));
    let layers = row("layer");
    assert_eq!((&*layers.before, &*layers.during, &*layers.after), ("none", "chaos:1", "none"));
}

#[test]
fn a_plan_names_its_experiment() {
    let mut experiment = sample("timeout");
    experiment["steadyState"] = json!([{ "alarm": "latency" }]);
    let world = world(&["checkout"]);
    world.with(|state| state.alarms.insert("latency".into(), false));
    let plan = plan(&world, &experiment);
    assert_eq!((&*plan.experiment, &*plan.duration, plan.faults), ("a test", "PT1M", vec!["timeout 1 s".to_owned()]));
    assert_eq!(
        (plan.stop_conditions, plan.steady_state),
        (vec!["errors".to_owned()], vec!["alarm latency not in ALARM".to_owned()])
    );
    assert_eq!((&*plan.targets[0].function, &*plan.targets[0].arn), ("checkout", function_arn("checkout").as_str()));
    assert_eq!(plan.refusals, []);
}

#[test]
fn a_plan_warns_of_versions_only_where_the_fault_changes_latest() {
    const PUBLISHED: &str = "checkout: a version that is published during the run keeps the fault";
    let world = world(&["checkout"]);
    edit(&world, |function| function.runtime_updates = RuntimeUpdates::Manual);
    let warnings = |fault: &str| plan(&world, &sample(fault)).warnings;
    assert_eq!(warnings("timeout"), [PUBLISHED]);
    edit(&world, |function| alias(function, "next", "$LATEST"));
    assert_eq!(warnings("timeout"), [PUBLISHED]);
    edit(&world, |function| alias(function, "live", "7"));
    edit(&world, |function| alias(function, "canary", "8"));
    let unseen = "checkout: traffic through the aliases live, canary will not see the fault";
    assert_eq!(warnings("timeout"), [unseen, PUBLISHED]);
    assert_eq!(warnings("reservedConcurrency"), [""; 0]);
    assert_eq!(warnings("eventSourceMapping"), [""; 0]);
}

/// What is true of every run is in the plan. A report has the result.
#[test]
fn reminders_of_a_plan_are_no_notes_of_the_run() {
    let world = world(&["checkout"]);
    let notes = |run: &str, updates: RuntimeUpdates| {
        edit(&world, |function| function.runtime_updates = updates);
        let request = Request { run: run_id(run), execution_arn: "execution-1".into(), experiment: sample("timeout") };
        assert!(block_on(prepare(&world, &settings(), &request)).is_ok());
        let _ = block_on(roll_back_by_user(&world, &run_id(run), Duration::from_secs(60)));
        run_of(&world, &run_id(run)).notes
    };
    edit(&world, |function| alias(function, "live", "7"));
    let unseen = "checkout: traffic through the aliases live will not see the fault";
    assert_eq!(notes("run-1", RuntimeUpdates::Auto), [unseen]);
    assert_eq!(plan(&world, &sample("timeout")).warnings.len(), 3);
    // A missing right is told by the report, too.
    let [_, denied] = &notes("run-2", RuntimeUpdates::Denied)[..] else { panic!("there are not two notes") };
    assert!(denied.contains("allow lambda:GetRuntimeManagementConfig to know"), "{denied}");
}

#[test]
fn a_plan_notes_a_variable_that_the_fault_does_not_change() {
    let fault = ("environment", json!({ "set": { "RUST_LOG": "info", "NEW": "1" } }));
    let shown = plan(&world(&["checkout"]), &samples::experiment(&["checkout"], &[fault]));
    assert_eq!((shown.refusals.len(), shown.targets[0].fields.len()), (0, 1));
    let same = "checkout: the variable RUST_LOG already has the value that the fault sets";
    assert!(shown.warnings.iter().any(|warning| warning == same), "{:?}", shown.warnings);
}

#[test]
fn a_plan_warns_that_an_update_moves_the_runtime() {
    let world = world(&["checkout"]);
    let warned = |fault: &str, updates: RuntimeUpdates| {
        edit(&world, |function| function.runtime_updates = updates);
        plan(&world, &sample(fault)).warnings.into_iter().find(|warning| warning.contains("version of its runtime"))
    };
    let text = |moves: &str| {
        Some(format!(
            "checkout: an update of its configuration {moves}, and the restore does not bring the old one back"
        ))
    };
    use RuntimeUpdates as R;
    let with_each = text("moves it to the newest version of its runtime (FunctionUpdate)");
    assert_eq!(warned("timeout", R::FunctionUpdate), with_each);
    assert_eq!(warned("disk", R::Auto), text("can move it to a newer version of its runtime (Auto)"));
    let denied = "can move it to a newer version of its runtime (allow lambda:GetRuntimeManagementConfig to know)";
    assert_eq!(warned("memory", R::Denied), text(denied));
    let unknown = text("can move it to a newer version of its runtime (Lambda did not tell)");
    assert_eq!(warned("memory", R::Unknown), unknown);
    assert_eq!(warned("memory", R::Manual), None);
    assert_eq!(warned("reservedConcurrency", R::Auto), None);
    // A container image contains its runtime.
    edit(&world, |function| {
        function.edit(|seen| {
            (seen.package, seen.runtime, seen.handler) = (Package::Image, None, None);
            seen.layers.clear();
        });
    });
    assert_eq!(warned("timeout", R::Auto), None);
    assert_eq!(world.count("GetRuntimeManagementConfig"), 5);
}

#[test]
fn a_plan_notes_an_unknown_runtime() {
    let world = world(&["checkout"]);
    let note = "checkout: it is not known until when Lambda accepts updates of functions on python9.9; if it refuses the \
                first one, nothing is injected";
    let noted = |fault: &str| plan(&world, &sample(fault)).warnings.iter().any(|warning| warning == note);
    assert!(!noted("timeout"));
    edit(&world, |function| function.edit(|seen| seen.runtime = Some("python9.9".into())));
    assert!(noted("timeout") && !noted("reservedConcurrency"));
}

#[test]
fn a_plan_warns_when_invocations_could_exhaust_concurrency() {
    let world = world(&["checkout", "payment"]);
    edit(&world, |function| function.edit(|seen| seen.concurrency = Slot::Absent));
    let none = Settings { reserved_concurrency: 0, ..settings() };
    let warned = |settings: &Settings, experiment: &Value| {
        let experiment = read_experiment(experiment).unwrap();
        let facts = block_on(collect_facts(&world, settings, &experiment)).unwrap();
        evaluate(&experiment, &facts).warnings.into_iter().find(|warning| warning.contains("pile up"))
    };
    let text = |faults: &str, figures: &str| {
        Some(format!(
            "checkout: {faults} can let its invocations pile up; it has no reserved concurrency, so it may take all \
             {figures}, and the stack keeps 0 for its own rollback (RollbackReservedConcurrency)"
        ))
    };
    // The other function has reserved 5 of 1000.
    let of_account = "995 unreserved of the account's 1000 concurrent executions";
    for fault in ["latency", "invocationTimeout", "init", "memory", "timeout"] {
        assert_eq!(warned(&none, &sample(fault)), text(fault, of_account));
    }
    assert_eq!(world.count("GetAccountSettings"), 5);
    let sampled = |names: &[&str]| faults().into_iter().filter(|(name, _)| names.contains(name)).collect::<Vec<_>>();
    let both = samples::experiment(&["checkout"], &sampled(&["timeout", "latency"]));
    assert_eq!(warned(&none, &both), text("timeout and latency", of_account));
    world.with(|state| state.call_failures = vec![("GetAccountSettings", CallFailure::Denied)]);
    assert_eq!(
        warned(&none, &both),
        text(
            "timeout and latency",
            "of the account's unreserved concurrency (allow lambda:GetAccountSettings to know it)"
        )
    );
    let calls = world.count("GetAccountSettings");
    // A reservation by the function, the experiment or the stack keeps concurrency free for snapback.
    assert_eq!(warned(&none, &samples::experiment(&["payment"], &sampled(&["latency"]))), None);
    let reserving = samples::experiment(&["checkout"], &sampled(&["latency", "reservedConcurrency"]));
    assert_eq!(warned(&none, &reserving), None);
    assert_eq!(warned(&settings(), &sample("latency")), None);
    assert_eq!(warned(&none, &sample("error")), None);
    assert_eq!(world.count("GetAccountSettings"), calls);
}

#[test]
fn a_plan_notes_durable_functions_and_functions_set_up_for_fis() {
    let world = world(&["checkout"]);
    edit(&world, |function| function.edit(|seen| seen.durable = true));
    let noted =
        |fault: &str, part: &str| plan(&world, &sample(fault)).warnings.iter().any(|warning| warning.contains(part));
    assert!(noted("corrupt", "checkout: it is a durable function: one execution is several invocations"));
    assert!(!noted("timeout", "durable"));
    assert!(!noted("error", "FIS"));
    edit(&world, |function| function.edit(|seen| set(seen, "AWS_FIS_CONFIGURATION_LOCATION", "somewhere")));
    assert!(noted("error", "checkout: it is prepared for AWS FIS, but without FIS's wrapper"));
}

#[test]
fn a_plan_warns_of_a_missing_stop_condition() {
    let mut experiment = sample("reservedConcurrency");
    experiment["stopConditions"] = json!([]);
    let alone = "no stop condition: only the duration, a user or the lever ends the run";
    assert_eq!(plan(&world(&["checkout"]), &experiment).warnings, [alone]);
    // A deviation of the steady state is what ends the run early.
    experiment["steadyState"] = json!([{ "alarm": "latency" }]);
    assert_eq!(plan(&world(&["checkout"]), &experiment).warnings, Vec::<String>::new());
}

#[test]
fn a_report_shows_the_original_injected_and_current_value() {
    let notes = [
        ("reservedConcurrency", "reserved concurrency: was 5, injected 0, now 77; left alone"),
        ("handler", "handler: was app.handler, injected chaos.handler, now deployed.handler; left alone"),
        ("layer", "variable CHAOS_RATE: was absent, injected (hidden), now (hidden) with another value; left alone"),
        (
            "environment",
            "variable RUST_LOG: was (hidden), injected (hidden), now (hidden) with another value; left alone",
        ),
        ("timeout", "timeout: was 10 s, injected 1 s, now 77 s; left alone"),
        ("memory", "memory: was 256 MB, injected 128 MB, now 777 MB; left alone"),
        (
            "eventSourceMapping",
            "event source mapping 11111111-2222-3333-4444-555555555555: was enabled, injected disabled, now deleted; left alone",
        ),
    ];
    for (fault, note) in notes {
        let world = world(&["checkout"]);
        assert_eq!(drift(&world, fault, || deploy_over(&world, fault)), [note]);
    }
    let world = world(&["checkout"]);
    let taken_out = || edit(&world, |function| function.edit(|seen| seen.concurrency = Slot::Absent));
    assert_eq!(
        drift(&world, "reservedConcurrency", taken_out),
        ["reserved concurrency: was 5, injected 0, now none; left alone"]
    );
    // The fault touches two variables. A deploy sets the one that the fault has unset.
    let world = samples::world(&["checkout"]);
    let put_in = || edit(&world, |function| function.edit(|seen| set(seen, "DB_PASSWORD", "rotated")));
    assert_eq!(
        drift(&world, "environment", put_in),
        ["variable DB_PASSWORD: was (hidden), injected absent, now (hidden) with another value; left alone"]
    );
}

#[test]
fn a_report_has_a_steady_state_only_if_one_was_given() {
    for (steady, during, after) in [(json!([]), None, None), (json!([{ "alarm": "latency" }]), None, Some("held"))] {
        let world = world(&["checkout"]);
        world.with(|state| state.alarms.insert("latency".into(), false));
        let mut experiment = sample("timeout");
        experiment["steadyState"] = steady;
        let machine = machine(&world, &experiment);
        block_on(machine.start()).unwrap();
        let (run, target) = (run_of(&world, &machine.run), target_of(&world, &machine.run, "checkout"));
        assert_eq!(report_view(&run, &[target]).steady_state, during);
        let ended = block_on(async {
            machine.observe().await.unwrap();
            machine.end(None).await
        });
        assert_eq!(ended.report.expect("the run has a report").steady_state, after);
    }
}

#[test]
fn unreadable_entries_of_a_list_are_an_error() {
    let listed = |entries: &[&str]| RunList {
        runs: Vec::new(),
        unreadable: entries.iter().map(|entry| (*entry).to_owned()).collect(),
    };
    let said = StepError::unreadable(&listed(&["two words", "x"])).map(|error| error.to_string());
    assert!(said.is_some_and(|said| said.ends_with("entries that this release cannot read: two words, x")));
    assert_eq!(StepError::unreadable(&listed(&[])), None);
}

#[test]
fn each_error_has_its_name() {
    use snapback::StepError as E;
    let function = |error| E::function("checkout", error).name();
    let text = String::new;
    assert_eq!(function(FunctionError::Denied(text())), "AccessDenied");
    assert_eq!(function(FunctionError::NotFound(text())), "FunctionFailed");
    assert_eq!(function(FunctionError::Rejected(text())), "FunctionFailed");
    for passing in [
        FunctionError::Busy(text()),
        FunctionError::Changed,
        FunctionError::Throttled(Duration::from_secs(1)),
        FunctionError::Unclear(text()),
    ] {
        assert_eq!(function(passing), "Unavailable");
    }
    for passing in [
        E::Ledger(LedgerError::Conflict),
        E::Ledger(LedgerError::Unavailable(text())),
        E::Alarms(AlarmError::Unavailable(text())),
        E::Executions(text()),
    ] {
        assert_eq!(passing.name(), "Unavailable");
    }
    assert_eq!(E::Ledger(LedgerError::Unusable(text())).name(), "LedgerUnusable");
    assert_eq!(E::Alarms(AlarmError::Unusable(text())).name(), "AlarmsUnusable");
}

#[test]
fn a_failure_is_shown_by_its_message() {
    let failure = r#"{"errorMessage": "access denied: PutFunctionConcurrency", "errorType": "AccessDenied"}"#;
    assert_eq!(failure_message(failure), "access denied: PutFunctionConcurrency");
    assert_eq!(failure_message("Task timed out"), "Task timed out");
    assert_eq!(failure_message("{\"other\": 1}"), "{\"other\": 1}");
}

/// The drift in the report of a run during which `change` changes the function.
fn drift(world: &SimWorld, fault: &str, change: impl FnOnce()) -> Vec<String> {
    let (_, experiment) = experiments().into_iter().find(|(name, _)| *name == fault).expect("an experiment of each");
    let machine = machine(world, &experiment);
    block_on(machine.start()).unwrap();
    change();
    let ended = block_on(async {
        machine.observe().await.unwrap();
        machine.end(None).await
    });
    let report = ended.report.expect("the run has a report");
    report.targets[0].drift.iter().map(|drift| format!("{}: {}", drift.field, drift.note)).collect()
}

fn plan(world: &SimWorld, experiment: &Value) -> PlanView {
    let experiment = read_experiment(experiment).unwrap();
    let facts = block_on(collect_facts(world, &settings(), &experiment)).unwrap();
    plan_view(&experiment, &facts, &evaluate(&experiment, &facts))
}

fn sample(fault: &str) -> Value {
    let fault = faults().into_iter().find(|(other, _)| *other == fault).expect("a sample of each fault");
    samples::experiment(&["checkout"], &[fault])
}

fn edit(world: &SimWorld, edit: impl FnOnce(&mut SimFunction)) {
    world.with(|state| edit(state.functions.get_mut(&function_arn("checkout")).expect("the sample function")));
}

fn alias(function: &mut SimFunction, name: &str, version: &str) {
    function.aliases.push(Alias { name: name.into(), version: version.into() });
}
