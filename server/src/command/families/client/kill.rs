//! `CLIENT KILL`, in its old form (an address) and its new one (filters that must all hold).

use larder_engine::parse_canonical_i64;

use super::list::ClientType;
use crate::command::{Args, CoreCall, CoreState};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::session::{Closing, Session, UserId};

/// Which connections are to be closed.
#[derive(Debug, Default)]
struct Filter<'a> {
    /// `CLIENT KILL ip:port`, which answers otherwise.
    is_old_form: bool,
    id: Option<u64>,
    client_type: Option<ClientType>,
    user: Option<UserId>,
    addr: Option<&'a [u8]>,
    local_addr: Option<&'a [u8]>,
    spares_asking: bool,
    /// Seconds a connection must have lasted.
    min_age_secs: u64,
}

impl<'a> Filter<'a> {
    fn parse(args: &Args<'a>) -> Result<Self, ErrorReply> {
        if args.len() == 3 {
            return Ok(Self {
                is_old_form: true,
                addr: args.get(2),
                ..Self::default()
            });
        }
        let mut filter = Self {
            spares_asking: true,
            ..Self::default()
        };
        for at in (2..args.len()).step_by(2) {
            let value = args.get(at + 1).ok_or(errors::SYNTAX)?;
            if args.is(at, "id") {
                let id = parse_canonical_i64(value)
                    .and_then(|id| u64::try_from(id).ok())
                    .filter(|id| *id > 0);
                filter.id = Some(id.ok_or(errors::CLIENT_ID_NOT_POSITIVE)?);
            } else if args.is(at, "type") {
                filter.client_type = Some(ClientType::parse(value)?);
            } else if args.is(at, "addr") {
                filter.addr = Some(value);
            } else if args.is(at, "laddr") {
                filter.local_addr = Some(value);
            } else if args.is(at, "user") {
                let user = UserId::named(value);
                filter.user = Some(user.ok_or_else(|| errors::no_such_user(value))?);
            } else if args.is(at, "skipme") {
                filter.spares_asking = match value {
                    _ if value.eq_ignore_ascii_case(b"yes") => true,
                    _ if value.eq_ignore_ascii_case(b"no") => false,
                    _ => return Err(errors::SYNTAX),
                };
            } else if args.is(at, "maxage") {
                let age = parse_canonical_i64(value).ok_or(errors::MAXAGE_NOT_AN_INTEGER)?;
                let age = u64::try_from(age).ok().filter(|age| *age > 0);
                filter.min_age_secs = age.ok_or(errors::MAXAGE_NOT_POSITIVE)?;
            } else {
                return Err(errors::SYNTAX);
            }
        }
        Ok(filter)
    }

    fn holds(&self, session: &Session, now_ms: u64) -> bool {
        let is = |wanted: Option<&[u8]>, addr: &str| {
            wanted.is_none_or(|wanted| wanted == addr.as_bytes())
        };
        self.id.is_none_or(|id| id == session.client_id)
            && self
                .client_type
                .is_none_or(|class| class == ClientType::of(session))
            && self.user.is_none_or(|user| user == session.user)
            && is(self.addr, &session.peer.addr)
            && is(self.local_addr, &session.peer.local_addr)
            && now_ms.saturating_sub(session.connected_ms) / 1000 >= self.min_age_secs
    }
}

/// Closes connections of a core; answers how many.
pub(super) fn each(call: &mut CoreCall<'_>) {
    let mut killed = 0;
    if let Ok(filter) = Filter::parse(&call.args) {
        let now_ms = call.core.clock.monotonic_ms();
        let CoreState {
            sessions,
            subscribers,
            dirty,
            ..
        } = &mut *call.core;
        for session in sessions
            .iter_mut()
            .filter(|session| filter.holds(session, now_ms))
        {
            if session.closing != Closing::Now {
                session.closing = Closing::Now;
                // As in Redis, nothing is published to it from here on, though its end takes until the turn's.
                subscribers.leave(session);
                dirty.push(session.id);
                killed += 1;
            }
        }
        if let Some(asking) = call.asking.as_deref_mut()
            && !filter.spares_asking
            && filter.holds(asking, now_ms)
        {
            asking.closing = Closing::AfterReplies;
            killed += 1;
        }
    }
    PartWriter(call.out).number(killed);
}

pub(super) fn merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let filter = Filter::parse(args)?;
    let killed: u64 = parts
        .iter()
        .map(|part| PartReader::new(part).number())
        .sum();
    match (filter.is_old_form, killed) {
        (true, 0) => return Err(errors::NO_SUCH_CLIENT),
        (true, _) => reply.ok(),
        (false, _) => reply.count(killed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;
    use crate::session::{Peer, SessionId};

    fn filter_of(command: &str, session: &Session) -> Result<bool, ErrorReply> {
        let (bytes, ranges) = words(&command.split(' ').collect::<Vec<_>>());
        Filter::parse(&Args::new(&bytes, &ranges)).map(|filter| filter.holds(session, 10_000))
    }

    #[test]
    fn every_filter_must_hold() {
        let peer = Peer {
            addr: "1.2.3.4:5".into(),
            local_addr: "6.7.8.9:10".into(),
            ..Peer::default()
        };
        let session = Session::new(7, SessionId::default(), peer, 2000);
        for (command, holds) in [
            ("client kill 1.2.3.4:5", true),
            ("client kill 1.2.3.4:6", false),
            ("client kill id 7", true),
            ("client kill ID 8", false),
            (
                "client kill addr 1.2.3.4:5 laddr 6.7.8.9:10 type normal user default skipme no",
                true,
            ),
            ("client kill addr 1.2.3.4:5 type pubsub", false),
            ("client kill maxage 8", true),
            ("client kill maxage 9", false),
        ] {
            assert_eq!(filter_of(command, &session), Ok(holds), "{command}");
        }
    }

    #[test]
    fn a_filter_that_is_not_understood_is_refused() {
        let session = Session::new(7, SessionId::default(), Peer::default(), 0);
        for command in [
            "id 0",
            "id x",
            "type x",
            "user x",
            "skipme x",
            "maxage 0",
            "maxage x",
            "what x",
            "id 7 skipme",
        ] {
            assert!(
                filter_of(&format!("client kill {command}"), &session).is_err(),
                "{command}"
            );
        }
    }
}
