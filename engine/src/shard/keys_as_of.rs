//! The keys of a database as they were at one moment, found in steps while commands go on: a walk ([`super::as_of`]) that keeps the names
//! of those that change ahead of it, and shows them with the next step.

use std::cell::RefCell;
use std::rc::Rc;

use super::Shard;
use super::as_of::{AsOf, Early, IsWanted, Met};
use crate::{ContentsId, DbIndex, EntryRef};

/// A walk over the keys that were there when it began. [`Shard::end_keys`] ends it.
#[derive(Debug)]
#[must_use = "a walk is ended, or is told of all changes for ever"]
pub struct KeysAsOf {
    as_of: AsOf,
    left: Rc<RefCell<Names>>,
}

impl KeysAsOf {
    /// Bytes of memory that it holds: the names of keys that have changed ahead of it.
    pub fn held_bytes(&self) -> usize {
        let left = self.left.borrow();
        self.as_of.held_bytes() + left.bytes + left.names.capacity() * size_of::<Box<[u8]>>()
    }
}

/// Names of keys that were there, changed, and have yet to be shown.
#[derive(Debug, Default)]
struct Names {
    names: Vec<Box<[u8]>>,
    bytes: usize,
}

/// Keeps the names of keys that are about to change.
struct Keeper(Rc<RefCell<Names>>);

impl Early for Keeper {
    fn meet(&mut self, _contents: ContentsId, entry: &EntryRef<'_>) {
        let mut left = self.0.borrow_mut();
        left.bytes += entry.key().len();
        left.names.push(entry.key().into());
    }
}

impl Shard {
    /// Begins a walk over the keys of `db` as they are now.
    pub fn begin_keys(&mut self, db: DbIndex, is_wanted: IsWanted) -> KeysAsOf {
        let left = Rc::<RefCell<Names>>::default();
        let keeper = Keeper(Rc::clone(&left));
        let as_of = self.begin_as_of(std::iter::once(db), is_wanted, keeper);
        KeysAsOf { as_of, left }
    }

    /// Shows about `count` more keys of those that were there and are wanted, or passes as many that are not. Whether there may be
    /// others.
    pub fn more_keys(
        &mut self,
        keys: &KeysAsOf,
        count: usize,
        show: &mut dyn FnMut(&[u8]),
    ) -> bool {
        let mut left = keys.left.borrow_mut();
        let at_once = left.names.len().saturating_sub(count);
        for name in left.names.split_off(at_once) {
            left.bytes -= name.len();
            show(&name);
        }
        if left.names.is_empty() {
            left.names = Vec::new();
        }
        let goes_on = self.more_as_of(&keys.as_of, count, &mut |_, entry| {
            show(entry.key());
            Met::Whole
        });
        goes_on || !left.names.is_empty()
    }

    /// Ends a walk, whether it has come to its end or not.
    pub fn end_keys(&mut self, keys: &KeysAsOf) {
        self.end_as_of(&keys.as_of);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::shard::tests::alike;
    use crate::shard::tests::ops::op;
    use crate::shard::undo::tests::Observed;

    /// What becomes of what is done meanwhile.
    #[derive(Clone, Copy, Debug)]
    enum End {
        Undone,
        Kept,
        NoLog,
    }

    /// The keys of a database that are alive.
    fn alive(shard: &Shard, db: DbIndex) -> BTreeSet<Vec<u8>> {
        let mut keys = BTreeSet::new();
        shard.for_each(db, &mut |entry| {
            keys.insert(entry.key().to_vec());
        });
        keys
    }

    fn is_even(key: &[u8]) -> bool {
        key.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 2 == 0
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 96 }))]

        #[test]
        fn each_key_that_was_there_is_shown_once_whatever_becomes_of_it(
            alike in alike(),
            first in proptest::collection::vec(op(), 0..60),
            then in proptest::collection::vec(op(), 0..80),
            ops_a_step in 1usize..12,
            keys_a_step in 1usize..4,
            db in 0u16..2,
            wants_all in any::<bool>(),
            end in prop_oneof![Just(End::Undone), Just(End::Kept), Just(End::NoLog)],
        ) {
            let db = DbIndex(db);
            let mut observed = Observed::new(false, alike);
            observed.run(&first);
            let mut expected = alive(&observed.shard, db);
            expected.retain(|key| wants_all || is_even(key));
            let is_wanted: IsWanted = match wants_all {
                true => Box::new(|_| true),
                false => Box::new(is_even),
            };
            let keys = observed.shard.begin_keys(db, is_wanted);
            let mut shown = Vec::new();
            if !matches!(end, End::NoLog) {
                observed.shard.begin_undo();
            }
            for ops in then.chunks(ops_a_step) {
                observed.run(ops);
                let show = &mut |key: &[u8]| shown.push(key.to_vec());
                observed.shard.more_keys(&keys, keys_a_step, show);
            }
            match end {
                End::Undone => observed.shard.undo(),
                End::Kept => observed.shard.end_undo(),
                End::NoLog => {}
            }
            while observed.shard.more_keys(&keys, 1, &mut |key| shown.push(key.to_vec())) {}
            observed.shard.end_keys(&keys);
            let once: BTreeSet<Vec<u8>> = shown.iter().cloned().collect();
            prop_assert_eq!(once.len(), shown.len(), "each is shown once");
            prop_assert_eq!(once, expected);
            prop_assert!(!observed.shard.is_told_before);
        }
    }

    #[test]
    fn only_changes_ahead_are_remembered_and_only_of_what_is_wanted() {
        let mut observed = Observed::new(false, crate::key::Alike::Nothing);
        let (shard, db) = (&mut observed.shard, DbIndex(0));
        let hasher = shard.hasher().clone();
        let set = |shard: &mut Shard, name: &str| {
            let (key, form) = (hasher.key(name.as_bytes()), crate::StringForm::Detect);
            let ttl = crate::TtlChange::Clear;
            shard
                .set(db, key, b"value", form, ttl, crate::Event::Set)
                .unwrap();
        };
        for n in 0..2000 {
            set(shard, &format!("key{n}"));
        }
        let keys = shard.begin_keys(db, Box::new(|key| key.starts_with(b"key1")));
        assert_eq!(keys.held_bytes(), 0);
        for n in 0..100 {
            set(shard, &format!("other{n}"));
        }
        assert_eq!(keys.held_bytes(), 0);
        let mut shown = BTreeSet::new();
        let mut show_more = |shard: &mut Shard| {
            shard.more_keys(&keys, 100, &mut |key| assert!(shown.insert(key.to_vec())))
        };
        show_more(shard);
        for n in 0..2100 {
            set(shard, &format!("key{n}"));
        }
        let held = keys.held_bytes();
        assert!(held > 800 * 5, "most are ahead: {held}");
        while show_more(shard) {}
        for n in 0..4000 {
            set(shard, &format!("key1{n}"));
        }
        assert_eq!(keys.held_bytes(), 0, "nothing is ahead any more");
        assert_eq!(shown.len(), 1111);
        shard.end_keys(&keys);
    }
}
