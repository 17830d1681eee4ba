//! Reading a file to its end to see whether it can be loaded: every value by the readers that `RESTORE` has. Nothing of it is kept.

use std::collections::BTreeMap;

use super::damage::Damage;
use super::frames::{Entry, Frame, Frames, Piece, Trailer};
use crate::rdb::{Checksum, Duplicates, Fault, Input, Value, Version};

/// A file that is being checked.
#[derive(Debug)]
pub struct Check {
    frames: Frames,
    found: Found,
    value: Option<Reading>,
}

/// What a file has in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of which version it is, once it is known.
    pub version: Option<Version>,
    /// The note of who wrote it: `redis-ver` or `valkey-ver`, and its text.
    pub writer: Option<(String, String)>,
    /// By database: what is in it.
    pub databases: BTreeMap<u64, Keys>,
    /// Libraries of functions.
    pub libraries: u64,
    /// Bytes up to its end.
    pub bytes: u64,
    /// What stands behind the end, if it was reached.
    pub trailer: Option<Trailer>,
    /// Bytes behind that.
    pub bytes_behind: u64,
}

/// Keys of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// All.
    pub all: u64,
    /// Those that have deadlines.
    pub expiring: u64,
    /// Those whose values are collections without elements, which are not loaded.
    pub empty: u64,
}

/// A value that is being read.
#[derive(Debug)]
struct Reading {
    key: Vec<u8>,
    db: u64,
    kind: u8,
    version: Version,
    value: Option<Value<'static>>,
    /// What is still needed of the pieces that came before, and which byte of the file begins that.
    held: Vec<u8>,
    held_at: u64,
}

/// How a value was left.
enum Left {
    Whole,
    Empty,
    Unfinished,
}

impl Check {
    /// Begins to check a file.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Frames::new(Checksum::Checked))
    }

    /// The same, with pieces of values of another size than usual.
    #[must_use]
    pub fn in_pieces(piece_bytes: usize) -> Self {
        Self::of(Frames::in_pieces(Checksum::Checked, piece_bytes))
    }

    fn of(frames: Frames) -> Self {
        Self {
            frames,
            found: Found::default(),
            value: None,
        }
    }

    /// The next bytes of the file.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        match self.found.trailer {
            None => {
                self.frames.add(bytes);
                self.go_on()
            }
            Some(_) => {
                self.found.bytes_behind += bytes.len() as u64;
                Ok(())
            }
        }
    }

    /// There are no more bytes.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn complete(&mut self) -> Result<(), Damage> {
        self.frames.complete();
        self.go_on()
    }

    /// What was found so far.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// The database and the key whose value is being read.
    #[must_use]
    pub fn key(&self) -> Option<(u64, &[u8])> {
        let reading = self.value.as_ref()?;
        Some((reading.db, &reading.key))
    }

    /// The memory that it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let reading = self.value.as_ref();
        self.frames.held_bytes() + reading.map_or(0, |reading| reading.held.capacity())
    }

    fn go_on(&mut self) -> Result<(), Damage> {
        let Self {
            frames,
            found,
            value,
        } = self;
        while let Some(frame) = frames.next_frame()? {
            let piece = match frame {
                Frame::Entry(entry, piece) => {
                    let keys = found.databases.entry(entry.db).or_default();
                    keys.all += 1;
                    keys.expiring += u64::from(entry.deadline_ms.is_some());
                    *value = Some(Reading::of(entry));
                    piece
                }
                Frame::More(piece) => piece,
                other => {
                    found.note(other);
                    continue;
                }
            };
            let reading = value.as_mut().expect("a piece is of a value");
            match reading.go_on(piece)? {
                Left::Unfinished => continue,
                Left::Whole => {}
                Left::Empty => found.databases.entry(reading.db).or_default().empty += 1,
            }
            *value = None;
        }
        if found.trailer.is_some() && found.bytes == 0 {
            found.bytes = frames.given_bytes();
            found.bytes_behind = frames.rest().len() as u64;
        }
        Ok(())
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

impl Found {
    fn note(&mut self, frame: Frame<'_>) {
        match frame {
            Frame::Header(version) => self.version = Some(version),
            Frame::Note { name, text } if matches!(&*name, b"redis-ver" | b"valkey-ver") => {
                let words = [name, text].map(|text| String::from_utf8_lossy(&text).into_owned());
                self.writer = Some(words.into());
            }
            Frame::Library(_) => self.libraries += 1,
            Frame::End(trailer) => self.trailer = Some(trailer),
            _ => {}
        }
    }
}

impl Reading {
    fn of(entry: Entry<'_>) -> Self {
        Self {
            key: entry.key.to_vec(),
            db: entry.db,
            kind: entry.kind,
            version: entry.version,
            value: None,
            held: Vec::new(),
            held_at: 0,
        }
    }

    /// Reads on in the next piece of the value.
    fn go_on(&mut self, piece: Piece<'_>) -> Result<Left, Damage> {
        let mut held = std::mem::take(&mut self.held);
        let (bytes, at) = match held.is_empty() {
            true => (piece.bytes, piece.at),
            false => {
                held.extend_from_slice(piece.bytes);
                (&held[..], self.held_at)
            }
        };
        match self.read(Input::new(bytes)) {
            Ok(left) => {
                assert!(piece.is_last, "the value ends before it was to");
                Ok(left)
            }
            Err(Fault::Truncated) if !piece.is_last => {
                let forgotten = self.value.as_mut().map_or(0, Value::forget);
                self.held_at = at + forgotten as u64;
                if held.is_empty() {
                    held.extend_from_slice(&piece.bytes[forgotten..]);
                } else {
                    held.drain(..forgotten);
                }
                self.held = held;
                Ok(Left::Unfinished)
            }
            Err(fault) => Err(Damage {
                at,
                wrong: fault.into(),
            }),
        }
    }

    fn read(&mut self, body: Input<'_>) -> Result<Left, Fault> {
        if self.value.is_none() {
            let value = Value::open(self.kind, self.version, body, Duplicates::Refused)?;
            let rest = value.rest(body);
            self.value = value.into_collection();
            if self.value.is_none() {
                assert!(rest.is_empty(), "the string ends before it was to");
                return Ok(Left::Whole);
            }
        }
        let value = self.value.as_mut().expect("it was opened");
        let left = loop {
            match value.pass(body) {
                Ok(true) => {}
                Ok(false) => break Left::Whole,
                Err(Fault::Empty) => break Left::Empty,
                Err(fault) => return Err(fault),
            }
        };
        assert!(
            value.rest(body).is_empty(),
            "the value ends before it was to"
        );
        Ok(left)
    }
}
