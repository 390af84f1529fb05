//! Every check before the start. All refusals are reported at once: nobody wants to find them one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::experiment::Experiment;
use crate::model::fault::Fault;
use crate::model::function::{Environment, LastUpdate, Lifecycle, Observation, Slot, Tags};
use crate::model::names::{AlarmName, FunctionArn, FunctionName, LayerVersionArn, MappingId};
use crate::model::proxy_layers::ProxyLayers;
use crate::model::refusal::{Guardrail, Refusal};
use crate::model::run::{Lever, Lock};
use crate::model::snapshot::Change;
use crate::model::text::LATEST_PUBLISHED;
use crate::model::time::Time;

use super::bystanders;
use super::changes::{ChangeSet, change_set};
use super::injection::Injection;
use super::own::is_named_as_own;
use super::runtimes::{blocked_from, is_listed};

/// What the stack allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The prefix of the names of snapback's own resources.
    pub prefix: String,
    /// The tag that a function opts in with: key and value.
    pub opt_in: (String, String),
    /// How many targets one run may have.
    pub target_limit: usize,
    /// The layers that bring the proxy; none in a stack of before there was one.
    pub proxy_layers: ProxyLayers,
    /// The concurrency that the stack keeps for rollback and reaper; 0 is none.
    pub reserved_concurrency: u32,
}

/// The tasks, which name snapback's own functions: `PREFIX-TASK`.
pub const TASKS: [&str; 8] = ["prepare", "arm", "inject", "observe", "restore", "report", "rollback", "reaper"];

/// A run that is restored a day late must still be able to update its functions.
const DAY: Duration = Duration::from_secs(86_400);

/// Everything that the guardrails decide on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When they were gathered.
    pub now: Time,
    /// What the stack allows.
    pub settings: Settings,
    /// The safety lever.
    pub lever: Option<Lever>,
    /// What `select` drew with, where it left the choice to chance.
    pub seed: Option<u32>,
    /// How many functions the targets came to.
    pub target_count: usize,
    /// What was seen of them, as far as the limit allows.
    pub targets: Vec<TargetFacts>,
    /// Targets of the experiment that led to no function, each with why.
    pub unresolved: Vec<(String, String)>,
    /// Each alarm of the experiment and how it stands; `None` where there is none of that name.
    pub alarms: Vec<(AlarmName, Option<AlarmFact>)>,
    /// The conditions of the steady state that do not hold.
    pub deviations: Vec<String>,
    /// Every layer that would be attached or put back, and what is known of it.
    pub layers: BTreeMap<LayerVersionArn, LayerFact>,
    /// The account's concurrency, where it matters and could be read.
    pub account: Option<AccountConcurrency>,
    /// What a reader of the plan should know of how the targets were found.
    pub notes: Vec<String>,
}

/// The concurrency of an account in a Region (lambda/latest/api/API_AccountLimit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountConcurrency {
    /// What all functions may use together.
    pub total: u32,
    /// What is not reserved for single functions, and is shared by all others.
    pub unreserved: u32,
}

/// When Lambda moves a function to a new version of its runtime (lambda/latest/dg/runtimes-update).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeUpdates {
    /// By itself, and in the first phase of a roll-out with each update of the function.
    Auto,
    /// With each update of the function, also of its configuration.
    FunctionUpdate,
    /// Never: the function names its version.
    Manual,
    /// It could not be read.
    Unknown,
}

/// What is known of one target.
#[derive(Clone, Debug)]
pub struct TargetFacts {
    /// As the experiment names it, where it does.
    pub asked: Option<FunctionName>,
    /// The function.
    pub seen: Observation,
    /// Its lock, if there is one.
    pub lock: Option<Lock>,
    /// Its aliases; empty where no fault changes `$LATEST`.
    pub aliases: Vec<Alias>,
    /// The tags of its event source mappings; empty where no fault needs them.
    pub mapping_tags: BTreeMap<MappingId, Tags>,
    /// Its code signing; none where no fault adds layers.
    pub code_signing: CodeSigning,
    /// When its runtime is updated; `None` where no fault updates its configuration, and for container images, whose
    /// runtime is in the image.
    pub runtime_updates: Option<RuntimeUpdates>,
}

/// What a function's code signing does with a layer that is added: it must be signed by an allowed profile
/// (lambda/latest/dg/configuration-codesigning). That a signature has run out or was revoked is not seen here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeSigning {
    /// There is none: any layer is taken.
    Off,
    /// There is one.
    On {
        /// Whether an untrusted layer is refused (`Enforce`) or only logged (`Warn`).
        enforced: bool,
        /// The versions of the signing profiles that are trusted, by ARN.
        trusted: Vec<String>,
    },
    /// It may not be read.
    Unknown,
}

/// An alias of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Its name.
    pub name: String,
    /// The version that it points at, or `$LATEST`.
    pub version: String,
}

/// An alarm, as `DescribeAlarms` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmFact {
    /// Its ARN.
    pub arn: String,
    /// Whether it is in ALARM.
    pub in_alarm: bool,
}

/// What is known of a layer version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerFact {
    /// It exists.
    Here {
        /// For these architectures; empty is any.
        architectures: Vec<String>,
        /// The version of the signing profile that has signed it, by ARN.
        signer: Option<String>,
    },
    /// It was deleted, or never existed.
    Missing,
    /// It may not be read, so it could not be attached either.
    Denied,
}

impl LayerFact {
    /// A layer for any architecture that nobody has signed.
    #[must_use]
    pub const fn plain() -> Self {
        Self::Here { architectures: Vec::new(), signer: None }
    }
}

/// The outcome of all checks.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Each function and what would be done to it.
    pub targets: Vec<(Observation, ChangeSet)>,
    /// Every reason for "no".
    pub refusals: Vec<Refusal>,
    /// What somebody should know who reads the plan.
    pub warnings: Vec<String>,
    /// What `select` drew with, where it left the choice to chance.
    pub seed: Option<u32>,
}

/// Judges an experiment on the facts.
#[must_use]
pub fn evaluate(experiment: &Experiment, facts: &Facts) -> Evaluation {
    let mut refusals = about_experiment(experiment, facts);
    let mut warnings = facts.notes.clone();
    if experiment.stop_conditions.is_empty() {
        warnings.push("no stop condition: only the duration, a person or the lever ends the run".to_owned());
    }
    let mut targets = Vec::new();
    // A run that began now would have this one; it is what `plan` shows and `Prepare` judges, give or take a moment.
    let injection = Injection::planned(experiment, facts.now, &facts.settings.proxy_layers);
    for target in &facts.targets {
        let mut drafted = change_set(&injection, &target.seen);
        refusals.extend(about_target(experiment, facts, target));
        refusals.append(&mut drafted.refusals);
        refusals.append(&mut drafted.idle);
        refusals.extend(about_layers(facts, target, &drafted));
        let untrusted = about_code_signing(facts, target, &drafted);
        match target.code_signing {
            CodeSigning::On { enforced: false, .. } => {
                let warn = |no: &Refusal| format!("{}: {}; Lambda takes it and logs a warning", no.subject, no.reason);
                warnings.extend(untrusted.iter().map(warn));
            }
            _ => refusals.extend(untrusted),
        }
        refusals.extend(about_mappings(facts, target, &drafted));
        warnings.append(&mut drafted.warnings);
        warnings.extend(about_versions(experiment, target));
        warnings.extend(about_runtime(experiment, target));
        warnings.extend(pile_up(experiment, facts, target));
        if experiment.needs_proxy() {
            warnings.extend(bystanders::notes(&target.seen));
        }
        targets.push((target.seen.clone(), drafted));
    }
    Evaluation { targets, refusals, warnings, seed: facts.seed }
}

fn refusal(guardrail: Guardrail, about: &str, reason: impl Into<String>, fix: impl Into<String>) -> Refusal {
    Refusal { guardrail, subject: about.to_owned(), reason: reason.into(), fix: fix.into() }
}

fn about_experiment(experiment: &Experiment, facts: &Facts) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if let Some(lever) = facts.lever.as_ref().filter(|lever| lever.engaged) {
        let reason = format!("it is engaged since {}: {}", lever.since, lever.reason);
        refusals.push(refusal(Guardrail::Lever, "safety lever", reason, "release it: snapback lever disengage"));
    }
    for (asked, why) in &facts.unresolved {
        refusals.push(refusal(Guardrail::Exists, asked, why, "correct the target, or the role's rights"));
    }
    for fault in
        experiment.faults.iter().filter_map(Fault::invocation).filter(|fault| fault.rule().percentage.share() <= 0.0)
    {
        let reason = format!("{} has the percentage 0, so it would never be injected", fault.name());
        refusals.push(refusal(Guardrail::Effect, "faults", reason, "give it a share, or take it out"));
    }
    let (count, limit) = (facts.target_count, facts.settings.target_limit);
    if count > limit {
        let fix = "name fewer, select fewer with COUNT(n), or raise the stack's TargetLimit";
        refusals.push(refusal(
            Guardrail::TargetLimit,
            "targets",
            format!("{count} functions, over the limit of {limit}"),
            fix,
        ));
    }
    for (alarm, fact) in &facts.alarms {
        let stops = experiment.stop_conditions.iter().any(|stop| stop.alarm == *alarm);
        match fact {
            None => refusals.push(refusal(
                Guardrail::Alarm,
                alarm.name(),
                "there is no such alarm",
                "create it, or correct its name or region",
            )),
            Some(fact) if fact.in_alarm && stops => {
                refusals.push(refusal(Guardrail::Alarm, alarm.name(), "it is in ALARM already", "wait until it is OK"));
            }
            Some(_) => {}
        }
    }
    for deviation in &facts.deviations {
        let fix = "wait until it holds, or correct the condition";
        refusals.push(refusal(Guardrail::SteadyState, "steady state", format!("it does not hold: {deviation}"), fix));
    }
    refusals
}

fn about_target(experiment: &Experiment, facts: &Facts, target: &TargetFacts) -> Vec<Refusal> {
    let seen = &target.seen;
    let mut refusals = Vec::new();
    let mut refuse = |guardrail, reason: String, fix: String| {
        refusals.push(refusal(guardrail, seen.arn.name(), reason, fix));
    };
    if let Lifecycle::Other(state) = &seen.state {
        let (reason, fix) = not_active(state);
        refuse(Guardrail::Ready, reason, fix.to_owned());
    }
    match seen.last_update {
        LastUpdate::Successful => {}
        LastUpdate::InProgress => {
            refuse(Guardrail::Ready, "an update of it is in progress".into(), "wait until it is through".into())
        }
        LastUpdate::Failed => refuse(
            Guardrail::Ready,
            "its last update failed, so that what serves is not what its configuration says".into(),
            "update it again, successfully".into(),
        ),
    }
    if let Some((reason, fix)) = opt_in(&facts.settings, &seen.tags) {
        refuse(Guardrail::OptIn, reason, fix);
    }
    if is_own(&facts.settings, seen) {
        refuse(
            Guardrail::OwnFunction,
            "it is one of snapback's own functions".into(),
            "take it out of the targets".into(),
        );
    }
    if let Some(run) = target.lock.as_ref().and_then(|lock| lock.run.as_ref()) {
        refuse(
            Guardrail::Unlocked,
            format!("the run {run} has it"),
            format!("wait for it, or end it: snapback rollback {run}"),
        );
    }
    if let Some(mark) = mark(&facts.settings, seen) {
        refuse(
            Guardrail::Leftovers,
            format!("it carries a mark of snapback already: {mark}"),
            "remove it, if no run is using it".into(),
        );
    }
    if experiment.changes_latest() {
        if let Some(runtime) = &seen.runtime {
            // The restore needs an update too, and may come as late as a day after the run's end.
            if let Some(from) = blocked_from(runtime, facts.now + experiment.duration.get() + DAY) {
                let reason = format!(
                    "Lambda refuses updates of functions on {runtime} from {from}, so nothing could be restored"
                );
                refuse(Guardrail::Runtime, reason, "move the function to a current runtime".into());
            }
        }
        if seen.environment == Environment::Unreadable {
            refuse(
                Guardrail::Environment,
                "its environment cannot be read, so it could not be restored".into(),
                "give snapback's roles kms:Decrypt on the function's key".into(),
            );
        }
        if seen.managed_instances {
            let reason = format!(
                "it runs on Lambda Managed Instances, where invocations without a qualifier go to {LATEST_PUBLISHED}, so \
                 none would meet a fault on $LATEST"
            );
            refuse(Guardrail::Effect, reason, "target functions that do not run on Managed Instances".into());
        }
        if let Some((reason, fix)) = qualifier(target) {
            refuse(Guardrail::Qualifier, reason, fix);
        }
        for (reason, fix) in qualifiers_of_faults(experiment, target) {
            refuse(Guardrail::Qualifier, reason, fix);
        }
    }
    refusals
}

/// A function that was not invoked for long becomes inactive, and only an invocation wakes it; one whose creation failed
/// stays so (lambda/latest/dg/functions-states).
fn not_active(state: &str) -> (String, &'static str) {
    match state {
        "Inactive" => (
            "its state is Inactive: it has not been invoked for so long that Lambda has taken its resources back"
                .into(),
            "invoke it once, then wait until it is Active",
        ),
        "Failed" => ("its state is Failed".into(), "delete it and create it again"),
        other => (format!("its state is {other}"), "wait until it is Active"),
    }
}

fn opt_in(settings: &Settings, tags: &Tags) -> Option<(String, String)> {
    let (key, value) = &settings.opt_in;
    match tags {
        Tags::Known(tags) if tags.get(key) == Some(value) => None,
        Tags::Known(_) => Some((
            format!("it does not carry the tag {key}: {value}"),
            "tag it, if its owners agree to experiments".to_owned(),
        )),
        Tags::Unknown => Some((
            "its tags cannot be read, so it has not opted in".to_owned(),
            "allow lambda:ListTags on it".to_owned(),
        )),
    }
}

fn is_own(settings: &Settings, seen: &Observation) -> bool {
    let tagged = matches!(&seen.tags, Tags::Known(tags) if tags.contains_key("snapback"));
    tagged || is_named_as_own(&settings.prefix, &seen.arn)
}

/// Somebody's fault that is still in place would be taken down as the original.
fn mark(settings: &Settings, seen: &Observation) -> Option<String> {
    if let Environment::Readable(variables) = &seen.environment
        && let Some(name) = variables.keys().find(|name| name.starts_with("SNAPBACK_"))
    {
        return Some(format!("the variable {name}"));
    }
    let proxy = format!("{}-proxy-", settings.prefix);
    let is_ours = |name: &str| name.starts_with("snapback-") || name.starts_with(&proxy);
    let layer = seen.layers.iter().find(|layer| layer.layer().rsplit(':').next().is_some_and(is_ours))?;
    Some(format!("the layer {layer}"))
}

/// Published versions are immutable: traffic through one does not see a change of `$LATEST`.
fn qualifier(target: &TargetFacts) -> Option<(String, String)> {
    let qualifier = target.asked.as_ref()?.qualifier()?;
    let fix = "target the function without the qualifier if its $LATEST serves traffic, or use reservedConcurrency";
    match sees_latest(target, qualifier) {
        Sight::Latest => None,
        Sight::Pinned(why) => Some((format!("the fault changes $LATEST, and {why}"), fix.to_owned())),
        Sight::Nothing => Some((format!("it has no alias {qualifier}"), "correct the target".to_owned())),
    }
}

/// A fault for one alias or version is never due where that one does not see `$LATEST`.
fn qualifiers_of_faults(experiment: &Experiment, target: &TargetFacts) -> Vec<(String, String)> {
    let mut refusals = Vec::new();
    for fault in experiment.faults.iter().filter_map(Fault::invocation) {
        let (name, rule) = (fault.name(), fault.rule());
        let Some(qualifier) = rule.qualifier else { continue };
        let reason = match sees_latest(target, qualifier) {
            Sight::Latest => continue,
            Sight::Pinned(why) => format!("the {name} fault changes $LATEST, and {why}"),
            Sight::Nothing => format!("the {name} fault is for its alias {qualifier}, which it does not have"),
        };
        let fix = "name an alias that points at $LATEST, or take the fault's qualifier out";
        refusals.push((reason, fix.to_owned()));
    }
    refusals
}

/// What traffic through a qualifier gets.
enum Sight {
    Latest,
    /// A version; why that is.
    Pinned(String),
    /// There is no such alias.
    Nothing,
}

fn sees_latest(target: &TargetFacts, qualifier: &str) -> Sight {
    if qualifier == "$LATEST" {
        return Sight::Latest;
    }
    if qualifier == LATEST_PUBLISHED || qualifier.bytes().all(|b| b.is_ascii_digit()) {
        return Sight::Pinned(format!("version {qualifier} would not see it"));
    }
    match target.aliases.iter().find(|alias| alias.name == qualifier) {
        Some(alias) if alias.version == "$LATEST" => Sight::Latest,
        Some(alias) => Sight::Pinned(format!("the alias {qualifier} points at version {}", alias.version)),
        None => Sight::Nothing,
    }
}

fn about_layers(facts: &Facts, target: &TargetFacts, drafted: &ChangeSet) -> Vec<Refusal> {
    let about = target.seen.arn.name();
    let mut refusals = Vec::new();
    for change in &drafted.changes {
        let Change::Layers { original, added } = change else { continue };
        for layer in original.iter().chain(added) {
            let (reason, fix) = match facts.layers.get(layer) {
                Some(LayerFact::Here { architectures, .. }) if added.contains(layer) => {
                    let wanted = &target.seen.architecture;
                    if architectures.is_empty() || architectures.contains(wanted) {
                        continue;
                    }
                    (format!("the layer {layer} is not for {wanted}"), "use a version for its architecture".to_owned())
                }
                Some(LayerFact::Here { .. }) => continue,
                Some(LayerFact::Denied) => {
                    (format!("the layer {layer} may not be read"), "allow lambda:GetLayerVersion on it".to_owned())
                }
                Some(LayerFact::Missing) | None if added.contains(layer) => {
                    (format!("there is no layer {layer}"), "correct the ARN, or publish the layer".to_owned())
                }
                Some(LayerFact::Missing) | None => (
                    format!("its layer {layer} was deleted, and could not be put back"),
                    "update the function to a layer version that exists".to_owned(),
                ),
            };
            refusals.push(refusal(Guardrail::LayerExists, about, reason, fix));
        }
    }
    refusals
}

/// Lambda takes a layer that is not signed as the function wants it, or it does not: known before anything is touched.
fn about_code_signing(facts: &Facts, target: &TargetFacts, drafted: &ChangeSet) -> Vec<Refusal> {
    let about = target.seen.arn.name();
    let added = drafted.changes.iter().filter_map(|change| match change {
        Change::Layers { added, .. } => Some(added),
        _ => None,
    });
    let mut layers = added.flatten().peekable();
    let trusted = match &target.code_signing {
        CodeSigning::Off => return Vec::new(),
        CodeSigning::On { trusted, .. } => trusted,
        CodeSigning::Unknown => {
            let reason = "its code signing cannot be read, which may refuse the layers";
            let fix = "allow lambda:GetFunctionCodeSigningConfig on it, and lambda:GetCodeSigningConfig";
            return layers.peek().map(|_| refusal(Guardrail::CodeSigning, about, reason, fix)).into_iter().collect();
        }
    };
    let is_trusted = |layer: &&LayerVersionArn| match facts.layers.get(*layer) {
        Some(LayerFact::Here { signer, .. }) => signer.as_ref().is_some_and(|signer| trusted.contains(signer)),
        // What is not there, or may not be read, is refused for that.
        _ => true,
    };
    let refuse = |layer: &LayerVersionArn| {
        let reason = format!("the layer {layer} is not signed by a profile that its code signing trusts");
        refusal(Guardrail::CodeSigning, about, reason, "have a trusted profile sign it, or target functions without it")
    };
    layers.filter(|layer| !is_trusted(layer)).map(refuse).collect()
}

/// IAM does not see a function's tags when one of its mappings is updated: Inject's role asks for the mapping's own
/// (service-authorization/latest/reference/list_awslambda).
fn about_mappings(facts: &Facts, target: &TargetFacts, drafted: &ChangeSet) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for change in &drafted.changes {
        let Change::Mapping { id } = change else { continue };
        let tags = target.mapping_tags.get(id).unwrap_or(&Tags::Unknown);
        if let Some((reason, fix)) = opt_in(&facts.settings, tags) {
            let about = format!("{} event source mapping {id}", target.seen.arn.name());
            refusals.push(refusal(Guardrail::OptIn, &about, reason, fix));
        }
    }
    refusals
}

fn about_versions(experiment: &Experiment, target: &TargetFacts) -> Vec<String> {
    if !experiment.changes_latest() {
        return Vec::new();
    }
    let name = target.seen.arn.name();
    let mut warnings =
        vec![format!("{name}: a version that is published during the run keeps the fault; the report will name it")];
    let pinned: Vec<&str> =
        target.aliases.iter().filter(|alias| alias.version != "$LATEST").map(|alias| alias.name.as_str()).collect();
    if !pinned.is_empty() {
        warnings.push(format!("{name}: traffic through the aliases {} will not see the fault", pinned.join(", ")));
    }
    warnings
}

/// The runtime's patch level is nothing that a restore can put back, and a runtime that is not in the table of block
/// dates may refuse updates one day that nobody has told us.
fn about_runtime(experiment: &Experiment, target: &TargetFacts) -> Vec<String> {
    let (name, mut warnings) = (target.seen.arn.name(), Vec::new());
    if !experiment.changes_latest() {
        return warnings;
    }
    let moves = match target.runtime_updates {
        None | Some(RuntimeUpdates::Manual) => None,
        Some(RuntimeUpdates::FunctionUpdate) => Some("moves it to the newest version of its runtime (FunctionUpdate)"),
        Some(RuntimeUpdates::Auto) => Some("can move it to a newer version of its runtime (Auto)"),
        Some(RuntimeUpdates::Unknown) => {
            Some("can move it to a newer version of its runtime (allow lambda:GetRuntimeManagementConfig to know)")
        }
    };
    if let Some(moves) = moves {
        warnings.push(format!(
            "{name}: an update of its configuration {moves}, and the restore does not bring the old one back; the report \
             will name both"
        ));
    }
    if let Some(runtime) = target.seen.runtime.as_ref().filter(|runtime| !is_listed(runtime)) {
        warnings.push(format!(
            "{name}: it is not known until when Lambda takes updates of functions on {runtime}; if it refuses the first \
             one, nothing is injected"
        ));
    }
    warnings
}

/// Slow invocations add up. Without a reservation, a function can use up what snapback's own functions draw on, too.
fn pile_up(experiment: &Experiment, facts: &Facts, target: &TargetFacts) -> Option<String> {
    if !may_pile_up(experiment, &facts.settings, &target.seen) {
        return None;
    }
    let faults: Vec<&str> =
        experiment.faults.iter().filter(|fault| fault.slows_invocations()).map(Fault::name).collect();
    let figures = match facts.account {
        Some(AccountConcurrency { total, unreserved }) => {
            format!("it may take all {unreserved} unreserved of the account's {total} concurrent executions")
        }
        None => "it may take all of the account's unreserved concurrency, which could not be read".to_owned(),
    };
    let name = target.seen.arn.name();
    Some(format!(
        "{name}: {} can let its invocations pile up; it has no reserved concurrency, so {figures}, and the stack keeps 0 for \
         its own rollback (RollbackReservedConcurrency)",
        faults.join(" and ")
    ))
}

/// Whether the faults could leave no concurrency for snapback's own functions.
#[must_use]
pub fn may_pile_up(experiment: &Experiment, settings: &Settings, seen: &Observation) -> bool {
    let reserves = |fault: &Fault| matches!(fault, Fault::ReservedConcurrency(_));
    settings.reserved_concurrency == 0
        && seen.concurrency == Slot::Absent
        && experiment.faults.iter().any(Fault::slows_invocations)
        && !experiment.faults.iter().any(reserves)
}

/// The functions of an evaluation, in order.
#[must_use]
pub fn functions(facts: &Facts) -> Vec<FunctionArn> {
    facts.targets.iter().map(|target| target.seen.arn.clone()).collect()
}
