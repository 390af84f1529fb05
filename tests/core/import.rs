//! Imports of other tools' configurations, and the experiments that result from them.

use serde_json::{Value, json};
use snapback::model::input::read_experiment;
use snapback::model::names::FunctionName;
use snapback::plan::import::{Format, Imported, import, variables};

#[path = "import/chaos_toolkit.rs"]
mod chaos_toolkit;
#[path = "import/notes.rs"]
mod notes;
#[path = "import/refusals.rs"]
mod refusals;
#[path = "import/table.rs"]
mod table;

use self::notes::is_noted;

const FIXTURES: [(&str, Format, &str); 8] = [
    ("fis.json", Format::Fis, include_str!("import/fixtures/fis.json")),
    ("failure-lambda.json", Format::FailureLambda, include_str!("import/fixtures/failure-lambda.json")),
    ("failure-lambda-0.json", Format::FailureLambda, include_str!("import/fixtures/failure-lambda-0.json")),
    ("chaos-lambda.json", Format::ChaosLambda, include_str!("import/fixtures/chaos-lambda.json")),
    ("chaos-lambda-0.2.json", Format::ChaosLambda, include_str!("import/fixtures/chaos-lambda-0.2.json")),
    (
        "chaos-lambda-extension.env",
        Format::ChaosLambdaExtension,
        include_str!("import/fixtures/chaos-lambda-extension.env"),
    ),
    (
        "chaos-lambda-extension-function.json",
        Format::ChaosLambdaExtension,
        include_str!("import/fixtures/chaos-lambda-extension-function.json"),
    ),
    ("chaos-toolkit.json", Format::ChaosToolkit, include_str!("import/fixtures/chaos-toolkit.json")),
];

fn source(name: &str) -> Value {
    let (_, _, text) = FIXTURES.iter().find(|(fixture, _, _)| *fixture == name).unwrap();
    variables(text).unwrap_or_else(|| serde_json::from_str(text).unwrap())
}

/// Imports the configuration, with a target if it has none.
fn outcome(source: &Value) -> Result<Imported, String> {
    let none = import(source, None, &[]);
    let imported = match none {
        Err(wrong) if wrong.problem.contains("--function") => {
            import(source, None, &[FunctionName::try_from("any-function").unwrap()])
        }
        imported => imported,
    };
    imported.map_err(|wrong| wrong.to_string())
}

fn imported(name: &str) -> Imported {
    outcome(&source(name)).unwrap_or_else(|wrong| panic!("{name}: {wrong}"))
}

#[test]
fn each_fixture_becomes_an_experiment_that_snapback_reads() {
    for (name, format, _) in FIXTURES {
        assert_eq!(Format::of(&source(name)), Some(format), "{name}");
        let experiment = imported(name).experiment;
        read_experiment(&experiment).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    }
}

#[test]
fn a_fis_template_keeps_targets_alarms_and_longest_duration() {
    let Imported { experiment, notes } = imported("fis.json");
    assert_eq!(
        experiment,
        json!({
            "name": "checkout gets slow, and then fails",
            "targets": [{ "tags": { "team": "shop" }, "select": "PERCENT(50)" }],
            "faults": [
                { "latency": { "delayMs": 1500, "percentage": 25 } },
                { "response": { "statusCode": 503, "headers": { "content-type": "application/json" }, "body": "" } },
                { "error": {
                    "type": "InjectedError", "message": "snapback has injected this error", "when": "after"
                } }
            ],
            "duration": "PT10M",
            "stopConditions": [{ "alarm": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:checkout-errors" }]
        })
    );
    assert_eq!(
        notes,
        [
            "actions.slow.description: not imported: an experiment has no such field",
            "actions.answer: it has no invocationPercentage; FIS's default, 100, is used: all invocations",
            "actions.answer: FIS does not document which body it returns; an empty one is used",
            "actions.fail: it has no invocationPercentage; FIS's default, 100, is used: all invocations",
            "actions.fail: FIS does not document which error it returns; snapback's default type and message are used",
            "actions.fail.startAfter: not imported: all faults of an experiment begin and end together",
            "actions.reboot: not imported: its actionId is aws:ec2:reboot-instances, but snapback injects only into \
             functions",
            "actions.answer.parameters.duration: an experiment has one duration; the longest, PT10M, is used instead of PT5M",
            "actions.fail.parameters.duration: an experiment has one duration; the longest, PT10M, is used instead of PT5M",
            "targets.machines: not imported: no imported action uses it",
            "id: not imported: the template's ID is not needed",
            "arn: not imported: the template's ARN is not needed",
            "roleArn: not imported: snapback's functions have their own roles",
            "tags: not imported: a run has no tags",
            "logConfiguration: not imported: snapback logs to its own log groups",
            "experimentOptions: not imported: an experiment has no such field",
            PREPARED,
        ]
    );
}

/// The note about functions that every import of a template has.
const PREPARED: &str = "targets: a function that was prepared for FIS has its extension's layer and the variables \
                        AWS_FIS_* and AWS_LAMBDA_EXEC_WRAPPER; remove them before a run, because snapback adds what it \
                        needs and removes it afterwards";

#[test]
fn a_share_under_another_name_is_noted_with_the_default_used() {
    let action = json!({
        "actionId": "aws:lambda:invocation-error", "targets": { "Functions": "shop" },
        "parameters": { "percentage": "50", "preventExecution": "true" }
    });
    let target = json!({ "resourceType": "aws:lambda:function", "resourceTags": { "team": "shop" } });
    let Imported { experiment, notes } =
        outcome(&json!({ "actions": { "fail": action }, "targets": { "shop": target } })).unwrap();
    assert_eq!(experiment["faults"][0]["error"]["percentage"], Value::Null, "all of them");
    for expected in [
        "actions.fail: it has no invocationPercentage; FIS's default, 100, is used: all invocations",
        "actions.fail.parameters.percentage: not imported: the fault for aws:lambda:invocation-error has no such field",
        "duration: this template has none; PT5M is used",
    ] {
        assert!(notes.iter().any(|note| note == expected), "{expected}: {notes:#?}");
    }
}

/// A template's properties in CloudFormation's spelling; names that users give stay as they are.
fn capitalized(value: &Value, is_given: bool) -> Value {
    let capital = |key: &str| format!("{}{}", key[..1].to_uppercase(), &key[1..]);
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, inner)| {
                let inside_is_given =
                    ["actions", "targets", "parameters", "resourceTags", "tags"].contains(&key.as_str());
                let key = if is_given { key.clone() } else { capital(key) };
                (key, capitalized(inner, inside_is_given && !is_given))
            })
            .collect(),
        Value::Array(list) => list.iter().map(|inner| capitalized(inner, false)).collect(),
        other => other.clone(),
    }
}

#[test]
fn cloudformations_spelling_reads_like_fis_own() {
    let given = source("fis.json");
    let (plain, properties) = (imported("fis.json"), capitalized(&given, false));
    assert_eq!(properties["Actions"]["slow"]["Parameters"]["startupDelayMilliseconds"], "1500");
    let resource = json!({ "Type": "AWS::FIS::ExperimentTemplate", "DependsOn": "Alarm", "Properties": properties });
    let other = json!({ "Type": "AWS::SNS::Topic" });
    let template = json!({
        "AWSTemplateFormatVersion": "2010-09-09", "Resources": { "Slow": resource, "Topic": other }
    });
    for (spelling, at, rest) in [
        (&properties, "", &[][..]),
        (&resource, "Properties.", &["DependsOn"]),
        (&json!({ "Slow": resource }), "Slow.Properties.", &["Slow.DependsOn"]),
        (
            &template,
            "Resources.Slow.Properties.",
            &["AWSTemplateFormatVersion", "Resources.Topic", "Resources.Slow.DependsOn"],
        ),
    ] {
        assert_eq!(Format::of(spelling), Some(Format::Fis));
        let Imported { experiment, notes } = outcome(spelling).unwrap();
        assert_eq!(experiment, plain.experiment, "{at}");
        assert!(
            notes.contains(&format!(
                "{at}Actions.fail.StartAfter: not imported: all faults of an experiment begin and end together"
            )),
            "{notes:#?}"
        );
        assert_eq!(notes.last().map(String::as_str), Some(PREPARED));
        for rest in rest {
            assert!(is_noted(&notes, &format!("/{}", rest.replace('.', "/"))), "{rest}: {notes:#?}");
        }
    }
    let twice = json!({ "Resources": { "A": resource, "B": resource } });
    let wrong = outcome(&twice).unwrap_err();
    assert!(wrong.starts_with("Resources.A, Resources.B: each is a AWS::FIS::ExperimentTemplate"), "{wrong}");
}

#[test]
fn references_resolve_in_the_template_or_are_refused() {
    let template = |alarm: Value, function: Value, duration: Value| {
        json!({
            "Parameters": { "Length": { "Type": "String", "Default": "PT7M" } },
            "Resources": {
                "Errors": { "Type": "AWS::CloudWatch::Alarm", "Properties": { "AlarmName": "checkout-errors" } },
                "Nameless": { "Type": "AWS::CloudWatch::Alarm", "Properties": {} },
                "Checkout": { "Type": "AWS::Serverless::Function", "Properties": { "FunctionName": "checkout" } },
                "Slow": { "Type": "AWS::FIS::ExperimentTemplate", "Properties": {
                    "Actions": { "slow": {
                        "ActionId": "aws:lambda:invocation-add-delay", "Targets": { "Functions": "shop" },
                        "Parameters": { "duration": duration, "invocationPercentage": "50" }
                    } },
                    "Targets": { "shop": { "ResourceType": "aws:lambda:function", "ResourceArns": [function] } },
                    "StopConditions": [{ "Source": "aws:cloudwatch:alarm", "Value": alarm }]
                } }
            }
        })
    };
    let (errors, checkout) = (json!({ "Fn::GetAtt": ["Errors", "Arn"] }), json!({ "Fn::GetAtt": "Checkout.Arn" }));
    let known = outcome(&template(errors.clone(), checkout.clone(), json!({ "Ref": "Length" }))).unwrap().experiment;
    assert_eq!(known["stopConditions"], json!([{ "alarm": "checkout-errors" }]));
    assert_eq!((&known["targets"], &known["duration"]), (&json!([{ "function": "checkout" }]), &json!("PT7M")));
    let sub = outcome(&template(errors.clone(), checkout.clone(), json!({ "Fn::Sub": "${Length}" }))).unwrap();
    assert_eq!(sub.experiment["duration"], "PT7M");
    // An unknown alarm must not be lost, because an alarm ends the run.
    let wrong = outcome(&template(json!({ "Ref": "Nameless" }), checkout.clone(), json!("PT5M"))).unwrap_err();
    assert!(
        wrong.contains("StopConditions[0]: `value` is `!Ref Nameless`, which only CloudFormation can resolve"),
        "{wrong}"
    );
    let wrong = outcome(&template(errors.clone(), checkout, json!({ "Fn::ImportValue": "length" }))).unwrap_err();
    assert!(wrong.contains("`duration` is `!ImportValue length`, which only CloudFormation can resolve"), "{wrong}");
    // The command line can name the functions.
    let unknown = template(errors, json!({ "Fn::GetAtt": ["Other", "Arn"] }), json!("PT5M"));
    let named = import(&unknown, None, &[FunctionName::try_from("other").unwrap()]).unwrap();
    assert_eq!(named.experiment["targets"], json!([{ "function": "other" }]));
    let said =
        named.notes.iter().any(|note| note.contains("`!GetAtt Other.Arn`, which only CloudFormation can resolve"));
    assert!(said, "{:#?}", named.notes);
}

#[test]
fn a_parameter_reads_the_same_in_the_cli_output_of_aws() {
    for name in ["failure-lambda.json", "failure-lambda-0.json", "chaos-lambda.json", "chaos-lambda-0.2.json"] {
        let (plain, text) = (imported(name), source(name).to_string());
        let parameter = json!({ "Name": "/chaos", "Type": "String", "Value": text, "Version": 3 });
        for (envelope, at) in
            [(json!({ "Parameter": parameter }), "Parameter"), (json!({ "Parameters": [parameter] }), "Parameters[0]")]
        {
            let Imported { experiment, notes } = outcome(&envelope).unwrap();
            assert_eq!(experiment, plain.experiment, "{name}");
            let about = format!(
                "{at}.Name, {at}.Type, {at}.Version: not imported: only the parameter's Value configures the tool"
            );
            assert_eq!(notes, [plain.notes.clone(), vec![about]].concat(), "{name}");
        }
        assert_eq!(outcome(&json!(text)).unwrap(), plain, "{name}");
    }
    for (source, says) in [
        (json!({ "Parameter": { "Type": "SecureString", "Value": "AQICAHh..." } }), "get it with --with-decryption"),
        (json!({ "Parameter": { "Type": "String", "Value": "on" } }), "Parameter.Value: it is not JSON"),
        (json!("on"), "the text is not JSON"),
        (json!({ "Parameter": { "Value": "{}" } }), "unrecognized configuration; if it comes from one of fis, "),
    ] {
        let wrong = outcome(&source).unwrap_err();
        assert!(wrong.contains(says), "{source}: {wrong}");
    }
}

#[test]
fn a_template_reads_the_same_in_the_response_of_fis() {
    let mut given = source("fis.json");
    let wrapped = outcome(&json!({ "experimentTemplate": given })).unwrap();
    assert_eq!(wrapped, imported("fis.json"));
    for (pointer, value) in [("/id", json!("EXT1")), ("/creationTime", json!(1.7e9))] {
        given[&pointer[1..]] = value;
        let notes = outcome(&json!({ "experimentTemplate": given })).unwrap().notes;
        assert!(notes.iter().any(|note| note.starts_with(&pointer[1..])), "{notes:?}");
    }
}

#[test]
fn functions_that_fis_would_draw_from_keep_their_number() {
    let mut template = source("fis.json");
    let arn = |name: &str| format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}");
    template["targets"]["shop"] = json!({
        "resourceType": "aws:lambda:function",
        "resourceArns": [arn("a"), arn("b"), arn("c")],
        "selectionMode": "COUNT(2)"
    });
    let Imported { experiment, notes } = outcome(&template).unwrap();
    assert_eq!(experiment["targets"], json!([{ "function": arn("a") }, { "function": arn("b") }]));
    assert!(notes.iter().any(|note| note.contains("FIS draws COUNT(2) of its 3 functions")), "{notes:?}");
    let named = import(&template, None, &[FunctionName::try_from("d").unwrap()]).unwrap();
    assert_eq!(named.experiment["targets"], json!([{ "function": "d" }]));
    assert!(named.notes.iter().any(|note| note.starts_with("targets: those of --function")), "{:?}", named.notes);
}

#[test]
fn faults_with_different_targets_are_refused() {
    let mut template = source("fis.json");
    template["actions"]["fail"]["targets"]["Functions"] = json!("others");
    let wrong = outcome(&template).unwrap_err();
    assert!(wrong.starts_with("actions.slow, actions.fail: they have different targets"), "{wrong}");
}

#[test]
fn flags_keep_their_conditions() {
    let experiment = imported("failure-lambda.json").experiment;
    assert_eq!(
        experiment["faults"][0],
        json!({ "latency": { "minMs": 200, "maxMs": 500, "percentage": 50, "match": [
            { "path": "requestContext.http.path", "startsWith": "/api" },
            { "path": "requestContext.http.method", "regex": "^(GET|HEAD)$" },
            { "path": "headers.x-debug", "exists": true },
            { "path": "queryStringParameters.page", "in": ["2", 2] }
        ] } })
    );
}

#[test]
fn a_flag_with_an_unreadable_condition_is_not_imported() {
    let flag = |condition: Value| json!({ "timeout": { "enabled": true }, "latency": { "enabled": true, "match": [condition] } });
    for condition in [
        json!({ "path": "a", "operator": "regex", "value": "(?=x)" }),
        json!({ "path": "a", "operator": "contains", "value": "x" }),
        json!({ "path": "a", "value": 5 }),
        json!({ "path": "a" }),
        json!({ "value": "x" }),
        json!({ "path": "a", "value": "x", "not": true }),
        json!("a"),
    ] {
        let Imported { experiment, notes } = outcome(&flag(condition.clone())).unwrap();
        assert_eq!(experiment["faults"], json!([{ "invocationTimeout": { "bufferMs": 0 } }]), "{condition}");
        assert!(notes.iter().any(|note| note.starts_with("latency: not imported: match[0]: ")), "{notes:?}");
    }
    let kept = outcome(&flag(json!({ "path": "/a..b", "value": "x" }))).unwrap().experiment;
    assert_eq!(kept["faults"][0]["latency"]["match"], json!([{ "path": "/~1a//b", "equals": "x" }]));
    // In such a path, brackets are part of a name.
    let kept = outcome(&flag(json!({ "path": "a.ids[0]", "value": "x" }))).unwrap().experiment;
    assert_eq!(kept["faults"][0]["latency"]["match"], json!([{ "path": "/a/ids[0]", "equals": "x" }]));
}

#[test]
fn feature_flags_read_the_same_stored_and_served() {
    let values = source("failure-lambda.json");
    let stored = json!({ "version": "1", "flags": { "latency": { "name": "latency" } }, "values": values });
    let Imported { experiment, notes } = outcome(&stored).unwrap();
    assert_eq!(experiment, imported("failure-lambda.json").experiment);
    assert_eq!(notes[0], "flags, version: not imported: `values` has the flags' settings");
}

#[test]
fn the_extension_has_defaults_and_names_its_function() {
    let Imported { experiment, notes } = imported("chaos-lambda-extension-function.json");
    assert_eq!(experiment["targets"], json!([{ "function": "checkout" }]));
    assert!(notes.iter().any(|note| note.contains("DATABASE_PASSWORD")), "{notes:?}");
    assert!(!format!("{experiment}{notes:?}").contains("hunter2"));

    let on = json!({ "CHAOS_EXTENSION__LAMBDA__ENABLE_LATENCY": "TRUE" });
    let Imported { experiment, notes } = outcome(&on).unwrap();
    assert_eq!(experiment["faults"], json!([{ "latency": { "delayMs": 900_000, "percentage": 90 } }]));
    assert_eq!(notes.len(), 3, "{notes:?}");
}

#[test]
fn lines_of_variables_differ_from_json_and_yaml() {
    assert_eq!(variables("# x\nexport A='b=c'\n\nB=\"\"\n"), Some(json!({ "A": "b=c", "B": "" })));
    for text in ["", "# x\n", "a: b=c\n", "{\"a\": \"b=c\"}", "A=b\nno\n", "a b=c"] {
        assert_eq!(variables(text), None, "{text}");
    }
}
