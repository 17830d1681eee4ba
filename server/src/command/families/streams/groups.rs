//! `XGROUP`: groups and their consumers come, change and go.

use std::ops::ControlFlow;

use larder_engine::{Event, StreamChange, StreamId, StreamMut};

use super::{WRITING, ids};
use crate::command::families::pieces::AtOnce;
use crate::command::{
    Args, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall, Step, Steps,
};
use crate::resp::ErrorReply;
use crate::resp::errors::{self as all_errors, CommandResult, streams as errors};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "xgroup",
    arity: -2,
    group: Group::Stream,
    since: "5.0.0",
    summary: "A container of commands on the groups of a stream.",
    complexity: "Depends on the subcommand.",
    subcommands: &[
        CommandSpec {
            name: "xgroup|create",
            arity: -5,
            flags: Flags::WRITE.with(Flags::DENYOOM),
            keys: Keys::of(&[KeySpec::at(2, KeyFlags::RW.insert())]),
            syntax: "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
            summary: "Creates a group of a stream.",
            run: Run::OnShard(create),
            ..WRITING
        },
        CommandSpec {
            name: "xgroup|createconsumer",
            arity: 5,
            flags: Flags::WRITE.with(Flags::DENYOOM),
            keys: Keys::of(&[KeySpec::at(2, KeyFlags::RW.insert())]),
            since: "6.2.0",
            syntax: "key group consumer",
            summary: "Creates a consumer of a group.",
            run: Run::OnShard(create_consumer),
            ..WRITING
        },
        CommandSpec {
            name: "xgroup|delconsumer",
            arity: 5,
            keys: Keys::of(&[KeySpec::at(2, KeyFlags::RW.delete())]),
            syntax: "key group consumer",
            summary: "Deletes a consumer of a group, and what it has pending.",
            complexity: "O(N*log(M)) where N is the number of entries it has pending, and M of all its group has.",
            run: Run::OnShard(|call| delete_consumer(call, AtOnce::All).map(drop)),
            steps: Some(|call| delete_consumer(call, AtOnce::Little)),
            ..WRITING
        },
        CommandSpec {
            name: "xgroup|destroy",
            arity: 4,
            keys: Keys::of(&[KeySpec::at(2, KeyFlags::RW.delete())]),
            syntax: "key group",
            summary: "Deletes a group of a stream.",
            complexity: "O(1); what it had is freed in slices.",
            run: Run::OnShard(destroy),
            ..WRITING
        },
        CommandSpec {
            name: "xgroup|help",
            arity: 2,
            flags: Flags::LOADING.with(Flags::STALE),
            categories: &[Category::Stream],
            group: Group::Stream,
            since: "5.0.0",
            summary: "Answers a description of the subcommands.",
            run: Run::OnShard(help),
            ..CommandSpec::BASE
        },
        CommandSpec {
            name: "xgroup|setid",
            arity: -5,
            keys: Keys::of(&[KeySpec::at(2, KeyFlags::RW.update())]),
            syntax: "key group <id | $> [ENTRIESREAD entries-read]",
            summary: "Sets the last entry that a group was given.",
            run: Run::OnShard(set_id),
            ..WRITING
        },
    ],
    ..CommandSpec::BASE
}];

const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
    "HELP",
    "    Prints this help.",
];

fn help(call: &mut ShardCall<'_>) -> CommandResult {
    call.reply.help(HELP);
    Ok(())
}

/// What `CREATE` and `SETID` say behind the id.
#[derive(Debug, Default)]
struct Options {
    makes_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: &Args<'_>, may_make: bool) -> Result<Self, ErrorReply> {
        let mut options = Self::default();
        let mut at = 5;
        while at < args.len() {
            if may_make && args.is(at, "mkstream") {
                options.makes_stream = true;
                at += 1;
            } else if args.is(at, "entriesread") && at + 1 < args.len() {
                let read = args.integer(at + 1)?;
                if read < -1 {
                    return Err(errors::ENTRIES_READ_NEGATIVE);
                }
                options.entries_read = u64::try_from(read).ok();
                at += 2;
            } else {
                return Err(all_errors::subcommand_syntax(args.at(0), args.at(1)));
            }
        }
        Ok(options)
    }
}

/// Opens the stream at argument 2, does something with it, and ends that: what was done, and in how many changes.
fn change<T>(
    call: &mut ShardCall<'_>,
    events: &[Event],
    make: impl FnOnce(&Args<'_>, &mut StreamMut<'_>) -> Result<(T, bool), ErrorReply>,
) -> Result<T, ErrorReply> {
    let key = call.key(2);
    let mut stream = call.shard.stream_mut(call.db, key)?;
    match make(&call.args, &mut stream) {
        Ok((done, true)) => {
            stream.close(1, events);
            Ok(done)
        }
        Ok((done, false)) => {
            stream.close(0, &[]);
            Ok(done)
        }
        Err(error) => {
            stream.close(0, &[]);
            Err(error)
        }
    }
}

/// Whether there is a group at argument 3.
///
/// # Errors
/// There is not even a stream.
fn has_group(args: &Args<'_>, stream: &StreamMut<'_>) -> Result<bool, ErrorReply> {
    let view = stream.as_ref().ok_or(errors::GROUP_NEEDS_KEY)?;
    Ok(view.group(args.at(3)).is_some())
}

fn needs_group(args: &Args<'_>, stream: &StreamMut<'_>) -> CommandResult {
    match has_group(args, stream)? {
        true => Ok(()),
        false => Err(errors::no_group(args.at(2), args.at(3))),
    }
}

/// How many entries a group may say that it has read.
fn read_at_most(stream: &StreamMut<'_>, read: Option<u64>) -> Option<u64> {
    let added = stream.as_ref().map_or(0, |view| view.marks().entries_added);
    read.map(|read| read.min(added))
}

fn last_id(stream: &StreamMut<'_>) -> StreamId {
    stream
        .as_ref()
        .map_or(StreamId::MIN, |view| view.marks().last_id)
}

fn create(call: &mut ShardCall<'_>) -> CommandResult {
    let options = Options::parse(&call.args, true)?;
    change(call, &[Event::XGroupCreate], |args, stream| {
        if !stream.is_there() && !options.makes_stream {
            return Err(errors::GROUP_NEEDS_KEY);
        }
        let last_id = match args.at(4) {
            b"$" => last_id(stream),
            id => ids::id(id, 0)?,
        };
        if !stream.is_there() {
            stream.create()?;
        } else if has_group(args, stream)? {
            return Err(errors::BUSY_GROUP);
        }
        let entries_read = read_at_most(stream, options.entries_read);
        stream.change(&StreamChange::Group {
            group: args.at(3),
            last_id,
            entries_read,
        })?;
        Ok(((), true))
    })?;
    call.reply.ok();
    Ok(())
}

fn set_id(call: &mut ShardCall<'_>) -> CommandResult {
    let options = Options::parse(&call.args, false)?;
    change(call, &[Event::XGroupSetId], |args, stream| {
        needs_group(args, stream)?;
        let last_id = match args.at(4) {
            b"$" => last_id(stream),
            id => ids::end_id(id, 0)?,
        };
        let entries_read = read_at_most(stream, options.entries_read);
        stream.change(&StreamChange::Group {
            group: args.at(3),
            last_id,
            entries_read,
        })?;
        Ok(((), true))
    })?;
    call.reply.ok();
    Ok(())
}

fn destroy(call: &mut ShardCall<'_>) -> CommandResult {
    let was_there = change(call, &[Event::XGroupDestroy], |args, stream| {
        let is_there = has_group(args, stream)?;
        if is_there {
            stream.change(&StreamChange::GroupGone { group: args.at(3) })?;
        }
        Ok((is_there, is_there))
    })?;
    call.reply.integer(was_there.into());
    Ok(())
}

fn create_consumer(call: &mut ShardCall<'_>) -> CommandResult {
    let seen_at = call.shard.now();
    let is_new = change(call, &[Event::XGroupCreateConsumer], |args, stream| {
        needs_group(args, stream)?;
        let (group, consumer) = (args.at(3), args.at(4));
        let view = stream.as_ref().and_then(|view| view.group(group));
        let is_new = view.is_some_and(|group| group.consumer(consumer).is_none());
        if is_new {
            stream.change(&StreamChange::Consumer {
                group,
                consumer,
                seen_at,
                active_at: None,
            })?;
        }
        Ok((is_new, is_new))
    })?;
    call.reply.integer(is_new.into());
    Ok(())
}

/// Entries that are released in one step of several.
const STEP_ENTRIES: u64 = 512;

fn delete_consumer(
    call: &mut ShardCall<'_>,
    at_once: AtOnce,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    let mut steps: Option<Box<dyn Steps>> = None;
    let pending = change(call, &[Event::XGroupDelConsumer], |args, stream| {
        needs_group(args, stream)?;
        let pending = pending_with(stream, (args.at(3), args.at(4)));
        match pending {
            Some(pending) if at_once == AtOnce::Little && pending > STEP_ENTRIES => {
                steps = Some(Box::new(DeletingConsumer { pending }));
                return Ok((pending, false));
            }
            Some(_) => remove_consumer(args, stream)?,
            None => {}
        }
        Ok((pending.unwrap_or(0), pending.is_some()))
    })?;
    if steps.is_none() {
        call.reply.count(pending);
    }
    Ok(steps)
}

/// How many entries are pending with a consumer, if there is one.
fn pending_with(stream: &StreamMut<'_>, (group, consumer): (&[u8], &[u8])) -> Option<u64> {
    let group = stream.as_ref()?.group(group)?;
    Some(group.consumer(consumer)?.pending_len)
}

fn remove_consumer(args: &Args<'_>, stream: &mut StreamMut<'_>) -> CommandResult {
    let (group, consumer) = (args.at(3), args.at(4));
    stream.change(&StreamChange::ConsumerGone { group, consumer })?;
    Ok(())
}

/// A consumer that goes in steps, since much is pending with it: the stream is locked.
#[derive(Debug)]
struct DeletingConsumer {
    /// How many entries were pending with it.
    pending: u64,
}

impl Steps for DeletingConsumer {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let goes_on = change(call, &[Event::XGroupDelConsumer], |args, stream| {
            let (group, consumer) = (args.at(3), args.at(4));
            // The stream may have reached its deadline.
            let Some(left) = pending_with(stream, (group, consumer)) else {
                return Ok((false, false));
            };
            if left <= STEP_ENTRIES {
                remove_consumer(args, stream)?;
                return Ok((false, true));
            }
            let last = last_of_step(stream, (group, consumer));
            stream.change(&StreamChange::Released {
                group,
                consumer,
                last,
            })?;
            Ok((true, false))
        })?;
        if goes_on {
            return Ok(Step::More);
        }
        call.reply.count(self.pending);
        Ok(Step::Done)
    }

    fn held_bytes(&self) -> usize {
        0
    }
}

/// The last entry that a step releases.
fn last_of_step(stream: &StreamMut<'_>, (group, consumer): (&[u8], &[u8])) -> StreamId {
    let (mut last, mut count) = (StreamId::MIN, 0);
    if let Some(group) = stream.as_ref().and_then(|view| view.group(group)) {
        group.walk_own(consumer, StreamId::MIN, &mut |pending| {
            (last, count) = (pending.id, count + 1);
            match count < STEP_ENTRIES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
    }
    last
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn a_consumer_with_much_pending_goes_in_steps() {
        for in_steps in [true, false] {
            let mut bench = Bench::new();
            for number in 1..=3000 {
                bench.run(&format!("XADD s {number} a {number}"));
            }
            bench.run("XGROUP CREATE s g 0");
            bench.run("XREADGROUP GROUP g one COUNT 2000 STREAMS s >");
            bench.run("XREADGROUP GROUP g two STREAMS s >");
            let line = "XGROUP DELCONSUMER s g one";
            let (before, mut steps) = (bench.changes(), 0);
            let reply = match in_steps {
                true => bench.run_in_steps(line, &mut |_, _| steps += 1),
                false => bench.run(line),
            };
            assert_eq!((&reply[..], steps), ("2000", if in_steps { 4 } else { 0 }));
            assert_eq!(bench.changes(), before + 1);
            bench.check(&[
                (
                    "XPENDING s g",
                    "[1000, \"2001-0\", \"3000-0\", [[\"two\", \"1000\"]]]",
                ),
                ("XGROUP DELCONSUMER s g one", "0"),
            ]);
            bench.shard.check();
        }
    }
}
