//! Extents: where contents are that do not fit a block of the arena. Up to [`SPAN_MAX_BYTES`] they are spans, beyond they
//! are buffers, mappings of their own. A handle names an extent wherever it lies, so that it can move without its item.
//!
//! A buffer that is destroyed, or the tail of one that became shorter, is given back in pieces ([`Extents::trim_some`]), and
//! counts as used until then. A span is free at once, and its pages are kept for a while: see [`super::span`].
//!
//! A caller may lend the buffer that what it writes lies in. A large content then is not copied: the extent is that
//! buffer, shared until the caller lets go of it.

use std::ops::Range;
use std::sync::Arc;

use super::arena::IdleBound;
use super::buffer::Buffer;
use super::span::{Span, Spans};
use crate::limits::SPAN_MAX_BYTES;

/// Handle of an extent, as it stands in an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExtentId(pub(crate) u32);

/// Most bytes of a buffer given back at once: unmapping costs the kernel time for every page.
const TRIM_BYTES: usize = 1 << 20;
/// Share of a buffer that may lie idle behind a content that became shorter: an eighth.
const IDLE_ALLOWED_SHIFT: u32 = 3;
/// Share by which a span that grows is longer than it need be: an eighth.
const ROOM_SHIFT: u32 = 3;
/// Extents destroyed by one step, of memory nobody reads any more.
const DESTROY_AT_ONCE: u32 = 16;

/// Where an extent's bytes are.
enum Extent {
    Span(Span),
    Buffer {
        buffer: Arc<Buffer>,
        /// Where in it the content begins.
        start: u32,
    },
}

impl Extent {
    fn used_bytes(&self) -> usize {
        match self {
            Self::Span(span) => span.bytes(),
            Self::Buffer { buffer, .. } => buffer.held_bytes(),
        }
    }
}

/// All extents of a shard.
pub(crate) struct Extents {
    slots: Vec<Option<Extent>>,
    vacant: Vec<u32>,
    spans: Spans,
    /// Buffers to be given back in pieces, which nobody else holds.
    dying: Vec<Buffer>,
    dying_bytes: u64,
    /// Bytes of `dying` and of the extents that are buffers.
    buffer_bytes: u64,
    /// What the content to be written may lie in.
    lent: Option<Arc<Buffer>>,
    /// Bytes of the side tables, as of the last change.
    table_bytes: u64,
}

impl Extents {
    /// Extents for a shard of at most `ceiling_bytes`.
    pub(crate) fn new(ceiling_bytes: u64) -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            spans: Spans::new(ceiling_bytes),
            dying: Vec::new(),
            dying_bytes: 0,
            buffer_bytes: 0,
            lent: None,
            table_bytes: 0,
        }
    }

    /// An extent of `bytes`, of which `zero` are zero and the others of unspecified content; `None` if memory is out.
    pub(crate) fn create(&mut self, bytes: usize, zero: Range<usize>) -> Option<ExtentId> {
        let extent = self.make(bytes, bytes, zero)?;
        Some(self.insert(extent))
    }

    /// An extent with this content: taken over from the buffer lent if it lies in that, else copied; `None` if memory is out.
    pub(crate) fn store(&mut self, bytes: &[u8]) -> Option<ExtentId> {
        if let Some(extent) = self.adopt(bytes) {
            return Some(extent);
        }
        let extent = self.create(bytes.len(), 0..0)?;
        self.bytes_mut(extent, bytes.len()).copy_from_slice(bytes);
        Some(extent)
    }

    /// An extent that is `bytes` where they lie in the buffer lent, if that is worth it.
    fn adopt(&mut self, bytes: &[u8]) -> Option<ExtentId> {
        let start = self.position_in_lent(bytes)?;
        let buffer = Arc::clone(self.lent.as_ref()?);
        self.buffer_bytes += buffer.held_bytes() as u64;
        Some(self.insert(Extent::Buffer { buffer, start }))
    }

    /// Whether [`Self::adopt`] would take `bytes`: they are most of the buffer lent, and too long for a span.
    pub(crate) fn can_adopt(&self, bytes: &[u8]) -> bool {
        self.position_in_lent(bytes).is_some()
    }

    fn position_in_lent(&self, bytes: &[u8]) -> Option<u32> {
        let lent = self.lent.as_ref()?;
        let idle = lent.held_bytes().checked_sub(bytes.len())?;
        if bytes.len() <= SPAN_MAX_BYTES || idle > lent.held_bytes() >> IDLE_ALLOWED_SHIFT {
            return None;
        }
        u32::try_from(lent.position_of(bytes)?).ok()
    }

    /// Lends the buffer in which what is written next may lie.
    pub(crate) fn lend(&mut self, buffer: Arc<Buffer>) {
        self.lent = Some(buffer);
    }

    /// Ends what [`Self::lend`] began.
    pub(crate) fn end_lending(&mut self) {
        self.lent = None;
    }

    /// Exchanges what is lent.
    pub(crate) fn replace_lent(&mut self, lent: Option<Arc<Buffer>>) -> Option<Arc<Buffer>> {
        std::mem::replace(&mut self.lent, lent)
    }

    /// The buffer that the extent is, and where in it the content begins; `None` if it is a span.
    pub(crate) fn buffer_of(&self, id: ExtentId) -> Option<(Arc<Buffer>, usize)> {
        match self.slot(id) {
            Extent::Span(_) => None,
            Extent::Buffer { buffer, start } => Some((Arc::clone(buffer), *start as usize)),
        }
    }

    fn insert(&mut self, extent: Extent) -> ExtentId {
        let slot = if let Some(slot) = self.vacant.pop() {
            self.slots[slot as usize] = Some(extent);
            slot
        } else {
            self.slots.push(Some(extent));
            u32::try_from(self.slots.len() - 1).expect("2^32 extents exceed any address space")
        };
        self.table_bytes = self.count_table_bytes();
        ExtentId(slot)
    }

    /// A place for `bytes` and, if it is a span, room for `roomy`.
    fn make(&mut self, bytes: usize, roomy: usize, zero: Range<usize>) -> Option<Extent> {
        let span = self.spans.alloc(roomy.min(SPAN_MAX_BYTES).max(bytes));
        if let Some(span) = span {
            self.spans.bytes_mut(span, zero.end)[zero].fill(0);
            return Some(Extent::Span(span));
        }
        let mut buffer = Buffer::with_capacity(bytes)?;
        if !buffer.lengthen(bytes) {
            return None;
        }
        self.buffer_bytes += buffer.held_bytes() as u64;
        Some(Extent::Buffer {
            buffer: Arc::new(buffer),
            start: 0,
        })
    }

    /// Gives an extent back.
    pub(crate) fn destroy(&mut self, id: ExtentId) {
        let extent = self.slots[id.0 as usize]
            .take()
            .expect("an item owns its extent until it is destroyed");
        self.vacant.push(id.0);
        self.end(extent);
    }

    fn end(&mut self, extent: Extent) {
        match extent {
            Extent::Span(span) => self.spans.free(span),
            Extent::Buffer { buffer, .. } => {
                self.buffer_bytes -= buffer.held_bytes() as u64;
                self.bury(buffer);
            }
        }
        self.table_bytes = self.count_table_bytes();
    }

    /// Gives `buffer` back in pieces, unless somebody else holds it: then that is whose memory it is, at once, and who gives it
    /// back.
    pub(crate) fn bury(&mut self, buffer: Arc<Buffer>) {
        // Of all who let go at the same time, on any core, one gets it.
        if let Some(buffer) = Arc::into_inner(buffer) {
            self.buffer_bytes += buffer.held_bytes() as u64;
            self.dying_bytes += buffer.held_bytes() as u64;
            self.dying.push(buffer);
        }
    }

    /// Says how many free pages of spans may be kept from now on.
    pub(crate) fn set_idle_bound(&mut self, bound: IdleBound) {
        self.spans.set_idle_bound(bound);
    }

    /// Whether there may be pages to give back.
    #[inline(always)]
    pub(crate) fn has_some_to_trim(&self) -> bool {
        !self.dying.is_empty() || self.spans.keeps_too_much()
    }

    /// Gives some pages back that are not in use; whether there were any.
    #[inline(always)]
    pub(crate) fn trim_some(&mut self) -> bool {
        (!self.dying.is_empty() && self.trim_dying())
            || (self.spans.keeps_too_much() && self.trim_spans())
    }

    #[cold]
    fn trim_spans(&mut self) -> bool {
        let trimmed = self.spans.trim_some();
        self.table_bytes = self.count_table_bytes();
        trimmed
    }

    #[cold]
    fn trim_dying(&mut self) -> bool {
        let Some(mut buffer) = self.dying.pop() else {
            return false;
        };
        let was = buffer.held_bytes();
        let mut left = 0;
        if was > TRIM_BYTES && buffer.split_off(was - TRIM_BYTES).is_some() {
            left = buffer.held_bytes();
            self.dying.push(buffer);
        }
        self.dying_bytes -= (was - left) as u64;
        self.buffer_bytes -= (was - left) as u64;
        true
    }

    /// Bytes that are in no extent any more and not yet given back, but count as used.
    pub(crate) fn dying_bytes(&self) -> u64 {
        self.dying_bytes
    }

    #[inline(always)]
    fn slot(&self, id: ExtentId) -> &Extent {
        self.slots[id.0 as usize]
            .as_ref()
            .expect("an item's extent lives as long as the item")
    }

    /// Makes the extent one of `len` bytes, to be written: those before `zero` are kept, those in `zero` are zero, others
    /// are of unspecified content. Whether there was memory; if not, nothing changed.
    pub(crate) fn resize(&mut self, id: ExtentId, len: usize, zero: Range<usize>) -> bool {
        let extent = self.slots[id.0 as usize].take();
        let mut extent = extent.expect("an item's extent lives as long as the item");
        let done = match &mut extent {
            Extent::Span(span) => self.resize_span(span, len, zero.clone()),
            Extent::Buffer { buffer, start } => {
                self.resize_buffer(buffer, start, len, zero.clone())
            }
        };
        let replaced = match done {
            true => None,
            false => self.make_anew(&extent, len, zero),
        };
        let is_done = done || replaced.is_some();
        if let Some(new) = replaced {
            self.end(std::mem::replace(&mut extent, new));
        }
        self.slots[id.0 as usize] = Some(extent);
        self.table_bytes = self.count_table_bytes();
        is_done
    }

    /// Takes back writes to an extent of `len` bytes: `ranges` are what was at these offsets, in the order in which they are
    /// written, and it was `was_len` bytes long, no more than now.
    ///
    /// # Panics
    /// It was written, and somebody else holds it.
    pub(crate) fn revert(
        &mut self,
        id: ExtentId,
        len: usize,
        was_len: usize,
        ranges: &[(usize, &[u8])],
    ) {
        let is = self.bytes(id, len);
        let differs = |&(at, was): &(usize, &[u8])| is[at..][..was.len()] != *was;
        if ranges.iter().any(differs) {
            let bytes = self.bytes_mut(id, len);
            for &(at, was) in ranges {
                bytes[at..][..was.len()].copy_from_slice(was);
            }
        }
        if was_len == len {
            return;
        }
        if let Some(Extent::Span(span)) = &mut self.slots[id.0 as usize] {
            *span = self.spans.shorten(*span, was_len);
            self.table_bytes = self.count_table_bytes();
        } else {
            let is_shortened = self.resize(id, was_len, was_len..was_len);
            assert!(is_shortened, "to become shorter takes no memory");
        }
    }

    fn resize_span(&mut self, span: &mut Span, len: usize, zero: Range<usize>) -> bool {
        let resized = match zero.start {
            0 if len <= span.bytes() => Some(self.spans.shorten(*span, len)),
            // Nothing is kept: anywhere is as good.
            0 if len > span.bytes() => None,
            _ => self.spans.extend(*span, len),
        };
        let Some(resized) = resized else {
            return false;
        };
        *span = resized;
        self.spans.bytes_mut(resized, zero.end)[zero].fill(0);
        true
    }

    fn resize_buffer(
        &mut self,
        shared: &mut Arc<Buffer>,
        start: &mut u32,
        len: usize,
        zero: Range<usize>,
    ) -> bool {
        let keeps_nothing = zero.start == 0;
        if keeps_nothing && len <= SPAN_MAX_BYTES {
            return false;
        }
        let Some(buffer) = Arc::get_mut(shared) else {
            return false;
        };
        let (was, from) = (buffer.held_bytes(), if keeps_nothing { 0 } else { *start });
        let end = from as usize + len;
        let dirty_end = buffer.len();
        if !buffer.lengthen(end) {
            return false;
        }
        *start = from;
        let is = buffer.held_bytes();
        self.buffer_bytes = self.buffer_bytes - was as u64 + is as u64;
        // Behind what was ever in use it is zero.
        let zero = from as usize + zero.start..(from as usize + zero.end).min(dirty_end);
        if !zero.is_empty() {
            buffer.bytes_mut()[zero].fill(0);
        }
        if is - end.min(is) > is >> IDLE_ALLOWED_SHIFT
            && let Some(tail) = buffer.split_off(end)
        {
            // Its bytes count as used still.
            self.dying_bytes += (is - buffer.held_bytes()) as u64;
            self.buffer_bytes -= (is - buffer.held_bytes()) as u64;
            self.buffer_bytes += tail.held_bytes() as u64;
            self.dying.push(tail);
        }
        true
    }

    /// Another extent with what is to be kept of `old`.
    fn make_anew(&mut self, old: &Extent, len: usize, zero: Range<usize>) -> Option<Extent> {
        let kept = zero.start;
        let roomy = if kept == 0 {
            len
        } else {
            len + (len >> ROOM_SHIFT)
        };
        let mut new = self.make(len, roomy, zero)?;
        match (&mut new, old) {
            (Extent::Span(new), Extent::Span(old)) => self.spans.copy(*old, *new, kept),
            (Extent::Span(new), Extent::Buffer { buffer, start }) => {
                let kept = &buffer.bytes()[*start as usize..][..kept];
                self.spans.bytes_mut(*new, kept.len()).copy_from_slice(kept);
            }
            (Extent::Buffer { buffer: new, .. }, old) => {
                let old = match old {
                    Extent::Span(span) => self.spans.bytes(*span, kept),
                    Extent::Buffer { buffer, start } => &buffer.bytes()[*start as usize..][..kept],
                };
                let new = Arc::get_mut(new).expect("just made");
                new.bytes_mut()[..kept].copy_from_slice(old);
            }
        }
        Some(new)
    }

    /// The first `len` bytes.
    #[inline(always)]
    pub(crate) fn bytes(&self, id: ExtentId, len: usize) -> &[u8] {
        match self.slot(id) {
            Extent::Span(span) => self.spans.bytes(*span, len),
            Extent::Buffer { buffer, start } => &buffer.bytes()[*start as usize..][..len],
        }
    }

    /// The first `len` bytes, to write, of an extent just created or resized.
    pub(crate) fn bytes_mut(&mut self, id: ExtentId, len: usize) -> &mut [u8] {
        let extent = self.slots[id.0 as usize].as_mut();
        match extent.expect("an item's extent lives as long as the item") {
            Extent::Span(span) => self.spans.bytes_mut(*span, len),
            Extent::Buffer { buffer, start } => {
                let buffer = Arc::get_mut(buffer).expect("resizing leaves nobody else holding it");
                &mut buffer.bytes_mut()[*start as usize..][..len]
            }
        }
    }

    /// Bytes of one extent that count as used.
    pub(crate) fn used_bytes_of(&self, id: ExtentId) -> u64 {
        self.slot(id).used_bytes() as u64
    }

    /// Bytes of all extents that count as used.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.spans.live_bytes() + self.buffer_bytes
    }

    /// Bytes held from the system.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.used_bytes() + self.spans.kept_bytes()
    }

    /// Bytes of the side tables.
    #[inline(always)]
    pub(crate) fn table_bytes(&self) -> u64 {
        self.table_bytes
    }

    fn count_table_bytes(&self) -> u64 {
        let slots = self.slots.capacity() * size_of::<Option<Extent>>();
        let vacant = self.vacant.capacity() * size_of::<u32>();
        self.spans.table_bytes() + (slots + vacant) as u64
    }

    /// Destroys the last extents, whoever owns them; whether there were any. Only for extents nobody reads any more.
    pub(crate) fn destroy_some(&mut self) -> bool {
        let mut destroyed = 0;
        while destroyed < DESTROY_AT_ONCE
            && let Some(slot) = self.slots.pop()
        {
            if let Some(extent) = slot {
                self.end(extent);
            }
            destroyed += 1;
        }
        destroyed > 0
    }

    /// Verifies the sums.
    pub(crate) fn check(&self) {
        let live = || self.slots.iter().flatten();
        let buffers = live().filter(|extent| matches!(extent, Extent::Buffer { .. }));
        let used: usize = buffers.map(Extent::used_bytes).sum();
        let dying: usize = self.dying.iter().map(Buffer::held_bytes).sum();
        assert_eq!(dying as u64, self.dying_bytes);
        assert_eq!((used + dying) as u64, self.buffer_bytes);
        self.spans.check(live().filter_map(|extent| match extent {
            Extent::Span(span) => Some(*span),
            Extent::Buffer { .. } => None,
        }));
        let vacant = self.slots.iter().filter(|slot| slot.is_none()).count();
        assert_eq!(vacant, self.vacant.len());
        assert_eq!(self.table_bytes, self.count_table_bytes());
    }

    /// Number of extents.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::PAGE_BYTES;
    use super::*;

    const LONG: usize = SPAN_MAX_BYTES + 3 * PAGE_BYTES;

    fn extents() -> Extents {
        Extents::new(1 << 30)
    }

    fn filled(extents: &mut Extents, bytes: usize, with: u8) -> ExtentId {
        let id = extents.create(bytes, 0..0).expect("memory");
        extents.bytes_mut(id, bytes).fill(with);
        id
    }

    fn trim_to_the_end(extents: &mut Extents) -> usize {
        let mut steps = 0;
        while extents.trim_some() {
            steps += 1;
            extents.check();
        }
        steps
    }

    #[test]
    fn an_extent_keeps_its_content_as_it_grows_and_reads_zero_in_a_gap() {
        let mut extents = extents();
        // Pages that are not zero any more, for spans to find.
        let old = filled(&mut extents, 200_000, 9);
        extents.destroy(old);
        let id = filled(&mut extents, 40_000, 7);
        let mut len = 40_000;
        for longer in [40_010, 90_000, 91_000, SPAN_MAX_BYTES, LONG, 2 * LONG] {
            assert!(extents.resize(id, longer, len..longer - 5));
            extents.bytes_mut(id, longer)[longer - 5..].fill(7);
            let content = extents.bytes(id, longer);
            assert!(content[..40_000].iter().all(|&byte| byte == 7));
            assert!(content[len..longer - 5].iter().all(|&byte| byte == 0));
            len = longer;
            extents.check();
        }
        assert_eq!(extents.used_bytes(), extents.used_bytes_of(id));
        extents.destroy(id);
        trim_to_the_end(&mut extents);
        assert_eq!((extents.used_bytes(), extents.len()), (0, 0));
    }

    #[test]
    fn a_gap_in_a_buffer_reads_zero_where_an_earlier_content_was() {
        let mut extents = extents();
        let id = filled(&mut extents, 2 * LONG, 9);
        assert!(extents.resize(id, 2 * LONG - 100, 0..0));
        extents.bytes_mut(id, 2 * LONG - 100).fill(7);
        let len = 2 * LONG + 100;
        assert!(extents.resize(id, len, 2 * LONG - 100..len));
        let content = extents.bytes(id, len);
        assert!(content[2 * LONG - 100..].iter().all(|&byte| byte == 0));
        assert_eq!(content[2 * LONG - 101], 7);
    }

    #[test]
    fn a_large_extent_is_given_back_in_pieces_and_counts_until_then() {
        let mut extents = extents();
        let bytes = 3 * LONG;
        let id = filled(&mut extents, bytes, 1);
        let used = extents.used_bytes();
        extents.destroy(id);
        assert_eq!((extents.len(), extents.used_bytes()), (0, used));
        assert_eq!(extents.dying_bytes(), used);
        extents.check();
        assert_eq!(trim_to_the_end(&mut extents), bytes.div_ceil(TRIM_BYTES));
        assert_eq!((extents.used_bytes(), extents.dying_bytes()), (0, 0));
    }

    #[test]
    fn the_tail_of_an_extent_that_became_shorter_is_given_back_in_pieces() {
        let mut extents = extents();
        let id = filled(&mut extents, 3 * LONG, 1);
        let used = extents.used_bytes();
        assert!(extents.resize(id, LONG, 0..0));
        assert_eq!(extents.used_bytes(), used);
        extents.check();
        assert!(trim_to_the_end(&mut extents) > 1);
        assert_eq!(extents.used_bytes(), LONG as u64);
        assert!(extents.resize(id, 40_000, 0..0));
        trim_to_the_end(&mut extents);
        assert_eq!(extents.used_bytes(), 40_960);
    }

    fn lent(extents: &mut Extents, head: usize, bytes: usize) -> Arc<Buffer> {
        let mut buffer = Buffer::with_capacity(head + bytes).expect("memory");
        assert!(buffer.append(&vec![1; head]) && buffer.append(&vec![2; bytes]));
        let buffer = Arc::new(buffer);
        extents.lend(Arc::clone(&buffer));
        buffer
    }

    #[test]
    fn a_large_content_in_a_lent_buffer_is_not_copied() {
        let mut extents = extents();
        let buffer = lent(&mut extents, 40, LONG);
        let content = &buffer.bytes()[40..];
        let id = extents.adopt(content).expect("it fills the buffer");
        assert_eq!(extents.bytes(id, LONG).as_ptr(), content.as_ptr());
        assert_eq!(extents.used_bytes(), buffer.held_bytes() as u64);
        assert_eq!(
            extents.adopt(&content[..LONG / 2]),
            None,
            "too little of it"
        );
        assert_eq!(extents.adopt(&vec![2; LONG]), None, "not in it");
        extents.end_lending();
        extents.check();
        // Somebody reads it still: who writes takes a copy.
        assert!(extents.resize(id, LONG + 1, LONG..LONG + 1));
        extents.bytes_mut(id, LONG + 1)[0] = 3;
        assert_eq!(buffer.bytes()[40], 2);
        assert_eq!(extents.bytes(id, LONG + 1)[..2], [3, 2]);
        extents.check();
        extents.bury(buffer);
        extents.destroy(id);
        trim_to_the_end(&mut extents);
        assert_eq!(extents.used_bytes(), 0);
    }

    #[test]
    fn an_adopted_content_can_be_written_once_its_lender_has_let_go() {
        let mut extents = extents();
        let buffer = lent(&mut extents, 40, LONG);
        let id = extents.adopt(&buffer.bytes()[40..]).expect("adopted");
        extents.end_lending();
        drop(buffer);
        let at = extents.bytes(id, 1).as_ptr();
        assert!(extents.resize(id, LONG, LONG..LONG));
        assert_eq!(extents.bytes_mut(id, LONG)[LONG - 1], 2);
        assert_eq!(extents.bytes(id, 1).as_ptr(), at);
        assert!(extents.resize(id, LONG + 50, LONG..LONG + 50));
        assert_eq!(extents.bytes(id, LONG + 1)[LONG - 1..], [2, 0]);
        assert!(extents.resize(id, LONG, 0..0));
        extents.bytes_mut(id, LONG).fill(5);
        extents.check();
    }

    #[test]
    fn handles_are_reused() {
        let mut extents = extents();
        let first = extents.create(1, 0..0).expect("memory");
        extents.destroy(first);
        assert_eq!(extents.create(1, 0..0), Some(first));
        assert!(extents.destroy_some() && !extents.destroy_some());
    }
}
