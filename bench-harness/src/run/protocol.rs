//! The protocols that the load speaks.

use std::fmt;

use serde::Serialize;

/// What is spoken on the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The protocol of Redis up to version 5, and of every server like it.
    Resp2,
    /// The protocol of Redis from version 6 on, after `HELLO 3`.
    Resp3,
    /// memcached's text protocol.
    MemcachedText,
    /// memcached's meta commands (`mg`, `ms`).
    MemcachedMeta,
}

impl Protocol {
    /// Whether it is Redis's.
    #[must_use]
    pub fn is_resp(self) -> bool {
        matches!(self, Self::Resp2 | Self::Resp3)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resp2 => "resp2",
            Self::Resp3 => "resp3",
            Self::MemcachedText => "memcached-text",
            Self::MemcachedMeta => "memcached-meta",
        })
    }
}
