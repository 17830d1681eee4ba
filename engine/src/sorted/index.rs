//! The index of members: in which leaf each is, by the hash of its name.
//!
//! ```text
//!  a name ─ hash ─▶ position ─▶ bucket ─▶ node of words ─▶ leaf: its tags, then the name
//!
//!  0      1       5         9       11
//! +------+-------+---------+-------+-------+-------+---+-----+---+--------+--------+
//! | mark | owner | ordinal | count | key 0 | key 1 | … | gap | … | leaf 1 | leaf 0 |
//! +------+-------+---------+-------+-------+-------+---+-----+---+--------+--------+
//!                                    2 each                        3 each
//!  key: the tag, and a window of eight bits of the position
//!  position  1│010011│01 101110 …      a bucket on level 8 has the eight bits behind the leading one in its number;
//!                    └ window           the window begins at a level that is a multiple of six
//! ```
//! Nodes are addressed as those of a spiral (`spiral/address.rs`). A word knows no name, yet a node is divided by one bit of the positions,
//! which is in the windows: only on every sixth level the leaves are read for the next bits, word by word. When nodes merge, the bucket's
//! number tells the bits that are before.
//!
//! Words with the same key and the same leaf are equal, and stand for each other: whoever reads a leaf for one finds the members of all.
//! What a node of four kibibytes does not take, as only names of equal hashes bring about, stands in a list of the root.

use crate::StoreError;
use crate::nodes::{Heap, Holdings, NODE_HEAD_BYTES, NODE_MAX_BYTES, NodeKind, Table, read_u16};
use crate::raw::{Block, LINE_BYTES};
use crate::spiral::address::{Bucket, POSITION_BITS, Position};

const COUNT_AT: usize = NODE_HEAD_BYTES;
const KEYS_AT: usize = COUNT_AT + 2;
const KEY_BYTES: usize = 2;
const LEAF_BYTES: usize = 3;
const WORD_BYTES: usize = KEY_BYTES + LEAF_BYTES;
/// Leaves that words can name.
pub(super) const MAX_LEAVES: u32 = 1 << (8 * LEAF_BYTES);
/// Words that a node has at most.
const WORDS_MAX: usize = (NODE_MAX_BYTES - KEYS_AT) / WORD_BYTES;
/// Levels after which the window moves on.
const WINDOW_STEP: u32 = 6;
const WINDOW_BITS: u32 = 8;
/// Keys looked at together.
const KEYS_AT_ONCE: usize = 32;
/// A node that grows gets room for a sixteenth more, and so many words.
const ROOM_SHIFT: u32 = 4;
const ROOM_WORDS: usize = 6;
/// Words whose room may lie idle, beside an eighth.
const IDLE_WORDS: usize = 24;

/// What a word says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(u16);

impl Key {
    /// The key of a hash in a bucket of this level.
    #[inline(always)]
    fn of(hash: u64, level: u32) -> Self {
        let begin = level / WINDOW_STEP * WINDOW_STEP;
        let position = Position::of(hash).0;
        let window = (position >> (POSITION_BITS - begin - WINDOW_BITS)) as u8;
        Self::new(hash as u8, window)
    }

    fn new(tag: u8, window: u8) -> Self {
        Self(u16::from_le_bytes([tag, window]))
    }

    fn tag(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    fn window(self) -> u8 {
        self.0.to_le_bytes()[1]
    }
}

/// A word: what it says of a name, and the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    key: Key,
    leaf: u32,
}

/// The words of a node: all bytes of its block.
#[derive(Clone, Copy)]
struct Words<'a>(&'a [u8]);

fn room_of(bytes: usize) -> usize {
    ((bytes - KEYS_AT) / WORD_BYTES).min(WORDS_MAX)
}

fn bytes_of(words: usize) -> usize {
    KEYS_AT + words * WORD_BYTES
}

fn set_len(node: &mut [u8], words: usize) {
    node[COUNT_AT..KEYS_AT].copy_from_slice(&(words as u16).to_le_bytes());
}

fn set_word(node: &mut [u8], at: usize, word: Word) {
    let key = KEYS_AT + at * KEY_BYTES;
    node[key..key + KEY_BYTES].copy_from_slice(&word.key.0.to_le_bytes());
    set_leaf(node, at, word.leaf);
}

fn set_leaf(node: &mut [u8], at: usize, leaf: u32) {
    let end = node.len() - at * LEAF_BYTES;
    node[end - LEAF_BYTES..end].copy_from_slice(&leaf.to_le_bytes()[..LEAF_BYTES]);
}

impl<'a> Words<'a> {
    #[inline(always)]
    fn len(self) -> usize {
        read_u16(self.0, COUNT_AT)
    }

    #[inline(always)]
    fn keys(self) -> &'a [[u8; KEY_BYTES]] {
        let (keys, _) = self.0[KEYS_AT..KEYS_AT + self.len() * KEY_BYTES].as_chunks();
        keys
    }

    #[inline(always)]
    fn leaf(self, at: usize) -> u32 {
        let end = self.0.len() - at * LEAF_BYTES;
        let leaf = &self.0[end - LEAF_BYTES..end];
        u32::from_le_bytes([leaf[0], leaf[1], leaf[2], 0])
    }

    fn words(self) -> impl Iterator<Item = Word> + 'a {
        let keys = self.keys().iter().enumerate();
        keys.map(move |(at, &key)| Word {
            key: Key(u16::from_le_bytes(key)),
            leaf: self.leaf(at),
        })
    }

    /// Shows which words have a key, until `show` answers that this was it.
    #[inline(always)]
    fn each_of(self, key: Key, mut show: impl FnMut(usize) -> bool) {
        let key = key.0.to_le_bytes();
        for (number, keys) in self.keys().chunks(KEYS_AT_ONCE).enumerate() {
            let is_there = keys.iter().fold(false, |is, is_key| is | (*is_key == key));
            if !is_there {
                continue;
            }
            let first = number * KEYS_AT_ONCE;
            for (at, is_key) in keys.iter().enumerate() {
                if *is_key == key && show(first + at) {
                    return;
                }
            }
        }
    }

    fn find(self, word: Word) -> Option<usize> {
        let mut found = None;
        self.each_of(word.key, |at| {
            let is = self.leaf(at) == word.leaf;
            if is {
                found = Some(at);
            }
            is
        });
        found
    }
}

/// What a scan sees of a word: where the positions of its window end, the leaf, and the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) end: Position,
    pub(super) leaf: u32,
    pub(super) tag: u8,
}

/// Tells the hashes of the members of a leaf that have this tag.
pub(super) type HashesOf<'h> = dyn Fn(&Heap, u32, u8) -> Vec<u64> + 'h;

/// An index.
pub(super) struct Index {
    pub(super) table: Table,
    /// Words in nodes.
    words: u64,
    /// Names by their hashes, and their leaves, that found no room in their nodes.
    extra: Vec<(u64, u32)>,
    /// Words that nodes have on average.
    mean: u64,
}

impl Index {
    /// An empty one, of one node.
    pub(super) fn new(
        heap: &mut Heap,
        holdings: &mut Holdings,
        mean: usize,
    ) -> Result<Self, StoreError> {
        let mut index = Self {
            table: Table::second(),
            words: 0,
            extra: Vec::new(),
            mean: mean as u64,
        };
        let block = Self::node(heap, holdings, 0, ROOM_WORDS)?;
        if let Err(error) = index.table.push(&mut heap.arena, holdings, block) {
            holdings.free(&mut heap.arena, block);
            return Err(error);
        }
        Ok(index)
    }

    /// An empty node with room for so many words.
    fn node(
        heap: &mut Heap,
        holdings: &mut Holdings,
        ordinal: u32,
        words: usize,
    ) -> Result<Block, StoreError> {
        let bytes = bytes_of(words.min(WORDS_MAX));
        let block = holdings.alloc(&mut heap.arena, bytes, NodeKind::Words, ordinal)?;
        set_len(heap.arena.tail_mut(block), 0);
        Ok(block)
    }

    /// Bytes of its lists, which are not in the arena.
    pub(super) fn list_bytes(&self) -> u64 {
        self.table.list_bytes() + (self.extra.capacity() * size_of::<(u64, u32)>()) as u64
    }

    /// Number of names.
    pub(super) fn len(&self) -> u64 {
        self.words + self.extra.len() as u64
    }

    #[inline(always)]
    fn bucket(&self, hash: u64) -> Bucket {
        Bucket::of(Position::of(hash), self.table.len())
    }

    #[inline(always)]
    fn words_in(heap: &Heap, block: Block) -> Words<'_> {
        Words(&heap.arena.tail(block)[..heap.arena.block_bytes(block)])
    }

    #[inline(always)]
    fn bytes_in(heap: &mut Heap, block: Block) -> &mut [u8] {
        let bytes = heap.arena.block_bytes(block);
        &mut heap.arena.tail_mut(block)[..bytes]
    }

    /// The key of a name, and the block of its node.
    #[inline(always)]
    fn home(&self, heap: &Heap, hash: u64) -> (Key, Block) {
        let bucket = self.bucket(hash);
        let block = self.table.get(&heap.arena, bucket.ordinal());
        (Key::of(hash, bucket.level()), block)
    }

    /// Shows in which leaves a name of this hash may be, until `show` answers that this was it. A leaf may come again.
    #[inline(always)]
    pub(super) fn each_leaf(&self, heap: &Heap, hash: u64, mut show: impl FnMut(u32) -> bool) {
        let (key, block) = self.home(heap, hash);
        let words = Self::words_in(heap, block);
        let mut is_found = false;
        words.each_of(key, |at| {
            is_found = show(words.leaf(at));
            is_found
        });
        let mut extra = self.extra.iter();
        if !is_found {
            extra.find(|&&(of, leaf)| of == hash && show(leaf));
        }
    }

    /// Makes sure that [`Self::add`] has room for a name of this hash.
    ///
    /// # Errors
    /// Memory is out.
    pub(super) fn reserve(
        &mut self,
        heap: &mut Heap,
        holdings: &mut Holdings,
        hash: u64,
    ) -> Result<(), StoreError> {
        let ordinal = self.bucket(hash).ordinal();
        let block = self.table.get(&heap.arena, ordinal);
        let count = Self::words_in(heap, block).len();
        if count < room_of(heap.arena.block_bytes(block)) {
            return Ok(());
        }
        if count == WORDS_MAX {
            let reserved = self.extra.try_reserve(1);
            return reserved.map_err(|_| StoreError::OutOfMemory);
        }
        self.resize(
            heap,
            holdings,
            ordinal,
            count + (count >> ROOM_SHIFT) + ROOM_WORDS,
        )
    }

    /// Gives a node a block with room for so many words.
    fn resize(
        &mut self,
        heap: &mut Heap,
        holdings: &mut Holdings,
        ordinal: u32,
        words: usize,
    ) -> Result<(), StoreError> {
        let old = self.table.get(&heap.arena, ordinal);
        let new = Self::node(heap, holdings, ordinal, words)?;
        let (old_bytes, new_bytes) = (heap.arena.block_bytes(old), heap.arena.block_bytes(new));
        let count = Self::words_in(heap, old).len();
        let keys = COUNT_AT..KEYS_AT + count * KEY_BYTES;
        let leaves = count * LEAF_BYTES;
        heap.arena.copy_between(old, keys, new, COUNT_AT);
        heap.arena
            .copy_between(old, old_bytes - leaves..old_bytes, new, new_bytes - leaves);
        self.table.set(&mut heap.arena, ordinal, new);
        holdings.free(&mut heap.arena, old);
        Ok(())
    }

    /// Adds a name, for which room was [reserved](Self::reserve).
    pub(super) fn add(&mut self, heap: &mut Heap, hash: u64, leaf: u32) {
        let (key, block) = self.home(heap, hash);
        let node = Self::bytes_in(heap, block);
        let count = Words(node).len();
        if count == WORDS_MAX {
            self.extra.push((hash, leaf));
            return;
        }
        assert!(count < room_of(node.len()), "room was reserved");
        set_word(node, count, Word { key, leaf });
        set_len(node, count + 1);
        self.words += 1;
    }

    /// A name is in this leaf no more, but in that one.
    pub(super) fn repoint(&mut self, heap: &mut Heap, hash: u64, from: u32, to: u32) {
        if let Some(at) = self.extra_of(hash, from) {
            self.extra[at].1 = to;
            return;
        }
        let (key, block) = self.home(heap, hash);
        let node = Self::bytes_in(heap, block);
        let at = Words(node).find(Word { key, leaf: from });
        set_leaf(node, at.expect("a member has a word"), to);
    }

    fn extra_of(&self, hash: u64, leaf: u32) -> Option<usize> {
        self.extra.iter().position(|&extra| extra == (hash, leaf))
    }

    /// Takes a name out.
    pub(super) fn remove(
        &mut self,
        heap: &mut Heap,
        holdings: &mut Holdings,
        hash: u64,
        leaf: u32,
    ) {
        if let Some(at) = self.extra_of(hash, leaf) {
            self.extra.swap_remove(at);
            return;
        }
        let (key, block) = self.home(heap, hash);
        let node = Self::bytes_in(heap, block);
        let words = Words(node);
        let at = words.find(Word { key, leaf });
        let at = at.expect("a member has a word");
        let last = words.len() - 1;
        let word = Word {
            key: Key(u16::from_le_bytes(words.keys()[last])),
            leaf: words.leaf(last),
        };
        set_word(node, at, word);
        set_len(node, last);
        self.words -= 1;
        if room_of(node.len()) > last + (last >> 3) + IDLE_WORDS {
            let ordinal = self.bucket(hash).ordinal();
            // Without memory for a shorter block, the long one does.
            let _ = self.resize(heap, holdings, ordinal, last + (last >> ROOM_SHIFT));
        }
    }

    /// Asks for the word of the table that has the node of a hash. A hint.
    pub(super) fn ask_for_word(&self, heap: &Heap, hash: u64) {
        self.table
            .prefetch(&heap.arena, self.bucket(hash).ordinal());
    }

    /// Asks for the node. A hint.
    pub(super) fn ask_for_node(&self, heap: &Heap, hash: u64) {
        let block = self.table.get(&heap.arena, self.bucket(hash).ordinal());
        let keys = KEYS_AT + self.mean as usize * KEY_BYTES;
        heap.arena.prefetch(block, keys.div_ceil(LINE_BYTES));
    }

    /// Asks for the nodes of these hashes. A hint.
    pub(super) fn prefetch(&self, heap: &Heap, hashes: &[u64]) {
        hashes
            .iter()
            .for_each(|&hash| self.ask_for_word(heap, hash));
        hashes
            .iter()
            .for_each(|&hash| self.ask_for_node(heap, hash));
    }

    /// Whether it has a node too few or too many.
    #[inline]
    pub(super) fn is_unbalanced(&self) -> bool {
        let nodes = u64::from(self.table.len());
        self.len() > nodes * self.mean || self.is_sparse(nodes)
    }

    #[inline]
    fn is_sparse(&self, nodes: u64) -> bool {
        nodes > 1 && self.len() < (nodes - 1) * self.mean / 8 * 7
    }

    /// Has as many nodes as words ask for, or one more or one fewer than before; without memory they stay as they are.
    pub(super) fn balance(
        &mut self,
        heap: &mut Heap,
        holdings: &mut Holdings,
        hashes_of: &HashesOf<'_>,
    ) {
        let nodes = u64::from(self.table.len());
        if self.len() > nodes * self.mean {
            self.divide(heap, holdings, hashes_of);
        } else if self.is_sparse(nodes) {
            self.merge(heap, holdings);
        }
    }

    fn divide(&mut self, heap: &mut Heap, holdings: &mut Holdings, hashes_of: &HashesOf<'_>) {
        let nodes = self.table.len();
        let bucket = Bucket::to_divide(nodes);
        let level = bucket.level();
        let old = self.table.get(&heap.arena, bucket.ordinal());
        let mut halves: [Vec<Word>; 2] = Default::default();
        if (level + 1).is_multiple_of(WINDOW_STEP) {
            self.read_anew(heap, bucket, old, hashes_of, &mut halves);
        } else {
            let bit = WINDOW_BITS - 1 - level % WINDOW_STEP;
            for word in Self::words_in(heap, old).words() {
                halves[usize::from(word.key.window() >> bit & 1)].push(word);
            }
        }
        let ordinals = bucket.halves().map(Bucket::ordinal);
        let Ok(low) = Self::written(heap, holdings, ordinals[0], &halves[0]) else {
            return;
        };
        let pushed = Self::written(heap, holdings, ordinals[1], &halves[1]).and_then(|high| {
            let pushed = self.table.push(&mut heap.arena, holdings, high);
            pushed.inspect_err(|_| holdings.free(&mut heap.arena, high))
        });
        if pushed.is_err() {
            return holdings.free(&mut heap.arena, low);
        }
        self.table.set(&mut heap.arena, ordinals[0], low);
        holdings.free(&mut heap.arena, old);
    }

    /// A node of these words, with room.
    fn written(
        heap: &mut Heap,
        holdings: &mut Holdings,
        ordinal: u32,
        words: &[Word],
    ) -> Result<Block, StoreError> {
        let room = words.len() + (words.len() >> ROOM_SHIFT);
        let block = Self::node(heap, holdings, ordinal, room.max(1))?;
        let node = Self::bytes_in(heap, block);
        for (at, &word) in words.iter().enumerate() {
            set_word(node, at, word);
        }
        set_len(node, words.len());
        Ok(block)
    }

    /// The words of the halves of a bucket, with new windows: those that the members in the leaves have.
    fn read_anew(
        &self,
        heap: &Heap,
        bucket: Bucket,
        block: Block,
        hashes_of: &HashesOf<'_>,
        halves: &mut [Vec<Word>; 2],
    ) {
        let level = bucket.level();
        let mut words: Vec<Word> = Self::words_in(heap, block).words().collect();
        words.sort_unstable_by_key(|word| (word.leaf, word.key.0));
        let upper = bucket.halves()[1].start();
        for equal in words.chunk_by(|a, b| a == b) {
            let Word { key, leaf } = equal[0];
            let mut hashes = self.hashes_of_word(heap, bucket, equal[0], hashes_of);
            for &(of, in_leaf) in &self.extra {
                if in_leaf == leaf
                    && let Some(at) = hashes.iter().position(|&hash| hash == of)
                {
                    hashes.swap_remove(at);
                }
            }
            assert_eq!(hashes.len(), equal.len(), "a word for each member");
            for hash in hashes {
                let is_high = Position::of(hash) >= upper;
                debug_assert_eq!(key, Key::of(hash, level));
                let key = Key::of(hash, level + 1);
                halves[usize::from(is_high)].push(Word { key, leaf });
            }
        }
    }

    /// The hashes of the members that a word, and its equals, are for.
    fn hashes_of_word(
        &self,
        heap: &Heap,
        bucket: Bucket,
        word: Word,
        hashes_of: &HashesOf<'_>,
    ) -> Vec<u64> {
        let mut hashes = hashes_of(heap, word.leaf, word.key.tag());
        let level = bucket.level();
        hashes.retain(|&hash| {
            Key::of(hash, level) == word.key && bucket.contains(Position::of(hash))
        });
        hashes
    }

    fn merge(&mut self, heap: &mut Heap, holdings: &mut Holdings) {
        let nodes = self.table.len() - 1;
        let bucket = Bucket::to_divide(nodes);
        let level = bucket.level();
        let mut words = Vec::new();
        for half in bucket.halves() {
            let block = self.table.get(&heap.arena, half.ordinal());
            words.extend(Self::words_in(heap, block).words().map(|word| {
                let key = match (level + 1) % WINDOW_STEP {
                    0 => {
                        let window = half.last_bits(WINDOW_STEP) << (WINDOW_BITS - WINDOW_STEP)
                            | word.key.window() >> WINDOW_STEP;
                        Key::new(word.key.tag(), window)
                    }
                    _ => word.key,
                };
                Word { key, ..word }
            }));
        }
        if words.len() > WORDS_MAX {
            return;
        }
        let ordinal = bucket.ordinal();
        let Ok(merged) = Self::written(heap, holdings, ordinal, &words) else {
            return;
        };
        let low = self.table.get(&heap.arena, ordinal);
        holdings.free(&mut heap.arena, low);
        self.table.set(&mut heap.arena, ordinal, merged);
        let high = self.table.pop(&mut heap.arena, holdings);
        let high = high.expect("there were two");
        holdings.free(&mut heap.arena, high);
    }

    /// Frees a node; whether there was one. Nothing else is to be asked then.
    pub(super) fn free_one(&mut self, heap: &mut Heap, holdings: &mut Holdings) -> bool {
        let popped = self.table.pop(&mut heap.arena, holdings);
        if let Some(block) = popped {
            holdings.free(&mut heap.arena, block);
        }
        popped.is_some()
    }

    /// Where the members of a bucket are that may be at a position or behind it, in the order of their windows, and where the bucket
    /// ends. Equal ones are one.
    pub(super) fn members_from(&self, heap: &Heap, from: Position) -> (Vec<Seen>, Position) {
        let bucket = Bucket::of(from, self.table.len());
        let level = bucket.level();
        let shift = POSITION_BITS - level / WINDOW_STEP * WINDOW_STEP;
        let prefix = bucket.start().0 >> shift << WINDOW_BITS;
        let seen = |key: Key, leaf: u32| Seen {
            end: Position((prefix + u64::from(key.window()) + 1) << (shift - WINDOW_BITS)),
            leaf,
            tag: key.tag(),
        };
        let block = self.table.get(&heap.arena, bucket.ordinal());
        let words = Self::words_in(heap, block).words();
        let extra = self.extra.iter();
        let extra = extra.filter(|(hash, _)| bucket.contains(Position::of(*hash)));
        let mut members: Vec<Seen> = words
            .map(|word| seen(word.key, word.leaf))
            .chain(extra.map(|&(hash, leaf)| seen(Key::of(hash, level), leaf)))
            .filter(|seen| seen.end > from)
            .collect();
        members.sort_unstable();
        members.dedup();
        (members, bucket.end())
    }

    /// Verifies the nodes; adds their bytes to `bytes`.
    pub(super) fn check(&self, heap: &Heap, holdings: &Holdings, bytes: &mut u64) {
        self.table.check(&heap.arena, holdings, bytes);
        let mut words = 0;
        for ordinal in 0..self.table.len() {
            let block = self.table.get(&heap.arena, ordinal);
            let node = Self::words_in(heap, block);
            assert_eq!(NodeKind::of(node.0[0]), Some(NodeKind::Words));
            assert_eq!(
                (
                    crate::nodes::owner_of(node.0),
                    crate::nodes::ordinal_of(node.0)
                ),
                (holdings.owner, ordinal)
            );
            assert!(bytes_of(node.len()) <= node.0.len());
            *bytes += node.0.len() as u64;
            words += node.len() as u64;
        }
        assert_eq!(words, self.words);
    }

    /// Whether there is a word for a name of this hash in this leaf.
    pub(super) fn has(&self, heap: &Heap, hash: u64, leaf: u32) -> bool {
        let (key, block) = self.home(heap, hash);
        let is_word = Self::words_in(heap, block)
            .find(Word { key, leaf })
            .is_some();
        is_word || self.extra_of(hash, leaf).is_some()
    }
}
