//! Every bound of the RDB formats, by name.

/// Longest string, in bytes: the longest value the engine holds.
pub const STRING_MAX_BYTES: usize = larder_engine::limits::MAX_VALUE_BYTES;

/// What a byte packed by LZF can stand for, at most: three bytes say that 264 are to be copied.
pub const LZF_MAX_RATIO: usize = 88;

/// Elements of lists that are longer than this are written as nodes of their own, and listpacks of others grow to this
/// (`list-max-listpack-size -2`, Redis's default).
pub const NODE_MAX_BYTES: usize = 8192;

/// Bytes of a piece of what is written, but for what the last string in it exceeds that by.
pub const PIECE_BYTES: usize = 1 << 20;

/// Up to this many bytes a value of a file comes whole; of a larger one come pieces, each longer by a string at most.
pub const VALUE_PIECE_BYTES: usize = 1 << 20;

/// The most bytes of names and values that a hash is written with as one listpack: Redis's bound, a quarter of what a listpack
/// can say.
pub const LISTPACK_MAX_BYTES: u64 = 1 << 30;

/// The latest deadline of a field that Redis knows, in milliseconds of Unix time.
pub const DEADLINE_MAX_MS: u64 = (1 << 48) - 1;
