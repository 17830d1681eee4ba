//! Reads a file, and deals its entries out to the cores.

use std::io::Read;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use super::{Loading, Source};
use crate::rdb::file::{Frame, Frames, History, Piece};
use crate::rdb::{Checksum, Version};
use crate::routing::{CoreId, SlotMap};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;
/// A batch of so many bytes is sent.
const BATCH_BYTES: usize = 256 << 10;

/// Entries for a core.
#[derive(Debug, Default)]
pub struct Batch {
    /// Their keys and values, and sources of libraries.
    pub bytes: Vec<u8>,
    /// What is in it, in the order of the file.
    pub items: Vec<Item>,
}

/// What is in a batch; ranges are of its bytes.
#[derive(Clone, Debug)]
pub enum Item {
    /// An entry, with its value or the first piece of that.
    Entry {
        /// Its database.
        db: u64,
        /// Its key.
        key: Range<usize>,
        /// The type of its value.
        kind: u8,
        /// The version that the type is of.
        version: Version,
        /// When it expires, in milliseconds of Unix time.
        deadline_ms: Option<i64>,
        /// What is known of its uses.
        history: Option<History>,
        /// The value.
        value: Range<usize>,
        /// Where in the file that begins.
        at: u64,
        /// Whether that is all of it.
        is_last: bool,
    },
    /// The next piece of the value.
    More {
        /// It.
        value: Range<usize>,
        /// Where in the file it begins.
        at: u64,
        /// Whether the value ends with it.
        is_last: bool,
    },
    /// The source of a library of functions.
    Library(Range<usize>),
}

impl Batch {
    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        from..self.bytes.len()
    }
}

/// Where batches go: a queue for each core, and what tells a core of it.
struct Cores<'c> {
    batches: Vec<Batch>,
    queues: Vec<SyncSender<Batch>>,
    ring: &'c dyn Fn(CoreId),
}

/// A core is gone: the server ends.
struct Gone;

impl Cores<'_> {
    /// Sends what there is for a core, if it is enough.
    fn send_if(
        &mut self,
        core: CoreId,
        is_enough: impl FnOnce(&Batch) -> bool,
    ) -> Result<(), Gone> {
        let batch = &mut self.batches[core.index()];
        if !is_enough(batch) {
            return Ok(());
        }
        let batch = std::mem::take(batch);
        self.queues[core.index()].send(batch).map_err(|_| Gone)?;
        (self.ring)(core);
        Ok(())
    }

    fn send_if_large(&mut self, core: CoreId) -> Result<(), Gone> {
        self.send_if(core, |batch| batch.bytes.len() >= BATCH_BYTES)
    }
}

/// Reads a file to its end. Queues are closed behind it; `ring` tells a core that there is something in its own.
pub fn read(
    mut source: Source,
    loading: &Loading,
    (slots, now_ms, checksum): (&SlotMap, i64, Checksum),
    queues: Vec<SyncSender<Batch>>,
    ring: &dyn Fn(CoreId),
) {
    let count = queues.len();
    let mut cores = Cores {
        batches: (0..count).map(|_| Batch::default()).collect(),
        queues,
        ring,
    };
    if let Err(Some(why)) = deal(&mut source, loading, (slots, now_ms, checksum), &mut cores) {
        loading.fail(format!("cannot load {}: {why}", source.path.display()));
    }
    drop(cores);
    (0..count).for_each(|core| ring(CoreId(core as u16)));
}

/// Deals all entries out. The error is what is wrong with the file, or nothing if the server ends.
fn deal(
    source: &mut Source,
    loading: &Loading,
    (slots, now_ms, checksum): (&SlotMap, i64, Checksum),
    cores: &mut Cores<'_>,
) -> Result<(), Option<String>> {
    let mut frames = Frames::new(checksum);
    let mut buffer = vec![0; READ_BYTES];
    // The core that gets the rest of the value that comes in pieces; none: nobody wants it.
    let mut owner = None;
    loop {
        let read = source.file.read(&mut buffer);
        match read.map_err(|error| Some(error.to_string()))? {
            0 => frames.complete(),
            read => frames.add(&buffer[..read]),
        }
        loop {
            let frame = frames.next_frame();
            match frame.map_err(|damage| Some(damage.to_string()))? {
                None => break,
                Some(Frame::Entry(entry, piece)) => {
                    let has_ended = entry.deadline_ms.is_some_and(|at| at <= now_ms);
                    owner = (!has_ended).then(|| slots.core_of(entry.key));
                    let Some(core) = owner else {
                        loading.expired.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    let batch = &mut cores.batches[core.index()];
                    let (key, value) = (batch.keep(entry.key), batch.keep(piece.bytes));
                    batch.items.push(Item::Entry {
                        db: entry.db,
                        key,
                        kind: entry.kind,
                        version: entry.version,
                        deadline_ms: entry.deadline_ms,
                        history: entry.history,
                        value,
                        at: piece.at,
                        is_last: piece.is_last,
                    });
                    cores.send_if_large(core).map_err(|Gone| None)?;
                }
                Some(Frame::More(Piece { bytes, at, is_last })) => {
                    let Some(core) = owner else { continue };
                    let batch = &mut cores.batches[core.index()];
                    let value = batch.keep(bytes);
                    batch.items.push(Item::More { value, at, is_last });
                    cores.send_if_large(core).map_err(|Gone| None)?;
                }
                Some(Frame::Library(code)) => {
                    let batch = &mut cores.batches[0];
                    let code = batch.keep(&code);
                    batch.items.push(Item::Library(code));
                }
                Some(Frame::End(_)) => {
                    for core in 0..cores.batches.len() {
                        let core = CoreId(core as u16);
                        let sent = cores.send_if(core, |batch| !batch.items.is_empty());
                        sent.map_err(|Gone| None)?;
                    }
                    return Ok(());
                }
                Some(
                    Frame::Header(_)
                    | Frame::Note { .. }
                    | Frame::Database(_)
                    | Frame::Sizes { .. }
                    | Frame::Slot { .. }
                    | Frame::Module(_)
                    | Frame::SlotImport,
                ) => {}
            }
        }
        loading
            .read_bytes
            .store(frames.given_bytes(), Ordering::Relaxed);
    }
}
