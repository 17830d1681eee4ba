//! The configuration: a snapshot, replaced whole by `CONFIG SET`.
//!
//! Everything derives from the table of directives ([`table`]): [`value`] brings what a user wrote into the one text that
//! `CONFIG GET` shows, [`settings`] reads typed fields from those texts, [`source`] loads files and arguments,
//! [`rewrite`] writes a file back, [`treatment`] says which directives are obeyed, and which of the others stop the start.
//!
//! Values are UTF-8 text; a secret of other bytes is refused.

mod directive;
mod error;
mod machine;
mod quotas;
mod rename;
mod rewrite;
mod settings;
mod source;
mod table;
mod treatment;
mod value;

use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use directive::{Change, Directive, Kind};
pub use error::{ConfigError, ConfigSetError};
pub use quotas::{QuotaSetting, quota_bytes, quotas_text};
pub use rename::{Rename, Renames};
pub use settings::{
    BindAddress, ClientMemory, CommandLogLimits, CorePinning, Cores, IoBackend, KeyspaceEvents,
    LogLevel, MaxmemoryPolicy, MissRatioCurve, Origin, OutputLimit, OutputLimits, ProtectedAction,
    SavePoint, Settings, SlotStats,
};
pub use table::DIRECTIVES;

use crate::glob::{self, Case};
use crate::quota::Quotas;
use crate::rdb::Checksum;
use value::Saving;

/// The version of Redis whose behaviour clients can count on; what `HELLO` and `INFO` say.
pub const REDIS_VERSION: &str = "7.4.0";
/// The same as a number, a byte for each part.
pub const REDIS_VERSION_NUMBER: u32 = 0x0007_0400;

/// Everything that can be configured. Its [`Settings`] are read as its own fields.
#[derive(Clone, Debug)]
pub struct Config {
    settings: Settings,
    /// The text of each directive, in the table's order.
    values: Vec<String>,
    /// The file loaded, as an absolute path.
    file: Option<PathBuf>,
    renames: Renames,
    /// No directive: `DEBUG SET-SKIP-CHECKSUM-VALIDATION`.
    payload_checksums: Checksum,
    quotas: Arc<Quotas>,
}

impl Deref for Config {
    type Target = Settings;

    #[inline]
    fn deref(&self) -> &Settings {
        &self.settings
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::of(default_values(), None, Renames::default())
    }
}

impl Config {
    /// The configuration of `file`, if any, with `args` as `redis-server` takes them (`--port 7000 --save 60 1`) on top.
    /// What comes later wins. A file named `-`, or `-` as the first or last argument, is standard input.
    ///
    /// # Errors
    /// The first thing wrong, and where.
    pub fn load(file: Option<&Path>, args: &[String]) -> Result<Self, ConfigError> {
        source::load(file, args)
    }

    /// Names and values of the directives that `pattern` names: a glob, or a name, of any case. Aliases count as names.
    pub fn get(&self, pattern: &[u8]) -> Vec<(&'static str, String)> {
        if glob::is_literal(pattern) {
            let found = std::str::from_utf8(pattern).ok().and_then(find);
            return found
                .map(|found| (found.name(), self.values[found.index].clone()))
                .into_iter()
                .collect();
        }
        let mut shown = Vec::new();
        for (directive, value) in DIRECTIVES.iter().zip(&self.values) {
            if directive.hidden {
                continue;
            }
            for name in [Some(directive.name), directive.alias]
                .into_iter()
                .flatten()
            {
                if glob::matches(pattern, name.as_bytes(), Case::Insensitive) {
                    shown.push((name, value.clone()));
                }
            }
        }
        shown
    }

    /// This configuration with some directives set, for a client from elsewhere; all of them, or none.
    ///
    /// # Errors
    /// The first directive refused.
    pub fn with(&self, changes: &[(&[u8], &[u8])]) -> Result<Self, ConfigSetError> {
        self.with_from(Origin::Remote, changes)
    }

    /// As [`Self::with`], for a client that may be on this host and so may set protected directives.
    ///
    /// # Errors
    /// The first directive refused.
    pub fn with_from(
        &self,
        origin: Origin,
        changes: &[(&[u8], &[u8])],
    ) -> Result<Self, ConfigSetError> {
        let mut named: Vec<(Found, &[u8])> = Vec::with_capacity(changes.len());
        for (name, new) in changes {
            let name = String::from_utf8_lossy(name).into_owned();
            let Some(found) = find(&name) else {
                return Err(ConfigSetError::Unknown(name));
            };
            let reason = match found.directive().change {
                Change::Never => Some("can't set immutable config"),
                Change::Protected if !self.enable_protected_configs.allows(origin) => {
                    Some("can't set protected config")
                }
                _ if named.iter().any(|(earlier, _)| *earlier == found) => {
                    Some("duplicate parameter")
                }
                _ => None,
            };
            if let Some(reason) = reason {
                return Err(ConfigSetError::Refused {
                    name,
                    reason: reason.to_owned(),
                });
            }
            named.push((found, *new));
        }
        let mut values = self.values.clone();
        for (found, new) in named {
            let set = self
                .changed(found, new, &values[found.index])
                .map_err(|reason| ConfigSetError::Refused {
                    name: found.name().to_owned(),
                    reason,
                })?;
            values[found.index] = set;
        }
        let mut changed = Self::of(values, self.file.clone(), self.renames.clone());
        changed.quotas = match changed.larder_quota == self.larder_quota {
            true => Arc::clone(&self.quotas),
            false => Arc::new(Quotas::new(&changed.larder_quota, &self.quotas)),
        };
        Ok(changed.with_payload_checksums(self.payload_checksums))
    }

    /// The quotas, and what is known of each.
    pub fn quotas(&self) -> &Arc<Quotas> {
        &self.quotas
    }

    /// Whether payloads that are restored have to have the right checksum.
    pub fn payload_checksums(&self) -> Checksum {
        self.payload_checksums
    }

    /// This configuration with payloads' checksums treated so.
    #[must_use]
    pub fn with_payload_checksums(self, payload_checksums: Checksum) -> Self {
        Self {
            payload_checksums,
            ..self
        }
    }

    /// Whether the process can hold as many connections as `maxclients` says, if it can hold `possible`.
    ///
    /// # Errors
    /// It cannot.
    pub fn check_maxclients(&self, possible: u64) -> Result<(), ConfigSetError> {
        if self.maxclients <= possible {
            return Ok(());
        }
        Err(ConfigSetError::Refused {
            name: "maxclients".to_owned(),
            reason: format!(
                "The operating system is not able to handle the specified number of clients, try with {possible}"
            ),
        })
    }

    /// Writes the configuration back into its file: comments and order stay, changed directives are updated, missing
    /// ones that differ from their default are appended. The file is replaced in one step.
    ///
    /// # Errors
    /// Without a file, or when it cannot be written. The error's text is the reply's behind `ERR `.
    pub fn rewrite(&self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Err(io::Error::other(
                "The server is running without a config file",
            ));
        };
        rewrite::rewrite(file, &self.values).map_err(|error| {
            io::Error::new(error.kind(), format!("Rewriting config file: {error}"))
        })
    }

    /// The file loaded, as an absolute path.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The names of commands that are not to be found by their own.
    pub fn renames(&self) -> &Renames {
        &self.renames
    }

    /// One line for each directive set to something Larder does not do, to be said at start.
    pub fn startup_warnings(&self) -> Vec<String> {
        let values = DIRECTIVES.iter().zip(&self.values);
        treatment::warnings(
            values.map(|(directive, value)| (directive.name, value.as_str(), directive.default)),
        )
    }

    /// This configuration with no more than `maxclients` connections.
    #[must_use]
    pub fn with_maxclients(mut self, maxclients: u64) -> Self {
        self.values[position("maxclients")] = maxclients.to_string();
        Self::of(self.values, self.file, self.renames)
    }

    /// Bytes of memory one of `cores` shards may at most grow to: twice its even share of `maxmemory`, or of the
    /// machine's memory, since keys of one hash tag can crowd one shard; with one core all of it.
    pub fn memory_ceiling_bytes(&self, cores: u16) -> u64 {
        let total = match self.maxmemory_bytes {
            0 => machine::memory_bytes().unwrap_or(DEFAULT_CEILING_BYTES),
            limit => limit,
        };
        total
            .min((total / u64::from(cores.max(1))).saturating_mul(2))
            .max(MIN_CEILING_BYTES)
    }

    /// Most bytes that the clients of all cores together may make the server hold, before some are closed:
    /// `maxmemory-clients`, or without it a quarter of the memory there is to use.
    pub fn client_memory_max_bytes(&self) -> u64 {
        /// As in Redis: with less, nobody could speak to the server to set it right.
        const LEAST: u64 = 128 << 10;
        /// Without `maxmemory-clients`; a small `maxmemory` says little of how much replies may take.
        const LEAST_BUILT_IN: u64 = 256 << 20;
        let configured = match self.maxmemory_clients {
            Some(ClientMemory::Bytes(bytes)) => Some(bytes),
            Some(ClientMemory::Percent(percent)) if self.maxmemory_bytes > 0 => {
                let bytes = u128::from(self.maxmemory_bytes) * u128::from(percent) / 100;
                u64::try_from(bytes).ok()
            }
            _ => None,
        };
        if let Some(bytes) = configured {
            return bytes.max(LEAST);
        }
        let there_is = machine::usable_bytes().unwrap_or(DEFAULT_CEILING_BYTES);
        let share = match self.maxmemory_bytes {
            0 => there_is / 4,
            limit => (limit / 4).max(LEAST_BUILT_IN),
        };
        share.min(there_is / 2).max(LEAST)
    }

    fn of(values: Vec<String>, file: Option<PathBuf>, renames: Renames) -> Self {
        let settings = Settings::read(&|name| values[position(name)].clone());
        let quotas = Quotas::new(&settings.larder_quota, &Quotas::default());
        Self {
            settings,
            values,
            file,
            renames,
            payload_checksums: Checksum::Checked,
            quotas: Arc::new(quotas),
        }
    }

    fn changed(&self, found: Found, new: &[u8], present: &str) -> Result<String, String> {
        let directive = found.directive();
        let text = std::str::from_utf8(new).map_err(|_| "argument must be UTF-8 text")?;
        let words: Vec<String> = if let Kind::Quotas = directive.kind {
            quotas::words_of(text)?
        } else if directive.kind.takes_words() {
            text.split(' ').map(str::to_owned).collect()
        } else {
            vec![text.to_owned()]
        };
        let set = value::canonical(directive, &words, present, Saving::Replaces)?;
        if directive.change == Change::AtStartOnly && set != present {
            return Err("can't be changed while the server runs".to_owned());
        }
        if let Some(why) = treatment::refusal(directive.name, &set, directive.default) {
            return Err(why.to_owned());
        }
        Ok(set)
    }
}

/// Whether the value of the directive `name` is a secret.
pub fn is_sensitive(name: &[u8]) -> bool {
    let found = std::str::from_utf8(name).ok().and_then(find);
    found.is_some_and(|found| found.directive().sensitive)
}

/// A directive found by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    /// Its place in the table.
    index: usize,
    by_alias: bool,
}

impl Found {
    fn directive(self) -> &'static Directive {
        &DIRECTIVES[self.index]
    }

    /// The name it was found by.
    fn name(self) -> &'static str {
        let directive = self.directive();
        directive
            .alias
            .filter(|_| self.by_alias)
            .unwrap_or(directive.name)
    }
}

/// The directive with this name or alias, of any case.
fn find(name: &str) -> Option<Found> {
    static BY_NAME: OnceLock<HashMap<&'static str, Found>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| {
        let mut by_name = HashMap::with_capacity(2 * DIRECTIVES.len());
        for (index, directive) in DIRECTIVES.iter().enumerate() {
            by_name.insert(
                directive.name,
                Found {
                    index,
                    by_alias: false,
                },
            );
            if let Some(alias) = directive.alias {
                by_name.insert(
                    alias,
                    Found {
                        index,
                        by_alias: true,
                    },
                );
            }
        }
        by_name
    });
    by_name.get(name.to_ascii_lowercase().as_str()).copied()
}

/// The table's place of a directive the code itself names.
fn position(name: &'static str) -> usize {
    match find(name) {
        Some(found) => found.index,
        None => panic!("{name} is missing from the table of directives"),
    }
}

/// The values of a server without file and arguments. The working directory is the process's.
fn default_values() -> Vec<String> {
    let mut values: Vec<String> = DIRECTIVES
        .iter()
        .map(|directive| directive.default.to_owned())
        .collect();
    let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    values[position("dir")] = directory.to_string_lossy().into_owned();
    values
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod treatment_tests;

/// Ceiling where the machine's memory cannot be told.
const DEFAULT_CEILING_BYTES: u64 = 16 << 30;
/// Smallest ceiling: `maxmemory` can be raised while the server runs, the ceiling cannot.
const MIN_CEILING_BYTES: u64 = 16 << 30;
