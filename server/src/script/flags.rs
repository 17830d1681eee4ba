//! What a script or a function says of itself: its flags, and the first line of a script in which they stand,
//! `#!lua flags=no-writes,allow-oom`.

use crate::resp::parser::words::split;

/// A set of a script's flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFlags(u8);

impl ScriptFlags {
    /// It does not write.
    pub const NO_WRITES: Self = Self(1 << 0);
    /// It runs though `maxmemory` is reached.
    pub const ALLOW_OOM: Self = Self(1 << 1);
    /// It runs on a stale replica.
    pub const ALLOW_STALE: Self = Self(1 << 2);
    /// It does not run in a cluster.
    pub const NO_CLUSTER: Self = Self(1 << 3);
    /// It may use keys of several slots.
    pub const ALLOW_CROSS_SLOT: Self = Self(1 << 4);
    /// It says nothing of itself, as all scripts did before Redis 7: what it calls decides.
    pub const UNDECLARED: Self = Self(1 << 5);

    /// The flags that a script can declare, in Redis's order.
    const NAMED: [(Self, &'static str); 5] = [
        (Self::NO_WRITES, "no-writes"),
        (Self::ALLOW_OOM, "allow-oom"),
        (Self::ALLOW_STALE, "allow-stale"),
        (Self::NO_CLUSTER, "no-cluster"),
        (Self::ALLOW_CROSS_SLOT, "allow-cross-slot-keys"),
    ];

    /// Whether any of `other` is in the set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The union of two sets.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names of the flags in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        Self::NAMED
            .into_iter()
            .filter(move |(flag, _)| self.has(*flag))
            .map(|(_, name)| name)
    }

    /// The flag of this name, in small letters.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Self::NAMED
            .into_iter()
            .find(|(_, other)| other.as_bytes() == name)
            .map(|(flag, _)| flag)
    }
}

/// The flags in a script's first line, and the length of that line without its end; the rest is Lua.
///
/// # Errors
/// Redis's text, without code word.
pub(super) fn of_script(text: &[u8]) -> Result<(ScriptFlags, usize), Vec<u8>> {
    if !text.starts_with(b"#!") {
        return Ok((ScriptFlags::UNDECLARED, 0));
    }
    let end = first_line(text).ok_or("Invalid script shebang")?;
    let words = split(&text[..end]).unwrap_or_default();
    let (engine, options) = words
        .split_first()
        .ok_or("Invalid engine in script shebang")?;
    if engine != b"#!lua" {
        return Err([b"Unexpected engine in script shebang: ", &engine[..]].concat());
    }
    let mut flags = ScriptFlags::default();
    for option in options {
        let Some(names) = option.strip_prefix(b"flags=") else {
            return Err([b"Unknown lua shebang option: ", &option[..]].concat());
        };
        if names.is_empty() {
            continue;
        }
        for name in names.split(|&byte| byte == b',') {
            flags = ScriptFlags::named(name)
                .map(|flag| flags.with(flag))
                .ok_or_else(|| [b"Unexpected flag in script shebang: ", name].concat())?;
        }
    }
    Ok((flags, end))
}

/// The flags of a script, if its first line can be understood.
pub fn flags_of_text(text: &[u8]) -> Option<ScriptFlags> {
    of_script(text).ok().map(|(flags, _)| flags)
}

/// The length of the first line, if it ends; a zero byte ends the text.
fn first_line(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | 0))?;
    (text[end] == b'\n').then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_declares_its_flags_in_its_first_line() {
        assert_eq!(of_script(b"return 1"), Ok((ScriptFlags::UNDECLARED, 0)));
        assert_eq!(of_script(b"#!lua\nx"), Ok((ScriptFlags::default(), 5)));
        assert_eq!(
            of_script(b"#!lua flags=\nx"),
            Ok((ScriptFlags::default(), 12))
        );
        let both = ScriptFlags::NO_WRITES.with(ScriptFlags::ALLOW_OOM);
        let text = b"#!lua  flags=no-writes,allow-oom \nreturn 1";
        assert_eq!(of_script(text), Ok((both, 33)));
        assert_eq!(both.names().collect::<Vec<_>>(), ["no-writes", "allow-oom"]);
        for (text, error) in [
            ("#!lua", "Invalid script shebang"),
            ("#!\n", "Unexpected engine in script shebang: #!"),
            ("#!js\n", "Unexpected engine in script shebang: js"),
            ("#!lua x=y\n", "Unknown lua shebang option: x=y"),
            ("#!lua flags=a,b\n", "Unexpected flag in script shebang: a"),
        ] {
            let error = error.replace(": js", ": #!js");
            assert_eq!(of_script(text.as_bytes()), Err(error.into_bytes()));
        }
    }
}
