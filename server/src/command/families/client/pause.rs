//! `CLIENT PAUSE`, `CLIENT UNPAUSE`, and `CLIENT UNBLOCK`.

use std::sync::atomic::Ordering;

use larder_engine::parse_canonical_i64;

use crate::command::{Args, CoreCall, SessionCall};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::session::{SessionId, gate};

pub(super) fn pause(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let shared = &call.core.shared.pause;
    let until_ms = match args.len() {
        3 => &shared.all_until_ms,
        4 if args.is(3, "all") => &shared.all_until_ms,
        4 if args.is(3, "write") => &shared.writes_until_ms,
        4 => return Err(errors::PAUSE_MODE),
        _ => return Err(errors::subcommand_syntax(args.at(0), args.at(1))),
    };
    let timeout_ms = parse_canonical_i64(args.at(2)).ok_or(errors::TIMEOUT_NOT_AN_INTEGER)?;
    let timeout_ms = u64::try_from(timeout_ms).map_err(|_| errors::TIMEOUT_NEGATIVE)?;
    let now_ms = u64::try_from(call.core.clock.unix.0).unwrap_or(0);
    until_ms.fetch_max(now_ms.saturating_add(timeout_ms), Ordering::Relaxed);
    // For the next command of this turn; the other cores see it with their next turn.
    call.core.gates |= gate::PAUSE;
    let is_paused = call.core.pauses().contains(&true);
    call.core.shard.hold_expiry(is_paused);
    call.reply(|reply| reply.ok());
    Ok(())
}

pub(super) fn unpause(call: &mut SessionCall<'_>) -> CommandResult {
    let pause = &call.core.shared.pause;
    pause.all_until_ms.store(0, Ordering::Relaxed);
    pause.writes_until_ms.store(0, Ordering::Relaxed);
    call.core.shard.hold_expiry(false);
    call.reply(|reply| reply.ok());
    Ok(())
}

/// What becomes of the command that is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    AsTimeout,
    AsError,
}

fn parse_unblock(args: &Args<'_>) -> Result<(u64, Ending), ErrorReply> {
    let ending = match args.len() {
        3 => Ending::AsTimeout,
        4 if args.is(3, "timeout") => Ending::AsTimeout,
        4 if args.is(3, "error") => Ending::AsError,
        4 => return Err(errors::UNBLOCK_REASON),
        _ => return Err(errors::subcommand_syntax(args.at(0), args.at(1))),
    };
    let id = parse_canonical_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    Ok((u64::try_from(id).unwrap_or(0), ending))
}

/// Ends the wait of a blocked connection if it is this core's.
pub(super) fn unblock_each(call: &mut CoreCall<'_>) {
    let unblocked = unblock(call);
    PartWriter(call.out).number(unblocked.is_some().into());
    if let Some(id) = unblocked {
        call.core.dirty.push(id);
        // The timer that is due at once makes the core look at what the session has received meanwhile.
        call.core.add_timer(0, id);
    }
}

fn unblock(call: &mut CoreCall<'_>) -> Option<SessionId> {
    let (client_id, ending) = parse_unblock(&call.args).ok()?;
    let mut sessions = call.core.sessions.iter_mut();
    let session = sessions.find(|session| session.client_id == client_id)?;
    let is_unblocked = match ending {
        Ending::AsTimeout => session.unblock(None),
        Ending::AsError => session.unblock(Some(&errors::UNBLOCKED)),
    };
    is_unblocked.then_some(session.id)
}

pub(super) fn unblock_merge(
    args: &Args<'_>,
    parts: &[&[u8]],
    reply: &mut Reply<'_>,
) -> CommandResult {
    parse_unblock(args)?;
    reply.count(
        parts
            .iter()
            .map(|part| PartReader::new(part).number())
            .sum(),
    );
    Ok(())
}
