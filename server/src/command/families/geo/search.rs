//! `GEOSEARCH`, `GEOSEARCHSTORE`, and what all searches do: look, and reply with what was found or store it.

use larder_engine::{Access, Event, Member, SortedSetRef};

use super::READING;
use super::find::Finds;
use super::request::{Grammar, Request};
use super::unit;
use crate::command::families::sorted_sets::store::{self, Members, Plan};
use crate::command::families::sorted_sets::{read, write_score};
use crate::command::{
    Args, CommandSpec, CoreCall, CoreFn, Flags, KeyFlags, KeySpec, Keys, Rounds, Run, ShardCall,
    Spread,
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
        run: Run::OnShard(geosearch),
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
        run: Run::FanOut {
            together: geosearchstore,
            spread: Spread::Rounds(geosearchstore_across),
        },
        ..SEARCHING
    },
];

/// What searches have in common.
pub(super) const SEARCHING: CommandSpec = CommandSpec {
    since: "6.2.0",
    complexity: "O(N+log(M)) where N is the number of members in the cells of the grid around the shape, and M that of all members. In one step.",
    ..READING
};

fn geosearch(call: &mut ShardCall<'_>) -> CommandResult {
    search(call, Grammar::Search)
}

fn geosearchstore(call: &mut ShardCall<'_>) -> CommandResult {
    search(call, Grammar::SearchStore)
}

/// Searches, and replies or stores, on one core.
pub(super) fn search(call: &mut ShardCall<'_>, grammar: Grammar) -> CommandResult {
    let source = (call.db, call.key(grammar.source()), call.access);
    let set = read(call.shard, call.stats, source)?;
    let request = Request::parse(&call.args, grammar, set)?;
    let finds = look(&request, set)?;
    let Some(stored) = request.stored else {
        return reply_with(&mut call.reply, &request, &finds);
    };
    let members = members_of(&request, &finds)?;
    let destination = (call.db, call.key(stored.at));
    let event = event_of(grammar);
    let count = store::store(call.shard, destination, &members, event)?;
    call.reply.count(count);
    Ok(())
}

/// The event of what a search stores.
fn event_of(grammar: Grammar) -> Event {
    match grammar {
        Grammar::Search | Grammar::SearchStore => Event::GeoSearchStore,
        Grammar::Radius(_) | Grammar::RadiusByMember(_) => Event::GeoRadiusStore,
    }
}

/// What is found, in order.
fn look(request: &Request, set: Option<SortedSetRef<'_>>) -> Result<Finds, ErrorReply> {
    let (Some(set), Some((center, shape))) = (set, &request.place) else {
        return Ok(Finds::default());
    };
    let most = request.count.unwrap_or(u64::MAX);
    let looked_for = if request.any { most } else { u64::MAX };
    let mut finds = Finds::look(set, (*center, shape), looked_for)?;
    finds.arrange(request.order, usize::try_from(most).unwrap_or(usize::MAX));
    Ok(finds)
}

fn reply_with(reply: &mut Reply<'_>, request: &Request, finds: &Finds) -> CommandResult {
    let (shows, began) = (request.shows, reply.mark());
    let shown = [shows.distance, shows.score, shows.position];
    let shown = shown.into_iter().filter(|&is_shown| is_shown).count();
    reply.array(finds.len());
    for (name, found) in finds.iter() {
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
            reply.array(2);
            write_score(reply, found.position.longitude);
            write_score(reply, found.position.latitude);
        }
        reply.check_len(began)?;
    }
    Ok(())
}

/// What is stored of what was found.
fn members_of(request: &Request, finds: &Finds) -> Result<Members, ErrorReply> {
    let mut members = Members::default();
    let as_distances = request.stored.is_some_and(|stored| stored.as_distances);
    for (name, found) in finds.iter() {
        let score = match as_distances {
            true => found.distance / request.unit.0,
            false => found.score,
        };
        members.push(&Member { name, score })?;
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

/// Answers what a search finds here, all at once.
pub(super) fn choose_part(call: &mut CoreCall<'_>, grammar: Grammar) {
    let (args, core) = (call.args.from(1), &mut *call.core);
    let source = args.at(grammar.source());
    if let Some(reader) = call.reader {
        core.remember_key(source, reader);
    }
    let place = (call.db, core.shard.hasher().key(source), Access::Touch);
    let set = read(&mut core.shard, &mut core.stats, place);
    let chosen = set.map_err(ErrorReply::from).and_then(|set| {
        let request = Request::parse(&args, grammar, set)?;
        let members = members_of(&request, &look(&request, set)?)?;
        Ok((members, None))
    });
    store::answer(call.out, chosen);
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
