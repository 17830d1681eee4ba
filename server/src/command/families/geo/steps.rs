//! Searches that look at many members, or find many, on one core: what is found is sorted, and shown or stored, some at a time, while the
//! keys are locked.
//!
//! ```text
//!  look, look, … ──┬─ an order is asked for ─▶ sort, merge, … ──┬──▶ show, show, … ──▶ the reply
//!                  └────────────────────────────────────────────┴──▶ gather, … ──▶ put
//! ```

use larder_engine::{Access, LooseId, Shard};

use super::around::Around;
use super::find::{Finds, Look};
use super::request::{Grammar, Request};
use super::search::{event_of, member_of, show};
use crate::command::families::combine::gathered;
use crate::command::families::merge::Sorting;
use crate::command::families::pieces::Pieces;
use crate::command::families::sorted_sets::store::GATHERING;
use crate::command::{ShardCall, Step, Steps};
use crate::resp::ErrorReply;

/// What a step looks at.
pub(super) const LOOK: u64 = 8192;
/// How many a step shows, and how many it gathers.
const SHOW: usize = 512;
const GATHER: usize = 256;

/// Begins, with what is found already, and the look that finds more, if there is more to be looked at.
pub(super) fn begin(
    grammar: Grammar,
    request: Request,
    finds: Finds,
    look: Option<Look>,
) -> Box<dyn Steps> {
    let stage = match look {
        Some(look) => Stage::Look(look),
        None => found(&request, &finds),
    };
    Box::new(InSteps {
        grammar,
        request,
        finds,
        stage,
    })
}

#[derive(Debug)]
struct InSteps {
    grammar: Grammar,
    request: Request,
    finds: Finds,
    stage: Stage,
}

/// What is done in the next step.
#[derive(Debug)]
enum Stage {
    Look(Look),
    Sort(Sorting),
    /// What was found is shown, or gathered for the destination.
    Finish(Finish),
}

#[derive(Debug)]
struct Finish {
    /// The numbers of what was found in their order; none: as it was found.
    order: Option<Vec<usize>>,
    next: usize,
    shown: Pieces,
    gathered: Option<LooseId>,
}

impl Stage {
    fn finish(order: Option<Vec<usize>>) -> Self {
        Self::Finish(Finish {
            order,
            next: 0,
            shown: Pieces::default(),
            gathered: None,
        })
    }
}

impl Finish {
    /// The numbers of the next ones, so many at most.
    fn take(&mut self, most: usize, finds: &Finds) -> Vec<usize> {
        let all = self.order.as_ref().map_or(finds.len(), Vec::len);
        let numbers = self.next..all.min(self.next + most);
        self.next = numbers.end;
        match &self.order {
            Some(order) => order[numbers].to_vec(),
            None => numbers.collect(),
        }
    }
}

/// What comes when all is found. What is stored has an order of its own: another one matters only if it says which are stored.
fn found(request: &Request, finds: &Finds) -> Stage {
    let has_order = match request.stored {
        None => true,
        Some(_) => finds.len() > finds.most(),
    };
    match request.order.is_some() && has_order {
        true => Stage::Sort(Sorting::new(finds.len())),
        false => Stage::finish(None),
    }
}

impl InSteps {
    /// Looks at more members; whether those are all.
    fn look(&mut self, call: &mut ShardCall<'_>) -> Result<bool, ErrorReply> {
        let Stage::Look(look) = &mut self.stage else {
            unreachable!("it looks")
        };
        let key = call.key(self.grammar.source());
        let set = call.shard.sorted_set(call.db, key, Access::Peek)?;
        let (Some(set), Some((center, shape))) = (set, &self.request.place) else {
            // It has reached its deadline.
            self.finds = Finds::of(&self.request);
            return Ok(true);
        };
        let around = Around::new(shape, *center);
        let of = (&around, self.request.distances());
        look.go_on(set, of, &mut self.finds, LOOK)
    }
}

impl Steps for InSteps {
    fn next(&mut self, call: &mut ShardCall<'_>) -> Result<Step, ErrorReply> {
        match &mut self.stage {
            Stage::Look(_) => {
                if self.look(call)? {
                    self.stage = found(&self.request, &self.finds);
                }
                Ok(Step::More)
            }
            Stage::Sort(sorting) => {
                if sorting.step(|one, other| self.finds.compare(one, other)) {
                    let sorting = std::mem::replace(sorting, Sorting::new(0));
                    let mut order = sorting.into_order();
                    order.truncate(self.finds.most());
                    self.stage = Stage::finish(Some(order));
                }
                Ok(Step::More)
            }
            Stage::Finish(finish) => {
                let of = (&self.request, &self.finds);
                match self.request.stored {
                    None => show_more(finish, of, call),
                    Some(stored) => {
                        let key = call.key(stored.at);
                        let gathered = gather_more(finish, of, call.shard)?;
                        let Some(gathered) = gathered else {
                            return Ok(Step::More);
                        };
                        let (db, event) = (call.db, event_of(self.grammar));
                        let count = gathered::store(call.shard, db, key, gathered, event)?;
                        call.reply.count(count);
                        Ok(Step::Done)
                    }
                }
            }
        }
    }

    fn held_bytes(&self) -> usize {
        let more = match &self.stage {
            Stage::Look(_) => 0,
            Stage::Sort(sorting) => sorting.held_bytes(),
            Stage::Finish(finish) => {
                let order = finish.order.as_ref();
                order.map_or(0, |order| size_of_val(&order[..])) + finish.shown.held_bytes()
            }
        };
        self.finds.held_bytes() + more
    }

    fn abandon(&mut self, shard: &mut Shard) {
        if let Stage::Finish(Finish {
            gathered: Some(gathered),
            ..
        }) = self.stage
        {
            shard.drop_loose(gathered);
        }
    }
}

/// Shows more of what was found.
fn show_more(
    finish: &mut Finish,
    (request, finds): (&Request, &Finds),
    call: &mut ShardCall<'_>,
) -> Result<Step, ErrorReply> {
    let protocol = call.reply.protocol();
    let numbers = finish.take(SHOW, finds);
    for &number in &numbers {
        let find = finds.get(number);
        finish
            .shown
            .add(protocol, |reply| show(reply, request, find))?;
    }
    if numbers.len() == SHOW {
        return Ok(Step::More);
    }
    let shown = std::mem::take(&mut finish.shown);
    let count = shown.count();
    Ok(Step::Reply(
        shown.into_reply(protocol, |reply| reply.array(count)),
    ))
}

/// Gathers more of what was found; all of it, if that is all.
///
/// # Errors
/// Memory is out. Then what was gathered is dropped.
fn gather_more(
    finish: &mut Finish,
    (request, finds): (&Request, &Finds),
    shard: &mut Shard,
) -> Result<Option<LooseId>, ErrorReply> {
    let gathered = *finish
        .gathered
        .get_or_insert_with(|| GATHERING.begin(shard));
    let numbers = finish.take(GATHER, finds);
    for &number in &numbers {
        let member = member_of(request, finds.get(number));
        if let Err(error) = shard.add_scored(gathered, member) {
            shard.drop_loose(gathered);
            return Err(error.into());
        }
    }
    Ok((numbers.len() < GATHER).then_some(gathered))
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    /// Members in a square of one degree, two at each position.
    fn bench(members: usize) -> Bench {
        let mut bench = Bench::new();
        let numbers: Vec<usize> = (0..members).collect();
        for some in numbers.chunks(500) {
            let words = some.iter().map(|n| {
                let (east, north) = (n / 2 * 7919 % 10_000, n / 2 * 104_729 % 10_007);
                format!(" 15.{east:04} 37.{north:05} member:{n}")
            });
            bench.run(&format!("GEOADD g{}", words.collect::<String>()));
        }
        bench
    }

    const SEARCHES: &[&str] = &[
        "GEOSEARCH g FROMLONLAT 15.5 37.05 BYRADIUS 200 km",
        "GEOSEARCH g FROMLONLAT 15.5 37.05 BYRADIUS 200 km ASC WITHDIST",
        "GEOSEARCH g FROMLONLAT 15.5 37.05 BYRADIUS 200 km DESC WITHCOORD WITHHASH WITHDIST",
        "GEOSEARCH g FROMLONLAT 15.5 37.05 BYRADIUS 200 km COUNT 10",
        "GEOSEARCH g FROMLONLAT 15.5 37.05 BYRADIUS 200 km DESC COUNT 1000",
        "GEOSEARCH g FROMLONLAT 15.5 37.05 BYRADIUS 200 km ASC COUNT 5000",
        "GEOSEARCH g FROMLONLAT 15.5 37.05 BYRADIUS 200 km COUNT 5000 ANY",
        "GEOSEARCH g FROMLONLAT 15.5 37.05 BYBOX 30 300 km ASC",
        "GEOSEARCH g BYPOLYGON 3 15 37 16 37 16 38 ASC",
        "GEORADIUS_RO g 15.5 37.05 200 km",
        "GEORADIUSBYMEMBER_RO g member:7 200 km ASC COUNT 3000",
    ];

    #[test]
    fn what_is_found_in_steps_is_what_is_found_at_once() {
        let mut bench = bench(12_000);
        for line in SEARCHES {
            let at_once = bench.run(line);
            let mut steps = 0;
            let in_steps = bench.run_in_steps(line, &mut |_, _| steps += 1);
            assert!(at_once == in_steps, "{line}");
            assert!(steps >= 2, "{line}: {steps}");
        }
    }

    #[test]
    fn what_is_stored_in_steps_is_what_is_stored_at_once() {
        let mut bench = bench(12_000);
        for options in [
            "",
            "COUNT 3000",
            "COUNT 3000 ANY",
            "STOREDIST",
            "COUNT 7 STOREDIST",
        ] {
            let search = |to| {
                format!("GEOSEARCHSTORE {to} g FROMLONLAT 15.5 37.05 BYRADIUS 45 km {options}")
            };
            let at_once = bench.run(&search("a"));
            let (mut steps, mut before) = (0, 0);
            let in_steps = bench.run_in_steps(&search("b"), &mut |shard, _| {
                steps += 1;
                if shard.loose_count() > 0 {
                    let now = shard.loose_len(larder_engine::LooseId(0));
                    assert!(now - before <= super::GATHER as u64, "{options}");
                    before = now;
                }
            });
            assert_eq!(at_once, in_steps, "{options}");
            assert!(steps >= 2, "{options}: {steps}");
            let [one, other] =
                ["a", "b"].map(|key| bench.run(&format!("ZRANGE {key} 0 -1 WITHSCORES")));
            assert!(one == other, "{options}");
            assert_eq!(bench.shard.loose_count(), 0);
        }
    }

    #[test]
    fn a_search_of_more_members_takes_more_steps() {
        for line in [SEARCHES[0], SEARCHES[1], SEARCHES[3]] {
            let steps = [30_000, 60_000].map(|members| {
                let mut steps = 0;
                bench(members).run_in_steps(line, &mut |_, _| steps += 1);
                steps
            });
            assert!(2 * steps[1] >= 3 * steps[0], "{line}: {steps:?}");
        }
    }

    #[test]
    fn what_finds_little_among_few_takes_no_steps() {
        let mut bench = bench(1000);
        for line in SEARCHES {
            let (at_once, mut steps) = (bench.run(line), 0);
            assert_eq!(bench.run_in_steps(line, &mut |_, _| steps += 1), at_once);
            assert_eq!(steps, 0, "{line}");
        }
    }

    #[test]
    fn where_few_are_wanted_few_are_held() {
        let mut bench = bench(20_000);
        let mut steps = 0;
        bench.run_in_steps(SEARCHES[3], &mut |_, command| {
            steps += 1;
            assert!(command.held_bytes() < 256 << 10, "{}", command.held_bytes());
        });
        assert!(steps >= 2);
    }

    #[test]
    fn a_source_that_ends_meanwhile_has_nothing_to_be_found() {
        let mut bench = bench(12_000);
        bench.run("PEXPIRE g 10");
        assert_eq!(bench.run_ending(SEARCHES[1], 10), "[]");
        let mut bench = self::bench(12_000);
        bench.run("SET d old");
        bench.run("PEXPIRE g 10");
        let line = "GEOSEARCHSTORE d g FROMLONLAT 15.5 37.05 BYRADIUS 200 km";
        assert_eq!(bench.run_ending(line, 10), "0");
        bench.check(&[("EXISTS d", "0")]);
        assert_eq!(bench.shard.loose_count(), 0);
    }
}
