//! The hosts that faults name, as the wrapper writes them into the shim's variable. Parsed once, into memory of a fixed
//! size, and only read afterwards.
//!
//! The text is `VERSION SOCKET UNTIL HOST...`: the version, the name of the proxy's abstract socket, the end of the
//! faults in milliseconds since the epoch, and the hosts. A host is one letter, what it names, and optional ports:
//! `n*.amazonaws.com:443,8443` for connections to the addresses of names, `u*.amazonaws.com` for names that shall not
//! resolve, `a00000000000000000000ffff0a000000/104:443` for addresses with a common prefix.

use crate::destination::is_ipv4;
use crate::wire::{HostSet, MAX_HOSTS, MAX_PORTS, VERSION};

/// Bytes for the names of all hosts. The variable with the faults has at most 4 KB.
const NAME_BYTES: usize = 8192;
/// The longest name of an abstract socket (unix(7)).
const SOCKET_BYTES: usize = 107;
/// The bits of an IPv6 address before the IPv4 address that is mapped into it.
const MAPPED_BITS: u8 = 96;

/// What a host of the rules names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Connections to the addresses of matching names.
    Name,
    /// Resolutions of matching names.
    Unresolvable,
    /// Connections to addresses that begin with these bits.
    Address { prefix: u128, bits: u8 },
}

/// What a name is matched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To know the addresses of connections.
    Connect,
    /// To prevent the resolution.
    Resolve,
}

#[derive(Clone, Copy, Debug)]
struct Host {
    kind: Kind,
    /// The place of the pattern in the names.
    pattern: (u16, u16),
    ports: [u16; MAX_PORTS],
    port_count: u8,
}

impl Host {
    const EMPTY: Self = Self { kind: Kind::Name, pattern: (0, 0), ports: [0; MAX_PORTS], port_count: 0 };

    /// A host without ports names all of them.
    fn has_port(&self, port: u16) -> bool {
        self.port_count == 0 || self.ports.iter().take(self.port_count.into()).any(|own| *own == port)
    }
}

/// The rules of one run.
#[derive(Debug)]
pub struct Rules {
    hosts: [Host; MAX_HOSTS],
    count: usize,
    names: [u8; NAME_BYTES],
    socket: [u8; SOCKET_BYTES],
    socket_length: usize,
    /// When the faults expire, in milliseconds since the epoch.
    pub until_ms: u64,
}

impl Rules {
    /// Rules that name nothing.
    pub const EMPTY: Self = Self {
        hosts: [Host::EMPTY; MAX_HOSTS],
        count: 0,
        names: [0; NAME_BYTES],
        socket: [0; SOCKET_BYTES],
        socket_length: 0,
        until_ms: 0,
    };

    /// Reads the text. On anything unknown it returns `None`, and the shim does nothing.
    #[must_use]
    pub fn read(&mut self, text: &[u8]) -> Option<()> {
        let mut words = text.split(|byte| *byte == b' ');
        if number(words.next()?)? != u64::from(VERSION) {
            return None;
        }
        let socket = words.next()?;
        self.socket.get_mut(..socket.len())?.copy_from_slice(socket);
        self.socket_length = socket.len();
        self.until_ms = number(words.next()?)?;
        let mut used = 0;
        for word in words {
            let host = self.read_host(word, &mut used)?;
            *self.hosts.get_mut(self.count)? = host;
            self.count += 1;
        }
        Some(())
    }

    fn read_host(&mut self, word: &[u8], used: &mut usize) -> Option<Host> {
        let mut parts = word.split(|byte| *byte == b':');
        let (letter, named) = parts.next()?.split_first()?;
        let mut host = Host::EMPTY;
        match letter {
            b'a' => {
                let mut halves = named.split(|byte| *byte == b'/');
                let prefix = hexadecimal(halves.next()?)?;
                let bits = u8::try_from(number(halves.next()?)?).ok().filter(|bits| *bits <= 128)?;
                host.kind = Kind::Address { prefix, bits };
            }
            b'n' | b'u' => {
                host.kind = if *letter == b'n' { Kind::Name } else { Kind::Unresolvable };
                let named = named.strip_suffix(b".").unwrap_or(named);
                let end = used.checked_add(named.len())?;
                self.names.get_mut(*used..end)?.copy_from_slice(named);
                host.pattern = (u16::try_from(*used).ok()?, u16::try_from(end).ok()?);
                *used = end;
            }
            _ => return None,
        }
        for port in parts.next().into_iter().flat_map(|ports| ports.split(|byte| *byte == b',')) {
            *host.ports.get_mut(usize::from(host.port_count))? = u16::try_from(number(port)?).ok()?;
            host.port_count += 1;
        }
        parts.next().is_none().then_some(host)
    }

    /// The name of the proxy's abstract socket.
    #[must_use]
    pub fn socket(&self) -> &[u8] {
        self.socket.get(..self.socket_length).unwrap_or_default()
    }

    /// Returns the hosts that name this address. A range of IPv6 has no IPv4 address, also `::/0`.
    #[must_use]
    pub fn of_address(&self, address: u128) -> HostSet {
        let is_ipv4 = is_ipv4(address);
        self.select(|host| match host.kind {
            Kind::Address { prefix, bits } => {
                let is_in = (address ^ prefix).checked_shr(128 - u32::from(bits)).is_none_or(|rest| rest == 0);
                is_in && (!is_ipv4 || bits >= MAPPED_BITS)
            }
            _ => false,
        })
    }

    /// Returns the hosts that name this name. A text that is an address has none: it is not resolved.
    #[must_use]
    pub fn of_name(&self, name: &[u8], purpose: Purpose) -> HostSet {
        let name = name.strip_suffix(b".").unwrap_or(name);
        if name.contains(&b':') || name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
            return HostSet::default();
        }
        let wanted = if purpose == Purpose::Connect { Kind::Name } else { Kind::Unresolvable };
        self.select(|host| host.kind == wanted && matches(self.pattern(host), name))
    }

    /// Keeps the hosts that name this port.
    #[must_use]
    pub fn with_port(&self, hosts: HostSet, port: u16) -> HostSet {
        if hosts.is_empty() {
            return hosts;
        }
        let mut kept = HostSet::default();
        for (at, host) in self.hosts.iter().enumerate().take(self.count) {
            if hosts.contains(at) && host.has_port(port) {
                kept.insert(at);
            }
        }
        kept
    }

    fn pattern(&self, host: &Host) -> &[u8] {
        let (from, to) = host.pattern;
        self.names.get(from.into()..to.into()).unwrap_or_default()
    }

    fn select(&self, is_named: impl Fn(&Host) -> bool) -> HostSet {
        let mut selected = HostSet::default();
        for (at, host) in self.hosts.iter().enumerate().take(self.count) {
            if is_named(host) {
                selected.insert(at);
            }
        }
        selected
    }
}

/// Whether a name matches a pattern in lower case, in which `*` stands for any characters. It takes time in proportion
/// to the product of both lengths, at most.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where to continue if the text after the last `*` does not match: the pattern after it, and the next place.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(place) {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                retry = Some((at, place));
            }
            Some(own) if *own == byte.to_ascii_lowercase() => (at, place) = (at + 1, place + 1),
            _ => match &mut retry {
                Some((after, next)) => {
                    *next += 1;
                    (at, place) = (*after, *next);
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn hexadecimal(text: &[u8]) -> Option<u128> {
    if text.len() != 32 {
        return None;
    }
    text.iter().try_fold(0, |number, byte| Some(number << 4 | u128::from(char::from(*byte).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Option<Rules> {
        let mut rules = Rules::EMPTY;
        rules.read(text.as_bytes()).map(|()| rules)
    }

    fn set(hosts: &[usize]) -> HostSet {
        let mut set = HostSet::default();
        hosts.iter().for_each(|host| set.insert(*host));
        set
    }

    fn mapped(address: [u8; 4]) -> u128 {
        core::net::Ipv4Addr::from(address).to_ipv6_mapped().to_bits()
    }

    #[test]
    fn a_pattern_matches_whole_names_in_any_case() {
        for (pattern, name, expected) in [
            ("db.shop", "DB.Shop", true),
            ("db.shop", "db.shop2", false),
            ("db.shop", "adb.shop", false),
            ("*.shop", "db.eu.shop", true),
            ("*.shop", "shop", false),
            ("db.*.shop", "db.eu.west.shop", true),
            ("db.*.shop", "db.shop", false),
            ("*a*b*", "xxabab", true),
            ("*a*b*c", "aabbab", false),
            ("db*", "db", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn addresses_names_and_ports_select_their_hosts() {
        let rules = rules(
            "1 socket 1780000000000 ndb.*:443,8443 a00000000000000000000ffff0a000000/104 udb.*. \
             a20010db8000000000000000000000000/32:80 a00000000000000000000000000000000/0:9",
        );
        let rules = rules.unwrap_or(Rules::EMPTY);
        assert_eq!((rules.socket(), rules.until_ms, rules.count), (&b"socket"[..], 1_780_000_000_000, 5));
        assert_eq!(rules.of_name(b"db.shop", Purpose::Connect), set(&[0]));
        assert_eq!(rules.of_name(b"db.shop.", Purpose::Resolve), set(&[2]));
        assert_eq!(rules.of_name(b"10.1.2.3", Purpose::Connect), set(&[]));
        assert_eq!(rules.of_address(mapped([10, 255, 0, 1])), set(&[1]));
        assert_eq!(rules.of_address(mapped([11, 0, 0, 1])), set(&[]));
        assert_eq!(rules.of_address(0x2001_0db8_u128 << 96 | 7), set(&[3, 4]));
        assert_eq!(rules.with_port(set(&[0, 1, 3]), 443), set(&[0, 1]));
        assert_eq!(rules.with_port(set(&[0, 1, 3]), 80), set(&[1, 3]));
    }

    #[test]
    fn a_text_with_anything_unknown_is_refused() {
        assert!(rules("1 s 9").is_some());
        for text in
            ["", "2 s 9", "1 s", "1 s x", "1 s 9 zx", "1 s 9 a0a/8", "1 s 9 nx:", "1 s 9 nx:1:2", "1 s 9 nx:70000"]
        {
            assert!(rules(text).is_none(), "{text}");
        }
        let many = |count: usize| format!("1 s 9{}", " nx".repeat(count));
        assert!(rules(&many(256)).is_some() && rules(&many(257)).is_none());
        assert!(rules(&format!("1 s 9 n{}", "x".repeat(9000))).is_none());
        assert!(
            rules("1 s 9 nx:1,2,3,4,5,6,7,8,9,10").is_some() && rules("1 s 9 nx:1,2,3,4,5,6,7,8,9,10,11").is_none()
        );
    }
}
