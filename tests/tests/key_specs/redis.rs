//! What a server says of its commands: `COMMAND`, `COMMAND DOCS`.

use std::collections::BTreeMap;

use larder_server::command::{BeginSearch, FindKeys, KeyFlags, KeySpec, Keys};
use larder_tests::client::Client;
use larder_tests::resp::Reply;

/// One command, as `COMMAND INFO` describes it.
pub(crate) struct Described(Vec<Reply>);

/// One key specification as it is told: note, flags, and both steps as their type and numbers by name.
pub(crate) type Told = (String, Vec<String>, Step, Step);
/// A step of a key specification: its type, and what it is made of.
pub(crate) type Step = (String, BTreeMap<String, String>);

/// All commands of a server by name, subcommands as `container|subcommand`.
pub(crate) fn commands(client: &mut Client) -> BTreeMap<String, Described> {
    fn collect(reply: Reply, out: &mut BTreeMap<String, Described>) {
        let Reply::Array(mut parts) = reply else {
            panic!("no description: {reply:?}")
        };
        for subcommand in items(&parts.split_off(9)[0]) {
            collect(subcommand.clone(), out);
        }
        out.insert(parts[0].to_text(), Described(parts));
    }
    let mut out = BTreeMap::new();
    let Reply::Array(all) = client.run("COMMAND").unwrap() else {
        panic!("COMMAND answers no array")
    };
    all.into_iter().for_each(|reply| collect(reply, &mut out));
    out
}

/// Of each command what `COMMAND DOCS` says of its version, its group and its keys: the names and types of the arguments
/// that are keys, and the specification each belongs to.
pub(crate) fn docs(client: &mut Client) -> BTreeMap<String, Vec<String>> {
    fn collect(reply: &Reply, out: &mut BTreeMap<String, Vec<String>>) {
        for (name, docs) in pairs(reply) {
            let mut told = Vec::new();
            for (field, value) in pairs(docs) {
                match field.to_text().as_str() {
                    "since" | "group" => {
                        told.push(format!("{} {}", field.to_text(), value.to_text()))
                    }
                    "arguments" => keys_among(value, &mut told),
                    "subcommands" => collect(value, out),
                    _ => {}
                }
            }
            out.insert(name.to_text(), told);
        }
    }
    fn keys_among(arguments: &Reply, told: &mut Vec<String>) {
        for argument in items(arguments) {
            let field = |name: &str| value_of(argument, name);
            let kind = field("type").map(Reply::to_text).unwrap_or_default();
            let index = field("key_spec_index").map(Reply::to_text);
            if kind == "key" || index.is_some() {
                told.push(format!(
                    "{} {kind} {index:?}",
                    field("name").unwrap().to_text()
                ));
            }
            if let Some(inner) = field("arguments") {
                keys_among(inner, told);
            }
        }
    }
    let mut out = BTreeMap::new();
    collect(&client.run("COMMAND DOCS").unwrap(), &mut out);
    out
}

fn items(reply: &Reply) -> &[Reply] {
    match reply {
        Reply::Array(items) | Reply::Set(items) => items,
        other => panic!("neither array nor set: {other:?}"),
    }
}

fn pairs(reply: &Reply) -> &[(Reply, Reply)] {
    match reply {
        Reply::Map(pairs) => pairs,
        other => panic!("no map: {other:?}"),
    }
}

fn value_of<'a>(map: &'a Reply, name: &str) -> Option<&'a Reply> {
    let mut pairs = pairs(map).iter();
    pairs
        .find(|(key, _)| key.to_text() == name)
        .map(|(_, value)| value)
}

fn texts(reply: &Reply) -> Vec<String> {
    items(reply).iter().map(Reply::to_text).collect()
}

fn step(spec: &Reply, name: &str) -> Step {
    let step = value_of(spec, name).unwrap();
    let parts = pairs(value_of(step, "spec").unwrap()).iter();
    let parts = parts.map(|(name, value)| (name.to_text(), value.to_text()));
    (value_of(step, "type").unwrap().to_text(), parts.collect())
}

impl Described {
    /// All of it but the subcommands, with the flags, categories and tips in order: a set's is free.
    pub(crate) fn described(&self) -> Vec<Reply> {
        self.0.iter().cloned().map(Reply::sorted).collect()
    }

    /// What Redis has said of it since 7.2: what waits for lists and sorted sets is allowed in scripts, where it does not wait.
    pub(crate) fn described_later(&self) -> Vec<Reply> {
        let waits_for = ["@list", "@sortedset"];
        let may_be_in_scripts = texts(&self.0[6])
            .iter()
            .any(|category| waits_for.contains(&category.as_str()));
        let mut command = self.0.clone();
        if let Reply::Array(flags) | Reply::Set(flags) = &mut command[2]
            && may_be_in_scripts
        {
            flags.retain(|flag| flag.to_text() != "noscript");
        }
        command.into_iter().map(Reply::sorted).collect()
    }

    /// Whether a call of so many words, the name included, fits the arity.
    pub(crate) fn accepts(&self, words: usize) -> bool {
        let arity = self.0[1].integer().unwrap();
        let words = i64::try_from(words).unwrap();
        if arity < 0 {
            words >= -arity
        } else {
            words == arity
        }
    }

    /// Whether it has a flag.
    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        texts(&self.0[2]).iter().any(|text| text == flag)
    }

    /// First key, last key, step.
    pub(crate) fn plain_range(&self) -> [i64; 3] {
        [3, 4, 5].map(|at| self.0[at].integer().unwrap())
    }

    /// Its key specifications.
    pub(crate) fn key_specs(&self) -> Vec<Told> {
        let specs = items(&self.0[8]).iter();
        let told = specs.map(|spec| {
            let note = value_of(spec, "notes").map(Reply::to_text);
            let flags = texts(value_of(spec, "flags").unwrap());
            (
                note.unwrap_or_default(),
                flags,
                step(spec, "begin_search"),
                step(spec, "find_keys"),
            )
        });
        told.collect()
    }

    /// Specifications made of what is told, where that is all there is to know. They live as long as the test.
    pub(crate) fn made_of_what_is_told(&self) -> Keys {
        let specs: Vec<KeySpec> = self.key_specs().into_iter().map(made).collect();
        Keys::of(specs.leak())
    }
}

fn made((note, flags, begin, find): Told) -> KeySpec {
    let (mut operation, others) = flags
        .split_first()
        .map(|(first, others)| {
            let operation = match first.as_str() {
                "RO" => KeyFlags::RO,
                "RW" => KeyFlags::RW,
                "OW" => KeyFlags::OW,
                "RM" => KeyFlags::RM,
                "not_key" => KeyFlags::NOT_KEY,
                other => panic!("no operation: {other}"),
            };
            (operation, others)
        })
        .unwrap();
    for flag in others {
        operation = match flag.as_str() {
            "access" => operation.access(),
            "update" => operation.update(),
            "insert" => operation.insert(),
            "delete" => operation.delete(),
            other => panic!("{other} says that there is more to know: make it up"),
        };
    }
    let number = |step: &Step, name: &str| -> i8 { step.1[name].parse().unwrap() };
    let count = |step: &Step, name: &str| u8::try_from(number(step, name)).unwrap();
    let begin = match begin.0.as_str() {
        "index" => BeginSearch::Index(count(&begin, "index")),
        "keyword" => BeginSearch::Keyword {
            word: begin.1["keyword"].clone().leak(),
            from: number(&begin, "startfrom"),
        },
        other => panic!("{other} says that there is more to know: make it up"),
    };
    let find = match find.0.as_str() {
        "range" => FindKeys::Range {
            last: number(&find, "lastkey"),
            step: count(&find, "keystep"),
            limit: count(&find, "limit"),
        },
        "keynum" => FindKeys::KeyNum {
            number: count(&find, "keynumidx"),
            first: count(&find, "firstkey"),
            step: count(&find, "keystep"),
        },
        other => panic!("{other} says that there is more to know: make it up"),
    };
    KeySpec::new(begin, find, operation).note(note.leak())
}

/// Specifications in the form they are told in.
pub(crate) fn told(keys: Keys) -> Vec<Told> {
    let told = keys.specs().iter().map(|spec| {
        let step = |kind: &str, parts: &[(&str, String)]| -> Step {
            let parts = parts
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()));
            (kind.to_owned(), parts.collect())
        };
        let begin = match spec.begin_search() {
            BeginSearch::Index(at) => step("index", &[("index", at.to_string())]),
            BeginSearch::Keyword { word, from } => step(
                "keyword",
                &[
                    ("keyword", word.to_owned()),
                    ("startfrom", from.to_string()),
                ],
            ),
            BeginSearch::Unknown => step("unknown", &[]),
        };
        let find = match spec.find_keys() {
            FindKeys::Range {
                last,
                step: distance,
                limit,
            } => step(
                "range",
                &[
                    ("lastkey", last.to_string()),
                    ("keystep", distance.to_string()),
                    ("limit", limit.to_string()),
                ],
            ),
            FindKeys::KeyNum {
                number,
                first,
                step: distance,
            } => step(
                "keynum",
                &[
                    ("keynumidx", number.to_string()),
                    ("firstkey", first.to_string()),
                    ("keystep", distance.to_string()),
                ],
            ),
            FindKeys::Unknown => step("unknown", &[]),
        };
        let flags = spec.flags().names().map(str::to_owned).collect();
        (
            spec.text().unwrap_or_default().to_owned(),
            flags,
            begin,
            find,
        )
    });
    told.collect()
}
