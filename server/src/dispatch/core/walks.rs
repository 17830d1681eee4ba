//! Commands on all keys whose parts take several turns of each core ([`crate::dispatch::steps`]): begins this core's part, and does a step
//! of it in each.

use crate::command::{Args, Command, CoreCall, Walk};
use crate::dispatch::core::Core;
use crate::dispatch::gather::Finish;
use crate::dispatch::limits::STEP_LEASE_BYTES;
use crate::dispatch::mail::requests::{RequestHead, Ticket, Work};
use crate::dispatch::run::recipient::recipient_of_reply;
use crate::dispatch::steps::{InWalk, UnderWay};
use crate::routing::CoreId;
use crate::session::{Session, SessionId};

/// A core's part of a reply, in pieces.
type Part = Vec<Vec<u8>>;

impl Core {
    /// How the part begins that a request asks for, if it may take several turns: what an `EXEC` or a script asks for is done at once.
    #[inline]
    pub(super) fn walk_of_request(head: &RequestHead, command: &Command) -> Option<Walk> {
        let is_alone = head.locks.is_none() && !head.ticket.session().is_messenger();
        command.spec.walk.filter(|_| is_alone)
    }

    /// Has these cores do their parts, of a command that needs no place in the order, or has no other core to agree with.
    pub(super) fn walk_on(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        (command, walk): (&'static Command, Walk),
        cores: Vec<CoreId>,
        quiet: bool,
    ) {
        let recipient = recipient_of_reply(session, command, quiet);
        let gather = self.begin_gather(recipient, args, Finish::Pieces(walk.merge), cores.len());
        for (part, core) in cores.into_iter().enumerate() {
            let ticket = Ticket::Part {
                session: recipient.session,
                gather,
                part: part as u32,
            };
            let head = recipient.head(ticket, Work::Each(command), None);
            if core == self.state.id {
                if let Some(done) = self.begin_walk(core, args, &head, (command, walk)) {
                    self.put_part_in_pieces(gather, part as u32, done);
                }
            } else {
                self.state.stats.hops += 1;
                self.outboxes.to(core).ask(head, args.iter_from(0));
            }
        }
        self.finish_if_complete(gather as usize, Some(session));
    }

    /// Begins this core's part with its first step. The part, if that is all; else it goes on in later turns, and is answered then.
    pub(super) fn begin_walk(
        &mut self,
        from: CoreId,
        args: Args<'_>,
        head: &RequestHead,
        (command, walk): (&'static Command, Walk),
    ) -> Option<Part> {
        let mut out = Vec::new();
        let begun = (walk.begin)(&mut CoreCall {
            core: &mut self.state,
            asking: None,
            asking_client_id: head.client_id,
            reader: None,
            db: head.db,
            protocol: head.protocol,
            args,
            out: &mut out,
            handed: &[],
            hands: &mut Vec::new(),
        });
        let Some(mut walking) = begun else {
            return Some(vec![out]);
        };
        let part = walking.next(&mut self.state);
        if part.is_none() {
            let held_bytes = walking.held_bytes();
            self.budget.keep(held_bytes);
            self.in_steps.add(UnderWay::Walk(InWalk {
                from,
                ticket: head.ticket,
                command,
                walking,
                nanos: 0,
                held_bytes,
                is_left: false,
            }));
        }
        part
    }

    /// Does a step of this core's part of a command.
    pub(super) fn do_step_of_walk(&mut self, mut walk: InWalk) {
        let (from, session) = (walk.from, walk.ticket.session());
        let is_own = from == self.state.id;
        self.budget.let_go(walk.held_bytes);
        if walk.is_left || is_own && self.state.sessions.get(session).is_none() {
            walk.walking.abandon(&mut self.state.shard);
            return self.answer_walk(from, walk.ticket, Part::new());
        }
        self.lease_for_run(STEP_LEASE_BYTES);
        let began = self.state.timing.begin_apart();
        let part = walk.walking.next(&mut self.state);
        walk.nanos += self.timed_step(walk.command, began);
        if let Some(part) = part {
            if let Ticket::Part { gather, .. } = walk.ticket
                && is_own
            {
                self.gathers.note_time(gather as usize, walk.nanos);
            }
            return self.answer_walk(from, walk.ticket, part);
        }
        walk.held_bytes = walk.walking.held_bytes();
        self.budget.keep(walk.held_bytes);
        self.in_steps.add(UnderWay::Walk(walk));
    }

    /// Answers with a part, which is empty if nobody waits for it.
    pub(super) fn answer_walk(&mut self, to: CoreId, ticket: Ticket, part: Part) {
        let bytes = self.outboxes.to(to).answer_in_pieces(ticket, part);
        self.owe(to, ticket.session(), bytes);
    }

    /// A session has gone that is owed replies: other cores need not go on reading for it.
    #[cold]
    pub(super) fn leave(&mut self, session: SessionId) {
        for core in self.outboxes.cores() {
            if core != self.state.id {
                let head = RequestHead::of(Ticket::Discard { session }, Work::Leave);
                self.outboxes.to(core).ask(head, std::iter::empty());
            }
        }
    }
}
