//! What is asked of the file system. A core asks and goes on; its runtime has it done, and the core hears of that in a later turn.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

/// Permissions of files that are made, as far as the process's mask lets them.
pub const FILE_MODE: u32 = 0o644;

/// An operation on files.
#[derive(Debug)]
pub enum FileOp {
    /// Makes a file to write to, or empties the one that there is.
    Create(PathBuf),
    /// Writes all bytes from an offset on.
    Write {
        /// Where to.
        file: Arc<File>,
        /// The offset.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Waits until what was written to a file would outlive the machine's end.
    Sync(Arc<File>),
    /// Gives a file another name, in place of the one that has it.
    Rename {
        /// Its name.
        from: PathBuf,
        /// The other.
        to: PathBuf,
    },
    /// The same as [`Self::Sync`], for the names in a directory.
    SyncDir(PathBuf),
    /// Removes a file.
    Remove(PathBuf),
}

/// What came of an operation.
#[derive(Debug)]
pub enum FileDone {
    /// The file that was made.
    Created(Arc<File>),
    /// Nothing else is to be said.
    Done,
}

impl FileOp {
    /// Has it done here and now.
    ///
    /// # Errors
    /// The system's.
    pub fn perform(self) -> io::Result<FileDone> {
        match self {
            Self::Create(path) => {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true);
                let file = options.mode(FILE_MODE).open(path)?;
                return Ok(FileDone::Created(Arc::new(file)));
            }
            Self::Write { file, at, bytes } => file.write_all_at(&bytes, at)?,
            Self::Sync(file) => file.sync_all()?,
            Self::Rename { from, to } => fs::rename(from, to)?,
            Self::SyncDir(path) => File::open(path)?.sync_all()?,
            Self::Remove(path) => fs::remove_file(path)?,
        }
        Ok(FileDone::Done)
    }

    /// What would come of it where nothing fails, for those who drive cores without a runtime: nothing is written anywhere.
    ///
    /// # Errors
    /// The system's.
    pub fn pretend(&self) -> io::Result<FileDone> {
        match self {
            Self::Create(_) => {
                let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
                Ok(FileDone::Created(Arc::new(nowhere)))
            }
            _ => Ok(FileDone::Done),
        }
    }
}

/// What of a core asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Its part of a snapshot.
    SnapshotPart,
    /// A snapshot that it has begun.
    Snapshot,
}

/// An operation that is asked for.
#[derive(Debug)]
pub struct Asked {
    /// Who is told what comes of it.
    pub by: Asker,
    /// The operation.
    pub op: FileOp,
}

/// The operations that a core has asked for in its turn.
#[derive(Debug, Default)]
pub struct FileOps {
    asked: Vec<Asked>,
}

impl FileOps {
    /// Asks for an operation. What comes of several is told in any order.
    pub fn ask(&mut self, by: Asker, op: FileOp) {
        self.asked.push(Asked { by, op });
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Takes what is asked for.
    pub fn take(&mut self) -> std::vec::Drain<'_, Asked> {
        self.asked.drain(..)
    }
}
