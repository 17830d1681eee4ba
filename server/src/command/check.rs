//! What must agree in what is said of a command. A table that contradicts itself does not compile.

use crate::command::{
    BeginSearch, CommandSpec, FindKeys, Finer, Flags, KeyAccess, KeyFlags, KeySpec, Run, Spread,
};

/// The tables, none of whose commands contradicts itself.
///
/// # Panics
/// One does: at compile time, with its name and what is wrong.
pub(super) const fn checked(
    families: &'static [&'static [CommandSpec]],
) -> &'static [&'static [CommandSpec]] {
    let mut family = 0;
    while family < families.len() {
        check_all(families[family]);
        family += 1;
    }
    families
}

const fn check_all(specs: &[CommandSpec]) {
    let mut at = 0;
    while at < specs.len() {
        let spec = &specs[at];
        if let Some(contradiction) = contradiction(spec) {
            Message::of(spec.name, contradiction).panic();
        }
        check_all(spec.subcommands);
        at += 1;
    }
}

/// What contradicts itself in what is said of a command.
pub(super) const fn contradiction(spec: &CommandSpec) -> Option<&'static str> {
    if spec.arity == 0 {
        return Some("it takes at least its name");
    }
    if spec.flags.has(Flags::MOVABLE_KEYS) {
        return Some("whether its keys are movable follows from its key specifications");
    }
    if spec.flags.has(Flags::WRITE) && spec.flags.has(Flags::READONLY) {
        return Some("it writes, or it only reads");
    }
    let keys = spec.keys.specs();
    let mut at = 0;
    let mut writes = false;
    while at < keys.len() {
        if let Some(contradiction) = contradiction_in_keys(spec, &keys[at]) {
            return Some(contradiction);
        }
        writes |=
            keys[at].is_of_keys() && matches!(keys[at].flags().key_access(), KeyAccess::Write);
        at += 1;
    }
    if spec.flags.has(Flags::WRITE) && !writes && spec.keys.are_any() {
        return Some("it writes, but none of its key specifications does");
    }
    contradiction_with_run(spec)
}

const fn contradiction_in_keys(spec: &CommandSpec, keys: &KeySpec) -> Option<&'static str> {
    let runs_script = matches!(spec.run, Run::Script(_));
    let flags = keys.flags();
    if (flags.changes_data() || flags.is_blind()) && !spec.flags.has(Flags::WRITE) && !runs_script {
        return Some("a key specification changes data, but the command does not write");
    }
    match keys.finer() {
        Finer::Nothing | Finer::Flags(_) if flags.has(KeyFlags::INCOMPLETE) => {
            return Some("a key specification is incomplete, and nothing knows more");
        }
        Finer::Nothing | Finer::Flags(_) if matches!(keys.begin_search(), BeginSearch::Unknown) => {
            return Some("a key specification is unknown, and nothing knows more");
        }
        _ => {}
    }
    if places_are_beyond_arity(spec, keys) {
        return Some("a key specification looks beyond the fewest arguments");
    }
    None
}

/// Whether a specification looks where there may be no argument.
const fn places_are_beyond_arity(spec: &CommandSpec, keys: &KeySpec) -> bool {
    let fewest = spec.arity.unsigned_abs() as usize;
    let BeginSearch::Index(first) = keys.begin_search() else {
        // Behind a keyword there are as many arguments as the client likes.
        return matches!(keys.begin_search(), BeginSearch::Keyword { .. }) && spec.arity > 0;
    };
    let first = first as usize;
    // Behind the names of a container and its subcommand.
    if is_subcommand(spec.name) && first < 2 {
        return true;
    }
    match keys.find_keys() {
        // A range to the end may be empty, unless it has the only keys.
        FindKeys::Range { last, .. } if last < 0 => {
            let may_be_empty = !keys.is_of_keys() || spec.keys.specs().len() > 1;
            first + last.unsigned_abs() as usize > fewest + may_be_empty as usize
        }
        FindKeys::Range { last, .. } => first + last as usize >= fewest,
        FindKeys::KeyNum { number, .. } => first + number as usize >= fewest || spec.arity > 0,
        FindKeys::Unknown => false,
    }
}

const fn is_subcommand(name: &str) -> bool {
    let name = name.as_bytes();
    let mut at = 0;
    while at < name.len() {
        if name[at] == b'|' {
            return true;
        }
        at += 1;
    }
    false
}

/// What runs a command, and what it counts on.
const fn contradiction_with_run(spec: &CommandSpec) -> Option<&'static str> {
    let has_keys = spec.keys.are_any();
    match &spec.run {
        Run::OnShard(_) if has_keys && !has_one_key(spec) => {
            Some("it runs where its one key lives, but may have several")
        }
        Run::OnShard(_) | Run::FanOut { .. } if spec.steps.is_some() && !has_keys => {
            Some("it goes on over several turns, but there are no keys to lock")
        }
        Run::OnShard(_) if spec.flags.has(Flags::WRITE) && !has_keys => {
            Some("it writes on a shard, but has no keys")
        }
        Run::FanOut {
            spread: Spread::Sum | Spread::Gather | Spread::All,
            ..
        } if spec.keys.range().is_none() => {
            Some("it spreads by its keys, but they are not one range")
        }
        Run::FanOut { .. } | Run::Blocking(_) if !has_keys => Some("it has no keys"),
        Run::Script(_) if !has_keys => Some("a script declares its keys"),
        Run::Container if has_keys => Some("a container has no keys, its subcommands have"),
        _ if spec.flags.has(Flags::FROM_COPY) && !spec.flags.has(Flags::READONLY) => {
            Some("a copy answers only what reads")
        }
        _ => None,
    }
}

const fn has_one_key(spec: &CommandSpec) -> bool {
    match spec.keys.specs() {
        [keys] => {
            matches!(keys.find_keys(), FindKeys::Range { last: 0, .. }) && spec.keys.first() > 0
        }
        _ => false,
    }
}

/// Text of a compile error: the command's name and what is wrong.
struct Message {
    text: [u8; 160],
    len: usize,
}

impl Message {
    const fn of(name: &str, contradiction: &str) -> Self {
        let message = Self {
            text: [0; 160],
            len: 0,
        };
        message.then(name).then(": ").then(contradiction)
    }

    const fn then(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() && self.len < self.text.len() {
            self.text[self.len] = text[at];
            self.len += 1;
            at += 1;
        }
        self
    }

    const fn panic(&self) -> ! {
        match std::str::from_utf8(self.text.split_at(self.len).0) {
            Ok(text) => panic!("{}", text),
            Err(_) => panic!("a command's specification contradicts itself"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Keys, ShardCall};
    use crate::resp::errors::CommandResult;

    fn nothing(_: &mut ShardCall<'_>) -> CommandResult {
        Ok(())
    }

    const READING: CommandSpec = CommandSpec {
        name: "made up",
        arity: 2,
        flags: Flags::READONLY,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
        run: Run::OnShard(nothing),
        ..CommandSpec::BASE
    };
    const SPREADING: CommandSpec = CommandSpec {
        arity: -3,
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access()).to(-1)]),
        run: Run::FanOut {
            together: nothing,
            spread: Spread::Gather,
        },
        ..READING
    };

    #[test]
    fn what_agrees_is_left_alone() {
        assert_eq!(contradiction(&READING), None);
        assert_eq!(contradiction(&SPREADING), None);
        assert_eq!(contradiction(&CommandSpec::BASE), None);
    }

    #[test]
    fn each_contradiction_is_found() {
        const OVERWRITES: Keys = Keys::of(&[KeySpec::at(1, KeyFlags::OW.update())]);
        const CASES: &[(&str, CommandSpec)] = &[
            (
                "it takes at least its name",
                CommandSpec {
                    arity: 0,
                    ..READING
                },
            ),
            (
                "whether its keys are movable follows from its key specifications",
                CommandSpec {
                    flags: Flags::READONLY.with(Flags::MOVABLE_KEYS),
                    ..READING
                },
            ),
            (
                "it writes, or it only reads",
                CommandSpec {
                    flags: Flags::READONLY.with(Flags::WRITE),
                    ..READING
                },
            ),
            (
                "it writes, but none of its key specifications does",
                CommandSpec {
                    flags: Flags::WRITE,
                    ..READING
                },
            ),
            (
                "a key specification changes data, but the command does not write",
                CommandSpec {
                    keys: OVERWRITES,
                    ..READING
                },
            ),
            (
                "a key specification is unknown, and nothing knows more",
                CommandSpec {
                    keys: Keys::of(&[KeySpec::unknown(KeyFlags::RO)]),
                    ..READING
                },
            ),
            (
                "a key specification looks beyond the fewest arguments",
                CommandSpec {
                    keys: Keys::of(&[KeySpec::at(2, KeyFlags::RO)]),
                    ..READING
                },
            ),
            (
                "a key specification looks beyond the fewest arguments",
                CommandSpec {
                    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO).to(2)]),
                    ..SPREADING
                },
            ),
            (
                "a key specification looks beyond the fewest arguments",
                CommandSpec {
                    arity: -2,
                    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO).to(-2)]),
                    ..SPREADING
                },
            ),
            (
                "a key specification looks beyond the fewest arguments",
                CommandSpec {
                    keys: Keys::of(&[KeySpec::at(3, KeyFlags::RO).counted()]),
                    ..SPREADING
                },
            ),
            (
                "a key specification looks beyond the fewest arguments",
                CommandSpec {
                    keys: Keys::of(&[KeySpec::after("STORE", 1, KeyFlags::RO)]),
                    ..READING
                },
            ),
            (
                "a key specification looks beyond the fewest arguments",
                CommandSpec {
                    name: "made|up",
                    ..READING
                },
            ),
            (
                "it runs where its one key lives, but may have several",
                CommandSpec {
                    run: READING.run,
                    ..SPREADING
                },
            ),
            (
                "it writes on a shard, but has no keys",
                CommandSpec {
                    flags: Flags::WRITE,
                    keys: Keys::NONE,
                    ..READING
                },
            ),
            (
                "it spreads by its keys, but they are not one range",
                CommandSpec {
                    keys: Keys::of(&[
                        KeySpec::at(1, KeyFlags::RO),
                        KeySpec::at(2, KeyFlags::RO).to(-1),
                    ]),
                    ..SPREADING
                },
            ),
            (
                "a script declares its keys",
                CommandSpec {
                    keys: Keys::NONE,
                    run: Run::Script(crate::command::Invoke::Text),
                    ..READING
                },
            ),
            (
                "a container has no keys, its subcommands have",
                CommandSpec {
                    run: Run::Container,
                    ..READING
                },
            ),
            (
                "a copy answers only what reads",
                CommandSpec {
                    flags: Flags::WRITE.with(Flags::FROM_COPY),
                    keys: OVERWRITES,
                    ..READING
                },
            ),
        ];
        for (expected, spec) in CASES {
            assert_eq!(contradiction(spec), Some(*expected), "{:?}", spec.keys);
        }
    }
}
