//! `KEYS`: the keys of all cores that match a pattern, as they are when it is asked; and how others find keys, or count them.
//!
//! A command that looks for keys has a place in the order, as what concerns all keys has. From that place on each core walks the keys
//! that it had there ([`KeysAsOf`]), a step in a turn, and others write meanwhile. In an `EXEC` or a script all steps are done at once.
//!
//! ```text
//! a core's part:  0 number of keys (8) | keys, as bulk strings, in pieces          1 error text
//! ```

use larder_engine::{IsWanted, KeysAsOf, Shard};

use super::fetch;
use super::pieces::Pieces;
use super::scan::matches;
use crate::command::{
    Args, Category, CommandSpec, CoreCall, CoreState, Flags, Run, Walk, Walking, walk_at_once,
};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Protocol, REPLY_MAX_BYTES, Reply};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "keys",
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    arity: 2,
    flags: Flags::READONLY
        .with(Flags::WHOLE_KEYSPACE)
        .with(Flags::BY_NODE),
    categories: &[Category::Keyspace, Category::Dangerous],
    syntax: "pattern",
    summary: "Answers all keys that match a pattern.",
    complexity: "O(N) where N is the number of keys in the database.",
    run: Run::EveryCore {
        each: |call| walk_at_once(call, begin),
        merge: concatenate,
    },
    walk: Some(Walk {
        begin,
        merge: concatenate_pieces,
    }),
    ..CommandSpec::BASE
}];

fn begin(call: &mut CoreCall<'_>) -> Option<Box<dyn Walking>> {
    let pattern = call.args.at(1).to_vec();
    let is_wanted = Box::new(move |key: &[u8]| matches(&pattern, key));
    Some(find(call, is_wanted, Wanted::Names { most: u64::MAX }))
}

/// What is wanted of the keys that are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Their names, of so many at most.
    Names { most: u64 },
    /// Their number.
    Number,
}

/// Begins to find keys of this core.
pub(super) fn find(
    call: &mut CoreCall<'_>,
    is_wanted: IsWanted,
    wanted: Wanted,
) -> Box<dyn Walking> {
    Box::new(Finding {
        keys: call.core.shard.begin_keys(call.db, is_wanted),
        wanted,
        count: 0,
        names: Pieces::default(),
    })
}

/// Keys that are looked at between two looks at what was found, and in a step.
const LOOK_KEYS: usize = 64;
const STEP_LOOKS: usize = 32;
/// Bytes of names that one step finds, about.
const STEP_BYTES: usize = 64 << 10;

#[derive(Debug)]
struct Finding {
    keys: KeysAsOf,
    wanted: Wanted,
    count: u64,
    names: Pieces,
}

impl Finding {
    /// Looks at some keys; whether there are others to look at.
    ///
    /// # Errors
    /// Their names are more than a reply holds.
    fn look(&mut self, shard: &mut Shard) -> Result<bool, ErrorReply> {
        let Self {
            keys,
            wanted,
            count,
            names,
        } = self;
        let mut fits = Ok(());
        let goes_on = shard.more_keys(keys, LOOK_KEYS, &mut |key| match wanted {
            Wanted::Number => *count += 1,
            Wanted::Names { most } if *count < *most && fits.is_ok() => {
                *count += 1;
                // A bulk string is one whatever the protocol.
                fits = names.add(Protocol::Resp2, |reply| reply.bulk(key));
            }
            Wanted::Names { .. } => {}
        });
        let is_enough = matches!(wanted, Wanted::Names { most } if count == most);
        fits.map(|()| goes_on && !is_enough)
    }

    /// What the core answers.
    fn part(&mut self) -> Vec<Vec<u8>> {
        let mut head = Vec::new();
        begin_part(self.count, &mut head);
        std::mem::take(&mut self.names).into_pieces(head)
    }
}

impl Walking for Finding {
    fn next(&mut self, core: &mut CoreState) -> Option<Vec<Vec<u8>>> {
        let most_bytes = self.names.bytes() + STEP_BYTES;
        for _ in 0..STEP_LOOKS {
            let part = match self.look(&mut core.shard) {
                Ok(true) if self.names.bytes() >= most_bytes => return None,
                Ok(true) => continue,
                Ok(false) => self.part(),
                Err(error) => {
                    let mut part = Vec::new();
                    fetch::fail(&mut part, &error);
                    vec![part]
                }
            };
            core.shard.end_keys(&self.keys);
            return Some(part);
        }
        None
    }

    fn held_bytes(&self) -> usize {
        self.names.held_bytes() + self.keys.held_bytes()
    }

    fn abandon(&mut self, shard: &mut Shard) {
        shard.end_keys(&self.keys);
    }
}

/// Bytes of what stands before a core's keys.
const HEAD_BYTES: usize = 9;

/// Begins the part of a core that has found so many keys.
pub(super) fn begin_part(count: u64, out: &mut Vec<u8>) {
    fetch::succeed(out);
    PartWriter(out).number(count);
}

/// How many keys were found, as the beginnings of the cores' parts say.
///
/// # Errors
/// One of them failed.
fn count_of<'p>(parts: impl Iterator<Item = &'p [u8]>) -> Result<u64, ErrorReply> {
    let counts = parts.map(|part| Ok(PartReader::new(fetch::outcome(part)?).number()));
    counts.sum()
}

/// Replies with all names.
pub(super) fn concatenate(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let found = count_of(parts.iter().copied())?;
    check_bytes(parts.iter().map(|part| part.len()).sum())?;
    reply.array(found as usize);
    parts.iter().for_each(|part| reply.raw(&part[HEAD_BYTES..]));
    Ok(())
}

/// The same, of parts in pieces.
pub(super) fn concatenate_pieces(
    _: &Args<'_>,
    parts: Vec<Vec<Vec<u8>>>,
    protocol: Protocol,
) -> Result<Vec<Vec<u8>>, ErrorReply> {
    let found = count_of(parts.iter().map(|part| &part[0][..]))?;
    check_bytes(parts.iter().flatten().map(Vec::len).sum())?;
    let mut head = Vec::new();
    Reply::new(&mut head, protocol).array(found as usize);
    let mut reply = vec![head];
    for mut part in parts {
        // A part that was found in one step has its names in its first piece.
        part[0].drain(..HEAD_BYTES);
        reply.extend(part);
    }
    Ok(reply)
}

/// Replies with the number of all.
pub(super) fn add(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply.count(count_of(parts.iter().copied())?);
    Ok(())
}

fn check_bytes(bytes: usize) -> CommandResult {
    match bytes > REPLY_MAX_BYTES {
        true => Err(errors::REPLY_TOO_LARGE),
        false => Ok(()),
    }
}
