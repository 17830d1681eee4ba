//! The sorted sets of a shard against maps: any bytes are steps, so that property tests shrink them and fuzzers mutate them.
//!
//! Beside the maps that the commands are done to, there is what somebody makes of the journal's records alone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use super::{Member, MemberAhead, Scored, SortedSetMut};
use crate::journal::{Effect, Element, Event, Record};
use crate::limits::{PACKED_SORTED_SET_MAX_BYTES, PACKED_SORTED_SET_MAX_MEMBERS};
use crate::list::End;
use crate::model::Steps;
use crate::shard::played::{self, Play as _};
use crate::shard::{Access, PartFrom, PartOf, Shard, scored_of_part};
use crate::sorted::model::{assert_same, in_order, name, score};
use crate::sorted::{Bound, Side, SortedSetView};
use crate::{DbIndex, Direction, Encoding, Kind, StoreError, Thresholds, UnixMillis};

const DB: DbIndex = DbIndex(0);
/// Steps played of any input.
const STEPS_MAX: usize = 200;
/// Steps between looks at everything.
const CHECK_INTERVAL: usize = 8;
/// Members at which steps that add many stop.
const MANY: usize = 3000;

type Set = BTreeMap<Vec<u8>, f64>;
type Sets = BTreeMap<Vec<u8>, Set>;

/// A key of the few there are, one of them so long that it lies in an extent.
fn key_bytes(number: usize) -> Vec<u8> {
    match number % 4 {
        3 => vec![b'k'; 20_000],
        2 => vec![b'k'; 300],
        short => vec![b'k', short as u8],
    }
}

/// Does what a record says.
fn replay(sets: &mut Sets, record: &Record<'_>) {
    match record.effect {
        Effect::Elements(elements) => {
            let set = sets.entry(record.key.to_vec()).or_default();
            elements.iter().for_each(|element| redo(set, element));
        }
        Effect::Put { kind, value, .. } => {
            assert_eq!((kind, value), (Kind::SortedSet, &b""[..]));
            sets.insert(record.key.to_vec(), Set::new());
        }
        Effect::Remove(_) => {
            let gone = sets.remove(record.key);
            gone.expect("what is removed was there");
        }
        Effect::MoveTo { key, .. } => {
            let set = sets.remove(record.key).expect("what moves was there");
            sets.insert(key.to_vec(), set);
        }
        Effect::Deadline(_) | Effect::Arrive { .. } => {}
        other => panic!("no sorted set makes {other:?}"),
    }
}

fn redo(set: &mut Set, element: &Element<'_>) {
    match *element {
        Element::Score { member, score } => {
            let was = set.insert(member.to_vec(), score);
            let is_other = was.is_none_or(|was| was.to_bits() != score.to_bits());
            assert!(is_other, "what stays as it is makes no record");
        }
        Element::Gone(name) => {
            set.remove(name).expect("what goes was there");
        }
        other => panic!("no sorted set makes {other:?}"),
    }
}

/// A sorted set that is changed.
struct Model {
    set: Set,
    /// Whether it is no small one.
    is_outgrown: bool,
    thresholds: Thresholds,
}

impl Model {
    fn of(play: &mut Play<'_>, key: &[u8]) -> Self {
        Self {
            set: play.set(key),
            is_outgrown: play.is_outgrown(key),
            thresholds: play.thresholds,
        }
    }

    /// A member gets a score, so many members being expected; what becomes of it.
    fn put(&mut self, name: &[u8], score: f64, expected: u64) -> Scored {
        let was = self.set.get(name).copied();
        if was == Some(score) {
            return Scored::Same;
        }
        let Thresholds {
            sorted_set_members: members,
            sorted_set_name_bytes: bytes,
            ..
        } = self.thresholds;
        let is_too_much = self.set.len() as u64 >= members || name.len() as u64 > bytes;
        self.is_outgrown |= expected > members || was.is_none() && is_too_much;
        let kept = if self.is_outgrown { score } else { score + 0.0 };
        self.set.insert(name.to_vec(), kept);
        match was {
            None => Scored::Added,
            Some(_) => Scored::Changed,
        }
    }

    fn bits_of(&self, name: &[u8]) -> Option<u64> {
        self.set.get(name).copied().map(f64::to_bits)
    }
}

struct Play<'a> {
    steps: Steps<'a>,
    shard: Shard,
    sets: Sets,
    thresholds: Thresholds,
    replayed: Rc<RefCell<Sets>>,
}

/// Plays the steps.
///
/// # Panics
/// The shard does something else than the model, or an invariant of it is broken.
pub fn play(bytes: &[u8]) {
    let (shard, replayed) = played::shard(replay);
    let mut play = Play {
        steps: Steps::new(bytes),
        shard,
        sets: Sets::new(),
        thresholds: Thresholds::default(),
        replayed,
    };
    played::drive(&mut play, STEPS_MAX, CHECK_INTERVAL);
    play.end();
}

impl played::Play for Play<'_> {
    /// Takes a step; whether there was one.
    fn step(&mut self) -> bool {
        let Some(step) = self.steps.next() else {
            return false;
        };
        if step % 16 == 15 && step > 128 && !self.shard.is_undoable() {
            self.transact();
            return true;
        }
        let key = key_bytes(self.steps.operand());
        match step % 16 {
            0 => {
                let (name, score) = (name(&mut self.steps, usize::MAX), score(&mut self.steps));
                self.put(&key, &name, score);
            }
            1..=3 => self.put_many(&key),
            4 => self.remove(&key),
            5 => self.pop_many(&key),
            6 => self.remove_range(&key),
            7 => self.nudge(&key),
            8 => self.read(&key),
            9 => self.walk(&key),
            10 => self.carry(&key),
            11 => self.move_key(&key),
            12 if step < 128 => self.run_out(&key),
            13 => self.set_thresholds(),
            14 if step > 200 => self.drop_key(&key),
            14 => self.unite(&key),
            _ => {
                let budget = self.steps.operand() as u32;
                self.shard.tend(budget);
            }
        }
        true
    }

    fn compare(&mut self) {
        self.shard.check();
        if self.shard.is_undoable() {
            return;
        }
        assert_eq!(self.shard.len(DB) as usize, self.sets.len());
        let replayed = self.replayed.borrow();
        assert_eq!(replayed.len(), self.sets.len());
        let hasher = self.shard.hasher().clone();
        for (key, model) in &self.sets {
            let expected = in_order(model);
            assert_same(&in_order(&replayed[key]), &expected);
            let found = self.shard.sorted_set(DB, hasher.key(key), Access::Peek);
            let set = found.expect("a sorted set").expect("it is there");
            let mut seen = Vec::new();
            set.walk(&Bound::Start, Direction::Up, &mut |member| {
                seen.push((member.name, member.score));
                ControlFlow::Continue(())
            });
            assert_same(&seen, &expected);
            if let SortedSetView::Packed(run) = set.view {
                assert!(run.len() <= PACKED_SORTED_SET_MAX_MEMBERS);
                // With the key, of 300 bytes at most, in a block of a size class.
                let most = (PACKED_SORTED_SET_MAX_BYTES + 330) * 17 / 16;
                assert!(run.used_bytes() <= most);
            }
        }
    }
}

impl Play<'_> {
    fn set(&self, key: &[u8]) -> Set {
        self.sets.get(key).cloned().unwrap_or_default()
    }

    fn replace_model(&mut self, key: &[u8], set: Set) {
        match set.is_empty() {
            true => self.sets.remove(key),
            false => self.sets.insert(key.to_vec(), set),
        };
    }

    /// Opens the sorted set of a key, has `change` change it, and closes it.
    fn change<T>(&mut self, key: &[u8], change: impl FnOnce(&mut SortedSetMut<'_>) -> T) -> T {
        let hasher = self.shard.hasher().clone();
        let opened = self.shard.sorted_set_mut(DB, hasher.key(key));
        let mut set = opened.expect("all keys have sorted sets");
        assert_eq!(set.len() as usize, self.sets.get(key).map_or(0, Set::len));
        let result = change(&mut set);
        set.close(&[Event::Silent]);
        result
    }

    /// Takes some steps of which all stand in the end, or none.
    fn transact(&mut self) {
        let (steps, is_undone) = (self.steps.operand() % 8, self.steps.operand() < 128);
        let (sets, encodings) = (self.sets.clone(), self.encodings());
        self.shard.begin_undo();
        for _ in 0..steps {
            self.step();
        }
        if is_undone {
            self.shard.undo();
            self.sets = sets;
            assert_eq!(self.encodings(), encodings);
        } else {
            self.shard.end_undo();
        }
        self.compare();
    }

    fn encodings(&mut self) -> Vec<Option<Encoding>> {
        let hasher = self.shard.hasher().clone();
        let mut encoding_of = |number| {
            let key = key_bytes(number);
            let entry = self.shard.get(DB, hasher.key(&key), Access::Peek);
            entry.map(|entry| entry.encoding())
        };
        (0..4).map(&mut encoding_of).collect()
    }

    /// Whether a key's sorted set is no small one.
    fn is_outgrown(&mut self, key: &[u8]) -> bool {
        let key = self.shard.hasher().clone().key(key);
        let entry = self.shard.get(DB, key, Access::Peek);
        entry.is_some_and(|entry| entry.encoding() == Encoding::SkipList)
    }

    fn put(&mut self, key: &[u8], name: &[u8], score: f64) {
        let was = self.set(key).get(name).copied();
        let mut model = Model::of(self, key);
        let expected = (self.steps.operand() as u64).saturating_sub(100);
        let (scored, is) = self.change(key, |set| {
            assert_eq!(set.score(name).map(f64::to_bits), was.map(f64::to_bits));
            set.expect(expected);
            (set.set(name, score), set.score(name))
        });
        assert_eq!(scored, Ok(model.put(name, score, expected)));
        assert_eq!(is.map(f64::to_bits), model.bits_of(name));
        self.settle(key, model);
    }

    fn settle(&mut self, key: &[u8], model: Model) {
        self.replace_model(key, model.set);
        if self.sets.contains_key(key) {
            assert_eq!(self.is_outgrown(key), model.is_outgrown);
        }
    }

    fn put_many(&mut self, key: &[u8]) {
        let (times, manner) = (self.steps.operand(), self.steps.operand());
        let (base, first) = (score(&mut self.steps), self.steps.below(1000));
        let base = if base.is_finite() { base } else { 0.0 };
        let mut model = Model::of(self, key);
        let members: Vec<(Vec<u8>, f64)> = (0..times.min(MANY.saturating_sub(model.set.len())))
            .map(|number| {
                let name = format!("{:0width$}", first + number, width = 1 + manner % 30);
                let score = match manner {
                    0..=79 => base + number as f64,
                    80..=159 => base,
                    _ => ((first + number) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64,
                };
                (name.into_bytes(), score)
            })
            .collect();
        if members.is_empty() {
            return;
        }
        self.near(key, &members);
        self.change(key, |set| {
            set.prefetch(members.iter().map(|(name, _)| &name[..]));
            for (name, score) in &members {
                assert!(set.set(name, *score).is_ok());
            }
        });
        for (name, score) in &members {
            model.put(name, *score, 0);
        }
        self.settle(key, model);
    }

    fn near(&self, key: &[u8], members: &[(Vec<u8>, f64)]) {
        let key_hash = self.shard.hasher().hash(key);
        let ahead = members
            .iter()
            .map(|(name, _)| MemberAhead { key_hash, name });
        self.shard.prefetch_members(DB, ahead);
    }

    fn some_name(&mut self, set: &Set) -> Option<Vec<u8>> {
        set.keys().nth(self.steps.below(set.len())).cloned()
    }

    fn remove(&mut self, key: &[u8]) {
        let times = self.steps.operand();
        let mut model = self.set(key);
        let names: Vec<Vec<u8>> = (0..times).filter_map(|_| self.some_name(&model)).collect();
        self.change(key, |set| {
            for name in &names {
                let expected = model.remove(name);
                assert_eq!(
                    set.remove(name).map(f64::to_bits),
                    expected.map(f64::to_bits)
                );
            }
        });
        self.replace_model(key, model);
    }

    fn pop_many(&mut self, key: &[u8]) {
        let (end, times) = (self.steps.end(), self.steps.operand());
        let mut model = self.set(key);
        let members = in_order(&model);
        let members: Vec<(Vec<u8>, f64)> = members
            .into_iter()
            .map(|(name, score)| (name.to_vec(), score))
            .collect();
        let direction = match end {
            End::Head => Direction::Up,
            End::Tail => Direction::Down,
        };
        let mut expected: Box<dyn Iterator<Item = (Vec<u8>, f64)>> = match direction {
            Direction::Up => Box::new(members.into_iter()),
            Direction::Down => Box::new(members.into_iter().rev()),
        };
        self.change(key, |set| {
            for _ in 0..times {
                let expected = expected.next();
                let mut popped = None;
                let was_there = set.pop(direction, |member| {
                    popped = Some((member.name.to_vec(), member.score));
                    Ok::<_, ()>(())
                });
                assert_eq!(was_there, Ok(expected.is_some()));
                assert_eq!(popped, expected);
                if let Some((name, _)) = popped {
                    model.remove(&name);
                }
            }
        });
        self.replace_model(key, model);
    }

    fn remove_range(&mut self, key: &[u8]) {
        let mut model = self.set(key);
        let start = self.steps.below(model.len() + 2);
        let count = match self.steps.operand() {
            0..=127 => self.steps.below(9),
            _ => self.steps.below(model.len() + 2),
        };
        let end = (start + count).min(model.len());
        let gone: Vec<Vec<u8>> = in_order(&model)
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .map(|member| member.0.to_vec())
            .collect();
        let removed = self.change(key, |set| {
            set.remove_range(start as u64..(start + count) as u64)
        });
        assert_eq!(removed as usize, gone.len());
        gone.iter().for_each(|name| {
            model.remove(name);
        });
        self.replace_model(key, model);
    }

    /// Adds to the scores of some members, and to that of one that may not be there.
    fn nudge(&mut self, key: &[u8]) {
        let (times, by) = (self.steps.operand(), self.steps.below(5) as f64 - 2.0);
        let mut model = Model::of(self, key);
        let some = |play: &mut Self| play.some_name(&model.set);
        let mut names: Vec<Vec<u8>> = (0..times).filter_map(|_| some(self)).collect();
        names.push(name(&mut self.steps, 200));
        names.retain(|name| !(model.set.get(name).copied().unwrap_or(0.0) + by).is_nan());
        self.change(key, |set| {
            for name in &names {
                let was = model.set.get(name).copied();
                let is = was.unwrap_or(0.0) + by;
                let updated = set.update::<StoreError>(name, |score| {
                    assert_eq!(score.map(f64::to_bits), was.map(f64::to_bits));
                    Ok(Some(is))
                });
                assert_eq!(updated, Ok(Some(model.put(name, is, 0))));
            }
            let untouched = set.update::<StoreError>(b"nobody", |_| Ok(None));
            assert_eq!(untouched, Ok(None));
        });
        self.settle(key, model);
    }

    fn bound(&mut self, model: &Set) -> Bound<'static> {
        let score = match self.some_name(model) {
            Some(name) => model[&name],
            None => score(&mut self.steps),
        };
        match self.steps.operand() % 6 {
            0 => Bound::Start,
            1 => Bound::End,
            2 => Bound::Rank(self.steps.below(model.len() + 3) as u64),
            3 | 4 => Bound::Score {
                score,
                side: Side::Before,
            },
            _ => Bound::Score {
                score,
                side: Side::After,
            },
        }
    }

    fn read(&mut self, key: &[u8]) {
        let model = self.set(key);
        let (random, name) = (self.steps.below(1 << 16) as u64, self.some_name(&model));
        let hasher = self.shard.hasher().clone();
        let found = self.shard.sorted_set(DB, hasher.key(key), Access::Touch);
        let Some(set) = found.expect("all keys have sorted sets") else {
            assert!(model.is_empty());
            return;
        };
        assert_eq!(set.len() as usize, model.len());
        let name = name.expect("there is one");
        let members = in_order(&model);
        let rank = members.iter().position(|member| member.0 == name);
        let rank = rank.expect("it is there") as u64;
        assert_eq!(set.score(&name), Some(model[&name]));
        assert_eq!(set.rank(&name), Some((rank, model[&name])));
        assert_eq!(set.score(b"nobody is called so"), None);
        let names: Vec<&[u8]> = members.iter().map(|member| member.0).take(20).collect();
        let asked = [&names[..], &[&b"nobody is called so"[..]]].concat();
        set.prefetch(asked.iter().copied());
        let scores = set.scores(&asked);
        for (name, score) in names.iter().zip(scores) {
            assert_eq!(score, Some(model[*name]));
        }
        assert_eq!(scores[names.len()], None);
        let drawn = set.random(random << 48).expect("there are some");
        assert_eq!(model.get(drawn.name), Some(&drawn.score));
        let mut seen = Vec::new();
        let mut next = Some(0);
        while let Some(cursor) = next {
            next = set.scan(cursor, 10, &mut |member| {
                seen.push((member.name, member.score));
            });
        }
        seen.sort_by_key(|member| member.0);
        let mut expected = members;
        expected.sort_by_key(|member| member.0);
        assert_same(&seen, &expected);
    }

    /// Reads two sorted sets as operations on several do, part by part, and puts them together with the higher scores.
    fn unite(&mut self, key: &[u8]) {
        let (other, most_bytes) = (key_bytes(self.steps.operand()), self.steps.below(3000) + 1);
        let (hasher, mut sum) = (self.shard.hasher().clone(), self.set(&other));
        let id = self.shard.begin_loose(Kind::SortedSet, None);
        for operand in [&other[..], key] {
            let (mut next, keys) = (Some(0), [hasher.key(operand)]);
            while let Some(from) = next {
                let wanted = (&[Kind::Set, Kind::SortedSet][..], Access::Peek);
                let found =
                    self.shard
                        .members_at(DB, keys.into_iter(), wanted, |_| Ok::<_, ()>(()));
                let mut part = Vec::new();
                let Some(set) = found.expect("all are looked at")[0] else {
                    break;
                };
                next = set.part(PartOf::Scored, (from, most_bytes), &mut part);
                for Member { name, score } in scored_of_part(&part) {
                    let put = |was: Option<f64>| was.map_or(score, |was| was.max(score));
                    let updated = self.shard.update_scored(id, name, put);
                    updated.expect("memory");
                }
            }
        }
        for (name, score) in self.set(key) {
            let most = sum.entry(name).or_insert(score);
            *most = most.max(score);
        }
        let (mut seen, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let part;
            (part, next) = self.shard.loose_part(id, (from, most_bytes));
            for member in scored_of_part(&part) {
                seen.push((member.name.to_vec(), member.score));
            }
        }
        let seen: Vec<(&[u8], f64)> = seen
            .iter()
            .map(|(name, score)| (&name[..], *score))
            .collect();
        assert_same(&seen, &in_order(&sum));
        self.shard.drop_loose(id);
    }

    fn walk(&mut self, key: &[u8]) {
        let model = self.set(key);
        let (bound, most) = (self.bound(&model), self.steps.operand() + 1);
        let is_up = self.steps.operand().is_multiple_of(2);
        let hasher = self.shard.hasher().clone();
        let found = self.shard.sorted_set(DB, hasher.key(key), Access::Peek);
        let Some(set) = found.expect("all keys have sorted sets") else {
            return;
        };
        let mut expected = in_order(&model);
        let is_before = |(_, is): &(&[u8], f64)| match bound {
            Bound::Score {
                score,
                side: Side::Before,
            } => *is < score,
            Bound::Score { score, .. } => *is <= score,
            Bound::End => true,
            _ => false,
        };
        let rank = match bound {
            Bound::Rank(rank) => expected.len().min(rank as usize),
            _ => expected.iter().filter(|member| is_before(member)).count(),
        };
        assert_eq!(set.rank_of(&bound), rank as u64);
        let direction = match is_up {
            true => {
                expected.drain(..rank);
                Direction::Up
            }
            false => {
                expected.truncate(rank);
                expected.reverse();
                Direction::Down
            }
        };
        expected.truncate(most);
        let mut seen = Vec::new();
        set.walk(&bound, direction, &mut |member| {
            seen.push((member.name, member.score));
            match seen.len() < most {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        assert_same(&seen, &expected);
    }

    /// Gathers what a key has, in parts, for another key.
    fn carry(&mut self, key: &[u8]) {
        let other = key_bytes(self.steps.operand());
        let most_bytes = self.steps.below(5000) + 1;
        if other == key || !self.sets.contains_key(key) {
            return;
        }
        let hasher = self.shard.hasher().clone();
        let (mut gathered, mut next) = (None, Some(PartFrom::number(0)));
        while let Some(at) = next {
            let part = self.shard.part(DB, hasher.key(key), (at, most_bytes));
            let (image, behind) = part.expect("it is there");
            let id = *gathered
                .get_or_insert_with(|| self.shard.begin_loose(image.kind, Some(image.encoding)));
            let added = self.shard.add_part(id, &image.bytes);
            assert_eq!(added, Ok(()));
            next = behind;
            if next.is_none() {
                let attributes = (image.expires_at, image.access);
                let put =
                    self.shard
                        .put_loose(DB, hasher.key(&other), id, attributes, Event::CopyTo);
                assert_eq!(put, Ok(()));
            }
        }
        let set = self.sets[key].clone();
        self.sets.insert(other, set);
    }

    /// Gives a key another deadline, or its sorted set another key.
    fn move_key(&mut self, key: &[u8]) {
        let hasher = self.shard.hasher().clone();
        let (manner, other) = (self.steps.operand(), key_bytes(self.steps.operand()));
        if manner < 128 {
            let deadline = (manner > 64).then_some(UnixMillis(1 << 40));
            let is_there = self
                .shard
                .set_deadline(DB, hasher.key(key), deadline, Event::Expire);
            assert_eq!(is_there, Ok(self.sets.contains_key(key)));
            return;
        }
        if other == key || self.sets.contains_key(&other) {
            return;
        }
        let (from, to) = ((DB, hasher.key(key)), (DB, hasher.key(&other)));
        let moved = self
            .shard
            .relocate(from, to, (Event::RenameFrom, Event::RenameTo));
        let set = self.sets.remove(key);
        assert_eq!(moved, Ok(set.is_some()));
        if let Some(set) = set {
            self.sets.insert(other, set);
        }
    }

    /// Changes a sorted set with memory for so few blocks, over and over: each change is made as a whole or not at all.
    fn run_out(&mut self, key: &[u8]) {
        let (first, times) = (self.steps.below(3000), self.steps.operand().min(60));
        for number in 0..times {
            let mut model = Model::of(self, key);
            let name = match number % 3 {
                0 => self.some_name(&model.set),
                _ => None,
            };
            let long = 20 * (number % 13);
            let new = || format!("{:0long$}", first + number).into_bytes();
            let (name, score) = (name.unwrap_or_else(new), score(&mut self.steps));
            let arena = self.shard.memory.arena_mut();
            arena.run_out_after(Some(number as u32 % 6));
            let done = self.change(key, |set| set.set(&name, score));
            self.shard.memory.arena_mut().run_out_after(None);
            match done {
                Ok(scored) => assert_eq!(scored, model.put(&name, score, 0)),
                Err(error) => assert_eq!(error, StoreError::OutOfMemory),
            }
            self.settle(key, model);
            if number % 16 == 0 {
                self.compare();
            }
        }
        // Nor do removals need memory.
        self.shard.memory.arena_mut().run_out_after(Some(0));
        self.remove(key);
        self.remove_range(key);
        self.pop_many(key);
        self.shard.memory.arena_mut().run_out_after(None);
    }

    fn set_thresholds(&mut self) {
        let (members, bytes) = (self.steps.operand() as u64, self.steps.operand() as u64);
        self.thresholds = Thresholds {
            sorted_set_members: members,
            sorted_set_name_bytes: bytes,
            ..Thresholds::default()
        };
        self.shard.set_thresholds(self.thresholds);
    }

    fn drop_key(&mut self, key: &[u8]) {
        let hasher = self.shard.hasher().clone();
        let was_there = self.shard.remove(DB, hasher.key(key), Event::Del);
        assert_eq!(was_there, self.sets.remove(key).is_some());
    }

    fn end(&mut self) {
        for number in 0..4 {
            self.drop_key(&key_bytes(number));
        }
        let mut steps = 0;
        while self.shard.tend(1000) {
            steps += 1;
            assert!(steps < 100_000, "house-keeping comes to an end");
        }
        self.shard.check();
        let bytes = self.shard.bytes_beside_nodes();
        assert_eq!((bytes, self.shard.memory().payload_bytes), (0, 0));
    }
}
