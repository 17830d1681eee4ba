//! Large collections of slots that are about to move go ahead, while everybody works: in parts, and what changes meanwhile follows.
//!
//! ```text
//!  giver    part ─ changes ─ part ─ changes ─ … ─ last part        all stand still: changes that are left
//!  taker    adds and does them, to a collection that no key has                     does them; the key gets it
//! ```
//! A part is of one moment, and changes are what the journal says of its elements since. A hash is scanned by positions: a change of a
//! field is done wherever that is, and a part that comes later has the field as it is then. Of a list the taker has the first so many
//! elements: of a change it does what concerns these. Of a sorted set it has those up to a rank: a change can bring a member that it
//! has not one rank nearer, so the next part begins one sooner. Changes of a stream are done
//! wherever they are, as those of a hash.
//!
//! What is removed, replaced or moved while it goes is lost: the taker drops what it has. So it is with what changes faster than it goes.
//! What is lost, or has not gone to its end, goes like any other entry, while all stand still.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use larder_engine::{
    Access, DbIndex, Effect, Element, End, Event, Kind, LooseId, PartFrom, Record, Shard,
    StoreError, StreamChange, SubscriberId, UnixMillis, ValueImage,
};

use super::moving::{Place, slots_of};
use crate::command::families::transfer::Answer;
use crate::command::{CoreCall, CoreState, Extent, Handed, PART_BYTES};
use crate::observe::{PartReader, PartWriter};
use crate::resp::ErrorReply;
use crate::routing::Slot;

/// Bytes of changes of a collection that may wait to be sent; with more it is lost.
const CHANGES_MAX_BYTES: usize = 256 << 10;

/// What goes ahead of one core to another.
pub(super) struct GoingAhead {
    subscriber: SubscriberId,
    followed: Rc<RefCell<Followed>>,
    /// What is to go, the one that goes now last.
    left: Vec<Place>,
}

/// Collections that have begun to go, by their keys and databases.
type Followed = HashMap<Box<[u8]>, Vec<(DbIndex, Going)>>;

/// A collection on its way.
struct Going {
    kind: Kind,
    given: Given,
    /// Number of elements.
    len: u64,
    /// What changed since the last part, and is yet to be sent.
    changes: Vec<u8>,
    is_lost: bool,
}

/// What the taker has of it, once it has done the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// Of a list so many elements, of a hash those up to a cursor, of a sorted set so many ranks, of a stream
    /// what stands before a place.
    UpTo(PartFrom),
    All,
}

/// What a message says of a collection.
const LOST: u64 = 0;
const PART: u64 = 1;
const CHANGES: u64 = 2;

/// The types of collections, which a message says by their places here.
const KINDS: [Kind; 5] = [
    Kind::List,
    Kind::Set,
    Kind::Hash,
    Kind::SortedSet,
    Kind::Stream,
];

impl Going {
    /// The next change of an element.
    fn note(&mut self, element: &Element<'_>) {
        let kept = match (self.kind, self.given) {
            (Kind::List, Given::UpTo(given)) => {
                let (given, kept) = within(given.number as u32, self.len, element);
                self.given = Given::UpTo(PartFrom::number(given.into()));
                kept
            }
            (Kind::SortedSet, Given::UpTo(given)) => {
                self.given = Given::UpTo(PartFrom::number(given.number.saturating_sub(1)));
                Some(*element)
            }
            _ => Some(*element),
        };
        match *element {
            Element::Push { .. } | Element::Insert { .. } => self.len += 1,
            Element::Pop(_) => self.len -= 1,
            Element::Cut { count, .. } => self.len -= u64::from(count),
            _ => {}
        }
        if let Some(element) = kept {
            write_element(&element, &mut self.changes);
        }
        self.is_lost |= self.changes.len() > CHANGES_MAX_BYTES;
    }
}

/// Of a change of a list of `len` elements what concerns the first `given`, and how many these are then.
fn within<'a>(given: u32, len: u64, element: &Element<'a>) -> (u32, Option<Element<'a>>) {
    let kept = Some(*element);
    match *element {
        Element::Push { end: End::Head, .. } => (given + 1, kept),
        Element::Insert { index, .. } if index < given => (given + 1, kept),
        Element::Replace { index, .. } if index < given => (given, kept),
        Element::Pop(End::Head) if given > 0 => (given - 1, kept),
        Element::Pop(End::Tail) if u64::from(given) == len => (given - 1, kept),
        Element::Cut { index, count } if index < given => {
            let count = count.min(given - index);
            (given - count, Some(Element::Cut { index, count }))
        }
        _ => (given, None),
    }
}

/// Notes what a record says of collections that are on their way.
fn note(followed: &mut Followed, record: &Record<'_>) {
    let lose = |going: &mut (DbIndex, Going)| going.1.is_lost = true;
    match record.effect {
        Effect::Deadline(_) => {}
        Effect::FlushDb | Effect::SwapDb { .. } => {
            followed.values_mut().flatten().for_each(lose);
        }
        _ => {
            let Some(of_key) = followed.get_mut(record.key) else {
                return;
            };
            let of_db = of_key.iter_mut().filter(|(db, _)| *db == record.db);
            match record.effect {
                Effect::Elements(elements) => of_db
                    .filter(|(_, going)| !going.is_lost)
                    .for_each(|(_, going)| elements.iter().for_each(|each| going.note(each))),
                _ => of_db.for_each(lose),
            }
        }
    }
}

fn write_element(element: &Element<'_>, out: &mut Vec<u8>) {
    let mut part = PartWriter(out);
    match *element {
        Element::Field {
            field,
            value,
            expires_at,
        } => {
            part.number(0);
            part.bytes(field);
            part.bytes(value);
            part.signed(expires_at.map_or(-1, |at| at.0));
        }
        Element::Gone(field) => {
            part.number(1);
            part.bytes(field);
        }
        Element::Push { end, value } => {
            part.number(if end == End::Head { 2 } else { 3 });
            part.bytes(value);
        }
        Element::Pop(end) => part.number(if end == End::Head { 4 } else { 5 }),
        Element::Insert { index, value } => {
            part.number(6);
            part.number(index.into());
            part.bytes(value);
        }
        Element::Replace { index, value } => {
            part.number(7);
            part.number(index.into());
            part.bytes(value);
        }
        Element::Cut { index, count } => {
            part.number(8);
            part.number(index.into());
            part.number(count.into());
        }
        Element::Score { member, score } => {
            part.number(9);
            part.bytes(member);
            part.number(score.to_bits());
        }
        Element::Member(member) => {
            part.number(10);
            part.bytes(member);
        }
        Element::Stream(ref change) => {
            let mut bytes = Vec::new();
            change.write(&mut bytes);
            part.number(11);
            part.bytes(&bytes);
        }
        Element::Range { .. } => {
            unreachable!("no collection has {element:?}")
        }
    }
}

fn read_element<'a>(part: &mut PartReader<'a>) -> Element<'a> {
    match part.number() {
        0 => {
            let (field, value, deadline) = (part.bytes(), part.bytes(), part.signed());
            Element::Field {
                field,
                value,
                expires_at: (deadline >= 0).then_some(UnixMillis(deadline)),
            }
        }
        1 => Element::Gone(part.bytes()),
        2 => Element::Push {
            end: End::Head,
            value: part.bytes(),
        },
        3 => Element::Push {
            end: End::Tail,
            value: part.bytes(),
        },
        4 => Element::Pop(End::Head),
        5 => Element::Pop(End::Tail),
        6 => Element::Insert {
            index: part.number() as u32,
            value: part.bytes(),
        },
        7 => Element::Replace {
            index: part.number() as u32,
            value: part.bytes(),
        },
        8 => Element::Cut {
            index: part.number() as u32,
            count: part.number() as u32,
        },
        9 => Element::Score {
            member: part.bytes(),
            score: f64::from_bits(part.number()),
        },
        10 => Element::Member(part.bytes()),
        11 => Element::Stream(StreamChange::read(&mut part.bytes())),
        _ => unreachable!("one of the above was written"),
    }
}

/// Gives what goes ahead next: whether more is to come, then of each message database, key, and what it says. Argument 0: of which
/// slots, when it begins; else it is empty.
pub fn give_ahead(call: &mut CoreCall<'_>) {
    let core = &mut *call.core;
    let slots = slots_of(call.args.at(0));
    if !slots.is_empty() {
        end_ahead_here(core);
        begin(core, &slots);
    }
    // Other answers may stand before.
    let answer_at = call.out.len();
    call.out.push(0);
    if let Some(mut going) = core.moving.ahead.take() {
        give_messages(core, &mut going, call.out);
        call.out[answer_at] = u8::from(!going.left.is_empty());
        core.moving.ahead = Some(going);
    }
}

/// The large collections of these slots that have been collected are followed from now on, each once its first part is given.
fn begin(core: &mut CoreState, slots: &[Slot]) {
    let left = core.moving.large_of(slots);
    if left.is_empty() {
        return;
    }
    let followed: Rc<RefCell<Followed>> = Rc::default();
    let noted = Rc::clone(&followed);
    let see = move |record: &Record<'_>| note(&mut noted.borrow_mut(), record);
    let subscriber = core.shard.journal().subscribe(Box::new(see));
    core.moving.ahead = Some(GoingAhead {
        subscriber,
        followed,
        left,
    });
}

/// Writes what has become of those on their way, and the next part.
fn give_messages(core: &mut CoreState, ahead: &mut GoingAhead, out: &mut Vec<u8>) {
    let GoingAhead { followed, left, .. } = ahead;
    let mut followed = followed.borrow_mut();
    for (key, of_key) in followed.iter_mut() {
        of_key.retain_mut(|(db, going)| {
            if going.is_lost {
                message(out, *db, key, LOST);
                left.retain(|place| (place.0, &place.1) != (*db, key));
            } else if !going.changes.is_empty() {
                message(out, *db, key, CHANGES).bytes(&going.changes);
                going.changes.clear();
            }
            !going.is_lost
        });
    }
    followed.retain(|_, of_key| !of_key.is_empty());
    if core.shard.has_undo_aside() || core.shard.is_undoable() {
        // Of what may be taken back nothing has been told.
        return;
    }
    let Some((db, key)) = left.last().cloned() else {
        return;
    };
    let of_key = followed.entry(key.clone()).or_default();
    let at = of_key.iter().position(|(of, _)| *of == db);
    let from = match at.map(|at| of_key[at].1.given) {
        None => PartFrom::default(),
        Some(Given::UpTo(from)) => from,
        Some(Given::All) => unreachable!("it is not left then"),
    };
    let hashed = core.shard.hasher().key(&key);
    let entry = core.shard.get(db, hashed, Access::Peek);
    let len = entry.map(|entry| entry.elements());
    let part = core.shard.part(db, hashed, (from, PART_BYTES));
    // It may have reached its deadline, of which a record comes when somebody finds it so.
    let (Some((part, next)), Some(len)) = (part, len) else {
        if let Some(at) = at {
            message(out, db, &key, LOST);
            of_key.swap_remove(at);
        }
        left.pop();
        return;
    };
    let mut told = message(out, db, &key, PART);
    let kind = KINDS.iter().position(|kind| *kind == part.kind);
    told.number(kind.expect("it is a collection") as u64);
    told.bytes(&part.bytes);
    let given = next.map_or(Given::All, Given::UpTo);
    match at {
        Some(at) => of_key[at].1.given = given,
        None => of_key.push((
            db,
            Going {
                kind: part.kind,
                given,
                len,
                changes: Vec::new(),
                is_lost: false,
            },
        )),
    }
    if next.is_none() {
        left.pop();
    }
}

fn message<'a>(out: &'a mut Vec<u8>, db: DbIndex, key: &[u8], what: u64) -> PartWriter<'a> {
    let mut part = PartWriter(out);
    part.number(db.0.into());
    part.bytes(key);
    part.number(what);
    part
}

/// Takes the messages that argument 0 has. Answers yes, or that memory is out.
pub fn take_ahead(call: &mut CoreCall<'_>) {
    match take_messages(call.core, call.args.at(0)) {
        Ok(()) => Answer::yes(call.out, |_| ()),
        Err(error) => Answer::failed(call.out, &ErrorReply::from(error)),
    }
}

/// Whether an answer of [`take_ahead`] says yes.
pub fn are_taken(answer: &[u8]) -> bool {
    Answer::of(answer).is_ok()
}

fn take_messages(core: &mut CoreState, messages: &[u8]) -> Result<(), StoreError> {
    let mut part = PartReader::new(messages);
    let CoreState { moving, shard, .. } = core;
    while !part.is_at_end() {
        let place: Place = (DbIndex(part.number() as u16), part.bytes().into());
        match part.number() {
            LOST => {
                let lost = moving.came.remove(&place);
                lost.into_iter().for_each(|id| shard.drop_loose(id));
            }
            PART => {
                let kind = KINDS[part.number() as usize];
                let id = match moving.came.get(&place) {
                    Some(id) => *id,
                    None => shard.begin_followed(kind)?,
                };
                moving.came.insert(place, id);
                shard.add_part(id, part.bytes())?;
            }
            _ => follow(shard, moving.came[&place], part.bytes())?,
        }
    }
    Ok(())
}

/// Does changes to a collection that no key has.
fn follow(shard: &mut Shard, id: LooseId, changes: &[u8]) -> Result<(), StoreError> {
    let mut changes = PartReader::new(changes);
    while !changes.is_at_end() {
        shard.follow(id, &read_element(&mut changes))?;
    }
    Ok(())
}

/// All stand still. What is left to give of a collection that has gone ahead to its end; `None` if there is no such.
pub(super) fn give_left(core: &mut CoreState, db: DbIndex, key: &[u8]) -> Option<Handed> {
    let ahead = core.moving.ahead.as_ref()?;
    let mut followed = ahead.followed.borrow_mut();
    let of_key = followed.get_mut(key)?;
    let has_gone =
        |(of, going): &(DbIndex, Going)| *of == db && going.given == Given::All && !going.is_lost;
    let at = of_key.iter().position(has_gone)?;
    let hashed = core.shard.hasher().key(key);
    let entry = core.shard.get(db, hashed, Access::Peek)?;
    let (_, going) = of_key.swap_remove(at);
    Some(Handed {
        image: ValueImage {
            kind: entry.kind(),
            encoding: entry.encoding(),
            bytes: going.changes.into(),
            expires_at: entry.expires_at(),
            access: entry.access(),
        },
        given_bytes: 0,
        extent: Extent::Part { next: None },
    })
}

/// Takes what [`give_left`] has given: the key gets the collection that came ahead.
///
/// # Errors
/// Memory is out; then what came is dropped.
pub(super) fn take_left(
    core: &mut CoreState,
    place: &Place,
    handed: &Handed,
) -> Result<(), StoreError> {
    let image = &handed.image;
    let id = core.moving.came.remove(place);
    let id = id.expect("what is left is of what came");
    if let Err(error) = follow(&mut core.shard, id, &image.bytes) {
        core.shard.drop_loose(id);
        return Err(error);
    }
    core.shard.set_loose_encoding(id, image.encoding);
    let (key, attributes) = (
        core.shard.hasher().key(&place.1),
        (image.expires_at, image.access),
    );
    core.shard
        .put_loose(place.0, key, id, attributes, Event::Silent)
}

/// Nothing goes ahead any more: what is left of it is dropped.
pub fn end_ahead(call: &mut CoreCall<'_>) {
    end_ahead_here(call.core);
}

pub(super) fn end_ahead_here(core: &mut CoreState) {
    if let Some(ahead) = core.moving.ahead.take() {
        core.shard.journal().unsubscribe(ahead.subscriber);
    }
    for (_, id) in std::mem::take(&mut core.moving.came) {
        core.shard.drop_loose(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Random;

    /// Does a change to a list.
    fn change(list: &mut Vec<u8>, element: &Element<'_>) {
        match *element {
            Element::Push { end, value } => {
                let at = if end == End::Head { 0 } else { list.len() };
                list.insert(at, value[0]);
            }
            Element::Pop(End::Head) => drop(list.remove(0)),
            Element::Pop(End::Tail) => drop(list.pop().expect("it is not empty")),
            Element::Insert { index, value } => list.insert(index as usize, value[0]),
            Element::Replace { index, value } => list[index as usize] = value[0],
            Element::Cut { index, count } => {
                list.drain(index as usize..(index + count) as usize);
            }
            _ => unreachable!("of lists"),
        }
    }

    #[test]
    fn the_first_elements_of_a_list_follow_it_whatever_is_done_to_all() {
        let mut random = Random::new(1);
        for _ in 0..2000 {
            let mut below = |end: usize| (random.draw() % end as u64) as usize;
            let mut list: Vec<u8> = (0..below(12) as u8).collect();
            let mut given = below(list.len() + 1);
            let mut first = list[..given].to_vec();
            for step in 0..40 {
                let (len, value) = (list.len(), [100 + step]);
                let end = if below(2) == 0 { End::Head } else { End::Tail };
                let index = below(len + 1) as u32;
                let inside = (index as usize) < len;
                let element = match below(6) {
                    0 => Element::Push { end, value: &value },
                    1 | 2 if len > 0 => Element::Pop(end),
                    3 if inside => Element::Insert {
                        index,
                        value: &value,
                    },
                    4 if inside => Element::Replace {
                        index,
                        value: &value,
                    },
                    5 if inside => Element::Cut {
                        index,
                        count: 1 + below(len - index as usize) as u32,
                    },
                    _ => continue,
                };
                let (now, kept) = within(given as u32, len as u64, &element);
                given = now as usize;
                change(&mut list, &element);
                if let Some(kept) = kept {
                    let (mut written, mut read) = (Vec::new(), Vec::new());
                    write_element(&kept, &mut written);
                    let mut part = PartReader::new(&written);
                    read.push(read_element(&mut part));
                    assert!(part.is_at_end() && read == [kept]);
                    change(&mut first, &kept);
                }
                assert_eq!(first, list[..given], "{element:?}");
            }
        }
    }
}
