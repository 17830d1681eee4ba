//! Runs a command on a core's shard, for a session of this core or of another: the options it runs with, its reply, its error.

use larder_engine::{Access, DbIndex};

use crate::command::{Args, Command, CoreState, FirstKey, Run, ShardCall, ShardFn};
use crate::dispatch::mail::requests::RequestHead;
use crate::dispatch::run::attempt::attempt_once;
use crate::resp::{ErrorReply, Protocol, Reply};
use crate::session::{Session, gate};

/// How a command runs on a shard, whoever asked: values.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct CallOptions {
    pub(in crate::dispatch) db: DbIndex,
    pub(in crate::dispatch) protocol: Protocol,
    pub(in crate::dispatch) access: Access,
    pub(in crate::dispatch) first_key: FirstKey,
}

impl CallOptions {
    /// The options of a request.
    #[inline(always)]
    pub(in crate::dispatch) fn of(head: &RequestHead) -> Self {
        Self {
            db: head.db,
            protocol: head.protocol,
            access: head.access,
            first_key: head.first_key,
        }
    }

    /// The call of a command that runs so on the core's shard; its reply goes to the end of `out`.
    #[inline(always)]
    pub(in crate::dispatch) fn call<'a>(
        self,
        state: &'a mut CoreState,
        out: &'a mut Vec<u8>,
        args: Args<'a>,
    ) -> ShardCall<'a> {
        ShardCall {
            shard: &mut state.shard,
            db: self.db,
            args,
            reply: Reply::new(out, self.protocol),
            config: &state.config,
            stats: &mut state.stats,
            random: &mut state.random,
            access: self.access,
            first_key: self.first_key,
        }
    }
}

/// Runs a command on the core's shard; its reply, or its error, goes to the end of `out`.
#[inline(always)]
pub(in crate::dispatch) fn run_on_shard(
    state: &mut CoreState,
    out: &mut Vec<u8>,
    args: Args<'_>,
    command: &'static Command,
    run: ShardFn,
    options: CallOptions,
) {
    let began = out.len();
    if let Err(error) = run(&mut options.call(state, out, args)) {
        fail(state, out, began, command, options.protocol, &error);
    }
}

/// Runs a command of a shard, of whatever kind; one that may block does not wait.
#[inline(always)]
pub(in crate::dispatch) fn run_command_on_shard(
    state: &mut CoreState,
    out: &mut Vec<u8>,
    args: Args<'_>,
    command: &'static Command,
    options: CallOptions,
) {
    match command.spec.run {
        Run::OnShard(run) | Run::FanOut { together: run, .. } => {
            run_on_shard(state, out, args, command, run, options);
        }
        Run::Blocking(_) => attempt_once(state, out, args, command, options),
        _ => unreachable!("such a command runs on no shard alone"),
    }
}

/// Takes back what a failed command wrote, and writes its error.
#[cold]
pub(in crate::dispatch) fn fail(
    state: &mut CoreState,
    out: &mut Vec<u8>,
    began: usize,
    command: &'static Command,
    protocol: Protocol,
    error: &ErrorReply,
) {
    out.truncate(began);
    Reply::new(out, protocol).error(error);
    state.stats.count_failure(command.id, error.code());
}

/// How the entries that a session's commands find are accessed.
pub(in crate::dispatch) fn access_of(session: &Session) -> Access {
    if session.gates & gate::NO_TOUCH == 0 {
        Access::Touch
    } else {
        Access::Peek
    }
}
