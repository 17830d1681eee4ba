//! Glob matching as Redis patterns do it: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, `\x`.
//!
//! One pass with a single point to go back to: when something behind a `*` fails, only the last `*` takes one byte more.
//! That is enough, since every other element takes exactly one byte. Cost is at most pattern length times text length,
//! without recursion, whatever a client sends.
//!
//! As in Redis: a class that is not closed ends with the pattern, the ends of a range may stand in either order,
//! `[a-]` is a range up to `]`, a `\` at the end stands for itself, and case is not folded for an escaped byte in a class.

/// Whether letters of different case are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They differ.
    Sensitive,
    /// ASCII letters match either way.
    Insensitive,
}

impl Case {
    fn fold(self, byte: u8) -> u8 {
        match self {
            Self::Sensitive => byte,
            Self::Insensitive => byte.to_ascii_lowercase(),
        }
    }
}

/// Whether all of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last star in the pattern, and how much of the text lies before what that star does not take.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
        } else if let Some(next) = match_one(pattern, p, text[t], case) {
            p = next;
            t += 1;
        } else if let Some((behind_star, taken)) = retry {
            p = behind_star;
            t = taken + 1;
            retry = Some((behind_star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// What every text begins with that matches: the bytes of `pattern` before the first that stands for more than itself.
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let is_special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
    let end = pattern.iter().position(is_special);
    &pattern[..end.unwrap_or(pattern.len())]
}

/// Whether `pattern` has no meaning beyond its own bytes, so that a lookup can take the place of a search.
pub fn is_literal(pattern: &[u8]) -> bool {
    literal_prefix(pattern).len() == pattern.len()
}

/// Matches the element at `p`, which is no star, with `byte`; gives the position behind the element.
fn match_one(pattern: &[u8], p: usize, byte: u8, case: Case) -> Option<usize> {
    let literal = match pattern[p..] {
        [] => return None,
        [b'?', ..] => return Some(p + 1),
        [b'[', ..] => return match_class(pattern, p + 1, byte, case),
        [b'\\', escaped, ..] => {
            return (case.fold(escaped) == case.fold(byte)).then_some(p + 2);
        }
        [literal, ..] => literal,
    };
    (case.fold(literal) == case.fold(byte)).then_some(p + 1)
}

/// Matches the class whose first byte behind the `[` is at `p`.
fn match_class(pattern: &[u8], mut p: usize, byte: u8, case: Case) -> Option<usize> {
    let wanted = pattern.get(p) != Some(&b'^');
    if !wanted {
        p += 1;
    }
    let folded = case.fold(byte);
    let mut found = false;
    loop {
        match pattern[p.min(pattern.len())..] {
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                p += 2;
            }
            [b']', ..] => {
                p += 1;
                break;
            }
            [] => break,
            [from, b'-', to, ..] => {
                let (from, to) = (from.min(to), from.max(to));
                found |= (case.fold(from)..=case.fold(to)).contains(&folded);
                p += 3;
            }
            [literal, ..] => {
                found |= case.fold(literal) == folded;
                p += 1;
            }
        }
    }
    (found == wanted).then_some(p)
}

#[cfg(test)]
mod tests {
    use super::{Case, is_literal, matches};
    use proptest::prelude::*;

    fn sensitive(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive)
    }

    #[test]
    fn patterns_match_as_redis_has_it() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "hllo", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hallo", true),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("[a-]x", "x", true),
            ("[abc", "b", true),
            ("[^", "x", true),
            ("[]", "]", false),
            ("[\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("a**b", "ab", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*.log", "a.log.log", true),
            ("foo*", "foo", true),
            ("foo", "foobar", false),
            ("[", "[", false),
            ("?", "", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(sensitive(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn case_is_folded_only_on_request() {
        assert!(!sensitive("MAX*", "maxmemory"));
        assert!(matches(b"MAX*", b"maxmemory", Case::Insensitive));
        assert!(matches(b"[A-C]x", b"Bx", Case::Insensitive));
        assert!(matches(b"[A-C]X", b"bx", Case::Insensitive));
        assert!(!matches(b"[\\A]", b"a", Case::Insensitive));
    }

    #[test]
    fn many_stars_cost_no_more_than_length_times_length() {
        let pattern = "a*".repeat(2000) + "b";
        assert!(!sensitive(&pattern, &"a".repeat(20_000)));
        assert!(!sensitive(&"*[^x]".repeat(1000), &"x".repeat(20_000)));
    }

    #[test]
    fn a_pattern_without_special_bytes_is_literal() {
        assert!(is_literal(b"maxmemory"));
        assert!(!is_literal(b"max*"));
        assert!(!is_literal(b"a\\b"));
    }

    /// The meaning of a pattern, written down without regard to cost.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
            ([b'?', rest @ ..], [_, behind @ ..]) => naive(rest, behind),
            ([literal, rest @ ..], [byte, behind @ ..]) => literal == byte && naive(rest, behind),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn one_point_to_go_back_to_is_enough(pattern in "[ab*?]{0,10}", text in "[ab]{0,10}") {
            prop_assert_eq!(sensitive(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn no_pattern_panics(pattern: Vec<u8>, text: Vec<u8>) {
            matches(&pattern, &text, Case::Insensitive);
        }

        #[test]
        fn every_class_ends(pattern in r"[\[\]\\^a*-]{0,12}", text in "[a^-]{0,6}") {
            matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive);
        }
    }
}
