//! Sets of a shard against the naive model of them, lists of members by key: any bytes are steps, so that property tests shrink them
//! and fuzzers mutate them.
//!
//! ```text
//!  [ step | operands ] [ step | operands ] ...      what is missing at the end reads as zero
//! ```
//! A second model is made of the records alone, and must come to the same.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::rc::Rc;

use super::SetMut;
use crate::journal::{Effect, Element, Event, Record, Removal};
use crate::limits::SORTED_MAX_MEMBERS;
use crate::memory::Named;
use crate::model::Steps;
use crate::shard::played::{self, Play as _};
use crate::shard::{Access, Stored, members_of_part};
use crate::{
    AccessClock, DbIndex, Encoding, Intent, KeyHasher, Kind, Shard, StoreError, Thresholds,
    parse_canonical_i64,
};

/// Steps played of any input.
const STEPS_MAX: usize = 400;
/// Steps between looks at everything.
const CHECK_INTERVAL: usize = 20;

const DB: DbIndex = DbIndex(0);
const EVENTS: (Event, Event) = (Event::RenameFrom, Event::RenameTo);

/// A set: its members in the order in which they came.
#[derive(Clone, Debug, PartialEq)]
struct Set {
    members: Vec<Vec<u8>>,
    encoding: Encoding,
}

type Sets = BTreeMap<Vec<u8>, Set>;

/// Members alone, by key.
type Members = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

struct Play<'a> {
    steps: Steps<'a>,
    shard: Shard,
    hasher: KeyHasher,
    thresholds: Thresholds,
    model: Sets,
    /// What the records say: members alone.
    told: Rc<RefCell<Members>>,
    /// The next change finds no memory after so many blocks.
    memory_left: Option<u32>,
    /// What there was when the undo log was opened.
    before: Option<Sets>,
}

/// Plays the steps.
///
/// # Panics
/// The sets do something else than the model, or an invariant is broken.
pub fn play(bytes: &[u8]) {
    let (shard, told) = played::shard(replay);
    let mut play = Play {
        steps: Steps::new(bytes),
        shard,
        hasher: played::hasher(),
        thresholds: Thresholds::default(),
        model: Sets::new(),
        told,
        memory_left: None,
        before: None,
    };
    played::drive(&mut play, STEPS_MAX, CHECK_INTERVAL);
    play.end();
}

/// Does to `sets` what a record says.
fn replay(sets: &mut Members, record: &Record<'_>) {
    let key = record.key.to_vec();
    match record.effect {
        Effect::Elements(&[Element::Member(member)]) => {
            let is_new = sets.entry(key).or_default().insert(member.to_vec());
            assert!(is_new, "a member comes once");
        }
        Effect::Elements(&[Element::Gone(member)]) => {
            let set = sets.get_mut(&key).expect("it has the member");
            assert!(set.remove(member));
        }
        Effect::Put { kind, value, .. } => {
            assert_eq!((kind, value), (Kind::Set, &b""[..]));
            sets.insert(key, BTreeSet::new());
        }
        Effect::Remove(Removal::Deleted) => {
            sets.remove(&key);
        }
        Effect::MoveTo { key: to, .. } => {
            let set = sets.remove(&key).expect("it was there");
            sets.insert(to.to_vec(), set);
        }
        Effect::Arrive { .. } => {}
        ref other => panic!("{other:?}"),
    }
}

fn integer(member: &[u8]) -> Option<i64> {
    parse_canonical_i64(member)
}

impl Set {
    /// What is made for a first member, so many members being expected.
    fn made_for(member: &[u8], expected: u64, thresholds: &Thresholds) -> Self {
        let expected = expected.max(1);
        let encoding = if integer(member).is_some() && expected <= thresholds.set_integers {
            Encoding::IntSet
        } else if expected <= thresholds.set_members {
            Encoding::ListPack
        } else {
            Encoding::HashTable
        };
        Self {
            members: Vec::new(),
            encoding,
        }
    }

    fn has(&self, member: &[u8]) -> bool {
        self.members.iter().any(|other| other == member)
    }

    /// Before a member comes, so many members being expected.
    fn expect(&mut self, expected: u64, thresholds: &Thresholds) {
        let most = match self.encoding {
            Encoding::IntSet => thresholds.set_integers,
            _ => thresholds.set_members,
        };
        if expected > most {
            self.encoding = Encoding::HashTable;
        }
    }

    /// A member comes.
    fn add(&mut self, member: &[u8], thresholds: &Thresholds) {
        let before = self.members.len() as u64;
        let fits = |bytes: usize| bytes as u64 <= thresholds.set_member_bytes;
        let fits_listpack = before < thresholds.set_members && fits(member.len());
        self.encoding = match self.encoding {
            Encoding::IntSet if integer(member).is_some() => match before < thresholds.set_integers
            {
                true => Encoding::IntSet,
                false => Encoding::HashTable,
            },
            Encoding::IntSet => {
                let are_short = self.members.iter().all(|other| fits(other.len()));
                match fits_listpack && are_short {
                    true => Encoding::ListPack,
                    false => Encoding::HashTable,
                }
            }
            Encoding::ListPack if fits_listpack => Encoding::ListPack,
            _ => Encoding::HashTable,
        };
        self.members.push(member.to_vec());
    }
}

/// Member number `number` of those of one manner.
fn name_of(number: usize, manner: usize) -> Vec<u8> {
    let len = match manner {
        0..=89 => return number.to_string().into_bytes(),
        90..=109 => return format!("-9{number}000000000000").into_bytes(),
        110..=199 => 5,
        200..=229 => 4 + number % 17,
        230..=244 => 60 + number % 200,
        245..=253 => 250 + manner % 5,
        _ => 40_000,
    };
    let mut name = format!("n{number:03}").into_bytes();
    name.resize(len, b'n');
    name
}

impl played::Play for Play<'_> {
    /// Takes a step; whether there was one.
    fn step(&mut self) -> bool {
        let Some(step) = self.steps.next() else {
            return false;
        };
        let key = self.key();
        match step % 20 {
            0..=4 => {
                let (name, expected) = (self.name(), self.steps.operand() as u64 % 4);
                self.add(&key, &name, expected);
            }
            5 | 6 => {
                let (first, manner) = (self.steps.operand(), self.steps.operand());
                let count = self.steps.operand().max(first);
                for number in first..count {
                    self.add(&key, &name_of(number, manner.min(250)), 0);
                }
            }
            7 => {
                let (name, expected) = (self.name(), self.steps.operand() as u64 * 4);
                self.add(&key, &name, expected);
            }
            8 | 9 => {
                let name = self.name();
                self.remove(&key, &[name]);
            }
            10 => {
                let (first, manner) = (self.steps.operand(), self.steps.operand());
                let names: Vec<_> = (first..256).map(|number| name_of(number, manner)).collect();
                self.remove(&key, &names);
            }
            11 => self.pop(&key),
            12 => self.read(&key),
            13 => self.memory_left = Some(self.steps.operand() as u32 % 6),
            14 => {
                self.thresholds.set_integers = [512, 4, 0][self.steps.operand() % 3];
                self.thresholds.set_members = [128, 4, 0][self.steps.operand() % 3];
                self.thresholds.set_member_bytes = [64, 10][self.steps.operand() % 2];
                self.shard.set_thresholds(self.thresholds);
            }
            15 => self.rename(&key),
            16 => self.move_items(),
            17 => self.open_or_close_undo(),
            18 => self.gather(&key),
            _ => {
                let removed = self.shard.remove(DB, self.hasher.key(&key), Event::Del);
                assert_eq!(removed, self.model.remove(&key).is_some());
            }
        }
        true
    }

    fn compare(&mut self) {
        self.shard.check();
        let told = self.told.borrow();
        // What may be taken back is told to nobody.
        let is_told = self.before.is_none();
        assert!(!is_told || told.keys().eq(self.model.keys()));
        for (key, model) in &self.model {
            let set = self
                .shard
                .set_at(DB, self.hasher.key(key), Access::Peek)
                .expect("a set")
                .expect("it is there");
            assert_eq!(set.len(), model.members.len() as u64);
            assert_eq!(set.encoding(), model.encoding);
            let mut shown = Vec::new();
            set.each(&mut |member| {
                assert!(set.contains(member));
                shown.push(member.to_vec());
            });
            let mut expected = model.members.clone();
            if model.encoding == Encoding::IntSet && set.len() <= SORTED_MAX_MEMBERS {
                expected.sort_by_key(|member| integer(member));
            } else if matches!(set.members, Named::Large(..)) {
                shown.sort();
                expected.sort();
            }
            assert_eq!(shown, expected);
            if let Some(told) = told.get(key).filter(|_| is_told) {
                assert!(
                    told.iter()
                        .eq(&model.members.iter().cloned().collect::<BTreeSet<_>>())
                );
            }
        }
    }
}

impl Play<'_> {
    fn key(&mut self) -> Vec<u8> {
        match self.steps.operand() % 8 {
            0..=4 => b"one".to_vec(),
            5 | 6 => b"two".to_vec(),
            _ => vec![b'k'; 16 << 10],
        }
    }

    fn name(&mut self) -> Vec<u8> {
        let (number, manner) = (self.steps.operand(), self.steps.operand());
        name_of(number, manner)
    }

    /// Has `change` change the set, with the memory there is; `None` if that is too little, and nothing changed.
    fn change<T>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut SetMut<'_>) -> Result<T, StoreError>,
    ) -> Option<T> {
        let left = self.memory_left.take();
        self.shard.memory.arena_mut().run_out_after(left);
        let opened = self.shard.set_mut(DB, self.hasher.key(key));
        let mut set = opened.expect("it is a set, or nothing");
        set.prefetch([&b"1"[..], b"n0010"].into_iter(), Intent::Write(Some(0)));
        let changed = change(&mut set);
        match changed {
            Ok(_) => set.close(&[Event::SAdd]),
            Err(_) => set.close(&[]),
        }
        self.shard.memory.arena_mut().run_out_after(None);
        match changed {
            Ok(changed) => Some(changed),
            Err(error) => {
                assert_eq!((error, left.is_some()), (StoreError::OutOfMemory, true));
                self.compare();
                None
            }
        }
    }

    fn add(&mut self, key: &[u8], name: &[u8], expected: u64) {
        let added = self.change(key, |set| {
            set.expect(expected);
            set.add(name)
        });
        let Some(added) = added else {
            return;
        };
        assert_eq!(added, !self.model.get(key).is_some_and(|set| set.has(name)));
        if added {
            let thresholds = self.thresholds;
            let made = || Set::made_for(name, expected, &thresholds);
            let set = self.model.entry(key.to_vec()).or_insert_with(made);
            set.expect(expected, &thresholds);
            set.add(name, &thresholds);
        }
    }

    /// Removes members in one command, which never fails for want of memory.
    fn remove(&mut self, key: &[u8], names: &[Vec<u8>]) {
        let mut left = self.model.remove(key);
        self.change(key, |set| {
            for name in names {
                let members = left.as_mut().map(|set| &mut set.members);
                let at = members
                    .as_ref()
                    .and_then(|members| members.iter().position(|other| other == name));
                assert_eq!(set.remove(name), at.is_some());
                if let (Some(members), Some(at)) = (members, at) {
                    members.remove(at);
                }
                assert!(!set.contains(name));
            }
            Ok(())
        });
        if let Some(left) = left.filter(|left| !left.members.is_empty()) {
            self.model.insert(key.to_vec(), left);
        }
    }

    /// Takes a random member out.
    fn pop(&mut self, key: &[u8]) {
        let draw = self.steps.operand() as u64;
        let popped = self.change(key, |set| {
            let member = set.random(draw << 56).map(<[u8]>::to_vec);
            if let Some(member) = &member {
                assert!(set.remove(member));
            }
            Ok(member)
        });
        let popped = popped.flatten();
        assert_eq!(popped.is_some(), self.model.contains_key(key));
        let (Some(popped), Some(set)) = (popped, self.model.get_mut(key)) else {
            return;
        };
        let at = set.members.iter().position(|member| *member == popped);
        set.members.remove(at.expect("it was there"));
        if set.members.is_empty() {
            self.model.remove(key);
        }
    }

    fn read(&mut self, key: &[u8]) {
        let (name, draw) = (self.name(), self.steps.operand() as u64);
        let count = self.steps.operand() % 40;
        let set = self
            .shard
            .set_at(DB, self.hasher.key(key), Access::Touch)
            .expect("it is a set, or nothing");
        let model = self.model.get(key);
        assert_eq!(set.is_some(), model.is_some());
        let (Some(set), Some(model)) = (set, model) else {
            return;
        };
        set.prefetch([&name[..], b"1"].into_iter());
        assert_eq!(set.contains(&name), model.has(&name));
        let (first, manner) = (draw as usize, count * 6);
        let names: Vec<_> = (first..first + 32).map(|n| name_of(n, manner)).collect();
        let borrowed: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let found = set.which(&borrowed);
        for (at, name) in names.iter().enumerate() {
            assert_eq!(found >> at & 1 == 1, model.has(name));
        }
        let (mut walked, mut all) = (Vec::new(), Vec::new());
        set.each(&mut |member| all.push(member));
        set.walk(&mut |member| {
            walked.push(member);
            match walked.len() > count {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        assert_eq!(walked, all[..all.len().min(count + 1)]);
        assert!(model.has(set.random(draw << 56)));
        let mut scanned = Vec::new();
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            cursor = set.scan(at, count, &mut |member| scanned.push(member.to_vec()));
        }
        scanned.sort();
        let mut expected = model.members.clone();
        expected.sort();
        assert_eq!(scanned, expected);
    }

    /// Puts what another set and some members have together in the place of a set.
    fn gather(&mut self, key: &[u8]) {
        let from = self.key();
        let (first, manner) = (self.steps.operand(), self.steps.operand().min(250));
        let mut members: Vec<Vec<u8>> = (first..first + 40).map(|n| name_of(n, manner)).collect();
        if let Some(set) = self.model.get(&from) {
            members.extend(set.members.iter().cloned());
        }
        let id = self.shard.begin_loose(Kind::Set, None);
        let mut union: Vec<Vec<u8>> = Vec::new();
        for member in &members {
            let stored = self.shard.add_member(id, member).expect("memory");
            assert_eq!(stored == Stored::Added, !union.contains(member));
            if stored == Stored::Added {
                union.push(member.clone());
            }
        }
        assert_eq!(self.shard.loose_len(id), union.len() as u64);
        let (mut shown, mut next) = (BTreeSet::new(), Some(0));
        while let Some(from) = next {
            let part;
            (part, next) = self.shard.loose_part(id, (from, 200));
            for member in members_of_part(&part) {
                assert!(shown.insert(member.to_vec()), "it is shown once");
            }
        }
        assert!(
            shown
                .iter()
                .eq(&union.iter().cloned().collect::<BTreeSet<_>>())
        );
        let at = self.hasher.key(key);
        let attributes = (None, AccessClock::default());
        let put = self
            .shard
            .put_loose(DB, at, id, attributes, Event::SUnionStore);
        put.expect("memory");
        let Thresholds {
            set_integers,
            set_members,
            set_member_bytes,
            ..
        } = self.thresholds;
        let len = union.len() as u64;
        let is_long = |member: &Vec<u8>| member.len() as u64 > set_member_bytes;
        let encoding = match union.iter().all(|member| integer(member).is_some()) {
            true if len <= set_integers => Encoding::IntSet,
            false if len <= set_members && !union.iter().any(is_long) => Encoding::ListPack,
            _ => Encoding::HashTable,
        };
        let members = union;
        self.model.insert(key.to_vec(), Set { members, encoding });
    }

    fn rename(&mut self, key: &[u8]) {
        let to = self.key();
        if key == to {
            return;
        }
        let (from, to) = (self.hasher.key(key), self.hasher.key(&to));
        let moved = self.shard.relocate((DB, from), (DB, to), EVENTS);
        let set = self.model.remove(key);
        assert_eq!(moved, Ok(set.is_some()));
        if let Some(set) = set {
            self.model.insert(to.bytes().to_vec(), set);
        }
    }

    /// Opens the undo log, or takes back what was done since, or lets it stand.
    fn open_or_close_undo(&mut self) {
        match self.before.take() {
            None => {
                self.before = Some(self.model.clone());
                self.shard.begin_undo();
                return;
            }
            Some(before) if !self.steps.operand().is_multiple_of(4) => {
                self.model = before;
                self.shard.undo();
            }
            Some(_) => self.shard.end_undo(),
        }
        self.compare();
    }

    /// Moves the items, as compaction does while nothing may be taken back.
    fn move_items(&mut self) {
        if self.before.is_some() {
            return;
        }
        for key in self.model.keys() {
            let item = self.shard.item_at(DB, self.hasher.key(key));
            assert!(self.shard.move_block(item.expect("it is there")));
        }
    }

    /// A set leaves nothing behind.
    fn end(&mut self) {
        if self.before.is_some() {
            self.shard.end_undo();
        }
        let keys: Vec<Vec<u8>> = self.model.keys().cloned().collect();
        for key in keys {
            let removed = self.shard.remove(DB, self.hasher.key(&key), Event::Del);
            assert!(removed);
        }
        while self.shard.memory.trim_some() {}
        self.shard.check();
        assert_eq!(self.shard.bytes_beside_nodes(), 0);
    }
}
