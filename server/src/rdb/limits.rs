//! Every bound of the RDB formats, by name.

/// Longest string, in bytes: the longest value the engine holds.
pub const STRING_MAX_BYTES: usize = larder_engine::limits::MAX_VALUE_BYTES;

/// What a byte packed by LZF can stand for, at most: three bytes say that 264 are to be copied.
pub const LZF_MAX_RATIO: usize = 88;
