//! Who among a core's sessions is subscribed to what.
//!
//! A channel's subscribers are found by its name; a message also goes through every pattern there is, as in Redis. The
//! core's gauges tell the others how many names have subscribers here, so that a core without any is not asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::RandomState;

use super::{Crowd, Session, SessionId};
use crate::glob::{self, Case};
use crate::routing::CoreId;
use crate::shared::Shared;
use crate::topics::Topic;

/// The subscribers of one core.
#[derive(Debug)]
pub struct Subscribers {
    core: CoreId,
    shared: Arc<Shared>,
    by_name: [HashMap<Arc<[u8]>, Crowd<SessionId>, RandomState>; Topic::ALL.len()],
    /// How many of the names are such that events of keys may concern them.
    of_events: u64,
}

/// What the channels of the events of keys begin with.
const EVENTS_BEGIN: &[u8] = b"__key";

/// Whether events of keys may concern who is subscribed to `name`.
fn may_be_of_events(topic: Topic, name: &[u8]) -> bool {
    let literal = match topic {
        Topic::Channel => return name.starts_with(EVENTS_BEGIN),
        Topic::ShardChannel => return false,
        Topic::Pattern => glob::literal_prefix(name),
    };
    let is_whole = literal.len() == name.len();
    let mut both = literal.iter().zip(EVENTS_BEGIN);
    both.all(|(one, other)| one == other) && (!is_whole || literal.len() >= EVENTS_BEGIN.len())
}

impl Subscribers {
    /// No subscriber, on core `core`.
    pub fn new(core: CoreId, shared: Arc<Shared>) -> Self {
        Self {
            core,
            shared,
            by_name: Default::default(),
            of_events: 0,
        }
    }

    /// Subscribes `session` to `name`, unless it is already.
    pub fn subscribe(&mut self, session: &mut Session, topic: Topic, name: &[u8]) {
        let by_name = &mut self.by_name[topic.index()];
        // The session's copy of the name is the table's.
        let known = by_name
            .get_key_value(name)
            .map(|(name, _)| Arc::clone(name));
        let name = known.unwrap_or_else(|| Arc::from(name));
        if !session.begin_subscription(topic, Arc::clone(&name)) {
            return;
        }
        let crowd = by_name.entry(Arc::clone(&name)).or_default();
        let is_first = crowd.is_empty();
        crowd.insert(session.id);
        if is_first {
            self.shared.topics.begin(topic, &name);
            self.of_events += u64::from(may_be_of_events(topic, &name));
            self.publish_gauges();
        }
    }

    /// Ends a subscription of `session`, if there is such.
    pub fn unsubscribe(&mut self, session: &mut Session, topic: Topic, name: &[u8]) {
        if session.end_subscription(topic, name) {
            self.remove(session.id, topic, name);
        }
    }

    /// Ends every subscription of `session`.
    pub fn leave(&mut self, session: &mut Session) {
        if !session.is_subscriber() {
            return;
        }
        for topic in Topic::ALL {
            for name in session.subscribed(topic) {
                self.unsubscribe(session, topic, &name);
            }
        }
    }

    fn remove(&mut self, id: SessionId, topic: Topic, name: &[u8]) {
        let by_name = &mut self.by_name[topic.index()];
        let crowd = by_name
            .get_mut(name)
            .expect("what a session is subscribed to is in the table");
        crowd.remove(&id);
        if crowd.is_empty() {
            by_name.remove(name);
            self.shared.topics.end(topic, name);
            self.of_events -= u64::from(may_be_of_events(topic, name));
            self.publish_gauges();
        }
    }

    /// Tells the other cores how many names have subscribers here. A reply that lets a client know of its subscription
    /// leaves later, so that who publishes because of it sees the gauge.
    fn publish_gauges(&self) {
        let count = |topic: Topic| self.by_name[topic.index()].len() as u64;
        let gauges = self.shared.gauges(self.core);
        gauges.topics.store(
            count(Topic::Channel) + count(Topic::Pattern),
            Ordering::Release,
        );
        gauges.event_topics.store(self.of_events, Ordering::Release);
        gauges
            .shard_topics
            .store(count(Topic::ShardChannel), Ordering::Release);
    }

    /// The names of one topic that have subscribers.
    pub fn names(&self, topic: Topic) -> impl Iterator<Item = &[u8]> {
        self.by_name[topic.index()].keys().map(|name| &**name)
    }

    /// Number of sessions subscribed to `name`.
    pub fn count(&self, topic: Topic, name: &[u8]) -> usize {
        self.of(topic, name).map_or(0, Crowd::len)
    }

    /// The sessions subscribed to `name`.
    pub fn of(&self, topic: Topic, name: &[u8]) -> Option<&Crowd<SessionId>> {
        self.by_name[topic.index()].get(name)
    }

    /// The patterns that match `channel`, in their order, with who is subscribed to them.
    pub fn matching(&self, channel: &[u8]) -> Vec<(&[u8], &Crowd<SessionId>)> {
        let patterns = self.by_name[Topic::Pattern.index()].iter();
        let mut matching: Vec<(&[u8], _)> = patterns
            .map(|(pattern, crowd)| (&**pattern, crowd))
            .filter(|(pattern, _)| glob::matches(pattern, channel, Case::Sensitive))
            .collect();
        matching.sort_unstable_by_key(|(pattern, _)| *pattern);
        matching
    }

    /// Whether no session is subscribed to anything.
    pub fn is_empty(&self) -> bool {
        self.by_name.iter().all(HashMap::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::session::{Peer, Sessions};

    fn session(sessions: &mut Sessions) -> Box<Session> {
        let id = sessions.insert(|id| Session::new(1, id, Peer::default(), 0));
        sessions.take_out(id).unwrap()
    }

    #[test]
    fn names_that_events_of_keys_cannot_concern_are_known() {
        for pattern in [
            "*",
            "?_key*",
            "[_]x",
            "\\_*",
            "_*",
            "__key*",
            "__keyspace@0__:k",
            "__k",
        ] {
            let is_whole = pattern == "__k";
            assert_eq!(
                may_be_of_events(Topic::Pattern, pattern.as_bytes()),
                !is_whole,
                "{pattern}"
            );
        }
        for pattern in ["a*", "_a*", "__kez*", "news"] {
            assert!(
                !may_be_of_events(Topic::Pattern, pattern.as_bytes()),
                "{pattern}"
            );
        }
        assert!(may_be_of_events(Topic::Channel, b"__keyevent@0__:del"));
        assert!(!may_be_of_events(Topic::Channel, b"*"));
        assert!(!may_be_of_events(
            Topic::ShardChannel,
            b"__keyevent@0__:del"
        ));
    }

    #[test]
    fn a_session_that_leaves_leaves_nothing_behind() {
        let shared = Shared::new(Config::default(), 1, [1, 2, 3, 4], 0);
        let mut subscribers = Subscribers::new(CoreId(0), Arc::clone(&shared));
        let mut sessions = Sessions::default();
        let (mut one, mut two) = (session(&mut sessions), session(&mut sessions));
        for name in 0..100u8 {
            subscribers.subscribe(&mut one, Topic::Channel, &[name]);
            subscribers.subscribe(&mut one, Topic::Channel, &[name]);
            subscribers.subscribe(&mut two, Topic::ShardChannel, &[name]);
        }
        subscribers.subscribe(&mut two, Topic::Channel, &[7]);
        subscribers.subscribe(&mut two, Topic::Pattern, b"*");
        subscribers.unsubscribe(&mut two, Topic::Pattern, b"?");
        assert_eq!(subscribers.count(Topic::Channel, &[7]), 2);
        assert_eq!(two.subscriptions_told(Topic::Channel), 2);
        assert_eq!(two.subscriptions_told(Topic::ShardChannel), 100);
        assert_eq!(subscribers.matching(b"any").len(), 1);
        let gauges = shared.gauges(CoreId(0));
        assert_eq!(gauges.topics.load(Ordering::Relaxed), 101);
        assert_eq!(gauges.event_topics.load(Ordering::Relaxed), 1);
        subscribers.leave(&mut one);
        assert!(!one.is_subscriber() && two.is_subscriber());
        assert_eq!(shared.topics.count(Topic::Channel), 1);
        subscribers.leave(&mut two);
        assert!(subscribers.is_empty());
        assert_eq!(Topic::ALL.map(|topic| shared.topics.count(topic)), [0; 3]);
        assert_eq!(gauges.topics.load(Ordering::Relaxed), 0);
        assert_eq!(gauges.event_topics.load(Ordering::Relaxed), 0);
        assert_eq!(gauges.shard_topics.load(Ordering::Relaxed), 0);
    }
}
