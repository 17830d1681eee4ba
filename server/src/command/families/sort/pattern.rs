//! Patterns of `BY` and `GET`: which value they name for an element.
//!
//! ```text
//!  weight_*        the string at the key with the element in the place of the star
//!  weight_*->age   the field of the hash there
//!  #               the element itself (GET)
//! ```

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The element itself.
    Element,
    /// It has no place for the element: it names nothing.
    Nothing,
    /// A key.
    Key(PatternedKey),
}

/// What names keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PatternedKey {
    before: Vec<u8>,
    behind: Vec<u8>,
    field: Option<Vec<u8>>,
}

impl Pattern {
    /// Reads one.
    pub(super) fn parse(text: &[u8]) -> Self {
        if text == b"#" {
            return Self::Element;
        }
        let Some(star) = text.iter().position(|&byte| byte == b'*') else {
            return Self::Nothing;
        };
        let (before, behind) = (&text[..star], &text[star + 1..]);
        let arrow = behind.windows(2).position(|two| two == b"->");
        // An arrow with nothing behind it is part of the key.
        let arrow = arrow.filter(|at| at + 2 < behind.len());
        let (behind, field) = match arrow {
            Some(at) => (&behind[..at], Some(behind[at + 2..].to_vec())),
            None => (behind, None),
        };
        Self::Key(PatternedKey {
            before: before.to_vec(),
            behind: behind.to_vec(),
            field,
        })
    }
}

impl PatternedKey {
    /// Writes the name of the key for an element.
    pub(super) fn name(&self, element: &[u8], key: &mut Vec<u8>) {
        key.clear();
        for part in [&self.before, element, &self.behind] {
            key.extend_from_slice(part);
        }
    }

    /// The field of the hash at the key, if not the key's string is meant.
    pub(super) fn field(&self) -> Option<&[u8]> {
        self.field.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_a_key_and_perhaps_a_field() {
        for (text, key, field) in [
            ("w_*", "w_x", None),
            ("*", "x", None),
            ("*_w*", "x_w*", None),
            ("w:*->f", "w:x", Some("f")),
            ("w:*:b->f->g", "w:x:b", Some("f->g")),
            ("w:*->", "w:x->", None),
            ("a->b*", "a->bx", None),
        ] {
            let Pattern::Key(pattern) = Pattern::parse(text.as_bytes()) else {
                panic!("{text} names a key")
            };
            let mut name = b"what was there".to_vec();
            pattern.name(b"x", &mut name);
            assert_eq!(name, key.as_bytes(), "{text}");
            assert_eq!(pattern.field(), field.map(str::as_bytes), "{text}");
        }
        assert_eq!(Pattern::parse(b"#"), Pattern::Element);
        assert_eq!(Pattern::parse(b"nosort"), Pattern::Nothing);
        assert_eq!(Pattern::parse(b""), Pattern::Nothing);
    }
}
