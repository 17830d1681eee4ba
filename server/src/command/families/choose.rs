//! Elements of a collection chosen at random: `HRANDFIELD`, `SRANDMEMBER`, `ZRANDMEMBER`.
//!
//! Different ones are chosen by drawing until there are enough, if they are few of many; else in one walk over all,
//! in which each is taken with the probability *still wanted / still to come* (Knuth, TAOCP 2, 3.4.2, algorithm S).
//! Neither needs memory for the whole.
//!
//! The number of elements may count some that are not shown, fields past their deadline. A walk that comes short for that has seen how
//! many there are, and is done again; one who draws and finds too few of them lists those that are there.

mod steps;

use std::collections::HashSet;
use std::fmt::Debug;

use larder_engine::{DbIndex, Key, Shard, WrongType};

use super::counts;
use super::pieces::AtOnce;
use crate::command::{Args, Random, Steps};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Mark, REPLY_MAX_BYTES, Reply};

/// Draws for each element wanted, before it is chosen in another way: most are not shown, or taken already.
const DRAWS_EACH_MAX: usize = 16;

/// Elements are drawn if at most one of so many is wanted.
const DRAWN_OF: u64 = 4;

/// Fewest bytes of an element in a reply.
pub(super) const ELEMENT_MIN_BYTES: u64 = b"$0\r\n\r\n".len() as u64;

/// What elements are chosen from.
pub(super) trait ChosenFrom<'a>: Copy {
    /// One of them.
    type Element: Copy;

    /// How many there are, those that are not shown included.
    fn len(self) -> u64;

    /// One chosen by `random`; `None` if there is none, or that one is not shown.
    fn random(self, random: u64) -> Option<Self::Element>;

    /// Shows each.
    fn each(self, show: &mut dyn FnMut(Self::Element));

    /// Shows some from a cursor, zero at first, on; where to go on, if there are others. Each is shown once while nothing changes.
    fn scan(self, cursor: u64, show: &mut dyn FnMut(Self::Element)) -> Option<u64>;

    /// Whether some may not be shown.
    fn may_hide(self) -> bool {
        false
    }

    /// What tells one from the others.
    fn name(element: &Self::Element) -> &'a [u8];
}

/// What is asked for with a count, of elements that have a name and something else.
pub(super) struct Wanted {
    /// So many different ones; if negative, so many whether different or not.
    pub(super) count: i64,
    /// Whether what belongs to the names is shown as well.
    pub(super) shows_both: bool,
}

impl Wanted {
    /// Reads the arguments behind the key; `word` asks for both. `None` without a count.
    pub(super) fn parse(args: &Args<'_>, word: &str) -> Result<Option<Self>, ErrorReply> {
        if args.len() == 2 {
            return Ok(None);
        }
        let count = counts::to_choose(args, 2)?;
        let shows_both = match args.len() {
            3 => false,
            4 if args.is(3, word) => true,
            _ => return Err(errors::SYNTAX),
        };
        if shows_both && count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(errors::VALUE_OUT_OF_RANGE);
        }
        Ok(Some(Self { count, shows_both }))
    }
}

/// A type whose elements are chosen, and what is shown of each.
pub(super) trait Chooses: Debug + 'static {
    /// What they are chosen from.
    type From<'a>: ChosenFrom<'a>;

    /// What is at a key, which has been looked up before.
    ///
    /// # Errors
    /// It is of another type.
    fn at<'a>(
        shard: &'a mut Shard,
        db: DbIndex,
        key: Key<'_>,
    ) -> Result<Option<Self::From<'a>>, WrongType>;

    /// Replies that each is.
    fn replies_each(&self, reply: &Reply<'_>) -> usize;

    /// Writes one.
    fn write<'a>(
        &self,
        reply: &mut Reply<'_>,
        element: &<Self::From<'a> as ChosenFrom<'a>>::Element,
    );
}

/// Elements that one look of a walk shows, about.
pub(super) const SCAN_ELEMENTS: usize = 16;

/// Answers a command that chooses several, of what is `from`, at once or in steps: the key is argument 1.
///
/// # Errors
/// They are more than a reply holds.
pub(super) fn begin<C: Chooses>(
    chooses: C,
    from: C::From<'_>,
    count: i64,
    (random, reply): (&mut Random, &mut Reply<'_>),
    at_once: AtOnce,
) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
    check_count(count)?;
    if at_once == AtOnce::Little
        && let Some(manner) = steps::Manner::of(from, count)
    {
        return Ok(steps::begin(chooses, manner));
    }
    several(&chooses, from, count, random, reply)?;
    Ok(None)
}

fn check_count(count: i64) -> CommandResult {
    match count < 0 && count.unsigned_abs() > REPLY_MAX_BYTES as u64 / ELEMENT_MIN_BYTES {
        true => Err(errors::REPLY_TOO_LARGE),
        false => Ok(()),
    }
}

/// One element; `None` if there is none.
pub(super) fn one<'a, C: ChosenFrom<'a>>(from: C, random: &mut Random) -> Option<C::Element> {
    Drawing::new(from).draw(random)
}

/// Replies with `count` different elements, or all; if negative, with so many, each chosen from all.
///
/// # Errors
/// They are more than a reply holds.
fn several<'a, C: Chooses>(
    chooses: &C,
    from: C::From<'a>,
    count: i64,
    random: &mut Random,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let replies_each = chooses.replies_each(reply);
    let wanted = count.unsigned_abs();
    let began = reply.mark();
    let expected = if count < 0 {
        wanted
    } else {
        wanted.min(from.len())
    };
    let array = reply.begin_array(expected as usize * replies_each);
    let mut chosen = Chosen {
        began,
        elements: reply.mark(),
        reply: reply.reborrow(),
        written: 0,
        write: |reply: &mut Reply<'_>, element: &<C::From<'a> as ChosenFrom<'a>>::Element| {
            chooses.write(reply, element);
        },
    };
    if count < 0 {
        repeated(from, wanted, random, &mut chosen)?;
    } else {
        different(from, wanted, random, &mut chosen)?;
    }
    let written = chosen.written;
    reply.end(array, written * replies_each);
    Ok(())
}

/// The elements chosen so far, in the reply.
struct Chosen<'a, W> {
    reply: Reply<'a>,
    /// Where the reply begins.
    began: Mark,
    /// Where its elements begin.
    elements: Mark,
    written: usize,
    write: W,
}

impl<W> Chosen<'_, W> {
    fn write<E>(&mut self, element: &E) -> CommandResult
    where
        W: Fn(&mut Reply<'_>, &E),
    {
        (self.write)(&mut self.reply, element);
        self.written += 1;
        self.reply.check_len(self.began)
    }

    /// Takes all of them back.
    fn clear(&mut self) {
        self.reply.rewind(self.elements);
        self.written = 0;
    }
}

/// Draws elements, each time from all.
struct Drawing<'a, C: ChosenFrom<'a>> {
    from: C,
    /// Those that are shown, once too few of them were drawn.
    listed: Option<Vec<C::Element>>,
}

impl<'a, C: ChosenFrom<'a>> Drawing<'a, C> {
    fn new(from: C) -> Self {
        Self { from, listed: None }
    }

    /// An element; `None` if there is none.
    fn draw(&mut self, random: &mut Random) -> Option<C::Element> {
        if self.listed.is_none() {
            for _ in 0..DRAWS_EACH_MAX {
                if let Some(element) = self.from.random(random.draw()) {
                    return Some(element);
                }
            }
        }
        let listed = self.listed.get_or_insert_with(|| {
            let mut listed = Vec::new();
            self.from.each(&mut |element| listed.push(element));
            listed
        });
        let at = random.draw().checked_rem(listed.len() as u64)?;
        Some(listed[at as usize])
    }
}

/// Chooses `count` elements, each from all.
fn repeated<'a, C: ChosenFrom<'a>, W: Fn(&mut Reply<'_>, &C::Element)>(
    from: C,
    count: u64,
    random: &mut Random,
    chosen: &mut Chosen<'_, W>,
) -> CommandResult {
    let mut drawing = Drawing::new(from);
    for _ in 0..count {
        match drawing.draw(random) {
            Some(element) => chosen.write(&element)?,
            None => break,
        }
    }
    Ok(())
}

/// Chooses `count` different elements, or all.
fn different<'a, C: ChosenFrom<'a>, W: Fn(&mut Reply<'_>, &C::Element)>(
    from: C,
    count: u64,
    random: &mut Random,
    chosen: &mut Chosen<'_, W>,
) -> CommandResult {
    let len = from.len();
    if count <= len / DRAWN_OF && draw_different(from, count, random, chosen)? {
        return Ok(());
    }
    chosen.clear();
    let there = walk(from, count, len, random, chosen)?;
    if (chosen.written as u64) < count.min(there) {
        chosen.clear();
        walk(from, count, there, random, chosen)?;
    }
    Ok(())
}

/// Draws until there are `count` different elements; false if there are too few at the last.
fn draw_different<'a, C: ChosenFrom<'a>, W: Fn(&mut Reply<'_>, &C::Element)>(
    from: C,
    count: u64,
    random: &mut Random,
    chosen: &mut Chosen<'_, W>,
) -> Result<bool, ErrorReply> {
    let mut taken = HashSet::with_capacity(count as usize);
    for _ in 0..count as usize * DRAWS_EACH_MAX {
        if taken.len() as u64 == count {
            break;
        }
        if let Some(element) = from.random(random.draw())
            && taken.insert(C::name(&element))
        {
            chosen.write(&element)?;
        }
    }
    Ok(taken.len() as u64 == count)
}

/// Walks over `len` elements and chooses `count` of them, or all; how many there are.
fn walk<'a, C: ChosenFrom<'a>, W: Fn(&mut Reply<'_>, &C::Element)>(
    from: C,
    count: u64,
    len: u64,
    random: &mut Random,
    chosen: &mut Chosen<'_, W>,
) -> Result<u64, ErrorReply> {
    let mut wanted = count.min(len);
    let mut seen = 0;
    let mut done = Ok(());
    from.each(&mut |element| {
        let to_come = len - seen;
        seen += 1;
        if done.is_ok() && random.draw() % to_come < wanted {
            wanted -= 1;
            done = chosen.write(&element);
        }
    });
    done?;
    Ok(seen)
}
