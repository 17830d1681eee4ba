//! Operations on files through the ring. Each is done by a worker of the kernel's: what a disk is slow in holds no turn up.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};
use slab::Slab;

use crate::persist::files::{Asked, Asker, FILE_MODE, FileDone, FileOp};

/// Bytes that one entry writes at most.
const WRITE_BYTES_MAX: usize = 1 << 30;

/// The process's working directory, where names begin.
const HERE: types::Fd = types::Fd(libc::AT_FDCWD);

/// An operation that is under way, with all that the kernel reads of it meanwhile.
struct UnderWay {
    by: Asker,
    op: Op,
}

enum Op {
    Create(CString),
    /// Bytes from `at` on, of which so many are written.
    Write {
        file: Arc<File>,
        at: u64,
        bytes: Vec<u8>,
        written: usize,
    },
    Sync(Arc<File>),
    SyncDir(File),
    Rename(CString, CString),
    Remove(CString),
}

/// What comes next of an operation, once the kernel has said something of it.
pub(super) enum Next {
    /// It is over.
    Done(Asker, io::Result<FileDone>),
    /// The rest of it is to be asked for.
    Again(Entry),
}

/// The operations of a ring.
#[derive(Default)]
pub(super) struct Files {
    under_way: Slab<UnderWay>,
    /// Those that came to nothing before the kernel was asked.
    failed: Vec<(Asker, io::Error)>,
}

impl Files {
    /// Takes those that the kernel was not asked for.
    pub(super) fn take_failed(&mut self) -> Vec<(Asker, io::Error)> {
        std::mem::take(&mut self.failed)
    }

    /// Whether there are such.
    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// The entry of an operation, and its number; what it refers to stays where it is until [`Self::complete`] is told that it is over.
    pub(super) fn begin(&mut self, Asked { by, op }: Asked) -> Option<(u32, Entry)> {
        let op = match Op::of(op) {
            Ok(op) => op,
            Err(error) => {
                self.failed.push((by, error));
                return None;
            }
        };
        let number = self.under_way.insert(UnderWay { by, op });
        let entry = self.under_way[number].op.entry();
        Some((number as u32, entry))
    }

    /// The kernel says what came of an operation.
    pub(super) fn complete(&mut self, number: u32, result: i32) -> Next {
        let number = number as usize;
        if let Op::Write { bytes, written, .. } = &mut self.under_way[number].op
            && let Ok(more @ 1..) = usize::try_from(result)
        {
            *written += more;
            if *written < bytes.len() {
                return Next::Again(self.under_way[number].op.entry());
            }
        }
        if matches!(-result, libc::EINTR | libc::EAGAIN) {
            return Next::Again(self.under_way[number].op.entry());
        }
        let UnderWay { by, op } = self.under_way.remove(number);
        Next::Done(by, op.outcome(result))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // The kernel may read what is under way until it has noticed that the ring is closed.
        std::mem::forget(std::mem::take(&mut self.under_way));
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl Op {
    fn of(op: FileOp) -> io::Result<Self> {
        Ok(match op {
            FileOp::Create(path) => Self::Create(c_path(&path)?),
            FileOp::Write { file, at, bytes } => Self::Write {
                file,
                at,
                bytes,
                written: 0,
            },
            FileOp::Sync(file) => Self::Sync(file),
            FileOp::SyncDir(path) => Self::SyncDir(File::open(path)?),
            FileOp::Rename { from, to } => Self::Rename(c_path(&from)?, c_path(&to)?),
            FileOp::Remove(path) => Self::Remove(c_path(&path)?),
        })
    }

    fn entry(&self) -> Entry {
        let entry = match self {
            Self::Create(path) => {
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
                let open = opcode::OpenAt::new(HERE, path.as_ptr());
                open.flags(flags).mode(FILE_MODE).build()
            }
            Self::Write {
                file,
                at,
                bytes,
                written,
            } => {
                let rest = &bytes[*written..];
                let len = rest.len().min(WRITE_BYTES_MAX) as u32;
                let write = opcode::Write::new(types::Fd(file.as_raw_fd()), rest.as_ptr(), len);
                write.offset(at + *written as u64).build()
            }
            Self::Sync(file) => opcode::Fsync::new(types::Fd(file.as_raw_fd())).build(),
            Self::SyncDir(dir) => opcode::Fsync::new(types::Fd(dir.as_raw_fd())).build(),
            Self::Rename(from, to) => {
                opcode::RenameAt::new(HERE, from.as_ptr(), HERE, to.as_ptr()).build()
            }
            Self::Remove(path) => opcode::UnlinkAt::new(HERE, path.as_ptr()).build(),
        };
        entry.flags(Flags::ASYNC)
    }

    fn outcome(&self, result: i32) -> io::Result<FileDone> {
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        match self {
            Self::Create(_) => {
                // SAFETY: the kernel has just opened this descriptor for us and nothing else owns it.
                let file = unsafe { OwnedFd::from_raw_fd(result) };
                Ok(FileDone::Created(Arc::new(file.into())))
            }
            // A write that writes nothing would do so for ever.
            Self::Write { bytes, .. } if result == 0 && !bytes.is_empty() => {
                Err(io::ErrorKind::WriteZero.into())
            }
            _ => Ok(FileDone::Done),
        }
    }
}
