//! Every bound of the engine, by name.

/// Longest string value, in bytes, whatever `proto-max-bulk-len` says (the arena's length fields hold 32 bits).
pub const MAX_VALUE_BYTES: usize = u32::MAX as usize - 64;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512 * 1024 * 1024;

/// Strings up to this many bytes report the encoding `embstr`, longer ones `raw`, as in Redis (`OBJ_ENCODING_EMBSTR_SIZE_LIMIT`).
pub const EMBSTR_MAX_BYTES: usize = 44;
