//! Errors about quotas, which only Larder has.

use super::ErrorReply;

/// A write would take the keys of a prefix beyond their bytes, and none of them may go for it.
pub fn quota_bytes(prefix: &str) -> ErrorReply {
    ErrorReply::new(format!(
        "OOM command not allowed when used memory > quota of prefix '{prefix}'."
    ))
}

/// Commands on keys of a prefix come faster than they may.
pub fn quota_rate(prefix: &str, ops: u64) -> ErrorReply {
    ErrorReply::new(format!(
        "QUOTA more than {ops} commands a second on keys of prefix '{prefix}'"
    ))
}

/// A prefix that the configuration could not name.
pub const QUOTA_PREFIX_NO_TEXT: ErrorReply = ErrorReply::fixed("ERR a prefix is UTF-8 text");
/// Bytes that are none.
pub const QUOTA_BAD_BYTES: ErrorReply = ErrorReply::fixed("ERR bytes must be a memory value");
