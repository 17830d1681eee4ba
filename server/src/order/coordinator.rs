//! A core as one of those who give transactions their place: it gathers the transactions of a turn, ships their parts, and
//! appends one entry for all of them.
//!
//! ```text
//!   gathering ──(room for all parts)──▶ shipped ──(a free slot)──▶ appended ──(its own core comes by)──▶ passed
//!       ▲                                                            wake who sleeps
//!       └─ more transactions join
//! ```
//! Parts cannot be taken back once shipped, so all are shipped or none; while they wait, mail goes without them. While an
//! entry waits for its slot, later transactions gather for the next one.

use super::follower::Follower;
use super::ring::Full;
use super::rules::{Rule, keeps};
use super::sleepers::Sleepers;
use super::word::{Named, Position};
use crate::routing::CoreId;

/// The outboxes of a core, and its way to wake others.
pub trait Post<P> {
    /// Whether a parcel to `to` would be taken now.
    fn has_room(&self, to: CoreId) -> bool;

    /// Ships the mail for `to`, and `parts` behind it. There is room.
    fn ship(&mut self, to: CoreId, stamp: Position, parts: P);

    /// Wakes `core` if it sleeps. A fence lies between this and what it is woken for.
    fn rouse(&mut self, core: CoreId);
}

/// Which entry of its coordinator a transaction is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What has become of the transactions gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// There were none.
    Nothing,
    /// They have their place. The core itself has to catch up now.
    At(Position),
    /// A parcel has no room in an outbox; nothing was shipped. Publish again in a moment.
    AwaitsRoom,
    /// The ring is full; all parts are shipped. Publish again in a moment.
    AwaitsSlot,
}

/// The transactions a core is to give their place.
#[derive(Debug)]
pub struct Coordinator<P> {
    /// By core: its parts of the next entry.
    gathering: Box<[Option<P>]>,
    concerned: Vec<CoreId>,
    /// Whom the entry names whose parts are shipped, and who has them.
    shipped: Option<Named>,
    shipped_to: Vec<CoreId>,
    stamp: Position,
    /// Entries appended.
    appended: u64,
}

impl<P> Coordinator<P> {
    /// That of one of `cores` cores.
    #[must_use]
    pub fn new(cores: u16) -> Self {
        Self {
            gathering: (0..cores).map(|_| None).collect(),
            concerned: Vec::new(),
            shipped: None,
            shipped_to: Vec::new(),
            stamp: Position(0),
            appended: 0,
        }
    }

    /// The parts of `core`, to put those of one more transaction behind. That transaction is in the entry of [`Self::ticket`].
    pub fn parts_for(&mut self, core: CoreId) -> &mut P
    where
        P: Default,
    {
        self.parts_for_with(core, P::default)
    }

    /// The same; `empty` makes what there is to put the first behind.
    #[inline]
    pub fn parts_for_with(&mut self, core: CoreId, empty: impl FnOnce() -> P) -> &mut P {
        let parts = &mut self.gathering[core.index()];
        if parts.is_none() {
            self.concerned.push(core);
        }
        parts.get_or_insert_with(empty)
    }

    /// The entry that gathers.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket(self.appended + u64::from(self.shipped.is_some()))
    }

    /// Entries appended, and those that have yet to be.
    #[must_use]
    pub fn entries_begun(&self) -> u64 {
        let gathers = !self.concerned.is_empty();
        self.appended + u64::from(self.shipped.is_some()) + u64::from(gathers)
    }

    /// Whether the core itself has passed the entry of `ticket`. Until then, what the session sends behind that transaction
    /// waits, but for other transactions: these may join the entry, or the next.
    #[inline]
    #[must_use]
    pub fn has_passed<M, const N: usize>(
        &self,
        ticket: Ticket,
        follower: &Follower<M, P, N>,
    ) -> bool {
        follower.own_passed() > ticket.0 || !keeps(Rule::SessionsWait)
    }

    /// The stamp of every parcel that is shipped now.
    #[inline]
    #[must_use]
    pub fn stamp(&self) -> Position {
        self.stamp
    }

    /// Whether transactions await their place: the core must not sleep for long.
    #[inline]
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.shipped.is_some() || !self.concerned.is_empty()
    }

    /// Gives the gathered transactions their place, and wakes those concerned that sleep. At the end of every turn, whether
    /// there are any or not, since it also wakes who sleeps far behind.
    #[inline]
    pub fn publish<M, const N: usize>(
        &mut self,
        follower: &mut Follower<M, P, N>,
        post: &mut impl Post<P>,
    ) -> Publication {
        let publication = if self.is_waiting() {
            self.publish_gathered(follower, post)
        } else {
            Publication::Nothing
        };
        // Ticks fill the ring too, so this has nothing to do with what was gathered.
        if follower.cursor().is_look_due() {
            rouse_laggards(follower, post);
        }
        publication
    }

    #[inline(never)]
    fn publish_gathered<M, const N: usize>(
        &mut self,
        follower: &mut Follower<M, P, N>,
        post: &mut impl Post<P>,
    ) -> Publication {
        let ships_now = self.shipped.is_none();
        if ships_now && !self.ship_parts(follower, post) {
            return Publication::AwaitsRoom;
        }
        let named = self.shipped.expect("shipped above or before");
        let publication = match follower.cursor_mut().append(named) {
            Ok(position) => {
                self.appended += 1;
                self.stamp = Position(position.0 + 1);
                self.shipped = None;
                Publication::At(position)
            }
            Err(Full) => Publication::AwaitsSlot,
        };
        // Who has parts is woken for their entry, and before for the mail that came with them.
        if ships_now || self.shipped.is_none() {
            Sleepers::before_rousing();
            self.shipped_to.iter().for_each(|core| post.rouse(*core));
        }
        if self.shipped.is_none() {
            self.shipped_to.clear();
        }
        publication
    }

    /// Ships all parts, unless one of them has no room.
    fn ship_parts<M, const N: usize>(
        &mut self,
        follower: &mut Follower<M, P, N>,
        post: &mut impl Post<P>,
    ) -> bool {
        let me = follower.cursor().me();
        let groups = follower.cursor().ring().groups();
        let has_room = |core: &CoreId| *core == me || post.has_room(*core);
        if keeps(Rule::AllOrNone) && !self.concerned.iter().all(has_room) {
            return false;
        }
        let Self {
            gathering,
            shipped_to,
            stamp,
            ..
        } = self;
        let mut named = Named::default();
        self.concerned.retain(|&core| {
            named = named.and(groups.naming(core));
            if core != me && !post.has_room(core) {
                // Left behind, as rule 4 forbids.
                return true;
            }
            let parts = gathering[core.index()].take();
            let parts = parts.expect("the concerned have parts");
            if core == me {
                follower.keep(me, parts);
            } else {
                post.ship(core, *stamp, parts);
                shipped_to.push(core);
            }
            false
        });
        self.shipped = Some(named);
        true
    }
}

/// Wakes whoever holds up the ring asleep.
#[cold]
fn rouse_laggards<M, P, const N: usize>(follower: &mut Follower<M, P, N>, post: &mut impl Post<P>) {
    Sleepers::before_rousing();
    for core in follower.cursor_mut().laggards() {
        post.rouse(core);
    }
}
