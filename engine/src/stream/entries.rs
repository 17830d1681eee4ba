//! Entries come to lie in leaves: by their values where the leaf has their names, by themselves where it has others, and in a leaf of their
//! own where neither would be small.
//!
//! ```text
//!  the leaf has these names     values                    in the leaf, or apart if they are long
//!  it has others                names and values          the same; but:
//!  the names are long           a leaf of its own, with its values: names beyond a kilobyte lie apart (long_names.rs)
//! ```
//! What is put back, or has travelled, was named by a leaf: where that is gone, it gets one with these names again, so that it takes no more room
//! than it had.

use super::forest::{Forest, NONE};
use super::leaf::{Draft, LONG, NAMED, Prelude};
use super::{ENTRIES, Fields, StreamId, fields};
use crate::nodes::{Heap, Long};
use crate::{Direction, StoreError};

/// Names of more bytes do not stand in a leaf's head.
const NAMES_MAX_BYTES: usize = 1024;

/// The fields of an entry that is to be put.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// As they lie by themselves.
    Own(&'a [u8]),
    /// Values of these names, which a leaf is known to have.
    Named {
        names: &'a [u8],
        values: &'a [u8],
        known: Option<u32>,
    },
}

impl<'a> Given<'a> {
    /// The values, if the leaf of this ordinal has their names, which are these.
    #[inline]
    fn values_in<'s>(&self, ordinal: u32, names: &[u8], body: &'s mut Vec<u8>) -> Option<&'s [u8]>
    where
        'a: 's,
    {
        match *self {
            Given::Own(own) => {
                body.clear();
                fields::write_values(own, names, body).then_some(&body[..])
            }
            Given::Named {
                names: own,
                values,
                known,
            } => (known == Some(ordinal) || own == names).then_some(values),
        }
    }

    /// The fields as they lie by themselves.
    fn own<'s>(&self, body: &'s mut Vec<u8>) -> &'s [u8]
    where
        'a: 's,
    {
        match *self {
            Given::Own(own) => own,
            Given::Named { names, values, .. } => {
                body.clear();
                Fields::named(names, values).write_all(body);
                body
            }
        }
    }

    /// Whether it is to have a leaf of its own where no leaf has its names.
    fn begins_leaf(&self, inline_bytes: usize) -> bool {
        match *self {
            Given::Named { .. } => true,
            Given::Own(own) if own.len() <= inline_bytes.min(NAMES_MAX_BYTES) => false,
            Given::Own(own) => {
                let names = Fields::of_bytes(own).iter().map(|(name, _)| name.len());
                names.sum::<usize>() > NAMES_MAX_BYTES
            }
        }
    }
}

impl Forest {
    /// Adds an entry behind the last; the ordinal of the leaf that has its names, if it is there by its values.
    pub(super) fn append_entry(
        &mut self,
        heap: &mut Heap,
        id: StreamId,
        given: Given<'_>,
        body: &mut Vec<u8>,
    ) -> Result<Option<u32>, StoreError> {
        let tree = self.tree(ENTRIES);
        let (tail, inline_bytes) = (tree.tail, tree.bounds.inline_bytes);
        if tail != NONE {
            let names = self.names(heap, self.leaf(heap, tail));
            if let Some(values) = given.values_in(tail, names, body) {
                let put = self.with_body(heap, (id, NAMED, values), |forest, heap, draft| {
                    if !forest.append(heap, ENTRIES, draft)? {
                        forest.append_leaf_as(heap, tail, draft)?;
                    }
                    Ok(forest.tree(ENTRIES).tail)
                });
                return put.map(Some);
            }
            if !given.begins_leaf(inline_bytes) {
                let own = given.own(body);
                if own.len() > inline_bytes {
                    let put = self.with_body(heap, (id, 0, own), |forest, heap, draft| {
                        if !forest.append(heap, ENTRIES, draft)? {
                            forest.append_leaf(heap, ENTRIES, Prelude::NONE, draft)?;
                        }
                        Ok(forest.tree(ENTRIES).tail)
                    });
                    return put.map(|_| None);
                }
                let (flags, body) = (0, own);
                if self.append(heap, ENTRIES, &Draft { id, flags, body })? {
                    return Ok(None);
                }
            }
        }
        self.append_with_names(heap, id, given, body)
    }

    /// Adds an entry behind the last, in a leaf that has its names.
    fn append_with_names(
        &mut self,
        heap: &mut Heap,
        id: StreamId,
        given: Given<'_>,
        body: &mut Vec<u8>,
    ) -> Result<Option<u32>, StoreError> {
        let place = (id, None);
        self.with_names(
            heap,
            place,
            given,
            body,
            |forest, heap, (prelude, draft)| {
                forest.append_leaf(heap, ENTRIES, prelude, draft)?;
                Ok(forest.tree(ENTRIES).tail)
            },
        )
    }

    /// Has `put` put an entry into a new leaf that has its names, as the leaf beside it may; the leaf, unless it has none.
    fn with_names(
        &mut self,
        heap: &mut Heap,
        (id, beside): (StreamId, Option<u32>),
        given: Given<'_>,
        body: &mut Vec<u8>,
        put: impl FnOnce(&mut Self, &mut Heap, (Prelude<'_>, &Draft<'_>)) -> Result<u32, StoreError>,
    ) -> Result<Option<u32>, StoreError> {
        let mut own_names = Vec::new();
        let names = match given {
            Given::Named { names, .. } => names,
            Given::Own(own) => {
                fields::write_names(own, &mut own_names);
                &own_names[..]
            }
        };
        let Some(values) = given
            .values_in(NONE, names, body)
            .filter(|_| !names.is_empty())
        else {
            let own = given.own(body);
            let put = self.with_body(heap, (id, 0, own), |forest, heap, draft| {
                put(forest, heap, (Prelude::NONE, draft))
            });
            return put.map(|_| None);
        };
        let is_short = names.len() <= NAMES_MAX_BYTES.min(self.tree(ENTRIES).bounds.leaf_bytes);
        let shared = beside.map(|beside| self.leaf(heap, beside));
        let shared = shared.filter(|leaf| self.names(heap, *leaf) == names);
        let shared = shared.and_then(|leaf| leaf.names_apart());
        let (prelude, is_new) = match (is_short, shared) {
            (true, _) => (Prelude::Names(names), false),
            (false, Some(number)) => (Prelude::Apart(number), false),
            (false, None) => {
                let number = self.long_names.add(heap, &mut self.holdings, names)?;
                (Prelude::Apart(number), true)
            }
        };
        let done = self.with_body(heap, (id, NAMED, values), |forest, heap, draft| {
            put(forest, heap, (prelude, draft))
        });
        match (prelude, &done) {
            (Prelude::Apart(_), Ok(_)) if is_new => self.payload_bytes += names.len() as u64,
            (Prelude::Apart(number), Err(_)) if is_new => {
                self.long_names.free(heap, &mut self.holdings, number);
            }
            _ => {}
        }
        done.map(Some)
    }

    /// Adds a record behind the last, in a leaf of its own that has the names of another.
    fn append_leaf_as(
        &mut self,
        heap: &mut Heap,
        other: u32,
        draft: &Draft<'_>,
    ) -> Result<(), StoreError> {
        let prelude = self.leaf(heap, other).prelude().to_owned();
        self.append_leaf(heap, ENTRIES, prelude.borrow(), draft)
    }

    /// Adds an entry among others, or gives one other fields; the ordinal of the leaf that has its names, if it is there by its values.
    pub(super) fn put_entry(
        &mut self,
        heap: &mut Heap,
        id: StreamId,
        given: Given<'_>,
        body: &mut Vec<u8>,
    ) -> Result<Option<u32>, StoreError> {
        let old = self.get_raw(heap, ENTRIES, id);
        let (_, ordinal) = self.descend(heap, ENTRIES, id);
        let leaf = self.leaf(heap, ordinal);
        let names = self.names(heap, leaf);
        let done = if let Some(values) = given.values_in(ordinal, names, body) {
            let put = self.with_body(heap, (id, NAMED, values), |forest, heap, draft| {
                forest.put(heap, ENTRIES, draft)
            });
            put.map(Some)
        } else {
            match given {
                Given::Named { .. } if old.is_none() => self.put_with_names(heap, id, given, body),
                _ => {
                    let own = given.own(body);
                    let put = self.with_body(heap, (id, 0, own), |forest, heap, draft| {
                        forest.put(heap, ENTRIES, draft)
                    });
                    put.map(|_| None)
                }
            }
        };
        if let (Ok(_), Some((flags, body))) = (&done, old)
            && flags & LONG != 0
        {
            self.free_long(heap, &body);
        }
        done
    }

    /// Adds an entry among others, in a leaf that has its names: between leaves, or in the middle of one, which is divided there.
    fn put_with_names(
        &mut self,
        heap: &mut Heap,
        id: StreamId,
        given: Given<'_>,
        body: &mut Vec<u8>,
    ) -> Result<Option<u32>, StoreError> {
        let (path, ordinal) = self.descend(heap, ENTRIES, id);
        let found = self.leaf(heap, ordinal).find(id);
        let is_first = found.place.is_some() && found.before.is_none();
        if found.place.is_some() && !is_first {
            self.divide_leaf(heap, ENTRIES, (&path, ordinal), id)?;
        }
        let (path, ordinal) = self.descend(heap, ENTRIES, id);
        let direction = match is_first {
            true => Direction::Down,
            false => Direction::Up,
        };
        let beside = self.neighbour(heap, &mut { path }, direction);
        let place = (id, beside);
        self.with_names(heap, place, given, body, |forest, heap, named| {
            let at = (&path, ordinal);
            match is_first {
                true => forest.put_leaf_before(heap, ENTRIES, at, named),
                false => forest.put_leaf(heap, ENTRIES, at, named),
            }
        })
    }

    /// Has `put` put a record that has these bytes, or a reference to where they are; where the record is.
    fn with_body(
        &mut self,
        heap: &mut Heap,
        (id, flags, bytes): (StreamId, u8, &[u8]),
        put: impl FnOnce(&mut Self, &mut Heap, &Draft<'_>) -> Result<u32, StoreError>,
    ) -> Result<u32, StoreError> {
        if bytes.len() <= self.tree(ENTRIES).bounds.inline_bytes {
            let body = bytes;
            return put(self, heap, &Draft { id, flags, body });
        }
        self.with_long(heap, (id, flags, bytes), put)
    }

    /// Stores bytes apart, and has `put` put a record with the reference; nothing is left of them if that fails.
    #[cold]
    fn with_long(
        &mut self,
        heap: &mut Heap,
        (id, flags, bytes): (StreamId, u8, &[u8]),
        put: impl FnOnce(&mut Self, &mut Heap, &Draft<'_>) -> Result<u32, StoreError>,
    ) -> Result<u32, StoreError> {
        let long = Long::store(heap, &mut self.holdings, 0, bytes)?;
        let reference = long.reference();
        let body = match long {
            Long::Block(_) => &reference[..4],
            Long::Extent(..) => &reference[..],
        };
        let flags = flags | LONG;
        match put(self, heap, &Draft { id, flags, body }) {
            Ok(ordinal) => {
                self.payload_bytes += bytes.len() as u64;
                self.claim(heap, body, ordinal);
                Ok(ordinal)
            }
            Err(error) => {
                long.free(heap, &mut self.holdings);
                Err(error)
            }
        }
    }
}
