//! The order itself: a ring of words that all cores append to and read in the same order.
//!
//! ```text
//!            ┌── lap 8 ──────────────────────────┬── lap 7 ─────────────────┐
//!  slots     [ word ][ word ][ word ][ word ][ word ][ old ][ old ][ old ][ old ]
//!               ▲               ▲               ▲      ▲ the end: the next append replaces this word
//!               core 2          core 0          core 1                        
//! ```
//! *Append.* The word at the end is replaced by compare-and-swap, which gives the entry its position; who loses looks
//! one slot further. There is no counter of the end: a slot that holds a word of the lap before is the end.
//!
//! *Catch up.* Each core has a [`Cursor`], and passes entries one by one. Nothing new is one load of a line that stays in
//! its cache, and a compare.
//!
//! *Reuse.* A slot is written again when all cores have passed what it holds; each core publishes how far it has come. So
//! no core is ever overtaken, and two laps are all that must be told apart. A core that sleeps falls behind without
//! being told; when it is half a ring behind it is woken to come by ([`Cursor::laggards`]).
//!
//! *Time* is in the order too: a tick is an entry that says how late it is from its position on. What happens at a
//! position has one time on all cores, and no position has an earlier time than one before it, unless the clock was set back.

use std::sync::Arc;

use super::rules::{Rule, keeps};
use super::sync::{AtomicU64, CachePadded, Ordering, fence};
use super::word::{Entry, Groups, Named, Position, Word, lap_of};
use crate::routing::CoreId;

/// Slots of a server's ring, 512 KiB: at a million entries a second, a core that stands still for 65 ms holds up the others.
pub const SLOTS: usize = 1 << 16;

/// A clock that is behind the order's time by more than this was set back, and the order's time follows it. Less is the
/// difference between the moments at which two cores have looked.
pub const SET_BACK_MS: u64 = 1000;

/// The order, shared by all cores.
#[derive(Debug)]
pub struct Ring<const N: usize = SLOTS> {
    slots: Arc<[AtomicU64; N]>,
    /// By core: every position below has been passed.
    passed: Box<[CachePadded<AtomicU64>]>,
    /// By core: all that it asked the others for before it passed this position has been shipped.
    shipped: Box<[CachePadded<AtomicU64>]>,
    groups: Groups,
    began_ms: u64,
}

impl<const N: usize> Ring<N> {
    /// The order of a server of `cores` cores, empty, whose time is `now_ms`.
    ///
    /// # Panics
    /// If there are no cores, or more than [`CORES_MAX`](super::word::CORES_MAX).
    #[must_use]
    pub fn new(cores: u16, now_ms: u64) -> Arc<Self> {
        Self::with_groups(cores, Groups::of(cores), now_ms)
    }

    /// As [`new`](Self::new), with groups that are wide enough for `cores` cores.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn with_groups(cores: u16, groups: Groups, now_ms: u64) -> Arc<Self> {
        assert!(cores > 0, "an order has a core");
        const {
            assert!(
                N.is_power_of_two() && N >= 4,
                "quarters of a ring are counted"
            );
        }
        // Zeros are words of lap 0, so that the first lap is 1.
        let slots: Arc<[AtomicU64]> = (0..N).map(|_| AtomicU64::new(0)).collect();
        let first = || CachePadded::new(AtomicU64::new(N as u64));
        Arc::new(Self {
            slots: slots.try_into().expect("as many as were made"),
            passed: (0..cores).map(|_| first()).collect(),
            shipped: (0..cores).map(|_| first()).collect(),
            groups,
            began_ms: now_ms,
        })
    }

    /// How its cores form groups.
    #[must_use]
    pub fn groups(&self) -> Groups {
        self.groups
    }

    /// Number of cores.
    #[must_use]
    pub fn cores(&self) -> u16 {
        self.passed.len() as u16
    }

    /// Whether `core` has passed what stands at `position`.
    #[must_use]
    pub fn has_passed(&self, core: CoreId, position: Position) -> bool {
        self.passed(core.index()) > position.0
    }

    /// Whether `core` has shipped all that it asked others for before it came to `position`. Whoever looks into its inbox behind
    /// this finds it, unless it was taken.
    #[must_use]
    pub fn has_shipped(&self, core: CoreId, position: Position) -> bool {
        fence(Ordering::SeqCst);
        self.shipped[core.index()].load(Ordering::Acquire) >= position.0
    }

    /// How far `core` has come.
    fn passed(&self, core: usize) -> u64 {
        self.passed[core].load(Ordering::Acquire)
    }
}

/// All slots hold entries that some core has not passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// One core's place in the order.
#[derive(Debug)]
pub struct Cursor<const N: usize = SLOTS> {
    slots: Arc<[AtomicU64; N]>,
    /// The position of the next entry, and its lap.
    next: u64,
    lap: u64,
    /// The time at `next`.
    time_ms: u64,
    /// How far the others know it to have come, and to have shipped what it asked for.
    published: u64,
    shipped: u64,
    me: CoreId,
    ring: Arc<Ring<N>>,
    /// A position with nothing but entries between it and `next`, and the time there.
    end: u64,
    end_time_ms: u64,
    /// Positions below may be written.
    room_until: u64,
    /// Others may be far behind.
    laggards_due: bool,
}

impl<const N: usize> Cursor<N> {
    /// The place of core `me`, at the beginning.
    ///
    /// # Panics
    /// If there is no such core.
    #[must_use]
    pub fn new(ring: &Arc<Ring<N>>, me: CoreId) -> Self {
        assert!(me.index() < ring.passed.len(), "one of the ring's cores");
        let first = N as u64;
        Self {
            slots: Arc::clone(&ring.slots),
            next: first,
            lap: lap_of(first, N),
            time_ms: ring.began_ms,
            published: first,
            shipped: first,
            me,
            ring: Arc::clone(ring),
            end: first,
            end_time_ms: ring.began_ms,
            room_until: first + N as u64,
            laggards_due: false,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn me(&self) -> CoreId {
        self.me
    }

    /// The ring it reads.
    #[must_use]
    pub fn ring(&self) -> &Arc<Ring<N>> {
        &self.ring
    }

    /// The position of the next entry: all below have been passed.
    #[inline]
    #[must_use]
    pub fn position(&self) -> Position {
        Position(self.next)
    }

    /// The time at its position, in milliseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Whether an entry is there to be passed.
    #[inline]
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.word().lap() == self.lap
    }

    #[inline]
    fn word(&self) -> Word {
        // Acquire: whoever appended shipped the parts before.
        Word(self.slots[self.next as usize % N].load(Ordering::Acquire))
    }

    /// The next entry, if it is there.
    #[inline]
    #[must_use]
    pub fn peek(&self) -> Option<Entry> {
        let word = self.word();
        if word.lap() != self.lap {
            self.check_not_overtaken(word, self.next);
            return None;
        }
        Some(word.entry())
    }

    /// Goes past `entry`, which [`peek`](Self::peek) has shown.
    #[inline]
    pub fn pass(&mut self, entry: Entry) {
        if let Entry::Tick(ms) = entry {
            self.time_ms = ms;
        }
        self.next += 1;
        if self.next.is_multiple_of(N as u64) {
            self.lap = lap_of(self.next, N);
        }
    }

    /// Tells the others how far it has come.
    #[inline]
    pub fn publish(&mut self) {
        if self.published != self.next {
            self.published = self.next;
            // Release: the slots have been read.
            self.ring.passed[self.me.index()].store(self.next, Ordering::Release);
        }
    }

    /// All that this core has asked the others for has been shipped.
    #[inline]
    pub fn note_shipped(&mut self) {
        self.shipped = self.next;
        // Release: it is in the inboxes.
        self.ring.shipped[self.me.index()].store(self.next, Ordering::Release);
    }

    /// Whether the others know so already.
    #[inline]
    #[must_use]
    pub fn has_noted_shipped(&self) -> bool {
        self.shipped == self.next
    }

    /// The same, and it asks for nothing until it [`wakes`](Self::note_awake).
    pub fn note_asleep(&mut self) {
        self.shipped = u64::MAX;
        self.ring.shipped[self.me.index()].store(u64::MAX, Ordering::Release);
    }

    /// It is awake. Before it asks for anything it passes all entries that others passed who took it to sleep.
    #[inline]
    pub fn note_awake(&mut self) {
        if self.shipped == u64::MAX {
            self.shipped = self.next;
            self.ring.shipped[self.me.index()].store(self.next, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    /// Appends the entry of this core's transactions on the cores `named`. Their parts have been shipped.
    ///
    /// # Errors
    /// Some core has not passed the slot's former entry yet. Try again in a moment, and wake [`laggards`](Self::laggards).
    pub fn append(&mut self, named: Named) -> Result<Position, Full> {
        let coordinator = self.me;
        let entry = Entry::Transactions { coordinator, named };
        let appended = self.put(|_| Some(entry))?;
        Ok(appended.expect("transactions are appended at any time"))
    }

    /// Appends a tick, if the order's time is not `now_ms` yet. A full ring lets time stand still for a moment.
    #[inline]
    pub fn tick(&mut self, now_ms: u64) {
        if now_ms != self.time_ms {
            self.append_tick(now_ms);
        }
    }

    #[inline(never)]
    fn append_tick(&mut self, now_ms: u64) {
        let differs = |time_ms| now_ms > time_ms || now_ms.saturating_add(SET_BACK_MS) < time_ms;
        // Full: time stands still until the others have come by.
        let _ = self.put(|time_ms| differs(time_ms).then_some(Entry::Tick(now_ms)));
    }

    /// Appends what `entry` makes of the time at the end, if anything.
    fn put(&mut self, entry: impl Fn(u64) -> Option<Entry>) -> Result<Option<Position>, Full> {
        loop {
            let former = self.find_end();
            let Some(entry) = entry(self.end_time_ms) else {
                return Ok(None);
            };
            if self.end >= self.room_until && !self.find_room() && keeps(Rule::ReuseBehindReaders) {
                return Err(Full);
            }
            let position = self.end;
            let word = Word::new(entry, lap_of(position, N));
            // Release: the parts have been shipped. The slot cannot have come round to `former` again meanwhile, since
            // this core has not passed `position`.
            if self.slots[position as usize % N]
                .compare_exchange(former.0, word.0, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                self.take_to_end(entry);
                self.laggards_due |= position.is_multiple_of(N as u64 / 4);
                return Ok(Some(Position(position)));
            }
        }
    }

    /// Goes on to the end, and says what stands there: a word of the lap before.
    fn find_end(&mut self) -> Word {
        if self.end < self.next {
            self.end = self.next;
            self.end_time_ms = self.time_ms;
        }
        loop {
            let word = Word(self.slots[self.end as usize % N].load(Ordering::Acquire));
            if word.lap() != lap_of(self.end, N) {
                self.check_not_overtaken(word, self.end);
                return word;
            }
            self.take_to_end(word.entry());
        }
    }

    fn take_to_end(&mut self, entry: Entry) {
        if let Entry::Tick(ms) = entry {
            self.end_time_ms = ms;
        }
        self.end += 1;
    }

    /// Looks how far all cores have come; whether there is room at the end now.
    #[cold]
    fn find_room(&mut self) -> bool {
        let passed = (0..self.ring.passed.len()).map(|core| match core == self.me.index() {
            true => self.next,
            false => self.ring.passed(core),
        });
        let least = passed.min().expect("there is a core");
        self.room_until = least + N as u64;
        let has_room = self.end < self.room_until;
        self.laggards_due |= !has_room;
        has_room
    }

    /// Whether it is time to look for [`laggards`](Self::laggards).
    #[inline]
    #[must_use]
    pub fn is_look_due(&self) -> bool {
        self.laggards_due
    }

    /// Cores half a ring behind, as often as it is worth a look: each quarter of a ring, and when the ring is full. One that
    /// sleeps is to be woken to come by; one that is awake comes by of itself.
    pub fn laggards(&mut self) -> impl Iterator<Item = CoreId> {
        let due = std::mem::take(&mut self.laggards_due) && keeps(Rule::IdleComeBy);
        let cores = if due { self.ring.cores() } else { 0 };
        let far_behind = self.end - N as u64 / 2;
        let is_far = move |core: &u16| self.ring.passed(usize::from(*core)) <= far_behind;
        (0..cores).filter(is_far).map(CoreId)
    }

    /// A slot that has not got the word of `position` yet holds the one of the lap before.
    #[inline]
    fn check_not_overtaken(&self, word: Word, position: u64) {
        assert!(
            word.lap() == lap_of(position - N as u64, N),
            "core {} was overtaken: the slot of {position} was written again too early",
            self.me.0
        );
    }
}
