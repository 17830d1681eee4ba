//! The lists of a shard against queues: any bytes are steps, so that property tests shrink them and fuzzers mutate them.
//!
//! Beside the queues that the commands are done to, there is what somebody makes of the journal's records alone.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use super::{ListMut, ListView};
use crate::journal::{Effect, Element, Event, Record};
use crate::limits::{PACKED_LIST_MAX_BYTES, PACKED_LIST_MAX_ELEMENTS};
use crate::list::End;
use crate::model::Steps;
use crate::shard::played::{self, Play as _};
use crate::shard::{Access, Shard};
use crate::{DbIndex, Encoding, Key, ListThreshold, StoreError, Thresholds, UnixMillis};

const DB: DbIndex = DbIndex(0);
/// Steps played of any input.
const STEPS_MAX: usize = 200;
/// Steps between looks at everything.
const CHECK_INTERVAL: usize = 8;
/// Elements at which steps that add many stop.
const MANY: usize = 4000;

type Lists = BTreeMap<Vec<u8>, VecDeque<Vec<u8>>>;

/// A key of the few there are, one of them so long that it lies in an extent.
fn key_bytes(number: usize) -> Vec<u8> {
    match number % 4 {
        3 => vec![b'k'; 20_000],
        2 => vec![b'k'; 300],
        short => vec![b'k', short as u8],
    }
}

/// Does what a record says.
fn replay(lists: &mut Lists, record: &Record<'_>) {
    match record.effect {
        Effect::Elements(elements) => {
            let list = lists.entry(record.key.to_vec()).or_default();
            elements.iter().for_each(|element| redo(list, element));
        }
        Effect::Remove(_) => {
            let gone = lists.remove(record.key);
            gone.expect("what is removed was there");
        }
        Effect::MoveTo { key, .. } => {
            let list = lists.remove(record.key).expect("what moves was there");
            lists.insert(key.to_vec(), list);
        }
        Effect::Deadline(_) | Effect::Arrive { .. } => {}
        other => panic!("no list makes {other:?}"),
    }
}

fn redo(list: &mut VecDeque<Vec<u8>>, element: &Element<'_>) {
    match *element {
        Element::Push { end, value } => match end {
            End::Head => list.push_front(value.to_vec()),
            End::Tail => list.push_back(value.to_vec()),
        },
        Element::Pop(end) => {
            let popped = match end {
                End::Head => list.pop_front(),
                End::Tail => list.pop_back(),
            };
            popped.expect("what is popped was there");
        }
        Element::Insert { index, value } => list.insert(index as usize, value.to_vec()),
        Element::Replace { index, value } => list[index as usize] = value.to_vec(),
        Element::Cut { index, count } => {
            list.drain(index as usize..(index + count) as usize);
        }
        other => panic!("no list makes {other:?}"),
    }
}

struct Play<'a> {
    steps: Steps<'a>,
    shard: Shard,
    lists: Lists,
    replayed: Rc<RefCell<Lists>>,
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
        lists: Lists::new(),
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
            0 => self.push_many(&key, 1),
            1..=3 => {
                let times = self.steps.operand();
                self.push_many(&key, times);
            }
            4 | 5 => self.pop_many(&key),
            6 => self.insert(&key),
            7 => self.replace(&key),
            8 => self.remove(&key),
            9 => self.remove_equal(&key),
            10 => self.read(&key),
            11 => self.move_key(&key),
            12 if step < 128 => self.run_out(&key),
            13 => self.set_threshold(),
            14 if step > 200 => self.drop_key(&key),
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
        assert_eq!(self.shard.len(DB) as usize, self.lists.len());
        assert!(
            *self.replayed.borrow() == self.lists,
            "the records say what was done"
        );
        let hasher = self.shard.hasher().clone();
        for (key, model) in &self.lists {
            let key: Key<'_> = hasher.key(key);
            let found = self.shard.list(DB, key, Access::Peek);
            let list = found.expect("a list").expect("it is there");
            let mut expected = model.iter();
            list.range(0..list.len(), |element| {
                assert_eq!(Some(element), expected.next().map(Vec::as_slice));
            });
            assert_eq!(expected.next(), None);
            if let ListView::Packed(run) = list.view {
                run.check();
                assert!(run.len() <= PACKED_LIST_MAX_ELEMENTS);
                // With the key, of 300 bytes at most, in a block of a size class.
                assert!(run.used_bytes() <= (PACKED_LIST_MAX_BYTES + 330) * 17 / 16);
            }
        }
    }
}

impl Play<'_> {
    fn element(&mut self) -> Vec<u8> {
        let (manner, fill) = (self.steps.operand(), self.steps.operand() as u8);
        let len = match manner {
            0..=99 => 6,
            100..=109 => 0,
            110..=199 => manner - 110,
            200..=219 => 3 * manner,
            220..=239 => 1000 + fill as usize,
            240..=247 => PACKED_LIST_MAX_BYTES - 16 + fill as usize % 32,
            248..=252 => 32_740 + manner * 4 - 1000,
            _ => 70_000,
        };
        vec![fill % 4; len]
    }

    fn len(&self, key: &[u8]) -> usize {
        self.lists.get(key).map_or(0, VecDeque::len)
    }

    fn piece(&mut self, key: &[u8]) -> Range<u32> {
        let len = self.len(key);
        let start = self.steps.below(len + 1);
        let end = start + self.steps.below(len + 1 - start);
        start as u32..end as u32
    }

    /// Opens the list of a key, has `change` change it, and closes it.
    fn change<T>(&mut self, key: &[u8], change: impl FnOnce(&mut ListMut<'_>) -> T) -> T {
        let hasher = self.shard.hasher().clone();
        let opened = self.shard.list_mut(DB, hasher.key(key));
        let mut list = opened.expect("all keys have lists");
        assert_eq!(
            list.len() as usize,
            self.lists.get(key).map_or(0, VecDeque::len)
        );
        let result = change(&mut list);
        list.close(&[Event::LPush]);
        result
    }

    /// Takes some steps of which all stand in the end, or none.
    fn transact(&mut self) {
        let (steps, is_undone) = (self.steps.operand() % 8, self.steps.operand() < 128);
        let (lists, encodings) = (self.lists.clone(), self.encodings());
        self.shard.begin_undo();
        for _ in 0..steps {
            self.step();
        }
        if is_undone {
            self.shard.undo();
            self.lists = lists;
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

    fn push_many(&mut self, key: &[u8], times: usize) {
        let (end, element, vary) = (self.steps.end(), self.element(), self.steps.operand());
        let times = match element.len() {
            5000.. => times.min(3),
            _ => times.min(MANY - self.len(key).min(MANY)),
        };
        if times == 0 {
            return;
        }
        let elements = (0..times).map(|number| {
            let mut element = element.clone();
            if vary > 128 {
                element.truncate(number % (vary - 127));
            }
            element
        });
        let elements: Vec<_> = elements.collect();
        self.change(key, |list| {
            for element in &elements {
                assert_eq!(list.push(end, element), Ok(()));
            }
        });
        let list = self.lists.entry(key.to_vec()).or_default();
        for element in elements {
            match end {
                End::Head => list.push_front(element),
                End::Tail => list.push_back(element),
            }
        }
    }

    fn pop_many(&mut self, key: &[u8]) {
        let (end, times) = (self.steps.end(), self.steps.operand() * 2);
        let mut model = self.lists.get(key).cloned().unwrap_or_default();
        self.change(key, |list| {
            for _ in 0..times {
                let expected = match end {
                    End::Head => model.pop_front(),
                    End::Tail => model.pop_back(),
                };
                assert_eq!(list.pop(end, <[u8]>::to_vec), expected);
            }
        });
        self.replace_model(key, model);
    }

    fn replace_model(&mut self, key: &[u8], model: VecDeque<Vec<u8>>) {
        match model.is_empty() {
            true => self.lists.remove(key),
            false => self.lists.insert(key.to_vec(), model),
        };
    }

    fn insert(&mut self, key: &[u8]) {
        let len = self.len(key);
        let (at, element) = (self.steps.below(len + 1), self.element());
        if len == 0 {
            return;
        }
        self.change(key, |list| {
            assert_eq!(list.insert(at as u32, &element), Ok(()));
        });
        let list = self.lists.get_mut(key).expect("it is there");
        list.insert(at, element);
    }

    fn replace(&mut self, key: &[u8]) {
        let len = self.len(key);
        let (at, element) = (self.steps.below(len), self.element());
        if len == 0 {
            return;
        }
        self.change(key, |list| {
            assert_eq!(list.replace(at as u32, &element), Ok(()));
        });
        self.lists.get_mut(key).expect("it is there")[at] = element;
    }

    fn remove(&mut self, key: &[u8]) {
        let mut piece = self.piece(key);
        if self.steps.operand() < 100 {
            piece.end = piece.end.min(piece.start + 3);
        }
        self.change(key, |list| list.remove(piece.clone()));
        let mut model = self.lists.get(key).cloned().unwrap_or_default();
        if !piece.is_empty() {
            model.drain(piece.start as usize..piece.end as usize);
        }
        self.replace_model(key, model);
    }

    fn remove_equal(&mut self, key: &[u8]) {
        let (from, most) = (self.steps.end(), self.steps.operand());
        let most = if most > 100 { u32::MAX } else { most as u32 };
        let at = self.steps.below(self.len(key));
        let mut model = self.lists.get(key).cloned().unwrap_or_default();
        let element = model.get(at).cloned().unwrap_or_default();
        // At once, or a piece after the other.
        let piece = match self.steps.below(2) {
            0 => u32::MAX,
            _ => 1 + self.steps.below(40) as u32,
        };
        let removed = self.change(key, |list| {
            let (mut left, mut rest) = (most, 0..list.len());
            while !rest.is_empty() {
                let (start, end) = match from {
                    End::Head => (rest.start, rest.start.saturating_add(piece).min(rest.end)),
                    End::Tail => (rest.end.saturating_sub(piece).max(rest.start), rest.end),
                };
                let removed = list.remove_equal_of(start..end, &element, left, from);
                left -= removed;
                rest = match from {
                    End::Head => end - removed..rest.end - removed,
                    End::Tail => rest.start..start,
                };
            }
            most - left
        });
        if from == End::Tail {
            model = model.into_iter().rev().collect();
        }
        let mut left = most;
        model.retain(|is| {
            let goes = *is == element && left > 0;
            left -= u32::from(goes);
            !goes
        });
        if from == End::Tail {
            model = model.into_iter().rev().collect();
        }
        assert_eq!(removed, most - left);
        self.replace_model(key, model);
    }

    fn read(&mut self, key: &[u8]) {
        let (piece, from, most) = (self.piece(key), self.steps.end(), self.steps.operand());
        let (at, start) = (
            self.steps.below(self.len(key)),
            self.steps.below(self.len(key) + 3),
        );
        let hasher = self.shard.hasher().clone();
        let found = self.shard.list(DB, hasher.key(key), Access::Touch);
        let Some(list) = found.expect("all keys have lists") else {
            assert!(!self.lists.contains_key(key));
            return;
        };
        let model = &self.lists[key];
        assert_eq!(list.len() as usize, model.len());
        assert_eq!(list.get(list.len()), None);
        let mut expected = model.range(piece.start as usize..piece.end as usize);
        list.range(piece.clone(), |element| {
            assert_eq!(Some(element), expected.next().map(Vec::as_slice));
        });
        assert_eq!(expected.next(), None);
        let mut indexes: Box<dyn Iterator<Item = usize>> = match from {
            End::Head => Box::new(start..model.len()),
            End::Tail => Box::new((0..model.len().min(start + 1)).rev()),
        };
        let mut seen = 0;
        list.walk(start as u32, from, |index, element| {
            assert_eq!(Some(index as usize), indexes.next());
            assert_eq!(element, model[index as usize]);
            seen += 1;
            seen < most
        });
        assert!(seen >= most || indexes.next().is_none());
        let element = &model[at];
        let mut indexes = piece.clone().filter(|&at| model[at as usize] == *element);
        let expected = match from {
            End::Head => indexes.next(),
            End::Tail => indexes.next_back(),
        };
        assert_eq!(list.find(piece, from, element), expected);
    }

    /// Gives a key another deadline, or its list another key.
    fn move_key(&mut self, key: &[u8]) {
        let hasher = self.shard.hasher().clone();
        let (manner, other) = (self.steps.operand(), key_bytes(self.steps.operand()));
        if manner < 128 {
            let deadline = (manner > 64).then_some(UnixMillis(1 << 40));
            let is_there = self
                .shard
                .set_deadline(DB, hasher.key(key), deadline, Event::Expire);
            assert_eq!(is_there, Ok(self.lists.contains_key(key)));
            return;
        }
        if other == key || self.lists.contains_key(&other) {
            return;
        }
        let (from, to) = ((DB, hasher.key(key)), (DB, hasher.key(&other)));
        let moved = self
            .shard
            .relocate(from, to, (Event::RenameFrom, Event::RenameTo));
        let list = self.lists.remove(key);
        assert_eq!(moved, Ok(list.is_some()));
        if let Some(list) = list {
            self.lists.insert(other, list);
        }
    }

    /// Changes a list with memory for so few blocks, over and over: each change is made as a whole or not at all.
    fn run_out(&mut self, key: &[u8]) {
        let (element, times, manner) = (
            self.element(),
            self.steps.operand(),
            self.steps.operand() % 4,
        );
        let at = self.steps.below(self.len(key));
        for number in 0..times.min(60) {
            let mut model = self.lists.get(key).cloned().unwrap_or_default();
            if model.is_empty() && manner > 1 {
                return;
            }
            let at = at.min(model.len().saturating_sub(1));
            let arena = self.shard.memory.arena_mut();
            arena.run_out_after(Some(number as u32 % 5));
            let done = self.change(key, |list| match manner {
                0 => list.push(End::Head, &element),
                1 => list.push(End::Tail, &element),
                2 => list.insert(at as u32, &element),
                _ => list.replace(at as u32, &element),
            });
            self.shard.memory.arena_mut().run_out_after(None);
            match (done, manner) {
                (Ok(()), 0) => model.push_front(element.clone()),
                (Ok(()), 1) => model.push_back(element.clone()),
                (Ok(()), 2) => model.insert(at, element.clone()),
                (Ok(()), _) => model[at].clone_from(&element),
                (Err(error), _) => assert_eq!(error, StoreError::OutOfMemory),
            }
            self.replace_model(key, model);
            if number % 16 == 0 {
                self.compare();
            }
        }
        // Nor do removals need memory.
        self.shard.memory.arena_mut().run_out_after(Some(0));
        self.remove(key);
        self.pop_many(key);
        self.shard.memory.arena_mut().run_out_after(None);
    }

    fn set_threshold(&mut self) {
        let operand = self.steps.operand() as u32;
        let list = match operand % 3 {
            0 => ListThreshold::Bytes(4096 << (operand / 3 % 5)),
            1 => ListThreshold::Elements(operand),
            _ => ListThreshold::Elements(operand * 100),
        };
        self.shard.set_thresholds(Thresholds {
            list,
            ..Thresholds::default()
        });
    }

    fn drop_key(&mut self, key: &[u8]) {
        let hasher = self.shard.hasher().clone();
        let was_there = self.shard.remove(DB, hasher.key(key), Event::Del);
        assert_eq!(was_there, self.lists.remove(key).is_some());
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
