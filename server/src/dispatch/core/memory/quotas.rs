//! Commands on keys with quotas ([`crate::quota`]): refused if they come too fast or would take too much, others of the prefix
//! evicted before.
//!
//! ```text
//!  where it begins       each quota of its keys: one command from the bucket of all cores ── empty ──▶ -QUOTA
//!  where its key lives   what all have of the quota, and the command's own bytes, within it? ── yes ──▶ it runs
//!        └── no: this core's entries of the prefix go, but what the command writes to, until they are ── none left ─┐
//!                   others have some: it runs, and they let as much go at the end of their turns ◀──────────────────┤
//!                                                                                  -OOM, if nobody has ◀────────────┘
//!  the end of a turn     what has come beyond all the same goes, whoever wrote it, on cores that have their part of the quota
//! ```
//! What is weighed is what `maxmemory` weighs: commands that may use more memory, with the bytes of their arguments, and with those that a string is
//! made longer by (`SETRANGE`, `SETBIT`, `BITFIELD`), or that a copy of a key of this core takes ([`Growth`]). A command on several
//! cores is weighed where it begins. What others make of less (`COPY` of another core's key, `RENAME` into the prefix, operations on sets that store what comes of them, a script, an `EXEC`) is not
//! known before; it counts when it is there, and at the end of the turn others of the prefix make room for it.
//!
//! Without quotas this is a gate that is down.

use larder_engine::{Access, DbIndex, Evicted, QuotaId};

use super::leasing::may_be_refused;
use crate::command::{Args, Command, CommandSpec, Flags, Growth, KeyAccess, Run};
use crate::dispatch::core::Core;
use crate::dispatch::limits::{DRAWN_IN_VAIN_MAX, EVICTED_AT_END, EVICTED_AT_ONCE};
use crate::dispatch::mail::batch::{Batch, Request};
use crate::dispatch::mail::requests::Work;
use crate::quota::Refused;
use crate::resp::{ErrorReply, errors};
use crate::routing::CoreId;
use crate::session::{Session, gate};

/// Bytes that a command may use.
struct Need {
    /// More than are used now.
    more: u64,
    /// Those of what it writes, what is there already among them.
    entry_bytes: u64,
}

impl Core {
    /// Quotas may have come, changed or gone, or what there is for all.
    pub(in crate::dispatch::core) fn follow_quotas(&mut self) {
        let config = &self.state.config;
        let quotas = config.quotas();
        let guarded = quotas.guarded(config.maxmemory_bytes);
        self.state.shard.set_quotas(quotas.prefixes(), &guarded);
        self.quotas.follow(quotas);
        let are_any = !quotas.is_empty();
        self.set_gate(gate::QUOTAS, are_any);
    }

    /// Tells the others what this core has of quotas.
    fn tell_quotas(&mut self) {
        let quotas = &mut self.quotas;
        let tell = |id, bytes| quotas.tell(id, bytes);
        self.state.shard.changed_quotas(tell);
    }

    /// Why a command of a session is refused for the quotas of its keys, if it is; `flags` are those of all it runs. What a script
    /// calls is not looked at: it was, when the script began.
    pub(in crate::dispatch::core) fn refusal_for_quota(
        &mut self,
        session: &Session,
        args: Args<'_>,
        command: &Command,
        target: CoreId,
        flags: Flags,
    ) -> Option<ErrorReply> {
        let uses_keys = command
            .spec
            .flags
            .has_any(Flags::WRITE.with(Flags::READONLY))
            || matches!(command.spec.run, Run::Script(_));
        if session.gates & gate::SCRIPT != 0 || !uses_keys {
            return None;
        }
        if let Some(error) = self.refusal_for_rate(args, command.spec) {
            return Some(error);
        }
        // What is queued is weighed where it is.
        let is_sent =
            session.gates & gate::MULTI == 0 && matches!(command.spec.run, Run::OnShard(_));
        let is_elsewhere = is_sent && target != self.state.id;
        let is_weighed = flags.has(Flags::DENYOOM) && !is_elsewhere;
        is_weighed
            .then(|| self.refusal_for_bytes(session.db, args, command.spec))
            .flatten()
    }

    /// Takes a command from the bucket of each quota of its keys. Of several the first that is empty refuses; those before it have
    /// been taken from.
    fn refusal_for_rate(&mut self, args: Args<'_>, spec: &CommandSpec) -> Option<ErrorReply> {
        let now = self.state.clock.unix;
        let mut taken: Vec<QuotaId> = Vec::new();
        let quotas = self.quotas.in_force();
        for at in spec.keys.positions(&args) {
            let Some((id, quota)) = quotas.of_key(args.at(at)) else {
                continue;
            };
            if taken.contains(&id) {
                continue;
            }
            if !quota.take(now) {
                quota.note_refused(Refused::Ops);
                return Some(errors::quota_rate(&quota.prefix, quota.ops));
            }
            taken.push(id);
        }
        None
    }

    /// Makes room in the quotas of the keys that a command writes to. Why it is refused, if there is none.
    fn refusal_for_bytes(
        &mut self,
        db: DbIndex,
        args: Args<'_>,
        spec: &CommandSpec,
    ) -> Option<ErrorReply> {
        let hasher = self.state.shard.hasher();
        let (mut written, mut ids): (Vec<u64>, Vec<QuotaId>) = Default::default();
        for key in spec.keys.in_args(&args) {
            if key.access() != KeyAccess::Write {
                continue;
            }
            let bytes = args.at(key.at);
            if let Some((id, quota)) = self.quotas.in_force().of_key(bytes)
                && quota.bytes > 0
            {
                written.push(hasher.hash(bytes));
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        if ids.is_empty() {
            return None;
        }
        self.tell_quotas();
        let need = self.need_of(db, args, spec);
        let has_none = |id: &QuotaId| !self.makes_room_in(*id, &need, &written);
        let refused = ids.into_iter().find(has_none)?;
        let quota = self.quotas.in_force().get(refused);
        quota.note_refused(Refused::Bytes);
        Some(errors::quota_bytes(&quota.prefix))
    }

    /// What a command may use.
    fn need_of(&mut self, db: DbIndex, args: Args<'_>, spec: &CommandSpec) -> Need {
        let given = args.span_bytes() as u64;
        let Some(growth) = spec.growth else {
            return Need {
                more: given,
                entry_bytes: given,
            };
        };
        let shard = &mut self.state.shard;
        let key = shard.hasher().key(args.at(1));
        let entry = shard.get(db, key, Access::Peek);
        let (more, entry_bytes) = match growth {
            Growth::ToBytes(end) => {
                let end = end(&args, &self.state.config);
                let len = entry.map_or(0, |entry| entry.string().map_or(end, |it| it.len() as u64));
                (given + end.saturating_sub(len), given.max(end))
            }
            Growth::Copy => {
                let bytes = entry.map_or(0, |entry| entry.memory_bytes());
                (given + bytes, given + bytes)
            }
        };
        Need { more, entry_bytes }
    }

    /// Whether a quota has room for what a command needs, once entries have gone.
    fn makes_room_in(&mut self, id: QuotaId, need: &Need, written: &[u64]) -> bool {
        let limit = self.quotas.in_force().get(id).bytes;
        if need.more.max(need.entry_bytes) > limit {
            // No eviction could help.
            return false;
        }
        let used = self.quotas.in_force().get(id).used_bytes();
        let need = need.more;
        let beyond = (used + need).saturating_sub(limit);
        if beyond == 0 {
            return true;
        }
        let has_its_part = self.has_its_part_of(id);
        if has_its_part && self.evict_of_quota(id, limit - need, written, EVICTED_AT_ONCE) {
            return true;
        }
        let elsewhere = used.saturating_sub(self.quotas.told(id));
        if self.may_evict() && elsewhere >= beyond {
            self.have_others_make_room(|_, _| true);
            return true;
        }
        !has_its_part && self.evict_of_quota(id, limit - need, written, EVICTED_AT_ONCE)
    }

    /// Whether this core has its even part of what is used of a quota: who has less leaves it to the others to evict.
    fn has_its_part_of(&self, id: QuotaId) -> bool {
        let used = self.quotas.in_force().get(id).used_bytes();
        self.quotas.told(id) * u64::from(self.state.shared.cores()) >= used
    }

    /// Evicts of a quota until no more than so many bytes of it are left on all cores, or nothing may go, or so many steps are done. Whether
    /// no more are left.
    fn evict_of_quota(&mut self, id: QuotaId, most: u64, written: &[u64], steps: u32) -> bool {
        let is_within = |core: &Self| core.quotas.in_force().get(id).used_bytes() <= most;
        if is_within(self) {
            return true;
        }
        if !self.may_evict() {
            return false;
        }
        let before = self.state.shard.journal().set_moment(None);
        let mut in_vain = 0;
        for _ in 0..steps {
            let locks = &self.locks;
            let stays = |hash: u64| written.contains(&hash) || locks.has_key(hash);
            match self.state.shard.evict_of_quota(id, stays) {
                Evicted::Entry => {
                    self.quotas.in_force().get(id).note_evicted();
                    in_vain = 0;
                }
                // Of what may go, all that was drawn is locked, or written to.
                Evicted::Later if in_vain < DRAWN_IN_VAIN_MAX => in_vain += 1,
                Evicted::Later | Evicted::Nothing => break,
            }
            self.tell_quotas();
            if is_within(self) {
                break;
            }
        }
        self.state.shard.journal().set_moment(before);
        is_within(self)
    }

    /// Whether a request of another core is refused for the quotas of its keys; if so, it is answered. A part of something under way is
    /// not.
    pub(in crate::dispatch::core) fn refuses_request_for_quota(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &Request,
    ) -> bool {
        let Work::Command(command) = request.head.work else {
            return false;
        };
        if !may_be_refused(request, command) {
            return false;
        }
        let args = batch.args(request);
        let Some(error) = self.refusal_for_bytes(request.head.db, args, command.spec) else {
            return false;
        };
        self.refuse_request(from, request, command, &error);
        true
    }

    /// At the end of a turn: tells what this core has of quotas, and evicts of those that have more than they may. Whether more should
    /// go.
    pub(in crate::dispatch::core) fn keep_quotas(&mut self) -> bool {
        if self.state.gates & gate::QUOTAS == 0 {
            return false;
        }
        self.tell_quotas();
        let quotas = self.quotas.in_force().clone();
        let is_beyond = |id: QuotaId| {
            let quota = quotas.get(id);
            quota.bytes > 0 && quota.used_bytes() > quota.bytes
        };
        let beyond: Vec<QuotaId> = quotas
            .iter()
            .map(|(id, _)| id)
            .filter(|&id| is_beyond(id))
            .collect();
        let sequence = self.state.shard.journal().sequence();
        let mut goes_on = false;
        for id in beyond {
            if !self.may_evict() {
                continue;
            }
            let quota = quotas.get(id);
            if !self.has_its_part_of(id) {
                if self.quotas.note_asked(id) {
                    self.have_others_make_room(|_, _| true);
                }
            } else if !self.evict_of_quota(id, quota.bytes, &[], EVICTED_AT_END) {
                goes_on |= self.state.shard.has_evictable_of(id);
            }
        }
        if self.state.shard.journal().sequence() == sequence {
            // What this turn could not mend another would not either.
            return false;
        }
        self.act_on_notes(None, None);
        self.serve_written_at_end();
        goes_on
    }
}
