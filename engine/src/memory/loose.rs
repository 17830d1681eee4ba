//! Collections that no item has yet: what is being gathered of one that comes from elsewhere, element by element.
//!
//! ```text
//!  begin ──▶ a run beside the arena ── as long as an item may have it ──┬─▶ an item's value
//!                                   └─ beyond ─▶ nodes, of a number ────┘
//! ```
//! Nodes count as used from the beginning; a run, of the length of an item's at most, does when it is one.

use std::ops::ControlFlow;

use super::lists::{is_short, takes, with_room};
use super::sorted_sets::{self, put_packed as put_packed_member};
use super::{Memory, Named};
use crate::item::{Form, Variant};
use crate::limits::{PACKED_HASH_MAX_BYTES, PACKED_LIST_MAX_BYTES};
use crate::list::{End, Field, Layout, Packed, PackedMut, RUN_HEADER_BYTES};
use crate::nodes::Owner;
use crate::sorted::run::{self, Run};
use crate::sorted::{self, Bound, Side, SortedSetView};
use crate::spiral::packed::{self, Packed as PackedFields, Written};
use crate::spiral::{ElementRef, Put};
use crate::{Direction, Kind, StoreError};

/// A collection that no item has.
pub(crate) struct Loose {
    pub(crate) kind: Kind,
    pub(crate) variant: Variant,
    body: Body,
}

enum Body {
    Packed(Vec<u8>),
    Large(Owner),
}

impl Loose {
    /// An empty one, which takes no memory.
    pub(crate) fn new(kind: Kind, variant: Variant) -> Self {
        Self {
            kind,
            variant,
            body: Body::Packed(Vec::new()),
        }
    }

    /// The number of one that is large.
    pub(crate) fn owner(&self) -> Option<Owner> {
        match self.body {
            Body::Packed(_) => None,
            Body::Large(owner) => Some(owner),
        }
    }

    /// The form and the bytes of its value in an item.
    pub(crate) fn value(&self) -> (Form, Vec<u8>) {
        match &self.body {
            Body::Large(owner) => (Form::large(self.kind), owner.0.to_le_bytes().to_vec()),
            Body::Packed(run) => {
                let mut value = vec![self.variant.0];
                if self.kind == Kind::List && !run.is_empty() {
                    // Its room is at the end that is pushed to mostly.
                    let run = Packed::new(run);
                    let len = run.len();
                    value.resize(1 + with_room(run.used_bytes()), 0);
                    Layout::new(&[(run, 0..len)]).write(&mut value[1..], End::Tail);
                } else if self.kind == Kind::SortedSet && !run.is_empty() {
                    let used = Run::new(run).used_bytes();
                    value.resize(1 + sorted_sets::with_room(used), 0);
                    run::copy(run, &mut value[1..]);
                } else {
                    value.extend_from_slice(run);
                }
                (Form::packed(self.kind), value)
            }
        }
    }
}

impl Memory {
    /// An empty one that is large from the beginning.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn begin_large_loose(&mut self, kind: Kind) -> Result<Loose, StoreError> {
        let variant = Variant::of_empty(kind);
        let owner = self.create_loose(kind, variant)?;
        Ok(Loose {
            kind,
            variant,
            body: Body::Large(owner),
        })
    }

    /// Takes one that no item is to have out of use.
    pub(crate) fn drop_loose(&mut self, loose: &Loose) {
        if let Body::Large(owner) = loose.body {
            self.bury_loose(owner);
        }
    }

    /// The named elements of one, if it has any.
    pub(crate) fn named_of_loose<'a>(&'a self, loose: &'a Loose) -> Option<Named<'a>> {
        match &loose.body {
            Body::Packed(run) if run.is_empty() => None,
            Body::Packed(run) => Some(Named::Packed(PackedFields::new(run))),
            Body::Large(owner) => {
                let (spiral, heap) = self.spiral(*owner);
                Some(Named::Large(spiral, heap))
            }
        }
    }

    /// Number of elements, and bytes of them.
    pub(crate) fn size_of_loose(&self, loose: &Loose) -> (u64, u64) {
        match &loose.body {
            Body::Packed(run) if run.is_empty() => (0, 0),
            Body::Packed(run) if loose.kind == Kind::List => {
                let run = Packed::new(run);
                (run.len() as u64, run.payload_bytes() as u64)
            }
            Body::Packed(run) if loose.kind == Kind::SortedSet => {
                (Run::new(run).len() as u64, run.len() as u64)
            }
            Body::Packed(run) => (PackedFields::new(run).len() as u64, run.len() as u64),
            Body::Large(owner) => {
                let structure = &self.collections.root(*owner).structure;
                let len = match loose.kind {
                    Kind::List => structure.list().len().into(),
                    Kind::SortedSet => structure.sorted().len(),
                    Kind::Stream => structure.stream().len(),
                    _ => structure.spiral().len(),
                };
                (len, structure.payload_bytes())
            }
        }
    }

    /// Adds a named element, or gives one that is there another value; `hash_of` tells the hash of any name.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn put_loose_named(
        &mut self,
        loose: &mut Loose,
        hash_of: &impl Fn(&[u8]) -> u64,
        element: ElementRef<'_>,
    ) -> Result<Put, StoreError> {
        let owner = match &mut loose.body {
            Body::Large(owner) => *owner,
            Body::Packed(run) => match put_packed(run, hash_of(element.name), &element) {
                Some(put) => return Ok(put),
                None => self.unpack_loose(loose, hash_of)?,
            },
        };
        self.change_spiral(owner, |spiral, heap| spiral.put(heap, hash_of, element))
    }

    /// The members of a sorted set, if it has any.
    pub(crate) fn sorted_of_loose<'a>(&'a self, loose: &'a Loose) -> Option<SortedSetView<'a>> {
        match &loose.body {
            Body::Packed(run) if run.is_empty() => None,
            Body::Packed(run) => Some(SortedSetView::Packed(Run::new(run))),
            Body::Large(owner) => Some(SortedSetView::Large(
                self.collections.sorted(*owner),
                &self.heap,
            )),
        }
    }

    /// Gives a member the score that `make` makes of the one that it has, if it is there; which that was.
    ///
    /// # Errors
    /// Memory is out, or there are as many members as there may be; then nothing changed.
    pub(crate) fn update_loose_member(
        &mut self,
        loose: &mut Loose,
        hash_of: &impl Fn(&[u8]) -> u64,
        name: &[u8],
        make: impl FnOnce(Option<f64>) -> f64,
    ) -> Result<Option<f64>, StoreError> {
        let run = match &mut loose.body {
            Body::Large(owner) => return self.update_scored(*owner, hash_of, name, make),
            Body::Packed(run) => run,
        };
        let number = match run.is_empty() {
            true => None,
            false => sorted::find_in(&Run::new(run), name),
        };
        let was = number.map(|number| Run::new(run).score(number));
        let member = (name, make(was));
        if !put_packed_member(run, number, member) {
            let owner = self.unpack_sorted(run, hash_of, loose.variant, member)?;
            loose.body = Body::Large(owner);
        }
        Ok(was)
    }

    /// Makes the negative zeros among the scores of a sorted set positive ones.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn remove_negative_zeros(
        &mut self,
        loose: &mut Loose,
        hash_of: &impl Fn(&[u8]) -> u64,
    ) -> Result<(), StoreError> {
        let owner = match &mut loose.body {
            Body::Large(owner) => *owner,
            Body::Packed(run) => {
                *run = run::without_negative_zeros(run);
                return Ok(());
            }
        };
        let zeros = Bound::Score {
            score: 0.0,
            side: Side::Before,
        };
        let mut names = Vec::new();
        let set = SortedSetView::Large(self.collections.sorted(owner), &self.heap);
        set.walk(&zeros, Direction::Up, &mut |name, score| {
            if score != 0.0 {
                return ControlFlow::Break(());
            }
            if score.is_sign_negative() {
                names.push(name.to_vec());
            }
            ControlFlow::Continue(())
        });
        names.iter().try_for_each(|name| {
            let updated = self.update_scored(owner, hash_of, name, |_| 0.0);
            updated.map(drop)
        })
    }

    /// Adds an element behind the last.
    ///
    /// # Errors
    /// Memory is out, or the list is as long as one may be; then nothing changed.
    pub(crate) fn push_loose(
        &mut self,
        loose: &mut Loose,
        element: &[u8],
    ) -> Result<(), StoreError> {
        let owner = match &mut loose.body {
            Body::Large(owner) => *owner,
            Body::Packed(run) => match push_packed(run, element) {
                true => return Ok(()),
                false => self.unpack_loose(loose, &|_| unreachable!("elements have no names"))?,
            },
        };
        self.change_list(owner, |list, heap| list.push(heap, End::Tail, element))
    }

    /// The number of a stream, which is large from the beginning.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn loose_stream(&mut self, loose: &mut Loose) -> Result<Owner, StoreError> {
        match loose.body {
            Body::Large(owner) => Ok(owner),
            Body::Packed(_) => self.unpack_loose(loose, &|_| unreachable!("it is empty")),
        }
    }

    /// Makes one that is packed large; its number.
    fn unpack_loose(
        &mut self,
        loose: &mut Loose,
        hash_of: &impl Fn(&[u8]) -> u64,
    ) -> Result<Owner, StoreError> {
        let Body::Packed(run) = &loose.body else {
            unreachable!("it is packed");
        };
        let owner = self.create_loose(loose.kind, loose.variant)?;
        let mut unpacked = Ok(());
        if run.is_empty() {
        } else if loose.kind == Kind::List {
            unpacked = self.change_list(owner, |list, heap| list.unpack(heap, Packed::new(run)));
        } else {
            PackedFields::new(run).for_each(|element| {
                if unpacked.is_ok() {
                    let put = self.change_spiral(owner, |spiral, heap| {
                        spiral.put(heap, hash_of, element).map(|_| ())
                    });
                    unpacked = put;
                }
            });
        }
        if let Err(error) = unpacked {
            self.bury_loose(owner);
            return Err(error);
        }
        loose.body = Body::Large(owner);
        Ok(owner)
    }
}

/// Puts a named element into a run, which may become longer; `None` if it is one for nodes.
fn put_packed(run: &mut Vec<u8>, hash: u64, element: &ElementRef<'_>) -> Option<Put> {
    if run.is_empty() {
        run.resize(packed::bytes_alone(element)?, 0);
        packed::clear(run);
    }
    let found = PackedFields::new(run).find(hash, element.name);
    let at = found.map(|(at, _)| at);
    let put = match at {
        None => Put::Added,
        Some(_) => Put::Replaced,
    };
    match packed::put(run, at, hash, element) {
        Written::Done | Written::Shrunk => Some(put),
        Written::Needs(needed, bytes) if needed <= PACKED_HASH_MAX_BYTES => {
            let mut longer = vec![0; bytes.min(PACKED_HASH_MAX_BYTES)];
            packed::copy(run, &mut longer);
            *run = longer;
            match packed::put(run, at, hash, element) {
                Written::Done | Written::Shrunk => Some(put),
                Written::Needs(..) | Written::TooLong => unreachable!("it was given the room"),
            }
        }
        Written::Needs(..) | Written::TooLong => None,
    }
}

/// Adds an element to a run, which may become longer; whether it is none for nodes.
fn push_packed(run: &mut Vec<u8>, element: &[u8]) -> bool {
    if !is_short(element) {
        return false;
    }
    if run.is_empty() {
        run.resize(with_room(RUN_HEADER_BYTES + element.len()), 0);
        PackedMut::empty(run);
    }
    let field = Field::inline(element);
    if !takes(&Packed::new(run), element) {
        return false;
    }
    if PackedMut::new(run).push(End::Tail, field) {
        return true;
    }
    let old = Packed::new(run);
    let used = old.used_with(field.code());
    if used > PACKED_LIST_MAX_BYTES {
        return false;
    }
    let mut longer = vec![0; with_room(2 * used)];
    Layout::new(&[(old, 0..old.len())]).write(&mut longer, End::Tail);
    let pushed = PackedMut::new(&mut longer).push(End::Tail, field);
    assert!(pushed, "it was given the room");
    *run = longer;
    true
}
