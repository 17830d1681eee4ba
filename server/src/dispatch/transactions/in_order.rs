//! A core's place in the order of all transactions ([`crate::order`]): how far it has passed it, what it is about to append, and
//! until when all is settled that others asked for.

use larder_engine::UnixMillis;

use crate::dispatch::mail::batch::Batch;
use crate::order::{Coordinator, Cursor, Follower, Position};
use crate::routing::CoreId;
use crate::shared::Shared;

/// A follower whose mail, and whose parts of transactions, are batches.
pub(in crate::dispatch) type BatchFollower = Follower<Box<Batch>, Box<Batch>>;
/// A coordinator whose parts of transactions are batches.
pub(in crate::dispatch) type BatchCoordinator = Coordinator<Box<Batch>>;

/// A core as follower and coordinator. Each is absent while it is at work; a core that is alone follows nothing.
pub(in crate::dispatch) struct InOrder {
    follower: Option<Box<BatchFollower>>,
    coordinator: Option<Box<BatchCoordinator>>,
    /// How many of its own entries it has passed.
    own_passed: u64,
    /// The position behind its last entry.
    stamp: u64,
    /// Cores to be woken.
    wakes: Vec<usize>,
    settled: Settled,
}

/// Until when all is settled that other cores' sessions asked for: what is asked from now on is asked at a later time.
struct Settled {
    time: UnixMillis,
    /// A position, and the time there, which is settled next.
    next: Option<(Position, UnixMillis)>,
    /// By core: all that it asked this one for before it came to this position has come.
    heard: Box<[u64]>,
}

impl InOrder {
    pub(in crate::dispatch) fn new(id: CoreId, shared: &Shared) -> Self {
        let cursor = Cursor::new(&shared.order, id);
        Self {
            follower: (shared.cores() > 1).then(|| Box::new(Follower::new(cursor))),
            coordinator: Some(Box::new(Coordinator::new(shared.cores()))),
            own_passed: 0,
            stamp: 0,
            wakes: Vec::new(),
            settled: Settled {
                time: UnixMillis(0),
                next: None,
                heard: vec![0; usize::from(shared.cores())].into(),
            },
        }
    }

    /// The follower, unless it is at work.
    #[inline]
    pub(in crate::dispatch) fn follower(&self) -> Option<&BatchFollower> {
        self.follower.as_deref()
    }

    /// The follower, unless it is at work.
    pub(in crate::dispatch) fn follower_mut(&mut self) -> Option<&mut BatchFollower> {
        self.follower.as_deref_mut()
    }

    /// Takes the follower to work with it, if nobody does.
    #[inline]
    pub(in crate::dispatch) fn take_follower(&mut self) -> Option<Box<BatchFollower>> {
        self.follower.take()
    }

    /// Puts the follower back. How many entries of its own the core has passed, if more than before.
    #[inline]
    pub(in crate::dispatch) fn put_follower(
        &mut self,
        follower: Box<BatchFollower>,
    ) -> Option<u64> {
        let passed = follower.own_passed();
        self.follower = Some(follower);
        let has_advanced = passed != self.own_passed;
        self.own_passed = passed;
        has_advanced.then_some(passed)
    }

    /// The coordinator, unless it is at work.
    pub(in crate::dispatch) fn coordinator(&self) -> Option<&BatchCoordinator> {
        self.coordinator.as_deref()
    }

    /// The coordinator, unless it is at work.
    pub(in crate::dispatch) fn coordinator_mut(&mut self) -> Option<&mut BatchCoordinator> {
        self.coordinator.as_deref_mut()
    }

    /// Takes the coordinator and the follower to publish what gathers.
    ///
    /// # Panics
    /// If one of them is at work.
    pub(in crate::dispatch) fn begin_publishing(
        &mut self,
    ) -> (Box<BatchCoordinator>, Box<BatchFollower>) {
        let coordinator = self.coordinator.take();
        let follower = self.follower.take();
        (
            coordinator.expect("nothing is published amid publishing"),
            follower.expect("nothing is published amid catching up"),
        )
    }

    /// Puts them back.
    pub(in crate::dispatch) fn end_publishing(
        &mut self,
        coordinator: Box<BatchCoordinator>,
        follower: Box<BatchFollower>,
    ) {
        self.stamp = coordinator.stamp().0;
        self.coordinator = Some(coordinator);
        self.follower = Some(follower);
    }

    /// How many of its own entries the core has passed.
    pub(in crate::dispatch) fn own_passed(&self) -> u64 {
        self.own_passed
    }

    /// The position behind its last entry: every batch that is shipped now bears it.
    pub(in crate::dispatch) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The cores to be woken.
    pub(in crate::dispatch) fn wakes(&mut self) -> &mut Vec<usize> {
        &mut self.wakes
    }

    /// A batch of core `from` has been taken, which was sealed when that was at `position`.
    #[inline]
    pub(in crate::dispatch) fn note_heard(&mut self, from: CoreId, position: u64) {
        let heard = &mut self.settled.heard[from.index()];
        *heard = position.max(*heard);
    }

    /// All that other cores' sessions asked for before this time has come and run.
    pub(in crate::dispatch) fn settled_time(&self) -> UnixMillis {
        self.settled.time
    }

    /// Settles what has come by now, if all has; `has_none_on_way` says of a core whether nothing of it is in the queue to this
    /// one. `now`: the time where the core is.
    pub(in crate::dispatch) fn settle(
        &mut self,
        now: UnixMillis,
        has_backlog: bool,
        has_none_on_way: impl Fn(CoreId) -> bool,
    ) {
        let Some(follower) = &self.follower else {
            return;
        };
        let cursor = follower.cursor();
        let settled = &mut self.settled;
        let (position, time) = *settled.next.get_or_insert((cursor.position(), now));
        let mut others = (0..cursor.ring().cores()).map(CoreId);
        let all_has_come = others.all(|core| {
            core == cursor.me()
                || settled.heard[core.index()] >= position.0
                || cursor.ring().has_shipped(core, position) && has_none_on_way(core)
        });
        if all_has_come && !has_backlog {
            settled.time = time;
            settled.next = None;
        }
    }
}
