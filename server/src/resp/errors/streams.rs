//! Errors of commands on streams.

use super::ErrorReply;

/// An id that is none.
pub const INVALID_ID: ErrorReply =
    ErrorReply::fixed("ERR Invalid stream ID specified as stream command argument");
/// `(` before the greatest id, as a start.
pub const INVALID_START: ErrorReply = ErrorReply::fixed("ERR invalid start ID for the interval");
/// `(` before the least id, as an end.
pub const INVALID_END: ErrorReply = ErrorReply::fixed("ERR invalid end ID for the interval");
/// `XADD` of the id that none has.
pub const ID_ZERO: ErrorReply =
    ErrorReply::fixed("ERR The ID specified in XADD must be greater than 0-0");
/// `XADD` of an id that is not behind the last.
pub const ID_NOT_BEHIND: ErrorReply = ErrorReply::fixed(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
);
/// There is no id behind the last.
pub const EXHAUSTED: ErrorReply = ErrorReply::fixed(
    "ERR The stream has exhausted the last possible ID, unable to add more items",
);
/// Two ways to trim.
pub const MAXLEN_AND_MINID: ErrorReply = ErrorReply::fixed(
    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
);
/// `MAXLEN` is negative.
pub const MAXLEN_NEGATIVE: ErrorReply = ErrorReply::fixed("ERR The MAXLEN argument must be >= 0.");
/// `LIMIT` is negative.
pub const LIMIT_NEGATIVE: ErrorReply = ErrorReply::fixed("ERR The LIMIT argument must be >= 0.");
/// `LIMIT` of no trim.
pub const LIMIT_ALONE: ErrorReply = ErrorReply::fixed(
    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
);
/// `LIMIT` of an exact trim.
pub const LIMIT_EXACT: ErrorReply =
    ErrorReply::fixed("ERR syntax error, LIMIT cannot be used without the special ~ option");
/// `XTRIM` of nothing.
pub const TRIM_WITHOUT_STRATEGY: ErrorReply =
    ErrorReply::fixed("ERR syntax error, XTRIM must be called with a trimming strategy");
/// `IDMP` or `IDMPAUTO` twice.
pub const IDMP_TWICE: ErrorReply =
    ErrorReply::fixed("ERR syntax error, IDMP/IDMPAUTO specified multiple times");
/// `IDMPAUTO` of nobody.
pub const IDMPAUTO_PRODUCER: ErrorReply =
    ErrorReply::fixed("ERR syntax error, IDMPAUTO requires a non-empty producer ID");
/// `IDMP` of nobody.
pub const IDMP_PRODUCER: ErrorReply =
    ErrorReply::fixed("ERR syntax error, IDMP requires a non-empty producer ID");
/// `IDMP` of nothing.
pub const IDMP_IID: ErrorReply =
    ErrorReply::fixed("ERR syntax error, IDMP requires a non-empty idempotent ID");
/// `XIDMPRECORD` of nobody.
pub const RECORD_PRODUCER: ErrorReply = ErrorReply::fixed("ERR producer ID must be non-empty");
/// `XIDMPRECORD` of nothing.
pub const RECORD_IID: ErrorReply = ErrorReply::fixed("ERR idempotent ID must be non-empty");
/// `XIDMPRECORD` of an entry that is not there.
pub const RECORD_NO_ENTRY: ErrorReply = ErrorReply::fixed("ERR No such message in stream");
/// `XIDMPRECORD` of a message that has another entry.
pub const RECORD_OTHER_ENTRY: ErrorReply =
    ErrorReply::fixed("ERR IID already exists for this producer with a different stream ID");
/// `IDMP` with an id that the client chose.
pub const IDMP_NOT_AUTO: ErrorReply =
    ErrorReply::fixed("ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs");
/// `IDS` of `XDELEX` with a number that is none.
pub const NUMIDS_NOT_POSITIVE: ErrorReply =
    ErrorReply::fixed("ERR Number of IDs must be a positive integer");
/// `IDS` of `XDELEX` with a number of too many.
pub const NUMIDS_MISMATCH: ErrorReply =
    ErrorReply::fixed("ERR The `numids` parameter must match the number of arguments");
/// `XDELEX` without ids.
pub const IDS_MISSING: ErrorReply = ErrorReply::fixed("ERR IDS option is required");
/// `XREADGROUP` without a group.
pub const GROUP_MISSING: ErrorReply = ErrorReply::fixed("ERR Missing GROUP option for XREADGROUP");
/// `CLAIM` of something that is no number.
pub const CLAIM_NOT_AN_INTEGER: ErrorReply =
    ErrorReply::fixed("ERR min-idle-time is not an integer or out of range");
/// `CLAIM` of a time that is negative.
pub const CLAIM_NEGATIVE: ErrorReply =
    ErrorReply::fixed("ERR min-idle-time must be a positive integer");
/// `>` to `XREAD`.
pub const NEW_WITHOUT_GROUP: ErrorReply = ErrorReply::fixed(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
);
/// `XGROUP` of a key that is not there.
pub const GROUP_NEEDS_KEY: ErrorReply = ErrorReply::fixed(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);
/// `XGROUP CREATE` of a group that is there.
pub const BUSY_GROUP: ErrorReply =
    ErrorReply::fixed("BUSYGROUP Consumer Group name already exists");
/// `ENTRIESREAD` is below -1.
pub const ENTRIES_READ_NEGATIVE: ErrorReply =
    ErrorReply::fixed("ERR value for ENTRIESREAD must be positive or -1");
/// `ENTRIESADDED` is negative.
pub const ENTRIES_ADDED_NEGATIVE: ErrorReply =
    ErrorReply::fixed("ERR entries_added must be positive");
/// `XSETID` below what it says was deleted.
pub const SETID_BELOW_GIVEN: ErrorReply = ErrorReply::fixed(
    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
);
/// `XSETID` below what was deleted.
pub const SETID_BELOW_DELETED: ErrorReply = ErrorReply::fixed(
    "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
);
/// `XSETID` below the last entry.
pub const SETID_BELOW_LAST: ErrorReply =
    ErrorReply::fixed("ERR The ID specified in XSETID is smaller than the target stream top item");
/// `XSETID` with fewer entries added than there are.
pub const SETID_TOO_FEW: ErrorReply = ErrorReply::fixed(
    "ERR The entries_added specified in XSETID is smaller than the target stream length",
);
/// `XAUTOCLAIM` of none.
pub const AUTOCLAIM_COUNT: ErrorReply = ErrorReply::fixed("ERR COUNT must be > 0");
/// `XCFGSET` of nothing.
pub const NOTHING_TO_SET: ErrorReply =
    ErrorReply::fixed("ERR At least one parameter must be specified");

/// The idle time of `XCLAIM` or `XAUTOCLAIM` is no number.
pub fn invalid_min_idle(command: &str) -> ErrorReply {
    let command = command.to_ascii_uppercase();
    ErrorReply::new(format!("ERR Invalid min-idle-time argument for {command}"))
}

/// The number of an option of `XCLAIM` is none.
pub fn invalid_claim_option(option: &str) -> ErrorReply {
    ErrorReply::new(format!("ERR Invalid {option} option argument for XCLAIM"))
}

/// An option that `XCLAIM` does not know.
pub fn unknown_claim_option(option: &[u8]) -> ErrorReply {
    named(&[b"ERR Unrecognized XCLAIM option '", option, b"'"])
}

/// An option that is `XREADGROUP`'s alone.
pub fn only_of_groups(option: &str) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
    ))
}

/// An id that has no meaning for `XREADGROUP`.
pub fn meaningless_in_group(id: &str) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR The {id} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The {id} ID would just return an empty result set."
    ))
}

/// Keys and ids are not as many.
pub fn unbalanced(command: &str, ids: &str) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR Unbalanced '{command}' list of streams: for each stream key an {ids} must be specified."
    ))
}

/// There is no such group to read from.
pub fn no_group_to_read(key: &[u8], group: &[u8]) -> ErrorReply {
    named(&[
        b"NOGROUP No such key '",
        key,
        b"' or consumer group '",
        group,
        b"' in XREADGROUP with GROUP option",
    ])
}

/// There is no such key or group.
pub fn no_key_or_group(key: &[u8], group: &[u8]) -> ErrorReply {
    named(&[
        b"NOGROUP No such key '",
        key,
        b"' or consumer group '",
        group,
        b"'",
    ])
}

/// There is no such group at a key.
pub fn no_group(key: &[u8], group: &[u8]) -> ErrorReply {
    named(&[
        b"NOGROUP No such consumer group '",
        group,
        b"' for key name '",
        key,
        b"'",
    ])
}

/// An option of `XCFGSET` twice.
pub fn set_twice(option: &str) -> ErrorReply {
    ErrorReply::new(format!("ERR {option} specified multiple times"))
}

/// An option of `XCFGSET` beyond its bounds.
pub fn set_out_of_bounds(option: &str, most: u64, unit: &str) -> ErrorReply {
    ErrorReply::new(format!("ERR {option} must be between 1 and {most} {unit}"))
}

fn named(parts: &[&[u8]]) -> ErrorReply {
    ErrorReply::new(parts.concat())
}
