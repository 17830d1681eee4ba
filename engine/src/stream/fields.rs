//! The fields of an entry: names and values by turns, in the order in which they were given; a name may come twice.
//!
//! ```text
//!  by itself      | name | value | name | value | …         each with its length before it
//!  named by its leaf      | value | value | … | the last value, without a length |
//! ```
//! Most entries of a stream have the same names. A leaf has those of its first entry in its head, and an entry of the same names has
//! only its values there.

use super::varint;

/// Fields of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The names that the leaf has, with their lengths; none if they lie with the values.
    names: Option<&'a [u8]>,
    body: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Fields that lie by themselves, as [`Self::write`] has written them.
    #[inline]
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self {
            names: None,
            body: bytes,
        }
    }

    /// Values of these names.
    #[inline]
    pub(super) fn named(names: &'a [u8], body: &'a [u8]) -> Self {
        Self {
            names: Some(names),
            body,
        }
    }

    /// Writes one more field of those that lie by themselves.
    #[inline]
    pub fn write(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        varint::write_text(name, out);
        varint::write_text(value, out);
    }

    /// Writes a name, or a value, with its length before it.
    #[inline]
    pub fn write_text(text: &[u8], out: &mut Vec<u8>) {
        varint::write_text(text, out);
    }

    /// The texts that [`Self::write_text`] has written one behind the other.
    pub fn texts(bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        let mut at = 0;
        std::iter::from_fn(move || (at < bytes.len()).then(|| varint::read_text(bytes, &mut at)))
    }

    /// The bytes of fields as they lie by themselves.
    pub fn write_all(&self, out: &mut Vec<u8>) {
        match self.names {
            None => out.extend_from_slice(self.body),
            Some(_) => self
                .iter()
                .for_each(|(name, value)| Self::write(name, value, out)),
        }
    }

    /// Names and values.
    #[inline]
    pub fn iter(&self) -> FieldsIter<'a> {
        FieldsIter {
            names: self.names,
            body: self.body,
            name_at: 0,
            at: 0,
        }
    }

    /// Number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        match self.names {
            Some(names) => count_texts(names),
            None => count_texts(self.body) / 2,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty() && self.names.is_none_or(<[u8]>::is_empty)
    }
}

/// Number of texts, each with its length.
fn count_texts(bytes: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        varint::read_text(bytes, &mut at);
        count += 1;
    }
    count
}

/// Names and values, one after the other.
#[derive(Clone, Debug)]
pub struct FieldsIter<'a> {
    names: Option<&'a [u8]>,
    body: &'a [u8],
    name_at: usize,
    at: usize,
}

impl<'a> Iterator for FieldsIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let Some(names) = self.names else {
            if self.at == self.body.len() {
                return None;
            }
            let name = varint::read_text(self.body, &mut self.at);
            return Some((name, varint::read_text(self.body, &mut self.at)));
        };
        if self.name_at == names.len() {
            return None;
        }
        let name = varint::read_text(names, &mut self.name_at);
        let value = match self.name_at == names.len() {
            true => &self.body[self.at..],
            false => varint::read_text(self.body, &mut self.at),
        };
        Some((name, value))
    }
}

/// Writes the names of fields that lie by themselves.
pub(super) fn write_names(fields: &[u8], out: &mut Vec<u8>) {
    for (name, _) in Fields::of_bytes(fields).iter() {
        varint::write_text(name, out);
    }
}

/// Writes the values of fields that lie by themselves, if these are their names.
#[inline]
pub(super) fn write_values(fields: &[u8], names: &[u8], out: &mut Vec<u8>) -> bool {
    if names.is_empty() {
        return false;
    }
    let (mut at, mut name_at) = (0, 0);
    while at < fields.len() {
        if name_at == names.len() {
            return false;
        }
        let (name, known) = (
            varint::read_text(fields, &mut at),
            varint::read_text(names, &mut name_at),
        );
        if name != known {
            return false;
        }
        let value = varint::read_text(fields, &mut at);
        match at == fields.len() {
            true => out.extend_from_slice(value),
            false => varint::write_text(value, out),
        }
    }
    name_at == names.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in fields {
            Fields::write(name.as_bytes(), value.as_bytes(), &mut out);
        }
        out
    }

    #[test]
    fn values_lie_without_the_names_that_the_leaf_has() {
        let given = [("a", "1"), ("bb", ""), ("a", "three")];
        let fields = own(&given);
        let mut names = Vec::new();
        write_names(&fields, &mut names);
        let mut body = Vec::new();
        assert!(write_values(&fields, &names, &mut body));
        assert_eq!(body, b"\x011\x00three");
        for fields in [Fields::named(&names, &body), Fields::of_bytes(&fields)] {
            assert_eq!(fields.len(), 3);
            let texts = given.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            assert!(fields.iter().eq(texts));
            let mut again = Vec::new();
            fields.write_all(&mut again);
            assert_eq!(again, own(&given));
        }
    }

    #[test]
    fn other_names_more_and_fewer_are_told_apart() {
        let mut names = Vec::new();
        write_names(&own(&[("a", ""), ("b", "")]), &mut names);
        for fields in [
            own(&[("a", "1")]),
            own(&[("a", "1"), ("c", "2")]),
            own(&[("a", "1"), ("b", "2"), ("b", "3")]),
        ] {
            assert!(!write_values(&fields, &names, &mut Vec::new()));
        }
        assert!(!write_values(&own(&[("a", "1")]), &[], &mut Vec::new()));
    }
}
