//! Writing a stream as type 19: nodes as Redis has them, then what it says of itself, and its groups.

use std::ops::ControlFlow;

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
    /// Entries of the node that is yet to be written.
    entries: Vec<(StreamId, Vec<u8>)>,
    bytes: usize,
    node: listpack::Writer,
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
            bytes: 0,
            node: listpack::Writer::default(),
        }
    }

    /// The next entry.
    pub fn push(&mut self, entry: &StreamEntry<'_>, out: &mut Output) {
        let mut fields = Vec::new();
        entry.fields.write_all(&mut fields);
        if self.entries.len() == NODE_ENTRIES || self.bytes + fields.len() > NODE_BYTES {
            self.end_node(out);
        }
        self.bytes += fields.len();
        self.entries.push((entry.id, fields));
    }

    fn end_node(&mut self, out: &mut Output) {
        let Some((id, first)) = self.entries.first() else {
            return;
        };
        let names: Vec<&[u8]> = Fields::of_bytes(first)
            .iter()
            .map(|(name, _)| name)
            .collect();
        let node = &mut self.node;
        node.push_integer(self.entries.len() as i64);
        node.push_integer(0);
        node.push_integer(names.len() as i64);
        names.iter().for_each(|name| node.push(name));
        node.push_integer(0);
        for (at, fields) in &self.entries {
            let fields = Fields::of_bytes(fields);
            let is_same = fields
                .iter()
                .map(|(name, _)| name)
                .eq(names.iter().copied());
            node.push_integer(if is_same { SAME_NAMES } else { 0 });
            node.push_integer(at.ms.wrapping_sub(id.ms) as i64);
            node.push_integer(at.seq.wrapping_sub(id.seq) as i64);
            if !is_same {
                node.push_integer(fields.len() as i64);
            }
            for (name, value) in fields.iter() {
                if !is_same {
                    node.push(name);
                }
                node.push(value);
            }
            let parts = match is_same {
                true => 3 + names.len(),
                false => 4 + 2 * fields.len(),
            };
            node.push_integer(parts as i64);
        }
        raw_id_string(*id, out);
        node.finish(|bytes| out.blob(bytes));
        self.nodes += 1;
        self.entries.clear();
        self.bytes = 0;
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
        self.bytes + self.entries.capacity() * size_of::<(StreamId, Vec<u8>)>()
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
