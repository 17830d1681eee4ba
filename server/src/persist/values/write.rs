//! Writing a value: its elements, one after the other, without a copy of all in between.

use std::ops::ControlFlow;

use larder_engine::{Direction, DoubleText, Encoding, EntryRef, Kind, StreamId, UnixMillis};

use super::Budget;
use crate::rdb::limits::PIECE_BYTES;
use crate::rdb::{
    HashForm, HashWriter, ListWriter, Output, SetWriter, SortedSetForm, SortedSetWriter,
    StreamWriter, Value,
};

/// The type, a length and what stands behind a value, at most.
const OVERHEAD_BYTES: usize = 20;
/// Bytes that an element has beside its own, mostly.
const ELEMENT_OVERHEAD_BYTES: u64 = 2;

/// Room for what a step writes, lists' nodes that are not full yet among it.
const STEP_ROOM_BYTES: usize = 96 << 10;

/// A value that is being written, some of its elements at a time.
#[derive(Debug)]
pub struct Writing {
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
    /// Begins to write the type and the value of an entry; `between` writes what stands between these.
    pub fn begin(
        entry: &EntryRef<'_>,
        out: &mut Output,
        between: impl FnOnce(&mut Output),
    ) -> Self {
        let elements = entry.elements();
        let bytes = entry.value_bytes() + ELEMENT_OVERHEAD_BYTES * elements;
        out.reserve((bytes as usize + OVERHEAD_BYTES).min(PIECE_BYTES));
        let body = match entry.kind() {
            Kind::String => {
                out.byte(Value::STRING);
                between(out);
                Body::String
            }
            Kind::List => {
                out.byte(ListWriter::KIND);
                between(out);
                Body::List(ListWriter::begin(elements, out))
            }
            Kind::Set => {
                let mut writer = SetWriter::new(entry.encoding() == Encoding::IntSet);
                out.byte(writer.kind());
                between(out);
                writer.begin(elements, out);
                Body::Set(writer)
            }
            Kind::Hash => {
                let soonest = entry.soonest_field_deadline();
                let mut writer = HashWriter::new(form_of(entry), soonest.map(millis));
                out.byte(writer.kind());
                between(out);
                writer.begin(elements, out);
                Body::Hash(writer)
            }
            Kind::SortedSet => {
                let form = sorted_set_form_of(entry);
                out.byte(form.kind());
                between(out);
                Body::SortedSet(SortedSetWriter::begin(form, elements, out))
            }
            Kind::Stream => {
                let stream = entry.stream().expect("it is a stream");
                out.byte(StreamWriter::kind_of(&stream));
                between(out);
                let writer = StreamWriter::begin(&stream, out);
                Body::Stream(Some((writer, StreamId::MIN)))
            }
        };
        Self { body, next: 0 }
    }

    /// Writes more of the value, which is as it was. Whether there is more.
    pub fn go_on(&mut self, entry: &EntryRef<'_>, budget: Budget, out: &mut Output) -> bool {
        let Self { body, next } = self;
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
    pub fn end(self, out: &mut Output) {
        match self.body {
            Body::String | Body::Stream(_) => {}
            Body::List(writer) => writer.finish(out),
            Body::Set(writer) => writer.finish(out),
            Body::Hash(writer) => writer.finish(out),
            Body::SortedSet(writer) => writer.finish(out),
        }
    }

    /// The memory it takes, what is written apart.
    pub fn held_bytes(&self) -> usize {
        match &self.body {
            Body::Set(writer) => writer.held_bytes(),
            Body::Stream(Some((writer, _))) => writer.held_bytes(),
            Body::Stream(None)
            | Body::String
            | Body::List(_)
            | Body::Hash(_)
            | Body::SortedSet(_) => 0,
        }
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
