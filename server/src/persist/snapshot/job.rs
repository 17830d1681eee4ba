//! A snapshot of all cores: what they share of it, and what became of the last.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use larder_engine::evict::Lfu;
use larder_engine::{EntryRef, UnixMillis};

use crate::persist::files::FileOp;
use crate::rdb::file::{Facts, Header, History, trailer};
use crate::rdb::{Checksum, Packing, Summed, Version};

/// Why a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A client waits for it.
    Save,
    /// In the background.
    Background,
    /// The server is to end behind it.
    End,
}

/// What a snapshot keeps of the uses of entries.
#[derive(Clone, Copy, Debug)]
pub enum Uses {
    /// Nothing.
    Nothing,
    /// How long ago the last was.
    Idle,
    /// How frequent they are, counted so.
    Frequency(Lfu),
}

impl Uses {
    pub(super) fn history(self, entry: &EntryRef<'_>, now: UnixMillis) -> Option<History> {
        match self {
            Self::Nothing => None,
            Self::Idle => Some(History::Idle(entry.access().idle_secs(now).into())),
            Self::Frequency(lfu) => Some(History::Frequency(lfu.count(entry.access(), now))),
        }
    }
}

/// What a snapshot is to be.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Why.
    pub purpose: Purpose,
    /// The file.
    pub path: PathBuf,
    /// Whether it is packed.
    pub packing: Packing,
    /// Whether it has a checksum.
    pub checksum: Checksum,
    /// What it keeps of the uses of entries.
    pub uses: Uses,
    /// When it begins, in milliseconds of Unix time.
    pub begun_ms: i64,
    /// As which version of Redis the server presents itself.
    pub redis_version: &'static str,
}

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Job {
    /// What it is to be.
    pub claim: Claim,
    temporary: PathBuf,
    file: OnceLock<Arc<File>>,
    /// Where the next chunk goes.
    next_at: AtomicU64,
    header_bytes: u64,
    parts_left: AtomicU32,
    has_failed: AtomicBool,
    /// Changes of all shards before the cut.
    changes: AtomicU64,
    written: Mutex<Written>,
}

/// What has been written.
#[derive(Debug)]
struct Written {
    header: Option<Header>,
    /// Chunks, by their offsets.
    chunks: Vec<(u64, Summed)>,
    version: Version,
    keys: u64,
    failure: Option<Failure>,
}

/// Why a snapshot came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people.
    pub why: String,
    /// Whether it was given up, and could have been saved.
    pub is_given_up: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics amid a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job {
    fn new(claim: Claim, number: u64, cores: u16) -> Self {
        let facts = Facts {
            redis_version: claim.redis_version,
            created_secs: u64::try_from(claim.begun_ms).unwrap_or(0) / 1000,
            used_bytes: None,
            is_log_base: false,
        };
        let header = Header::new(facts, Packing::None);
        let header_bytes = header.len() as u64;
        let name = format!("temp-{}-{number}.rdb", std::process::id());
        Self {
            temporary: claim.path.with_file_name(name),
            claim,
            file: OnceLock::new(),
            next_at: AtomicU64::new(header_bytes),
            header_bytes,
            parts_left: AtomicU32::new(cores.into()),
            has_failed: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            written: Mutex::new(Written {
                header: Some(header),
                chunks: Vec::new(),
                version: Version::WRITTEN,
                keys: 0,
                failure: None,
            }),
        }
    }

    /// What makes its file.
    pub fn create(&self) -> FileOp {
        FileOp::Create(self.temporary.clone())
    }

    /// Its file was made.
    ///
    /// # Panics
    /// It was made before.
    pub fn set_file(&self, file: Arc<File>) {
        assert!(self.file.set(file).is_ok(), "it is made once");
    }

    /// Its file.
    ///
    /// # Panics
    /// It is yet to be made.
    pub fn file(&self) -> &Arc<File> {
        self.file.get().expect("a cut comes behind its file")
    }

    /// Sets aside so many bytes of the file; the offset of the first.
    pub(super) fn take_room(&self, bytes: u64) -> u64 {
        self.next_at.fetch_add(bytes, Ordering::Relaxed)
    }

    /// It cannot come to its end. The first reason stands.
    pub fn fail(&self, why: String) {
        self.end_early(why, false);
    }

    /// It is not wanted any more, which is no failure of the disk's.
    pub fn give_up(&self, why: &str) {
        self.end_early(why.to_owned(), true);
    }

    fn end_early(&self, why: String, is_given_up: bool) {
        let failure = Failure { why, is_given_up };
        lock(&self.written).failure.get_or_insert(failure);
        self.has_failed.store(true, Ordering::Release);
    }

    /// Whether it cannot come to its end: then nobody goes on with it.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// A core is done with its part, of so many keys, before which its shard had seen so many changes.
    pub(super) fn end_part(
        &self,
        chunks: &[(u64, Summed)],
        (keys, changes, version): (u64, u64, Version),
    ) {
        let mut written = lock(&self.written);
        written.chunks.extend_from_slice(chunks);
        written.keys += keys;
        written.version = written.version.max(version);
        drop(written);
        self.changes.fetch_add(changes, Ordering::Relaxed);
        self.parts_left.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether all cores are done with their parts.
    pub fn are_parts_over(&self) -> bool {
        self.parts_left.load(Ordering::Acquire) == 0
    }

    /// How many keys it has.
    pub fn keys(&self) -> u64 {
        lock(&self.written).keys
    }

    /// What is left to be written when all parts are: the header and the end.
    ///
    /// # Panics
    /// It was asked before.
    pub fn last_writes(&self) -> [FileOp; 2] {
        let mut written = lock(&self.written);
        let header = written.header.take().expect("a file is completed once");
        let sealed = header.seal(written.version);
        written.chunks.sort_unstable_by_key(|(at, _)| *at);
        let mut all = sealed.summed;
        for (at, summed) in &written.chunks {
            assert_eq!(*at, all.bytes, "chunks lie one behind the other");
            all = all.then(*summed);
        }
        assert_eq!(sealed.summed.bytes, self.header_bytes);
        let end = trailer(all, self.claim.checksum);
        [(0, sealed.pieces.concat()), (all.bytes, end.to_vec())].map(|(at, bytes)| FileOp::Write {
            file: Arc::clone(self.file()),
            at,
            bytes,
        })
    }

    /// Makes sure that what was written stays.
    pub fn sync(&self) -> FileOp {
        FileOp::Sync(Arc::clone(self.file()))
    }

    /// Gives the file its name.
    pub fn rename(&self) -> FileOp {
        FileOp::Rename {
            from: self.temporary.clone(),
            to: self.claim.path.clone(),
        }
    }

    /// Makes sure that it keeps that.
    pub fn sync_dir(&self) -> FileOp {
        let dir = self.claim.path.parent();
        let dir = dir.filter(|dir| !dir.as_os_str().is_empty());
        FileOp::SyncDir(dir.unwrap_or(Path::new(".")).to_owned())
    }

    /// Removes what was written.
    pub fn remove(&self) -> FileOp {
        FileOp::Remove(self.temporary.clone())
    }
}

/// What became of the last snapshots.
#[derive(Clone, Copy, Debug)]
pub struct LastSave {
    /// When the last that came to its end did, or when the server began, in seconds of Unix time.
    pub saved_secs: i64,
    /// How many have come to their end.
    pub saves: u64,
    /// Whether the last in the background did.
    pub is_ok: bool,
    /// When the last in the background was tried, in milliseconds of Unix time.
    pub tried_ms: i64,
    /// How long that took, in seconds; none was taken: -1.
    pub took_secs: i64,
    /// Changes of all shards before the last that came to its end.
    pub changes: u64,
}

/// The snapshots of a server: one at a time.
#[derive(Debug)]
pub struct Snapshots {
    current: Mutex<Option<Arc<Job>>>,
    last: Mutex<LastSave>,
    number: AtomicU64,
    /// As [`LastSave::is_ok`] says: no.
    has_failed: AtomicBool,
}

impl Snapshots {
    /// None yet, in a server that began then.
    #[must_use]
    pub fn new(started_unix_ms: i64) -> Self {
        Self {
            current: Mutex::new(None),
            last: Mutex::new(LastSave {
                saved_secs: started_unix_ms / 1000,
                saves: 0,
                is_ok: true,
                tried_ms: 0,
                took_secs: -1,
                changes: 0,
            }),
            number: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Claims the next snapshot, unless one is under way.
    pub fn claim(&self, claim: Claim, cores: u16) -> Option<Arc<Job>> {
        let mut current = lock(&self.current);
        if current.is_some() {
            return None;
        }
        if claim.purpose == Purpose::Background {
            lock(&self.last).tried_ms = claim.begun_ms;
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let job = Arc::new(Job::new(claim, number, cores));
        *current = Some(Arc::clone(&job));
        Some(job)
    }

    /// The snapshot under way.
    pub fn current(&self) -> Option<Arc<Job>> {
        lock(&self.current).clone()
    }

    /// A snapshot is over, and another may be taken. Why it has failed, if it has.
    pub fn end(&self, job: &Job, now_ms: i64) -> Option<Failure> {
        let failure = lock(&job.written).failure.clone();
        let mut last = lock(&self.last);
        let took_secs = (now_ms - job.claim.begun_ms) / 1000;
        if failure.is_none() {
            last.saved_secs = now_ms / 1000;
            last.saves += 1;
            last.changes = job.changes.load(Ordering::Relaxed);
            // Whichever way it was taken, it is there.
            last.is_ok = true;
        }
        if job.claim.purpose == Purpose::Background {
            last.took_secs = took_secs;
            if let Some(failure) = &failure {
                last.is_ok &= failure.is_given_up;
            }
        }
        self.has_failed.store(!last.is_ok, Ordering::Release);
        *lock(&self.current) = None;
        failure
    }

    /// So many changes of a shard were made by loading what a file has.
    pub fn note_loaded(&self, changes: u64) {
        lock(&self.last).changes += changes;
    }

    /// What became of the last.
    pub fn last(&self) -> LastSave {
        *lock(&self.last)
    }

    /// Whether the last in the background failed.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }
}
