//! Every error text of the wire, in one file, byte for byte as Redis words them.

use std::borrow::Cow;

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

    /// The code word (`ERR`, `WRONGTYPE`), by which `INFO errorstats` counts.
    pub fn code(&self) -> &[u8] {
        self.0
            .split(|&byte| byte == b' ')
            .next()
            .unwrap_or_default()
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
/// A database number beyond `databases`.
pub const DB_INDEX_OUT_OF_RANGE: ErrorReply = ErrorReply::fixed("ERR DB index is out of range");
/// `maxmemory` is reached and nothing may be evicted.
pub const OUT_OF_MEMORY: ErrorReply =
    ErrorReply::fixed("OOM command not allowed when used memory > 'maxmemory'.");
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

/// A monitor may only leave.
pub const NOT_AS_MONITOR: ErrorReply =
    ErrorReply::fixed("ERR Replica can't interact with the keyspace");

/// The number of arguments does not fit the command (`name` with its container: `config|get`).
pub fn wrong_arity(name: &str) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}

/// No such command; the arguments are quoted up to 128 bytes, as Redis does.
pub fn unknown_command<'a>(name: &[u8], args: impl Iterator<Item = &'a [u8]>) -> ErrorReply {
    const QUOTED_MAX_BYTES: usize = 128;
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(&name[..name.len().min(QUOTED_MAX_BYTES)]);
    text.extend_from_slice(b"', with args beginning with: ");
    let mut quoted = 0;
    for arg in args {
        if quoted >= QUOTED_MAX_BYTES {
            break;
        }
        let shown = &arg[..arg.len().min(QUOTED_MAX_BYTES - quoted)];
        text.push(b'\'');
        text.extend_from_slice(shown);
        text.extend_from_slice(b"' ");
        quoted += shown.len() + 3;
    }
    ErrorReply::new(text)
}

/// No such subcommand of a container command (`CONFIG FOO`).
pub fn unknown_subcommand(container: &str, subcommand: &[u8]) -> ErrorReply {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(&subcommand[..subcommand.len().min(128)]);
    text.extend_from_slice(format!("'. Try {} HELP.", container.to_uppercase()).as_bytes());
    ErrorReply::new(text)
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
/// A timeout in milliseconds is negative.
pub const TIMEOUT_NEGATIVE: ErrorReply = ErrorReply::fixed("ERR timeout is negative");
/// A timeout in milliseconds ends beyond what 64 bits can say.
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
    ErrorReply::new([b"ERR Unsupported option ", option].concat())
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
