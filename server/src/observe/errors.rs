//! Error replies by their code word, in bounded memory.
//!
//! Scripts choose codes of their own (`redis.error_reply`). Those beyond [`CUSTOM_CODES_MAX`] are counted together, under
//! [`OVERFLOW`], as in Valkey; the server's own codes are always counted by name, whatever scripts do.

use std::collections::BTreeMap;

/// The codes of the server's own errors.
const OWN_CODES: &[&str] = &[
    "BUSY",
    "BUSYKEY",
    "ERR",
    "EXECABORT",
    "INVALIDOBJ",
    "LOADING",
    "MISCONF",
    "NOAUTH",
    "NOPROTO",
    "NOSCRIPT",
    "NOTBUSY",
    "OOM",
    "UNBLOCKED",
    "UNKILLABLE",
    "WRONGPASS",
    "WRONGTYPE",
];

/// Most other codes counted by name; as many as Redis counts in all.
const CUSTOM_CODES_MAX: usize = 128;

/// What the others are counted under.
const OVERFLOW: &str = "ERRORSTATS_OVERFLOW";

/// Error replies by their code word.
#[derive(Clone, Debug, Default)]
pub struct ErrorCounts {
    by_code: BTreeMap<Box<str>, u64>,
    /// Codes among them that are not the server's own, [`OVERFLOW`] aside.
    custom: usize,
}

impl ErrorCounts {
    /// Counts `count` replies with this code.
    pub fn add(&mut self, code: &str, count: u64) {
        if let Some(counted) = self.by_code.get_mut(code) {
            *counted += count;
            return;
        }
        let code = if OWN_CODES.contains(&code) || code == OVERFLOW {
            code
        } else if self.custom < CUSTOM_CODES_MAX {
            self.custom += 1;
            code
        } else {
            OVERFLOW
        };
        *self.by_code.entry(code.into()).or_default() += count;
    }

    /// The codes, in their order, and how often each was replied.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.by_code.iter().map(|(code, count)| (&**code, *count))
    }

    /// How often a code was replied.
    #[cfg(test)]
    pub fn of(&self, code: &str) -> u64 {
        self.by_code.get(code).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_scripts_do_not_crowd_out_the_servers_own() {
        let mut counts = ErrorCounts::default();
        for code in 0..1000 {
            counts.add(&format!("MADE_UP_{code}"), 1);
        }
        for _ in 0..3 {
            OWN_CODES.iter().for_each(|code| counts.add(code, 1));
        }
        for code in OWN_CODES {
            assert_eq!(counts.of(code), 3, "{code}");
        }
        counts.add("MADE_UP_0", 1);
        assert_eq!(counts.of("MADE_UP_0"), 2);
        assert_eq!(counts.of(OVERFLOW), 1000 - CUSTOM_CODES_MAX as u64);
        assert_eq!(counts.iter().len(), CUSTOM_CODES_MAX + OWN_CODES.len() + 1);
    }

    #[test]
    fn every_code_of_the_error_texts_is_the_servers_own() {
        let texts = include_str!("../resp/errors.rs");
        let mut codes = 0;
        for text in texts.split('"') {
            let Some((code, _)) = text.split_once(' ') else {
                continue;
            };
            if code.len() > 1 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
                codes += 1;
                // Names of commands stand in texts, too, but not in front.
                assert!(
                    OWN_CODES.contains(&code) || COMMANDS.contains(&code),
                    "{code} of `{text}` is missing from the server's own codes"
                );
            }
        }
        assert!(codes > 100);
    }

    /// Words in capitals that begin a piece of a text and are no code.
    const COMMANDS: &[&str] = &[];
}
