//! Changing a run of elements, byte by byte: see the drawing there.
//!
//! Who calls has made room: each function says what it needs. Lists in front move from the last on when they make room and from the first on
//! when they close up; elements move only among themselves.

use super::{
    DEADLINE_BYTES, Element, Field, HEADER_BYTES, IN_BLOCK, IN_EXTENT, NO_DEADLINE, NewElement,
    Shape, VARYING, bytes_of_code,
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

/// Adds an element that shares what `shape` says. There must be room.
#[inline]
pub(in crate::spiral) fn append(run: &mut [u8], shape: &mut Shape, element: &NewElement<'_>) {
    let old = *shape;
    let new = old.with(element.name.code, element.value.code, element.deadline);
    let has_lists = new.name_code == VARYING || new.value_code == VARYING || new.has_deadlines();
    if old.count > 0 && has_lists {
        open_lists(run, &old, &new);
    }
    let at = old.count;
    run[HEADER_BYTES + at] = element.tag;
    if new.name_code == VARYING {
        run[new.name_codes_at() + at] = element.name.code;
    }
    if new.value_code == VARYING {
        run[new.value_codes_at() + at] = element.value.code;
    }
    let value_at = new.low + element.name.bytes.len();
    run[new.low..value_at].copy_from_slice(element.name.bytes);
    run[value_at..old.low].copy_from_slice(element.value.bytes);
    if new.has_deadlines() {
        write_deadline(run, &new, at, element.deadline);
    }
    new.write(run);
    *shape = new;
}

/// Makes room in the lists in front for one element more.
fn open_lists(run: &mut [u8], old: &Shape, new: &Shape) {
    let front = Shape {
        count: old.count,
        low: old.low,
        ..*new
    };
    if front != *old {
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

/// Takes element `at` out.
pub(in crate::spiral) fn remove(run: &mut [u8], shape: &mut Shape, at: usize) {
    let old = *shape;
    let (name_at, _, end) = old.ranges_of(run, at);
    let bytes = end - name_at;
    run.copy_within(old.low..name_at, old.low + bytes);
    let mut new = old;
    new.count -= 1;
    new.low += bytes;
    // Each list moves down by those before it, from the first on.
    let lists = [
        (HEADER_BYTES, HEADER_BYTES, 1, true),
        (
            old.name_codes_at(),
            new.name_codes_at(),
            1,
            old.name_code == VARYING,
        ),
        (
            old.value_codes_at(),
            new.value_codes_at(),
            1,
            old.value_code == VARYING,
        ),
        (
            old.deadlines_at(),
            new.deadlines_at(),
            DEADLINE_BYTES,
            old.has_deadlines(),
        ),
    ];
    for (from, to, width, is_there) in lists {
        if is_there {
            if from != to {
                run.copy_within(from..from + at * width, to);
            }
            run.copy_within(
                from + (at + 1) * width..from + old.count * width,
                to + at * width,
            );
        }
    }
    new.write(run);
    *shape = new;
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
    if code >= IN_EXTENT {
        new.flags |= Shape::REFERENCES;
    }
    if deadline.is_some() {
        new.flags |= Shape::DEADLINES;
    }
    new.low = (shape.low + bytes_of_code(was)).wrapping_sub(bytes_of_code(code));
    new
}

/// Gives element `at` another value and deadline; `new` is what [`shape_with_value`] has told, and there must be room.
pub(in crate::spiral) fn set_value(
    run: &mut [u8],
    shape: &mut Shape,
    new: Shape,
    at: usize,
    value: Field<'_>,
    deadline: Option<UnixMillis>,
) {
    let old = *shape;
    let (_, value_at, end) = old.ranges_of(run, at);
    // A front that becomes longer may need the place that a shorter value leaves.
    if new.low > old.low {
        run.copy_within(old.low..value_at, new.low);
    }
    let closed = Shape {
        low: new.low.max(old.low),
        ..old
    };
    let front = Shape {
        low: closed.low,
        ..new
    };
    if front != old {
        widen_front(run, &closed, &front);
    }
    if new.value_code == VARYING {
        run[new.value_codes_at() + at] = value.code;
    }
    if new.low < old.low {
        run.copy_within(old.low..value_at, new.low);
        new.write(run);
    }
    run[end - value.bytes.len()..end].copy_from_slice(value.bytes);
    if new.has_deadlines() {
        write_deadline(run, &new, at, deadline);
    }
    *shape = new;
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
