//! The script at work.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use larder_engine::{Access, DbIndex};

use super::hold::Hold;
use crate::command::Command;
use crate::dispatch::mail::requests::{Reading, Ticket};
use crate::dispatch::notify::publication::Publication;
use crate::dispatch::run::on_shard::access_of;
use crate::resp::Protocol;
use crate::routing::CoreId;
use crate::script::{BusyScript, Kind};
use crate::session::{Peer, Reader, ReplySeq, Session, SessionId, UserId};

/// A script that has begun.
pub(in crate::dispatch) struct Running {
    pub(in crate::dispatch) command: &'static Command,
    pub(in crate::dispatch) name: Rc<str>,
    pub(in crate::dispatch) kind: Kind,
    pub(in crate::dispatch) may_write: bool,
    /// `maxmemory` was reached when it began, and it does not say that it may run all the same.
    pub(in crate::dispatch) is_out_of_memory: bool,
    pub(in crate::dispatch) wrote: bool,
    /// What it does may have to be taken back: it begins again if it reaches beyond its keys.
    pub(in crate::dispatch) is_undoable: bool,
    /// What it has published, as long as it may begin again.
    pub(in crate::dispatch) publications: Vec<Publication>,
    /// Bytes that it has published, and had written on other cores, as long as it may begin again.
    pub(in crate::dispatch) held_bytes: u64,
    /// Commands that it has begun.
    pub(in crate::dispatch) commands: u64,
    /// What monitors are to see of it, as long as it may begin again.
    pub(in crate::dispatch) shown: Vec<u8>,
    /// The client as which it runs commands; absent while one runs.
    pub(in crate::dispatch) client: Option<Box<Session>>,
    /// When it last ran a command to its end.
    pub(in crate::dispatch) last: Instant,
    pub(in crate::dispatch) hold: Hold,
    /// The keys it declared live on this core, and nothing has come between since they were found to.
    pub(in crate::dispatch) is_here: bool,
    pub(in crate::dispatch) needs: Needs,
    pub(in crate::dispatch) reads: Reads,
    /// It has run a command that reads.
    pub(in crate::dispatch) has_read: bool,
    pub(in crate::dispatch) began: Instant,
    /// Set once it has run for too long.
    pub(in crate::dispatch) busy: Option<Arc<BusyScript>>,
    /// When it last got the core back, if it is busy.
    pub(in crate::dispatch) resumed: Option<Instant>,
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

/// The client's settings that a script runs with.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Caller {
    pub(in crate::dispatch) db: DbIndex,
    pub(in crate::dispatch) protocol: Protocol,
    pub(in crate::dispatch) access: Access,
    pub(in crate::dispatch) user: UserId,
    pub(in crate::dispatch) reads: Reads,
}

/// Who is told of what a script changes and reads.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Reads {
    pub(in crate::dispatch) by: Reader,
    pub(in crate::dispatch) reading: Reading,
}

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
