//! `XINFO`: what is known of a stream, its groups and their consumers.

use std::ops::ControlFlow;

use larder_engine::{ConsumerRef, Direction, GroupRef, StreamId, StreamRef, UnixMillis};

use super::{READING, ids, range, read};
use crate::command::{
    Args, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall,
};
use crate::resp::errors::{self as all_errors, CommandResult, streams as errors};
use crate::resp::{ErrorReply, Mark, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "xinfo",
    arity: -2,
    group: Group::Stream,
    since: "5.0.0",
    summary: "A container of commands that tell of streams.",
    complexity: "Depends on the subcommand.",
    subcommands: &[
        CommandSpec {
            name: "xinfo|consumers",
            arity: 4,
            tips: &["nondeterministic_output"],
            syntax: "key group",
            summary: "Tells of the consumers of a group.",
            complexity: "O(N) where N is the number of consumers.",
            run: Run::OnShard(consumers),
            ..TELLING
        },
        CommandSpec {
            name: "xinfo|groups",
            arity: 3,
            syntax: "key",
            summary: "Tells of the groups of a stream.",
            complexity: "O(N) where N is the number of groups.",
            run: Run::OnShard(groups),
            ..TELLING
        },
        CommandSpec {
            name: "xinfo|help",
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
            name: "xinfo|stream",
            arity: -3,
            syntax: "key [FULL [COUNT count]]",
            summary: "Tells of a stream.",
            complexity: "O(log(N)), where N is the number of entries; with FULL O(M) more, where M is the number of entries, groups and consumers told of, in one step.",
            run: Run::OnShard(stream),
            ..TELLING
        },
    ],
    ..CommandSpec::BASE
}];

const TELLING: CommandSpec = CommandSpec {
    keys: Keys::of(&[KeySpec::at(2, KeyFlags::RO.access())]),
    ..READING
};

const HELP: &[&str] = &[
    "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
    "HELP",
    "    Prints this help.",
];

/// Entries of each kind that `FULL` shows if nothing is said.
const FULL_COUNT: u64 = 10;

fn help(call: &mut ShardCall<'_>) -> CommandResult {
    call.reply.help(HELP);
    Ok(())
}

/// Has `show` tell of the stream at argument 2.
fn tell(
    call: &mut ShardCall<'_>,
    show: impl FnOnce(&Args<'_>, StreamRef<'_>, UnixMillis, &mut Reply<'_>) -> CommandResult,
) -> CommandResult {
    let (key, now) = (call.key(2), call.shard.now());
    let found = read(call.shard, call.stats, (call.db, key, call.access))?;
    let stream = found.ok_or(all_errors::NO_SUCH_KEY)?;
    show(&call.args, stream, now, &mut call.reply)
}

fn consumers(call: &mut ShardCall<'_>) -> CommandResult {
    tell(call, |args, stream, now, reply| {
        let group = stream.group(args.at(3));
        let group = group.ok_or_else(|| errors::no_group(args.at(2), args.at(3)))?;
        let begun = reply.mark();
        reply.array(group.consumers_len());
        for consumer in group.consumers() {
            reply.check_len(begun)?;
            let inactive = consumer
                .active_at
                .map_or(-1, |at| now.0.saturating_sub(at.0));
            reply.map(4);
            reply.text("name");
            reply.bulk(consumer.name);
            reply.text("pending");
            reply.count(consumer.pending_len);
            reply.text("idle");
            reply.integer(now.0.saturating_sub(consumer.seen_at.0).max(0));
            reply.text("inactive");
            reply.integer(inactive);
        }
        Ok(())
    })
}

fn groups(call: &mut ShardCall<'_>) -> CommandResult {
    tell(call, |_, stream, _, reply| {
        let begun = reply.mark();
        reply.array(stream.groups_len());
        for group in stream.groups() {
            reply.check_len(begun)?;
            reply.map(6);
            reply.text("name");
            reply.bulk(group.name());
            reply.text("consumers");
            reply.count(group.consumers_len() as u64);
            reply.text("pending");
            reply.count(group.pending_len());
            show_progress(&group, reply);
        }
        Ok(())
    })
}

/// How far a group has come, and how far it has to go.
fn show_progress(group: &GroupRef<'_>, reply: &mut Reply<'_>) {
    reply.text("last-delivered-id");
    ids::show(reply, group.last_id());
    reply.text("entries-read");
    match group.progress().entries_read {
        Some(read) => reply.count(read),
        None => reply.null(),
    }
    reply.text("lag");
    match group.lag() {
        Some(lag) => reply.integer(lag),
        None => reply.null(),
    }
}

fn stream(call: &mut ShardCall<'_>) -> CommandResult {
    tell(call, |args, stream, _, reply| {
        let full = full_count(args)?;
        reply.map(if full.is_some() { 15 } else { 16 });
        show_marks(&stream, reply);
        match full {
            None => show_ends(&stream, reply),
            Some(count) => show_all(&stream, count, reply)?,
        }
        Ok(())
    })
}

/// How many entries of each kind are shown in full: no bound is 0.
fn full_count(args: &Args<'_>) -> Result<Option<u64>, ErrorReply> {
    let bad = || all_errors::subcommand_syntax(args.at(0), args.at(1));
    match args.len() {
        3 => Ok(None),
        4 | 6 if !args.is(3, "full") => Err(bad()),
        4 => Ok(Some(FULL_COUNT)),
        6 if args.is(4, "count") => {
            let count = args.integer(5)?;
            Ok(Some(u64::try_from(count).unwrap_or(FULL_COUNT)))
        }
        _ => Err(bad()),
    }
}

fn show_marks(stream: &StreamRef<'_>, reply: &mut Reply<'_>) {
    let marks = stream.marks();
    let (leaves, nodes) = stream.nodes();
    let (duration_secs, most) = stream.production_limits();
    let (producers, iids) = stream.production_len();
    reply.text("length");
    reply.count(stream.len());
    reply.text("radix-tree-keys");
    reply.count(leaves);
    reply.text("radix-tree-nodes");
    // A radix tree has a root, whether there is anything in it or not.
    reply.count(nodes.max(1));
    reply.text("last-generated-id");
    ids::show(reply, marks.last_id);
    reply.text("max-deleted-entry-id");
    ids::show(reply, marks.max_deleted_id);
    reply.text("entries-added");
    reply.count(marks.entries_added);
    reply.text("recorded-first-entry-id");
    ids::show(reply, stream.first_id());
    for (name, value) in [
        ("idmp-duration", duration_secs),
        ("idmp-maxsize", most),
        ("pids-tracked", producers as u64),
        ("iids-tracked", iids as u64),
        ("iids-added", marks.iids_added),
        ("iids-duplicates", marks.iids_duplicate),
    ] {
        reply.text(name);
        reply.count(value);
    }
}

fn show_ends(stream: &StreamRef<'_>, reply: &mut Reply<'_>) {
    reply.text("groups");
    reply.count(stream.groups_len() as u64);
    for (name, from, direction) in [
        ("first-entry", StreamId::MIN, Direction::Up),
        ("last-entry", StreamId::MAX, Direction::Down),
    ] {
        reply.text(name);
        let mut is_shown = false;
        stream.walk(from, direction, &mut |entry| {
            range::show(reply, &entry);
            is_shown = true;
            ControlFlow::Break(())
        });
        if !is_shown {
            reply.null();
        }
    }
}

fn show_all(stream: &StreamRef<'_>, count: u64, reply: &mut Reply<'_>) -> CommandResult {
    let begun = reply.mark();
    let most = if count == 0 { u64::MAX } else { count };
    reply.text("entries");
    let list = reply.begin_array(most.min(stream.len()) as usize);
    let mut shown = 0;
    stream.walk(StreamId::MIN, Direction::Up, &mut |entry| {
        if shown == most || reply.check_len(begun).is_err() {
            return ControlFlow::Break(());
        }
        range::show(reply, &entry);
        shown += 1;
        ControlFlow::Continue(())
    });
    reply.check_len(begun)?;
    reply.end(list, shown as usize);
    reply.text("groups");
    reply.array(stream.groups_len());
    for group in stream.groups() {
        reply.map(7);
        reply.text("name");
        reply.bulk(group.name());
        show_progress(&group, reply);
        reply.text("pel-count");
        reply.count(group.pending_len());
        show_pending((&group, None), most, (reply, begun))?;
        reply.text("consumers");
        reply.array(group.consumers_len());
        for consumer in group.consumers() {
            show_consumer((&group, &consumer), most, (reply, begun))?;
        }
    }
    Ok(())
}

fn show_consumer(
    (group, consumer): (&GroupRef<'_>, &ConsumerRef<'_>),
    most: u64,
    (reply, begun): (&mut Reply<'_>, Mark),
) -> CommandResult {
    reply.map(5);
    reply.text("name");
    reply.bulk(consumer.name);
    reply.text("seen-time");
    reply.integer(consumer.seen_at.0);
    reply.text("active-time");
    reply.integer(consumer.active_at.map_or(-1, |at| at.0));
    reply.text("pel-count");
    reply.count(consumer.pending_len);
    show_pending((group, Some(consumer.name)), most, (reply, begun))
}

/// What is pending with a group, or with one of its consumers, in a reply that began there.
fn show_pending(
    (group, consumer): (&GroupRef<'_>, Option<&[u8]>),
    most: u64,
    (reply, begun): (&mut Reply<'_>, Mark),
) -> CommandResult {
    reply.text("pending");
    let list = reply.begin_array(most.min(group.pending_len()) as usize);
    let mut shown = 0;
    let show = &mut |pending: larder_engine::PendingRef<'_>| {
        if shown == most || reply.check_len(begun).is_err() {
            return ControlFlow::Break(());
        }
        reply.array(if consumer.is_some() { 3 } else { 4 });
        ids::show(reply, pending.id);
        if consumer.is_none() {
            reply.bulk(pending.consumer);
        }
        reply.integer(pending.delivered_at.0);
        reply.count(pending.deliveries);
        shown += 1;
        ControlFlow::Continue(())
    };
    match consumer {
        None => group.walk_pending(StreamId::MIN, show),
        Some(consumer) => group.walk_own(consumer, StreamId::MIN, show),
    }
    reply.check_len(begun)?;
    reply.end(list, shown as usize);
    Ok(())
}
