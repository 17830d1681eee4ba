//! Which members of a sorted set a command means: a range of ranks, of scores or of names, in which direction, and how many of it.
//!
//! ```text
//!            low bound                      high bound
//!  (2 5      behind all of score 2          behind all of score 5          scores; "(" leaves the bound itself out
//!  [b (d     before b                       before d                       names; "-" before all, "+" behind all
//!  1 -2      before rank 1                  behind the last but one        ranks; negative ones from the end
//! ```
//! A range of names means something where all scores are alike: it is found by them alone.

use std::ops::ControlFlow;

use larder_engine::{
    Bound, Direction, Member, Side, SortedSetRef, parse_canonical_i64, read_double,
};

use super::Parts;
use crate::command::Args;
use crate::command::families::indexes::range_of;
use crate::resp::ErrorReply;
use crate::resp::errors;

/// A range of members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Range<'a> {
    /// From this rank to this, both inclusive, negative ones from the end.
    Ranks(i64, i64),
    Scores(ScoreLimit, ScoreLimit),
    Names(NameLimit<'a>, NameLimit<'a>),
}

/// An end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ScoreLimit {
    score: f64,
    is_open: bool,
}

/// An end of a range of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameLimit<'a> {
    /// Before all.
    Lowest,
    /// Behind all.
    Highest,
    Name {
        name: &'a [u8],
        is_open: bool,
    },
}

/// Which end of a range a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Low,
    High,
}

/// The side of a limit on which its range ends: an open low one, and a closed high one, ends behind what it names.
fn side_of(is_open: bool, which: Which) -> Side {
    match is_open == (which == Which::Low) {
        true => Side::After,
        false => Side::Before,
    }
}

impl ScoreLimit {
    /// Reads one. As in Redis, the text ends at a zero byte, and nothing is zero.
    fn parse(text: &[u8]) -> Option<Self> {
        let (is_open, text) = match text {
            [b'(', text @ ..] => (true, text),
            text => (false, text),
        };
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let is_hexadecimal = text.iter().any(|byte| byte | 0x20 == b'x');
        let score = match read_double(text) {
            _ if text.is_empty() => 0.0,
            Some((score, len)) if len == text.len() && !score.is_nan() && !is_hexadecimal => score,
            _ => return None,
        };
        Some(Self { score, is_open })
    }

    fn bound(self, which: Which) -> Bound<'static> {
        Bound::Score {
            score: self.score,
            side: side_of(self.is_open, which),
        }
    }
}

impl<'a> NameLimit<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            [b'-'] | [b'-', 0, ..] => Some(Self::Lowest),
            [b'+'] | [b'+', 0, ..] => Some(Self::Highest),
            [b'[', name @ ..] => Some(Self::Name {
                name,
                is_open: false,
            }),
            [b'(', name @ ..] => Some(Self::Name {
                name,
                is_open: true,
            }),
            _ => None,
        }
    }

    fn bound(self, which: Which) -> Bound<'a> {
        match self {
            Self::Lowest => Bound::Start,
            Self::Highest => Bound::End,
            Self::Name { name, is_open } => Bound::Name {
                name,
                side: side_of(is_open, which),
            },
        }
    }
}

impl<'a> Range<'a> {
    /// A range of ranks.
    pub(super) fn of_ranks(first: &[u8], last: &[u8]) -> Result<Self, ErrorReply> {
        let rank = |text| parse_canonical_i64(text).ok_or(errors::NOT_AN_INTEGER);
        Ok(Self::Ranks(rank(first)?, rank(last)?))
    }

    /// A range of scores.
    pub(super) fn of_scores(min: &[u8], max: &[u8]) -> Result<Self, ErrorReply> {
        let limit = |text| ScoreLimit::parse(text).ok_or(errors::BAD_SCORE_RANGE);
        Ok(Self::Scores(limit(min)?, limit(max)?))
    }

    /// A range of names.
    pub(super) fn of_names(min: &'a [u8], max: &'a [u8]) -> Result<Self, ErrorReply> {
        let limit = |text| NameLimit::parse(text).ok_or(errors::BAD_NAME_RANGE);
        Ok(Self::Names(limit(min)?, limit(max)?))
    }

    /// The ranks of its members.
    pub(super) fn ranks_in(&self, set: SortedSetRef<'_>) -> std::ops::Range<u64> {
        match self {
            Self::Ranks(first, last) => range_of(*first, *last, set.len()),
            Self::Scores(..) | Self::Names(..) => {
                let ranks = [Which::Low, Which::High].map(|which| set.rank_of(&self.bound(which)));
                ranks[0]..ranks[1]
            }
        }
    }

    /// An end of a range that is none of ranks.
    fn bound(&self, which: Which) -> Bound<'a> {
        match (self, which) {
            (Self::Ranks(..), _) => unreachable!("ranks are counted"),
            (Self::Scores(low, _), Which::Low) => low.bound(which),
            (Self::Scores(_, high), Which::High) => high.bound(which),
            (Self::Names(low, _), Which::Low) => low.bound(which),
            (Self::Names(_, high), Which::High) => high.bound(which),
        }
    }
}

/// Whether a member stands behind a bound.
fn is_behind(member: &Member<'_>, bound: &Bound<'_>) -> bool {
    match *bound {
        Bound::Start => true,
        Bound::End => false,
        Bound::Rank(_) => unreachable!("ranks are counted"),
        Bound::Score { score, side } => match side {
            Side::Before => member.score >= score,
            Side::After => member.score > score,
        },
        Bound::Name { name, side } => match side {
            Side::Before => member.name >= name,
            Side::After => member.name > name,
        },
    }
}

/// What the arguments of a command say already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// `ZRANGE`: nothing.
    Any,
    /// `ZRANGESTORE`: nothing; and nothing is shown.
    Stored,
    /// `ZREVRANGE`.
    RanksDown,
    /// `ZRANGEBYSCORE`, `ZREVRANGEBYSCORE`.
    Scores(Direction),
    /// `ZRANGEBYLEX`, `ZREVRANGEBYLEX`.
    Names(Direction),
}

/// By what members are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Name,
}

/// Members that are chosen, in an order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Selection<'a> {
    range: Range<'a>,
    direction: Direction,
    /// How many of the range are passed over.
    offset: i64,
    /// How many are chosen at most; all, if negative.
    count: i64,
    pub(super) parts: Parts,
}

impl<'a> Selection<'a> {
    /// Reads the arguments behind the key, which is argument `key_at`.
    pub(super) fn parse(
        args: &Args<'a>,
        key_at: usize,
        grammar: Grammar,
    ) -> Result<Self, ErrorReply> {
        let (mut by, mut direction) = match grammar {
            Grammar::Any | Grammar::Stored => (By::Rank, Direction::Up),
            Grammar::RanksDown => (By::Rank, Direction::Down),
            Grammar::Scores(direction) => (By::Score, direction),
            Grammar::Names(direction) => (By::Name, direction),
        };
        let is_free = matches!(grammar, Grammar::Any | Grammar::Stored);
        let (mut offset, mut count, mut with_scores) = (0, -1, false);
        let mut chosen_by = None;
        let mut at = key_at + 3;
        while at < args.len() {
            match () {
                () if grammar != Grammar::Stored && args.is(at, "withscores") => with_scores = true,
                () if args.is(at, "limit") && at + 2 < args.len() => {
                    (offset, count) = (args.integer(at + 1)?, args.integer(at + 2)?);
                    at += 2;
                }
                () if is_free && direction == Direction::Up && args.is(at, "rev") => {
                    direction = Direction::Down;
                }
                () if is_free && chosen_by.is_none() && args.is(at, "bylex") => {
                    chosen_by = Some(By::Name);
                }
                () if is_free && chosen_by.is_none() && args.is(at, "byscore") => {
                    chosen_by = Some(By::Score);
                }
                () => return Err(errors::SYNTAX),
            }
            at += 1;
        }
        by = chosen_by.unwrap_or(by);
        if count != -1 && by == By::Rank {
            return Err(errors::LIMIT_OF_RANKS);
        }
        if with_scores && by == By::Name {
            return Err(errors::SCORES_OF_NAMES);
        }
        let (mut min, mut max) = (args.at(key_at + 1), args.at(key_at + 2));
        if direction == Direction::Down && by != By::Rank {
            (min, max) = (max, min);
        }
        let range = match by {
            By::Rank => Range::of_ranks(min, max)?,
            By::Score => Range::of_scores(min, max)?,
            By::Name => Range::of_names(min, max)?,
        };
        Ok(Self {
            range,
            direction,
            offset,
            count,
            parts: Parts::with_scores(with_scores),
        })
    }

    /// How many members are likely to be chosen: as many, if they are chosen by rank.
    pub(super) fn expected(&self, set: SortedSetRef<'_>) -> usize {
        let expected = match self.range {
            Range::Ranks(..) => {
                let ranks = self.range.ranks_in(set);
                ranks.end - ranks.start
            }
            Range::Scores(..) | Range::Names(..) => {
                u64::try_from(self.count).map_or(set.len(), |count| count.min(set.len()))
            }
        };
        expected as usize
    }

    /// Shows each member that is chosen, until `show` breaks.
    pub(super) fn each(
        &self,
        set: SortedSetRef<'_>,
        show: &mut dyn FnMut(&Member<'_>) -> ControlFlow<()>,
    ) {
        if let Some((from, left)) = self.begin(set) {
            let _ = self.walk(set, &from, left, show);
        }
    }

    /// Where the chosen ones begin, and how many there are at most; `None`: there are none.
    fn begin(&self, set: SortedSetRef<'_>) -> Option<(Bound<'a>, u64)> {
        if let Range::Ranks(..) = self.range {
            let ranks = self.range.ranks_in(set);
            let from = match self.direction {
                Direction::Up => ranks.start,
                Direction::Down => set.len() - ranks.start,
            };
            let left = ranks.end - ranks.start;
            return (left > 0).then_some((Bound::Rank(from), left));
        }
        let offset = u64::try_from(self.offset).ok()?;
        if offset > 0 && offset >= set.len() {
            return None;
        }
        let near = self.range.bound(match self.direction {
            Direction::Up => Which::Low,
            Direction::Down => Which::High,
        });
        let from = self.behind(set, near, offset)?;
        let left = u64::try_from(self.count).unwrap_or(u64::MAX);
        (left > 0).then_some((from, left))
    }

    /// Shows those from a place on, until `show` breaks; `left` are left at most. Whether it was `show` that ended it.
    fn walk(
        &self,
        set: SortedSetRef<'_>,
        from: &Bound<'_>,
        mut left: u64,
        show: &mut dyn FnMut(&Member<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let far = match (self.range, self.direction) {
            (Range::Ranks(..), Direction::Up) => Bound::End,
            (Range::Ranks(..), Direction::Down) => Bound::Start,
            (_, Direction::Up) => self.range.bound(Which::High),
            (_, Direction::Down) => self.range.bound(Which::Low),
        };
        let mut ended = ControlFlow::Continue(());
        set.walk(from, self.direction, &mut |member| {
            if is_behind(&member, &far) == (self.direction == Direction::Up) {
                return ControlFlow::Break(());
            }
            ended = show(&member);
            ended?;
            left -= 1;
            match left {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        ended
    }

    /// The place `offset` members from a bound on; `None`: there are fewer.
    fn behind<'b>(
        &self,
        set: SortedSetRef<'_>,
        bound: Bound<'b>,
        offset: u64,
    ) -> Option<Bound<'b>> {
        if offset == 0 {
            return Some(bound);
        }
        let rank = set.rank_of(&bound);
        let rank = match self.direction {
            Direction::Up => rank + offset,
            Direction::Down => rank.checked_sub(offset)?,
        };
        (rank <= set.len()).then_some(Bound::Rank(rank))
    }

    /// Shows those from a place on, in which they are passed one after the other, until `show` breaks; whether there may be more.
    pub(super) fn each_from(
        &self,
        set: SortedSetRef<'_>,
        place: &mut Place,
        show: &mut dyn FnMut(&Member<'_>) -> ControlFlow<()>,
    ) -> bool {
        let (rank, left) = match *place {
            Place::At { rank, left } => (rank, left),
            Place::Start => match self.begin(set) {
                Some((from, left)) => (set.rank_of(&from), left),
                None => return false,
            },
        };
        let mut shown = 0;
        let ended = self.walk(set, &Bound::Rank(rank), left, &mut |member| {
            shown += 1;
            show(member)
        });
        let rank = match self.direction {
            Direction::Up => rank + shown,
            Direction::Down => rank - shown,
        };
        let left = left - shown;
        *place = Place::At { rank, left };
        ended.is_break() && left > 0
    }
}

/// Where a walk over what is chosen of a sorted set goes on, as long as that does not change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    #[default]
    Start,
    /// At this rank, with so many left at most.
    At { rank: u64, left: u64 },
}

impl Place {
    /// As bytes, for who asks for more: none for the start.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Start => Vec::new(),
            Self::At { rank, left } => [rank.to_le_bytes(), left.to_le_bytes()].concat(),
        }
    }

    /// What [`Self::to_bytes`] made of one.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        match bytes.as_chunks() {
            ([], _) => Self::Start,
            (&[rank, left], []) => Self::At {
                rank: u64::from_le_bytes(rank),
                left: u64::from_le_bytes(left),
            },
            _ => unreachable!("a place has two words"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_scores_are_read_as_redis_reads_them() {
        for (text, score, is_open) in [
            (&b"5"[..], 5.0, false),
            (b"(5.5", 5.5, true),
            (b"+inf", f64::INFINITY, false),
            (b"(-Infinity", f64::NEG_INFINITY, true),
            (b"", 0.0, false),
            (b"(", 0.0, true),
            (b"1e400", f64::INFINITY, false),
            (b"7\0x", 7.0, false),
        ] {
            let limit = ScoreLimit::parse(text);
            assert_eq!(limit, Some(ScoreLimit { score, is_open }), "{text:?}");
        }
        for text in [
            &b"a"[..],
            b"(a",
            b"[5",
            b"nan",
            b" 1",
            b"1 ",
            b"0x10",
            b"((5",
            b"-",
        ] {
            assert_eq!(ScoreLimit::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn limits_of_names_are_marked() {
        let named = |name, is_open| Some(NameLimit::Name { name, is_open });
        for (text, expected) in [
            (&b"-"[..], Some(NameLimit::Lowest)),
            (b"+", Some(NameLimit::Highest)),
            (b"[", named(&b""[..], false)),
            (b"[a", named(b"a", false)),
            (b"(-", named(b"-", true)),
            (b"a", None),
            (b"", None),
            (b"-x", None),
        ] {
            assert_eq!(NameLimit::parse(text), expected, "{text:?}");
        }
    }
}
