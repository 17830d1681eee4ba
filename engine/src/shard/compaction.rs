//! Compaction: emptying sparse slabs so that their memory returns to the system.
//!
//! When a twenty-fourth of the touched memory is free, or where memory is short a ninety-sixth, a hand walks the slabs: first for those at
//! most half live, then three quarters, then seven eighths. Such a one is emptied into the other slabs of its class, or packed where those have no room: block by block its content is copied, and what names
//! it pointed to the copy. A node says of which collection or keyspace it is and which of its nodes. An item is found in its keyspace by the
//! key's hash; it does not know its database, so the keyspaces are asked in turn, which costs a look at a node and at no other item.

use super::Shard;
use crate::keyspace::is_keyspace;
use crate::nodes::{NodeKind, owner_of};
use crate::raw::{Block, EMPTIED_MAX_EIGHTHS, IdleBound, NthBlock};

/// Slabs and free blocks looked at that cost as much as one block moved.
const LOOKS_PER_MOVE: u32 = 16;
/// Share of the live bytes that must be freed or added before slabs are walked again in vain: a sixteenth, or a two hundred and
/// fifty-sixth where memory is short. What is added may leave as much free as what goes, since nodes that grow go from class to class.
const RETRY_SHIFT: u32 = 4;
/// See [`RETRY_SHIFT`].
const RETRY_SHIFT_SHORT: u32 = 8;
/// Eighths of a slab that are live at most, by round: the emptiest are emptied first, which takes the least copying.
const ROUNDS: [u64; 3] = [4, 6, EMPTIED_MAX_EIGHTHS];

/// Where compaction is.
#[derive(Default)]
pub(super) struct Compactor {
    /// Slab the hand looks at next.
    slab: usize,
    /// Slabs looked at since one was worth emptying.
    in_vain: usize,
    /// Which of [`ROUNDS`] it is at.
    round: usize,
    /// Blocks of the slab under evacuation that are yet to be looked at: those below this, from the last on.
    blocks: usize,
    /// Live bytes when the hand had been round in vain.
    settled_at_bytes: Option<u64>,
}

impl Shard {
    /// Moves at most `budget` blocks; whether more is left to do.
    pub(super) fn compact(&mut self, budget: u32) -> bool {
        let (mut moved, mut looks) = (0, 0);
        while moved + looks / LOOKS_PER_MOVE < budget {
            let Some(slab) = self.memory.arena().evacuating() else {
                if !self.next_sparse_slab() {
                    return false;
                }
                looks += 1;
                continue;
            };
            let Some(index) = self.compactor.blocks.checked_sub(1) else {
                self.memory.arena_mut().end_evacuation();
                continue;
            };
            self.compactor.blocks = index;
            match self.memory.arena().nth_block(slab, index) {
                NthBlock::Free => looks += 1,
                NthBlock::Live(block) if self.move_block(block) => moved += 1,
                NthBlock::Live(_) | NthBlock::End => self.memory.arena_mut().end_evacuation(),
            }
        }
        true
    }

    /// Looks at one slab, and takes it out of use if it is sparse; whether there is any reason to go on.
    fn next_sparse_slab(&mut self) -> bool {
        let arena = self.memory.arena_mut();
        if !arena.is_sparse() {
            self.compactor.round = 0;
            return false;
        }
        let live = arena.live_bytes();
        let compactor = &mut self.compactor;
        if let Some(settled) = compactor.settled_at_bytes {
            let shift = match arena.idle_bound() {
                IdleBound::Ordinary => RETRY_SHIFT,
                IdleBound::Least => RETRY_SHIFT_SHORT,
            };
            if live.abs_diff(settled) <= settled >> shift {
                return false;
            }
            *compactor = Compactor::default();
        }
        let slabs = arena.slab_count();
        if compactor.in_vain >= slabs {
            if compactor.round + 1 == ROUNDS.len() {
                compactor.settled_at_bytes = Some(live);
                return false;
            }
            compactor.round += 1;
            compactor.in_vain = 0;
        }
        compactor.slab = (compactor.slab + 1) % slabs;
        if let Some(slab) = arena.sparse_slab(compactor.slab, ROUNDS[compactor.round]) {
            compactor.blocks = arena.used_blocks(slab);
            compactor.in_vain = 0;
        } else {
            compactor.in_vain += 1;
        }
        true
    }

    /// Moves a block to another slab; whether there was memory for that.
    pub(super) fn move_block(&mut self, block: Block) -> bool {
        let node = self.memory.arena().tail(block);
        match NodeKind::of(node[0]) {
            Some(kind) if is_keyspace(owner_of(node)) => self.move_keyspace_node(block, kind),
            Some(kind) => self.memory.move_node(block, kind),
            None => self.move_item(block),
        }
    }

    fn move_keyspace_node(&mut self, node: Block, kind: NodeKind) -> bool {
        let owner = owner_of(self.memory.arena().tail(node));
        let Some(moved) = self.memory.arena_mut().move_block(node) else {
            return false;
        };
        self.ahead.forget();
        let mut keyspaces = self.databases.iter_mut();
        let keyspace = keyspaces.find(|keyspace| keyspace.id().owner() == owner);
        let keyspace = keyspace.expect("flushed keyspaces are freed before anything moves");
        keyspace.node_moved(&mut self.memory, kind, (node, moved));
        true
    }

    fn move_item(&mut self, item: Block) -> bool {
        self.ahead.forget();
        let hash = self.hasher.hash(self.memory.key(item));
        let Some(moved) = self.memory.arena_mut().move_block(item) else {
            return false;
        };
        let holder = self
            .databases
            .iter_mut()
            .any(|keyspace| keyspace.replace_item(&mut self.memory, hash, (item, moved)));
        assert!(
            holder,
            "every live block is a node, or an item of a keyspace"
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DbIndex, Event, KeyHasher, ShardOptions, StringForm, TtlChange};

    #[test]
    #[cfg_attr(miri, ignore = "slow: megabytes of entries")]
    fn slabs_that_were_walked_in_vain_are_walked_again_once_more_is_live() {
        let mut shard = Shard::new(&ShardOptions {
            databases: 1,
            memory_ceiling_bytes: 1 << 30,
            hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
        })
        .expect("address space");
        let (db, hasher) = (DbIndex(0), shard.hasher().clone());
        shard.compactor.settled_at_bytes = Some(1 << 20);
        let name = |number: u32| number.to_le_bytes();
        for number in 0..30_000 {
            let name = name(number);
            let (key, value, form) = (hasher.key(&name), [7; 100], StringForm::Detect);
            let set = shard.set(db, key, &value, form, TtlChange::Clear, Event::Set);
            set.expect("memory");
        }
        for number in (0..30_000).step_by(3) {
            shard.remove(db, hasher.key(&name(number)), Event::Del);
        }
        assert!(shard.memory.arena().is_sparse());
        while shard.tend(64) {}
        assert!(!shard.memory.arena().is_sparse());
        shard.check();
    }
}
