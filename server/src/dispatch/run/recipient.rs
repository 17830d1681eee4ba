//! Who gets a reply that is made elsewhere, or later.

use larder_engine::{Access, DbIndex};

use crate::command::{Command, CommandSpec, FirstKey, Flags};
use crate::dispatch::mail::requests::{Counts, Held, Reading, RequestHead, Ticket, Work};
use crate::dispatch::run::on_shard::access_of;
use crate::resp::Protocol;
use crate::session::{ReplySeq, Session, SessionId, UserId};

/// Who gets the reply, and with which settings it is made: values.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct Recipient {
    pub(in crate::dispatch) session: SessionId,
    pub(in crate::dispatch) client_id: u64,
    pub(in crate::dispatch) user: UserId,
    /// The reply's slot in the session's output; none if no reply is wanted.
    pub(in crate::dispatch) seq: Option<ReplySeq>,
    pub(in crate::dispatch) db: DbIndex,
    pub(in crate::dispatch) protocol: Protocol,
    pub(in crate::dispatch) access: Access,
    pub(in crate::dispatch) reading: Reading,
    pub(in crate::dispatch) counts: Counts,
    pub(in crate::dispatch) command: &'static Command,
}

impl Recipient {
    /// No client at all: the server itself.
    pub(in crate::dispatch) fn nobody(command: &'static Command) -> Self {
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
    pub(in crate::dispatch) fn head(
        &self,
        ticket: Ticket,
        work: Work,
        locks: Option<Held>,
    ) -> RequestHead {
        RequestHead {
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

/// Keeps a slot for a reply that comes later, and notes if the command writes. The recipient of the reply.
pub(in crate::dispatch) fn recipient_of_reply(
    session: &mut Session,
    command: &'static Command,
    quiet: bool,
) -> Recipient {
    let seq = session.output.expect_if_wanted(!quiet);
    note_write(session, command.spec, seq);
    recipient_of_session(session, Some(seq), command)
}

/// A session as the owner of a reply.
pub(in crate::dispatch) fn recipient_of_session(
    session: &Session,
    seq: Option<ReplySeq>,
    command: &'static Command,
) -> Recipient {
    Recipient {
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

/// The reply with this number is to a command that writes on other cores, if the command writes.
#[inline]
pub(in crate::dispatch) fn note_write(session: &mut Session, spec: &CommandSpec, seq: ReplySeq) {
    // Scripts among them.
    if spec.flags.has_any(Flags::WRITE.with(Flags::MAY_REPLICATE)) {
        session.last_write = Some(seq);
    }
}
