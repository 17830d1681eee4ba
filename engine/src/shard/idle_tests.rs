//! Idle memory goes back to the system where it is short: what a shard holds keeps to a bound under values of shifting sizes, and what goes
//! for that is little more than what comes.

use proptest::prelude::*;

use super::tests::{cases, shard_with};
use super::*;
use crate::evict::{Lfu, PolicyName, Scope};
use crate::key::Alike;
use crate::{Event, StringForm};

const LIMIT_BYTES: u64 = 12 << 20;
/// What a write may need beside four times its bytes.
const BASE_BYTES: u64 = 4096;
/// Writes of a turn, at whose end the shard tends itself.
const TURN_WRITES: u32 = 32;

/// A shard whose writer evicts, and gives back what is idle, before each write.
struct Bounded {
    shard: Shard,
    written: u32,
}

impl Bounded {
    fn new() -> Self {
        let mut shard = shard_with(Alike::Nothing);
        shard.set_eviction(Some(&EvictionOptions {
            policy: PolicyName::Lru,
            scope: Scope::AllKeys,
            samples: 5,
            lfu: Lfu::default(),
            capacity_bytes: LIMIT_BYTES,
        }));
        Self { shard, written: 0 }
    }

    /// Room for so much: beyond the limit, as much has to be idle as is missing, and little may be missing.
    fn has_room(&self, need: u64) -> bool {
        let memory = self.shard.memory();
        let overdrawn = memory.held_bytes().saturating_sub(LIMIT_BYTES);
        memory.held_bytes() + need <= LIMIT_BYTES
            || overdrawn <= LIMIT_BYTES / 256 && memory.idle_bytes >= overdrawn + need
    }

    fn make_room(&mut self, need: u64) {
        while !self.has_room(need) {
            let memory = self.shard.memory();
            let overdrawn = memory.held_bytes().saturating_sub(LIMIT_BYTES);
            let is_idle_enough = memory.idle_bytes >= overdrawn + need;
            if is_idle_enough && self.shard.tend_short(256) {
                continue;
            }
            assert_ne!(self.shard.evict(|_| false), Evicted::Nothing);
        }
    }

    fn write(&mut self, db: u16, len: usize) {
        if self.written.is_multiple_of(TURN_WRITES) {
            self.shard.tend(256);
        }
        self.make_room(BASE_BYTES + 4 * len as u64);
        let name = self.written.to_le_bytes();
        self.written += 1;
        let key = self.shard.hasher().key(&name);
        let value = vec![b'x'; len];
        let (db, form) = (DbIndex(db), StringForm::Detect);
        let set = self
            .shard
            .set(db, key, &value, form, TtlChange::Clear, Event::Set);
        set.expect("memory");
    }

    /// Writes so many bytes in values of such lengths.
    fn write_much(&mut self, bytes: u64, lens: std::ops::Range<usize>, random: &mut u64) {
        let mut written = 0;
        while written < bytes {
            *random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let len = lens.start + (*random >> 33) as usize % lens.len();
            written += len as u64 + 16;
            self.write((*random >> 20) as u16 % 2, len);
            let held = self.shard.memory().held_bytes();
            // What one write makes of less, and slabs that are begun.
            let most = LIMIT_BYTES + LIMIT_BYTES / 64 + (256 << 10);
            assert!(held <= most, "{held} held, values of {lens:?}");
        }
    }
}

proptest! {
    #![proptest_config(cases(6, 0))]
    #[test]
    #[cfg_attr(miri, ignore = "slow: megabytes of entries")]
    fn what_is_held_keeps_to_the_limit_while_sizes_shift(
        phases in prop::collection::vec(0..6usize, 2..5),
        mut random in any::<u64>(),
    ) {
        let lens = [10..60, 60..300, 300..2000, 2000..15_000, 16_000..100_000, 10..20_000];
        let mut bounded = Bounded::new();
        for phase in phases {
            bounded.write_much(2 * LIMIT_BYTES, lens[phase].clone(), &mut random);
            bounded.shard.check();
            // No more went than had to: what is left is most of the limit.
            let used = bounded.shard.memory().used_bytes();
            prop_assert!(used >= LIMIT_BYTES / 3 * 2, "{} used after {:?}", used, lens[phase]);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow: megabytes of entries")]
fn a_purge_leaves_little_idle_and_ends() {
    let mut bounded = Bounded::new();
    let mut random = 7;
    bounded.write_much(LIMIT_BYTES / 2, 100..400, &mut random);
    bounded.write_much(LIMIT_BYTES / 4, 16_000..60_000, &mut random);
    let hasher = bounded.shard.hasher().clone();
    for number in (0..bounded.written).filter(|number| number % 5 != 0) {
        for db in 0..2 {
            let name = number.to_le_bytes();
            bounded
                .shard
                .remove(DbIndex(db), hasher.key(&name), Event::Del);
        }
    }
    while bounded.shard.tend(64) {}
    let before = bounded.shard.memory();
    bounded.shard.purge();
    let mut steps = 0;
    while bounded.shard.tend(64) {
        steps += 1;
        assert!(steps < 100_000);
    }
    let memory = bounded.shard.memory();
    assert!(
        memory.idle_bytes < before.idle_bytes,
        "{before:?} {memory:?}"
    );
    let most = (memory.used_bytes() / 4).max(512 << 10);
    assert!(memory.idle_bytes <= most, "{memory:?}");
    assert_eq!(memory.used_bytes(), before.used_bytes());
    bounded.shard.check();
}
