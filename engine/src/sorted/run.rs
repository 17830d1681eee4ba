//! Members packed in the order of score and name: what a small sorted set is in its item, and a leaf of a large one.
//!
//! ```text
//!  0       1       3      4
//! +-------+-------+------+-------+--------+------+------------+-----+---+--------+--------+
//! | flags | count | code | scale | scores | tags | name codes | gap | … | name 1 | name 0 |
//! +-------+-------+------+-------+--------+------+------------+-----+---+--------+--------+
//!                  └ of all names          └ if   └ if they differ
//!  flags: bits 0..1 way of the scores | 2..5 bytes of each | 6 whether there are tags       (score.rs)
//!  code: 0 to 251 that many bytes lie there | 253 a reference to an extent, 8 | 254 to a block, 4 | 255 (of all) they differ
//! ```
//! Columns stand in front, names from the end downwards: what comes behind all others moves no name. Scores are searched by halves, names of
//! equal scores too. A member is found by its name among the tags, sixteen at a time; a run without tags, in an item, is
//! short enough to be searched name by name. A tag is the lowest byte of the name's hash.
//!
//! A run knows nothing of where long names are: who has the memory tells.

mod edit;

pub(super) use edit::Draft;
pub(super) use edit::repoint;
pub(crate) use edit::{
    Written, bytes_alone, copy, empty, insert, remove, shift, without_negative_zeros,
};

use std::cmp::Ordering;
use std::ops::Range;

use super::score::Scale;
use crate::raw::{TAGS_AT_ONCE, matching_tags};

/// What a name's place has.
pub(super) const IN_EXTENT: u8 = 253;
pub(super) const IN_BLOCK: u8 = 254;
/// Codes of names differ, and stand in a column.
const DIFFER: u8 = 255;
/// The longest name that lies in a run.
pub(crate) const NAME_MAX_BYTES: usize = 251;

const COUNT_AT: usize = 1;
const CODE_AT: usize = 3;
/// Bytes before the scale.
pub(crate) const HEAD_BYTES: usize = 4;
const TAGGED: u8 = 1 << 6;
const SCALE_BITS: u8 = TAGGED - 1;

/// Bytes that lie in the place of a name.
#[inline(always)]
fn lying_bytes(code: u8) -> usize {
    match code {
        IN_EXTENT => 8,
        IN_BLOCK => 4,
        len => usize::from(len),
    }
}

/// What lies in the place of a name: the name, or a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Body<'a> {
    code: u8,
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    /// A name that lies there itself.
    #[inline(always)]
    pub(crate) fn inline(name: &'a [u8]) -> Self {
        debug_assert!(name.len() <= NAME_MAX_BYTES);
        Self {
            code: name.len() as u8,
            bytes: name,
        }
    }

    /// A reference of this code.
    pub(super) fn reference(code: u8, reference: &'a [u8]) -> Self {
        let bytes = &reference[..lying_bytes(code)];
        Self { code, bytes }
    }

    #[inline(always)]
    pub(super) fn code(self) -> u8 {
        self.code
    }

    /// What lies there.
    #[inline(always)]
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    #[inline(always)]
    pub(super) fn is_block(self) -> bool {
        self.code == IN_BLOCK
    }
}

/// A member as it lies, or is to lie, in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) score: f64,
    pub(crate) tag: u8,
    pub(crate) body: Body<'a>,
}

/// What the head of a run says, and where its columns are.
#[derive(Clone, Copy, Debug)]
struct Shape {
    scale: Scale,
    is_tagged: bool,
    count: usize,
    code: u8,
}

impl Shape {
    #[inline(always)]
    fn read(run: &[u8]) -> Self {
        let flags = run[0];
        Self {
            scale: Scale::read(flags & SCALE_BITS, &run[HEAD_BYTES..]),
            is_tagged: flags & TAGGED != 0,
            count: usize::from(u16::from_le_bytes([run[COUNT_AT], run[COUNT_AT + 1]])),
            code: run[CODE_AT],
        }
    }

    fn write(&self, run: &mut [u8]) {
        run[0] = self.scale.code() | if self.is_tagged { TAGGED } else { 0 };
        run[COUNT_AT..CODE_AT].copy_from_slice(&(self.count as u16).to_le_bytes());
        run[CODE_AT] = self.code;
        self.scale.write_head(&mut run[HEAD_BYTES..]);
    }

    #[inline(always)]
    fn has_codes(&self) -> bool {
        self.code == DIFFER
    }

    #[inline(always)]
    fn scores_at(&self) -> usize {
        HEAD_BYTES + self.scale.head_bytes()
    }

    #[inline(always)]
    fn tags_at(&self) -> usize {
        self.scores_at() + self.count * self.scale.width
    }

    #[inline(always)]
    fn codes_at(&self) -> usize {
        self.tags_at() + if self.is_tagged { self.count } else { 0 }
    }

    /// Where the columns end.
    #[inline(always)]
    fn front(&self) -> usize {
        self.codes_at() + if self.has_codes() { self.count } else { 0 }
    }

    /// Bytes of a member in the columns.
    #[inline(always)]
    fn column_bytes(&self) -> usize {
        self.scale.width + usize::from(self.is_tagged) + usize::from(self.has_codes())
    }
}

/// A run to read, of all the bytes that it has.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    bytes: &'a [u8],
    shape: Shape,
}

impl<'a> Run<'a> {
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            shape: Shape::read(bytes),
        }
    }

    /// Number of members.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.shape.count
    }

    /// Bytes in use.
    #[inline]
    pub(crate) fn used_bytes(&self) -> usize {
        self.shape.front() + self.names_before(self.len())
    }

    /// Bytes that all of it has.
    #[inline(always)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    #[inline(always)]
    fn code(&self, at: usize) -> u8 {
        match self.shape.has_codes() {
            true => self.bytes[self.shape.codes_at() + at],
            false => self.shape.code,
        }
    }

    #[inline(always)]
    fn tag(&self, at: usize) -> u8 {
        match self.shape.is_tagged {
            true => self.bytes[self.shape.tags_at() + at],
            false => 0,
        }
    }

    /// Bytes that lie in the places of the names before this one.
    #[inline(always)]
    fn names_before(&self, at: usize) -> usize {
        if !self.shape.has_codes() {
            return at * lying_bytes(self.shape.code);
        }
        let codes = &self.bytes[self.shape.codes_at()..][..at];
        codes
            .iter()
            .map(|&code| lying_bytes(code) as u32)
            .sum::<u32>() as usize
    }

    /// What lies in the place of a name with so many bytes before it.
    #[inline(always)]
    fn body_behind(&self, before: usize, code: u8) -> Body<'a> {
        let end = self.bytes.len() - before;
        Body {
            code,
            bytes: &self.bytes[end - lying_bytes(code)..end],
        }
    }

    /// What lies in the place of a name.
    #[inline]
    pub(crate) fn body(&self, at: usize) -> Body<'a> {
        self.body_behind(self.names_before(at), self.code(at))
    }

    /// The score of a member.
    #[inline(always)]
    pub(crate) fn score(&self, at: usize) -> f64 {
        debug_assert!(at < self.len());
        let width = self.shape.scale.width;
        let place = self.shape.scores_at() + at * width;
        let lies = match self.bytes[place..].first_chunk() {
            Some(word) if width > 0 => u64::from_le_bytes(*word) & (u64::MAX >> (64 - 8 * width)),
            _ => {
                let mut word = [0; 8];
                word[..width].copy_from_slice(&self.bytes[place..place + width]);
                u64::from_le_bytes(word)
            }
        };
        self.shape.scale.decode(lies)
    }

    /// A member.
    #[inline]
    pub(crate) fn entry(&self, at: usize) -> Entry<'a> {
        Entry {
            score: self.score(at),
            tag: self.tag(at),
            body: self.body(at),
        }
    }

    /// These members, in order.
    pub(crate) fn entries(&self, range: Range<usize>) -> Entries<'a> {
        let before = self.names_before(range.start);
        Entries {
            run: *self,
            before,
            before_end: None,
            range,
        }
    }

    /// Bytes of the names of these members that lie here themselves.
    pub(super) fn inline_bytes(&self, range: Range<usize>) -> usize {
        let codes = range.map(|at| self.code(at));
        let inline = codes.filter(|&code| usize::from(code) <= NAME_MAX_BYTES);
        inline.map(usize::from).sum()
    }

    /// Whether some names lie elsewhere.
    pub(super) fn has_references(&self) -> bool {
        let is_reference = |code: u8| usize::from(code) > NAME_MAX_BYTES;
        match self.shape.has_codes() {
            true => self.bytes[self.shape.codes_at()..][..self.len()]
                .iter()
                .any(|&code| is_reference(code)),
            false => self.len() > 0 && is_reference(self.shape.code),
        }
    }

    /// The member with this tag, if there are tags, whose body `is_it`.
    #[inline]
    pub(crate) fn find(&self, tag: u8, is_it: impl FnMut(Body<'a>) -> bool) -> Option<usize> {
        match self.shape.is_tagged {
            true => self.find_tagged(tag, is_it),
            false => self.entries(0..self.len()).bodies().position(is_it),
        }
    }

    #[inline(always)]
    fn find_tagged(&self, tag: u8, mut is_it: impl FnMut(Body<'a>) -> bool) -> Option<usize> {
        let mut found = None;
        self.each_tagged(tag, |at| {
            let is = is_it(self.body(at));
            if is {
                found = Some(at);
            }
            is
        });
        found
    }

    /// Shows which members have a tag, until `show` answers that this was it.
    #[inline(always)]
    pub(super) fn each_tagged(&self, tag: u8, mut show: impl FnMut(usize) -> bool) {
        debug_assert!(self.shape.is_tagged);
        let (tags_at, count) = (self.shape.tags_at(), self.len());
        let mut from = 0;
        while from < count {
            let mut matching = match self.bytes[tags_at + from..].first_chunk::<TAGS_AT_ONCE>() {
                Some(tags) => matching_tags(tags, tag),
                None => {
                    let mut tags = [0; TAGS_AT_ONCE];
                    let rest = &self.bytes[tags_at + from..tags_at + count];
                    tags[..rest.len()].copy_from_slice(rest);
                    matching_tags(&tags, tag)
                }
            };
            if count - from < TAGS_AT_ONCE {
                matching &= (1 << (count - from)) - 1;
            }
            while matching != 0 {
                if show(from + matching.trailing_zeros() as usize) {
                    return;
                }
                matching &= matching - 1;
            }
            from += TAGS_AT_ONCE;
        }
    }

    /// How many of the members `range`, which `is_less` tells apart in order, are less.
    #[inline(always)]
    fn partition(range: Range<usize>, mut is_less: impl FnMut(usize) -> bool) -> usize {
        let Range { mut start, mut end } = range;
        while start < end {
            let middle = start.midpoint(end);
            match is_less(middle) {
                true => start = middle + 1,
                false => end = middle,
            }
        }
        start
    }

    /// Which members have this score: the first and the one behind the last.
    #[inline]
    pub(crate) fn of_score(&self, score: f64) -> Range<usize> {
        let (count, width) = (self.len(), self.shape.scale.width);
        let start = self.shape.scores_at();
        let Some((low, high)) = self.shape.scale.bounds(score) else {
            let first = Self::partition(0..count, |at| self.score(at) < score);
            return first..Self::partition(first..count, |at| self.score(at) <= score);
        };
        let mask = match width {
            0 => 0,
            _ => u64::MAX >> (64 - 8 * width),
        };
        // Behind the scores are tags and names, at least as many bytes as are read too many; or else there are few members.
        let words = &self.bytes[start..];
        if count * width + 8 > words.len() {
            let lies = |at: usize| {
                let mut word = [0; 8];
                word[..width].copy_from_slice(&words[at * width..(at + 1) * width]);
                u64::from_le_bytes(word)
            };
            let first = Self::partition(0..count, |at| lies(at) < low);
            return first..Self::partition(first..count, |at| lies(at) < high);
        }
        let lies = |at: usize| {
            let word = words[at * width..].first_chunk();
            u64::from_le_bytes(*word.expect("just seen")) & mask
        };
        let first = Self::partition(0..count, |at| lies(at) < low);
        let is_one = first < count && lies(first) < high;
        match is_one {
            true => first..Self::partition(first + 1..count, |at| lies(at) < high),
            false => first..first,
        }
    }

    /// How many of the members `range` have names that are less than what is looked for; `by_name` tells how what lies in the place of
    /// a name is to that.
    #[inline]
    pub(crate) fn less_among(
        &self,
        range: Range<usize>,
        mut by_name: impl FnMut(Body<'a>) -> Ordering,
    ) -> usize {
        match range.is_empty() {
            true => range.start,
            false => Self::partition(range, |at| by_name(self.body(at)).is_lt()),
        }
    }

    /// Verifies the lengths; the order is for who knows all names.
    pub(crate) fn check(&self) {
        assert!(self.used_bytes() <= self.capacity());
        assert!(self.shape.code != 252 && self.shape.scale.width <= 8);
        for at in 0..self.len() {
            assert!(self.code(at) != 252 && self.code(at) != DIFFER);
            assert!(!self.score(at).is_nan());
        }
    }
}

/// Members in order, from either end.
pub(crate) struct Entries<'a> {
    run: Run<'a>,
    range: Range<usize>,
    /// Bytes in the places of the names before the next one.
    before: usize,
    /// Those of the names before the end, once somebody comes from there.
    before_end: Option<usize>,
}

impl<'a> Entries<'a> {
    /// What lies in the places of their names.
    #[inline(always)]
    fn bodies(mut self) -> impl Iterator<Item = Body<'a>> {
        std::iter::from_fn(move || {
            let at = self.range.next()?;
            let body = self.run.body_behind(self.before, self.run.code(at));
            self.before += body.bytes.len();
            Some(body)
        })
    }

    #[inline(always)]
    fn entry(&self, at: usize, body: Body<'a>) -> Entry<'a> {
        Entry {
            score: self.run.score(at),
            tag: self.run.tag(at),
            body,
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Entry<'a>> {
        let at = self.range.next()?;
        let body = self.run.body_behind(self.before, self.run.code(at));
        self.before += body.bytes.len();
        Some(self.entry(at, body))
    }
}

impl DoubleEndedIterator for Entries<'_> {
    #[inline(always)]
    fn next_back(&mut self) -> Option<Self::Item> {
        let end = self.range.end;
        let at = self.range.next_back()?;
        let before_end = match self.before_end {
            Some(bytes) => bytes,
            None => self.run.names_before(end),
        };
        let code = self.run.code(at);
        let before = before_end - lying_bytes(code);
        self.before_end = Some(before);
        let body = self.run.body_behind(before, code);
        Some(self.entry(at, body))
    }
}
