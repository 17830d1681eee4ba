//! One entry of the order, in one word.
//!
//! ```text
//!  63     59 58          48 47                                              0
//! [   lap   | coordinator  | the cores concerned, a bit a group of cores     ]   transactions
//! [   lap   | all ones     | milliseconds since the Unix epoch               ]   a tick
//! ```
//! A group is one core as long as there are at most [`GROUPS_MAX`] cores, so that the set is exact. With more, a group is
//! the smallest power of two of neighbouring cores that makes do with so many groups: 2 up to 96 cores, 4 up to 192, 32
//! for 1024. An entry then names some cores that it does not concern; each of them finds that out by one look into its
//! inbox from the coordinator ([`Follower`](super::Follower)), and none of them is woken for it.

use crate::routing::CoreId;

/// Groups of cores that a word can name.
pub const GROUPS_MAX: u32 = 48;

/// Cores that can have a place in the order.
pub const CORES_MAX: u16 = 1024;

const COORDINATOR_SHIFT: u32 = GROUPS_MAX;
const LAP_SHIFT: u32 = 59;
/// Laps that a word can tell apart. Two are needed: no core is ever a whole ring behind.
const LAPS: u64 = 1 << (64 - LAP_SHIFT);
const CONTENT: u64 = (1 << COORDINATOR_SHIFT) - 1;
/// What stands for the coordinator in a tick.
const NOBODY: u64 = (1 << (LAP_SHIFT - COORDINATOR_SHIFT)) - 1;

/// A place in the order of all transactions: the number of its entry, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// Cores named by a word: those concerned, and the others of their groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named(u64);

impl Named {
    /// These and `others`.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// A bit for each group of cores.
    #[inline]
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether one of `others` is among these.
    #[inline]
    #[must_use]
    pub fn has(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// How the cores of a server form groups.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    /// A group is `1 << shift` cores.
    shift: u32,
}

impl Groups {
    /// The groups of a server of `cores` cores.
    ///
    /// # Panics
    /// If there are none, or more than [`CORES_MAX`].
    #[must_use]
    pub fn of(cores: u16) -> Self {
        assert!(
            (1..=CORES_MAX).contains(&cores),
            "a word names from 1 to {CORES_MAX} cores"
        );
        Self::of_width(u32::from(cores).div_ceil(GROUPS_MAX).next_power_of_two())
    }

    /// Groups of `width` cores.
    ///
    /// # Panics
    /// If that is no power of two.
    #[must_use]
    pub fn of_width(width: u32) -> Self {
        assert!(
            width.is_power_of_two(),
            "a core's group is found by a shift"
        );
        Self {
            shift: width.trailing_zeros(),
        }
    }

    /// The group of `core`.
    #[inline]
    #[must_use]
    pub fn naming(self, core: CoreId) -> Named {
        Named(1 << (u32::from(core.0) >> self.shift))
    }

    /// Whether whoever is named is concerned.
    #[inline]
    #[must_use]
    pub fn are_exact(self) -> bool {
        self.shift == 0
    }
}

/// What stands at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Transactions of one core's turn, whose parts are in the mail.
    Transactions {
        /// Who ships the parts and gathers the answers.
        coordinator: CoreId,
        /// Who may have parts.
        named: Named,
    },
    /// From here on this is the time, in milliseconds since the Unix epoch.
    Tick(u64),
}

/// An entry and the lap of the ring in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// The word of `entry` in `lap`.
    #[inline]
    pub(super) fn new(entry: Entry, lap: u64) -> Self {
        let (coordinator, content) = match entry {
            Entry::Transactions { coordinator, named } => (u64::from(coordinator.0), named.0),
            Entry::Tick(ms) => (NOBODY, ms & CONTENT),
        };
        Self(lap << LAP_SHIFT | coordinator << COORDINATOR_SHIFT | content)
    }

    /// What stands in it.
    #[inline]
    pub(super) fn entry(self) -> Entry {
        let content = self.0 & CONTENT;
        match (self.0 >> COORDINATOR_SHIFT) & NOBODY {
            NOBODY => Entry::Tick(content),
            coordinator => Entry::Transactions {
                coordinator: CoreId(coordinator as u16),
                named: Named(content),
            },
        }
    }

    /// The lap in which it was written, as [`lap_of`] counts.
    #[inline]
    pub(super) fn lap(self) -> u64 {
        self.0 >> LAP_SHIFT
    }
}

/// The lap of `position` in a ring of `slots`, as far as a word tells laps apart.
#[inline]
pub(super) fn lap_of(position: u64, slots: usize) -> u64 {
    position / slots as u64 % LAPS
}
