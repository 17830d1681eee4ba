//! The matcher: backtracking over a pattern, at one place of a text.
//!
//! Nothing is compiled; a pattern is read as it is matched. Repetitions and captures recurse, at most
//! [`MATCH_DEPTH_MAX`] deep, everything else loops.

use super::Patience;
use crate::script::exchange::Raised;
use crate::script::limits::MATCH_DEPTH_MAX;

/// Captures of one pattern.
const CAPTURES_MAX: usize = 32;

/// How far a capture has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CaptureEnd {
    /// Its closing parenthesis has yet to come.
    Open,
    /// It captures a position, not a text.
    Position,
    /// It is so many bytes long.
    Closed(usize),
}

/// What a capture captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Captured<'a> {
    Text(&'a [u8]),
    /// Where, from zero.
    Position(usize),
}

type Found = Result<Option<usize>, Raised>;

/// A pattern being matched with a text.
pub(super) struct Matcher<'a> {
    text: &'a [u8],
    /// Without the anchor.
    pattern: &'a [u8],
    pub(super) is_anchored: bool,
    captures: [(usize, CaptureEnd); CAPTURES_MAX],
    level: usize,
    depth: u32,
    patience: Patience<'a>,
}

/// As a C string, a pattern ends at a zero byte.
pub(super) fn until_zero(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|&byte| byte == 0);
    &pattern[..end.unwrap_or(pattern.len())]
}

impl<'a> Matcher<'a> {
    /// A pattern in which `^` at the beginning is an anchor.
    pub(super) fn anchorable(text: &'a [u8], pattern: &'a [u8], patience: Patience<'a>) -> Self {
        let pattern = until_zero(pattern);
        match pattern.strip_prefix(b"^") {
            Some(rest) => Self {
                is_anchored: true,
                ..Self::unanchored(text, rest, patience)
            },
            None => Self::unanchored(text, pattern, patience),
        }
    }

    /// A pattern in which `^` is a character like others.
    pub(super) fn unanchored(text: &'a [u8], pattern: &'a [u8], patience: Patience<'a>) -> Self {
        Self {
            text,
            pattern: until_zero(pattern),
            is_anchored: false,
            captures: [(0, CaptureEnd::Open); CAPTURES_MAX],
            level: 0,
            depth: 0,
            patience,
        }
    }

    /// The end of a match that begins at `at`.
    pub(super) fn match_at(&mut self, at: usize) -> Found {
        self.level = 0;
        self.depth = 0;
        self.run(at, 0)
    }

    /// The first match that begins at `from` or later: where it begins and ends.
    pub(super) fn search(&mut self, from: usize) -> Result<Option<(usize, usize)>, Raised> {
        for start in from..=self.text.len() {
            if let Some(end) = self.match_at(start)? {
                return Ok(Some((start, end)));
            }
            if self.is_anchored {
                break;
            }
        }
        Ok(None)
    }

    /// Number of captures of the last match.
    pub(super) fn captures(&self) -> usize {
        self.level
    }

    /// Capture `index` of the last match, which is from `start` to `end`.
    pub(super) fn capture(
        &self,
        index: usize,
        start: usize,
        end: usize,
    ) -> Result<Captured<'a>, Raised> {
        if index >= self.level {
            return if index == 0 {
                Ok(Captured::Text(&self.text[start..end]))
            } else {
                Err(Raised::message("invalid capture index"))
            };
        }
        let (begin, extent) = self.captures[index];
        match extent {
            CaptureEnd::Open => Err(Raised::message("unfinished capture")),
            CaptureEnd::Position => Ok(Captured::Position(begin)),
            CaptureEnd::Closed(len) => Ok(Captured::Text(&self.text[begin..begin + len])),
        }
    }

    fn pattern_at(&self, at: usize) -> Option<u8> {
        self.pattern.get(at).copied()
    }

    /// Matches the pattern from `p` on with the text from `s` on, one level deeper.
    fn deeper(&mut self, s: usize, p: usize) -> Found {
        if self.depth == MATCH_DEPTH_MAX {
            return Err(Raised::message("pattern too complex"));
        }
        self.depth += 1;
        let found = self.run(s, p);
        self.depth -= 1;
        found
    }

    fn run(&mut self, mut s: usize, mut p: usize) -> Found {
        loop {
            self.patience.step()?;
            let Some(head) = self.pattern_at(p) else {
                return Ok(Some(s));
            };
            match (head, self.pattern_at(p + 1)) {
                (b'(', Some(b')')) => return self.open(s, p + 2, CaptureEnd::Position),
                (b'(', _) => return self.open(s, p + 1, CaptureEnd::Open),
                (b')', _) => return self.close(s, p + 1),
                (b'%', Some(b'b')) => {
                    let Some(end) = self.balanced(s, p + 2)? else {
                        return Ok(None);
                    };
                    (s, p) = (end, p + 4);
                }
                (b'%', Some(b'f')) => {
                    let Some(end) = self.frontier(s, p + 2)? else {
                        return Ok(None);
                    };
                    p = end;
                }
                (b'%', Some(digit @ b'0'..=b'9')) => {
                    let Some(end) = self.back_reference(s, digit)? else {
                        return Ok(None);
                    };
                    (s, p) = (end, p + 2);
                }
                (b'$', None) => return Ok((s == self.text.len()).then_some(s)),
                _ => {
                    let end = self.class_end(p)?;
                    let matches = self.matches_one(s, p, end);
                    match self.pattern_at(end) {
                        Some(b'?') => {
                            if matches && let Some(found) = self.deeper(s + 1, end + 1)? {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        Some(b'*') => return self.longest(s, p, end),
                        Some(b'+') if matches => return self.longest(s + 1, p, end),
                        Some(b'+') => return Ok(None),
                        Some(b'-') => return self.shortest(s, p, end),
                        _ if matches => (s, p) = (s + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// As many as there are, then fewer until the rest matches.
    fn longest(&mut self, s: usize, p: usize, end: usize) -> Found {
        let mut count = 0;
        while self.matches_one(s + count, p, end) {
            self.patience.step()?;
            count += 1;
        }
        loop {
            if let Some(found) = self.deeper(s + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    /// None, then more until the rest matches.
    fn shortest(&mut self, mut s: usize, p: usize, end: usize) -> Found {
        loop {
            if let Some(found) = self.deeper(s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.matches_one(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, extent: CaptureEnd) -> Found {
        if self.level == CAPTURES_MAX {
            return Err(Raised::message("too many captures"));
        }
        self.captures[self.level] = (s, extent);
        self.level += 1;
        let found = self.deeper(s, p)?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Found {
        let open = self.captures[..self.level]
            .iter()
            .rposition(|(_, extent)| *extent == CaptureEnd::Open)
            .ok_or_else(|| Raised::message("invalid pattern capture"))?;
        self.captures[open].1 = CaptureEnd::Closed(s - self.captures[open].0);
        let found = self.deeper(s, p)?;
        if found.is_none() {
            self.captures[open].1 = CaptureEnd::Open;
        }
        Ok(found)
    }

    /// `%bxy`: from an `x` to the `y` that balances it.
    fn balanced(&mut self, s: usize, p: usize) -> Found {
        let (Some(open), Some(close)) = (self.pattern_at(p), self.pattern_at(p + 1)) else {
            return Err(Raised::message("unbalanced pattern"));
        };
        if self.text.get(s) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1usize;
        for (at, &byte) in self.text.iter().enumerate().skip(s + 1) {
            self.patience.step()?;
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: between a byte that is not in the set and one that is; the ends count as zero bytes. The end of the set.
    fn frontier(&self, s: usize, p: usize) -> Found {
        if self.pattern_at(p) != Some(b'[') {
            return Err(Raised::message("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(p)?;
        let before = s.checked_sub(1).map_or(0, |at| self.text[at]);
        let after = self.text.get(s).copied().unwrap_or(0);
        let is_frontier = !self.is_in_set(before, p, end) && self.is_in_set(after, p, end);
        Ok(is_frontier.then_some(end))
    }

    /// `%1`: the text of a capture once more.
    fn back_reference(&self, s: usize, digit: u8) -> Found {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let Some((begin, extent)) = self.captures[..self.level].get(index) else {
            return Err(Raised::message("invalid capture index"));
        };
        match extent {
            CaptureEnd::Open => Err(Raised::message("invalid capture index")),
            // A position has no text, and Lua takes it for one longer than any.
            CaptureEnd::Position => Ok(None),
            CaptureEnd::Closed(len) => {
                let text = &self.text[*begin..begin + len];
                Ok(self.text[s..].starts_with(text).then_some(s + len))
            }
        }
    }

    /// Where the single character, class or set at `p` ends.
    fn class_end(&self, p: usize) -> Result<usize, Raised> {
        match self.pattern[p] {
            b'%' if p + 1 == self.pattern.len() => {
                Err(Raised::message("malformed pattern (ends with '%')"))
            }
            b'%' => Ok(p + 2),
            b'[' => {
                let missing = || Raised::message("malformed pattern (missing ']')");
                let mut at = p + 1;
                if self.pattern_at(at) == Some(b'^') {
                    at += 1;
                }
                // The first one may be `]` itself.
                loop {
                    let byte = self.pattern_at(at).ok_or_else(missing)?;
                    at += 1;
                    if byte == b'%' && at < self.pattern.len() {
                        at += 1;
                    }
                    if self.pattern_at(at) == Some(b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the byte at `s` is the single character, or in the class or set, from `p` to `end`.
    fn matches_one(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(s) else {
            return false;
        };
        match self.pattern[p] {
            b'.' => true,
            b'%' => is_in_class(byte, self.pattern[p + 1]),
            b'[' => self.is_in_set(byte, p, end),
            single => single == byte,
        }
    }

    fn is_in_set(&self, byte: u8, p: usize, end: usize) -> bool {
        let set = &self.pattern[p + 1..end - 1];
        let (mut set, is_listed) = match set.strip_prefix(b"^") {
            Some(rest) => (rest, false),
            None => (set, true),
        };
        loop {
            set = match set {
                [] => return !is_listed,
                [b'%', class, rest @ ..] if is_in_class(byte, *class) => return is_listed,
                [b'%', _, rest @ ..] => rest,
                [low, b'-', high, ..] if (*low..=*high).contains(&byte) => return is_listed,
                [_, b'-', _, rest @ ..] => rest,
                [single, ..] if *single == byte => return is_listed,
                [_, rest @ ..] => rest,
            };
        }
    }
}

fn is_in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        // C's `isspace` has the vertical tab too.
        b's' => byte.is_ascii_whitespace() || byte == 0x0B,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}
