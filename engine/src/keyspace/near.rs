//! Bringing near: the misses of a batch's look-ups overlap, since they depend on nothing but hashes.

use super::Keyspace;
use crate::limits::{NEAR_ANYHOW_BYTES, NEAR_AT_ONCE};
use crate::memory::Memory;
use crate::raw::Block;
use crate::spiral::{Intent, Spiral};

/// A key that a command is about to look up.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyAhead {
    /// Its hash.
    pub hash: u64,
    /// Whether the command writes what the key holds as a whole, or removes it: then the node may be copied.
    pub writes: bool,
}

impl KeyAhead {
    /// Whether bringing these near is worth it: one to be read is not, since it would be waited for as long.
    #[inline(always)]
    pub fn are_worth_it(keys: &[Self]) -> bool {
        match keys {
            [] => false,
            [key] => key.writes,
            _ => true,
        }
    }

    #[inline(always)]
    fn intent(self) -> Intent {
        match self.writes {
            true => Intent::Write(None),
            false => Intent::Read,
        }
    }
}

impl Keyspace {
    /// Whether all of it is probably near anyhow.
    #[inline(always)]
    fn is_near_anyhow(&self, spiral: &Spiral) -> bool {
        spiral.block_bytes() <= NEAR_ANYHOW_BYTES
    }

    /// Brings near what commands on these keys will read and copy.
    #[inline]
    pub(crate) fn prefetch(&self, keys: &[KeyAhead], memory: &Memory) {
        let Some(spiral) = &self.spiral else {
            return;
        };
        let heap = memory.heap();
        for keys in keys.chunks(NEAR_AT_ONCE) {
            let mut at = [0; NEAR_AT_ONCE];
            if !self.is_near_anyhow(spiral) {
                for (key, at) in keys.iter().zip(&mut at) {
                    *at = spiral.ask_for_word(heap, key.hash);
                }
                let mut writes = 0;
                for (key, at) in keys.iter().zip(&mut at) {
                    *at = spiral.ask_for_node(heap, *at, key.intent()).0;
                    writes += usize::from(key.writes);
                }
                if writes > 0 {
                    spiral.ask_for_balance(heap, writes);
                }
                for (key, at) in keys.iter().zip(&mut at) {
                    Spiral::ask_for_element(heap, Block(*at), key.hash, key.intent());
                }
            }
            if spiral.has_items() {
                for key in keys {
                    if let Some(item) = spiral.probable_item(heap, key.hash) {
                        memory.prefetch(item);
                    }
                }
            }
        }
    }
}
