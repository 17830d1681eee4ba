//! `CLIENT PAUSE`, `CLIENT UNPAUSE`, and `CLIENT UNBLOCK`.

use larder_engine::parse_canonical_i64;

use crate::command::{Args, CoreCall};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::session::{Ending, Unblocked, gate};

/// Which commands are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Writes,
    All,
}

fn parse_pause(args: &Args<'_>) -> Result<(u64, Held), ErrorReply> {
    let held = match args.len() {
        3 => Held::All,
        4 if args.is(3, "all") => Held::All,
        4 if args.is(3, "write") => Held::Writes,
        4 => return Err(errors::PAUSE_MODE),
        _ => return Err(errors::subcommand_syntax(args.at(0), args.at(1))),
    };
    let timeout_ms = parse_canonical_i64(args.at(2)).ok_or(errors::TIMEOUT_NOT_AN_INTEGER)?;
    let timeout_ms = u64::try_from(timeout_ms).map_err(|_| errors::TIMEOUT_NEGATIVE)?;
    Ok((timeout_ms, held))
}

/// Begins the pause on a core.
pub(super) fn pause_each(call: &mut CoreCall<'_>) {
    let Ok((timeout_ms, held)) = parse_pause(&call.args) else {
        return;
    };
    let core = &mut call.core;
    let now_ms = u64::try_from(core.clock.unix.0).unwrap_or(0);
    let pausing = &mut core.pausing;
    let until_ms = match held {
        Held::Writes => &mut pausing.writes_until_ms,
        Held::All => &mut pausing.all_until_ms,
    };
    *until_ms = (*until_ms).max(now_ms.saturating_add(timeout_ms));
    pausing.has_begun = true;
    let is_paused = core.pauses().contains(&true);
    if is_paused {
        // For the next command of this turn.
        core.gates |= gate::PAUSE;
    }
    core.shard.hold_expiry(is_paused);
}

pub(super) fn pause_merge(args: &Args<'_>, _: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    parse_pause(args)?;
    reply.ok();
    Ok(())
}

/// Ends all pauses on a core.
pub(super) fn unpause_each(call: &mut CoreCall<'_>) {
    call.core.pausing.all_until_ms = 0;
    call.core.pausing.writes_until_ms = 0;
    call.core.shard.hold_expiry(false);
}

pub(super) fn unpause_merge(_: &Args<'_>, _: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply.ok();
    Ok(())
}

fn parse_unblock(args: &Args<'_>) -> Result<(u64, Ending), ErrorReply> {
    let ending = match args.len() {
        3 => Ending::TimedOut,
        4 if args.is(3, "timeout") => Ending::TimedOut,
        4 if args.is(3, "error") => Ending::Unblocked,
        4 => return Err(errors::UNBLOCK_REASON),
        _ => return Err(errors::subcommand_syntax(args.at(0), args.at(1))),
    };
    let id = parse_canonical_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    Ok((u64::try_from(id).unwrap_or(0), ending))
}

/// Ends the wait of a blocked connection if it is this core's. Where it may be served before, the answer comes when that is
/// clear.
pub(super) fn unblock_each(call: &mut CoreCall<'_>) {
    let unblocked = unblock(call);
    PartWriter(call.out).number((unblocked == Unblocked::AtOnce).into());
}

fn unblock(call: &mut CoreCall<'_>) -> Unblocked {
    let Ok((client_id, ending)) = parse_unblock(&call.args) else {
        return Unblocked::No;
    };
    let core = &mut *call.core;
    let session = core
        .sessions
        .iter_mut()
        .find(|session| session.client_id == client_id)
        .map(|session| (session.id, session.unblock(ending, &mut core.stats)));
    let Some((id, unblocked)) = session else {
        return Unblocked::No;
    };
    core.unblocked = Some((id, unblocked));
    unblocked
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
