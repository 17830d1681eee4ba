//! Errors about ranges of slots, and about what is told of slots.

use super::ErrorReply;

/// More ranges of slots than there can be.
pub fn bad_number_of_ranges(count: usize) -> ErrorReply {
    ErrorReply::new(format!("ERR invalid number of slot ranges: {count}"))
}

/// A range of slots whose end is before its beginning.
pub fn slots_backwards(first: u16, last: u16) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR start slot number {first} is greater than end slot number {last}"
    ))
}

/// The same, of `CLUSTER SLOT-STATS`.
pub fn range_backwards(first: u16, last: u16) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR Start slot number {first} is greater than end slot number {last}"
    ))
}

/// A slot in two ranges.
pub fn slot_twice(slot: u16) -> ErrorReply {
    ErrorReply::new(format!("ERR Slot {slot} specified multiple times"))
}

/// `TRIMSLOTS` of a slot that is served where it is asked.
pub fn slot_is_served(slot: u16) -> ErrorReply {
    ErrorReply::new(format!("ERR the slot {slot} is served by this node"))
}

/// `TRIMSLOTS` without ranges.
pub const TRIM_NO_RANGES: ErrorReply = ErrorReply::fixed("ERR missing ranges argument");
/// `TRIMSLOTS` with another number of ranges than it says.
pub const TRIM_RANGES: ErrorReply = ErrorReply::fixed("ERR invalid number of ranges");
/// `CLUSTER SLOT-STATS` by what is not told.
pub const BAD_SLOT_METRIC: ErrorReply =
    ErrorReply::fixed("ERR Unrecognized sort metric for ORDERBY.");
/// `CLUSTER SLOT-STATS` of a wrong number of slots.
pub const BAD_SLOT_LIMIT: ErrorReply =
    ErrorReply::fixed("ERR Limit has to lie in between 1 and 16384 (maximum number of slots).");
/// `CLUSTER SLOT-STATS` with an option twice.
pub const SLOT_FILTER_TWICE: ErrorReply =
    ErrorReply::fixed("ERR Multiple filters of the same type are disallowed.");
