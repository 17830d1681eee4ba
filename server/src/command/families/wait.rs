//! `WAIT` and `WAITAOF`. There are no replicas and no append log yet: none acknowledges, so that a client that asks for
//! none is answered at once, and one that asks for some waits until its time is over.

use larder_engine::parse_canonical_i64;

use crate::command::{Category, CommandSpec, Flags, Run, SessionCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::session::Blocked;

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "wait",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        arity: 3,
        flags: Flags::NOSCRIPT,
        categories: &[Category::Connection],
        since: "3.0.0",
        syntax: "numreplicas timeout",
        summary: "Waits until replicas have acknowledged this connection's writes, and answers how many have.",
        run: Run::OnSession(wait),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "waitaof",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        arity: 4,
        flags: Flags::BLOCKING,
        categories: &[Category::Blocking, Category::Connection],
        since: "7.2.0",
        syntax: "numlocal numreplicas timeout",
        summary: "Waits until this connection's writes are in append-only files, here and on replicas.",
        run: Run::OnSession(wait_for_logs),
        ..CommandSpec::BASE
    },
];

fn wait(call: &mut SessionCall<'_>) -> CommandResult {
    let replicas = parse_canonical_i64(call.args.at(1)).ok_or(errors::NOT_AN_INTEGER)?;
    let until_ms = timeout(call, 2)?;
    answer_or_wait(call, replicas <= 0, until_ms, |reply| reply.integer(0));
    Ok(())
}

fn wait_for_logs(call: &mut SessionCall<'_>) -> CommandResult {
    let local = parse_canonical_i64(call.args.at(1)).ok_or(errors::NOT_AN_INTEGER)?;
    if !(0..=1).contains(&local) {
        return Err(errors::out_of_range(0, 1));
    }
    let replicas = parse_canonical_i64(call.args.at(2))
        .filter(|&replicas| replicas >= 0)
        .ok_or(errors::NOT_POSITIVE)?;
    let until_ms = timeout(call, 3)?;
    if local > 0 {
        return Err(errors::NO_APPEND_LOG);
    }
    answer_or_wait(call, replicas == 0, until_ms, |reply| {
        reply.array(2);
        reply.integer(0);
        reply.integer(0);
    });
    Ok(())
}

/// Argument `at` in milliseconds from now; `None` for zero, which waits for ever.
fn timeout(call: &SessionCall<'_>, at: usize) -> Result<Option<u64>, ErrorReply> {
    let millis = parse_canonical_i64(call.args.at(at)).ok_or(errors::TIMEOUT_NOT_AN_INTEGER)?;
    let millis = u64::try_from(millis).map_err(|_| errors::TIMEOUT_NEGATIVE)?;
    if millis == 0 {
        return Ok(None);
    }
    let now_ms = call.core.clock.monotonic_ms();
    i64::try_from(now_ms.saturating_add(millis)).map_err(|_| errors::TIMEOUT_OUT_OF_RANGE)?;
    Ok(Some(now_ms + millis))
}

fn answer_or_wait(
    call: &mut SessionCall<'_>,
    satisfied: bool,
    until_ms: Option<u64>,
    answer: fn(&mut Reply<'_>),
) {
    if satisfied || !call.session.may_wait() {
        call.reply(answer);
        return;
    }
    let seq = call.session.output.expect();
    let command = call.core.commands.find(call.args.at(0));
    call.session.blocked = Some(Blocked {
        command: command.expect("it is running").id,
        until_ms,
        on_timeout: answer,
        seq,
        quiet: false,
        wait: None,
        is_being_served: false,
        served_by: None,
        ending: None,
    });
}
