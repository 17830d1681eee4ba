//! Up to which sizes collections answer the encodings of small ones: the thresholds that clients know.

/// The thresholds of a shard. They decide what `OBJECT ENCODING` answers, and nothing of where elements lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Fields of a hash (`hash-max-listpack-entries`).
    pub hash_fields: u64,
    /// Bytes of a field's name or value (`hash-max-listpack-value`).
    pub hash_value_bytes: u64,
    /// Members of a set that are all integers (`set-max-intset-entries`).
    pub set_integers: u64,
    /// Members of a set, not all of them integers (`set-max-listpack-entries`).
    pub set_members: u64,
    /// Bytes of such a member (`set-max-listpack-value`).
    pub set_member_bytes: u64,
    /// Members of a sorted set (`zset-max-listpack-entries`).
    pub sorted_set_members: u64,
    /// Bytes of a member's name (`zset-max-listpack-value`).
    pub sorted_set_name_bytes: u64,
    /// A list's (`list-max-listpack-size`).
    pub list: ListThreshold,
    /// How large the nodes of streams become.
    pub stream_nodes: StreamNodeLimits,
    /// How identifiers of messages are kept in streams that come to be.
    pub stream_production: StreamProduction,
}

/// For how long identifiers of messages are kept, and how many, as a stream that comes to be has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamProduction {
    /// Seconds (`stream-idmp-duration`).
    pub duration_secs: u64,
    /// How many of a producer (`stream-idmp-maxsize`).
    pub most: u64,
}

impl Default for StreamProduction {
    /// That of Redis.
    fn default() -> Self {
        Self {
            duration_secs: 100,
            most: 100,
        }
    }
}

/// How large the leaves of entries become, as clients configure it; neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamNodeLimits {
    /// Bytes (`stream-node-max-bytes`).
    pub bytes: u64,
    /// Entries (`stream-node-max-entries`).
    pub entries: u64,
}

impl Default for StreamNodeLimits {
    /// Those of Redis.
    fn default() -> Self {
        Self {
            bytes: 4096,
            entries: 100,
        }
    }
}

impl Thresholds {
    /// Whether a set, which may have nothing but integers, is no small one any more that has so many members, the longest of so many bytes.
    pub(crate) fn is_outgrown_set(&self, has_integers: bool, (len, longest): (u64, u64)) -> bool {
        match has_integers {
            true => len > self.set_integers,
            false => len > self.set_members || longest > self.set_member_bytes,
        }
    }

    /// Whether a sorted set is no small one any more that has so many members, the longest name being of so many bytes.
    pub(crate) fn is_outgrown_sorted_set(&self, (len, longest): (u64, u64)) -> bool {
        len > self.sorted_set_members || longest > self.sorted_set_name_bytes
    }

    /// Whether a hash is no small one any more that has so many fields, the longest name or value being of so many bytes.
    pub(crate) fn is_outgrown_hash(&self, (len, longest): (u64, u64)) -> bool {
        len > self.hash_fields || longest > self.hash_value_bytes
    }
}

/// When a list is no small one any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListThreshold {
    /// It has more elements.
    Elements(u32),
    /// It takes more bytes.
    Bytes(u32),
}

/// Bytes of a list beyond which it is no small one, whatever the threshold of elements.
const LIST_MAX_BYTES: u64 = 8192;

impl ListThreshold {
    /// Whether a list is no small one any more that has so many elements and bytes, as [`Self::bytes_of`] tells.
    #[inline]
    pub(crate) fn is_exceeded(self, elements: u32, bytes: u64) -> bool {
        match self {
            Self::Elements(most) => elements > most.max(1) || bytes > LIST_MAX_BYTES,
            Self::Bytes(most) => bytes > most.into(),
        }
    }

    /// Whether one that was none is so small again that it is one: half of what it may be.
    pub(crate) fn is_half(self, elements: u32, bytes: u64) -> bool {
        match self {
            Self::Elements(most) => elements <= most.max(1) / 2 && bytes <= LIST_MAX_BYTES,
            Self::Bytes(most) => bytes <= u64::from(most) / 2,
        }
    }

    /// Bytes that a listpack of such elements takes, no element being a number nor longer than 63 bytes.
    #[inline]
    pub(crate) fn bytes_of(elements: u32, payload_bytes: u64) -> u64 {
        7 + payload_bytes + 2 * u64::from(elements)
    }
}

impl Default for Thresholds {
    /// Those of Redis 8.
    fn default() -> Self {
        Self {
            hash_fields: 512,
            hash_value_bytes: 64,
            set_integers: 512,
            set_members: 128,
            set_member_bytes: 64,
            sorted_set_members: 128,
            sorted_set_name_bytes: 64,
            list: ListThreshold::Bytes(8 << 10),
            stream_nodes: StreamNodeLimits::default(),
            stream_production: StreamProduction::default(),
        }
    }
}
