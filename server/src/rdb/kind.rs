//! The numbers that RDB gives its types, of those read here.

pub(super) const STRING: u8 = 0;
pub(super) const LIST: u8 = 1;
pub(super) const SET: u8 = 2;
pub(super) const ZSET: u8 = 3;
pub(super) const HASH: u8 = 4;
pub(super) const ZSET_2: u8 = 5;
/// Of modules, in release candidates of Redis 4.0, and since.
const MODULE_PRE_GA: u8 = 6;
const MODULE: u8 = 7;
pub(super) const HASH_ZIPMAP: u8 = 9;
pub(super) const LIST_ZIPLIST: u8 = 10;
pub(super) const SET_INTSET: u8 = 11;
pub(super) const ZSET_ZIPLIST: u8 = 12;
pub(super) const HASH_ZIPLIST: u8 = 13;
pub(super) const LIST_QUICKLIST: u8 = 14;
pub(super) const STREAM: u8 = 15;
pub(super) const HASH_LISTPACK: u8 = 16;
pub(super) const ZSET_LISTPACK: u8 = 17;
pub(super) const LIST_QUICKLIST_2: u8 = 18;
pub(super) const STREAM_2: u8 = 19;
pub(super) const SET_LISTPACK: u8 = 20;
pub(super) const STREAM_3: u8 = 21;
/// Of the release candidates of Redis 7.4, as the next.
pub(super) const HASH_METADATA_PRE_GA: u8 = 22;
pub(super) const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
pub(super) const HASH_METADATA: u8 = 24;
pub(super) const HASH_LISTPACK_EX: u8 = 25;
pub(super) const STREAM_4: u8 = 26;
/// Valkey 9's number for a hash whose fields have deadlines.
pub(super) const VALKEY_HASH_2: u8 = 22;

/// Whether values of this type are a module's.
pub(super) fn is_of_module(kind: u8) -> bool {
    matches!(kind, MODULE_PRE_GA | MODULE)
}
