//! Entries that lie one behind the other, and have names in common, as bytes: what is sent of a stream, restored, and put back. The
//! names stand once, so entries take no more there than in their leaves.
//!
//! ```text
//!  entry: | ms | seq | is named | values, or fields by themselves, with their length |
//! ```

use std::ops::ControlFlow;

use super::leaf::NAMED;
use super::{ENTRIES, Fields, Stream, StreamChange, StreamId, varint};
use crate::Direction;
use crate::nodes::Heap;

/// Bytes of entries that are written together, unless their names have more.
const TOGETHER_BYTES: usize = 16 << 10;
/// However many these have, entries have no more.
const TOGETHER_MAX_BYTES: usize = 1 << 20;

/// Entries to be written together.
#[derive(Debug, Default)]
pub struct Together {
    bytes: Vec<u8>,
}

/// An entry of those that are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TogetherEntry<'a> {
    pub(super) id: StreamId,
    pub(super) is_named: bool,
    pub(super) body: &'a [u8],
}

impl Together {
    /// Forgets them; the memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds an entry that has the values of the common names, written one behind the other, each but the last with its length; or else fields
    /// as they lie by themselves.
    pub fn push(&mut self, id: StreamId, is_named: bool, body: &[u8]) {
        varint::write(id.ms, &mut self.bytes);
        varint::write(id.seq, &mut self.bytes);
        self.bytes.push(is_named.into());
        varint::write_text(body, &mut self.bytes);
    }

    /// Whether there are as many as are to be together, if their names have so many bytes.
    pub fn is_full(&self, names_bytes: usize) -> bool {
        self.bytes.len() >= TOGETHER_BYTES.max(names_bytes.min(TOGETHER_MAX_BYTES))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The entries, for [`StreamChange::Entries`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Memory that it takes.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// The entries that have been written together.
pub(super) fn each(entries: &[u8]) -> impl Iterator<Item = TogetherEntry<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < entries.len()).then(|| {
            let id = StreamId::new(
                varint::read(entries, &mut at),
                varint::read(entries, &mut at),
            );
            let is_named = entries[at] != 0;
            at += 1;
            TogetherEntry {
                id,
                is_named,
                body: varint::read_text(entries, &mut at),
            }
        })
    })
}

impl<'a> TogetherEntry<'a> {
    /// Its fields, if these are the common names.
    pub(super) fn fields(&self, names: &'a [u8]) -> Fields<'a> {
        match self.is_named {
            true => Fields::named(names, self.body),
            false => Fields::of_bytes(self.body),
        }
    }
}

impl StreamChange<'_> {
    /// Shows the change; entries that come together one by one.
    pub(super) fn each_apart(&self, show: &mut dyn FnMut(&StreamChange<'_>)) {
        let &StreamChange::Entries { names, entries } = self else {
            return show(self);
        };
        let mut fields = Vec::new();
        for entry in each(entries) {
            fields.clear();
            entry.fields(names).write_all(&mut fields);
            let (id, fields) = (entry.id, &fields[..]);
            show(&StreamChange::Added { id, fields });
        }
    }
}

impl Stream {
    /// Writes the entries from one on to another as changes, about so many bytes of them; where the rest begins, if there is one.
    pub(super) fn write_entries(
        &self,
        heap: &Heap,
        (first, last): (StreamId, StreamId),
        most_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Option<StreamId> {
        let (mut together, mut names) = (Together::default(), &[][..]);
        let mut stop = None;
        let begun = out.len();
        let forest = &self.forest;
        forest.walk(heap, ENTRIES, first, Direction::Up, &mut |record| {
            if record.id > last {
                return ControlFlow::Break(());
            }
            let written = out.len() - begun + together.bytes.len();
            let is_enough = written > 0 && written >= most_bytes.max(names.len());
            if is_enough || !std::ptr::eq(names, record.names) || together.is_full(names.len()) {
                write_together(names, &mut together, out);
                names = record.names;
            }
            if is_enough {
                stop = Some(record.id);
                return ControlFlow::Break(());
            }
            together.push(record.id, record.flags & NAMED != 0, record.body);
            ControlFlow::Continue(())
        });
        write_together(names, &mut together, out);
        stop
    }
}

fn write_together(names: &[u8], together: &mut Together, out: &mut Vec<u8>) {
    if !together.is_empty() {
        let entries = together.bytes();
        StreamChange::Entries { names, entries }.write(out);
        together.clear();
    }
}
