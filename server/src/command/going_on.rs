//! Commands that are not done at once: in steps of the core of their keys, in walks of all cores, in rounds of questions to several.
//!
//! ```text
//!  Steps     keys on one core, locked          a step a turn ──▶ the reply                 others go on, but for who wants the keys
//!  Walking   all keys of all cores, unlocked   a step a turn ──▶ a part, of each core      others go on
//!  Rounds    keys on several cores, locked     questions ──▶ answers ──▶ questions …       others go on, but for who wants the keys
//! ```
//! What is here says how a command goes on; who has it do so is dispatch.

use std::fmt::Debug;

use larder_engine::Shard;

use crate::command::{Args, CoreCall, CoreFn, CoreState, Handed, Merge, Resolved, ShardCall};
use crate::resp::errors::CommandResult;
use crate::resp::{ErrorReply, Protocol, Reply};
use crate::routing::CoreId;

/// A command that goes on over several turns of the core of its keys, which are locked for it until it is done.
pub trait Steps: Debug {
    /// The next step, which takes some tenths of a millisecond at most. It is called as the command was, and at the same time.
    ///
    /// # Errors
    /// The command's reply is this error. Nothing of it is left then.
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply>;

    /// Bytes of memory it holds that count nowhere else.
    fn held_bytes(&self) -> usize;

    /// It is given up before its end: nobody waits for what it reads. What it has in the shard that no key has goes.
    fn abandon(&mut self, _shard: &mut Shard) {}
}

/// How every core does its part of a command on all keys over several turns, without locks.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Begins a core's part. None: it is done, and written.
    pub begin: fn(&mut CoreCall<'_>) -> Option<Box<dyn Walking>>,
    /// Makes the reply of the parts of all cores.
    pub merge: MergePieces,
}

/// Makes one reply of the parts of all cores, in the order of the cores; each part is in pieces, and so is the reply.
pub type MergePieces = fn(
    args: &Args<'_>,
    parts: Vec<Vec<Vec<u8>>>,
    protocol: Protocol,
) -> Result<Vec<Vec<u8>>, ErrorReply>;

/// As [`Walk::merge`], by `merge`, which takes each part whole: for parts that are not large.
///
/// # Errors
/// Those of `merge`.
pub fn merge_joined(
    args: &Args<'_>,
    parts: &[Vec<Vec<u8>>],
    protocol: Protocol,
    merge: Merge,
) -> Result<Vec<Vec<u8>>, ErrorReply> {
    let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.concat()).collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let mut reply = Vec::new();
    merge(args, &parts, &mut Reply::new(&mut reply, protocol))?;
    Ok(vec![reply])
}

/// A core's part of a command, which goes on over several turns. Others change keys meanwhile: what it says of them is as of when it
/// began, or it tells how far that is so.
pub trait Walking: Debug {
    /// The next step, which takes some tenths of a millisecond at most. The part, if that was the last.
    fn next(&mut self, core: &mut CoreState) -> Option<Vec<Vec<u8>>>;

    /// Bytes of memory it holds.
    fn held_bytes(&self) -> usize;

    /// It is given up before its end.
    fn abandon(&mut self, _shard: &mut Shard) {}
}

/// Does all steps of a core's part at once, and writes it.
pub fn walk_at_once(
    call: &mut CoreCall<'_>,
    begin: impl FnOnce(&mut CoreCall<'_>) -> Option<Box<dyn Walking>>,
) {
    let Some(mut walking) = begin(call) else {
        return;
    };
    loop {
        if let Some(part) = walking.next(call.core) {
            part.iter()
                .for_each(|piece| call.out.extend_from_slice(piece));
            return;
        }
    }
}

/// What a step comes to.
#[derive(Debug)]
pub enum Step {
    /// There are others.
    More,
    /// The reply is written.
    Done,
    /// The reply is in these pieces, one behind the other.
    Reply(Vec<Vec<u8>>),
}

/// Runs all steps of a command at once.
pub fn run_all_steps(
    call: &mut ShardCall<'_>,
    begin: impl FnOnce(&mut ShardCall<'_>) -> Result<Option<Box<dyn Steps>>, ErrorReply>,
) -> CommandResult {
    let Some(mut steps) = begin(call)? else {
        return Ok(());
    };
    loop {
        match steps.next(call)? {
            Step::More => {}
            Step::Done => return Ok(()),
            Step::Reply(pieces) => {
                pieces.iter().for_each(|piece| call.reply.raw(piece));
                return Ok(());
            }
        }
    }
}

/// A command in several rounds: ask some cores, look at what they answer, ask again or reply.
pub trait Rounds {
    /// The next round. `answers` are those to the requests of the round before, in their order; none at first.
    ///
    /// # Errors
    /// The command's reply is this error.
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply>;

    /// Entries came with an answer that [`Self::next`] is about to be told.
    fn hand(&mut self, _entries: Vec<Handed>) {
        unreachable!("no core hands entries to such a command")
    }

    /// Bytes of memory it holds between two rounds.
    fn held_bytes(&self) -> usize {
        0
    }

    /// Nobody waits for what it reads any more. Instead of `next`, which it has just come to, what is left to be done, so that no core
    /// keeps anything for it.
    fn give_up(&mut self, _next: Vec<CoreRequest>) -> Vec<CoreRequest> {
        Vec::new()
    }

    /// Asks `core` alone from now on: for commands with [`Flags::BY_NODE`].
    fn keep_to(&mut self, _core: CoreId) {}
}

/// What a round comes to.
#[derive(Debug)]
pub enum Round {
    /// Ask these.
    Ask(Vec<CoreRequest>),
    /// Ask this one, and hand it entries.
    Hand(CoreRequest, Vec<Handed>),
    /// The reply is written.
    Done,
    /// The reply is in these pieces, one behind the other.
    Reply(Vec<Vec<u8>>),
    /// There is more to be done here, in a later turn; nobody is asked. There are no answers then.
    GoOn,
    /// Nothing can be done yet, and nothing was: [`Run::Blocking`] only.
    Wait(Resolved),
}

impl Round {
    /// Asks all of so many cores the same.
    pub fn ask_all(cores: u16, run: CoreFn, args: &[Vec<u8>]) -> Self {
        let ask = |core| CoreRequest {
            core: CoreId(core),
            run,
            args: args.to_vec(),
        };
        Self::Ask((0..cores).map(ask).collect())
    }
}

/// A question to a core.
#[derive(Clone, Debug)]
pub struct CoreRequest {
    /// Whom.
    pub core: CoreId,
    /// What runs there.
    pub run: CoreFn,
    /// Its arguments; position 0 is an argument like the others.
    pub args: Vec<Vec<u8>>,
}
