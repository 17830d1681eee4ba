//! A small collection of named elements: one run, which its item has in its own block. All elements lie in it, none is long.
//!
//! Elements are in the order in which they came; one that is replaced keeps its place. A look-up compares sixteen tags at once,
//! a removal moves the bytes of the elements behind. So it is the better form up to some hundreds of elements, and the smaller
//! one at any number: decision 0022 has the figures.

use super::run::{self, ELEMENT_MAX_BYTES, Element, Field, NewElement, Shape};
use super::{ElementRef, tag_of};
use crate::UnixMillis;

/// Room that a run gets for what comes next when it grows, as a shift: a sixteenth, in whole elements.
const ROOM_SHIFT: u32 = 4;
/// A run becomes shorter when more of it lies idle, and more than an eighth.
const IDLE_MIN_BYTES: usize = 32;
const IDLE_SHIFT: u32 = 3;

/// What [`put`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is there now.
    Done,
    /// It is there now, and the run may be much too long.
    Shrunk,
    /// A run of at least so many bytes has room for it; it would better have so many.
    Needs(usize, usize),
    /// It lies in no run.
    TooLong,
}

/// A small collection, to read.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    run: &'a [u8],
    shape: Shape,
}

impl<'a> Packed<'a> {
    /// The collection in this run.
    #[inline(always)]
    pub(crate) fn new(run: &'a [u8]) -> Self {
        let shape = Shape::read(run);
        Self { run, shape }
    }

    /// Number of elements.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.shape.count
    }

    /// Bytes of the run.
    pub(crate) fn run_bytes(&self) -> usize {
        self.run.len()
    }

    #[inline(always)]
    fn view(element: &Element<'a>) -> ElementRef<'a> {
        ElementRef {
            name: element.name().bytes,
            value: element.value().bytes,
            deadline: element.deadline,
        }
    }

    /// The element of this name, whose hash is `hash`, and its number.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, name: &[u8]) -> Option<(usize, ElementRef<'a>)> {
        let is = |field: Field<'a>| field.bytes == name;
        let (at, element) = self.shape.find(self.run, tag_of(hash), is)?;
        Some((at, Self::view(&element)))
    }

    /// Element `at`, which there is.
    pub(crate) fn element(&self, at: usize) -> ElementRef<'a> {
        Self::view(&self.shape.element(self.run, at))
    }

    /// Shows all elements, in order.
    #[inline]
    pub(crate) fn for_each(&self, mut show: impl FnMut(ElementRef<'a>)) {
        self.shape
            .for_each(self.run, |element| show(Self::view(&element)));
    }

    /// The soonest deadline: exact.
    pub(crate) fn soonest_deadline(&self) -> Option<UnixMillis> {
        if !self.shape.has_deadlines() {
            return None;
        }
        let deadlines = (0..self.shape.count).filter_map(|at| self.shape.deadline(self.run, at));
        deadlines.min()
    }

    /// The first element from number `from` on whose deadline has come at `now`, and its number.
    pub(crate) fn next_due(&self, from: usize, now: UnixMillis) -> Option<(usize, ElementRef<'a>)> {
        let is_due = |&at: &usize| {
            let deadline = self.shape.deadline(self.run, at);
            deadline.is_some_and(|deadline| deadline <= now)
        };
        let at = (from..self.shape.count).find(is_due)?;
        Some((at, self.element(at)))
    }

    /// Bytes that a run of these elements is to have instead, if it has become much too long.
    #[inline(always)]
    pub(crate) fn shorter(&self) -> Option<usize> {
        let most = (self.shape.capacity >> IDLE_SHIFT).max(IDLE_MIN_BYTES);
        (self.shape.idle() > most).then(|| with_room(&self.shape))
    }

    /// Verifies the run; `hash_of` tells the hash of a name.
    ///
    /// # Panics
    /// An invariant is broken.
    pub(crate) fn check(&self, hash_of: &impl Fn(&[u8]) -> u64) {
        let shape = &self.shape;
        assert_eq!(shape.capacity, self.run.len());
        assert!(shape.front_end() <= shape.bodies().start && !shape.has_references());
        let mut end = shape.capacity;
        for at in 0..shape.count {
            let element = shape.element(self.run, at);
            assert_eq!(end, shape.end_of(self.run, at));
            end -= element.body_bytes();
            let name = element.name().bytes;
            let hash = hash_of(name);
            assert_eq!(tag_of(hash), element.tag);
            let found = self.find(hash, name).map(|(at, _)| at);
            assert_eq!(found, Some(at), "a name is there once");
        }
        assert_eq!(end, shape.bodies().start);
    }
}

/// Bytes that a run of this shape, which may be a plan, is to have.
#[inline(always)]
fn with_room(shape: &Shape) -> usize {
    let needed = shape.needed();
    let element = needed / shape.count.max(1) + 1;
    let room = needed >> ROOM_SHIFT;
    needed + room - room % element
}

/// Bytes that a run of this one element is to have; `None` if it lies in none.
pub(crate) fn bytes_alone(element: &ElementRef<'_>) -> Option<usize> {
    let (name, value) = (element.name.len(), element.value.len());
    if name.max(value) > ELEMENT_MAX_BYTES {
        return None;
    }
    let shape = Shape::empty(0).with(name as u8, value as u8, element.deadline);
    Some(with_room(&shape))
}

/// Makes a run empty.
pub(crate) fn clear(run: &mut [u8]) {
    Shape::empty(run.len()).write(run);
}

/// Gives a run an element, in the place of element `at`, which has its name, or as one more: if there is room, otherwise nothing
/// changes.
#[inline(always)]
pub(crate) fn put(
    run: &mut [u8],
    at: Option<usize>,
    hash: u64,
    element: &ElementRef<'_>,
) -> Written {
    let ElementRef {
        name,
        value,
        deadline,
    } = *element;
    let shape = Shape::read(run);
    let Some(at) = at else {
        if name.len().max(value.len()) > ELEMENT_MAX_BYTES {
            return Written::TooLong;
        }
        let plan = shape.with(name.len() as u8, value.len() as u8, deadline);
        if plan.needed() > shape.capacity {
            return Written::Needs(plan.needed(), with_room(&plan));
        }
        let new = NewElement {
            tag: tag_of(hash),
            name: Field::of_bytes(name),
            value: Field::of_bytes(value),
            deadline,
        };
        run::append(run, &shape, &plan, &new);
        return Written::Done;
    };
    let old = shape.element(run, at);
    if run::is_length(old.value_code, value.len()) && old.deadline == deadline {
        run::overwrite_value(run, &shape, at, value);
        return Written::Done;
    }
    if value.len() > ELEMENT_MAX_BYTES {
        return Written::TooLong;
    }
    let plan = run::shape_with_value(run, &shape, at, value.len() as u8, deadline);
    if plan.needed() > shape.capacity {
        return Written::Needs(plan.needed(), with_room(&plan));
    }
    run::set_value(run, &shape, &plan, at, Field::of_bytes(value), deadline);
    match plan.used() < shape.used() {
        true => Written::Shrunk,
        false => Written::Done,
    }
}

/// Gives element `at` another deadline, or none: if there is room, otherwise nothing changes.
pub(crate) fn set_deadline(run: &mut [u8], at: usize, deadline: Option<UnixMillis>) -> Written {
    let mut shape = Shape::read(run);
    let plan = shape.with_deadline(deadline);
    if plan.needed() > shape.capacity {
        return Written::Needs(plan.needed(), with_room(&plan));
    }
    run::set_deadline(run, &mut shape, at, deadline);
    Written::Done
}

/// Takes element `at` out.
#[inline]
pub(crate) fn remove(run: &mut [u8], at: usize) {
    run::remove(run, at);
}

/// Makes `to` a run of the same elements as `from`. There must be room.
#[inline]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    run::copy(from, &Shape::read(from), to);
}
