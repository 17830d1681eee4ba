//! Positions of members: `GEOADD`, `GEOPOS`, `GEODIST`, `GEOHASH`.

use larder_engine::SortedSetRef;

use super::READING;
use super::earth::Position;
use super::grid::{Cell, STEPS_MAX, geohash_of, position_of};
use super::unit::{self, Unit};
use crate::command::families::sorted_sets::{add, read, write_score};
use crate::command::{CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "geoadd",
        arity: -5,
        flags: Flags::WRITE.with(Flags::DENYOOM),
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]),
        syntax: "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
        summary: "Gives members of a sorted set positions, and answers how many of the members are new.",
        complexity: "O(log(N)) for each member, where N is the number of members of the sorted set.",
        run: Run::OnShard(geoadd),
        ..PLACING
    },
    CommandSpec {
        name: "geopos",
        arity: -2,
        syntax: "key [member [member ...]]",
        summary: "Returns the positions of members of a sorted set.",
        complexity: "O(N) where N is the number of members asked for.",
        run: Run::OnShard(geopos),
        ..PLACING
    },
    CommandSpec {
        name: "geodist",
        arity: -4,
        syntax: "key member1 member2 [M | KM | FT | MI]",
        summary: "Returns the distance between the positions of two members of a sorted set.",
        run: Run::OnShard(geodist),
        ..PLACING
    },
    CommandSpec {
        name: "geohash",
        arity: -2,
        syntax: "key [member [member ...]]",
        summary: "Returns the geohashes of the positions of members of a sorted set.",
        complexity: "O(N) where N is the number of members asked for.",
        run: Run::OnShard(geohash),
        ..PLACING
    },
];

const PLACING: CommandSpec = CommandSpec {
    since: "3.2.0",
    ..READING
};

fn geoadd(call: &mut ShardCall<'_>) -> CommandResult {
    let args = call.args;
    let mut options = add::Options::default();
    let mut first = 2;
    loop {
        match () {
            () if args.is(first, "nx") => options.is_new = true,
            () if args.is(first, "xx") => options.is_there = true,
            () if args.is(first, "ch") => options.counts_changed = true,
            () => break,
        }
        first += 1;
    }
    let rest = args.len() - first;
    if !rest.is_multiple_of(3) || options.is_new && options.is_there {
        return Err(errors::SYNTAX);
    }
    // All positions are looked at before the first member gets one.
    for at in (first..args.len()).step_by(3) {
        Position::parse(&args, at)?;
    }
    if rest == 0 {
        return Err(errors::SYNTAX);
    }
    let given = (first..args.len()).step_by(3).map(|at| {
        let position = Position::parse(&args, at).expect("it was looked at");
        let score = Cell::at(position, STEPS_MAX).score();
        (score, args.at(at + 2))
    });
    let names = |number| args.iter_from(first + 2 + 3 * number).step_by(3);
    add::give(call, options, given, names)
}

fn geopos(call: &mut ShardCall<'_>) -> CommandResult {
    show_each(call, |reply, score| match score {
        Some(score) => {
            let position = position_of(score);
            reply.array(2);
            write_score(reply, position.longitude);
            write_score(reply, position.latitude);
        }
        None => reply.null_array(),
    })
}

fn geohash(call: &mut ShardCall<'_>) -> CommandResult {
    show_each(call, |reply, score| match score {
        Some(score) => reply.bulk(&geohash_of(score)),
        None => reply.null(),
    })
}

/// Has `show` write what it makes of the score of each member that the arguments name.
fn show_each(
    call: &mut ShardCall<'_>,
    show: impl Fn(&mut Reply<'_>, Option<f64>),
) -> CommandResult {
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    call.reply.array(call.args.len() - 2);
    for name in call.args.iter_from(2) {
        let score = set.and_then(|set: SortedSetRef<'_>| set.score(name));
        show(&mut call.reply, score);
    }
    Ok(())
}

fn geodist(call: &mut ShardCall<'_>) -> Result<(), ErrorReply> {
    let unit = match call.args.len() {
        4 => Unit::METER,
        5 => Unit::parse(&call.args, 4)?,
        _ => return Err(errors::SYNTAX),
    };
    let place = (call.db, call.key(1), call.access);
    let set = read(call.shard, call.stats, place)?;
    let position = |at| {
        let score = set.and_then(|set: SortedSetRef<'_>| set.score(call.args.at(at)));
        score.map(position_of)
    };
    match (position(2), position(3)) {
        (Some(one), Some(other)) => {
            let distance = one.meters_to(other) / unit.0;
            call.reply.text(&unit::shown(distance));
        }
        _ => call.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn members_get_positions_and_answer_them() {
        let mut bench = Bench::new();
        bench.check(&[
            (
                "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
                "2",
            ),
            ("GEOADD s NX CH 1 1 Palermo 2 2 x", "1"),
            ("GEOADD s XX CH 1 1 x 2 2 y", "1"),
            (
                "GEOPOS s Palermo none",
                "[[\"13.361389338970184\", \"38.1155563954963\"], nil]",
            ),
            ("GEODIST s Palermo Catania", "\"166274.1516\""),
            ("GEODIST s Palermo Catania KM", "\"166.2742\""),
            ("GEODIST s Palermo none", "nil"),
            (
                "GEOHASH s Palermo none Catania",
                "[\"sqc8b49rny0\", nil, \"sqdtr74hyu0\"]",
            ),
            ("GEOPOS none a", "[nil]"),
            ("GEOHASH none", "[]"),
        ]);
        assert_eq!(bench.events(), ["zadd s", "zadd s", "zadd s"]);
    }

    #[test]
    fn what_is_no_position_changes_nothing() {
        let mut bench = Bench::new();
        bench.check(&[
            (
                "GEOADD s 1 1 a 1 91 b",
                "ERR invalid longitude,latitude pair 1.000000,91.000000",
            ),
            ("GEOADD s 1 x a", "ERR value is not a valid float"),
            ("GEOADD s NX XX 1 1 a", "ERR syntax error"),
            ("GEOADD s 1 1 a 1", "ERR syntax error"),
            ("EXISTS s", "0"),
            ("GEOADD s 180 85.05112878 edge", "1"),
            ("GEOPOS s edge", "[[\"180\", \"85.05112878\"]]"),
            (
                "GEODIST s a b parsec",
                "ERR unsupported unit provided. please use M, KM, FT, MI",
            ),
            ("GEODIST s a b m x", "ERR syntax error"),
        ]);
    }
}
