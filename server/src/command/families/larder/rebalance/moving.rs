//! Slots on their way from one core to another: what each core does of it. Who asks, and when, is `dispatch::rebalance`.
//!
//! ```text
//!  giver     collects the keys of the slots: walks its table beside its work, and notes what is written meanwhile
//!            large collections go ahead ([`super::ahead`])
//!  all       stand still: no command of a client that concerns keys begins, and what was under way is done
//!  giver     hands the entries over, a bounded part at a time           taker   takes them
//!            the slot table changes
//!  all       settle: the giver drops what it gave, watches of keys that have gone are broken, commands begin again
//! ```
//! Nothing is lost when the taker has no memory left: it drops what it took, and the slots stay where they are.
//!
//! Cost: while it collects, a look at every entry of the giver, some a turn, and the keys of the slots in memory;
//! standing still takes as long as copying the entries of a few slots does.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use larder_engine::{DbIndex, Effect, Event, LooseId, PartFrom, Record, ScanCursor, SubscriberId};

use super::super::super::transfer::Answer;
use super::ahead::{self, GoingAhead, end_ahead_here};
use crate::command::{CoreCall, CoreState, Extent, Handed, PART_BYTES};
use crate::observe::{PartReader, PartWriter};
use crate::resp::ErrorReply;
use crate::routing::{CoreId, SLOTS, Slot};
use crate::session::gate;

/// Entries a giver looks at in one turn while it collects.
const COLLECT_ENTRIES: usize = 2000;
/// Bytes of entries given at a time, but for what the last exceeds that by. The taker takes as much in one step: of a large hash with
/// short fields some three thousand, which are a millisecond.
const GIVE_BYTES: usize = 64 << 10;
/// What is told of an entry, or of the first part of one.
const FIRST: u64 = 0;
/// Of another part.
const NOT_FIRST: u64 = 1;
/// Of what is left to give of a collection that has gone ahead.
const CAME_AHEAD: u64 = 2;
/// Entries, or parts of some, given at a time: of those that are short, or share their buffers.
const GIVE_ENTRIES: usize = 512;

/// What a core knows of slots that move.
#[derive(Default)]
pub struct Moving {
    /// Whether there is any of the following. The only one that is looked at every turn.
    is_concerned: bool,
    /// What a client has asked for, and the core has yet to begin.
    ordered: Option<Goal>,
    collected: Option<Collected>,
    /// Large collections that go to another core, and those that have come from one, which no key has yet.
    pub(super) ahead: Option<GoingAhead>,
    pub(super) came: HashMap<Place, LooseId>,
    standstill: Option<Standstill>,
    /// Cores whose mark has come: they have sent nothing behind it that depends on the slot table.
    marks: u16,
}

#[cfg(test)]
thread_local! {
    /// A planted bug: nobody waits while slots move. Tests that look for lost writes must find some.
    pub static STANDSTILL_IS_OFF: Cell<bool> = const { Cell::new(false) };
    /// Entries that a core takes before it says that memory is out.
    pub static TAKES_AT_MOST: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What is to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// These slots, to this core.
    To(Vec<Slot>, CoreId),
    /// Every slot, to the core that had it at start.
    Even,
    /// From cores that have much to do to cores that have little.
    ByLoad,
}

/// A core that stands still.
#[derive(Default)]
struct Standstill {
    slots: Vec<Slot>,
    /// It has told the others that it sends nothing more.
    has_marked: bool,
    /// What was under way to it has come and is done.
    is_quiet: bool,
    /// Something under way to it waits until a client reads.
    is_held_up: bool,
    /// What is to be given yet, the next last, and what was given.
    to_give: Option<Vec<ToGive>>,
    given: Vec<Place>,
    /// The parts that were taken of one whose last is yet to come.
    gathered: Option<LooseId>,
    taken: Vec<Place>,
}

/// A key of a database.
pub(super) type Place = (DbIndex, Box<[u8]>);

/// A key to be given, from this database on, and there, if it holds a large collection, from this part on.
struct ToGive {
    key: Box<[u8]>,
    db: DbIndex,
    from: PartFrom,
}

/// The keys of some slots.
struct Collected {
    /// What sees the keys that come while the walk is under way.
    subscriber: SubscriberId,
    is_wanted: Rc<[bool]>,
    by_slot: Rc<RefCell<BySlot>>,
    /// Which of them hold more than goes at a time.
    large: HashSet<Place>,
    /// Databases were exchanged, and the walk may have missed what was in them.
    begins_again: Rc<Cell<bool>>,
    /// Where the walk goes on; none once it is over.
    at: Option<(u16, ScanCursor)>,
}

type BySlot = HashMap<Slot, HashSet<Box<[u8]>>>;

impl Moving {
    /// Whether the core has anything to do about slots that move.
    #[inline]
    pub fn is_concerned(&self) -> bool {
        self.is_concerned
    }

    /// A client has asked for a rebalance; the core begins it at the end of its turn.
    pub fn order(&mut self, order: Goal) {
        self.ordered = Some(order);
        self.note_concern();
    }

    /// What a client has asked for, if that is yet to begin.
    pub fn take_order(&mut self) -> Option<Goal> {
        let order = self.ordered.take();
        self.note_concern();
        order
    }

    fn note_concern(&mut self) {
        self.is_concerned =
            self.ordered.is_some() || self.collected.is_some() || self.standstill.is_some();
    }

    /// Whether the core stands still.
    #[inline]
    pub fn stands_still(&self) -> bool {
        self.standstill.is_some()
    }

    /// Whether commands that concern keys may not begin on this core.
    pub fn holds_commands_back(&self) -> bool {
        #[cfg(test)]
        if STANDSTILL_IS_OFF.get() {
            return false;
        }
        self.stands_still()
    }

    /// Whether nothing has come ahead that no key has yet.
    #[cfg(test)]
    pub fn came_is_empty(&self) -> bool {
        self.came.is_empty()
    }

    /// The large collections of these slots that have been collected.
    pub(super) fn large_of(&self, slots: &[Slot]) -> Vec<Place> {
        let large = self.collected.iter().flat_map(|collected| &collected.large);
        let large = large.filter(|(_, key)| slots.contains(&Slot::of(key)));
        large.cloned().collect()
    }

    /// The slots for whose sake it stands still.
    pub fn slots(&self) -> &[Slot] {
        self.standstill.as_ref().map_or(&[], |still| &still.slots)
    }

    /// Whether the others are yet to be told; this notes that they are.
    pub fn takes_leave(&mut self) -> bool {
        let still = self.standstill.as_mut();
        still.is_some_and(|still| !std::mem::replace(&mut still.has_marked, true))
    }

    /// Whether the others have been told.
    pub fn has_left(&self) -> bool {
        self.standstill
            .as_ref()
            .is_some_and(|still| still.has_marked)
    }

    /// Whether the marks of `others` cores have come.
    pub fn has_marks_of(&self, others: u16) -> bool {
        self.marks == others
    }

    /// What was under way is done, except what waits for a client to read, if there is such.
    pub fn note_quiet(&mut self, is_held_up: bool) {
        if let Some(still) = &mut self.standstill {
            still.is_quiet = true;
            still.is_held_up = is_held_up;
        }
    }
}

/// Arguments of a part that are a list of slots.
pub fn slots_argument(slots: &[Slot]) -> Vec<u8> {
    let numbers = slots.iter().map(|slot| slot.number().to_le_bytes());
    numbers.flatten().collect()
}

pub(super) fn slots_of(argument: &[u8]) -> Vec<Slot> {
    let numbers = argument.chunks_exact(2).map(|two| [two[0], two[1]]);
    let slots = numbers.map(|number| Slot::new(u16::from_le_bytes(number).into()));
    slots.map(|slot| slot.expect("a slot's number")).collect()
}

/// Begins to collect the keys of slots.
pub fn collect(call: &mut CoreCall<'_>) {
    let mut is_wanted = vec![false; usize::from(SLOTS)];
    for slot in slots_of(call.args.at(0)) {
        is_wanted[usize::from(slot.number())] = true;
    }
    let is_wanted: Rc<[bool]> = is_wanted.into();
    let by_slot: Rc<RefCell<BySlot>> = Rc::default();
    let begins_again: Rc<Cell<bool>> = Rc::default();
    let (wanted, keys, again) = (
        Rc::clone(&is_wanted),
        Rc::clone(&by_slot),
        Rc::clone(&begins_again),
    );
    let see = move |record: &Record<'_>| {
        if let Effect::SwapDb { .. } = record.effect {
            again.set(true);
        } else if record.effect.brings().is_some() {
            note(&wanted, &keys, record.key);
        }
    };
    end_collecting(call);
    let subscriber = call.core.shard.journal().subscribe(Box::new(see));
    call.core.moving.collected = Some(Collected {
        subscriber,
        is_wanted,
        by_slot,
        large: HashSet::new(),
        begins_again,
        at: Some((0, ScanCursor(0))),
    });
    call.core.moving.note_concern();
}

/// Notes a key, if its slot is wanted; whether it is.
fn note(is_wanted: &[bool], by_slot: &RefCell<BySlot>, key: &[u8]) -> bool {
    let slot = Slot::of(key);
    let is_wanted = is_wanted[usize::from(slot.number())];
    if is_wanted {
        let mut by_slot = by_slot.borrow_mut();
        let keys = by_slot.entry(slot).or_default();
        if !keys.contains(key) {
            keys.insert(key.into());
        }
    }
    is_wanted
}

/// A step of the walk. `true`: more is to come.
pub fn go_on_collecting(core: &mut CoreState) -> bool {
    let Some(collected) = &mut core.moving.collected else {
        return false;
    };
    let Some((db, cursor)) = collected.at else {
        return false;
    };
    let (db, cursor) = if collected.begins_again.take() {
        (0, ScanCursor(0))
    } else {
        (db, cursor)
    };
    let Collected {
        is_wanted: wanted,
        by_slot: keys,
        large,
        ..
    } = collected;
    let next = core
        .shard
        .scan(DbIndex(db), cursor, COLLECT_ENTRIES, &mut |entry| {
            let is_wanted = note(wanted, keys, entry.key());
            if is_wanted && !entry.is_whole() && entry.value_bytes() > PART_BYTES as u64 {
                large.insert((DbIndex(db), entry.key().into()));
            }
        });
    collected.at = match next {
        ScanCursor(0) if db + 1 == core.shard.databases() => None,
        ScanCursor(0) => Some((db + 1, ScanCursor(0))),
        next => Some((db, next)),
    };
    if collected.at.is_none() {
        let collecting = &core.shared.rebalance.collecting;
        collecting.fetch_sub(1, Ordering::AcqRel);
    }
    collected.at.is_some()
}

/// Forgets what was collected.
pub fn end_collecting(call: &mut CoreCall<'_>) {
    end_ahead_here(call.core);
    if let Some(collected) = call.core.moving.collected.take() {
        let journal = call.core.shard.journal();
        journal.unsubscribe(collected.subscriber);
    }
    call.core.moving.note_concern();
}

/// The core stands still from now on.
pub fn stand_still(call: &mut CoreCall<'_>) {
    call.core.moving.standstill = Some(Standstill {
        slots: slots_of(call.args.at(0)),
        ..Standstill::default()
    });
    call.core.moving.note_concern();
    // Commands have to look.
    call.core.gates |= gate::LOCKS;
}

/// Another core has sent all it had for this one.
pub fn take_mark(call: &mut CoreCall<'_>) {
    call.core.moving.marks += 1;
}

/// Whether what was under way to a core is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// Not yet.
    Soon,
    /// It is.
    Now,
    /// Not before a client reads what it asked for.
    HeldUp,
}

impl Quiet {
    /// Reads what [`is_quiet`] answered.
    pub fn read(answer: &[u8]) -> Self {
        match answer {
            [0] => Self::Soon,
            [1] => Self::Now,
            _ => Self::HeldUp,
        }
    }
}

/// Answers whether what was under way to the core is done.
pub fn is_quiet(call: &mut CoreCall<'_>) {
    let still = call.core.moving.standstill.as_ref();
    let still = still.expect("it stands still");
    call.out.push(match (still.is_quiet, still.is_held_up) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    });
}

/// Hands over some entries, large collections in parts: whether there are more, then of each database, key, and where the part
/// begins. They stay until all is settled.
pub fn give(call: &mut CoreCall<'_>) {
    let core = &mut *call.core;
    let still = core.moving.standstill.as_mut();
    let still = still.expect("it stands still");
    let collected = core.moving.collected.as_ref();
    let by_slot = &collected.expect("the keys were collected").by_slot;
    let to_give = still.to_give.take().unwrap_or_else(|| {
        let mut by_slot = by_slot.borrow_mut();
        let keys = still.slots.iter().filter_map(|slot| by_slot.remove(slot));
        let begin = |key| ToGive {
            key,
            db: DbIndex(0),
            from: PartFrom::default(),
        };
        keys.flatten().map(begin).collect()
    });
    let (left, given) = give_some(core, to_give, call.out, call.hands);
    let still = core.moving.standstill.as_mut();
    let still = still.expect("it stands still");
    still.to_give = Some(left);
    still.given.extend(given);
}

/// Hands over of `to_give` what fits; what is left, and whose last part was given.
fn give_some(
    core: &mut CoreState,
    mut to_give: Vec<ToGive>,
    out: &mut Vec<u8>,
    hands: &mut Vec<Handed>,
) -> (Vec<ToGive>, Vec<Place>) {
    let mut given = Vec::new();
    let databases = core.shard.databases();
    // Other answers may stand before.
    let answer_at = out.len();
    out.push(0);
    let mut copied = 0;
    while out.len() - answer_at + copied < GIVE_BYTES && hands.len() < GIVE_ENTRIES {
        let Some(ToGive { key, db, from }) = to_give.pop() else {
            return (to_give, given);
        };
        let hashed = core.shard.hasher().key(&key);
        let is_first = from == PartFrom::default();
        let left = match is_first {
            true => ahead::give_left(core, db, &key),
            false => None,
        };
        let told = match is_first {
            _ if left.is_some() => CAME_AHEAD,
            true => FIRST,
            false => NOT_FIRST,
        };
        let handed = left.or_else(|| match is_first {
            _ if core.shard.is_empty(db) => None,
            true => core.hand_copy(db, hashed),
            false => core.hand_part(db, hashed, from),
        });
        let mut next = None;
        if let Some(handed) = handed {
            copied += handed.image.bytes.copied_bytes();
            if let Extent::Part { next: Some(part) } = handed.extent {
                next = Some((db, part));
            } else {
                given.push((db, key.clone()));
            }
            hands.push(handed);
            let mut part = PartWriter(out);
            part.number(db.0.into());
            part.bytes(&key);
            part.number(told);
        }
        let behind = DbIndex(db.0 + 1);
        let next = next.or((behind.0 < databases).then_some((behind, PartFrom::default())));
        if let Some((db, from)) = next {
            to_give.push(ToGive { key, db, from });
        }
    }
    out[answer_at] = u8::from(!to_give.is_empty());
    (to_give, given)
}

/// Takes entries that another core gave: those handed over, in the order of what argument 0 says of them. Answers yes and how many
/// are whole now, or that memory is out.
pub fn take(call: &mut CoreCall<'_>) {
    let core = &mut *call.core;
    let mut part = PartReader::new(call.args.at(0));
    let mut count: u64 = 0;
    for handed in call.handed {
        let (db, bytes, from) = (DbIndex(part.number() as u16), part.bytes(), part.number());
        if from != NOT_FIRST {
            // What the rest never came of has reached its deadline meanwhile.
            drop_gathered(core);
        }
        let gathered = standing(core).gathered.take();
        let key = core.shard.hasher().key(bytes);
        let taken = match from {
            CAME_AHEAD => ahead::take_left(core, &(db, bytes.into()), handed).map(|()| None),
            _ => core.take_handed((db, key), (handed, gathered), None, Event::Silent),
        };
        #[cfg(test)]
        let taken = match TAKES_AT_MOST.get() {
            Some(most) if standing(core).taken.len() >= most => {
                match taken {
                    Ok(Some(gathered)) => core.shard.drop_loose(gathered),
                    _ => drop(core.shard.hand_over(db, key)),
                }
                Err(larder_engine::StoreError::OutOfMemory)
            }
            _ => taken,
        };
        match taken {
            Ok(None) => {
                standing(core).taken.push((db, bytes.into()));
                count += 1;
            }
            Ok(gathered) => standing(core).gathered = gathered,
            Err(error) => return Answer::failed(call.out, &ErrorReply::from(error)),
        }
    }
    Answer::yes(call.out, |out| out.extend_from_slice(&count.to_le_bytes()));
}

fn standing(core: &mut CoreState) -> &mut Standstill {
    let still = core.moving.standstill.as_mut();
    still.expect("it stands still")
}

fn drop_gathered(core: &mut CoreState) {
    let still = core.moving.standstill.as_mut();
    if let Some(gathered) = still.and_then(|still| still.gathered.take()) {
        core.shard.drop_loose(gathered);
    }
}

/// How many entries the answer of [`take`] says were taken.
///
/// # Errors
/// The core has no memory left.
pub fn taken(answer: &[u8]) -> Result<u64, ErrorReply> {
    match Answer::of(answer)? {
        Answer::Yes(count) => Ok(u64::from_le_bytes(
            count.try_into().expect("a number of eight bytes"),
        )),
        Answer::No => unreachable!("who is given entries takes them, or fails"),
    }
}

/// The slots have their new owner: drops what was given, and goes on. Watches of keys that are not this core's any more
/// are broken: what becomes of the keys is not seen here.
pub fn settle(call: &mut CoreCall<'_>) {
    let core = &mut *call.core;
    drop_gathered(core);
    end_ahead_here(core);
    let given = core.moving.standstill.take().map(|still| still.given);
    drop_all(core, given.unwrap_or_default());
    let (slots, own) = (&core.shared.slots, core.id);
    core.shard
        .watches()
        .spoil_keys(|key| slots.core_of(key) != own);
    core.moving.marks = 0;
    core.moving.note_concern();
}

/// The slots stay where they are: drops what was taken, and goes on.
pub fn go_back(call: &mut CoreCall<'_>) {
    let core = &mut *call.core;
    drop_gathered(core);
    end_ahead_here(core);
    let taken = core.moving.standstill.take().map(|still| still.taken);
    drop_all(core, taken.unwrap_or_default());
    core.moving.marks = 0;
    core.moving.note_concern();
}

fn drop_all(core: &mut CoreState, entries: Vec<Place>) {
    for (db, key) in entries {
        let key = core.shard.hasher().key(&key);
        core.shard.hand_over(db, key);
    }
}
