//! The keys of a database as they were at one moment, found in steps while commands go on.
//!
//! ```text
//!  positions   | walked: what was there has been shown           │ ahead: as it was, but for keys that have changed      |
//!                                                             cursor                           │
//!                 a key ahead is about to change for the first time ──▶ was it there then? ────┘
//!                 it is shown with the next step, if it was, and passed when the walk comes to it
//! ```
//! The walk is a scan in the order of positions ([`crate::keyspace`]), and is told before a key changes ([`super::before`]). What changes
//! behind the cursor does not matter any more, and what has changed ahead is decided, so each key is shown once if it was there, whatever
//! becomes of it. Nobody waits for a walk, and it waits for nobody.
//!
//! Cost: a look at each entry; of each key ahead that changes its hash, and its name, if that is one that is wanted. A database that is
//! emptied meanwhile is walked to its end then.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use super::{Shard, Upcoming};
use crate::keyspace::Cursor;
use crate::subscribers::SubscriberId;
use crate::{ContentsId, DbIndex, EntryRef, KeyHasher, UnixMillis};

/// Whether a key is one that is looked for.
pub type IsWanted = Box<dyn Fn(&[u8]) -> bool>;

/// A walk over the keys that were there when it began. [`Shard::end_keys`] ends it.
#[must_use = "a walk is ended, or is told of all changes for ever"]
pub struct KeysAsOf {
    contents: ContentsId,
    /// The moment's time, by which deadlines are judged.
    time: UnixMillis,
    subscriber: SubscriberId,
    rest: Rc<RefCell<Rest>>,
}

impl fmt::Debug for KeysAsOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("KeysAsOf");
        shown
            .field("contents", &self.contents)
            .field("time", &self.time);
        shown.finish_non_exhaustive()
    }
}

impl KeysAsOf {
    /// Bytes of memory that it holds: the names of keys that have changed ahead of it.
    pub fn held_bytes(&self) -> usize {
        let rest = self.rest.borrow();
        let names = rest.changed.capacity() + rest.left.capacity();
        rest.name_bytes + names * size_of::<Rc<[u8]>>()
    }
}

/// What has yet to be shown.
struct Rest {
    hasher: KeyHasher,
    is_wanted: IsWanted,
    /// Where the walk goes on; none: it has come to its end.
    cursor: Option<Cursor>,
    /// Keys ahead of it that have changed since the moment.
    changed: HashSet<Rc<[u8]>, ahash::RandomState>,
    /// Those of them that were there.
    left: Vec<Rc<[u8]>>,
    /// Bytes of the names in either.
    name_bytes: usize,
}

impl Rest {
    /// A key is about to change, or to go.
    fn note(&mut self, key: &[u8], was_there: bool) {
        let is_ahead = |cursor: Cursor| cursor.is_before(self.hasher.hash(key));
        if !self.cursor.is_some_and(is_ahead)
            || !(self.is_wanted)(key)
            || self.changed.contains(key)
        {
            return;
        }
        let name: Rc<[u8]> = key.into();
        self.name_bytes += name.len();
        if was_there {
            self.left.push(Rc::clone(&name));
        }
        self.changed.insert(name);
    }
}

/// Whether an entry was there at a time.
fn was_there(entry: &EntryRef<'_>, time: UnixMillis) -> bool {
    entry.expires_at().is_none_or(|at| at > time)
}

impl Shard {
    /// Begins a walk over the keys of `db` as they are now.
    pub fn begin_keys(&mut self, db: DbIndex, is_wanted: IsWanted) -> KeysAsOf {
        let (contents, time) = (self.contents_of(db), self.now);
        let rest = Rc::new(RefCell::new(Rest {
            hasher: self.hasher.clone(),
            is_wanted,
            cursor: Some(Cursor(0)),
            changed: HashSet::default(),
            left: Vec::new(),
            name_bytes: 0,
        }));
        let told = Rc::clone(&rest);
        let subscriber = self.subscribe_before(Box::new(move |upcoming| match upcoming {
            Upcoming::Entry {
                contents: of,
                key,
                entry,
            } if *of == contents => {
                let was_there = entry.as_ref().is_some_and(|entry| was_there(entry, time));
                told.borrow_mut().note(key, was_there);
            }
            Upcoming::Flush {
                contents: of,
                entries,
            } if *of == contents => {
                let mut rest = told.borrow_mut();
                entries.for_each(&mut |entry| rest.note(entry.key(), was_there(&entry, time)));
                rest.cursor = None;
            }
            _ => {}
        }));
        KeysAsOf {
            contents,
            time,
            subscriber,
            rest,
        }
    }

    /// Shows about `count` more keys of those that were there and are wanted, or passes as many that are not. Whether there may be
    /// others.
    pub fn more_keys(
        &mut self,
        keys: &KeysAsOf,
        count: usize,
        show: &mut dyn FnMut(&[u8]),
    ) -> bool {
        let mut rest = keys.rest.borrow_mut();
        let at_once = rest.left.len().saturating_sub(count);
        for name in rest.left.split_off(at_once) {
            show(&name);
        }
        let Some(cursor) = rest.cursor else {
            return !rest.left.is_empty();
        };
        let mut databases = self.databases.iter();
        let keyspace = databases.find(|keyspace| keyspace.id() == keys.contents);
        let keyspace = keyspace.expect("contents that go are told of");
        let memory = &self.memory;
        let next = keyspace.scan((memory, &self.hasher), cursor, count, &mut |entry| {
            let key = memory.key_of(entry);
            let is_shown = !memory.has_ended(entry, keys.time)
                && (rest.is_wanted)(key)
                && !rest.changed.contains(key);
            if is_shown {
                show(key);
            }
        });
        rest.cursor = next;
        next.is_some() || !rest.left.is_empty()
    }

    /// Ends a walk, whether it has come to its end or not.
    pub fn end_keys(&mut self, keys: &KeysAsOf) {
        let was_told = self.unsubscribe_before(keys.subscriber);
        assert!(was_told, "a walk is ended once");
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
        assert_eq!(keys.held_bytes(), held, "nothing is ahead any more");
        assert_eq!(shown.len(), 1111);
        shard.end_keys(&keys);
    }
}
