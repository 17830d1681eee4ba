//! Identifiers of entries: a time and a number among the entries of that time, ordered.

/// The identifier of an entry of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds, of a clock or as a client chose.
    pub ms: u64,
    /// Which of the entries of that millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The least: no entry has it.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The greatest.
    pub const MAX: Self = Self {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// An identifier.
    #[inline]
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The next greater one, if there is one.
    #[inline]
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| Self { ms, seq: 0 }),
        }
    }

    /// The next lesser one, if there is one.
    #[inline]
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Self { ms, seq: u64::MAX }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_found_over_the_border_of_a_millisecond() {
        let last = StreamId::new(7, u64::MAX);
        assert_eq!(last.next(), Some(StreamId::new(8, 0)));
        assert_eq!(StreamId::new(8, 0).previous(), Some(last));
        assert_eq!(
            (StreamId::MAX.next(), StreamId::MIN.previous()),
            (None, None)
        );
        assert!(StreamId::new(1, 9) < StreamId::new(2, 0));
    }
}
