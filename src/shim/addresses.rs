//! Which hosts of the rules an address belongs to, learned from the names that were resolved to it.
//!
//! The table has a fixed size and no lock: threads can use it at the same time, and a process that is forked in the
//! middle of a change loses at most the entry that was being changed. A full bucket forgets one of its entries.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use crate::wire::HostSet;

const BUCKETS: usize = 128;
const WAYS: usize = 8;
/// How often a reader tries an entry that is being changed, before it does without.
const TRIES: usize = 64;

/// One address and its hosts. The version is 0 if the entry is empty, and odd while it is being changed.
struct Entry {
    version: AtomicU32,
    address: [AtomicU64; 2],
    hosts: [AtomicU64; 4],
}

impl Entry {
    #[allow(clippy::declare_interior_mutable_const, reason = "it is copied into the entries of a static table")]
    const EMPTY: Self = Self {
        version: AtomicU32::new(0),
        address: [const { AtomicU64::new(0) }; 2],
        hosts: [const { AtomicU64::new(0) }; 4],
    };

    /// Returns address and hosts as one writer left them.
    fn read(&self) -> Option<(u128, HostSet)> {
        for _ in 0..TRIES {
            let version = self.version.load(Ordering::Acquire);
            if version == 0 {
                return None;
            }
            let fields = self.fields();
            // The fields are read before the version is read again.
            fence(Ordering::Acquire);
            if version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version {
                return Some(fields);
            }
            core::hint::spin_loop();
        }
        None
    }

    fn fields(&self) -> (u128, HostSet) {
        let [high, low] = self.address.each_ref().map(|word| word.load(Ordering::Relaxed));
        let hosts = HostSet(self.hosts.each_ref().map(|word| word.load(Ordering::Relaxed)));
        (u128::from(high) << 64 | u128::from(low), hosts)
    }

    /// Writes the entry, if no other thread is doing so. Hosts that it already has for this address stay.
    fn write(&self, address: u128, hosts: HostSet) -> bool {
        let version = self.version.load(Ordering::Relaxed);
        let is_ours = version.is_multiple_of(2)
            && self.version.compare_exchange(version, version + 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !is_ours {
            return false;
        }
        fence(Ordering::Release);
        let (own, known) = self.fields();
        let hosts = if version != 0 && own == address { known | hosts } else { hosts };
        #[allow(clippy::cast_possible_truncation, reason = "the two halves of the address")]
        let halves = [(address >> 64) as u64, address as u64];
        self.address.iter().zip(halves).for_each(|(word, half)| word.store(half, Ordering::Relaxed));
        self.hosts.iter().zip(hosts.0).for_each(|(word, bits)| word.store(bits, Ordering::Relaxed));
        // 0 would mean that the entry is empty.
        self.version.store(version.checked_add(2).unwrap_or(2), Ordering::Release);
        true
    }
}

/// The table.
pub struct Addresses {
    buckets: [[Entry; WAYS]; BUCKETS],
    /// Which entry of a full bucket is forgotten next.
    turn: AtomicU32,
}

impl Addresses {
    /// A table that knows no address.
    #[allow(clippy::declare_interior_mutable_const, reason = "it is the value of a static table")]
    pub const EMPTY: Self =
        Self { buckets: [const { [const { Entry::EMPTY }; WAYS] }; BUCKETS], turn: AtomicU32::new(0) };

    /// Returns the hosts of an address.
    #[must_use]
    pub fn hosts(&self, address: u128) -> HostSet {
        let known = self.bucket(address).iter().filter_map(Entry::read).filter(|(own, _)| *own == address);
        known.fold(HostSet::default(), |all, (_, hosts)| all | hosts)
    }

    /// Notes that an address belongs to these hosts, too.
    pub fn note(&self, address: u128, hosts: HostSet) {
        let bucket = self.bucket(address);
        for entry in bucket {
            let fits = match entry.read() {
                Some((own, known)) if own == address && known | hosts == known => return,
                Some((own, _)) => own == address,
                None => entry.version.load(Ordering::Relaxed) == 0,
            };
            if fits && entry.write(address, hosts) {
                return;
            }
        }
        // If another thread is changing that entry, the next one is forgotten.
        for _ in 0..WAYS {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize % WAYS;
            if bucket.get(turn).is_some_and(|entry| entry.write(address, hosts)) {
                return;
            }
        }
    }

    fn bucket(&self, address: u128) -> &[Entry; WAYS] {
        #[allow(clippy::cast_possible_truncation, reason = "a hash of the bits that differ between addresses")]
        let folded = (address ^ (address >> 64)) as u64;
        let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57;
        #[allow(clippy::indexing_slicing, reason = "seven bits of a hash, of 128 buckets")]
        &self.buckets[mixed as usize % BUCKETS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(host: usize) -> HostSet {
        let mut set = HostSet::default();
        set.insert(host);
        set
    }

    #[test]
    fn an_address_keeps_the_hosts_of_all_its_names() {
        static TABLE: Addresses = Addresses::EMPTY;
        assert!(TABLE.hosts(7).is_empty());
        TABLE.note(7, set(0));
        TABLE.note(7, set(200));
        TABLE.note(7, set(200));
        TABLE.note(8, set(3));
        assert_eq!((TABLE.hosts(7), TABLE.hosts(8)), (set(0) | set(200), set(3)));
    }

    #[test]
    fn a_full_table_forgets_and_never_mixes_addresses() {
        static TABLE: Addresses = Addresses::EMPTY;
        for address in 0..20_000_u128 {
            TABLE.note(address, set(address as usize % 256));
            assert_eq!(TABLE.hosts(address), set(address as usize % 256));
        }
        let known = (0..20_000_u128).filter(|address| !TABLE.hosts(*address).is_empty()).count();
        assert!((BUCKETS * WAYS / 2..=BUCKETS * WAYS).contains(&known), "{known}");
    }

    #[test]
    fn threads_never_see_the_hosts_of_another_address() {
        static TABLE: Addresses = Addresses::EMPTY;
        std::thread::scope(|threads| {
            for thread in 0..4_u128 {
                threads.spawn(move || {
                    for round in 0..20_000_u128 {
                        let address = (round * 7 + thread) % 3_000;
                        TABLE.note(address, set(address as usize % 256));
                        let hosts = TABLE.hosts(address);
                        assert!(hosts.is_empty() || hosts == set(address as usize % 256), "{address}");
                    }
                });
            }
        });
    }
}
