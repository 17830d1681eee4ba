//! Key specifications: which arguments of a command are keys, and what the command does with each.
//!
//! They are those of Redis 7 (`COMMAND INFO`), up to [`KEY_SPECS_MAX`] for a command. One says where the search begins, how
//! keys are found from there, and what is done with them:
//!
//! ```text
//!  MGET k k k          KeySpec::at(1, RO.access()).to(-1)
//!  BITOP op d k k      KeySpec::at(2, OW.update())   KeySpec::at(3, RO.access()).to(-1)
//!  ZUNIONSTORE d n k k KeySpec::at(1, OW.update())   KeySpec::at(2, RO.access()).counted()
//!  XREAD STREAMS k id  KeySpec::after("STREAMS", 1, RO.access()).to(-1).limit(2)
//! ```
//!
//! Some commands do what this form cannot say. Clients are then told a part or the most of it (`unknown`, `incomplete`,
//! `variable_flags`), and the specification has a function that knows better ([`Finer`]).
//!
//! Arguments that contradict a specification (a number of keys beyond the arguments, say) have no keys at all: the command
//! answers with an error. What locks are taken, where a command runs and what `COMMAND` says all derive from this.
//! Specifications are made at compile time; one that contradicts itself does not compile.

mod flags;
mod plain;
mod spec;
#[cfg(test)]
mod tests;

pub use flags::{KeyAccess, KeyFlags};
pub use plain::PlainRange;
pub use spec::{BeginSearch, FindKeys, Finer, Found, KeySpec, Span};

use crate::command::Args;

/// Most key specifications of a command.
pub const KEY_SPECS_MAX: usize = 3;

/// The key specifications of a command.
#[derive(Clone, Copy, Debug)]
pub struct Keys(&'static [KeySpec]);

impl Keys {
    /// No keys.
    pub const NONE: Self = Self(&[]);

    /// These.
    ///
    /// # Panics
    /// There are more than [`KEY_SPECS_MAX`].
    pub const fn of(specs: &'static [KeySpec]) -> Self {
        assert!(
            specs.len() <= KEY_SPECS_MAX,
            "there are too many key specifications"
        );
        Self(specs)
    }

    /// The specifications.
    pub const fn specs(self) -> &'static [KeySpec] {
        self.0
    }

    /// Whether the command has keys; channels are none.
    pub const fn are_any(self) -> bool {
        let mut at = 0;
        while at < self.0.len() {
            if self.0[at].is_of_keys() {
                return true;
            }
            at += 1;
        }
        false
    }

    /// Where the first key stands whatever the arguments; zero if there is none, or the arguments decide.
    pub const fn first(self) -> u8 {
        match self.0 {
            [spec, others @ ..] if spec.tells_places() => {
                match (spec.begin_search(), spec.find_keys()) {
                    // A range to the end may be empty, and then others have the first key.
                    (BeginSearch::Index(at), FindKeys::Range { last, .. })
                        if last >= 0 || others.is_empty() =>
                    {
                        at
                    }
                    _ => 0,
                }
            }
            _ => 0,
        }
    }

    /// The first key and the distance between keys, if all of them are one range that begins at a fixed argument.
    pub const fn range(self) -> Option<(usize, usize)> {
        match self.0 {
            [spec] if self.first() > 0 => match spec.find_keys() {
                FindKeys::Range { step, .. } => Some((self.first() as usize, step as usize)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The keys among `args`, in the order of the specifications, each with what may be done with it; none where the
    /// arguments contradict a specification. Allocates nothing.
    #[inline]
    pub fn in_args(self, args: &Args<'_>) -> KeysInArgs {
        let mut keys = KeysInArgs {
            specs: self.0,
            spans: [const { Span::EMPTY }; KEY_SPECS_MAX],
        };
        let spans = &mut keys.spans[KEY_SPECS_MAX - self.0.len()..];
        for (spec, span) in self.0.iter().zip(spans) {
            match spec.find_in(args) {
                Found::Keys(found) => *span = found,
                Found::Nothing => {}
                Found::Contradiction => {
                    keys.specs = &[];
                    break;
                }
            }
        }
        keys
    }

    /// The positions of the keys among `args`, as [`Self::in_args`] finds them.
    #[inline]
    pub fn positions(self, args: &Args<'_>) -> impl Iterator<Item = usize> + Clone + use<> {
        self.in_args(args).map(|key| key.at)
    }

    /// What is done at most with keys that no argument names, if there are any: they may be any keys.
    pub fn unnamed(self, args: &Args<'_>) -> Option<KeyAccess> {
        let specs = self.0.iter();
        let unnamed = specs.filter(|spec| match spec.finer() {
            Finer::Unnamed(are_any) => are_any(args),
            _ => false,
        });
        unnamed.map(|spec| spec.flags().key_access()).max()
    }
}

/// A key among the arguments of a command.
#[derive(Clone, Copy, Debug)]
pub struct KeyInArgs {
    /// Which argument it is.
    pub at: usize,
    /// The specification that found it.
    pub spec: &'static KeySpec,
}

impl KeyInArgs {
    /// What may be done with it: as its flags say, whatever the other arguments.
    #[inline]
    pub fn access(&self) -> KeyAccess {
        self.spec.flags().key_access()
    }
}

/// The keys among the arguments of a command.
#[derive(Clone, Debug)]
pub struct KeysInArgs {
    /// Those whose keys are still to come.
    specs: &'static [KeySpec],
    /// The keys of each that are still to come; those of the last specification at the end.
    spans: [Span; KEY_SPECS_MAX],
}

impl Iterator for KeysInArgs {
    type Item = KeyInArgs;

    #[inline]
    fn next(&mut self) -> Option<KeyInArgs> {
        loop {
            let spec = self.specs.first()?;
            let span = &mut self.spans[KEY_SPECS_MAX - self.specs.len()];
            if let Some(at) = span.next() {
                return Some(KeyInArgs { at, spec });
            }
            self.specs = &self.specs[1..];
        }
    }
}
