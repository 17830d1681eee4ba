//! Text made safe for HTML and SVG, and about how wide it is.

/// `text` with what would be markup escaped.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// About how wide `text` is at one pixel of font size, in the sans-serif faces of the common systems.
fn width(text: &str) -> f64 {
    let letter = |letter: char| match letter {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | ' '
        | '·' => 0.33,
        'm' | 'w' | 'M' | 'W' => 0.88,
        letter if letter.is_uppercase() => 0.68,
        _ => 0.58,
    };
    text.chars().map(letter).sum()
}

/// `text`, shortened with an ellipsis so that it is at most about `pixels` wide at `size`.
pub(super) fn fitted(text: &str, size: f64, pixels: f64) -> String {
    if width(text) * size <= pixels {
        return text.to_owned();
    }
    let mut short = text.to_owned();
    while !short.is_empty() && width(&short) * size > pixels - size {
        short.pop();
    }
    short.trim_end().to_owned() + "…"
}

/// A paragraph's worth of text for a heading's `id`.
pub(super) fn anchor(text: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_stays_text() {
        assert_eq!(
            escape("<b a=\"x\">&'"),
            "&lt;b a=&quot;x&quot;&gt;&amp;&#39;"
        );
    }

    #[test]
    fn long_names_are_shortened() {
        assert_eq!(fitted("Redis", 12.0, 80.0), "Redis");
        let short = fitted("A server with a very long name", 12.0, 80.0);
        assert!(
            short.ends_with('…') && width(&short) * 12.0 <= 88.0,
            "{short}"
        );
    }

    #[test]
    fn anchors_are_plain() {
        assert_eq!(anchor("CPU per operation"), "cpu-per-operation");
    }
}
