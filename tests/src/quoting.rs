//! The quoting of redis-cli: arguments split at blanks, double quotes with escapes, single quotes without.

use crate::Outcome;

/// Splits a line into arguments as redis-cli does.
///
/// # Errors
/// A quote that is not closed, or one followed directly by other text.
pub fn split(line: &str) -> Outcome<Vec<Vec<u8>>> {
    let bytes = line.as_bytes();
    let mut args = Vec::new();
    let mut at = 0;
    loop {
        while at < bytes.len() && bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        if at == bytes.len() {
            return Ok(args);
        }
        let (arg, next) = argument(bytes, at).map_err(|why| format!("{why}: {line}"))?;
        args.push(arg);
        at = next;
    }
}

/// Reads one argument from `at`, giving it and the position after it.
fn argument(bytes: &[u8], mut at: usize) -> Outcome<(Vec<u8>, usize)> {
    let mut out = Vec::new();
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                let (text, next) = quoted(bytes, at)?;
                out.extend_from_slice(&text);
                if bytes.get(next).is_some_and(|b| !b.is_ascii_whitespace()) {
                    return Err("text right after a closing quote".into());
                }
                return Ok((out, next));
            }
            _ if byte.is_ascii_whitespace() => break,
            _ => out.push(byte),
        }
        at += 1;
    }
    Ok((out, at))
}

/// Reads the quoted text that opens at `at`, giving it and the position after the closing quote.
fn quoted(bytes: &[u8], at: usize) -> Outcome<(Vec<u8>, usize)> {
    let quote = bytes[at];
    let mut out = Vec::new();
    let mut i = at + 1;
    while let Some(&byte) = bytes.get(i) {
        if byte == quote {
            return Ok((out, i + 1));
        }
        if byte != b'\\' {
            out.push(byte);
            i += 1;
            continue;
        }
        let next = *bytes.get(i + 1).ok_or("a backslash at the end")?;
        if quote == b'\'' {
            if next == b'\'' {
                out.push(next);
                i += 2;
            } else {
                out.push(byte);
                i += 1;
            }
            continue;
        }
        let hex = bytes
            .get(i + 2..i + 4)
            .filter(|_| next == b'x')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(value) = hex {
            out.push(value);
            i += 4;
            continue;
        }
        out.push(match next {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'a' => 7,
            other => other,
        });
        i += 2;
    }
    Err("a quote that is not closed".into())
}

/// `bytes` with everything but printable ASCII escaped, and without the quotes around it.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'"' => out.push_str("\\\""),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            7 => out.push_str("\\a"),
            8 => out.push_str("\\b"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_plain_and_quoted_arguments() {
        let args = split(r#"SET  "a b\x00\n" 'c\n d' e"#).unwrap();
        assert_eq!(args, [&b"SET"[..], b"a b\0\n", b"c\\n d", b"e"]);
        assert_eq!(split(r#"GET """#).unwrap(), [&b"GET"[..], b""]);
    }

    #[test]
    fn refuses_unbalanced_quotes() {
        assert!(split("GET \"a").is_err());
        assert!(split("GET \"a\"b").is_err());
    }

    #[test]
    fn what_escape_writes_split_reads_back() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let line = format!("\"{}\"", escape(&every_byte));
        assert_eq!(split(&line).unwrap(), [every_byte]);
    }
}
