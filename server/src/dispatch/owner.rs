//! Who gets a reply that is made elsewhere, or later.

use larder_engine::{Access, DbIndex};

use super::on_shard::access_of;
use super::publish::note_write;
use super::requests::{Counts, Head, Held, Reading, Ticket, Work};
use crate::command::{Command, FirstKey};
use crate::resp::Protocol;
use crate::session::{ReplySeq, Session, SessionId, UserId};

/// Who gets the reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) session: SessionId,
    pub(super) client_id: u64,
    pub(super) user: UserId,
    /// The reply's place; none if no reply is wanted.
    pub(super) seq: Option<ReplySeq>,
    pub(super) db: DbIndex,
    pub(super) protocol: Protocol,
    pub(super) access: Access,
    pub(super) reading: Reading,
    pub(super) counts: Counts,
    pub(super) command: &'static Command,
}

impl Owner {
    /// No client at all: the server itself.
    pub(super) fn nobody(command: &'static Command) -> Self {
        Self {
            session: SessionId::default(),
            client_id: 0,
            user: UserId::DEFAULT,
            seq: None,
            db: DbIndex(0),
            protocol: Protocol::Resp2,
            access: Access::Peek,
            reading: Reading::NotRemembered,
            counts: Counts::Now,
            command,
        }
    }

    /// What a request of its says besides the arguments.
    pub(super) fn head(&self, ticket: Ticket, work: Work, locks: Option<Held>) -> Head {
        Head {
            ticket,
            work,
            db: self.db,
            protocol: self.protocol,
            access: self.access,
            client_id: self.client_id,
            user: self.user,
            reading: self.reading,
            first_key: FirstKey::UNKNOWN,
            locks,
        }
    }
}

/// Keeps the place of a reply that comes later, and its owner. What it writes is noted.
pub(super) fn owner_of_reply(
    session: &mut Session,
    command: &'static Command,
    quiet: bool,
) -> Owner {
    let seq = session.output.expect_if_wanted(!quiet);
    note_write(session, command.spec, seq);
    session_owner(session, Some(seq), command)
}

/// A session as the owner of a reply.
pub(super) fn session_owner(
    session: &Session,
    seq: Option<ReplySeq>,
    command: &'static Command,
) -> Owner {
    Owner {
        session: session.id,
        client_id: session.client_id,
        user: session.user,
        seq,
        db: session.db,
        protocol: session.protocol,
        access: access_of(session),
        reading: Reading::of(session, command),
        counts: Counts::of(session),
        command,
    }
}
