//! Many elements chosen at random, in steps, while their key is locked.
//!
//! As at once: drawn, if they are few of many, or if they may be the same; else taken in a walk. What was drawn is remembered by name.
//! Elements that may not be shown are chosen at once: how many there are is known behind a walk alone.

use std::collections::HashSet;

use super::{Chooses, ChosenFrom, DRAWN_OF};
use crate::command::families::pieces::{InSteps, More, Shown, StepOf};
use crate::command::{ShardCall, Steps};
use crate::resp::{ErrorReply, Reply};

/// Elements that are drawn at once, and in a step; those of which all are walked over at once.
const STEP_DRAWS: u64 = 512;
const WALKED_AT_ONCE: u64 = 4096;

/// How elements are chosen.
#[derive(Debug)]
pub(super) enum Manner {
    /// So many more are drawn, the same or not.
    Repeated { left: u64 },
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

impl Manner {
    /// How so many are chosen, if that takes several steps.
    pub(super) fn of<'a>(from: impl ChosenFrom<'a>, count: i64) -> Option<Self> {
        let (len, count, may_repeat) = (from.len(), count.unsigned_abs(), count < 0);
        let manner = if may_repeat {
            Self::Repeated { left: count }
        } else if count <= len / DRAWN_OF {
            Self::Different {
                left: count,
                taken: HashSet::default(),
                taken_bytes: 0,
            }
        } else {
            Self::Walked {
                from: 0,
                wanted: count.min(len),
                to_come: len,
            }
        };
        let is_long = match manner {
            Self::Walked { to_come, .. } => to_come > WALKED_AT_ONCE,
            Self::Repeated { left } | Self::Different { left, .. } => left > STEP_DRAWS,
        };
        (is_long && !from.may_hide()).then_some(manner)
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

impl<C: Chooses> Shown for Choosing<C> {
    fn show(
        &mut self,
        call: &mut ShardCall<'_>,
        step: &mut StepOf<'_>,
    ) -> Result<More, ErrorReply> {
        let key = call.key(1);
        let Some(chosen_from) = C::at(call.shard, call.db, key)? else {
            return Ok(More::Gone);
        };
        let (chooses, random) = (&self.chooses, &mut *call.random);
        let mut draws = 0;
        let mut draw = || {
            draws += 1;
            (draws <= STEP_DRAWS).then(|| chosen_from.random(random.draw()))
        };
        let left = match &mut self.manner {
            Manner::Repeated { left } => {
                while *left > 0
                    && !step.is_full()
                    && let Some(drawn) = draw()
                {
                    let drawn = drawn.expect("all are shown");
                    step.add(|reply| chooses.write(reply, &drawn))?;
                    *left -= 1;
                }
                *left
            }
            Manner::Different {
                left,
                taken,
                taken_bytes,
            } => {
                while *left > 0
                    && !step.is_full()
                    && let Some(drawn) = draw()
                {
                    let drawn = drawn.expect("all are shown");
                    let name = <C::From<'_> as ChosenFrom<'_>>::name(&drawn);
                    if taken.insert(name.to_vec()) {
                        *taken_bytes += name.len();
                        step.add(|reply| chooses.write(reply, &drawn))?;
                        *left -= 1;
                    }
                }
                *left
            }
            Manner::Walked {
                from,
                wanted,
                to_come,
            } => {
                let (begun, mut next, mut fits) = (*to_come, Some(*from), Ok(()));
                // One that is passed over costs about as much as one that is shown.
                while let Some(cursor) = next
                    && *wanted > 0
                    && !step.is_full()
                    && begun - *to_come < STEP_DRAWS
                {
                    next = chosen_from.scan(cursor, &mut |element| {
                        let is_taken = random.draw() % *to_come < *wanted;
                        *to_come -= 1;
                        if is_taken && fits.is_ok() {
                            *wanted -= 1;
                            fits = step.add(|reply| chooses.write(reply, &element));
                        }
                    });
                    fits.clone()?;
                }
                *from = next.unwrap_or(0);
                if next.is_none() { 0 } else { *wanted }
            }
        };
        Ok(if left > 0 { More::Yes } else { More::No })
    }

    fn head(&self, count: usize, reply: &mut Reply<'_>) {
        reply.array(count * self.chooses.replies_each(reply));
    }

    fn held_bytes(&self) -> usize {
        match &self.manner {
            Manner::Different {
                taken, taken_bytes, ..
            } => taken.capacity() * size_of::<Vec<u8>>() + taken_bytes,
            Manner::Repeated { .. } | Manner::Walked { .. } => 0,
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
    fn fields_that_may_not_be_shown_are_chosen_at_once() {
        let mut bench = bench();
        bench.run("HPEXPIRE h 10 FIELDS 1 m1");
        let mut steps = 0;
        bench.run_in_steps("HRANDFIELD h 3000", &mut |_, _| steps += 1);
        assert_eq!(steps, 0);
    }
}
