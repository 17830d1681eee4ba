//! Spans: runs of pages for contents too large for a block of the arena and too small to be worth a mapping.
//!
//! ```text
//!  base                                                        carved                reserved
//!   | live 10 | kept 3 | live 64 | returned 250 | live 9 | … |  | not yet carved …    |
//!     a word a page: at the first and the last page of a run stands the free run's number, or that the run is live
//! ```
//!
//! They lie in address space of their own, reserved once and committed upwards, so that the kernel knows one mapping
//! however many there are. A free run either still has its pages (kept) or has given them back (returned). Free runs of
//! one kind that touch are one run; those of different kinds are not, until the kept one is returned. Who allocates takes
//! the smallest kept run that fits, then the smallest returned one, then carves: free runs are listed by their length, and
//! a bit a length tells which lists hold any.
//!
//! Nothing is compacted. A span begins at any page and a free page costs memory only while it is kept, so that live
//! spans cannot hold memory back by where they lie. What can become scattered is address space, of which there is four
//! times as much as memory; should it run out all the same, the content gets a mapping of its own.
//!
//! Pages kept are at most a sixteenth of the live ones and [`KEPT_BYTES`] once [`Spans::trim_some`] has come to its end,
//! and never more than a quarter of them and [`KEPT_AT_ONCE_BYTES`]: beyond, a span is returned as it is freed.

use super::PAGE_BYTES;
use super::arena::IdleBound;
use super::system::Reservation;
use crate::limits::SPAN_MAX_BYTES;

const SPAN_MAX_PAGES: u32 = (SPAN_MAX_BYTES / PAGE_BYTES) as u32;
/// The shortest span anybody asks for. A kept run below is returned before others.
const SPAN_MIN_PAGES: u32 = 8;
/// Pages committed at once, at least.
const COMMIT_PAGES: u32 = 512;
/// Bytes of free runs whose pages are kept, besides a share of the live ones.
const KEPT_BYTES: u64 = 4 << 20;
/// Share of the live bytes kept besides: a sixteenth.
const KEPT_SHIFT: u32 = 4;
/// Bytes that are kept when much is freed at once, besides a share of the live ones: until they are trimmed.
const KEPT_AT_ONCE_BYTES: u64 = 64 << 20;
/// Share of the live bytes kept besides when much is freed at once: a quarter.
const KEPT_AT_ONCE_SHIFT: u32 = 2;
/// Pages returned by one step.
const RETURN_PAGES: u32 = 256;
/// Free runs returned by one step.
const RETURN_RUNS: u32 = 16;
/// Address space for each byte of the shard's ceiling.
const RESERVED_PER_BYTE: u64 = 4;
/// The smallest reservation worth having.
const MIN_RESERVATION_BYTES: usize = 4 << 20;

/// No run, in links and heads of lists.
const NO_RUN: u32 = u32::MAX;
/// The word of a page at an end of a live run.
const LIVE: u32 = u32::MAX;
/// Lists of free runs: one for each length a span may have, and the last for longer ones.
const LISTS: usize = SPAN_MAX_PAGES as usize + 2;

/// Pages in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    first: u32,
    pages: u32,
}

impl Span {
    /// Its bytes.
    pub(crate) fn bytes(self) -> usize {
        self.pages as usize * PAGE_BYTES
    }
}

/// Whether a free run has pages behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backing {
    Kept,
    Returned,
}

const BACKINGS: [Backing; 2] = [Backing::Kept, Backing::Returned];

/// A free run.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    /// Zero: the entry is unused, and `next` the next such.
    pages: u32,
    prev: u32,
    next: u32,
}

/// Free runs of one kind, by length.
struct FreeLists {
    heads: [u32; LISTS],
    /// A bit for each list that is not empty.
    occupied: [u64; LISTS.div_ceil(64)],
    pages: u64,
}

impl FreeLists {
    fn new() -> Self {
        Self {
            heads: [NO_RUN; LISTS],
            occupied: [0; LISTS.div_ceil(64)],
            pages: 0,
        }
    }

    fn list_of(pages: u32) -> usize {
        pages.min(SPAN_MAX_PAGES + 1) as usize
    }

    /// The first list from `list` on that is not empty.
    fn first_from(&self, list: usize) -> Option<usize> {
        let mut word = list / 64;
        let mut bits = self.occupied.get(word)? & (u64::MAX << (list % 64));
        while bits == 0 {
            word += 1;
            bits = *self.occupied.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// The last list that is not empty.
    fn last(&self) -> Option<usize> {
        let word = self.occupied.iter().rposition(|&bits| bits != 0)?;
        Some(word * 64 + 63 - self.occupied[word].leading_zeros() as usize)
    }
}

/// All spans of a shard.
pub(crate) struct Spans {
    ceiling_bytes: u64,
    /// Made with the first span.
    reservation: Option<Reservation>,
    /// A word for each page carved; meaningful at the ends of runs.
    words: Vec<u32>,
    runs: Vec<Run>,
    unused_run: u32,
    free: [FreeLists; 2],
    live_pages: u64,
    /// How many free pages may be kept.
    idle_bound: IdleBound,
}

impl Spans {
    /// Spans for a shard of at most `ceiling_bytes`.
    pub(crate) fn new(ceiling_bytes: u64) -> Self {
        Self {
            ceiling_bytes,
            reservation: None,
            words: Vec::new(),
            runs: Vec::new(),
            unused_run: NO_RUN,
            free: [FreeLists::new(), FreeLists::new()],
            live_pages: 0,
            idle_bound: IdleBound::Ordinary,
        }
    }

    /// A span of at least `bytes`, of unspecified content; `None` above the longest span, or when memory or address space
    /// is out.
    pub(crate) fn alloc(&mut self, bytes: usize) -> Option<Span> {
        if bytes > SPAN_MAX_BYTES {
            return None;
        }
        let pages = bytes.div_ceil(PAGE_BYTES).max(1) as u32;
        let fitting = |spans: &Self| {
            BACKINGS.into_iter().find_map(|backing| {
                let lists = &spans.free[backing as usize];
                let list = lists.first_from(FreeLists::list_of(pages))?;
                Some((lists.heads[list], backing))
            })
        };
        if fitting(self).is_none() {
            self.carve(pages)?;
        }
        let (run, backing) = fitting(self).expect("just carved");
        Some(self.take(run, backing, pages))
    }

    /// Makes the beginning of a free run a span.
    fn take(&mut self, run: u32, backing: Backing, pages: u32) -> Span {
        let Run {
            first, pages: had, ..
        } = self.unlink(run, backing);
        if had > pages {
            self.link(first + pages, had - pages, backing);
        }
        self.mark(first, pages, LIVE);
        self.live_pages += u64::from(pages);
        Span { first, pages }
    }

    /// Takes `span` back.
    pub(crate) fn free(&mut self, span: Span) {
        self.live_pages -= u64::from(span.pages);
        let most = KEPT_AT_ONCE_BYTES + (self.live_bytes() >> KEPT_AT_ONCE_SHIFT);
        if self.kept_bytes() + span.bytes() as u64 > most {
            self.discard(span.first, span.pages);
            self.put(span.first, span.pages, Backing::Returned);
        } else {
            self.put(span.first, span.pages, Backing::Kept);
        }
    }

    /// Makes `span` at least `bytes` long where it is, if there is room behind it.
    pub(crate) fn extend(&mut self, span: Span, bytes: usize) -> Option<Span> {
        let pages = bytes.div_ceil(PAGE_BYTES) as u32;
        if pages <= span.pages {
            return Some(span);
        }
        let missing = pages - span.pages;
        let (run, backing) = self.run_at(span.first + span.pages)?;
        if pages > SPAN_MAX_PAGES || self.runs[run as usize].pages < missing {
            return None;
        }
        self.take(run, backing, missing);
        self.mark(span.first, pages, LIVE);
        Some(Span {
            first: span.first,
            pages,
        })
    }

    /// Takes back what `span` has beyond `bytes`.
    pub(crate) fn shorten(&mut self, span: Span, bytes: usize) -> Span {
        let pages = (bytes.div_ceil(PAGE_BYTES) as u32).clamp(1, span.pages);
        if pages < span.pages {
            self.mark(span.first, pages, LIVE);
            self.free(Span {
                first: span.first + pages,
                pages: span.pages - pages,
            });
        }
        Span {
            first: span.first,
            pages,
        }
    }

    #[inline(always)]
    fn range(&self, span: Span, len: usize) -> (&Reservation, usize) {
        let end = span.first as usize + span.pages as usize;
        assert!(
            end <= self.words.len() && len <= span.bytes(),
            "a span lies in what is carved"
        );
        let reservation = self.reservation.as_ref();
        let reservation = reservation.expect("carved from a reservation");
        (reservation, span.first as usize * PAGE_BYTES)
    }

    /// The first `len` bytes of `span`.
    #[inline(always)]
    pub(crate) fn bytes(&self, span: Span, len: usize) -> &[u8] {
        let (reservation, start) = self.range(span, len);
        // SAFETY: `range` checked that the bytes lie below what is carved, which is committed: mapped, readable, and
        // initialised by the kernel. Writing takes `&mut self`.
        unsafe { std::slice::from_raw_parts(reservation.base().add(start).as_ptr(), len) }
    }

    /// As [`Self::bytes`], to write.
    pub(crate) fn bytes_mut(&mut self, span: Span, len: usize) -> &mut [u8] {
        let (reservation, start) = self.range(span, len);
        // SAFETY: as in `bytes`, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(reservation.base().add(start).as_ptr(), len) }
    }

    /// Copies the first `len` bytes of `from` to `to`, another span.
    pub(crate) fn copy(&mut self, from: Span, to: Span, len: usize) {
        let (_, source) = self.range(from, len);
        let (reservation, target) = self.range(to, len);
        assert!(source.abs_diff(target) >= len, "spans do not overlap");
        let base = reservation.base();
        // SAFETY: both ranges lie in what is committed and do not overlap, as just checked; `&mut self` excludes
        // references into either.
        unsafe {
            base.add(source)
                .copy_to_nonoverlapping(base.add(target), len)
        };
    }

    /// Says how many free pages may be kept from now on.
    pub(crate) fn set_idle_bound(&mut self, bound: IdleBound) {
        self.idle_bound = bound;
    }

    /// Whether more pages are kept than are to be.
    #[inline(always)]
    pub(crate) fn keeps_too_much(&self) -> bool {
        const KEPT_PAGES: u64 = KEPT_BYTES / PAGE_BYTES as u64;
        let kept_pages = self.free[Backing::Kept as usize].pages;
        if self.idle_bound == IdleBound::Least {
            return kept_pages > 0;
        }
        kept_pages > KEPT_PAGES && kept_pages > KEPT_PAGES + (self.live_pages >> KEPT_SHIFT)
    }

    /// Gives a few kept pages back to the system; whether there were more than are to be kept.
    pub(crate) fn trim_some(&mut self) -> bool {
        let (mut pages, mut runs) = (RETURN_PAGES, RETURN_RUNS);
        if !self.keeps_too_much() {
            return false;
        }
        while pages > 0 && runs > 0 && self.keeps_too_much() {
            let kept = &self.free[Backing::Kept as usize];
            let Some(shortest) = kept.first_from(0) else {
                break;
            };
            let list = match shortest < SPAN_MIN_PAGES as usize {
                true => shortest,
                false => kept.last().unwrap_or(shortest),
            };
            let run = self.unlink(kept.heads[list], Backing::Kept);
            let returned = run.pages.min(pages);
            let left = run.pages - returned;
            if left > 0 {
                self.link(run.first, left, Backing::Kept);
            }
            self.discard(run.first + left, returned);
            self.put(run.first + left, returned, Backing::Returned);
            pages -= returned;
            runs -= 1;
        }
        true
    }

    /// Gives the pages back to the system.
    fn discard(&mut self, first: u32, pages: u32) {
        let start = first as usize * PAGE_BYTES;
        if let Some(reservation) = &mut self.reservation {
            reservation.discard(start..start + pages as usize * PAGE_BYTES);
        }
    }

    /// Commits at least `pages` more.
    #[cold]
    fn carve(&mut self, pages: u32) -> Option<()> {
        if self.reservation.is_none() {
            self.reservation = Some(reserve(self.ceiling_bytes)?);
        }
        let reservation = self.reservation.as_mut()?;
        let carved = self.words.len();
        let most = (reservation.bytes() / PAGE_BYTES).min(NO_RUN as usize / 2);
        let more = (pages.max(COMMIT_PAGES) as usize).min(most - carved);
        let end = carved + more;
        if more < pages as usize || !reservation.commit(carved * PAGE_BYTES..end * PAGE_BYTES) {
            return None;
        }
        self.words.resize(end, LIVE);
        self.put(carved as u32, more as u32, Backing::Returned);
        Some(())
    }

    /// The free run that begins or ends at `page`, if there is one.
    fn run_at(&self, page: u32) -> Option<(u32, Backing)> {
        match *self.words.get(page as usize)? {
            LIVE => None,
            word if word & 1 == 0 => Some((word >> 1, Backing::Kept)),
            word => Some((word >> 1, Backing::Returned)),
        }
    }

    fn mark(&mut self, first: u32, pages: u32, word: u32) {
        self.words[first as usize] = word;
        self.words[(first + pages - 1) as usize] = word;
    }

    /// Makes pages a free run, one with its neighbours of the same kind.
    fn put(&mut self, mut first: u32, mut pages: u32, backing: Backing) {
        if first > 0
            && let Some((before, like)) = self.run_at(first - 1)
            && like == backing
        {
            let run = self.unlink(before, backing);
            (first, pages) = (run.first, run.pages + pages);
        }
        if let Some((behind, like)) = self.run_at(first + pages)
            && like == backing
        {
            pages += self.unlink(behind, backing).pages;
        }
        self.link(first, pages, backing);
    }

    /// Lists a free run.
    fn link(&mut self, first: u32, pages: u32, backing: Backing) {
        let lists = &mut self.free[backing as usize];
        let list = FreeLists::list_of(pages);
        let next = lists.heads[list];
        let run = Run {
            first,
            pages,
            prev: NO_RUN,
            next,
        };
        let id = if self.unused_run == NO_RUN {
            self.runs.push(run);
            self.runs.len() as u32 - 1
        } else {
            let id = self.unused_run;
            self.unused_run = self.runs[id as usize].next;
            self.runs[id as usize] = run;
            id
        };
        if next != NO_RUN {
            self.runs[next as usize].prev = id;
        }
        lists.heads[list] = id;
        lists.occupied[list / 64] |= 1 << (list % 64);
        lists.pages += u64::from(pages);
        self.mark(first, pages, id << 1 | backing as u32);
    }

    /// Takes a free run off its list. The words of its pages are the caller's to set.
    fn unlink(&mut self, id: u32, backing: Backing) -> Run {
        let run = self.runs[id as usize];
        let lists = &mut self.free[backing as usize];
        let list = FreeLists::list_of(run.pages);
        match run.prev {
            NO_RUN => lists.heads[list] = run.next,
            prev => self.runs[prev as usize].next = run.next,
        }
        if run.next != NO_RUN {
            self.runs[run.next as usize].prev = run.prev;
        }
        if lists.heads[list] == NO_RUN {
            lists.occupied[list / 64] &= !(1 << (list % 64));
        }
        lists.pages -= u64::from(run.pages);
        self.runs[id as usize] = Run {
            pages: 0,
            next: self.unused_run,
            ..run
        };
        self.unused_run = id;
        run
    }

    /// Bytes of live spans.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_pages * PAGE_BYTES as u64
    }

    /// Bytes of free pages not given back.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.free[Backing::Kept as usize].pages * PAGE_BYTES as u64
    }

    /// Bytes of the side tables.
    pub(crate) fn table_bytes(&self) -> u64 {
        let words = self.words.capacity() * size_of::<u32>();
        (words + self.runs.capacity() * size_of::<Run>()) as u64
    }

    /// Verifies runs, lists and sums against the `live` spans.
    pub(crate) fn check(&self, live: impl Iterator<Item = Span>) {
        let mut spans: Vec<Span> = live.collect();
        spans.sort_by_key(|span| span.first);
        let live_pages: u64 = spans.iter().map(|span| u64::from(span.pages)).sum();
        assert_eq!(live_pages, self.live_pages);
        let (mut page, mut spans) = (0, spans.into_iter().peekable());
        let (mut runs, mut free_pages, mut before) = ([0; 2], [0; 2], None);
        while page < self.words.len() as u32 {
            let at = self.run_at(page);
            let pages = match at {
                Some((id, backing)) => {
                    let run = self.runs[id as usize];
                    assert_eq!(run.first, page, "a run begins where the last one ends");
                    assert!(before != Some(backing), "free runs that touch are one");
                    runs[backing as usize] += 1;
                    free_pages[backing as usize] += u64::from(run.pages);
                    run.pages
                }
                None => {
                    let span = spans.next().expect("what is not free is live");
                    assert_eq!(span.first, page);
                    span.pages
                }
            };
            before = at.map(|(_, backing)| backing);
            assert_eq!(self.run_at(page + pages - 1), at, "both ends say the same");
            page += pages;
        }
        assert_eq!(spans.peek(), None, "live spans lie in what is carved");
        for backing in BACKINGS {
            let lists = &self.free[backing as usize];
            assert_eq!(lists.pages, free_pages[backing as usize]);
            let mut listed = 0;
            for (list, &head) in lists.heads.iter().enumerate() {
                let bit = lists.occupied[list / 64] >> (list % 64) & 1;
                assert_eq!(bit == 1, head != NO_RUN);
                let mut id = head;
                while id != NO_RUN {
                    let run = self.runs[id as usize];
                    assert_eq!(FreeLists::list_of(run.pages), list);
                    listed += 1;
                    id = run.next;
                }
            }
            assert_eq!(listed, runs[backing as usize]);
        }
    }

    /// Pages carved so far.
    #[cfg(test)]
    fn carved_bytes(&self) -> u64 {
        self.words.len() as u64 * PAGE_BYTES as u64
    }
}

/// Address space for the spans of a shard of at most `ceiling_bytes`.
fn reserve(ceiling_bytes: u64) -> Option<Reservation> {
    let most = u64::from(NO_RUN / 2) * PAGE_BYTES as u64;
    let wanted = ceiling_bytes.saturating_mul(RESERVED_PER_BYTE).min(most);
    let mut bytes = (wanted as usize).max(MIN_RESERVATION_BYTES) / PAGE_BYTES * PAGE_BYTES;
    loop {
        if let Some(reservation) = Reservation::new(bytes) {
            return Some(reservation);
        }
        bytes = bytes / 2 / PAGE_BYTES * PAGE_BYTES;
        if bytes < MIN_RESERVATION_BYTES {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator of numbers that need not be good ones.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }
    }

    fn stamp(spans: &mut Spans, span: Span, with: u8) {
        let bytes = spans.bytes_mut(span, span.bytes());
        bytes[0] = with;
        *bytes.last_mut().expect("a span is a page at least") = with;
    }

    fn has_stamp(spans: &Spans, span: Span, with: u8) -> bool {
        let bytes = spans.bytes(span, span.bytes());
        bytes[0] == with && bytes.last() == Some(&with)
    }

    #[test]
    fn random_spans_keep_their_content_and_every_page_is_accounted_for() {
        let mut spans = Spans::new(1 << 30);
        let mut random = Random(7);
        let mut live: Vec<(Span, u8)> = Vec::new();
        let (steps, most) = if cfg!(miri) { (60, 4) } else { (6000, 60) };
        let longest = if cfg!(miri) {
            300 << 10
        } else {
            SPAN_MAX_BYTES
        };
        for step in 0..steps {
            let with = step as u8;
            match random.below(6) {
                0..=2 if live.len() < most => {
                    let bytes = 1 + random.below(longest);
                    let span = spans.alloc(bytes).expect("memory");
                    assert_eq!(span.bytes(), bytes.next_multiple_of(PAGE_BYTES));
                    stamp(&mut spans, span, with);
                    live.push((span, with));
                }
                3 if !live.is_empty() => {
                    let at = random.below(live.len());
                    let bytes = 1 + random.below(longest);
                    let (span, old) = live[at];
                    if bytes <= span.bytes() {
                        live[at].0 = spans.shorten(span, bytes);
                    } else if let Some(longer) = spans.extend(span, bytes) {
                        assert_eq!(spans.bytes(longer, 1), [old]);
                        live[at].0 = longer;
                    }
                    stamp(&mut spans, live[at].0, old);
                }
                4 => {
                    spans.trim_some();
                }
                _ if !live.is_empty() => {
                    let (span, old) = live.swap_remove(random.below(live.len()));
                    assert!(has_stamp(&spans, span, old));
                    spans.free(span);
                }
                _ => {}
            }
            spans.check(live.iter().map(|(span, _)| *span));
        }
        assert!(
            live.iter()
                .all(|&(span, with)| has_stamp(&spans, span, with))
        );
    }

    /// A mebibyte of address space for a mebibyte live would be none lost; resident is what counts, and is bounded.
    #[test]
    #[cfg_attr(miri, ignore = "a million steps")]
    fn churn_at_random_sizes_leaves_a_sixteenth_and_little_address_space_behind() {
        let mut spans = Spans::new(4 << 30);
        let mut random = Random(11);
        let size = |random: &mut Random| (40 << 10) + random.below(984 << 10);
        let mut live: Vec<Span> = Vec::new();
        let mut most_kept = 0;
        for step in 0..1_000_000 {
            // Seldom touched: what is measured is where spans lie.
            if live.len() < 2000 + random.below(100) {
                let bytes = size(&mut random);
                live.push(spans.alloc(bytes).expect("memory"));
            } else {
                let at = random.below(live.len());
                spans.free(live.swap_remove(at));
            }
            most_kept = most_kept.max(spans.kept_bytes());
            if step % 8 == 0 {
                spans.trim_some();
            }
            if step % 100_000 == 0 {
                spans.check(live.iter().copied());
            }
        }
        while spans.trim_some() {}
        let (kept, live_bytes) = (spans.kept_bytes(), spans.live_bytes());
        assert!(kept <= KEPT_BYTES + live_bytes / 16);
        assert!(most_kept <= KEPT_AT_ONCE_BYTES + live_bytes / 3);
        let carved = spans.carved_bytes();
        assert!(
            carved < live_bytes * 3 / 2,
            "{carved} bytes carved for {live_bytes} live"
        );
        for span in live {
            spans.free(span);
        }
        while spans.trim_some() {}
        spans.check(std::iter::empty());
        assert!(spans.kept_bytes() <= KEPT_BYTES);
        assert_eq!(
            spans.free[Backing::Returned as usize].pages + spans.free[0].pages,
            spans.words.len() as u64
        );
    }

    #[test]
    fn a_span_grows_into_free_pages_behind_it_and_not_into_others() {
        let mut spans = Spans::new(1 << 30);
        let first = spans.alloc(40 << 10).expect("memory");
        let second = spans.alloc(40 << 10).expect("memory");
        assert_eq!(spans.extend(first, 44 << 10), None);
        spans.free(second);
        let longer = spans.extend(first, 44 << 10).expect("room");
        assert_eq!((longer.first, longer.bytes()), (first.first, 44 << 10));
        spans.check([longer].into_iter());
        let shorter = spans.shorten(longer, 1);
        spans.check([shorter].into_iter());
        assert_eq!(shorter.bytes(), PAGE_BYTES);
    }

    #[test]
    fn what_is_longer_than_a_span_is_refused() {
        assert_eq!(Spans::new(1 << 30).alloc(SPAN_MAX_BYTES + 1), None);
    }
}
