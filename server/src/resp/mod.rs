//! Redis's wire protocol, RESP2 and RESP3: commands in, replies out. Knows bytes only; imports nothing but std.
//!
//! Source: the RESP3 specification (`redis/redis-specifications`, `protocol/RESP3.md`).

pub mod errors;
pub mod parser;
mod reply;

pub use errors::ErrorReply;
pub use parser::{ArgRange, Parsed, Parser, ProtocolError, ProtocolLimits};
#[cfg(test)]
pub(crate) use reply::with_replies_of;
pub use reply::{
    BULK_FRAME_BYTES, DeferredLen, Digits, Mark, NULL_BYTES, Protocol, REPLY_MAX_BYTES, Reply,
    encode_command,
};
