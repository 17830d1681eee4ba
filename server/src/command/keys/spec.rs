//! One key specification: where the search for keys begins, how they are found from there, and what is done with them.

use super::KeyFlags;
use crate::command::Args;

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginSearch {
    /// At this argument.
    Index(u8),
    /// Behind `word`, letters of any case, which is searched from argument `from` on; if `from` is negative, towards the
    /// beginning, from so many before the end.
    Keyword {
        /// The word.
        word: &'static str,
        /// Where its search begins.
        from: i8,
    },
    /// The form cannot say it.
    Unknown,
}

/// How keys are found from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindKeys {
    /// Every `step`th argument up to `last`.
    Range {
        /// The last key: so many behind the first; if negative, counted from the end of the arguments, -1 the last.
        last: i8,
        /// The distance between keys.
        step: u8,
        /// With `last` -1: keys are in the first of so many equal parts of the arguments; 0 and 1: in all of them.
        limit: u8,
    },
    /// As many as a number among the arguments says.
    KeyNum {
        /// How far behind the beginning the number stands.
        number: u8,
        /// How far behind the beginning the first key stands.
        first: u8,
        /// The distance between keys.
        step: u8,
    },
    /// The form cannot say it.
    Unknown,
}

/// Arguments that keys stand at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    next: usize,
    end: usize,
    step: usize,
}

impl Span {
    pub(super) const EMPTY: Self = Self {
        next: 0,
        end: 0,
        step: 1,
    };

    /// The arguments from `first` to before `end`.
    pub const fn new(first: usize, end: usize) -> Self {
        Self {
            next: first,
            end,
            step: 1,
        }
    }
}

impl Iterator for Span {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let at = self.next;
        (at < self.end).then(|| {
            self.next += self.step;
            at
        })
    }
}

/// What a specification finds among the arguments of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Keys at these arguments.
    Keys(Span),
    /// No key: what it looks for was left out.
    Nothing,
    /// The arguments contradict the specification.
    Contradiction,
}

/// What the server knows of a specification's keys beyond what clients are told.
#[derive(Clone, Copy, Debug)]
pub enum Finer {
    /// Nothing.
    Nothing,
    /// Where they stand: `KEYS` of `MIGRATE`, `STORE` of `SORT`.
    At(fn(&Args<'_>) -> Found),
    /// What these arguments do with them, which is no more than the flags say: `SET` without `GET`.
    Flags(fn(&Args<'_>) -> KeyFlags),
    /// That no argument names them, and whether there are any: `BY` of `SORT`.
    Unnamed(fn(&Args<'_>) -> bool),
}

/// One specification.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    begin: BeginSearch,
    find: FindKeys,
    flags: KeyFlags,
    note: &'static str,
    finer: Finer,
}

impl KeySpec {
    /// A specification.
    ///
    /// # Panics
    /// It contradicts itself.
    pub const fn new(begin: BeginSearch, find: FindKeys, flags: KeyFlags) -> Self {
        flags.check();
        match begin {
            BeginSearch::Index(at) => assert!(at > 0, "argument 0 is the name"),
            BeginSearch::Keyword { word, from } => {
                assert!(
                    !word.is_empty() && from != 0,
                    "a keyword stands behind the name"
                );
            }
            BeginSearch::Unknown => {}
        }
        match find {
            FindKeys::Range { last, step, limit } => {
                assert!(step > 0, "keys have a distance");
                assert!(
                    limit == 0 || last == -1,
                    "only all arguments to the last have parts"
                );
                assert!(
                    last < 0 || last % step as i8 == 0,
                    "no key stands at the end of the range"
                );
            }
            FindKeys::KeyNum {
                number,
                first,
                step,
            } => {
                assert!(step > 0, "keys have a distance");
                assert!(number < first, "keys stand behind their number");
            }
            FindKeys::Unknown => {}
        }
        let is_unknown = matches!(begin, BeginSearch::Unknown);
        assert!(
            is_unknown == matches!(find, FindKeys::Unknown),
            "both the beginning and the keys are known, or neither"
        );
        Self {
            begin,
            find,
            flags,
            note: "",
            finer: Finer::Nothing,
        }
    }

    /// The key at argument `at`.
    pub const fn at(at: u8, flags: KeyFlags) -> Self {
        const ONE: FindKeys = FindKeys::Range {
            last: 0,
            step: 1,
            limit: 0,
        };
        Self::new(BeginSearch::Index(at), ONE, flags)
    }

    /// The key behind `word`, which is searched from argument `from` on ([`BeginSearch::Keyword`]).
    pub const fn after(word: &'static str, from: i8, flags: KeyFlags) -> Self {
        Self {
            begin: BeginSearch::Keyword { word, from },
            ..Self::at(1, flags)
        }
        .again()
    }

    /// Keys that clients are told nothing of but the flags.
    pub const fn unknown(flags: KeyFlags) -> Self {
        Self::new(BeginSearch::Unknown, FindKeys::Unknown, flags)
    }

    /// The keys up to `last` instead of one ([`FindKeys::Range`]).
    pub const fn to(self, last: i8) -> Self {
        let find = FindKeys::Range {
            last,
            step: 1,
            limit: 0,
        };
        Self { find, ..self }.again()
    }

    /// The keys with `step` between them instead of 1.
    pub const fn step(self, step: u8) -> Self {
        let find = match self.find {
            FindKeys::Range { last, limit, .. } => FindKeys::Range { last, step, limit },
            FindKeys::KeyNum { number, first, .. } => FindKeys::KeyNum {
                number,
                first,
                step,
            },
            FindKeys::Unknown => panic!("no step is known"),
        };
        Self { find, ..self }.again()
    }

    /// The keys in the first of `limit` equal parts of the arguments.
    pub const fn limit(self, limit: u8) -> Self {
        let FindKeys::Range { last, step, .. } = self.find else {
            panic!("only a range has parts")
        };
        let find = FindKeys::Range { last, step, limit };
        Self { find, ..self }.again()
    }

    /// Not the key itself stands where the search begins, but the number of keys, which follow.
    pub const fn counted(self) -> Self {
        let find = FindKeys::KeyNum {
            number: 0,
            first: 1,
            step: 1,
        };
        Self { find, ..self }.again()
    }

    /// With a note for clients.
    pub const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// There may be more keys than clients are told of: `find` knows where.
    pub const fn incomplete(self, find: fn(&Args<'_>) -> Found) -> Self {
        Self {
            flags: self.flags.with(KeyFlags::INCOMPLETE),
            ..self
        }
        .found_by(find)
    }

    /// `find` knows better where the keys stand than clients are told.
    pub const fn found_by(self, find: fn(&Args<'_>) -> Found) -> Self {
        Self {
            finer: Finer::At(find),
            ..self
        }
    }

    /// With some arguments less is done than the flags say: `flags` knows what.
    pub const fn variable(self, flags: fn(&Args<'_>) -> KeyFlags) -> Self {
        Self {
            flags: self.flags.with(KeyFlags::VARIABLE_FLAGS),
            finer: Finer::Flags(flags),
            ..self
        }
    }

    /// No argument names the keys; `are_any` knows whether there are any.
    pub const fn unnamed(self, are_any: fn(&Args<'_>) -> bool) -> Self {
        Self {
            finer: Finer::Unnamed(are_any),
            ..self
        }
    }

    /// Checked again, behind a change.
    const fn again(self) -> Self {
        let _ = Self::new(self.begin, self.find, self.flags);
        self
    }

    /// Where the search begins, as clients are told.
    pub const fn begin_search(&self) -> BeginSearch {
        self.begin
    }

    /// How keys are found from there, as clients are told.
    pub const fn find_keys(&self) -> FindKeys {
        self.find
    }

    /// What is done with the keys at most.
    pub const fn flags(&self) -> KeyFlags {
        self.flags
    }

    /// What `args` do with the keys.
    pub fn flags_in(&self, args: &Args<'_>) -> KeyFlags {
        match self.finer {
            Finer::Flags(flags) => flags(args),
            _ => self.flags.without(KeyFlags::INCOMPLETE),
        }
    }

    /// A note for clients.
    pub fn text(&self) -> Option<&'static str> {
        Some(self.note).filter(|note| !note.is_empty())
    }

    /// What the server knows beyond what clients are told.
    pub const fn finer(&self) -> &Finer {
        &self.finer
    }

    /// Whether it is about keys at all.
    pub const fn is_of_keys(&self) -> bool {
        !self.flags.has(KeyFlags::NOT_KEY)
    }

    /// Whether all that is known of the keys' places is in the form.
    pub const fn tells_places(&self) -> bool {
        self.is_of_keys() && matches!(self.finer, Finer::Nothing | Finer::Flags(_))
    }

    /// The keys among `args`.
    pub(super) fn find_in(&self, args: &Args<'_>) -> Found {
        match self.finer {
            _ if !self.is_of_keys() => return Found::Nothing,
            Finer::At(find) => return find(args),
            Finer::Unnamed(_) => return Found::Nothing,
            Finer::Nothing | Finer::Flags(_) => {}
        }
        let begin = match self.begin {
            BeginSearch::Index(at) => at.into(),
            BeginSearch::Keyword { word, from } => match behind_word(args, word, from) {
                Some(at) => at,
                None => return Found::Nothing,
            },
            BeginSearch::Unknown => return Found::Contradiction,
        };
        match self.find {
            FindKeys::Range { last, step, limit } => range(args, begin, last, step, limit),
            FindKeys::KeyNum {
                number,
                first,
                step,
            } => {
                let count = args.get(begin + usize::from(number));
                let count = count.and_then(larder_engine::parse_canonical_i64);
                counted(args, begin + usize::from(first), count, step)
            }
            FindKeys::Unknown => Found::Contradiction,
        }
    }
}

/// The argument behind `word`. As in Redis, neither the first argument behind the name is looked at when searching
/// towards it, nor the last one, which nothing stands behind.
fn behind_word(args: &Args<'_>, word: &str, from: i8) -> Option<usize> {
    let at = if from > 0 {
        (usize::from(from.unsigned_abs())..args.len().saturating_sub(1))
            .find(|at| args.is(*at, word))
    } else {
        let first = args.len().checked_sub(from.unsigned_abs().into())?;
        (2..first + 1).rev().find(|at| args.is(*at, word))
    };
    at.map(|at| at + 1)
}

fn range(args: &Args<'_>, first: usize, last: i8, step: u8, limit: u8) -> Found {
    let end = if last >= 0 {
        let end = first + usize::from(last.unsigned_abs()) + 1;
        if end > args.len() {
            return Found::Contradiction;
        }
        end
    } else if limit > 1 {
        first + args.len().saturating_sub(first) / usize::from(limit)
    } else {
        (args.len() + 1).saturating_sub(last.unsigned_abs().into())
    };
    // A range to the end may be empty: the sources of `PFMERGE`.
    if end <= first {
        return Found::Nothing;
    }
    Found::Keys(Span {
        next: first,
        end,
        step: step.into(),
    })
}

fn counted(args: &Args<'_>, first: usize, count: Option<i64>, step: u8) -> Found {
    let step = usize::from(step);
    let count = count.and_then(|count| usize::try_from(count).ok());
    let Some(behind) = count.and_then(|count| count.checked_sub(1)) else {
        return Found::Contradiction;
    };
    let end = behind.saturating_mul(step).saturating_add(first + 1);
    if end > args.len() {
        return Found::Contradiction;
    }
    Found::Keys(Span {
        next: first,
        end,
        step,
    })
}
