//! The fault that breaks what a function depends on: the connections to some hosts, or the resolution of their names.

use serde::{Deserialize, Serialize};

use crate::model::bounded::BoundedU32;
use crate::model::problems::Problems;
use crate::model::text::shorten;

use super::condition::EventCondition;
use super::host::Host;
use super::percentage::Percentage;
use super::rule::{Milliseconds, Rule, invocation_fault};

/// The most hosts of a fault.
const MAX_HOSTS: usize = 10;
/// The most ports of a fault.
const MAX_PORTS: usize = 10;

/// The settings of which a fault has exactly one.
const BREAKAGES: [&str; 6] = ["latency", "bandwidth", "refuse", "reset", "blackhole", "unresolvable"];

/// A TCP port.
pub type Port = BoundedU32<1, 65_535>;

invocation_fault!(
    /// Breaks the function's connections to some hosts, or the resolution of their names, while an invocation runs.
    DependencyFault {
        /// Names with `*` for any characters, addresses, and ranges of addresses: `*.amazonaws.com`, `10.0.0.0/8`.
        hosts: Vec<Host>,
        /// The ports; default: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ports: Vec<Port>,
        /// Delays the first bytes of each answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        latency: Option<AnswerLatency>,
        /// Limits the bytes in each direction of each connection.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bandwidth: Option<Bandwidth>,
        /// Refuses new connections, and resets open ones when the function sends something.
        #[serde(default, skip_serializing_if = "is_false")]
        refuse: bool,
        /// Resets connections in the middle of an answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reset: Option<Reset>,
        /// Never completes new connections, and stops the bytes of open ones.
        #[serde(default, skip_serializing_if = "is_false")]
        blackhole: bool,
        /// Fails the resolution of the names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unresolvable: Option<Unresolvable>,
    }
);

/// A delay before the first bytes of each answer: `delayMs`, or a random time from `minMs` to `maxMs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnswerLatency {
    /// The delay in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<Milliseconds>,
    /// The shortest delay in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ms: Option<Milliseconds>,
    /// The longest delay in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<Milliseconds>,
}

/// A limit of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bandwidth {
    /// The bytes per second in each direction.
    pub bytes_per_second: BoundedU32<1, 1_000_000_000>,
}

/// Where a connection is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reset {
    /// The bytes that the function still receives in the invocation; default: 0, so that the connection is reset when
    /// the function sends something.
    #[serde(default = "no_bytes")]
    pub after_bytes: BoundedU32<0, 1_000_000_000>,
}

/// How the resolution of a name fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Unresolvable {
    /// The name does not exist.
    NotFound,
    /// The name server does not answer now.
    TryAgain,
}

/// How a dependency is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    /// The first bytes of each answer are late by a time in this range.
    Latency(Milliseconds, Milliseconds),
    /// Bytes per second in each direction.
    Bandwidth(u32),
    /// Connections are refused.
    Refuse,
    /// Connections are reset after this many bytes of answers.
    Reset(u32),
    /// Connections never end, and open ones fall silent.
    Blackhole,
    /// Names do not resolve.
    Unresolvable(Unresolvable),
}

impl Default for Reset {
    fn default() -> Self {
        Self { after_bytes: no_bytes() }
    }
}

fn no_bytes() -> BoundedU32<0, 1_000_000_000> {
    BoundedU32::<0, 1_000_000_000>::MIN
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl AnswerLatency {
    fn range(self) -> Option<(Milliseconds, Milliseconds)> {
        match (self.delay_ms, self.min_ms, self.max_ms) {
            (Some(delay), None, None) => Some((delay, delay)),
            (None, Some(min), Some(max)) if min <= max => Some((min, max)),
            _ => None,
        }
    }
}

impl DependencyFault {
    /// Returns how the dependency is broken; `None` unless exactly one way is set.
    #[must_use]
    pub fn breakage(&self) -> Option<Breakage> {
        let mut set = self.ways().into_iter().flatten();
        set.next().filter(|_| set.next().is_none())
    }

    /// Returns the ways that are set, in the order of [`BREAKAGES`].
    fn ways(&self) -> [Option<Breakage>; BREAKAGES.len()] {
        let range = self.latency.map(|latency| latency.range().unwrap_or((Milliseconds::MIN, Milliseconds::MIN)));
        [
            range.map(|(min, max)| Breakage::Latency(min, max)),
            self.bandwidth.map(|limit| Breakage::Bandwidth(limit.bytes_per_second.get())),
            self.refuse.then_some(Breakage::Refuse),
            self.reset.map(|reset| Breakage::Reset(reset.after_bytes.get())),
            self.blackhole.then_some(Breakage::Blackhole),
            self.unresolvable.map(Breakage::Unresolvable),
        ]
    }

    /// Returns the names of the ways that are set.
    fn given(&self) -> Vec<&'static str> {
        BREAKAGES.into_iter().zip(self.ways()).filter_map(|(name, way)| way.map(|_| name)).collect()
    }

    /// Checks what the types cannot express.
    pub(super) fn check(&self, problems: &mut Problems) {
        let hosts = |count: usize| {
            format!("`hosts` has {count} hosts; write 1 to {MAX_HOSTS}, such as *.amazonaws.com or 10.0.0.0/8")
        };
        match self.hosts.len() {
            0 => problems.lacking("hosts", &["hosts"], hosts(0)),
            count if count > MAX_HOSTS => problems.wrong("hosts", hosts(count)),
            _ => {}
        }
        if self.ports.len() > MAX_PORTS {
            let count = self.ports.len();
            problems.wrong("ports", format!("`ports` has {count} ports; write at most {MAX_PORTS}, or none for all"));
        }
        self.check_breakage(problems);
        if self.unresolvable.is_some() {
            self.check_names(problems);
        }
    }

    fn check_breakage(&self, problems: &mut Problems) {
        let given = self.given();
        let text = "needs exactly one of `latency`, `bandwidth`, `refuse: true`, `reset`, `blackhole: true` and \
                    `unresolvable`; keep one, and write another `dependency` fault for each other one";
        match &*given {
            [] => problems.lacking("", &BREAKAGES, text),
            [_] => {}
            [_, second, ..] => problems.wrong(second, text),
        }
        if let Some(latency) = self.latency.filter(|latency| latency.range().is_none()) {
            problems.lacking("latency", &["latency"], wrong_range(latency));
        }
    }

    /// Checks that everything has to do with the resolution of names.
    fn check_names(&self, problems: &mut Problems) {
        for (at, host) in self.hosts.iter().enumerate().filter(|(_, host)| host.network().is_some()) {
            let text = format!(
                "has `unresolvable` for `{}`, and an address is not resolved; write names, or use `refuse` or `blackhole`",
                shorten(host.as_str())
            );
            problems.wrong(&format!("hosts/{at}"), text);
        }
        if !self.ports.is_empty() {
            let text = "has `ports` with `unresolvable`, and a name is resolved without a port; remove `ports`";
            problems.wrong("ports", text);
        }
    }
}

fn wrong_range(latency: AnswerLatency) -> String {
    match latency {
        AnswerLatency { delay_ms: None, min_ms: Some(min), max_ms: Some(max) } => {
            format!("`latency` has `minMs` {} and `maxMs` {}; write the smaller one in `minMs`", min.get(), max.get())
        }
        _ => "`latency` needs exactly one delay; write `delayMs`, or both `minMs` and `maxMs`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(settings: &str) -> String {
        let text = format!(r#"{{"hosts":["db.shop"],{settings}}}"#);
        let fault: DependencyFault =
            serde_json::from_str(&text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
        first(&fault).err().unwrap_or_default()
    }

    fn first(fault: &DependencyFault) -> Result<(), String> {
        let mut problems = Problems::default();
        fault.check(&mut problems);
        problems.first()
    }

    #[test]
    fn exactly_one_breakage_is_accepted() {
        for settings in [
            r#""latency":{"delayMs":0}"#,
            r#""latency":{"minMs":5,"maxMs":5}"#,
            r#""bandwidth":{"bytesPerSecond":1}"#,
            r#""refuse":true,"blackhole":false"#,
            r#""reset":{}"#,
            r#""blackhole":true,"ports":[1,65535]"#,
            r#""unresolvable":"tryAgain""#,
        ] {
            assert_eq!(refusal(settings), "", "{settings}");
        }
        for settings in [r#""ports":[443]"#, r#""refuse":false"#, r#""refuse":true,"reset":{}"#] {
            assert!(refusal(settings).starts_with("needs exactly one of `latency`"), "{settings}");
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let ports = (1..=11).map(|port| port.to_string()).collect::<Vec<_>>().join(",");
        for (settings, fix) in [
            (r#""latency":{}"#.to_owned(), "write `delayMs`, or both"),
            (r#""latency":{"minMs":6,"maxMs":5}"#.to_owned(), "write the smaller one in `minMs`"),
            (r#""latency":{"delayMs":1,"maxMs":5}"#.to_owned(), "exactly one delay"),
            (format!(r#""refuse":true,"ports":[{ports}]"#), "write at most 10, or none for all"),
            (r#""unresolvable":"notFound","ports":[53]"#.to_owned(), "remove `ports`"),
        ] {
            assert!(refusal(&settings).contains(fix), "{settings}: {}", refusal(&settings));
        }
    }

    #[test]
    fn an_address_cannot_be_unresolvable() {
        let read = |hosts: &str| {
            let fault: Result<DependencyFault, _> =
                serde_json::from_str(&format!(r#"{{"hosts":[{hosts}],"unresolvable":"notFound"}}"#));
            fault.map_err(|error| error.to_string()).and_then(|fault| first(&fault)).err().unwrap_or_default()
        };
        assert!(read(r#""db.shop","10.0.0.1""#).contains("`10.0.0.1`, and an address is not resolved; write names"));
        assert!(read("").contains("`hosts` has 0 hosts; write 1 to 10"));
        assert_eq!(read(&[r#""db.shop""#; 10].join(",")), "");
        assert!(read(&[r#""db.shop""#; 11].join(",")).contains("`hosts` has 11 hosts"));
    }
}
