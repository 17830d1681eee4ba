//! Key specifications of commands, most of which Larder has yet to learn, and what they find: blessed by redis-server, to
//! which the test plays the same calls.

use larder_server::command::{Args, CommandTable, Found, KeyFlags, KeySpec, Keys, Span};

const RO: KeyFlags = KeyFlags::RO;
const RW: KeyFlags = KeyFlags::RW;
const OW: KeyFlags = KeyFlags::OW;

const ZUNIONSTORE: Keys = Keys::of(&[
    KeySpec::at(1, OW.update()),
    KeySpec::at(2, RO.access()).counted(),
]);
const SINTERCARD: Keys = Keys::of(&[KeySpec::at(1, RO.access()).counted()]);
const LMPOP: Keys = Keys::of(&[KeySpec::at(1, RW.access().delete()).counted()]);
const BLMPOP: Keys = Keys::of(&[KeySpec::at(2, RW.access().delete()).counted()]);
const EVALSHA: Keys = Keys::of(&[KeySpec::at(2, RW.access().update()).counted()]);
const BITOP: Keys = Keys::of(&[
    KeySpec::at(2, OW.update()),
    KeySpec::at(3, RO.access()).to(-1),
]);
const MSET: Keys = Keys::of(&[KeySpec::at(1, OW.update()).to(-1).step(2)]);
const BLPOP: Keys = Keys::of(&[KeySpec::at(1, RW.access().delete()).to(-2)]);
const LMOVE: Keys = Keys::of(&[
    KeySpec::at(1, RW.access().delete()),
    KeySpec::at(2, RW.insert()),
]);
const XREAD: Keys = Keys::of(&[KeySpec::after("STREAMS", 1, RO.access()).to(-1).limit(2)]);
const XREADGROUP: Keys = Keys::of(&[KeySpec::after("STREAMS", 4, RO.access()).to(-1).limit(2)]);
const GEORADIUS: Keys = Keys::of(&[
    KeySpec::at(1, RO.access()),
    KeySpec::after("STORE", 6, OW.update()),
    KeySpec::after("STOREDIST", 6, OW.update()),
]);
const SORTED: KeySpec = KeySpec::at(1, RO.access());
const SORTED_BY: KeySpec = KeySpec::unknown(RO.access()).unnamed(sort_looks_elsewhere).note(
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
);
const SORT: Keys = Keys::of(&[
    SORTED,
    SORTED_BY,
    KeySpec::unknown(OW.update()).found_by(sort_stores).note(
        "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
    ),
]);
const SORT_RO: Keys = Keys::of(&[SORTED, SORTED_BY]);
const MIGRATE: Keys = Keys::of(&[
    KeySpec::at(3, RW.access().delete()).found_by(migrate_one),
    KeySpec::after("KEYS", -2, RW.access().delete())
        .to(-1)
        .incomplete(migrate_many),
]);

/// Options of `SORT` with the numbers of their values. Gives each option's position.
fn sort_options(args: &Args<'_>) -> impl Iterator<Item = usize> {
    let mut next = 2;
    std::iter::from_fn(move || {
        let at = next;
        let values = match () {
            () if args.is(at, "limit") => 2,
            () if args.is(at, "get") || args.is(at, "by") => 1,
            () => 0,
        };
        next += 1 + values;
        (at < args.len()).then_some(at)
    })
}

fn sort_looks_elsewhere(args: &Args<'_>) -> bool {
    let mut options = sort_options(args);
    options.any(|at| {
        let is_pattern = args
            .get(at + 1)
            .is_some_and(|pattern| pattern.contains(&b'*'));
        (args.is(at, "by") || args.is(at, "get")) && is_pattern
    })
}

/// The last `STORE` counts.
fn sort_stores(args: &Args<'_>) -> Found {
    let stores = sort_options(args).filter(|at| args.is(*at, "store") && at + 1 < args.len());
    match stores.last() {
        Some(at) => Found::Keys(Span::new(at + 1, at + 2)),
        None => Found::Nothing,
    }
}

/// Where `KEYS` of `MIGRATE` stands. As in Redis, it is looked for if the word stands anywhere before the last argument.
fn migrate_keys(args: &Args<'_>) -> Option<usize> {
    let may_be_there = (2..args.len() - 1).any(|at| args.is(at, "keys"));
    let mut at = 6;
    while may_be_there && at < args.len() {
        at += match () {
            () if args.is(at, "keys") => return Some(at),
            () if args.is(at, "auth") => 2,
            () if args.is(at, "auth2") => 3,
            () => 1,
        };
    }
    None
}

fn migrate_one(args: &Args<'_>) -> Found {
    match migrate_keys(args) {
        None => Found::Keys(Span::new(3, 4)),
        // With `KEYS` the one key is to be empty.
        Some(_) if args.at(3).is_empty() => Found::Nothing,
        Some(_) => Found::Contradiction,
    }
}

fn migrate_many(args: &Args<'_>) -> Found {
    match migrate_keys(args) {
        Some(at) => Found::Keys(Span::new(at + 1, args.len())),
        None => Found::Nothing,
    }
}

/// The specifications of a command where those that redis-server tells of do not say all: made up here, or Larder's own.
pub(crate) fn of(name: &str) -> Option<Keys> {
    match name {
        "sort" => Some(SORT),
        "sort_ro" => Some(SORT_RO),
        "migrate" => Some(MIGRATE),
        "set" | "bitfield" => CommandTable::global()
            .find(name.as_bytes())
            .map(|command| command.spec.keys),
        _ => None,
    }
}

/// The words of a call; `""` is an empty one.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split(' ')
        .map(|word| if word == "\"\"" { "" } else { word })
        .collect()
}

/// Calls of a command, and the keys in each with what is done with them.
type Calls = &'static [(&'static str, &'static str)];

pub(crate) const CASES: &[(Keys, Calls)] = &[
    (
        ZUNIONSTORE,
        &[
            (
                "ZUNIONSTORE d 2 a b",
                "d OW update, a RO access, b RO access",
            ),
            (
                "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
                "d OW update, a RO access, b RO access",
            ),
            ("ZUNIONSTORE d 1 d", "d OW update, d RO access"),
            ("ZUNIONSTORE d 3 a b", ""),
            ("ZUNIONSTORE d 0 a", ""),
            ("ZUNIONSTORE d -1 a", ""),
            ("ZUNIONSTORE d x a", ""),
            ("ZUNIONSTORE d 9223372036854775807 a", ""),
            ("ZUNIONSTORE d 99999999999999999999 a", ""),
        ],
    ),
    (
        SINTERCARD,
        &[
            ("SINTERCARD 2 a b LIMIT 1", "a RO access, b RO access"),
            ("SINTERCARD 2 a", ""),
            ("SINTERCARD 0 a", ""),
        ],
    ),
    (
        LMPOP,
        &[
            ("LMPOP 2 a b LEFT", "a RW access delete, b RW access delete"),
            ("LMPOP 4 a b LEFT", ""),
        ],
    ),
    (
        BLMPOP,
        &[(
            "BLMPOP 0 2 a b LEFT",
            "a RW access delete, b RW access delete",
        )],
    ),
    (
        EVALSHA,
        &[
            (
                "EVALSHA s 2 a b c",
                "a RW access update, b RW access update",
            ),
            ("EVALSHA s 0 a", ""),
            ("EVALSHA s 2 a", ""),
            ("EVALSHA s -9223372036854775808 a", ""),
        ],
    ),
    (
        BITOP,
        &[("BITOP AND d a b", "d OW update, a RO access, b RO access")],
    ),
    (
        MSET,
        &[
            ("MSET a 1 b 2", "a OW update, b OW update"),
            ("MSET a 1 b", "a OW update, b OW update"),
        ],
    ),
    (
        BLPOP,
        &[("BLPOP a b 0", "a RW access delete, b RW access delete")],
    ),
    (
        LMOVE,
        &[("LMOVE a b LEFT RIGHT", "a RW access delete, b RW insert")],
    ),
    (
        XREAD,
        &[
            ("XREAD STREAMS a b 0 0", "a RO access, b RO access"),
            ("XREAD COUNT 2 BLOCK 0 streams a 0", "a RO access"),
            ("XREAD STREAMS STREAMS 0", "STREAMS RO access"),
            ("XREAD STREAMS a b 0", "a RO access"),
            ("XREAD COUNT 2 BLOCK 0", ""),
            ("XREAD COUNT 2 STREAMS", ""),
        ],
    ),
    (
        XREADGROUP,
        &[
            (
                "XREADGROUP GROUP g c STREAMS a b > >",
                "a RO access, b RO access",
            ),
            (
                "XREADGROUP GROUP STREAMS STREAMS COUNT 1 STREAMS a >",
                "a RO access",
            ),
            ("XREADGROUP GROUP g c NOACK COUNT 1 STREAMS", ""),
        ],
    ),
    (
        SORT,
        &[
            ("SORT k", "k RO access"),
            (
                "SORT k BY w_* GET o_* GET # DESC STORE d",
                "k RO access, d OW update",
            ),
            ("SORT k STORE a STORE b", "k RO access, b OW update"),
            ("SORT k BY STORE GET STORE LIMIT STORE STORE", "k RO access"),
            ("SORT k ALPHA STORE", "k RO access"),
            ("SORT k STORE STORE d", "k RO access, d OW update"),
        ],
    ),
    (SORT_RO, &[("SORT_RO k BY w_* GET o_*", "k RO access")]),
    (
        MIGRATE,
        &[
            ("MIGRATE h 1 k 0 1", "k RW access delete"),
            ("MIGRATE h 1 k 0 1 COPY REPLACE", "k RW access delete"),
            (
                "MIGRATE h 1 \"\" 0 1 COPY KEYS a b",
                "a RW access delete, b RW access delete",
            ),
            (
                "MIGRATE h 1 \"\" 0 1 AUTH KEYS KEYS a",
                "a RW access delete",
            ),
            (
                "MIGRATE h 1 \"\" 0 1 AUTH2 KEYS KEYS KEYS KEYS",
                "KEYS RW access delete",
            ),
            ("MIGRATE h 1 k 0 1 KEYS a b", ""),
            ("MIGRATE h 1 k 0 1 KEYS", "k RW access delete"),
            ("MIGRATE h KEYS \"\" 0 1 KEYS", ""),
        ],
    ),
    (
        GEORADIUS,
        &[
            ("GEORADIUS k 1 2 3 m", "k RO access"),
            ("GEORADIUS k 1 2 3 m STORE d", "k RO access, d OW update"),
            (
                "GEORADIUS k 1 2 3 m COUNT 1 store d STOREDIST e",
                "k RO access, d OW update, e OW update",
            ),
            ("GEORADIUS k 1 2 3 m ASC STORE", "k RO access"),
        ],
    ),
];

#[test]
fn what_sort_looks_up_elsewhere_is_any_key_to_read() {
    use larder_server::command::KeyAccess;
    for (line, expected) in [
        ("SORT k", None),
        ("SORT k BY nosort GET #", None),
        ("SORT k BY w_* STORE d", Some(KeyAccess::Read)),
        ("SORT k LIMIT BY * GET o_*->f", Some(KeyAccess::Read)),
        ("SORT k LIMIT BY GET* STORE GET*", None),
    ] {
        super::with_args(&words(line), |args| {
            assert_eq!(SORT.unnamed(args), expected, "{line}")
        });
    }
}
