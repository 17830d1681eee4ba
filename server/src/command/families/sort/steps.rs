//! `SORT` of many elements on one core, in steps: they are copied, weighed, sorted, and shown or stored, some at a time, while the keys
//! are locked. Where patterns name other keys, which may be any, all keys are locked to be read.

use std::ops::ControlFlow;

use larder_engine::{Access, Bound, Direction, End, Kind, LooseId, Shard};

use super::options::{By, Options};
use super::order::{Weights, number};
use super::pattern::{Pattern, PatternedKey};
use super::texts::Texts;
use super::{Place, drop_if_failed, remove_or_put};
use crate::command::families::merge::Sorting;
use crate::command::families::pieces::Pieces;
use crate::command::{ShardCall, Step, Steps};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// Elements that are sorted at once, and those for which other keys are looked at; bytes of either's elements, about.
const AT_ONCE: usize = 2048;
const AT_ONCE_NAMING: usize = 256;
const AT_ONCE_BYTES: u64 = 256 << 10;

/// Elements that one step looks at, and bytes of them, about.
const STEP_ELEMENTS: usize = 1024;
const STEP_BYTES: usize = 64 << 10;

/// Begins, if what is to be sorted is much.
pub(super) fn begin(call: &mut ShardCall<'_>, options: &Options) -> Option<Box<dyn Steps>> {
    let key = call.key(1);
    let entry = call.shard.get(call.db, key, Access::Peek)?;
    let (kind, len, bytes) = (entry.kind(), entry.elements(), entry.value_bytes());
    let is_sorted = matches!(kind, Kind::List | Kind::Set | Kind::SortedSet);
    // A set has no order of its own.
    let has_order = matches!(options.by, By::Nothing) && kind != Kind::Set;
    let wanted = match has_order {
        true => options.range(len as usize),
        false => 0..len as usize,
    };
    let bytes = bytes / len.max(1) * wanted.len() as u64;
    let at_once = match options.names_other_keys() {
        true => AT_ONCE_NAMING,
        false => AT_ONCE,
    };
    if !is_sorted || wanted.len() <= at_once && bytes <= AT_ONCE_BYTES {
        return None;
    }
    call.shard.read(call.db, key, call.access);
    call.stats.count_lookup((call.db, key.bytes()), true);
    Some(Box::new(InSteps {
        is_reversed: has_order && options.is_descending,
        has_order,
        left: wanted.len() as u64,
        elements: Texts::default(),
        weights: Texts::default(),
        numbers: Vec::new(),
        options: options.clone(),
        stage: Stage::Load {
            from: wanted.start as u64,
        },
    }))
}

/// What is done in the next step.
#[derive(Debug)]
enum Stage {
    /// Elements are copied, from this one on; of a set, from a cursor.
    Load {
        from: u64,
    },
    /// What they are sorted by is looked up, and its numbers are read.
    Weigh,
    Sort(Sorting),
    /// What was found, from the place `next` of the order on, is shown or stored.
    Show {
        order: Vec<usize>,
        next: usize,
        shown: Pieces,
    },
    Store {
        order: Vec<usize>,
        next: usize,
        gathered: LooseId,
        at: usize,
    },
}

#[derive(Debug)]
struct InSteps {
    options: Options,
    /// Whether the elements stay in the order that they have, and whether that is taken from its end on.
    has_order: bool,
    is_reversed: bool,
    /// Elements that are still to be copied, of what has an order.
    left: u64,
    elements: Texts,
    /// What other keys hold that they are sorted by.
    weights: Texts,
    numbers: Vec<f64>,
    stage: Stage,
}

impl InSteps {
    /// Copies more elements, from a place on; where the next are.
    fn load(&mut self, call: &mut ShardCall<'_>, from: u64) -> Result<Option<u64>, ErrorReply> {
        let key = call.key(1);
        let (db, shard) = (call.db, &mut *call.shard);
        let kind = shard.get(db, key, Access::Peek).map(|entry| entry.kind());
        let before = (self.elements.len(), self.elements.bytes());
        let elements = &mut self.elements;
        let mut take = |element: &[u8]| {
            elements.push(Some(element));
            elements.len() - before.0 < STEP_ELEMENTS && elements.bytes() - before.1 < STEP_BYTES
        };
        let next = match kind {
            Some(Kind::List) => {
                let list = shard.list(db, key, Access::Peek)?.expect("it is there");
                let (first, end) = match self.is_reversed {
                    false => (from, End::Head),
                    true => (u64::from(list.len()) - 1 - from, End::Tail),
                };
                let mut left = self.left;
                list.walk(first as u32, end, |_, element| {
                    left -= 1;
                    take(element) && left > 0
                });
                (left > 0).then_some(from + (self.left - left))
            }
            Some(Kind::SortedSet) => {
                let set = shard.sorted_set(db, key, Access::Peek)?;
                let set = set.expect("it is there");
                let (bound, direction) = match self.is_reversed {
                    false => (from, Direction::Up),
                    true => (set.len() - from, Direction::Down),
                };
                let mut left = self.left;
                set.walk(&Bound::Rank(bound), direction, &mut |member| {
                    left -= 1;
                    match take(member.name) && left > 0 {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    }
                });
                (left > 0).then_some(from + (self.left - left))
            }
            Some(Kind::Set) => {
                let set = shard.set_at(db, key, Access::Peek)?;
                let set = set.expect("it is there");
                let (mut next, mut goes_on) = (Some(from), true);
                while let Some(cursor) = next.filter(|_| goes_on) {
                    next = set.scan(cursor, 16, &mut |member| goes_on = take(member));
                }
                next
            }
            _ => {
                // It has reached its deadline.
                self.elements = Texts::default();
                None
            }
        };
        let loaded = self.elements.len().saturating_sub(before.0);
        self.left = self.left.saturating_sub(loaded as u64);
        self.elements.check_beside(0)?;
        Ok(next)
    }

    /// All elements are there.
    fn loaded(&mut self, shard: &mut Shard) -> Stage {
        let len = self.elements.len();
        match () {
            () if self.has_order => self.sorted((0..len).collect(), shard),
            // The members of a set that nothing orders are ordered as texts.
            () if self.is_by_text() && self.named().is_none() => Stage::Sort(Sorting::new(len)),
            () => Stage::Weigh,
        }
    }

    fn is_by_text(&self) -> bool {
        self.options.is_alphabetic || matches!(self.options.by, By::Nothing)
    }

    /// What names the keys that they are sorted by, if others are.
    fn named(&self) -> Option<&PatternedKey> {
        match &self.options.by {
            By::Pattern(Pattern::Key(pattern)) => Some(pattern),
            _ => None,
        }
    }

    /// Looks up more of what they are sorted by, and reads their numbers; whether that is all.
    ///
    /// # Errors
    /// It is too much, or no number.
    fn weigh(&mut self, call: &mut ShardCall<'_>) -> Result<bool, ErrorReply> {
        let (named, mut key) = (self.named().cloned(), Vec::new());
        let begun = match named {
            Some(_) => self.weights.len(),
            None => self.numbers.len(),
        };
        let (mut place, before) = (place(call), self.weights.bytes());
        for at in (begun..self.elements.len()).take(STEP_ELEMENTS) {
            let element = self.elements.get(at);
            let weight = match &named {
                Some(pattern) => {
                    let weights = &mut self.weights;
                    pattern.name(element.unwrap_or_default(), &mut key);
                    place.value(&key, pattern.field(), |value| weights.push(value));
                    weights.check_beside(self.elements.bytes())?;
                    weights.get(at)
                }
                None => element,
            };
            if !self.options.is_alphabetic {
                self.numbers
                    .push(number(weight).ok_or(errors::SORT_WEIGHTS)?);
            }
            if self.weights.bytes() - before > STEP_BYTES {
                break;
            }
        }
        Ok(self.elements.len() == self.numbers.len().max(self.weights.len()))
    }

    /// All are in order: what is wanted of them is shown or stored.
    fn sorted(&self, mut order: Vec<usize>, shard: &mut Shard) -> Stage {
        if !self.has_order {
            let wanted = self.options.range(order.len());
            order.truncate(wanted.end);
            order.drain(..wanted.start);
        }
        let next = 0;
        match self.options.store {
            None => Stage::Show {
                order,
                next,
                shown: Pieces::default(),
            },
            Some(at) => Stage::Store {
                order,
                next,
                gathered: shard.begin_loose(Kind::List, None),
                at,
            },
        }
    }
}

/// Where values are read.
fn place<'a>(call: &'a mut ShardCall<'_>) -> Place<'a> {
    Place {
        shard: &mut *call.shard,
        stats: &mut *call.stats,
        db: call.db,
        access: call.access,
    }
}

/// Takes what is answered for the next elements in order, as many as one step takes.
///
/// # Errors
/// That of `take`.
fn take_values(
    call: &mut ShardCall<'_>,
    (elements, options): (&Texts, &Options),
    (order, next): (&[usize], &mut usize),
    take: &mut dyn FnMut(Option<&[u8]>) -> CommandResult,
) -> CommandResult {
    let (mut place, mut bytes) = (place(call), 0);
    for &at in order[*next..].iter().take(STEP_ELEMENTS) {
        let mut taken = Ok(());
        let mut take = |value: Option<&[u8]>| {
            bytes += value.map_or(0, <[u8]>::len);
            if taken.is_ok() {
                taken = take(value);
            }
        };
        if options.gets.is_empty() {
            take(Some(elements.get(at).unwrap_or_default()));
        }
        for get in &options.gets {
            place.get(elements, at, get, &mut take);
        }
        taken?;
        *next += 1;
        if bytes > STEP_BYTES {
            break;
        }
    }
    Ok(())
}

impl Steps for InSteps {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        let protocol = call.reply.protocol();
        match &mut self.stage {
            Stage::Load { from } => {
                let from = *from;
                self.stage = match self.load(call, from)? {
                    Some(from) => Stage::Load { from },
                    None => self.loaded(call.shard),
                };
            }
            Stage::Weigh => {
                if self.weigh(call)? {
                    self.stage = Stage::Sort(Sorting::new(self.elements.len()));
                }
            }
            Stage::Sort(sorting) => {
                let weights = match self.weights.len() {
                    _ if !self.numbers.is_empty() => {
                        Weights::Numbers(&self.numbers, &self.elements)
                    }
                    0 => Weights::Texts(&self.elements),
                    _ => Weights::Texts(&self.weights),
                };
                let is_descending = self.options.is_descending;
                if sorting.step(|one, other| weights.compare((one, other), is_descending)) {
                    let order = std::mem::replace(sorting, Sorting::new(0)).into_order();
                    self.stage = self.sorted(order, call.shard);
                }
            }
            Stage::Show { order, next, shown } => {
                let of = (&self.elements, &self.options);
                take_values(call, of, (order, next), &mut |value| {
                    shown.add(protocol, |reply| match value {
                        Some(value) => reply.bulk(value),
                        None => reply.null(),
                    })
                })?;
                if *next == order.len() {
                    let shown = std::mem::take(shown);
                    let count = shown.count();
                    let pieces = shown.into_reply(protocol, |reply| reply.array(count));
                    return Ok(Step::Reply(pieces));
                }
            }
            Stage::Store {
                order,
                next,
                gathered,
                at,
            } => {
                let (gathered, at) = (*gathered, *at);
                let mut values = Texts::default();
                let of = (&self.elements, &self.options);
                let stored = take_values(call, of, (order, next), &mut |value| {
                    values.push(value);
                    values.check_beside(self.elements.bytes())
                });
                let stored = stored.and_then(|()| {
                    let mut values = values.iter().map(Option::unwrap_or_default);
                    values.try_for_each(|value| Ok(call.shard.push_loose(gathered, value)?))
                });
                drop_if_failed(call.shard, gathered, stored)?;
                if *next == order.len() {
                    let key = call.key(at);
                    let count = remove_or_put(call.shard, call.db, key, gathered)?;
                    call.reply.count(count);
                    return Ok(Step::Done);
                }
            }
        }
        Ok(Step::More)
    }

    fn held_bytes(&self) -> usize {
        let more = match &self.stage {
            Stage::Load { .. } | Stage::Weigh => 0,
            Stage::Sort(sorting) => sorting.held_bytes(),
            Stage::Show { order, shown, .. } => size_of_val(&order[..]) + shown.held_bytes(),
            Stage::Store { order, .. } => size_of_val(&order[..]),
        };
        let texts = self.elements.held_bytes() + self.weights.held_bytes();
        texts + size_of_val(&self.numbers[..]) + more
    }

    fn abandon(&mut self, shard: &mut Shard) {
        if let Stage::Store { gathered, .. } = self.stage {
            shard.drop_loose(gathered);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    /// A list, a set and a sorted set of so many elements.
    fn bench(elements: usize) -> Bench {
        let mut bench = Bench::new();
        let numbers: Vec<usize> = (0..elements).collect();
        for some in numbers.chunks(1000) {
            let of = |word: &dyn Fn(usize) -> String| {
                let words: Vec<String> = some.iter().map(|n| word(*n)).collect();
                words.join(" ")
            };
            // Some elements are there twice.
            let shuffled = |n: usize| n * 7919 % (elements - elements / 8);
            bench.run(&format!("RPUSH l {}", of(&|n| shuffled(n).to_string())));
            bench.run(&format!("SADD s {}", of(&|n| (n * 3).to_string())));
            bench.run(&format!(
                "ZADD z {}",
                of(&|n| format!("{} {n}", shuffled(n)))
            ));
        }
        bench
    }

    const LINES: &[&str] = &[
        "SORT l",
        "SORT l DESC",
        "SORT l ALPHA LIMIT 100 3000",
        "SORT l BY nosort",
        "SORT l BY nosort DESC LIMIT 5 4000",
        "SORT s",
        "SORT s BY nosort",
        "SORT s BY nosort DESC LIMIT 10 200",
        "SORT_RO z ALPHA DESC",
        "SORT z BY nosort LIMIT 3 4000",
        "SORT z BY nosort DESC GET # GET none",
        "SORT l LIMIT 20000 5",
        "SORT z STORE d",
        "SORT s ALPHA DESC GET # GET none LIMIT 7 3000 STORE d",
    ];

    #[test]
    fn what_is_sorted_in_steps_is_what_is_sorted_at_once() {
        let mut bench = bench(5000);
        for line in LINES {
            let at_once = bench.run(line);
            let stored = bench.run("LRANGE d 0 -1");
            let mut steps = 0;
            let in_steps = bench.run_in_steps(line, &mut |_, _| steps += 1);
            assert!(at_once == in_steps, "{line}");
            assert!(bench.run("LRANGE d 0 -1") == stored, "{line}");
            assert!(steps > 5, "{line}: {steps}");
        }
        assert_eq!(bench.shard.loose_count(), 0);
    }

    #[test]
    fn few_elements_are_sorted_at_once_unless_they_are_large() {
        let mut few = bench(1000);
        for line in LINES {
            let at_once = few.run(line);
            let mut steps = 0;
            assert_eq!(few.run_in_steps(line, &mut |_, _| steps += 1), at_once);
            assert_eq!(steps, 0, "{line}");
        }
        let large = "x".repeat(2000);
        for n in 0..500 {
            few.run(&format!("RPUSH large {large}{n}"));
        }
        let (at_once, mut steps) = (few.run("SORT large ALPHA DESC"), 0);
        let in_steps = few.run_in_steps("SORT large ALPHA DESC", &mut |_, _| steps += 1);
        assert!(in_steps == at_once);
        assert!(steps > 20, "{steps}");
        few.run_in_steps("SORT l BY nosort LIMIT 0 5", &mut |_, _| unreachable!());
    }

    #[test]
    fn what_other_keys_hold_is_looked_up_in_steps() {
        let mut bench = bench(3000);
        for n in 0..2000 {
            bench.run(&format!("SET w{n} {}", n * 31 % 2000));
            bench.run(&format!("HSET h{n} f {}", n * 17 % 2000));
        }
        for line in [
            "SORT l BY w*",
            "SORT l BY w* DESC ALPHA",
            "SORT l BY h*->f GET # GET w*",
            "SORT s BY h*->f LIMIT 10 2000 GET h*->f",
            "SORT l GET w* GET none GET h*->f ALPHA",
            "SORT l BY nosort GET w*",
            "SORT_RO z BY none* GET w*",
            "SORT l BY w* GET h*->f STORE d",
            "SORT l BY w* LIMIT 0 1",
        ] {
            let at_once = bench.run(line);
            let stored = bench.run("LRANGE d 0 -1");
            let mut steps = 0;
            let in_steps = bench.run_in_steps(line, &mut |_, _| steps += 1);
            assert!(at_once == in_steps, "{line}");
            assert!(bench.run("LRANGE d 0 -1") == stored, "{line}");
            assert!(steps > 5, "{line}: {steps}");
        }
        bench.run("SET w1 x");
        let fault = "ERR One or more scores can't be converted into double";
        assert_eq!(bench.run("SORT l BY w*"), fault);
    }

    #[test]
    fn a_step_takes_few_of_large_values() {
        let mut bench = bench(600);
        bench.run(&format!("SET large {}", "x".repeat(100_000)));
        let mut steps = 0;
        let words = " e".repeat(300);
        bench.run(&format!("RPUSH same{words}"));
        bench.run_in_steps("SORT same BY nosort GET larg*", &mut |_, _| steps += 1);
        assert!(steps > 300, "{steps}");
    }

    #[test]
    fn an_element_that_is_no_number_is_refused() {
        let mut bench = bench(5000);
        bench.run("RPUSH l x");
        let fault = "ERR One or more scores can't be converted into double";
        assert_eq!(bench.run("SORT l"), fault);
    }

    #[test]
    fn a_key_that_ends_meanwhile_has_nothing_to_sort() {
        for (line, reply) in [
            ("SORT l", "[]"),
            ("SORT s STORE d", "0"),
            ("SORT z ALPHA", "[]"),
        ] {
            let mut bench = bench(5000);
            bench.run("SET d old");
            for key in ["l", "s", "z"] {
                bench.run(&format!("PEXPIRE {key} 10"));
            }
            assert_eq!(bench.run_ending(line, 10), reply, "{line}");
            if reply == "0" {
                bench.check(&[("EXISTS d", "0")]);
            }
        }
    }

    #[test]
    fn more_elements_take_more_steps() {
        let [few, many] = [4000, 16_000].map(|elements| {
            let (mut bench, mut steps) = (bench(elements), 0);
            bench.run_in_steps("SORT l ALPHA", &mut |_, _| steps += 1);
            steps
        });
        assert!(many > 3 * few, "{few} {many}");
    }
}
