//! What a core holds in memory, and whether it may come to hold more (`crate::budget`).
//!
//! ```text
//!  a run of commands ── its bytes fit the room leased ahead? ── yes ──▶ run, unlooked at
//!        └── no: more is leased ── none to be had ──▶ MAXMEMORY gate up: each command that Redis refuses is weighed
//!  a command that may grow, a long one, one on several cores, EXEC, a script ──▶ weighed by itself, gate or no gate
//! ```
//! To weigh is to lease exactly what the core uses, the command's own bytes among it, and to see whether the pool is
//! overdrawn. It is done where the command's key lives, or, for a command on several cores, where it begins: what has begun
//! on one core is not refused by another.
//!
//! What is counted: the shard, with what is idle in it (`core/memory/ceiling.rs`); sessions and what is buffered for them; scripts; copies; batches to other cores, from them,
//! and requests that wait here; what transactions and gathered replies keep. A session's large buffers are counted as they
//! come and go, small ones every period, and once more when the core has gone idle. Buffers kept for reuse are idle.

use std::sync::atomic::Ordering;

use super::waiting::Room;
use crate::command::{Args, Command, Flags, Run};
use crate::dispatch::core::Core;
use crate::dispatch::core::input::Target;
use crate::dispatch::exec::is_queued;
use crate::dispatch::limits::{
    BATCH_WEIGHED_BYTES, MAIL_MAX_BYTES, RUN_BASE_BYTES, RUN_GROWTH, TIMED_ARGS_BYTES,
};
use crate::dispatch::mail::batch::{Batch, Request, Seal};
use crate::dispatch::mail::requests::{Ticket, Work};
use crate::resp::{ErrorReply, Reply, errors};
use crate::routing::CoreId;
use crate::session::{Session, gate};

impl Core {
    /// Bytes the core uses, without large buffers on their way back to the system: whoever is told that a command was
    /// refused, or that a value is deleted, finds its memory free at once, on every core.
    pub(in crate::dispatch) fn used_bytes(&self) -> u64 {
        self.holdings(self.outboxes.weighed_bytes()).used
    }

    /// Bytes the core leases: what it uses, and what is idle but for a little.
    pub(in crate::dispatch) fn leasable_bytes(&self) -> u64 {
        self.holdings(self.outboxes.weighed_bytes()).leasable()
    }

    /// A limit may have come, changed or gone.
    pub(in crate::dispatch::core) fn follow_maxmemory(&mut self) {
        let cores = self.state.shared.cores();
        let maxmemory_bytes = self.state.config.maxmemory_bytes;
        let before_bytes = self.budget.set_limit(maxmemory_bytes, cores);
        self.buffers.set_limit(maxmemory_bytes, cores);
        // What was leased for what no core counts was leased under the limit of before.
        let shared = &self.state.shared;
        let counts = shared.resident.counted_bytes(maxmemory_bytes);
        shared.memory.set_uncounted(counts);
        if maxmemory_bytes != before_bytes {
            let held = self.leasable_bytes();
            let (core, pool) = (self.state.id.0, &self.state.shared.memory);
            self.budget.fit(pool, held);
            pool.change(before_bytes, maxmemory_bytes, core, cores);
        }
        self.look_again_at_memory();
    }

    /// The next run of commands leases anew.
    pub(super) fn look_again_at_memory(&mut self) {
        self.budget.forget_room();
        self.set_gate(gate::MAXMEMORY, true);
    }

    /// Leases what the core holds as of now, in the midst of a turn.
    pub(super) fn lease_held(&mut self) {
        if self.budget.is_limited() {
            let held = self.leasable_bytes();
            self.budget.lease_used(&self.state.shared.memory, held);
        }
    }

    /// A run of commands of so many bytes comes next: it has room, or its commands are weighed one by one.
    #[inline(always)]
    pub(in crate::dispatch::core) fn lease_for_run(&mut self, run_bytes: usize) {
        let need = need_of(run_bytes);
        if !self.budget.take_room(need) {
            self.lease_more(need);
        }
    }

    #[cold]
    fn lease_more(&mut self, need: u64) {
        let held = self.leasable_bytes();
        let pool = &self.state.shared.memory;
        let has_room = self.budget.lease_more(pool, held, need)
            || self.make_room(need, self.making.steps_left()) == Room::There && {
                // Or the run goes on what is idle here.
                let held = self.leasable_bytes();
                let pool = &self.state.shared.memory;
                self.budget.lease_more(pool, held, need);
                true
            };
        if has_room {
            self.making.note_found();
            self.note_exceeded(false);
        }
        self.set_gate(gate::MAXMEMORY, !has_room);
    }

    /// Ends a turn: leases what is used, and gives back what is not needed.
    #[inline(always)]
    pub(in crate::dispatch::core) fn settle_lease(&mut self) {
        let outbox_bytes = self.outboxes.weighed_bytes();
        let holdings = self.holdings(outbox_bytes);
        if self.budget.is_limited() {
            self.tell_held(holdings);
        }
        self.budget
            .tell_dying(&self.state.shared.memory, holdings.dying);
        let peak = &mut self.state.observed.peak_bytes;
        *peak = holdings.used.max(*peak);
        let between_cores = &mut self.state.observed.between_cores_bytes;
        *between_cores = self.budget.kept() + outbox_bytes;
        let are_weighed = self.state.gates & gate::MAXMEMORY != 0;
        let pool = &self.state.shared.memory;
        self.budget.settle(pool, holdings.leasable(), are_weighed);
    }

    pub(super) fn note_exceeded(&self, is_exceeded: bool) {
        let now_ms = self.state.clock.monotonic_ms();
        self.state.shared.exceeded.note(is_exceeded, now_ms);
    }

    /// Whether a command is weighed by itself though the gate is down.
    #[inline]
    pub(in crate::dispatch::core) fn is_weighed_apart(
        &self,
        session: &Session,
        args: Args<'_>,
        command: &Command,
        target: Target,
    ) -> bool {
        if !self.budget.is_limited() {
            return false;
        }
        match command.spec.run {
            _ if session.gates & gate::MULTI != 0 => true,
            Run::OnSession(_) => false,
            Run::OnShard(_) => target.core == self.state.id && !is_light(command, args),
            _ => true,
        }
    }

    /// Whether there is room for a command of a session; `flags` are those of all it runs.
    pub(in crate::dispatch::core) fn room_for_command(
        &mut self,
        session: &Session,
        args: Args<'_>,
        command: &Command,
        target: Target,
        flags: Flags,
    ) -> Room {
        // As in Redis: what is queued is kept, whatever it does.
        let is_kept = session.gates & gate::MULTI != 0 && is_queued(command);
        if !is_kept && !flags.has(Flags::DENYOOM) {
            return Room::There;
        }
        match command.spec.run {
            _ if is_kept => {}
            Run::OnShard(_) if target.core != self.state.id => return Room::There,
            Run::OnShard(_) | Run::FanOut { .. }
                if !flags.has(Flags::GROWS)
                    && self.budget.take_room(need_of(args.span_bytes())) =>
            {
                return Room::There;
            }
            _ => {}
        }
        match self.room_for_weighed() {
            // What it holds others wait for; there was room when it began to.
            Room::Later if session.granted_lock.is_some() => Room::There,
            room => room,
        }
    }

    /// Whether a request of another core that cannot wait is refused for want of memory, or for a quota; if so, it is answered.
    pub(in crate::dispatch::core) fn refuses_request(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &Request,
        run_bytes: usize,
    ) -> bool {
        self.room_for_request(from, batch, request, run_bytes) == Room::Nowhere
    }

    /// Whether there is room for a request of another core, in memory and in its quota; if there is none to come, it is refused and answered.
    /// A part of something under way is not. `run_bytes`: those of the run that it belongs to.
    #[inline]
    pub(in crate::dispatch::core) fn room_for_request(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &Request,
        run_bytes: usize,
    ) -> Room {
        let Work::Command(command) = request.head.work else {
            return Room::There;
        };
        if self.state.gates & gate::QUOTAS != 0
            && self.refuses_request_for_quota(from, batch, request)
        {
            return Room::Nowhere;
        }
        let is_light_run = run_bytes <= TIMED_ARGS_BYTES;
        if is_light_run && self.state.gates & gate::MAXMEMORY == 0 && command.is_plain {
            return Room::There;
        }
        self.room_for_weighed_request(from, batch, request, command)
    }

    #[cold]
    fn room_for_weighed_request(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &Request,
        command: &Command,
    ) -> Room {
        let is_light =
            self.state.gates & gate::MAXMEMORY == 0 && is_light(command, batch.args(request));
        if is_light || !may_be_refused(request, command) {
            return Room::There;
        }
        let room = self.room_for_weighed();
        if room == Room::Nowhere {
            self.refuse_request(from, request, command, &errors::OUT_OF_MEMORY);
        }
        room
    }

    /// Answers a request of another core with an error, in place of running it.
    pub(super) fn refuse_request(
        &mut self,
        from: CoreId,
        request: &Request,
        command: &Command,
        error: &ErrorReply,
    ) {
        self.state.stats.by_command[command.id.index()].rejected += 1;
        self.count_error(error);
        let head = &request.head;
        let protocol = head.protocol;
        self.outboxes.to(from).answer(head.ticket, |out| {
            Reply::new(out, protocol).error(error);
        });
    }

    /// Whether core `to` has yet to take or to run so much that it is asked nothing more for now.
    #[inline]
    pub(in crate::dispatch::core) fn is_congested(&self, to: CoreId) -> bool {
        self.outboxes.for_core(to).is_full() || self.budget.is_congested(to)
    }

    /// The batch for core `to`, if there is something in it and the core takes what it is sent.
    pub fn take_outbox(&mut self, to: CoreId) -> Option<Box<Batch>> {
        let outbox = self.outboxes.for_core(to);
        if outbox.is_empty() && !self.budget.has_much_to_acknowledge(to) {
            return None;
        }
        let bytes = outbox.memory_bytes();
        let weight = if bytes >= BATCH_WEIGHED_BYTES {
            self.hand_over(to, bytes)?
        } else {
            0
        };
        Some(self.seal(to, weight, None))
    }

    /// Whether what there is for core `to` may be shipped: it has taken most of what it was sent before.
    pub(in crate::dispatch::core) fn may_ship(&self, to: CoreId) -> bool {
        let mail = &self.state.shared.gauges(to).mail_bytes;
        self.outboxes.for_core(to).memory_bytes() < BATCH_WEIGHED_BYTES
            || mail.load(Ordering::Relaxed) <= MAIL_MAX_BYTES
    }

    /// The batch for core `to`, whatever is in it, and the parts of transactions behind it.
    pub(in crate::dispatch::core) fn take_outbox_with(
        &mut self,
        to: CoreId,
        parts: Box<Batch>,
    ) -> Box<Batch> {
        let bytes = self.outboxes.for_core(to).memory_bytes() + parts.memory_bytes();
        let weight = if bytes >= BATCH_WEIGHED_BYTES {
            self.lend_lease(to, bytes)
        } else {
            0
        };
        self.seal(to, weight, Some(parts))
    }

    /// Takes what is to be sent to core `to`.
    fn seal(&mut self, to: CoreId, weight: usize, parts: Option<Box<Batch>>) -> Box<Batch> {
        let mut batch = self.outboxes.take(to);
        if self.scripts.has_any() {
            self.name_clients(&mut batch);
        }
        let of_parts = parts.as_ref().map_or(0, |parts| parts.request_bytes());
        let seal = Seal {
            stamp: self.stamp(),
            position: self.position_in_order(),
            time: self.state.shard.now(),
            parts,
            ran_bytes: self.budget.note_sent(to, batch.request_bytes() + of_parts),
        };
        batch.seal(seal, weight);
        batch
    }

    /// The lease of a large batch goes with it, if core `to` has taken most of what it was sent before.
    #[cold]
    fn hand_over(&mut self, to: CoreId, bytes: usize) -> Option<usize> {
        let mail = &self.state.shared.gauges(to).mail_bytes;
        if mail.load(Ordering::Relaxed) > MAIL_MAX_BYTES {
            self.budget.hold_mail();
            return None;
        }
        Some(self.lend_lease(to, bytes))
    }

    /// So many bytes of the lease go to core `to`.
    fn lend_lease(&mut self, to: CoreId, bytes: usize) -> usize {
        let mail = &self.state.shared.gauges(to).mail_bytes;
        mail.fetch_add(bytes as u64, Ordering::Relaxed);
        let pool = &self.state.shared.memory;
        self.budget.hand_over(pool, bytes);
        bytes
    }

    /// Takes back a batch that could not be shipped; it goes out first next turn.
    pub fn return_outbox(&mut self, to: CoreId, mut batch: Box<Batch>) {
        let (ran_bytes, weight) = batch.break_seal();
        self.budget
            .note_not_sent(to, batch.request_bytes(), ran_bytes);
        self.take_over_lease(to, weight);
        self.outboxes.put_back(to, batch);
    }

    /// A batch has come from core `from`.
    #[inline]
    pub(in crate::dispatch::core) fn take_in(&mut self, from: CoreId, batch: &Batch) {
        self.budget.note_acknowledged(from, batch.ran_bytes());
        let weight = batch.weight();
        if weight > 0 {
            self.take_over_lease(self.state.id, weight);
            self.budget.keep(weight);
        }
    }

    /// Leases what came, or comes back, with a batch for core `to`.
    fn take_over_lease(&mut self, to: CoreId, weight: usize) {
        if weight > 0 {
            let mail = &self.state.shared.gauges(to).mail_bytes;
            mail.fetch_sub(weight as u64, Ordering::Relaxed);
            self.budget.take_over(weight);
        }
    }
}

/// What a run of plain commands of so many bytes may use.
#[inline]
fn need_of(run_bytes: usize) -> u64 {
    (RUN_BASE_BYTES + RUN_GROWTH * run_bytes) as u64
}

/// Whether a request of another core may be refused as it may use more memory: it is no part of something under way.
pub(super) fn may_be_refused(request: &Request, command: &Command) -> bool {
    let head = &request.head;
    let is_alone = head.locks.is_none()
        && matches!(
            head.ticket,
            Ticket::Reply { .. } | Ticket::Attempt { .. } | Ticket::Discard { .. }
        );
    is_alone && command.spec.flags.has(Flags::DENYOOM)
}

/// Whether what the command may use follows from the bytes of its run.
#[inline]
fn is_light(command: &Command, args: Args<'_>) -> bool {
    command.is_plain && args.span_bytes() <= TIMED_ARGS_BYTES
}
