//! `PUBSUB`: who listens to what, over all cores.

use std::collections::BTreeSet;

use crate::command::{Args, CommandSpec, CoreCall, Flags, Group, Run, SessionCall};
use crate::glob::{self, Case};
use crate::observe::{PartReader, PartWriter};
use crate::resp::Reply;
use crate::resp::errors::{self, CommandResult};
use crate::topics::Topic;

pub(super) static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "pubsub|channels",
        syntax: "[pattern]",
        summary: "Lists the channels that have subscribers.",
        complexity: "O(N) where N is the number of active channels, and assuming constant time pattern matching \
            (relatively short channels and patterns)",
        run: Run::EveryCore {
            each: channels_each,
            merge: channels_merge,
        },
        ..INSPECTING
    },
    CommandSpec {
        name: "pubsub|help",
        arity: 2,
        flags: Flags::ANYTIME,
        since: "6.2.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..INSPECTING
    },
    CommandSpec {
        name: "pubsub|numpat",
        arity: 2,
        summary: "Counts the patterns that have subscribers.",
        run: Run::OnSession(patterns),
        ..INSPECTING
    },
    CommandSpec {
        name: "pubsub|numsub",
        syntax: "[channel [channel ...]]",
        summary: "Counts the subscribers of channels, those of patterns left out.",
        complexity: "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
        run: Run::EveryCore {
            each: subscribers_each,
            merge: subscribers_merge,
        },
        ..INSPECTING
    },
    CommandSpec {
        name: "pubsub|shardchannels",
        since: "7.0.0",
        syntax: "[pattern]",
        summary: "Lists the shard channels that have subscribers.",
        complexity: "O(N) where N is the number of active shard channels, and assuming constant time pattern matching \
            (relatively short shard channels).",
        run: Run::EveryCore {
            each: shard_channels_each,
            merge: channels_merge,
        },
        ..INSPECTING
    },
    CommandSpec {
        name: "pubsub|shardnumsub",
        since: "7.0.0",
        syntax: "[shardchannel [shardchannel ...]]",
        summary: "Counts the subscribers of shard channels.",
        complexity: "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
        run: Run::EveryCore {
            each: shard_subscribers_each,
            merge: subscribers_merge,
        },
        ..INSPECTING
    },
];

const INSPECTING: CommandSpec = CommandSpec {
    arity: -2,
    flags: Flags::PUBSUB.with(Flags::ANYTIME).with(Flags::BY_NODE),
    group: Group::Pubsub,
    since: "2.8.0",
    ..CommandSpec::BASE
};

const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
    "HELP",
    "    Prints this help.",
];

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

fn patterns(call: &mut SessionCall<'_>) -> CommandResult {
    let patterns = call.core.shared.topics.count(Topic::Pattern);
    call.reply(|reply| reply.count(patterns));
    Ok(())
}

fn channels_each(call: &mut CoreCall<'_>) {
    list(call, Topic::Channel);
}

fn shard_channels_each(call: &mut CoreCall<'_>) {
    list(call, Topic::ShardChannel);
}

/// Lists a core's names of one topic.
fn list(call: &mut CoreCall<'_>, topic: Topic) {
    let pattern = call.args.get(2).unwrap_or(b"*");
    let mut part = PartWriter(call.out);
    for name in call.core.subscribers.names(topic) {
        if glob::matches(pattern, name, Case::Sensitive) {
            part.bytes(name);
        }
    }
}

fn channels_merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    if args.len() > 3 {
        return Err(errors::subcommand_syntax(args.at(0), args.at(1)));
    }
    // A channel may have subscribers on several cores.
    let mut names = BTreeSet::new();
    for part in parts {
        let mut part = PartReader::new(part);
        while !part.is_at_end() {
            names.insert(part.bytes());
        }
    }
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

fn subscribers_each(call: &mut CoreCall<'_>) {
    count(call, Topic::Channel);
}

fn shard_subscribers_each(call: &mut CoreCall<'_>) {
    count(call, Topic::ShardChannel);
}

/// Counts a core's subscribers of the names asked for.
fn count(call: &mut CoreCall<'_>, topic: Topic) {
    let mut part = PartWriter(call.out);
    for name in call.args.iter_from(2) {
        part.number(call.core.subscribers.count(topic, name) as u64);
    }
}

fn subscribers_merge(args: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut parts: Vec<PartReader<'_>> = parts.iter().map(|part| PartReader::new(part)).collect();
    reply.array(2 * (args.len() - 2));
    for name in args.iter_from(2) {
        reply.bulk(name);
        reply.count(parts.iter_mut().map(PartReader::number).sum());
    }
    Ok(())
}
