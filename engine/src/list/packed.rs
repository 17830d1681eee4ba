//! Elements packed into one run of bytes, in order: a whole small list, or a leaf of a large one. Which memory the bytes are
//! in is for others to know.
//!
//! ```text
//!  0       1      3       5       7     9      11   start                end                       len − left    len
//! +-------+------+-------+-------+-----+------+----+-----+-----+--------+-----+--------+-----+-----+------------+
//! | flags | code | count | start | end | left | …  | e 0 | e 1 | …  n−1 |  …  | of n−1 | … 1 | of 0|     …      |
//! +-------+------+-------+-------+-----+------+----+-----+-----+--------+-----+--------+-----+-----+------------+
//!                                              room  elements            room  codes                 room
//! ```
//! A code is the length of an element, or says that a reference lies in its place: to a block of its own, or to an extent. While
//! all codes are equal, one stands in the header and there is no other; once they differ, each element has one, of a byte, or
//! of two where any is above 252. Elements grow to the right and codes to the left, or the other way round, into the rooms: what
//! comes or goes at an end moves nothing. When the room that is needed is too small and those together are not, all is laid out
//! anew, so that the room is where it was needed: alternating ends lay out anew a few times in all, since rooms halve.
//!
//! Integers stay the text that they came as: of equal length they cost nothing beyond it, and reading them converts nothing.
//!
//! Cost: an element by its index is a multiplication while codes are equal, and else a sum of codes from the nearer end.

use std::ops::Range;

use super::field::{Code, Field};
use crate::nodes::read_u16;

/// Bytes before the first room.
pub(crate) const HEADER_BYTES: usize = 11;
/// The longest run, since offsets have 16 bits.
pub(crate) const PACKED_MAX_BYTES: usize = u16::MAX as usize;
/// The most elements of a run, for the same reason.
const COUNT_MAX: usize = u16::MAX as usize;

const CODE_AT: usize = 1;
const COUNT_AT: usize = 3;
const START_AT: usize = 5;
const END_AT: usize = 7;
const LEFT_AT: usize = 9;

/// Flags: the bytes of a code, and whether there may be references.
const WIDTH_MASK: u8 = 3;
const REFERENCES: u8 = 4;

const NO_HEADER: &str = "a run has a header";

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where its first element is.
    Head,
    /// Where its last element is.
    Tail,
}

impl End {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Head => Self::Tail,
            Self::Tail => Self::Head,
        }
    }
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of a code, none while all are equal.
    pub(super) width: usize,
    pub(super) has_references: bool,
    /// The code of all while they are equal.
    pub(super) code: Code,
    pub(super) count: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Bytes of the room behind the codes.
    pub(super) left: usize,
}

impl Shape {
    pub(super) const EMPTY: Self = Self {
        width: 0,
        has_references: false,
        code: Code(0),
        count: 0,
        start: HEADER_BYTES,
        end: HEADER_BYTES,
        left: 0,
    };

    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().expect(NO_HEADER);
        Self {
            width: usize::from(header[0] & WIDTH_MASK),
            has_references: header[0] & REFERENCES != 0,
            code: Code(read_u16(header, CODE_AT) as u16),
            count: read_u16(header, COUNT_AT),
            start: read_u16(header, START_AT),
            end: read_u16(header, END_AT),
            left: read_u16(header, LEFT_AT),
        }
    }

    #[inline(always)]
    pub(super) fn write(&self, bytes: &mut [u8]) {
        let header: &mut [u8; HEADER_BYTES] = bytes.first_chunk_mut().expect(NO_HEADER);
        let flags = self.width as u8 | (u8::from(self.has_references) * REFERENCES);
        let [c0, c1] = self.code.0.to_le_bytes();
        let [n0, n1] = (self.count as u16).to_le_bytes();
        let [s0, s1] = (self.start as u16).to_le_bytes();
        let [e0, e1] = (self.end as u16).to_le_bytes();
        let [l0, l1] = (self.left as u16).to_le_bytes();
        *header = [flags, c0, c1, n0, n1, s0, s1, e0, e1, l0, l1];
    }

    #[inline(always)]
    pub(super) fn payload(&self) -> usize {
        self.end - self.start
    }

    /// Bytes of a code once there is an element with this one, too.
    #[inline(always)]
    pub(super) fn width_with(&self, code: Code) -> usize {
        match self.width {
            _ if self.count == 0 => 0,
            0 if self.code == code => 0,
            0 => self.code.width().max(code.width()),
            width => width.max(code.width()),
        }
    }

    /// Where the codes of elements `range` are in a run of `len` bytes, the last of them first.
    #[inline(always)]
    pub(super) fn codes(&self, len: usize, range: Range<usize>) -> Range<usize> {
        let end = len - self.left;
        end - range.end * self.width..end - range.start * self.width
    }
}

/// A run to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) shape: Shape,
}

impl<'a> Packed<'a> {
    /// The run that `bytes` are, all of them.
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            shape: Shape::read(bytes),
        }
    }

    /// Number of elements.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.shape.count
    }

    /// Bytes in the elements' places.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.shape.payload()
    }

    /// Whether there may be references.
    #[inline(always)]
    pub(crate) fn has_references(&self) -> bool {
        self.shape.has_references
    }

    /// The code of all, if they are equal.
    pub(crate) fn common_code(&self) -> Option<Code> {
        (self.shape.width == 0).then_some(self.shape.code)
    }

    /// Bytes that are in use.
    pub(crate) fn used_bytes(&self) -> usize {
        HEADER_BYTES + self.shape.payload() + self.shape.count * self.shape.width
    }

    /// Bytes that are not.
    #[inline(always)]
    pub(crate) fn room_bytes(&self) -> usize {
        self.bytes.len() - self.used_bytes()
    }

    /// Bytes in use once an element with this code is there, too.
    #[inline(always)]
    pub(crate) fn used_with(&self, code: Code) -> usize {
        let codes = (self.shape.count + 1) * self.shape.width_with(code);
        HEADER_BYTES + self.shape.payload() + code.body_bytes() + codes
    }

    /// At most the bytes in use once element `at` is another, with this code.
    pub(crate) fn used_with_other(&self, at: usize, code: Code) -> usize {
        let shape = &self.shape;
        let width = if shape.count == 1 {
            0
        } else {
            shape.width_with(code)
        };
        let payload = shape.payload() - self.code(at).body_bytes() + code.body_bytes();
        HEADER_BYTES + payload + shape.count * width
    }

    #[inline(always)]
    pub(super) fn code(&self, at: usize) -> Code {
        let place = self.shape.codes(self.bytes.len(), at..at + 1).start;
        match self.shape.width {
            0 => self.shape.code,
            1 => Code::of_byte(self.bytes[place]),
            _ => Code(read_u16(self.bytes, place) as u16),
        }
    }

    /// Bytes of the elements `range`, by their codes.
    #[inline(always)]
    pub(super) fn bytes_of(&self, range: Range<usize>) -> usize {
        match self.shape.width {
            0 => range.len() * self.shape.code.body_bytes(),
            1 if !self.shape.has_references => {
                let codes = &self.bytes[self.shape.codes(self.bytes.len(), range)];
                codes.iter().map(|&code| u32::from(code)).sum::<u32>() as usize
            }
            _ => range.map(|at| self.code(at).body_bytes()).sum(),
        }
    }

    /// Where element `at` begins, or the last one ends.
    #[inline(always)]
    pub(super) fn offset(&self, at: usize) -> usize {
        let Shape {
            width,
            count,
            start,
            end,
            ..
        } = self.shape;
        if width == 0 || at <= count / 2 {
            start + self.bytes_of(0..at)
        } else {
            end - self.bytes_of(at..count)
        }
    }

    /// Element `at`.
    ///
    /// # Panics
    /// There is none.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Field<'a> {
        assert!(at < self.shape.count, "an index is below the count");
        let code = self.code(at);
        let offset = self.offset(at);
        Field {
            code,
            bytes: &self.bytes[offset..offset + code.body_bytes()],
        }
    }

    /// The elements `range`, from either end.
    #[inline]
    pub(crate) fn elements(&self, range: Range<usize>) -> Elements<'a> {
        let offsets = self.offset(range.start)..self.offset(range.end);
        Elements {
            packed: *self,
            range,
            offsets,
        }
    }

    /// Shows `see` the elements `range`, in order, of which none is a reference.
    #[inline(always)]
    pub(crate) fn each(&self, range: Range<usize>, mut see: impl FnMut(&'a [u8])) {
        let shape = &self.shape;
        debug_assert!(!shape.has_references);
        let mut rest = &self.bytes[self.offset(range.start)..shape.end];
        let mut take = |len: usize| {
            let (element, behind) = rest.split_at(len);
            rest = behind;
            see(element);
        };
        match shape.width {
            0 => range.for_each(|_| take(usize::from(shape.code.0))),
            1 => {
                let codes = &self.bytes[shape.codes(self.bytes.len(), range)];
                codes.iter().rev().for_each(|&len| take(len.into()));
            }
            _ => range.for_each(|at| take(self.code(at).body_bytes())),
        }
    }

    /// Which of the elements `range` is the first, or the last, of which `is_it` is true.
    #[inline(always)]
    pub(super) fn position(
        &self,
        range: Range<usize>,
        from: End,
        is_it: impl Fn(Field<'a>) -> bool,
    ) -> Option<usize> {
        let (start, end) = (range.start, range.end);
        let mut elements = self.elements(range);
        match from {
            End::Head => elements.position(is_it).map(|nth| start + nth),
            End::Tail => elements.rev().position(is_it).map(|nth| end - 1 - nth),
        }
    }

    /// Which of the elements `range` is the first, or the last, that lies here itself and is `element`.
    pub(crate) fn find(&self, range: Range<usize>, from: End, element: &[u8]) -> Option<usize> {
        let is_other = |code: Code| code.is_reference() || code.body_bytes() != element.len();
        if self.common_code().is_some_and(is_other) {
            return None;
        }
        self.position(range, from, |field| {
            !field.code().is_reference() && field.bytes() == element
        })
    }

    /// The most elements from the first on that take at most half of the bytes, but one at least, and not all.
    pub(crate) fn half(&self) -> usize {
        let half = self.shape.payload() / 2;
        let (mut at, mut bytes) = (0, 0);
        for element in self.elements(0..self.shape.count) {
            bytes += element.bytes.len();
            if bytes > half {
                break;
            }
            at += 1;
        }
        // Elements without bytes are divided by their number.
        if half == 0 {
            self.shape.count / 2
        } else {
            at.clamp(1, self.shape.count - 1)
        }
    }

    /// Verifies the header and the codes.
    ///
    /// # Panics
    /// They contradict each other.
    pub(crate) fn check(&self) {
        let Shape {
            width,
            has_references,
            count,
            start,
            end,
            left,
            ..
        } = self.shape;
        assert!(width <= 2 && HEADER_BYTES <= start && start <= end);
        assert!(end + count * width + left <= self.bytes.len());
        assert_eq!(self.bytes_of(0..count), end - start);
        assert!(count > 0 || (width == 0 && !has_references));
        let mut codes = (0..count).map(|at| self.code(at));
        assert!(has_references || codes.all(|code| !code.is_reference()));
    }
}

/// Some elements of a run.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a> {
    packed: Packed<'a>,
    range: Range<usize>,
    offsets: Range<usize>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let at = self.range.next()?;
        let code = self.packed.code(at);
        let offset = self.offsets.start;
        self.offsets.start += code.body_bytes();
        Some(Field {
            code,
            bytes: &self.packed.bytes[offset..self.offsets.start],
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl DoubleEndedIterator for Elements<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let at = self.range.next_back()?;
        let code = self.packed.code(at);
        let end = self.offsets.end;
        self.offsets.end -= code.body_bytes();
        Some(Field {
            code,
            bytes: &self.packed.bytes[self.offsets.end..end],
        })
    }
}

/// A run to change.
#[derive(Debug)]
pub(crate) struct PackedMut<'a> {
    bytes: &'a mut [u8],
    shape: Shape,
}

impl<'a> PackedMut<'a> {
    /// The run that `bytes` are, all of them.
    #[inline(always)]
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        debug_assert!(bytes.len() <= PACKED_MAX_BYTES);
        Self {
            shape: Shape::read(bytes),
            bytes,
        }
    }

    /// Makes `bytes` a run without elements.
    pub(crate) fn empty(bytes: &'a mut [u8]) -> Self {
        Shape::EMPTY.write(bytes);
        Self::new(bytes)
    }

    #[inline(always)]
    pub(crate) fn as_packed(&self) -> Packed<'_> {
        Packed {
            bytes: self.bytes,
            shape: self.shape,
        }
    }

    #[inline(always)]
    fn write_code(&mut self, at: usize, code: Code) {
        let place = self.shape.codes(self.bytes.len(), at..at + 1).start;
        let [low, high] = code.0.to_le_bytes();
        self.bytes[place] = low;
        if self.shape.width == 2 {
            self.bytes[place + 1] = high;
        }
    }

    /// Whether there is room for an element of so many bytes and a code as they are now.
    #[inline(always)]
    fn has_room(&self, end: End, bytes: usize) -> bool {
        let Shape {
            width,
            count,
            start,
            end: elements_end,
            left,
            ..
        } = self.shape;
        match end {
            End::Head => start - HEADER_BYTES >= bytes && left >= width,
            End::Tail => elements_end + bytes + (count + 1) * width + left <= self.bytes.len(),
        }
    }

    /// Makes room for one more element with this code, whether it is there; if not, nothing changed.
    #[inline(always)]
    fn prepare(&mut self, end: End, code: Code) -> bool {
        let is_alike = self.shape.count > 0 && self.shape.width_with(code) == self.shape.width;
        (is_alike && self.has_room(end, code.body_bytes())) || self.make_room(end, code)
    }

    /// Lays all out anew for that. The end that asked gets what room there will be, but for what the other end has now, or half.
    #[inline(never)]
    fn make_room(&mut self, end: End, code: Code) -> bool {
        let Shape {
            count,
            start,
            end: elements_end,
            left,
            width,
            ..
        } = self.shape;
        let (len, used) = (self.bytes.len(), self.as_packed().used_with(code));
        if used > len || count == COUNT_MAX {
            return false;
        }
        let (bytes, new_width) = (code.body_bytes(), self.shape.width_with(code));
        let room = len - used;
        let front_room = start - HEADER_BYTES + left;
        let back_room = len - left - count * width - elements_end;
        let front = match end {
            _ if count == 0 => {
                if end == End::Head {
                    room
                } else {
                    0
                }
            }
            End::Head => room - back_room.min(room / 2),
            End::Tail => front_room.min(room / 2),
        };
        // As much of it for codes as elements like these will want.
        let mean = (self.shape.payload() + bytes) / (count + 1);
        let codes = if new_width == 0 {
            0
        } else {
            front / (mean + new_width) * new_width
        };
        let (mut new_start, mut new_left) = (HEADER_BYTES + front - codes, codes);
        if end == End::Head {
            (new_start, new_left) = (new_start + bytes, new_left + new_width);
        }
        self.lay_out(new_width, new_start, new_left);
        if count == 0 {
            self.shape.code = code;
        }
        true
    }

    /// Moves elements and codes to where they are to begin and end, the codes of this width.
    fn lay_out(&mut self, width: usize, start: usize, left: usize) {
        let old = self.shape;
        let end = start + old.payload();
        let new = Shape {
            width,
            start,
            end,
            left,
            ..old
        };
        // Either may move to where the other was, but not both.
        let codes_start = old.codes(self.bytes.len(), 0..old.count).start;
        if old.width > 0 && end > codes_start {
            self.move_codes(&old, &new);
            self.bytes.copy_within(old.start..old.end, start);
        } else {
            self.bytes.copy_within(old.start..old.end, start);
            self.move_codes(&old, &new);
        }
        self.shape = new;
    }

    fn move_codes(&mut self, old: &Shape, new: &Shape) {
        let (len, count) = (self.bytes.len(), old.count);
        let to = new.codes(len, 0..count);
        let from = old.codes(len, 0..count);
        match (old.width, new.width) {
            (0, 0) => {}
            (0, width) => {
                let code = old.code.0.to_le_bytes();
                let places = self.bytes[to].chunks_exact_mut(width);
                places.for_each(|place| place.copy_from_slice(&code[..width]));
            }
            (old_width, width) if old_width == width => self.bytes.copy_within(from, to.start),
            _ => {
                // Behind the place of the wide ones, whose last is written first: it lies before all narrow ones not yet read.
                let narrow = to.end - count;
                self.bytes.copy_within(from, narrow);
                for at in 0..count {
                    let code = Code::of_byte(self.bytes[narrow + at]).0.to_le_bytes();
                    self.bytes[to.start + 2 * at..][..2].copy_from_slice(&code);
                }
            }
        }
    }

    /// Adds an element at an end; whether there was room.
    #[inline]
    pub(crate) fn push(&mut self, end: End, field: Field<'_>) -> bool {
        if !self.prepare(end, field.code) {
            return false;
        }
        let bytes = field.bytes.len();
        let place = match end {
            End::Head => {
                self.shape.start -= bytes;
                self.shape.left -= self.shape.width;
                self.shape.start
            }
            End::Tail => {
                self.shape.end += bytes;
                self.shape.end - bytes
            }
        };
        self.bytes[place..place + bytes].copy_from_slice(field.bytes);
        let at = if end == End::Head {
            0
        } else {
            self.shape.count
        };
        self.added(at, field.code);
        true
    }

    /// The bytes of element `at` are there, and the place for its code.
    #[inline(always)]
    fn added(&mut self, at: usize, code: Code) {
        if self.shape.width > 0 {
            self.write_code(at, code);
        }
        self.shape.count += 1;
        self.shape.has_references |= code.is_reference();
        self.shape.write(self.bytes);
    }

    /// Adds an element before element `at`, or behind the last; whether there was room.
    pub(crate) fn insert(&mut self, at: usize, field: Field<'_>) -> bool {
        let count = self.shape.count;
        assert!(at <= count, "an element goes among others or to an end");
        if at == 0 || at == count {
            let end = if at == 0 { End::Head } else { End::Tail };
            return self.push(end, field);
        }
        let (near, far) = match at < count / 2 {
            true => (End::Head, End::Tail),
            false => (End::Tail, End::Head),
        };
        let bytes = field.bytes.len();
        let is_alike = self.shape.width_with(field.code) == self.shape.width;
        let end = match is_alike && !self.has_room(near, bytes) && self.has_room(far, bytes) {
            true => far,
            false => near,
        };
        if !self.prepare(end, field.code) {
            return false;
        }
        let (len, shape) = (self.bytes.len(), self.shape);
        let offset = self.as_packed().offset(at);
        let place = match end {
            End::Head => {
                self.bytes
                    .copy_within(shape.start..offset, shape.start - bytes);
                let codes = shape.codes(len, 0..at);
                self.bytes
                    .copy_within(codes.clone(), codes.start + shape.width);
                self.shape.start -= bytes;
                self.shape.left -= shape.width;
                offset - bytes
            }
            End::Tail => {
                self.bytes.copy_within(offset..shape.end, offset + bytes);
                let codes = shape.codes(len, at..count);
                self.bytes
                    .copy_within(codes.clone(), codes.start - shape.width);
                self.shape.end += bytes;
                offset
            }
        };
        self.bytes[place..place + bytes].copy_from_slice(field.bytes);
        self.added(at, field.code);
        true
    }

    /// Takes the element at an end out; there is one.
    #[inline(always)]
    pub(crate) fn pop(&mut self, end: End) {
        let shape = &mut self.shape;
        let Some(last) = shape.count.checked_sub(1).filter(|&last| last > 0) else {
            return self.remove(0..1);
        };
        let at = if end == End::Head { 0 } else { last };
        let bytes = Packed {
            bytes: self.bytes,
            shape: *shape,
        }
        .code(at)
        .body_bytes();
        match end {
            End::Head => {
                shape.start += bytes;
                shape.left += shape.width;
            }
            End::Tail => shape.end -= bytes,
        }
        shape.count = last;
        shape.write(self.bytes);
    }

    /// The element at an end; there is one.
    #[inline(always)]
    pub(crate) fn peek(&self, end: End) -> Field<'_> {
        let packed = self.as_packed();
        let at = if end == End::Head {
            0
        } else {
            self.shape.count - 1
        };
        let code = packed.code(at);
        let offset = match end {
            End::Head => self.shape.start,
            End::Tail => self.shape.end - code.body_bytes(),
        };
        Field {
            code,
            bytes: &self.bytes[offset..offset + code.body_bytes()],
        }
    }

    /// Takes the elements `range` out.
    #[inline]
    pub(crate) fn remove(&mut self, range: Range<usize>) {
        let (len, shape) = (self.bytes.len(), self.shape);
        let Range {
            start: from,
            end: to,
        } = range;
        assert!(from <= to && to <= shape.count, "what is removed is there");
        if to - from == shape.count {
            self.shape = Shape::EMPTY;
            self.shape.write(self.bytes);
            return;
        }
        let bytes = self.as_packed().bytes_of(from..to);
        let codes = (to - from) * shape.width;
        if from < shape.count - to {
            if from > 0 {
                let offset = self.as_packed().offset(from);
                self.bytes
                    .copy_within(shape.start..offset, shape.start + bytes);
                let kept = shape.codes(len, 0..from);
                self.bytes.copy_within(kept.clone(), kept.start - codes);
            }
            self.shape.start += bytes;
            self.shape.left += codes;
        } else {
            if to < shape.count {
                let offset = self.as_packed().offset(to);
                self.bytes.copy_within(offset..shape.end, offset - bytes);
                let kept = shape.codes(len, to..shape.count);
                self.bytes.copy_within(kept.clone(), kept.start + codes);
            }
            self.shape.end -= bytes;
        }
        self.shape.count -= to - from;
        self.shape.write(self.bytes);
    }

    /// Makes element `at` another one; whether there was room.
    pub(crate) fn replace(&mut self, at: usize, field: Field<'_>) -> bool {
        let packed = self.as_packed();
        let offset = packed.offset(at);
        if packed.code(at) == field.code {
            self.bytes[offset..offset + field.bytes.len()].copy_from_slice(field.bytes);
            return true;
        }
        if packed.used_with_other(at, field.code) > self.bytes.len() {
            return false;
        }
        self.remove(at..at + 1);
        let is_there = self.insert(at, field);
        assert!(is_there, "there was room for both, less one");
        true
    }

    /// Writes another reference in the place of element `at`, which has one.
    pub(crate) fn repoint(&mut self, at: usize, reference: &[u8]) {
        let offset = self.as_packed().offset(at);
        self.bytes[offset..offset + reference.len()].copy_from_slice(reference);
    }
}
