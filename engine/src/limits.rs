//! Every bound of the engine, by name.

/// Longest string value, in bytes, whatever `proto-max-bulk-len` says (the arena's length fields hold 32 bits).
pub const MAX_VALUE_BYTES: usize = u32::MAX as usize - 64;

/// Values longer than this lie in a mapping of their own. An argument longer than this is worth receiving into a
/// [`Buffer`](crate::Buffer), which can become such a value; shorter ones are copied into the shard.
pub const SPAN_MAX_BYTES: usize = 1 << 20;

/// Most elements of a list: one fewer than Redis's 2^32 − 1, since replacing one may add the new before the old goes.
pub const MAX_LIST_ELEMENTS: u32 = u32::MAX - 1;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512 * 1024 * 1024;

/// Strings up to this many bytes report the encoding `embstr`, longer ones `raw`, as in Redis (`OBJ_ENCODING_EMBSTR_SIZE_LIMIT`).
pub const EMBSTR_MAX_BYTES: usize = 44;

/// What `MEMORY USAGE` counts for the element that names an item: the reference, a tag and mostly codes.
pub const ITEM_SHARE_BYTES: u64 = 8;

/// What a step of the expiry hand may exceed its budget by, in entries read: the entries of a node, or those of them that were the
/// last of their slabs.
pub const LOOK_MAX_COST: u32 = 2048;

/// Milliseconds after which an entry that is due and has to stay is looked at again.
pub const STAYS_MS: i64 = 32;

/// Entries that a shard has at least which lends memory to others or borrows it: with fewer, misses tell too little.
pub const LENDING_MIN_ENTRIES: u64 = 256;

/// Entries that a new eviction policy is shown in a slice, but for those of the last node.
pub const ENTRIES_SHOWN_AT_ONCE: usize = 256;

/// Nodes that are looked at for entries to evict: a keyspace, or a node, may have few that may go.
pub const NODES_DRAWN_MAX: u32 = 64;

/// Entries that come before an eviction policy looks after what it holds of those that have gone.
pub const POLICY_TENDED_EVERY: u32 = 128;

/// Entries of a quota that are drawn for a victim.
pub const QUOTA_DRAWN: usize = 8;

/// Entries that have changed and are yet to be counted for their quotas.
pub const QUOTA_NOTES_MAX: usize = 32;

/// Entries of quotas are guarded against others as long as these have more than one in so many bytes.
pub const GUARDED_SHARE: u64 = 16;

/// What a new entry takes besides its key and value, about.
pub const NEW_ENTRY_BYTES: usize = 12;

/// What the deadline of a short string takes.
pub const SHORT_DEADLINE_BYTES: usize = 6;

/// Nodes of a keyspace whose dead are counted to know how many all are.
pub const SAMPLED_NODES: u32 = 512;

/// When deadlines have paid so much for the expiry hand, in entries read, a step is due: some 57 deadlines.
pub const EXPIRY_PAID_STEP: u32 = 2048;

/// Bytes of the lists of an undo log that are kept for the next one.
pub const UNDO_KEPT_BYTES: u64 = 64 << 10;

/// The longest run of a hash packed in its item, in bytes, but for what the size class of its block has beyond. With the longest key
/// of an item, and a deadline, it still fits a block: renaming it, or its deadline, never moves it elsewhere.
pub const PACKED_HASH_MAX_BYTES: usize = (15 << 10) - 64;

/// The largest node of a collection, in bytes.
pub const NODE_MAX_BYTES: usize = 4096;

/// The longest run of a list that lies in its item, in bytes, but for what its block has more: what fits a leaf of a tree, which it
/// becomes beyond that. One that fits a half is packed again.
pub const PACKED_LIST_MAX_BYTES: usize = NODE_MAX_BYTES - 16;

/// Most elements of such a list.
pub const PACKED_LIST_MAX_ELEMENTS: usize = 256;

/// The longest run of a sorted set that lies in its item, in bytes, but for what its block has more. Beyond, it becomes a tree of
/// two leaves or three.
pub const PACKED_SORTED_SET_MAX_BYTES: usize = 4096 - 64;

/// Most members of such a sorted set: one is looked for name by name.
pub const PACKED_SORTED_SET_MAX_MEMBERS: usize = 512;

/// Blocks of a removed collection that one slice frees, but for what the elements of the last node have elsewhere.
pub const FREED_AT_ONCE_BLOCKS: u32 = 128;

/// A collection that is removed with more elements than this is told of as freed lazily, as in Redis (`LAZYFREE_THRESHOLD`).
pub const FREED_LAZILY_ELEMENTS: u64 = 64;

/// Bytes given back to the system that end such a slice: the kernel takes its time for each page.
pub const GIVEN_BACK_AT_ONCE_BYTES: u64 = 1 << 20;

/// What looking at a node of a collection for elements that have ended costs, in entries read.
pub const NODE_LOOK_COST: u32 = 8;

/// What the removal of such an element costs, likewise.
pub const FIELD_REMOVAL_COST: u32 = 4;

/// What a look at one hash for fields that have ended may cost, likewise: the rest is found again.
pub const FIELDS_LOOK_MAX_COST: u32 = 512;

/// Members of a set of integers that are shown in their order: beyond, sorting would take longer than showing.
pub const SORTED_MAX_MEMBERS: u64 = 512;

/// Elements brought near at once.
pub const NEAR_AT_ONCE: usize = 32;

/// A keyspace, or a set, whose nodes take no more bytes is probably in the processor's caches: nothing of it is brought near. Those of models are as
/// small, and have to show what bringing near does.
pub const NEAR_ANYHOW_BYTES: u64 = match cfg!(any(test, feature = "model")) {
    true => 1,
    false => 512 << 10,
};
