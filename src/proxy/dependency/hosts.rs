//! The hosts of all `dependency` faults in one list. Their positions are what shim and proxy call them by.

use std::fmt::Write;

use crate::model::invocation::{Breakage, DependencyFault, Host, InvocationFault, ProxyConfig};

use super::wire::{HostSet, MAX_HOSTS, VERSION};

/// One host of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedHost {
    /// The position of the fault among the `dependency` faults.
    pub(super) fault: usize,
    pub(super) host: &'static Host,
}

/// Returns the `dependency` faults in the order of the experiment.
pub(super) fn faults(config: &ProxyConfig) -> impl Iterator<Item = &DependencyFault> {
    config.faults.iter().filter_map(|fault| match fault {
        InvocationFault::Dependency(fault) => Some(fault),
        _ => None,
    })
}

/// Returns all hosts.
pub(super) fn hosts(config: &'static ProxyConfig) -> Vec<NamedHost> {
    let of = |(fault, settings): (usize, &'static DependencyFault)| {
        settings.hosts.iter().map(move |host| NamedHost { fault, host })
    };
    faults(config).enumerate().flat_map(of).take(MAX_HOSTS).collect()
}

/// Returns the faults of a set of hosts, as bits.
pub(super) fn faults_of(all: &[NamedHost], set: HostSet) -> u32 {
    let named = all.iter().enumerate().filter(|(at, _)| set.contains(*at));
    named.fold(0, |bits, (_, named)| bits | 1 << named.fault)
}

/// Returns the rules for the shim (`src/shim/rules.rs` describes the text).
pub(super) fn rules(config: &ProxyConfig, socket: &str) -> String {
    let mut text = format!("{VERSION} {socket} {}", config.expires_at_ms);
    for fault in faults(config) {
        let resolves = matches!(fault.breakage(), Some(Breakage::Unresolvable(_)));
        let ports: Vec<String> = fault.ports.iter().map(|port| port.get().to_string()).collect();
        for host in &fault.hosts {
            // Writing to a text never fails.
            let _ = match host.network() {
                Some(network) => write!(text, " a{:032x}/{}", network.first.to_bits(), network.bits),
                None if resolves => write!(text, " u{}", host.as_str().to_ascii_lowercase()),
                None => write!(text, " n{}", host.as_str().to_ascii_lowercase()),
            };
            if !ports.is_empty() {
                text.push(':');
                text.push_str(&ports.join(","));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(faults: &str) -> &'static ProxyConfig {
        let text = format!(r#"{{"until":9,"experiment":"e","run":"r","faults":[{faults}]}}"#);
        Box::leak(Box::new(ProxyConfig::parse(&text).unwrap_or_else(|error| unreachable!("{text}: {error}"))))
    }

    const FAULTS: &str = r#"
        {"dependency":{"hosts":["DB.*.shop","10.0.0.0/8","2001:db8::/32"],"ports":[443,80],"refuse":true}},
        {"exit":{}},
        {"dependency":{"hosts":["db.shop"],"unresolvable":"notFound"}}"#;

    #[test]
    fn the_shim_gets_every_host_with_its_ports() {
        let expected = "1 socket 9 ndb.*.shop:443,80 a00000000000000000000ffff0a000000/104:443,80 \
                        a20010db8000000000000000000000000/32:443,80 udb.shop";
        assert_eq!(rules(config(FAULTS), "socket"), expected);
    }

    #[test]
    fn a_set_of_hosts_has_the_faults_that_name_them() {
        let all = hosts(config(FAULTS));
        let written: Vec<_> = all.iter().map(|named| (named.fault, named.host.as_str())).collect();
        assert_eq!(written, [(0, "DB.*.shop"), (0, "10.0.0.0/8"), (0, "2001:db8::/32"), (1, "db.shop")]);
        let mut set = HostSet::default();
        set.insert(2);
        assert_eq!(faults_of(&all, set), 0b01);
        set.insert(3);
        assert_eq!(faults_of(&all, set), 0b11);
    }

    #[test]
    fn the_hosts_of_as_many_faults_as_a_run_can_have_fit() {
        let names: Vec<String> = (0..10).map(|name| format!(r#""{name}.shop""#)).collect();
        let fault = format!(r#"{{"dependency":{{"hosts":[{}],"refuse":true}}}}"#, names.join(","));
        assert_eq!(hosts(config(&vec![fault; 20].join(","))).len(), 200);
    }
}
