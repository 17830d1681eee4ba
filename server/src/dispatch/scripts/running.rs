//! The script at work.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_engine::{Access, DbIndex};

use super::hold::{Covers, Hold};
use super::parked::Ended;
use crate::command::{Command, Flags};
use crate::dispatch::limits::SCRIPT_HELD_MAX_BYTES;
use crate::dispatch::mail::requests::{Reading, Ticket};
use crate::dispatch::notify::publication::Publication;
use crate::dispatch::run::on_shard::access_of;
use crate::resp::{ErrorReply, Protocol, errors};
use crate::routing::CoreId;
use crate::script::{BusyScript, Kind, Words};
use crate::session::{Peer, Reader, ReplySeq, Session, SessionId, UserId};

/// What a script begins with: values that stay as they are.
pub(in crate::dispatch) struct Start {
    /// The command that runs it.
    pub(in crate::dispatch) command: &'static Command,
    /// Its SHA-1, or the function's name.
    pub(in crate::dispatch) name: Rc<str>,
    pub(in crate::dispatch) kind: Kind,
    pub(in crate::dispatch) may_write: bool,
    /// `maxmemory` was reached when it began, and it does not say that it may run all the same.
    pub(in crate::dispatch) is_out_of_memory: bool,
    /// What it does may have to be taken back: it begins again if it reaches beyond its keys.
    pub(in crate::dispatch) is_undoable: bool,
    pub(in crate::dispatch) reads: Reads,
    pub(in crate::dispatch) began: Instant,
}

/// A script that has begun.
pub(in crate::dispatch) struct Running {
    start: Start,
    hold: Hold,
    needs: Needs,
    /// The client as which it runs commands; absent while one runs.
    client: Option<Box<Session>>,
    /// The keys it declared live on this core, and nothing has come between since they were found to.
    is_here: bool,
    has_written: bool,
    /// It has run a command that reads.
    has_read: bool,
    /// Commands that it has begun.
    commands: u64,
    /// When it last ran a command to its end.
    last: Instant,
    /// What it has published, as long as it may begin again.
    publications: Vec<Publication>,
    /// Bytes that it has published, and had written on other cores, as long as it may begin again.
    held_bytes: u64,
    /// What monitors are to see of it, as long as it may begin again.
    shown: Vec<u8>,
    /// Set once it has run for too long.
    busy: Option<Arc<BusyScript>>,
    /// When it last got the core back, if it is busy.
    resumed: Option<Instant>,
}

impl Running {
    /// One that has run nothing yet.
    #[inline(always)]
    pub(super) fn new(start: Start, hold: Hold, client: Box<Session>) -> Self {
        Self {
            last: start.began,
            is_here: hold.covers() == Covers::Nothing && !hold.is_in_exec(),
            start,
            hold,
            needs: Needs::Granted,
            client: Some(client),
            has_written: false,
            has_read: false,
            commands: 0,
            publications: Vec::new(),
            held_bytes: 0,
            shown: Vec::new(),
            busy: None,
            resumed: None,
        }
    }

    /// What it began with.
    #[inline]
    pub(in crate::dispatch) fn start(&self) -> &Start {
        &self.start
    }

    /// What keeps others from its keys.
    #[inline]
    pub(in crate::dispatch) fn hold(&self) -> &Hold {
        &self.hold
    }

    /// What keeps others from its keys.
    #[inline]
    pub(in crate::dispatch) fn hold_mut(&mut self) -> &mut Hold {
        &mut self.hold
    }

    /// Whether all keys that it declared are known to live on this core.
    #[inline]
    pub(in crate::dispatch) fn is_here(&self) -> bool {
        self.is_here
    }

    /// What it needs to go on.
    #[inline]
    pub(in crate::dispatch) fn needs(&self) -> Needs {
        self.needs
    }

    /// It goes on when it has this.
    pub(in crate::dispatch) fn wait_for(&mut self, needs: Needs) {
        self.needs = needs;
    }

    /// Whether it has reached beyond its keys, and begins again.
    #[inline]
    pub(in crate::dispatch) fn begins_again(&self) -> bool {
        self.needs == Needs::Everything
    }

    /// Takes the client as which it runs a command, which is about to run.
    #[inline]
    pub(in crate::dispatch) fn take_client(&mut self) -> Box<Session> {
        let client = self.client.take();
        client.expect("no other command of a script is at work")
    }

    /// The command has run, or begun to.
    #[inline]
    pub(in crate::dispatch) fn return_client(&mut self, client: Box<Session>) {
        self.client = Some(client);
    }

    /// The client's settings with which it runs, between two of its commands.
    pub(in crate::dispatch) fn caller(&self) -> Caller {
        let client = self.client.as_ref();
        let client = client.expect("no command of the script runs");
        caller_of(client, self.start.reads)
    }

    /// It asks for a command. Whether this one was counted before the script began again.
    #[inline]
    pub(in crate::dispatch) fn begin_command(&mut self) -> bool {
        self.commands += 1;
        self.hold.is_repeating()
    }

    /// Whether it may run a command with these flags.
    ///
    /// # Errors
    /// What it is told.
    #[inline]
    pub(in crate::dispatch) fn admit(&self, flags: Flags) -> Result<(), ErrorReply> {
        if !self.start.may_write && flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE)) {
            return Err(errors::SCRIPT_IS_READ_ONLY);
        }
        // Once it has written, a script is not stopped halfway.
        if self.start.is_out_of_memory && !self.has_written && flags.has(Flags::DENYOOM) {
            return Err(errors::OUT_OF_MEMORY);
        }
        Ok(())
    }

    /// A command with these flags is about to run.
    ///
    /// # Errors
    /// It is the first that writes, and the script was killed before: it is told so instead of that.
    #[inline]
    pub(in crate::dispatch) fn note_touched(&mut self, flags: Flags) -> Result<(), ErrorReply> {
        self.has_read |= flags.has(Flags::READONLY);
        if flags.has(Flags::WRITE) && !self.has_written {
            self.has_written = true;
            let was_killed = self.busy.as_ref().is_some_and(|busy| !busy.may_write());
            if was_killed {
                return Err(errors::UNKILLABLE);
            }
        }
        Ok(())
    }

    /// A command of its own has ended.
    #[inline]
    pub(in crate::dispatch) fn ran_until(&mut self, last: Instant) {
        self.last = last;
    }

    /// When it last ran a command to its end.
    #[inline]
    pub(in crate::dispatch) fn last(&self) -> Instant {
        self.last
    }

    /// Whether so much is held back of what it did, undo logs of `undo_bytes` among it, that it cannot go on so: it begins
    /// again, and holds nothing back then.
    #[inline]
    pub(in crate::dispatch) fn holds_too_much(&self, undo_bytes: u64) -> bool {
        self.start.is_undoable && self.held_bytes + undo_bytes > SCRIPT_HELD_MAX_BYTES
    }

    /// It has other cores write so many bytes, which they hold back as long as it may begin again.
    pub(in crate::dispatch) fn note_written_elsewhere(&mut self, bytes: usize) {
        if self.start.is_undoable {
            self.held_bytes += bytes as u64;
        }
    }

    /// It publishes a message, to be sent when it is over. The messages that are to be sent now, since they are many and it
    /// does not begin again.
    pub(in crate::dispatch) fn publish(&mut self, publication: Publication) -> Vec<Publication> {
        self.held_bytes += publication.bytes() as u64;
        self.publications.push(publication);
        if self.start.is_undoable || self.held_bytes <= SCRIPT_HELD_MAX_BYTES {
            return Vec::new();
        }
        self.held_bytes = 0;
        std::mem::take(&mut self.publications)
    }

    /// Keeps what monitors are shown of it, from byte `before` of `lines` on, until it is over, if it may begin again.
    #[inline]
    pub(in crate::dispatch) fn keep_shown(&mut self, lines: &mut Vec<u8>, before: usize) {
        if self.start.is_undoable && lines.len() > before {
            self.shown.extend(lines.drain(before..));
        }
    }

    /// It cannot go on at once: others come before it does.
    pub(in crate::dispatch) fn suspend(&mut self) {
        self.is_here = false;
    }

    /// It gets the core back at `now`. Whether it was killed meanwhile.
    pub(in crate::dispatch) fn resume(&mut self, now: Instant) -> bool {
        self.last = now;
        self.resumed = self.busy.as_ref().map(|_| now);
        self.busy.as_ref().is_some_and(|busy| busy.is_killed())
    }

    /// How long it has had the core since it last got it back, if it is busy.
    #[inline]
    pub(in crate::dispatch) fn slice_used(&self) -> Option<Duration> {
        let resumed = self.resumed?;
        Some(self.last.saturating_duration_since(resumed))
    }

    /// Whether it has run for too long.
    pub(in crate::dispatch) fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// It has run for too long. What others are to know of it, who see that it may be ended; `words`: the command that runs it.
    pub(in crate::dispatch) fn describe_busy(&self, here: CoreId, words: &Words) -> BusyScript {
        let mut cores: Vec<CoreId> = self.hold.locks().iter().map(|(core, _)| *core).collect();
        cores.push(here);
        let words = words.range(0, words.len());
        let script = BusyScript::new(
            self.start.kind,
            (*self.start.name).to_owned(),
            words.map(Into::into).collect(),
            self.start.began,
            cores,
        );
        if self.has_written {
            script.may_write();
        }
        if self.hold.covers() == Covers::Everything || self.hold.is_keyless() {
            script.concerns_all();
        }
        script
    }

    /// Others know that it is busy.
    pub(in crate::dispatch) fn become_busy(&mut self, busy: Arc<BusyScript>) {
        self.busy = Some(busy);
    }

    /// Who is to be told of changes of all the keys that it declared, if it read any key, now that it is over.
    #[inline]
    pub(in crate::dispatch) fn reader(&self) -> Option<Reader> {
        let Reads { by, reading } = self.start.reads;
        let has_read = self.has_read && !self.begins_again();
        reading.reader(by).filter(|_| has_read)
    }

    /// Takes what monitors have yet to see of it. Of one that begins again they see nothing.
    #[inline]
    pub(in crate::dispatch) fn take_shown(&mut self) -> Vec<u8> {
        let shown = std::mem::take(&mut self.shown);
        match self.begins_again() {
            true => Vec::new(),
            false => shown,
        }
    }

    /// Takes what it has published and has yet to be sent.
    #[inline]
    pub(in crate::dispatch) fn take_publications(&mut self) -> Vec<Publication> {
        std::mem::take(&mut self.publications)
    }

    /// How many of its commands have run, and been counted, before it reached beyond its keys.
    pub(in crate::dispatch) fn commands_run(&self) -> u64 {
        // The last one reached beyond, and did not run.
        self.commands - 1
    }

    /// The client as which it ran commands, for the next script.
    #[inline]
    pub(in crate::dispatch) fn give_client(&mut self) -> Option<Box<Session>> {
        self.client.take()
    }

    /// What is left of it, if it had to wait.
    pub(in crate::dispatch) fn into_ended(self) -> Ended {
        Ended {
            hold: self.hold,
            busy: self.busy,
            began: self.start.began,
        }
    }
}

/// What a script needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Needs {
    /// The locks it has asked for.
    Locks,
    /// Nothing more: it has them.
    Granted,
    /// Locks of everything: it has to begin again.
    Everything,
    /// The answers to its command.
    Answer,
    /// Its slice of the next turn.
    Slice,
}

/// Who waits for a script's reply.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) enum Asker {
    /// A session of this core.
    Session {
        id: SessionId,
        /// The reply's slot in the session's output.
        seq: ReplySeq,
        /// The session runs no other command until the script is over.
        is_held: bool,
    },
    /// Another core.
    OtherCore { from: CoreId, ticket: Ticket },
}

/// How far a script has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum Progress {
    Over,
    Suspended,
    /// It has reached beyond the keys it declared, and ended for that.
    Beyond,
}

/// The client's settings that a script runs with: values.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Caller {
    pub(in crate::dispatch) db: DbIndex,
    pub(in crate::dispatch) protocol: Protocol,
    pub(in crate::dispatch) access: Access,
    pub(in crate::dispatch) user: UserId,
    pub(in crate::dispatch) reads: Reads,
}

/// The client that a script changes keys for, and whether it is told when others change what the script reads: values.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Reads {
    pub(in crate::dispatch) by: Reader,
    pub(in crate::dispatch) reading: Reading,
}

/// The settings of a session, for a script of its.
pub(in crate::dispatch) fn caller_of(session: &Session, reads: Reads) -> Caller {
    Caller {
        db: session.db,
        protocol: session.protocol,
        access: access_of(session),
        user: session.user,
        reads,
    }
}

/// A session without a client.
pub(in crate::dispatch) fn nobody(id: SessionId) -> Session {
    let peer = Peer {
        addr: "?:0".into(),
        ..Peer::default()
    };
    Session::new(0, id, peer, 0)
}
