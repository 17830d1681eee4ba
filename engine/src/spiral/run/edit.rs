//! Changing a run of elements, byte by byte: see the drawing there.
//!
//! Who calls has made room: each function says what it needs. Lists in front move from the last on when they make room and from the first on
//! when they close up; elements move only among themselves.

use std::ops::Range;

use super::{
    DEADLINE_BYTES, Element, Field, Front, HEADER_BYTES, IN_BLOCK, NO_DEADLINE, NewElement, Shape,
    VARYING, bytes_of_code, is_reference,
};
use crate::UnixMillis;
use crate::nodes::read_u32;
use crate::raw::Block;

/// Gives a run the front of `new`, of as many elements as it has: codes that come to differ get their places, deadlines too.
/// There must be room. Elements stay where they are.
pub(in crate::spiral) fn widen_front(run: &mut [u8], old: &Shape, new: &Shape) {
    debug_assert!(new.count == old.count && new.front_end() <= old.low);
    if new.has_deadlines() {
        let to = new.deadlines_at();
        if old.has_deadlines() {
            run.copy_within(old.deadlines_at()..old.front_end(), to);
        } else {
            run[to..new.front_end()].fill(0xFF);
        }
    }
    if new.value_code == VARYING {
        let (from, to) = (old.value_codes_at(), new.value_codes_at());
        match old.value_code {
            VARYING => run.copy_within(from..from + old.count, to),
            code => run[to..to + old.count].fill(code),
        }
    }
    if new.name_code == VARYING && old.name_code != VARYING {
        let to = new.name_codes_at();
        run[to..to + old.count].fill(old.name_code);
    }
    new.write(run);
}

/// Adds an element to a run of this shape; `new` is what [`Shape::with`] tells of it, and there must be room.
#[inline(always)]
pub(in crate::spiral) fn append(
    run: &mut [u8],
    old: &Shape,
    new: &Shape,
    element: &NewElement<'_>,
) {
    let body = open(run, old, new, &element.front());
    element.fill(&mut run[body]);
}

/// As [`append`], but the bytes of the element are the caller's to write: where they belong.
#[inline(always)]
pub(in crate::spiral) fn open(
    run: &mut [u8],
    old: &Shape,
    new: &Shape,
    front: &Front,
) -> Range<usize> {
    let has_lists = new.name_code == VARYING || new.value_code == VARYING || new.has_deadlines();
    if has_lists && old.count > 0 {
        open_lists(run, old, new);
    }
    let at = old.count;
    run[HEADER_BYTES + at] = front.tag;
    if new.name_code == VARYING {
        run[new.name_codes_at() + at] = front.name_code;
    }
    if new.value_code == VARYING {
        run[new.value_codes_at() + at] = front.value_code;
    }
    if new.has_deadlines() {
        write_deadline(run, new, at, front.deadline);
    }
    new.write(run);
    new.low..old.low
}

/// Makes room in the lists in front for one element more.
fn open_lists(run: &mut [u8], old: &Shape, new: &Shape) {
    let front = Shape {
        count: old.count,
        low: old.low,
        ..*new
    };
    if !new.shares_what(old) {
        widen_front(run, old, &front);
    }
    if new.has_deadlines() {
        let from = front.deadlines_at();
        run.copy_within(from..front.front_end(), new.deadlines_at());
    }
    if new.value_code == VARYING {
        let from = front.value_codes_at();
        run.copy_within(from..from + old.count, new.value_codes_at());
    }
    if new.name_code == VARYING {
        let from = front.name_codes_at();
        run.copy_within(from..from + old.count, new.name_codes_at());
    }
}

fn write_deadline(run: &mut [u8], shape: &Shape, at: usize, deadline: Option<UnixMillis>) {
    let ms = deadline.map_or(NO_DEADLINE, |at| at.0 as u64);
    let place = shape.deadlines_at() + at * DEADLINE_BYTES;
    run[place..place + DEADLINE_BYTES].copy_from_slice(&ms.to_le_bytes()[..DEADLINE_BYTES]);
}

/// Takes element `at` out; the others keep their order.
pub(in crate::spiral) fn remove(run: &mut [u8], at: usize) {
    let old = Shape::read(run);
    let (name_at, _, end) = old.ranges_of(run, at);
    let new = old.without(end - name_at);
    run.copy_within(old.low..name_at, new.low);
    close_lists(run, &old, &new, at);
}

/// Takes element `at` out, which leaves a run of shape `new`. The last one takes its place if that moves nothing else.
#[inline]
pub(in crate::spiral) fn swap_remove(run: &mut [u8], at: usize, new: &Shape) {
    let old = Shape::read(run);
    let (name_at, _, _) = old.ranges_of(run, at);
    let last = new.count;
    let last_bytes =
        bytes_of_code(old.name_code_of(run, last)) + bytes_of_code(old.value_code_of(run, last));
    if last_bytes != new.low - old.low {
        run.copy_within(old.low..name_at, new.low);
        return close_lists(run, &old, new, at);
    }
    run.copy_within(old.low..new.low, name_at);
    for (list, width) in old.lists() {
        let from = list + last * width;
        run.copy_within(from..from + width, list + at * width);
    }
    close_lists(run, &old, new, last);
}

/// Takes place `at` out of the lists in front, and writes the header.
#[inline(always)]
fn close_lists(run: &mut [u8], old: &Shape, new: &Shape, at: usize) {
    // Each moves down by those before it, from the first on.
    for ((from, width), (to, _)) in old.lists().zip(new.lists()) {
        if from != to {
            run.copy_within(from..from + at * width, to);
        }
        if at < new.count {
            let behind = from + (at + 1) * width..from + old.count * width;
            run.copy_within(behind, to + at * width);
        }
    }
    new.write(run);
}

/// Makes `to` a run of the elements of `from` without element `at`, which leaves shape `left`. There must be room.
pub(in crate::spiral) fn copy_without(from: &[u8], at: usize, to: &mut [u8], left: &Shape) {
    let (old, new) = (Shape::read(from), left.moved_to(to.len()));
    for ((list, width), (target, _)) in old.lists().zip(new.lists()) {
        let (before, behind) = (at * width, (new.count - at) * width);
        to[target..target + before].copy_from_slice(&from[list..list + before]);
        let (list, target) = (list + before + width, target + before);
        to[target..target + behind].copy_from_slice(&from[list..list + behind]);
    }
    let (name_at, _, end) = old.ranges_of(from, at);
    let middle = new.low + name_at - old.low;
    to[new.low..middle].copy_from_slice(&from[old.low..name_at]);
    to[middle..].copy_from_slice(&from[end..old.capacity]);
    new.write(to);
}

/// Makes `to` a run of the elements of `from`, whose shape is `old`; its shape. There must be room.
#[inline]
pub(in crate::spiral) fn copy(from: &[u8], old: &Shape, to: &mut [u8]) -> Shape {
    let new = old.moved_to(to.len());
    let front = HEADER_BYTES..old.front_end();
    to[front.clone()].copy_from_slice(&from[front]);
    to[new.bodies()].copy_from_slice(&from[old.bodies()]);
    new.write(to);
    new
}

/// Writes the elements of `from`, whose shape is `old`, into a run with shape `new`, planned for them and others: from number `first` on,
/// the first ending at `end`. Where the last begins.
pub(in crate::spiral) fn copy_among(
    from: &[u8],
    old: &Shape,
    to: &mut [u8],
    new: &Shape,
    (first, end): (usize, usize),
) -> usize {
    let count = old.count;
    let mut list = |at: usize, width: usize, source: Option<usize>, otherwise: u8| {
        let target = &mut to[at + first * width..at + (first + count) * width];
        match source {
            Some(source) => target.copy_from_slice(&from[source..source + count * width]),
            None => target.fill(otherwise),
        }
    };
    list(HEADER_BYTES, 1, Some(HEADER_BYTES), 0);
    if new.name_code == VARYING {
        let source = (old.name_code == VARYING).then(|| old.name_codes_at());
        list(new.name_codes_at(), 1, source, old.name_code);
    }
    if new.value_code == VARYING {
        let source = (old.value_code == VARYING).then(|| old.value_codes_at());
        list(new.value_codes_at(), 1, source, old.value_code);
    }
    if new.has_deadlines() {
        let source = old.has_deadlines().then(|| old.deadlines_at());
        list(new.deadlines_at(), DEADLINE_BYTES, source, 0xFF);
    }
    let start = end - old.bodies().len();
    to[start..end].copy_from_slice(&from[old.bodies()]);
    start
}

/// Gives element `at` another value of the same code, which lies in it.
#[inline(always)]
pub(in crate::spiral) fn overwrite_value(run: &mut [u8], shape: &Shape, at: usize, value: &[u8]) {
    let (_, value_at, end) = shape.ranges_of(run, at);
    run[value_at..end].copy_from_slice(value);
}

/// Shape of the run once the value of element `at` has this code and the deadline is this.
pub(in crate::spiral) fn shape_with_value(
    run: &[u8],
    shape: &Shape,
    at: usize,
    code: u8,
    deadline: Option<UnixMillis>,
) -> Shape {
    let mut new = *shape;
    let was = shape.value_code_of(run, at);
    if shape.value_code != VARYING && code != was {
        new.value_code = if shape.count == 1 { code } else { VARYING };
    }
    if is_reference(code) {
        new.flags |= Shape::REFERENCES;
    }
    if deadline.is_some() {
        new.flags |= Shape::DEADLINES;
    }
    new.low = (shape.low + bytes_of_code(was)).wrapping_sub(bytes_of_code(code));
    new
}

/// Gives element `at` another value and deadline; `new` is what [`shape_with_value`] has told, and there must be room.
#[inline(always)]
pub(in crate::spiral) fn set_value(
    run: &mut [u8],
    old: &Shape,
    new: &Shape,
    at: usize,
    value: Field<'_>,
    deadline: Option<UnixMillis>,
) {
    let place = reopen_value(run, old, new, at, (value.code, deadline));
    run[place].copy_from_slice(value.bytes);
}

/// As [`set_value`], but the bytes of the value are the caller's to write: where they belong.
#[inline(always)]
pub(in crate::spiral) fn reopen_value(
    run: &mut [u8],
    old: &Shape,
    new: &Shape,
    at: usize,
    (code, deadline): (u8, Option<UnixMillis>),
) -> Range<usize> {
    let (_, value_at, end) = old.ranges_of(run, at);
    if new.shares_what(old) {
        run.copy_within(old.low..value_at, new.low);
        new.write(run);
    } else {
        widen_and_move(run, old, new, value_at);
    }
    if new.value_code == VARYING {
        run[new.value_codes_at() + at] = code;
    }
    if new.has_deadlines() {
        write_deadline(run, new, at, deadline);
    }
    end - bytes_of_code(code)..end
}

/// Gives a run the front of `new`, of as many elements as it has, and moves those that end up to `end` to where they begin in it.
fn widen_and_move(run: &mut [u8], old: &Shape, new: &Shape, end: usize) {
    // A front that becomes longer may need the place that a shorter value leaves.
    let mut moved = *old;
    if new.low > old.low {
        run.copy_within(old.low..end, new.low);
        moved.low = new.low;
    }
    let front = Shape {
        low: moved.low,
        ..*new
    };
    widen_front(run, &moved, &front);
    if new.low < old.low {
        run.copy_within(old.low..end, new.low);
        new.write(run);
    }
}

/// Gives element `at` another deadline, or none. There must be room.
pub(in crate::spiral) fn set_deadline(
    run: &mut [u8],
    shape: &mut Shape,
    at: usize,
    deadline: Option<UnixMillis>,
) {
    let new = shape.with_deadline(deadline);
    if new != *shape {
        widen_front(run, shape, &new);
        *shape = new;
    }
    if shape.has_deadlines() {
        write_deadline(run, shape, at, deadline);
    }
}

/// Points the reference in the name or value of element `at` from one block to another; whether it was there.
pub(in crate::spiral) fn repoint(
    run: &mut [u8],
    shape: &Shape,
    at: usize,
    from: Block,
    to: Block,
) -> bool {
    let (name_at, value_at, _) = shape.ranges_of(run, at);
    let places = [
        (shape.name_code_of(run, at), name_at),
        (shape.value_code_of(run, at), value_at),
    ];
    for (code, place) in places {
        if code == IN_BLOCK && read_u32(run, place) == from.0 {
            run[place..place + 4].copy_from_slice(&to.0.to_le_bytes());
            return true;
        }
    }
    false
}

/// Writes the elements of a run whose shape is planned.
pub(in crate::spiral) struct Filler {
    shape: Shape,
    at: usize,
    end: usize,
}

impl Filler {
    /// Begins with the header.
    pub(in crate::spiral) fn new(run: &mut [u8], shape: Shape) -> Self {
        shape.write(run);
        Self {
            shape,
            at: 0,
            end: shape.capacity,
        }
    }

    /// Writes the next element.
    #[inline(always)]
    pub(in crate::spiral) fn add(&mut self, run: &mut [u8], element: &Element<'_>) {
        let Self { shape, at, end } = *self;
        run[HEADER_BYTES + at] = element.tag;
        if shape.name_code == VARYING {
            run[shape.name_codes_at() + at] = element.name_code;
        }
        if shape.value_code == VARYING {
            run[shape.value_codes_at() + at] = element.value_code;
        }
        if shape.has_deadlines() {
            write_deadline(run, &shape, at, element.deadline);
        }
        let start = end - element.body.len();
        run[start..end].copy_from_slice(element.body);
        (self.at, self.end) = (at + 1, start);
    }
}
