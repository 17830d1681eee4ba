//! A session's bytes become commands: parsed in place a run at a time, hashed and prefetched together, run in order.

use std::sync::Arc;

use larder_engine::{Buffer, DbIndex, FieldAhead, Intent, KeyAhead, MemberAhead};

use crate::command::closing::{self, Excess};
use crate::command::{Args, Command, FieldUse, FirstKey, Flags};
use crate::dispatch::core::Core;
use crate::dispatch::core::execute::Executed;
use crate::dispatch::core::memory::waiting::OwedFrom;
use crate::dispatch::limits::{RUN_COMMANDS, SCRATCH_RANGES};
use crate::dispatch::run::kept_args::keep;
use crate::dispatch::scripts::placement::hash_of_first_key;
use crate::observe::Use;
use crate::resp::{ArgRange, ErrorReply, Parsed, Parser, ProtocolError, ProtocolLimits, errors};
use crate::routing::CoreId;
use crate::session::{Closing, Query, Session, SessionId};

/// A command parsed but not yet run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    command: Option<&'static Command>,
    target: Target,
    /// Its arguments, as a range of the run's argument ranges.
    first_arg: u32,
    end_arg: u32,
    /// Where the input goes on behind it.
    end: usize,
}

/// Where the first key of a command lives, found out ahead of running it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) core: CoreId,
    pub(super) first_key: FirstKey,
}

/// Memory of the parsing loop, kept from run to run.
#[derive(Debug, Default)]
pub(super) struct InputScratch {
    ahead: Vec<Ahead>,
    ranges: Vec<ArgRange>,
    keys: Vec<KeyAhead>,
    /// Those of `ahead` that name a field of a key of this core.
    fields: Vec<u32>,
}

/// Why parsing stopped.
enum Stop {
    /// The run is full.
    Full,
    /// The rest is no whole command yet.
    Incomplete,
    /// An inline command with quotes comes next, already taken apart.
    Inline(Vec<Vec<u8>>),
    /// What comes next is no command.
    Invalid(ProtocolError),
}

impl Core {
    /// Bytes of a client, in order. Whole commands run at once; what is left is kept.
    pub fn receive(&mut self, id: SessionId, bytes: &[u8]) {
        self.catch_up();
        self.notice_config();
        let Some(mut session) = self.state.sessions.take_out(id) else {
            return;
        };
        self.state.stats.received_bytes += bytes.len() as u64;
        self.state.stats.reads += 1;
        session.last_heard_ms = self.state.clock.monotonic_ms();
        if session.closing == Closing::No {
            if session.has_unread() || session.is_stalled() || session.executing.is_some() {
                if self.keep_unread(&mut session, bytes) {
                    // As in Redis a command that takes more than all clients may hold does not run.
                    if session.holds_much() {
                        self.weigh(&mut session);
                    }
                    self.run_unread(&mut session);
                }
            } else {
                let used = self.run_input(&mut session, bytes);
                if session.closing == Closing::No && used < bytes.len() {
                    self.keep_unread(&mut session, &bytes[used..]);
                }
            }
        }
        self.settle(&mut session);
        self.state.sessions.put_back(session);
    }

    /// Keeps bytes for later. Without memory for them, which only a large argument needs much of, the client is told so and
    /// the connection closes: false.
    fn keep_unread(&mut self, session: &mut Session, bytes: &[u8]) -> bool {
        let is_kept = session.push_unread(bytes);
        if !is_kept {
            self.refuse(session, &errors::OUT_OF_MEMORY);
            session.closing = Closing::AfterReplies;
        }
        is_kept
    }

    /// Runs what the session has received and not yet run.
    pub(super) fn run_unread(&mut self, session: &mut Session) {
        // An `EXEC` holds locks, and is all or nothing: whether the client takes its replies, or is still there, is no matter.
        if session.executing.is_some() && !session.at_barrier {
            self.go_on_executing(session);
        }
        if session.is_stalled() {
            return;
        }
        match session.take_unread() {
            (Query::Bytes(bytes), at) => {
                let used = self.run_input(session, &bytes[at..]);
                session.return_unread(bytes, at + used);
            }
            (Query::Buffer(buffer), at) => self.run_large(session, buffer, at),
        }
    }

    /// Runs a command with a large argument, which stands in a buffer of its own: where the argument becomes a value, here
    /// or on another core, the buffer becomes part of that core's shard.
    #[cold]
    fn run_large(&mut self, session: &mut Session, buffer: Arc<Buffer>, at: usize) {
        self.state.shard.lend(&buffer);
        let outer = self.lent.replace(Arc::clone(&buffer));
        let used = self.run_input(session, &buffer.bytes()[at..]);
        self.lent = outer;
        self.state.shard.end_lending();
        if let Some(used_up) = session.return_buffer(buffer, at + used) {
            self.state.shard.bury(used_up);
        }
    }

    /// After a session ran: limits, and word to the runtime.
    pub(super) fn settle(&mut self, session: &mut Session) {
        let config = &self.state.config;
        if session.unread_bytes() as u64 > config.client_query_buffer_limit_bytes {
            closing::close(session, Excess::Query, &mut self.state.stats);
        }
        let limit = session.output_limit(&config.client_output_buffer_limit);
        closing::close_beyond(session, limit, &mut self.state.stats);
        if session.holds_much() {
            let was_held_back = session.is_held_back();
            self.give_credits(session);
            self.weigh(session);
            if was_held_back && !session.is_held_back() {
                self.run_queue.push(session.id);
            }
        }
        self.budget.note_session_ran();
        if session.input_ended && session.closing == Closing::No {
            if session.is_blocked() {
                session.closing = Closing::Now;
            } else if !session.is_stalled() {
                session.closing = Closing::AfterReplies;
            }
        }
        self.state.dirty.push(session.id);
    }

    /// Looks again at sessions that waited for something. Whether there are any.
    #[inline]
    pub(super) fn resume_stalled(&mut self) -> bool {
        let are_any = !self.run_queue.is_empty();
        match are_any {
            true => self.resume_each_waiting(),
            false => self.run_queue.forget_look(),
        }
        are_any
    }

    #[inline(never)]
    fn resume_each_waiting(&mut self) {
        let mut waiting = self.run_queue.take();
        for id in waiting.drain(..) {
            let Some(mut session) = self.state.sessions.take_out(id) else {
                continue;
            };
            session.stalled_for_room = false;
            self.run_unread(&mut session);
            self.settle(&mut session);
            let is_over = session.connection_closed;
            self.state.sessions.put_back(session);
            if is_over {
                self.closed(id);
            }
        }
        self.run_queue.end_look(waiting);
    }

    /// Runs the whole commands at the beginning of `input` until none is left or the session stalls. Returns the number
    /// of bytes they took.
    fn run_input(&mut self, session: &mut Session, input: &[u8]) -> usize {
        if !session.output.has_buffer()
            && let Some(buffer) = self.buffers.take()
        {
            session.output.give_buffer(buffer);
        }
        if self.client_memory.are_short() {
            session.gets_little(self.turn);
        }
        let Some(owed_from) = self.may_be_owed(session) else {
            return 0;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut used = 0;
        loop {
            let mut at = used;
            let stop = self.parse_run(session, input, &mut at, &mut scratch);
            self.lease_for_run(at - used);
            if KeyAhead::are_worth_it(&scratch.keys) {
                self.state.shard.prefetch(session.db, &scratch.keys);
            }
            if !scratch.fields.is_empty() {
                self.prefetch_fields(session.db, input, &scratch);
            }
            if let Some(at) = self.state.observed.hot_keys.pass(scratch.ahead.len()) {
                // Others' keys are noted where the command runs.
                let ahead = scratch.ahead[at];
                if let Some(command) = ahead.command
                    && ahead.target.core == self.state.id
                {
                    let ranges = &scratch.ranges[ahead.first_arg as usize..ahead.end_arg as usize];
                    let args = Args::new(input, ranges);
                    self.sample(session.db, command, args, ahead.target.first_key);
                }
            }
            let mut stalled = false;
            for next in &scratch.ahead {
                let ranges = &scratch.ranges[next.first_arg as usize..next.end_arg as usize];
                let args = Args::new(input, ranges);
                let has_to_stop = match self.execute(session, args, next.command, next.target) {
                    Executed::Plainly => session.is_owed_its_part(),
                    Executed::Otherwise => session.has_to_stop(),
                    Executed::NotYet => {
                        stalled = true;
                        break;
                    }
                };
                used = next.end;
                if has_to_stop && !session.gets_more(self.turn) {
                    stalled = true;
                    break;
                }
            }
            if stalled {
                // What was parsed ahead is parsed again when the session goes on.
                session.parser = Parser::default();
                self.leave_turn(session);
                break;
            }
            if let Stop::Inline(words) = &stop
                && !self.run_inline(session, words)
            {
                // It has to wait, and is parsed again.
                break;
            }
            used = at;
            self.expire_what_is_paid(Some(session));
            match stop {
                Stop::Full => {}
                Stop::Incomplete => break,
                Stop::Inline(_) if session.has_to_stop() && !session.gets_more(self.turn) => {
                    self.leave_turn(session);
                    break;
                }
                Stop::Inline(_) => {}
                Stop::Invalid(error) => {
                    self.refuse_input(session, &error);
                    used = input.len();
                    break;
                }
            }
        }
        if scratch.ranges.capacity() > SCRATCH_RANGES {
            scratch.ranges = Vec::new();
        }
        self.scratch = scratch;
        if let OwedFrom::Bytes(before) = owed_from {
            self.making
                .note_owed(session.output.pending_bytes(), before);
        }
        used
    }

    /// A session has to stop: if only because it has had its part of the turn, it goes on in the next.
    #[cold]
    fn leave_turn(&mut self, session: &mut Session) {
        if session.has_used_turn() && !session.is_stalled() {
            session.stalled_for_turn = true;
            self.run_queue.put_off(session.id);
        }
    }

    /// Notes the key of a command that was sampled.
    #[cold]
    pub(super) fn sample(
        &mut self,
        db: DbIndex,
        command: &Command,
        args: Args<'_>,
        first_key: FirstKey,
    ) {
        if !first_key.is_known() {
            return;
        }
        let what = match command.spec.flags.has(Flags::WRITE) {
            true => Use::Write,
            false => Use::Read,
        };
        let key = args.at(first_key.at());
        let hot_keys = &mut self.state.observed.hot_keys;
        hot_keys.sample(db, key, first_key.hash(), what);
    }

    /// Parses up to a run of commands from `at`, which is advanced behind them, and finds the owner and the hash of the
    /// first key of each.
    #[inline(always)]
    fn parse_run(
        &mut self,
        session: &mut Session,
        input: &[u8],
        at: &mut usize,
        scratch: &mut InputScratch,
    ) -> Stop {
        scratch.ahead.clear();
        scratch.ranges.clear();
        scratch.keys.clear();
        scratch.fields.clear();
        let authenticated = session.is_authenticated();
        let limits = ProtocolLimits {
            max_bulk_bytes: self.state.config.proto_max_bulk_bytes,
            authenticated,
            ..ProtocolLimits::default()
        };
        // A client yet to authenticate is under tighter limits, which its next command may lift. If the first command waits,
        // what was parsed behind it is parsed again.
        let most = match authenticated && !(session.has_waited && *at == 0) {
            true => RUN_COMMANDS,
            false => 1,
        };
        while scratch.ahead.len() < most {
            let first_arg = scratch.ranges.len();
            match session.parser.next(input, at, &mut scratch.ranges, &limits) {
                Ok(Parsed::Command) => {
                    let args = Args::new(input, &scratch.ranges[first_arg..]);
                    let command = self.state.commands.find(args.at(0));
                    let target = self.target(command, args);
                    if target.first_key.is_known() {
                        if target.core == self.state.id {
                            let command = command.expect("what has a key is a command");
                            let hash = target.first_key.hash();
                            scratch.keys.push(command.key_ahead(hash));
                            if command.field.is_some() {
                                scratch.fields.push(scratch.ahead.len() as u32);
                            }
                        }
                    } else if let Some(command) = command
                        && let Some(hash) = hash_of_first_key(&self.state, command, args)
                    {
                        scratch.keys.push(command.key_ahead(hash));
                    }
                    scratch.ahead.push(Ahead {
                        command,
                        target,
                        first_arg: first_arg as u32,
                        end_arg: scratch.ranges.len() as u32,
                        end: *at,
                    });
                    if *at == input.len() {
                        return Stop::Incomplete;
                    }
                }
                Ok(Parsed::Nothing) => {}
                Ok(Parsed::Incomplete) => return Stop::Incomplete,
                Ok(Parsed::Inline(words)) => return Stop::Inline(words),
                Err(error) => return Stop::Invalid(error),
            }
        }
        Stop::Full
    }

    /// Brings the fields and members near that commands of a run name, unless it is one to be found, which would be waited for as long.
    #[inline(never)]
    fn prefetch_fields(&self, db: DbIndex, input: &[u8], scratch: &InputScratch) {
        let field_use = |ahead: &Ahead| ahead.command.and_then(|command| command.field);
        if let [at] = scratch.fields[..]
            && matches!(
                field_use(&scratch.ahead[at as usize]),
                Some(FieldUse::Read | FieldUse::Score(_))
            )
        {
            return;
        }
        let named = |at: u32| {
            let ahead = &scratch.ahead[at as usize];
            let ranges = &scratch.ranges[ahead.first_arg as usize..ahead.end_arg as usize];
            let first_key = ahead.target.first_key;
            Some((field_use(ahead)?, Args::new(input, ranges), first_key))
        };
        let mut are_members = false;
        let fields = scratch.fields.iter().filter_map(|&at| {
            let (field_use, args, first_key) = named(at)?;
            Some(FieldAhead {
                key_hash: first_key.hash(),
                name: args.get(first_key.at() + 1)?,
                intent: match field_use {
                    FieldUse::Score(_) => {
                        are_members = true;
                        return None;
                    }
                    FieldUse::Read => Intent::Read,
                    FieldUse::Change => Intent::Change,
                    FieldUse::Add => Intent::Write(Some(0)),
                    FieldUse::Set => Intent::Write(Some(args.get(first_key.at() + 2)?.len())),
                },
            })
        });
        self.state.shard.prefetch_fields(db, fields);
        if are_members {
            let members = scratch.fields.iter().filter_map(|&at| {
                let (FieldUse::Score(behind), args, first_key) = named(at)? else {
                    return None;
                };
                Some(MemberAhead {
                    key_hash: first_key.hash(),
                    name: args.get(first_key.at() + usize::from(behind))?,
                })
            });
            self.state.shard.prefetch_members(db, members);
        }
    }

    /// Owner and hash of the first key of a command whose arguments fit.
    #[inline(always)]
    pub(super) fn target(&self, command: Option<&'static Command>, args: Args<'_>) -> Target {
        let here = Target {
            core: self.state.id,
            first_key: FirstKey::UNKNOWN,
        };
        let Some(command) = command else { return here };
        if command.first_key == 0 {
            return self.target_of_subcommand(command, args).unwrap_or(here);
        }
        let Some(key) = args.get(command.first_key.into()) else {
            return here;
        };
        Target {
            core: self.state.shared.slots.core_of(key),
            first_key: FirstKey::new(command.first_key, self.state.shard.hasher().hash(key)),
        }
    }

    /// As [`Self::target`], for a container: the keys are its subcommand's.
    #[cold]
    fn target_of_subcommand(&self, command: &'static Command, args: Args<'_>) -> Option<Target> {
        let subcommand = command.subcommand(args.get(1)?)?;
        let key = args
            .get(subcommand.first_key.into())
            .filter(|_| subcommand.first_key > 0)?;
        Some(Target {
            core: self.state.shared.slots.core_of(key),
            first_key: FirstKey::new(subcommand.first_key, self.state.shard.hasher().hash(key)),
        })
    }

    /// Runs an inline command that had quotes, from words of its own. Whether it ran.
    fn run_inline(&mut self, session: &mut Session, words: &[Vec<u8>]) -> bool {
        let kept = keep(words.iter().map(Vec::as_slice));
        let args = kept.as_args();
        let command = self.state.commands.find(args.at(0));
        let target = self.target(command, args);
        self.execute(session, args, command, target) != Executed::NotYet
    }

    /// Answers input that is no command as Redis does: an error, then the connection closes.
    fn refuse_input(&mut self, session: &mut Session, error: &ProtocolError) {
        let error = ErrorReply::new(error.text());
        self.count_error(&error);
        session.reply(|reply| reply.error(&error));
        session.closing = Closing::AfterReplies;
    }
}
