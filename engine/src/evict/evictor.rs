//! The policy in force, whichever it is: chosen by a `match`, so that a use costs no call through a table.

use super::adaptive::Adaptive;
use super::fifo::Fifo;
use super::gdsf::Gdsf;
use super::lfu::{Lfu, LfuPolicy};
use super::lrm::Lrm;
use super::lru::Lru;
use super::random::Random;
use super::s3fifo::S3Fifo;
use super::sieve::Sieve;
use super::ttl::Ttl;
use super::{Candidate, Choice, Coming, Entries, Foreseen, Identity, Policy, Scope, Use};
use crate::{AccessClock, UnixMillis};

macro_rules! policies {
    ($($variant:ident($type:ty, $held:ty) $name:literal),* $(,)?) => {
        /// A policy, as `maxmemory-policy` names it behind `allkeys-` or `volatile-`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PolicyName {
            $(#[doc = $name] $variant,)*
        }

        impl PolicyName {
            /// All policies.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in the configuration.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl PolicyName {
            /// Whether entries keep the time of their last use, or change.
            pub fn keeps_time(self) -> bool {
                matches!(self, Self::Lru | Self::Lrm | Self::Random | Self::Ttl)
            }

            /// Whether [`Self::unused_secs`] is known.
            pub fn keeps_age(self) -> bool {
                self.keeps_time() || self == Self::Lfu
            }

            /// Seconds since the last use of an entry with this history, under `lrm` the last change, under `lfu` to a minute; `None`: the
            /// policy does not keep it.
            pub fn unused_secs(self, history: AccessClock, now: UnixMillis) -> Option<u64> {
                match self {
                    Self::Lfu => Some(60 * u64::from(Lfu::unused_minutes(history, now))),
                    policy if policy.keeps_time() => Some(history.idle_secs(now).into()),
                    _ => None,
                }
            }

            /// Whether Redis has it too.
            pub fn is_redis(self) -> bool {
                self.keeps_time() || self == Self::Lfu
            }
        }

        enum Chosen {
            $($variant($held),)*
        }

        impl Chosen {
            fn new(name: PolicyName, seed: u64) -> Self {
                match name {
                    $(PolicyName::$variant => Self::$variant(<$type>::new(seed).into()),)*
                }
            }

            fn name(&self) -> PolicyName {
                match self {
                    $(Self::$variant(_) => PolicyName::$variant,)*
                }
            }
        }

        macro_rules! chosen {
            ($evictor:expr, $policy:ident => $result:expr) => {
                match $evictor {
                    $(Chosen::$variant($policy) => $result,)*
                }
            };
        }
    };
}

policies! {
    Lru(Lru, Lru) "lru",
    Lfu(LfuPolicy, LfuPolicy) "lfu",
    Lrm(Lrm, Lrm) "lrm",
    Random(Random, Random) "random",
    Ttl(Ttl, Ttl) "ttl",
    Fifo(Fifo, Fifo) "fifo",
    Sieve(Sieve, Box<Sieve>) "sieve",
    S3Fifo(S3Fifo, Box<S3Fifo>) "s3fifo",
    Gdsf(Gdsf, Box<Gdsf>) "gdsf",
    Adaptive(Adaptive, Box<Adaptive>) "adaptive",
}

/// A policy of any name.
pub struct Evictor(Chosen);

impl Evictor {
    /// The policy of this name, with random numbers after `seed`.
    pub fn new(name: PolicyName, seed: u64) -> Self {
        Self(Chosen::new(name, seed))
    }

    /// The same for keys of a shard, of which it may sample those with the highest hashes.
    pub fn of_shard(name: PolicyName, seed: u64) -> Self {
        let mut evictor = Self::new(name, seed);
        if let Chosen::Adaptive(adaptive) = &mut evictor.0 {
            adaptive.sample_shard();
        }
        evictor
    }

    /// Which policy it is.
    pub fn name(&self) -> PolicyName {
        self.0.name()
    }

    /// Has policies that draw as Redis's do draw so many entries for a victim (`maxmemory-samples`).
    pub fn set_samples(&mut self, samples: usize) {
        match &mut self.0 {
            Chosen::Lru(lru) => lru.set_samples(samples),
            Chosen::Lfu(lfu) => lfu.set_samples(samples),
            Chosen::Lrm(lrm) => lrm.set_samples(samples),
            Chosen::Ttl(ttl) => ttl.set_samples(samples),
            _ => {}
        }
    }

    /// How `lfu` counts uses.
    pub fn set_lfu(&mut self, lfu: Lfu) {
        if let Chosen::Lfu(policy) = &mut self.0 {
            policy.set_counting(lfu);
        }
    }
}

impl Policy for Evictor {
    fn set_capacity(&mut self, bytes: u64) {
        chosen!(&mut self.0, policy => policy.set_capacity(bytes));
    }

    fn set_now(&mut self, now: UnixMillis) {
        chosen!(&mut self.0, policy => policy.set_now(now));
    }

    fn inserted(&mut self, identity: Identity, bytes: u64) -> AccessClock {
        chosen!(&mut self.0, policy => policy.inserted(identity, bytes))
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, how: Use) -> AccessClock {
        chosen!(&mut self.0, policy => policy.used(history, how))
    }

    fn foreseen(&self) -> Foreseen {
        chosen!(&self.0, policy => policy.foreseen())
    }

    fn foresees_reads_alone(&self) -> bool {
        chosen!(&self.0, policy => policy.foresees_reads_alone())
    }

    #[inline(always)]
    fn samples(&self, identity: Identity) -> bool {
        chosen!(&self.0, policy => policy.samples(identity))
    }

    fn sampled_hashes(&self) -> u64 {
        chosen!(&self.0, policy => policy.sampled_hashes())
    }

    fn sampled(&mut self, identity: Identity, bytes: u64, how: Use) {
        chosen!(&mut self.0, policy => policy.sampled(identity, bytes, how));
    }

    #[inline]
    fn awaits(&self, identity: Identity) {
        chosen!(&self.0, policy => policy.awaits(identity));
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, show: impl FnMut(Coming)) {
        chosen!(&self.0, policy => policy.looks_ahead(victims, show));
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        chosen!(&mut self.0, policy => policy.victim(entries, scope))
    }

    fn rank(&self, entry: &Candidate) -> i64 {
        chosen!(&self.0, policy => policy.rank(entry))
    }

    fn spared(&mut self, entry: &Candidate) -> AccessClock {
        chosen!(&mut self.0, policy => policy.spared(entry))
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        chosen!(&mut self.0, policy => policy.shown(entry))
    }

    fn tend(&mut self, entries: &mut impl Entries) {
        chosen!(&mut self.0, policy => policy.tend(entries));
    }

    fn held_bytes(&self) -> u64 {
        let itself = match &self.0 {
            Chosen::Sieve(sieve) => size_of_val(&**sieve),
            Chosen::S3Fifo(s3fifo) => size_of_val(&**s3fifo),
            Chosen::Gdsf(gdsf) => size_of_val(&**gdsf),
            Chosen::Adaptive(adaptive) => size_of_val(&**adaptive),
            _ => 0,
        };
        itself as u64 + chosen!(&self.0, policy => policy.held_bytes())
    }
}
