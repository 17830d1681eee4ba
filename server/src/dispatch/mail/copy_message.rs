//! What cores tell each other of copies of keys.

use larder_engine::{Access, DbIndex, ValueImage, Version};

/// What cores tell each other of copies. A word stands for the key that has it, and its core.
#[derive(Clone, Debug)]
pub(in crate::dispatch) enum CopyMessage {
    /// Copies of this key may be fetched.
    Offer {
        word: usize,
        db: DbIndex,
        key: Box<[u8]>,
    },
    /// No longer.
    Withdraw { word: usize },
    /// A copy is asked for. So many reads have been answered from the one before; `access` says whether they count as uses.
    Fetch {
        word: usize,
        reads: u64,
        access: Access,
    },
    /// The key's value, if it has one, as of this version.
    Copy {
        word: usize,
        version: Version,
        image: Option<ValueImage>,
    },
    /// Not now: the key is locked.
    Refuse { word: usize },
}
