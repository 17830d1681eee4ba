//! JSON to Lua values.
//!
//! Recursive descent over a scanner of tokens. Where lua-cjson reads more than JSON, so does this: numbers are read as
//! `strtod` reads them while `decode_invalid_numbers` is on, and a zero byte ends the text.

use mlua::{Lua, Value};

use super::settings::Settings;
use crate::script::exchange::{Exchange, Raised};
use crate::script::libs::{Patience, null};
use crate::script::limits::DOCUMENT_DEPTH_MAX;
use larder_engine::read_double;

/// The value that `json` says.
pub(super) fn decode(
    lua: &Lua,
    json: &[u8],
    settings: &Settings,
    exchange: &Exchange,
) -> Result<Value, Raised> {
    if json.len() >= 2 && (json[0] == 0 || json[1] == 0) {
        let text = "JSON parser does not support UTF-16 or UTF-32";
        return Err(Raised::message(text));
    }
    let mut decoder = Decoder {
        lua,
        scanner: Scanner {
            json,
            at: 0,
            text: Vec::new(),
            reads_invalid_numbers: settings.decode_invalid_numbers.get(),
        },
        patience: Patience::new(lua, exchange),
        depth: 0,
        depth_max: (settings.decode_max_depth.get() as usize).min(DOCUMENT_DEPTH_MAX),
    };
    let (token, index) = decoder.scanner.next();
    let value = decoder.value(token, index)?;
    match decoder.scanner.next() {
        (Token::End, _) => Ok(value),
        (token, index) => Err(expected("the end", token, index)),
    }
}

/// A token. Which of the two brackets opens an object's or an array's contents is in the names lua-cjson gives them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// The text is in the scanner.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// No token; why.
    Error(&'static str),
}

impl Token {
    fn name(self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Error(why) => why,
        }
    }
}

fn expected(what: &str, found: Token, index: usize) -> Raised {
    Raised::message(format!(
        "Expected {what} but found {} at character {}",
        found.name(),
        index + 1
    ))
}

struct Decoder<'a> {
    lua: &'a Lua,
    scanner: Scanner<'a>,
    patience: Patience<'a>,
    depth: usize,
    depth_max: usize,
}

impl Decoder<'_> {
    fn value(&mut self, token: Token, index: usize) -> Result<Value, Raised> {
        self.patience.step()?;
        match token {
            Token::ObjectBegin => self.object(),
            Token::ArrayBegin => self.array(),
            _ => self.scalar(token, index),
        }
    }

    /// What recurses is kept apart from what does not: it is deep enough.
    fn scalar(&self, token: Token, index: usize) -> Result<Value, Raised> {
        Ok(match token {
            Token::String => Value::String(self.lua.create_string(&self.scanner.text)?),
            Token::Number(number) => Value::Number(number),
            Token::Boolean(value) => Value::Boolean(value),
            Token::Null => null(),
            other => return Err(expected("value", other, index)),
        })
    }

    fn descend(&mut self) -> Result<(), Raised> {
        self.depth += 1;
        if self.depth <= self.depth_max {
            return Ok(());
        }
        Err(Raised::message(format!(
            "Found too many nested data structures ({}) at character {}",
            self.depth, self.scanner.at
        )))
    }

    fn object(&mut self) -> Result<Value, Raised> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let (mut token, mut index) = self.scanner.next();
        while token != Token::ObjectEnd {
            if token != Token::String {
                return Err(expected("object key string", token, index));
            }
            let key = self.lua.create_string(&self.scanner.text)?;
            (token, index) = self.scanner.next();
            if token != Token::Colon {
                return Err(expected("colon", token, index));
            }
            (token, index) = self.scanner.next();
            let value = self.value(token, index)?;
            table.raw_set(key, value)?;
            (token, index) = self.scanner.next();
            match token {
                Token::ObjectEnd => {}
                Token::Comma => {
                    (token, index) = self.scanner.next();
                    if token == Token::ObjectEnd {
                        return Err(expected("object key string", token, index));
                    }
                }
                other => return Err(expected("comma or object end", other, index)),
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self) -> Result<Value, Raised> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let (mut token, mut index) = self.scanner.next();
        let mut number = 0;
        while token != Token::ArrayEnd {
            let value = self.value(token, index)?;
            number += 1;
            table.raw_set(number, value)?;
            (token, index) = self.scanner.next();
            match token {
                Token::ArrayEnd => {}
                Token::Comma => {
                    (token, index) = self.scanner.next();
                    if token == Token::ArrayEnd {
                        return Err(expected("value", token, index));
                    }
                }
                other => return Err(expected("comma or array end", other, index)),
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }
}

struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
    /// The last string.
    text: Vec<u8>,
    reads_invalid_numbers: bool,
}

impl Scanner<'_> {
    /// The byte `ahead` of the present one; zero at the end, as C strings have it.
    fn peek(&self, ahead: usize) -> u8 {
        self.json.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// The next token, and where it begins.
    fn next(&mut self) -> (Token, usize) {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let index = self.at;
        let single = match self.peek(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            0 => return (Token::End, index),
            b'"' => return self.string(),
            _ => return (self.word(), index),
        };
        self.at += 1;
        (single, index)
    }

    /// A number or one of the words.
    fn word(&mut self) -> Token {
        let rest = &self.json[self.at..];
        match rest[0] {
            b'-' | b'0'..=b'9' => {
                if !self.reads_invalid_numbers && is_invalid_number(rest) {
                    return Token::Error("invalid number");
                }
                self.number()
            }
            _ if rest.starts_with(b"true") => self.skip(4, Token::Boolean(true)),
            _ if rest.starts_with(b"false") => self.skip(5, Token::Boolean(false)),
            _ if rest.starts_with(b"null") => self.skip(4, Token::Null),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+'
                if self.reads_invalid_numbers && is_invalid_number(rest) =>
            {
                self.number()
            }
            _ => Token::Error("invalid token"),
        }
    }

    fn skip(&mut self, bytes: usize, token: Token) -> Token {
        self.at += bytes;
        token
    }

    fn number(&mut self) -> Token {
        match read_double(&self.json[self.at..]) {
            Some((number, len)) => self.skip(len, Token::Number(number)),
            None => Token::Error("invalid number"),
        }
    }

    /// A string; an error stands where it was found.
    fn string(&mut self) -> (Token, usize) {
        let index = self.at;
        self.at += 1;
        self.text.clear();
        loop {
            let byte = match self.peek(0) {
                b'"' => break,
                0 => return (Token::Error("unexpected end of string"), self.at),
                b'\\' => {
                    let escape = match self.peek(1) {
                        escape @ (b'"' | b'\\' | b'/') => escape,
                        b'b' => 0x08,
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => 0x0C,
                        b'r' => b'\r',
                        b'u' => {
                            if self.unicode_escape().is_none() {
                                return (Token::Error("invalid unicode escape code"), self.at);
                            }
                            continue;
                        }
                        _ => return (Token::Error("invalid escape code"), self.at),
                    };
                    self.at += 1;
                    escape
                }
                byte => byte,
            };
            self.text.push(byte);
            self.at += 1;
        }
        self.at += 1;
        (Token::String, index)
    }

    /// `\uXXXX`, or a pair of them that together are one character.
    fn unicode_escape(&mut self) -> Option<()> {
        let unit = self.hex4(2)?;
        let (code, len) = match unit {
            0xD800..=0xDBFF => {
                if (self.peek(6), self.peek(7)) != (b'\\', b'u') {
                    return None;
                }
                let low = self.hex4(8).filter(|low| (0xDC00..=0xDFFF).contains(low))?;
                (((unit & 0x3FF) << 10 | low & 0x3FF) + 0x1_0000, 12)
            }
            0xDC00..=0xDFFF => return None,
            unit => (unit, 6),
        };
        let character = char::from_u32(code)?;
        let mut utf8 = [0; 4];
        self.text
            .extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
        self.at += len;
        Some(())
    }

    fn hex4(&self, ahead: usize) -> Option<u32> {
        (0..4).try_fold(0, |value, digit| {
            let digit = char::from(self.peek(ahead + digit)).to_digit(16)?;
            Some(value << 4 | digit)
        })
    }
}

/// Whether what begins like a number is one that JSON does not have, though `strtod` reads it.
fn is_invalid_number(text: &[u8]) -> bool {
    if text[0] == b'+' {
        return true;
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let starts_with =
        |word: &[u8]| text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word);
    match text.first() {
        Some(b'0') => text
            .get(1)
            .is_some_and(|byte| byte.is_ascii_digit() || byte | 0x20 == b'x'),
        Some(byte) if *byte <= b'9' => false,
        _ => starts_with(b"inf") || starts_with(b"nan"),
    }
}
