//! What stands between the entries of a file.
//!
//! ```text
//! [ REDIS0010 | what stands between entries, and entries ... | 255 | CRC-64 of all before (8), 0: none ]
//!   VALKEY080                                                        from version 5 on
//!
//! entry:  [ 252 | deadline, ms (8) ] [ 248 | idle, seconds (length) ] [ type | string: key | value ]
//!         [ 253 | deadline, s (4) ]  [ 249 | frequency (1) ]
//!
//! 250 | string: name | string: text                               a note (AUX); readers pass over those they do not know
//! 254 | database (length)                                         that of the entries behind it; 0 before the first
//! 251 | keys (length) | keys that have deadlines (length)         in that database, about
//! 244 | slot | keys | keys that have deadlines (lengths)          of a cluster's slot, about
//! 245 | string: source                                            a library of functions
//! 246                                                             the same before Redis 7.0 was out: not read
//! 247 | module (length) | 2 | when (length) | module's bytes      what a module keeps beside keys
//! 243 | string: name | ranges (length) | [ first | last ] ...     Valkey: slots that are being imported
//! 243 | classes (length) | ...                                    Redis, from version 13 on: what modules note of the next key
//!
//! module's bytes:  [ 1 or 2 | length ], [ 3 | float (4) ], [ 4 | double (8) ], [ 5 | string ] ..., then 0
//! ```

use crate::rdb::Version;

pub(super) const SLOT_IMPORT: u8 = 243;
pub(super) const KEY_METADATA: u8 = 243;
pub(super) const SLOT: u8 = 244;
pub(super) const LIBRARY: u8 = 245;
pub(super) const OLD_FUNCTION: u8 = 246;
pub(super) const MODULE: u8 = 247;
pub(super) const IDLE: u8 = 248;
pub(super) const FREQUENCY: u8 = 249;
pub(super) const NOTE: u8 = 250;
pub(super) const SIZES: u8 = 251;
pub(super) const DEADLINE_MS: u8 = 252;
pub(super) const DEADLINE_SECS: u8 = 253;
pub(super) const DATABASE: u8 = 254;
pub(super) const END: u8 = 255;

/// Bytes of the header: `REDIS` and four digits, or `VALKEY` and three.
pub(super) const HEADER_BYTES: usize = 9;

/// The first version that has a checksum behind its end.
pub(super) const FIRST_SUMMED: Version = Version(5);

/// The first version in which a key may have metadata of modules.
pub(super) const FIRST_WITH_METADATA: Version = Version(13);

/// What is known of the uses of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// So many seconds ago was the last.
    Idle(u64),
    /// How frequent they are, as `OBJECT FREQ` says it.
    Frequency(u8),
}
