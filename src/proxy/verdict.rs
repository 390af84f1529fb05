//! The decision about one invocation: pure, made when its event arrives.

use std::time::Duration;

use crate::model::invocation::{
    CorruptFault, DependencyFault, ErrorFault, InvocationFault, LatencyFault, MAX_FAULTS, Milliseconds, Moment,
    ProxyConfig, ResponseFault,
};

use super::dice::{Dice, between};

/// How long after its deadline an invocation is held when its handler is to have no time at all. Lambda ends it by
/// then, by its own clock. At the deadline itself, a fast handler could still finish.
const GRACE: Duration = Duration::from_secs(1);

/// An invocation, as the head of its event describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invocation<'a> {
    /// When it times out, since the epoch.
    pub(crate) deadline: Option<Duration>,
    /// The ARN that was invoked.
    pub(crate) arn: Option<&'a str>,
}

/// One roll for each fault. Every invocation rolls for every fault, so a sequence does not depend on the invocations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultRolls([u64; MAX_FAULTS]);

impl FaultRolls {
    pub(crate) fn new(config: &ProxyConfig, dice: &mut Dice, request: &str) -> Self {
        Self(dice.roll(request, config.faults.len()))
    }

    /// Returns the faults that percentage and qualifier select, each with its roll. Conditions on the event's body are
    /// not checked here.
    pub(crate) fn triggered<'o>(
        self,
        config: &'o ProxyConfig,
        invocation: Invocation<'_>,
    ) -> impl Iterator<Item = (&'o InvocationFault, u64)> + Clone + use<'o> {
        let qualifier = invocation.arn.map_or("$LATEST", qualifier).to_owned();
        config.faults.iter().zip(self.0).filter(move |(fault, roll)| {
            let rule = fault.rule();
            let here = !matches!(fault, InvocationFault::Init(_));
            here && rule.percentage.includes(*roll) && rule.qualifier.is_none_or(|wanted| wanted == qualifier)
        })
    }
}

/// Returns the qualifier of `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.
fn qualifier(arn: &str) -> &str {
    arn.splitn(8, ':').nth(7).unwrap_or("$LATEST")
}

/// What happens to an invocation, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict<'o> {
    /// The delays before the handler, each with its fault's name. They add up.
    pub(crate) delays: Vec<(&'static str, Duration)>,
    /// The result that is posted in the handler's place.
    pub(crate) instead: Option<Instead<'o>>,
    /// MB of /tmp that are filled until the result comes: one entry for each fault.
    pub(crate) megabytes: Vec<u32>,
    /// The faults that break dependencies until the result comes.
    pub(crate) dependencies: Vec<&'o DependencyFault>,
    /// The delay after which the runtime is killed.
    pub(crate) exit: Option<Duration>,
    /// What happens to the result.
    pub(crate) result_changes: ResultChanges<'o>,
}

/// A result that is posted in the handler's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead<'o> {
    /// A response, in HTTP form or raw.
    Response(&'o ResponseFault),
    /// An error.
    Error(&'o ErrorFault),
}

/// What happens to a result, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResultChanges<'o> {
    /// How long it is delayed: one entry for each fault.
    pub(crate) delays: Vec<Duration>,
    /// An error that replaces it. The fields below have no effect then.
    pub(crate) error: Option<&'o ErrorFault>,
    /// Replacements of parts of the response.
    pub(crate) responses: Vec<&'o ResponseFault>,
    /// Damage to the response.
    pub(crate) corruptions: Vec<&'o CorruptFault>,
}

impl ResultChanges<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<'o> Verdict<'o> {
    /// Puts triggered faults into their order. Of several results in the handler's place, the first one counts; nothing
    /// follows it, because the handler does not run. `now` is since the epoch.
    pub(crate) fn new(
        triggered: impl Iterator<Item = (&'o InvocationFault, u64)>,
        invocation: Invocation<'_>,
        now: Duration,
    ) -> Self {
        let mut verdict = Self::default();
        for (fault, roll) in triggered {
            verdict.add(fault, roll, invocation, now);
        }
        if verdict.instead.is_some() {
            (verdict.exit, verdict.megabytes, verdict.result_changes) = (None, Vec::new(), ResultChanges::default());
            verdict.dependencies.clear();
        }
        verdict
    }

    fn add(&mut self, fault: &'o InvocationFault, roll: u64, invocation: Invocation<'_>, now: Duration) {
        match fault {
            InvocationFault::Latency(latency) if latency.when == Moment::After => {
                self.result_changes.delays.push(delay(latency, roll));
            }
            InvocationFault::Latency(latency) => self.delays.push((fault.name(), delay(latency, roll))),
            InvocationFault::InvocationTimeout(timeout) => {
                let remaining = invocation.deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_sub(now));
                let delayed: Duration = self.delays.iter().map(|(_, delay)| delay).sum();
                let held = match timeout.buffer_ms.duration() {
                    Duration::ZERO => remaining + GRACE,
                    buffer => remaining.saturating_sub(buffer),
                };
                self.delays.push((fault.name(), held.saturating_sub(delayed)));
            }
            InvocationFault::Error(error) if error.when == Moment::After => {
                self.result_changes.error.get_or_insert(error);
            }
            InvocationFault::Error(error) => {
                self.instead.get_or_insert(Instead::Error(error));
            }
            InvocationFault::Response(response) if response.when == Moment::After => {
                self.result_changes.responses.push(response)
            }
            InvocationFault::Response(response) => {
                self.instead.get_or_insert(Instead::Response(response));
            }
            InvocationFault::Corrupt(corrupt) => self.result_changes.corruptions.push(corrupt),
            InvocationFault::Disk(disk) => self.megabytes.push(disk.megabytes.get()),
            InvocationFault::Exit(exit) => {
                let delay = exit.delay_ms.duration();
                self.exit = Some(self.exit.map_or(delay, |other| other.min(delay)));
            }
            InvocationFault::Dependency(dependency) => self.dependencies.push(dependency),
            InvocationFault::Init(_) => {}
        }
    }
}

fn delay(latency: &LatencyFault, roll: u64) -> Duration {
    let (min, max) = latency.range().unwrap_or((Milliseconds::MIN, Milliseconds::MIN));
    Duration::from_millis(between(min.get(), max.get(), roll).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:checkout";

    fn config(faults: &str) -> ProxyConfig {
        let text = format!(r#"{{"until":9,"experiment":"e","run":"r","seed":1,"faults":{faults}}}"#);
        ProxyConfig::parse(&text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    fn names(config: &ProxyConfig, arn: Option<&str>) -> Vec<&'static str> {
        let rolls = FaultRolls::new(config, &mut Dice::new(config.seed), "");
        rolls.triggered(config, Invocation { deadline: None, arn }).map(|(fault, _)| fault.name()).collect()
    }

    #[test]
    fn a_qualifier_selects_by_the_invoked_arn() {
        let config =
            config(r#"[{"disk":{"megabytes":1,"qualifier":"live"}},{"exit":{"qualifier":"$LATEST"}},{"error":{}}]"#);
        assert_eq!(names(&config, Some(&format!("{ARN}:live"))), ["disk", "error"]);
        assert_eq!(names(&config, Some(ARN)), ["exit", "error"]);
        assert_eq!(names(&config, Some(&format!("{ARN}:7"))), ["error"]);
        assert_eq!(names(&config, None), ["exit", "error"]);
    }

    #[test]
    fn each_fault_rolls_its_own_percentage() {
        let config = config(
            r#"[{"error":{"percentage":50}},{"exit":{"percentage":50}},{"disk":{"megabytes":1,"percentage":0}}]"#,
        );
        let mut dice = Dice::new(Some(3));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let rolls = FaultRolls::new(&config, &mut dice, "");
            let triggered = rolls.triggered(&config, Invocation { deadline: None, arn: None });
            seen.insert(triggered.map(|(fault, _)| fault.name()).collect::<Vec<_>>());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [vec![], vec!["error"], vec!["error", "exit"], vec!["exit"]]);
    }

    fn verdict(config: &ProxyConfig) -> Verdict<'_> {
        let invocation = Invocation { deadline: Some(10_000 * MS), arn: None };
        let triggered = FaultRolls::new(config, &mut Dice::new(config.seed), "").triggered(config, invocation);
        Verdict::new(triggered, invocation, 4_000 * MS)
    }

    #[test]
    fn delays_add_up_and_a_timeout_includes_them() {
        let config = config(
            r#"[{"latency":{"delayMs":200}},{"latency":{"minMs":5,"maxMs":5,"when":"after"}},{"invocationTimeout":{"bufferMs":500}}]"#,
        );
        let verdict = verdict(&config);
        assert_eq!(verdict.delays, [("latency", 200 * MS), ("invocationTimeout", 5_300 * MS)]);
        assert_eq!(verdict.result_changes.delays, [5 * MS]);
    }

    #[test]
    fn a_timeout_without_a_buffer_outlasts_the_invocation() {
        let config = config(r#"[{"invocationTimeout":{}}]"#);
        assert_eq!(verdict(&config).delays, [("invocationTimeout", 7_000 * MS)]);
    }

    #[test]
    fn faults_after_the_handler_do_not_affect_its_run() {
        let config = config(
            r#"[{"error":{"type":"First","when":"after"}},{"response":{"statusCode":503,"when":"after"}},{"error":{"when":"after"}},{"corrupt":{"mangle":true}}]"#,
        );
        let Verdict { delays, instead, megabytes, dependencies, exit, result_changes } = verdict(&config);
        assert!(dependencies.is_empty());
        assert_eq!((delays.len(), instead, megabytes.len(), exit), (0, None, 0, None));
        assert_eq!(result_changes.error.map(|error| error.error_type.as_str()), Some("First"));
        assert_eq!(
            (result_changes.responses.len(), result_changes.corruptions.len(), result_changes.is_empty()),
            (1, 1, false)
        );
    }

    #[test]
    fn an_error_before_the_handler_takes_its_place() {
        let config = config(r#"[{"error":{"type":"First"}},{"response":{"statusCode":503}},{"error":{}}]"#);
        let Verdict { instead, result_changes, .. } = verdict(&config);
        assert!(matches!(instead, Some(Instead::Error(error)) if error.error_type == "First"), "{instead:?}");
        assert!(result_changes.is_empty());
    }

    #[test]
    fn the_earliest_exit_counts() {
        let config = config(r#"[{"exit":{"delayMs":7}},{"exit":{"delayMs":5}},{"exit":{"delayMs":9}}]"#);
        assert_eq!(verdict(&config).exit, Some(5 * MS));
    }

    #[test]
    fn nothing_follows_the_first_result_in_the_handlers_place() {
        let config = config(
            r#"[{"exit":{}},{"corrupt":{"mangle":true}},{"response":{"statusCode":503}},{"error":{}},{"disk":{"megabytes":1}},
               {"dependency":{"hosts":["db.shop"],"refuse":true}}]"#,
        );
        let verdict = verdict(&config);
        assert!(verdict.dependencies.is_empty());
        assert!(matches!(verdict.instead, Some(Instead::Response(_))));
        assert_eq!(
            (verdict.exit, verdict.megabytes, verdict.result_changes),
            (None, Vec::new(), ResultChanges::default())
        );
    }
}
