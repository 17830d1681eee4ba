//! A command's arguments as a tree, from the notation of the documentation.
//!
//! ```text
//!  key                 an argument                 [x]        it may be left out
//!  KEYWORD             itself                      <a | b>    one of several
//!  KEYWORD x           an argument behind a word   x [x ...]  once or more
//! ```
//! The tree has the node types of `COMMAND DOCS`. Names of choices and groups, which the notation lacks, are put together
//! of their members' names.

use std::iter::Peekable;
use std::vec::IntoIter;

/// An argument, or a group of arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// The word that stands before it, or that it is.
    pub(super) token: Option<String>,
    is_optional: bool,
    repeats: Repeats,
}

/// What an argument consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A value of this type.
    Word(&'static str),
    /// The word itself.
    Token,
    /// One of these.
    OneOf(Vec<Argument>),
    /// All of these.
    Block(Vec<Argument>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeats {
    Not,
    /// What repeats is the value alone.
    Value,
    /// What repeats is the value with the word before it.
    WithToken,
}

impl Argument {
    pub(super) fn type_name(&self) -> &'static str {
        match &self.shape {
            Shape::Word(kind) => kind,
            Shape::Token => "pure-token",
            Shape::OneOf(_) => "oneof",
            Shape::Block(_) => "block",
        }
    }

    pub(super) fn flags(&self) -> impl Iterator<Item = &'static str> {
        [
            self.is_optional.then_some("optional"),
            (self.repeats != Repeats::Not).then_some("multiple"),
            (self.repeats == Repeats::WithToken).then_some("multiple_token"),
        ]
        .into_iter()
        .flatten()
    }

    fn new(name: String, shape: Shape, token: Option<String>) -> Self {
        Self {
            name,
            shape,
            token,
            is_optional: false,
            repeats: Repeats::Not,
        }
    }

    fn word(text: &str) -> Self {
        Self::new(text.to_owned(), Shape::Word(type_of(text)), None)
    }

    fn token(text: &str) -> Self {
        Self::new(text.to_lowercase(), Shape::Token, Some(text.to_owned()))
    }

    /// Several arguments as one; one as itself.
    fn block(mut members: Vec<Self>) -> Self {
        if members.len() == 1
            && let Some(only) = members.pop()
        {
            return only;
        }
        // A word before a value that others follow announces them all.
        let token = match members.first_mut() {
            Some(first) if matches!(first.shape, Shape::Word(_)) => first.token.take(),
            _ => None,
        };
        Self::new(joined(&members), Shape::Block(members), token)
    }

    fn one_of(mut members: Vec<Self>) -> Self {
        if members.len() == 1
            && let Some(only) = members.pop()
        {
            return only;
        }
        Self::new(joined(&members), Shape::OneOf(members), None)
    }
}

fn joined(members: &[Argument]) -> String {
    members
        .iter()
        .map(|member| member.name.as_str())
        .collect::<Vec<_>>()
        .join("_")
}

/// The type of an argument, told by its name.
fn type_of(name: &str) -> &'static str {
    match name {
        "key" | "newkey" | "source" | "destination" | "destkey" | "sourcekey" | "key1" | "key2"
        | "dst" | "src" => "key",
        "pattern" => "pattern",
        "seconds" | "milliseconds" | "count" | "cursor" | "offset" | "start" | "end" | "index"
        | "index1" | "index2" | "decrement" | "increment" | "ttl" | "frequency" | "db"
        | "destination-db" | "protover" | "client-id" | "timeout" | "numreplicas" | "numlocal"
        | "numkeys" | "numfields" | "bit" | "min-match-len" | "maxage" | "version" | "length"
        | "size" | "port" | "stop" | "rank" | "num-matches" | "len" | "limit" | "k" | "ratio"
        | "slot" | "start-slot" | "end-slot" | "startslot" | "endslot" | "numranges" => "integer",
        _ if name.starts_with("unix-time") => "unix-time",
        _ => "string",
    }
}

/// The arguments that `syntax` tells of.
pub(super) fn parse(syntax: &str) -> Vec<Argument> {
    let mut spaced = String::with_capacity(syntax.len() * 2);
    for letter in syntax.chars() {
        if matches!(letter, '[' | ']' | '<' | '>' | '|') {
            spaced.extend([' ', letter, ' ']);
        } else {
            spaced.push(letter);
        }
    }
    let symbols: Vec<&str> = spaced.split_whitespace().collect();
    let mut symbols = symbols.into_iter().peekable();
    match sequences(&mut symbols) {
        (mut alternatives, _) if alternatives.len() == 1 => alternatives.pop().unwrap_or_default(),
        (alternatives, _) => vec![Argument::one_of(
            alternatives.into_iter().map(Argument::block).collect(),
        )],
    }
}

/// Sequences with bars between them, up to the closing bracket or the end, and whether dots ended the last of them.
fn sequences(symbols: &mut Peekable<IntoIter<&str>>) -> (Vec<Vec<Argument>>, bool) {
    let mut alternatives = vec![Vec::new()];
    let mut has_dots = false;
    while let Some(symbol) = symbols.next() {
        let sequence = alternatives.last_mut().expect("there is always one");
        match symbol {
            "]" | ">" => break,
            "|" => alternatives.push(Vec::new()),
            "..." => has_dots = true,
            "[" => optional(symbols, sequence),
            "<" => sequence.push(group(symbols)),
            text if is_token(text) => sequence.push(behind_token(text, symbols)),
            text => sequence.push(Argument::word(text)),
        }
    }
    (alternatives, has_dots)
}

/// What stands in square brackets: an argument that may be left out, or the repetition of what stands before.
fn optional(symbols: &mut Peekable<IntoIter<&str>>, before: &mut Vec<Argument>) {
    let (alternatives, has_dots) = sequences(symbols);
    let members: Vec<Vec<Argument>> = alternatives;
    let length = members.first().map_or(0, Vec::len);
    if has_dots && members.len() == 1 && length <= before.len() {
        let mut repeated = Argument::block(before.split_off(before.len() - length));
        let says_word_again = members[0]
            .first()
            .is_some_and(|first| first.token.is_some());
        repeated.repeats = if says_word_again {
            Repeats::WithToken
        } else {
            Repeats::Value
        };
        before.push(repeated);
        return;
    }
    if has_dots {
        before.push(Argument::new(AGAIN.to_owned(), Shape::Token, None));
        return;
    }
    let mut argument = choice(members);
    argument.is_optional = true;
    before.push(argument);
}

/// Stands at the end of the last alternative of a choice that may be made again: `a | b [a | b ...]`.
const AGAIN: &str = "...";

fn choice(mut alternatives: Vec<Vec<Argument>>) -> Argument {
    let again = alternatives
        .last_mut()
        .and_then(|last| last.pop_if(|argument| argument.name == AGAIN));
    let mut choice = Argument::one_of(alternatives.into_iter().map(Argument::block).collect());
    if again.is_some() {
        choice.repeats = Repeats::Value;
    }
    choice
}

fn group(symbols: &mut Peekable<IntoIter<&str>>) -> Argument {
    choice(sequences(symbols).0)
}

/// A word in capitals, with the argument it announces, if there is one.
fn behind_token(token: &str, symbols: &mut Peekable<IntoIter<&str>>) -> Argument {
    let announced = match symbols.peek() {
        Some(&"<") => {
            symbols.next();
            group(symbols)
        }
        Some(&next) if !is_token(next) && !matches!(next, "[" | "]" | ">" | "|" | "...") => {
            symbols.next();
            Argument::word(next)
        }
        _ => return Argument::token(token),
    };
    Argument {
        token: Some(token.to_owned()),
        ..announced
    }
}

/// Words of the notation are in capitals, digits or signs; names of arguments are not.
fn is_token(symbol: &str) -> bool {
    !symbol.contains(|letter: char| letter.is_ascii_lowercase())
        && symbol.contains(|letter: char| letter.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandTable;
    use crate::command::families::introspect::all_names;

    /// The tree in a form that is easy to read.
    fn shown(arguments: &[Argument]) -> String {
        let one = |argument: &Argument| {
            let token = argument.token.as_deref().unwrap_or_default();
            let inner = match &argument.shape {
                Shape::Word(kind) => format!("{}:{kind}", argument.name),
                Shape::Token => String::new(),
                Shape::OneOf(inner) => format!("one({})", shown(inner)),
                Shape::Block(inner) => format!("all({})", shown(inner)),
            };
            let flags: String = argument.flags().map(|flag| format!("+{flag}")).collect();
            format!(
                "{token}{}{inner}{flags}",
                if token.is_empty() || inner.is_empty() {
                    ""
                } else {
                    "="
                }
            )
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_notation_becomes_a_tree() {
        for (syntax, tree) in [
            ("", ""),
            ("key", "key:key"),
            ("key [key ...]", "key:key+multiple"),
            (
                "[command-name [command-name ...]]",
                "command-name:string+optional+multiple",
            ),
            (
                "key value [key value ...]",
                "all(key:key value:string)+multiple",
            ),
            (
                "timeout [WRITE|ALL]",
                "timeout:integer one(WRITE ALL)+optional",
            ),
            ("<ON | OFF>", "one(ON OFF)"),
            (
                "key [EX seconds | KEEPTTL] [GET]",
                "key:key one(EX=seconds:integer KEEPTTL)+optional GET+optional",
            ),
            ("[TYPE <NORMAL|PUBSUB>]", "TYPE=one(NORMAL PUBSUB)+optional"),
            (
                "[ID client-id [client-id ...]]",
                "ID=client-id:integer+optional+multiple",
            ),
            (
                "[PREFIX prefix [PREFIX prefix ...]]",
                "PREFIX=prefix:string+optional+multiple+multiple_token",
            ),
            (
                "[GET key | SET key value [GET key | SET key value ...]]",
                "one(GET=key:key SET=all(key:key value:string))+optional+multiple",
            ),
            (
                "<host port|NO ONE>",
                "one(all(host:string port:integer) all(NO ONE))",
            ),
            (
                "[protover [AUTH username password]]",
                "all(protover:integer AUTH=all(username:string password:string)+optional)+optional",
            ),
        ] {
            assert_eq!(shown(&parse(syntax)), tree, "{syntax}");
        }
    }

    #[test]
    fn every_syntax_is_understood_to_its_last_word() {
        fn words(arguments: &[Argument]) -> Vec<String> {
            let of = |argument: &Argument| {
                let mut own: Vec<String> = argument.token.clone().into_iter().collect();
                match &argument.shape {
                    Shape::Word(_) => own.push(argument.name.clone()),
                    Shape::Token => {}
                    Shape::OneOf(inner) | Shape::Block(inner) => own.extend(words(inner)),
                }
                own
            };
            arguments.iter().flat_map(of).collect()
        }
        for command in all_names(CommandTable::global()) {
            let syntax = command.spec.syntax;
            let words = words(&parse(syntax));
            let signs = ['[', ']', '<', '>', '|', ' '];
            for word in syntax
                .split(signs)
                .filter(|word| !word.is_empty() && *word != "...")
            {
                assert!(
                    words.iter().any(|known| known == word),
                    "{}: {word} of {syntax}",
                    command.spec.name
                );
            }
        }
    }
}
