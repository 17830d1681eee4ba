//! Every error text of the wire, in one place, byte for byte as Redis words them.

mod hotkeys;
mod quotas;
mod slots;
mod sorted_sets;
pub mod streams;

use std::borrow::Cow;

pub use hotkeys::*;
pub use quotas::*;
pub use slots::*;
pub use sorted_sets::*;

/// An error reply: the line after the `-`, code word first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply(Cow<'static, [u8]>);

/// What a command answers: its reply is written, or it failed with an error.
pub type CommandResult = Result<(), ErrorReply>;

impl ErrorReply {
    /// An error with a fixed text.
    pub const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    /// An error whose text was put together. Line breaks become spaces, since they would end the reply.
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        let mut text = text.into();
        for byte in &mut text {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        Self(Cow::Owned(text))
    }

    /// The line, without `-` and line end.
    pub fn text(&self) -> &[u8] {
        &self.0
    }

    /// The code word (`ERR`, `WRONGTYPE`), by which `INFO errorstats` counts: what stands in front of the first blank. A text
    /// without one near its beginning, as scripts make them, has none of its own and counts as `ERR`.
    pub fn code(&self) -> &[u8] {
        /// Where Redis looks for the blank.
        const CODE_MAX_BYTES: usize = 30;
        let beginning = &self.0[..self.0.len().min(CODE_MAX_BYTES + 1)];
        match beginning.iter().position(|&byte| byte == b' ') {
            Some(end) if end > 0 => &beginning[..end],
            _ => b"ERR",
        }
    }
}

/// The value is of another type than the command works on.
pub const WRONG_TYPE: ErrorReply =
    ErrorReply::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
/// The options make no sense together, or one is unknown.
pub const SYNTAX: ErrorReply = ErrorReply::fixed("ERR syntax error");
/// An argument or a value is no 64-bit integer.
pub const NOT_AN_INTEGER: ErrorReply =
    ErrorReply::fixed("ERR value is not an integer or out of range");
/// An argument or a value is no number.
pub const NOT_A_FLOAT: ErrorReply = ErrorReply::fixed("ERR value is not a valid float");
/// The key that has to exist does not.
pub const NO_SUCH_KEY: ErrorReply = ErrorReply::fixed("ERR no such key");
/// An index beyond the value.
pub const OUT_OF_RANGE: ErrorReply = ErrorReply::fixed("ERR index out of range");
/// Source and destination are one.
pub const SAME_OBJECT: ErrorReply =
    ErrorReply::fixed("ERR source and destination objects are the same");
/// There is no miss-ratio curve.
pub const NO_CURVE: ErrorReply =
    ErrorReply::fixed("ERR no miss-ratio curve is kept: see the directive miss-ratio-curve");
/// A database number beyond `databases`.
pub const DB_INDEX_OUT_OF_RANGE: ErrorReply = ErrorReply::fixed("ERR DB index is out of range");
/// `OBJECT IDLETIME` under a policy that has another use for an entry's history.
pub const IDLE_TIME_NOT_KEPT: ErrorReply = ErrorReply::fixed(
    "ERR The maxmemory policy selected keeps no time of use, idle time not tracked.",
);
/// `maxmemory` is reached and nothing may be evicted.
pub const OUT_OF_MEMORY: ErrorReply =
    ErrorReply::fixed("OOM command not allowed when used memory > 'maxmemory'.");
/// `MULTI` inside `MULTI`.
pub const NESTED_MULTI: ErrorReply = ErrorReply::fixed("ERR MULTI calls can not be nested");
/// `WATCH` inside `MULTI`.
pub const WATCH_INSIDE: ErrorReply = ErrorReply::fixed("ERR WATCH inside MULTI is not allowed");
/// `EXEC` without `MULTI`.
pub const EXEC_ALONE: ErrorReply = ErrorReply::fixed("ERR EXEC without MULTI");
/// `DISCARD` without `MULTI`.
pub const DISCARD_ALONE: ErrorReply = ErrorReply::fixed("ERR DISCARD without MULTI");
/// A command that cannot be queued.
pub const NOT_INSIDE_MULTI: ErrorReply =
    ErrorReply::fixed("ERR Command not allowed inside a transaction");
/// `EXEC` behind a command that was refused.
pub const EXEC_ABORTED: ErrorReply =
    ErrorReply::fixed("EXECABORT Transaction discarded because of previous errors.");
/// `EXEC` that was itself refused.
pub fn exec_aborted_by(error: &ErrorReply) -> ErrorReply {
    let mut text = b"EXECABORT Transaction discarded because of: ".to_vec();
    text.extend_from_slice(error.text());
    ErrorReply::new(text)
}

/// The client has not authenticated.
pub const NO_AUTH: ErrorReply = ErrorReply::fixed("NOAUTH Authentication required.");
/// The password is wrong.
pub const WRONG_PASS: ErrorReply =
    ErrorReply::fixed("WRONGPASS invalid username-password pair or user is disabled.");
/// A string would exceed `proto-max-bulk-len`.
pub const STRING_TOO_LONG: ErrorReply =
    ErrorReply::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
/// The sum leaves 64 bits.
pub const INCREMENT_OVERFLOW: ErrorReply =
    ErrorReply::fixed("ERR increment or decrement would overflow");
/// The sum is no finite number.
pub const INCREMENT_NOT_FINITE: ErrorReply =
    ErrorReply::fixed("ERR increment would produce NaN or Infinity");

/// A reply would be larger than a reply may be (Larder's own bound; Redis would run out of memory).
pub const REPLY_TOO_LARGE: ErrorReply =
    ErrorReply::fixed("ERR the reply exceeds the maximum allowed size (1gb)");

/// A monitor may only leave.
pub const NOT_AS_MONITOR: ErrorReply =
    ErrorReply::fixed("ERR Replica can't interact with the keyspace");

/// The number of arguments does not fit the command (`name` with its container: `config|get`).
pub fn wrong_arity(name: &str) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}

/// What Redis shows of an argument in an error: `max_bytes` at most, and nothing from the first zero byte on, where a C
/// string ends.
fn shown(arg: &[u8], max_bytes: usize) -> &[u8] {
    let arg = &arg[..arg.len().min(max_bytes)];
    arg.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// No such command; the arguments are quoted up to 128 bytes, as Redis does.
pub fn unknown_command<'a>(name: &[u8], args: impl Iterator<Item = &'a [u8]>) -> ErrorReply {
    const QUOTED_MAX_BYTES: usize = 128;
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(shown(name, QUOTED_MAX_BYTES));
    text.extend_from_slice(b"', with args beginning with: ");
    let mut quoted = 0;
    for arg in args {
        if quoted >= QUOTED_MAX_BYTES {
            break;
        }
        let shown = shown(arg, QUOTED_MAX_BYTES - quoted);
        text.push(b'\'');
        text.extend_from_slice(shown);
        text.extend_from_slice(b"' ");
        quoted += shown.len() + 3;
    }
    ErrorReply::new(text)
}

/// No such subcommand of a container command (`CONFIG FOO`).
pub fn unknown_subcommand(container: &[u8], subcommand: &[u8]) -> ErrorReply {
    try_help("ERR unknown subcommand '", container, subcommand)
}

/// The deadline an expiring command was given cannot be.
pub fn invalid_expire_time(command: &str) -> ErrorReply {
    ErrorReply::new(format!("ERR invalid expire time in '{command}' command"))
}

// Keys and databases.

/// `EXPIRE ... NX` with another condition.
pub const NX_WITH_OTHERS: ErrorReply =
    ErrorReply::fixed("ERR NX and XX, GT or LT options at the same time are not compatible");
/// `EXPIRE ... GT LT`.
pub const GT_WITH_LT: ErrorReply =
    ErrorReply::fixed("ERR GT and LT options at the same time are not compatible");
/// `SCAN` was given what no scan returned.
pub const INVALID_CURSOR: ErrorReply = ErrorReply::fixed("ERR invalid cursor");
/// The first argument of `SWAPDB` is no database number.
pub const INVALID_FIRST_DB: ErrorReply = ErrorReply::fixed("ERR invalid first DB index");
/// The second argument of `SWAPDB` is no database number.
pub const INVALID_SECOND_DB: ErrorReply = ErrorReply::fixed("ERR invalid second DB index");
/// `OBJECT FREQ` under a policy that counts no uses.
pub const FREQUENCY_NOT_TRACKED: ErrorReply = ErrorReply::fixed(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);
/// `OBJECT IDLETIME` under a policy that counts uses.
pub const IDLE_TIME_NOT_TRACKED: ErrorReply = ErrorReply::fixed(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);
/// A timeout in milliseconds is no integer.
pub const TIMEOUT_NOT_AN_INTEGER: ErrorReply =
    ErrorReply::fixed("ERR timeout is not an integer or out of range");
/// A timeout in seconds is no number.
pub const TIMEOUT_NOT_A_FLOAT: ErrorReply =
    ErrorReply::fixed("ERR timeout is not a float or out of range");
/// A timeout is negative.
pub const TIMEOUT_NEGATIVE: ErrorReply = ErrorReply::fixed("ERR timeout is negative");
/// A timeout ends beyond what 64 bits can say.
pub const TIMEOUT_OUT_OF_RANGE: ErrorReply = ErrorReply::fixed("ERR timeout is out of range");
/// A number that counts something is negative or none.
pub const NOT_POSITIVE: ErrorReply =
    ErrorReply::fixed("ERR value is out of range, must be positive");
/// `WAITAOF` for this server's own log, of which there is none.
pub const NO_APPEND_LOG: ErrorReply = ErrorReply::fixed(
    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
);

/// An integer beyond the bounds of its option.
pub fn out_of_range(min: i64, max: i64) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR value is out of range, value must between {min} and {max}"
    ))
}

/// An option of `EXPIRE` that there is not.
pub fn unsupported_option(option: &[u8]) -> ErrorReply {
    ErrorReply::new([b"ERR Unsupported option ", shown(option, option.len())].concat())
}
/// A digest of another length.
pub const BAD_DIGEST: ErrorReply =
    ErrorReply::fixed("ERR must be exactly 16 hexadecimal characters");
/// `DELEX` with a condition it does not know.
pub const BAD_COMPARISON: ErrorReply =
    ErrorReply::fixed("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
/// `DELEX` with a condition on what is no string.
pub const NOT_A_STRING_TO_COMPARE: ErrorReply =
    ErrorReply::fixed("ERR Key should be of string type if conditions are specified");
/// `MSETEX` with a number of keys that cannot be.
pub const BAD_NUMKEYS: ErrorReply = ErrorReply::fixed("ERR invalid numkeys value");
/// `MSETEX` with fewer pairs than it announced.
pub const BAD_PAIRS: ErrorReply = ErrorReply::fixed("ERR wrong number of key-value pairs");
/// `SETRANGE` before the beginning.
pub const OFFSET_OUT_OF_RANGE: ErrorReply = ErrorReply::fixed("ERR offset is out of range");
/// `DECRBY` of the one number that has no negative.
pub const DECREMENT_OVERFLOW: ErrorReply = ErrorReply::fixed("ERR decrement would overflow");
/// A bit offset that is no number, negative, or beyond `proto-max-bulk-len`.
pub const BAD_BIT_OFFSET: ErrorReply =
    ErrorReply::fixed("ERR bit offset is not an integer or out of range");
/// A bit that is neither 0 nor 1.
pub const BAD_BIT: ErrorReply = ErrorReply::fixed("ERR bit is not an integer or out of range");
/// `BITPOS` of what is neither 0 nor 1.
pub const BAD_BITPOS_BIT: ErrorReply = ErrorReply::fixed("ERR The bit argument must be 1 or 0.");
/// `BITOP NOT` of several keys.
pub const BITOP_NOT_KEYS: ErrorReply =
    ErrorReply::fixed("ERR BITOP NOT must be called with a single source key.");
/// A bitfield type.
pub const BAD_BITFIELD_TYPE: ErrorReply = ErrorReply::fixed(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);
/// A way of overflowing.
pub const BAD_BITFIELD_OVERFLOW: ErrorReply =
    ErrorReply::fixed("ERR Invalid OVERFLOW type specified");
/// A string that has no header of a HyperLogLog.
pub const NOT_A_HYPERLOGLOG: ErrorReply =
    ErrorReply::fixed("WRONGTYPE Key is not a valid HyperLogLog string value.");
/// A HyperLogLog whose registers contradict its header.
pub const CORRUPT_HYPERLOGLOG: ErrorReply =
    ErrorReply::fixed("INVALIDOBJ Corrupted HLL object detected");
/// `PFDEBUG` of a key that does not exist.
pub const NO_HYPERLOGLOG: ErrorReply = ErrorReply::fixed("ERR The specified key does not exist");
/// `PFDEBUG DECODE` of a dense HyperLogLog.
pub const HYPERLOGLOG_NOT_SPARSE: ErrorReply = ErrorReply::fixed("ERR HLL encoding is not sparse");
/// `PFDEBUG SIMD` with neither.
pub const NOT_ON_OR_OFF: ErrorReply = ErrorReply::fixed("ERR Argument must be ON or OFF");

/// `PFDEBUG` with something that it does not know.
pub fn unknown_pfdebug(subcommand: &[u8]) -> ErrorReply {
    let mut text = b"ERR Unknown PFDEBUG subcommand '".to_vec();
    text.extend_from_slice(shown(subcommand, usize::MAX));
    text.push(b'\'');
    ErrorReply::new(text)
}

/// What `PFSELFTEST` has found.
pub fn test_failed(what: &str) -> ErrorReply {
    ErrorReply::new(format!("ERR TESTFAILED {what}"))
}

/// `BITFIELD_RO` with a writing subcommand.
pub const BITFIELD_READ_ONLY: ErrorReply =
    ErrorReply::fixed("ERR BITFIELD_RO only supports the GET subcommand");
/// `LCS` of what is no string.
pub const LCS_NOT_STRINGS: ErrorReply =
    ErrorReply::fixed("ERR The specified keys must contain string values");
/// `LCS LEN IDX`.
pub const LCS_LEN_AND_IDX: ErrorReply =
    ErrorReply::fixed("ERR If you want both the length and indexes, please just use IDX.");
/// `LCS` of strings whose table would be too large.
pub const LCS_TOO_LARGE: ErrorReply = ErrorReply::fixed(
    "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
);

/// `BITOP` of too few keys for `operation`.
pub fn bitop_keys(operation: &str) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR BITOP {operation} must be called with at least two source keys."
    ))
}

// Hashes.

/// `HINCRBY` of a field that holds something else.
pub const FIELD_NOT_AN_INTEGER: ErrorReply = ErrorReply::fixed("ERR hash value is not an integer");
/// `HINCRBYFLOAT` of a field that holds something else.
pub const FIELD_NOT_A_FLOAT: ErrorReply = ErrorReply::fixed("ERR hash value is not a float");
/// `HINCRBYFLOAT` by infinity.
pub const INCREMENT_INFINITE: ErrorReply = ErrorReply::fixed("ERR value is NaN or Infinity");
/// `HRANDFIELD ... WITHVALUES` of more pairs than replies can be counted.
pub const VALUE_OUT_OF_RANGE: ErrorReply = ErrorReply::fixed("ERR value is out of range");
/// The time of a field's deadline is negative.
pub const EXPIRE_TIME_NEGATIVE: ErrorReply =
    ErrorReply::fixed("ERR invalid expire time, must be >= 0");
/// `EX`, `PX`, `EXAT` or `PXAT` at the end.
pub const EXPIRE_TIME_MISSING: ErrorReply = ErrorReply::fixed("ERR missing expire time");
/// `HGETEX` with two options about deadlines.
pub const HGETEX_EXPIRY_TWICE: ErrorReply =
    ErrorReply::fixed("ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified");
/// `HSETEX` with two options about deadlines.
pub const HSETEX_EXPIRY_TWICE: ErrorReply =
    ErrorReply::fixed("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
/// `HSETEX FNX FXX`.
pub const FIELD_CONDITION_TWICE: ErrorReply =
    ErrorReply::fixed("ERR Only one of FXX or FNX arguments can be specified");
/// An option of `HSETEX` given to `HGETEX`, or the reverse.
pub const UNKNOWN_ARGUMENT: ErrorReply = ErrorReply::fixed("ERR unknown argument");
/// `HEXPIRE` with two conditions.
pub const CONDITION_TWICE: ErrorReply = ErrorReply::fixed("ERR Multiple condition flags specified");
/// No `FIELDS`.
pub const FIELDS_MISSING: ErrorReply = ErrorReply::fixed("ERR missing FIELDS argument");
/// Two times `FIELDS`.
pub const FIELDS_TWICE: ErrorReply =
    ErrorReply::fixed("ERR FIELDS keyword specified multiple times");
/// `HEXPIRE` with nothing behind `FIELDS`.
pub const FIELDS_TOO_SHORT: ErrorReply =
    ErrorReply::fixed("ERR FIELDS requires at least numfields and one field argument");
/// No `FIELDS` where it has to stand.
pub const FIELDS_NOT_THERE: ErrorReply =
    ErrorReply::fixed("ERR Mandatory argument FIELDS is missing or not at the right position");
/// Fewer fields than announced.
pub const FIELDS_TOO_FEW: ErrorReply = ErrorReply::fixed("ERR wrong number of arguments");
/// `HTTL` of fewer fields than announced, or more.
pub const NUMFIELDS_MISMATCH: ErrorReply =
    ErrorReply::fixed("ERR The `numfields` parameter must match the number of arguments");
/// A number of fields that cannot be, to `HTTL` and its kin.
pub const NUMFIELDS_NOT_POSITIVE: ErrorReply =
    ErrorReply::fixed("ERR Number of fields must be a positive integer");
/// A number of fields that cannot be, to `HEXPIRE` and its kin.
pub const HEXPIRE_NUMFIELDS: ErrorReply =
    ErrorReply::fixed("ERR Parameter `numFields` should be greater than 0");
/// A number of fields that cannot be, to `HGETEX` and `HSETEX`.
pub const HGETEX_NUMFIELDS: ErrorReply = ErrorReply::fixed("ERR invalid number of fields");

/// An argument that there is not.
pub fn unknown_argument(argument: &[u8]) -> ErrorReply {
    ErrorReply::new([b"ERR unknown argument: ", shown(argument, argument.len())].concat())
}

// Lists.

/// `LMPOP` with a number of keys that cannot be.
pub const NUMKEYS_NOT_POSITIVE: ErrorReply =
    ErrorReply::fixed("ERR numkeys should be greater than 0");
/// `LMPOP ... COUNT` with a number that is not positive.
pub const COUNT_NOT_POSITIVE: ErrorReply = ErrorReply::fixed("ERR count should be greater than 0");
/// `LPOS ... RANK 0`.
pub const RANK_ZERO: ErrorReply = ErrorReply::fixed(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
);
/// `LPOS ... COUNT` with a negative number, or none.
pub const COUNT_NEGATIVE: ErrorReply = ErrorReply::fixed("ERR COUNT can't be negative");
/// `LPOS ... MAXLEN` with a negative number, or none.
pub const MAXLEN_NEGATIVE: ErrorReply = ErrorReply::fixed("ERR MAXLEN can't be negative");

// Sets.

/// `SINTERCARD` with more keys than there are arguments.
pub const NUMKEYS_ABOVE_ARGS: ErrorReply =
    ErrorReply::fixed("ERR Number of keys can't be greater than number of args");
/// `SINTERCARD ... LIMIT` with a number that is negative, or none.
pub const LIMIT_NEGATIVE: ErrorReply = ErrorReply::fixed("ERR LIMIT can't be negative");

/// `SORT` by numbers of what is none.
pub const SORT_WEIGHTS: ErrorReply =
    ErrorReply::fixed("ERR One or more scores can't be converted into double");

// Connections and the server.

/// `AUTH password` where no password is asked for.
pub const AUTH_WITHOUT_PASSWORD: ErrorReply = ErrorReply::fixed(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
);
/// `HELLO` asks for a protocol that there is not.
pub const UNSUPPORTED_PROTOCOL: ErrorReply =
    ErrorReply::fixed("NOPROTO unsupported protocol version");
/// `HELLO` with something else than a number.
pub const PROTOCOL_NOT_AN_INTEGER: ErrorReply =
    ErrorReply::fixed("ERR Protocol version is not an integer or out of range");
/// `HELLO` of a client that has not authenticated.
pub const HELLO_NEEDS_AUTH: ErrorReply = ErrorReply::fixed(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
);
/// A client name of more than one word.
pub const BAD_CLIENT_NAME: ErrorReply =
    ErrorReply::fixed("ERR Client names cannot contain spaces, newlines or special characters.");
/// `CLIENT CACHING` without tracking.
pub const CACHING_WITHOUT_TRACKING: ErrorReply = ErrorReply::fixed(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);
/// `CLIENT CACHING YES` in another mode.
pub const CACHING_YES_WITHOUT_OPT_IN: ErrorReply = ErrorReply::fixed(
    "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
);
/// `CLIENT CACHING NO` in another mode.
pub const CACHING_NO_WITHOUT_OPT_OUT: ErrorReply = ErrorReply::fixed(
    "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
);
/// `CLIENT TRACKING` with two clients to be told.
pub const REDIRECT_TWICE: ErrorReply =
    ErrorReply::fixed("ERR A client can only redirect to a single other client");
/// `CLIENT TRACKING REDIRECT` to a client that there is not.
pub const NO_SUCH_REDIRECT: ErrorReply =
    ErrorReply::fixed("ERR The client ID you want redirect to does not exist");
/// `CLIENT TRACKING ON PREFIX` in another mode.
pub const PREFIX_WITHOUT_BROADCAST: ErrorReply =
    ErrorReply::fixed("ERR PREFIX option requires BCAST mode to be enabled");
/// `CLIENT TRACKING ON` with `BCAST` or without, otherwise than before.
pub const BROADCAST_SWITCHED: ErrorReply = ErrorReply::fixed(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
);
/// `CLIENT TRACKING ON BCAST OPTIN`.
pub const OPTIONS_WITH_BROADCAST: ErrorReply =
    ErrorReply::fixed("ERR OPTIN and OPTOUT are not compatible with BCAST");
/// `CLIENT TRACKING ON OPTIN OPTOUT`.
pub const OPT_IN_AND_OUT: ErrorReply =
    ErrorReply::fixed("ERR You can't specify both OPTIN mode and OPTOUT mode");
/// `CLIENT TRACKING ON OPTIN` where it was `OPTOUT`, or the reverse.
pub const OPT_SWITCHED: ErrorReply = ErrorReply::fixed(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
);
/// `CLIENT LIST ID` with something else than numbers.
pub const INVALID_CLIENT_ID: ErrorReply = ErrorReply::fixed("ERR Invalid client ID");
/// `CLIENT KILL ID` with something else than a positive number.
pub const CLIENT_ID_NOT_POSITIVE: ErrorReply =
    ErrorReply::fixed("ERR client-id should be greater than 0");
/// `CLIENT KILL MAXAGE` with something else than a number.
pub const MAXAGE_NOT_AN_INTEGER: ErrorReply =
    ErrorReply::fixed("ERR maxage is not an integer or out of range");
/// `CLIENT KILL MAXAGE` with a number that is not positive.
pub const MAXAGE_NOT_POSITIVE: ErrorReply =
    ErrorReply::fixed("ERR maxage should be greater than 0");
/// `CLIENT KILL` of an address no client has.
pub const NO_SUCH_CLIENT: ErrorReply = ErrorReply::fixed("ERR No such client");
/// `CLIENT PAUSE` with another mode.
pub const PAUSE_MODE: ErrorReply = ErrorReply::fixed("ERR CLIENT PAUSE mode must be WRITE or ALL");
/// `CLIENT UNBLOCK` with another reason.
pub const UNBLOCK_REASON: ErrorReply =
    ErrorReply::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
/// The reply of a command whose wait `CLIENT UNBLOCK id ERROR` ended.
pub const UNBLOCKED: ErrorReply =
    ErrorReply::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK");
/// A client that speaks RESP2 and is subscribed to something runs a command that it may not.
pub fn not_as_subscriber(name: &str) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    ))
}

/// Prefixes of one client of which one begins with the other.
pub fn prefixes_overlap(prefix: &[u8], which: &str, other: &[u8]) -> ErrorReply {
    let mut text = b"ERR Prefix '".to_vec();
    text.extend_from_slice(shown(prefix, prefix.len()));
    text.extend_from_slice(format!("' overlaps with {which} prefix '").as_bytes());
    text.extend_from_slice(shown(other, other.len()));
    text.extend_from_slice(b"'. Prefixes for a single client must not overlap.");
    ErrorReply::new(text)
}

/// `SLOWLOG GET` with a count that there is not.
pub const SLOWLOG_COUNT: ErrorReply =
    ErrorReply::fixed("ERR count should be greater than or equal to -1");
/// There is no such log of commands.
pub const COMMANDLOG_TYPE: ErrorReply =
    ErrorReply::fixed("ERR type should be one of the following: slow, large-request, large-reply");
/// A log is to be rewritten that there is not.
pub const NO_LOG_TO_REWRITE: ErrorReply =
    ErrorReply::fixed("ERR Larder has no append log yet: rewriting it is not supported");
/// The server is loading its file.
pub const LOADING: ErrorReply =
    ErrorReply::fixed("LOADING Larder is loading the dataset in memory");
/// The last snapshot failed, and `stop-writes-on-bgsave-error` is on.
pub const MISCONF: ErrorReply = ErrorReply::fixed(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
);
/// Another snapshot is to be saved while one is.
pub const SAVE_UNDER_WAY: ErrorReply = ErrorReply::fixed("ERR Background save already in progress");
/// The one under way is to be given up, and there is none.
pub const NO_SAVE_UNDER_WAY: ErrorReply =
    ErrorReply::fixed("ERR Background saving is currently not in progress or scheduled");
/// The snapshot could not be saved behind which the server was to end.
pub const CANNOT_END: ErrorReply = ErrorReply::fixed("ERR Errors trying to SHUTDOWN. Check logs.");
/// The server is to become a replica.
pub const NO_REPLICATION: ErrorReply =
    ErrorReply::fixed("ERR Larder cannot be a replica yet: only REPLICAOF NO ONE is supported");
/// `SHUTDOWN ABORT` while the server goes on.
pub const NO_SHUTDOWN: ErrorReply = ErrorReply::fixed("ERR No shutdown in progress.");
/// `COMMAND GETKEYS` of a command that there is not.
pub const INVALID_COMMAND: ErrorReply = ErrorReply::fixed("ERR Invalid command specified");
/// `COMMAND GETKEYS` of a command without keys.
pub const NO_KEY_ARGUMENTS: ErrorReply = ErrorReply::fixed("ERR The command has no key arguments");
/// `COMMAND GETKEYS` of a command with too few arguments, or too many.
pub const KEYS_NEED_ARGUMENTS: ErrorReply =
    ErrorReply::fixed("ERR Invalid number of arguments specified for command");
/// `COMMAND GETKEYS` of a command whose keys cannot be told.
pub const INVALID_ARGUMENTS: ErrorReply =
    ErrorReply::fixed("ERR Invalid arguments specified for command");
/// `DEBUG` where it is off.
pub const DEBUG_NOT_ALLOWED: ErrorReply = ErrorReply::fixed(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
);
/// `MODULE LOAD` and its kin where they are off.
pub const MODULE_NOT_ALLOWED: ErrorReply = ErrorReply::fixed(
    "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.",
);
/// A module that cannot be loaded.
pub const MODULE_NOT_LOADED: ErrorReply =
    ErrorReply::fixed("ERR Error loading the extension. Please check the server logs.");
/// `MODULE UNLOAD` of one that there is not.
pub const NO_SUCH_MODULE: ErrorReply =
    ErrorReply::fixed("ERR Error unloading module: no such module with that name");
/// `DEBUG LOADAOF` and its kin.
pub const NO_RELOAD: ErrorReply = ErrorReply::fixed(
    "ERR Larder keeps its dataset in memory only: there is nothing to reload it from",
);
/// `DEBUG RELOAD` with a word it does not know.
pub const BAD_RELOAD_OPTION: ErrorReply =
    ErrorReply::fixed("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
/// `DEBUG RELOAD` cannot read, or would read twice, what there is.
pub const CANNOT_RELOAD: ErrorReply = ErrorReply::fixed("ERR Error trying to load the RDB dump");
/// `DEBUG LISTPACK` of another encoding.
pub const NOT_A_LISTPACK: ErrorReply = ErrorReply::fixed("ERR Not a listpack encoded object.");
/// `DEBUG QUICKLIST` of another encoding.
pub const NOT_A_QUICKLIST: ErrorReply = ErrorReply::fixed("ERR Not a quicklist encoded object.");

/// `DEBUG PROTOCOL push` of a client that speaks RESP2.
pub const NOT_IN_RESP2: ErrorReply =
    ErrorReply::fixed("ERR RESP2 is not supported by this command");
/// `DEBUG PROTOCOL` of a type that there is not.
pub const BAD_PROTOCOL_TYPE: ErrorReply = ErrorReply::fixed(
    "ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
);

/// The arguments of a subcommand do not fit, though their number does.
pub fn subcommand_syntax(container: &[u8], subcommand: &[u8]) -> ErrorReply {
    try_help(
        "ERR unknown subcommand or wrong number of arguments for '",
        container,
        subcommand,
    )
}

/// Names a subcommand, and where its container's help is.
fn try_help(what: &str, container: &[u8], subcommand: &[u8]) -> ErrorReply {
    let mut text = what.as_bytes().to_vec();
    text.extend_from_slice(shown(subcommand, 128));
    text.extend_from_slice(b"'. Try ");
    text.extend_from_slice(&container.to_ascii_uppercase());
    text.extend_from_slice(b" HELP.");
    ErrorReply::new(text)
}

/// An option of `HELLO` that there is not.
pub fn hello_option(option: &[u8]) -> ErrorReply {
    quoted("ERR Syntax error in HELLO option '", option, "'")
}

/// A class of clients that there is not.
pub fn unknown_client_type(name: &[u8]) -> ErrorReply {
    quoted("ERR Unknown client type '", name, "'")
}

/// A user that there is not.
pub fn no_such_user(name: &[u8]) -> ErrorReply {
    quoted("ERR No such user '", name, "'")
}

/// An attribute of `CLIENT SETINFO` that there is not.
pub fn unrecognized_option(option: &[u8]) -> ErrorReply {
    quoted("ERR Unrecognized option '", option, "'")
}

/// An attribute of `CLIENT SETINFO` of more than one word.
pub fn bad_client_attribute(option: &[u8]) -> ErrorReply {
    quoted(
        "ERR ",
        option,
        " cannot contain spaces, newlines or special characters.",
    )
}

/// An event without latency spikes.
pub fn no_latency_samples(event: &[u8]) -> ErrorReply {
    quoted("ERR No samples available for event '", event, "'")
}

fn quoted(before: &str, text: &[u8], behind: &str) -> ErrorReply {
    ErrorReply::new([before.as_bytes(), text, behind.as_bytes()].concat())
}

// CLUSTER.

/// `CLUSTERSCAN` with a cursor of another slot than `SLOT` names.
pub const CURSOR_OF_ANOTHER_SLOT: ErrorReply =
    ErrorReply::fixed("ERR Cursor slot mismatch with SLOT argument");
/// `CLUSTERSCAN` with what is no cursor.
pub const BAD_CLUSTER_CURSOR: ErrorReply = ErrorReply::fixed("ERR Invalid cursor");
/// `SLOT` twice.
pub const SLOT_TWICE: ErrorReply = ErrorReply::fixed("ERR SLOT option can only be specified once");
/// What is no slot.
pub const BAD_SLOT: ErrorReply = ErrorReply::fixed("ERR Invalid or out of range slot");
/// `CLIENT IMPORT-SOURCE ON`.
pub const NOT_IN_IMPORT_MODE: ErrorReply = ErrorReply::fixed("ERR Server is not in import mode");
/// Cluster commands where the cores have no endpoints of their own.
pub const CLUSTER_DISABLED: ErrorReply =
    ErrorReply::fixed("ERR This instance has cluster support disabled");
/// `CLUSTER COUNTKEYSINSLOT` of what is no slot.
pub const INVALID_SLOT: ErrorReply = ErrorReply::fixed("ERR Invalid slot");
/// `CLUSTER GETKEYSINSLOT` of what is no slot, or of a negative number of keys.
pub const INVALID_SLOT_OR_COUNT: ErrorReply =
    ErrorReply::fixed("ERR Invalid slot or number of keys");

/// `LARDER REBALANCE` with a core that there is not.
pub const INVALID_CORE: ErrorReply = ErrorReply::fixed("ERR Invalid core");
/// `LARDER REBALANCE` on one core.
pub const ONE_CORE: ErrorReply =
    ErrorReply::fixed("ERR This server runs on one core, which owns every slot");
/// `LARDER REBALANCE` while one is under way.
pub const REBALANCING: ErrorReply =
    ErrorReply::fixed("ERR A rebalance is under way (LARDER REBALANCE STATUS)");

/// A cluster command about a node that there is not.
pub fn unknown_node(id: &[u8]) -> ErrorReply {
    ErrorReply::new([b"ERR Unknown node ", id].concat())
}

// Scripts.

/// No core knows the script.
pub const NO_SCRIPT: ErrorReply =
    ErrorReply::fixed("NOSCRIPT No matching script. Please use EVAL.");
/// No script runs for long.
pub const NOT_BUSY: ErrorReply = ErrorReply::fixed("NOTBUSY No scripts in execution right now.");
/// A script that has written is to be ended.
pub const UNKILLABLE: ErrorReply = ErrorReply::fixed(
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
);
/// A script has run for too long.
pub const BUSY_SCRIPT: ErrorReply = ErrorReply::fixed(
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
);
/// A function has run for too long.
pub const BUSY_FUNCTION: ErrorReply = ErrorReply::fixed(
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
);
/// More keys than arguments.
pub const TOO_MANY_KEYS: ErrorReply =
    ErrorReply::fixed("ERR Number of keys can't be greater than number of args");
/// Fewer than no keys.
pub const NEGATIVE_KEYS: ErrorReply = ErrorReply::fixed("ERR Number of keys can't be negative");
/// A script that reaches more than it declared, after it has begun, while another one does.
pub const SCRIPT_KEYS_UNDECLARED: ErrorReply = ErrorReply::fixed(
    "ERR Script attempted to access a key that it did not declare, after others, while another script did the same: run it again",
);
/// A script that says that it writes, where it must not.
pub const SCRIPT_WRITES_IN_RO: ErrorReply =
    ErrorReply::fixed("ERR Can not execute a script with write flag using *_ro command.");
/// A script calls a command that there is not.
pub const SCRIPT_UNKNOWN_COMMAND: ErrorReply =
    ErrorReply::fixed("ERR Unknown Redis command called from script");
/// A script calls a command with the wrong number of arguments.
pub const SCRIPT_WRONG_ARITY: ErrorReply =
    ErrorReply::fixed("ERR Wrong number of args calling Redis command from script");
/// A script calls a command that is not for scripts.
pub const NOT_FROM_SCRIPT: ErrorReply =
    ErrorReply::fixed("ERR This Redis command is not allowed from script");
/// A script that must not write does.
pub const SCRIPT_IS_READ_ONLY: ErrorReply =
    ErrorReply::fixed("ERR Write commands are not allowed from read-only scripts.");
/// `redis.acl_check_cmd` of a command that there is not.
pub const SCRIPT_INVALID_COMMAND: ErrorReply =
    ErrorReply::fixed("ERR Invalid command passed to redis.acl_check_cmd()");
/// `FCALL` of a function that there is not.
pub const NO_FUNCTION: ErrorReply = ErrorReply::fixed("ERR Function not found");
/// `FCALL` whose number of keys is none.
pub const BAD_NUMBER_OF_KEYS: ErrorReply = ErrorReply::fixed("ERR Bad number of keys provided");
/// `FUNCTION DELETE` of a library that there is not.
pub const NO_LIBRARY: ErrorReply = ErrorReply::fixed("ERR Library not found");
/// `FUNCTION FLUSH` in another mode.
pub const FUNCTION_FLUSH_MODE: ErrorReply =
    ErrorReply::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
/// `FUNCTION LIST LIBRARYNAME` without a name.
pub const NO_LIBRARY_NAME: ErrorReply =
    ErrorReply::fixed("ERR library name argument was not given");
/// `FUNCTION RESTORE` in another way.
pub const RESTORE_POLICY: ErrorReply = ErrorReply::fixed(
    "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
);
/// `SCRIPT FLUSH` in another mode.
pub const SCRIPT_FLUSH_MODE: ErrorReply =
    ErrorReply::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
/// `SCRIPT DEBUG` in another mode.
pub const SCRIPT_DEBUG_MODE: ErrorReply = ErrorReply::fixed("ERR Use SCRIPT DEBUG YES/SYNC/NO");
/// `SCRIPT DEBUG YES`.
pub const NO_SCRIPT_DEBUGGER: ErrorReply =
    ErrorReply::fixed("ERR Larder has no debugger of scripts");

/// An error that ends with a text put together elsewhere.
pub fn with_text(begin: &str, text: &[u8]) -> ErrorReply {
    quoted(begin, text, "")
}

// DUMP and RESTORE.

/// `RESTORE` to a key that exists, without `REPLACE`.
pub const BUSY_KEY: ErrorReply = ErrorReply::fixed("BUSYKEY Target key name already exists.");
/// `RESTORE` with a negative time to live.
pub const INVALID_TTL: ErrorReply = ErrorReply::fixed("ERR Invalid TTL value, must be >= 0");
/// `RESTORE ... IDLETIME` with a negative number.
pub const INVALID_IDLE_TIME: ErrorReply =
    ErrorReply::fixed("ERR Invalid IDLETIME value, must be >= 0");
/// `RESTORE ... FREQ` beyond eight bits.
pub const INVALID_FREQUENCY: ErrorReply =
    ErrorReply::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255");
/// The footer of a payload does not fit it.
pub const BAD_PAYLOAD: ErrorReply =
    ErrorReply::fixed("ERR DUMP payload version or checksum are wrong");
/// A payload holds no value known here.
pub const BAD_DATA_FORMAT: ErrorReply = ErrorReply::fixed("ERR Bad data format");

// Lines sent to a client that is not let in, whole.

/// There are `maxclients` already.
pub const MAX_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";
/// A client from elsewhere, with `protected-mode` and without a password.
pub const PROTECTED_MODE: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no \
    password is set for the default user. In this mode connections are only accepted from the loopback interface. If you \
    want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable \
    protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis \
    from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do \
    so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by \
    editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. \
    3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an \
    authentication password for the default user. NOTE: You only need to do one of the above things in order for the \
    server to start accepting connections from the outside.\r\n";
