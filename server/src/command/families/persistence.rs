//! Snapshots, as clients ask for them, and the end of the server, which may come behind one ([`crate::persist::snapshot`]).

use std::sync::Arc;

use crate::command::families::object::lfu_of;
use crate::command::{Category, CommandSpec, CoreCall, CoreState, Flags, Group, Run, SessionCall};
use crate::config::REDIS_VERSION;
use crate::persist::snapshot::{Claim, Job, Purpose, Uses};
use crate::rdb::{Checksum, Packing};
use crate::resp::errors::{self, CommandResult};
use crate::session::{ReplySeq, SessionId};

/// A snapshot that is to be begun.
#[derive(Debug)]
pub struct SaveAsked {
    /// What it is to be.
    pub claim: Claim,
    /// Who waits for its end: a session, and the place of its reply.
    pub waiter: Option<(SessionId, ReplySeq)>,
}

/// What a snapshot is to be that is taken now.
pub fn claim_of(core: &CoreState, purpose: Purpose) -> Claim {
    let config = &core.config;
    Claim {
        purpose,
        path: config.dbfilename.as_str().into(),
        packing: match config.rdbcompression {
            true => Packing::Lzf,
            false => Packing::None,
        },
        checksum: match config.rdbchecksum {
            true => Checksum::Checked,
            false => Checksum::Skipped,
        },
        // As Redis has it: by its own policies alone.
        uses: match config.maxmemory_policy {
            policy if policy.is_lfu() => Uses::Frequency(lfu_of(config)),
            policy if policy.is_lru_or_lfu() => Uses::Idle,
            _ => Uses::Nothing,
        },
        begun_ms: core.clock.unix.0,
        redis_version: REDIS_VERSION,
    }
}

/// A core is done with its part of a snapshot: whoever has begun that looks at it in the turn that this makes.
pub fn look_each(_: &mut CoreCall<'_>) {}

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "bgrewriteaof",
        arity: 1,
        flags: Flags::ADMIN
            .with(Flags::NOSCRIPT)
            .with(Flags::NO_ASYNC_LOADING),
        group: Group::Server,
        summary: "Rewrites the append-only file in the background.",
        run: Run::OnSession(rewrite_log),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "bgsave",
        arity: -1,
        flags: Flags::ADMIN
            .with(Flags::NOSCRIPT)
            .with(Flags::NO_ASYNC_LOADING),
        group: Group::Server,
        syntax: "[SCHEDULE|CANCEL]",
        summary: "Saves the dataset in the background.",
        run: Run::OnSession(save_in_background),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "lastsave",
        arity: 1,
        flags: Flags::ANYTIME.with(Flags::FAST),
        categories: &[Category::Admin, Category::Dangerous],
        tips: &["nondeterministic_output"],
        group: Group::Server,
        summary: "Returns when the dataset was last saved.",
        run: Run::OnSession(last_save),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "save",
        arity: 1,
        flags: Flags::ADMIN
            .with(Flags::NOSCRIPT)
            .with(Flags::NO_ASYNC_LOADING)
            .with(Flags::NO_MULTI),
        group: Group::Server,
        summary: "Saves the dataset.",
        complexity: "O(N) where N is the total number of keys in all databases",
        run: Run::OnSession(save),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "shutdown",
        arity: -1,
        flags: Flags::OPERATOR
            .with(Flags::NO_MULTI)
            .with(Flags::ALLOW_BUSY),
        group: Group::Server,
        syntax: "[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]",
        summary: "Ends the server.",
        complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
        run: Run::OnSession(shutdown),
        ..CommandSpec::BASE
    },
];

fn rewrite_log(_: &mut SessionCall<'_>) -> CommandResult {
    Err(errors::NO_LOG_TO_REWRITE)
}

/// Whether a snapshot is under way, or about to begin.
fn is_under_way(core: &CoreState) -> bool {
    !core.saves_asked.is_empty() || core.shared.snapshots.current().is_some()
}

/// The snapshot under way, if this is why it is taken.
fn current(core: &CoreState, purpose: Purpose) -> Option<Arc<Job>> {
    let current = core.shared.snapshots.current();
    current.filter(|job| job.claim.purpose == purpose)
}

/// The session, and the place of its reply; none: it wants none.
fn waiter_of(call: &mut SessionCall<'_>) -> Option<(SessionId, ReplySeq)> {
    let session = &mut *call.session;
    session
        .wants_reply()
        .then(|| (session.id, session.output.expect()))
}

/// Answers when the file is there.
fn save(call: &mut SessionCall<'_>) -> CommandResult {
    if is_under_way(call.core) {
        return Err(errors::SAVE_UNDER_WAY);
    }
    let waiter = waiter_of(call);
    let claim = claim_of(call.core, Purpose::Save);
    call.core.saves_asked.push(SaveAsked { claim, waiter });
    Ok(())
}

/// Answers at once. There is nothing that a snapshot could be scheduled behind.
fn save_in_background(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    match args.len() {
        1 => {}
        2 if args.is(1, "schedule") => {}
        2 if args.is(1, "cancel") => return give_up(call),
        _ => return Err(errors::SYNTAX),
    }
    if is_under_way(call.core) {
        return Err(errors::SAVE_UNDER_WAY);
    }
    let claim = claim_of(call.core, Purpose::Background);
    let waiter = None;
    call.core.saves_asked.push(SaveAsked { claim, waiter });
    call.reply(|reply| reply.status("Background saving started"));
    Ok(())
}

fn give_up(call: &mut SessionCall<'_>) -> CommandResult {
    let asked = &mut call.core.saves_asked;
    let before = asked.len();
    asked.retain(|asked| asked.claim.purpose != Purpose::Background);
    if asked.len() == before {
        let job = current(call.core, Purpose::Background).ok_or(errors::NO_SAVE_UNDER_WAY)?;
        job.give_up("it was cancelled");
    }
    call.reply(|reply| reply.status("Background saving cancelled"));
    Ok(())
}

/// With nothing ever saved Redis, too, answers when the server began.
fn last_save(call: &mut SessionCall<'_>) -> CommandResult {
    let last = call.core.shared.snapshots.last();
    call.reply(|reply| reply.integer(last.saved_secs));
    Ok(())
}

/// Answers only if the server goes on.
fn shutdown(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let (mut saves, mut saves_not, mut aborts, mut hurries) = (false, false, false, false);
    for at in 1..args.len() {
        match at {
            _ if args.is(at, "save") => saves = true,
            _ if args.is(at, "nosave") => saves_not = true,
            _ if args.is(at, "now") || args.is(at, "force") => hurries = true,
            _ if args.is(at, "abort") => aborts = true,
            _ => return Err(errors::SYNTAX),
        }
    }
    if saves && saves_not || aborts && (saves || saves_not || hurries) {
        return Err(errors::SYNTAX);
    }
    if aborts {
        return abort(call);
    }
    saves |= !saves_not && !call.core.config.save.is_empty();
    // Else what is half loaded would take the place of the whole.
    saves &= !call.core.shared.loading.is_on();
    if !saves {
        call.core.shared.stop();
        return Ok(());
    }
    let waiter = waiter_of(call);
    let claim = claim_of(call.core, Purpose::End);
    call.core.saves_asked.push(SaveAsked { claim, waiter });
    Ok(())
}

fn abort(call: &mut SessionCall<'_>) -> CommandResult {
    let job = current(call.core, Purpose::End).ok_or(errors::NO_SHUTDOWN)?;
    job.give_up("the end of the server was aborted");
    call.reply(|reply| reply.ok());
    Ok(())
}
