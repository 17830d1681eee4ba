//! `GEOSEARCH`, `GEOSEARCHSTORE`, and what all searches do: look, and reply with what was found or store it.

use larder_engine::{Access, Event, Member, SortedSetRef};

use super::READING;
use super::around::Around;
use super::find::{Finds, Found, Look};
use super::grid::position_of;
use super::request::{Grammar, Request};
use super::{steps, unit};
use crate::command::families::pieces::AtOnce;
use crate::command::families::sorted_sets::store::{self, Members, Plan};
use crate::command::families::sorted_sets::{read, write_score};
use crate::command::families::transfer::Answer;
use crate::command::{
    Args, CommandSpec, CoreCall, CoreFn, Flags, KeyFlags, KeySpec, Keys, Rounds, Run, ShardCall,
    Spread, Steps,
};
use crate::resp::errors::CommandResult;
use crate::resp::{ErrorReply, Reply};
use crate::routing::SlotMap;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "geosearch",
        arity: -7,
        syntax: "key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height \
                 <M | KM | FT | MI> | BYPOLYGON num-vertices longitude latitude longitude latitude longitude latitude \
                 [longitude latitude ...]> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        summary: "Returns the members of a sorted set whose positions lie in a circle, a box or a polygon.",
        run: Run::OnShard(|call| search(call, Grammar::Search, AtOnce::All).map(drop)),
        steps: Some(|call| search(call, Grammar::Search, AtOnce::Little)),
        ..SEARCHING
    },
    CommandSpec {
        name: "geosearchstore",
        arity: -8,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
        keys: Keys::of(&[
            KeySpec::at(1, KeyFlags::OW.update()),
            KeySpec::at(2, KeyFlags::RO.access()),
        ]),
        syntax: "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX \
                 width height <M | KM | FT | MI> | BYPOLYGON num-vertices longitude latitude longitude latitude longitude latitude \
                 [longitude latitude ...]> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
        summary: "Stores the members of a sorted set whose positions lie in a circle, a box or a polygon.",
        complexity: STORING_COMPLEXITY,
        run: Run::FanOut {
            together: |call| search(call, Grammar::SearchStore, AtOnce::All).map(drop),
            spread: Spread::Rounds(geosearchstore_across),
        },
        steps: Some(|call| search(call, Grammar::SearchStore, AtOnce::Little)),
        ..SEARCHING
    },
];

/// Of searches that store what they find.
pub(super) const STORING_COMPLEXITY: &str = "O(N+log(M)) where N is the number of members in the cells of the grid around the shape, and M that of all \
                                             members. In one step if the first so many in an order are stored on another core.";

/// What searches have in common.
pub(super) const SEARCHING: CommandSpec = CommandSpec {
    since: "6.2.0",
    complexity: "O(N+log(M)) where N is the number of members in the cells of the grid around the shape, and M that of all members.",
    ..READING
};

/// A command that takes several steps, or is done.
pub(super) type Begun = Result<Option<Box<dyn Steps>>, ErrorReply>;

/// What a search on one core looks at at once, of many members; what it finds of them at most, if it is not to go on in steps.
const LOOK_AT_ONCE: u64 = 16_384;
const FIND_AT_ONCE: usize = 1024;

/// Searches, and replies or stores, on one core; or begins to.
pub(super) fn search(call: &mut ShardCall<'_>, grammar: Grammar, at_once: AtOnce) -> Begun {
    let source = (call.db, call.key(grammar.source()), call.access);
    let set = read(call.shard, call.stats, source)?;
    let request = Request::parse(&call.args, grammar, set)?;
    let mut finds = Finds::of(&request);
    if let (Some(set), Some((center, shape))) = (set, &request.place) {
        let around = Around::new(shape, *center);
        let mut look = Look::new(&around);
        let most = match at_once {
            AtOnce::All => u64::MAX,
            AtOnce::Little => LOOK_AT_ONCE,
        };
        let is_all = look.go_on(set, (&around, request.distances()), &mut finds, most)?;
        if !is_all || at_once == AtOnce::Little && finds.len() > FIND_AT_ONCE {
            let look = (!is_all).then_some(look);
            return Ok(Some(steps::begin(grammar, request, finds, look)));
        }
    }
    finds.arrange();
    let Some(stored) = request.stored else {
        reply_with(&mut call.reply, &request, &finds)?;
        return Ok(None);
    };
    let members = members_of(&request, &finds)?;
    let destination = (call.db, call.key(stored.at));
    let count = store::store(call.shard, destination, &members, event_of(grammar))?;
    call.reply.count(count);
    Ok(None)
}

/// The event of what a search stores.
pub(super) fn event_of(grammar: Grammar) -> Event {
    match grammar {
        Grammar::Search | Grammar::SearchStore => Event::GeoSearchStore,
        Grammar::Radius(_) | Grammar::RadiusByMember(_) => Event::GeoRadiusStore,
    }
}

fn reply_with(reply: &mut Reply<'_>, request: &Request, finds: &Finds) -> CommandResult {
    let began = reply.mark();
    reply.array(finds.len());
    for find in finds.iter() {
        show(reply, request, find);
        reply.check_len(began)?;
    }
    Ok(())
}

/// Writes what is shown of a member that was found.
pub(super) fn show(reply: &mut Reply<'_>, request: &Request, (name, found): (&[u8], &Found)) {
    let shows = request.shows;
    let shown = [shows.distance, shows.score, shows.position];
    let shown = shown.into_iter().filter(|&is_shown| is_shown).count();
    if shown > 0 {
        reply.array(1 + shown);
    }
    reply.bulk(name);
    if shows.distance {
        reply.text(&unit::shown(found.distance / request.unit.0));
    }
    if shows.score {
        reply.integer(found.score as i64);
    }
    if shows.position {
        let position = position_of(found.score);
        reply.array(2);
        write_score(reply, position.longitude);
        write_score(reply, position.latitude);
    }
}

/// What is stored of a member that was found.
pub(super) fn member_of<'a>(request: &Request, (name, found): (&'a [u8], &Found)) -> Member<'a> {
    let as_distances = request.stored.is_some_and(|stored| stored.as_distances);
    let score = match as_distances {
        true => found.distance / request.unit.0,
        false => found.score,
    };
    Member { name, score }
}

fn members_of(request: &Request, finds: &Finds) -> Result<Members, ErrorReply> {
    let mut members = Members::default();
    for find in finds.iter() {
        members.push(&member_of(request, find))?;
    }
    Ok(members)
}

fn geosearchstore_across(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(begin_across(
        args,
        slots,
        Grammar::SearchStore,
        geosearchstore_part,
    ))
}

/// Begins a search that stores what it finds on another core.
pub(super) fn begin_across(
    args: &Args<'_>,
    slots: &SlotMap,
    grammar: Grammar,
    choose: CoreFn,
) -> Box<dyn Rounds> {
    let stored = grammar.stored(args);
    let stored = stored.expect("a search of one key is on one core");
    let plan = Plan {
        source: grammar.source(),
        destination: stored.at,
        choose,
        event: event_of(grammar),
    };
    plan.begin(args, slots)
}

fn geosearchstore_part(call: &mut CoreCall<'_>) {
    choose_part(call, Grammar::SearchStore);
}

/// Answers what a search finds here, some at a time; but if the first in an order are wanted, all of them at once. The first argument says
/// where it goes on.
pub(super) fn choose_part(call: &mut CoreCall<'_>, grammar: Grammar) {
    let (args, core) = (call.args.from(1), &mut *call.core);
    let source = args.at(grammar.source());
    let key = core.shard.hasher().key(source);
    let goes_on = Place::of_bytes(call.args.at(0));
    let set = match goes_on {
        None => {
            if let Some(reader) = call.reader {
                core.remember_key(source, reader);
            }
            read(
                &mut core.shard,
                &mut core.stats,
                (call.db, key, Access::Touch),
            )
        }
        Some(_) => core.shard.sorted_set(call.db, key, Access::Peek),
    };
    if let (Ok(None), Some(_)) = (&set, goes_on) {
        return Answer::no(call.out);
    }
    let chosen = set.map_err(ErrorReply::from).and_then(|set| {
        let request = Request::parse(&args, grammar, set)?;
        choose(request, set, goes_on)
    });
    store::answer(call.out, chosen);
}

/// Where a search goes on that is answered some members at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    look: (u64, u64),
    /// How many are wanted still.
    left: u64,
}

impl Place {
    fn to_bytes(self) -> Vec<u8> {
        [self.look.0, self.look.1, self.left]
            .map(u64::to_le_bytes)
            .concat()
    }

    /// None: it begins.
    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes));
        Some(Self {
            look: (numbers.next()?, numbers.next()?),
            left: numbers.next()?,
        })
    }
}

/// Members that are found from a place on; and where the next ones are looked for, if not all have been looked at.
fn choose(
    mut request: Request,
    set: Option<SortedSetRef<'_>>,
    from: Option<Place>,
) -> Result<(Members, Option<Vec<u8>>), ErrorReply> {
    let has_first = request.count.is_some() && !request.any;
    if let Some(place) = from {
        request.count = request.count.map(|_| place.left);
    }
    let mut finds = Finds::of(&request);
    let mut next = None;
    if let (Some(set), Some((center, shape))) = (set, &request.place) {
        let around = Around::new(shape, *center);
        let mut look = match from {
            Some(place) => Look::from(&around, place.look),
            None => Look::new(&around),
        };
        let most = if has_first { u64::MAX } else { steps::LOOK };
        let of = (&around, request.distances());
        if !look.go_on(set, of, &mut finds, most)? {
            next = Some(Place {
                look: look.place(),
                left: request.count.unwrap_or(u64::MAX) - finds.len() as u64,
            });
        }
    }
    finds.arrange();
    let members = members_of(&request, &finds)?;
    Ok((members, next.map(Place::to_bytes)))
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    fn sicily() -> Bench {
        let mut bench = Bench::new();
        bench.check(&[(
            "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 13.583333 37.316667 Agrigento",
            "3",
        )]);
        bench
    }

    #[test]
    fn members_within_a_shape_are_found_in_order() {
        let mut bench = sicily();
        bench.check(&[
            (
                "GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 200 km ASC",
                "[\"Catania\", \"Agrigento\", \"Palermo\"]",
            ),
            (
                "GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 200 km DESC COUNT 1 WITHDIST WITHHASH WITHCOORD",
                "[[\"Palermo\", \"190.4424\", 3479099956230698, [\"13.361389338970184\", \"38.1155563954963\"]]]",
            ),
            (
                "GEOSEARCH s FROMMEMBER Palermo BYBOX 30 400 km ASC",
                "[\"Palermo\"]",
            ),
            ("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 1 m", "[]"),
            (
                "GEOSEARCH s BYPOLYGON 3 13 37 15.5 37 15.5 38 ASC",
                "[\"Catania\"]",
            ),
            (
                "GEOSEARCH none FROMMEMBER x BYRADIUS 1 m",
                "[]",
            ),
            (
                "GEOSEARCH s FROMMEMBER x BYRADIUS y m",
                "ERR could not decode requested zset member",
            ),
        ]);
        assert_eq!(
            bench.run("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 ANY"),
            bench.run("GEOSEARCH s FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 ANY"),
        );
    }

    #[test]
    fn what_is_found_is_stored_with_its_scores_or_distances() {
        let mut bench = sicily();
        bench.check(&[
            ("SET d old", "OK"),
            ("GEOSEARCHSTORE d s FROMLONLAT 15 37 BYRADIUS 200 km COUNT 2", "2"),
            ("ZRANGE d 0 -1", "[\"Agrigento\", \"Catania\"]"),
            ("GEOSEARCHSTORE d s FROMMEMBER Palermo BYRADIUS 1 m STOREDIST", "1"),
            ("ZRANGE d 0 -1 WITHSCORES", "[\"Palermo\", \"0\"]"),
            ("GEOSEARCHSTORE d none FROMMEMBER x BYRADIUS 1 m", "0"),
            ("EXISTS d", "0"),
            (
                "GEOSEARCHSTORE d s FROMMEMBER Palermo BYRADIUS 1 m WITHDIST",
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
            ),
        ]);
        let expected = [
            "zadd s",
            "set d",
            "geosearchstore d",
            "geosearchstore d",
            "del d",
        ];
        assert_eq!(bench.events(), expected);
    }

    #[test]
    fn arguments_that_do_not_go_together_are_refused() {
        let mut bench = sicily();
        bench.check(&[
            (
                "geosearch s BYRADIUS 1 m ASC COUNT 1",
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch",
            ),
            (
                "GEOSEARCH s FROMLONLAT 1 1 ASC COUNT 1",
                "ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
            ),
            (
                "GEOSEARCH s FROMLONLAT 1 1 FROMMEMBER Palermo BYRADIUS 1 m",
                "ERR syntax error",
            ),
            (
                "GEOSEARCH s FROMLONLAT 1 1 BYRADIUS 1 m BYBOX 1 1 m",
                "ERR syntax error",
            ),
            (
                "GEOSEARCH s FROMLONLAT 1 1 BYRADIUS 1 m ANY",
                "ERR the ANY argument requires COUNT argument",
            ),
            (
                "GEOSEARCH s FROMLONLAT 1 1 BYRADIUS 1 m COUNT 0",
                "ERR COUNT must be > 0",
            ),
            (
                "GEOSEARCH s FROMLONLAT 1 1 BYRADIUS 1 m STORE d",
                "ERR syntax error",
            ),
            (
                "GEOSEARCH s BYPOLYGON 2 1 1 2 2 3 3",
                "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices",
            ),
        ]);
    }
}
