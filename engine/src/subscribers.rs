//! Lists of functions that are told something, each there from when it was added until it is removed.

/// Which subscriber of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberId(u64);

/// Subscribers, in the order in which they have come.
pub(crate) struct Subscribers<F> {
    list: Vec<(SubscriberId, F)>,
    /// How many have ever come.
    arrivals: u64,
}

impl<F> Default for Subscribers<F> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            arrivals: 0,
        }
    }
}

impl<F> Subscribers<F> {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn add(&mut self, subscriber: F) -> SubscriberId {
        let id = SubscriberId(self.arrivals);
        self.arrivals += 1;
        self.list.push((id, subscriber));
        id
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, id: SubscriberId) -> bool {
        let before = self.list.len();
        self.list.retain(|(other, _)| *other != id);
        self.list.len() < before
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut F> {
        self.list.iter_mut().map(|(_, subscriber)| subscriber)
    }
}
