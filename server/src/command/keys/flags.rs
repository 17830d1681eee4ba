//! What a command does with its keys.

use crate::command::named_flags::named_flags;

/// What a command does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyAccess {
    /// It leaves it as it is.
    Read,
    /// It may change it.
    Write,
}

/// What is done with the keys of a specification: an operation on the value as a whole, and on the data in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFlags(u16);

named_flags! { KeyFlags:
    /// Operation: the value is read.
    RO = 0, "RO";
    /// Operation: the value is changed, and may be read.
    RW = 1, "RW";
    /// Operation: the value is replaced without being read.
    OW = 2, "OW";
    /// Operation: the key is removed without its value being read.
    RM = 3, "RM";
    /// The data is answered, or copied to elsewhere.
    ACCESS = 4, "access";
    /// The data is changed.
    UPDATE = 5, "update";
    /// Data is added, none is changed.
    INSERT = 6, "insert";
    /// Data is removed.
    DELETE = 7, "delete";
    /// No key, but a channel, which cluster clients choose a node by as if it were one.
    NOT_KEY = 8, "not_key";
    /// There may be keys that the specification does not find.
    INCOMPLETE = 9, "incomplete";
    /// With some arguments less is done than the other flags say.
    VARIABLE_FLAGS = 10, "variable_flags";
}

impl KeyFlags {
    const OPERATION: Self = Self::RO.with(Self::RW).with(Self::OW).with(Self::RM);
    const CHANGES: Self = Self::UPDATE.with(Self::INSERT).with(Self::DELETE);

    /// With [`Self::ACCESS`].
    pub const fn access(self) -> Self {
        self.with(Self::ACCESS)
    }

    /// With [`Self::UPDATE`].
    pub const fn update(self) -> Self {
        self.with(Self::UPDATE)
    }

    /// With [`Self::INSERT`].
    pub const fn insert(self) -> Self {
        self.with(Self::INSERT)
    }

    /// With [`Self::DELETE`].
    pub const fn delete(self) -> Self {
        self.with(Self::DELETE)
    }

    /// Whether the key may be changed.
    #[inline]
    pub const fn key_access(self) -> KeyAccess {
        if self.has(Self::RO) {
            KeyAccess::Read
        } else {
            KeyAccess::Write
        }
    }

    /// Whether data in the key is changed: a key that is read may be written without that (`PFCOUNT` keeps its result).
    pub const fn changes_data(self) -> bool {
        self.has_any(Self::CHANGES)
    }

    /// Whether the key is replaced or removed without its value being read.
    pub const fn is_blind(self) -> bool {
        self.has_any(Self::OW.with(Self::RM))
    }

    /// # Panics
    /// The flags contradict each other.
    pub(super) const fn check(self) {
        if self.has(Self::NOT_KEY) {
            assert!(
                self.0 == Self::NOT_KEY.0,
                "nothing is done with what is no key"
            );
            return;
        }
        let operation = self.0 & Self::OPERATION.0;
        assert!(
            operation.count_ones() == 1,
            "there is one operation: RO, RW, OW or RM"
        );
        assert!(
            !(self.has(Self::RO) && self.changes_data()),
            "RO changes nothing"
        );
        let is_blind = self.is_blind();
        assert!(
            !(is_blind && self.has(Self::ACCESS)),
            "OW and RM read nothing"
        );
        assert!(
            !is_blind || self.changes_data(),
            "OW and RM change something"
        );
        assert!(
            !self.has(Self::OW) || !self.has(Self::DELETE),
            "OW removes nothing"
        );
    }
}
