//! Commands that do their work in slices ([`crate::command::Slices`]): one slice a turn, of each command by turns.
//!
//! The keys of such a command are locked from when it begins to when it is answered. It gets these locks at once, for it has just
//! passed those of others, and it waits for nobody: whoever waits for it waits for work of this core alone ([`crate::dispatch::locks`]).

use std::time::Instant;

use crate::command::{Args, Command, Progress, ShardFn, Slices};
use crate::dispatch::core::Core;
use crate::dispatch::core::input::Target;
use crate::dispatch::limits::SLICE_LEASE_BYTES;
use crate::dispatch::locks::{Kind, Scope};
use crate::dispatch::mail::requests::{Reading, RequestHead, Tells, Ticket, Work};
use crate::dispatch::run::kept_args::keep_args;
use crate::dispatch::run::on_shard::{CallOptions, fail, run_command_on_shard};
use crate::dispatch::run::recipient::recipient_of_reply;
use crate::dispatch::run::sliced::Sliced;
use crate::dispatch::transactions::claimant::Claimant;
use crate::routing::CoreId;
use crate::session::{LockId, Reader, Session, gate};

impl Core {
    /// Runs a command of this core's session on this core's shard, or begins to.
    pub(super) fn run_here_in_slices(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        run: ShardFn,
        target: Target,
        (quiet, reading): (bool, Reading),
    ) {
        self.state.later.wait();
        self.run_here(session, args, command, run, target, (quiet, reading));
        let Some(slices) = self.state.later.take() else {
            return;
        };
        let recipient = recipient_of_reply(session, command, quiet);
        let ticket = Ticket::Reply {
            session: session.id,
            seq: recipient.seq.expect("its place is kept"),
        };
        let head = RequestHead {
            first_key: target.first_key,
            ..recipient.head(ticket, Work::Command(command), None)
        };
        let (here, by) = (self.state.id, self.changer(session.id));
        let lock = session.granted_lock.take();
        self.begin_slices((here, head, by), args, command, slices, lock);
    }

    /// Runs a command of a session of core `from`, or begins to.
    pub(super) fn run_in_slices_for(
        &mut self,
        from: CoreId,
        args: Args<'_>,
        request: &RequestHead,
        command: &'static Command,
        by: Reader,
    ) {
        let began = Instant::now();
        let (state, options) = (&mut self.state, CallOptions::of(request));
        state.later.wait();
        let mut slices = None;
        let answered = self.outboxes.to(from).answer_if(request.ticket, |out| {
            run_command_on_shard(state, out, args, command, options);
            slices = state.later.take();
            slices.is_none()
        });
        if request.reading == Reading::Remembered {
            let reader = request.origin(from);
            self.state.remember(command.spec, &args, reader);
        }
        let is_part = matches!(request.ticket, Ticket::Part { .. });
        let micros = match is_part {
            true => 0,
            false => self.timed_apart(command, began),
        };
        match (answered, slices) {
            (Some(bytes), _) => {
                self.owe(from, request.ticket.session(), bytes);
                self.tell_if_slow(from, (request, args), command, micros);
            }
            (None, Some(slices)) => {
                let lock = self.sliced.take_lock();
                self.begin_slices((from, *request, by), args, command, slices, lock);
            }
            (None, None) => unreachable!("it is answered, or leaves slices"),
        }
    }

    fn tell_if_slow(
        &mut self,
        from: CoreId,
        (request, args): (&RequestHead, Args<'_>),
        command: &'static Command,
        micros: u64,
    ) {
        let is_heard = matches!(request.ticket, Ticket::Reply { .. });
        if is_heard && self.state.is_worth_telling(micros) {
            self.outboxes.to(from).tell_slow(command, micros, args);
        }
    }

    /// Begins the slices that a command has left, under the locks that it has waited for, or under new ones.
    fn begin_slices(
        &mut self,
        (from, head, by): (CoreId, RequestHead, Reader),
        args: Args<'_>,
        command: &'static Command,
        slices: Box<dyn Slices>,
        lock: Option<LockId>,
    ) {
        let args = keep_args(args);
        self.budget.keep(args.memory_bytes());
        let lock = lock.or_else(|| {
            let scope = self.scope_here(command, args.as_args());
            self.lock_at_once(scope)
        });
        let mut sliced = Sliced {
            from,
            head,
            command,
            args,
            by,
            slices,
            nanos: 0,
        };
        match lock {
            Some(lock) => self.sliced.add(lock, sliced),
            None => {
                while !self.run_slice(&mut sliced) {}
                self.end_slices(&sliced);
            }
        }
    }

    /// Locks what work of this core alone has passed, or a part at its place; `None` if others have it all the same.
    fn lock_at_once(&mut self, scope: Scope) -> Option<LockId> {
        if self.locks.conflicts_in_order(&scope) {
            return None;
        }
        let kind = match self.locks.conflicts(&scope) {
            true => Kind::InOrder,
            false => Kind::Alone,
        };
        self.ask_here(kind, scope, Claimant::Nobody)
    }

    /// Does a slice of a command. Whether any are left, so that the next turn should not wait.
    #[inline]
    pub(super) fn continue_slices(&mut self) -> bool {
        !self.sliced.is_empty() && self.continue_next()
    }

    #[cold]
    fn continue_next(&mut self) -> bool {
        let Some((lock, mut sliced)) = self.sliced.next() else {
            return false;
        };
        self.lease_for_run(SLICE_LEASE_BYTES);
        let before = self.begin_moment_of(lock);
        let is_done = self.run_slice(&mut sliced);
        if is_done {
            self.end_slices(&sliced);
        }
        self.end_moment(before);
        if is_done {
            self.release_locks(lock);
            self.run_granted();
        } else {
            self.sliced.add(lock, sliced);
        }
        !self.sliced.is_empty()
    }

    /// Does the next slice of a command. Whether that was the last, and the answer is given.
    fn run_slice(&mut self, sliced: &mut Sliced) -> bool {
        let began = self.state.timing.begin_apart();
        let options = CallOptions::of(&sliced.head);
        let (command, mut reply) = (sliced.command, Vec::new());
        let progress = {
            let args = sliced.args.as_args();
            let mut call = options.call(&mut self.state, &mut reply, args);
            sliced.slices.go_on(&mut call)
        };
        let is_done = match progress {
            Ok(progress) => progress == Progress::Done,
            Err(error) => {
                fail(
                    &mut self.state,
                    &mut reply,
                    0,
                    command,
                    options.protocol,
                    &error,
                );
                true
            }
        };
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.state.timing.apart(nanos);
        self.state.stats.by_command[command.id.index()].nanos += nanos;
        sliced.nanos += nanos;
        if is_done {
            let write = |out: &mut Vec<u8>| out.extend_from_slice(&reply);
            self.answer(sliced.from, sliced.head.ticket, write);
        }
        is_done
    }

    /// Behind the answer of a command: what is told of it, and who is served by it.
    fn end_slices(&mut self, sliced: &Sliced) {
        let (from, args) = (sliced.from, sliced.args.as_args());
        let asked = (&sliced.head, args);
        self.tell_if_slow(from, asked, sliced.command, sliced.nanos / 1000);
        if self.state.gates & gate::NOTES != 0 {
            self.act_for_request(from, sliced.head.ticket, Tells::Here, sliced.by);
        }
        self.serve_written();
        self.act_on_served(None);
        self.budget.let_go(sliced.args.memory_bytes());
    }
}
