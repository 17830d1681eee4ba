//! A node of a stream: a listpack whose entries have most of their names, and most of their ids, in common with its first.

use larder_engine::{Fields, StreamId};

use crate::rdb::fault::Fault;
use crate::rdb::input::Input;
use crate::rdb::item::Item;
use crate::rdb::listpack::Cursor;
use crate::rdb::packed::Held;

const DELETED: i64 = 1;
const SAME_NAMES: i64 = 2;

/// A node that is read.
#[derive(Debug)]
pub(super) struct Node {
    bytes: Held,
    cursor: Cursor,
    id: StreamId,
    /// The names that entries have in common, each with its length before it, and how many they are.
    names: Vec<u8>,
    names_len: usize,
    /// Entries that are still to come, those there and those deleted.
    there: i64,
    deleted: i64,
}

fn integer(item: Item<'_>) -> Result<i64, Fault> {
    match item {
        Item::Integer(number) => Ok(number),
        Item::Bytes(_) => Err(Fault::Damaged(
            "a stream has a string where a number belongs",
        )),
    }
}

/// A number of things that each take an element at least.
fn count(item: Item<'_>, bytes: &[u8]) -> Result<usize, Fault> {
    let count = usize::try_from(integer(item)?).ok();
    let count = count.filter(|&count| count <= bytes.len());
    count.ok_or(Fault::Damaged("a node of a stream has more than it can"))
}

impl Node {
    /// The next node of `input`, the rest of `body`.
    pub(super) fn open(
        id: StreamId,
        body: Input<'_>,
        input: &mut Input<'_>,
    ) -> Result<Self, Fault> {
        let held = Held::read(body, input)?;
        let bytes = held.bytes(body);
        let mut cursor = Cursor::open(bytes).map_err(Fault::inside)?;
        let there = integer(next(&mut cursor, bytes)?)?;
        let deleted = integer(next(&mut cursor, bytes)?)?;
        let mut names = Vec::new();
        let names_len = count(next(&mut cursor, bytes)?, bytes)?;
        for _ in 0..names_len {
            Fields::write_text(&next(&mut cursor, bytes)?.text(), &mut names);
        }
        if integer(next(&mut cursor, bytes)?)? != 0 || there < 0 || deleted < 0 {
            return Err(Fault::Damaged("a node of a stream begins wrong"));
        }
        Ok(Self {
            bytes: held,
            cursor,
            id,
            names,
            names_len,
            there,
            deleted,
        })
    }

    /// The names that entries have in common.
    pub(super) fn names(&self) -> &[u8] {
        &self.names
    }

    /// The next entry that is there: its id, and whether it has the common names. `fields` become its values then, else its fields by themselves.
    pub(super) fn next(
        &mut self,
        body: Input<'_>,
        fields: &mut Vec<u8>,
    ) -> Result<Option<(StreamId, bool)>, Fault> {
        loop {
            let bytes = self.bytes.bytes(body);
            if self.cursor.is_done(bytes)? {
                return match (self.there, self.deleted) {
                    (0, 0) => Ok(None),
                    _ => Err(Fault::Damaged(
                        "a node of a stream has not the entries it says",
                    )),
                };
            }
            let cursor = &mut self.cursor;
            let flags = integer(next(cursor, bytes)?)?;
            let ms = integer(next(cursor, bytes)?)?;
            let seq = integer(next(cursor, bytes)?)?;
            let id = StreamId::new(
                self.id.ms.wrapping_add_signed(ms),
                self.id.seq.wrapping_add_signed(seq),
            );
            fields.clear();
            let has_same = flags & SAME_NAMES != 0;
            let parts = if has_same {
                for number in 1..=self.names_len {
                    let value = next(cursor, bytes)?.text();
                    match number == self.names_len {
                        true => fields.extend_from_slice(&value),
                        false => Fields::write_text(&value, fields),
                    }
                }
                3 + self.names_len
            } else {
                let len = count(next(cursor, bytes)?, bytes)?;
                for _ in 0..len {
                    let name = next(cursor, bytes)?.text();
                    Fields::write(&name, &next(cursor, bytes)?.text(), fields);
                }
                4 + 2 * len
            };
            if integer(next(cursor, bytes)?)? != parts as i64 {
                return Err(Fault::Damaged(
                    "an entry of a stream has not the parts it says",
                ));
            }
            match flags & DELETED != 0 {
                true => self.deleted -= 1,
                false => {
                    self.there -= 1;
                    return Ok(Some((id, has_same && self.names_len > 0)));
                }
            }
        }
    }

    /// The string that holds it.
    pub(super) fn held(&mut self) -> &mut Held {
        &mut self.bytes
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.held_bytes() + self.names.capacity()
    }
}

/// The next element, of which there has to be one.
fn next<'b>(cursor: &mut Cursor, bytes: &'b [u8]) -> Result<Item<'b>, Fault> {
    match cursor.is_done(bytes)? {
        true => Err(Fault::Damaged("a node of a stream ends in an entry")),
        false => cursor.next(bytes).map_err(Fault::inside),
    }
}
