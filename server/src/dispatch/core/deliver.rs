//! Takes the batches of other cores: their answers go to the slots kept for them, their requests run here.

use std::time::Instant;

use larder_engine::KeyAhead;

use crate::command::{Args, Command, CoreCall, Handed, Run};
use crate::dispatch::core::Core;
use crate::dispatch::core::memory::waiting::Room;
use crate::dispatch::core::run::{is_timed_apart, nanos_since};
use crate::dispatch::core::uncounted::command_of;
use crate::dispatch::limits::RUN_COMMANDS;
use crate::dispatch::locks::Kind;
use crate::dispatch::mail::backlog::Unrun;
use crate::dispatch::mail::batch::{Batch, Request};
use crate::dispatch::mail::requests::{
    Counts, Held, QueuedCommands, Reading, RequestHead, Tells, Then, Ticket, Watch, Work,
};
use crate::dispatch::run::on_shard::{CallOptions, run_command_on_shard};
use crate::dispatch::scripts::placement::hash_of_first_key;
use crate::dispatch::transactions::scopes::is_change_of_all;
use crate::observe::Cost;
use crate::resp::Reply;
use crate::routing::CoreId;
use crate::session::{Session, SessionId, gate};

impl Core {
    /// A batch from another core: its answers take their places, its requests run here.
    pub fn deliver(&mut self, from: CoreId, mut batch: Box<Batch>) {
        self.notice_config();
        self.take_in(from, &batch);
        self.note_heard(from, batch.position());
        for credit in batch.credits() {
            let aside = self.debts.credit(from, credit.session, credit.bytes);
            if let Some(aside) = aside {
                self.backlog.add_first(from, aside);
            }
        }
        self.take_answers(from, &mut batch);
        self.state.pass_to_monitors(batch.monitor_lines());
        let of_copies = batch.take_copy_messages();
        if !of_copies.is_empty() {
            self.take_copy_messages(from, of_copies);
        }
        self.backlog.add(from, batch);
        self.run_backlog();
        self.bound_clients_behind_batch();
        self.run_granted();
    }

    /// Takes in a batch's answers.
    pub(super) fn take_answers(&mut self, from: CoreId, batch: &mut Batch) {
        for (gather, entries) in batch.take_handed_back() {
            self.count_where_they_arrive(batch, &entries);
            self.gathers.hand(gather, entries);
        }
        for events in batch.events() {
            self.take_events(events.ticket, batch.bytes(events));
        }
        for answer in batch.answers() {
            self.take_answer(from, answer.ticket, batch.bytes(answer));
        }
        for (ticket, pieces) in batch.take_in_pieces() {
            self.take_in_pieces(from, ticket, pieces);
        }
        for costly in batch.costly() {
            self.observe_hop(&costly);
        }
    }

    /// Answers a request of a session of core `to`.
    pub(super) fn answer(&mut self, to: CoreId, ticket: Ticket, write: impl FnOnce(&mut Vec<u8>)) {
        let bytes = self.outboxes.to(to).answer(ticket, write);
        self.owe(to, ticket.session(), bytes);
    }

    /// The session owes so much more, if the answer is large and another core's.
    #[inline]
    pub(super) fn owe(&mut self, to: CoreId, session: SessionId, bytes: usize) {
        if to != self.state.id {
            self.debts.owe(to, session, bytes);
        }
    }

    /// Runs what these sessions of core `from` have sent, and what waits for room among the answers.
    pub(super) fn run_backlog_of(&mut self, from: CoreId, sessions: &[SessionId]) {
        for at in 0..self.backlog.len() {
            let Some((mut batch, first)) = self.backlog.lend(at, from) else {
                continue;
            };
            for index in first..batch.requests().len() {
                if sessions.contains(&batch.requests()[index].head.ticket.session()) {
                    let request = batch.take_request(index);
                    let before = self.go_back_to(batch.asked_at(index).0);
                    self.run_or_put_behind(from, &batch, &request);
                    self.return_to(before);
                }
            }
            self.backlog.give_back(at, batch);
        }
    }

    /// Runs a request, unless its keys are locked.
    fn run_or_put_behind(&mut self, from: CoreId, batch: &Batch, request: &Request) {
        let waits = request.head.locks.is_none()
            && !self.locks.is_empty()
            && self.is_put_behind_locks(Kind::Alone, from, batch, request);
        if !waits {
            self.run_request(from, batch, request);
        }
    }

    /// Runs what was set aside of a session, now rather than when its client has taken what it is owed. What needs keys that are locked
    /// waits for them.
    pub(super) fn run_aside(&mut self, from: CoreId, aside: Box<Batch>) {
        let bytes = aside.memory_bytes();
        self.lease_for_run(bytes);
        for request in aside.requests() {
            if !self.refuses_request(from, &aside, request, bytes) {
                self.run_or_put_behind(from, &aside, request);
            }
        }
        self.keep_spare(aside);
    }

    /// Tells core `to` that so many bytes of its large answers are where they belong.
    pub(super) fn give_credit(&mut self, to: CoreId, session: SessionId, bytes: u64) {
        self.outboxes.to(to).give_credit(session, bytes);
    }

    /// Tells other cores of the session's large answers that stand among its ready replies, unless there are too many of
    /// these.
    #[inline]
    pub(super) fn give_credits(&mut self, session: &mut Session) {
        if !session.large_answers.is_empty() && !session.is_above_high_water() {
            self.give_credits_for_ready(session);
        }
    }

    #[cold]
    fn give_credits_for_ready(&mut self, session: &mut Session) {
        let output = &session.output;
        for answer in session.large_answers.take(|seq| output.is_ready(seq)) {
            self.give_credit(answer.from, session.id, answer.bytes);
        }
    }

    /// Runs the requests that waited for room among the answers: each core's in their order, and none waits for the
    /// answers to another core.
    #[inline]
    pub(super) fn run_backlog(&mut self) {
        if !self.backlog.is_empty() {
            self.run_whole_backlog();
        }
    }

    #[inline(never)]
    fn run_whole_backlog(&mut self) {
        let mut stopped = Vec::new();
        for _ in 0..self.backlog.len() {
            let Some(Unrun { from, batch, first }) = self.backlog.next() else {
                return;
            };
            // What waits is overtaken by nothing that came later.
            let first = match stopped.contains(&from) {
                true => first,
                false => self.run_requests(from, &batch, first),
            };
            if first < batch.requests().len() {
                stopped.push(from);
                self.backlog.put_back(Unrun { from, batch, first });
            } else {
                self.budget.note_ran(from, batch.request_bytes());
                self.keep_spare(batch);
            }
        }
    }

    /// Entries that came with a batch are where they were to go: what is leased for them counts there, and in the batch no more.
    fn count_where_they_arrive(&mut self, batch: &Batch, entries: &[Handed]) {
        let weight = entries.iter().map(Handed::weight).sum::<usize>();
        self.budget.let_go(batch.unweigh(weight));
    }

    /// A batch is done with: it is emptied, and kept for reuse.
    pub(super) fn keep_spare(&mut self, mut batch: Box<Batch>) {
        for buffer in batch.take_buffers() {
            self.state.shard.bury(buffer);
        }
        self.budget.let_go(batch.weight());
        self.outboxes.keep(batch);
    }

    /// Runs the batch's requests from `first` on until there are too many bytes of answers. Returns how many have run.
    ///
    /// They are judged by the time at which they were asked for: what its session did afterwards, elsewhere and perhaps sooner,
    /// had no earlier one.
    fn run_requests(&mut self, from: CoreId, batch: &Batch, first: usize) -> usize {
        let mut done = first;
        while done < batch.requests().len() {
            let (time, until) = batch.asked_at(done);
            let before = self.go_back_to(time);
            done = self.run_some_requests(from, batch, (done, until));
            self.return_to(before);
            if done < until {
                break;
            }
        }
        done
    }

    /// As [`Self::run_requests`], those from `first` to before `until`.
    fn run_some_requests(
        &mut self,
        from: CoreId,
        batch: &Batch,
        (first, until): (usize, usize),
    ) -> usize {
        let mut done = first;
        for run in batch.requests()[first..until].chunks(RUN_COMMANDS) {
            let run_bytes = batch.run_bytes(done, run.len());
            self.lease_for_run(run_bytes);
            let at_most = self.answers_at_most();
            self.bring_near(batch, run);
            if let Some(at) = self.state.observed.hot_keys.pass(run.len()) {
                self.sample_request(batch, &run[at]);
            }
            for request in run {
                let is_full = self.outboxes.for_core(from).holds_more_than(at_most);
                if is_full || self.has_no_room_for_notes() {
                    return done;
                }
                if request.head.locks.is_none() && self.waits_its_turn(from, batch, request) {
                    done += 1;
                    continue;
                }
                match self.room_for_request(from, batch, request, run_bytes) {
                    Room::There => self.run_request(from, batch, request),
                    Room::Later => return done,
                    Room::Nowhere => {}
                }
                done += 1;
            }
            self.expire_what_is_paid(None);
        }
        done
    }

    /// Brings the entries of requests near, [`RUN_COMMANDS`] at most.
    #[inline]
    pub(in crate::dispatch::core) fn bring_near(&mut self, batch: &Batch, run: &[Request]) {
        let mut keys = [KeyAhead::default(); RUN_COMMANDS];
        let mut known = 0;
        for request in run {
            let command = match request.head.work {
                Work::Command(command) => Some(command),
                _ => None,
            };
            let hash = match request.head.work {
                _ if request.head.first_key.is_known() => Some(request.head.first_key.hash()),
                Work::Command(command) => {
                    hash_of_first_key(&self.state, command, batch.args(request))
                }
                _ => None,
            };
            if let Some(hash) = hash {
                let writes = command.is_some_and(|command| command.writes_whole);
                keys[known] = KeyAhead { hash, writes };
                known += 1;
            }
        }
        if KeyAhead::are_worth_it(&keys[..known]) {
            self.state.shard.prefetch(run[0].head.db, &keys[..known]);
        }
    }

    /// Notes the key of a command for another core's session.
    #[cold]
    fn sample_request(&mut self, batch: &Batch, request: &Request) {
        if let Work::Command(command) = request.head.work {
            let RequestHead { db, first_key, .. } = request.head;
            self.sample(db, command, batch.args(request), first_key);
        }
    }

    /// Whether a request may not run yet; it is kept until it may.
    #[inline]
    fn waits_its_turn(&mut self, from: CoreId, batch: &Batch, request: &Request) -> bool {
        let is_of_locks = !matches!(
            request.head.work,
            Work::Command(_) | Work::Part(_) | Work::Exec(_)
        );
        !is_of_locks
            && (self.state.gates & gate::BUSY != 0
                && self.refuse_request_while_busy(from, &request.head)
                || !self.debts.is_empty() && self.set_aside(from, batch, request)
                || !self.locks.is_empty()
                    && self.is_put_behind_locks(Kind::Alone, from, batch, request))
    }

    /// Sets a request aside if its session owes too much. Whether it did.
    pub(super) fn set_aside(&mut self, from: CoreId, batch: &Batch, request: &Request) -> bool {
        let bytes = self.debts.set_aside(from, batch, request);
        self.budget.keep(bytes.unwrap_or(0));
        bytes.is_some()
    }

    /// Runs a request. If its arguments stand in a buffer that came with the batch, a large value may be taken from there.
    pub(super) fn run_request(&mut self, from: CoreId, batch: &Batch, request: &Request) {
        let lent = batch.lent_with(request);
        if let Some(buffer) = lent {
            self.state.shard.lend(buffer);
        }
        match request.head.locks {
            None => {
                self.do_work(from, batch, request);
                self.act_behind(from, batch, &request.head, Tells::Here);
            }
            Some(locks) => self.run_under_locks(from, batch, request, locks),
        }
        if lent.is_some() {
            self.state.shard.end_lending();
        }
    }

    /// Runs a request under locks of the shard, which its transaction holds.
    #[inline(never)]
    fn run_under_locks(&mut self, from: CoreId, batch: &Batch, request: &Request, locks: Held) {
        let head = &request.head;
        let before = self.begin_moment_of(locks.id);
        let uncounted =
            (locks.counts == Counts::Before).then(|| self.begin_uncounted(command_of(head.work)));
        let has_undo = !self.undos.is_empty() && self.enter_undo(locks.id, head.work);
        self.do_work(from, batch, request);
        if let Some(uncounted) = uncounted {
            self.end_uncounted(uncounted);
        }
        if has_undo {
            if locks.tells == Tells::Asker {
                self.send_held_events(from, head.ticket);
            }
            self.lay_undo_aside(locks.id, batch.origin(head, from));
        }
        self.act_behind(from, batch, head, locks.tells);
        self.end_moment(before);
        if locks.then == Then::Release {
            self.release_locks(locks.id);
        }
    }

    /// Does what a request asks for, and answers.
    #[inline(always)]
    fn do_work(&mut self, from: CoreId, batch: &Batch, asked: &Request) {
        let args = batch.args(asked);
        let request = &asked.head;
        match request.work {
            Work::Lock(index) => self.lock_for(from, request.ticket, batch.lock_request(index)),
            Work::Unlock => {}
            Work::Leave => self.in_steps.leave(from, request.ticket.session()),
            Work::Clear => self.begin_clearing(from, request.ticket),
            Work::Cut => self.cut(),
            Work::Undo => request.locks.iter().for_each(|locks| self.undo(locks.id)),
            Work::Each(command) if let Some(walk) = Self::walk_of_request(request, command) => {
                let part = self.begin_walk(from, args, request, (command, walk));
                if let Some(part) = part {
                    self.answer_walk(from, request.ticket, part);
                }
            }
            Work::Each(_) => {
                let mut answer = self.run_each(from, args, request);
                self.answer_unblock_now(&mut answer);
                self.answer(from, request.ticket, |out| out.extend_from_slice(&answer));
            }
            Work::Exec(queued) => self.run_exec_for(from, batch, request, queued),
            Work::Await(index) => {
                let wait = batch.wait_request(index).clone();
                self.queue_wait(from, request, wait, args);
            }
            Work::Wait(number, step) => {
                self.step_wait(number, step, request.locks.map(|locks| locks.id));
            }
            Work::Command(command) => match Self::steps_of_request(request, command) {
                None => self.run_command_for(from, args, request, command),
                Some(begin) => self.run_in_steps_for(from, batch, asked, (command, begin)),
            },
            Work::Part(run) => {
                let state = &mut self.state;
                let (handed, mut hands) = (batch.handed_with(asked), Vec::new());
                let outbox = self.outboxes.to(from);
                let bytes = outbox.answer(request.ticket, |out| {
                    run(&mut CoreCall {
                        core: state,
                        asking: None,
                        asking_client_id: request.client_id,
                        reader: request.reading.reader(request.origin(from)),
                        db: request.db,
                        protocol: request.protocol,
                        args,
                        out,
                        handed,
                        hands: &mut hands,
                    });
                });
                if !hands.is_empty() {
                    outbox.hand_back(request.ticket, hands);
                }
                if !handed.is_empty() {
                    self.count_where_they_arrive(batch, handed);
                }
                self.owe(from, request.ticket.session(), bytes);
            }
        }
    }

    /// Behind the work of a request: what is told of it, and who is served by it.
    #[inline(always)]
    pub(super) fn act_behind(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &RequestHead,
        tells: Tells,
    ) {
        if self.state.gates & gate::NOTES != 0 {
            let by = batch.origin(request, from);
            self.act_for_request(from, request.ticket, tells, by);
        }
        self.serve_written();
        self.act_on_served(None);
    }

    /// Runs a core's part of a command on the keyspace as a whole.
    fn run_each(&mut self, from: CoreId, args: Args<'_>, request: &RequestHead) -> Vec<u8> {
        let each = request.work.core_fn();
        let each = each.expect("such a command runs on every core");
        let mut asking = (from == self.state.id)
            .then(|| self.state.sessions.take_out(request.ticket.session()))
            .flatten();
        let is_change = is_change_of_all(request.work);
        if let Some(session) = asking.as_deref().filter(|_| is_change) {
            self.state.begin_emptying(session);
        }
        let mut out = Vec::new();
        each(&mut CoreCall {
            core: &mut self.state,
            asking: asking.as_deref_mut(),
            asking_client_id: request.client_id,
            reader: request.reading.reader(request.origin(from)),
            db: request.db,
            protocol: request.protocol,
            args,
            out: &mut out,
            handed: &[],
            hands: &mut Vec::new(),
        });
        if let Some(mut session) = asking {
            self.state.end_emptying(&mut session);
            self.state.sessions.put_back(session);
        }
        out
    }

    /// Runs a part that takes effect on all cores at this place, and about which there are no keys. It is answered at once,
    /// unless it has begun a pause, or has yet to learn how a wait ends.
    pub(super) fn run_at_its_place(&mut self, from: CoreId, batch: &Batch, request: &Request) {
        let head = &request.head;
        self.state.pausing.has_begun = false;
        let answer = self.run_each(from, batch.args(request), head);
        if std::mem::take(&mut self.state.pausing.has_begun) {
            self.begin_clearing(from, head.ticket);
        } else if !self.is_unblock_open((from, head.ticket)) {
            self.answer(from, head.ticket, |out| out.extend_from_slice(&answer));
        }
    }

    /// Runs the commands of an `EXEC`, all of whose keys are here, and those its client watches.
    fn run_exec_for(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &RequestHead,
        queued: QueuedCommands,
    ) {
        let is_broken = queued.watched && self.watch_of(request.client_id) == Watch::Broken;
        if queued.watched {
            self.state.shard.watches().end(request.client_id);
        }
        let mut replies = self.exec_memory.take_replies();
        let commands = batch.queued(queued);
        let mut reply = Reply::new(&mut replies, request.protocol);
        if is_broken {
            reply.null_array();
        } else {
            reply.array(commands.len());
            let told = self.begin_exec_here();
            for command in commands {
                self.run_one_for(from, batch, command, &mut replies);
                if self.state.gates & gate::NOTES != 0 {
                    self.act_on_notes(None, Some(request.origin(from)));
                }
            }
            self.end_exec_here(told);
        }
        self.answer(from, request.ticket, |out| out.extend_from_slice(&replies));
        self.exec_memory.keep_replies(replies);
    }

    /// Runs a command of an `EXEC`; its reply is a part of a longer answer.
    fn run_one_for(&mut self, from: CoreId, batch: &Batch, request: &Request, out: &mut Vec<u8>) {
        let Work::Command(command) = request.head.work else {
            unreachable!("an EXEC runs commands")
        };
        let args = batch.args(request);
        let options = CallOptions::of(&request.head);
        let apart = is_timed_apart(command, args, self.state.gates);
        let began = apart.then(Instant::now);
        let start = out.len();
        run_command_on_shard(&mut self.state, out, args, command, options);
        let reply_bytes = (out.len() - start) as u64;
        if request.head.reading == Reading::Remembered {
            let reader = request.head.origin(from);
            self.state.remember(command.spec, &args, reader);
        }
        match began {
            None => self.state.timing.ran(command.id),
            Some(began) => {
                let nanos = self.timed_apart(command, began);
                self.add_costs(command.spec, args, Cost { nanos, reply_bytes });
            }
        }
    }

    /// Runs a command of another core's session. If it stands out, the answer says so: only that core knows the client.
    #[inline(always)]
    fn run_command_for(
        &mut self,
        from: CoreId,
        args: Args<'_>,
        request: &RequestHead,
        command: &'static Command,
    ) {
        if let Run::Script(_) = command.spec.run {
            return self.run_script_for(from, args, request, command);
        }
        if let Ticket::Attempt { .. } = request.ticket {
            return self.attempt_for(from, args, request, command);
        }
        let (options, reading) = (CallOptions::of(request), request.reading);
        // A part of a spread command is no call of its own.
        let is_part = matches!(request.ticket, Ticket::Part { .. });
        let tells_costs = self.state.gates & gate::COSTS != 0;
        let apart = !is_part && is_timed_apart(command, args, self.state.gates) || tells_costs;
        let began = apart.then(Instant::now);
        let state = &mut self.state;
        let bytes = self.outboxes.to(from).answer(request.ticket, |out| {
            run_command_on_shard(state, out, args, command, options)
        });
        if reading == Reading::Remembered {
            let reader = request.origin(from);
            self.state.remember(command.spec, &args, reader);
        }
        self.owe(from, request.ticket.session(), bytes);
        let mut cost = Cost {
            nanos: 0,
            reply_bytes: bytes as u64,
        };
        match began {
            None if is_part => return,
            None => {
                self.state.timing.ran(command.id);
                if cost.reply_bytes < self.state.observed.large_reply_bytes {
                    return;
                }
            }
            Some(began) if is_part => cost.nanos = nanos_since(began),
            Some(began) => cost.nanos = self.timed_apart(command, began),
        }
        self.add_costs(command.spec, args, cost);
        if !is_part {
            self.tell_if_costly(from, args, request, (command, cost));
        }
    }

    /// A command of another core's session is told of with its answer, if it stands out.
    fn tell_if_costly(
        &mut self,
        from: CoreId,
        args: Args<'_>,
        request: &RequestHead,
        (command, cost): (&'static Command, Cost),
    ) {
        let is_heard = !matches!(request.ticket, Ticket::Discard { .. });
        let counts = request.locks.map_or(Counts::Now, |locks| locks.counts);
        if is_heard && counts == Counts::Now && self.state.is_worth_telling(cost) {
            let outbox = self.outboxes.to(from);
            outbox.tell_cost(request.ticket, (command, cost), args, None);
        }
    }
}
