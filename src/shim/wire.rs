//! What the shim and the proxy say to each other: one question and one answer, both of a fixed size. The proxy compiles
//! this file, too.

use core::ops::BitOr;

/// The variable in which the shim finds its rules.
pub const SHIM_VARIABLE: &str = "SNAPBACK_SHIM";
/// The most hosts of all faults together.
pub const MAX_HOSTS: usize = 256;
/// The most ports of one host.
pub const MAX_PORTS: usize = 10;
/// The bytes of a question.
pub const QUESTION_BYTES: usize = 64;
/// The bytes of an answer.
pub const ANSWER_BYTES: usize = 8;
/// The version of rules, questions and answers. Shim and proxy come in one layer, so they never differ.
pub const VERSION: u8 = 1;

const WORDS: usize = MAX_HOSTS / 64;
const CONNECT: u8 = 1;
const RESOLVE: u8 = 2;
const IS_NONBLOCKING: u8 = 1;
const IS_ONLY_IPV6: u8 = 2;
const PASS: u8 = 0;
const FAIL: u8 = 1;
const THROUGH: u8 = 2;

/// A set of hosts, by their positions in the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HostSet(pub [u64; WORDS]);

impl HostSet {
    /// Adds a host.
    pub fn insert(&mut self, host: usize) {
        if let Some(word) = self.0.get_mut(host / 64) {
            *word |= 1 << (host % 64);
        }
    }

    /// Whether it has this host.
    #[must_use]
    pub fn contains(&self, host: usize) -> bool {
        self.0.get(host / 64).is_some_and(|word| word & (1 << (host % 64)) != 0)
    }

    /// Whether it has no host.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }
}

impl BitOr for HostSet {
    type Output = Self;

    fn bitor(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }
}

/// What a process is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// It connects a TCP socket.
    Connect {
        /// The hosts of the rules that name the destination.
        hosts: HostSet,
        /// The IPv6 address, or an IPv4 address in its IPv4-mapped form.
        address: [u8; 16],
        /// The port.
        port: u16,
        /// Whether the socket is non-blocking, so that its program has other work to do.
        is_nonblocking: bool,
        /// Whether the socket cannot connect to an IPv4 address.
        is_only_ipv6: bool,
    },
    /// It resolves a name.
    Resolve {
        /// The hosts of the rules that name it.
        hosts: HostSet,
    },
}

/// What it does instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The same.
    Pass,
    /// Fail with this error: an errno for a connection, a code of getaddrinfo(3) for a name.
    Fail(i32),
    /// Connect to this port of the loopback address.
    Through(u16),
}

impl Question {
    /// Returns its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; QUESTION_BYTES] {
        let mut bytes = [0; QUESTION_BYTES];
        bytes[0] = VERSION;
        let hosts = match self {
            Self::Resolve { hosts } => {
                bytes[1] = RESOLVE;
                hosts
            }
            Self::Connect { hosts, address, port, is_nonblocking, is_only_ipv6 } => {
                bytes[1] = CONNECT;
                bytes[2] =
                    if is_nonblocking { IS_NONBLOCKING } else { 0 } | if is_only_ipv6 { IS_ONLY_IPV6 } else { 0 };
                bytes[4..6].copy_from_slice(&port.to_le_bytes());
                bytes[8..24].copy_from_slice(&address);
                hosts
            }
        };
        for (room, word) in bytes[32..].chunks_exact_mut(8).zip(hosts.0) {
            room.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads it; `None` if the bytes are no question.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; QUESTION_BYTES]) -> Option<Self> {
        let mut hosts = HostSet::default();
        for (word, room) in hosts.0.iter_mut().zip(bytes[32..].chunks_exact(8)) {
            *word = u64::from_le_bytes(room.try_into().ok()?);
        }
        match (bytes[0], bytes[1]) {
            (VERSION, RESOLVE) => Some(Self::Resolve { hosts }),
            (VERSION, CONNECT) => Some(Self::Connect {
                hosts,
                address: bytes[8..24].try_into().ok()?,
                port: u16::from_le_bytes([bytes[4], bytes[5]]),
                is_nonblocking: bytes[2] & IS_NONBLOCKING != 0,
                is_only_ipv6: bytes[2] & IS_ONLY_IPV6 != 0,
            }),
            _ => None,
        }
    }
}

impl Answer {
    /// Returns its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ANSWER_BYTES] {
        let (kind, port, error) = match self {
            Self::Pass => (PASS, 0, 0),
            Self::Fail(error) => (FAIL, 0, error),
            Self::Through(port) => (THROUGH, port, 0),
        };
        let ([low, high], [a, b, c, d]) = (port.to_le_bytes(), error.to_le_bytes());
        [VERSION, kind, low, high, a, b, c, d]
    }

    /// Reads it. Bytes that are no answer mean that the shim must not interfere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; ANSWER_BYTES]) -> Self {
        let [version, kind, low, high, a, b, c, d] = bytes;
        match (version, kind) {
            (VERSION, FAIL) => Self::Fail(i32::from_le_bytes([a, b, c, d])),
            (VERSION, THROUGH) => Self::Through(u16::from_le_bytes([low, high])),
            _ => Self::Pass,
        }
    }
}
