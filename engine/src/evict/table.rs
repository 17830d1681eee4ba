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
    bytes: u64,
    next: u32,
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
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Chunked::new(),
            heads: Chunked::new(),
            bytes: 0,
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

    /// Adds an entry that is not there.
    pub(crate) fn insert(&mut self, identity: Identity, bytes: u64, history: AccessClock) {
        if self.heads.len == self.nodes.len {
            self.add_bucket();
        }
        let bucket = self.bucket(identity.0);
        self.nodes.push(Node {
            identity: identity.0,
            history: history.0,
            bytes,
            next: *self.heads.at(bucket),
        });
        *self.heads.at_mut(bucket) = self.nodes.len as u32 - 1;
        self.bytes += bytes;
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
        let Some(at) = self.index(identity) else {
            return false;
        };
        let removed = *self.nodes.at(at);
        self.repoint(at, removed.next);
        self.bytes -= removed.bytes;
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
        true
    }

    /// Gives an entry another size.
    pub(crate) fn set_bytes(&mut self, identity: Identity, bytes: u64) {
        if let Some(at) = self.index(identity) {
            let node = self.nodes.at_mut(at);
            self.bytes = self.bytes - node.bytes + bytes;
            node.bytes = bytes;
        }
    }

    fn candidate(&self, at: u32) -> Candidate {
        let node = self.nodes.at(at);
        Candidate {
            identity: Identity(node.identity),
            bytes: node.bytes,
            history: AccessClock(node.history),
            deadline: None::<UnixMillis>,
        }
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
        if scope == Scope::Volatile || self.nodes.len == 0 {
            return;
        }
        for draw in 0..wanted as u64 {
            let random = mix(random.wrapping_add(draw)) >> 32;
            let at = (random * self.nodes.len as u64) >> 32;
            show(&self.candidate(at as u32));
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
                    table.insert(identity, random % 100, AccessClock(step));
                    model.insert(identity, (random % 100, step));
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
            let found = found.map(|entry| (entry.bytes, entry.history.0));
            assert_eq!(found, model.get(&identity).copied());
            if step % 500 == 0 {
                let sum: u64 = model.values().map(|entry| entry.0).sum();
                assert_eq!(table.bytes(), sum);
                for (&identity, entry) in &model {
                    let found = table.find(identity).expect("the model has it");
                    assert_eq!((found.bytes, found.history.0), *entry);
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
