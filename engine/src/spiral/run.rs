//! Named elements in one run of bytes: what a node has behind its head, and what a small collection is in its item. Here bytes
//! are read and written; in whose memory they lie is for others to know.
//!
//! ```text
//!  0       1      2       3       5          7     9
//! +-------+------+-------+-------+----------+-----+------+
//! | flags | name | value | count | capacity | low | tags | ...
//! |       | code | code  |       |          |     |      |
//! +-------+------+-------+-------+----------+-----+------+
//!  ... name codes | value codes | deadlines | gap | element n−1 | ... | element 1 | element 0 |
//!      if they     if they       if any has         ^ low          name, then value         ^ capacity
//!      differ      differ        one, 6 each
//! ```
//! What all elements share stands once: the length of 16-byte names is the name code, and then no element has one. A set's
//! values have no bytes, and so it costs nothing that they could have. A code is a length up to 251, or says that a reference lies
//! in the element: to a block of its own ([`IN_BLOCK`]), to an extent ([`IN_EXTENT`]), or, in the name's place, to the item that is the
//! element ([`IN_ITEM`]). The tag is eight bits of the hash.
//!
//! Elements are added below the others, and what is left closes up when one goes. So nothing moves when a code or a deadline
//! comes to differ, only the front becomes longer; and the elements are in the order in which they came.

mod edit;

pub(super) use edit::{
    Filler, append, copy, copy_among, copy_without, open, overwrite_value, remove, reopen_value,
    repoint, set_deadline, set_value, shape_with_value, swap_remove,
};

use crate::UnixMillis;
use crate::nodes::{Long, read_u16, read_u32};
use crate::raw::{Block, LINE_BYTES, TAGS_AT_ONCE, matching_tags, prefetch_read};

/// Bytes before the tags.
pub(super) const HEADER_BYTES: usize = 9;
/// The longest name or value that can lie in its element.
pub(super) const ELEMENT_MAX_BYTES: usize = 251;
/// Bytes of a deadline.
pub(super) const DEADLINE_BYTES: usize = 6;
/// What an element without a deadline has in the place of one.
const NO_DEADLINE: u64 = (1 << (8 * DEADLINE_BYTES)) - 1;

/// Code of the name of an element that is an item: the item's block, and a byte more of the hash.
pub(super) const IN_ITEM: u8 = 252;
/// Code of what lies in an extent: its number and the length.
pub(super) const IN_EXTENT: u8 = 253;
/// Code of what lies in a block of its own.
pub(super) const IN_BLOCK: u8 = 254;
/// Bytes of a reference to an item.
pub(super) const ITEM_BYTES: usize = REFERENCE_BYTES + 1;
/// Bytes of a reference to a block.
pub(super) const REFERENCE_BYTES: usize = 4;
/// In a header: the codes differ.
const VARYING: u8 = 255;

const FLAGS_AT: usize = 0;
const NAME_CODE_AT: usize = 1;
const VALUE_CODE_AT: usize = 2;
const COUNT_AT: usize = 3;
const CAPACITY_AT: usize = COUNT_AT + 2;
const LOW_AT: usize = CAPACITY_AT + 2;

/// Bytes that a name or value of each code takes in its element.
static BYTES_OF_CODES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut code = 0;
    while code < 256 {
        bytes[code] = code as u8;
        code += 1;
    }
    bytes[IN_ITEM as usize] = ITEM_BYTES as u8;
    bytes[IN_BLOCK as usize] = REFERENCE_BYTES as u8;
    bytes[IN_EXTENT as usize] = 8;
    bytes
};

/// Bytes that a name or value of this code takes in its element.
#[inline(always)]
pub(super) fn bytes_of_code(code: u8) -> usize {
    usize::from(BYTES_OF_CODES[usize::from(code)])
}

/// Whether a name or value of this code lies in its element and has so many bytes.
#[inline(always)]
pub(super) fn is_length(code: u8, len: usize) -> bool {
    len <= ELEMENT_MAX_BYTES && usize::from(code) == len
}

/// Whether a name or value of this code lies elsewhere.
#[inline(always)]
pub(super) fn is_reference(code: u8) -> bool {
    code >= IN_ITEM
}

/// A name or a value as it lies in an element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) code: u8,
    /// The bytes, or the reference.
    pub(super) bytes: &'a [u8],
}

impl<'a> Field<'a> {
    /// Bytes that lie in their element: at most [`ELEMENT_MAX_BYTES`].
    #[inline(always)]
    pub(super) fn of_bytes(bytes: &'a [u8]) -> Self {
        debug_assert!(bytes.len() <= ELEMENT_MAX_BYTES);
        let code = bytes.len() as u8;
        Self { code, bytes }
    }

    /// The item that is the element of this name, if one is.
    #[inline(always)]
    pub(super) fn item(self) -> Option<Block> {
        (self.code == IN_ITEM).then(|| Block(read_u32(self.bytes, 0)))
    }

    /// Where the bytes are, if in a block of their own or an extent.
    #[inline(always)]
    pub(super) fn reference(self) -> Option<Long> {
        match self.code {
            IN_BLOCK => Some(Long::of_block(self.bytes)),
            IN_EXTENT => Some(Long::of_extent(self.bytes)),
            _ => None,
        }
    }
}

/// An element as it lies in a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) name_code: u8,
    pub(super) value_code: u8,
    /// Where in the run it begins.
    pub(super) start: usize,
    /// The name, then the value.
    body: &'a [u8],
    pub(super) deadline: Option<UnixMillis>,
}

impl<'a> Element<'a> {
    #[inline(always)]
    pub(super) fn name(&self) -> Field<'a> {
        Field {
            code: self.name_code,
            bytes: &self.body[..bytes_of_code(self.name_code)],
        }
    }

    #[inline(always)]
    pub(super) fn value(&self) -> Field<'a> {
        Field {
            code: self.value_code,
            bytes: &self.body[bytes_of_code(self.name_code)..],
        }
    }

    pub(super) fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// Asks for its lines.
    #[inline(always)]
    pub(super) fn prefetch(&self) {
        self.body.chunks(LINE_BYTES).for_each(prefetch_read);
        prefetch_read(&self.body[self.body.len().saturating_sub(1)..]);
    }

    /// The name, then the value, as they lie in it.
    pub(super) fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// What the front of a run says of an element: all but its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    pub(super) tag: u8,
    pub(super) name_code: u8,
    pub(super) value_code: u8,
    pub(super) deadline: Option<UnixMillis>,
}

/// An element to be added.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewElement<'a> {
    pub(super) tag: u8,
    pub(super) name: Field<'a>,
    pub(super) value: Field<'a>,
    pub(super) deadline: Option<UnixMillis>,
}

impl NewElement<'_> {
    #[inline(always)]
    pub(super) fn front(&self) -> Front {
        Front {
            tag: self.tag,
            name_code: self.name.code,
            value_code: self.value.code,
            deadline: self.deadline,
        }
    }

    /// Writes the element's bytes where they belong.
    #[inline(always)]
    pub(super) fn fill(&self, body: &mut [u8]) {
        let (name, value) = body.split_at_mut(self.name.bytes.len());
        name.copy_from_slice(self.name.bytes);
        value.copy_from_slice(self.value.bytes);
    }
}

/// What the header of a run says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    flags: u8,
    name_code: u8,
    value_code: u8,
    pub(super) count: usize,
    pub(super) capacity: usize,
    /// Where the last element begins.
    low: usize,
}

impl Shape {
    /// There is a deadline in front of each element.
    const DEADLINES: u8 = 1;
    /// Some codes are of references.
    const REFERENCES: u8 = 2;
    /// Others of its bucket lie in further nodes: for who has the run.
    const OVERFLOWS: u8 = 4;

    /// Of a run without elements.
    pub(super) fn empty(capacity: usize) -> Self {
        Self {
            flags: 0,
            name_code: 0,
            value_code: 0,
            count: 0,
            capacity,
            low: capacity,
        }
    }

    #[inline(always)]
    pub(super) fn read(run: &[u8]) -> Self {
        let header = run.first_chunk::<HEADER_BYTES>();
        let header = header.expect("a run is longer than its header");
        Self {
            flags: header[FLAGS_AT],
            name_code: header[NAME_CODE_AT],
            value_code: header[VALUE_CODE_AT],
            count: read_u16(header, COUNT_AT),
            capacity: read_u16(header, CAPACITY_AT),
            low: read_u16(header, LOW_AT),
        }
    }

    #[inline(always)]
    pub(super) fn write(&self, run: &mut [u8]) {
        let header = run.first_chunk_mut::<HEADER_BYTES>();
        let header = header.expect("a run is longer than its header");
        header[FLAGS_AT] = self.flags;
        header[NAME_CODE_AT] = self.name_code;
        header[VALUE_CODE_AT] = self.value_code;
        for (at, number) in [
            (COUNT_AT, self.count),
            (CAPACITY_AT, self.capacity),
            (LOW_AT, self.low),
        ] {
            header[at..at + 2].copy_from_slice(&(number as u16).to_le_bytes());
        }
    }

    #[inline(always)]
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn has_deadlines(&self) -> bool {
        self.has(Self::DEADLINES)
    }

    pub(super) fn has_references(&self) -> bool {
        self.has(Self::REFERENCES)
    }

    pub(super) fn overflows(&self) -> bool {
        self.has(Self::OVERFLOWS)
    }

    pub(super) fn set_overflows(&mut self, overflows: bool) {
        self.flags = self.flags & !Self::OVERFLOWS | if overflows { Self::OVERFLOWS } else { 0 };
    }

    #[inline(always)]
    fn name_codes_bytes(&self) -> usize {
        if self.name_code == VARYING {
            self.count
        } else {
            0
        }
    }

    #[inline(always)]
    fn value_codes_bytes(&self) -> usize {
        if self.value_code == VARYING {
            self.count
        } else {
            0
        }
    }

    #[inline(always)]
    fn name_codes_at(&self) -> usize {
        HEADER_BYTES + self.count
    }

    #[inline(always)]
    fn value_codes_at(&self) -> usize {
        self.name_codes_at() + self.name_codes_bytes()
    }

    #[inline(always)]
    fn deadlines_at(&self) -> usize {
        self.value_codes_at() + self.value_codes_bytes()
    }

    /// Where each list in front begins, and how many bytes an element has in it.
    #[inline(always)]
    fn lists(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let lists = [
            (true, HEADER_BYTES, 1),
            (self.name_code == VARYING, self.name_codes_at(), 1),
            (self.value_code == VARYING, self.value_codes_at(), 1),
            (self.has_deadlines(), self.deadlines_at(), DEADLINE_BYTES),
        ];
        lists
            .into_iter()
            .filter_map(|(is_there, at, width)| is_there.then_some((at, width)))
    }

    /// Where the gap begins.
    #[inline(always)]
    pub(super) fn front_end(&self) -> usize {
        let each = if self.has_deadlines() {
            DEADLINE_BYTES
        } else {
            0
        };
        self.deadlines_at() + each * self.count
    }

    /// Bytes in use.
    #[inline(always)]
    pub(super) fn used(&self) -> usize {
        self.front_end() + self.capacity - self.low
    }

    /// Bytes that an element has in the lists in front.
    pub(super) fn front_bytes_each(&self) -> usize {
        self.lists().map(|(_, width)| width).sum()
    }

    /// Bytes of the gap.
    #[inline(always)]
    pub(super) fn idle(&self) -> usize {
        self.low - self.front_end()
    }

    /// The shape with an element more: what all then share.
    #[inline(always)]
    pub(super) fn with(mut self, name: u8, value: u8, deadline: Option<UnixMillis>) -> Self {
        if self.count == 0 {
            (self.name_code, self.value_code) = (name, value);
        }
        if self.name_code != name {
            self.name_code = VARYING;
        }
        if self.value_code != value {
            self.value_code = VARYING;
        }
        if deadline.is_some() {
            self.flags |= Self::DEADLINES;
        }
        if is_reference(name.max(value)) {
            self.flags |= Self::REFERENCES;
        }
        self.count += 1;
        let bytes = bytes_of_code(name) + bytes_of_code(value);
        self.low = self.low.wrapping_sub(bytes);
        self
    }

    /// The shape without an element of so many bytes.
    #[inline(always)]
    pub(super) fn without(mut self, bytes: usize) -> Self {
        self.count -= 1;
        self.low += bytes;
        self
    }

    /// Whether the elements of both share the same.
    #[inline(always)]
    fn shares_what(&self, other: &Self) -> bool {
        (self.name_code, self.value_code, self.has_deadlines())
            == (other.name_code, other.value_code, other.has_deadlines())
    }

    /// A plan for the elements of both, which have no further nodes.
    pub(super) fn joined(&self, other: &Self) -> Self {
        let code = |own: u8, others: u8| match () {
            () if self.count == 0 || own == others => others,
            () if other.count == 0 => own,
            () => VARYING,
        };
        let low = |shape: &Self| shape.low.wrapping_sub(shape.capacity);
        Self {
            flags: (self.flags | other.flags) & !Self::OVERFLOWS,
            name_code: code(self.name_code, other.name_code),
            value_code: code(self.value_code, other.value_code),
            count: self.count + other.count,
            capacity: 0,
            low: low(self).wrapping_add(low(other)),
        }
    }

    /// The shape with what has come to be alike of its run's elements.
    pub(super) fn narrowed(&self, run: &[u8]) -> Self {
        let mut narrowed = *self;
        let shared = |at: usize| {
            let codes = &run[at..at + self.count];
            let alike = codes.iter().all(|&code| code == codes[0]);
            if alike { codes[0] } else { VARYING }
        };
        if self.count > 0 && self.name_code == VARYING {
            narrowed.name_code = shared(self.name_codes_at());
        }
        if self.count > 0 && self.value_code == VARYING {
            narrowed.value_code = shared(self.value_codes_at());
        }
        if self.has_deadlines() {
            let deadlines = &run[self.deadlines_at()..self.front_end()];
            if deadlines.iter().all(|&byte| byte == 0xFF) {
                narrowed.flags &= !Self::DEADLINES;
            }
        }
        narrowed
    }

    /// The shape once an element has this deadline.
    #[inline(always)]
    pub(super) fn with_deadline(mut self, deadline: Option<UnixMillis>) -> Self {
        if deadline.is_some() {
            self.flags |= Self::DEADLINES;
        }
        self
    }

    /// Bytes that the run would need for all elements of this shape, were it a plan: `low` may lie below zero.
    #[inline(always)]
    pub(super) fn needed(&self) -> usize {
        self.front_end() + self.capacity.wrapping_sub(self.low)
    }

    /// The same in a run of another capacity.
    #[inline(always)]
    pub(super) fn moved_to(&self, capacity: usize) -> Self {
        Self {
            capacity,
            low: capacity.wrapping_sub(self.capacity.wrapping_sub(self.low)),
            ..*self
        }
    }

    /// The range of the elements' bytes.
    pub(super) fn bodies(&self) -> std::ops::Range<usize> {
        self.low..self.capacity
    }

    #[inline(always)]
    fn name_code_of(&self, run: &[u8], at: usize) -> u8 {
        match self.name_code {
            VARYING => run[self.name_codes_at() + at],
            code => code,
        }
    }

    #[inline(always)]
    fn value_code_of(&self, run: &[u8], at: usize) -> u8 {
        match self.value_code {
            VARYING => run[self.value_codes_at() + at],
            code => code,
        }
    }

    /// Bytes of the names, or values, of the elements before number `end`.
    #[inline(always)]
    fn sum_of_codes(&self, run: &[u8], code: u8, codes_at: usize, end: usize) -> usize {
        if code != VARYING {
            return bytes_of_code(code) * end;
        }
        let codes = &run[codes_at..codes_at + end];
        match self.has(Self::REFERENCES) {
            false => codes.iter().map(|&code| u32::from(code)).sum::<u32>() as usize,
            true => codes.iter().map(|&code| bytes_of_code(code)).sum(),
        }
    }

    /// Where the element before number `at` begins, and this one ends.
    #[inline(always)]
    pub(super) fn end_of(&self, run: &[u8], at: usize) -> usize {
        let names = self.sum_of_codes(run, self.name_code, self.name_codes_at(), at);
        let values = self.sum_of_codes(run, self.value_code, self.value_codes_at(), at);
        self.capacity - names - values
    }

    /// Where the name, and the value, of element `at` begin, and where it ends.
    #[inline(always)]
    fn ranges_of(&self, run: &[u8], at: usize) -> (usize, usize, usize) {
        let end = self.end_of(run, at);
        let value_at = end - bytes_of_code(self.value_code_of(run, at));
        let name_at = value_at - bytes_of_code(self.name_code_of(run, at));
        (name_at, value_at, end)
    }

    /// Element `at`.
    #[inline(always)]
    pub(super) fn element<'a>(&self, run: &'a [u8], at: usize) -> Element<'a> {
        self.element_ending(run, at, self.end_of(run, at))
    }

    #[inline(always)]
    fn element_ending<'a>(&self, run: &'a [u8], at: usize, end: usize) -> Element<'a> {
        let name_code = self.name_code_of(run, at);
        let value_code = self.value_code_of(run, at);
        let bytes = bytes_of_code(name_code) + bytes_of_code(value_code);
        Element {
            tag: run[HEADER_BYTES + at],
            name_code,
            value_code,
            start: end - bytes,
            body: &run[end - bytes..end],
            deadline: self.deadline(run, at),
        }
    }

    /// Shows all elements, in order.
    #[inline(always)]
    pub(super) fn for_each<'a>(&self, run: &'a [u8], mut show: impl FnMut(Element<'a>)) {
        let mut end = self.capacity;
        for at in 0..self.count {
            let element = self.element_ending(run, at, end);
            end -= element.body.len();
            show(element);
        }
    }

    /// The deadline of element `at`.
    #[inline(always)]
    pub(super) fn deadline(&self, run: &[u8], at: usize) -> Option<UnixMillis> {
        if !self.has_deadlines() {
            return None;
        }
        let mut bytes = [0; 8];
        let place = self.deadlines_at() + at * DEADLINE_BYTES;
        bytes[..DEADLINE_BYTES].copy_from_slice(&run[place..place + DEADLINE_BYTES]);
        match u64::from_le_bytes(bytes) {
            NO_DEADLINE => None,
            ms => Some(UnixMillis(ms as i64)),
        }
    }

    /// The first element with this tag whose name `is` it, and its number.
    #[inline(always)]
    pub(super) fn find<'a>(
        &self,
        run: &'a [u8],
        tag: u8,
        is: impl Fn(Field<'a>) -> bool,
    ) -> Option<(usize, Element<'a>)> {
        let mut at = 0;
        while at < self.count {
            let mut bits = self.matching_at(run, at, tag);
            while bits != 0 {
                let found = at + bits.trailing_zeros() as usize;
                let element = self.element(run, found);
                if is(element.name()) {
                    return Some((found, element));
                }
                bits &= bits - 1;
            }
            at += TAGS_AT_ONCE;
        }
        None
    }

    /// Shows each element with this tag, and its number.
    pub(super) fn each_tagged<'a>(
        &self,
        run: &'a [u8],
        tag: u8,
        mut show: impl FnMut(usize, Element<'a>),
    ) {
        let mut at = 0;
        while at < self.count {
            let mut bits = self.matching_at(run, at, tag);
            while bits != 0 {
                let found = at + bits.trailing_zeros() as usize;
                show(found, self.element(run, found));
                bits &= bits - 1;
            }
            at += TAGS_AT_ONCE;
        }
    }

    /// Asks for the cache lines of the first element with this tag; the code of its value, if there is one.
    #[inline(always)]
    pub(super) fn prefetch(&self, run: &[u8], tag: u8) -> Option<u8> {
        let mut at = 0;
        while at < self.count {
            let bits = self.matching_at(run, at, tag);
            if bits != 0 {
                let element = self.element(run, at + bits.trailing_zeros() as usize);
                element.prefetch();
                return Some(element.value_code);
            }
            at += TAGS_AT_ONCE;
        }
        None
    }

    /// Which of the tags from `at` on are `tag`, a bit each.
    #[inline(always)]
    fn matching_at(&self, run: &[u8], at: usize, tag: u8) -> u32 {
        let start = HEADER_BYTES + at;
        let whole = run.get(start..start + TAGS_AT_ONCE);
        let bits = match whole.and_then(<[u8]>::first_chunk::<TAGS_AT_ONCE>) {
            Some(tags) => matching_tags(tags, tag),
            // The bytes end here.
            None => {
                let behind = &run[start..];
                let mut tags = [0; TAGS_AT_ONCE];
                tags[..behind.len()].copy_from_slice(behind);
                matching_tags(&tags, tag)
            }
        };
        match self.count - at {
            left if left < TAGS_AT_ONCE => bits & ((1 << left) - 1),
            _ => bits,
        }
    }
}
