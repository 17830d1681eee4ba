//! Looking for the members of a sorted set whose positions lie in a shape: cell by cell, all at once or some at a time.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use larder_engine::{Bound, Direction, Member, Side, SortedSetRef};

use super::area;
use super::around::Around;
use super::grid::Cell;
use super::request::Request;
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Meters from the center; 0 if nobody asks.
    pub(super) distance: f64,
    pub(super) score: f64,
    /// Where its name begins among the names, and how many bytes that has.
    name: (u32, u32),
}

/// Members that there is room for from the beginning.
const ROOM: u64 = 32;

/// Where so many at most are wanted in an order, those that are too many are left out when they are as many again, and so many besides.
const FEW: usize = 1024;

/// Members that are found, and their names in the memory of one.
#[derive(Debug, Default)]
pub(super) struct Finds {
    found: Vec<Found>,
    names: Vec<u8>,
    order: Option<Order>,
    /// At most so many are wanted: of the order, if there is one.
    most: usize,
    /// Whether more than that are no use.
    is_full_with_most: bool,
    /// With how many those that are too many are left out.
    room: usize,
    /// How far the last one is of those that are wanted, as far as that is known.
    border: Option<f64>,
}

impl Finds {
    /// None, yet, of what a request wants.
    pub(super) fn of(request: &Request) -> Self {
        let most = request.count.unwrap_or(u64::MAX);
        let begun = most.min(ROOM) as usize;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let is_full_with_most = request.any || request.order.is_none();
        Self {
            found: Vec::with_capacity(begun),
            names: Vec::with_capacity(16 * begun),
            order: request.order,
            most,
            is_full_with_most,
            room: match is_full_with_most || most > FEW {
                true => usize::MAX,
                false => 2 * most + FEW,
            },
            border: None,
        }
    }

    /// Whether no more are looked for.
    #[inline]
    fn is_full(&self) -> bool {
        self.is_full_with_most && self.found.len() >= self.most
            || self.names.len() > REPLY_MAX_BYTES
    }

    /// Whether one at this distance may be wanted.
    #[inline]
    fn may_want(&self, distance: f64) -> bool {
        match (self.border, self.order) {
            (Some(border), Some(Order::Nearest)) => distance <= border,
            (Some(border), Some(Order::Farthest)) => distance >= border,
            _ => true,
        }
    }

    fn add(&mut self, member: &Member<'_>, distance: f64) {
        let from = self.names.len() as u32;
        self.names.extend_from_slice(member.name);
        self.found.push(Found {
            distance,
            score: member.score,
            name: (from, member.name.len() as u32),
        });
        if self.found.len() >= self.room {
            self.leave_out();
        }
    }

    /// Leaves out those that are too many.
    #[cold]
    fn leave_out(&mut self) {
        self.truncate();
        let names = std::mem::take(&mut self.names);
        for found in &mut self.found {
            let (from, len) = (found.name.0 as usize, found.name.1 as usize);
            found.name.0 = self.names.len() as u32;
            self.names.extend_from_slice(&names[from..from + len]);
        }
        self.border = self.found.last().map(|found| found.distance);
    }

    /// Keeps the first of the order that are wanted; the last of them comes last.
    fn truncate(&mut self) {
        let (names, most) = (&self.names[..], self.most);
        if most > 0 && most < self.found.len() {
            if let Some(order) = self.order {
                let compare = |one: &Found, other: &Found| compare(names, order, one, other);
                self.found.select_nth_unstable_by(most - 1, compare);
            }
            self.found.truncate(most);
        }
    }

    /// Puts them in their order, if they have one, and keeps those that are wanted.
    pub(super) fn arrange(&mut self) {
        self.truncate();
        if let Some(order) = self.order {
            let names = &self.names[..];
            self.found
                .sort_unstable_by(|one, other| compare(names, order, one, other));
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// At most how many are wanted.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Number `at`, with its name.
    pub(super) fn get(&self, at: usize) -> (&[u8], &Found) {
        let found = &self.found[at];
        (name_in(&self.names, found), found)
    }

    /// Each with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Found)> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// How two of them are to each other in the order.
    pub(super) fn compare(&self, one: usize, other: usize) -> Ordering {
        let order = self.order.unwrap_or(Order::Nearest);
        compare(&self.names, order, &self.found[one], &self.found[other])
    }

    /// The memory they take.
    pub(super) fn held_bytes(&self) -> usize {
        self.found.capacity() * size_of::<Found>() + self.names.capacity()
    }
}

fn name_in<'a>(names: &'a [u8], found: &Found) -> &'a [u8] {
    let (from, len) = found.name;
    &names[from as usize..][..len as usize]
}

/// By distance; those that are as far, by name.
fn compare(names: &[u8], order: Order, one: &Found, other: &Found) -> Ordering {
    let by_distance = match order {
        Order::Nearest => one.distance.total_cmp(&other.distance),
        Order::Farthest => other.distance.total_cmp(&one.distance),
    };
    by_distance.then_with(|| name_in(names, one).cmp(name_in(names, other)))
}

/// A look at the members in the cells that cover a shape, which goes on where it stopped.
#[derive(Debug)]
pub(super) struct Look {
    cells: Vec<Cell>,
    /// The cell that is looked into.
    cell: usize,
    /// The rank of the next member in it, if it has been looked into.
    rank: Option<u64>,
}

/// What finding a member takes beside the look at it, which is one.
const FIND: u64 = 8;

impl Look {
    /// Begins it.
    pub(super) fn new(around: &Around<'_>) -> Self {
        Self {
            cells: area::cells(around.shape(), around.center()),
            cell: 0,
            rank: None,
        }
    }

    /// Goes on from the place of another one, in the same set and at the same shape.
    pub(super) fn from(around: &Around<'_>, (cell, rank): (u64, u64)) -> Self {
        Self {
            cell: cell as usize,
            rank: Some(rank),
            ..Self::new(around)
        }
    }

    /// Where it goes on: the number of a cell, and a rank.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.cell as u64, self.rank.unwrap_or(0))
    }

    /// Looks at so many members that are not found, fewer if some are, and adds those within to what is found. Whether that were all.
    ///
    /// # Errors
    /// They are more than a reply could hold.
    pub(super) fn go_on(
        &mut self,
        set: SortedSetRef<'_>,
        (around, distances): (&Around<'_>, Distances),
        finds: &mut Finds,
        mut left: u64,
    ) -> Result<bool, ErrorReply> {
        while let Some(cell) = self.cells.get(self.cell)
            && !finds.is_full()
        {
            let [least, behind] = cell.scores();
            let from = match self.rank {
                Some(rank) => Bound::Rank(rank),
                None => Bound::Score {
                    score: least,
                    side: Side::Before,
                },
            };
            let (mut seen, mut is_over) = (0, true);
            set.walk(&from, Direction::Up, &mut |member| {
                if member.score >= behind {
                    return ControlFlow::Break(());
                }
                if left == 0 {
                    is_over = false;
                    return ControlFlow::Break(());
                }
                (seen, left) = (seen + 1, left - 1);
                let Some(position) = around.position_within(member.score) else {
                    return ControlFlow::Continue(());
                };
                left = left.saturating_sub(FIND);
                let distance = match distances {
                    Distances::Needed => around.distance(position),
                    Distances::Unneeded => 0.0,
                };
                if finds.may_want(distance) {
                    finds.add(&member, distance);
                }
                match finds.is_full() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            if finds.names.len() > REPLY_MAX_BYTES {
                return Err(errors::REPLY_TOO_LARGE);
            }
            if !is_over {
                let first = self.rank.unwrap_or_else(|| set.rank_of(&from));
                self.rank = Some(first + seen);
                return Ok(false);
            }
            (self.cell, self.rank) = (self.cell + 1, None);
        }
        Ok(true)
    }
}
