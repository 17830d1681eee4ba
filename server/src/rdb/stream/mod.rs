//! Streams.
//!
//! ```text
//! 15, 19, 21, 26    nodes (length) | [ string: id of the node (16, big-endian) | string: a listpack ] ...
//!                   entries | last id | first id | greatest deleted | added                  (the last three from 19 on)
//!                   groups (length) | [ name | last id | read (from 19 on) | pending (length) | [ id (16) | time (8) | deliveries ] ...
//!                       consumers (length) | [ name | seen (8) | active (8, from 21 on) | pending (length) | [ id (16) ] ... ] ... ] ...
//!                   26: seconds | most | producers (length) | [ name | messages (length) | [ identifier | id ] ... ] ... | added | again
//!
//! a listpack        there | deleted | names (number) | name ... | 0 | [ flags | ms | seq | (number of fields | name) value ... | parts ] ...
//! ```
//! An id is two lengths, its ms and its seq in a listpack are what they exceed the node's by. Of the flags 1 is an entry that is deleted, and
//! 2 one that has the node's names. What is written is 19, which all read from 7.0 on, and which knows neither when a consumer was active nor producers; 26
//! if there is something to say of producers.
//!
//! A reader gives what it comes by as changes of a stream that was empty, entries of a node together. An entry is behind the one before, what is pending is so with one
//! consumer, and no name comes twice.

mod node;
mod writer;

use std::collections::{BTreeMap, BTreeSet};

use larder_engine::{StreamChange, StreamId, StreamMarks, Together, UnixMillis};

pub use writer::StreamWriter;

use super::fault::Fault;
use super::input::Input;
use super::kind;
use super::packed::{Held, forget};
use node::Node;

/// The bounds of what producers' limits may be.
const DURATION_MAX_SECS: u64 = 86_400;
const MOST_MAX: u64 = 10_000;

/// A stream, read change by change.
#[derive(Debug)]
pub struct Stream {
    /// Bytes that were read.
    read: usize,
    kind: u8,
    stage: Stage,
    nodes_left: u64,
    node: Option<Node>,
    marks: StreamMarks,
    entries: u64,
    first_id: StreamId,
    groups_left: u64,
    groups: BTreeSet<Vec<u8>>,
    group: Vec<u8>,
    /// What the group has pending with nobody yet, and how many more of these are to be read.
    pending: BTreeMap<StreamId, (UnixMillis, u64)>,
    pending_left: u64,
    consumers_left: u64,
    consumers: BTreeSet<Vec<u8>>,
    consumer: Vec<u8>,
    own_left: u64,
    producers_left: u64,
    producer: Vec<u8>,
    messages_left: u64,
    together: Together,
    text: Vec<u8>,
}

/// What is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Entries,
    Marks,
    Groups,
    Pending,
    Consumers,
    Own,
    Limits,
    Producers,
    Messages,
    LastMarks,
    End,
}

fn read_id(input: &mut Input<'_>) -> Result<StreamId, Fault> {
    Ok(StreamId::new(input.length()?, input.length()?))
}

fn raw_id(bytes: [u8; 16]) -> StreamId {
    let word = u128::from_be_bytes(bytes);
    StreamId::new((word >> 64) as u64, word as u64)
}

/// Keeps a name that must not come twice.
fn keep_name(name: &[u8], known: &mut BTreeSet<Vec<u8>>) -> Result<(), Fault> {
    match known.insert(name.to_vec()) {
        true => Ok(()),
        false => Err(Fault::Duplicate),
    }
}

impl Stream {
    /// Begins to read a stream of this type from `body`; `None` if streams have no such type.
    pub(super) fn open(kind: u8, body: Input<'_>) -> Result<Option<Self>, Fault> {
        if !matches!(
            kind,
            kind::STREAM | kind::STREAM_2 | kind::STREAM_3 | kind::STREAM_4
        ) {
            return Ok(None);
        }
        let mut input = body;
        let nodes_left = input.length()?;
        Ok(Some(Self {
            read: body.len() - input.len(),
            kind,
            stage: Stage::Entries,
            nodes_left,
            node: None,
            marks: StreamMarks::default(),
            entries: 0,
            first_id: StreamId::MIN,
            groups_left: 0,
            groups: BTreeSet::new(),
            group: Vec::new(),
            pending: BTreeMap::new(),
            pending_left: 0,
            consumers_left: 0,
            consumers: BTreeSet::new(),
            consumer: Vec::new(),
            own_left: 0,
            producers_left: 0,
            producer: Vec::new(),
            messages_left: 0,
            together: Together::default(),
            text: Vec::new(),
        }))
    }

    /// The next change, `None` behind the last. `body` is what it was opened on.
    ///
    /// # Errors
    /// The stream is damaged there.
    pub fn next_change<'s>(
        &'s mut self,
        body: Input<'s>,
    ) -> Result<Option<StreamChange<'s>>, Fault> {
        loop {
            match self.stage {
                Stage::Entries => {
                    if self.read_entries(body)? {
                        let names = self.node.as_ref().map_or(&[][..], Node::names);
                        let entries = self.together.bytes();
                        return Ok(Some(StreamChange::Entries { names, entries }));
                    }
                }
                Stage::Marks => {
                    self.read_marks(body)?;
                    return Ok(Some(StreamChange::Marks(self.marks)));
                }
                Stage::Groups if self.groups_left == 0 => {
                    self.stage = match self.kind {
                        kind::STREAM_4 => Stage::Limits,
                        _ => Stage::End,
                    };
                }
                Stage::Groups => {
                    let (last_id, entries_read) = self.read_group(body)?;
                    return Ok(Some(StreamChange::Group {
                        group: &self.group,
                        last_id,
                        entries_read,
                    }));
                }
                Stage::Pending => self.read_pending(body)?,
                Stage::Consumers if self.consumers_left == 0 => {
                    if !self.pending.is_empty() {
                        return Err(Fault::Damaged("an entry is pending with nobody"));
                    }
                    self.stage = Stage::Groups;
                }
                Stage::Consumers => {
                    let (seen_at, active_at) = self.read_consumer(body)?;
                    return Ok(Some(StreamChange::Consumer {
                        group: &self.group,
                        consumer: &self.consumer,
                        seen_at,
                        active_at,
                    }));
                }
                Stage::Own if self.own_left == 0 => self.stage = Stage::Consumers,
                Stage::Own => {
                    let (id, (delivered_at, deliveries)) = self.read_own(body)?;
                    return Ok(Some(StreamChange::Pending {
                        group: &self.group,
                        consumer: &self.consumer,
                        id,
                        delivered_at,
                        deliveries,
                    }));
                }
                Stage::Limits => {
                    let (duration_secs, most) = self.read_limits(body)?;
                    return Ok(Some(StreamChange::Producers {
                        duration_secs,
                        most,
                    }));
                }
                Stage::Producers => self.read_producer(body)?,
                Stage::Messages if self.messages_left == 0 => self.stage = Stage::Producers,
                Stage::Messages => {
                    let id = self.read_message(body)?;
                    return Ok(Some(StreamChange::Produced {
                        producer: &self.producer,
                        iid: &self.text,
                        id,
                        is_oldest: false,
                    }));
                }
                Stage::LastMarks => {
                    self.read_last_marks(body)?;
                    return Ok(Some(StreamChange::Marks(self.marks)));
                }
                Stage::End => return Ok(None),
            }
        }
    }

    /// Reads entries of the node that is read, which come together; whether there are any: there are none between nodes and behind the last.
    fn read_entries(&mut self, body: Input<'_>) -> Result<bool, Fault> {
        self.together.clear();
        let Some(node) = &mut self.node else {
            match self.nodes_left.checked_sub(1) {
                None => self.stage = Stage::Marks,
                Some(left) => {
                    self.node = Some(body.read_on(&mut self.read, |input| {
                        let key = Held::read(body, input)?;
                        let key = key.bytes(body).try_into();
                        let key = key.map_err(|_| Fault::Damaged("a node's id is none"))?;
                        Node::open(raw_id(key), body, input)
                    })?);
                    self.nodes_left = left;
                }
            }
            return Ok(false);
        };
        while !self.together.is_full(node.names().len()) {
            let Some((id, is_named)) = node.next(body, &mut self.text)? else {
                break;
            };
            if id <= self.marks.last_id {
                return Err(Fault::Damaged("an entry is not behind the one before"));
            }
            if self.entries == 0 {
                self.first_id = id;
            }
            self.marks.last_id = id;
            self.entries += 1;
            self.together.push(id, is_named, &self.text);
        }
        if self.together.is_empty() {
            self.node = None;
        }
        Ok(!self.together.is_empty())
    }

    fn read_marks(&mut self, body: Input<'_>) -> Result<(), Fault> {
        let (kind, entries, last) = (self.kind, self.entries, self.marks.last_id);
        let (marks, groups) = body.read_on(&mut self.read, |input| {
            if input.length()? != entries {
                return Err(Fault::Damaged("a stream has not the entries it says"));
            }
            let mut marks = StreamMarks {
                last_id: read_id(input)?,
                entries_added: entries,
                ..StreamMarks::default()
            };
            if kind != kind::STREAM {
                read_id(input)?;
                marks.max_deleted_id = read_id(input)?;
                marks.entries_added = input.length()?;
            }
            Ok((marks, input.length()?))
        })?;
        if marks.last_id < last {
            return Err(Fault::Damaged("an entry is behind the last"));
        }
        (self.marks, self.groups_left) = (marks, groups);
        self.stage = Stage::Groups;
        Ok(())
    }

    /// How many entries a group has read whose last was this, of a stream of which that was not written; none: that is not known.
    fn read_up_to(&self, id: StreamId) -> Option<u64> {
        match id {
            _ if self.entries == 0 => Some(0),
            id if id == self.marks.last_id => Some(self.entries),
            id if id == self.first_id => Some(1),
            id if id < self.first_id => Some(0),
            _ => None,
        }
    }

    fn read_group(&mut self, body: Input<'_>) -> Result<(StreamId, Option<u64>), Fault> {
        let kind = self.kind;
        let (group, last_id, entries_read, pending) = body.read_on(&mut self.read, |input| {
            let group = input.string()?.into_owned();
            let last_id = read_id(input)?;
            let entries_read = match kind {
                kind::STREAM => None,
                _ => Some(input.length()?).filter(|&read| read != u64::MAX),
            };
            Ok((group, last_id, entries_read, input.length()?))
        })?;
        keep_name(&group, &mut self.groups)?;
        (self.group, self.pending_left) = (group, pending);
        self.groups_left -= 1;
        self.consumers.clear();
        self.stage = Stage::Pending;
        let entries_read = match self.kind {
            kind::STREAM => self.read_up_to(last_id),
            _ => entries_read,
        };
        Ok((last_id, entries_read))
    }

    /// Reads what the group has pending, and behind that how many consumers it has.
    fn read_pending(&mut self, body: Input<'_>) -> Result<(), Fault> {
        while self.pending_left > 0 {
            let (id, delivery) = body.read_on(&mut self.read, |input| {
                let id = raw_id(input.array()?);
                Ok((id, (UnixMillis(input.millis()?), input.length()?)))
            })?;
            if self.pending.insert(id, delivery).is_some() {
                return Err(Fault::Duplicate);
            }
            self.pending_left -= 1;
        }
        self.consumers_left = body.read_on(&mut self.read, Input::length)?;
        self.stage = Stage::Consumers;
        Ok(())
    }

    fn read_consumer(
        &mut self,
        body: Input<'_>,
    ) -> Result<(UnixMillis, Option<UnixMillis>), Fault> {
        let kind = self.kind;
        let (consumer, seen_at, active_at, own) = body.read_on(&mut self.read, |input| {
            let consumer = input.string()?.into_owned();
            let seen_at = input.millis()?;
            let active_at = match kind {
                // Nothing better is known.
                kind::STREAM | kind::STREAM_2 => seen_at,
                _ => input.millis()?,
            };
            Ok((consumer, seen_at, active_at, input.length()?))
        })?;
        keep_name(&consumer, &mut self.consumers)?;
        (self.consumer, self.own_left) = (consumer, own);
        self.consumers_left -= 1;
        self.stage = Stage::Own;
        let active_at = (active_at != -1).then_some(UnixMillis(active_at));
        Ok((UnixMillis(seen_at), active_at))
    }

    fn read_own(&mut self, body: Input<'_>) -> Result<(StreamId, (UnixMillis, u64)), Fault> {
        let id = body.read_on(&mut self.read, |input| input.array().map(raw_id))?;
        self.own_left -= 1;
        let delivery = self.pending.remove(&id);
        let delivery =
            delivery.ok_or(Fault::Damaged("an entry is pending with a consumer alone"))?;
        Ok((id, delivery))
    }

    fn read_limits(&mut self, body: Input<'_>) -> Result<(u64, u64), Fault> {
        let (duration, most, producers) = body.read_on(&mut self.read, |input| {
            Ok((input.length()?, input.length()?, input.length()?))
        })?;
        if !(1..=DURATION_MAX_SECS).contains(&duration) || !(1..=MOST_MAX).contains(&most) {
            return Err(Fault::Damaged("the limits of producers are none"));
        }
        self.producers_left = producers;
        // Their names are told apart like those of groups.
        self.groups.clear();
        self.stage = Stage::Producers;
        Ok((duration, most))
    }

    fn read_producer(&mut self, body: Input<'_>) -> Result<(), Fault> {
        let Some(left) = self.producers_left.checked_sub(1) else {
            self.stage = Stage::LastMarks;
            return Ok(());
        };
        let (producer, messages) = body.read_on(&mut self.read, |input| {
            Ok((input.string()?.into_owned(), input.length()?))
        })?;
        keep_name(&producer, &mut self.groups)?;
        (self.producer, self.messages_left) = (producer, messages);
        self.producers_left = left;
        self.stage = Stage::Messages;
        Ok(())
    }

    fn read_message(&mut self, body: Input<'_>) -> Result<StreamId, Fault> {
        let (text, id) = body.read_on(&mut self.read, |input| {
            Ok((input.string()?.into_owned(), read_id(input)?))
        })?;
        self.messages_left -= 1;
        self.text = text;
        Ok(id)
    }

    fn read_last_marks(&mut self, body: Input<'_>) -> Result<(), Fault> {
        let (added, again) = body.read_on(&mut self.read, |input| {
            Ok((input.length()?, input.length()?))
        })?;
        (self.marks.iids_added, self.marks.iids_duplicate) = (added, again);
        self.stage = Stage::End;
        Ok(())
    }

    /// What of `body` stands behind the stream, once it was read to its end.
    #[must_use]
    pub fn rest<'b>(&self, body: Input<'b>) -> Input<'b> {
        body.behind(self.read)
    }

    /// Has it forget the first bytes of what it was opened on that it needs no longer, and gives how many: it is given the rest from now on.
    pub fn forget(&mut self) -> usize {
        let held = self.node.as_mut().map(Node::held);
        forget(&mut self.read, held)
    }

    /// The memory that reading it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        /// Of an entry that is pending, in its map.
        const PENDING_BYTES: usize = 48;
        let names = self.groups.iter().chain(&self.consumers);
        let names: usize = names
            .map(|name| name.capacity() + size_of::<Vec<u8>>())
            .sum();
        let node = self.node.as_ref().map_or(0, Node::held_bytes);
        let texts = self.together.held_bytes() + self.text.capacity();
        names + node + self.pending.len() * PENDING_BYTES + texts
    }
}

#[cfg(test)]
mod tests;
