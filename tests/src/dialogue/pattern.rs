//! Whether the lines of a reply fit the lines a dialogue expects.

/// Compares line by line; a line `...` fits any number of lines, and a line may hold the wildcards of the format.
#[must_use]
pub fn matches(expected: &[String], actual: &[String]) -> bool {
    let Some((first, rest)) = expected.split_first() else {
        return actual.is_empty();
    };
    if first.trim() == "..." {
        return (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..]));
    }
    match actual.split_first() {
        Some((line, others)) => line_matches(first, line) && matches(rest, others),
        None => false,
    }
}

/// Whether lines hold anything but literal text.
pub(super) fn has_wildcards(lines: &[String]) -> bool {
    lines.iter().any(|line| {
        line.trim() == "..."
            || tokens(line)
                .iter()
                .any(|token| !matches!(token, Token::Text(_)))
    })
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Text(&'a str),
    Any,
    Integer,
    Number,
    Between(i64, i64),
    OneOf(Vec<&'a str>),
}

fn line_matches(expected: &str, actual: &str) -> bool {
    expected == actual || tokens_match(&tokens(expected), actual)
}

fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut text_start = 0;
    let mut at = 0;
    while let Some(open) = line[at..].find('<').map(|found| at + found) {
        let Some(close) = line[open..].find('>').map(|found| open + found) else {
            break;
        };
        if let Some(token) = wildcard(&line[open + 1..close]) {
            if text_start < open {
                out.push(Token::Text(&line[text_start..open]));
            }
            out.push(token);
            at = close + 1;
            text_start = at;
        } else {
            at = open + 1;
        }
    }
    if text_start < line.len() {
        out.push(Token::Text(&line[text_start..]));
    }
    out
}

fn wildcard(inner: &str) -> Option<Token<'_>> {
    match inner {
        "*" => return Some(Token::Any),
        "n" => return Some(Token::Integer),
        "f" => return Some(Token::Number),
        _ => {}
    }
    if let Some((low, high)) = inner.split_once("..") {
        return Some(Token::Between(low.parse().ok()?, high.parse().ok()?));
    }
    (inner.contains('|') && !inner.contains(' ')).then(|| Token::OneOf(inner.split('|').collect()))
}

fn tokens_match(tokens: &[Token<'_>], actual: &str) -> bool {
    let Some((first, rest)) = tokens.split_first() else {
        return actual.is_empty();
    };
    let ends = || {
        (0..=actual.len())
            .filter(|&end| actual.is_char_boundary(end))
            .rev()
    };
    let takes = |accept: &dyn Fn(&str) -> bool| {
        ends().any(|end| accept(&actual[..end]) && tokens_match(rest, &actual[end..]))
    };
    match first {
        Token::Text(text) => actual
            .strip_prefix(text)
            .is_some_and(|left| tokens_match(rest, left)),
        Token::Any => takes(&|_| true),
        Token::Integer => takes(&|text| text.parse::<i128>().is_ok() && !text.starts_with('+')),
        Token::Number => takes(&|text| text.parse::<f64>().is_ok()),
        Token::Between(low, high) => takes(&|text| {
            text.parse()
                .is_ok_and(|value: i64| (*low..=*high).contains(&value))
        }),
        Token::OneOf(texts) => texts.iter().any(|text| {
            actual
                .strip_prefix(text)
                .is_some_and(|left| tokens_match(rest, left))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(expected: &str, actual: &str) -> bool {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        matches(&lines(expected), &lines(actual))
    }

    #[test]
    fn literal_lines_must_be_equal() {
        assert!(fits("*1\n  \"a\"", "*1\n  \"a\""));
        assert!(!fits("*1\n  \"a\"", "*1\n  \"b\""));
        assert!(!fits("+OK", "+OK\n+OK"));
    }

    #[test]
    fn wildcards_fit_their_kind_only() {
        assert!(fits(":<n>", ":-12"));
        assert!(!fits(":<n>", ":x"));
        assert!(fits(",<f>", ",1.5e10"));
        assert!(fits(":<95..100>", ":97"));
        assert!(!fits(":<95..100>", ":94"));
        assert!(fits("\"<raw|embstr>\"", "\"embstr\""));
        assert!(!fits("\"<raw|embstr>\"", "\"int\""));
        assert!(fits(
            "\"id=<n> addr=<*> fd=<n>\"",
            "\"id=5 addr=127.0.0.1:1 fd=8\""
        ));
    }

    #[test]
    fn three_dots_fit_any_number_of_lines() {
        assert!(fits("*<n>\n  ...", "*2\n  :1\n  :2"));
        assert!(fits("*<n>\n  ...\n  :2", "*2\n  :1\n  :2"));
        assert!(fits("*0\n  ...", "*0"));
    }

    #[test]
    fn angle_brackets_that_are_no_wildcard_stand_for_themselves() {
        assert!(fits("+KILL <option> <value>", "+KILL <option> <value>"));
        assert!(!has_wildcards(&["+KILL <option> a < b".to_owned()]));
        assert!(has_wildcards(&[":<n>".to_owned()]));
    }
}
