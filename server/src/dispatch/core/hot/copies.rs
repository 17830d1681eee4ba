//! Copies of other cores' most read keys: reads that would hop are answered here, as long as the copy is right.
//!
//! ```text
//!  core of the key (`offers`)                  this core
//!   the key is much read ──────── offer ─────▶  a note of the key, without a copy
//!                          ◀───── fetch ──────  a read of it is about to hop (it does)
//!   value, deadline, version ───── copy ─────▶  kept; reads are answered from it while the key's word has this version
//!   the key changes, or is locked: the word is advanced, and no message is sent
//! ```
//! The copies lie in a shard of their own, so that a command that reads one is the same function as ever. See decision 0011
//! for why this is linearizable; what this file adds to that: a session is answered from a copy only while it awaits no
//! reply from any core, so that its commands take effect in their order.
//!
//! Cost: while no key is offered, one test for a command that hops. With some, a look-up in a map for each such command; a
//! command answered from a copy costs what one on a local key does, and an atomic load of a line that nobody writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use larder_engine::{
    Access, DbIndex, Event, Shard, ShardOptions, UnixMillis, ValueImage, Version, VersionWords,
};

use crate::command::{Args, Command, FirstKey, Flags, Run, ShardCall, ShardFn};
use crate::dispatch::core::Core;
use crate::dispatch::core::execute::is_timed_apart;
use crate::dispatch::core::hot::offers;
use crate::dispatch::core::input::Target;
use crate::dispatch::limits::{COPIES_MAX_BYTES, COPY_REFRESH_MS};
use crate::dispatch::mail::copy_message::CopyMessage;
use crate::dispatch::run::on_shard::{access_of, fail};
use crate::resp::Reply;
use crate::routing::CoreId;
use crate::session::{Session, gate};

type ByHash = HashMap<u64, Copy, ahash::RandomState>;

/// A core's copies.
pub(in crate::dispatch::core) struct Copies {
    words: Arc<VersionWords>,
    /// By the key's hash. Of keys of one hash (one key in two databases, say) one is copied.
    by_hash: ByHash,
    of_word: HashMap<usize, u64, ahash::RandomState>,
    /// Where the copied entries lie; none before there is one.
    shard: Option<Box<Shard>>,
}

/// What is known of a key that may be copied.
struct Copy {
    word: usize,
    db: DbIndex,
    key: Box<[u8]>,
    state: CopyState,
    /// A copy is asked for and has not come.
    is_awaited: bool,
    /// When the last one came, in milliseconds of the core's monotonic clock.
    fetched_ms: u64,
    /// Commands answered since that was said.
    reads: u64,
    /// Whether one of them counts as a use.
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CopyState {
    None,
    /// There is one, of this version; not to be used from the deadline on.
    Held {
        version: Version,
        deadline: Option<UnixMillis>,
    },
}

/// A command that a copy answers.
struct Reading<'a> {
    args: Args<'a>,
    command: &'static Command,
    run: ShardFn,
    first_key: FirstKey,
}

impl Copies {
    /// No copies, to be right by these words.
    pub(in crate::dispatch::core) fn new(words: Arc<VersionWords>) -> Self {
        Self {
            words,
            by_hash: ByHash::default(),
            of_word: HashMap::default(),
            shard: None,
        }
    }

    /// Whether no key may be copied.
    #[inline]
    pub(in crate::dispatch::core) fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// What is known of the key with this word.
    fn of_word(&mut self, word: usize) -> Option<&mut Copy> {
        self.by_hash.get_mut(self.of_word.get(&word)?)
    }

    /// Bytes that the copies take.
    fn used_bytes(&self) -> u64 {
        self.shard
            .as_ref()
            .map_or(0, |shard| shard.memory().used_bytes())
    }

    /// Copies of a key may be fetched.
    fn add(&mut self, word: usize, db: DbIndex, key: Box<[u8]>, hash: u64) {
        if self.by_hash.contains_key(&hash) {
            return;
        }
        self.of_word.insert(word, hash);
        let copy = Copy {
            word,
            db,
            key,
            state: CopyState::None,
            is_awaited: false,
            fetched_ms: 0,
            reads: 0,
            access: Access::Peek,
        };
        self.by_hash.insert(hash, copy);
    }

    /// No copies of a key are to be had any more.
    fn remove(&mut self, word: usize) {
        let Some(hash) = self.of_word.remove(&word) else {
            return;
        };
        if let Some(copy) = self.by_hash.remove(&hash)
            && let Some(shard) = &mut self.shard
        {
            let key = shard.hasher().key(&copy.key);
            shard.remove(copy.db, key, Event::Silent);
        }
    }

    /// A copy has come.
    fn keep(&mut self, word: usize, version: Version, image: Option<ValueImage>, now_ms: u64) {
        let held_bytes = self.used_bytes();
        let Some(hash) = self.of_word.get(&word) else {
            return;
        };
        let (Some(copy), Some(shard)) = (self.by_hash.get_mut(hash), &mut self.shard) else {
            return;
        };
        copy.is_awaited = false;
        copy.fetched_ms = now_ms;
        copy.state = CopyState::None;
        let key = shard.hasher().key(&copy.key);
        let deadline = image.as_ref().and_then(|image| image.expires_at);
        let is_kept = match image {
            Some(image) => {
                held_bytes + image.bytes.len() as u64 <= COPIES_MAX_BYTES
                    && shard.put(copy.db, key, &image, Event::Silent).is_ok()
            }
            None => {
                shard.remove(copy.db, key, Event::Silent);
                true
            }
        };
        if is_kept {
            copy.state = CopyState::Held { version, deadline };
        }
    }
}

impl Copy {
    /// Whether the copy is right at this moment, which is then the one at which a command that reads it takes effect.
    fn is_right(&self, words: &VersionWords, now: UnixMillis) -> bool {
        match self.state {
            CopyState::None => false,
            CopyState::Held { version, deadline } => {
                deadline.is_none_or(|at| now < at) && words.read(self.word) == version
            }
        }
    }

    /// The word that a copy is asked for.
    fn fetch(&mut self) -> CopyMessage {
        self.is_awaited = true;
        CopyMessage::Fetch {
            word: self.word,
            reads: std::mem::take(&mut self.reads),
            access: std::mem::replace(&mut self.access, Access::Peek),
        }
    }
}

/// What is known of this key.
fn find<'a>(by_hash: &'a mut ByHash, hash: u64, db: DbIndex, key: &[u8]) -> Option<&'a mut Copy> {
    let copy = by_hash.get_mut(&hash)?;
    (copy.db == db && *copy.key == *key).then_some(copy)
}

/// Whether the session's next command may run before any that another core has yet to run for it: there is none. And no
/// gate wants the key's core to see the read, as `CLIENT TRACKING` does.
fn awaits_nothing(session: &Session) -> bool {
    session.output.outstanding() == 0
        && session.executing.is_none()
        && session.gates & !gate::NO_TOUCH == 0
}

impl Core {
    /// Answers a command on a key of another core from a copy, if there is one and it is right. False: it has to hop.
    #[inline(never)]
    pub(in crate::dispatch::core) fn run_on_copy(
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
        let Copies { words, by_hash, .. } = &mut self.copies;
        let Some(copy) = find(by_hash, first_key.hash(), session.db, key) else {
            return false;
        };
        if offers::core_of_word(copy.word) != target.core {
            return false;
        }
        let is_right = is_followed && copy.is_right(words, now);
        if is_right {
            copy.reads += 1;
            if access == Access::Touch {
                copy.access = Access::Touch;
            }
        }
        if !copy.is_awaited && (!is_right || copy.fetched_ms + COPY_REFRESH_MS <= now_ms) {
            let fetch = copy.fetch();
            self.outboxes[target.core.index()].copies.push(fetch);
        }
        if !is_right {
            return false;
        }
        self.state.stats.copy_reads += 1;
        if self.state.observed.hot_keys.pass(1).is_some() {
            self.sample(session.db, command, args, first_key);
        }
        let reading = Reading {
            args,
            command,
            run,
            first_key,
        };
        if !is_timed_apart(command, args, gates) {
            self.timing.ran(command.id);
            self.read_copy(session, &reading);
            return true;
        }
        let began = Instant::now();
        self.read_copy(session, &reading);
        let micros = self.timed_apart(command, began);
        self.observe_slow(session, args, command.spec, micros);
        true
    }

    /// Runs a reading command on the shard of the copies.
    fn read_copy(&mut self, session: &mut Session, reading: &Reading<'_>) {
        let shard = self.copies.shard.as_mut().expect("it holds the copy");
        let state = &mut self.state;
        if shard.now() != state.clock.unix {
            shard.set_now(state.clock.unix);
        }
        let (db, protocol) = (session.db, session.protocol);
        session.output.append(|out| {
            let began = out.len();
            let result = (reading.run)(&mut ShardCall {
                shard,
                db,
                args: reading.args,
                reply: Reply::new(out, protocol),
                config: &state.config,
                stats: &mut state.stats,
                access: Access::Peek,
                first_key: reading.first_key,
            });
            if let Err(error) = result {
                fail(state, out, began, reading.command, protocol, &error);
            }
        });
    }

    /// Word of copies has come from another core.
    #[cold]
    pub(in crate::dispatch::core) fn take_copy_messages(
        &mut self,
        from: CoreId,
        messages: &mut Vec<CopyMessage>,
    ) {
        for message in messages.drain(..) {
            match message {
                CopyMessage::Offer { word, db, key } => self.take_offer(word, db, key),
                CopyMessage::Withdraw { word } => self.copies.remove(word),
                CopyMessage::Fetch {
                    word,
                    reads,
                    access,
                } => {
                    if let Some(answer) = self.answer_fetch(word, reads, access) {
                        self.outboxes[from.index()].copies.push(answer);
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
                CopyMessage::Refuse { word } => {
                    if let Some(copy) = self.copies.of_word(word) {
                        copy.is_awaited = false;
                    }
                }
            }
        }
        self.state.observed.copy_bytes = self.copies.used_bytes();
    }

    fn take_offer(&mut self, word: usize, db: DbIndex, key: Box<[u8]>) {
        if self.copies.shard.is_none() {
            let options = ShardOptions {
                databases: self.state.config.databases,
                memory_ceiling_bytes: offers::SHARD_CEILING_BYTES,
                hasher: self.state.shared.hasher.clone(),
            };
            // Without room for copies commands hop as ever.
            let Ok(shard) = Shard::new(&options) else {
                return;
            };
            self.copies.shard = Some(Box::new(shard));
        }
        let hash = self.state.shard.hasher().hash(&key);
        self.copies.add(word, db, key, hash);
    }
}
