//! Publish/subscribe: messages to whoever listens at the moment.
//!
//! A core keeps the subscribers among its own sessions. `PUBLISH` asks the cores that have any and adds up how many got
//! the message; see `dispatch/core/notify/publish.rs` for the order messages come in.

mod inspect;

use crate::command::{
    Args, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, SessionCall, pushes,
};
use crate::observe::PartReader;
use crate::resp::Reply;
use crate::resp::errors::CommandResult;
use crate::topics::Topic;

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "psubscribe",
        arity: -2,
        syntax: "pattern [pattern ...]",
        summary: "Listens to the messages published to channels that match patterns.",
        complexity: "O(N) where N is the number of patterns to subscribe to.",
        run: Run::OnSession(psubscribe),
        ..SUBSCRIBING
    },
    CommandSpec {
        name: "publish",
        syntax: "channel message",
        summary: "Sends a message to a channel, and answers how many got it.",
        complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total \
            number of subscribed patterns (by any client).",
        run: Run::SomeCores {
            which: pushes::has_subscribers,
            topic: Topic::Channel,
            each: pushes::publish_each,
            count: pushes::count_each,
            merge: publish_merge,
        },
        ..PUBLISHING
    },
    CommandSpec {
        name: "pubsub",
        arity: -2,
        group: Group::Pubsub,
        since: "2.8.0",
        summary: "A container for commands about who listens to what.",
        complexity: "Depends on subcommand",
        subcommands: inspect::SUBCOMMANDS,
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "punsubscribe",
        arity: -1,
        syntax: "[pattern [pattern ...]]",
        summary: "Stops listening to channels that match patterns, to all such without one.",
        complexity: "O(N) where N is the number of patterns to unsubscribe.",
        run: Run::OnSession(punsubscribe),
        ..SUBSCRIBING
    },
    CommandSpec {
        name: "spublish",
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::NOT_KEY)]),
        since: "7.0.0",
        syntax: "shardchannel message",
        summary: "Sends a message to a shard channel, and answers how many got it.",
        complexity: "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        run: Run::SomeCores {
            which: pushes::has_shard_subscribers,
            topic: Topic::ShardChannel,
            each: pushes::spublish_each,
            count: pushes::scount_each,
            merge: publish_merge,
        },
        ..PUBLISHING
    },
    CommandSpec {
        name: "ssubscribe",
        arity: -2,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::NOT_KEY).to(-1)]),
        since: "7.0.0",
        syntax: "shardchannel [shardchannel ...]",
        summary: "Listens to the messages published to shard channels.",
        complexity: "O(N) where N is the number of shard channels to subscribe to.",
        run: Run::OnSession(ssubscribe),
        ..SUBSCRIBING
    },
    CommandSpec {
        name: "subscribe",
        arity: -2,
        syntax: "channel [channel ...]",
        summary: "Listens to the messages published to channels.",
        complexity: "O(N) where N is the number of channels to subscribe to.",
        run: Run::OnSession(subscribe),
        ..SUBSCRIBING
    },
    CommandSpec {
        name: "sunsubscribe",
        arity: -1,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::NOT_KEY).to(-1)]),
        since: "7.0.0",
        syntax: "[shardchannel [shardchannel ...]]",
        summary: "Stops listening to shard channels, to all of them without one.",
        complexity: "O(N) where N is the number of shard channels to unsubscribe.",
        run: Run::OnSession(sunsubscribe),
        ..SUBSCRIBING
    },
    CommandSpec {
        name: "unsubscribe",
        arity: -1,
        syntax: "[channel [channel ...]]",
        summary: "Stops listening to channels, to all of them without one.",
        complexity: "O(N) where N is the number of channels to unsubscribe.",
        run: Run::OnSession(unsubscribe),
        ..SUBSCRIBING
    },
];

/// What commands that begin or end subscriptions have in common.
const SUBSCRIBING: CommandSpec = CommandSpec {
    flags: Flags::PUBSUB.with(Flags::SESSION).with(Flags::SUBSCRIBED),
    group: Group::Pubsub,
    since: "2.0.0",
    ..CommandSpec::BASE
};

/// What commands that publish have in common.
const PUBLISHING: CommandSpec = CommandSpec {
    arity: 3,
    flags: Flags::PUBSUB
        .with(Flags::ANYTIME)
        .with(Flags::FAST)
        .with(Flags::MAY_REPLICATE),
    group: Group::Pubsub,
    since: "2.0.0",
    ..CommandSpec::BASE
};

fn subscribe(call: &mut SessionCall<'_>) -> CommandResult {
    begin(call, Topic::Channel, "subscribe")
}

fn psubscribe(call: &mut SessionCall<'_>) -> CommandResult {
    begin(call, Topic::Pattern, "psubscribe")
}

fn ssubscribe(call: &mut SessionCall<'_>) -> CommandResult {
    begin(call, Topic::ShardChannel, "ssubscribe")
}

fn unsubscribe(call: &mut SessionCall<'_>) -> CommandResult {
    end(call, Topic::Channel, "unsubscribe")
}

fn punsubscribe(call: &mut SessionCall<'_>) -> CommandResult {
    end(call, Topic::Pattern, "punsubscribe")
}

fn sunsubscribe(call: &mut SessionCall<'_>) -> CommandResult {
    end(call, Topic::ShardChannel, "sunsubscribe")
}

fn begin(call: &mut SessionCall<'_>, topic: Topic, word: &str) -> CommandResult {
    for name in call.args.iter_from(1) {
        call.core.subscribers.subscribe(call.session, topic, name);
        tell(call, topic, word, Some(name));
    }
    Ok(())
}

fn end(call: &mut SessionCall<'_>, topic: Topic, word: &str) -> CommandResult {
    if call.args.len() > 1 {
        for name in call.args.iter_from(1) {
            call.core.subscribers.unsubscribe(call.session, topic, name);
            tell(call, topic, word, Some(name));
        }
        return Ok(());
    }
    let names = call.session.subscribed(topic);
    for name in &names {
        call.core.subscribers.unsubscribe(call.session, topic, name);
        tell(call, topic, word, Some(name));
    }
    if names.is_empty() {
        tell(call, topic, word, None);
    }
    Ok(())
}

/// Says what has become of a subscription, and how many there are now.
fn tell(call: &mut SessionCall<'_>, topic: Topic, word: &str, name: Option<&[u8]>) {
    let count = call.session.subscriptions_told(topic) as u64;
    call.reply(|reply| {
        reply.push(3);
        reply.text(word);
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.count(count);
    });
}

fn publish_merge(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let received = parts.iter().map(|part| PartReader::new(part).number());
    reply.count(received.sum());
    Ok(())
}
