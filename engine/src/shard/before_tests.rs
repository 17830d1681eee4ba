//! Whoever is told before a change can say what a shard was at a moment, whatever has become of it; and so can a walk in steps, which
//! meets each entry once: what a snapshot does.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use proptest::prelude::*;

use super::tests::alike;
use super::tests::ops::op;
use super::undo::tests::Observed;
use super::*;
use crate::AccessClock;
use crate::model::Entry;

const DATABASES: u16 = 3;

type Contents = BTreeMap<Vec<u8>, Entry>;

/// What the entries of a shard were at a moment: those that have changed since.
#[derive(Default)]
struct Copies {
    /// None: there was none.
    before: HashMap<(ContentsId, Vec<u8>), Option<Entry>>,
}

impl Copies {
    fn note(&mut self, upcoming: &Upcoming<'_>) {
        match upcoming {
            Upcoming::Entry {
                contents,
                key,
                entry,
            } => self.keep(*contents, key, entry.as_ref().map(image)),
            Upcoming::Flush { contents, entries } => {
                let keep = &mut |entry: EntryRef<'_>| {
                    self.keep(*contents, entry.key(), Some(image(&entry)));
                };
                entries.for_each(keep);
            }
        }
    }

    fn keep(&mut self, contents: ContentsId, key: &[u8], before: Option<Entry>) {
        let place = (contents, key.to_vec());
        self.before.entry(place).or_insert(before);
    }

    /// What each of `asked` was at that moment, by what `shard` holds now.
    fn contents_before(&self, shard: &Shard, asked: &[ContentsId]) -> Vec<Contents> {
        let mut contents: HashMap<ContentsId, Contents> = contents(shard).into_iter().collect();
        for ((id, key), before) in &self.before {
            let contents = contents.entry(*id).or_default();
            match before {
                Some(image) => contents.insert(key.clone(), image.clone()),
                None => contents.remove(key),
            };
        }
        let asked = asked.iter();
        asked
            .map(|id| contents.remove(id).unwrap_or_default())
            .collect()
    }
}

/// A copy of an entry, but for its history, which uses change.
fn image(entry: &EntryRef<'_>) -> Entry {
    Entry {
        access: AccessClock(0),
        ..Entry::of(entry)
    }
}

/// All entries of a database, dead ones included.
fn contents_of(shard: &Shard, db: DbIndex) -> Contents {
    let mut contents = Contents::new();
    shard.keyspace(db).for_each(&shard.memory, |entry| {
        let entry = shard.memory.view(entry);
        contents.insert(entry.key().to_vec(), image(&entry));
    });
    contents
}

fn contents(shard: &Shard) -> Vec<(ContentsId, Contents)> {
    let databases = (0..DATABASES).map(DbIndex);
    databases
        .map(|db| (shard.contents_of(db), contents_of(shard, db)))
        .collect()
}

/// What becomes of what is done while the log is open.
#[derive(Clone, Copy, Debug)]
enum End {
    Undone,
    Kept,
    NoLog,
}

/// What a walk has met.
#[derive(Default)]
struct MetEntries {
    met: HashMap<ContentsId, Contents>,
    twice: usize,
}

impl MetEntries {
    fn add(&mut self, contents: ContentsId, entry: &EntryRef<'_>) {
        let contents = self.met.entry(contents).or_default();
        let before = contents.insert(entry.key().to_vec(), image(entry));
        self.twice += usize::from(before.is_some());
    }
}

struct EarlyOnes(Rc<RefCell<MetEntries>>);

impl Early for EarlyOnes {
    fn meet(&mut self, contents: ContentsId, entry: &EntryRef<'_>) {
        self.0.borrow_mut().add(contents, entry);
    }
}

/// Meets some more entries, puts off those that the random numbers say, and meets one of these if they say so. Whether there are more.
fn step(
    shard: &mut Shard,
    as_of: &AsOf,
    count: usize,
    met: &Rc<RefCell<MetEntries>>,
    random: &mut impl Iterator<Item = bool>,
) -> bool {
    let mut meet = |contents: ContentsId, entry: &EntryRef<'_>| match random.next() {
        Some(true) => Met::Later,
        _ => {
            met.borrow_mut().add(contents, entry);
            Met::Whole
        }
    };
    shard.put_off_as_of(as_of, &mut meet);
    shard.more_as_of(as_of, count, &mut meet)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 192 }))]

    #[test]
    fn what_a_shard_was_is_told_by_what_was_told_before_its_changes(
        alike in alike(),
        first in proptest::collection::vec(op(), 0..60),
        then in proptest::collection::vec(op(), 0..60),
        last in proptest::collection::vec(op(), 0..20),
        end in prop_oneof![Just(End::Undone), Just(End::Kept), Just(End::NoLog)],
    ) {
        let mut observed = Observed::new(false, alike);
        observed.run(&first);
        let (ids, moment): (Vec<_>, Vec<_>) = contents(&observed.shard).into_iter().unzip();
        let copies = Rc::new(RefCell::new(Copies::default()));
        let sink = Rc::clone(&copies);
        let subscriber = observed
            .shard
            .subscribe_before(Box::new(move |upcoming| sink.borrow_mut().note(upcoming)));
        if !matches!(end, End::NoLog) {
            observed.shard.begin_undo();
        }
        observed.run(&then);
        match end {
            End::Undone => observed.shard.undo(),
            End::Kept => observed.shard.end_undo(),
            End::NoLog => {}
        }
        prop_assert!(copies.borrow().contents_before(&observed.shard, &ids) == moment);
        observed.run(&last);
        prop_assert!(copies.borrow().contents_before(&observed.shard, &ids) == moment);
        observed.shard.check();
        prop_assert!(observed.shard.unsubscribe_before(subscriber));
        prop_assert!(!observed.shard.is_told_before);
    }

    #[test]
    fn a_walk_meets_each_entry_once_as_it_was_whatever_becomes_of_it_and_is_put_off(
        alike in alike(),
        first in proptest::collection::vec(op(), 0..60),
        then in proptest::collection::vec(op(), 0..80),
        ops_a_step in 1usize..12,
        keys_a_step in 1usize..4,
        put_off in proptest::collection::vec(any::<bool>(), 0..200),
        end in prop_oneof![Just(End::Undone), Just(End::Kept), Just(End::NoLog)],
    ) {
        let mut observed = Observed::new(false, alike);
        observed.run(&first);
        let now = observed.shard.now();
        let mut moment: HashMap<ContentsId, Contents> =
            contents(&observed.shard).into_iter().collect();
        for contents in moment.values_mut() {
            contents.retain(|_, entry| entry.expires_at.is_none_or(|at| at > now));
        }
        moment.retain(|_, contents| !contents.is_empty());
        let met = Rc::<RefCell<MetEntries>>::default();
        let databases = (0..DATABASES).map(DbIndex);
        let early = EarlyOnes(Rc::clone(&met));
        let as_of = observed.shard.begin_as_of(databases, Box::new(|_| true), early);
        if !matches!(end, End::NoLog) {
            observed.shard.begin_undo();
        }
        let mut random = put_off.into_iter();
        for ops in then.chunks(ops_a_step) {
            observed.run(ops);
            step(&mut observed.shard, &as_of, keys_a_step, &met, &mut random);
        }
        match end {
            End::Undone => observed.shard.undo(),
            End::Kept => observed.shard.end_undo(),
            End::NoLog => {}
        }
        while step(&mut observed.shard, &as_of, keys_a_step, &met, &mut random) {}
        observed.shard.end_as_of(&as_of);
        prop_assert_eq!(met.borrow().twice, 0, "each is met once");
        prop_assert!(met.borrow().met == moment);
        prop_assert!(!observed.shard.is_told_before);
    }
}
