//! Every bound of the engine, by name.

/// Longest string value, in bytes, whatever `proto-max-bulk-len` says (the arena's length fields hold 32 bits).
pub const MAX_VALUE_BYTES: usize = u32::MAX as usize - 64;

/// Values longer than this lie in a mapping of their own. An argument longer than this is worth receiving into a
/// [`Buffer`](crate::Buffer), which can become such a value; shorter ones are copied into the shard.
pub const SPAN_MAX_BYTES: usize = 1 << 20;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512 * 1024 * 1024;

/// Strings up to this many bytes report the encoding `embstr`, longer ones `raw`, as in Redis (`OBJ_ENCODING_EMBSTR_SIZE_LIMIT`).
pub const EMBSTR_MAX_BYTES: usize = 44;

/// Entries of a table segment before it splits: seven eighths of 512 buckets. Bounds what one insertion may rehash.
pub const SEGMENT_MAX_ENTRIES: usize = 448;

/// Two neighbouring segments merge when together they hold at most this many entries: well below a full one, so that
/// entries going and coming do not merge and split in turns.
pub const SEGMENT_MERGE_ENTRIES: usize = 192;

/// Most hash bits the directory of a table tells segments apart by. Beyond, segments grow instead of splitting.
pub const DIRECTORY_MAX_BITS: u32 = 28;

/// What `MEMORY USAGE` counts for an entry's place in the table: five bytes a bucket at a load of about five eighths.
pub const TABLE_SHARE_BYTES: u64 = 8;
