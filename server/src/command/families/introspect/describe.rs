//! A command as `COMMAND INFO` describes it.

use crate::command::{Category, Command, CommandSpec, Flags, Keys};
use crate::resp::Reply;

/// Writes the description, subcommands' included.
pub(super) fn write(reply: &mut Reply<'_>, command: &Command) {
    let spec = command.spec;
    reply.array(10);
    reply.text(spec.name);
    reply.integer(spec.arity.into());
    let flags: Vec<&str> = flags(spec).collect();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.status(flag));
    let (first, last, step) = legacy_range(spec.keys);
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    let categories: Vec<&str> = categories(spec).collect();
    reply.set(categories.len());
    categories
        .iter()
        .for_each(|category| reply.status(&format!("@{category}")));
    reply.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| reply.text(tip));
    let keys = key_specs(spec);
    reply.set(keys.len());
    keys.iter().for_each(|keys| keys.write(reply));
    reply.set(command.subcommands.len());
    command
        .subcommands
        .iter()
        .for_each(|command| write(reply, command));
}

fn flags(spec: &CommandSpec) -> impl Iterator<Item = &'static str> {
    let movable = matches!(spec.keys, Keys::Counted { .. } | Keys::CountedPairs { .. });
    let flags = if movable {
        spec.flags.with(Flags::MOVABLE_KEYS)
    } else {
        spec.flags
    };
    flags.names()
}

/// Names of the ACL categories, those that the flags imply included, in the order Redis lists them.
pub(super) fn categories(spec: &CommandSpec) -> impl Iterator<Item = &'static str> {
    let flag = |flag: Flags| spec.flags.has(flag);
    let own = |category: Category| spec.categories.contains(&category);
    let admin = flag(Flags::ADMIN) || own(Category::Admin);
    [
        ("keyspace", own(Category::Keyspace)),
        ("read", flag(Flags::READONLY)),
        ("write", flag(Flags::WRITE)),
        ("string", own(Category::String)),
        ("bitmap", own(Category::Bitmap)),
        ("pubsub", flag(Flags::PUBSUB) || own(Category::Pubsub)),
        ("admin", admin),
        ("fast", flag(Flags::FAST)),
        ("slow", !flag(Flags::FAST)),
        ("blocking", flag(Flags::BLOCKING) || own(Category::Blocking)),
        ("dangerous", admin || own(Category::Dangerous)),
        ("connection", own(Category::Connection)),
        ("transaction", own(Category::Transaction)),
        ("scripting", own(Category::Scripting)),
    ]
    .into_iter()
    .filter_map(|(name, has)| has.then_some(name))
}

/// First key, last key and step, as clients were told before there were key specifications.
fn legacy_range(keys: Keys) -> (i64, i64, i64) {
    match keys {
        Keys::Range { first, last, step } => (first.into(), last.into(), step.into()),
        Keys::None | Keys::Counted { .. } | Keys::CountedPairs { .. } => (0, 0, 0),
    }
}

/// One key specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeySpec {
    /// What the command does with the keys: `RW`, `access`, `update`, …
    words: &'static str,
    note: Option<&'static str>,
    /// Where the search begins.
    pub(super) index: i64,
    find: Find,
}

/// How keys are found from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Find {
    /// Up to `last`, relative to the first, or to the end if negative.
    Range { last: i64, step: i64 },
    /// As many as the number at the index says, behind it.
    Counted { step: i64 },
}

impl KeySpec {
    pub(super) fn words(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.words.split_ascii_whitespace()
    }

    fn write(&self, reply: &mut Reply<'_>) {
        reply.map(3 + usize::from(self.note.is_some()));
        if let Some(note) = self.note {
            reply.text("notes");
            reply.text(note);
        }
        reply.text("flags");
        reply.set(self.words().count());
        self.words().for_each(|word| reply.status(word));
        reply.text("begin_search");
        reply.map(2);
        reply.text("type");
        reply.text("index");
        reply.text("spec");
        reply.map(1);
        reply.text("index");
        reply.integer(self.index);
        reply.text("find_keys");
        reply.map(2);
        reply.text("type");
        let (kind, spec) = match self.find {
            Find::Range { last, step } => (
                "range",
                [("lastkey", last), ("keystep", step), ("limit", 0)],
            ),
            Find::Counted { step } => (
                "keynum",
                [("keynumidx", 0), ("firstkey", 1), ("keystep", step)],
            ),
        };
        reply.text(kind);
        reply.text("spec");
        reply.map(spec.len());
        for (name, value) in spec {
            reply.text(name);
            reply.integer(value);
        }
    }
}

/// The key specifications of a command.
pub(super) fn key_specs(spec: &CommandSpec) -> Vec<KeySpec> {
    let derived: &[&str] = match spec.flags {
        flags if flags.has(Flags::WRITE.with(Flags::DENYOOM)) => &["RW access update"],
        flags if flags.has(Flags::WRITE) => &["RW update"],
        _ => &["RO access"],
    };
    let texts = if spec.key_flags.is_empty() {
        derived
    } else {
        spec.key_flags
    };
    let specs = texts.iter().enumerate().map(|(at, text)| {
        let (words, note) = match text.split_once(": ") {
            Some((words, note)) => (words, Some(note)),
            None => (*text, None),
        };
        let at_index = |index: i64, find: Find| KeySpec {
            words,
            note,
            index,
            find,
        };
        match spec.keys {
            Keys::None => None,
            Keys::Counted { count } => Some(at_index(count.into(), Find::Counted { step: 1 })),
            Keys::CountedPairs { count } => Some(at_index(count.into(), Find::Counted { step: 2 })),
            Keys::Range { first, last, step } => {
                let step = i64::from(step);
                let index = i64::from(first) + step * at as i64;
                let last = match i64::from(last) {
                    _ if at + 1 < texts.len() => 0,
                    last if last < 0 => last,
                    last => last - index,
                };
                Some(at_index(index, Find::Range { last, step }))
            }
        }
    });
    specs.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandTable;

    fn spec(name: &str) -> &'static CommandSpec {
        CommandTable::global().find(name.as_bytes()).unwrap().spec
    }

    #[test]
    fn categories_follow_from_flags() {
        assert_eq!(
            categories(spec("get")).collect::<Vec<_>>(),
            ["read", "string", "fast"]
        );
        assert_eq!(
            categories(spec("shutdown")).collect::<Vec<_>>(),
            ["admin", "slow", "dangerous"]
        );
        assert_eq!(
            categories(spec("ping")).collect::<Vec<_>>(),
            ["fast", "connection"]
        );
    }

    #[test]
    fn the_last_key_specification_covers_the_rest_of_the_keys() {
        static TWO: CommandSpec = CommandSpec {
            keys: Keys::Range {
                first: 2,
                last: -1,
                step: 1,
            },
            key_flags: &["OW update: a note", "RO access"],
            ..CommandSpec::BASE
        };
        let specs = key_specs(&TWO);
        assert_eq!(
            (specs[0].index, specs[0].find),
            (2, Find::Range { last: 0, step: 1 })
        );
        assert_eq!(
            (specs[0].words, specs[0].note),
            ("OW update", Some("a note"))
        );
        assert_eq!(
            (specs[1].index, specs[1].find),
            (3, Find::Range { last: -1, step: 1 })
        );
        static ONE: CommandSpec = CommandSpec {
            keys: Keys::Range {
                first: 1,
                last: 2,
                step: 1,
            },
            ..CommandSpec::BASE
        };
        assert_eq!(key_specs(&ONE)[0].find, Find::Range { last: 1, step: 1 });
        assert!(key_specs(&CommandSpec::BASE).is_empty());
    }
}
