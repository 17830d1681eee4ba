//! Entries of a simulated shard: a hash table that grows and shrinks by one bucket at a time (Litwin's linear hashing).
//!
//! ```text
//!  head of a bucket ─▶ entry ─▶ entry      entries lie without a gap: one drawn at random is one index, and the last fills a hole
//! ```
//! Twenty-eight bytes an entry, in chunks of 256; nothing is copied when it grows.

use super::rng::mix;
use super::{Candidate, Entries, Identity, Scope};
use crate::{AccessClock, UnixMillis};

const CHUNK: usize = 256;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    identity: u32,
    history: u32,
    /// Four gigabytes at most.
    bytes: u32,
    /// The second that begins then or after; [`ENDLESS`]: there is none.
    deadline: u32,
    next: u32,
    /// Seconds of the last use, where somebody tells them.
    used_secs: u32,
}

/// The deadline of an entry that has none.
const ENDLESS: u32 = u32::MAX;

/// What is kept of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) bytes: u64,
    pub(crate) history: AccessClock,
    /// To the second, which a deadline is kept to.
    pub(crate) deadline: Option<UnixMillis>,
    /// Seconds of its last use, where somebody tells them.
    pub(crate) used_secs: u32,
}

/// A deadline in seconds, not before it.
fn deadline_secs(deadline: Option<UnixMillis>) -> u32 {
    deadline.map_or(ENDLESS, |UnixMillis(millis)| {
        let secs = u64::try_from(millis).unwrap_or(0).div_ceil(1000);
        secs.min(u64::from(ENDLESS - 1)) as u32
    })
}

impl Kept {
    /// Whether its deadline has come.
    pub(crate) fn has_ended(&self, now: UnixMillis) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

impl Node {
    fn kept(&self) -> Kept {
        Kept {
            bytes: self.bytes.into(),
            history: AccessClock(self.history),
            deadline: self.deadline(),
            used_secs: self.used_secs,
        }
    }

    fn deadline(&self) -> Option<UnixMillis> {
        (self.deadline != ENDLESS).then_some(UnixMillis(i64::from(self.deadline) * 1000))
    }
}

/// A list in chunks.
struct Chunked<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T: Copy> Chunked<T> {
    fn new() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
        }
    }

    fn at(&self, index: u32) -> &T {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    fn at_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }

    fn push(&mut self, value: T) {
        if self.len == self.chunks.len() * CHUNK {
            self.chunks.push(Vec::new());
        }
        self.chunks[self.len / CHUNK].push(value);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        let value = self.chunks[self.len / CHUNK].pop();
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.pop();
        }
        value
    }

    fn held_bytes(&self) -> usize {
        let in_chunks = match self.chunks.as_slice() {
            [] => 0,
            [one] => one.capacity(),
            more => more.len() * CHUNK,
        };
        self.chunks.capacity() * size_of::<Vec<T>>() + in_chunks * size_of::<T>()
    }
}

/// The entries.
pub(crate) struct Table {
    nodes: Chunked<Node>,
    heads: Chunked<u32>,
    bytes: u64,
    /// Entries with a deadline.
    volatile: u64,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Chunked::new(),
            heads: Chunked::new(),
            bytes: 0,
            volatile: 0,
        }
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        (self.nodes.held_bytes() + self.heads.held_bytes()) as u64
    }

    /// Identities of a sample are near each other, so they are mixed.
    fn bucket(&self, identity: u32) -> u32 {
        let hash = mix(identity.into()) as u32;
        let buckets = self.heads.len as u32;
        let wide = hash & (buckets.next_power_of_two() - 1);
        match wide < buckets {
            true => wide,
            false => hash & (buckets.next_power_of_two() / 2 - 1),
        }
    }

    fn index(&self, identity: Identity) -> Option<u32> {
        if self.heads.len == 0 {
            return None;
        }
        let mut at = *self.heads.at(self.bucket(identity.0));
        while at != NONE {
            let node = self.nodes.at(at);
            if node.identity == identity.0 {
                return Some(at);
            }
            at = node.next;
        }
        None
    }

    /// Adds an entry that is not there, and has no deadline.
    #[cfg(any(test, feature = "bench"))]
    pub(crate) fn insert(&mut self, identity: Identity, bytes: u64, history: AccessClock) {
        let kept = Kept {
            bytes,
            history,
            deadline: None,
            used_secs: 0,
        };
        self.keep(identity, &kept);
    }

    /// Adds an entry that is not there.
    pub(crate) fn keep(&mut self, identity: Identity, kept: &Kept) {
        if self.heads.len == self.nodes.len {
            self.add_bucket();
        }
        let bucket = self.bucket(identity.0);
        self.nodes.push(Node {
            identity: identity.0,
            history: 0,
            bytes: 0,
            deadline: ENDLESS,
            next: *self.heads.at(bucket),
            used_secs: 0,
        });
        let at = self.nodes.len as u32 - 1;
        *self.heads.at_mut(bucket) = at;
        self.rewrite(at, kept);
    }

    /// Where an entry is, until one comes or goes, and what is kept of it.
    pub(crate) fn kept(&self, identity: Identity) -> Option<(u32, Kept)> {
        let at = self.index(identity)?;
        Some((at, self.nodes.at(at).kept()))
    }

    /// Keeps something else of the entry that is there.
    pub(crate) fn rewrite(&mut self, at: u32, kept: &Kept) {
        let node = self.nodes.at_mut(at);
        let deadline = deadline_secs(kept.deadline);
        let bytes = u32::try_from(kept.bytes).unwrap_or(u32::MAX);
        self.bytes = self.bytes - u64::from(node.bytes) + u64::from(bytes);
        self.volatile -= u64::from(node.deadline != ENDLESS);
        self.volatile += u64::from(deadline != ENDLESS);
        (node.bytes, node.history, node.deadline) = (bytes, kept.history.0, deadline);
        node.used_secs = kept.used_secs;
    }

    /// Gives an entry another size.
    #[cfg(test)]
    pub(crate) fn set_bytes(&mut self, identity: Identity, bytes: u64) {
        if let Some((at, kept)) = self.kept(identity) {
            self.rewrite(at, &Kept { bytes, ..kept });
        }
    }

    /// Takes out what `goes` says of.
    pub(crate) fn remove_if(&mut self, goes: impl Fn(Identity, &Kept) -> bool) {
        // The last takes the place of one that goes: what has been looked at.
        for at in (0..self.nodes.len as u32).rev() {
            let node = *self.nodes.at(at);
            if goes(Identity(node.identity), &node.kept()) {
                self.remove_at(at);
            }
        }
    }

    /// Whether any has a deadline.
    pub(crate) fn has_volatile(&self) -> bool {
        self.volatile > 0
    }

    /// Makes one bucket more: what belongs there comes from one other.
    fn add_bucket(&mut self) {
        let new = self.heads.len as u32;
        self.heads.push(NONE);
        if new > 0 {
            // The highest bit of the number of a bucket tells it from the one that it is divided from.
            self.rehang(new - (1 << new.ilog2()));
        }
    }

    fn remove_bucket(&mut self) {
        let last = self.heads.len as u32 - 1;
        let mut at = self.heads.pop().unwrap_or(NONE);
        while at != NONE && last > 0 {
            let next = self.nodes.at(at).next;
            self.hang(at);
            at = next;
        }
    }

    fn rehang(&mut self, bucket: u32) {
        let mut at = std::mem::replace(self.heads.at_mut(bucket), NONE);
        while at != NONE {
            let next = self.nodes.at(at).next;
            self.hang(at);
            at = next;
        }
    }

    fn hang(&mut self, at: u32) {
        let bucket = self.bucket(self.nodes.at(at).identity);
        self.nodes.at_mut(at).next = *self.heads.at(bucket);
        *self.heads.at_mut(bucket) = at;
    }

    /// Where the number of the node `at` stands, made `to`.
    fn repoint(&mut self, at: u32, to: u32) {
        let bucket = self.bucket(self.nodes.at(at).identity);
        let mut link = *self.heads.at(bucket);
        if link == at {
            *self.heads.at_mut(bucket) = to;
            return;
        }
        loop {
            let next = self.nodes.at(link).next;
            if next == at {
                self.nodes.at_mut(link).next = to;
                return;
            }
            link = next;
        }
    }

    /// Takes an entry out, if it is there.
    pub(crate) fn remove(&mut self, identity: Identity) -> bool {
        let found = self.index(identity);
        if let Some(at) = found {
            self.remove_at(at);
        }
        found.is_some()
    }

    fn remove_at(&mut self, at: u32) {
        let removed = *self.nodes.at(at);
        self.repoint(at, removed.next);
        self.bytes -= u64::from(removed.bytes);
        self.volatile -= u64::from(removed.deadline != ENDLESS);
        let last = self.nodes.len as u32 - 1;
        if at != last {
            self.repoint(last, at);
            *self.nodes.at_mut(at) = *self.nodes.at(last);
        }
        self.nodes.pop();
        // It shrinks when half are enough, or one entry that comes and goes would make and unmake a bucket each time.
        if self.heads.len > 2 * self.nodes.len {
            self.remove_bucket();
        }
    }

    fn candidate(&self, at: u32) -> Candidate {
        let node = self.nodes.at(at);
        let kept = node.kept();
        Candidate {
            identity: Identity(node.identity),
            bytes: kept.bytes,
            history: kept.history,
            deadline: kept.deadline,
        }
    }

    /// The nearest entry with a deadline, from one on.
    fn volatile_from(&self, at: u32) -> Option<u32> {
        let len = self.nodes.len as u32;
        let mut from = (at..len).chain(0..at);
        from.find(|&at| self.nodes.at(at).deadline != ENDLESS)
    }

    /// Shows each entry once.
    #[cfg(test)]
    pub(crate) fn for_each(&self, mut show: impl FnMut(&Candidate)) {
        for at in 0..self.nodes.len as u32 {
            show(&self.candidate(at));
        }
    }
}

impl Entries for Table {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn len(&self) -> u64 {
        self.nodes.len as u64
    }

    fn sample(&self, wanted: usize, scope: Scope, random: u64, mut show: impl FnMut(&Candidate)) {
        let len = match scope {
            Scope::AllKeys => self.nodes.len as u64,
            Scope::Volatile => self.volatile,
        };
        if len == 0 {
            return;
        }
        for draw in 0..wanted as u64 {
            let random = mix(random.wrapping_add(draw)) >> 32;
            let at = ((random * self.nodes.len as u64) >> 32) as u32;
            let drawn = match scope {
                Scope::AllKeys => Some(at),
                Scope::Volatile => self.volatile_from(at),
            };
            if let Some(at) = drawn {
                show(&self.candidate(at));
            }
        }
    }

    fn find(&self, identity: Identity) -> Option<Candidate> {
        self.index(identity).map(|at| self.candidate(at))
    }

    fn set_history(&mut self, identity: Identity, history: AccessClock) {
        if let Some(at) = self.index(identity) {
            self.nodes.at_mut(at).history = history.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::rng::Rng;
    use super::*;

    #[test]
    fn a_table_does_as_a_map_does_and_draws_all_alike() {
        let (mut table, mut model, mut rng) = (Table::new(), BTreeMap::new(), Rng::new(1));
        for step in 0..20_000u32 {
            // It fills, and empties again.
            let keys = if step < 10_000 { 900 } else { 40 };
            let random = rng.next();
            let identity = Identity((random >> 40) as u32 % keys);
            match random % 4 {
                0 | 1 if !model.contains_key(&identity) => {
                    let second = UnixMillis(i64::from(step) * 1000);
                    let ends = random.is_multiple_of(3).then_some(second);
                    let kept = Kept {
                        bytes: random % 100,
                        history: AccessClock(step),
                        deadline: ends,
                        used_secs: step,
                    };
                    table.keep(identity, &kept);
                    model.insert(identity, (kept.bytes, step, ends));
                }
                1 if random.is_multiple_of(50) => {
                    let goes = |identity: Identity| identity.0 % 7 == step % 7;
                    table.remove_if(|identity, _| goes(identity));
                    model.retain(|&identity, _| !goes(identity));
                }
                2 => {
                    table.set_history(identity, AccessClock(step));
                    model.entry(identity).and_modify(|entry| entry.1 = step);
                }
                _ => {
                    // Also those that are not drawn any more.
                    let gone = Identity((random >> 32) as u32 % 900);
                    assert_eq!(table.remove(gone), model.remove(&gone).is_some());
                }
            }
            assert_eq!(table.len(), model.len() as u64);
            let found = table.find(identity);
            let found = found.map(|entry| (entry.bytes, entry.history.0, entry.deadline));
            assert_eq!(found, model.get(&identity).copied());
            let volatile = model.values().filter(|entry| entry.2.is_some()).count();
            assert_eq!(table.volatile, volatile as u64);
            table.sample(3, Scope::Volatile, random, |entry| {
                assert!(entry.deadline.is_some());
            });
            if step % 500 == 0 {
                let sum: u64 = model.values().map(|entry| entry.0).sum();
                assert_eq!(table.bytes(), sum);
                for (&identity, entry) in &model {
                    let found = table.find(identity).expect("the model has it");
                    assert_eq!((found.bytes, found.history.0, found.deadline), *entry);
                }
            }
        }
        let mut draws: BTreeMap<Identity, u32> = BTreeMap::new();
        table.sample(100 * model.len(), Scope::AllKeys, 7, |entry| {
            *draws.entry(entry.identity).or_default() += 1;
        });
        assert_eq!(draws.len(), model.len());
        assert!(
            draws.values().all(|&count| (50..200).contains(&count)),
            "{draws:?}"
        );
    }
}
