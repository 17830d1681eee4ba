//! The configuration: a snapshot, replaced whole by `CONFIG SET`.

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of logical databases.
    pub databases: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self { databases: 16 }
    }
}
