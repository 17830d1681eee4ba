//! Telling clients that keep a cache of their own which keys changed (`CLIENT TRACKING`).
//!
//! ```text
//!  core that owns the key          core of the client               core of the client that is told in its place
//!   a client reads: remembered
//!   it changes: forgotten ───────▶  RESP3: pushed
//!                                   redirected: ──────────────────▶  pushed, or said as a message of a channel
//!                                   ◀─────────── it is gone ───────
//! ```
//! A read is remembered by the core that owns the key in the very step that reads it, and word of a change goes the way of
//! the answers, behind the answer of the read: a client that is told of a change has the reply that is out of date, or gets
//! one that is not. Word of changes within a prefix is gathered and told once a turn.

use std::collections::VecDeque;

use larder_engine::{Author, Kept};

use crate::command::{Args, CommandSpec, CoreCall, CoreFn, CoreState};
use crate::resp::{Protocol, Reply};
use crate::routing::CoreId;
use crate::session::{
    Changed, Closing, Crowd, OwnChanges, READERS_FORGOTTEN_MAX, Reader, ReplySeq, Session,
    SessionId, Tracking, TrackingMode, gate,
};

/// What other cores are to do, without an answer. Dispatch takes it from here.
#[derive(Debug)]
pub struct Told {
    /// Which core.
    pub to: CoreId,
    /// What runs there.
    pub run: CoreFn,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
}

/// The channel by which a client that speaks RESP2 is told of changes.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// What a client is told of.
#[derive(Clone, Copy, Debug)]
enum Invalid<'a> {
    /// These keys, as an array.
    Keys(&'a [u8]),
    /// All it has.
    Everything,
}

impl<'a> Invalid<'a> {
    /// No array is empty of bytes.
    fn to_bytes(self) -> &'a [u8] {
        match self {
            Self::Keys(array) => array,
            Self::Everything => b"",
        }
    }

    fn from_bytes(bytes: &'a [u8]) -> Self {
        match bytes {
            b"" => Self::Everything,
            array => Self::Keys(array),
        }
    }

    /// The message for a session, encoded as an array of RESP2; `None` if there is no way to tell it.
    fn message(self, session: &Session, redirected: bool) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        let mut reply = Reply::new(&mut message, session.protocol);
        match session.protocol {
            Protocol::Resp3 => {
                reply.array(2);
                reply.text("invalidate");
            }
            Protocol::Resp2 if redirected && session.is_subscriber() => {
                reply.array(3);
                reply.text("message");
                reply.bulk(CHANNEL);
            }
            Protocol::Resp2 => return None,
        }
        match self {
            Self::Keys(array) => reply.raw(array),
            Self::Everything => reply.null(),
        }
        Some(message)
    }
}

/// An array of keys.
fn array<'k>(keys: impl ExactSizeIterator<Item = &'k [u8]>) -> Vec<u8> {
    crate::resp::encode_command(keys)
}

impl CoreState {
    /// The session `id`, be it in the table or at work.
    fn find<'s>(
        &'s mut self,
        id: SessionId,
        asking: &'s mut Option<&mut Session>,
    ) -> Option<&'s mut Session> {
        match asking {
            Some(session) if session.id == id => Some(session),
            _ => self.sessions.get_mut(id),
        }
    }

    /// The other cores.
    pub fn other_cores(&self) -> impl Iterator<Item = CoreId> + use<> {
        let own = self.id;
        let cores = (0..self.shared.cores()).map(CoreId);
        cores.filter(move |core| *core != own)
    }

    /// Has other cores do something.
    pub fn tell_others(&mut self, run: CoreFn, args: &[&[u8]]) {
        for to in self.other_cores() {
            self.tell(to, run, args);
        }
    }

    /// Has core `to` do something.
    pub fn tell(&mut self, to: CoreId, run: CoreFn, args: &[&[u8]]) {
        let args = args.iter().map(|arg| arg.to_vec()).collect();
        self.told.push(Told { to, run, args });
    }

    /// Which notes are kept follows from who reads them: tracking goes by changes, notifications by events.
    pub fn choose_notes(&mut self) {
        let kept = Kept {
            events: !self.config.notify_keyspace_events.is_off(),
            changes: !self.readers.is_empty()
                || !self.newly_read.is_empty()
                || !self.prefixes.is_empty(),
        };
        if kept == Kept::default() {
            self.gates &= !gate::NOTES;
        } else {
            self.gates |= gate::NOTES;
        }
        self.shard.journal().keep_notes(kept);
    }

    /// Remembers that `reader` has read the keys among `args`.
    #[cold]
    pub fn remember(&mut self, spec: &CommandSpec, args: &Args<'_>, reader: Reader) {
        for at in spec.keys.positions(args) {
            self.remember_key(args.at(at), reader);
        }
    }

    /// Remembers that `reader` has read `key`. What the journal has noted by then is older than the reading: it is not to
    /// undo it, and is acted on first.
    pub fn remember_key(&mut self, key: &[u8], reader: Reader) {
        if self.shard.journal().has_notes() {
            self.newly_read.push((key.into(), reader));
            return;
        }
        let is_first = self.readers.is_empty();
        let readers = self.readers.remember(key, reader) as u64;
        if is_first {
            self.choose_notes();
        }
        // With more than all the clients there may be, most are gone.
        if readers > 2 * self.config.maxclients {
            self.invalidate_readers(key, None, None);
        }
    }

    /// Remembers what was read behind the notes that have been acted on.
    pub fn remember_newly_read(&mut self) {
        for (key, reader) in std::mem::take(&mut self.newly_read) {
            self.remember_key(&key, reader);
        }
    }

    /// A key changed by what session `by` did, if it was a session: its readers are told, and those of its prefixes will be.
    pub fn key_changed(
        &mut self,
        key: &[u8],
        author: Author,
        by: Option<Reader>,
        asking: Option<&mut Session>,
    ) {
        if !self.prefixes.is_empty() {
            let by = by.filter(|_| author == Author::Command);
            self.prefixes.note(key, by);
        }
        self.invalidate_readers(key, by, asking);
    }

    fn invalidate_readers(&mut self, key: &[u8], by: Option<Reader>, asking: Option<&mut Session>) {
        if let Some(readers) = self.readers.forget(key) {
            self.tell_readers(key, &readers, by, asking);
        }
    }

    fn tell_readers(
        &mut self,
        key: &[u8],
        readers: &Crowd<Reader>,
        by: Option<Reader>,
        mut asking: Option<&mut Session>,
    ) {
        let mut elsewhere: Vec<(CoreId, Vec<u8>)> = Vec::new();
        let keys = array([key].into_iter());
        for reader in readers.iter() {
            let is_own = by == Some(*reader);
            if reader.core == self.id {
                self.invalidate_read(reader.session, is_own, &keys, asking.as_deref_mut());
                continue;
            }
            let at = match elsewhere.iter().position(|(core, _)| *core == reader.core) {
                Some(at) => at,
                None => {
                    elsewhere.push((reader.core, Vec::new()));
                    elsewhere.len() - 1
                }
            };
            elsewhere[at].1.extend(reader.session.to_bytes());
            elsewhere[at].1.push(is_own.into());
        }
        for (core, sessions) in elsewhere {
            self.tell(core, invalidate_each, &[&keys, &sessions]);
        }
    }

    /// Forgets keys chosen at random, as if they had changed, while this core remembers more than its share of what
    /// `tracking-table-max-keys` allows all cores together, and those more than that. A turn forgets more than it came to
    /// remember, and no more than some beside: where the limit was lowered, the next turns go on.
    pub fn limit_readers(&mut self) {
        self.forgets_readers = false;
        let come = self.readers.take_come();
        let most = self.config.tracking_table_max_keys;
        if most == 0 || self.readers.is_empty() {
            return;
        }
        let cores = u64::from(self.shared.cores());
        let own_share = most / cores + u64::from(u64::from(self.id.0) < most % cores);
        let mut left = READERS_FORGOTTEN_MAX + 2 * come;
        while self.readers.keys() > own_share && self.shared.tracked_keys() > most {
            if left == 0 {
                self.forgets_readers = true;
                return;
            }
            left -= 1;
            let random = self.random.draw();
            let Some((key, readers)) = self.readers.forget_any(random) else {
                return;
            };
            self.tell_readers(&key, &readers, None, None);
            self.publish_tracked_keys();
        }
    }

    /// Tells the other cores how many keys are remembered here.
    pub fn publish_tracked_keys(&self) {
        let gauge = &self.shared.gauges(self.id).tracked_keys;
        gauge.store(self.readers.keys(), std::sync::atomic::Ordering::Relaxed);
    }

    /// Tells a session of this core that a key it has read changed.
    fn invalidate_read(
        &mut self,
        id: SessionId,
        is_own: bool,
        keys: &[u8],
        mut asking: Option<&mut Session>,
    ) {
        let Some(session) = self.find(id, &mut asking) else {
            return;
        };
        // It may have turned tracking off since, or turned to another kind.
        let is_told = session.tracking().is_some_and(|tracking| {
            tracking.mode != TrackingMode::Broadcast
                && !(is_own && tracking.own_changes == OwnChanges::Untold)
        });
        if is_told {
            self.invalidate(id, Invalid::Keys(keys), asking);
        }
    }

    /// Tells a session of this core, or who is told in its place.
    fn invalidate(
        &mut self,
        id: SessionId,
        invalid: Invalid<'_>,
        mut asking: Option<&mut Session>,
    ) {
        let own_core = self.id;
        let Some(session) = self.find(id, &mut asking) else {
            return;
        };
        let Some(redirect) = session.tracking().and_then(|tracking| tracking.redirect) else {
            if let Some(message) = invalid.message(session, false) {
                self.push_to(id, &message, asking);
            }
            return;
        };
        if redirect.core == own_core {
            let (place, client_id) = (redirect.session, redirect.client_id);
            if !self.invalidate_for(place, client_id, invalid, asking.as_deref_mut()) {
                self.break_redirect(id, client_id, asking);
            }
            return;
        }
        let origin = Reader {
            core: own_core,
            session: id,
        };
        let (place, client_id) = (
            redirect.session.to_bytes(),
            redirect.client_id.to_le_bytes(),
        );
        let args: [&[u8]; 4] = [&origin.to_bytes(), &place, &client_id, invalid.to_bytes()];
        self.tell(redirect.core, redirect_each, &args);
    }

    /// Tells a session of this core in the place of another; false: it is gone.
    fn invalidate_for(
        &mut self,
        id: SessionId,
        client_id: u64,
        invalid: Invalid<'_>,
        mut asking: Option<&mut Session>,
    ) -> bool {
        let target = self.find(id, &mut asking);
        let Some(session) = target.filter(|session| session.client_id == client_id) else {
            return false;
        };
        match invalid.message(session, true) {
            Some(message) => self.push_to(id, &message, asking),
            // It has no way to be told, but it is there.
            None => session.closing == Closing::No,
        }
    }

    /// The connection to be told in place of a session is gone: the session is told that.
    fn break_redirect(&mut self, id: SessionId, client_id: u64, mut asking: Option<&mut Session>) {
        let Some(session) = self.find(id, &mut asking) else {
            return;
        };
        let protocol = session.protocol;
        let Some(tracking) = session.tracking_mut() else {
            return;
        };
        tracking.redirect_is_broken = true;
        if protocol == Protocol::Resp3 {
            let mut message = Vec::new();
            let mut reply = Reply::new(&mut message, protocol);
            reply.array(2);
            reply.text("tracking-redir-broken");
            reply.count(client_id);
            self.push_to(id, &message, asking);
        }
    }

    /// Tells this core's sessions, and the other cores theirs, of the turn's changes within prefixes.
    pub fn tell_prefixes(&mut self) {
        if self.prefixes.is_empty() {
            return;
        }
        for (prefix, changed, cores) in self.prefixes.take_changes() {
            for core in cores {
                if core == self.id {
                    self.invalidate_prefix(&prefix, &changed);
                    continue;
                }
                let mut args: Vec<Vec<u8>> = vec![prefix.to_vec()];
                for (key, by) in &changed {
                    args.push(by.map_or_else(Vec::new, |by| by.to_bytes().to_vec()));
                    args.push(key.to_vec());
                }
                let run: CoreFn = broadcast_each;
                self.told.push(Told {
                    to: core,
                    run,
                    args,
                });
            }
        }
    }

    /// Tells this core's sessions that want to hear of `prefix` which keys within it changed.
    fn invalidate_prefix(&mut self, prefix: &[u8], changed: &Changed) {
        let keys: Vec<&[u8]> = changed.keys().map(|key| &**key).collect();
        let all = array(keys.into_iter());
        for id in self.prefixes.sessions(prefix) {
            let session = self.sessions.get(id);
            let Some(tracking) = session.and_then(|session| session.tracking()) else {
                continue;
            };
            if tracking.own_changes == OwnChanges::Told {
                self.invalidate(id, Invalid::Keys(&all), None);
                continue;
            }
            let itself = Some(self.reader(id));
            let others = changed.iter().filter(|(_, by)| **by != itself);
            let keys: Vec<&[u8]> = others.map(|(key, _)| &**key).collect();
            if !keys.is_empty() {
                self.invalidate(id, Invalid::Keys(&array(keys.into_iter())), None);
            }
        }
    }

    /// A database has been emptied, or exchanged for another: tells every session of this core that keeps a cache that nothing in it holds any more,
    /// and forgets who read what here. As in Redis, databases are not told apart.
    ///
    /// The message waits until every core has done so, and said so behind what it answered before: else an answer from
    /// before could come behind the message.
    pub fn forget_everything_read(&mut self, asking: Option<&mut Session>) {
        self.readers.clear();
        if let Some(mut own) = self.emptied.running.take() {
            own.number = self.emptied.by_core[self.id.index()] + 1;
            self.emptied.own.push(own);
        }
        let id = self.id;
        self.tell_others(everything_forgotten_each, &[&id.0.to_le_bytes()]);
        self.note_everything_forgotten(id, asking);
    }

    fn note_everything_forgotten(&mut self, by: CoreId, mut asking: Option<&mut Session>) {
        self.emptied.by_core[by.index()] += 1;
        let least = self.emptied.by_core.iter().min();
        if least.is_none_or(|least| *least == self.emptied.told) {
            return;
        }
        self.emptied.told += 1;
        let told_in_place = self.tell_who_emptied(asking.as_deref_mut());
        let all = self.sessions.iter().chain(asking.as_deref());
        let tracking: Vec<SessionId> = all
            .filter(|session| session.tracking().is_some() && Some(session.id) != told_in_place)
            .map(|session| session.id)
            .collect();
        for id in tracking {
            self.invalidate(id, Invalid::Everything, asking.as_deref_mut());
        }
    }

    /// A session is about to empty or exchange databases. If it is to hear of that itself, the message has its place behind
    /// that of the reply: as in Redis, before the replies to what the session sends next, though these may be there first.
    pub fn expect_emptying(&mut self, session: &mut Session) {
        let hears = session.tracking().is_some_and(Tracking::hears_itself);
        self.emptied.begun.push_back(Emptying {
            session: session.id,
            place: hears.then(|| session.output.expect()),
            number: 0,
        });
    }

    /// The oldest such command of `session`, if there is any, runs here.
    pub fn begin_emptying(&mut self, session: &Session) {
        let mut begun = self.emptied.begun.iter();
        let at = begun.position(|own| own.session == session.id);
        self.emptied.running = at.and_then(|at| self.emptied.begun.remove(at));
    }

    /// It has run. If it emptied nothing, its place stays empty.
    pub fn end_emptying(&mut self, session: &mut Session) {
        let own = self.emptied.running.take();
        if let Some(place) = own.and_then(|own| own.place) {
            session.fill_with_push(place, None);
        }
    }

    /// Forgets the places of a session that has ended.
    pub fn forget_emptying(&mut self, session: &Session) {
        self.emptied.begun.retain(|own| own.session != session.id);
        self.emptied.own.retain(|own| own.session != session.id);
    }

    /// Tells the session of this core that emptied the database, if one did and kept a place to be told in.
    fn tell_who_emptied(&mut self, mut asking: Option<&mut Session>) -> Option<SessionId> {
        let number = self.emptied.told;
        let mut owns = self.emptied.own.iter();
        let at = owns.position(|own| own.number == number)?;
        let own = self.emptied.own.remove(at);
        let session = self.find(own.session, &mut asking)?;
        let is_told = session.tracking().is_some_and(Tracking::hears_itself);
        let message = is_told.then(|| Invalid::Everything.message(session, false));
        session.fill_with_push(own.place?, message.flatten().as_deref());
        self.dirty.push(own.session);
        is_told.then_some(own.session)
    }

    /// Ends what a session asked for with `CLIENT TRACKING`.
    pub fn end_tracking(&mut self, session: &mut Session) {
        let Some(tracking) = session.stop_tracking() else {
            return;
        };
        for prefix in &tracking.prefixes {
            self.prefixes.leave(prefix, session.id);
        }
        self.end_prefixes(&tracking.prefixes);
    }

    /// Ends the part that a session of this core has in prefixes, on all cores.
    pub fn end_prefixes(&mut self, prefixes: &[Box<[u8]>]) {
        let core = self.id.0.to_le_bytes();
        for prefix in prefixes {
            self.prefixes.end(prefix, self.id);
            self.tell_others(end_prefix_each, &[&core, prefix]);
        }
    }
}

/// How often databases have been emptied or exchanged.
#[derive(Debug)]
pub struct Emptied {
    /// As each core has said.
    by_core: Box<[u64]>,
    /// As clients of this core have been told.
    told: u64,
    /// Commands of this core's sessions that are to do it: that have yet to run here, the one that runs, and those whose
    /// sessions have yet to be told.
    begun: VecDeque<Emptying>,
    running: Option<Emptying>,
    own: Vec<Emptying>,
}

/// A command by which a session empties or exchanges databases.
#[derive(Debug)]
struct Emptying {
    session: SessionId,
    /// Where the session's output has room for the message, if the session is to hear of it.
    place: Option<ReplySeq>,
    /// How many times it makes, once it has run on this core.
    number: u64,
}

impl Emptied {
    /// Never yet, on none of so many cores.
    pub fn new(cores: u16) -> Self {
        Self {
            by_core: vec![0; cores.into()].into(),
            told: 0,
            begun: VecDeque::new(),
            running: None,
            own: Vec::new(),
        }
    }

    /// Whether no session awaits word.
    pub fn is_settled(&self) -> bool {
        self.begun.is_empty() && self.own.is_empty()
    }
}

/// Argument: the core that has forgotten what was read of its keys, as a database has been emptied or exchanged.
fn everything_forgotten_each(call: &mut CoreCall<'_>) {
    let by = u16::from_le_bytes(fixed(call.args.at(0)));
    call.core
        .note_everything_forgotten(CoreId(by), call.asking.as_deref_mut());
}

/// A session among arguments: its id, and whether it made the change itself.
const SESSION_BYTES: usize = SessionId::BYTES + 1;

/// Arguments: who has read; the key.
pub fn remember_each(call: &mut CoreCall<'_>) {
    let reader = Reader::from_bytes(fixed(call.args.at(0)));
    call.core.remember_key(call.args.at(1), reader);
}

/// Arguments: an array of keys; the sessions that have read them.
fn invalidate_each(call: &mut CoreCall<'_>) {
    let keys = call.args.at(0);
    for session in call.args.at(1).chunks_exact(SESSION_BYTES) {
        let (id, is_own) = session.split_first_chunk().expect("a session has its id");
        let id = SessionId::from_bytes(*id);
        call.core.invalidate_read(id, is_own == [1], keys, None);
    }
}

/// Arguments: who is to be told; the session that is told in its place, with its client's id; of what.
fn redirect_each(call: &mut CoreCall<'_>) {
    let args = call.args;
    let place = SessionId::from_bytes(fixed(args.at(1)));
    let client_id = u64::from_le_bytes(fixed(args.at(2)));
    let invalid = Invalid::from_bytes(args.at(3));
    if !call.core.invalidate_for(place, client_id, invalid, None) {
        let origin = Reader::from_bytes(fixed(args.at(0)));
        let session = origin.session.to_bytes();
        call.core
            .tell(origin.core, break_redirect_each, &[&session, args.at(2)]);
    }
}

/// Arguments: a session; the id of the client that was to be told in its place.
fn break_redirect_each(call: &mut CoreCall<'_>) {
    let id = SessionId::from_bytes(fixed(call.args.at(0)));
    let client_id = u64::from_le_bytes(fixed(call.args.at(1)));
    call.core.break_redirect(id, client_id, None);
}

/// Arguments: a prefix; who changed a key, and the key, and so on.
fn broadcast_each(call: &mut CoreCall<'_>) {
    let args = call.args;
    let changed: Changed = (1..args.len())
        .step_by(2)
        .map(|at| {
            let by = Some(args.at(at)).filter(|by| !by.is_empty());
            let by = by.map(|by| Reader::from_bytes(fixed(by)));
            (args.at(at + 1).into(), by)
        })
        .collect();
    call.core.invalidate_prefix(args.at(0), &changed);
}

/// Arguments: a core; a prefix that one of its sessions no longer wants to hear of.
fn end_prefix_each(call: &mut CoreCall<'_>) {
    let core = CoreId(u16::from_le_bytes(fixed(call.args.at(0))));
    call.core.prefixes.end(call.args.at(1), core);
}

/// An argument of a fixed length, as a core wrote it.
///
/// # Panics
/// It is of another length.
pub fn fixed<const N: usize>(arg: &[u8]) -> [u8; N] {
    arg.try_into().expect("written with this length")
}
