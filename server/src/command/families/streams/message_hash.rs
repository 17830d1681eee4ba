//! The identifier of a message that was given none (`IDMPAUTO`): a hash of its fields, in whatever order they stand.

use larder_engine::Fields;
use sha1::{Digest as _, Sha1};

/// Bytes of it.
pub(super) const BYTES: usize = 16;

/// The identifier of a message with these fields.
pub(super) fn of(fields: Fields<'_>) -> [u8; BYTES] {
    let (mut sum, mut mixed) = (0u128, 0u128);
    for (name, value) in fields.iter() {
        let mut hash = Sha1::new();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(value);
        let digest: [u8; 20] = hash.finalize().into();
        let word = digest
            .first_chunk()
            .map_or(0, |word| u128::from_le_bytes(*word));
        sum = sum.wrapping_add(word);
        mixed ^= word;
    }
    (sum ^ mixed.rotate_left(1)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(fields: &[(&str, &str)]) -> [u8; BYTES] {
        let mut bytes = Vec::new();
        for (name, value) in fields {
            Fields::write(name.as_bytes(), value.as_bytes(), &mut bytes);
        }
        of(Fields::of_bytes(&bytes))
    }

    #[test]
    fn messages_are_told_apart_by_their_fields_and_not_by_the_order_of_these() {
        let one = hash(&[("a", "1"), ("b", "2")]);
        assert_eq!(one, hash(&[("b", "2"), ("a", "1")]));
        for other in [
            hash(&[("a", "2"), ("b", "1")]),
            hash(&[("a", "1")]),
            hash(&[("a1", ""), ("b", "2")]),
            hash(&[("a", "1"), ("b", "2"), ("a", "1")]),
        ] {
            assert_ne!(one, other);
        }
    }
}
