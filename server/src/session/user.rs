//! Who a connection acts as.

/// A user, by a number that all cores know it by: a session has it, and a request may carry it to another core. There is
/// one user so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserId(u16);

impl UserId {
    /// Whom a connection acts as that has not said otherwise.
    pub const DEFAULT: Self = Self(0);

    /// One more, as no client can be yet.
    #[cfg(test)]
    pub(crate) const OTHER: Self = Self(7);

    /// The user called `name`.
    pub fn named(name: &[u8]) -> Option<Self> {
        let default = Self::DEFAULT;
        (name == default.name().as_bytes()).then_some(default)
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        assert_eq!(self, Self::DEFAULT, "there is no other user");
        "default"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_its_name_alone() {
        assert_eq!(
            UserId::named(UserId::DEFAULT.name().as_bytes()),
            Some(UserId::DEFAULT)
        );
        for name in ["", "Default", "default ", "other"] {
            assert_eq!(UserId::named(name.as_bytes()), None, "{name}");
        }
    }
}
