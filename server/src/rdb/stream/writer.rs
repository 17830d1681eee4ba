//! Writing a stream as type 19: nodes as Redis has them, then what it says of itself, and its groups.

use std::ops::{ControlFlow, Range};

use larder_engine::{Fields, GroupRef, StreamEntry, StreamId, StreamRef};

use crate::rdb::kind;
use crate::rdb::listpack;
use crate::rdb::output::{CountPlace, Output};

/// Entries and bytes of a node (`stream-node-max-entries`, `stream-node-max-bytes`: Redis's defaults).
const NODE_ENTRIES: usize = 100;
const NODE_BYTES: usize = 4096;

const SAME_NAMES: i64 = 2;

/// Writes a stream.
#[derive(Debug)]
pub struct StreamWriter {
    count: CountPlace,
    nodes: u64,
    /// Entries of the node that is yet to be written, and the names of the first of them.
    entries: Vec<Entry>,
    names: Vec<u8>,
    /// What the entries have: texts, each with its length before it.
    texts: Vec<u8>,
    node: listpack::Writer,
}

#[derive(Debug)]
struct Entry {
    id: StreamId,
    /// It has the names of the first one, and only its values are among the texts.
    is_same: bool,
    texts: Range<usize>,
}

impl StreamWriter {
    /// The type of what it writes.
    pub const KIND: u8 = kind::STREAM_2;

    /// Begins a stream of so many entries.
    #[must_use]
    pub fn begin(entries: u64, out: &mut Output) -> Self {
        Self {
            count: CountPlace::begin(entries, out),
            nodes: 0,
            entries: Vec::new(),
            names: Vec::new(),
            texts: Vec::new(),
            node: listpack::Writer::default(),
        }
    }

    /// The next entry.
    pub fn push(&mut self, entry: &StreamEntry<'_>, out: &mut Output) {
        if self.is_full() {
            self.end_node(out);
        }
        if self.entries.is_empty() {
            let names = entry.fields.iter().map(|(name, _)| name);
            names.for_each(|name| Fields::write_text(name, &mut self.names));
        }
        let names = entry.fields.iter().map(|(name, _)| name);
        let is_same = names.eq(Fields::texts(&self.names));
        let begun = self.texts.len();
        for (name, value) in entry.fields.iter() {
            if !is_same {
                Fields::write_text(name, &mut self.texts);
            }
            Fields::write_text(value, &mut self.texts);
        }
        self.entries.push(Entry {
            id: entry.id,
            is_same,
            texts: begun..self.texts.len(),
        });
    }

    /// Whether the node is to have no more. One whose names are longer than a node has as many bytes besides, lest they stand in each of many.
    fn is_full(&self) -> bool {
        match self.names.len() > NODE_BYTES {
            true => self.texts.len() > self.names.len(),
            false => self.entries.len() == NODE_ENTRIES || self.texts.len() > NODE_BYTES,
        }
    }

    fn end_node(&mut self, out: &mut Output) {
        let Some(first) = self.entries.first().map(|entry| entry.id) else {
            return;
        };
        let node = &mut self.node;
        let names = Fields::texts(&self.names).count();
        node.push_integer(self.entries.len() as i64);
        node.push_integer(0);
        node.push_integer(names as i64);
        Fields::texts(&self.names).for_each(|name| node.push(name));
        node.push_integer(0);
        for Entry { id, is_same, texts } in self.entries.drain(..) {
            let texts = Fields::texts(&self.texts[texts]);
            node.push_integer(if is_same { SAME_NAMES } else { 0 });
            node.push_integer(id.ms.wrapping_sub(first.ms) as i64);
            node.push_integer(id.seq.wrapping_sub(first.seq) as i64);
            let len = texts.clone().count();
            if !is_same {
                node.push_integer(len as i64 / 2);
            }
            texts.for_each(|text| node.push(text));
            node.push_integer(if is_same { 3 + names } else { 4 + len } as i64);
        }
        raw_id_string(first, out);
        node.finish(|bytes| out.blob(bytes));
        self.nodes += 1;
        self.names.clear();
        self.texts.clear();
    }

    /// Ends the entries, and writes all else of the stream.
    pub fn finish(mut self, stream: &StreamRef<'_>, out: &mut Output) {
        self.end_node(out);
        self.count.finish(self.nodes, out);
        let marks = stream.marks();
        out.length(stream.len());
        write_id(marks.last_id, out);
        write_id(stream.first_id(), out);
        write_id(marks.max_deleted_id, out);
        out.length(marks.entries_added);
        out.length(stream.groups_len() as u64);
        for group in stream.groups() {
            write_group(&group, out);
        }
    }

    /// The memory it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let texts = self.names.capacity() + self.texts.capacity();
        texts + self.entries.capacity() * size_of::<Entry>()
    }
}

fn write_id(id: StreamId, out: &mut Output) {
    out.length(id.ms);
    out.length(id.seq);
}

fn raw_id(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

fn raw_id_string(id: StreamId, out: &mut Output) {
    out.blob(&raw_id(id));
}

fn write_group(group: &GroupRef<'_>, out: &mut Output) {
    out.string(group.name());
    let progress = group.progress();
    write_id(progress.last_id, out);
    out.length(progress.entries_read.unwrap_or(u64::MAX));
    out.length(group.pending_len());
    group.walk_pending(StreamId::MIN, &mut |pending| {
        out.raw(&raw_id(pending.id));
        out.millis(pending.delivered_at.0);
        out.length(pending.deliveries);
        ControlFlow::Continue(())
    });
    out.length(group.consumers_len() as u64);
    for consumer in group.consumers() {
        out.string(consumer.name);
        out.millis(consumer.seen_at.0);
        out.length(consumer.pending_len);
        group.walk_own(consumer.name, StreamId::MIN, &mut |pending| {
            out.raw(&raw_id(pending.id));
            ControlFlow::Continue(())
        });
    }
}
