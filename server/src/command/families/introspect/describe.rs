//! A command as `COMMAND INFO` describes it.

use crate::command::{BeginSearch, Category, Command, CommandSpec, FindKeys, Flags, KeySpec};
use crate::resp::Reply;

/// Writes the description, subcommands' included.
pub(super) fn write(reply: &mut Reply<'_>, command: &Command) {
    let spec = command.spec;
    reply.array(10);
    reply.text(spec.name);
    reply.integer(spec.arity.into());
    write_names(reply, spec.told_flags().names());
    let (range, _) = spec.keys.plain_range();
    reply.integer(range.first);
    reply.integer(range.last);
    reply.integer(range.step);
    let categories = categories(spec).map(|category| format!("@{category}"));
    write_names(reply, categories);
    reply.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| reply.text(tip));
    let keys = spec.keys.specs();
    reply.set(keys.len());
    keys.iter().for_each(|keys| write_keys(reply, keys));
    reply.set(command.subcommands.len());
    command
        .subcommands
        .iter()
        .for_each(|command| write(reply, command));
}

/// Writes a set of names.
pub(super) fn write_names(reply: &mut Reply<'_>, names: impl Iterator<Item: AsRef<str>>) {
    let set = reply.begin_set(1);
    let mut len = 0;
    for name in names {
        reply.status(name.as_ref());
        len += 1;
    }
    reply.end(set, len);
}

/// Names of the ACL categories, those that the flags imply included, in the order Redis lists them.
pub(super) fn categories(spec: &CommandSpec) -> impl Iterator<Item = &'static str> {
    let flag = |flag: Flags| spec.flags.has(flag);
    let own = |category: Category| spec.categories.contains(&category);
    let admin = flag(Flags::ADMIN) || own(Category::Admin);
    [
        ("keyspace", own(Category::Keyspace)),
        // What a script reads is known to the commands it calls.
        ("read", flag(Flags::READONLY) && !own(Category::Scripting)),
        ("write", flag(Flags::WRITE)),
        ("set", own(Category::Set)),
        ("sortedset", own(Category::SortedSet)),
        ("list", own(Category::List)),
        ("hash", own(Category::Hash)),
        ("string", own(Category::String)),
        ("bitmap", own(Category::Bitmap)),
        ("hyperloglog", own(Category::HyperLogLog)),
        ("geo", own(Category::Geo)),
        ("stream", own(Category::Stream)),
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

/// Writes a key specification.
fn write_keys(reply: &mut Reply<'_>, keys: &KeySpec) {
    reply.map(3 + usize::from(keys.text().is_some()));
    if let Some(note) = keys.text() {
        reply.text("notes");
        reply.text(note);
    }
    reply.text("flags");
    write_names(reply, keys.flags().names());
    reply.text("begin_search");
    match keys.begin_search() {
        BeginSearch::Index(at) => {
            write_step(reply, "index", 1);
            write_number(reply, "index", at.into());
        }
        BeginSearch::Keyword { word, from } => {
            write_step(reply, "keyword", 2);
            reply.text("keyword");
            reply.text(word);
            write_number(reply, "startfrom", from.into());
        }
        BeginSearch::Unknown => write_step(reply, "unknown", 0),
    }
    reply.text("find_keys");
    match keys.find_keys() {
        FindKeys::Range { last, step, limit } => {
            write_step(reply, "range", 3);
            write_number(reply, "lastkey", last.into());
            write_number(reply, "keystep", step.into());
            write_number(reply, "limit", limit.into());
        }
        FindKeys::KeyNum {
            number,
            first,
            step,
        } => {
            write_step(reply, "keynum", 3);
            write_number(reply, "keynumidx", number.into());
            write_number(reply, "firstkey", first.into());
            write_number(reply, "keystep", step.into());
        }
        FindKeys::Unknown => write_step(reply, "unknown", 0),
    }
}

/// Begins one of the two steps in which keys are found: its type, and a map of `len` more, which follow.
fn write_step(reply: &mut Reply<'_>, kind: &str, len: usize) {
    reply.map(2);
    reply.text("type");
    reply.text(kind);
    reply.text("spec");
    reply.map(len);
}

fn write_number(reply: &mut Reply<'_>, name: &str, number: i64) {
    reply.text(name);
    reply.integer(number);
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
            categories(spec("blmove")).collect::<Vec<_>>(),
            ["write", "list", "slow", "blocking"]
        );
        assert_eq!(
            categories(spec("sort_ro")).collect::<Vec<_>>(),
            ["read", "set", "sortedset", "list", "slow", "dangerous"]
        );
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
}
