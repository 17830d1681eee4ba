//! The options of `SORT`, and where they stand.

use std::ops::Range;

use super::pattern::Pattern;
use crate::command::{Args, Found, Span};
use crate::resp::{ErrorReply, errors};

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) by: By,
    /// What is answered for each element; itself, if nothing.
    pub(super) gets: Vec<Pattern>,
    /// How many are left out, and how many answered at most, all if negative.
    limit: (i64, i64),
    pub(super) is_descending: bool,
    /// Texts are compared, not numbers.
    pub(super) is_alphabetic: bool,
    /// The argument that is the destination.
    pub(super) store: Option<usize>,
}

/// What elements are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Themselves.
    Elements,
    /// Nothing: they stay as they are.
    Nothing,
    /// The values that a pattern names.
    Pattern(Pattern),
}

/// Whether the command knows `STORE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayStore {
    Yes,
    No,
}

impl Options {
    /// Whether a pattern names keys that no argument does.
    pub(super) fn names_other_keys(&self) -> bool {
        let is_key = |pattern: &Pattern| matches!(pattern, Pattern::Key(_));
        let by_key = matches!(&self.by, By::Pattern(pattern) if is_key(pattern));
        by_key || self.gets.iter().any(is_key)
    }

    /// Reads the arguments from 2 on.
    pub(super) fn parse(args: &Args<'_>, may_store: MayStore) -> Result<Self, ErrorReply> {
        let mut options = Self {
            by: By::Elements,
            gets: Vec::new(),
            limit: (0, -1),
            is_descending: false,
            is_alphabetic: false,
            store: None,
        };
        for (option, at) in each(args) {
            match option {
                Word::Asc => options.is_descending = false,
                Word::Desc => options.is_descending = true,
                Word::Alpha => options.is_alphabetic = true,
                Word::Limit => {
                    options.limit = (args.integer(at + 1)?, args.integer(at + 2)?);
                }
                Word::Store if may_store == MayStore::Yes => options.store = Some(at + 1),
                Word::By => options.set_by(Pattern::parse(args.at(at + 1))),
                Word::Get => options.gets.push(Pattern::parse(args.at(at + 1))),
                Word::Store | Word::Unknown => return Err(errors::SYNTAX),
            }
        }
        Ok(options)
    }

    fn set_by(&mut self, pattern: Pattern) {
        // A pattern that names nothing is not forgotten over another.
        if self.by != By::Nothing {
            self.by = match pattern {
                Pattern::Key(_) => By::Pattern(pattern),
                Pattern::Element | Pattern::Nothing => By::Nothing,
            };
        }
    }

    /// Which of `len` elements in their order are wanted.
    pub(super) fn range(&self, len: usize) -> Range<usize> {
        let (offset, count) = self.limit;
        let within = |number: i64| usize::try_from(number).map_or(len, |number| number.min(len));
        let start = within(offset.max(0));
        let end = match count {
            0.. => len.min(start + within(count)),
            _ => len,
        };
        start..end
    }
}

/// A word of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Asc,
    Desc,
    Alpha,
    Limit,
    Store,
    By,
    Get,
    /// None, or one without what belongs behind it.
    Unknown,
}

impl Word {
    /// The word at argument `at`, and how many arguments belong to it.
    fn at(args: &Args<'_>, at: usize) -> (Self, usize) {
        let (word, values) = match () {
            () if args.is(at, "asc") => (Self::Asc, 0),
            () if args.is(at, "desc") => (Self::Desc, 0),
            () if args.is(at, "alpha") => (Self::Alpha, 0),
            () if args.is(at, "limit") => (Self::Limit, 2),
            () if args.is(at, "store") => (Self::Store, 1),
            () if args.is(at, "by") => (Self::By, 1),
            () if args.is(at, "get") => (Self::Get, 1),
            () => (Self::Unknown, 0),
        };
        if at + values < args.len() {
            (word, values)
        } else {
            (Self::Unknown, 0)
        }
    }
}

/// The options, each with the argument its word stands at.
fn each(args: &Args<'_>) -> impl Iterator<Item = (Word, usize)> {
    let mut next = 2;
    std::iter::from_fn(move || {
        let at = next;
        if at >= args.len() {
            return None;
        }
        let (word, values) = Word::at(args, at);
        next += 1 + values;
        Some((word, at))
    })
}

/// Whether a pattern names keys that no argument does.
pub(super) fn names_other_keys(args: &Args<'_>) -> bool {
    each(args).any(|(word, at)| {
        matches!(word, Word::By | Word::Get)
            && matches!(Pattern::parse(args.at(at + 1)), Pattern::Key(_))
    })
}

/// Where the destination stands: behind the last `STORE`. Of arguments that are an error, Redis's `COMMAND GETKEYS` takes what stands
/// behind `STORE` for a word as well.
pub(super) fn destination(args: &Args<'_>) -> Found {
    let is_right = each(args).all(|(word, _)| word != Word::Unknown);
    let (mut at, mut found) = (2, Found::Nothing);
    while at < args.len() {
        let is_store = args.is(at, "store") && at + 1 < args.len();
        if is_store {
            found = Found::Keys(Span::new(at + 1, at + 2));
        }
        at += match () {
            () if args.is(at, "limit") => 3,
            () if args.is(at, "get") || args.is(at, "by") => 2,
            () if is_store && is_right => 2,
            () => 1,
        };
    }
    found
}
