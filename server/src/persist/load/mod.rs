//! Loading a file in RDB format at start, on all cores at once.
//!
//! ```text
//!  reader, a thread    file ──▶ frames ──▶ batches, by the core that owns the key ──▶ a queue for each core
//!  core                a part of a batch a turn ──▶ values gathered ──▶ its shard
//! ```
//! Meanwhile clients are told that the server is loading. What is damaged, or is of what there is not, ends the server.

mod core;
mod reader;

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub use self::core::{Loaded, Loader};
pub use reader::{Batch, Item, read};

/// How far loading has come, for all cores.
#[derive(Debug, Default)]
pub struct Loading {
    is_on: AtomicBool,
    /// Cores that have yet to come to the end.
    cores_left: AtomicU32,
    total_bytes: AtomicU64,
    read_bytes: AtomicU64,
    began_ms: AtomicU64,
    keys: AtomicU64,
    expired: AtomicU64,
    failure: Mutex<Option<String>>,
}

/// Figures of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadFigures {
    /// Whether it goes on.
    pub is_on: bool,
    /// When it began, in milliseconds of Unix time.
    pub began_ms: u64,
    /// Bytes of the file,
    pub total_bytes: u64,
    /// and those that were read.
    pub read_bytes: u64,
    /// Keys that were loaded,
    pub keys: u64,
    /// and those that were not, since their time was over.
    pub expired: u64,
}

impl Loading {
    /// It begins, with a file of so many bytes.
    pub fn begin(&self, cores: u16, total_bytes: u64, now_ms: u64) {
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
        self.began_ms.store(now_ms, Ordering::Relaxed);
        self.cores_left.store(cores.into(), Ordering::Relaxed);
        self.is_on.store(true, Ordering::Release);
    }

    /// Whether it goes on.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// So many keys were loaded.
    fn note_keys(&self, keys: u64) {
        self.keys.fetch_add(keys, Ordering::Relaxed);
    }

    /// A core has come to the end. Whether it was the last.
    pub fn end_core(&self) -> bool {
        let is_last = self.cores_left.fetch_sub(1, Ordering::AcqRel) == 1;
        if is_last && self.failure().is_none() {
            self.is_on.store(false, Ordering::Release);
        }
        is_last
    }

    /// It cannot go on. The first reason stands.
    pub fn fail(&self, why: String) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(why);
    }

    /// Why it could not go on, if it could not.
    pub fn failure(&self) -> Option<String> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone()
    }

    /// How far it has come.
    pub fn figures(&self) -> LoadFigures {
        let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        LoadFigures {
            is_on: self.is_on(),
            began_ms: get(&self.began_ms),
            total_bytes: get(&self.total_bytes),
            read_bytes: get(&self.read_bytes),
            keys: get(&self.keys),
            expired: get(&self.expired),
        }
    }
}

/// A file to be loaded.
#[derive(Debug)]
pub struct Source {
    /// It, opened.
    pub file: File,
    /// Its name, for people.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

impl Source {
    /// Opens a file; `None`: there is none.
    ///
    /// # Errors
    /// One line.
    pub fn open(path: PathBuf) -> Result<Option<Self>, String> {
        let cannot = |error| format!("cannot load {}: {error}", path.display());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot(error)),
        };
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Err(format!("cannot load {}: it is no file", path.display()));
        }
        let bytes = metadata.len();
        Ok(Some(Self { file, path, bytes }))
    }
}
