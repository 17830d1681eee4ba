//! Which core owns a key: CRC16 slot of 16384, as in Redis Cluster, then the slot table.
//!
//! Source: Redis Cluster specification, "Key distribution model" and "Hash tags".

mod crc16;

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use crc16::crc16;

/// Number of hash slots.
pub const SLOTS: u16 = 16384;

/// A hash slot, below [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The slot of `key`: of its hash tag, where it has one (`{tag}`, not empty), else of the whole key.
    #[inline]
    pub fn of(key: &[u8]) -> Self {
        Self(crc16(hash_tag(key)) % SLOTS)
    }

    /// The slot of this number, if there is one.
    pub fn new(number: i64) -> Option<Self> {
        let number = u16::try_from(number).ok()?;
        (number < SLOTS).then_some(Self(number))
    }

    /// All slots, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS).map(Self)
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// The part of `key` that decides its slot.
#[inline]
fn hash_tag(key: &[u8]) -> &[u8] {
    if let Some(open) = find_byte(key, b'{') {
        let rest = &key[open + 1..];
        if let Some(len) = find_byte(rest, b'}')
            && len > 0
        {
            return &rest[..len];
        }
    }
    key
}

/// Where `byte` stands first among `bytes`; eight are looked at together (Hacker's Delight, "Find First 0-Byte").
#[inline]
fn find_byte(bytes: &[u8], byte: u8) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let find = |eight: &[u8; 8]| {
        let zero_where_equal = u64::from_le_bytes(*eight) ^ (ONES * u64::from(byte));
        let found = zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & (ONES << 7);
        (found != 0).then(|| found.trailing_zeros() as usize / 8)
    };
    let (eights, rest) = bytes.as_chunks();
    for (at, eight) in eights.iter().enumerate() {
        if let Some(found) = find(eight) {
            return Some(8 * at + found);
        }
    }
    match bytes.last_chunk() {
        // It overlaps the eight before.
        Some(last) if !rest.is_empty() => find(last).map(|found| bytes.len() - 8 + found),
        Some(_) => None,
        None => rest.iter().position(|&other| other == byte),
    }
}

/// Number of a core of this process, from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreId(pub u16);

impl CoreId {
    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The table from slot to core. It can change while the server runs; a reader sees each slot's owner whole.
#[derive(Debug)]
pub struct SlotMap {
    owners: Box<[AtomicU16]>,
    cores: u16,
    version: AtomicU64,
}

/// Slots in a row that belong to one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// The first.
    pub first: Slot,
    /// The last.
    pub last: Slot,
    /// Their owner.
    pub owner: CoreId,
}

impl SlotMap {
    /// Contiguous ranges of slots, equal to within one, for `cores` cores.
    pub fn even(cores: u16) -> Self {
        assert!(cores > 0, "a server has at least one core");
        let owners = (0..u32::from(SLOTS))
            .map(|slot| AtomicU16::new((slot * u32::from(cores) / u32::from(SLOTS)) as u16))
            .collect();
        Self {
            owners,
            cores,
            version: AtomicU64::new(0),
        }
    }

    /// The table as it is now, for a command that names keys as it goes on, meanwhile no slot moves.
    pub fn copied(&self) -> Self {
        let owners = self.owners.iter();
        let owners = owners.map(|owner| AtomicU16::new(owner.load(Ordering::Relaxed)));
        Self {
            owners: owners.collect(),
            cores: self.cores,
            version: AtomicU64::new(self.version()),
        }
    }

    /// Gives `slots` to `owner`. No core may have anything under way that depends on who has them.
    pub fn assign(&self, slots: &[Slot], owner: CoreId) {
        assert!(owner.0 < self.cores, "there is such a core");
        for slot in slots {
            self.owners[usize::from(slot.0)].store(owner.0, Ordering::Relaxed);
        }
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts the changes of the table.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The table as ranges, in order.
    pub fn ranges(&self) -> Vec<SlotRange> {
        let mut ranges: Vec<SlotRange> = Vec::new();
        for slot in Slot::all() {
            let owner = self.owner(slot);
            match ranges.last_mut() {
                Some(range) if range.owner == owner => range.last = slot,
                _ => ranges.push(SlotRange {
                    first: slot,
                    last: slot,
                    owner,
                }),
            }
        }
        ranges
    }

    /// Number of cores.
    #[inline]
    pub fn cores(&self) -> u16 {
        self.cores
    }

    /// The core that owns `slot`.
    #[inline]
    pub fn owner(&self, slot: Slot) -> CoreId {
        CoreId(self.owners[usize::from(slot.0)].load(Ordering::Relaxed))
    }

    /// The core that owns `key`.
    #[inline]
    pub fn core_of(&self, key: &[u8]) -> CoreId {
        if self.cores == 1 {
            CoreId(0)
        } else {
            self.owner_of(key)
        }
    }

    /// Called, so that what parses requests stays small on a server of one core.
    #[inline(never)]
    fn owner_of(&self, key: &[u8]) -> CoreId {
        self.owner(Slot::of(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(Slot::of(b"foo").number(), 12182);
        assert_eq!(
            Slot::of(b"{user1000}.following"),
            Slot::of(b"{user1000}.followers")
        );
        assert_eq!(
            Slot::of(b"foo{}{bar}").number(),
            crc16(b"foo{}{bar}") % SLOTS
        );
        assert_eq!(Slot::of(b"foo{{bar}}zap"), Slot::of(b"{bar"));
        assert_eq!(Slot::of(b"foo{bar}{zap}"), Slot::of(b"bar"));
    }

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for len in 0..40 {
            // Bytes next to it, whose borrow and high bit must not be taken for it.
            for around in [0, 0x7A, 0x7C, 0xFB, 0x80, 0xFF] {
                let mut bytes = vec![around; len];
                assert_eq!(find_byte(&bytes, b'{'), None, "{bytes:?}");
                for at in (0..len).rev() {
                    // Those behind stay.
                    bytes[at] = b'{';
                    assert_eq!(find_byte(&bytes, b'{'), Some(at), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn an_even_map_gives_every_core_its_share() {
        for cores in [1, 2, 3, 4, 7, 64] {
            let map = SlotMap::even(cores);
            let mut held = vec![0u32; usize::from(cores)];
            for slot in 0..SLOTS {
                held[map.owner(Slot(slot)).index()] += 1;
            }
            let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
            assert!(most - least <= 1, "{cores} cores hold {held:?}");
        }
    }
}
