//! `GEORADIUS` and `GEORADIUSBYMEMBER`, for which `GEOSEARCH` stands now, and those of their kin that only read.

use super::request::{Grammar, MayStore};
use super::search::{SEARCHING, STORING_COMPLEXITY, begin_across, choose_part, search};
use crate::command::families::pieces::AtOnce;
use crate::command::{
    Args, CommandSpec, CoreCall, Flags, Found, KeyFlags, KeySpec, Keys, Rounds, Run, Span, Spread,
};
use crate::resp::ErrorReply;
use crate::routing::SlotMap;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "georadius",
        arity: -6,
        keys: Keys::of(&[
            SEARCHED,
            KeySpec::after("STORE", 6, STORED).found_by(|args| found(args, CIRCLE, false)),
            KeySpec::after("STOREDIST", 6, STORED).found_by(|args| found(args, CIRCLE, true)),
        ]),
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument",
        )),
        syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] \
                 [ASC | DESC] [STORE key | STOREDIST key]",
        summary: "Returns the members of a sorted set whose positions lie in a circle, or stores them.",
        run: Run::FanOut {
            together: |call| search(call, CIRCLE, AtOnce::All).map(drop),
            spread: Spread::Rounds(georadius_across),
        },
        steps: Some(|call| search(call, CIRCLE, AtOnce::Little)),
        ..STORING
    },
    CommandSpec {
        name: "georadiusbymember",
        arity: -5,
        keys: Keys::of(&[
            SEARCHED,
            KeySpec::after("STORE", 5, STORED).found_by(|args| found(args, MEMBER, false)),
            KeySpec::after("STOREDIST", 5, STORED).found_by(|args| found(args, MEMBER, true)),
        ]),
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        )),
        syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] \
                 [STORE key | STOREDIST key]",
        summary: "Returns the members of a sorted set whose positions lie in a circle around that of one of them, or stores them.",
        run: Run::FanOut {
            together: |call| search(call, MEMBER, AtOnce::All).map(drop),
            spread: Spread::Rounds(georadiusbymember_across),
        },
        steps: Some(|call| search(call, MEMBER, AtOnce::Little)),
        ..STORING
    },
    CommandSpec {
        name: "georadius_ro",
        arity: -6,
        since: "3.2.10",
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
        syntax: "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] \
                 [ASC | DESC]",
        summary: "Returns the members of a sorted set whose positions lie in a circle.",
        run: Run::OnShard(|call| search(call, READ_CIRCLE, AtOnce::All).map(drop)),
        steps: Some(|call| search(call, READ_CIRCLE, AtOnce::Little)),
        ..SEARCHING
    },
    CommandSpec {
        name: "georadiusbymember_ro",
        arity: -5,
        since: "3.2.10",
        deprecated: Some((
            "6.2.0",
            "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
        )),
        syntax: "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
        summary: "Returns the members of a sorted set whose positions lie in a circle around that of one of them.",
        run: Run::OnShard(|call| search(call, READ_MEMBER, AtOnce::All).map(drop)),
        steps: Some(|call| search(call, READ_MEMBER, AtOnce::Little)),
        ..SEARCHING
    },
];

const STORING: CommandSpec = CommandSpec {
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
    since: "3.2.0",
    complexity: STORING_COMPLEXITY,
    ..SEARCHING
};

const SEARCHED: KeySpec = KeySpec::at(1, KeyFlags::RO.access());
const STORED: KeyFlags = KeyFlags::OW.update();

const CIRCLE: Grammar = Grammar::Radius(MayStore::Yes);
const MEMBER: Grammar = Grammar::RadiusByMember(MayStore::Yes);
const READ_CIRCLE: Grammar = Grammar::Radius(MayStore::No);
const READ_MEMBER: Grammar = Grammar::RadiusByMember(MayStore::No);

/// The key that is stored at, if it is the last one said, and this way.
fn found(args: &Args<'_>, grammar: Grammar, as_distances: bool) -> Found {
    match grammar.stored(args) {
        Some(stored) if stored.as_distances == as_distances => {
            Found::Keys(Span::new(stored.at, stored.at + 1))
        }
        _ => Found::Nothing,
    }
}

fn georadius_across(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(begin_across(args, slots, CIRCLE, georadius_part))
}

fn georadiusbymember_across(
    args: &Args<'_>,
    slots: &SlotMap,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(begin_across(args, slots, MEMBER, georadiusbymember_part))
}

fn georadius_part(call: &mut CoreCall<'_>) {
    choose_part(call, CIRCLE);
}

fn georadiusbymember_part(call: &mut CoreCall<'_>) {
    choose_part(call, MEMBER);
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn members_around_a_place_are_returned_or_stored() {
        let mut bench = Bench::new();
        bench.check(&[
            (
                "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
                "2",
            ),
            (
                "GEORADIUS s 15 37 200 km WITHDIST ASC",
                "[[\"Catania\", \"56.4413\"], [\"Palermo\", \"190.4424\"]]",
            ),
            (
                "GEORADIUSBYMEMBER_RO s Catania 100 mi",
                "[\"Catania\"]",
            ),
            ("GEORADIUS s 15 37 100 km STORE d", "1"),
            ("GEOPOS d Catania", "[[\"15.087267458438873\", \"37.50266842333162\"]]"),
            ("GEORADIUSBYMEMBER s Catania 200 km STORE d STOREDIST e", "2"),
            ("ZSCORE d Palermo", "nil"),
            ("ZRANGE e 0 0 WITHSCORES", "[\"Catania\", \"0\"]"),
            ("GEORADIUS_RO s 15 37 100 km STORE d", "ERR syntax error"),
            ("GEORADIUSBYMEMBER none x y km", "[]"),
            ("GEORADIUSBYMEMBER none x y km STORE d", "0"),
            ("EXISTS d", "0"),
            ("GEORADIUS s 15 37 x km", "ERR need numeric radius"),
            ("GEORADIUS s 15 37 -1 km", "ERR radius cannot be negative"),
            (
                "GEORADIUS s 15 37 1 parsec",
                "ERR unsupported unit provided. please use M, KM, FT, MI",
            ),
            (
                "GEORADIUS s 15 37 1 km WITHDIST STORE d",
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
            ),
        ]);
        let expected = ["zadd s", "georadiusstore d", "georadiusstore e", "del d"];
        assert_eq!(bench.events(), expected);
    }
}
