//! `SORT` of many elements on one core, in steps: they are copied, weighed, sorted, and shown or stored, some at a time, while the keys
//! are locked.
//!
//! Only where no pattern names other keys: those have no lock.

use std::ops::ControlFlow;

use larder_engine::{Access, Bound, Direction, End, Kind, LooseId, Shard};

use super::options::{By, Options};
use super::order::{Weights, number};
use super::pattern::Pattern;
use super::texts::Texts;
use super::{drop_if_failed, remove_or_put};
use crate::command::families::merge::Sorting;
use crate::command::families::pieces::Pieces;
use crate::command::{ShardCall, Step, Steps};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Protocol};

/// Elements that are sorted at once.
const AT_ONCE: u64 = 2048;

/// Elements that one step looks at, and bytes of them, about.
const STEP_ELEMENTS: usize = 1024;
const STEP_BYTES: usize = 64 << 10;

/// Begins, if what is to be sorted are many elements, and their key and options let that be cut.
pub(super) fn begin(call: &mut ShardCall<'_>, options: &Options) -> Option<Box<dyn Steps>> {
    let key = call.key(1);
    let entry = call.shard.get(call.db, key, Access::Peek)?;
    let (kind, len) = (entry.kind(), entry.elements());
    let is_sorted = matches!(kind, Kind::List | Kind::Set | Kind::SortedSet);
    // A set has no order of its own.
    let has_order = matches!(options.by, By::Nothing) && kind != Kind::Set;
    let wanted = match has_order {
        true => options.range(len as usize),
        false => 0..len as usize,
    };
    if !is_sorted || wanted.len() as u64 <= AT_ONCE || options.names_other_keys() {
        return None;
    }
    call.shard.read(call.db, key, call.access);
    call.stats.count_lookup(true);
    Some(Box::new(InSteps {
        is_reversed: has_order && options.is_descending,
        has_order,
        left: wanted.len() as u64,
        elements: Texts::default(),
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
    /// Their numbers are read.
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
            () if self.is_by_text() => Stage::Sort(Sorting::new(len)),
            () => Stage::Weigh,
        }
    }

    fn is_by_text(&self) -> bool {
        self.options.is_alphabetic || matches!(self.options.by, By::Nothing)
    }

    /// Reads more numbers; whether all are read.
    ///
    /// # Errors
    /// An element is none.
    fn weigh(&mut self) -> Result<bool, ErrorReply> {
        let end = self.elements.len().min(self.numbers.len() + STEP_ELEMENTS);
        for at in self.numbers.len()..end {
            let number = number(self.elements.get(at)).ok_or(errors::SORT_WEIGHTS)?;
            self.numbers.push(number);
        }
        Ok(end == self.elements.len())
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

/// What is answered for an element.
fn values<'e>(
    options: &Options,
    element: Option<&'e [u8]>,
    mut show: impl FnMut(Option<&'e [u8]>) -> CommandResult,
) -> CommandResult {
    if options.gets.is_empty() {
        return show(Some(element.unwrap_or_default()));
    }
    options.gets.iter().try_for_each(|get| match get {
        Pattern::Element => show(element),
        Pattern::Nothing => show(None),
        Pattern::Key(_) => unreachable!("no pattern names other keys"),
    })
}

/// Shows more of what is in order; whether that is all.
fn show(
    (elements, options): (&Texts, &Options),
    (order, next): (&[usize], &mut usize),
    (shown, protocol): (&mut Pieces, Protocol),
) -> Result<bool, ErrorReply> {
    for &at in order[*next..].iter().take(STEP_ELEMENTS) {
        values(options, elements.get(at), |value| {
            shown.add(protocol, |reply| match value {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            })
        })?;
        *next += 1;
    }
    Ok(*next == order.len())
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
                if self.weigh()? {
                    self.stage = Stage::Sort(Sorting::new(self.elements.len()));
                }
            }
            Stage::Sort(sorting) => {
                let weights = match self.numbers.is_empty() {
                    true => Weights::Texts(&self.elements),
                    false => Weights::Numbers(&self.numbers, &self.elements),
                };
                let is_descending = self.options.is_descending;
                if sorting.step(|one, other| weights.compare((one, other), is_descending)) {
                    let order = std::mem::replace(sorting, Sorting::new(0)).into_order();
                    self.stage = self.sorted(order, call.shard);
                }
            }
            Stage::Show { order, next, shown } => {
                let of = (&self.elements, &self.options);
                if show(of, (order, next), (shown, protocol))? {
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
                for &element in order[*next..].iter().take(STEP_ELEMENTS) {
                    let element = self.elements.get(element);
                    let stored = values(&self.options, element, |value| {
                        let value = value.unwrap_or_default();
                        Ok(call.shard.push_loose(gathered, value)?)
                    });
                    drop_if_failed(call.shard, gathered, stored)?;
                    *next += 1;
                }
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
        self.elements.held_bytes() + size_of_val(&self.numbers[..]) + more
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
    fn few_elements_and_those_that_other_keys_order_are_sorted_at_once() {
        let mut few = bench(1000);
        for line in LINES {
            let at_once = few.run(line);
            let mut steps = 0;
            assert_eq!(few.run_in_steps(line, &mut |_, _| steps += 1), at_once);
            assert_eq!(steps, 0, "{line}");
        }
        let mut bench = bench(5000);
        let mut steps = 0;
        bench.run("SET w10 -1");
        for line in [
            "SORT l BY w* LIMIT 0 1",
            "SORT l GET w* LIMIT 0 1",
            "SORT l BY nosort LIMIT 0 5",
        ] {
            bench.run_in_steps(line, &mut |_, _| steps += 1);
        }
        assert_eq!(steps, 0);
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
