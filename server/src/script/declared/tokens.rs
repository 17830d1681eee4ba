//! A Lua text as tokens.

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name or a keyword.
    Name(&'a [u8]),
    /// A string, if it stands there as it is, without escapes.
    Text(Option<&'a [u8]>),
    Number,
    /// What is none of these.
    Symbol(&'a [u8]),
    /// Behind the last.
    End,
}

/// The symbols of more than one byte, longer ones first.
const LONG_SYMBOLS: [&[u8]; 6] = [b"...", b"..", b"==", b"~=", b"<=", b">="];

/// The tokens of a text, comments and a first line with `#!` left out. None: it is no Lua.
pub(super) fn tokens(text: &[u8]) -> Option<Vec<Token<'_>>> {
    let mut rest = text;
    if rest.starts_with(b"#!") {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        rest = &rest[end..];
    }
    let mut tokens = Vec::with_capacity(rest.len() / 4);
    while let Some(&first) = rest.first() {
        let len = match first {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0B | 0x0C => {
                rest = &rest[1..];
                continue;
            }
            b'-' if rest.starts_with(b"--") => {
                let end = match long_string(&rest[2..]) {
                    Some((_, end)) => 2 + end?,
                    None => line_end(rest),
                };
                rest = &rest[end..];
                continue;
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                let len = length_while(rest, is_of_name);
                tokens.push(Token::Name(&rest[..len]));
                len
            }
            b'0'..=b'9' => {
                tokens.push(Token::Number);
                number_len(rest)
            }
            b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => {
                tokens.push(Token::Number);
                number_len(rest)
            }
            b'"' | b'\'' => {
                let (text, len) = short_string(rest)?;
                tokens.push(Token::Text(text));
                len
            }
            b'[' if long_string(rest).is_some() => {
                let (text, end) = long_string(rest)?;
                tokens.push(Token::Text(text));
                end?
            }
            b'\\' | b'$' | b'?' | b'@' | b'`' | b'!' | 0..=0x1F | 0x7F.. => return None,
            _ => {
                let long = LONG_SYMBOLS.iter().find(|symbol| rest.starts_with(symbol));
                let len = long.map_or(1, |symbol| symbol.len());
                tokens.push(Token::Symbol(&rest[..len]));
                len
            }
        };
        rest = &rest[len..];
    }
    Some(tokens)
}

fn length_while(text: &[u8], is_of_it: impl Fn(&u8) -> bool) -> usize {
    let end = text.iter().position(|byte| !is_of_it(byte));
    end.unwrap_or(text.len())
}

/// Where the line ends.
fn line_end(text: &[u8]) -> usize {
    length_while(text, |byte| !matches!(byte, b'\n' | b'\r'))
}

/// As Lua's lexer: all that may belong to a number does, an exponent's sign too.
fn number_len(text: &[u8]) -> usize {
    let mut len = length_while(text, |byte| byte.is_ascii_digit() || *byte == b'.');
    if matches!(text.get(len), Some(b'e' | b'E')) {
        len += 1;
        len += usize::from(matches!(text.get(len), Some(b'+' | b'-')));
    }
    let of_number = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    len + length_while(&text[len..], of_number)
}

/// A string in quotes at the beginning of `text`, and its length.
fn short_string(text: &[u8]) -> Option<(Option<&[u8]>, usize)> {
    let quote = text[0];
    let mut at = 1;
    let mut is_plain = true;
    loop {
        match *text.get(at)? {
            b'\\' => {
                is_plain = false;
                at += 2;
            }
            b'\n' | b'\r' => return None,
            byte if byte == quote => {
                let inner = &text[1..at];
                return Some((is_plain.then_some(inner), at + 1));
            }
            _ => at += 1,
        }
    }
}

/// A string in long brackets at the beginning of `text`, if one begins there, and where it ends, if it does.
fn long_string(text: &[u8]) -> Option<(Option<&[u8]>, Option<usize>)> {
    let level = length_while(text.get(1..)?, |byte| *byte == b'=');
    if text[0] != b'[' || text.get(1 + level) != Some(&b'[') {
        return None;
    }
    let begin = level + 2;
    let mut close = vec![b'='; level + 2];
    (close[0], close[level + 1]) = (b']', b']');
    let end = text[begin..]
        .windows(close.len())
        .position(|window| window == close);
    let Some(len) = end else {
        return Some((None, None));
    };
    let inner = &text[begin..begin + len];
    // A line end at its beginning is not part of it, and others are made one byte.
    let is_plain = !inner.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    Some((is_plain.then_some(inner), Some(begin + len + close.len())))
}
