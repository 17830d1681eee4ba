//! Key specifications against what they mean, said plainly, on any arguments; and every command's.

use proptest::prelude::*;

use super::*;
use crate::command::{Command, CommandTable};
use crate::resp::ArgRange;

/// The arguments `words`, as a command has them.
fn with_args<R>(words: &[&str], with: impl FnOnce(&Args<'_>) -> R) -> R {
    let mut input = Vec::new();
    let mut ranges = Vec::new();
    for word in words {
        let (start, len) = (input.len() as u32, word.len() as u32);
        ranges.push(ArgRange { start, len });
        input.extend_from_slice(word.as_bytes());
    }
    with(&Args::new(&input, &ranges))
}

fn positions(keys: Keys, words: &[&str]) -> Vec<usize> {
    with_args(words, |args| keys.positions(args).collect())
}

/// Where specifications find keys: for each argument it is asked, in numbers that do not overflow, whether it is one.
fn plainly(specs: &[KeySpec], words: &[&str]) -> Vec<usize> {
    let len = words.len() as i128;
    let mut keys = Vec::new();
    for spec in specs.iter().filter(|spec| spec.is_of_keys()) {
        let begin = match spec.begin_search() {
            BeginSearch::Index(at) => i128::from(at),
            BeginSearch::Keyword { word, from } => {
                let is_word = |at: &i128| words[*at as usize].eq_ignore_ascii_case(word);
                let from = i128::from(from);
                let found = if from > 0 {
                    (0..len)
                        .filter(|at| (from..=len - 2).contains(at))
                        .find(is_word)
                } else {
                    (0..len)
                        .rev()
                        .filter(|at| (2..=len + from).contains(at))
                        .find(is_word)
                };
                let Some(found) = found else { continue };
                found + 1
            }
            BeginSearch::Unknown => unreachable!(),
        };
        let (first, last, step) = match spec.find_keys() {
            FindKeys::Range { last, step, limit } => {
                let last = match i128::from(last) {
                    last if last >= 0 => begin + last,
                    _ if limit > 1 => begin + (len - begin).max(0) / i128::from(limit) - 1,
                    last => len + last,
                };
                (begin, last, step)
            }
            FindKeys::KeyNum {
                number,
                first,
                step,
            } => {
                let number = words.get((begin + i128::from(number)) as usize);
                let number: i128 = number.and_then(|word| word.parse().ok()).unwrap_or(0);
                // Redis takes numbers of 64 bits in their one decimal form.
                if number < 1 || number > i128::from(i64::MAX) {
                    return Vec::new();
                }
                let first = begin + i128::from(first);
                (first, first + (number - 1) * i128::from(step), step)
            }
            FindKeys::Unknown => unreachable!(),
        };
        let is_open = matches!(spec.find_keys(), FindKeys::Range { last, .. } if last < 0);
        if last >= len && !is_open {
            return Vec::new();
        }
        let is_key =
            |at: &i128| *at >= first && *at <= last && (at - first) % i128::from(step) == 0;
        keys.extend((0..len).filter(is_key).map(|at| at as usize));
    }
    keys
}

fn any_spec() -> impl Strategy<Value = KeySpec> {
    let begin = prop_oneof![
        (1..5u8).prop_map(BeginSearch::Index),
        (prop_oneof![-4..0i8, 1..6i8]).prop_map(|from| BeginSearch::Keyword {
            word: "STORE",
            from
        }),
    ];
    let find = prop_oneof![
        (0..3i8, 1..4u8).prop_map(|(steps, step)| FindKeys::Range {
            last: steps * step as i8,
            step,
            limit: 0
        }),
        (-3..0i8, 1..4u8).prop_map(|(last, step)| FindKeys::Range {
            last,
            step,
            limit: 0
        }),
        (1..4u8, 1..3u8).prop_map(|(limit, step)| FindKeys::Range {
            last: -1,
            step,
            limit
        }),
        (0..2u8, 0..2u8, 1..4u8).prop_map(|(number, gap, step)| FindKeys::KeyNum {
            number,
            first: number + 1 + gap,
            step
        }),
    ];
    let flags = prop_oneof![
        4 => Just(KeyFlags::RO.access()),
        4 => Just(KeyFlags::OW.update()),
        1 => Just(KeyFlags::NOT_KEY),
    ];
    (begin, find, flags).prop_map(|(begin, find, flags)| KeySpec::new(begin, find, flags))
}

fn any_words(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<&'static str>> {
    let word = prop::sample::select(vec![
        "k",
        "",
        "1",
        "2",
        "3",
        "0",
        "-1",
        "4294967297",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "x1",
        "STORE",
        "store",
        "GET",
        "KEYS",
        "STREAMS",
    ]);
    prop::collection::vec(word, len)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_are_found_as_their_specifications_say_whatever_the_arguments(
        specs in prop::collection::vec(any_spec(), 0..=KEY_SPECS_MAX),
        words in any_words(1..14),
    ) {
        let expected = plainly(&specs, &words);
        let keys = Keys::of(Vec::leak(specs));
        let found = positions(keys, &words);
        prop_assert_eq!(&found, &expected);
        // What is worked out ahead of the arguments is what they come to.
        let ahead = usize::from(keys.first());
        prop_assert!(ahead == 0 || found.first().is_none_or(|first| *first == ahead));
        if let Some((first, step)) = keys.range() {
            prop_assert!(found.iter().enumerate().all(|(index, at)| *at == first + index * step));
        }
        let accesses = with_args(&words, |args| keys.in_args(args).map(|key| (key.at, key.access())).collect::<Vec<_>>());
        prop_assert!(accesses.iter().map(|(at, _)| at).eq(&found));
    }

    #[test]
    fn every_commands_keys_are_among_its_arguments(words in any_words(0..12)) {
        fn check(command: &Command, words: &[&str]) {
            let spec = command.spec;
            let mut line: Vec<&str> = spec.name.split('|').collect();
            line.extend(words);
            if spec.accepts(line.len()) {
                let keys = positions(spec.keys, &line);
                let first = usize::from(command.first_key);
                assert!(keys.iter().all(|at| (1..line.len()).contains(at)), "{line:?}: {keys:?}");
                assert!(first == 0 || keys.first().is_none_or(|at| *at == first), "{line:?}: {keys:?}");
                let mut finers = spec.keys.specs().iter().map(KeySpec::finer);
                if finers.all(|finer| matches!(finer, Finer::Nothing | Finer::Flags(_))) {
                    assert_eq!(keys, plainly(spec.keys.specs(), &line), "{line:?}");
                }
            }
            command.subcommands.iter().for_each(|command| check(command, words));
        }
        CommandTable::global().iter().for_each(|command| check(command, &words));
    }

    #[test]
    fn what_variable_flags_come_to_is_no_more_than_is_locked_for(words in any_words(0..12)) {
        for command in CommandTable::global().iter() {
            let mut line = vec![command.spec.name];
            line.extend(&words);
            if command.spec.accepts(line.len()) {
                with_args(&line, |args| {
                    for key in command.spec.keys.in_args(args) {
                        key.spec.flags_in(args).check();
                        assert!(key.spec.flags_in(args).key_access() <= key.access(), "{line:?}");
                    }
                });
            }
        }
    }
}

#[test]
fn each_key_has_the_access_of_its_own_specification() {
    let bitop = CommandTable::global().find(b"bitop").unwrap().spec;
    let found = with_args(&["bitop", "and", "d", "a", "b"], |args| {
        let keys = bitop.keys.in_args(args);
        keys.map(|key| (key.at, key.access())).collect::<Vec<_>>()
    });
    use KeyAccess::{Read, Write};
    assert_eq!(found, [(2, Write), (3, Read), (4, Read)]);
}

#[test]
fn what_is_done_with_a_key_follows_from_the_other_arguments() {
    // As redis-server 8.6.3 answers to COMMAND GETKEYSANDFLAGS.
    for (words, expected) in [
        ("set k v ex 10", KeyFlags::OW.update()),
        ("set k v ifeq x", KeyFlags::RW.update()),
        ("set k v IFDNE x GET", KeyFlags::RW.access().update()),
        ("set ifeq get", KeyFlags::OW.update()),
        ("delex k", KeyFlags::RM.delete()),
        ("delex k ifne x", KeyFlags::RW.delete()),
        ("bitfield k", KeyFlags::RO.access()),
        (
            "bitfield k get set 0 overflow incrby",
            KeyFlags::RO.access(),
        ),
        ("bitfield k get u8", KeyFlags::RW.access().update()),
        (
            "bitfield k get u8 0 set u8 0 1",
            KeyFlags::RW.access().update(),
        ),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let spec = CommandTable::global()
            .find(words[0].as_bytes())
            .unwrap()
            .spec;
        let flags = with_args(&words, |args| spec.keys.specs()[0].flags_in(args));
        assert_eq!(flags, expected, "{words:?}");
    }
}

#[test]
fn a_channel_is_no_key() {
    for name in ["spublish", "ssubscribe", "sunsubscribe"] {
        let command = CommandTable::global().find(name.as_bytes()).unwrap();
        assert_eq!(command.first_key, 0, "{name}");
        assert!(
            positions(command.spec.keys, &[name, "c", "m"]).is_empty(),
            "{name}"
        );
    }
}

#[test]
fn keys_that_no_argument_names_are_told_by_the_strongest_of_what_is_done_with_them() {
    fn by(args: &Args<'_>) -> bool {
        args.is(2, "by")
    }
    fn storing(args: &Args<'_>) -> bool {
        args.is(3, "store")
    }
    const SORTING: Keys = Keys::of(&[
        KeySpec::at(1, KeyFlags::RO.access()),
        KeySpec::unknown(KeyFlags::RO.access()).unnamed(by),
        KeySpec::unknown(KeyFlags::OW.update()).unnamed(storing),
    ]);
    for (words, expected) in [
        (&["sort", "k"][..], None),
        (&["sort", "k", "by"], Some(KeyAccess::Read)),
        (&["sort", "k", "by", "store"], Some(KeyAccess::Write)),
        (&["sort", "k", "", "store"], Some(KeyAccess::Write)),
    ] {
        assert_eq!(
            with_args(words, |args| SORTING.unnamed(args)),
            expected,
            "{words:?}"
        );
        assert_eq!(positions(SORTING, words), [1], "{words:?}");
    }
}

/// Whether making it panics, which at compile time is an error.
fn contradicts_itself(make: fn() -> KeySpec) -> bool {
    std::panic::catch_unwind(make).is_err()
}

#[test]
fn a_specification_that_contradicts_itself_is_none() {
    use KeyFlags as F;
    for make in [
        || KeySpec::at(0, F::RO),
        || KeySpec::at(1, F::ACCESS),
        || KeySpec::at(1, F::RO.with(F::OW)),
        || KeySpec::at(1, F::RO.update()),
        || KeySpec::at(1, F::OW.update().access()),
        || KeySpec::at(1, F::OW),
        || KeySpec::at(1, F::NOT_KEY.access()),
        || KeySpec::at(1, F::RO).step(0),
        || KeySpec::at(1, F::RO).to(2).step(3),
        || KeySpec::at(1, F::RO).to(2).limit(2),
        || KeySpec::at(1, F::RO).counted().limit(2),
        || KeySpec::after("", 1, F::RO),
        || KeySpec::after("STORE", 0, F::RO),
        || KeySpec::unknown(F::RO).counted(),
        || KeySpec::unknown(F::RO).step(2),
    ] as [fn() -> KeySpec; 15]
    {
        assert!(contradicts_itself(make), "{:?}", make());
    }
    assert!(!contradicts_itself(|| KeySpec::after("STREAMS", 1, F::RO)
        .to(-1)
        .limit(2)));
}
