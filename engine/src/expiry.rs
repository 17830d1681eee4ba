//! The hand that finds entries past their deadline.
//!
//! It walks the segments of each database in turn, forever. A segment knows a lower bound of its deadlines, so the hand
//! passes those where nothing can be due without touching an entry, and what a cycle costs follows what is due. The bound
//! of a segment is renewed by examining all of it, over several cycles if the budget says so.

use crate::UnixMillis;
use crate::keyspace::{Keyspace, Position};
use crate::memory::Memory;
use crate::raw::Block;

/// Segments passed without examining them that cost as much as one entry examined.
const PASSED_PER_ENTRY: u32 = 8;

/// Where the hand is, and what it found.
pub(crate) struct Hand {
    database: usize,
    /// A position in the segment it is at.
    at: Position,
    due: Vec<Due>,
}

/// An entry found past its deadline.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) database: usize,
    pub(crate) item: Block,
}

impl Hand {
    pub(crate) fn new() -> Self {
        Self {
            database: 0,
            at: Position(0),
            due: Vec::new(),
        }
    }

    /// Takes back the list that [`Self::advance`] gave, for its memory.
    pub(crate) fn recycle(&mut self, mut due: Vec<Due>) {
        due.clear();
        self.due = due;
    }

    /// Examines at most `budget` entries, and those past their deadline are answered, with the number examined. They
    /// must be removed before the hand moves again.
    pub(crate) fn advance(
        &mut self,
        databases: &mut [Keyspace],
        memory: &Memory,
        now: UnixMillis,
        budget: u32,
    ) -> (Vec<Due>, u32) {
        let mut due = std::mem::take(&mut self.due);
        let (mut examined, mut passed) = (0, 0);
        // One whole round, up to the segment it begins with, is the most: seen twice, that segment could answer the same
        // entries twice, as entries it passed in an earlier cycle may have become due since.
        let mut first = None;
        let mut turns_left = databases.len() + 1;
        while examined + passed / PASSED_PER_ENTRY < budget && turns_left > 0 {
            let keyspace = &mut databases[self.database];
            if keyspace.volatile_len() == 0 {
                self.turn(databases.len());
                turns_left -= 1;
                continue;
            }
            let (segment, start, next) = keyspace.segment_at_mut(self.at);
            let here = (self.database, start);
            if first == Some(here) {
                break;
            }
            first.get_or_insert(here);
            if segment.may_be_due(now) {
                let database = self.database;
                let found = &mut |item| due.push(Due { database, item });
                let (more, through) = segment.examine(memory, now, budget - examined, found);
                examined += more;
                if !through {
                    break;
                }
            } else {
                passed += 1;
            }
            match next {
                Some(next) => self.at = next,
                None => {
                    self.turn(databases.len());
                    turns_left -= 1;
                }
            }
        }
        (due, examined)
    }

    /// Goes on to the next database.
    fn turn(&mut self, databases: usize) {
        self.database = (self.database + 1) % databases;
        self.at = Position(0);
    }
}
