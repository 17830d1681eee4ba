//! Eviction: which entry goes when memory is short.
//!
//! ```text
//!  shard ── inserted, used ──▶ policy ── what the entry's 24 bits of history become ──▶ entry
//!        ── victim ──────────▶ policy ── sample, find, set_history ──▶ shard, as Entries
//! ```
//! Entries move, so a policy knows one by 32 bits of its key's hash ([`Identity`]) and asks the shard for it. It is told of an entry
//! that comes and of its uses, never of one that goes or grows: what it holds of an entry that has gone it finds out when that comes
//! up. What it keeps in the entry is 24 bits, the [`AccessClock`], which are its own to read; those of another policy do no harm.
//!
//! A policy is one file that implements [`Policy`]. Those after Redis draw entries and take the worst ([`sampled`], with a [`shortlist`] of
//! the worst of earlier draws). `fifo`, `sieve` and `s3fifo` keep entries in order, in [`queue`]s. `gdsf` and `adaptive` rank what they
//! draw by use and size, with a small queue before and a [`ghost`] behind ([`parts`]). [`mini`] runs any of them over a few keys to see
//! how it would do: `adaptive` chooses by that, and the [`curve`] tells the operator. [`lending`] moves budgets between shards.
//!
//! Nothing here asks a clock or draws a random number but from the policy's own seed.

mod adaptive;
mod ages;
mod curve;
mod evictor;
mod fifo;
mod foreseen;
mod gdsf;
mod ghost;
pub mod lending;
mod lfu;
mod lrm;
mod lru;
mod mini;
mod parts;
mod queue;
mod random;
mod rng;
mod s3fifo;
mod sample;
mod sampled;
#[cfg(any(test, feature = "bench"))]
pub mod shards;
mod shortlist;
mod sieve;
#[cfg(any(test, feature = "bench"))]
pub mod simulation;
mod table;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "bench"))]
pub mod traces;
mod ttl;

pub use adaptive::Adaptive;
pub use ages::{AGE_CLASSES, Ages};
pub(crate) use curve::What;
pub use curve::{Curve, CurveOptions, CurveStats, PERCENTS, Point};
pub use evictor::{Evictor, PolicyName};
pub use foreseen::Foreseen;
pub use lfu::Lfu;
pub(crate) use mini::Value;
pub(crate) use rng::{Rng, Trials, below};

pub use crate::spiral::drawn::{Coming, Identity};
use crate::{AccessClock, UnixMillis};

/// An entry as a policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Which entry.
    pub identity: Identity,
    /// What its removal frees.
    pub bytes: u64,
    /// What the policy, or one before it, last kept there.
    pub history: AccessClock,
    /// When it expires.
    pub deadline: Option<UnixMillis>,
}

/// The entries of a shard, as a policy may ask for them.
pub trait Entries {
    /// Bytes of all that count against the budget, and may go.
    fn bytes(&self) -> u64;

    /// How many there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows about `wanted` entries that `random` chooses, of those with a deadline under [`Scope::Volatile`].
    fn sample(&self, wanted: usize, scope: Scope, random: u64, show: impl FnMut(&Candidate));

    /// The entry of this identity, if there is one.
    fn find(&self, identity: Identity) -> Option<Candidate>;

    /// Gives the entry of this identity another history.
    fn set_history(&mut self, identity: Identity, history: AccessClock);
}

/// Which entries may be victims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All.
    #[default]
    AllKeys,
    /// Those with a deadline.
    Volatile,
}

impl Scope {
    fn allows(self, candidate: &Candidate) -> bool {
        self == Self::AllKeys || candidate.deadline.is_some()
    }
}

/// What an entry is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is read.
    Read,
    /// It is changed.
    Write,
}

/// What a policy answers that is asked for a victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This entry goes; the policy takes it for gone.
    Victim(Identity),
    /// A bounded piece of work is done and none found yet: ask again.
    Later,
    /// There is no entry that may go.
    Nothing,
}

/// How entries come to be victims.
pub trait Policy {
    /// The shard may hold so many bytes of entries from now on.
    fn set_capacity(&mut self, _bytes: u64) {}

    /// What time it is, for policies that go by it.
    fn set_now(&mut self, _now: UnixMillis) {}

    /// The history of an entry that comes to be, also by another name or from elsewhere.
    fn inserted(&mut self, identity: Identity, bytes: u64) -> AccessClock;

    /// The history of an entry that is used. It runs with hits: a few instructions on a field or two.
    fn used(&mut self, history: AccessClock, how: Use) -> AccessClock;

    /// What [`Self::used`] makes of histories as things are: of those foreseen it need not be asked. It changes with the time, and with what
    /// comes and goes; who asks for it once for a turn, or a victim, is right about all but those that have come since.
    fn foreseen(&self) -> Foreseen;

    /// Whether what is foreseen is so of entries that are read, and not of those that are changed.
    fn foresees_reads_alone(&self) -> bool {
        false
    }

    /// Whether [`Self::sampled`] wants to be told of uses of this entry.
    #[inline(always)]
    fn samples(&self, _identity: Identity) -> bool {
        false
    }

    /// All that it [samples](Self::samples) is among so many of the highest hashes.
    fn sampled_hashes(&self) -> u64 {
        0
    }

    /// A use of an entry that the policy [samples](Self::samples).
    fn sampled(&mut self, _identity: Identity, _bytes: u64, _how: Use) {}

    /// An entry of this identity will probably come soon: a hint, to bring near what [`Self::inserted`] reads.
    #[inline]
    fn awaits(&self, _identity: Identity) {}

    /// Shows what the policy will probably look for when so many victims have gone from now, so that it is brought near.
    #[inline]
    fn looks_ahead(&self, _victims: usize, _show: impl FnMut(Coming)) {}

    /// The next to go. The work of one call is bounded.
    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice;

    /// Where an entry stands among others that somebody else has drawn: the lowest goes first.
    fn rank(&self, entry: &Candidate) -> i64;

    /// The history of an entry that was drawn so, and was spared: where a use keeps an entry until it is looked at, it has been.
    fn spared(&mut self, entry: &Candidate) -> AccessClock {
        entry.history
    }

    /// The history of an entry that was there before the policy was chosen, and is shown to it once.
    fn shown(&mut self, entry: &Candidate) -> AccessClock;

    /// A slice of the work that keeps what the policy holds in proportion to the entries that are left: 50 microseconds at most, due
    /// after every hundred insertions or so.
    fn tend(&mut self, _entries: &mut impl Entries) {}

    /// Bytes that the policy holds, but for itself.
    fn held_bytes(&self) -> u64 {
        0
    }
}

/// Entries looked at for one call of [`Policy::victim`]: some ten microseconds.
const LOOKS_MAX: u32 = 64;
