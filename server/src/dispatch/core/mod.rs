//! One core: its shard, its sessions, its turn, and the state of every module of dispatch. All `impl Core` is here.
//!
//! ```text
//!  receive -> input: parse a run of commands, hash keys, prefetch
//!          -> execute: gates (admit), then run:
//!               on this shard | on another (hop) | on several (transactions, exec, scripts) | when a key is written (blocking)
//!  take_mail -> pass entries of the order (transactions::entries), then deliver: requests of other cores run here; answers fill
//!          the slots kept in their session's output (transactions::gather)
//!  an entry -> this core's parts of it run (transactions::begin), or are pending for locks (transactions::locking)
//!  end_turn -> this core's transactions get their place; background steps, timers, statistics; then the runtime sends and ships
//!          the outboxes
//! ```
//! `Core`'s fields are types of these modules: a file here calls their methods. What `core/` has of its own is the buffer in which
//! the commands stand that are being run (`lent`), which whoever sends them elsewhere reads, memory for parsing, and numbers of the turn.

mod admit;
mod blocking;
mod connections;
mod curve;
mod deliver;
mod exec;
mod execute;
mod expiry;
mod hot;
mod input;
mod loading;
mod memory;
mod notify;
mod observed;
mod protect;
mod rebalance;
mod resolve;
mod run;
mod saving;
mod scripts;
mod seen_by_tests;
mod steps;
mod transactions;
mod turn;
mod uncounted;
mod walks;

use std::collections::BinaryHeap;
use std::sync::Arc;

use larder_engine::{Buffer, Shard, ShardOptions, StoreError};

use crate::command::commandlog;
use crate::command::events::Hearing;
use crate::command::invalidate::Emptied;
use crate::command::moving::Moving;
use crate::command::pausing::Pausing;
use crate::command::{
    Clock, CommandTable, CoreState, Random, Topology, curve_of, eviction_of, thresholds_of,
};
use crate::dispatch::blocking::blocked::BlockedCommands;
use crate::dispatch::blocking::key_queues::KeyQueues;
use crate::dispatch::core::input::InputScratch;
use crate::dispatch::exec::ExecMemory;
use crate::dispatch::gather::Gathers;
use crate::dispatch::hot::copies::Copies;
use crate::dispatch::hot::offers::Offers;
use crate::dispatch::limits::TIMED_ARGS_BYTES;
use crate::dispatch::locks::Locks;
use crate::dispatch::mail::backlog::Backlog;
use crate::dispatch::mail::credit::Debts;
use crate::dispatch::mail::lines::{Lines, NoLines};
use crate::dispatch::mail::outboxes::Outboxes;
use crate::dispatch::memory::budget::Budget;
use crate::dispatch::memory::clients::ClientMemory;
use crate::dispatch::memory::making::Making;
use crate::dispatch::memory::pool::BufferPool;
use crate::dispatch::memory::quotas::CoreQuotas;
use crate::dispatch::notify::telling::Tellings;
use crate::dispatch::rebalance::Job;
use crate::dispatch::saving::Saving;
use crate::dispatch::scripts::Scripts;
use crate::dispatch::steps::CommandsInSteps;
use crate::dispatch::transactions::claimant::Claimant;
use crate::dispatch::transactions::clearing::Clearing;
use crate::dispatch::transactions::in_order::InOrder;
use crate::dispatch::transactions::pending::Transactions;
use crate::dispatch::transactions::undos::Undos;
use crate::dispatch::turn::run_queue::RunQueue;
use crate::observe::{LogKind, Observed, Stats, TurnTiming};
use crate::persist::files::FileOps;
use crate::persist::load::Loader;
use crate::routing::CoreId;
use crate::script::Engine;
use crate::session::{HighWater, Prefixes, Readers, Sessions, Subscribers, gate};
use crate::shared::Shared;

pub use connections::Intent;
#[cfg(test)]
pub(super) use hot::COPIES_OUTLIVE_LOCKS;
pub use transactions::entries::Shipped;

/// One core, sans-I/O.
pub struct Core {
    state: CoreState,
    lines: Box<dyn Lines>,
    order: InOrder,
    outboxes: Outboxes,
    backlog: Backlog,
    gathers: Gathers,
    /// What sessions of other cores have yet to take of this one's answers.
    debts: Debts,
    /// Locks of the shard, held and pending, and who has been granted some.
    locks: Locks<Claimant>,
    transactions: Transactions,
    /// What scripts that may begin again have done to the shard.
    undos: Undos,
    /// Pauses of clients that this core has yet to answer.
    clearing: Clearing,
    /// Commands of this core's sessions that wait for keys of several cores.
    blocked: BlockedCommands,
    /// Who waits for keys of this core's shard.
    key_queues: KeyQueues,
    /// The rebalance that this core drives.
    job: Option<Job>,
    scripts: Scripts,
    /// Commands that take several turns.
    in_steps: CommandsInSteps,
    /// Snapshots.
    saving: Saving,
    /// The file that is being loaded.
    loader: Option<Loader>,
    /// Copies of other cores' keys.
    copies: Copies,
    /// The keys others may copy.
    offers: Offers,
    scratch: InputScratch,
    /// The buffer in which the commands stand that are being run, where one of them is large.
    lent: Option<Arc<Buffer>>,
    run_queue: RunQueue,
    buffers: BufferPool,
    /// The events of what is under way.
    tellings: Tellings,
    exec_memory: ExecMemory,
    config_version: u64,
    next_period_ms: u64,
    /// Counts the turns.
    turn: u64,
    client_memory: ClientMemory,
    budget: Budget,
    making: Making,
    quotas: CoreQuotas,
}

impl Core {
    /// Core `id` of the server that `shared` describes.
    ///
    /// # Errors
    /// The shard's address space could not be reserved.
    pub fn new(id: CoreId, shared: Arc<Shared>) -> Result<Self, StoreError> {
        let limit_at_start = shared.memory.limit_at_start();
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
                timing: TurnTiming::new(commands.count()),
                observed: Observed::default(),
                clock: Clock::default(),
                gates: 0,
                is_to_give_back: false,
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
                periods_pause: false,
                random: Random::new(0),
                scripts: Engine::default(),
                files: FileOps::default(),
                saves_asked: Vec::new(),
            },
            lines: Box::new(NoLines),
            order,
            outboxes: Outboxes::new(cores),
            backlog: Backlog::default(),
            gathers: Gathers::default(),
            debts: Debts::default(),
            locks: Locks::default(),
            transactions: Transactions::default(),
            undos: Undos::default(),
            clearing: Clearing::default(),
            blocked: BlockedCommands::default(),
            key_queues: KeyQueues::default(),
            job: None,
            scripts: Scripts::default(),
            in_steps: CommandsInSteps::default(),
            saving: Saving::default(),
            loader: None,
            copies: Copies::new(copy_versions.clone()),
            offers: Offers::default(),
            scratch: InputScratch::default(),
            lent: None,
            run_queue: RunQueue::default(),
            buffers: BufferPool::default(),
            tellings: Tellings::default(),
            exec_memory: ExecMemory::default(),
            config_version: 0,
            next_period_ms: 0,
            turn: 0,
            client_memory: ClientMemory::default(),
            budget: Budget::new(cores, limit_at_start),
            making: Making::default(),
            quotas: CoreQuotas::default(),
        };
        core.state.random = Random::new(core.state.shared.hasher.hash(&id.0.to_le_bytes()));
        core.state.scripts = Engine::new(core.state.random.draw());
        core.state.shard.copied().share(copy_versions);
        core.refresh_config();
        core.settle_lease();
        core.state.observed.startup_bytes = core.used_bytes();
        Ok(core)
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
        const SLOW_ENOUGH_TO_STAND_OUT_US: u64 = 1000;
        let threshold = |kind| commandlog::threshold(config, kind).unwrap_or(u64::MAX);
        let slow_us = threshold(LogKind::Slow);
        let large_bytes = threshold(LogKind::LargeRequest);
        let time_each = slow_us < SLOW_ENOUGH_TO_STAND_OUT_US
            || large_bytes <= TIMED_ARGS_BYTES as u64
            || config.latency_monitor_threshold_ms > 0;
        let large_reply_bytes = threshold(LogKind::LargeReply);
        self.state.observed.large_reply_bytes = large_reply_bytes;
        let high_water = HighWater::of(config.client_output_buffer_high_water_bytes);
        self.client_memory.set_max(config.client_memory_max_bytes());
        self.state.sessions.memory_mut().note_change();
        self.set_gate(gate::TIME_EACH, time_each);
        self.state.choose_costs();
        for session in self.state.sessions.iter_mut() {
            let was_held_back = session.is_held_back();
            session.set_high_water(high_water);
            if was_held_back && !session.is_held_back() {
                self.run_queue.push(session.id);
            }
        }
        self.follow_maxmemory();
        self.state.stats.durations_are_off = !self.state.config.latency_tracking;
        self.state.choose_notes();
        let eviction = eviction_of(&self.state.config, self.state.shared.cores());
        self.state.shard.set_eviction(eviction.as_ref());
        let curve = curve_of(&self.state.config, self.state.shared.cores());
        self.state.shard.set_curve(curve.as_ref());
        self.follow_room();
        let prefixes = &self.state.config.hit_ratio_prefixes;
        self.state.stats.lookups.set_prefixes(prefixes);
        self.follow_quotas();
        let thresholds = thresholds_of(&self.state.config);
        self.state.shard.set_thresholds(thresholds);
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

    /// The core's state, for tests and for what stands above dispatch.
    pub fn state(&mut self) -> &mut CoreState {
        &mut self.state
    }
}
