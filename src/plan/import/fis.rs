//! Reads experiment templates of AWS FIS (fis/latest/userguide/experiment-templates, fis-actions-reference), as they
//! are given to `create-experiment-template`, as `get-experiment-template` gives them back, and in CloudFormation's
//! spelling (AWSCloudFormation/latest/TemplateReference/aws-resource-fis-experimenttemplate).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::experiment::RunDuration;
use crate::model::input::InvalidInput;
use crate::model::invocation::{
    ErrorFault, InvocationFault, LatencyFault, Milliseconds, Moment, Percentage, ResponseFault,
};
use crate::model::names::AlarmName;
use crate::model::target::Select;

use super::cloudformation::{find, shown_reference};
use super::draft::{Draft, experiment_name};
use super::fields::{Fields, shown, whole};

const DELAY: &str = "aws:lambda:invocation-add-delay";
const ERROR: &str = "aws:lambda:invocation-error";
const RESPONSE: &str = "aws:lambda:invocation-http-integration-response";
const ALARM: &str = "aws:cloudwatch:alarm";
const RESOURCE: &str = "AWS::FIS::ExperimentTemplate";

pub(super) fn recognizes(source: &Value) -> bool {
    let template = source.get("experimentTemplate").unwrap_or(source);
    let has_actions = |key: &str| template.get(key).is_some_and(Value::is_object);
    has_actions("actions") || has_actions("Actions") || !matches!(find(source, RESOURCE), Ok(None))
}

pub(super) fn read(source: &Value) -> Result<Draft, InvalidInput> {
    match find(source, RESOURCE)? {
        Some(resource) => {
            let mut draft = Draft::default();
            draft.left(&resource.rest, "it is not part of the experiment template");
            let template = Fields::of(&resource.path, &resource.properties)?.spelled(true);
            read_template(template, draft)
        }
        None => {
            let mut draft = Draft::default();
            let mut template = Fields::of("", source)?;
            if let Some(inner) = template.take("experimentTemplate") {
                draft.left(&template.rest(), "it is not part of the template");
                template = Fields::of("", inner)?;
            }
            let capitalized = template.has("Actions");
            read_template(template.spelled(capitalized), draft)
        }
    }
}

fn read_template(mut template: Fields<'_>, mut draft: Draft) -> Result<Draft, InvalidInput> {
    name(&mut template, &mut draft);
    let targets = read_actions(&mut template, &mut draft)?;
    read_targets(&mut template, &targets, &mut draft)?;
    read_stop_conditions(&mut template, &mut draft)?;
    for (key, why) in [
        ("id", "the template's ID is not needed"),
        ("arn", "the template's ARN is not needed"),
        ("roleArn", "snapback's functions have their own roles"),
        ("tags", "a run has no tags"),
        ("logConfiguration", "snapback logs to its own log groups"),
        ("experimentReportConfiguration", "`snapback report` shows the report"),
    ] {
        if template.take(key).is_some() {
            draft.left(&[template.at(key)], why);
        }
    }
    for field in template.rest() {
        draft.left(&[field], "an experiment has no such field");
    }
    draft.note(
        "targets",
        "a function that was prepared for FIS has its extension's layer and the variables AWS_FIS_* and \
         AWS_LAMBDA_EXEC_WRAPPER; remove them before a run, because snapback adds what it needs and removes it afterwards",
    );
    Ok(draft)
}

fn name(template: &mut Fields<'_>, draft: &mut Draft) {
    let field = template.at("description");
    let Ok(Some(description)) = template.text("description") else { return };
    draft.name = experiment_name(&field, description, draft);
}

/// Makes a fault from each Lambda action; returns the names of the targets that these have.
fn read_actions(template: &mut Fields<'_>, draft: &mut Draft) -> Result<Vec<String>, InvalidInput> {
    let capitalized = template.is_capitalized();
    let missing_actions = missing(&template.at("actions"));
    let mut actions = template.object("actions")?.ok_or(missing_actions)?;
    let mut durations: BTreeMap<String, RunDuration> = BTreeMap::new();
    let mut targets: Vec<(String, Vec<String>)> = Vec::new();
    // Delays first: a response in the handler's place would otherwise come before them.
    let mut keys = actions.keys();
    let id_key = if capitalized { "ActionId" } else { "actionId" };
    keys.sort_by_key(|key| actions.peek(key).is_none_or(|action| action[id_key] != DELAY));
    for key in keys {
        let field = actions.at(key);
        let Some(action) = actions.object(key)? else { continue };
        let mut action = action.spelled(capitalized);
        let id = action.text("actionId").ok().flatten().unwrap_or_default();
        if !id.starts_with("aws:lambda:") {
            let what = if id.is_empty() { "nothing" } else { id };
            draft.lose(&field, &format!("its actionId is {what}, but snapback injects only into functions"));
            continue;
        }
        let nothing = json!({});
        let mut parameters = match action.object("parameters")? {
            Some(parameters) => parameters,
            None => Fields::of(&action.at("parameters"), &nothing)?,
        };
        let duration = take_duration(&mut parameters)?;
        match fault(id, &field, &mut parameters, draft) {
            Ok(fault) => {
                durations.extend(duration.map(|duration| (parameters.at("duration"), duration)));
                targets.push((field.clone(), take_targets(&mut action, draft)?));
                draft.add(&field, Ok(fault));
            }
            Err(why) => {
                draft.lose(&field, &why);
                continue;
            }
        }
        draft.left(&parameters.rest(), &format!("the fault for {id} has no such field"));
        if action.take("startAfter").is_some() {
            draft.left(&[action.at("startAfter")], "all faults of an experiment begin and end together");
        }
        draft.left(&action.rest(), "an experiment has no such field");
    }
    longest(durations, draft);
    let mut groups = targets.into_iter();
    let Some((first, names)) = groups.next() else { return Ok(Vec::new()) };
    match groups.find(|(_, others)| *others != names) {
        Some((other, _)) => Err(InvalidInput {
            field: format!("{first}, {other}"),
            problem: "they have different targets, but an experiment injects each fault into all targets; import the \
                      template once for each set of targets, without the other actions"
                .to_owned(),
        }),
        None => Ok(names),
    }
}

fn take_duration(parameters: &mut Fields<'_>) -> Result<Option<RunDuration>, InvalidInput> {
    let field = parameters.at("duration");
    let wrong = |problem: String| InvalidInput { field: field.clone(), problem };
    let text = parameters.text("duration").map_err(wrong)?;
    text.map(|text| RunDuration::try_from(text.to_owned()).map_err(wrong)).transpose()
}

/// Keeps the longest duration: an experiment has only one.
fn longest(durations: BTreeMap<String, RunDuration>, draft: &mut Draft) {
    let longest = durations.values().copied().max();
    if let Some(longest) = longest {
        for (field, duration) in durations.iter().filter(|(_, duration)| **duration != longest) {
            draft.note(
                field,
                format!("an experiment has one duration; the longest, {longest}, is used instead of {duration}"),
            );
        }
    }
    draft.duration = longest;
}

fn take_targets(action: &mut Fields<'_>, draft: &mut Draft) -> Result<Vec<String>, InvalidInput> {
    let Some(mut targets) = action.object("targets")? else { return Ok(Vec::new()) };
    let field = targets.at("Functions");
    let name = targets.text("Functions").map_err(|problem| InvalidInput { field, problem })?;
    draft.left(&targets.rest(), "a Lambda action has only `Functions`");
    Ok(name.map(str::to_owned).into_iter().collect())
}

fn fault(id: &str, field: &str, parameters: &mut Fields<'_>, draft: &mut Draft) -> Result<InvocationFault, String> {
    // All three actions have it; the default is 100.
    let percentage = parameters.percent("invocationPercentage")?;
    if percentage.is_none() {
        draft.note(field, "it has no invocationPercentage; FIS's default, 100, is used: all invocations");
    }
    let percentage = percentage.unwrap_or(Percentage::ALL);
    let (conditions, qualifier) = (Vec::new(), None);
    match id {
        DELAY => {
            let delay = parameters.whole("startupDelayMilliseconds")?;
            if delay.is_none() {
                draft.note(field, "it has no startupDelayMilliseconds; FIS's default, 1000, is used");
            }
            let delay: Option<Milliseconds> = delay.or_else(|| Milliseconds::new(1000));
            Ok(InvocationFault::Latency(LatencyFault {
                delay_ms: delay,
                min_ms: None,
                max_ms: None,
                when: Moment::Before,
                percentage,
                conditions,
                qualifier,
            }))
        }
        ERROR => {
            let when = moment(field, parameters, draft)?;
            draft.note(
                field,
                "FIS does not document which error it returns; snapback's default type and message are used",
            );
            Ok(InvocationFault::Error(ErrorFault {
                error_type: "InjectedError".to_owned(),
                message: "snapback has injected this error".to_owned(),
                when,
                percentage,
                conditions,
                qualifier,
            }))
        }
        RESPONSE => {
            let when = moment(field, parameters, draft)?;
            let status = parameters.number("statusCode")?.ok_or("it has no statusCode")?;
            let status_code = Some(whole("statusCode", status)?);
            let content_type = parameters.text("contentTypeHeader")?;
            draft.note(field, "FIS does not document which body it returns; an empty one is used");
            Ok(InvocationFault::Response(ResponseFault {
                status_code,
                headers: content_type.map(|value| ("content-type".to_owned(), value.to_owned())).into_iter().collect(),
                body: Some(String::new()),
                raw: None,
                when,
                percentage,
                conditions,
                qualifier,
            }))
        }
        other => Err(format!("{other} is not a known action")),
    }
}

fn moment(field: &str, parameters: &mut Fields<'_>, draft: &mut Draft) -> Result<Moment, String> {
    match parameters.flag("preventExecution")? {
        Some(true) => Ok(Moment::Before),
        Some(false) => Ok(Moment::After),
        None => {
            draft.note(field, "it has no preventExecution; true is used: the handler does not run");
            Ok(Moment::Before)
        }
    }
}

fn read_targets(template: &mut Fields<'_>, used: &[String], draft: &mut Draft) -> Result<(), InvalidInput> {
    let capitalized = template.is_capitalized();
    let Some(mut targets) = template.object("targets")? else { return Ok(()) };
    for name in used {
        let field = targets.at(name);
        let target = targets.object(name)?.ok_or_else(|| missing(&field))?;
        read_target(target.spelled(capitalized), draft)?;
    }
    for field in targets.rest() {
        draft.left(&[field], "no imported action uses it");
    }
    Ok(())
}

fn read_target(mut target: Fields<'_>, draft: &mut Draft) -> Result<(), InvalidInput> {
    let wrong = |field: String| move |problem: String| InvalidInput { field, problem };
    let kind = target.text("resourceType").map_err(wrong(target.at("resourceType")))?;
    if let Some(kind) = kind.filter(|kind| *kind != "aws:lambda:function") {
        let problem = format!("`{kind}` is not a function; write aws:lambda:function");
        return Err(InvalidInput { field: target.at("resourceType"), problem });
    }
    let mode = target.at("selectionMode");
    let select = match target.text("selectionMode").map_err(wrong(mode.clone()))? {
        Some(text) => Select::try_from(text.to_owned()).map_err(wrong(mode.clone()))?,
        None => Select::All,
    };
    let (arns_at, tags_at) = (target.at("resourceArns"), target.at("resourceTags"));
    if let Some(arns) = target.take("resourceArns").and_then(Value::as_array) {
        let amount = select.amount(arns.len());
        if amount < arns.len() {
            let text = format!("FIS draws {select} of its {} functions; the first {amount} are used", arns.len());
            draft.note(&mode, format!("{text}, because `select` works only with tags"));
        }
        for (at, arn) in arns.iter().take(amount).enumerate() {
            let field = format!("{arns_at}[{at}]");
            match arn.as_str() {
                Some(arn) => draft.targets.push(json!({ "function": arn })),
                None if shown_reference(arn).is_some() => {
                    draft.left(&[field], &format!("{}; name it with --function", shown(arn)));
                }
                None => {
                    let problem = format!("{} is not an ARN; write a function's", shown(arn));
                    return Err(InvalidInput { field, problem });
                }
            }
        }
    }
    if let Some(tags) = target.take("resourceTags") {
        if tags.as_object().is_none_or(|tags| tags.values().any(|value| !value.is_string())) {
            let problem = "it is not an object of keys and values as text; write {KEY: VALUE}".to_owned();
            return Err(InvalidInput { field: tags_at, problem });
        }
        let mut entry = json!({ "tags": tags });
        if select != Select::All {
            entry["select"] = json!(select);
        }
        draft.targets.push(entry);
    }
    for key in ["filters", "parameters"] {
        if target.take(key).is_some() {
            let why =
                "an experiment has no such field, so more functions may match than in FIS: check with `snapback plan`";
            draft.left(&[target.at(key)], why);
        }
    }
    draft.left(&target.rest(), "an experiment has no such field");
    Ok(())
}

fn read_stop_conditions(template: &mut Fields<'_>, draft: &mut Draft) -> Result<(), InvalidInput> {
    let capitalized = template.is_capitalized();
    let conditions = template.take("stopConditions").and_then(Value::as_array);
    for (at, condition) in conditions.into_iter().flatten().enumerate() {
        let field = template.at(&format!("stopConditions[{at}]"));
        let mut condition = Fields::of(&field, condition)?.spelled(capitalized);
        let wrong = |problem: String| InvalidInput { field: field.clone(), problem };
        match condition.text("source").map_err(wrong)? {
            Some("none") => draft.note(&field, "`none`: no alarm ends the run; there is no `stopConditions`"),
            Some(ALARM) => {
                let value =
                    condition.text("value").map_err(wrong)?.ok_or_else(|| wrong("it has no `value`".to_owned()))?;
                let alarm = AlarmName::try_from(value).map_err(wrong)?;
                if !draft.stop_conditions.contains(&alarm) {
                    draft.stop_conditions.push(alarm);
                }
            }
            other => draft.left(
                std::slice::from_ref(&field),
                &format!("only {ALARM} can end a run, not {}", other.unwrap_or("nothing")),
            ),
        }
        draft.left(&condition.rest(), "a stop condition has only an alarm");
    }
    Ok(())
}

fn missing(field: &str) -> InvalidInput {
    InvalidInput { field: field.to_owned(), problem: "is missing; add it".to_owned() }
}
