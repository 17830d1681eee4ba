//! A core's counters.

use std::collections::BTreeMap;

/// Number of a command, dense from zero; counters are kept by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u16);

/// Counters of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandStats {
    /// Times it ran.
    pub calls: u64,
    /// Time it took, in nanoseconds.
    pub nanos: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and answered an error.
    pub failed: u64,
}

/// Counters of one core since it began or since `CONFIG RESETSTAT`.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused for `maxclients`.
    pub rejected_connections: u64,
    /// Commands run.
    pub commands: u64,
    /// Bytes received from clients.
    pub received_bytes: u64,
    /// Bytes sent to clients.
    pub sent_bytes: u64,
    /// Lookups by reading commands that found their key.
    pub hits: u64,
    /// Lookups by reading commands that did not.
    pub misses: u64,
    /// Commands sent to other cores.
    pub hops: u64,
    /// Error replies sent.
    pub error_replies: u64,
    /// Error replies by code word.
    pub errors: BTreeMap<Box<str>, u64>,
    /// Clients closed for their output buffer.
    pub output_limit_closes: u64,
    /// Clients closed for their query buffer.
    pub query_limit_closes: u64,
    /// By the command's number.
    pub by_command: Vec<CommandStats>,
}

impl Stats {
    /// Counters for a table of `commands` commands.
    pub fn new(commands: usize) -> Self {
        Self {
            by_command: vec![CommandStats::default(); commands],
            ..Self::default()
        }
    }

    /// A command ran `calls` times and took `nanos` together.
    pub fn ran(&mut self, id: CommandId, calls: u64, nanos: u64) {
        let command = &mut self.by_command[usize::from(id.0)];
        command.calls += calls;
        command.nanos += nanos;
    }

    /// An error reply was made.
    pub fn count_error(&mut self, code: &[u8]) {
        /// Codes counted by name; beyond, a client could make the server hold any number of them (scripts choose codes).
        const CODES_MAX: usize = 128;
        self.error_replies += 1;
        let code = String::from_utf8_lossy(code);
        if let Some(count) = self.errors.get_mut(&*code) {
            *count += 1;
        } else if self.errors.len() < CODES_MAX {
            self.errors.insert(code.into(), 1);
        }
    }

    /// Sets every counter to zero.
    pub fn reset(&mut self) {
        *self = Self::new(self.by_command.len());
    }
}
