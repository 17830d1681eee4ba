//! A core in the order of all transactions ([`crate::order`]): when it passes entries, and when it gives its own transactions
//! their place.
//!
//! ```text
//!  begin_turn   the clock goes on, by a tick of the order; catch up
//!  receive      catch up, then run what was received
//!  take_mail    a batch is taken, catch up, its requests run
//!  give_places  ship the parts of this core's transactions, append their entry, catch up: they have their place
//!  fall_asleep  not while an entry is there whose parts are in hand
//! ```
//! A server of one core has no order: nothing of this is done.

use larder_engine::{CoreSet, Moment, UnixMillis};

use crate::command::{Args, Clock};
use crate::dispatch::core::Core;
use crate::dispatch::mail::batch::Batch;
use crate::dispatch::mail::lines::Lines;
use crate::dispatch::mail::requests::RequestHead;
use crate::dispatch::transactions::in_order::BatchFollower;
use crate::order::{
    EntryAt, Follower, Parcel, Position, Post, Publication, Sleepers, Station, Ticket,
};
use crate::routing::CoreId;
use crate::session::Session;

/// How often a turn gives transactions their place, at most: each time, sessions that waited for theirs go on.
const PUBLICATIONS_MAX: usize = 4;

/// Whether everything could be shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// Yes.
    All,
    /// A queue is full; ship again soon.
    Some,
}

impl Core {
    /// Connects the core with the others, once, before its first turn.
    pub fn connect_lines(&mut self, lines: Box<dyn Lines>) {
        self.lines = lines;
    }

    fn is_alone(&self) -> bool {
        self.outboxes.is_alone()
    }

    /// Sets the time: alone, the clock's; among several cores, the order's, which the clock advances by a tick.
    pub(in crate::dispatch::core) fn follow_clock(&mut self, clock: Clock) {
        let time = self.state.shard.now();
        self.state.clock = clock;
        if self.is_alone() {
            self.state.shard.set_now(clock.unix);
            return;
        }
        // Entries before the clock's tick are passed at the order's time so far.
        self.state.clock.unix = time;
        let mut follower = self
            .order
            .take_follower()
            .expect("a turn begins when none is under way");
        let now_ms = u64::try_from(clock.unix.0).unwrap_or(0);
        follower.begin_turn(now_ms, self);
        self.time_is(follower.cursor().time_ms());
        self.end_catching_up(follower);
    }

    /// Passes all entries that are there.
    #[inline]
    pub(in crate::dispatch) fn catch_up(&mut self) {
        if let Some(follower) = self.order.follower()
            && follower.cursor().is_behind()
        {
            self.pass_entries();
        }
    }

    #[inline(never)]
    fn pass_entries(&mut self) {
        if let Some(mut follower) = self.order.take_follower() {
            follower.catch_up(self);
            self.end_catching_up(follower);
        }
    }

    fn end_catching_up(&mut self, follower: Box<BatchFollower>) {
        if let Some(passed) = self.order.put_follower(follower) {
            self.leave_entries(passed);
        }
        self.take_own_mail();
    }

    /// Takes what the others have sent by now. What they send meanwhile is for the next turn, which follows at once
    /// ([`Self::fall_asleep`]): a core that is sent mail faster than it reads has its clients to serve all the same.
    #[inline]
    pub fn take_mail(&mut self) {
        for from in self.outboxes.cores() {
            for _ in 0..self.lines.arrived(from) {
                // Some of it may have been taken at an entry.
                let Some(batch) = self.lines.receive(from) else {
                    break;
                };
                self.take(from, batch);
            }
        }
    }

    /// Takes a batch that has come from core `from`.
    pub(in crate::dispatch) fn take(&mut self, from: CoreId, batch: Box<Batch>) {
        let mut follower = self
            .order
            .take_follower()
            .expect("nothing is taken amid what was taken before");
        follower.deliver(from, parcel(batch), self);
        self.end_catching_up(follower);
    }

    /// Gives this core's transactions their place, again and again as those sessions go on that waited for it.
    pub(in crate::dispatch::core) fn give_places(&mut self) {
        for _ in 0..PUBLICATIONS_MAX {
            if !self.awaits_place() || !self.publish_entry() {
                return;
            }
            self.resume_stalled();
            self.run_granted();
        }
    }

    /// Whether transactions await their place, or cores are to be looked for that are far behind.
    #[inline]
    pub(in crate::dispatch) fn has_to_publish(&self) -> bool {
        let follower = self.order.follower();
        follower.is_some_and(|follower| follower.cursor().is_look_due() || self.awaits_place())
    }

    /// Gives this core's transactions their place, and runs its own parts of them; entries of others that are there are passed
    /// too. `false`: there were none, or some queue or the order is full, and they wait for the next time.
    #[inline(never)]
    pub(in crate::dispatch) fn publish_entry(&mut self) -> bool {
        let (mut coordinator, mut follower) = self.order.begin_publishing();
        let publication = coordinator.publish(&mut follower, self);
        if !matches!(publication, Publication::AwaitsRoom) {
            self.transactions.note_published();
        }
        self.order.end_publishing(coordinator, follower);
        self.catch_up();
        matches!(publication, Publication::At(_))
    }

    /// Sends what is there for the others, and finds out who must be woken for it.
    pub fn ship(&mut self) -> Shipped {
        let mut all = Shipped::All;
        if self.is_alone() {
            return all;
        }
        // Who is to be woken for an entry was found out then, and is not said again.
        let woken = self.order.wakes().len();
        for to in self.outboxes.cores() {
            if to == self.state.id {
                continue;
            }
            let Some(batch) = self.take_outbox(to) else {
                continue;
            };
            if let Err(batch) = self.lines.send(to, batch) {
                self.return_outbox(to, batch);
                all = Shipped::Some;
            }
            self.order.wakes().push(to.index());
        }
        self.note_shipped();
        if self.order.wakes().len() > woken {
            Sleepers::before_rousing();
            let sleepers = &self.state.shared.sleepers;
            let mut at = 0;
            self.order.wakes().retain(|to| {
                at += 1;
                at <= woken || sleepers.rouse(CoreId(*to as u16))
            });
        }
        all
    }

    /// Lets the others know, if all that this core has asked them for has been shipped.
    pub(in crate::dispatch) fn note_shipped(&mut self) {
        let is_new = |follower: &Follower<_, _>| !follower.cursor().has_noted_shipped();
        if self.order.follower().is_some_and(is_new)
            && self.has_shipped_all()
            && let Some(follower) = self.order.follower_mut()
        {
            follower.cursor_mut().note_shipped();
        }
    }

    fn has_shipped_all(&self) -> bool {
        self.outboxes.are_empty()
    }

    /// The cores to be woken, if any.
    pub fn take_wakes(&mut self) -> std::vec::Drain<'_, usize> {
        self.order.wakes().drain(..)
    }

    /// Announces that the core sleeps. `false`: something has come, it must not.
    #[inline]
    pub fn fall_asleep(&mut self) -> bool {
        if self.is_alone() {
            return true;
        }
        let id = self.state.id;
        self.state.shared.sleepers.announce(id);
        let mut others = self.outboxes.cores();
        let has_mail = others.any(|from| self.lines.arrived(from) > 0);
        let may_sleep = self.order.follower().is_some_and(Follower::may_sleep);
        if has_mail || !may_sleep {
            self.state.shared.sleepers.withdraw(id);
        } else if self.has_shipped_all()
            && let Some(follower) = self.order.follower_mut()
        {
            follower.cursor_mut().note_asleep();
        }
        !has_mail && may_sleep
    }

    /// Announces that the core is awake.
    #[inline]
    pub fn wake_up(&mut self) {
        if !self.is_alone() {
            self.state.shared.sleepers.withdraw(self.state.id);
            if let Some(follower) = self.order.follower_mut() {
                follower.cursor_mut().note_awake();
            }
        }
    }

    /// Where the core is in the order; zero while it is at an entry.
    pub(in crate::dispatch) fn position_in_order(&self) -> u64 {
        let follower = self.order.follower();
        follower.map_or(0, |follower| follower.cursor().position().0)
    }

    /// A batch of core `from` has been taken, which was sealed when that was at `position`.
    #[inline]
    pub(in crate::dispatch::core) fn note_heard(&mut self, from: CoreId, position: u64) {
        self.order.note_heard(from, position);
    }

    /// Whether all that was asked for before now has come and run, as far as was last seen.
    pub(in crate::dispatch::core) fn is_settled(&self) -> bool {
        self.is_alone() || self.order.settled_time() >= self.state.shard.now()
    }

    /// The time until which all that was asked for has come and run: now, or an earlier one.
    pub(in crate::dispatch::core) fn settled_time(&mut self) -> UnixMillis {
        let now = self.state.shard.now();
        if self.is_alone() {
            return now;
        }
        if self.order.settled_time() != now {
            let (lines, has_backlog) = (&self.lines, !self.backlog.is_empty());
            let has_none_on_way = |core| lines.arrived(core) == 0;
            self.order.settle(now, has_backlog, has_none_on_way);
        }
        self.order.settled_time().min(now)
    }

    /// Goes back to `time`, when another core's session asked for what comes next: deadlines are judged by that, unless all that
    /// was asked for then has run. The time before, for [`Self::return_to`].
    #[inline]
    pub(in crate::dispatch::core) fn go_back_to(&mut self, time: UnixMillis) -> Option<UnixMillis> {
        let is_earlier = time < self.state.shard.now() && time >= self.order.settled_time();
        is_earlier.then(|| self.set_time(time))
    }

    /// Goes on with the time that [`Self::go_back_to`] has answered.
    #[inline]
    pub(in crate::dispatch::core) fn return_to(&mut self, time: Option<UnixMillis>) {
        if let Some(time) = time {
            self.set_time(time);
        }
    }

    /// Whether another core has passed all transactions that this one has passed: then its keys are not behind what this core has
    /// seen.
    pub(in crate::dispatch::core) fn is_followed_by(&self, core: CoreId) -> bool {
        let follower = self.order.follower();
        follower.is_some_and(|follower| {
            let ring = follower.cursor().ring();
            ring.has_passed(core, follower.last_transactions())
        })
    }

    /// Whether transactions of this core have yet to get their place.
    pub(in crate::dispatch::core) fn awaits_place(&self) -> bool {
        self.order
            .coordinator()
            .is_some_and(|coordinator| coordinator.is_waiting())
    }

    /// The stamp of every batch that is shipped now.
    pub(in crate::dispatch::core) fn stamp(&self) -> u64 {
        self.order.stamp()
    }
}

impl Core {
    /// The batch of parts for core `core` in the entry that gathers.
    pub(in crate::dispatch::core) fn parts_for(&mut self, core: CoreId) -> &mut Batch {
        #[cfg(any(test, debug_assertions))]
        if crate::dispatch::locks::LOCKS_ARE_OFF.get() {
            return self.outboxes.to(core);
        }
        let coordinator = self.order.coordinator_mut();
        let coordinator = coordinator.expect("nothing is added amid publishing");
        let outboxes = &mut self.outboxes;
        coordinator.parts_for_with(core, || outboxes.empty())
    }

    /// Sends a command behind a transaction of its session: it takes a place of its own.
    pub(in crate::dispatch::core) fn hop_in_order(
        &mut self,
        session: &mut Session,
        core: CoreId,
        head: RequestHead,
        args: Args<'_>,
    ) {
        let lent = self.lent.clone();
        let parts = self.parts_for(core);
        let bytes = parts.ask_with(head, args, lent.as_ref());
        session.sent_bytes += bytes;
        self.transactions.note_gathered(bytes);
        self.join(session);
    }

    /// The number, among this core's own, of the entry that gathers.
    pub(in crate::dispatch::core) fn entry_ticket(&self) -> Ticket {
        let coordinator = self.order.coordinator();
        coordinator
            .expect("nothing is added amid publishing")
            .ticket()
    }

    /// How many entries of its own this core has begun: appended, shipped, or gathering.
    pub(in crate::dispatch::core) fn entries_begun(&self) -> u64 {
        let coordinator = self.order.coordinator();
        coordinator
            .expect("no entry is passed amid publishing")
            .entries_begun()
    }

    /// How many of them it has passed.
    pub(in crate::dispatch::core) fn own_entries_passed(&self) -> u64 {
        self.order.own_passed()
    }

    /// Whether there are answers to this core's own transactions.
    #[inline]
    pub(in crate::dispatch::core) fn has_own_mail(&self) -> bool {
        self.outboxes.for_core(self.state.id).asks_or_answers()
    }

    /// Takes the answers of this core to its own transactions.
    #[inline]
    pub(in crate::dispatch::core) fn take_own_mail(&mut self) {
        while self.has_own_mail() {
            self.take_own_batch();
        }
    }

    fn take_own_batch(&mut self) {
        let own = self.state.id;
        let mut batch = self.outboxes.take(own);
        self.take_answers(own, &mut batch);
        for request in batch.requests() {
            // There are requests only where a test has switched locks and places off.
            self.run_request(own, &batch, request);
        }
        self.keep_spare(batch);
    }
}

fn parcel(mut batch: Box<Batch>) -> Parcel<Box<Batch>, Box<Batch>> {
    Parcel {
        stamp: Position(batch.stamp()),
        parts: batch.take_parts(),
        mail: batch,
    }
}

impl Station<Box<Batch>, Box<Batch>> for Core {
    fn receive(&mut self, from: CoreId) -> Option<Parcel<Box<Batch>, Box<Batch>>> {
        self.lines.receive(from).map(parcel)
    }

    fn is_at(&mut self, position: Position) {
        self.state.shard.journal().set_position(position.0);
    }

    fn run_mail(&mut self, from: CoreId, mail: Box<Batch>) {
        self.deliver(from, mail);
    }

    fn run_parts(&mut self, at: EntryAt, parts: Box<Batch>) {
        let moment = Moment {
            position: at.position.0,
            cores: CoreSet(at.named.bits()),
        };
        self.run_parts_of(at.coordinator, moment, parts);
    }

    fn time_is(&mut self, ms: u64) {
        let now = UnixMillis(ms as i64);
        let before = self.state.shard.now();
        for outbox in self.outboxes.all() {
            outbox.note_time(before);
        }
        self.state.clock.unix = now;
        self.state.shard.set_now(now);
    }
}

impl Post<Box<Batch>> for Core {
    fn has_room(&self, to: CoreId) -> bool {
        self.lines.has_room(to) && self.may_ship(to)
    }

    fn ship(&mut self, to: CoreId, stamp: Position, parts: Box<Batch>) {
        debug_assert_eq!(
            stamp.0,
            self.order.stamp(),
            "all that is shipped bears one stamp"
        );
        let batch = self.take_outbox_with(to, parts);
        let sent = self.lines.send(to, batch);
        assert!(sent.is_ok(), "there was room");
    }

    fn rouse(&mut self, core: CoreId) {
        if self.state.shared.sleepers.rouse(core) {
            self.order.wakes().push(core.index());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::dispatch::testing::{Server, key_on};

    #[test]
    fn a_core_that_sleeps_is_woken_for_parts_though_mail_goes_to_it_in_the_same_turn() {
        let mut server = Server::new(2);
        let (here, there) = (key_on(0, 2, "a"), key_on(1, 2, "b"));
        let client = server.connect(0);
        let (get, mset) = (
            format!("GET {there}\r\n"),
            format!("MSET {here} 1 {there} 1\r\n"),
        );
        // Behind the last, mail tells that the server is empty.
        for sent in [get, mset, "FLUSHALL\r\n".to_owned()] {
            server.turns();
            assert!(server.cores[1].fall_asleep());
            server.receive(client, sent.as_bytes());
            server.cores[0].end_turn();
            server.cores[0].ship();
            let woken: Vec<usize> = server.cores[0].take_wakes().collect();
            assert_eq!(woken, [1], "{sent}");
            server.cores[1].wake_up();
        }
    }
}
