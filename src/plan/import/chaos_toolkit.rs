//! Reads experiments of the Chaos Toolkit (chaostoolkit.org/reference/api/experiment) that change functions with
//! chaostoolkit-aws: its actions on functions become faults, and its probes of alarms the steady state.

use serde_json::Value;

use crate::model::experiment::RunDuration;
use crate::model::input::InvalidInput;
use crate::model::names::AlarmName;

use super::chaos_toolkit_actions::{Meaning, TOGGLE, meaning};
use super::chaos_toolkit_variables::{Variables, is_unresolved};
use super::draft::{Draft, experiment_name};
use super::fields::{Fields, shown};

const ACTIONS: &str = "chaosaws.awslambda.actions";
/// The extension in infra/chaostoolkit-snapback.
const OWN_ACTIONS: &str = "chaossnapback.actions";
const ALARM_PROBE: (&str, &str) = ("chaosaws.cloudwatch.probes", "get_alarm_state_value");

pub(super) fn recognizes(source: &Value) -> bool {
    source.get("method").is_some_and(Value::is_array)
}

pub(super) fn read(source: &Value) -> Result<Draft, InvalidInput> {
    let mut draft = Draft::default();
    let mut fields = Fields::of("", source)?;
    let mut variables = Variables::of(fields.object("configuration")?, &mut draft);
    if let Some(title) = fields.take("title") {
        let title = variables.resolve(title);
        draft.name = title.as_str().and_then(|title| experiment_name("title", title, &mut draft));
    }
    read_method(&mut fields, &mut variables, &mut draft)?;
    read_hypothesis(&mut fields, &mut variables, &mut draft)?;
    for (field, rollback) in list(&mut fields, "rollbacks")? {
        let why = match Activity::of(&field, rollback)?.is_of(ACTIONS) {
            true => "snapback restores what it has changed",
            false => "snapback has no other rollbacks than the restore",
        };
        draft.left(&[field], why);
    }
    for (key, why) in [
        ("description", "the title is the experiment's name"),
        ("secrets", "snapback's functions have their own roles"),
        ("controls", "snapback has none; to keep them, start the run from the Chaos Toolkit"),
        ("runtime", "snapback always restores"),
    ] {
        if fields.take(key).is_some() {
            draft.left(&[key.to_owned()], why);
        }
    }
    variables.note_unused(&mut draft);
    for field in fields.rest() {
        draft.left(&[field], "an experiment has no such field");
    }
    Ok(draft)
}

/// The entries of a list, with their paths.
fn list<'v>(fields: &mut Fields<'v>, key: &str) -> Result<Vec<(String, &'v Value)>, InvalidInput> {
    let field = fields.at(key);
    let Some(value) = fields.take(key) else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(|| InvalidInput {
        field: field.clone(),
        problem: format!("{} is not a list; write one, of activities", shown(value)),
    })?;
    Ok(list.iter().enumerate().map(|(at, value)| (format!("{field}[{at}]"), value)).collect())
}

/// An action or a probe.
struct Activity<'v> {
    fields: Fields<'v>,
    provider: Option<Fields<'v>>,
    kind: &'v str,
    module: &'v str,
    function: &'v str,
}

impl<'v> Activity<'v> {
    fn of(field: &str, value: &'v Value) -> Result<Self, InvalidInput> {
        let mut fields = Fields::of(field, value)?;
        let mut provider = fields.object("provider")?;
        let kind = text(&mut fields, "type");
        let (mut module, mut function) = ("", "");
        if let Some(provider) = &mut provider
            && text(provider, "type") == "python"
        {
            (module, function) = (text(provider, "module"), text(provider, "func"));
        }
        Ok(Self { fields, provider, kind, module, function })
    }

    /// Whether it is an action or a probe of this module.
    fn is_of(&self, module: &str) -> bool {
        self.module == module
    }

    /// Takes the arguments, with their variables replaced, and their path.
    fn arguments(&mut self, variables: &mut Variables<'_>) -> (String, Value) {
        let Some(provider) = &mut self.provider else { return (String::new(), Value::Null) };
        let field = provider.at("arguments");
        let given = provider.take("arguments").map(|arguments| variables.resolve(arguments));
        (field, given.unwrap_or_else(|| Value::Object(serde_json::Map::new())))
    }

    /// Notes the fields of an imported activity that were not read.
    fn note_rest(self, draft: &mut Draft) {
        let rest = [self.fields.rest(), self.provider.map(Fields::rest).unwrap_or_default()].concat();
        draft.left(&rest, "an experiment has no such field");
    }
}

fn text<'v>(fields: &mut Fields<'v>, key: &str) -> &'v str {
    fields.text(key).ok().flatten().unwrap_or_default()
}

/// What the method has done so far.
#[derive(Default)]
struct Method {
    /// Each fault's field and function.
    functions: Vec<(String, String)>,
    /// The names of the actions that were imported.
    done: Vec<String>,
    /// How long the faults are in place: the pauses after the first fault and before its undo.
    seconds: f64,
    is_undone: bool,
}

impl Method {
    fn has_faults(&self) -> bool {
        !self.done.is_empty() && !self.is_undone
    }
}

fn read_method(fields: &mut Fields<'_>, variables: &mut Variables<'_>, draft: &mut Draft) -> Result<(), InvalidInput> {
    if !fields.has("method") {
        return Err(InvalidInput { field: "method".to_owned(), problem: "is missing; add it".to_owned() });
    }
    let mut method = Method::default();
    for (field, value) in list(fields, "method")? {
        let mut activity = Activity::of(&field, value)?;
        let mut pauses = Pauses::of(&mut activity.fields, variables)?;
        pauses.count("before", &mut method, draft)?;
        read_activity(&field, activity, variables, &mut method, draft)?;
        pauses.count("after", &mut method, draft)?;
        pauses.note_rest(draft);
    }
    set_duration(&method, draft);
    let mut functions = method.functions.into_iter();
    let Some((first, function)) = functions.next() else { return Ok(()) };
    if let Some((other, _)) = functions.find(|(_, other)| *other != function) {
        let problem = "they have different functions, but an experiment injects each fault into all targets; import the \
                       experiment once for each function, without the other actions";
        return Err(InvalidInput { field: format!("{first}, {other}"), problem: problem.to_owned() });
    }
    if is_unresolved(&function) {
        let why = format!("`{function}`, which only the Chaos Toolkit can resolve; name it with --function");
        draft.left(&[first], &why);
    } else {
        draft.targets.push(serde_json::json!({ "function": function }));
    }
    Ok(())
}

/// Imports one activity of the method.
fn read_activity(
    field: &str,
    mut activity: Activity<'_>,
    variables: &mut Variables<'_>,
    method: &mut Method,
    draft: &mut Draft,
) -> Result<(), InvalidInput> {
    if let Some(reference) = activity.fields.take("ref") {
        draft.lose(field, &format!("it refers to {}; write the activity out", shown(reference)));
        return Ok(());
    }
    if activity.kind != "action" {
        draft.left(&[field.to_owned()], "it is not an action, and snapback evaluates only the steady state's probes");
        return Ok(());
    }
    if activity.is_of(OWN_ACTIONS) {
        draft.lose(field, "it drives an experiment of snapback's already; use that one");
        return Ok(());
    }
    if !activity.is_of(ACTIONS) {
        let what = if activity.module.is_empty() { "no Python module" } else { activity.module };
        draft.lose(field, &format!("its provider is {what}, but snapback injects only into functions"));
        return Ok(());
    }
    let (at, arguments) = activity.arguments(variables);
    let mut arguments = Fields::of(&at, &arguments)?;
    let function_at = arguments.at("function_name");
    let function = arguments.take("function_name").and_then(Value::as_str).map(str::to_owned);
    match meaning(activity.function, field, &mut arguments, draft) {
        // A mapping has a function already.
        Meaning::Fault(_) if function.is_none() && activity.function != TOGGLE => {
            draft.lose(field, "it has no function_name");
        }
        Meaning::Fault(fault) => {
            method.done.push(activity.function.to_owned());
            method.functions.extend(function.map(|function| (function_at, function)));
            draft.left(&arguments.rest(), &format!("the fault for {} has no such field", activity.function));
            draft.push(fault);
            activity.note_rest(draft);
        }
        Meaning::Undoes(action) if method.done.iter().any(|done| done == action) => {
            method.is_undone = true;
            draft.left(&[field.to_owned()], "snapback restores what it has changed, at the end of the duration");
        }
        Meaning::Undoes(_) => {
            draft.lose(field, &format!("no fault does what {} does without an action before it", activity.function));
        }
        Meaning::Nothing(why) => draft.lose(field, &why),
    }
    Ok(())
}

/// The pauses before and after an activity, in seconds.
struct Pauses {
    field: String,
    value: Value,
    counted: Vec<&'static str>,
}

impl Pauses {
    fn of(activity: &mut Fields<'_>, variables: &mut Variables<'_>) -> Result<Self, InvalidInput> {
        let field = activity.at("pauses");
        let value = activity.take("pauses").map_or(Value::Null, |pauses| variables.resolve(pauses));
        if !value.is_null() {
            Fields::of(&field, &value)?;
        }
        Ok(Self { field, value, counted: Vec::new() })
    }

    /// Adds a pause to the duration if the faults are in place then.
    fn count(&mut self, key: &'static str, method: &mut Method, draft: &mut Draft) -> Result<(), InvalidInput> {
        if self.value.is_null() || !method.has_faults() {
            return Ok(());
        }
        match Fields::of(&self.field, &self.value)?.number(key) {
            Ok(seconds) => {
                method.seconds += seconds.unwrap_or(0.0).max(0.0);
                self.counted.push(key);
            }
            Err(why) => draft.note(&self.field, format!("{why}; it does not count for the duration")),
        }
        Ok(())
    }

    fn note_rest(&self, draft: &mut Draft) {
        let keys = self.value.as_object().into_iter().flat_map(serde_json::Map::keys);
        let rest = keys.filter(|key| !self.counted.contains(&key.as_str()));
        let rest: Vec<String> = rest.map(|key| format!("{}.{key}", self.field)).collect();
        draft.left(&rest, "no fault is in place then");
    }
}

/// An experiment of the Chaos Toolkit has no duration: its faults stay while the method pauses.
fn set_duration(method: &Method, draft: &mut Draft) {
    if method.seconds <= 0.0 {
        return;
    }
    let text = format!("PT{:.0}S", method.seconds.ceil());
    match RunDuration::try_from(text.clone()) {
        Ok(duration) => {
            draft.note("duration", format!("the method pauses for {text} while its faults are in place; that is used"));
            draft.duration = Some(duration);
        }
        Err(why) => {
            draft.note("duration", format!("the method pauses for {text} while its faults are in place; {why}"))
        }
    }
}

fn read_hypothesis(
    fields: &mut Fields<'_>,
    variables: &mut Variables<'_>,
    draft: &mut Draft,
) -> Result<(), InvalidInput> {
    let Some(mut hypothesis) = fields.object("steady-state-hypothesis")? else { return Ok(()) };
    for (field, value) in list(&mut hypothesis, "probes")? {
        let mut probe = Activity::of(&field, value)?;
        if (probe.kind, (probe.module, probe.function)) != ("probe", ALARM_PROBE) {
            let (module, function) = ALARM_PROBE;
            draft.left(&[field], &format!("only {module}.{function} is imported; write a steady state for it"));
            continue;
        }
        let tolerance = probe.fields.take("tolerance").map(|tolerance| variables.resolve(tolerance));
        match needs_data(tolerance.as_ref()) {
            Ok(false) => {}
            Ok(true) => draft.note(&field, "its tolerance is OK; a steady state also holds while the alarm lacks data"),
            Err(why) => {
                draft.left(&[field], &why);
                continue;
            }
        }
        let (at, arguments) = probe.arguments(variables);
        let alarm = read_alarm(Fields::of(&at, &arguments)?, draft)?;
        if !draft.steady_state.contains(&alarm) {
            draft.steady_state.push(alarm);
        }
        probe.note_rest(draft);
    }
    draft.left(&hypothesis.rest(), "an experiment has no such field");
    Ok(())
}

/// Reads the alarm of a probe. One that cannot be read is refused, because an experiment without it would not end on it.
fn read_alarm(mut arguments: Fields<'_>, draft: &mut Draft) -> Result<AlarmName, InvalidInput> {
    let field = arguments.at("alarm_name");
    let wrong = |problem: String| InvalidInput { field: field.clone(), problem };
    let name = arguments.text("alarm_name").map_err(wrong)?.ok_or_else(|| wrong("is missing; add it".to_owned()))?;
    if is_unresolved(name) {
        let why = format!("`{name}`, which only the Chaos Toolkit can resolve; write the alarm's name");
        return Err(wrong(why));
    }
    draft.left(&arguments.rest(), "an alarm has only a name");
    AlarmName::try_from(name).map_err(wrong)
}

/// Whether a tolerance excludes alarms without enough data, which a steady state does not: it requires that an alarm is
/// not in ALARM, and nothing else.
fn needs_data(tolerance: Option<&Value>) -> Result<bool, String> {
    let one = std::slice::from_ref(tolerance.unwrap_or(&Value::Null));
    let states = tolerance.and_then(Value::as_array).map_or(one, Vec::as_slice);
    let has = |name: &str| states.iter().any(|state| state == name);
    let is_known = |state: &Value| state == "OK" || state == "INSUFFICIENT_DATA";
    if has("OK") && states.iter().all(is_known) {
        return Ok(!has("INSUFFICIENT_DATA"));
    }
    let what = tolerance.map_or_else(|| "nothing".to_owned(), shown);
    Err(format!("its tolerance is {what}, but a steady state requires that an alarm is not in ALARM; write OK"))
}
