//! Files in Redis's RDB format, read by the server's own code, [`larder_server::rdb::file`], in pieces of any size.

use std::path::PathBuf;

use larder_server::rdb::file::{Check, Damage, Frame, Frames, History, Trailer};
use larder_server::rdb::{Checksum, Fault, Version};

use crate::payloads::{self, Plain};

/// A key of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEntry {
    /// Its database.
    pub db: u64,
    /// It.
    pub key: Vec<u8>,
    /// The version of the file, in which its type and value are.
    pub version: Version,
    /// Its type and its value, as they stand in the file.
    pub value: Vec<u8>,
    /// When it expires, in milliseconds of Unix time.
    pub deadline_ms: Option<i64>,
    /// What is known of its uses.
    pub history: Option<History>,
}

impl FileEntry {
    /// What the value is.
    ///
    /// # Errors
    /// It is damaged, or ends before it was to.
    pub fn plain(&self) -> Result<Plain, Fault> {
        let (plain, left) = payloads::read(self.version, &self.value)?;
        match left {
            0 => Ok(plain),
            _ => Err(Fault::Damaged("it ends before it was to")),
        }
    }
}

/// What stands in a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileContents {
    /// All keys.
    pub entries: Vec<FileEntry>,
    /// Names and texts of notes.
    pub notes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Sources of libraries.
    pub libraries: Vec<Vec<u8>>,
    /// What stands behind the end.
    pub trailer: Option<Trailer>,
}

/// Files of old servers, under `tests/payloads`: those of Redis 7.0's own tests (BSD licence), types that no server has written for long.
pub const OLD_FILES: [&str; 5] = [
    "encodings.rdb",
    "hash-zipmap.rdb",
    "hash-ziplist.rdb",
    "list-quicklist.rdb",
    "zset-ziplist.rdb",
];

/// A file that lies in `tests/payloads`.
///
/// # Panics
/// There is none of this name.
#[must_use]
pub fn stored(name: &str) -> Vec<u8> {
    let path: PathBuf = payloads::golden::directory().join(name);
    std::fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// What stands in a file that lies there.
///
/// # Panics
/// There is none of this name, or it is damaged.
#[must_use]
pub fn stored_contents(name: &str) -> FileContents {
    let contents = read(&stored(name), usize::MAX, usize::MAX, Checksum::Checked);
    contents.unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// Reads a file that comes in pieces of `cut` bytes, its values in pieces of `piece_bytes` or little more.
///
/// # Errors
/// It is damaged, as far as frames are looked at, and not what values hold.
pub fn read(
    file: &[u8],
    cut: usize,
    piece_bytes: usize,
    checksum: Checksum,
) -> Result<FileContents, Damage> {
    let mut frames = Frames::in_pieces(checksum, piece_bytes);
    let mut contents = FileContents::default();
    for bytes in file.chunks(cut) {
        frames.add(bytes);
        read_frames(&mut frames, &mut contents)?;
    }
    frames.complete();
    read_frames(&mut frames, &mut contents)?;
    Ok(contents)
}

fn read_frames(frames: &mut Frames, contents: &mut FileContents) -> Result<(), Damage> {
    while let Some(frame) = frames.next_frame()? {
        match frame {
            Frame::Note { name, text } => {
                contents.notes.push((name.into_owned(), text.into_owned()));
            }
            Frame::Library(source) => contents.libraries.push(source.into_owned()),
            Frame::Entry(entry, piece) => contents.entries.push(FileEntry {
                db: entry.db,
                key: entry.key.to_vec(),
                version: entry.version,
                value: [&[entry.kind], piece.bytes].concat(),
                deadline_ms: entry.deadline_ms,
                history: entry.history,
            }),
            Frame::More(piece) => {
                let entry = contents.entries.last_mut().expect("a piece is of a value");
                entry.value.extend_from_slice(piece.bytes);
            }
            Frame::End(trailer) => contents.trailer = Some(trailer),
            Frame::Header(_)
            | Frame::Database(_)
            | Frame::Sizes { .. }
            | Frame::Slot { .. }
            | Frame::Module(_)
            | Frame::SlotImport => {}
        }
    }
    Ok(())
}

/// Reads a file that may be damaged, whole and in pieces of these sizes: both come to the same, and every value that its reader takes ends
/// where the frame does.
///
/// # Errors
/// They do not.
pub fn agree(file: &[u8], cut: usize, piece_bytes: usize) -> Result<(), String> {
    let whole = read(file, usize::MAX, usize::MAX, Checksum::Skipped);
    let pieces = read(file, cut, piece_bytes, Checksum::Skipped);
    if whole != pieces {
        return Err(format!("{whole:?} as a whole, {pieces:?} in pieces"));
    }
    for entry in whole.iter().flat_map(|contents| &contents.entries) {
        if let Ok((_, left @ 1..)) = payloads::read(entry.version, &entry.value) {
            return Err(format!("{left} bytes are left of {entry:?}"));
        }
    }
    let checked = |cut: usize, piece_bytes| {
        let mut check = Check::in_pieces(piece_bytes);
        let added = file.chunks(cut).try_for_each(|bytes| check.add(bytes));
        let all = added.and_then(|()| check.complete());
        all.map(|()| check.found().clone())
    };
    let (whole, pieces) = (checked(usize::MAX, usize::MAX), checked(cut, piece_bytes));
    // What is damaged is a value's beginning in pieces, and its end as a whole, where both are.
    match whole == pieces || (whole.is_err() && pieces.is_err()) {
        true => Ok(()),
        false => Err(format!("{whole:?} as a whole, {pieces:?} in pieces")),
    }
}
