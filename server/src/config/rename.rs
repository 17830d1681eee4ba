//! `rename-command`: the names by which clients find commands.
//!
//! Which commands there are is known further up, by [`crate::command::CommandTable::renamed`], which refuses a line through
//! [`Renames::refused`] so that it is told with its place.

use super::error::{ConfigError, Location};
use super::source::refused;

/// The `rename-command` lines, in the order in which they stand.
#[derive(Clone, Debug, Default)]
pub struct Renames {
    lines: Vec<(Rename, Location)>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The name that the command has up to here.
    pub from: String,
    /// Its new name; empty when no name is to find it.
    pub to: String,
}

impl Renames {
    pub(super) fn push(&mut self, from: String, to: String, location: Location) {
        self.lines.push((Rename { from, to }, location));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines.
    pub fn iter(&self) -> impl Iterator<Item = &Rename> {
        self.lines.iter().map(|(rename, _)| rename)
    }

    /// Line `at` cannot be obeyed, for this reason.
    pub fn refused(&self, at: usize, reason: &str) -> ConfigError {
        let (_, location) = &self.lines[at];
        refused(location.clone(), "rename-command", reason)
    }
}
