//! What can be subscribed to, and which names of each kind have a subscriber on any core.
//!
//! Each core keeps the subscribers among its own sessions (`session::Subscribers`); a name with subscribers on two cores
//! is still one channel to `INFO` and `PUBSUB NUMPAT`. So a core says here, under a lock, when a name gets its first
//! subscriber there and when it loses the last. No message comes by: publishing looks at the cores' gauges only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A kind of name that can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A channel (`SUBSCRIBE`).
    Channel,
    /// Every channel that a pattern matches (`PSUBSCRIBE`).
    Pattern,
    /// A shard channel (`SSUBSCRIBE`).
    ShardChannel,
}

impl Topic {
    /// All of them; what is kept by topic is in this order.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::ShardChannel];

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// The names with subscribers, each with the number of cores that have some.
#[derive(Debug, Default)]
pub struct Topics {
    cores_by_name: [Mutex<HashMap<Arc<[u8]>, u32>>; Topic::ALL.len()],
}

impl Topics {
    /// A core has its first subscriber to `name`.
    pub fn begin(&self, topic: Topic, name: &Arc<[u8]>) {
        *self.names(topic).entry(Arc::clone(name)).or_default() += 1;
    }

    /// A core has lost its last subscriber to `name`.
    ///
    /// # Panics
    /// No core had one.
    pub fn end(&self, topic: Topic, name: &[u8]) {
        let mut names = self.names(topic);
        let cores = names.get_mut(name).expect("what ends is what a core began");
        *cores -= 1;
        if *cores == 0 {
            names.remove(name);
        }
    }

    /// Number of names with a subscriber.
    pub fn count(&self, topic: Topic) -> u64 {
        self.names(topic).len() as u64
    }

    fn names(&self, topic: Topic) -> MutexGuard<'_, HashMap<Arc<[u8]>, u32>> {
        self.cores_by_name[topic.index()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_once_until_the_last_core_has_lost_it() {
        let topics = Topics::default();
        let name: Arc<[u8]> = Arc::from(&b"news"[..]);
        topics.begin(Topic::Channel, &name);
        topics.begin(Topic::Channel, &name);
        topics.begin(Topic::Pattern, &name);
        assert_eq!(Topic::ALL.map(|topic| topics.count(topic)), [1, 1, 0]);
        topics.end(Topic::Channel, b"news");
        assert_eq!(topics.count(Topic::Channel), 1);
        topics.end(Topic::Channel, b"news");
        assert_eq!(topics.count(Topic::Channel), 0);
    }
}
