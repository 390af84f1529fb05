//! What a `dependency` fault names: a name with `*`, an address, or a range of addresses.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::model::text::shorten;

/// The most characters of a name (RFC 1035).
const MAX_NAME: usize = 253;
/// The bits of an IPv6 address before the IPv4 address that is mapped into it.
const MAPPED_BITS: u8 = 96;
/// The ranges that no fault touches: the machine itself, and link-local addresses, at which Lambda's own services
/// listen (lambda/latest/dg/configuration-envvars: the address of X-Ray's daemon). Each has an address and its bits.
const EXEMPT: [(&str, u8); 6] = [
    ("::ffff:127.0.0.0", 104),
    ("::ffff:0.0.0.0", 104),
    ("::ffff:169.254.0.0", 112),
    ("fe80::", 10),
    ("::1", 128),
    ("::", 128),
];

/// Names of the machine itself, next to all that end with `.localhost` (RFC 6761, 6.3).
const LOCAL_NAMES: [&str; 5] = ["localhost", "*localhost", "ip6-localhost", "ip6-loopback", "localhost.localdomain"];

/// Hosts that a fault names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub struct Host {
    text: String,
    network: Option<Network>,
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first address. IPv4 addresses are in their IPv4-mapped form.
    pub first: Ipv6Addr,
    /// How many bits of it all addresses share, of 128.
    pub bits: u8,
}

impl Host {
    /// Returns the text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the range of addresses; `None` if it is a name.
    #[must_use]
    pub fn network(&self) -> Option<Network> {
        self.network
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.text
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{}` {why}", shorten(&text)));
        if text.contains("://") {
            return wrong("is a URL; write only its host, and its port in `ports`");
        }
        if let Some((address, bits)) = text.split_once('/') {
            return match (address.parse::<IpAddr>(), number(bits)) {
                (Ok(address), Some(bits)) => Self::of_network(&text, address, bits),
                _ => wrong("is not a range of addresses; write one such as 10.0.0.0/8 or 2001:db8::/32"),
            };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::of_network(&text, address, if address.is_ipv4() { 32 } else { 128 });
        }
        if text.contains(':') {
            return wrong("has a port or brackets; write the host alone, and the port in `ports`");
        }
        let is_written = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
        if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(is_written) {
            return wrong("is not a name; write letters, digits, hyphens and dots, and `*` for any of them");
        }
        if text.bytes().all(|byte| b".*".contains(&byte)) {
            return wrong("is every host; write a part of the name, or 0.0.0.0/0 and ::/0 for every address");
        }
        if text.bytes().all(|byte| byte.is_ascii_digit() || b".*".contains(&byte)) {
            return wrong("is a part of an address; write a range such as 10.0.0.0/8");
        }
        match check_name(&text) {
            Some(why) => wrong(&why),
            None => Ok(Self { text, network: None }),
        }
    }
}

/// Returns why the characters of a name are no name that a function can connect to.
fn check_name(text: &str) -> Option<String> {
    // The dot at the end of a name that is complete is no part of it (RFC 1034, 3.1).
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if let Some(rest) = name.strip_prefix('.') {
        return Some(format!("begins with a dot; write *.{}", shorten(rest)));
    }
    if name.split('.').any(str::is_empty) {
        return Some("has nothing between two dots; remove one of them".to_owned());
    }
    if !name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Some("has no letter and no digit; write a part of the name".to_owned());
    }
    let is_machine = name.ends_with(".localhost") || LOCAL_NAMES.contains(&name.as_str());
    is_machine
        .then(|| "is the machine itself, which no fault touches; write a host that the function connects to".to_owned())
}

/// Reads a number as people write it: without a sign, and without zeros in front.
fn number(text: &str) -> Option<u8> {
    text.parse::<u8>().ok().filter(|number| number.to_string() == text)
}

impl Host {
    fn of_network(text: &str, address: IpAddr, bits: u8) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{}` {why}", shorten(text)));
        let (first, bits, most) = match address {
            IpAddr::V4(address) => (address.to_ipv6_mapped(), bits.saturating_add(MAPPED_BITS), 32),
            IpAddr::V6(address) => (address, bits, 128),
        };
        if bits > 128 {
            return wrong(&format!("has too many bits; write at most /{most}"));
        }
        let network = Network { first, bits };
        if network.start() != first {
            let start = match address {
                IpAddr::V4(_) => network.start().to_ipv4_mapped().map_or_else(String::new, |start| start.to_string()),
                IpAddr::V6(_) => network.start().to_string(),
            };
            let written = bits - if most == 32 { MAPPED_BITS } else { 0 };
            return wrong(&format!("begins in the middle of its range; write {start}/{written}"));
        }
        let is_in =
            |(address, bits): (&str, u8)| address.parse().is_ok_and(|first| Network { first, bits }.contains(&network));
        if EXEMPT.into_iter().any(is_in) {
            return wrong(
                "is the machine itself or link-local, which no fault touches; write an address that the function \
                 connects to",
            );
        }
        Ok(Self { text: text.to_owned(), network: Some(network) })
    }
}

impl Network {
    fn start(self) -> Ipv6Addr {
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        Ipv6Addr::from_bits(self.first.to_bits() & mask)
    }

    fn contains(self, other: &Self) -> bool {
        other.bits >= self.bits && Self { first: other.first, bits: self.bits }.start() == self.start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<Host, String> {
        Host::try_from(text.to_owned())
    }

    #[test]
    fn names_addresses_and_ranges_are_hosts() {
        for (text, network) in [
            ("*.amazonaws.com", None),
            ("dynamodb.*.amazonaws.com", None),
            ("Payments_v2.internal", None),
            ("pay.shop.test.", None),
            ("*.Test.", None),
            ("my-localhost", None),
            ("10.1.2.3", Some(("::ffff:10.1.2.3", 128))),
            ("10.0.0.0/8", Some(("::ffff:10.0.0.0", 104))),
            ("0.0.0.0/0", Some(("::ffff:0.0.0.0", 96))),
            ("::/0", Some(("::", 0))),
            ("2001:db8::/32", Some(("2001:db8::", 32))),
            ("2001:db8::1", Some(("2001:db8::1", 128))),
        ] {
            let network = network.map(|(first, bits)| (first.parse().ok(), bits));
            let read =
                host(text).map(|host| (host.network().map(|read| (Some(read.first), read.bits)), String::from(host)));
            assert_eq!(read, Ok((network, text.to_owned())));
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_fix() {
        for (text, fix) in [
            ("", "write letters"),
            ("a b", "write letters"),
            ("münchen.de", "write letters"),
            (&"a".repeat(254), "write letters"),
            ("https://shop.example", "write only its host"),
            ("shop.example:443", "the port in `ports`"),
            ("[2001:db8::1]", "the port in `ports`"),
            ("*", "write a part of the name, or 0.0.0.0/0 and ::/0"),
            ("*.*", "write a part of the name"),
            ("10.*", "write a range such as 10.0.0.0/8"),
            (".shop.test", "write *.shop.test"),
            ("a..b", "remove one of them"),
            ("shop..", "remove one of them"),
            ("-", "has no letter and no digit"),
            ("_.*", "has no letter and no digit"),
            ("localhost", "which no fault touches"),
            ("LocalHost.", "which no fault touches"),
            ("*localhost", "which no fault touches"),
            ("app.localhost", "which no fault touches"),
            ("ip6-localhost", "which no fault touches"),
            ("127.0.0.0/8", "which no fault touches"),
            ("127.0.0.1", "which no fault touches"),
            ("169.254.79.129", "which no fault touches"),
            ("0.0.0.0", "which no fault touches"),
            ("fe80::/16", "which no fault touches"),
            ("::1", "which no fault touches"),
            ("::ffff:127.0.0.1", "which no fault touches"),
            ("10.0.0.1/8", "write 10.0.0.0/8"),
            ("2001:db8::1/32", "write 2001:db8::/32"),
            ("10.0.0.0/33", "write at most /32"),
            ("2001:db8::/129", "write at most /128"),
            ("shop/8", "write one such as 10.0.0.0/8"),
            ("10.0.0.0/+8", "write one such as 10.0.0.0/8"),
            ("10.0.0.0/08", "write one such as 10.0.0.0/8"),
        ] {
            let refusal = host(text).err().unwrap_or_default();
            assert!(refusal.starts_with('`') && refusal.contains(fix), "{text}: {refusal}");
        }
    }
}
