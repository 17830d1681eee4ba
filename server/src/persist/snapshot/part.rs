//! A core's part of a snapshot: a walk over its shard as of the cut, some entries a turn, whose chunks are written side by side with those
//! of other cores.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use larder_engine::{AsOf, ContentsId, DbIndex, Early, EntryRef, Met, Shard, UnixMillis};

use super::job::{Job, Uses};
use crate::persist::files::{Asker, FileOp, FileOps};
use crate::persist::values::{Budget, Writing};
use crate::rdb::file::{Chunk, Sealed};
use crate::rdb::{Packing, Summed, Version};

/// For each entry that changes before it was written, the walk goes on by so many: then one key in as many does at most.
pub const PACE: u64 = 50;
/// Entries of a turn in which none changes early.
const ENTRIES: u64 = 448;
/// A chunk of so many bytes is complete.
const CHUNK_BYTES: usize = 256 << 10;
/// While so many writes are under way, the walk waits for the disk.
const WRITES_MAX: u32 = 8;
/// A value of more bytes, or elements, is written over several turns.
const LARGE_BYTES: u64 = 64 << 10;
const LARGE_ELEMENTS: u64 = 1024;
/// When more entries than this go at once before they were written, the snapshot is given up.
const EMPTIED_MAX: u64 = 10_000;

/// How far a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do in the next turn.
    Busy,
    /// Writes have to come to their end first.
    AwaitsDisk,
    /// It is over.
    Over,
}

/// A core's part of a snapshot.
#[derive(Debug)]
pub struct Part {
    job: Arc<Job>,
    as_of: AsOf,
    sink: Rc<RefCell<Sink>>,
    /// Entries that had changed early by the last turn.
    changed_early: u64,
    is_walked: bool,
    /// Writes under way, and their bytes.
    writes: u32,
    written: Vec<(u64, Summed)>,
    /// Changes that the shard had seen before the cut.
    changes: u64,
}

/// Where entries are written.
#[derive(Debug)]
struct Sink {
    job: Arc<Job>,
    chunk: Chunk,
    complete: Vec<Sealed>,
    complete_bytes: usize,
    large: Option<Large>,
    /// Which contents each database had.
    databases: Vec<ContentsId>,
    uses: Uses,
    packing: Packing,
    now: UnixMillis,
    keys: u64,
    version: Version,
}

/// A value that is written over several turns.
#[derive(Debug)]
struct Large {
    contents: ContentsId,
    key: Box<[u8]>,
    chunk: Chunk,
    writing: Writing,
}

/// When an entry is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// The walk has come to it.
    Walked,
    /// It was put off, before all others that still are.
    PutOff,
    /// It is about to change.
    Changes,
}

fn is_large(entry: &EntryRef<'_>) -> bool {
    entry.value_bytes() > LARGE_BYTES || entry.elements() > LARGE_ELEMENTS
}

impl Sink {
    /// Meets an entry. A large one is put off until those before it are written; one that changes is written whole.
    fn meet(&mut self, contents: ContentsId, entry: &EntryRef<'_>, when: When) -> Met {
        let is_begun = self
            .large
            .as_ref()
            .is_some_and(|large| large.contents == contents && *large.key == *entry.key());
        if is_begun {
            return self.go_on(entry, when);
        }
        if !is_large(entry) {
            let mut chunk = std::mem::replace(&mut self.chunk, Chunk::new(self.packing));
            let mut writing = self.begin(contents, entry, &mut chunk);
            writing.go_on(entry, Budget::ALL, chunk.out());
            writing.end(chunk.out());
            self.chunk = chunk;
            if self.chunk.len() >= CHUNK_BYTES {
                self.complete();
            }
            return Met::Whole;
        }
        if when == When::Walked {
            return Met::Later;
        }
        // Another that is under way stays so while this one, which changes, is written whole.
        let aside = self.large.take();
        let mut chunk = Chunk::new(self.packing);
        let writing = self.begin(contents, entry, &mut chunk);
        self.large = Some(Large {
            contents,
            key: entry.key().into(),
            chunk,
            writing,
        });
        let met = self.go_on(entry, when);
        if aside.is_some() {
            self.large = aside;
        }
        met
    }

    /// Begins to write an entry.
    fn begin(&mut self, contents: ContentsId, entry: &EntryRef<'_>, chunk: &mut Chunk) -> Writing {
        let mut databases = self.databases.iter();
        let db = databases.position(|other| *other == contents);
        let db = db.expect("it is of a database") as u64;
        let deadline = entry.expires_at().map(|at| at.0);
        let out = chunk.entry(db, deadline, self.uses.history(entry, self.now));
        self.keys += 1;
        Writing::begin(entry, out, |out| out.string(entry.key()))
    }

    /// Goes on with the large value.
    fn go_on(&mut self, entry: &EntryRef<'_>, when: When) -> Met {
        let mut large = self.large.take().expect("one is under way");
        let budget = match when {
            When::Changes => Budget::ALL,
            When::Walked | When::PutOff => Budget::WRITE,
        };
        if large.writing.go_on(entry, budget, large.chunk.out()) {
            self.large = Some(large);
            return Met::Later;
        }
        let Large {
            mut chunk, writing, ..
        } = large;
        writing.end(chunk.out());
        self.keep(chunk);
        Met::Whole
    }

    /// The chunk is complete; another begins.
    fn complete(&mut self) {
        let chunk = std::mem::replace(&mut self.chunk, Chunk::new(self.packing));
        self.keep(chunk);
    }

    fn keep(&mut self, chunk: Chunk) {
        if !chunk.is_empty() {
            self.complete_bytes += chunk.len();
            let sealed = chunk.seal();
            self.version = self.version.max(sealed.version);
            self.complete.push(sealed);
        }
    }

    fn held_bytes(&self) -> usize {
        let large = self.large.as_ref();
        let large = large.map_or(0, |large| large.chunk.len() + large.writing.held_bytes());
        self.chunk.len() + self.complete_bytes + large
    }
}

/// Writes entries that are about to change.
struct EarlySink(Rc<RefCell<Sink>>);

impl Early for EarlySink {
    fn meet(&mut self, contents: ContentsId, entry: &EntryRef<'_>) {
        self.0.borrow_mut().meet(contents, entry, When::Changes);
    }

    fn meets_all(&mut self, _contents: ContentsId, entries: u64) -> bool {
        let sink = self.0.borrow();
        if entries > EMPTIED_MAX {
            sink.job
                .give_up("a database was emptied while it was written");
        }
        !sink.job.has_failed()
    }
}

impl Part {
    /// Begins it: what the shard holds now is what will be written. `libraries` are written first.
    pub fn begin(job: Arc<Job>, shard: &mut Shard, libraries: &[Arc<[u8]>]) -> Self {
        let packing = job.claim.packing;
        let mut chunk = Chunk::new(packing);
        libraries.iter().for_each(|code| chunk.library(code));
        let count = shard.databases();
        let databases = || (0..count).map(DbIndex);
        let sink = Rc::new(RefCell::new(Sink {
            job: Arc::clone(&job),
            chunk,
            complete: Vec::new(),
            complete_bytes: 0,
            large: None,
            databases: databases().map(|db| shard.contents_of(db)).collect(),
            uses: job.claim.uses,
            packing,
            now: shard.now(),
            keys: 0,
            version: Version::WRITTEN,
        }));
        let early = EarlySink(Rc::clone(&sink));
        Self {
            job,
            changes: shard.changes(),
            as_of: shard.begin_as_of(databases(), Box::new(|_| true), early),
            sink,
            changed_early: 0,
            is_walked: false,
            writes: 0,
            written: Vec::new(),
        }
    }

    /// Goes on with it.
    pub fn go_on(&mut self, shard: &mut Shard, files: &mut FileOps) -> Progress {
        if self.job.has_failed() {
            self.is_walked = true;
            let mut sink = self.sink.borrow_mut();
            sink.complete.clear();
            sink.complete_bytes = 0;
        } else if !self.is_walked {
            self.walk(shard);
            self.write(files);
        }
        match (self.is_walked, self.writes) {
            (true, 0) => {
                self.end(shard);
                Progress::Over
            }
            (false, writes) if writes < WRITES_MAX => Progress::Busy,
            _ => Progress::AwaitsDisk,
        }
    }

    fn walk(&mut self, shard: &mut Shard) {
        let early = self.as_of.changed_early() - self.changed_early;
        self.changed_early += early;
        if self.writes >= WRITES_MAX {
            return;
        }
        let entries = ENTRIES.max(early * PACE);
        let sink = &*self.sink;
        let meet = |when| {
            move |contents: ContentsId, entry: &EntryRef<'_>| {
                sink.borrow_mut().meet(contents, entry, when)
            }
        };
        shard.put_off_as_of(&self.as_of, &mut meet(When::PutOff));
        if !shard.more_as_of(&self.as_of, entries as usize, &mut meet(When::Walked)) {
            self.is_walked = true;
            sink.borrow_mut().complete();
        }
    }

    /// Writes the chunks that are complete.
    fn write(&mut self, files: &mut FileOps) {
        let mut sink = self.sink.borrow_mut();
        sink.complete_bytes = 0;
        for sealed in sink.complete.drain(..) {
            let mut at = self.job.take_room(sealed.summed.bytes);
            self.written.push((at, sealed.summed));
            for bytes in sealed.pieces {
                let len = bytes.len() as u64;
                let file = Arc::clone(self.job.file());
                files.ask(Asker::SnapshotPart, FileOp::Write { file, at, bytes });
                at += len;
                self.writes += 1;
            }
        }
    }

    /// A write has come to its end.
    pub fn note_written(&mut self, outcome: std::io::Result<()>) {
        self.writes -= 1;
        if let Err(error) = outcome {
            self.job.fail(format!("cannot write: {error}"));
        }
    }

    fn end(&mut self, shard: &mut Shard) {
        shard.end_as_of(&self.as_of);
        let sink = self.sink.borrow();
        self.job
            .end_part(&self.written, (sink.keys, self.changes, sink.version));
    }

    /// Memory that it takes.
    pub fn held_bytes(&self) -> usize {
        self.as_of.held_bytes() + self.sink.borrow().held_bytes()
    }
}
