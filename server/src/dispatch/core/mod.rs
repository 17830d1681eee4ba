//! One core: its shard, its sessions, and its turn.

mod admit;
mod blocking;
mod deliver;
mod exec;
mod execute;
mod expiry;
mod hot;
mod input;
mod memory;
mod notify;
mod observed;
mod protect;
mod rebalance;
mod scripts;
mod seen_by_tests;
mod timing;
mod transactions;
mod uncounted;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use larder_engine::{Buffer, Notes, Shard, ShardOptions, StoreError};

use crate::command::closing::{self, Excess};
use crate::command::events::Hearing;
use crate::command::invalidate::Emptied;
use crate::command::moving::{self, Moving};
use crate::command::pausing::Pausing;
use crate::command::{Clock, CommandTable, CoreState, Topology, lfu_of};
use crate::dispatch::blocking::blocked::BlockedCommands;
use crate::dispatch::blocking::key_queues::KeyQueues;
use crate::dispatch::core::input::InputScratch;
use crate::dispatch::core::timing::TurnTiming;
use crate::dispatch::gather::Gathers;
use crate::dispatch::hot::copies::Copies;
use crate::dispatch::hot::offers::Offers;
use crate::dispatch::limits::{FREED_BYTES, PERIOD_MS, QUERY_HIGH_WATER_BYTES, TEND_BUDGET};
use crate::dispatch::locks::Locks;
use crate::dispatch::mail::batch::Batch;
use crate::dispatch::mail::credit::Debts;
use crate::dispatch::mail::lines::{Lines, NoLines};
use crate::dispatch::memory::budget::Budget;
use crate::dispatch::memory::pool::BufferPool;
use crate::dispatch::notify::telling::Tellings;
use crate::dispatch::rebalance::Job;
use crate::dispatch::scripts::Scripts;
use crate::dispatch::transactions::claimant::Claimant;
use crate::dispatch::transactions::clearing::Clearing;
use crate::dispatch::transactions::in_order::InOrder;
use crate::dispatch::transactions::pending::Transactions;
use crate::dispatch::transactions::undos::Undos;
use crate::observe::{Observed, Stats};
use crate::resp::errors;
use crate::routing::CoreId;
use crate::script::Engine;
use crate::session::{
    Closing, Ending, HighWater, LockId, Peer, Prefixes, Query, Reader, Readers, Session, SessionId,
    Sessions, Subscribers, gate,
};
use crate::shared::Shared;

#[cfg(test)]
pub(super) use hot::COPIES_OUTLIVE_LOCKS;
pub use transactions::entries::Shipped;

/// What the runtime is to do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Receive from it.
    Read,
    /// Leave what it sends in the kernel for now.
    PauseReading,
    /// Receive no more; send what is owed, then close.
    CloseAfterSend,
    /// Close.
    CloseNow,
}

/// One core, sans-I/O.
#[allow(clippy::vec_box, reason = "batches travel boxed, and keep their boxes")]
pub struct Core {
    state: CoreState,
    lines: Box<dyn Lines>,
    order: InOrder,
    outboxes: Vec<Box<Batch>>,
    spare: Vec<Box<Batch>>,
    /// Batches received whose requests from the given one on have yet to run: their answers would have been too many.
    backlog: VecDeque<(CoreId, Box<Batch>, usize)>,
    gathers: Gathers,
    /// What sessions of other cores have yet to take of this one's answers.
    debts: Debts,
    /// Who holds and who awaits locks of the shard.
    locks: Locks<Claimant>,
    /// Those who have got their locks and have yet to go on.
    granted: Vec<(LockId, Claimant)>,
    transactions: Transactions,
    /// What scripts that may begin again have done to the shard.
    undos: Undos,
    /// Pauses of clients that this core has yet to answer.
    clearing: Clearing,
    /// Commands of this core's sessions that wait for keys.
    blocked: BlockedCommands,
    /// Who waits for keys of this core's shard.
    key_queues: KeyQueues,
    /// What attempts for those who waited have changed, and who they are: it has yet to be acted on.
    served_notes: Vec<(Notes, Reader)>,
    /// The rebalance that this core drives.
    job: Option<Job>,
    scripts: Scripts,
    /// Copies of other cores' keys.
    copies: Copies,
    /// The keys others may copy.
    offers: Offers,
    timing: TurnTiming,
    scratch: InputScratch,
    /// The buffer in which the commands stand that are being run, where one of them is large.
    lent: Option<Arc<Buffer>>,
    /// Sessions to look at again at the end of the turn: something they waited for may have come.
    waiting: Vec<SessionId>,
    /// How many of these still waited when they were last looked at.
    looked_at: usize,
    buffers: BufferPool,
    /// The events of what is under way.
    tellings: Tellings,
    /// Room for the replies of an `EXEC`.
    exec_replies: Vec<u8>,
    config_version: u64,
    next_period_ms: u64,
    /// Counts the turns.
    turn: u64,
    /// Sessions that have had their part of this turn and go on in the next.
    next_turn: Vec<SessionId>,
    /// Most bytes that the clients of all cores may make the server hold.
    client_bytes_max: u64,
    /// They hold more, and another core is to close one of its clients.
    clients_are_short: bool,
    /// Memory that clients have let go of is to be given back to the system, and from when on it may be again, in
    /// milliseconds of the monotonic clock.
    gives_memory_back: bool,
    gives_back_from_ms: u64,
    /// When another core was last asked to close one, in milliseconds of the monotonic clock.
    asked_to_close_ms: u64,
    budget: Budget,
}

impl Core {
    /// Core `id` of the server that `shared` describes.
    ///
    /// # Errors
    /// The shard's address space could not be reserved.
    pub fn new(id: CoreId, shared: Arc<Shared>) -> Result<Self, StoreError> {
        let config = shared.config();
        let commands = CommandTable::renamed(config.renames())
            .expect("the server does not start with names that cannot be");
        let options = ShardOptions {
            databases: config.databases,
            memory_ceiling_bytes: config.memory_ceiling_bytes(shared.cores()),
            hasher: shared.hasher.clone(),
        };
        let cores = usize::from(shared.cores());
        let copy_versions = Arc::clone(&shared.copy_versions);
        let order = InOrder::new(id, &shared);
        let mut core = Self {
            state: CoreState {
                id,
                shard: Shard::new(&options)?,
                sessions: Sessions::default(),
                config,
                subscribers: Subscribers::new(id, Arc::clone(&shared)),
                hearing: Hearing::default(),
                readers: Readers::default(),
                forgets_readers: false,
                emptied: Emptied::new(cores as u16),
                newly_read: Vec::new(),
                prefixes: Prefixes::default(),
                told: Vec::new(),
                soft_limit_exceeded: false,
                published_client_bytes: 0,
                shared,
                commands,
                stats: Stats::new(commands.count()),
                observed: Observed::default(),
                clock: Clock::default(),
                gates: 0,
                dirty: Vec::new(),
                monitors: Vec::new(),
                monitor_lines: Vec::new(),
                pausing: Pausing::new(cores as u16),
                paused: Vec::new(),
                held_by: [false; 2],
                unblocked: None,
                timers: BinaryHeap::new(),
                given_bytes: 0,
                moving: Moving::default(),
                topology: Topology::default(),
                active_expire: true,
                random: 0,
                scripts: Engine::default(),
            },
            lines: Box::new(NoLines),
            order,
            outboxes: (0..cores).map(|_| Box::default()).collect(),
            spare: Vec::new(),
            backlog: VecDeque::new(),
            gathers: Gathers::default(),
            debts: Debts::default(),
            locks: Locks::default(),
            granted: Vec::new(),
            transactions: Transactions::default(),
            undos: Undos::default(),
            clearing: Clearing::default(),
            blocked: BlockedCommands::default(),
            key_queues: KeyQueues::default(),
            served_notes: Vec::new(),
            job: None,
            scripts: Scripts::default(),
            copies: Copies::new(copy_versions.clone()),
            offers: Offers::default(),
            timing: TurnTiming::new(commands.count()),
            scratch: InputScratch::default(),
            lent: None,
            waiting: Vec::new(),
            looked_at: 0,
            buffers: BufferPool::default(),
            tellings: Tellings::default(),
            exec_replies: Vec::new(),
            config_version: 0,
            next_period_ms: 0,
            turn: 0,
            next_turn: Vec::new(),
            client_bytes_max: u64::MAX,
            clients_are_short: false,
            gives_memory_back: false,
            gives_back_from_ms: 0,
            asked_to_close_ms: 0,
            budget: Budget::new(cores),
        };
        core.state.random = core.state.shared.hasher.hash(&id.0.to_le_bytes());
        core.state.scripts = Engine::new(core.state.next_random());
        core.state.shard.copied().share(copy_versions);
        core.refresh_config();
        core.settle_lease();
        core.state.observed.startup_bytes = core.used_bytes();
        Ok(core)
    }

    /// Begins a turn.
    pub fn begin_turn(&mut self, clock: Clock) {
        self.timing.begin(Instant::now());
        self.turn += 1;
        self.follow_clock(clock);
        if !self.next_turn.is_empty() {
            self.begin_parts_of_turn();
        }
        self.notice_config();
        self.follow_pauses();
        self.set_gate(gate::BUSY, self.state.shared.busy.any());
        let watched = self.state.shared.monitors.load(Ordering::Relaxed) > 0;
        self.set_gate(gate::WATCHED_BY_MONITOR, watched);
    }

    /// Lets sessions go on that have had their part of the turn before.
    #[cold]
    fn begin_parts_of_turn(&mut self) {
        for id in self.next_turn.drain(..) {
            if let Some(session) = self.state.sessions.get_mut(id) {
                session.awaits_turn = false;
                self.waiting.push(id);
            }
        }
    }

    /// Takes a changed configuration in. Besides at the beginning of a turn this is done for what comes within it: a client
    /// that was told of the change may be its cause.
    #[inline]
    pub(super) fn notice_config(&mut self) {
        if self.state.shared.config_version() != self.config_version {
            self.refresh_config();
        }
    }

    #[cold]
    fn refresh_config(&mut self) {
        self.config_version = self.state.shared.config_version();
        self.state.config = self.state.shared.config();
        let config = &self.state.config;
        /// Below this threshold a command may be slow without its turn standing out.
        const SLOW_ENOUGH_TO_STAND_OUT_US: i64 = 1000;
        let slowlog_us = config.slowlog_log_slower_than_us;
        let time_each = (0..SLOW_ENOUGH_TO_STAND_OUT_US).contains(&slowlog_us)
            || config.latency_monitor_threshold_ms > 0;
        let high_water = HighWater::of(config.client_output_buffer_high_water_bytes);
        self.client_bytes_max = config.client_memory_max_bytes();
        self.state.sessions.memory_mut().note_change();
        self.set_gate(gate::TIME_EACH, time_each);
        for session in self.state.sessions.iter_mut() {
            let was_held_back = session.is_held_back();
            session.set_high_water(high_water);
            if was_held_back && !session.is_held_back() {
                self.waiting.push(session.id);
            }
        }
        self.follow_maxmemory();
        self.state.stats.durations_are_off = !self.state.config.latency_tracking;
        self.state.choose_notes();
        self.state.shard.count_uses(lfu_of(&self.state.config));
        if !self.state.config.hot_key_copies {
            self.withdraw_all();
        }
    }

    pub(super) fn set_gate(&mut self, bit: u32, on: bool) {
        if on {
            self.state.gates |= bit;
        } else {
            self.state.gates &= !bit;
        }
    }

    /// Takes in a client that has connected.
    ///
    /// # Errors
    /// The text to send before closing: there are `maxclients` already, or the client is from elsewhere and nothing
    /// protects the server.
    pub fn connect(&mut self, peer: Peer) -> Result<SessionId, &'static [u8]> {
        let config = &self.state.config;
        let is_from_elsewhere = peer.ip().is_some() && !peer.is_local();
        if config.protected_mode && config.requirepass.is_none() && is_from_elsewhere {
            self.state.stats.rejected_connections += 1;
            return Err(errors::PROTECTED_MODE);
        }
        let max = self.state.config.maxclients;
        if !self.state.shared.admit_client(max) {
            self.state.stats.rejected_connections += 1;
            return Err(errors::MAX_CLIENTS);
        }
        self.state.stats.connections += 1;
        let client_id = self.state.shared.next_client_id();
        let now_ms = self.state.clock.monotonic_ms();
        let needs_auth = self.state.config.requirepass.is_some();
        let high_water = HighWater::of(self.state.config.client_output_buffer_high_water_bytes);
        Ok(self.state.sessions.insert(|id| {
            let mut session = Session::new(client_id, id, peer, now_ms);
            session.set_gate(gate::NEEDS_AUTH, needs_auth);
            session.set_high_water(high_water);
            session
        }))
    }

    /// The client will send nothing more. What it has sent is still answered, then the session ends.
    pub fn input_ended(&mut self, id: SessionId) {
        if let Some(mut session) = self.state.sessions.take_out(id) {
            session.input_ended = true;
            self.settle(&mut session);
            self.state.sessions.put_back(session);
        }
    }

    /// The connection broke: the session ends.
    pub fn disconnected(&mut self, id: SessionId) {
        if let Some(session) = self.state.sessions.get_mut(id) {
            session.closing = Closing::Now;
            self.state.dirty.push(id);
        }
    }

    /// The runtime has closed the connection. An `EXEC` under way comes to its end all the same, and the session with it.
    pub fn closed(&mut self, id: SessionId) {
        let Some(session) = self.state.sessions.get_mut(id) else {
            return;
        };
        let is_executing = session.executing.is_some();
        session.connection_closed = true;
        session.closing = Closing::Now;
        for answer in session.large_answers.take(|_| true) {
            self.give_credit(answer.from, id, answer.bytes);
        }
        if !is_executing && let Some(mut session) = self.state.sessions.remove(id) {
            self.forget_locks(&mut session);
            if let (Query::Buffer(buffer), _) = session.take_unread() {
                self.state.shard.bury(buffer);
            }
            if session.paused {
                self.state.paused.retain(|paused| *paused != id);
            }
            self.state.subscribers.leave(&mut session);
            self.state.end_tracking(&mut session);
            self.state.forget_emptying(&session);
            self.state.shared.release_client();
            let monitors = self.state.monitors.len();
            self.state.monitors.retain(|monitor| *monitor != id);
            let left = (monitors - self.state.monitors.len()) as u64;
            self.state
                .shared
                .monitors
                .fetch_sub(left, Ordering::Relaxed);
        }
    }

    /// Ends the input of a turn: resumes sessions, runs timers and a bounded step of background work. Whether more of
    /// that is left, so that the next turn should not wait.
    pub fn end_turn(&mut self) -> bool {
        let now_ms = self.state.clock.monotonic_ms();
        self.run_backlog();
        if self.state.gates & gate::LOCKS != 0 {
            self.choose_lock_gate();
        }
        self.run_granted();
        if self.has_slots_to_move() {
            self.tend_moving(now_ms);
        }
        self.end_waits(now_ms);
        self.follow_moved_slots();
        self.serve_put_off();
        self.follow_pauses();
        self.resume_waiting();
        self.run_granted();
        self.give_places();
        if now_ms >= self.next_period_ms {
            self.next_period_ms = now_ms + PERIOD_MS;
            self.periodic(now_ms);
        }
        let is_expiry_due = self.state.shard.expiry_due_at() <= self.state.shard.now();
        if !is_expiry_due {
            self.state.shard.forgo_expiry();
        }
        let expiry_goes_on = is_expiry_due && self.expire();
        let script_goes_on = self.continue_scripts();
        self.end_client_memory();
        self.end_notes();
        self.pass_to_monitors(None);
        self.timing.end(&mut self.state.stats);
        let more = self.background() | script_goes_on | expiry_goes_on;
        if self.has_to_publish() {
            self.publish_entry();
            self.resume_waiting();
            self.run_granted();
        }
        self.clear_pauses();
        self.settle_lease();
        debug_assert!(
            self.granted.is_empty() && !self.scripts.has_ready() && !self.has_own_mail(),
            "whoever could go on did"
        );
        // The last entry of the turn may have let sessions go on: these, and what they begin, are for the next turn.
        more | self.awaits_place() | (self.waiting.len() > self.looked_at)
    }

    /// Ends the waits of blocked sessions whose time is over.
    fn end_waits(&mut self, now_ms: u64) {
        while let Some(&Reverse((until_ms, id))) = self.state.timers.peek()
            && until_ms <= now_ms
        {
            self.state.timers.pop();
            let Some(session) = self.state.sessions.get_mut(id) else {
                continue;
            };
            let due = session
                .blocked
                .as_ref()
                .and_then(|blocked| blocked.until_ms)
                .is_some_and(|until| until <= now_ms);
            if due {
                session.unblock(Ending::TimedOut);
            }
            // Also where `CLIENT UNBLOCK` ended the wait.
            if session.blocked.is_none() {
                self.waiting.push(id);
            }
            self.tell_of_ending(id);
        }
    }

    fn background(&mut self) -> bool {
        let collects =
            self.state.moving.is_concerned() && moving::go_on_collecting(&mut self.state);
        self.state.shard.tend(TEND_BUDGET) || collects
    }

    fn periodic(&mut self, now_ms: u64) {
        self.state.stats.sample_rates(now_ms);
        self.publish_load();
        self.review_hot_keys(now_ms);
        let timeout_ms = self.state.config.timeout_secs * 1000;
        let CoreState {
            sessions,
            dirty,
            stats,
            config,
            soft_limit_exceeded,
            readers,
            ..
        } = &mut self.state;
        let mut uncounted_bytes = readers.memory_bytes();
        *soft_limit_exceeded = false;
        for session in sessions.iter_mut() {
            uncounted_bytes += session.uncounted_bytes();
            let silent = timeout_ms > 0 && session.last_heard_ms + timeout_ms <= now_ms;
            let listens = session.gates & (gate::MONITOR | gate::SUBSCRIBER) != 0;
            if silent && session.blocked.is_none() && !listens {
                session.closing = Closing::Now;
                dirty.push(session.id);
            }
            let limit = session.output_limit(&config.client_output_buffer_limit);
            if session.exceeds_soft_limit(limit, now_ms) {
                closing::close(session, Excess::SoftLimit, stats);
                dirty.push(session.id);
            }
            *soft_limit_exceeded |= session.is_over_soft_limit();
        }
        let memory = sessions.memory_mut();
        memory.set_others(uncounted_bytes as u64);
        self.budget.note_period();
        if memory.freed_bytes() >= FREED_BYTES && now_ms >= self.gives_back_from_ms {
            self.gives_memory_back = true;
        }
    }

    /// Tells the others how much time the core has spent on commands.
    fn publish_load(&self) {
        let nanos: u64 = self
            .state
            .stats
            .by_command
            .iter()
            .map(|command| command.nanos)
            .sum();
        let gauges = self.state.shared.gauges(self.state.id);
        gauges.busy_us.store(nanos / 1000, Ordering::Relaxed);
    }

    /// Sessions with something to send or whose [`Intent`] changed since the last call.
    pub fn take_dirty(&mut self, into: &mut Vec<SessionId>) {
        into.append(&mut self.state.dirty);
    }

    /// What to send to the client now.
    pub fn unsent(&self, id: SessionId) -> &[u8] {
        self.state
            .sessions
            .get(id)
            .map_or(&[], |session| session.output.unsent())
    }

    /// `count` bytes of [`Self::unsent`] went out.
    pub fn sent(&mut self, id: SessionId, count: usize) {
        self.state.stats.sent_bytes += count as u64;
        self.state.stats.writes += 1;
        let Some(session) = self.state.sessions.get_mut(id) else {
            return;
        };
        if session.is_counted() {
            return self.sent_of_much(id, count);
        }
        match session.output.take_sent(count) {
            Some(buffer) => self.buffers.give(buffer),
            None => session.output.advance(count),
        }
    }

    /// As [`Self::sent`], for a session that holds much and may be held back for it.
    #[cold]
    fn sent_of_much(&mut self, id: SessionId, count: usize) {
        let Some(mut session) = self.state.sessions.take_out(id) else {
            return;
        };
        let was_held_back = session.is_held_back();
        session.output.advance(count);
        if let Some(buffer) = session.output.take_buffer() {
            self.buffers.give(buffer);
        }
        session.review_allowance();
        self.give_credits(&mut session);
        // Who is to be closed is seen when the turn ends: what others have sent is yet to be told here.
        self.count_memory(&mut session);
        if was_held_back && !session.is_held_back() {
            self.waiting.push(id);
        }
        self.state.sessions.put_back(session);
    }

    /// Whether there is something to do for the session as soon as [`Self::unsent`] has gone out.
    pub fn goes_on_when_sent(&self, id: SessionId) -> bool {
        let session = self.state.sessions.get(id);
        session.is_some_and(|session| {
            session.output.has_more_behind() || session.is_above_high_water()
        })
    }

    /// What to do with the connection.
    pub fn intent(&self, id: SessionId) -> Intent {
        let Some(session) = self.state.sessions.get(id) else {
            return Intent::CloseNow;
        };
        match session.closing {
            Closing::Now => Intent::CloseNow,
            Closing::AfterReplies if session.output.outstanding() > 0 => Intent::PauseReading,
            Closing::AfterReplies => Intent::CloseAfterSend,
            Closing::No
                if session.unread_bytes() > QUERY_HIGH_WATER_BYTES && session.is_stalled() =>
            {
                Intent::PauseReading
            }
            Closing::No => Intent::Read,
        }
    }

    /// When the core needs a turn though nothing comes, in milliseconds of the monotonic clock.
    pub fn next_wake_ms(&self) -> Option<u64> {
        let state = &self.state;
        let timed = state.config.timeout_secs > 0
            || state.config.client_output_buffer_limit.normal.soft_bytes > 0;
        let periodic = timed && !state.sessions.is_empty()
            || self.budget.awaits_period()
            || !state.paused.is_empty()
            || self.key_queues.has_put_off()
            || state.sessions.memory().freed_bytes() >= FREED_BYTES
            || state.soft_limit_exceeded;
        let period = periodic.then_some(self.next_period_ms);
        let timer = state.timers.peek().map(|&Reverse((until_ms, _))| until_ms);
        // Room among what another core has yet to take: soon, but not by asking all the time.
        let stuck = !self.waiting.is_empty()
            || !self.backlog.is_empty()
            || self.budget.holds_mail()
            || !self.granted.is_empty()
            || self.awaits_place()
            || !state.told.is_empty()
            || self.clients_are_short;
        let soon = stuck.then_some(state.clock.monotonic_ms() + 1);
        let at_once = (!self.next_turn.is_empty()).then_some(state.clock.monotonic_ms());
        let moving = self.rebalance_wake_ms();
        let forgets = state.forgets_readers;
        let forgetting = forgets.then_some(state.clock.monotonic_ms());
        let expiry = self.expiry_wake_ms();
        [period, timer, soon, at_once, moving, forgetting, expiry]
            .into_iter()
            .flatten()
            .min()
    }

    /// The core's state, for tests and for what stands above dispatch.
    pub fn state(&mut self) -> &mut CoreState {
        &mut self.state
    }
}
