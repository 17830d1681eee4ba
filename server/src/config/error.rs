//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

/// A configuration that cannot be loaded: one line that says where and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) location: Location,
    pub(super) directive: String,
    pub(super) reason: String,
}

/// Where a directive was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// In a file, on this line; 0 is the file as a whole.
    File(PathBuf, usize),
    /// On standard input, on this line.
    Stdin(usize),
    /// On the command line.
    Argument,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::File(path, 0) => write!(out, "{}", path.display())?,
            Location::File(path, line) => write!(out, "{}:{line}", path.display())?,
            Location::Stdin(line) => write!(out, "standard input:{line}")?,
            Location::Argument => out.write_str("command line")?,
        }
        match (&self.location, self.directive.as_str()) {
            (_, "") => {}
            (Location::Argument, name) => write!(out, ": '--{name}'")?,
            (_, name) => write!(out, ": '{name}'")?,
        }
        write!(out, ": {}", self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// A `CONFIG SET` that is refused; its text is the error reply's behind `ERR `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSetError {
    /// No directive has this name.
    Unknown(String),
    /// This directive is the reason.
    Refused {
        /// The directive, as the client wrote it.
        name: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for ConfigSetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(
                    out,
                    "Unknown option or number of arguments for CONFIG SET - '{name}'"
                )
            }
            Self::Refused { name, reason } => {
                write!(
                    out,
                    "CONFIG SET failed (possibly related to argument '{name}') - {reason}"
                )
            }
        }
    }
}

impl std::error::Error for ConfigSetError {}
