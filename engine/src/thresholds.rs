//! Up to which sizes collections answer the encodings of small ones: the thresholds that clients know.

/// The thresholds of a shard. They decide what `OBJECT ENCODING` answers, and nothing of where elements lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Fields of a hash (`hash-max-listpack-entries`).
    pub hash_fields: u64,
    /// Bytes of a field's name or value (`hash-max-listpack-value`).
    pub hash_value_bytes: u64,
    /// A list's (`list-max-listpack-size`).
    pub list: ListThreshold,
}

/// When a list is no small one any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListThreshold {
    /// It has more elements.
    Elements(u32),
    /// It takes more bytes.
    Bytes(u32),
}

impl Default for Thresholds {
    /// Those of Redis 8.
    fn default() -> Self {
        Self {
            hash_fields: 512,
            hash_value_bytes: 64,
            list: ListThreshold::Bytes(8 << 10),
        }
    }
}
