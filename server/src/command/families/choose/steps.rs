//! Many elements chosen at random, in steps, while their key is locked.
//!
//! As at once: drawn, if they are few of many, or if they may be the same; else taken in a walk. What was drawn is remembered by name.
//! Where some may not be shown, those that are have to be counted first; if they are few among the others, they are listed to be drawn
//! from. Time stands still under the lock, so none of them ends meanwhile.

use std::collections::HashSet;

use super::{Chooses, ChosenFrom, DRAWN_OF};
use crate::command::families::pieces::{InSteps, More, Shown, StepOf};
use crate::command::{Random, ShardCall, Steps};
use crate::resp::{ErrorReply, Reply};

/// Elements that are drawn at once, and in a step; those of which all are walked over at once.
const STEP_DRAWS: u64 = 512;
const WALKED_AT_ONCE: u64 = 4096;

/// How elements are chosen.
#[derive(Debug)]
pub(super) enum Manner {
    /// In a walk from a cursor on so many have been counted that are shown; then `count` are chosen.
    Counted { from: u64, shown: u64, count: i64 },
    /// So many more are drawn, the same or not.
    Repeated { left: u64 },
    /// The same, of those that are listed first, in a walk from a cursor on, if it is not yet at its end.
    Listed {
        from: Option<u64>,
        left: u64,
        listed: Listed,
    },
    /// So many more are drawn that are not among those.
    Different {
        left: u64,
        taken: HashSet<Vec<u8>, ahash::RandomState>,
        taken_bytes: usize,
    },
    /// So many more are taken of those that are still to come in a walk, from a cursor on.
    Walked {
        from: u64,
        wanted: u64,
        to_come: u64,
    },
}

/// Elements as they are written, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Listed {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Listed {
    fn get(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[at]]
    }

    fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

impl Manner {
    /// How so many are chosen, if that takes several steps.
    pub(super) fn of<'a>(from: impl ChosenFrom<'a>, count: i64) -> Option<Self> {
        let (len, wanted) = (from.len(), count.unsigned_abs());
        if from.may_hide() {
            let is_long = len > WALKED_AT_ONCE || wanted > STEP_DRAWS;
            return is_long.then_some(Self::Counted {
                from: 0,
                shown: 0,
                count,
            });
        }
        let manner = Self::among(len, len, count);
        let is_long = match manner {
            Self::Walked { to_come, .. } => to_come > WALKED_AT_ONCE,
            _ => wanted > STEP_DRAWS,
        };
        is_long.then_some(manner)
    }

    /// How so many are chosen of those that are `shown` among `len`.
    fn among(shown: u64, len: u64, count: i64) -> Self {
        let (wanted, are_few) = (count.unsigned_abs(), shown < len / DRAWN_OF);
        match count < 0 {
            true if are_few => Self::Listed {
                from: Some(0),
                left: if shown == 0 { 0 } else { wanted },
                listed: Listed::default(),
            },
            true => Self::Repeated { left: wanted },
            false if !are_few && wanted <= shown / DRAWN_OF => Self::Different {
                left: wanted,
                taken: HashSet::default(),
                taken_bytes: 0,
            },
            false => Self::Walked {
                from: 0,
                wanted: wanted.min(shown),
                to_come: shown,
            },
        }
    }

    /// Whether nothing is left to be chosen.
    fn is_done(&self) -> bool {
        match self {
            Self::Counted { .. } => false,
            Self::Repeated { left } | Self::Listed { left, .. } | Self::Different { left, .. } => {
                *left == 0
            }
            Self::Walked { wanted, .. } => *wanted == 0,
        }
    }
}

/// Begins it.
pub(super) fn begin<C: Chooses>(chooses: C, manner: Manner) -> Option<Box<dyn Steps>> {
    InSteps::begin(Choosing { chooses, manner })
}

#[derive(Debug)]
struct Choosing<C> {
    chooses: C,
    manner: Manner,
}

/// Walks over about as many elements as one step does, from a cursor on; where the next step begins, if there are others.
fn walk<'a, F: ChosenFrom<'a>>(
    chosen_from: F,
    from: u64,
    show: &mut dyn FnMut(F::Element),
) -> Option<u64> {
    let (mut next, mut seen) = (Some(from), 0);
    while let Some(cursor) = next.filter(|_| seen < STEP_DRAWS) {
        let mut shown = 0;
        next = chosen_from.scan(cursor, &mut |element| {
            shown += 1;
            show(element);
        });
        // Those that are not shown take their time, too.
        seen += shown.max(super::SCAN_ELEMENTS as u64);
    }
    next
}

/// Is shown what was drawn; whether it counts.
type Take<'t, 'a, C> = &'t mut dyn FnMut(
    &mut StepOf<'_>,
    &<<C as Chooses>::From<'a> as ChosenFrom<'a>>::Element,
) -> Result<bool, ErrorReply>;

impl<C: Chooses> Choosing<C> {
    /// Draws elements, until the step is full or has drawn enough, each of which `take` is shown: whether it counts.
    fn draw<'a>(
        (chosen_from, random): (C::From<'a>, &mut Random),
        left: &mut u64,
        step: &mut StepOf<'_>,
        take: Take<'_, 'a, C>,
    ) -> Result<(), ErrorReply> {
        for _ in 0..STEP_DRAWS {
            if *left == 0 || step.is_full() {
                break;
            }
            if let Some(drawn) = chosen_from.random(random.draw())
                && take(step, &drawn)?
            {
                *left -= 1;
            }
        }
        Ok(())
    }
}

impl<C: Chooses> Shown for Choosing<C> {
    fn show(
        &mut self,
        call: &mut ShardCall<'_>,
        step: &mut StepOf<'_>,
    ) -> Result<More, ErrorReply> {
        let (key, protocol) = (call.key(1), call.reply.protocol());
        let Some(chosen_from) = C::at(call.shard, call.db, key)? else {
            return Ok(More::Gone);
        };
        let (chooses, random) = (&self.chooses, &mut *call.random);
        match &mut self.manner {
            Manner::Counted { from, shown, count } => {
                let next = walk(chosen_from, *from, &mut |_| *shown += 1);
                match next {
                    Some(next) => *from = next,
                    None => self.manner = Manner::among(*shown, chosen_from.len(), *count),
                }
            }
            Manner::Repeated { left } => {
                Self::draw((chosen_from, random), left, step, &mut |step, drawn| {
                    step.add(|reply| chooses.write(reply, drawn))?;
                    Ok(true)
                })?;
            }
            Manner::Listed {
                from: next @ Some(_),
                listed,
                ..
            } => {
                *next = walk(chosen_from, next.unwrap_or(0), &mut |element| {
                    let reply = &mut Reply::new(&mut listed.bytes, protocol);
                    chooses.write(reply, &element);
                    listed.ends.push(listed.bytes.len());
                });
            }
            Manner::Listed { left, listed, .. } => {
                let now = (*left).min(STEP_DRAWS);
                for _ in 0..now {
                    let at = random.draw() % listed.ends.len() as u64;
                    step.add(|reply| reply.raw(listed.get(at as usize)))?;
                }
                *left -= now;
            }
            Manner::Different {
                left,
                taken,
                taken_bytes,
            } => {
                Self::draw((chosen_from, random), left, step, &mut |step, drawn| {
                    let name = <C::From<'_> as ChosenFrom<'_>>::name(drawn);
                    let is_new = taken.insert(name.to_vec());
                    if is_new {
                        *taken_bytes += name.len();
                        step.add(|reply| chooses.write(reply, drawn))?;
                    }
                    Ok(is_new)
                })?;
            }
            Manner::Walked {
                from,
                wanted,
                to_come,
            } => {
                let mut fits = Ok(());
                let next = walk(chosen_from, *from, &mut |element| {
                    let is_taken = random.draw() % *to_come < *wanted;
                    *to_come -= 1;
                    if is_taken && fits.is_ok() {
                        *wanted -= 1;
                        fits = step.add(|reply| chooses.write(reply, &element));
                    }
                });
                fits?;
                *from = next.unwrap_or(0);
            }
        }
        Ok(match self.manner.is_done() {
            true => More::No,
            false => More::Yes,
        })
    }

    fn head(&self, count: usize, reply: &mut Reply<'_>) {
        reply.array(count * self.chooses.replies_each(reply));
    }

    fn held_bytes(&self) -> usize {
        match &self.manner {
            Manner::Different {
                taken, taken_bytes, ..
            } => taken.capacity() * size_of::<Vec<u8>>() + taken_bytes,
            Manner::Listed { listed, .. } => listed.held_bytes(),
            Manner::Counted { .. } | Manner::Repeated { .. } | Manner::Walked { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use crate::command::families::testing::Bench;

    const MEMBERS: usize = 6000;

    fn bench() -> Bench {
        let mut bench = Bench::new();
        for first in (0..MEMBERS).step_by(1000) {
            let words = |word: &dyn Fn(usize) -> String| -> String {
                (first..first + 1000).map(word).collect()
            };
            bench.run(&format!("SADD s{}", words(&|n| format!(" m{n}"))));
            bench.run(&format!("HSET h{}", words(&|n| format!(" m{n} {n}"))));
            bench.run(&format!("ZADD z{}", words(&|n| format!(" {n} m{n}"))));
        }
        bench
    }

    fn words(reply: &str) -> Vec<String> {
        let words = reply.trim_matches(['[', ']']).split(", ");
        words
            .map(|word| word.trim_matches('"').to_owned())
            .collect()
    }

    #[test]
    fn many_are_chosen_in_steps_and_few_in_each() {
        let mut bench = bench();
        for (command, replies_each) in [
            ("SRANDMEMBER s", 1),
            ("HRANDFIELD h", 1),
            ("HRANDFIELD h WITHVALUES", 2),
            ("ZRANDMEMBER z", 1),
            ("ZRANDMEMBER z WITHSCORES", 2),
        ] {
            for count in [-9000i64, 1400, 3000, 5999, 6000, 9000] {
                let line = match command.split_once(" WITH") {
                    Some((name, option)) => format!("{name} {count} WITH{option}"),
                    None => format!("{command} {count}"),
                };
                let mut steps = 0;
                let reply = bench.run_in_steps(&line, &mut |_, _| steps += 1);
                let names = words(&reply).into_iter().step_by(replies_each);
                let names: Vec<String> = names.collect();
                let wanted = match count {
                    ..0 => count.unsigned_abs() as usize,
                    _ => MEMBERS.min(count as usize),
                };
                assert_eq!(names.len(), wanted, "{line}");
                let different: BTreeSet<&String> = names.iter().collect();
                assert!(count < 0 || different.len() == wanted, "{line}");
                assert!(steps >= wanted / 600, "{line}: {steps}");
            }
        }
        for line in ["SRANDMEMBER s 500", "HRANDFIELD h -500", "ZRANDMEMBER z 2"] {
            let mut steps = 0;
            bench.run_in_steps(line, &mut |_, _| steps += 1);
            assert_eq!(steps, 0, "{line}");
        }
    }

    #[test]
    fn each_is_as_likely_as_any_other_whatever_the_way_of_choosing() {
        let mut bench = bench();
        for line in [
            "SRANDMEMBER s 1500",
            "SRANDMEMBER s 3000",
            "ZRANDMEMBER z -3000",
        ] {
            let (mut times, mut drawn) = (BTreeMap::new(), 0);
            while drawn < 20 * MEMBERS {
                for name in words(&bench.run_in_steps(line, &mut |_, _| ())) {
                    *times.entry(name).or_insert(0u32) += 1;
                    drawn += 1;
                }
            }
            let expected = drawn as f64 / MEMBERS as f64;
            let square = |&times: &u32| (f64::from(times) - expected).powi(2) / expected;
            let absent = (MEMBERS - times.len()) as f64 * expected;
            let chi_square: f64 = times.values().map(square).sum::<f64>() + absent;
            // The numbers are the same in each run. Beyond 6345 is one in a thousand, at 5999 degrees of freedom.
            assert!(chi_square < 6345.0, "{line}: {chi_square}");
        }
    }

    #[test]
    fn of_fields_that_may_not_be_shown_only_those_are_chosen_that_are() {
        // So many are not shown.
        for hidden in [0, 1, 2000, 5000, 5900, 6000] {
            let mut bench = bench();
            bench.run("HPEXPIRE h 100000 FIELDS 1 m5999");
            for field in 0..hidden {
                bench.run(&format!("HPEXPIRE h 10 FIELDS 1 m{field}"));
            }
            bench.advance(10);
            let shown = MEMBERS - hidden;
            for count in [-9000i64, -30, 1, 20, 1000, 3000, 6000] {
                for with in ["", " WITHVALUES"] {
                    let line = format!("HRANDFIELD h {count}{with}");
                    let mut steps = 0;
                    let reply = bench.run_in_steps(&line, &mut |_, _| steps += 1);
                    let expected = match count {
                        ..0 if shown == 0 => 0,
                        ..0 => count.unsigned_abs() as usize,
                        _ => shown.min(count as usize),
                    };
                    let replies_each = if with.is_empty() { 1 } else { 2 };
                    let names = match expected {
                        0 => Vec::new(),
                        _ => words(&reply),
                    };
                    let names: Vec<String> = names.into_iter().step_by(replies_each).collect();
                    assert_eq!(names.len(), expected, "{line} of {shown}");
                    let different: BTreeSet<usize> = names
                        .iter()
                        .map(|name| name[1..].parse().unwrap())
                        .collect();
                    assert!(
                        count < 0 || different.len() == expected,
                        "{line} of {shown}"
                    );
                    assert!(different.iter().all(|field| *field >= hidden), "{line}");
                    assert!(steps >= 2, "{line} of {shown}: {steps}");
                }
            }
        }
    }

    #[test]
    fn each_of_those_that_are_shown_is_as_likely_as_any_other() {
        const SHOWN: usize = 40;
        let mut bench = bench();
        for field in SHOWN..MEMBERS {
            bench.run(&format!("HPEXPIRE h 10 FIELDS 1 m{field}"));
        }
        bench.advance(10);
        for (count, rounds) in [(-4000i64, 10), (20, 500)] {
            let mut times = BTreeMap::new();
            for _ in 0..rounds {
                let line = format!("HRANDFIELD h {count}");
                for name in words(&bench.run_in_steps(&line, &mut |_, _| ())) {
                    *times.entry(name).or_insert(0u32) += 1;
                }
            }
            let drawn = rounds * count.unsigned_abs() as usize;
            let expected = drawn as f64 / SHOWN as f64;
            let square = |&times: &u32| (f64::from(times) - expected).powi(2) / expected;
            let chi_square: f64 = times.values().map(square).sum();
            // The numbers are the same in each run. Beyond 73 is one in a thousand, at 39 degrees of freedom.
            assert_eq!(times.len(), SHOWN);
            assert!(chi_square < 73.0, "{count}: {chi_square}");
        }
    }
}
