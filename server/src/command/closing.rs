//! Clients that are closed or held back for what the server holds for them: counted, and said in the log by name.

use std::fmt::{self, Display, Formatter};

use crate::config::OutputLimit;
use crate::log;
use crate::observe::Stats;
use crate::session::{Closing, Session};

/// Why a client is closed for what the server holds for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It is owed more than the hard limit of its class (`client-output-buffer-limit`).
    HardLimit,
    /// It has been owed more than the soft limit of its class for too long.
    SoftLimit,
    /// It watches commands, does not read, and nothing else would hold it back (`client-output-buffer-high-water`).
    HighWater,
    /// It has sent more of a command than may wait (`client-query-buffer-limit`).
    Query,
    /// All clients together hold more than they may (`maxmemory-clients`), and it holds most.
    AllClients,
}

impl Excess {
    fn text(self) -> &'static str {
        match self {
            Self::HardLimit => "it is owed more than the hard limit of client-output-buffer-limit",
            Self::SoftLimit => {
                "it was owed more than the soft limit of client-output-buffer-limit for too long"
            }
            Self::HighWater => {
                "it watches commands and is owed more than client-output-buffer-high-water"
            }
            Self::Query => {
                "it has sent more than client-query-buffer-limit without a command to run"
            }
            Self::AllClients => {
                "all clients hold more memory than maxmemory-clients allows, and it holds most"
            }
        }
    }
}

/// Closes a client for what the server holds for it, unless it is about to be closed.
#[cold]
pub fn close(session: &mut Session, excess: Excess, stats: &mut Stats) {
    if session.closing == Closing::Now {
        return;
    }
    match excess {
        Excess::Query => stats.query_limit_closes += 1,
        Excess::AllClients => stats.evicted_clients += 1,
        _ => stats.output_limit_closes += 1,
    }
    log::warn(format_args!(
        "closing a client, as {}: {}",
        excess.text(),
        Name(session)
    ));
    session.closing = Closing::Now;
}

/// Closes a client that is owed more than the hard limit of its class. Whether it did.
#[inline]
pub fn close_beyond(session: &mut Session, limit: &OutputLimit, stats: &mut Stats) -> bool {
    let exceeds = session.exceeds_hard_limit(limit);
    if exceeds {
        close(session, Excess::HardLimit, stats);
    }
    exceeds
}

/// Says that a client is held back.
#[cold]
pub fn say_held_back(session: &Session) {
    log::warn(format_args!(
        "holding a client back until it reads, as it is owed more than client-output-buffer-high-water: {}",
        Name(session)
    ));
}

/// A client as the log names it: the fields of `CLIENT LIST` that say who it is and what it holds.
struct Name<'a>(&'a Session);

impl Display for Name<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let session = self.0;
        write!(
            out,
            "id={} addr={} name={} qbuf={} omem={} tot-mem={} cmd={}",
            session.client_id,
            session.peer.addr,
            String::from_utf8_lossy(session.name()),
            session.unread_bytes(),
            session.output.pending_bytes(),
            session.memory_bytes(),
            session.last_command,
        )
    }
}
