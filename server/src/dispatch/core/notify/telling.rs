//! Tells of events. The events of a command, an `EXEC` or a script are told together, in the order of its keys and commands,
//! whichever cores they happened on, as Redis does.
//!
//! ```text
//!  MSET b 1 a 1     core 1: set b ──┐
//!                   core 0: set a ──┴─▶ the session's core: set b, set a ──▶ a unit for each core with subscribers
//! ```
//! A core that runs a command alone tells of it itself. While anybody is told of what runs on several cores, it runs under locks,
//! also if its parts need none. The cores answer with their events ([`Tells::Asker`]). The session's core puts them in order, tells
//! of all when it has all, and then gives the locks back: so no later event of these keys comes before. How units reach
//! subscribers in one order is for [`crate::command::events`].

use larder_engine::Notes;

use crate::command::events::{self, Item, News, hear_each};
use crate::command::{Args, Command, Flags, Run, TransactionStep, pushes};
use crate::dispatch::core::Core;
use crate::dispatch::exec::is_queued;
use crate::dispatch::gather::Finish;
use crate::dispatch::limits::EVENTS_OF_SCRIPT_MAX_BYTES;
use crate::dispatch::mail::requests::{LocksHeld, Tells, Then, Ticket, Work};
use crate::dispatch::notify::telling::{EventsOfCommand, concerns_commands};
use crate::dispatch::run::recipient::recipient_of_reply;
use crate::routing::CoreId;
use crate::session::{Reader, Session, SessionId, gate};
use crate::topics::Topic;

impl Core {
    /// Whether a command with these flags causes events that somebody is told of.
    #[inline]
    pub(in crate::dispatch::core) fn is_told(&self, flags: Flags) -> bool {
        self.state.gates & gate::NOTES != 0
            && concerns_commands(self.state.config.notify_keyspace_events, flags)
            && self.somebody_listens()
    }

    /// Whether any core has subscribers to events.
    pub(in crate::dispatch::core) fn somebody_listens(&self) -> bool {
        let shared = &self.state.shared;
        let mut cores = (0..shared.cores()).map(CoreId);
        cores.any(|core| events::has_subscribers(shared.gauges(core)))
    }

    /// Adds the events among notes that the configuration asks for.
    pub(in crate::dispatch::core) fn add_events(&self, notes: &Notes, to: &mut News) {
        let classes = self.state.config.notify_keyspace_events;
        for note in notes.iter() {
            if let larder_engine::Noted::Event(event) = note.what
                && event
                    .class()
                    .letter()
                    .is_some_and(|class| classes.has(class))
            {
                to.push(Item::Event {
                    db: note.db,
                    event,
                    key: note.key,
                });
            }
        }
    }

    /// Tells of the events among the notes of a command, or keeps them.
    pub(in crate::dispatch::core) fn tell_events_of(
        &mut self,
        notes: &Notes,
        session: Option<&mut Session>,
    ) {
        let mut events = self.tellings.take_spare();
        self.add_events(notes, &mut events);
        self.tell_or_gather(&events, session);
        events.clear();
        self.tellings.give_spare(events);
    }

    /// Tells of the events of a command, an `EXEC` or a script as a whole; keeps those of a part for the whole.
    pub(in crate::dispatch::core) fn tell_or_gather(
        &mut self,
        news: &News,
        session: Option<&mut Session>,
    ) {
        match self.tellings.gathering() {
            Some(gathering) => gathering.append(news),
            None => self.tell_news(news, session),
        }
    }

    /// Tells of events, as one unit. `session` is the one at work, if it is this core's.
    fn tell_news(&mut self, news: &News, mut session: Option<&mut Session>) {
        if news.is_empty() {
            return;
        }
        let spaces = events::spaces(self.state.config.notify_keyspace_events);
        for core in (0..self.state.shared.cores()).map(CoreId) {
            let gauges = self.state.shared.gauges(core);
            let number = events::has_subscribers(gauges).then(|| events::take_number(gauges));
            let hears_messages = pushes::has_subscribers(gauges);
            let is_own = core == self.state.id;
            match number {
                Some(number) if is_own => {
                    self.state
                        .hear(number, spaces, news.bytes(), session.as_deref_mut());
                }
                Some(number) => {
                    let args: [&[u8]; 3] = [&number.to_le_bytes(), &[spaces], news.bytes()];
                    self.tell(core, hear_each, &args);
                }
                None if hears_messages => {
                    for (channel, message) in news.messages() {
                        self.tell_message_alone(core, channel, message, session.as_deref_mut());
                    }
                }
                None => {}
            }
        }
    }

    /// Hands a message to the subscribers of core `core`, none of whom is subscribed to events.
    fn tell_message_alone(
        &mut self,
        core: CoreId,
        channel: &[u8],
        message: &[u8],
        session: Option<&mut Session>,
    ) {
        if core == self.state.id {
            self.state
                .publish_here(Topic::Channel, channel, message, session);
        } else {
            self.tell(core, pushes::publish_each, &[b"publish", channel, message]);
        }
    }

    /// Whether a message is told in one order with events, since somebody may be subscribed to both.
    pub(in crate::dispatch::core) fn is_told_among_events(&self, topic: Topic) -> bool {
        self.state.gates & gate::NOTES != 0 && topic == Topic::Channel && self.somebody_listens()
    }

    /// Tells of a message, behind what its publisher did before.
    #[cold]
    pub(in crate::dispatch::core) fn tell_message(
        &mut self,
        channel: &[u8],
        message: &[u8],
        session: Option<&mut Session>,
    ) {
        let mut news = News::default();
        news.push(Item::Message { channel, message });
        self.tell_or_gather(&news, session);
    }

    /// Whether the session has changed keys on other cores whose events have yet to be told: its next command would be told of
    /// before them, and waits for their reply.
    #[inline]
    pub(in crate::dispatch::core) fn would_be_told_early(
        &self,
        session: &Session,
        command: &Command,
    ) -> bool {
        self.state.gates & gate::NOTES != 0
            && session.last_write.is_some()
            && self.is_told_before_last_write(session, command)
    }

    #[cold]
    fn is_told_before_last_write(&self, session: &Session, command: &Command) -> bool {
        let flags = match (&session.multi, command.spec.run) {
            (Some(_), _) if is_queued(command) => return false,
            (Some(multi), Run::Transaction(TransactionStep::Run)) => self.flags_of_multi(multi),
            _ => command.spec.flags,
        };
        let is_answered = |seq| session.output.is_ready(seq);
        self.is_told(flags) && !session.last_write.is_none_or(is_answered)
    }

    /// Acts on the notes of a request that has run. If the core that asked tells of its events, they are sent there, before the
    /// answer.
    #[cold]
    pub(in crate::dispatch::core) fn act_for_request(
        &mut self,
        from: CoreId,
        ticket: Ticket,
        tells: Tells,
        by: Reader,
    ) {
        if tells == Tells::Here {
            return self.act_on_notes(None, Some(by));
        }
        let before = self.tellings.begin_gathering();
        self.act_on_notes(None, Some(by));
        let events = self.tellings.end_gathering(before);
        self.send_events(from, ticket, &events);
    }

    /// Sends core `from` the events of what a script did here that may begin again. Its records and notes are held back.
    #[cold]
    pub(in crate::dispatch::core) fn send_held_events(&mut self, from: CoreId, ticket: Ticket) {
        let events = self.take_held_events();
        self.send_events(from, ticket, &events);
    }

    fn send_events(&mut self, to: CoreId, ticket: Ticket, events: &News) {
        if !events.is_empty() {
            self.outboxes.to(to).tell_events(ticket, events.bytes());
        }
    }

    fn take_held_events(&mut self) -> News {
        let notes = self.state.shard.journal().take_held_events();
        let mut events = News::default();
        self.add_events(&notes, &mut events);
        events
    }

    /// Events of a command have come from another core.
    pub(in crate::dispatch::core) fn take_events(&mut self, ticket: Ticket, bytes: &[u8]) {
        let events = News::of(bytes);
        let gather = match ticket {
            Ticket::Part { gather, .. } => self.gathers.told_of(gather as usize),
            _ => None,
        };
        match gather {
            Some(of_command) => {
                of_command.add(&events);
                self.budget.keep(bytes.len());
            }
            // Of a script that was sent here with an `EXEC`, say, when nobody was told yet.
            None => self.tell_news(&events, None),
        }
    }

    /// A part of a command whose events this core tells begins to run here. For [`Self::end_part_here`].
    pub(in crate::dispatch::core) fn begin_part_here(
        &mut self,
        is_told: bool,
    ) -> Option<Option<News>> {
        is_told.then(|| self.tellings.begin_gathering())
    }

    /// It has run: its events are the command's.
    pub(in crate::dispatch::core) fn end_part_here(
        &mut self,
        gather: usize,
        before: Option<Option<News>>,
    ) {
        let Some(before) = before else { return };
        let mut events = self.tellings.end_gathering(before);
        // A script's, that may have to be taken back.
        events.append(&self.take_held_events());
        if let Some(of_command) = self.gathers.told_of(gather) {
            of_command.add(&events);
            self.budget.keep(events.bytes().len());
        }
    }
}

/// Commands on several cores.
impl Core {
    /// A list for the events of a command that begins under locks, by itself or in an `EXEC`. None: nobody is told of them.
    pub(in crate::dispatch::core) fn begin_events(
        &mut self,
        session: SessionId,
        locks: &LocksHeld,
        then: Then,
        is_told: bool,
    ) -> Option<Box<EventsOfCommand>> {
        if then == Then::Release {
            return is_told.then(Box::default);
        }
        if locks.is_empty() || !self.tellings.has_any() {
            return None;
        }
        self.tellings.begin_command(session)
    }

    /// A command is over, and its reply made: its events are told, or added to those of its `EXEC`.
    #[cold]
    pub(in crate::dispatch::core) fn end_events(
        &mut self,
        id: SessionId,
        then: Then,
        of_command: EventsOfCommand,
        session: Option<&mut Session>,
    ) {
        self.budget.let_go(of_command.bytes());
        let command = of_command.command();
        let events = of_command.into_events();
        if then == Then::Release {
            return self.tell_news(&events, session);
        }
        self.add_to_telling(id, Some(command), events);
        if self.tellings.end_command(id)
            && let Some(session) = session
        {
            session.at_barrier = false;
        }
    }

    /// Adds events to those of an `EXEC` or a script: of its command number `command`, or of the one at work.
    fn add_to_telling(&mut self, id: SessionId, command: Option<usize>, events: News) {
        let bytes = self.tellings.add(id, command, events);
        self.budget.keep(bytes);
    }

    /// Takes the events of an `EXEC` or a script, in the order of its commands.
    fn take_telling(&mut self, id: SessionId) -> News {
        let (events, bytes) = self.tellings.take(id);
        self.budget.let_go(bytes);
        events
    }
}

/// `EXEC`.
impl Core {
    /// An `EXEC` begins. `flags`: those of all its commands.
    pub(in crate::dispatch::core) fn begin_telling_of_exec(&mut self, id: SessionId, flags: Flags) {
        if self.is_told(flags) {
            self.tellings.begin(id);
        }
    }

    /// Whether the events of an `EXEC`, or of a script by its messenger, are gathered, to be told.
    #[inline]
    pub(in crate::dispatch::core) fn tells_of(&self, id: SessionId) -> bool {
        self.tellings.tells_of(id)
    }

    /// The command of this number is about to run. For [`Self::end_command_of_exec`].
    pub(in crate::dispatch::core) fn begin_command_of_exec(
        &mut self,
        id: SessionId,
        number: usize,
    ) -> Option<Option<News>> {
        if !self.tellings.has_any() || !self.tellings.come_to(id, number) {
            return None;
        }
        Some(self.tellings.begin_gathering())
    }

    /// It has run, or begun to.
    pub(in crate::dispatch::core) fn end_command_of_exec(
        &mut self,
        id: SessionId,
        before: Option<Option<News>>,
    ) {
        if let Some(before) = before {
            let events = self.tellings.end_gathering(before);
            self.add_to_telling(id, None, events);
        }
    }

    /// Whether an `EXEC`, all of whose commands have begun, has to wait for answers of other cores. If so, the session is at
    /// a barrier until they have come.
    pub(in crate::dispatch::core) fn awaits_events(&mut self, session: &mut Session) -> bool {
        if !self.tellings.has_any() || !self.tellings.await_commands(session.id) {
            return false;
        }
        session.at_barrier = true;
        true
    }

    /// An `EXEC` is over: tells of it.
    pub(in crate::dispatch::core) fn end_telling_of_exec(&mut self, session: &mut Session) {
        if self.tells_of(session.id) {
            let events = self.take_telling(session.id);
            self.tell_or_gather(&events, Some(session));
        }
    }

    /// Runs a command of an `EXEC` on the core of its keys, which answers with its events.
    #[cold]
    pub(in crate::dispatch::core) fn ask_in_exec(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        command: &'static Command,
        core: CoreId,
        quiet: bool,
    ) {
        let recipient = recipient_of_reply(session, command, quiet);
        self.state.timing.ran(command.id);
        let executing = session.executing.as_ref();
        let locks = executing.map(|executing| executing.locks.clone());
        let asks = vec![(core, Work::Command(command), args.iter_from(0).collect())];
        let locks = locks.unwrap_or_default();
        let parts = (Finish::All, asks);
        self.gather_parts(Some(session), recipient, args, parts, (locks, Then::Keep));
    }

    /// An `EXEC` of another core's session begins to run, all of it here. Its events are one unit. For
    /// [`Self::end_exec_here`].
    pub(in crate::dispatch::core) fn begin_exec_here(&mut self) -> Option<Option<News>> {
        let is_noted = self.state.gates & gate::NOTES != 0;
        is_noted.then(|| self.tellings.begin_gathering())
    }

    /// They have run.
    pub(in crate::dispatch::core) fn end_exec_here(&mut self, before: Option<Option<News>>) {
        if let Some(before) = before {
            let events = self.tellings.end_gathering(before);
            self.tell_or_gather(&events, None);
        }
    }
}

/// Scripts on several cores.
impl Core {
    /// A script gets a messenger.
    pub(in crate::dispatch::core) fn begin_telling_of_script(&mut self, messenger: SessionId) {
        if self.is_told(Flags::WRITE) {
            self.tellings.begin(messenger);
        }
    }

    /// Adds the events of a script on its own core so far to those gathered: before those of what it does elsewhere.
    pub(in crate::dispatch::core) fn gather_for_script(
        &mut self,
        messenger: SessionId,
        by: Reader,
        is_undoable: bool,
    ) {
        if !self.tells_of(messenger) {
            return self.act_on_notes(None, Some(by));
        }
        let mut events = self.take_held_events();
        let before = self.tellings.begin_gathering();
        self.act_on_notes(None, Some(by));
        events.append(&self.tellings.end_gathering(before));
        self.add_to_telling(messenger, None, events);
        if !is_undoable && self.tellings.bytes_at_rest(messenger) > EVENTS_OF_SCRIPT_MAX_BYTES {
            let events = self.take_telling(messenger);
            self.tell_or_gather(&events, None);
            self.tellings.begin(messenger);
        }
    }

    /// A script of a client of this core is over: tells of its events, or adds them to those of the `EXEC` of session `exec`.
    pub(in crate::dispatch::core) fn end_telling_of_script(
        &mut self,
        messenger: SessionId,
        exec: Option<SessionId>,
        session: Option<&mut Session>,
    ) {
        if !self.tells_of(messenger) {
            return;
        }
        let events = self.take_telling(messenger);
        match exec.filter(|exec| self.tells_of(*exec)) {
            Some(exec) => self.add_to_telling(exec, None, events),
            None => self.tell_or_gather(&events, session),
        }
    }

    /// A script of a client of core `from` is over: tells of its events, or sends them there if it is part of an `EXEC`.
    pub(in crate::dispatch::core) fn end_telling_of_sent_script(
        &mut self,
        messenger: SessionId,
        from: CoreId,
        ticket: Ticket,
    ) {
        if !self.tells_of(messenger) {
            return;
        }
        let events = self.take_telling(messenger);
        match ticket {
            Ticket::Part { .. } => self.send_events(from, ticket, &events),
            _ => self.tell_or_gather(&events, None),
        }
    }

    /// Until [`Self::end_command_of_exec`], events are gathered for the command that the `EXEC` of session `exec` has come to.
    pub(in crate::dispatch::core) fn begin_more_of_exec(
        &mut self,
        exec: Option<SessionId>,
    ) -> Option<Option<News>> {
        let exec = exec.filter(|exec| self.tells_of(*exec));
        exec.map(|_| self.tellings.begin_gathering())
    }

    /// Forgets the events of a script that begins again.
    pub(in crate::dispatch::core) fn drop_telling(&mut self, messenger: SessionId) {
        drop(self.take_telling(messenger));
    }
}
