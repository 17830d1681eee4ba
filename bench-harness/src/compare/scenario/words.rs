//! Command lines in a scenario: cut into words as a shell would, with `{placeholders}` filled in afterwards.
//!
//! No shell is started, so nothing is expanded: a word is cut first and filled second, and what fills it can never
//! become two words. Quotes and backslashes work as in `sh`.

/// Cuts `text` into words at white space; `'…'`, `"…"` and `\` keep what they quote together.
///
/// # Errors
/// A quote that is not closed, or a backslash with nothing after it.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\'' | '"' => quoted(letter, &mut rest, word.get_or_insert_default())
                .ok_or_else(|| format!("{letter} is not closed in: {text}"))?,
            '\\' => {
                let next = rest.next();
                let next = next.ok_or_else(|| format!("a backslash ends: {text}"))?;
                word.get_or_insert_default().push(next);
            }
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Reads up to the closing `quote` into `word`; `None` when it does not come.
fn quoted(quote: char, rest: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            letter if letter == quote => return Some(()),
            '\\' if quote == '"' => match rest.next()? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

/// Joins words into a line that [`split`] cuts into the same words.
pub(crate) fn join<S: AsRef<str>>(words: &[S]) -> String {
    let quote = |word: &str| {
        let plain = |c: char| c.is_alphanumeric() || "-_=.,/:+@%{}*".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let quoted: Vec<String> = words.iter().map(|word| quote(word.as_ref())).collect();
    quoted.join(" ")
}

/// Replaces every `{name}` in `word` by its value.
///
/// # Errors
/// A name that `values` does not have.
pub(crate) fn fill(word: &str, values: &[(&str, String)]) -> Result<String, String> {
    let mut filled = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else {
            break;
        };
        let name = &rest[open + 1..open + length];
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else {
            let known: Vec<String> = values
                .iter()
                .map(|(known, _)| format!("{{{known}}}"))
                .collect();
            return Err(format!(
                "{{{name}}} is unknown here; known: {}",
                known.join(", ")
            ));
        };
        filled.push_str(&rest[..open]);
        filled.push_str(value);
        rest = &rest[open + length + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        split(text).unwrap()
    }

    #[test]
    fn words_are_cut_as_a_shell_cuts_them() {
        assert_eq!(words("a  b\tc\n"), ["a", "b", "c"]);
        assert_eq!(
            words(r#"--save "" --x 'y z' w\ v"#),
            ["--save", "", "--x", "y z", "w v"]
        );
        assert_eq!(words(r#"a"b c"'d e'"#), ["ab cd e"]);
        assert_eq!(words(r#""q\"q" "b\\s" "n\n""#), ["q\"q", "b\\s", "n\\n"]);
        assert!(words("  ").is_empty());
    }

    #[test]
    fn an_open_quote_is_an_error() {
        for text in ["'a", "\"a", "a\\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn joined_words_are_cut_into_themselves() {
        let lists: [&[&str]; 3] = [
            &["a", "", "b c"],
            &["it's", "\"x\"", "\\"],
            &["--port={port}", "$HOME"],
        ];
        for list in lists {
            assert_eq!(words(&join(list)), list);
        }
    }

    #[test]
    fn placeholders_are_filled_and_unknown_ones_refused() {
        let values = [("port", "7000".to_owned()), ("dir", "a b".to_owned())];
        assert_eq!(
            fill("--port={port}/{dir}{port}", &values).unwrap(),
            "--port=7000/a b7000"
        );
        assert_eq!(fill("no { end", &values).unwrap(), "no { end");
        let error = fill("{prot}", &values).unwrap_err();
        assert!(
            error.contains("{prot}") && error.contains("{port}, {dir}"),
            "{error}"
        );
    }
}
