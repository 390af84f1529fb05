//! The decision about one invocation: pure, made when its event comes.

use crate::model::invocation::{
    CorruptFault, ErrorFault, InvocationFault, LatencyFault, MAX_FAULTS, Moment, ProxyConfig, ResponseFault,
};

use super::dice::{Dice, between};

/// An invocation, as the head of its event tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invocation<'a> {
    /// When its time is up, in milliseconds since the epoch.
    pub(crate) deadline: Option<u64>,
    /// The ARN that was invoked.
    pub(crate) arn: Option<&'a str>,
}

/// One roll a fault, made for each invocation alike, so that a sequence does not depend on what the invocations were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultRolls([u64; MAX_FAULTS]);

impl FaultRolls {
    pub(crate) fn new(config: &ProxyConfig, dice: &mut Dice, request: &str) -> Self {
        Self(dice.roll(request, config.faults.len()))
    }

    /// The faults that are due, as far as that can be told without the event's body.
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

/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`
fn qualifier(arn: &str) -> &str {
    arn.splitn(8, ':').nth(7).unwrap_or("$LATEST")
}

/// Milliseconds beyond an invocation's time that it is kept where nothing of that is to be left: Lambda ends it by then,
/// by its own clock. At the deadline itself, a fast handler could still win.
const GRACE: u64 = 1_000;

/// What happens to an invocation, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict<'o> {
    /// The delays before the handler, in milliseconds, each with its fault's name. They add up.
    pub(crate) delays: Vec<(&'static str, u64)>,
    /// What is answered in the handler's place.
    pub(crate) instead: Option<Instead<'o>>,
    /// MB of /tmp to fill, and to free when the answer comes: one entry a fault.
    pub(crate) megabytes: Vec<u32>,
    /// Milliseconds after which the runtime is killed.
    pub(crate) exit: Option<u64>,
    /// What happens to the answer.
    pub(crate) after: After<'o>,
}

/// What is answered in the handler's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead<'o> {
    /// An HTTP answer, or a raw one.
    Response(&'o ResponseFault),
    /// An error.
    Error(&'o ErrorFault),
}

/// What happens to an answer, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct After<'o> {
    /// Milliseconds that it is kept back: one entry a fault.
    pub(crate) delays: Vec<u64>,
    /// An error in its place: the others are void then.
    pub(crate) error: Option<&'o ErrorFault>,
    /// Parts of it that are replaced.
    pub(crate) responses: Vec<&'o ResponseFault>,
    /// Damage.
    pub(crate) corruptions: Vec<&'o CorruptFault>,
}

impl After<'_> {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl<'o> Verdict<'o> {
    /// Brings faults that are due into their order. Of several answers in the handler's place, the first one counts; and
    /// nothing follows it, for the handler does not run.
    pub(crate) fn new(
        due: impl Iterator<Item = (&'o InvocationFault, u64)>,
        invocation: Invocation<'_>,
        now: u64,
    ) -> Self {
        let mut verdict = Self::default();
        for (fault, roll) in due {
            verdict.add(fault, roll, invocation, now);
        }
        if verdict.instead.is_some() {
            (verdict.exit, verdict.megabytes, verdict.after) = (None, Vec::new(), After::default());
        }
        verdict
    }

    fn add(&mut self, fault: &'o InvocationFault, roll: u64, invocation: Invocation<'_>, now: u64) {
        match fault {
            InvocationFault::Latency(latency) if latency.when == Moment::After => {
                self.after.delays.push(delay(latency, roll));
            }
            InvocationFault::Latency(latency) => self.delays.push((fault.name(), delay(latency, roll))),
            InvocationFault::InvocationTimeout(timeout) => {
                let left = invocation.deadline.map_or(0, |deadline| deadline.saturating_sub(now));
                let waited: u64 = self.delays.iter().map(|(_, delay)| delay).sum();
                let kept = match u64::from(timeout.buffer_ms.get()) {
                    0 => left + GRACE,
                    buffer => left.saturating_sub(buffer),
                };
                self.delays.push((fault.name(), kept.saturating_sub(waited)));
            }
            InvocationFault::Error(error) if error.when == Moment::After => {
                self.after.error.get_or_insert(error);
            }
            InvocationFault::Error(error) => {
                self.instead.get_or_insert(Instead::Error(error));
            }
            InvocationFault::Response(response) if response.when == Moment::After => {
                self.after.responses.push(response)
            }
            InvocationFault::Response(response) => {
                self.instead.get_or_insert(Instead::Response(response));
            }
            InvocationFault::Corrupt(corrupt) => self.after.corruptions.push(corrupt),
            InvocationFault::Disk(disk) => self.megabytes.push(disk.megabytes.get()),
            InvocationFault::Exit(exit) => {
                let delay = u64::from(exit.delay_ms.get());
                self.exit = Some(self.exit.map_or(delay, |other| other.min(delay)));
            }
            InvocationFault::Init(_) => {}
        }
    }
}

fn delay(latency: &LatencyFault, roll: u64) -> u64 {
    latency.range().map_or(0, |(least, most)| u64::from(between(least, most, roll)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_qualifier_is_that_of_the_invoked_arn() {
        let config =
            config(r#"[{"disk":{"megabytes":1,"qualifier":"live"}},{"exit":{"qualifier":"$LATEST"}},{"error":{}}]"#);
        assert_eq!(names(&config, Some(&format!("{ARN}:live"))), ["disk", "error"]);
        assert_eq!(names(&config, Some(ARN)), ["exit", "error"]);
        assert_eq!(names(&config, Some(&format!("{ARN}:7"))), ["error"]);
        assert_eq!(names(&config, None), ["exit", "error"]);
    }

    #[test]
    fn each_fault_rolls_for_itself() {
        let config = config(
            r#"[{"error":{"percentage":50}},{"exit":{"percentage":50}},{"disk":{"megabytes":1,"percentage":0}}]"#,
        );
        let mut dice = Dice::new(Some(3));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let rolls = FaultRolls::new(&config, &mut dice, "");
            let due = rolls.triggered(&config, Invocation { deadline: None, arn: None });
            seen.insert(due.map(|(fault, _)| fault.name()).collect::<Vec<_>>());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [vec![], vec!["error"], vec!["error", "exit"], vec!["exit"]]);
    }

    fn verdict(config: &ProxyConfig) -> Verdict<'_> {
        let invocation = Invocation { deadline: Some(10_000), arn: None };
        let due = FaultRolls::new(config, &mut Dice::new(config.seed), "").triggered(config, invocation);
        Verdict::new(due, invocation, 4_000)
    }

    #[test]
    fn delays_add_up_and_a_timeout_counts_them() {
        let config = config(
            r#"[{"latency":{"delayMs":200}},{"latency":{"minMs":5,"maxMs":5,"when":"after"}},{"invocationTimeout":{"bufferMs":500}}]"#,
        );
        let verdict = verdict(&config);
        assert_eq!(verdict.delays, [("latency", 200), ("invocationTimeout", 5_300)]);
        assert_eq!(verdict.after.delays, [5]);
    }

    #[test]
    fn a_timeout_without_a_buffer_outlasts_the_invocation() {
        let config = config(r#"[{"invocationTimeout":{}}]"#);
        assert_eq!(verdict(&config).delays, [("invocationTimeout", 7_000)]);
    }

    #[test]
    fn what_is_due_after_the_handler_leaves_its_run_alone() {
        let config = config(
            r#"[{"error":{"type":"First","when":"after"}},{"response":{"statusCode":503,"when":"after"}},{"error":{"when":"after"}},{"corrupt":{"mangle":true}}]"#,
        );
        let Verdict { delays, instead, megabytes, exit, after } = verdict(&config);
        assert_eq!((delays.len(), instead, megabytes.len(), exit), (0, None, 0, None));
        assert_eq!(after.error.map(|error| error.error_type.as_str()), Some("First"));
        assert_eq!((after.responses.len(), after.corruptions.len(), after.is_nothing()), (1, 1, false));
    }

    #[test]
    fn an_error_before_the_handler_answers_in_its_place() {
        let config = config(r#"[{"error":{"type":"First"}},{"response":{"statusCode":503}},{"error":{}}]"#);
        let Verdict { instead, after, .. } = verdict(&config);
        assert!(matches!(instead, Some(Instead::Error(error)) if error.error_type == "First"), "{instead:?}");
        assert!(after.is_nothing());
    }

    #[test]
    fn the_first_exit_in_time_is_the_one_that_happens() {
        let config = config(r#"[{"exit":{"delayMs":7}},{"exit":{"delayMs":5}},{"exit":{"delayMs":9}}]"#);
        assert_eq!(verdict(&config).exit, Some(5));
    }

    #[test]
    fn the_first_answer_in_the_handlers_place_is_the_last_thing_that_happens() {
        let config = config(
            r#"[{"exit":{}},{"corrupt":{"mangle":true}},{"response":{"statusCode":503}},{"error":{}},{"disk":{"megabytes":1}}]"#,
        );
        let verdict = verdict(&config);
        assert!(matches!(verdict.instead, Some(Instead::Response(_))));
        assert_eq!((verdict.exit, verdict.megabytes, verdict.after), (None, Vec::new(), After::default()));
    }
}
