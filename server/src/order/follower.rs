//! A core as one of those who follow the order: it passes every entry and runs its own parts.
//!
//! ```text
//!   inbox from core 2     [ mail ][ mail + parts ][ mail ]…
//!                            │          │
//!   the order     … 17 ── 18: core 2's, names us ── 19 …      at 18: the mail up to the parts, then the parts
//! ```
//! *Parts* are what transactions do on this core. They travel behind the mail of a turn, before their entry is appended,
//! and are kept in hand until the entry comes by. Mail never waits for them.
//!
//! *When to catch up.* After taking anything that may have been caused by a completed transaction, bytes of a client or a
//! batch of another core, and before running it. Who has caught up then has passed every transaction that completed before
//! the bytes or the batch were sent.
//!
//! *Whose the parts in hand are.* A parcel is stamped with the end of its sender's last entry. Parts stamped `s` belong
//! to their sender's first entry from `s` on; mail stamped above a position was sent behind it. So a core that an entry
//! names only because of its group reads the sender's mail as far as the entry, finds no parts, and has missed nothing.

use super::ring::{Cursor, SLOTS};
use super::rules::{Rule, keeps};
use super::word::{Entry, Named, Position};
use crate::routing::CoreId;

/// What one core ships to another in one go.
#[derive(Debug)]
pub struct Parcel<M, P> {
    /// The end of the sender's last entry ([`Coordinator::stamp`](super::Coordinator::stamp)).
    pub stamp: Position,
    /// Requests and answers; they run whether the parts do or not.
    pub mail: M,
    /// The receiver's parts of the sender's next entry.
    pub parts: Option<P>,
}

/// A core, as far as the order calls upon it.
pub trait Station<M, P> {
    /// Takes the oldest parcel out of the inbox from `from`.
    fn receive(&mut self, from: CoreId) -> Option<Parcel<M, P>>;

    /// From now on what runs comes to this position: all entries below have been passed.
    fn is_at(&mut self, position: Position) {
        let _ = position;
    }

    /// Runs requests and takes in answers.
    fn run_mail(&mut self, from: CoreId, mail: M);

    /// Runs this core's parts of the entry `at`. The time is that of the last [`Self::time_is`].
    fn run_parts(&mut self, at: EntryAt, parts: P);

    /// From now on everything is judged by this time, in milliseconds since the Unix epoch.
    fn time_is(&mut self, ms: u64);
}

/// An entry of transactions, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryAt {
    /// Its position.
    pub position: Position,
    /// Who ships its parts and gathers the answers.
    pub coordinator: CoreId,
    /// Who may have parts of it.
    pub named: Named,
}

/// What was taken out of an inbox and has not run.
#[derive(Debug)]
struct Hand<M, P> {
    /// The last parcel taken.
    parcel: Option<Parcel<M, P>>,
    /// Parts whose entry has not come by.
    parts: Option<P>,
}

/// A core's place in the order and what it has in hand.
#[derive(Debug)]
pub struct Follower<M, P, const N: usize = SLOTS> {
    cursor: Cursor<N>,
    /// By sender; the core's own parts among them.
    hands: Box<[Hand<M, P>]>,
    /// Senders whose parts are in hand.
    parts_in_hand: usize,
    /// Senders of parcels that were taken at an entry and sent behind it.
    early: Vec<CoreId>,
    /// This core's entries that it has passed.
    own_passed: u64,
    /// The last entry with transactions that it has passed.
    last_transactions: Position,
}

impl<M, P, const N: usize> Follower<M, P, N> {
    /// A follower that reads at `cursor`.
    #[must_use]
    pub fn new(cursor: Cursor<N>) -> Self {
        let empty = || Hand {
            parcel: None,
            parts: None,
        };
        Self {
            hands: (0..cursor.ring().cores()).map(|_| empty()).collect(),
            cursor,
            parts_in_hand: 0,
            early: Vec::new(),
            own_passed: 0,
            last_transactions: Position(0),
        }
    }

    /// Where it is in the order.
    #[must_use]
    pub fn cursor(&self) -> &Cursor<N> {
        &self.cursor
    }

    /// The same, to append.
    pub fn cursor_mut(&mut self) -> &mut Cursor<N> {
        &mut self.cursor
    }

    /// How many of its own core's entries have been passed.
    #[inline]
    #[must_use]
    pub fn own_passed(&self) -> u64 {
        self.own_passed
    }

    /// At the beginning of a turn, `now_ms` by the core's clock: lets the order's time advance, and catches up.
    #[inline]
    pub fn begin_turn(&mut self, now_ms: u64, station: &mut impl Station<M, P>) {
        if keeps(Rule::TimeInOrder) {
            self.cursor.tick(now_ms);
        }
        self.catch_up(station);
    }

    /// Passes all entries that are there. After every receive, before anything of it runs.
    #[inline]
    pub fn catch_up(&mut self, station: &mut impl Station<M, P>) {
        if self.cursor.is_behind() {
            self.pass_entries(station);
        }
    }

    /// Runs a parcel that was taken out of the inbox from `from`.
    pub fn deliver(
        &mut self,
        from: CoreId,
        parcel: Parcel<M, P>,
        station: &mut impl Station<M, P>,
    ) {
        let former = self.hands[from.index()].parcel.replace(parcel);
        assert!(former.is_none(), "what was taken before has run");
        if keeps(Rule::CatchUpAfterTaking) {
            self.catch_up(station);
        }
        self.open_in_hand(from, station);
    }

    /// Whether it may sleep, as far as the order is concerned. Asked behind the fence that follows the announcement.
    ///
    /// An entry whose parts are still in the inbox needs no look: there is mail, and the core stays awake for that.
    #[inline]
    #[must_use]
    pub fn may_sleep(&self) -> bool {
        self.parts_in_hand == 0 || !keeps(Rule::LookBeforeSleep) || !self.cursor.is_behind()
    }

    /// Keeps parts until their entry comes by.
    pub(super) fn keep(&mut self, from: CoreId, parts: P) {
        let former = self.hands[from.index()].parts.replace(parts);
        assert!(former.is_none(), "one batch of parts an entry and core");
        self.parts_in_hand += 1;
    }

    /// The last entry with transactions that it has passed.
    #[must_use]
    pub fn last_transactions(&self) -> Position {
        self.last_transactions
    }

    #[inline(never)]
    fn pass_entries(&mut self, station: &mut impl Station<M, P>) {
        let groups = self.cursor.ring().groups();
        let me = self.cursor.me();
        let ours = groups.naming(me);
        while let Some(entry) = self.cursor.peek() {
            match entry {
                Entry::Tick(ms) => station.time_is(ms),
                Entry::Transactions { coordinator, named } => {
                    if named.has(ours) {
                        let position = self.cursor.position();
                        station.is_at(position);
                        if let Some(parts) = self.parts_of(coordinator, position, station) {
                            let at = EntryAt {
                                position,
                                coordinator,
                                named,
                            };
                            station.run_parts(at, parts);
                        } else {
                            assert!(!groups.are_exact(), "parts are shipped before their entry");
                        }
                    }
                    self.own_passed += u64::from(coordinator == me);
                    self.last_transactions = self.cursor.position();
                }
            }
            self.cursor.pass(entry);
        }
        self.cursor.publish();
        station.is_at(self.cursor.position());
        // They have been taken, and all entries since have been passed.
        while let Some(from) = self.early.pop() {
            self.open_in_hand(from, station);
        }
    }

    /// This core's parts of the entry of `coordinator` at `position`, behind the mail that precedes them.
    fn parts_of(
        &mut self,
        coordinator: CoreId,
        position: Position,
        station: &mut impl Station<M, P>,
    ) -> Option<P> {
        loop {
            let hand = &mut self.hands[coordinator.index()];
            if let Some(parts) = hand.parts.take() {
                self.parts_in_hand -= 1;
                return Some(parts);
            }
            if coordinator == self.cursor.me() {
                return None;
            }
            let next = hand
                .parcel
                .take()
                .or_else(|| station.receive(coordinator))?;
            if next.stamp > position && keeps(Rule::MailBehindStaysBehind) {
                hand.parcel = Some(next);
                self.early.push(coordinator);
                return None;
            }
            self.open(coordinator, next, station);
        }
    }

    /// Runs the parcel in hand, unless an entry that it precedes had it run already.
    fn open_in_hand(&mut self, from: CoreId, station: &mut impl Station<M, P>) {
        if let Some(parcel) = self.hands[from.index()].parcel.take() {
            self.open(from, parcel, station);
        }
    }

    fn open(&mut self, from: CoreId, parcel: Parcel<M, P>, station: &mut impl Station<M, P>) {
        station.run_mail(from, parcel.mail);
        if let Some(parts) = parcel.parts {
            self.keep(from, parts);
        }
    }
}
