//! A list against the naive model of it, a queue: any bytes are steps, so that property tests shrink them and fuzzers mutate them.
//!
//! ```text
//!  [ bounds ] [ step | operands ] [ step | operands ] ...      what is missing at the end reads as zero
//! ```

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use super::packed::{End, Packed};
use super::{BOUNDS, Bounds, List, leaf, long};
use crate::StoreError;
use crate::model::Steps;
use crate::nodes::{Heap, Long, NodeKind, Owner};
use crate::raw::Block;

/// Steps played of any input.
const STEPS_MAX: usize = 300;
/// Steps between looks at everything.
const CHECK_INTERVAL: usize = 8;
/// Elements at which steps that add many stop.
const MANY: usize = 6000;

/// Nodes so small that the tree is soon high.
pub(super) static SMALL: Bounds = Bounds {
    leaf_bytes: 192,
    leaf_elements: 10,
    children: 6,
    inline_bytes: 32,
};
static TINY: Bounds = Bounds {
    leaf_bytes: 96,
    leaf_elements: 4,
    children: 4,
    inline_bytes: 12,
};

struct Play<'a> {
    steps: Steps<'a>,
    heap: Heap,
    list: List,
    model: VecDeque<Vec<u8>>,
}

/// Plays the steps.
///
/// # Panics
/// The list does something else than the model, or an invariant of it is broken.
pub fn play(bytes: &[u8]) {
    let mut steps = Steps::new(bytes);
    let bounds = match steps.operand() % 4 {
        0 => &BOUNDS,
        1 => &TINY,
        _ => &SMALL,
    };
    let mut play = Play {
        steps,
        heap: Heap::new(1 << 30).expect("address space"),
        list: List::with_bounds(Owner(9), bounds),
        model: VecDeque::new(),
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
    fn element(&mut self) -> Vec<u8> {
        let (manner, fill) = (self.steps.operand(), self.steps.operand() as u8);
        let len = match manner {
            0..=79 => 6,
            80..=99 => 0,
            100..=199 => manner - 100,
            200..=219 => 3 * manner,
            220..=239 => 1000 + fill as usize,
            240..=249 => manner * 20,
            250..=252 => 32_740 + manner * 4 - 1000,
            _ => 70_000,
        };
        vec![fill % 4; len]
    }

    fn piece(&mut self) -> Range<u32> {
        let start = self.steps.below(self.model.len() + 1);
        let end = start + self.steps.below(self.model.len() + 1 - start);
        start as u32..end as u32
    }

    /// Takes a step; whether there was one.
    fn step(&mut self) -> bool {
        let Some(step) = self.steps.next() else {
            return false;
        };
        match step % 16 {
            0 | 1 => {
                let (end, element) = (self.steps.end(), self.element());
                self.push(end, element);
            }
            2 | 3 => self.push_many(),
            4 => self.pop_many(),
            5 | 6 => self.insert(),
            7 => self.replace(),
            8 => self.remove(),
            9 => self.remove_equal(),
            10 => self.walk(),
            11 => self.find(),
            12 => self.reclaim(),
            13 => self.thin_out(),
            14 if step > 180 && step <= 220 => self.run_out(),
            15 if step > 220 => self.repack(),
            _ => self.move_block(),
        }
        true
    }

    fn push(&mut self, end: End, element: Vec<u8>) {
        assert_eq!(self.list.push(&mut self.heap, end, &element), Ok(()));
        assert_eq!(self.list.peek(&self.heap, end), Some(&*element));
        match end {
            End::Head => self.model.push_front(element),
            End::Tail => self.model.push_back(element),
        }
    }

    fn push_many(&mut self) {
        let (end, element, times) = (self.steps.end(), self.element(), self.steps.operand() * 2);
        let vary = self.steps.operand();
        for number in 0..times {
            if self.model.len() > MANY || (element.len() > 5000 && number > 20) {
                break;
            }
            let mut element = element.clone();
            if vary > 128 {
                element.truncate(number % (vary - 127));
            }
            self.push(end, element);
        }
    }

    fn pop_many(&mut self) {
        let (end, times) = (self.steps.end(), self.steps.operand());
        for _ in 0..times {
            let expected = match end {
                End::Head => self.model.pop_front(),
                End::Tail => self.model.pop_back(),
            };
            let popped = self.list.pop(&mut self.heap, end, <[u8]>::to_vec);
            assert_eq!(popped, expected);
        }
    }

    fn insert(&mut self) {
        let (at, element) = (self.steps.below(self.model.len() + 1), self.element());
        let times = if self.steps.operand() < 200 { 1 } else { 40 };
        for _ in 0..times {
            let inserted = self.list.insert(&mut self.heap, at as u32, &element);
            assert_eq!(inserted, Ok(()));
            self.model.insert(at, element.clone());
        }
        assert_eq!(self.list.get(&self.heap, at as u32), Some(&*element));
    }

    fn replace(&mut self) {
        let (at, element) = (self.steps.below(self.model.len()), self.element());
        if at < self.model.len() {
            let replaced = self.list.replace(&mut self.heap, at as u32, &element);
            assert_eq!(replaced, Ok(()));
            self.model[at] = element;
        }
    }

    fn remove(&mut self) {
        let mut piece = self.piece();
        if self.steps.operand() < 128 {
            piece.end = piece.end.min(piece.start + 3);
        }
        self.list.remove(&mut self.heap, piece.clone());
        self.model.drain(piece.start as usize..piece.end as usize);
    }

    fn remove_equal(&mut self) {
        let (from, most, at) = (
            self.steps.end(),
            self.steps.operand(),
            self.steps.below(self.model.len()),
        );
        let most = if most > 200 { u32::MAX } else { most as u32 };
        let Some(element) = self.model.get(at).cloned() else {
            return;
        };
        let removed = self.list.remove_equal(&mut self.heap, &element, most, from);
        let mut left = most;
        let mut keep = |is: &Vec<u8>| {
            let goes = *is == element && left > 0;
            left -= u32::from(goes);
            !goes
        };
        let model: Vec<Vec<u8>> = self.model.drain(..).collect();
        self.model = match from {
            End::Head => model.into_iter().filter(&mut keep).collect(),
            End::Tail => {
                let mut kept: VecDeque<_> = model.into_iter().rev().filter(&mut keep).collect();
                kept.make_contiguous().reverse();
                kept
            }
        };
        assert_eq!(removed, most - left);
    }

    /// Removes every second element of a piece, or so, one by one.
    fn thin_out(&mut self) {
        let (piece, stride) = (self.piece(), 2 + self.steps.operand() as u32 % 5);
        for at in piece.rev().step_by(stride as usize).take(500) {
            self.list.remove(&mut self.heap, at..at + 1);
            self.model.remove(at as usize);
        }
    }

    fn walk(&mut self) {
        let (piece, from, most) = (self.piece(), self.steps.end(), self.steps.operand() * 4);
        let mut seen = Vec::new();
        self.list
            .walk(&self.heap, piece.clone(), from, |index, element| {
                seen.push((index, element.to_vec()));
                match seen.len() > most {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
        let indexes: Vec<u32> = match from {
            End::Head => piece.clone().collect(),
            End::Tail => piece.clone().rev().collect(),
        };
        let expected = indexes.iter().take(most + 1);
        let expected = expected.map(|&index| (index, self.model[index as usize].clone()));
        assert!(seen.into_iter().eq(expected));
        let mut at = piece.start as usize;
        self.list.range(&self.heap, piece.clone(), |element| {
            assert_eq!(element, self.model[at]);
            at += 1;
        });
        assert_eq!(at, piece.end as usize);
    }

    fn find(&mut self) {
        let (piece, from, at) = (
            self.piece(),
            self.steps.end(),
            self.steps.below(self.model.len()),
        );
        let Some(element) = self.model.get(at) else {
            return;
        };
        let found = self.list.find(&self.heap, piece.clone(), from, element);
        let mut indexes = piece.filter(|&index| self.model[index as usize] == *element);
        let expected = match from {
            End::Head => indexes.next(),
            End::Tail => indexes.next_back(),
        };
        assert_eq!(found, expected);
    }

    fn reclaim(&mut self) {
        let budget = self.steps.operand() as u32 / 8 + 1;
        let is_there = self.list.has_some_to_reclaim();
        let freed = self.list.reclaim(&mut self.heap, budget);
        assert_eq!(freed.is_some(), is_there);
        assert!(freed.is_none_or(|freed| freed <= budget + 1));
    }

    /// Changes the list with memory for so few blocks, over and over: each change is made as a whole or not at all.
    fn run_out(&mut self) {
        let (element, times, manner) = (
            self.element(),
            self.steps.operand(),
            self.steps.operand() % 4,
        );
        let at = self.steps.below(self.model.len());
        for number in 0..times {
            self.heap.arena.run_out_after(Some(number as u32 % 4));
            let heap = &mut self.heap;
            let at = at.min(self.model.len().saturating_sub(1));
            let done = match manner {
                0 => self.list.push(heap, End::Head, &element),
                1 => self.list.push(heap, End::Tail, &element),
                2 => self.list.insert(heap, at as u32, &element),
                3 if at < self.model.len() => self.list.replace(heap, at as u32, &element),
                _ => Ok(()),
            };
            self.heap.arena.run_out_after(None);
            match (done, manner) {
                (Ok(()), 0) => self.model.push_front(element.clone()),
                (Ok(()), 1) => self.model.push_back(element.clone()),
                (Ok(()), 2) => self.model.insert(at, element.clone()),
                (Ok(()), 3) if at < self.model.len() => self.model[at].clone_from(&element),
                (done, _) => assert!(matches!(done, Ok(()) | Err(StoreError::OutOfMemory))),
            }
            if number % 16 == 0 {
                self.compare();
            }
        }
        // Nor do removals need memory.
        self.heap.arena.run_out_after(Some(0));
        let piece = self.piece();
        self.list.remove(&mut self.heap, piece.clone());
        self.model.drain(piece.start as usize..piece.end as usize);
        self.heap.arena.run_out_after(None);
        self.compare();
    }

    /// Packs the list, if it is small, and goes on with what is unpacked from that.
    fn repack(&mut self) {
        let most = self.steps.operand() * 256;
        let Some(run) = self.list.pack(&self.heap, most) else {
            let payload = self.model.iter().map(Vec::len).sum::<usize>();
            assert!(11 + payload + 2 * self.model.len() > most);
            return;
        };
        assert!(run.len() <= most);
        let packed = Packed::new(&run);
        let elements = packed.elements(0..packed.len());
        let elements = elements.map(|field| field.bytes());
        assert!(elements.eq(self.model.iter().map(Vec::as_slice)));
        while self.list.dismantle(&mut self.heap, 100).is_some() {}
        self.list = List::new(Owner(9));
        let unpacked = self.list.unpack(&mut self.heap, packed);
        assert_eq!(unpacked, Ok(()));
        self.list.check(&self.heap);
    }

    /// Moves a node, a page or a long element, as compaction does.
    fn move_block(&mut self) {
        let (choice, at) = (self.steps.operand(), self.steps.below(1 << 16));
        let nodes = self.list.table.len();
        if nodes == 0 {
            return;
        }
        let ordinal = at as u32 % nodes;
        let node = self.list.table.get(&self.heap.arena, ordinal);
        let block = match choice % 4 {
            0 => self.list.table.page_of(ordinal),
            1 => node,
            _ => self.long_block_in(node).unwrap_or(node),
        };
        self.moved(block);
    }

    fn moved(&mut self, block: Block) {
        let kind = NodeKind::of(self.heap.arena.tail(block)[0]).expect("a node");
        let moved = self.heap.arena.move_block(block).expect("memory");
        self.list.block_moved(&mut self.heap, kind, block, moved);
    }

    fn long_block_in(&self, node: Block) -> Option<Block> {
        if NodeKind::of(self.heap.arena.tail(node)[0]) != Some(NodeKind::Leaf) {
            return None;
        }
        let run = leaf::run(&self.heap, node);
        let references = run.elements(0..run.len()).rev().filter_map(long::reference);
        references
            .into_iter()
            .find_map(|reference| match reference {
                Long::Block(block) => Some(block),
                Long::Extent(..) => None,
            })
    }

    fn compare(&self) {
        self.heap.arena.check();
        self.heap.extents.check();
        self.list.check(&self.heap);
        assert_eq!(self.list.len() as usize, self.model.len());
        let mut at = 0;
        self.list.range(&self.heap, 0..self.list.len(), |element| {
            assert_eq!(element, self.model[at]);
            at += 1;
        });
        assert_eq!(at, self.model.len());
        for at in (0..self.model.len()).step_by(1 + self.model.len() / 50) {
            assert_eq!(self.list.get(&self.heap, at as u32), Some(&*self.model[at]));
        }
        assert_eq!(self.list.get(&self.heap, at as u32), None);
        let payload = self.model.iter().map(Vec::len).sum::<usize>() as u64;
        assert!(self.list.payload_bytes() >= payload);
        if !self.list.has_some_to_reclaim() {
            assert_eq!(self.list.payload_bytes(), payload);
            assert!(self.list.list_bytes() <= 64 + 4 * u64::from(self.list.table.len()));
        }
        let held = self.heap.arena.live_bytes() + self.heap.extents.used_bytes();
        let dying = self.heap.extents.dying_bytes();
        assert_eq!(self.list.block_bytes(), held - dying);
    }

    /// Frees everything, in slices of a few blocks, some of which move in between.
    fn end(&mut self) {
        while let Some(freed) = self.list.dismantle(&mut self.heap, 3) {
            assert!(freed <= 4, "a slice is as long as its budget");
            if let Some(last) = self.list.table.len().checked_sub(1) {
                let node = self.list.table.get(&self.heap.arena, last);
                let block = self.long_block_in(node).unwrap_or(node);
                self.moved(block);
            }
        }
        assert_eq!((self.list.block_bytes(), self.list.payload_bytes()), (0, 0));
        assert_eq!(self.heap.arena.live_bytes(), 0);
    }
}
