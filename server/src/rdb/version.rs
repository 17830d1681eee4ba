//! The version that an RDB file and a payload of `DUMP` say they are of: what their types mean.
//!
//! | versions | written by |
//! |---|---|
//! | 6 to 9 | Redis 2.6 to 6.2 |
//! | 10 | Redis 7.0 |
//! | 11 | Redis 7.2, Valkey 7 and 8 |
//! | 12 | Redis 7.4 to 8.4 |
//! | 13 | Redis 8.6 |
//! | 80 | Valkey 9, which gave a type of its own a number that Redis 7.4 had taken for another |

/// The version of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16);

impl Version {
    /// What is written unless something needs a later one: Redis 7.0's. A server refuses versions beyond its own.
    pub const WRITTEN: Self = Self(10);
    /// That of Redis 7.4, the first in which fields of a hash have deadlines.
    pub const OF_FIELD_DEADLINES: Self = Self(12);
    /// That of Redis 8.6, the first in which a stream has producers.
    pub const OF_PRODUCERS: Self = Self(13);
    /// The last of Redis's that is read.
    const REDIS_MAX: Self = Self(13);
    /// The one of Valkey's.
    const VALKEY: Self = Self(80);

    /// Whether it is one of those read here.
    #[must_use]
    pub fn is_known(self) -> bool {
        self <= Self::REDIS_MAX || self.is_valkey()
    }

    /// Whether its types are Valkey's.
    #[must_use]
    pub fn is_valkey(self) -> bool {
        self == Self::VALKEY
    }
}
