//! Long replies: elements in the form of a reply, made in several steps or rounds, and kept in pieces, so that none is moved when there
//! are more.

use std::fmt::Debug;

use crate::command::{ShardCall, Step, Steps};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Mark, Protocol, REPLY_MAX_BYTES, Reply};

/// Bytes of a piece of a reply, but for what its last element exceeds that by; and how near to that it may end: an element seldom needs
/// more.
const PIECE_BYTES: usize = 256 << 10;
const PIECE_LEFT_BYTES: usize = 512;

/// Elements of a reply.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: Vec<Vec<u8>>,
    count: usize,
    bytes: usize,
}

impl Pieces {
    /// Adds an element, which `write` writes.
    ///
    /// # Errors
    /// They are more than a reply holds.
    pub(super) fn add(
        &mut self,
        protocol: Protocol,
        write: impl FnOnce(&mut Reply<'_>),
    ) -> CommandResult {
        let last = self.pieces.last();
        if last.is_none_or(|last| last.len() + PIECE_LEFT_BYTES >= PIECE_BYTES) {
            self.pieces.push(Vec::with_capacity(PIECE_BYTES / 4));
        }
        let piece = self.pieces.last_mut().expect("there is a piece");
        let before = piece.len();
        write(&mut Reply::new(piece, protocol));
        self.bytes += piece.len() - before;
        self.count += 1;
        match self.bytes > REPLY_MAX_BYTES {
            true => Err(errors::REPLY_TOO_LARGE),
            false => Ok(()),
        }
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many elements there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The reply in pieces, the first of which is what `head` writes.
    pub(super) fn into_reply(
        self,
        protocol: Protocol,
        head: impl FnOnce(&mut Reply<'_>),
    ) -> Vec<Vec<u8>> {
        let mut header = Vec::new();
        head(&mut Reply::new(&mut header, protocol));
        self.into_pieces(header)
    }

    /// Them, behind `head`.
    pub(super) fn into_pieces(self, head: Vec<u8>) -> Vec<Vec<u8>> {
        let mut pieces = self.pieces;
        pieces.insert(0, head);
        pieces
    }

    /// The memory they take.
    pub(super) fn held_bytes(&self) -> usize {
        self.pieces.iter().map(Vec::capacity).sum()
    }
}

/// How much of a reply is written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtOnce {
    /// All of it: the command runs in one step, whatever it takes.
    All,
    /// If it is little. Else it begins again, and is written in steps.
    Little,
}

/// Elements that are written at once, and their bytes, where more are written in steps.
const LITTLE_ELEMENTS: usize = 4096;
const LITTLE_BYTES: usize = 256 << 10;

impl AtOnce {
    /// Whether a reply goes on that has so many elements since it began.
    ///
    /// # Errors
    /// It is more than a reply holds.
    #[inline]
    pub(super) fn goes_on(
        self,
        reply: &Reply<'_>,
        began: Mark,
        elements: usize,
    ) -> Result<bool, ErrorReply> {
        match self {
            Self::All => reply.check_len(began).map(|()| true),
            Self::Little => {
                Ok(elements <= LITTLE_ELEMENTS && reply.len_since(began) <= LITTLE_BYTES)
            }
        }
    }

    /// Whether so many elements are written at once, as far as that is known before.
    #[inline]
    pub(super) fn takes(self, elements: u64) -> bool {
        self == Self::All || elements <= LITTLE_ELEMENTS as u64
    }
}

/// Bytes of elements that one step writes, about.
const STEP_BYTES: usize = 64 << 10;

/// What a reply shows that is written in steps: elements of what its keys have, which are locked.
pub(super) trait Shown: Debug {
    /// Adds elements to those of the step, until it [is full](StepOf::is_full).
    ///
    /// # Errors
    /// The command's reply is this error.
    fn show(&mut self, call: &mut ShardCall<'_>, step: &mut StepOf<'_>)
    -> Result<More, ErrorReply>;

    /// Writes what stands before so many elements.
    fn head(&self, count: usize, reply: &mut Reply<'_>);

    /// Bytes of memory that it holds beside what is shown.
    fn held_bytes(&self) -> usize {
        0
    }
}

/// Whether there are elements behind those that were shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    Yes,
    No,
    /// There are none at all any more: the key has reached its deadline.
    Gone,
}

/// A step's elements.
pub(super) struct StepOf<'a> {
    pieces: &'a mut Pieces,
    protocol: Protocol,
    most_bytes: usize,
}

impl StepOf<'_> {
    /// As [`Pieces::add`].
    ///
    /// # Errors
    /// They are more than a reply holds.
    pub(super) fn add(&mut self, write: impl FnOnce(&mut Reply<'_>)) -> CommandResult {
        self.pieces.add(self.protocol, write)
    }

    /// Whether it has as many as it is to have.
    pub(super) fn is_full(&self) -> bool {
        self.pieces.bytes >= self.most_bytes
    }
}

/// A reply that is written in steps.
#[derive(Debug)]
pub(super) struct InSteps<S> {
    shown: S,
    pieces: Pieces,
}

impl<S: Shown + 'static> InSteps<S> {
    /// Begins it.
    pub(super) fn begin(shown: S) -> Option<Box<dyn Steps>> {
        let pieces = Pieces::default();
        Some(Box::new(Self { shown, pieces }))
    }
}

impl<S: Shown> Steps for InSteps<S> {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let protocol = call.reply.protocol();
        let most_bytes = self.pieces.bytes + STEP_BYTES;
        let mut step = StepOf {
            pieces: &mut self.pieces,
            protocol,
            most_bytes,
        };
        match self.shown.show(call, &mut step)? {
            More::Yes => return Ok(Step::More),
            More::No => {}
            More::Gone => self.pieces = Pieces::default(),
        }
        let pieces = std::mem::take(&mut self.pieces);
        let count = pieces.count;
        Ok(Step::Reply(pieces.into_reply(protocol, |reply| {
            self.shown.head(count, reply);
        })))
    }

    fn held_bytes(&self) -> usize {
        self.pieces.held_bytes() + self.shown.held_bytes()
    }
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    /// A list, a hash and a sorted set of so many elements.
    fn bench(elements: usize) -> Bench {
        let mut bench = Bench::new();
        let numbers: Vec<usize> = (0..elements).collect();
        for some in numbers.chunks(1000) {
            let of = |word: &dyn Fn(&usize) -> String| {
                let words: Vec<String> = some.iter().map(word).collect();
                words.join(" ")
            };
            bench.run(&format!("RPUSH l {}", of(&|n| format!("element:{n}"))));
            bench.run(&format!("HSET h {}", of(&|n| format!("field:{n} {n}"))));
            bench.run(&format!("ZADD z {}", of(&|n| format!("{n} member:{n}"))));
            bench.run(&format!("ZADD n {}", of(&|n| format!("0 {n:06}"))));
        }
        bench
    }

    const LONG: &[&str] = &[
        "LRANGE l 0 -1",
        "LRANGE l 7 -100",
        "HGETALL h",
        "HKEYS h",
        "HVALS h",
        "ZRANGE z 0 -1",
        "ZRANGE z 5 -6 REV WITHSCORES",
        "ZREVRANGE z 0 -1",
        "ZRANGEBYSCORE z (3 +inf WITHSCORES LIMIT 11 9000",
        "ZREVRANGEBYSCORE z 9000 -inf",
        "ZREVRANGEBYSCORE z +inf 10 LIMIT 100 -1",
        "ZRANGEBYLEX n - (009900",
        "ZREVRANGEBYLEX n + [000100 LIMIT 3 9999",
    ];

    #[test]
    fn a_reply_in_steps_is_the_one_that_is_written_at_once() {
        let mut bench = bench(10_000);
        for line in LONG {
            let at_once = bench.run(line);
            let (mut steps, mut held) = (0, 0);
            let in_steps = bench.run_in_steps(line, &mut |_, command| {
                steps += 1;
                // A step's elements, and as much room of the piece that they are in.
                let most = held + 4 * super::STEP_BYTES;
                assert!(command.held_bytes() <= most, "{line}: step {steps}");
                held = command.held_bytes();
            });
            assert!(at_once == in_steps, "{line}");
            assert!(steps >= 2, "{line}: {steps}");
        }
    }

    #[test]
    fn a_reply_of_more_elements_takes_more_steps() {
        let mut steps = [6000, 12_000, 24_000].map(|elements| {
            let mut bench = bench(elements);
            ["LRANGE l 0 -1", "HGETALL h", "ZRANGE z 0 -1 WITHSCORES"].map(|line| {
                let mut steps = 0;
                bench.run_in_steps(line, &mut |_, _| steps += 1);
                steps
            })
        });
        steps[0] = steps[0].map(|steps| steps - 1);
        for at in 0..3 {
            let [few, more, most] = steps.map(|steps| steps[at]);
            assert!(more > few && most > more, "{steps:?}");
            assert!(most >= 3 * few, "{steps:?}");
        }
    }

    #[test]
    fn what_is_little_takes_no_steps() {
        let mut bench = bench(300);
        for line in LONG {
            let (at_once, mut steps) = (bench.run(line), 0);
            assert_eq!(bench.run_in_steps(line, &mut |_, _| steps += 1), at_once);
            assert_eq!(steps, 0, "{line}");
        }
    }

    #[test]
    fn fields_with_deadlines_are_shown_in_steps_too_and_those_that_have_ended_are_not() {
        let mut bench = bench(10_000);
        bench.run("HPEXPIRE h 100 FIELDS 2 field:1 field:2");
        for millis in [0, 100] {
            bench.advance(millis);
            for line in ["HGETALL h", "HKEYS h", "HVALS h"] {
                let (at_once, mut steps) = (bench.run(line), 0);
                let in_steps = bench.run_in_steps(line, &mut |_, _| steps += 1);
                assert!(in_steps == at_once, "{line}");
                assert!(steps >= 2, "{line}: {steps}");
            }
        }
    }

    #[test]
    fn a_key_that_ends_meanwhile_has_nothing_to_show() {
        for (line, key) in [
            ("LRANGE l 0 -1", "l"),
            ("HGETALL h", "h"),
            ("ZRANGE z 0 -1", "z"),
        ] {
            let mut bench = bench(10_000);
            bench.run(&format!("PEXPIRE {key} 10"));
            assert_eq!(bench.run_ending(line, 10), "[]");
        }
    }
}
