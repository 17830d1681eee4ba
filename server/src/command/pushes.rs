//! Messages that a core hands to its sessions though no command of theirs asked for them.
//!
//! A message is encoded once and copied to each session it goes to. It never waits for a session: one that does not take
//! what it is sent is closed at its class's output limit.

use std::sync::atomic::Ordering;

use crate::config::Config;
use crate::observe::{PartWriter, Stats};
use crate::resp::{Protocol, Reply};
use crate::session::{Closing, Session, SessionId, Sessions, Subscribers};
use crate::shared::CoreGauges;
use crate::topics::Topic;

use super::{CoreCall, CoreState, closing};

/// What is needed to push to a session of the core.
struct Pusher<'a, 'b> {
    sessions: &'a mut Sessions,
    /// The session at work, which the table lacks.
    asking: Option<&'b mut Session>,
    config: &'a Config,
    stats: &'a mut Stats,
    dirty: &'a mut Vec<SessionId>,
    soft_limit_exceeded: &'a mut bool,
    now_ms: u64,
}

impl Pusher<'_, '_> {
    /// Pushes a message, encoded as an array of RESP2. False: the session is gone, or about to go.
    fn push(&mut self, id: SessionId, message: &[u8]) -> bool {
        let session = match &mut self.asking {
            Some(session) if session.id == id => Some(&mut **session),
            _ => self.sessions.get_mut(id),
        };
        let Some(session) = session else {
            return false;
        };
        if session.closing != Closing::No {
            return false;
        }
        // With something to send already, the runtime knows of it.
        let was_idle = session.output.unsent().is_empty();
        session.push(message);
        let limits = &self.config.client_output_buffer_limit;
        let limit = session.output_limit(limits);
        if closing::close_beyond(session, limit, self.stats) {
            self.dirty.push(session.id);
        } else {
            if was_idle {
                self.dirty.push(session.id);
            }
            session.exceeds_soft_limit(limit, self.now_ms);
            *self.soft_limit_exceeded |= session.is_over_soft_limit();
        }
        if session.holds_much() {
            // One at work is counted when it is put back.
            self.sessions.count(id);
        }
        true
    }
}

/// Whether a core has sessions that a message to a channel may concern.
pub fn has_subscribers(gauges: &CoreGauges) -> bool {
    gauges.topics.load(Ordering::Acquire) > 0
}

/// The same for a shard channel.
pub fn has_shard_subscribers(gauges: &CoreGauges) -> bool {
    gauges.shard_topics.load(Ordering::Acquire) > 0
}

/// A [`super::CoreFn`] that hands the message at argument 2 to the core's subscribers to the channel at argument 1, and
/// answers how many got it.
pub fn publish_each(call: &mut CoreCall<'_>) {
    publish_on_core(call, Topic::Channel);
}

/// The same for a shard channel.
pub fn spublish_each(call: &mut CoreCall<'_>) {
    publish_on_core(call, Topic::ShardChannel);
}

/// A [`super::CoreFn`] that answers how many of the core's subscribers a message to the channel at argument 1 would reach.
pub fn count_each(call: &mut CoreCall<'_>) {
    count_on_core(call, Topic::Channel);
}

/// The same for a shard channel.
pub fn scount_each(call: &mut CoreCall<'_>) {
    count_on_core(call, Topic::ShardChannel);
}

fn count_on_core(call: &mut CoreCall<'_>, topic: Topic) {
    let (channel, sessions) = (call.args.at(1), &call.core.sessions);
    let subscribers = &call.core.subscribers;
    let direct = subscribers.of(topic, channel).into_iter();
    let matching = match topic {
        Topic::Channel => subscribers.matching(channel),
        Topic::Pattern | Topic::ShardChannel => Vec::new(),
    };
    let crowds = direct.chain(matching.into_iter().map(|(_, crowd)| crowd));
    // The session at work, which the table lacks, is there.
    let is_there = |id: &&SessionId| {
        let session = sessions.get(**id);
        session.is_none_or(|session| session.closing == Closing::No)
    };
    let reached = crowds.flat_map(|crowd| crowd.iter()).filter(is_there);
    let reached = reached.count() as u64;
    PartWriter(call.out).number(reached);
}

fn publish_on_core(call: &mut CoreCall<'_>, topic: Topic) {
    let asking = call.asking.as_deref_mut();
    let (channel, message) = (call.args.at(1), call.args.at(2));
    let received = call.core.publish_here(topic, channel, message, asking);
    PartWriter(call.out).number(received);
}

impl CoreState {
    fn pusher<'a, 'b>(
        &'a mut self,
        asking: Option<&'b mut Session>,
    ) -> (Pusher<'a, 'b>, &'a Subscribers) {
        let pusher = Pusher {
            sessions: &mut self.sessions,
            asking,
            config: &self.config,
            stats: &mut self.stats,
            dirty: &mut self.dirty,
            soft_limit_exceeded: &mut self.soft_limit_exceeded,
            now_ms: self.clock.monotonic_ms(),
        };
        (pusher, &self.subscribers)
    }

    /// Pushes a message, encoded as an array of RESP2, to session `id`, which may be `asking`, the one at work. False: it is
    /// gone, or about to go.
    pub(super) fn push_to(
        &mut self,
        id: SessionId,
        message: &[u8],
        asking: Option<&mut Session>,
    ) -> bool {
        let (mut pusher, _) = self.pusher(asking);
        pusher.push(id, message)
    }

    /// Hands a message published to `channel` to this core's subscribers; how many got it. `topic` is the kind of the
    /// channel, `asking` the session that publishes if it is this core's, which the table of sessions lacks.
    pub fn publish_here(
        &mut self,
        topic: Topic,
        channel: &[u8],
        message: &[u8],
        asking: Option<&mut Session>,
    ) -> u64 {
        let (mut pusher, subscribers) = self.pusher(asking);
        let mut received = 0;
        let mut push = |id: &SessionId, encoded: &[u8]| {
            received += u64::from(pusher.push(*id, encoded));
        };
        let mut encoded = Vec::new();
        if let Some(crowd) = subscribers.of(topic, channel) {
            let word: &[u8] = match topic {
                Topic::Channel | Topic::Pattern => b"message",
                Topic::ShardChannel => b"smessage",
            };
            encode(&mut encoded, &[word, channel, message]);
            crowd.iter().for_each(|id| push(id, &encoded));
        }
        if topic == Topic::Channel {
            for (pattern, crowd) in subscribers.matching(channel) {
                encode(&mut encoded, &[b"pmessage", pattern, channel, message]);
                crowd.iter().for_each(|id| push(id, &encoded));
            }
        }
        received
    }
}

/// Replaces what is in `out` with an array of RESP2.
fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.clear();
    let mut reply = Reply::new(out, Protocol::Resp2);
    reply.array(words.len());
    words.iter().for_each(|word| reply.bulk(word));
}
