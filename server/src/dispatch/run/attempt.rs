//! An attempt at a command that may block.

use super::on_shard::{CallOptions, fail};
use crate::command::{Args, Attempted, Blocking, Command, CoreState, Run, Turn};
use crate::resp::Reply;

/// Makes an attempt. An error is a reply like others.
pub(in crate::dispatch) fn attempt(
    state: &mut CoreState,
    out: &mut Vec<u8>,
    args: Args<'_>,
    command: &'static Command,
    options: CallOptions,
    turn: Turn,
) -> Attempted {
    let began = out.len();
    match (blocking_of(command).attempt)(&mut options.call(state, out, args), turn) {
        Ok(Attempted::Done) => Attempted::Done,
        Ok(waits) => {
            out.truncate(began);
            waits
        }
        Err(error) => {
            fail(state, out, began, command, options.protocol, &error);
            Attempted::Done
        }
    }
}

/// Makes an attempt where nothing waits, inside an `EXEC` or a script: one that finds nothing is answered so.
#[cold]
pub(in crate::dispatch) fn attempt_once(
    state: &mut CoreState,
    out: &mut Vec<u8>,
    args: Args<'_>,
    command: &'static Command,
    options: CallOptions,
) {
    let blocking = blocking_of(command);
    if let Err(error) = (blocking.timeout)(&args) {
        return fail(state, out, out.len(), command, options.protocol, &error);
    }
    if let Attempted::Wait(_) = attempt(state, out, args, command, options, Turn::First) {
        (blocking.on_nothing)(&mut Reply::new(out, options.protocol));
    }
}

pub(in crate::dispatch) fn blocking_of(command: &Command) -> Blocking {
    match command.spec.run {
        Run::Blocking(blocking) => blocking,
        _ => unreachable!("only a command that may block is attempted"),
    }
}
