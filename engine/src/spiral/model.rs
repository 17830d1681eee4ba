//! A collection against the naive model of it, a map: any bytes are steps, so that property tests shrink them and fuzzers mutate
//! them.
//!
//! ```text
//!  [ hasher ] [ step | operands ] [ step | operands ] ...      what is missing at the end reads as zero
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::run::Shape;
use super::{ElementRef, NodeSizes, Put, Spiral, run_of};
use crate::key::Alike;
use crate::model::Steps;
use crate::nodes::{Heap, Long, NodeKind, Owner};
use crate::raw::Block;
use crate::{KeyHasher, UnixMillis};

/// Steps played of any input.
const STEPS_MAX: usize = 400;
/// What deadlines are beyond, in milliseconds.
const DEADLINES_FROM: i64 = 1_700_000_000_000;
/// Steps between looks at everything.
const CHECK_INTERVAL: usize = 25;

type Value = (Vec<u8>, Option<UnixMillis>);

struct Play<'a> {
    steps: Steps<'a>,
    heap: Heap,
    spiral: Spiral,
    model: BTreeMap<Vec<u8>, Value>,
    alike: Alike,
    hasher: KeyHasher,
    scan: Option<Scan>,
}

/// A scan under way.
struct Scan {
    cursor: u64,
    /// Names there all the time since it began.
    stayed: BTreeSet<Vec<u8>>,
    met: Vec<Vec<u8>>,
}

/// Plays the steps.
///
/// # Panics
/// The collection does something else than the model, or an invariant of it is broken.
pub fn play(bytes: &[u8]) {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let mut steps = Steps::new(bytes);
    let manner = steps.operand();
    let sizes = match manner / 128 {
        0 => &NodeSizes::FIELDS,
        _ => &NodeSizes::ENTRIES,
    };
    let spiral = Spiral::new(&mut heap, Owner(5), sizes).expect("memory");
    let alike = Alike::EACH.get(manner % 8);
    let alike = alike.copied().unwrap_or(Alike::Nothing);
    let mut play = Play {
        steps,
        heap,
        spiral,
        model: BTreeMap::new(),
        alike,
        hasher: KeyHasher::with_alike(alike),
        scan: None,
    };
    let mut step = 0;
    while step < STEPS_MAX && play.step() {
        step += 1;
        if step % CHECK_INTERVAL == 0 {
            play.compare();
        }
    }
    play.compare();
    play.end();
}

impl Play<'_> {
    fn hash_of(&self) -> impl Fn(&[u8]) -> u64 + use<> {
        let hasher = self.hasher.clone();
        move |name| hasher.hash(name)
    }

    /// A name of one of 256 for each of a few lengths.
    fn name(&mut self) -> Vec<u8> {
        let (number, manner) = (self.steps.operand(), self.steps.operand());
        name(number, manner)
    }

    fn value(&mut self) -> Vec<u8> {
        let (manner, fill) = (self.steps.operand(), self.steps.operand() as u8);
        let len = match manner {
            0..=99 => 16,
            100..=229 => manner - 100,
            230..=239 => 250 + manner,
            240..=249 => manner * 20,
            250..=252 => 32_740 + manner,
            _ => 70_000,
        };
        vec![fill; len]
    }

    fn deadline(&mut self) -> Option<UnixMillis> {
        let operand = self.steps.operand();
        (operand >= 200).then(|| UnixMillis(DEADLINES_FROM + operand as i64))
    }

    /// Takes a step; whether there was one.
    fn step(&mut self) -> bool {
        let Some(step) = self.steps.next() else {
            return false;
        };
        match step % 16 {
            0..=4 => {
                let (name, value, deadline) = (self.name(), self.value(), self.deadline());
                self.put(name, value, deadline);
            }
            5..=7 => {
                let name = self.name();
                self.remove(&name);
            }
            8 => self.put_many(),
            9 => self.remove_many(),
            10..=12 => self.scan(),
            13 => self.random(),
            14 => self.expire(),
            _ => self.move_block(),
        }
        true
    }

    fn put(&mut self, name: Vec<u8>, value: Vec<u8>, deadline: Option<UnixMillis>) {
        let element = ElementRef {
            name: &name,
            value: &value,
            deadline,
        };
        let hash_of = self.hash_of();
        let put = self.spiral.put(&mut self.heap, &hash_of, element);
        let found = self.spiral.get(&self.heap, hash_of(&name), &name);
        assert_eq!(found, Some(element));
        let before = self.model.insert(name, (value, deadline));
        assert_eq!(
            put,
            Ok(if before.is_some() {
                Put::Replaced
            } else {
                Put::Added
            })
        );
    }

    fn remove(&mut self, name: &[u8]) {
        let hash_of = self.hash_of();
        let was_there = self.spiral.remove(&mut self.heap, &hash_of, name);
        assert_eq!(was_there, self.model.remove(name).is_some());
        assert_eq!(self.spiral.get(&self.heap, hash_of(name), name), None);
        if let Some(scan) = &mut self.scan {
            scan.stayed.remove(name);
        }
    }

    fn put_many(&mut self) {
        let (first, manner, value) = (self.steps.operand(), self.steps.operand(), self.value());
        let deadline = self.deadline();
        let value = if value.len() > 1000 {
            Vec::new()
        } else {
            value
        };
        // Where all hashes are alike, everything takes as long as there are elements, and a look at everything its square.
        let most = match self.alike {
            Alike::All | Alike::Few => 50,
            Alike::Nothing | Alike::Tags => 256,
        };
        for number in (first..256).take(most) {
            self.put(name(number, manner), value.clone(), deadline);
        }
    }

    fn remove_many(&mut self) {
        let (first, manner) = (self.steps.operand(), self.steps.operand());
        for number in first..256 {
            self.remove(&name(number, manner));
        }
    }

    fn scan(&mut self) {
        let count = self.steps.operand() % 40;
        let hash_of = self.hash_of();
        let mut scan = self.scan.take().unwrap_or_else(|| Scan {
            cursor: 0,
            stayed: self.model.keys().cloned().collect(),
            met: Vec::new(),
        });
        let mut emit = |element: ElementRef<'_>| {
            let expected = self.model.get(element.name).expect("it is there");
            assert_eq!(
                (element.value, element.deadline),
                (&*expected.0, expected.1)
            );
            scan.met.push(element.name.to_vec());
        };
        let next = self
            .spiral
            .scan(&self.heap, &hash_of, scan.cursor, count, &mut emit);
        match next {
            Some(cursor) => {
                assert!(cursor > scan.cursor);
                scan.cursor = cursor;
                self.scan = Some(scan);
            }
            None => {
                let met = scan.met.iter().filter(|name| scan.stayed.contains(*name));
                let mut met: Vec<&Vec<u8>> = met.collect();
                met.sort();
                assert!(
                    met.iter().copied().eq(&scan.stayed),
                    "what stays is met once"
                );
            }
        }
    }

    fn random(&mut self) {
        let draw = self.steps.operand() as u64;
        let drawn = self.spiral.random(&self.heap, draw);
        assert_eq!(drawn.is_none(), self.model.is_empty());
        if let Some(element) = drawn {
            assert_eq!(self.model[element.name].0, element.value);
        }
    }

    /// Has some elements end.
    fn expire(&mut self) {
        let (operand, budget) = (self.steps.operand(), self.steps.operand() as u32);
        let now = UnixMillis(DEADLINES_FROM + operand as i64);
        let wakes_at = self.spiral.wakes_at();
        let (mut gone, hash_of) = (Vec::new(), self.hash_of());
        let spent =
            self.spiral
                .expire_some(&mut self.heap, &hash_of, now, budget, &mut |element| {
                    gone.push(element.name.to_vec())
                });
        for name in &gone {
            let (_, deadline) = self.model.remove(name).expect("it was there");
            assert!(wakes_at <= now && deadline.expect("it ends") <= now);
            if let Some(scan) = &mut self.scan {
                scan.stayed.remove(name);
            }
        }
        let mut left = self.model.values().filter_map(|(_, deadline)| *deadline);
        assert!(spent >= budget || left.all(|deadline| deadline > now));
        assert!(spent >= budget || self.spiral.wakes_at() > now);
    }

    /// Moves a node, a page or a long value, as compaction does.
    fn move_block(&mut self) {
        let choice = self.steps.operand();
        let ordinal = (choice / 4) as u32 % self.spiral.table.len();
        let blocks: Vec<Block> = self.spiral.blocks_of(&self.heap, ordinal).collect();
        let first = blocks[0];
        let block = match choice % 4 {
            0 => self.spiral.table.page_of(ordinal),
            1 => blocks[choice % blocks.len()],
            _ => self.long_block_in(first).unwrap_or(first),
        };
        let kind = NodeKind::of(self.heap.arena.tail(block)[0]).expect("a node");
        let moved = self.heap.arena.move_block(block).expect("memory");
        self.spiral.block_moved(&mut self.heap, kind, block, moved);
    }

    fn long_block_in(&self, block: Block) -> Option<Block> {
        let run = run_of(&self.heap, block);
        let mut fields = Vec::new();
        Shape::read(run).for_each(run, |element| {
            fields.extend([element.name(), element.value()]);
        });
        fields.iter().find_map(|field| match field.reference() {
            Some(Long::Block(block)) => Some(block),
            _ => None,
        })
    }

    fn compare(&self) {
        let hash_of = self.hash_of();
        self.heap.arena.check();
        self.heap.extents.check();
        self.spiral.check(&self.heap, &hash_of);
        assert_eq!(self.spiral.len(), self.model.len() as u64);
        let payload = self
            .model
            .iter()
            .map(|(name, value)| name.len() + value.0.len());
        assert_eq!(self.spiral.payload_bytes(), payload.sum::<usize>() as u64);
        let volatile = self.model.values().filter(|value| value.1.is_some());
        assert_eq!(self.spiral.volatile_len(), volatile.count() as u64);
        for (name, (value, deadline)) in &self.model {
            let found = self.spiral.get(&self.heap, hash_of(name), name);
            let found = found.expect("it is there");
            assert_eq!((found.value, found.deadline), (&**value, *deadline));
        }
        let held = self.heap.arena.live_bytes() + self.heap.extents.used_bytes();
        let dying = self.heap.extents.dying_bytes();
        assert_eq!(self.spiral.block_bytes(), held - dying);
    }

    /// Frees everything, in slices of a few blocks, some of which move in between.
    fn end(&mut self) {
        while self.spiral.dismantle(&mut self.heap, 3).is_some() {
            if self.spiral.table.len() > 0 && self.spiral.overflow.is_empty() {
                let block = self.spiral.table.get(&self.heap.arena, 0);
                let block = self.long_block_in(block).unwrap_or(block);
                let kind = NodeKind::of(self.heap.arena.tail(block)[0]).expect("a node");
                let moved = self.heap.arena.move_block(block).expect("memory");
                self.spiral.block_moved(&mut self.heap, kind, block, moved);
            }
        }
        assert_eq!(self.spiral.block_bytes(), 0);
        assert_eq!(self.heap.arena.live_bytes(), 0);
    }
}

/// Name `number` of those of one manner.
fn name(number: usize, manner: usize) -> Vec<u8> {
    let len = match manner {
        0..=159 => 5,
        160..=219 => 3 + number % 17,
        220..=239 => 100 + number % 40,
        240..=251 => 300 + number,
        252..=254 => 20_000,
        _ => 40_000,
    };
    let mut name = format!("{number:03}{}", manner / 40).into_bytes();
    name.resize(len.max(4), b'n');
    name
}
