//! What is wrong with a file, and where.

use std::fmt;

use crate::rdb::Fault;

/// A file cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which byte of the file begins what cannot be read.
    pub at: u64,
    /// Why.
    pub wrong: Wrong,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It begins with no header.
    NoHeader,
    /// The header, which says a version that is not known.
    Version(String),
    /// What is wrong with its bytes.
    Fault(Fault),
    /// A key has a value of a module's type.
    Module(ModuleName),
    /// A key has metadata of modules.
    KeyMetadata,
    /// It has functions in the form of a release candidate of Redis 7.0.
    OldFunctions,
    /// The checksum it says, and that of its bytes.
    Checksum {
        /// What it says.
        says: u64,
        /// What it should.
        is: u64,
    },
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.wrong)
    }
}

impl std::error::Error for Damage {}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader => {
                f.write_str("this is no RDB file: it does not begin with REDIS or VALKEY")
            }
            Self::Version(header) => write!(
                f,
                "the version {header} is not known: versions 1 to 13 of Redis and 80 of Valkey are read"
            ),
            Self::Fault(Fault::Truncated) => f.write_str("the file ends too early"),
            Self::Fault(Fault::Damaged(what)) => f.write_str(what),
            Self::Fault(Fault::Duplicate) => f.write_str("a field or member is there twice"),
            Self::Fault(Fault::Empty) => f.write_str("a key has a collection without elements"),
            Self::Fault(Fault::UnknownType(kind)) => {
                write!(f, "neither a type nor anything else is known as {kind}")
            }
            Self::Module(name) => write!(
                f,
                "a key has a value of the module type {name}, which there is not"
            ),
            Self::KeyMetadata => f.write_str("a key has metadata of modules, which there are not"),
            Self::OldFunctions => {
                f.write_str("functions are in the form of a release candidate of Redis 7.0")
            }
            Self::Checksum { says, is } => {
                write!(
                    f,
                    "the checksum is {is:016x}, where the file says {says:016x}: something before is damaged"
                )
            }
        }
    }
}

/// The name of a module's type, as its number says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ModuleName([u8; NAME_BYTES]);

const NAME_BYTES: usize = 9;

impl ModuleName {
    /// The name in a number: nine characters of six bits each, above ten bits of a version.
    #[must_use]
    pub fn of(module: u64) -> Self {
        const CHARACTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        const VERSION_BITS: usize = 10;
        let character = |at| {
            let bits = VERSION_BITS + 6 * (NAME_BYTES - 1 - at);
            CHARACTERS[(module >> bits & 0x3f) as usize]
        };
        Self(std::array::from_fn(character))
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|&byte| write!(f, "{}", char::from(byte)))
    }
}

impl fmt::Debug for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
