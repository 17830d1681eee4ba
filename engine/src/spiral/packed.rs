//! A small collection of named elements: one run, which its item has in its own block. All elements lie in it, none is long.
//!
//! Elements are in the order in which they came; one that is replaced keeps its place. A look-up compares sixteen tags at once,
//! a removal moves the bytes of the elements behind. So it is the better form up to some hundreds of elements, and the smaller
//! one at any number: decision 0022 has the figures.

use super::run::{self, ELEMENT_MAX_BYTES, Element, Field, NewElement, Shape};
use super::{ElementRef, tag_of};
use crate::UnixMillis;

/// Room that a run gets for what comes next when it grows, as a shift: a sixteenth.
const ROOM_SHIFT: u32 = 4;
/// A run becomes shorter when more of it lies idle, and more than a quarter.
const IDLE_MIN_BYTES: usize = 64;
const IDLE_SHIFT: u32 = 2;

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

    /// Bytes of the run.
    #[inline(always)]
    pub(crate) fn capacity(&self) -> usize {
        self.shape.capacity
    }

    /// Bytes that the run needs with this element, in the place of element `at` or as one more; `None` if its name or value does
    /// not lie in a run.
    #[inline(always)]
    pub(crate) fn needed_with(&self, at: Option<usize>, element: &ElementRef<'_>) -> Option<usize> {
        let new = plan(self.run, &self.shape, at, element)?;
        Some(new.needed())
    }

    /// Bytes that the run needs once an element has this deadline.
    pub(crate) fn needed_with_deadline(&self, deadline: Option<UnixMillis>) -> usize {
        self.shape.with_deadline(deadline).needed()
    }

    /// Bytes that a run of these elements is to have instead, if it has become much too long.
    #[inline(always)]
    pub(crate) fn shorter(&self) -> Option<usize> {
        let most = (self.shape.capacity >> IDLE_SHIFT).max(IDLE_MIN_BYTES);
        (self.shape.idle() > most).then(|| with_room(self.shape.used()))
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

/// The shape of a run with this element; `None` if its name or value does not lie in a run.
#[inline(always)]
fn plan(run: &[u8], shape: &Shape, at: Option<usize>, element: &ElementRef<'_>) -> Option<Shape> {
    let ElementRef {
        name,
        value,
        deadline,
    } = *element;
    if name.len() > ELEMENT_MAX_BYTES || value.len() > ELEMENT_MAX_BYTES {
        return None;
    }
    let codes = (name.len() as u8, value.len() as u8);
    Some(match at {
        None => shape.with(codes.0, codes.1, deadline),
        Some(at) => run::shape_with_value(run, shape, at, codes.1, deadline),
    })
}

/// Bytes of a run that needs so many, with room for what comes next.
#[inline(always)]
pub(crate) fn with_room(needed: usize) -> usize {
    needed + (needed >> ROOM_SHIFT)
}

/// Bytes that a run of one element needs; `None` if its name or value does not lie in a run.
pub(crate) fn needed_alone(element: &ElementRef<'_>) -> Option<usize> {
    Some(plan(&[], &Shape::empty(0), None, element)?.needed())
}

/// Makes a run empty.
pub(crate) fn clear(run: &mut [u8]) {
    Shape::empty(run.len()).write(run);
}

/// Gives a run an element in the place of element `at`, which has its name, or as one more. There must be room.
#[inline(always)]
pub(crate) fn put(run: &mut [u8], at: Option<usize>, hash: u64, element: &ElementRef<'_>) {
    let mut shape = Shape::read(run);
    let value = Field {
        code: element.value.len() as u8,
        bytes: element.value,
    };
    match at {
        None => {
            let name = Field {
                code: element.name.len() as u8,
                bytes: element.name,
            };
            let new = NewElement {
                tag: tag_of(hash),
                name,
                value,
                deadline: element.deadline,
            };
            run::append(run, &mut shape, &new);
        }
        Some(at) => {
            let new = run::shape_with_value(run, &shape, at, value.code, element.deadline);
            run::set_value(run, &mut shape, new, at, value, element.deadline);
        }
    }
}

/// Gives element `at` another deadline, or none. There must be room.
pub(crate) fn set_deadline(run: &mut [u8], at: usize, deadline: Option<UnixMillis>) {
    let mut shape = Shape::read(run);
    run::set_deadline(run, &mut shape, at, deadline);
}

/// Takes element `at` out.
#[inline]
pub(crate) fn remove(run: &mut [u8], at: usize) {
    let mut shape = Shape::read(run);
    run::remove(run, &mut shape, at);
}

/// Makes `to` a run of the same elements as `from`. There must be room.
#[inline]
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    let old = Shape::read(from);
    let new = old.moved_to(to.len());
    to[..old.front_end()].copy_from_slice(&from[..old.front_end()]);
    to[new.bodies()].copy_from_slice(&from[old.bodies()]);
    new.write(to);
}
