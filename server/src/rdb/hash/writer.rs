//! Writing hashes.

use super::Version;
use crate::rdb::kind;
use crate::rdb::limits::{DEADLINE_MAX_MS, LISTPACK_MAX_BYTES};
use crate::rdb::listpack::{self, ENTRY_TEXT_MAX_BYTES};
use crate::rdb::output::Output;

/// How a hash is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashForm {
    /// As one listpack.
    Listpack,
    /// As many strings.
    Strings,
}

/// Up to which size a hash is written as a listpack (`hash-max-listpack-entries`, `hash-max-listpack-value`).
#[derive(Clone, Copy, Debug)]
pub struct HashThresholds {
    /// Fields it has, at most.
    pub fields: u64,
    /// Bytes of the longest name or value, at most.
    pub longest_bytes: u64,
}

impl HashForm {
    /// The form of a hash of so many fields, whose longest name or value has `longest_bytes`, and all together `total_bytes`.
    #[must_use]
    pub fn of(
        thresholds: HashThresholds,
        fields: u64,
        longest_bytes: u64,
        total_bytes: u64,
    ) -> Self {
        let longest_max_bytes = thresholds.longest_bytes.min(ENTRY_TEXT_MAX_BYTES as u64);
        let is_small = fields <= thresholds.fields && longest_bytes <= longest_max_bytes;
        if is_small && total_bytes <= LISTPACK_MAX_BYTES {
            Self::Listpack
        } else {
            Self::Strings
        }
    }
}

/// Writes a hash.
#[derive(Debug)]
pub struct HashWriter {
    soonest_ms: Option<i64>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Listpack(listpack::Writer),
    /// Triples in the order in which they came, and where each is.
    Unsorted(listpack::Writer, Vec<Triple>),
    Strings,
}

/// Where a field, its value and its deadline are among those that came.
#[derive(Clone, Copy, Debug)]
struct Triple {
    deadline_ms: Option<i64>,
    from: usize,
    to: usize,
}

impl HashWriter {
    /// A writer for a hash whose soonest deadline of a field is this.
    #[must_use]
    pub fn new(form: HashForm, soonest_ms: Option<i64>) -> Self {
        let soonest_ms = soonest_ms.map(known_to_redis);
        let listpack = listpack::Writer::default();
        let body = match (form, soonest_ms) {
            (HashForm::Strings, _) => Body::Strings,
            (HashForm::Listpack, None) => Body::Listpack(listpack),
            (HashForm::Listpack, Some(_)) => Body::Unsorted(listpack, Vec::new()),
        };
        Self { soonest_ms, body }
    }

    /// The type of what it writes.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match (&self.body, self.soonest_ms) {
            (Body::Listpack(_), _) => kind::HASH_LISTPACK,
            (Body::Unsorted(..), _) => kind::HASH_LISTPACK_EX,
            (Body::Strings, None) => kind::HASH,
            (Body::Strings, Some(_)) => kind::HASH_METADATA,
        }
    }

    /// Begins the hash, which has so many fields.
    pub fn begin(&mut self, fields: u64, out: &mut Output) {
        if let Some(soonest_ms) = self.soonest_ms {
            out.needs(Version::OF_FIELD_DEADLINES);
            out.millis(soonest_ms);
        }
        if matches!(self.body, Body::Strings) {
            out.length(fields);
        }
    }

    /// The next field.
    ///
    /// # Panics
    /// Its deadline is sooner than the soonest.
    pub fn push(&mut self, name: &[u8], value: &[u8], deadline_ms: Option<i64>, out: &mut Output) {
        let deadline_ms = deadline_ms.map(known_to_redis);
        match &mut self.body {
            Body::Listpack(listpack) => {
                assert!(
                    deadline_ms.is_none(),
                    "a deadline where there is no soonest"
                );
                listpack.push(name);
                listpack.push(value);
            }
            Body::Unsorted(listpack, triples) => {
                let from = listpack.end();
                listpack.push(name);
                listpack.push(value);
                listpack.push_integer(deadline_ms.unwrap_or(0));
                triples.push(Triple {
                    deadline_ms,
                    from,
                    to: listpack.end(),
                });
            }
            Body::Strings => {
                if let Some(soonest_ms) = self.soonest_ms {
                    out.length(deadline_ms.map_or(0, |at| from_soonest(at, soonest_ms)));
                } else {
                    assert!(
                        deadline_ms.is_none(),
                        "a deadline where there is no soonest"
                    );
                }
                out.string(name);
                out.string(value);
            }
        }
    }

    /// Ends the hash.
    pub fn finish(self, out: &mut Output) {
        match self.body {
            Body::Listpack(mut listpack) => listpack.finish(|bytes| out.blob(bytes)),
            Body::Unsorted(listpack, mut triples) => {
                triples.sort_by_key(|triple| (triple.deadline_ms.is_none(), triple.deadline_ms));
                let mut sorted = listpack::Writer::default();
                for Triple { from, to, .. } in triples {
                    sorted.push_entries(&listpack, from, to, 3);
                }
                sorted.finish(|bytes| out.blob(bytes));
            }
            Body::Strings => {}
        }
    }
}

/// The nearest moment that Redis takes for a deadline: it has none at 0, and none in ten thousand years.
fn known_to_redis(deadline_ms: i64) -> i64 {
    deadline_ms.clamp(1, DEADLINE_MAX_MS as i64)
}

/// A deadline as it is written behind the soonest.
fn from_soonest(at_ms: i64, soonest_ms: i64) -> u64 {
    let from = at_ms.checked_sub(soonest_ms);
    let from = from.and_then(|from| u64::try_from(from).ok());
    from.expect("no deadline is sooner than the soonest") + 1
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fields, REDIS, expected, fields};
    use super::*;
    use crate::rdb::output::Packing;

    fn written(of: &Fields, form: HashForm) -> (u8, Vec<u8>, Version) {
        let mut out = Output::new(Packing::Lzf);
        let soonest = of.iter().filter_map(|(_, _, at)| *at).min();
        let mut writer = HashWriter::new(form, soonest);
        let kind = writer.kind();
        writer.begin(of.len() as u64, &mut out);
        for (name, value, at) in of {
            writer.push(name, value, *at, &mut out);
        }
        writer.finish(&mut out);
        let version = out.version();
        (kind, out.into_bytes(), version)
    }

    #[test]
    fn what_is_written_is_read_and_a_version_that_knows_it_is_said() {
        let plain = expected(&[("a", "1", None), ("", "x", None), ("12345678901", "", None)]);
        let at = |ms| Some(ms);
        let with = expected(&[
            ("a", "1", at(9)),
            ("b", "2", None),
            ("c", "3", at(7)),
            ("d", "4", at((1 << 48) - 1)),
            ("e", "5", at(7)),
        ]);
        let sorted = [2, 4, 0, 3, 1].map(|place| with[place].clone());
        for (of, form, kind, version, read) in [
            (&plain, HashForm::Strings, 4, 10, &plain),
            (&plain, HashForm::Listpack, 16, 10, &plain),
            (&with, HashForm::Strings, 24, 12, &with),
            (&with, HashForm::Listpack, 25, 12, &sorted.to_vec()),
        ] {
            let (written_kind, bytes, written_version) = written(of, form);
            assert_eq!((written_kind, written_version), (kind, Version(version)));
            assert_eq!(&fields(kind, REDIS, &bytes).unwrap(), read);
        }
    }

    #[test]
    fn deadlines_that_only_valkey_knows_are_written_as_the_nearest_of_redis() {
        let of = expected(&[
            ("a", "1", Some(i64::MAX)),
            ("b", "2", Some(0)),
            ("c", "3", None),
        ]);
        for form in [HashForm::Listpack, HashForm::Strings] {
            let (kind, bytes, _) = written(&of, form);
            let mut read = fields(kind, REDIS, &bytes).unwrap();
            read.sort();
            let deadlines: Vec<_> = read.iter().map(|(_, _, deadline)| *deadline).collect();
            assert_eq!(deadlines, [Some((1 << 48) - 1), Some(1), None]);
        }
    }

    #[test]
    fn small_hashes_are_listpacks() {
        let thresholds = HashThresholds {
            fields: 128,
            longest_bytes: 64,
        };
        let of = |fields, longest, total| HashForm::of(thresholds, fields, longest, total);
        assert_eq!(of(128, 64, 16_384), HashForm::Listpack);
        assert_eq!(of(129, 64, 16_384), HashForm::Strings);
        assert_eq!(of(128, 65, 16_384), HashForm::Strings);
        let wide = HashThresholds {
            fields: u64::MAX,
            longest_bytes: u64::MAX,
        };
        let of = |longest, total| HashForm::of(wide, 1 << 20, longest, total);
        assert_eq!(of(16_000, 1 << 30), HashForm::Listpack);
        assert_eq!(of(16_001, 1 << 30), HashForm::Strings);
        assert_eq!(of(16_000, (1 << 30) + 1), HashForm::Strings);
    }
}
