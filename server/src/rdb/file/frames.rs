//! What stands in a file, one thing after the other, from its bytes as they come.
//!
//! ```text
//!  file      ... | read, and given | read, not given yet | to come ...
//!                                  ╰────── window ──────╯
//! ```
//! The window has no more than what is to be given next. A value comes whole, with its key, if it has not more than
//! [`VALUE_PIECE_BYTES`]; of a larger one come pieces, each not much more than that: a string is never divided. Readers of values go on
//! from piece to piece ([`Fault::Truncated`]).

use std::borrow::Cow;
use std::ops::Range;

use super::damage::{Damage, ModuleName, Wrong};
use super::opcodes::{self, FIRST_SUMMED, FIRST_WITH_METADATA, HEADER_BYTES, History};
use super::walk::{self, Walk, Walked};
use crate::rdb::limits::VALUE_PIECE_BYTES;
use crate::rdb::packed::Held;
use crate::rdb::{Checksum, Fault, Input, Sum, Version, kind};

/// A deadline that stands for none.
const NO_DEADLINE: i64 = -1;

/// What stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'f> {
    /// The header.
    Header(Version),
    /// What whoever wrote the file notes in it.
    Note {
        /// Its name.
        name: Cow<'f, [u8]>,
        /// Its text.
        text: Cow<'f, [u8]>,
    },
    /// The database of what follows.
    Database(u64),
    /// How much is in that, about.
    Sizes {
        /// Keys.
        keys: u64,
        /// Those of them that have deadlines.
        expiring: u64,
    },
    /// How much is in a slot, about.
    Slot {
        /// Its number.
        slot: u64,
        /// Keys.
        keys: u64,
        /// Those of them that have deadlines.
        expiring: u64,
    },
    /// The source of a library of functions.
    Library(Cow<'f, [u8]>),
    /// A module has kept something here that nobody else reads. It was passed over.
    Module(ModuleName),
    /// Slots were being imported into the cluster's node that wrote the file. What was said of them was passed over.
    SlotImport,
    /// A key, and its value or the first piece of that.
    Entry(Entry<'f>, Piece<'f>),
    /// The next piece of the value.
    More(Piece<'f>),
    /// The end of the file. Nothing else comes.
    End(Trailer),
}

/// A key, and what a file says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'f> {
    /// Its database.
    pub db: u64,
    /// It.
    pub key: &'f [u8],
    /// The type of its value, as `version` has it.
    pub kind: u8,
    /// That of the file.
    pub version: Version,
    /// When it expires, in milliseconds of Unix time. That may have passed.
    pub deadline_ms: Option<i64>,
    /// What is known of its uses.
    pub history: Option<History>,
}

/// Bytes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'f> {
    /// They.
    pub bytes: &'f [u8],
    /// Which byte of the file is the first of them.
    pub at: u64,
    /// The value ends with them.
    pub is_last: bool,
}

/// What stands behind the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailer {
    /// The checksum, which fits.
    Fits,
    /// A checksum that nobody looked at.
    Skipped,
    /// Nothing: the version has no checksum, or whoever wrote the file took none.
    None,
}

/// The frames of a file, which are read so:
///
/// ```text
/// loop { frames.add(bytes of the file), or frames.complete();  while let Some(frame) = frames.next_frame()? { … } }
/// ```
#[derive(Debug)]
pub struct Frames {
    window: Vec<u8>,
    /// How much of the window was given.
    given: usize,
    /// Bytes of the file before the window.
    before: u64,
    /// Nothing will be added.
    is_complete: bool,
    /// The checksum of what is before the window, if it is looked at.
    sum: Option<Sum>,
    piece_bytes: usize,
    stage: Stage,
    version: Version,
    db: u64,
    deadline_ms: Option<i64>,
    history: Option<History>,
    key: Vec<u8>,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Header,
    Opcode,
    Value(Value),
    /// Parts that nobody reads, and what they are.
    PassedOver(Walk, Passed),
    /// The checksum, and what it should be.
    Trailer(Option<u64>),
    End,
}

/// A value of which the first bytes that were not given were walked along.
#[derive(Clone, Copy, Debug)]
struct Value {
    kind: u8,
    walk: Walk,
    walked: usize,
    /// A piece was given.
    is_begun: bool,
}

#[derive(Clone, Copy, Debug)]
enum Passed {
    Module(ModuleName),
    SlotImport,
}

/// A frame, in terms of the window.
enum Found {
    Nothing,
    Header,
    Note(Held, Held),
    Database,
    Sizes(u64, u64),
    Slot(u64, u64, u64),
    Library(Held),
    Passed(Passed),
    Piece(Value, Range<usize>, Walked),
    End(Trailer),
}

impl Frames {
    /// Those of a file of which nothing was read yet.
    #[must_use]
    pub fn new(checksum: Checksum) -> Self {
        Self::in_pieces(checksum, VALUE_PIECE_BYTES)
    }

    /// The same, with pieces of values of another size.
    #[must_use]
    pub fn in_pieces(checksum: Checksum, piece_bytes: usize) -> Self {
        Self {
            window: Vec::new(),
            given: 0,
            before: 0,
            is_complete: false,
            sum: (checksum == Checksum::Checked).then(Sum::default),
            piece_bytes,
            stage: Stage::Header,
            version: Version::WRITTEN,
            db: 0,
            deadline_ms: None,
            history: None,
            key: Vec::new(),
        }
    }

    /// The next bytes of the file.
    pub fn add(&mut self, bytes: &[u8]) {
        if let Some(sum) = &mut self.sum {
            sum.add(&self.window[..self.given]);
        }
        self.before += self.given as u64;
        self.window.drain(..self.given);
        self.given = 0;
        self.window.extend_from_slice(bytes);
    }

    /// There are no more bytes.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    /// How much of the file was given.
    #[must_use]
    pub fn given_bytes(&self) -> u64 {
        self.before + self.given as u64
    }

    /// What was added and not given: what stands behind the end, once that was given.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.window[self.given..]
    }

    /// The memory that reading takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.window.capacity() + self.key.capacity()
    }

    /// The next frame; `None`: bytes have to be added first, or it was the last.
    ///
    /// # Errors
    /// The file is damaged, or has what is not known here. There is no way on.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Damage> {
        loop {
            match self.find() {
                Ok(Found::Nothing) if matches!(self.stage, Stage::End) => return Ok(None),
                Ok(Found::Nothing) => {}
                Ok(found) => return Ok(Some(self.frame(found))),
                Err(Wrong::Fault(Fault::Truncated)) if !self.is_complete => return Ok(None),
                Err(wrong) => {
                    let at = match wrong {
                        Wrong::Fault(Fault::Truncated) => self.before + self.window.len() as u64,
                        _ => self.given_bytes() + self.walked(),
                    };
                    return Err(Damage { at, wrong });
                }
            }
        }
    }

    fn walked(&self) -> u64 {
        match &self.stage {
            Stage::Value(value) => value.walked as u64,
            _ => 0,
        }
    }

    /// Reads the next thing there is.
    fn find(&mut self) -> Result<Found, Wrong> {
        match self.stage {
            Stage::Header => {
                self.version = self.header()?;
                self.given += HEADER_BYTES;
                self.stage = Stage::Opcode;
                Ok(Found::Header)
            }
            Stage::Opcode => self.read(),
            Stage::Value(value) => self.walk_on(value),
            Stage::PassedOver(walk, what) => self.pass_over(walk, what),
            Stage::Trailer(is) => self.trailer(is),
            Stage::End => Ok(Found::Nothing),
        }
    }

    fn header(&self) -> Result<Version, Wrong> {
        let Some(header) = self.window[self.given..].first_chunk::<HEADER_BYTES>() else {
            return Err(match self.is_complete {
                true => Wrong::NoHeader,
                false => Fault::Truncated.into(),
            });
        };
        let (digits, is_valkey) = match (
            header.strip_prefix(b"REDIS"),
            header.strip_prefix(b"VALKEY"),
        ) {
            (Some(digits), _) => (digits, false),
            (_, Some(digits)) => (digits, true),
            _ => return Err(Wrong::NoHeader),
        };
        let text = || header.escape_ascii().to_string();
        let number = digits.iter().try_fold(0_u16, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + u16::from(digit - b'0'))
        });
        let version = number.map(Version).filter(|version| {
            version.is_known() && *version > Version(0) && version.is_valkey() == is_valkey
        });
        version.ok_or_else(|| Wrong::Version(text()))
    }

    /// Reads an opcode or a type, and what stands behind it. Nothing has changed where that is not all there.
    fn read(&mut self) -> Result<Found, Wrong> {
        let body = Input::new(&self.window);
        let mut input = body.behind(self.given);
        let opcode = input.byte()?;
        let mut stage = Stage::Opcode;
        let found = match opcode {
            opcodes::NOTE => {
                let name = Held::read(body, &mut input)?;
                Found::Note(name, Held::read(body, &mut input)?)
            }
            opcodes::DATABASE => {
                self.db = input.length()?;
                Found::Database
            }
            opcodes::SIZES => Found::Sizes(input.length()?, input.length()?),
            opcodes::SLOT => Found::Slot(input.length()?, input.length()?, input.length()?),
            opcodes::LIBRARY => Found::Library(Held::read(body, &mut input)?),
            opcodes::OLD_FUNCTION => return Err(Wrong::OldFunctions),
            opcodes::MODULE => {
                let module = ModuleName::of(input.length()?);
                stage = Stage::PassedOver(Walk::along(walk::MODULE), Passed::Module(module));
                Found::Nothing
            }
            opcodes::SLOT_IMPORT if self.version.is_valkey() => {
                stage = Stage::PassedOver(Walk::along(walk::SLOT_IMPORT), Passed::SlotImport);
                Found::Nothing
            }
            opcodes::KEY_METADATA if self.version >= FIRST_WITH_METADATA => {
                return Err(Wrong::KeyMetadata);
            }
            opcodes::DEADLINE_MS => {
                self.deadline_ms = Some(input.millis()?).filter(|&at| at != NO_DEADLINE);
                Found::Nothing
            }
            opcodes::DEADLINE_SECS => {
                let secs = i32::from_le_bytes(input.array()?);
                self.deadline_ms = Some(i64::from(secs) * 1000).filter(|&at| at != NO_DEADLINE);
                Found::Nothing
            }
            opcodes::IDLE => {
                self.history = Some(History::Idle(input.length()?));
                Found::Nothing
            }
            opcodes::FREQUENCY => {
                self.history = Some(History::Frequency(input.byte()?));
                Found::Nothing
            }
            opcodes::END if self.version < FIRST_SUMMED => {
                stage = Stage::End;
                Found::End(Trailer::None)
            }
            opcodes::END => {
                let behind = self.window.len() - input.len();
                let is = self.sum.clone().map(|mut sum| {
                    sum.add(&self.window[..behind]);
                    sum.value()
                });
                stage = Stage::Trailer(is);
                Found::Nothing
            }
            kind => {
                let parts = walk::parts_of(kind, self.version);
                if parts.is_none() && !kind::is_of_module(kind) {
                    return Err(Fault::UnknownType(kind).into());
                }
                let key = input.string()?;
                let Some(parts) = parts else {
                    return Err(Wrong::Module(ModuleName::of(input.length()?)));
                };
                self.key.clear();
                self.key.extend_from_slice(&key);
                stage = Stage::Value(Value {
                    kind,
                    walk: Walk::along(parts),
                    walked: 0,
                    is_begun: false,
                });
                Found::Nothing
            }
        };
        self.given = body.len() - input.len();
        self.stage = stage;
        Ok(found)
    }

    /// Walks on along a value: to its end, or as far as a piece goes.
    fn walk_on(&mut self, mut value: Value) -> Result<Found, Wrong> {
        let mut input = Input::new(&self.window[self.given + value.walked..]);
        let enough = self.piece_bytes.saturating_sub(value.walked);
        let walked = value.walk.go_on(&mut input, enough);
        let to = self.window.len() - input.len();
        value.walked = to - self.given;
        self.stage = Stage::Value(value);
        let walked = walked?;
        let piece = Found::Piece(value, self.given..to, walked);
        self.given = to;
        self.stage = match walked {
            Walked::All => Stage::Opcode,
            Walked::Enough => Stage::Value(Value {
                walked: 0,
                is_begun: true,
                ..value
            }),
        };
        Ok(piece)
    }

    /// Walks on along what nobody reads.
    fn pass_over(&mut self, mut walk: Walk, what: Passed) -> Result<Found, Wrong> {
        let mut input = Input::new(&self.window[self.given..]);
        let walked = walk.go_on(&mut input, usize::MAX);
        self.given = self.window.len() - input.len();
        self.stage = Stage::PassedOver(walk, what);
        walked?;
        self.stage = Stage::Opcode;
        Ok(Found::Passed(what))
    }

    fn trailer(&mut self, is: Option<u64>) -> Result<Found, Wrong> {
        let mut input = Input::new(&self.window[self.given..]);
        let says = u64::from_le_bytes(input.array()?);
        let trailer = match (says, is) {
            (0, _) => Trailer::None,
            (_, None) => Trailer::Skipped,
            (says, Some(is)) if says == is => Trailer::Fits,
            (says, Some(is)) => return Err(Wrong::Checksum { says, is }),
        };
        self.given = self.window.len() - input.len();
        self.stage = Stage::End;
        Ok(Found::End(trailer))
    }

    /// What was found, as it is given.
    fn frame(&mut self, found: Found) -> Frame<'_> {
        let body = Input::new(&self.window);
        match found {
            Found::Nothing => unreachable!("nothing is no frame"),
            Found::Header => Frame::Header(self.version),
            Found::Note(name, text) => Frame::Note {
                name: name.into_bytes(body),
                text: text.into_bytes(body),
            },
            Found::Database => Frame::Database(self.db),
            Found::Sizes(keys, expiring) => Frame::Sizes { keys, expiring },
            Found::Slot(slot, keys, expiring) => Frame::Slot {
                slot,
                keys,
                expiring,
            },
            Found::Library(source) => Frame::Library(source.into_bytes(body)),
            Found::Passed(Passed::Module(module)) => Frame::Module(module),
            Found::Passed(Passed::SlotImport) => Frame::SlotImport,
            Found::Piece(value, range, walked) => {
                let piece = Piece {
                    at: self.before + range.start as u64,
                    bytes: &self.window[range],
                    is_last: walked == Walked::All,
                };
                if value.is_begun {
                    return Frame::More(piece);
                }
                let entry = Entry {
                    db: self.db,
                    key: &self.key,
                    kind: value.kind,
                    version: self.version,
                    deadline_ms: self.deadline_ms.take(),
                    history: self.history.take(),
                };
                Frame::Entry(entry, piece)
            }
            Found::End(trailer) => Frame::End(trailer),
        }
    }
}
