//! `CLIENT LIST` and `CLIENT INFO`: connections, a line each, in the words of Redis 7.2.

use std::io::Write;

use larder_engine::parse_canonical_i64;

use crate::command::{Args, CoreCall, SessionCall};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Protocol, Reply};
use crate::session::{Closing, Session, TrackingMode, gate};
use crate::topics::Topic;

use super::tracking;

/// The classes of clients; masters and replicas there are none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientType {
    Normal,
    Replica,
    Pubsub,
    Master,
}

impl ClientType {
    /// The class of a connection.
    pub(super) fn of(session: &Session) -> Self {
        if session.is_subscriber() {
            Self::Pubsub
        } else {
            Self::Normal
        }
    }

    pub(super) fn parse(name: &[u8]) -> Result<Self, ErrorReply> {
        let name_is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        if name_is("normal") {
            Ok(Self::Normal)
        } else if name_is("replica") || name_is("slave") {
            Ok(Self::Replica)
        } else if name_is("pubsub") {
            Ok(Self::Pubsub)
        } else if name_is("master") {
            Ok(Self::Master)
        } else {
            Err(errors::unknown_client_type(name))
        }
    }
}

/// Which connections are listed.
#[derive(Debug, PartialEq, Eq)]
enum Which {
    All,
    OfType(ClientType),
    /// In this order, however often.
    Ids(Vec<u64>),
}

impl Which {
    fn parse(args: &Args<'_>) -> Result<Self, ErrorReply> {
        if args.len() == 2 {
            return Ok(Self::All);
        }
        if args.is(2, "type") && args.len() == 4 {
            return ClientType::parse(args.at(3)).map(Self::OfType);
        }
        if args.is(2, "id") && args.len() > 3 {
            let ids = args.iter_from(3).map(|id| {
                // Ids are never negative, so that the negative ones Redis takes find nothing here either.
                let id = parse_canonical_i64(id).ok_or(errors::INVALID_CLIENT_ID)?;
                Ok(u64::try_from(id).unwrap_or(0))
            });
            return ids.collect::<Result<_, _>>().map(Self::Ids);
        }
        Err(errors::SYNTAX)
    }

    /// Whether it is listed; ids are sorted. A connection that is being closed is gone to its client.
    fn holds(&self, session: &Session) -> bool {
        match self {
            _ if session.closing == Closing::Now => false,
            Self::All => true,
            Self::OfType(client_type) => *client_type == ClientType::of(session),
            Self::Ids(ids) => ids.binary_search(&session.client_id).is_ok(),
        }
    }
}

/// Lists a core's connections: id and line of each.
pub(super) fn each(call: &mut CoreCall<'_>) {
    let Ok(mut which) = Which::parse(&call.args) else {
        return;
    };
    if let Which::Ids(ids) = &mut which {
        ids.sort_unstable();
    }
    let now_ms = call.core.clock.monotonic_ms();
    let mut part = PartWriter(call.out);
    let asking = call
        .asking
        .as_deref()
        .map(|session| (session, Some(call.args)));
    let others = call.core.sessions.iter().map(|session| (session, None));
    for (session, running) in others
        .chain(asking)
        .filter(|(session, _)| which.holds(session))
    {
        part.number(session.client_id);
        part.bytes(&line(session, now_ms, running));
    }
}

/// Puts the lists together.
pub(super) fn merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let which = Which::parse(args)?;
    let mut lines = Vec::new();
    for part in parts {
        let mut part = PartReader::new(part);
        while !part.is_at_end() {
            lines.push((part.number(), part.bytes()));
        }
    }
    lines.sort_unstable();
    let mut text = Vec::new();
    let mut push = |line: &[u8]| {
        text.extend_from_slice(line);
        text.push(b'\n');
    };
    match which {
        Which::Ids(ids) => {
            for id in ids {
                if let Ok(at) = lines.binary_search_by_key(&id, |(id, _)| *id) {
                    push(lines[at].1);
                }
            }
        }
        _ => lines.iter().for_each(|(_, line)| push(line)),
    }
    reply.verbatim("txt", &text);
    Ok(())
}

pub(super) fn info(call: &mut SessionCall<'_>) -> CommandResult {
    let mut text = line(
        call.session,
        call.core.clock.monotonic_ms(),
        Some(call.args),
    );
    text.push(b'\n');
    call.reply(|reply| reply.verbatim("txt", &text));
    Ok(())
}

/// Bytes of a client's output that Redis counts as `obl`; the others are `omem`.
const REDIS_BUFFER_BYTES: usize = 16 * 1024;

/// The line of one connection. `running`: the command it runs at the moment.
fn line(session: &Session, now_ms: u64, running: Option<Args<'_>>) -> Vec<u8> {
    let running_bytes = running.map_or(0, |args| wire_bytes(&args));
    // What Redis has taken out of its buffer of a command that is not yet whole.
    let parsed = session.parser.parsed();
    let args_bytes = running.map_or(parsed.args_bytes, |args| args.bytes());
    let pending = session.output.pending_bytes();
    // Redis has a buffer of a fixed size, and what that does not hold in a list.
    let in_buffer = pending.min(REDIS_BUFFER_BYTES);
    let in_list = pending - in_buffer;
    let list_len = in_list.div_ceil(REDIS_BUFFER_BYTES);
    let mut line = Vec::with_capacity(400);
    let written = write!(
        line,
        "id={} addr={} laddr={} fd={} name=",
        session.client_id, session.peer.addr, session.peer.local_addr, session.peer.fd
    );
    written.expect("writing to memory");
    line.extend_from_slice(session.name());
    let written = write!(
        line,
        " age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} \
         rbp={} obl={in_buffer} oll={list_len} omem={in_list} tot-mem={} events={} cmd={} user={} redir={} resp={} lib-name=",
        now_ms.saturating_sub(session.connected_ms) / 1000,
        now_ms.saturating_sub(session.last_heard_ms) / 1000,
        flags(session),
        session.db.0,
        session.subscriptions(Topic::Channel),
        session.subscriptions(Topic::Pattern),
        session.subscriptions(Topic::ShardChannel),
        session
            .multi
            .as_ref()
            .map_or(-1, |multi| multi.len() as i64),
        session.unread_bytes().saturating_sub(parsed.bytes) + running_bytes,
        session.unread_free_bytes(),
        args_bytes,
        session
            .multi
            .as_ref()
            .map_or(0, |multi| multi.memory_bytes()),
        session.output.memory_bytes(),
        session.output.memory_bytes(),
        session.memory_bytes() + running_bytes,
        if pending > 0 { "rw" } else { "r" },
        session.last_command,
        session.user.name(),
        tracking::redirection(session),
        match session.protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        },
    );
    written.expect("writing to memory");
    let [library, version] = session.library();
    line.extend_from_slice(library);
    line.extend_from_slice(b" lib-ver=");
    line.extend_from_slice(version);
    line
}

/// Bytes of a command as a client sends it.
fn wire_bytes(args: &Args<'_>) -> usize {
    let header = |number: usize| number.checked_ilog10().unwrap_or(0) as usize + 1 + "*\r\n".len();
    let bulks = args
        .iter_from(0)
        .map(|arg| header(arg.len()) + arg.len() + "\r\n".len());
    header(args.len()) + bulks.sum::<usize>()
}

fn flags(session: &Session) -> String {
    let tracking = session.tracking();
    let marks = [
        (session.gates & gate::MONITOR != 0, 'O'),
        (session.multi.is_some(), 'x'),
        (session.is_subscriber(), 'P'),
        (session.is_blocked() || session.paused, 'b'),
        (tracking.is_some(), 't'),
        (
            tracking.is_some_and(|tracking| tracking.redirect_is_broken),
            'R',
        ),
        (
            tracking.is_some_and(|tracking| tracking.mode == TrackingMode::Broadcast),
            'B',
        ),
        (session.closing == Closing::AfterReplies, 'c'),
        (session.closing == Closing::Now, 'A'),
        (session.peer.unix, 'U'),
        (session.no_evict, 'e'),
        (session.gates & gate::NO_TOUCH != 0, 'T'),
    ];
    let flags: String = marks
        .into_iter()
        .filter_map(|(set, mark)| set.then_some(mark))
        .collect();
    if flags.is_empty() {
        "N".to_owned()
    } else {
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::wire::words;
    use crate::session::{Endpoint, Peer, SessionId};

    #[test]
    fn the_line_of_a_connection_has_the_fields_of_redis_in_their_order() {
        let peer = Peer {
            addr: "127.0.0.1:5".into(),
            local_addr: "127.0.0.1:6".into(),
            fd: 8,
            unix: false,
            endpoint: Endpoint::Server,
        };
        let mut session = Session::new(3, SessionId::default(), peer, 1000);
        session.last_command = "client|list";
        let (bytes, ranges) = words(&["client", "list"]);
        let text =
            String::from_utf8(line(&session, 3500, Some(Args::new(&bytes, &ranges)))).unwrap();
        let expected = "id=3 addr=127.0.0.1:5 laddr=127.0.0.1:6 fd=8 name= age=2 idle=2 flags=N db=0 sub=0 psub=0 ssub=0 \
                        multi=-1 qbuf=26 qbuf-free=0 argv-mem=10 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.ends_with(
                " events=r cmd=client|list user=default redir=-1 resp=2 lib-name= lib-ver="
            ),
            "{text}"
        );
    }

    #[test]
    fn lists_of_cores_merge_by_id_or_in_the_order_asked_for() {
        let list = |ids: &[u64]| {
            let mut part = Vec::new();
            for id in ids {
                PartWriter(&mut part).number(*id);
                PartWriter(&mut part).bytes(format!("id={id}").as_bytes());
            }
            part
        };
        let (left, right) = (list(&[2, 9]), list(&[10, 1]));
        let merged = |command: &[&str]| {
            let (bytes, ranges) = words(command);
            let mut out = Vec::new();
            let mut reply = Reply::new(&mut out, Protocol::Resp2);
            merge(&Args::new(&bytes, &ranges), &[&left, &right], &mut reply)
                .map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(
            merged(&["client", "list"]).unwrap(),
            "$22\r\nid=1\nid=2\nid=9\nid=10\n\r\n".replace("$22", "$21")
        );
        assert_eq!(
            merged(&["client", "list", "id", "9", "7", "1", "9"]).unwrap(),
            "$15\r\nid=9\nid=1\nid=9\n\r\n"
        );
        assert!(merged(&["client", "list", "id"]).is_err());
        assert!(merged(&["client", "list", "type", "x"]).is_err());
    }
}
