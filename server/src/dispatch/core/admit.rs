//! Whether a command may run now: the gates that take it off the fast path, locks, and room for what it sends.

use crate::command::{Args, Command, Flags, Run, TransactionStep};
use crate::dispatch::core::Core;
use crate::dispatch::core::input::Target;
use crate::dispatch::core::memory::waiting::Room;
use crate::dispatch::core::notify::publish::must_come_behind;
use crate::dispatch::core::run::is_by_node;
use crate::dispatch::exec::is_queued;
use crate::dispatch::limits::BATCH_HIGH_WATER_BYTES;
use crate::dispatch::locks::{Mode, Scope};
use crate::dispatch::scripts::placement::{Placement, keeps_to_its_keys, mode_of_all};
use crate::dispatch::transactions::scopes::{mode_of, scope_of, whole_access};
use crate::resp::{ErrorReply, Protocol, errors};
use crate::session::{QueuedCommand, QueuedPlacement, Session, gate};

/// What the gates decide.
pub(super) enum Admission {
    Run,
    /// Not now: the session stalls before this command.
    Wait,
    /// When `EXEC` comes.
    Queue,
    Refuse(ErrorReply),
}

impl Core {
    /// Whether a command need not wait until this core has passed a transaction that its session began before: it takes a
    /// place in the order behind that, or concerns no keys.
    pub(super) fn may_take_place(&self, session: &Session, command: &'static Command) -> bool {
        let spec = command.spec;
        match spec.run {
            _ if session.gates & gate::MULTI != 0 && is_queued(command) => true,
            Run::OnShard(_) | Run::FanOut { .. } | Run::Script(_) => true,
            Run::EveryCore { .. } => {
                let takes_place = Flags::WHOLE_KEYSPACE.with(Flags::IN_ORDER);
                spec.flags.has_any(takes_place) && !is_by_node(session, command)
            }
            Run::OnSession(_) => {
                let concerns = Flags::WRITE.with(Flags::READONLY).with(Flags::PUBSUB);
                !spec.flags.has_any(concerns.with(Flags::ADMIN))
            }
            Run::Transaction(TransactionStep::Begin | TransactionStep::Discard) => true,
            Run::Transaction(TransactionStep::Run) => {
                let needs_session =
                    |queued: &QueuedCommand| queued.placement == QueuedPlacement::Session;
                session.watched().is_none()
                    && session
                        .multi
                        .as_ref()
                        .is_some_and(|multi| !multi.commands().iter().any(needs_session))
            }
            _ => false,
        }
    }

    /// Whether the outboxes the command may need have room for it; if not, it waits for the next turn. What other cores have
    /// yet to run of transactions, and what they answer, is not held back once it has a place, and so is bounded here.
    #[inline]
    pub(super) fn has_room_for(
        &self,
        session: &Session,
        command: Option<&'static Command>,
        target: Target,
    ) -> bool {
        match command.map(|command| command.spec.run) {
            _ if session.gates & gate::IN_ORDER != 0
                && (session.output.outstanding() > session.window
                    || self.transactions.gathered_bytes() > BATCH_HIGH_WATER_BYTES) =>
            {
                false
            }
            Some(Run::OnShard(_)) if target.core == self.state.id => true,
            Some(Run::OnShard(_)) => !self.is_congested(target.core) && !session.has_sent_much(),
            Some(Run::OnSession(_)) | None => true,
            _ => {
                !self.outboxes.cores().any(|core| self.is_congested(core))
                    && session.has_room_in_window()
                    && self.transactions.gathered_bytes() <= BATCH_HIGH_WATER_BYTES
            }
        }
    }

    /// Whether neither locks nor slots on the move are in a command's way. If not, it waits for them.
    fn may_begin(
        &mut self,
        session: &mut Session,
        command: &'static Command,
        args: Args<'_>,
    ) -> bool {
        let is_apart = matches!(command.spec.run, Run::OnSession(_));
        if self.state.moving.holds_commands_back() && !is_apart {
            // Wherever its keys are: slots are about to move.
            session.stalled_for_room = true;
            self.run_queue.push(session.id);
            return false;
        }
        // What takes a place in the order waits there.
        session.gates & gate::IN_ORDER != 0
            || self
                .scope_if_here(session, command, args)
                .is_none_or(|scope| self.may_pass_locks(session, scope))
    }

    /// What a command needs of this core's shard, if it works there and nowhere else.
    fn scope_if_here(
        &self,
        session: &Session,
        command: &'static Command,
        args: Args<'_>,
    ) -> Option<Scope> {
        let here = self.state.id;
        match (command.spec.run, &session.multi) {
            (Run::Transaction(TransactionStep::Run), Some(multi)) => {
                let mut scopes = self.scopes_of_multi(session, multi);
                let all_here = scopes.iter().all(|(core, _)| *core == here);
                all_here.then(|| scopes.pop().map_or(Scope::NOTHING, |(_, scope)| scope))
            }
            (Run::EveryCore { .. }, _) if is_by_node(session, command) => {
                let is_whole = command.spec.flags.has(Flags::WHOLE_KEYSPACE);
                is_whole.then(|| Scope::Whole(mode_of(whole_access(command))))
            }
            _ if self.state.shared.cores() == 1 => Some(self.scope_on_one_core(command, args)),
            (Run::Script(_), _) => {
                let is_here =
                    self.place_of_script(session, args, command) == Ok(Placement::OneCore(here));
                is_here.then(|| self.scope_here(command, args))
            }
            (Run::OnShard(_) | Run::FanOut { .. } | Run::Blocking(_), _) => {
                let is_here = self.common_core(command.spec, args) == Some(here);
                is_here.then(|| self.scope_here(command, args))
            }
            _ => None,
        }
    }

    /// What a command needs of the shard of a server of one core, where nothing takes a place in an order, nor begins again.
    pub(super) fn scope_on_one_core(&self, command: &'static Command, args: Args<'_>) -> Scope {
        let mut scopes = [(self.state.id, Scope::NOTHING)];
        scope_of(&self.state, command, args, &mut scopes);
        let [(_, mut scope)] = scopes;
        match command.spec.run {
            Run::Script(_) if !keeps_to_its_keys(&self.state, args, command) => {
                scope.add_whole(mode_of_all(command));
            }
            // A pause is answered when nothing writes any more.
            Run::EveryCore { .. } if command.spec.flags.has(Flags::IN_ORDER) => {
                scope.add_whole(Mode::Shared);
            }
            _ => {}
        }
        scope
    }

    /// Everything that takes a command off the fast path.
    #[cold]
    pub(super) fn pass_gates(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        target: Target,
        gates: u32,
    ) -> Admission {
        let spec = command.spec;
        if gates & gate::NEEDS_AUTH != 0 && !spec.flags.has(Flags::NO_AUTH) {
            return Admission::Refuse(errors::NO_AUTH);
        }
        if gates & gate::BUSY != 0
            && let Some(error) = self.refuse_while_busy(command, args, target)
        {
            return Admission::Refuse(error);
        }
        if gates & gate::MONITOR != 0
            && !matches!(spec.name, "quit" | "reset")
            && spec.flags.has_any(Flags::WRITE.with(Flags::READONLY))
        {
            return Admission::Refuse(errors::NOT_AS_MONITOR);
        }
        // `EXEC` is to its gates what it runs.
        let flags = match (spec.run, &session.multi) {
            (Run::Transaction(TransactionStep::Run), Some(multi)) => {
                spec.flags.with(self.flags_of_multi(multi))
            }
            _ => self.flags_of(spec, args),
        };
        if gates & gate::FILES != 0
            && let Some(error) = self.refusal_for_files(spec, flags)
        {
            return Admission::Refuse(error);
        }
        if gates & gate::MAXMEMORY != 0 {
            match self.room_for_command(session, args, command, target, flags) {
                Room::There => {}
                Room::Later => {
                    self.wait_for_room(session);
                    return Admission::Wait;
                }
                Room::Nowhere => return Admission::Refuse(errors::OUT_OF_MEMORY),
            }
        }
        if gates & gate::SUBSCRIBER != 0
            && session.protocol == Protocol::Resp2
            && !spec.flags.has(Flags::SUBSCRIBED)
        {
            return Admission::Refuse(errors::not_as_subscriber(spec.name));
        }
        if gates & gate::PAUSE != 0 {
            if self.state.is_paused_for(flags) {
                self.state.hold_for_pause(session);
                return Admission::Wait;
            }
            // It may just be over.
            self.serve_put_off();
        }
        let is_to_be_queued = gates & gate::MULTI != 0 && is_queued(command);
        if !is_to_be_queued && gates & gate::LOCKS != 0 && !self.may_begin(session, command, args) {
            return Admission::Wait;
        }
        if gates & gate::QUOTAS != 0
            && let Some(error) = self.refusal_for_quota(session, args, command, target.core, flags)
        {
            return Admission::Refuse(error);
        }
        if is_to_be_queued {
            return Admission::Queue;
        }
        if gates & gate::WATCHED_BY_MONITOR != 0 {
            self.show_to_monitors(session, args, spec);
        }
        Admission::Run
    }
}

/// Whether the command has to wait for what its session has sent before: a message for what was written, what looks at keys
/// without a place in the order for all of it.
#[inline]
pub(super) fn has_to_come_behind(session: &Session, command: &'static Command) -> bool {
    match command.spec.run {
        Run::SomeCores { .. } | Run::OnSession(_) => must_come_behind(session, command),
        Run::Rounds(_) | Run::RoundsOfAll { .. } | Run::Transaction(TransactionStep::Watch) => {
            session.output.outstanding() > 0
        }
        Run::EveryCore { .. } => {
            let takes_place = Flags::WHOLE_KEYSPACE.with(Flags::IN_ORDER);
            command.spec.flags.has(Flags::READONLY)
                && !command.spec.flags.has_any(takes_place)
                && session.output.outstanding() > 0
        }
        _ => false,
    }
}
