//! Writing a stream: nodes as Redis has them, then what it says of itself, its groups, and its producers, if it has something to say of them.

use std::ops::{ControlFlow, Range};

use larder_engine::{Fields, GroupRef, StreamEntry, StreamId, StreamProduction, StreamRef};

use crate::rdb::kind;
use crate::rdb::listpack;
use crate::rdb::output::{CountPlace, Output};
use crate::rdb::version::Version;

/// Entries and bytes of a node (`stream-node-max-entries`, `stream-node-max-bytes`: Redis's defaults).
const NODE_ENTRIES: usize = 100;
const NODE_BYTES: usize = 4096;

const SAME_NAMES: i64 = 2;

/// Writes a stream.
#[derive(Debug)]
pub struct StreamWriter {
    kind: u8,
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
    /// The type of what it writes: a stream that knows of producers is of the first that does, and any other of one that Redis 7.0 reads.
    #[must_use]
    pub fn kind_of(stream: &StreamRef<'_>) -> u8 {
        match knows_producers(stream) {
            true => kind::STREAM_4,
            false => kind::STREAM_2,
        }
    }

    /// Begins a stream.
    #[must_use]
    pub fn begin(stream: &StreamRef<'_>, out: &mut Output) -> Self {
        let kind = Self::kind_of(stream);
        if kind == kind::STREAM_4 {
            out.needs(Version::OF_PRODUCERS);
        }
        Self {
            kind,
            count: CountPlace::begin(stream.len(), out),
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
        let tells_active = self.kind == kind::STREAM_4;
        for group in stream.groups() {
            write_group(&group, tells_active, out);
        }
        if self.kind == kind::STREAM_4 {
            write_producers(stream, out);
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

/// Whether a stream has something to say of producers that is not so of each.
fn knows_producers(stream: &StreamRef<'_>) -> bool {
    let limits = StreamProduction::default();
    let marks = stream.marks();
    stream.production_limits() != (limits.duration_secs, limits.most)
        || stream.production_len() != (0, 0)
        || (marks.iids_added, marks.iids_duplicate) != (0, 0)
}

fn write_producers(stream: &StreamRef<'_>, out: &mut Output) {
    let (duration_secs, most) = stream.production_limits();
    out.length(duration_secs);
    out.length(most);
    out.length(stream.production_len().0 as u64);
    for producer in stream.producers() {
        out.string(producer.name());
        out.length(producer.len() as u64);
        for (iid, id) in producer.messages() {
            out.string(iid);
            write_id(id, out);
        }
    }
    let marks = stream.marks();
    out.length(marks.iids_added);
    out.length(marks.iids_duplicate);
}

fn write_group(group: &GroupRef<'_>, tells_active: bool, out: &mut Output) {
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
        if tells_active {
            out.millis(consumer.active_at.map_or(-1, |at| at.0));
        }
        out.length(consumer.pending_len);
        group.walk_own(consumer.name, StreamId::MIN, &mut |pending| {
            out.raw(&raw_id(pending.id));
            ControlFlow::Continue(())
        });
    }
}
