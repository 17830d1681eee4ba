//! Sets of properties that have names, a bit each.

/// Gives a set, a struct of its bits, its properties and their names, and what is done with sets.
macro_rules! named_flags {
    ($set:ident: $($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        impl $set {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// The names of the properties in the set that have one, in order.
            pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
                [$((Self::$name, $text)),*].into_iter().filter(move |(flag, text)| self.has(*flag) && !text.is_empty()).map(|(_, text)| text)
            }

            /// The union of two sets.
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The set without `other`.
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// Whether all of `other` are in the set.
            #[inline]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any of `other` is in the set.
            #[inline]
            pub const fn has_any(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }
        }
    };
}

pub(super) use named_flags;
