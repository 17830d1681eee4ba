//! Whether a command may run now: the gates that take it off the fast path, locks, and room for what it sends.

use super::core::Core;
use super::execute::is_by_node;
use super::input::Target;
use super::locks::{Mode, Scope};
use super::multi::is_queued;
use super::publish::must_come_behind;
use super::script::ScriptPlace;
use super::transaction::{mode_of, whole_access};
use crate::command::{Args, Command, Flags, Run, TransactionStep};
use crate::resp::{ErrorReply, Protocol, errors};
use crate::session::{Session, gate};

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
    /// Whether the command has to wait for what its session has sent to other cores before.
    #[inline]
    pub(super) fn has_to_come_behind(
        &self,
        session: &Session,
        args: Args<'_>,
        command: &'static Command,
    ) -> bool {
        match command.spec.run {
            Run::SomeCores { .. } | Run::OnSession(_) => must_come_behind(session, command),
            Run::Script(_) => self.script_must_wait(session, args, command),
            _ => false,
        }
    }

    /// Whether the outboxes the command may need have room for it; if not, it waits for the next turn.
    #[inline]
    pub(super) fn has_room_for(
        &self,
        session: &Session,
        command: Option<&'static Command>,
        target: Target,
    ) -> bool {
        match command.map(|command| command.spec.run) {
            Some(Run::OnShard(_)) if target.core == self.state.id => true,
            Some(Run::OnShard(_)) => {
                !self.is_congested(target.core.index()) && !session.has_sent_much()
            }
            Some(Run::OnSession(_)) | None => true,
            _ => !(0..self.outboxes.len()).any(|core| self.is_congested(core)),
        }
    }

    /// What of this core's shard has to be free before a command may begin.
    fn scope_to_await(
        &self,
        session: &Session,
        command: &'static Command,
        args: Args<'_>,
    ) -> Option<Scope> {
        if self.state.moving.holds_commands_back() {
            // Wherever its keys are: slots are about to move.
            let is_apart = matches!(command.spec.run, Run::OnSession(_));
            return (!is_apart).then_some(Scope::Whole(Mode::Shared));
        }
        self.scope_if_here(session, command, args)
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
            (Run::Script(_), _) => {
                let is_here =
                    self.place_of_script(session, args, command) == Ok(ScriptPlace::Core(here));
                is_here.then(|| self.scope_here(command, args))
            }
            (Run::OnShard(_) | Run::FanOut { .. } | Run::Blocking(_), _) => {
                let is_here = self.common_core(command.spec, args) == Some(here);
                is_here.then(|| self.scope_here(command, args))
            }
            _ => None,
        }
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
        if gates & gate::MAXMEMORY != 0
            && self.is_refused_for_memory(session, args, command, target, flags)
        {
            return Admission::Refuse(errors::OUT_OF_MEMORY);
        }
        if gates & gate::SUBSCRIBER != 0
            && session.protocol == Protocol::Resp2
            && !spec.flags.has(Flags::SUBSCRIBED)
        {
            return Admission::Refuse(errors::not_as_subscriber(spec.name));
        }
        if gates & gate::MULTI != 0 && is_queued(command) {
            return Admission::Queue;
        }
        if gates & gate::PAUSE != 0 && self.state.is_paused_for(flags) {
            self.state.hold_for_pause(session);
            return Admission::Wait;
        }
        if gates & gate::LOCKS != 0
            && let Some(scope) = self.scope_to_await(session, command, args)
            && !self.may_pass_locks(session, scope)
        {
            return Admission::Wait;
        }
        if gates & gate::WATCHED_BY_MONITOR != 0 {
            self.show_to_monitors(session, args, spec);
        }
        Admission::Run
    }
}
