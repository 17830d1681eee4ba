//! Acting on what the journal noted of a command, as soon as the command has run: clients that keep what it changed are
//! told (`command::invalidate`), and keyspace notifications are published.
//!
//! The core that owns a key publishes what happened to it. Its own subscribers are given the message here, a session that
//! ran the command behind its reply; for those of other cores it goes with the turn's batch. Events of one key come in
//! their order, and so do all events of one core; those of keys on different cores in any. To act on notes runs no command,
//! so that notes make no notes.
//!
//! Whoever acts on changes next needs two places: `CoreState::choose_notes`, which has
//! notes kept while somebody reads them, and `Core::act`, which walks them once for all. With no reader nothing is kept,
//! and no command comes here.

use std::io::Write;

use larder_engine::{DbIndex, Event, Noted, Notes};

use super::batch::{Head, Ticket, Work};
use super::core::Core;
use super::limits::EVENT_CHANNEL_KEPT_BYTES;
use crate::command::{CoreCall, CoreFn, pushes};
use crate::resp::Protocol;
use crate::routing::CoreId;
use crate::session::{LockId, Reader, Session, SessionId, Tracking, gate};
use crate::topics::Topic;

impl Core {
    /// Acts on the notes there are. `session` is the one whose command ran, where it is this core's; `by` is the same,
    /// wherever it is.
    #[inline]
    pub(super) fn act_on_notes(&mut self, session: Option<&mut Session>, by: Option<Reader>) {
        if self.state.shard.journal().has_notes() || !self.served_notes.is_empty() {
            self.act(session, by);
        }
    }

    /// Whether the session's next command has to wait. A client that hears of its own changes does so behind the reply that
    /// they belong to and before the next one: where other cores make them, word comes with their answers, and until it has
    /// come nothing else may be replied.
    #[inline]
    pub(super) fn has_yet_to_hear_of_itself(&self, session: &mut Session) -> bool {
        const HEARING: u32 = gate::TRACKING | gate::SUBSCRIBER;
        session.gates & HEARING != 0
            && session.last_write.is_some()
            && self.awaits_word_of_itself(session)
    }

    #[cold]
    fn awaits_word_of_itself(&self, session: &mut Session) -> bool {
        if !self.hears_of_itself(session) {
            return false;
        }
        let is_answered = session
            .last_write
            .is_none_or(|seq| session.output.is_ready(seq));
        // What came with the answer and waits for room has yet to be heard.
        if !is_answered || !self.backlog.is_empty() {
            return true;
        }
        session.last_write = None;
        false
    }

    /// Whether the session's client hears of what it changes itself.
    fn hears_of_itself(&self, session: &Session) -> bool {
        let events_are_told = !self.state.config.notify_keyspace_events.is_off();
        session.protocol == Protocol::Resp3
            && (events_are_told && session.is_subscriber()
                || session.tracking().is_some_and(Tracking::hears_own_changes))
    }

    /// What a script of the session did on other cores stands as soon as its locks there are given back, which they have been
    /// told: a client that hears of itself goes on when they have, and have told it.
    pub(super) fn await_word_of_script(&mut self, id: SessionId, held: &[(CoreId, LockId)]) {
        let Some(mut session) = self.state.sessions.take_out(id) else {
            return;
        };
        if self.hears_of_itself(&session) {
            for &(core, _) in held.iter().filter(|(core, _)| *core != self.state.id) {
                // It is written to nobody.
                let seq = session.output.expect();
                let head = Head::of(Ticket::Reply { session: id, seq }, Work::Part(say_nothing));
                self.outboxes[core.index()].ask(head, std::iter::empty());
                session.last_write = Some(seq);
            }
        }
        self.state.sessions.put_back(session);
    }

    /// Ends a turn: acts on what no command was acted on for, tells what is told once a turn, and looks who reads notes.
    #[inline]
    pub(super) fn end_notes(&mut self) {
        if self.state.gates & gate::NOTES != 0 || !self.state.told.is_empty() {
            self.end_notes_kept();
        }
    }

    #[cold]
    fn end_notes_kept(&mut self) {
        self.act_on_notes(None, None);
        self.state.tell_prefixes();
        self.state.publish_tracked_keys();
        self.state.limit_readers();
        self.state.choose_notes();
        self.send_told();
    }

    /// Keeps the notes of an attempt for one who waited until some session's are acted on: it may be made while a session is
    /// at work, which is not to miss what concerns it.
    pub(super) fn keep_notes_of(&mut self, served: Reader) {
        if self.state.gates & gate::NOTES != 0 && self.state.shard.journal().has_notes() {
            let notes = self.state.shard.journal().take_notes();
            self.served_notes.push((notes, served));
        }
    }

    /// Acts on what was changed for those who waited, behind the command that served them.
    #[inline]
    pub(super) fn act_on_served(&mut self, session: Option<&mut Session>) {
        if !self.served_notes.is_empty() {
            self.act_on_all_served(session);
        }
    }

    #[cold]
    fn act_on_all_served(&mut self, mut session: Option<&mut Session>) {
        for (notes, served) in std::mem::take(&mut self.served_notes) {
            self.act_on(notes, session.as_deref_mut(), Some(served));
        }
    }

    #[cold]
    fn act(&mut self, mut session: Option<&mut Session>, by: Option<Reader>) {
        self.act_on_served(session.as_deref_mut());
        let notes = self.state.shard.journal().take_notes();
        self.act_on(notes, session, by);
    }

    fn act_on(&mut self, notes: Notes, mut session: Option<&mut Session>, by: Option<Reader>) {
        let somebody_listens = (0..self.state.shared.cores())
            .any(|core| pushes::has_subscribers(self.state.shared.gauges(CoreId(core))));
        for note in notes.iter() {
            let session = session.as_deref_mut();
            match note.what {
                Noted::Changed(author) => self.state.key_changed(note.key, author, by, session),
                Noted::Event(event) if somebody_listens => {
                    self.notify(note.db, note.key, event, session);
                }
                // Of a database, the command itself tells those concerned.
                Noted::Event(_) | Noted::Database => {}
            }
        }
        self.state.shard.journal().return_notes(notes);
        self.state.remember_newly_read();
        self.send_told();
    }

    /// Sends other cores what they are to do.
    #[inline]
    pub(super) fn send_told(&mut self) {
        if self.state.told.is_empty() {
            return;
        }
        for told in std::mem::take(&mut self.state.told) {
            let args: Vec<&[u8]> = told.args.iter().map(Vec::as_slice).collect();
            self.tell(told.to, told.run, &args);
        }
    }

    /// Publishes an event, if the configuration asks for it, to the channel of the key and to that of the event.
    fn notify(&mut self, db: DbIndex, key: &[u8], event: Event, mut session: Option<&mut Session>) {
        let classes = self.state.config.notify_keyspace_events;
        let Some(class) = event.class().letter() else {
            return;
        };
        if !classes.has(class) {
            return;
        }
        let name = event.name().as_bytes();
        for (space, subject, message) in [('K', key, name), ('E', name, key)] {
            if !classes.has(space) {
                continue;
            }
            let word = if space == 'K' { "keyspace" } else { "keyevent" };
            let mut channel = std::mem::take(&mut self.event_channel);
            channel.clear();
            write!(channel, "__{word}@{}__:", db.0).expect("writing to memory");
            channel.extend_from_slice(subject);
            self.publish(&channel, message, session.as_deref_mut());
            if channel.capacity() <= EVENT_CHANNEL_KEPT_BYTES {
                self.event_channel = channel;
            }
        }
    }

    /// Publishes a message of the server's own.
    fn publish(&mut self, channel: &[u8], message: &[u8], session: Option<&mut Session>) {
        self.state
            .publish_here(Topic::Channel, channel, message, session);
        for core in (0..self.state.shared.cores()).map(CoreId) {
            if core != self.state.id && pushes::has_subscribers(self.state.shared.gauges(core)) {
                self.tell(core, pushes::publish_each, &[b"publish", channel, message]);
            }
        }
    }

    /// Has core `to` run something of which no answer comes. It keeps its place among what that core is asked.
    pub(super) fn tell(&mut self, to: CoreId, run: CoreFn, args: &[&[u8]]) {
        let nobody = Ticket::Discard {
            session: SessionId::default(),
        };
        let head = Head::of(nobody, Work::Part(run));
        self.outboxes[to.index()].ask(head, args.iter().copied());
    }

    /// Whether what the journal notes finds no room for now among what other cores have yet to take.
    #[inline]
    pub(super) fn has_no_room_for_notes(&self) -> bool {
        self.state.gates & gate::NOTES != 0 && self.outboxes.iter().any(|outbox| outbox.is_full())
    }
}

/// The answer of a core that has done what it was told before.
fn say_nothing(_: &mut CoreCall<'_>) {}
