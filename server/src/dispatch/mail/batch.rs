//! What one core sends another in one turn: all commands of all its sessions for that core, all answers it owes, as one
//! message. Buffers are reused: a batch received is emptied and becomes the next one sent.

use std::cell::Cell;
use std::sync::Arc;

use larder_engine::limits::SPAN_MAX_BYTES;
use larder_engine::{Buffer, UnixMillis};

use crate::command::{Args, Command, Handed};
use crate::dispatch::limits::BATCH_HIGH_WATER_BYTES;
use crate::dispatch::mail::copy_message::CopyMessage;
use crate::dispatch::mail::requests::{
    Credit, LockRequest, QueuedCommands, RequestHead, Ticket, WaitRequest, Work,
};
use crate::observe::Cost;
use crate::resp::ArgRange;
use crate::routing::CoreId;
use crate::session::{Reader, SessionId};

/// A turn's messages from one core to another.
#[derive(Debug, Default)]
pub struct Batch {
    requests: Vec<Request>,
    answers: Vec<Answer>,
    /// Large answers of the receiving core that sessions of the sending one have taken.
    credits: Vec<Credit>,
    /// Lines for the monitors of the receiving core.
    monitor_lines: Vec<u8>,
    /// Word of copies of keys.
    copies: Vec<CopyMessage>,
    costly: Vec<CostlyAnswer>,
    /// Replies in pieces, which travel as they are.
    in_pieces: Vec<(Ticket, Vec<Vec<u8>>)>,
    /// Events of requests that the receiving core tells of.
    events: Vec<Answer>,
    /// The commands of its `EXEC`s.
    queued: Vec<Request>,
    lock_requests: Vec<LockRequest>,
    wait_requests: Vec<WaitRequest>,
    /// Bytes of memory for which a lease goes with it; kept, those counted for it.
    weight: Cell<usize>,
    /// What was written on it when it was shipped.
    seal: Seal,
    /// Requests up to these were asked for at an earlier time.
    times: Vec<(u32, UnixMillis)>,
    /// Bytes of its requests.
    request_bytes: i64,
    ranges: Vec<ArgRange>,
    bytes: Vec<u8>,
    /// The messengers of scripts that ask, each with the script's client.
    scripts_of: Vec<(SessionId, Reader)>,
    /// Buffers that hold the arguments of a request each, where these are large.
    lent: Vec<Arc<Buffer>>,
    /// Bytes of those, and of replies in pieces.
    moved_bytes: usize,
    /// Entries that are handed over, those of a request each.
    handed: Vec<Vec<Handed>>,
    /// Entries that are handed over with answers, to the gather of this number, before those are looked at.
    handed_back: Vec<(u32, Vec<Handed>)>,
    /// Bytes of copies of values in either.
    copied_bytes: usize,
    /// What is leased for either.
    handed_weight: usize,
}

/// What is written on a batch when it is shipped: values alone.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Seal {
    /// The end of the sender's last entry in the order.
    pub(in crate::dispatch) stamp: u64,
    /// Where the sender is in the order.
    pub(in crate::dispatch) position: u64,
    /// The time there.
    pub(in crate::dispatch) time: UnixMillis,
    /// The parts of transactions that come behind the batch.
    pub(in crate::dispatch) parts: Option<Box<Batch>>,
    /// Bytes of requests of the receiving core that have run.
    pub(in crate::dispatch) ran_bytes: i64,
}

/// Work for another core: a message, whose values may be read freely.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Request {
    pub(in crate::dispatch) head: RequestHead,
    args: ArgsInBatch,
}

/// Arguments in a batch: where their bytes begin, and which ranges of these they are.
#[derive(Clone, Copy, Debug)]
struct ArgsInBatch {
    start: usize,
    /// A command has fewer than 2^31 arguments, and a full batch takes no further one.
    first_range: u32,
    ranges: u32,
    /// The buffer lent that they begin in; [`NONE`]: they are among the batch's own bytes.
    lent: u32,
    /// The entries handed over with them, or [`NONE`].
    handed: u32,
}

/// No buffer lent, or no entries handed over.
const NONE: u32 = u32::MAX;

/// An answer to another core: a message, whose bytes are the batch's ([`Batch::bytes`]).
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Answer {
    pub(in crate::dispatch) ticket: Ticket,
    start: usize,
    len: usize,
}

/// Word of an answered command that took long, or whose answer is large.
#[derive(Clone, Copy, Debug)]
struct CostlyAnswer {
    ticket: Ticket,
    command: &'static Command,
    cost: Cost,
    args: ArgsInBatch,
}

/// A command that ran on the sending core and took long, or had a large reply.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct CostlyHop<'a> {
    pub(in crate::dispatch) ticket: Ticket,
    pub(in crate::dispatch) command: &'static Command,
    pub(in crate::dispatch) cost: Cost,
    pub(in crate::dispatch) args: Args<'a>,
}

impl Batch {
    /// The time was `time` so far for whoever asked; from now on it is another.
    pub(in crate::dispatch) fn note_time(&mut self, time: UnixMillis) {
        let asked = self.requests.len() as u32;
        let noted = self.times.last().map_or(0, |(until, _)| *until);
        if asked > noted {
            self.times.push((asked, time));
        }
    }

    /// When request `index` was asked for, and the first behind it that was asked for at another time, if any was.
    #[inline]
    pub(in crate::dispatch) fn asked_at(&self, index: usize) -> (UnixMillis, usize) {
        let until = self.times.iter().find(|(until, _)| index < *until as usize);
        match until {
            Some(&(until, time)) => (time, until as usize),
            None => (self.seal.time, self.requests.len()),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
            && self.answers.is_empty()
            && self.in_pieces.is_empty()
            && self.events.is_empty()
            && self.credits.is_empty()
            && self.monitor_lines.is_empty()
            && self.copies.is_empty()
    }

    /// Whether there are requests or answers.
    #[inline]
    pub(in crate::dispatch) fn asks_or_answers(&self) -> bool {
        !self.answers.is_empty() || !self.requests.is_empty() || !self.in_pieces.is_empty()
    }

    /// Empties the batch and keeps its memory, unless it grew large.
    pub fn clear(&mut self) {
        clear(&mut self.requests);
        clear(&mut self.answers);
        clear(&mut self.credits);
        clear(&mut self.copies);
        clear(&mut self.costly);
        clear(&mut self.in_pieces);
        clear(&mut self.events);
        clear(&mut self.times);
        clear(&mut self.queued);
        clear(&mut self.lock_requests);
        clear(&mut self.wait_requests);
        clear(&mut self.scripts_of);
        clear(&mut self.monitor_lines);
        clear(&mut self.ranges);
        clear(&mut self.bytes);
        drop(self.take_buffers());
        self.weight.set(0);
        self.request_bytes = 0;
        self.seal = Seal::default();
    }

    /// The batch is shipped. Bytes of memory for which a lease goes with it: `weight`.
    pub(in crate::dispatch) fn seal(&mut self, seal: Seal, weight: usize) {
        self.seal = seal;
        self.weight.set(weight);
    }

    /// It could not be shipped. Bytes of the receiving core's requests that it was to say have run; bytes of memory for which
    /// a lease was to go with it.
    pub(in crate::dispatch) fn break_seal(&mut self) -> (i64, usize) {
        let ran_bytes = std::mem::take(&mut self.seal.ran_bytes);
        (ran_bytes, self.weight.take())
    }

    /// The end of the sender's last entry in the order, when it was shipped.
    pub(in crate::dispatch) fn stamp(&self) -> u64 {
        self.seal.stamp
    }

    /// Where the sender was in the order then.
    pub(in crate::dispatch) fn position(&self) -> u64 {
        self.seal.position
    }

    /// Bytes of requests of the receiving core that have run.
    #[inline]
    pub(in crate::dispatch) fn ran_bytes(&self) -> i64 {
        self.seal.ran_bytes
    }

    /// Takes the parts of transactions that come behind it.
    pub(in crate::dispatch) fn take_parts(&mut self) -> Option<Box<Self>> {
        self.seal.parts.take()
    }

    /// The parts of transactions that come behind it.
    #[cfg(test)]
    pub(in crate::dispatch) fn parts(&self) -> Option<&Self> {
        self.seal.parts.as_deref()
    }

    /// Bytes of memory for which a lease came with it, or that are counted for it.
    #[inline]
    pub(in crate::dispatch) fn weight(&self) -> usize {
        self.weight.get()
    }

    /// So many more bytes of memory are counted for it.
    pub(in crate::dispatch) fn weigh(&self, bytes: usize) {
        self.weight.set(self.weight.get() + bytes);
    }

    /// What it held of so many bytes is counted elsewhere from now on. The bytes that it was weighed with for them.
    pub(in crate::dispatch) fn unweigh(&self, bytes: usize) -> usize {
        let weight = bytes.min(self.weight.get());
        self.weight.set(self.weight.get() - weight);
        weight
    }

    /// Its requests.
    #[inline(always)]
    pub(in crate::dispatch) fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Bytes of its requests.
    #[inline]
    pub(in crate::dispatch) fn request_bytes(&self) -> i64 {
        self.request_bytes
    }

    /// Its requests have been counted as run: they do not count as under way any more.
    pub(in crate::dispatch) fn forget_under_way(&mut self) {
        self.request_bytes = 0;
    }

    /// Takes out request `index`, which runs before its turn: nothing runs in its place.
    pub(in crate::dispatch) fn take_request(&mut self, index: usize) -> Request {
        let request = self.requests[index];
        let head = &mut self.requests[index].head;
        (head.work, head.locks) = (Work::Unlock, None);
        request
    }

    /// Its answers.
    #[inline]
    pub(in crate::dispatch) fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// So many bytes of large answers of the receiving core stand where they belong, in a session of this one.
    pub(in crate::dispatch) fn give_credit(&mut self, session: SessionId, bytes: u64) {
        self.credits.push(Credit { session, bytes });
    }

    /// Large answers of the receiving core that sessions of the sending one have taken.
    #[inline]
    pub(in crate::dispatch) fn credits(&self) -> &[Credit] {
        &self.credits
    }

    /// Shows lines to the monitors of the receiving core.
    pub(in crate::dispatch) fn show_to_monitors(&mut self, lines: &[u8]) {
        self.monitor_lines.extend_from_slice(lines);
    }

    /// Lines for the monitors of the receiving core.
    #[inline]
    pub(in crate::dispatch) fn monitor_lines(&self) -> &[u8] {
        &self.monitor_lines
    }

    /// Says something of copies of keys.
    pub(in crate::dispatch) fn tell_of_copies(&mut self, message: CopyMessage) {
        self.copies.push(message);
    }

    /// Takes what is said of copies of keys.
    #[inline]
    pub(in crate::dispatch) fn take_copy_messages(&mut self) -> Vec<CopyMessage> {
        std::mem::take(&mut self.copies)
    }

    /// Bytes of memory that the messages take.
    #[inline]
    pub(in crate::dispatch) fn memory_bytes(&self) -> usize {
        let requests = (self.requests.len() + self.queued.len()) * size_of::<Request>();
        let values = self.moved_bytes + self.handed_weight;
        self.bytes.len() + values + self.monitor_lines.len() + requests
    }

    /// Bytes of `count` requests from number `first` on; answers in between are counted in, and all there are if buffers were
    /// lent.
    #[inline]
    pub(in crate::dispatch) fn run_bytes(&self, first: usize, count: usize) -> usize {
        if !self.lent.is_empty() {
            return self.bytes.len() + self.moved_bytes;
        }
        let start = |at: usize| match self.requests.get(at) {
            Some(request) => request.args.start,
            None => self.bytes.len(),
        };
        start(first + count) - start(first)
    }

    /// Adds a request; the bytes it takes.
    pub(in crate::dispatch) fn ask<'a>(
        &mut self,
        head: RequestHead,
        args: impl Iterator<Item = &'a [u8]>,
    ) -> usize {
        self.add(head, args)
    }

    /// As [`Self::ask`], in line: every command that hops comes by here.
    #[inline(always)]
    fn add<'a>(&mut self, head: RequestHead, args: impl Iterator<Item = &'a [u8]>) -> usize {
        let args = self.keep_args(args);
        self.requests.push(Request { head, args });
        let bytes = self.bytes.len() - args.start + size_of::<Request>();
        self.request_bytes += bytes as i64;
        bytes
    }

    /// As [`Self::ask`], with arguments that stand in the buffer `lent`, if there is one.
    #[inline(always)]
    pub(in crate::dispatch) fn ask_with(
        &mut self,
        head: RequestHead,
        args: Args<'_>,
        lent: Option<&Arc<Buffer>>,
    ) -> usize {
        match lent {
            Some(buffer) => self.ask_lending(head, args, buffer),
            None => self.add(head, args.iter_from(0)),
        }
    }

    /// As [`Self::ask`], with arguments that stand in `buffer`. If they are large, it travels as it is.
    #[cold]
    #[inline(never)]
    pub(in crate::dispatch) fn ask_lending(
        &mut self,
        head: RequestHead,
        args: Args<'_>,
        buffer: &Arc<Buffer>,
    ) -> usize {
        let Some(args) = self.lend_args(args, buffer) else {
            return self.ask(head, args.iter_from(0));
        };
        self.requests.push(Request { head, args });
        let bytes = buffer.len() + size_of::<Request>();
        self.request_bytes += bytes as i64;
        bytes
    }

    /// Takes arguments along in the buffer in which they stand, if they are large.
    fn lend_args(&mut self, args: Args<'_>, buffer: &Arc<Buffer>) -> Option<ArgsInBatch> {
        let is_large = args.span_bytes() > SPAN_MAX_BYTES;
        let start = buffer.position_of(args.input()).filter(|_| is_large)?;
        let first_range = self.ranges.len();
        self.ranges.extend_from_slice(args.ranges());
        let lent = self.lent.len() as u32;
        self.lent.push(Arc::clone(buffer));
        self.moved_bytes += buffer.len();
        Some(ArgsInBatch {
            start,
            first_range: first_range as u32,
            ranges: args.len() as u32,
            lent,
            handed: NONE,
        })
    }

    /// Asks what `request` of another batch asks.
    pub(in crate::dispatch) fn ask_as(&mut self, batch: &Self, request: &Request) -> usize {
        let session = request.head.ticket.session();
        if let Some(client) = batch.client_of_script(session) {
            self.name_client(session, client);
        }
        if let Work::Exec(queued) = request.head.work {
            let commands = batch.queued(queued).iter();
            let commands = commands.map(|request| (request.head, batch.args(request)));
            return self.ask_exec(request.head, queued.watched, commands);
        }
        let args = batch.args(request);
        self.ask_with(request.head, args, batch.lent_with(request))
    }

    /// As [`Self::ask`], and hands entries over.
    pub(in crate::dispatch) fn ask_handing<'a>(
        &mut self,
        head: RequestHead,
        args: impl Iterator<Item = &'a [u8]>,
        entries: Vec<Handed>,
    ) {
        self.ask(head, args);
        let request = self.requests.last_mut().expect("just added");
        request.args.handed = self.handed.len() as u32;
        self.request_bytes += self.count_handed(&entries) as i64;
        self.handed.push(entries);
    }

    /// Counts entries that are handed over; the bytes of copies among them.
    fn count_handed(&mut self, entries: &[Handed]) -> usize {
        let copied = entries.iter().map(|entry| entry.image.bytes.copied_bytes());
        let copied = copied.sum::<usize>();
        self.copied_bytes += copied;
        self.handed_weight += entries.iter().map(Handed::weight).sum::<usize>();
        copied
    }

    /// All entries handed over, with requests and answers.
    #[cfg(test)]
    pub(in crate::dispatch) fn all_handed(&self) -> impl Iterator<Item = &Handed> {
        let back = self.handed_back.iter().flat_map(|(_, handed)| handed);
        self.handed.iter().flatten().chain(back)
    }

    /// The entries handed over with a request.
    pub(in crate::dispatch) fn handed_with(&self, request: &Request) -> &[Handed] {
        match request.args.handed {
            NONE => &[],
            handed => &self.handed[handed as usize],
        }
    }

    /// Hands entries over with the answer that was added last.
    pub(in crate::dispatch) fn hand_back(&mut self, ticket: Ticket, entries: Vec<Handed>) {
        let Ticket::Part { gather, .. } = ticket else {
            unreachable!("entries are handed to commands in rounds")
        };
        self.count_handed(&entries);
        self.handed_back.push((gather, entries));
    }

    /// Takes the entries that came with answers, with the gathers they are for.
    pub(in crate::dispatch) fn take_handed_back(&mut self) -> Vec<(u32, Vec<Handed>)> {
        std::mem::take(&mut self.handed_back)
    }

    /// Names the client of the script that asks as `messenger`.
    pub(in crate::dispatch) fn name_client(&mut self, messenger: SessionId, client: Reader) {
        if self.client_of_script(messenger).is_none() {
            self.scripts_of.push((messenger, client));
        }
    }

    fn client_of_script(&self, messenger: SessionId) -> Option<Reader> {
        let mut scripts = self.scripts_of.iter();
        let found = scripts.find(|(other, _)| *other == messenger);
        found.map(|(_, client)| *client)
    }

    /// The session that a request is for, if the batch came from core `from`. For a script's messenger that is the script's client.
    pub(in crate::dispatch) fn origin(&self, head: &RequestHead, from: CoreId) -> Reader {
        let itself = head.origin(from);
        match itself.session.is_messenger() {
            true => self.client_of_script(itself.session).unwrap_or(itself),
            false => itself,
        }
    }

    /// The buffer in which the arguments of `request` stand, if it is none of the batch's own.
    #[inline]
    pub(in crate::dispatch) fn lent_with(&self, request: &Request) -> Option<&Arc<Buffer>> {
        match request.args.lent {
            NONE => None,
            lent => self.lent.get(lent as usize),
        }
    }

    /// Takes the buffers that were lent, or that entries handed over lie in. The entries are gone then.
    pub(in crate::dispatch) fn take_buffers(
        &mut self,
    ) -> impl Iterator<Item = Arc<Buffer>> + use<'_> {
        (self.moved_bytes, self.copied_bytes, self.handed_weight) = (0, 0, 0);
        let handed_back = self.handed_back.drain(..).map(|(_, entries)| entries);
        let handed = self.handed.drain(..).chain(handed_back).flatten();
        self.lent
            .drain(..)
            .chain(handed.filter_map(Handed::into_buffer))
    }

    /// Asks for the commands of an `EXEC` to be run. `head` says for whom; its work is replaced. The bytes it takes.
    pub(in crate::dispatch) fn ask_exec<'a>(
        &mut self,
        head: RequestHead,
        watched: bool,
        commands: impl Iterator<Item = (RequestHead, Args<'a>)>,
    ) -> usize {
        let (first, before) = (self.queued.len(), self.bytes.len());
        for (head, args) in commands {
            let args = self.keep_args(args.iter_from(0));
            self.queued.push(Request { head, args });
        }
        let count = self.queued.len() - first;
        let work = Work::Exec(QueuedCommands {
            first: first as u32,
            count: count as u32,
            watched,
        });
        let bytes = self.bytes.len() - before + count * size_of::<Request>();
        self.request_bytes += bytes as i64;
        bytes + self.ask(RequestHead { work, ..head }, std::iter::empty())
    }

    /// The commands that a request runs.
    pub(in crate::dispatch) fn commands<'a>(
        &'a self,
        request: &'a Request,
    ) -> impl Iterator<Item = &'static Command> + 'a {
        let queued = match request.head.work {
            Work::Exec(queued) => self.queued(queued),
            _ => &[],
        };
        let heads = std::iter::once(request)
            .chain(queued)
            .map(|request| request.head);
        heads.filter_map(|head| match head.work {
            Work::Command(command) | Work::Each(command) => Some(command),
            _ => None,
        })
    }

    /// The commands of an `EXEC`.
    pub(in crate::dispatch) fn queued(&self, queued: QueuedCommands) -> &[Request] {
        &self.queued[queued.first as usize..][..queued.count as usize]
    }

    /// The commands of all its `EXEC`s.
    #[cfg(test)]
    pub(in crate::dispatch) fn all_queued(&self) -> &[Request] {
        &self.queued
    }

    /// Asks for locks. `head` says for whom; its work is replaced. The bytes it takes.
    pub(in crate::dispatch) fn ask_for_locks(
        &mut self,
        head: RequestHead,
        request: LockRequest,
    ) -> usize {
        let index = self.lock_requests.len() as u32;
        self.lock_requests.push(request);
        let head = RequestHead {
            work: Work::Lock(index),
            ..head
        };
        self.ask(head, std::iter::empty())
    }

    /// Says that a session waits. `head` says which; its work is replaced.
    pub(in crate::dispatch) fn ask_to_await<'a>(
        &mut self,
        head: RequestHead,
        request: WaitRequest,
        args: impl Iterator<Item = &'a [u8]>,
    ) {
        let index = self.wait_requests.len() as u32;
        self.wait_requests.push(request);
        let head = RequestHead {
            work: Work::Await(index),
            ..head
        };
        self.ask(head, args);
    }

    /// The word of a wait of this index.
    pub(in crate::dispatch) fn wait_request(&self, index: u32) -> &WaitRequest {
        &self.wait_requests[index as usize]
    }

    /// The request for locks of this index.
    pub(in crate::dispatch) fn lock_request(&self, index: u32) -> &LockRequest {
        &self.lock_requests[index as usize]
    }

    /// Copies arguments into the batch. Those of one command are addressed by 32 bits, as they were in the input they
    /// came from; the batch may hold more, where answers are large.
    #[inline(always)]
    fn keep_args<'a>(&mut self, args: impl Iterator<Item = &'a [u8]>) -> ArgsInBatch {
        let (start, first_range) = (self.bytes.len(), self.ranges.len());
        for arg in args {
            self.ranges.push(ArgRange {
                start: (self.bytes.len() - start) as u32,
                len: arg.len() as u32,
            });
            self.bytes.extend_from_slice(arg);
        }
        ArgsInBatch {
            start,
            first_range: first_range as u32,
            ranges: (self.ranges.len() - first_range) as u32,
            lent: NONE,
            handed: NONE,
        }
    }

    /// Says what a command cost that is answered with this batch. Its arguments stand in the buffer `lent`, if there is one.
    pub(in crate::dispatch) fn tell_cost(
        &mut self,
        ticket: Ticket,
        (command, cost): (&'static Command, Cost),
        args: Args<'_>,
        lent: Option<&Arc<Buffer>>,
    ) {
        if self.is_full() {
            return;
        }
        let args = lent
            .and_then(|buffer| self.lend_args(args, buffer))
            .unwrap_or_else(|| self.keep_args(args.iter_from(0)));
        self.costly.push(CostlyAnswer {
            ticket,
            command,
            cost,
            args,
        });
    }

    /// Says what has happened to keys by the request of `ticket`.
    pub(in crate::dispatch) fn tell_events(&mut self, ticket: Ticket, events: &[u8]) {
        let (start, len) = (self.bytes.len(), events.len());
        self.bytes.extend_from_slice(events);
        self.events.push(Answer { ticket, start, len });
    }

    /// What has happened to keys by requests of the receiving core.
    #[inline]
    pub(in crate::dispatch) fn events(&self) -> &[Answer] {
        &self.events
    }

    pub(in crate::dispatch) fn costly(&self) -> impl Iterator<Item = CostlyHop<'_>> {
        self.costly.iter().map(|costly| CostlyHop {
            ticket: costly.ticket,
            command: costly.command,
            cost: costly.cost,
            args: self.args_at(costly.args),
        })
    }

    /// Adds the answer that `write` makes. Returns its length.
    pub(in crate::dispatch) fn answer(
        &mut self,
        ticket: Ticket,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let start = self.bytes.len();
        write(&mut self.bytes);
        if let Ticket::Discard { .. } = ticket {
            self.bytes.truncate(start);
            return 0;
        }
        let len = self.bytes.len() - start;
        self.answers.push(Answer { ticket, start, len });
        len
    }

    /// Adds a reply in pieces. Its length.
    pub(in crate::dispatch) fn answer_in_pieces(
        &mut self,
        ticket: Ticket,
        pieces: Vec<Vec<u8>>,
    ) -> usize {
        let bytes = pieces.iter().map(Vec::len).sum();
        self.moved_bytes += bytes;
        self.in_pieces.push((ticket, pieces));
        bytes
    }

    /// Takes the replies in pieces.
    pub(in crate::dispatch) fn take_in_pieces(&mut self) -> Vec<(Ticket, Vec<Vec<u8>>)> {
        std::mem::take(&mut self.in_pieces)
    }

    /// Adds the answer that `write` makes, if it says that this is one. Its length.
    pub(in crate::dispatch) fn answer_if(
        &mut self,
        ticket: Ticket,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> Option<usize> {
        let start = self.bytes.len();
        if !write(&mut self.bytes) {
            self.bytes.truncate(start);
            return None;
        }
        let len = self.bytes.len() - start;
        self.answers.push(Answer { ticket, start, len });
        Some(len)
    }

    pub(in crate::dispatch) fn args(&self, request: &Request) -> Args<'_> {
        self.args_at(request.args)
    }

    #[inline(always)]
    fn args_at(&self, kept: ArgsInBatch) -> Args<'_> {
        let ranges = &self.ranges[kept.first_range as usize..][..kept.ranges as usize];
        let bytes = match kept.lent {
            NONE => &self.bytes,
            lent => self.lent[lent as usize].bytes(),
        };
        Args::new(&bytes[kept.start..], ranges)
    }

    pub(in crate::dispatch) fn bytes(&self, answer: &Answer) -> &[u8] {
        &self.bytes[answer.start..answer.start + answer.len]
    }

    /// Whether the batch holds as much as one should.
    #[inline]
    pub(in crate::dispatch) fn is_full(&self) -> bool {
        self.holds_more_than(BATCH_HIGH_WATER_BYTES)
    }

    /// Whether it holds more than so many bytes, however they are held.
    #[inline]
    pub(in crate::dispatch) fn holds_more_than(&self, bytes: usize) -> bool {
        self.bytes.len() + self.moved_bytes + self.copied_bytes > bytes
    }
}

/// Empties a vector and gives its memory back if that is much.
fn clear<T>(vector: &mut Vec<T>) {
    const KEPT_BYTES: usize = 1 << 18;
    vector.clear();
    if vector.capacity() * size_of::<T>() > KEPT_BYTES {
        *vector = Vec::new();
    }
}
