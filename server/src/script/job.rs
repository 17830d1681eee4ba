//! What a virtual machine is told to do, and how.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::LogLevel;
use crate::resp::Protocol;

/// What a machine does at the core's behest. All but running scripts end at once.
pub(super) enum Job {
    Compile { id: u64, text: Arc<[u8]> },
    Forget { id: u64 },
    Collect,
    LoadLibrary { id: u64, text: Arc<[u8]> },
    ForgetLibrary { id: u64 },
    Run { code: Code, keys: usize },
}

/// What there is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A compiled script, by its number.
    Script(u64),
    /// A function of a loaded library.
    Function {
        /// The library's number.
        library: u64,
        /// Its place there.
        index: usize,
    },
}

/// How a library is to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// How long it may take.
    pub limit: Duration,
    /// From which level on what it logs is shown.
    pub log_level: LogLevel,
}

/// How a script is to be run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// When it begins.
    pub began: Instant,
    /// The client's protocol.
    pub protocol: Protocol,
    /// After how long it gives the core back from time to time.
    pub patience: Option<Duration>,
    /// From which level on what it logs is shown.
    pub log_level: LogLevel,
}
