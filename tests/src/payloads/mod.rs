//! Values as `DUMP` gives them and `RESTORE` takes them, read and written by the server's own code, [`larder_server::rdb`].
//!
//! * [`Plain`] is a value that was read, whole, and can be written again.
//! * [`golden`] reads the files under `tests/payloads`: payloads of real servers, and what they hold.
//! * [`live`] has a running server make values, dump and restore them.
//! * [`damage`] changes payloads at random.

pub mod damage;
pub mod golden;
pub mod live;

use larder_server::rdb::limits::{DEADLINE_MAX_MS, LZF_MAX_RATIO};
use larder_server::rdb::{
    Duplicates, Fault, HashForm, HashThresholds, HashWriter, Input, ListWriter, Output, Packing,
    Value, Version, seal, unseal,
};

/// A value, its elements in the order in which they stand in the payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain {
    /// A string.
    String(Vec<u8>),
    /// Elements.
    List(Vec<Vec<u8>>),
    /// Names, values and deadlines, in milliseconds of Unix time.
    Hash(Vec<(Vec<u8>, Vec<u8>, Option<i64>)>),
    /// Members.
    Set(Vec<Vec<u8>>),
    /// Members and scores.
    SortedSet(Vec<(Vec<u8>, f64)>),
    /// The changes that make a stream, as bytes.
    Stream(Vec<Vec<u8>>),
}

impl Plain {
    /// Fields and members sorted, so that equal values are equal.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        match &mut self {
            Self::String(_) | Self::List(_) | Self::Stream(_) => {}
            Self::Hash(fields) => fields.sort(),
            Self::Set(members) => members.sort(),
            Self::SortedSet(members) => members.sort_by(|a, b| a.0.cmp(&b.0)),
        }
        self
    }

    /// Whether a field of it has a deadline before this moment, in milliseconds of Unix time.
    #[must_use]
    pub fn has_deadline_before(&self, moment_ms: i64) -> bool {
        self.deadlines().any(|deadline| deadline < moment_ms)
    }

    fn deadlines(&self) -> impl Iterator<Item = i64> {
        let fields = match self {
            Self::Hash(fields) => &fields[..],
            _ => &[],
        };
        fields.iter().filter_map(|(_, _, deadline)| *deadline)
    }

    /// Whether a field of it has a deadline.
    #[must_use]
    pub fn has_deadlines(&self) -> bool {
        self.deadlines().next().is_some()
    }

    /// With the deadlines that it has when it was written: those that Redis can say.
    #[must_use]
    pub fn as_written(mut self) -> Self {
        if let Self::Hash(fields) = &mut self {
            for (_, _, deadline) in fields {
                *deadline = deadline.map(|deadline| deadline.clamp(1, DEADLINE_MAX_MS as i64));
            }
        }
        self
    }
}

/// A value as Larder keeps it: sorted, and no field's deadline is the latest of Redis's, but a millisecond before.
#[must_use]
pub fn as_kept(plain: Plain) -> Plain {
    let mut plain = plain.as_written().sorted();
    if let Plain::Hash(fields) = &mut plain {
        for (_, _, deadline) in fields {
            *deadline = deadline.map(|at| at.min(DEADLINE_MAX_MS as i64 - 1));
        }
    }
    plain
}

/// What a payload holds.
///
/// # Errors
/// Its footer is wrong, or what [`read`] finds.
///
/// # Panics
/// As [`read`].
pub fn read_payload(payload: &[u8]) -> Result<Plain, String> {
    let (version, input) = unseal(payload).map_err(|why| format!("{why:?}"))?;
    let (plain, left) = read(version, input.rest()).map_err(|why| why.to_string())?;
    match left {
        0 => Ok(plain),
        left => Err(format!("{left} bytes are left")),
    }
}

/// A type and its value, and how many bytes are left behind it.
///
/// # Errors
/// As Larder says.
///
/// # Panics
/// Reading took more memory than what was read can explain.
pub fn read(version: Version, bytes: &[u8]) -> Result<(Plain, usize), Fault> {
    let mut input = Input::new(bytes);
    let kind = input.byte()?;
    let mut value = Value::open(kind, version, input, Duplicates::Refused)?;
    let mut spent = Spent::of(bytes);
    let plain = match &mut value {
        Value::String(string, _) => Plain::String(string.to_vec()),
        Value::List(list) => {
            let mut elements = Vec::new();
            while let Some(element) = list.next_element(input)? {
                elements.push(element.text().to_vec());
                spent.check(&elements[elements.len() - 1], list.held_bytes());
            }
            Plain::List(elements)
        }
        Value::Hash(hash) => {
            let mut fields = Vec::new();
            while let Some(field) = hash.next_field(input)? {
                let name = field.name.text().to_vec();
                let deadline_ms = field.deadline_ms;
                fields.push((name, field.value.text().to_vec(), deadline_ms));
                spent.check(&fields[fields.len() - 1].0, hash.held_bytes());
            }
            Plain::Hash(fields)
        }
        Value::Set(set) => {
            let mut members = Vec::new();
            while let Some(member) = set.next_member(input)? {
                members.push(member.text().to_vec());
                spent.check(&members[members.len() - 1], set.held_bytes());
            }
            Plain::Set(members)
        }
        Value::SortedSet(set) => {
            let mut members = Vec::new();
            while let Some(member) = set.next_member(input)? {
                members.push((member.name.text().to_vec(), member.score));
                spent.check(&members[members.len() - 1].0, set.held_bytes());
            }
            Plain::SortedSet(members)
        }
        Value::Stream(stream) => {
            let mut changes = Vec::new();
            while let Some(change) = stream.next_change(input)? {
                let mut bytes = Vec::new();
                change.write(&mut bytes);
                changes.push(bytes);
            }
            Plain::Stream(changes)
        }
    };
    Ok((plain, value.rest(input).rest().len()))
}

/// What reading may take: packed strings, and a copy of each field or member.
struct Spent {
    packed_bytes: usize,
    text_bytes: usize,
    texts: usize,
}

impl Spent {
    fn of(bytes: &[u8]) -> Self {
        Self {
            packed_bytes: bytes.len() * LZF_MAX_RATIO,
            text_bytes: 0,
            texts: 0,
        }
    }

    /// A text was read, and reading holds so much.
    fn check(&mut self, text: &[u8], held_bytes: usize) {
        self.text_bytes += text.len();
        self.texts += 1;
        // A vector that grows is half empty, and a table has a place of 17 bytes for each text, at worst 7 of 16 in use.
        let explained = self.packed_bytes + 2 * self.text_bytes + 40 * self.texts + 1024;
        assert!(
            held_bytes <= explained,
            "{held_bytes} bytes are held after {} texts of {} bytes",
            self.texts,
            self.text_bytes
        );
    }
}

/// How Larder is to write a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Whether strings are packed.
    pub packing: Packing,
    /// What a hash becomes.
    pub form: HashForm,
}

/// Every manner.
pub const MANNERS: [Manner; 4] = {
    const fn manner(packing: Packing, form: HashForm) -> Manner {
        Manner { packing, form }
    }
    [
        manner(Packing::None, HashForm::Listpack),
        manner(Packing::None, HashForm::Strings),
        manner(Packing::Lzf, HashForm::Listpack),
        manner(Packing::Lzf, HashForm::Strings),
    ]
};

/// A listpack, if the manner allows it and it is one that every server reads.
fn form(fields: &[(Vec<u8>, Vec<u8>, Option<i64>)], manner: Manner) -> HashForm {
    let thresholds = HashThresholds {
        fields: match manner.form {
            HashForm::Listpack => u64::MAX,
            HashForm::Strings => 0,
        },
        longest_bytes: u64::MAX,
    };
    let lengths = fields
        .iter()
        .flat_map(|(name, value, _)| [name.len(), value.len()]);
    let longest_bytes = lengths.clone().max().unwrap_or_default() as u64;
    let total_bytes = lengths.sum::<usize>() as u64;
    HashForm::of(thresholds, fields.len() as u64, longest_bytes, total_bytes)
}

/// The payload of a value, `None` if Larder does not write values of its type yet.
#[must_use]
pub fn write(plain: &Plain, manner: Manner) -> Option<Vec<u8>> {
    let mut out = Output::new(manner.packing);
    match plain {
        Plain::String(string) => {
            out.byte(Value::STRING);
            out.string(string);
        }
        Plain::List(elements) => {
            out.byte(ListWriter::KIND);
            let mut writer = ListWriter::begin(elements.len() as u64, &mut out);
            for element in elements {
                writer.push(element, &mut out);
            }
            writer.finish(&mut out);
        }
        Plain::Hash(fields) => {
            let soonest_ms = fields.iter().filter_map(|(_, _, deadline)| *deadline).min();
            let mut writer = HashWriter::new(form(fields, manner), soonest_ms);
            out.byte(writer.kind());
            writer.begin(fields.len() as u64, &mut out);
            for (name, value, deadline_ms) in fields {
                writer.push(name, value, *deadline_ms, &mut out);
            }
            writer.finish(&mut out);
        }
        Plain::Set(_) | Plain::SortedSet(_) | Plain::Stream(_) => return None,
    }
    Some(seal(out))
}
