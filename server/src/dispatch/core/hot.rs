//! Copies of keys that are much read ([`crate::dispatch::hot`]): a core offers its own, reads from those it has, and answers
//! who asks for one.

use std::time::Instant;

use larder_engine::{Access, DbIndex, EntryRef, ShardOptions};

use super::Core;
use super::input::Target;
use super::run::is_timed_apart;
use crate::command::{Args, Command, FirstKey, Flags, Run, ShardCall, ShardFn};
use crate::dispatch::hot::copies::Found;
use crate::dispatch::hot::offers::{OFFER_SAMPLES, READS_A_CHANGE, SHARD_CEILING_BYTES};
use crate::dispatch::limits::COPY_MAX_BYTES;
use crate::dispatch::locks::{Claim, Mode, Scope};
use crate::dispatch::mail::copy_message::CopyMessage;
use crate::dispatch::run::on_shard::{access_of, fail};
use crate::observe::Cost;
use crate::resp::Reply;
use crate::routing::CoreId;
use crate::session::{Session, gate};
use crate::shared::COPIED_KEYS_OF_CORE;

#[cfg(test)]
thread_local! {
    /// A planted bug: copies stay right when their key is locked. Tests that look for broken promises must find some.
    pub(in crate::dispatch) static COPIES_OUTLIVE_LOCKS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A command that a copy answers.
struct CopyRead<'a> {
    args: Args<'a>,
    command: &'static Command,
    run: ShardFn,
    first_key: FirstKey,
}

/// Whether the session's next command may run before any that another core has yet to run for it: there is none. And no
/// gate wants the key's core to see the read, as `CLIENT TRACKING` does.
fn awaits_nothing(session: &Session) -> bool {
    session.output.outstanding() == 0
        && session.executing.is_none()
        && session.gates & !gate::NO_TOUCH == 0
}

/// Reads of other cores' keys.
impl Core {
    /// Answers a command on a key of another core from a copy, if there is one and it is right. False: it has to hop.
    #[inline(never)]
    pub(super) fn run_on_copy(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        target: Target,
        gates: u32,
    ) -> bool {
        let run = match command.spec.run {
            Run::OnShard(run) => run,
            Run::FanOut { together, .. } if args.len() == 2 => together,
            _ => return false,
        };
        let is_answered_by_copies = command.spec.flags.has(Flags::FROM_COPY);
        let first_key = target.first_key;
        if !is_answered_by_copies || !first_key.is_known() || !awaits_nothing(session) {
            return false;
        }
        let key = args.at(first_key.at());
        let (now, now_ms) = (self.state.clock.unix, self.state.clock.monotonic_ms());
        let access = access_of(session);
        let is_followed = self.is_followed_by(target.core);
        let found = self.copies.look_up(
            (first_key.hash(), session.db, key),
            (target.core, is_followed),
            access,
            (now, now_ms),
        );
        let Some(Found { is_right, fetch }) = found else {
            return false;
        };
        if let Some(fetch) = fetch {
            self.outboxes.to(target.core).tell_of_copies(fetch);
        }
        if !is_right {
            return false;
        }
        self.state.stats.copy_reads += 1;
        if self.state.observed.hot_keys.pass(1).is_some() {
            self.sample(session.db, command, args, first_key);
        }
        let reading = CopyRead {
            args,
            command,
            run,
            first_key,
        };
        if !is_timed_apart(command, args, gates) {
            self.state.timing.ran(command.id);
            self.read_copy(session, &reading);
            return true;
        }
        let began = Instant::now();
        let written_before = session.output.written_bytes();
        self.read_copy(session, &reading);
        let cost = Cost {
            nanos: self.timed_apart(command, began),
            reply_bytes: session.output.written_since(written_before),
        };
        self.observe_slow(session, args, command.spec, cost.nanos);
        self.add_costs(command.spec, args, cost);
        true
    }

    /// Runs a reading command on the shard of the copies.
    fn read_copy(&mut self, session: &mut Session, reading: &CopyRead<'_>) {
        let shard = self.copies.shard();
        let state = &mut self.state;
        if shard.now() != state.clock.unix {
            shard.set_now(state.clock.unix);
        }
        let (db, protocol) = (session.db, session.protocol);
        let reply_bytes = session.output.append(|out| {
            let began = out.len();
            let result = (reading.run)(&mut ShardCall {
                shard,
                db,
                args: reading.args,
                reply: Reply::new(out, protocol),
                config: &state.config,
                stats: &mut state.stats,
                random: &mut state.random,
                access: Access::Peek,
                first_key: reading.first_key,
            });
            if let Err(error) = result {
                fail(state, out, began, reading.command, protocol, &error);
            }
            out.len() - began
        });
        self.observe_reply(session, reading.args, reading.command.spec, reply_bytes);
    }

    /// Word of copies has come from another core.
    #[cold]
    pub(super) fn take_copy_messages(&mut self, from: CoreId, messages: Vec<CopyMessage>) {
        for message in messages {
            match message {
                CopyMessage::Offer { word, db, key } => self.take_offer(word, db, key),
                CopyMessage::Withdraw { word } => self.copies.remove(word),
                CopyMessage::Fetch {
                    word,
                    reads,
                    access,
                } => {
                    if let Some(answer) = self.answer_fetch(word, reads, access) {
                        self.outboxes.to(from).tell_of_copies(answer);
                    }
                }
                CopyMessage::Copy {
                    word,
                    version,
                    image,
                } => {
                    let now_ms = self.state.clock.monotonic_ms();
                    self.copies.keep(word, version, image, now_ms);
                }
                CopyMessage::Refuse { word } => self.copies.note_refused(word),
            }
        }
        self.state.observed.copy_bytes = self.copies.used_bytes();
    }

    fn take_offer(&mut self, word: usize, db: DbIndex, key: Box<[u8]>) {
        let state = &self.state;
        let has_shard = self.copies.has_shard(|| ShardOptions {
            databases: state.config.databases,
            memory_ceiling_bytes: SHARD_CEILING_BYTES,
            hasher: state.shared.hasher.clone(),
        });
        if !has_shard {
            // Without room for copies commands hop as ever.
            return;
        }
        let hash = self.state.shard.hasher().hash(&key);
        self.copies.add(word, db, key, hash);
    }
}

/// Keys of this core.
impl Core {
    /// Looks once a second at which keys to offer and which to withdraw.
    #[cold]
    pub(super) fn review_hot_keys(&mut self, now_ms: u64) {
        if !self.state.observed.hot_keys.age(now_ms) || self.state.shared.cores() == 1 {
            return;
        }
        if !self.state.config.hot_key_copies {
            return self.withdraw_all();
        }
        for at in 0..COPIED_KEYS_OF_CORE {
            self.review_offer(at);
        }
        let hot_keys = &self.state.observed.hot_keys;
        let hottest: Vec<(DbIndex, Box<[u8]>)> = hot_keys
            .top()
            .into_iter()
            .take_while(|hot| hot.samples() >= OFFER_SAMPLES)
            .filter(|hot| hot.reads >= OFFER_SAMPLES && hot.reads >= READS_A_CHANGE * hot.writes)
            .take(COPIED_KEYS_OF_CORE)
            .map(|hot| (hot.db, hot.key.as_slice().into()))
            .collect();
        for (db, key) in hottest {
            // What others read from their copies is counted there, too.
            if self.state.shared.slots.core_of(&key) == self.state.id {
                self.offer(db, &key);
            }
        }
    }

    /// Withdraws an offer that is not worth its cost any more.
    fn review_offer(&mut self, at: usize) {
        let word = self.word(at);
        let version = self.state.shared.copy_versions.read(word);
        if !self.offers.is_worth_keeping(at, version) {
            self.withdraw(at);
        }
    }

    /// Word number `at` of this core.
    fn word(&self, at: usize) -> usize {
        self.state.id.index() * COPIED_KEYS_OF_CORE + at
    }

    /// Offers copies of a key to all other cores, if there is a word left and the value is fit for it.
    pub(in crate::dispatch) fn offer(&mut self, db: DbIndex, key: &[u8]) {
        let vacant = self.offers.vacant();
        let Some(at) = vacant.filter(|_| !self.state.shard.copied().contains(db, key)) else {
            return;
        };
        let found = self.state.shard.hasher().key(key);
        let entry = self.state.shard.get(db, found, Access::Peek);
        if entry.is_some_and(|entry| !is_fit(&entry)) {
            return;
        }
        let word = self.word(at);
        let hash = found.hash();
        self.state.shard.copied().add(db, key, hash, word);
        let seen = self.state.shared.copy_versions.read(word);
        self.offers.add(at, (db, key.into(), hash), seen);
        self.tell_others(|| CopyMessage::Offer {
            word,
            db,
            key: key.into(),
        });
    }

    /// Ends all copies of the key of word number `at` for good.
    fn withdraw(&mut self, at: usize) {
        let word = self.word(at);
        if self.offers.remove(at) {
            self.state.shard.copied().remove(word);
            self.tell_others(|| CopyMessage::Withdraw { word });
        }
    }

    /// Ends all copies of this core's keys for good.
    #[cold]
    pub(in crate::dispatch) fn withdraw_all(&mut self) {
        if !self.state.shard.copied().is_empty() {
            (0..COPIED_KEYS_OF_CORE).for_each(|at| self.withdraw(at));
        }
    }

    fn tell_others(&mut self, message: impl Fn() -> CopyMessage) {
        let others = self.outboxes.others(self.state.id);
        others.for_each(|outbox| outbox.tell_of_copies(message()));
    }

    /// Another core asks for a copy. None: the key is offered no more, and word of that is on its way.
    pub(super) fn answer_fetch(
        &mut self,
        word: usize,
        reads: u64,
        access: Access,
    ) -> Option<CopyMessage> {
        let at = word % COPIED_KEYS_OF_CORE;
        let (db, key, hash) = self.offers.note_reads(at, reads)?;
        if self.state.shared.slots.core_of(key) != self.state.id {
            // Its slot has moved. What takes it away locks the whole shard, which has ended the copies.
            self.withdraw(at);
            return None;
        }
        // Whoever has asked for an exclusive lock has ended the copies: no other is made until he has given it back.
        let reads_key = Scope::Keys(vec![Claim {
            hash,
            mode: Mode::Shared,
        }]);
        if !self.locks.is_empty() && self.locks.conflicts(&reads_key) {
            return Some(CopyMessage::Refuse { word });
        }
        let shard = &mut self.state.shard;
        let key = shard.hasher().key(key);
        let image = match shard.get(db, key, access) {
            None => None,
            Some(entry) if is_fit(&entry) => Some(entry.image()),
            Some(_) => {
                self.withdraw(at);
                return None;
            }
        };
        // Behind the look-up, which may have removed the entry.
        let version = self.state.shared.copy_versions.read(word);
        Some(CopyMessage::Copy {
            word,
            version,
            image,
        })
    }

    /// Somebody asks for locks of this core's shard: what he may change is not copied until he has given them back.
    #[inline]
    pub(super) fn end_copies_for(&mut self, scope: &Scope) {
        let copied = self.state.shard.copied();
        if copied.is_empty() {
            return;
        }
        #[cfg(test)]
        if COPIES_OUTLIVE_LOCKS.get() {
            return;
        }
        match scope {
            Scope::Whole(Mode::Exclusive) => copied.end_all_copies(),
            Scope::Whole(Mode::Shared) => {}
            Scope::Keys(claims) => {
                let changing = claims.iter().filter(|claim| claim.mode == Mode::Exclusive);
                changing.for_each(|claim| copied.end_copies_of(claim.hash));
            }
        }
    }
}

/// Whether a value may be copied.
fn is_fit(entry: &EntryRef<'_>) -> bool {
    let value = entry.string();
    value.is_some_and(|value| value.len() <= COPY_MAX_BYTES)
}
