//! What `DUMP` answers of a value: its elements, one after the other, without a copy of all in between.
//!
//! Nothing is packed by LZF: that would cost more than it saves.

use std::ops::ControlFlow;

use larder_engine::{Direction, DoubleText, Encoding, EntryRef, Kind, StreamId, UnixMillis};

use super::steps::Budget;
use crate::rdb::limits::PIECE_BYTES;
use crate::rdb::{
    FOOTER_BYTES, HashForm, HashWriter, ListWriter, Output, Packing, SetWriter, SortedSetForm,
    SortedSetWriter, StreamWriter, Sum, Value, Version, seal,
};

/// The type, a length and the footer, at most.
const OVERHEAD_BYTES: usize = 20;
/// Bytes that an element has beside its own, mostly.
const ELEMENT_OVERHEAD_BYTES: u64 = 2;

/// Room for what a step writes, lists' nodes that are not full yet among it.
const STEP_ROOM_BYTES: usize = 96 << 10;

/// A value that is being written, some of its elements at a time.
#[derive(Debug)]
pub(super) struct Writing {
    out: Output,
    body: Body,
    /// Where the next element is, or the next byte of a string.
    next: u64,
}

#[derive(Debug)]
enum Body {
    String,
    List(ListWriter),
    Set(SetWriter),
    Hash(HashWriter),
    SortedSet(SortedSetWriter),
    /// With the next entry; without one it is ended.
    Stream(Option<(StreamWriter, StreamId)>),
}

impl Writing {
    /// Begins to write the value of an entry.
    pub(super) fn of(entry: &EntryRef<'_>) -> Self {
        let mut out = Output::new(Packing::None);
        let elements = entry.elements();
        let bytes = entry.value_bytes() + ELEMENT_OVERHEAD_BYTES * elements;
        out.reserve((bytes as usize + OVERHEAD_BYTES).min(PIECE_BYTES));
        let body = match entry.kind() {
            Kind::String => {
                out.byte(Value::STRING);
                Body::String
            }
            Kind::List => {
                out.byte(ListWriter::KIND);
                Body::List(ListWriter::begin(elements, &mut out))
            }
            Kind::Set => {
                let mut writer = SetWriter::new(entry.encoding() == Encoding::IntSet);
                out.byte(writer.kind());
                writer.begin(elements, &mut out);
                Body::Set(writer)
            }
            Kind::Hash => {
                let soonest = entry.soonest_field_deadline();
                let mut writer = HashWriter::new(form_of(entry), soonest.map(millis));
                out.byte(writer.kind());
                writer.begin(elements, &mut out);
                Body::Hash(writer)
            }
            Kind::SortedSet => {
                let form = sorted_set_form_of(entry);
                out.byte(form.kind());
                Body::SortedSet(SortedSetWriter::begin(form, elements, &mut out))
            }
            Kind::Stream => {
                let stream = entry.stream().expect("it is a stream");
                out.byte(StreamWriter::kind_of(&stream));
                let writer = StreamWriter::begin(&stream, &mut out);
                Body::Stream(Some((writer, StreamId::MIN)))
            }
        };
        Self { out, body, next: 0 }
    }

    /// Writes more of the value, which is as it was. Whether there is more.
    pub(super) fn go_on(&mut self, entry: &EntryRef<'_>, budget: Budget) -> bool {
        let Self { out, body, next } = self;
        out.make_room(STEP_ROOM_BYTES);
        let mut left = budget;
        let behind = match body {
            Body::String => string_from(entry.string().unwrap_or_default(), *next, left, out),
            Body::List(writer) => entry.elements_from(*next, &mut |element| {
                writer.push(element, out);
                left.spend(element.len())
            }),
            Body::Set(writer) => entry.members_from(*next, &mut |member| {
                writer.push(member, out);
                left.spend(member.len())
            }),
            Body::Hash(writer) => entry.fields_from(*next, &mut |field| {
                let deadline = field.expires_at.map(millis);
                writer.push(field.name, field.value, deadline, out);
                left.spend(field.name.len() + field.value.len())
            }),
            Body::SortedSet(writer) => entry.scored_from(*next, &mut |member| {
                let score = DoubleText::of(member.score);
                writer.push(member.name, (member.score, score.as_bytes()), out);
                left.spend(member.name.len())
            }),
            Body::Stream(writing) => stream_from(entry, writing, left, out),
        };
        *next = behind.unwrap_or(*next);
        behind.is_some()
    }

    /// All elements are written.
    pub(super) fn end(self) -> Output {
        let Self { mut out, body, .. } = self;
        match body {
            Body::String | Body::Stream(_) => {}
            Body::List(writer) => writer.finish(&mut out),
            Body::Set(writer) => writer.finish(&mut out),
            Body::Hash(writer) => writer.finish(&mut out),
            Body::SortedSet(writer) => writer.finish(&mut out),
        }
        out
    }

    /// The memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Set(writer) => writer.held_bytes(),
            Body::Stream(Some((writer, _))) => writer.held_bytes(),
            Body::Stream(None)
            | Body::String
            | Body::List(_)
            | Body::Hash(_)
            | Body::SortedSet(_) => 0,
        };
        self.out.held_bytes() + body
    }
}

/// Writes a string from byte `from` on, a long one in parts; where the next part begins.
fn string_from(string: &[u8], from: u64, budget: Budget, out: &mut Output) -> Option<u64> {
    let (len, from) = (string.len(), from as usize);
    if len <= budget.bytes() {
        out.string(string);
        return None;
    }
    if from == 0 {
        out.length(len as u64);
    }
    let to = len.min(from + budget.bytes());
    out.raw(&string[from..to]);
    (to < len).then_some(to as u64)
}

/// Writes entries of a stream, and all else behind the last. What groups have pending is written in one step.
fn stream_from(
    entry: &EntryRef<'_>,
    writing: &mut Option<(StreamWriter, StreamId)>,
    mut budget: Budget,
    out: &mut Output,
) -> Option<u64> {
    let stream = entry.stream()?;
    let (mut writer, from) = writing.take()?;
    let mut last = None;
    stream.walk(from, Direction::Up, &mut |entry| {
        writer.push(&entry, out);
        let bytes = entry
            .fields
            .iter()
            .map(|(name, value)| name.len() + value.len());
        last = budget.spend(bytes.sum()).is_break().then_some(entry.id);
        match last {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    });
    match last.and_then(StreamId::next) {
        Some(next) => {
            *writing = Some((writer, next));
            Some(0)
        }
        None => {
            writer.finish(&stream, out);
            None
        }
    }
}

/// A payload that is summed up, some bytes at a time, and gets its footer.
#[derive(Debug)]
pub(super) struct Sealing {
    pieces: Vec<Vec<u8>>,
    version: Version,
    sum: Sum,
    /// The first byte that is not summed up: which piece, and where in it.
    at: (usize, usize),
}

impl Sealing {
    /// Begins to sum up what was written.
    pub(super) fn of(out: Output) -> Self {
        let version = out.version();
        Self {
            pieces: out.into_pieces(),
            version,
            sum: Sum::default(),
            at: (0, 0),
        }
    }

    /// Adds so many bytes to the sum. Whether there are more.
    pub(super) fn go_on(&mut self, mut bytes: usize) -> bool {
        let (piece, at) = &mut self.at;
        while bytes > 0 && *piece < self.pieces.len() {
            let left = &self.pieces[*piece][*at..];
            let taken = left.len().min(bytes);
            self.sum.add(&left[..taken]);
            bytes -= taken;
            match taken == left.len() {
                true => (*piece, *at) = (*piece + 1, 0),
                false => *at += taken,
            }
        }
        *piece < self.pieces.len()
    }

    /// The payload as a reply.
    pub(super) fn into_reply(self) -> Vec<Vec<u8>> {
        let Self {
            mut pieces,
            version,
            sum,
            ..
        } = self;
        let len = pieces.iter().map(Vec::len).sum::<usize>() + FOOTER_BYTES;
        let last = pieces.last_mut().expect("there is a type at least");
        last.extend_from_slice(&sum.footer(version));
        last.extend_from_slice(b"\r\n");
        pieces.insert(0, format!("${len}\r\n").into_bytes());
        pieces
    }

    /// The memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.pieces.iter().map(Vec::capacity).sum()
    }
}

/// The payload of a value. Fields past their deadline are in it, as in Redis, with that.
pub(in crate::command::families) fn payload_of(entry: &EntryRef<'_>) -> Vec<u8> {
    let mut writing = Writing::of(entry);
    while writing.go_on(entry, Budget::ALL) {}
    seal(writing.end())
}

/// Bytes that a value takes in a payload, without type and footer.
pub(in crate::command::families) fn serialized_bytes(entry: &EntryRef<'_>) -> usize {
    const TYPE_BYTES: usize = 1;
    payload_of(entry).len() - TYPE_BYTES - FOOTER_BYTES
}

/// As [`form_of`].
fn sorted_set_form_of(set: &EntryRef<'_>) -> SortedSetForm {
    match set.is_whole() && set.encoding() == Encoding::ListPack {
        true => SortedSetForm::Listpack,
        false => SortedSetForm::Strings,
    }
}

/// What lies in its item and answers that it is small is one listpack. Who reads strings makes of them what suits it.
fn form_of(hash: &EntryRef<'_>) -> HashForm {
    match hash.is_whole() && hash.encoding() != Encoding::HashTable {
        true => HashForm::Listpack,
        false => HashForm::Strings,
    }
}

fn millis(at: UnixMillis) -> i64 {
    at.0
}
