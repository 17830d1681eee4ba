//! Looking for the members of a sorted set whose positions lie in a shape.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use larder_engine::{Bound, Direction, Member, Side, SortedSetRef};

use super::area;
use super::around::Around;
use super::earth::Position;
use super::grid::Cell;
use crate::resp::{ErrorReply, REPLY_MAX_BYTES, errors};

/// In which order members are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Nearest,
    Farthest,
}

/// Whether distances are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distances {
    Needed,
    Unneeded,
}

/// A member that was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) position: Position,
    /// Meters from the center; 0 if nobody asks.
    pub(super) distance: f64,
    pub(super) score: f64,
    name: Range<usize>,
}

/// Members that there is room for from the beginning.
const ROOM: u64 = 32;

/// Members that were found, and their names in the memory of one.
#[derive(Debug, Default)]
pub(super) struct Finds {
    found: Vec<Found>,
    names: Vec<u8>,
}

impl Finds {
    /// The members of `set` in a shape; at most so many, whichever come first.
    ///
    /// # Errors
    /// They are more than a reply could hold.
    pub(super) fn look(
        set: SortedSetRef<'_>,
        around: &Around<'_>,
        distances: Distances,
        most: u64,
    ) -> Result<Self, ErrorReply> {
        let mut finds = Self {
            found: Vec::with_capacity(most.min(ROOM) as usize),
            names: Vec::with_capacity(most.min(ROOM) as usize * 16),
        };
        for cell in area::cells(around.shape(), around.center()) {
            if finds.is_full(most) {
                break;
            }
            finds.look_into(set, cell, (around, distances), most);
            if finds.names.len() > REPLY_MAX_BYTES {
                return Err(errors::REPLY_TOO_LARGE);
            }
        }
        Ok(finds)
    }

    fn is_full(&self, most: u64) -> bool {
        self.found.len() as u64 >= most || self.names.len() > REPLY_MAX_BYTES
    }

    fn look_into(
        &mut self,
        set: SortedSetRef<'_>,
        cell: Cell,
        (around, distances): (&Around<'_>, Distances),
        most: u64,
    ) {
        let [least, behind] = cell.scores();
        let from = Bound::Score {
            score: least,
            side: Side::Before,
        };
        set.walk(&from, Direction::Up, &mut |member| {
            if member.score >= behind {
                return ControlFlow::Break(());
            }
            if let Some(position) = around.position_within(member.score) {
                let distance = match distances {
                    Distances::Needed => around.distance(position),
                    Distances::Unneeded => 0.0,
                };
                self.add(&member, position, distance);
            }
            match self.is_full(most) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
    }

    fn add(&mut self, member: &Member<'_>, position: Position, distance: f64) {
        let from = self.names.len();
        self.names.extend_from_slice(member.name);
        self.found.push(Found {
            position,
            distance,
            score: member.score,
            name: from..self.names.len(),
        });
    }

    /// Puts them in an order, and keeps the first `most` of that.
    pub(super) fn arrange(&mut self, order: Option<Order>, most: usize) {
        if let Some(order) = order {
            let compare = |one: &Found, other: &Found| match order {
                Order::Nearest => by_distance(one, other),
                Order::Farthest => by_distance(other, one),
            };
            if most > 0 && most < self.found.len() {
                self.found.select_nth_unstable_by(most - 1, compare);
                self.found.truncate(most);
            }
            self.found.sort_by(compare);
        }
        self.found.truncate(most);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Each with its name, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Found)> {
        self.found
            .iter()
            .map(|found| (&self.names[found.name.clone()], found))
    }
}

/// By distance; those that are as far, in the order in which they were found.
fn by_distance(one: &Found, other: &Found) -> Ordering {
    let by_distance = one.distance.total_cmp(&other.distance);
    by_distance.then(one.name.start.cmp(&other.name.start))
}
