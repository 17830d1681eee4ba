//! Begins commands that may take several turns, and does a step of them in each ([`crate::dispatch::steps`]).

use std::time::Instant;

use crate::command::{Args, Command, Flags, Step, Steps, StepsFn};
use crate::dispatch::core::Core;
use crate::dispatch::core::input::Target;
use crate::dispatch::core::run::{is_timed_apart, nanos_since};
use crate::dispatch::limits::STEP_LEASE_BYTES;
use crate::dispatch::locks::{Kind, Scope};
use crate::dispatch::mail::batch::{Batch, Request};
use crate::dispatch::mail::requests::{Reading, RequestHead, Tells, Ticket, Work};
use crate::dispatch::run::on_shard::{CallOptions, access_of, fail};
use crate::dispatch::run::recipient::{note_write, recipient_of_session};
use crate::dispatch::steps::{InSteps, UnderWay};
use crate::dispatch::transactions::claimant::Claimant;
use crate::observe::Cost;
use crate::resp::{ErrorReply, Reply};
use crate::routing::CoreId;
use crate::session::{ReplySeq, Session, SessionId};

impl Core {
    /// How a command of a request begins that may take several turns: one of a client, by itself, does.
    #[inline]
    pub(super) fn steps_of_request(head: &RequestHead, command: &Command) -> Option<StepsFn> {
        let begin = command.steps?;
        let is_alone = head.locks.is_none()
            && matches!(head.ticket, Ticket::Reply { session, .. } if !session.is_messenger());
        is_alone.then_some(begin)
    }

    /// Runs a command of this core's session, or begins to. If it takes more than a step, the session runs no other until it is
    /// done.
    pub(super) fn run_in_steps(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        (command, begin): (&'static Command, StepsFn),
        target: Target,
        quiet: bool,
    ) {
        let is_timed = is_timed_apart(command, args, session.gates);
        let began = is_timed.then(|| self.state.timing.begin_apart());
        let options = CallOptions {
            db: session.db,
            protocol: session.protocol,
            access: access_of(session),
            first_key: target.first_key,
        };
        let state = &mut self.state;
        let (steps, reply_bytes) = session.output.append(|out| {
            let start = out.len();
            let begun = begin(&mut options.call(state, out, args));
            let steps = begun.unwrap_or_else(|error| {
                fail(state, out, start, command, options.protocol, &error);
                None
            });
            if quiet || steps.is_some() {
                out.truncate(start);
            }
            (steps, out.len() - start)
        });
        let reading = Reading::of(session, command);
        if reading == Reading::Remembered {
            let reader = self.state.reader(session.id);
            self.state.remember(command.spec, &args, reader);
        }
        let Some(steps) = steps else {
            let cost = Cost {
                nanos: self.time_of_first(command, began),
                reply_bytes: reply_bytes as u64,
            };
            self.observe_slow(session, args, command.spec, cost.nanos);
            self.add_costs(command.spec, args, cost);
            return self.observe_reply(session, args, command.spec, reply_bytes);
        };
        let began = began.unwrap_or_else(|| self.state.timing.begin_apart());
        let seq = session.output.expect_if_wanted(!quiet);
        note_write(session, command.spec, seq);
        let ticket = Ticket::Reply {
            session: session.id,
            seq,
        };
        let recipient = recipient_of_session(session, Some(seq), command);
        let head = RequestHead {
            first_key: target.first_key,
            ..recipient.head(ticket, Work::Command(command), None)
        };
        let mut batch = self.outboxes.empty();
        batch.ask_with(head, args, self.lent.as_ref());
        session.at_barrier = true;
        if let Some(lock) = session.granted_lock.take() {
            self.in_steps.lend_lock(lock);
        }
        self.keep_in_steps((self.state.id, true), batch, steps, began);
    }

    /// Runs a command of another core's session, or of one that has a place in the order, or begins to.
    #[cold]
    pub(super) fn run_in_steps_for(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &Request,
        (command, begin): (&'static Command, StepsFn),
    ) {
        let (head, args) = (&request.head, batch.args(request));
        let is_timed = is_timed_apart(command, args, self.state.gates);
        let began = is_timed.then(|| self.state.timing.begin_apart());
        let options = CallOptions::of(head);
        let (state, mut steps) = (&mut self.state, None);
        let answered = self.outboxes.to(from).answer_if(head.ticket, |out| {
            let start = out.len();
            match begin(&mut options.call(state, out, args)) {
                Ok(begun) => steps = begun,
                Err(error) => fail(state, out, start, command, options.protocol, &error),
            }
            steps.is_none()
        });
        if head.reading == Reading::Remembered {
            let reader = head.origin(from);
            self.state.remember(command.spec, &args, reader);
        }
        if let Some(bytes) = answered {
            self.owe(from, head.ticket.session(), bytes);
            let cost = Cost {
                nanos: self.time_of_first(command, began),
                reply_bytes: bytes as u64,
            };
            self.add_costs(command.spec, args, cost);
            return self.tell_cost_of_steps(from, batch, request, cost);
        }
        let began = began.unwrap_or_else(|| self.state.timing.begin_apart());
        let mut alone = self.outboxes.empty();
        alone.ask_as(batch, request);
        let steps = steps.expect("it is not done yet");
        self.keep_in_steps((from, false), alone, steps, began);
    }

    /// Nanoseconds that a command took which is done with its first step; none if it shares its turn's.
    fn time_of_first(&mut self, command: &'static Command, began: Option<Instant>) -> u64 {
        match began {
            Some(began) => self.timed_apart(command, began),
            None => {
                self.state.timing.ran(command.id);
                0
            }
        }
    }

    /// A command of this cost is told of with its answer, if it stands out.
    fn tell_cost_of_steps(&mut self, from: CoreId, batch: &Batch, request: &Request, cost: Cost) {
        if self.state.is_worth_telling(cost)
            && let Work::Command(command) = request.head.work
        {
            let (args, lent) = (batch.args(request), batch.lent_with(request));
            let outbox = self.outboxes.to(from);
            outbox.tell_cost(request.head.ticket, (command, cost), args, lent);
        }
    }

    /// Keeps what goes on in the next turn, and locks its keys. Nobody holds them: it would have waited.
    fn keep_in_steps(
        &mut self,
        (from, is_awaited): (CoreId, bool),
        batch: Box<Batch>,
        steps: Box<dyn Steps>,
        began: Instant,
    ) {
        let weight = batch.memory_bytes();
        batch.weigh(weight);
        self.budget.keep(weight);
        let nanos = nanos_since(began);
        self.state.timing.apart(nanos);
        let lock = self.in_steps.take_lock().unwrap_or_else(|| {
            let scope = self.scope_in_steps(&batch);
            // It passes a reservation only at a place in the order.
            let kind = match self.locks.conflicts(&scope) {
                true => Kind::InOrder,
                false => Kind::Alone,
            };
            let lock = self.ask_here(kind, scope, Claimant::Nobody);
            lock.expect("whoever has to wait does before it begins")
        });
        let held_bytes = steps.held_bytes();
        self.budget.keep(held_bytes);
        let command = InSteps {
            from,
            batch,
            steps,
            lock,
            is_awaited,
            nanos,
            held_bytes,
            is_left: false,
        };
        self.in_steps.add(UnderWay::Command(command));
    }

    /// What a command locks that takes several turns: its keys; on a server of one core others with them that no argument names.
    fn scope_in_steps(&mut self, batch: &Batch) -> Scope {
        let request = &batch.requests()[0];
        match request.head.work {
            Work::Command(command) if self.state.shared.cores() == 1 => {
                self.scope_on_one_core(command, batch.args(request))
            }
            _ => self.scope_of_part(batch, request),
        }
    }

    /// Does a step of a command that takes several turns, if there is one, and some rounds of one that was put off. Whether there is
    /// more to do.
    #[inline]
    pub(super) fn continue_steps(&mut self) -> bool {
        match self.in_steps.next() {
            Some(UnderWay::Command(command)) => self.do_step(command),
            Some(UnderWay::Walk(walk)) => self.do_step_of_walk(walk),
            None => {}
        }
        if let Some(rounds) = self.gathers.next_put_off() {
            self.go_on_gathering(rounds);
        }
        self.has_steps()
    }

    /// Whether something goes on in the next turn.
    #[inline]
    pub(super) fn has_steps(&self) -> bool {
        !self.in_steps.is_empty() || self.gathers.has_put_off()
    }

    fn do_step(&mut self, mut command: InSteps) {
        let InSteps { from, lock, .. } = command;
        let request = *command.request();
        let (head, spec) = (&request.head, command.command().spec);
        let session = head.ticket.session();
        let is_own = from == self.state.id;
        let is_left = command.is_left || is_own && self.state.sessions.get(session).is_none();
        if is_left && spec.flags.has(Flags::READONLY) {
            command.steps.abandon(&mut self.state.shard);
            return self.end_steps(command);
        }
        self.lease_for_run(STEP_LEASE_BYTES);
        let before = self.begin_moment_of(lock);
        let began = self.state.timing.begin_apart();
        let lent = command.batch.lent_with(&request);
        if let Some(buffer) = lent {
            self.state.shard.lend(buffer);
        }
        let mut out = Vec::new();
        let args = command.batch.args(&request);
        let mut call = CallOptions::of(head).call(&mut self.state, &mut out, args);
        let step = command.steps.next(&mut call);
        if lent.is_some() {
            self.state.shard.end_lending();
        }
        let nanos = nanos_since(began);
        self.state.timing.apart(nanos);
        command.nanos += nanos;
        if let Ok(Step::More) = step {
            if spec.flags.has(Flags::WRITE) {
                // What it has changed already is told as its own.
                self.act_behind(from, &command.batch, head, Tells::Here);
            }
            self.end_moment(before);
            self.budget.let_go(command.held_bytes);
            command.held_bytes = command.steps.held_bytes();
            self.budget.keep(command.held_bytes);
            return self.in_steps.add(UnderWay::Command(command));
        }
        self.answer_in_steps(&command, step, out);
        self.act_behind(from, &command.batch, head, Tells::Here);
        self.end_moment(before);
        self.end_steps(command);
    }

    /// A command is done that took several turns: its reply is what the last step came to, or what that wrote.
    fn answer_in_steps(
        &mut self,
        command: &InSteps,
        step: Result<Step, ErrorReply>,
        mut out: Vec<u8>,
    ) {
        let (from, request, called) = (command.from, command.request(), command.command());
        let pieces = match step {
            Ok(Step::Reply(pieces)) => pieces,
            Ok(_) => vec![out],
            Err(error) => {
                out.clear();
                Reply::new(&mut out, request.head.protocol).error(&error);
                self.count_failure(&error, called);
                vec![out]
            }
        };
        self.state.stats.ran(called.id, 1, command.nanos);
        let reply_bytes = pieces.iter().map(Vec::len).sum::<usize>();
        let cost = Cost {
            nanos: command.nanos,
            reply_bytes: reply_bytes as u64,
        };
        let args = command.batch.args(request);
        self.add_costs(called.spec, args, cost);
        let Ticket::Reply { session, seq } = request.head.ticket else {
            unreachable!("it is a client's, by itself")
        };
        if from == self.state.id {
            self.fill_in_pieces(session, seq, pieces);
            if let Some(mut session) = self.state.sessions.take_out(session) {
                self.observe_slow(&session, args, called.spec, cost.nanos);
                self.observe_reply(&session, args, called.spec, reply_bytes);
                session.at_barrier &= !command.is_awaited;
                self.look_again(session);
            }
            return;
        }
        // While the batch has room.
        self.tell_cost_of_steps(from, &command.batch, request, cost);
        let outbox = self.outboxes.to(from);
        let bytes = outbox.answer_in_pieces(request.head.ticket, pieces);
        self.owe(from, session, bytes);
    }

    /// Gives back what a command had that takes several turns: its lock, and its arguments.
    fn end_steps(&mut self, command: InSteps) {
        self.budget.let_go(command.held_bytes);
        self.release_locks(command.lock);
        self.keep_spare(command.batch);
    }

    /// The reply to a command, in pieces.
    pub(super) fn fill_in_pieces(
        &mut self,
        session: SessionId,
        seq: ReplySeq,
        pieces: Vec<Vec<u8>>,
    ) {
        self.fill_reply_by(session, |output| output.fill_with(seq, pieces));
    }
}
