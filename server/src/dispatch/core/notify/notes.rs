//! Acting on what the journal noted of a command, as soon as the command has run: clients that keep what it changed are
//! told (`command::invalidate`), and keyspace notifications are published.
//!
//! The core that ran a command alone tells of what happened to its keys; of what runs on several cores, its session's core does
//! (`telling`). A session that ran the command hears of it behind its reply. To act on notes runs no command, so that notes
//! make no notes.
//!
//! Whoever acts on changes next needs two places: `CoreState::choose_notes`, which has
//! notes kept while somebody reads them, and `Core::act`, which walks them once for all. With no reader nothing is kept,
//! and no command comes here.

use larder_engine::{Noted, Notes};

use crate::command::{CoreCall, CoreFn};
use crate::dispatch::core::Core;
use crate::dispatch::mail::requests::{RequestHead, Ticket, Work};
use crate::resp::Protocol;
use crate::routing::CoreId;
use crate::session::{LockId, Reader, Session, SessionId, Tracking, gate};

impl Core {
    /// Acts on the notes there are. `by`: the session whose command made them, of whichever core; `session`: the same, if it is
    /// this core's.
    #[inline]
    pub(in crate::dispatch::core) fn act_on_notes(
        &mut self,
        session: Option<&mut Session>,
        by: Option<Reader>,
    ) {
        if self.state.shard.journal().has_notes() || self.key_queues.has_notes() {
            self.act(session, by);
        }
    }

    /// Whether the session's next command has to wait. A client that hears of its own changes does so behind the reply that
    /// they belong to and before the next one: where other cores make them, word comes with their answers, and until it has
    /// come nothing else may be replied.
    #[inline]
    pub(in crate::dispatch::core) fn has_yet_to_hear_of_itself(
        &self,
        session: &mut Session,
    ) -> bool {
        const HEARING: u32 = gate::TRACKING | gate::SUBSCRIBER;
        session.gates & HEARING != 0
            && (session.last_write.is_some()
                || session.hears_until.is_some()
                || self.state.hearing.has_early())
            && self.awaits_word_of_itself(session)
    }

    #[cold]
    fn awaits_word_of_itself(&self, session: &mut Session) -> bool {
        if !self.hears_of_itself(session) {
            session.hears_until = None;
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
        // So has what waits for earlier events. What comes meanwhile is not the session's.
        let hearing = &self.state.hearing;
        let until = session.hears_until.get_or_insert(hearing.end());
        if !hearing.has_told(*until) {
            return true;
        }
        session.hears_until = None;
        false
    }

    /// Whether the session's client hears of what it changes itself.
    fn hears_of_itself(&self, session: &Session) -> bool {
        let events_are_told = !self.state.config.notify_keyspace_events.is_off();
        session.protocol == Protocol::Resp3
            && (events_are_told && session.is_subscriber()
                || session.tracking().is_some_and(Tracking::hears_own_changes))
    }

    /// A script of session `id` is over, and other cores have been told to give back its locks, `held`. They tell of what it
    /// changed when they do. A client that hears of its own changes goes on behind that.
    pub(in crate::dispatch::core) fn await_word_of_script(
        &mut self,
        id: SessionId,
        held: &[(CoreId, LockId)],
    ) {
        let Some(mut session) = self.state.sessions.take_out(id) else {
            return;
        };
        if self.hears_of_itself(&session) {
            for &(core, _) in held.iter().filter(|(core, _)| *core != self.state.id) {
                // It is written to nobody.
                let seq = session.output.expect();
                let head =
                    RequestHead::of(Ticket::Reply { session: id, seq }, Work::Part(say_nothing));
                self.outboxes.to(core).ask(head, std::iter::empty());
                session.last_write = Some(seq);
            }
        }
        self.state.sessions.put_back(session);
    }

    /// Ends a turn: acts on notes that no command has made, tells what is told once a turn, and finds out who reads notes.
    #[inline]
    pub(in crate::dispatch::core) fn end_notes(&mut self) {
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

    /// Keeps the notes of an attempt that was made for session `served`, which waited. They are acted on behind the command that
    /// served it, so that the session at work hears of them, too.
    pub(in crate::dispatch::core) fn keep_notes_of(&mut self, served: Reader) {
        if self.state.gates & gate::NOTES != 0 && self.state.shard.journal().has_notes() {
            let notes = self.state.shard.journal().take_notes();
            self.key_queues.keep_notes(notes, served);
        }
    }

    /// Acts on the notes of attempts for those who waited, behind the command that served them.
    #[inline]
    pub(in crate::dispatch::core) fn act_on_served(&mut self, session: Option<&mut Session>) {
        if self.key_queues.has_notes() {
            self.act_on_all_served(session);
        }
    }

    #[cold]
    fn act_on_all_served(&mut self, mut session: Option<&mut Session>) {
        for (notes, served) in self.key_queues.take_notes() {
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
        for note in notes.iter() {
            // Of a database, the command itself tells those concerned.
            if let Noted::Changed(author) = note.what {
                let session = session.as_deref_mut();
                self.state.key_changed(note.key, author, by, session);
            }
        }
        if self.somebody_listens() {
            self.tell_events_of(&notes, session);
        }
        self.state.shard.journal().return_notes(notes);
        self.state.remember_newly_read();
        self.send_told();
    }

    /// Sends other cores what they are to do.
    #[inline(always)]
    pub(in crate::dispatch::core) fn send_told(&mut self) {
        if !self.state.told.is_empty() {
            self.send_all_told();
        }
    }

    #[cold]
    fn send_all_told(&mut self) {
        for told in std::mem::take(&mut self.state.told) {
            let args: Vec<&[u8]> = told.args.iter().map(Vec::as_slice).collect();
            self.tell(told.to, told.run, &args);
        }
    }

    /// Has core `to` run something, behind all that it was asked before. No answer comes.
    pub(in crate::dispatch::core) fn tell(&mut self, to: CoreId, run: CoreFn, args: &[&[u8]]) {
        let nobody = Ticket::Discard {
            session: SessionId::default(),
        };
        let head = RequestHead::of(nobody, Work::Part(run));
        self.outboxes.to(to).ask(head, args.iter().copied());
    }

    /// Whether there is no room for word of changes for now: some core has yet to take a full batch.
    #[inline]
    pub(in crate::dispatch::core) fn has_no_room_for_notes(&self) -> bool {
        self.state.gates & gate::NOTES != 0 && self.outboxes.any_is_full()
    }
}

/// The answer of a core that has done what it was told before.
fn say_nothing(_: &mut CoreCall<'_>) {}
