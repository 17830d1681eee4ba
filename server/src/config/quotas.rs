//! `larder-quota`: what keys of a prefix may take, and how often commands may use them.
//!
//! ```text
//!  larder-quota tenant:a: 64mb 0          as the directive is written: prefix, bytes, commands a second; 0 is no limit
//!  larder-quota "with blanks:" 0 500      further lines add; of two with one prefix the later counts
//! ```
//! The value is all of them in the order of their prefixes, three words each.

use super::value::{self, Reason, Saving};
use crate::resp::parser::words;

/// Most quotas.
const QUOTAS_MAX: usize = 1024;
/// The longest prefix.
const QUOTA_PREFIX_MAX_BYTES: usize = 256;
/// Most commands a second that a quota may allow.
const QUOTA_OPS_MAX: u64 = 1_000_000_000;

/// A quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaSetting {
    /// What its keys begin with.
    pub prefix: String,
    /// Bytes that their entries may take; 0 is no limit.
    pub bytes: u64,
    /// Commands on them a second; 0 is no limit.
    pub ops: u64,
}

impl QuotaSetting {
    /// From the words of a prefix and its limits.
    ///
    /// # Errors
    /// The reason why they are no quota.
    pub fn new(prefix: &str, bytes: u64, ops: u64) -> Result<Self, String> {
        if prefix.is_empty() || prefix.len() > QUOTA_PREFIX_MAX_BYTES {
            return Err(format!("a prefix has 1 to {QUOTA_PREFIX_MAX_BYTES} bytes"));
        }
        if ops > QUOTA_OPS_MAX {
            return Err(format!(
                "a quota allows {QUOTA_OPS_MAX} commands a second at most"
            ));
        }
        if bytes == 0 && ops == 0 {
            return Err("a quota limits bytes, or commands a second, or both".to_owned());
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            bytes,
            ops,
        })
    }
}

/// Bytes with or without a unit, as `maxmemory` takes them.
pub fn quota_bytes(text: &[u8]) -> Option<u64> {
    let bytes = std::str::from_utf8(text).ok().and_then(value::memory)?;
    i64::try_from(bytes).is_ok().then_some(bytes)
}

/// The quotas of a value.
pub(super) fn read(text: &str) -> Vec<QuotaSetting> {
    let words = words_of(text);
    words.and_then(|words| parse(&words)).unwrap_or_default()
}

/// The words of a value, quoted where need be.
pub(super) fn words_of(text: &str) -> Result<Vec<String>, Reason> {
    let words = words::split(text.as_bytes());
    let words = words.map_err(|words::UnbalancedQuotes| "unbalanced quotes")?;
    let words: Result<_, _> = words.into_iter().map(String::from_utf8).collect();
    words.map_err(|_| "argument must be UTF-8 text".to_owned())
}

fn parse(words: &[String]) -> Result<Vec<QuotaSetting>, Reason> {
    if !words.len().is_multiple_of(3) {
        return Err("a quota is a prefix, bytes, and commands a second".to_owned());
    }
    let quota = |words: &[String]| {
        let bytes = quota_bytes(words[1].as_bytes()).ok_or("argument must be a memory value")?;
        let ops = words[2]
            .parse()
            .map_err(|_| "commands a second must be a number")?;
        QuotaSetting::new(&words[0], bytes, ops)
    };
    words.chunks(3).map(quota).collect()
}

/// The value of these quotas, in the order of their prefixes; of those with one prefix the last counts.
pub fn quotas_text(quotas: &[QuotaSetting]) -> String {
    let mut by_prefix = std::collections::BTreeMap::new();
    for quota in quotas {
        by_prefix.insert(quota.prefix.as_str(), quota);
    }
    let texts: Vec<String> = by_prefix.into_values().map(text_of).collect();
    texts.join(" ")
}

fn text_of(quota: &QuotaSetting) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    let prefix = match quota.prefix.bytes().all(is_plain) {
        true => quota.prefix.clone(),
        false => words::quote(quota.prefix.as_bytes()),
    };
    format!("{prefix} {} {}", quota.bytes, quota.ops)
}

/// The value once these words are set, or added.
pub(super) fn canonical(words: &[String], present: &str, saving: Saving) -> Result<String, Reason> {
    let mut quotas = match saving {
        Saving::Adds => read(present),
        Saving::Replaces => Vec::new(),
    };
    // An empty value is no quota.
    if !matches!(words, [only] if only.is_empty()) && !words.is_empty() {
        quotas.extend(parse(words)?);
    }
    let text = quotas_text(&quotas);
    if read(&text).len() > QUOTAS_MAX {
        return Err(format!("there may be {QUOTAS_MAX} quotas at most"));
    }
    Ok(text)
}

/// The lines of a file that give the directive this value.
pub(super) fn lines(name: &str, text: &str) -> impl Iterator<Item = String> {
    let quotas = read(text).into_iter();
    quotas.map(move |quota| format!("{name} {}", text_of(&quota)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let words = words::split(text.as_bytes()).unwrap();
        let words = words
            .into_iter()
            .map(|word| String::from_utf8(word).unwrap());
        words.collect()
    }

    fn set(text: &str, present: &str, saving: Saving) -> Result<String, Reason> {
        canonical(&words(text), present, saving)
    }

    #[test]
    fn quotas_stand_in_the_order_of_their_prefixes_and_lines_add() {
        let one = set("b: 1mb 0", "", Saving::Adds).unwrap();
        assert_eq!(one, "b: 1048576 0");
        let two = set("a: 0 10", &one, Saving::Adds).unwrap();
        assert_eq!(two, "a: 0 10 b: 1048576 0");
        assert_eq!(
            set("a: 0 20", &two, Saving::Adds).unwrap(),
            "a: 0 20 b: 1048576 0"
        );
        assert_eq!(set("a: 0 20", &two, Saving::Replaces).unwrap(), "a: 0 20");
        assert_eq!(
            canonical(&[String::new()], &two, Saving::Replaces).unwrap(),
            ""
        );
    }

    #[test]
    fn prefixes_of_any_text_come_back() {
        for prefix in ["with blank", "quo\"te", "back\\slash", "grün", "'", "a\nb"] {
            let quota = QuotaSetting::new(prefix, 7, 0).unwrap();
            let text = quotas_text(std::slice::from_ref(&quota));
            assert_eq!(read(&text), [quota.clone()], "{text}");
            let line: Vec<String> = lines("larder-quota", &text).collect();
            let words = words(&line[0]);
            assert_eq!(canonical(&words[1..], "", Saving::Adds).unwrap(), text);
        }
    }

    #[test]
    fn what_limits_nothing_or_is_out_of_bounds_is_refused() {
        for text in [
            "a: 0 0",
            "a: 1",
            "a: x 1",
            "a: 1 x",
            "\"\" 1 1",
            "a: 1 -1",
            "a: 0 1000000001",
        ] {
            assert!(set(text, "", Saving::Replaces).is_err(), "{text}");
        }
        let long = "p".repeat(QUOTA_PREFIX_MAX_BYTES + 1);
        assert!(set(&format!("{long} 1 1"), "", Saving::Replaces).is_err());
        let many: Vec<String> = (0..=QUOTAS_MAX).map(|n| format!("p{n}: 1 1")).collect();
        assert!(set(&many.join(" "), "", Saving::Replaces).is_err());
        assert!(set(&many[1..].join(" "), "", Saving::Replaces).is_ok());
    }
}
