//! Lists: elements in an order, pushed and popped at both ends.
//!
//! | file | commands |
//! |---|---|
//! | `push` | `LPUSH`, `RPUSH`, `LPUSHX`, `RPUSHX` |
//! | `pop` | `LPOP`, `RPOP`; how elements are popped |
//! | `read` | `LLEN`, `LINDEX`, `LRANGE`, `LPOS` |
//! | `edit` | `LSET`, `LINSERT`, `LREM`, `LTRIM` |
//! | `carry` | `LMOVE`, `RPOPLPUSH`, `BLMOVE`, `BRPOPLPUSH` |
//! | `first` | `LMPOP`, `BLPOP`, `BRPOP`, `BLMPOP` |
//!
//! A list that has become empty is gone. A key whose value is of another type is an error, but none that is waited for.

mod carry;
mod edit;
mod first;
mod pop;
mod push;
mod read;
mod words;

use std::ops::Range;

use larder_engine::{DbIndex, End, Event, Key, Shard, WrongType};

use crate::command::families::indexes;
use crate::command::{KeyFlags, KeySpec, Keys};

pub(crate) use {
    carry::COMMANDS as CARRY, edit::COMMANDS as EDIT, first::COMMANDS as FIRST,
    pop::COMMANDS as POP, push::COMMANDS as PUSH, read::COMMANDS as READ,
};

/// A list that is read.
const READ_KEY: Keys = Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]);
/// A list of which elements are taken and answered.
const POP_KEY: Keys = Keys::of(&[KeySpec::at(1, KeyFlags::RW.access().delete())]);
/// A list that gets elements.
const PUSH_KEY: Keys = Keys::of(&[KeySpec::at(1, KeyFlags::RW.insert())]);

/// Elements that are looked at in one step of several.
const STEP_ELEMENTS: u32 = 8192;

/// The event of a push at this end.
fn pushed(end: End) -> Event {
    match end {
        End::Head => Event::LPush,
        End::Tail => Event::RPush,
    }
}

/// The event of a pop at this end.
fn popped(end: End) -> Event {
    match end {
        End::Head => Event::LPop,
        End::Tail => Event::RPop,
    }
}

/// Which of `len` elements Redis's `index` means, which counts from the end if it is negative.
fn place_of(index: i64, len: u32) -> Option<u32> {
    let from_head = if index < 0 {
        index.checked_add(len.into())?
    } else {
        index
    };
    u32::try_from(from_head).ok().filter(|&at| at < len)
}

/// Which of `len` elements Redis's `start` and `stop` mean, both inclusive, negative ones counted from the end.
fn range_of(start: i64, stop: i64, len: u32) -> Range<u32> {
    let range = indexes::range_of(start, stop, len.into());
    range.start as u32..range.end as u32
}

/// Whether there is a list at a key, for a command that may change it.
///
/// # Errors
/// What is there is of another type.
fn is_there(shard: &mut Shard, db: DbIndex, key: Key<'_>) -> Result<bool, WrongType> {
    let list = shard.list_mut(db, key)?;
    let is_there = list.is_there();
    list.close(&[]);
    Ok(is_there)
}
