//! What quotas have of the contents of a database.

use super::QuotaId;
use super::roster::Roster;
use crate::ContentsId;
use crate::keyspace::Cursor;

/// What a quota has of some contents.
#[derive(Debug)]
pub(crate) struct Share {
    /// Bytes of its entries, as `MEMORY USAGE` has them.
    pub(crate) bytes: u64,
    /// How many there are.
    pub(crate) entries: u64,
    /// How many of them may go.
    pub(crate) may_go: u64,
    /// The identities of those.
    pub(crate) roster: Roster,
}

impl Share {
    /// That of a quota that has nothing.
    const NONE: Self = Self {
        bytes: 0,
        entries: 0,
        may_go: 0,
        roster: Roster::EMPTY,
    };

    /// An entry counts as `is`, no more as `was`.
    ///
    /// # Panics
    /// It counted as more than all do.
    pub(crate) fn recount(&mut self, was: &Counted, is: &Counted) {
        let recounted = |all: u64, was: u64, is: u64| {
            let rest = all.checked_sub(was);
            rest.expect("it was counted before") + is
        };
        self.bytes = recounted(self.bytes, was.bytes, is.bytes);
        self.entries = recounted(self.entries, was.is_there.into(), is.is_there.into());
        self.may_go = recounted(self.may_go, was.may_go.into(), is.may_go.into());
    }
}

/// What an entry counts as; nothing if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) bytes: u64,
    pub(crate) is_there: bool,
    pub(crate) may_go: bool,
}

/// What quotas have of some contents.
#[derive(Debug)]
pub(crate) struct Shares {
    contents: ContentsId,
    /// Where the walk is that counts what was there before; none: all is counted.
    cursor: Option<Cursor>,
    /// How many quotas there are.
    quotas: usize,
    /// What each has; nothing until one has something.
    of: Box<[Share]>,
}

impl Shares {
    /// Of contents of which nothing is counted; they are `empty`, or to be walked.
    pub(crate) fn new(contents: ContentsId, quotas: usize, is_empty: bool) -> Self {
        Self {
            contents,
            cursor: (!is_empty).then_some(Cursor(0)),
            quotas,
            of: Box::default(),
        }
    }

    pub(crate) fn contents(&self) -> ContentsId {
        self.contents
    }

    /// Where the walk goes on that counts what was there before.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// The walk has come so far.
    pub(crate) fn set_cursor(&mut self, cursor: Option<Cursor>) {
        self.cursor = cursor;
    }

    /// Whether the entry of a key with this hash is counted, if there is one.
    pub(crate) fn counts(&self, hash: u64) -> bool {
        self.cursor.is_none_or(|cursor| !cursor.is_before(hash))
    }

    pub(crate) fn of(&self, quota: QuotaId) -> &Share {
        static NONE: Share = Share::NONE;
        self.of.get(quota.index()).unwrap_or(&NONE)
    }

    pub(crate) fn of_mut(&mut self, quota: QuotaId) -> &mut Share {
        if self.of.is_empty() {
            self.of = (0..self.quotas).map(|_| Share::NONE).collect();
        }
        &mut self.of[quota.index()]
    }

    /// Bytes that it holds, but for rosters.
    pub(crate) fn held_bytes(&self) -> u64 {
        size_of_val(&*self.of) as u64
    }

    /// Bytes of its rosters.
    pub(crate) fn roster_bytes(&self) -> u64 {
        self.of.iter().map(|share| share.roster.held_bytes()).sum()
    }

    /// Its rosters, to be given back in steps.
    pub(crate) fn into_rosters(self) -> impl Iterator<Item = Roster> {
        let rosters = self.of.into_vec().into_iter().map(|share| share.roster);
        rosters.filter(|roster| roster.held_bytes() > 0)
    }
}
