//! A packed run against the naive model of it, a queue: any bytes are steps, so that property tests shrink them and fuzzers
//! mutate them.
//!
//! ```text
//!  [ length of the run ] [ step | operands ] [ step | operands ] ...      what is missing at the end reads as zero
//! ```

use std::collections::VecDeque;

use super::field::{Code, Field};
use super::layout::Layout;
use super::packed::{End, Packed, PackedMut};
use crate::model::Steps;

/// Steps played of any input.
const STEPS_MAX: usize = 600;
/// What an element is in the model: its bytes, and whether they stand for a reference.
type Element = (Vec<u8>, Option<Code>);

struct Play<'a> {
    steps: Steps<'a>,
    bytes: Vec<u8>,
    model: VecDeque<Element>,
}

/// Plays the steps.
///
/// # Panics
/// The run does something else than the model, or an invariant of it is broken.
pub fn play_packed(bytes: &[u8]) {
    let mut steps = Steps::new(bytes);
    let len = 11 + steps.operand() * 16;
    let mut bytes = vec![0xEE; len];
    PackedMut::empty(&mut bytes);
    let mut play = Play {
        steps,
        bytes,
        model: VecDeque::new(),
    };
    for _ in 0..STEPS_MAX {
        if !play.step() {
            break;
        }
        play.compare();
    }
}

fn field(element: &Element) -> Field<'_> {
    match element.1 {
        None => Field::inline(&element.0),
        Some(code) => Field::reference(code, &element.0),
    }
}

/// Bytes in use by these elements: what the header takes, and codes if they differ.
fn used_bytes(model: &VecDeque<Element>) -> usize {
    let fields = || model.iter().map(field);
    let payload: usize = fields().map(|field| field.bytes().len()).sum();
    let is_wide = fields().any(|field| field.bytes().len() > 252);
    let differ = model
        .iter()
        .any(|element| (element.0.len(), element.1) != (model[0].0.len(), model[0].1));
    11 + payload + usize::from(differ) * (1 + usize::from(is_wide)) * model.len()
}

impl Play<'_> {
    fn element(&mut self) -> Element {
        let (manner, fill) = (self.steps.operand(), self.steps.operand() as u8);
        match manner {
            0..=119 => (vec![fill; 16], None),
            120..=219 => (vec![fill; manner - 120], None),
            220..=229 => (vec![fill; 240 + (manner - 220) * 3], None),
            230..=239 => (vec![fill; 1000], None),
            240..=248 => (vec![fill; 4], Some(Code::IN_BLOCK)),
            _ => (vec![fill; 8], Some(Code::IN_EXTENT)),
        }
    }

    fn place(&mut self, places: usize) -> usize {
        let operand = self.steps.operand() * 256 + self.steps.operand();
        operand % places.max(1)
    }

    fn run(&mut self) -> PackedMut<'_> {
        PackedMut::new(&mut self.bytes)
    }

    /// Takes a step; whether there was one.
    fn step(&mut self) -> bool {
        let Some(step) = self.steps.next() else {
            return false;
        };
        match step % 16 {
            0..=2 => self.push(End::Tail),
            3..=5 => self.push(End::Head),
            6 => {
                let (element, times) = (self.element(), self.steps.operand() % 40);
                let end = if step < 128 { End::Head } else { End::Tail };
                (0..times).for_each(|_| self.push_element(end, element.clone()));
            }
            7 | 8 => self.insert(),
            9 => self.pop(End::Head),
            10 => self.pop(End::Tail),
            11 => self.remove_range(),
            12 => self.replace(),
            13 => self.divide(),
            14 => self.remove_one(),
            _ => self.resize(),
        }
        true
    }

    fn push(&mut self, end: End) {
        let element = self.element();
        self.push_element(end, element);
    }

    fn push_element(&mut self, end: End, element: Element) {
        let used = Packed::new(&self.bytes).used_with(field(&element).code());
        let is_done = self.run().push(end, field(&element));
        assert_eq!(is_done, used <= self.bytes.len());
        match end {
            _ if !is_done => {}
            End::Head => self.model.push_front(element),
            End::Tail => self.model.push_back(element),
        }
    }

    fn pop(&mut self, end: End) {
        let popped = match end {
            End::Head => self.model.pop_front(),
            End::Tail => self.model.pop_back(),
        };
        if let Some(element) = popped {
            assert_eq!(self.run().peek(end), field(&element));
            self.run().pop(end);
        }
    }

    fn insert(&mut self) {
        let (at, element) = (self.place(self.model.len() + 1), self.element());
        let used = Packed::new(&self.bytes).used_with(field(&element).code());
        let is_done = self.run().insert(at, field(&element));
        assert_eq!(is_done, used <= self.bytes.len());
        if is_done {
            self.model.insert(at, element);
        }
    }

    fn replace(&mut self) {
        let (at, element) = (self.place(self.model.len()), self.element());
        if self.model.is_empty() {
            return;
        }
        let used = Packed::new(&self.bytes).used_with_other(at, field(&element).code());
        let is_done = self.run().replace(at, field(&element));
        assert!(is_done || used > self.bytes.len());
        if is_done {
            self.model[at] = element;
        }
    }

    fn remove_one(&mut self) {
        let at = self.place(self.model.len());
        if self.model.remove(at).is_some() {
            self.run().remove(at..at + 1);
        }
    }

    fn remove_range(&mut self) {
        let from = self.place(self.model.len() + 1);
        let to = from + self.place(self.model.len() + 1 - from);
        self.model.drain(from..to);
        self.run().remove(from..to);
    }

    /// Divides the run and joins the halves the other way round.
    fn divide(&mut self) {
        if self.model.len() < 2 {
            return;
        }
        let towards = if self.steps.operand() < 128 {
            End::Head
        } else {
            End::Tail
        };
        let packed = Packed::new(&self.bytes);
        let (at, count) = (packed.half(), packed.len());
        assert!(at > 0 && at < count);
        let halves = [0..at, at..count].map(|range| {
            let parts = [(packed, range)];
            let layout = Layout::new(&parts);
            let mut half = vec![0xEE; layout.used_bytes() + 100];
            layout.write(&mut half, towards);
            Packed::new(&half).check();
            half
        });
        self.model.rotate_left(at);
        let [low, high] = &halves;
        let parts = [Packed::new(high), Packed::new(low)].map(|half| (half, 0..half.len()));
        let layout = Layout::new(&parts);
        assert_eq!(
            (layout.len(), layout.used_bytes()),
            (count, used_bytes(&self.model))
        );
        layout.write(&mut self.bytes, towards);
    }

    /// Gives the run another length.
    fn resize(&mut self) {
        let len = 11 + self.steps.operand() * 16;
        let packed = Packed::new(&self.bytes);
        let parts = [(packed, 0..packed.len())];
        let layout = Layout::new(&parts);
        assert_eq!(layout.used_bytes(), used_bytes(&self.model));
        if layout.used_bytes() <= len {
            let mut bytes = vec![0xEE; len];
            layout.write(&mut bytes, End::Head);
            self.bytes = bytes;
        }
    }

    fn compare(&self) {
        let packed = Packed::new(&self.bytes);
        packed.check();
        assert_eq!(packed.len(), self.model.len());
        // Codes that differed once stay.
        assert!(packed.used_bytes() >= used_bytes(&self.model));
        assert!(packed.used_bytes() <= self.bytes.len());
        let count = packed.len();
        assert!(packed.elements(0..count).eq(self.model.iter().map(field)));
        assert!(
            packed
                .elements(0..count)
                .rev()
                .eq(self.model.iter().rev().map(field))
        );
        if !packed.has_references() {
            let mut seen = Vec::new();
            packed.each(count / 3..count, |element| {
                seen.push(Field::inline(element))
            });
            assert!(packed.elements(count / 3..count).eq(seen));
        }
        for (at, element) in self.model.iter().enumerate().step_by(1 + count / 16) {
            assert_eq!(packed.get(at), field(element));
            assert_eq!(packed.elements(at..count).next(), Some(field(element)));
            assert_eq!(packed.elements(0..at + 1).next_back(), Some(field(element)));
        }
    }
}
