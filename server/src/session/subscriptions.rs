//! What one session is subscribed to.

use std::sync::Arc;

use super::{Crowd, Session, gate};
use crate::topics::Topic;

/// Names by topic.
#[derive(Debug, Default)]
pub struct Subscriptions {
    names: [Crowd<Arc<[u8]>>; Topic::ALL.len()],
}

impl Session {
    /// Whether it is subscribed to anything.
    #[inline]
    pub fn is_subscriber(&self) -> bool {
        self.gates & gate::SUBSCRIBER != 0
    }

    /// Number of names of one topic it is subscribed to.
    pub fn subscriptions(&self, topic: Topic) -> usize {
        let all = self.subscriptions.as_ref();
        all.map_or(0, |all| all.names[topic.index()].len())
    }

    /// The number that goes with word of a change: channels and patterns count together, shard channels by themselves.
    pub fn subscriptions_told(&self, topic: Topic) -> usize {
        match topic {
            Topic::Channel | Topic::Pattern => {
                self.subscriptions(Topic::Channel) + self.subscriptions(Topic::Pattern)
            }
            Topic::ShardChannel => self.subscriptions(topic),
        }
    }

    /// The names of one topic it is subscribed to.
    pub fn subscribed(&self, topic: Topic) -> Vec<Arc<[u8]>> {
        let all = self.subscriptions.as_ref();
        all.map_or_else(Vec::new, |all| {
            all.names[topic.index()].iter().cloned().collect()
        })
    }

    /// Notes a subscription. False: there is one already.
    pub(super) fn begin_subscription(&mut self, topic: Topic, name: Arc<[u8]>) -> bool {
        let all = self.subscriptions.get_or_insert_default();
        let is_new = all.names[topic.index()].insert(Arc::clone(&name));
        if is_new {
            self.kept.add_subscription(&name);
        }
        self.set_gate(gate::SUBSCRIBER, true);
        is_new
    }

    /// Notes the end of a subscription. False: there is none.
    pub(super) fn end_subscription(&mut self, topic: Topic, name: &[u8]) -> bool {
        let Some(all) = &mut self.subscriptions else {
            return false;
        };
        let was_in = all.names[topic.index()].remove(name);
        if was_in {
            self.kept.remove_subscription(name);
        }
        if all.names.iter().all(Crowd::is_empty) {
            self.subscriptions = None;
            self.set_gate(gate::SUBSCRIBER, false);
        }
        was_in
    }
}
