//! Words of a text line: how inline commands and `redis.conf` lines are cut into arguments.
//!
//! Words stand between blanks. A word may be quoted: in double quotes `\n \r \t \b \a \xHH` are escapes and any other
//! escaped byte stands for itself; in single quotes only `\'` is one. A closing quote must be followed by a blank or
//! the line's end. Lengths are bytes, the line is any bytes; cost is linear.

use std::ops::Range;

/// What a line was cut into.
#[derive(Debug, PartialEq, Eq)]
pub enum Words {
    /// No word is quoted: where each stands in the line.
    Plain(Vec<Range<usize>>),
    /// At least one word had quotes: all words, unquoted.
    Unquoted(Vec<Vec<u8>>),
}

/// A quote is not closed, or something follows a closing quote directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

/// Cuts `line` into words, without copying when nothing is quoted.
///
/// # Errors
/// [`UnbalancedQuotes`] when a quote is not closed.
pub fn cut(line: &[u8]) -> Result<Words, UnbalancedQuotes> {
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        return unquote(line).map(Words::Unquoted);
    }
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(start) = next_word(line, at) {
        let end = line[start..].iter().position(|&byte| ends_word(byte));
        at = end.map_or(line.len(), |length| start + length);
        words.push(start..at);
    }
    Ok(Words::Plain(words))
}

/// Cuts `line` into words of their own, unquoted.
///
/// # Errors
/// [`UnbalancedQuotes`] when a quote is not closed.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    match cut(line)? {
        Words::Plain(ranges) => Ok(ranges
            .into_iter()
            .map(|range| line[range].to_vec())
            .collect()),
        Words::Unquoted(words) => Ok(words),
    }
}

/// `bytes` in double quotes, so that [`split`] gives them back as one word.
pub fn quote(bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(bytes.len() + 2);
    quoted.push('"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => {
                quoted.push('\\');
                quoted.push(char::from(byte));
            }
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            0x07 => quoted.push_str("\\a"),
            0x08 => quoted.push_str("\\b"),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                quoted.push_str("\\x");
                quoted.push(char::from(HEX[usize::from(byte >> 4)]));
                quoted.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Blanks before a word and behind a closing quote.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Bytes that end an unquoted word: vertical tab and form feed do not.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Where the next word begins at or behind `at`.
fn next_word(line: &[u8], at: usize) -> Option<usize> {
    line[at..]
        .iter()
        .position(|&byte| !is_blank(byte))
        .map(|skipped| at + skipped)
}

fn unquote(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(start) = next_word(line, at) {
        let mut word = Vec::new();
        at = start;
        while let Some(&byte) = line.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    at = double_quoted(line, at, &mut word)?;
                    break;
                }
                b'\'' => {
                    at = single_quoted(line, at, &mut word)?;
                    break;
                }
                _ if ends_word(byte) => break,
                _ => word.push(byte),
            }
        }
        words.push(word);
    }
    Ok(words)
}

/// Reads on behind an opening `"`; gives the position behind the closing one.
fn double_quoted(
    line: &[u8],
    mut at: usize,
    word: &mut Vec<u8>,
) -> Result<usize, UnbalancedQuotes> {
    loop {
        match line[at..] {
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push((hex_value(high) << 4) | hex_value(low));
                at += 4;
            }
            [b'\\', escaped, ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => other,
                });
                at += 2;
            }
            [b'"', ..] => return behind_closing_quote(line, at + 1),
            [byte, ..] => {
                word.push(byte);
                at += 1;
            }
            [] => return Err(UnbalancedQuotes),
        }
    }
}

/// Reads on behind an opening `'`; gives the position behind the closing one.
fn single_quoted(
    line: &[u8],
    mut at: usize,
    word: &mut Vec<u8>,
) -> Result<usize, UnbalancedQuotes> {
    loop {
        match line[at..] {
            [b'\\', b'\'', ..] => {
                word.push(b'\'');
                at += 2;
            }
            [b'\'', ..] => return behind_closing_quote(line, at + 1),
            [byte, ..] => {
                word.push(byte);
                at += 1;
            }
            [] => return Err(UnbalancedQuotes),
        }
    }
}

fn behind_closing_quote(line: &[u8], at: usize) -> Result<usize, UnbalancedQuotes> {
    match line.get(at) {
        Some(&byte) if !is_blank(byte) => Err(UnbalancedQuotes),
        _ => Ok(at),
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::{UnbalancedQuotes, quote, split};
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        let words = split(line.as_bytes()).unwrap();
        words
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    #[test]
    fn words_stand_between_blanks() {
        assert_eq!(words("  set\tkey   value \r"), ["set", "key", "value"]);
        assert_eq!(words("\x0bset a\x0bb"), ["set", "a\x0bb"]);
        assert!(words("").is_empty());
        assert!(words(" \t ").is_empty());
    }

    #[test]
    fn quotes_and_escapes_are_taken_off() {
        assert_eq!(words(r#"set k "a b""#), ["set", "k", "a b"]);
        assert_eq!(words(r#"k "\x41\n\r\t\q\"\\""#), ["k", "A\n\r\tq\"\\"]);
        assert_eq!(words(r#"'it\'s' '\n'"#), ["it's", "\\n"]);
        assert_eq!(words(r#"pre"fix" "" ''"#), ["prefix", "", ""]);
        assert_eq!(words(r#""\xzz""#), ["xzz"]);
    }

    #[test]
    fn an_open_quote_or_one_closed_inside_a_word_is_refused() {
        for line in [
            "\"abc",
            "'abc",
            "\"abc\"d",
            "'a'b",
            "set \"\"x y\"",
            "\"abc\\\"",
            "\"\\",
        ] {
            assert_eq!(split(line.as_bytes()), Err(UnbalancedQuotes), "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_word_comes_back_as_it_was(word in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(split(quote(&word).as_bytes()), Ok(vec![word]));
        }
    }
}
