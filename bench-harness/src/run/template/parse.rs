//! From the text of a template to its words and pieces.

use super::{Command, Draw, Piece, Template};

/// The bound of `__score__`.
const MAX_SCORE: u64 = 999_999;

/// The bound of `__int__` without a range.
const MAX_INT: u64 = 999_999_999;

/// More keys than this in one command are a mistake.
const MAX_RUN: u64 = 10_000;

pub(super) fn template(text: &str) -> Result<Template, String> {
    let mut draws = Vec::new();
    let mut commands = Vec::new();
    for words in words(text)?.split(|word| word == b";") {
        let words = words
            .iter()
            .map(|word| pieces(word, &mut draws))
            .collect::<Result<Vec<_>, _>>()?;
        commands.push(command(words)?);
    }
    Ok(Template {
        text: text.to_owned(),
        commands,
        draws,
    })
}

fn command(words: Vec<Vec<Piece>>) -> Result<Command, String> {
    let name = match words.first().map(Vec::as_slice) {
        None | Some([]) => return Err("a command has a name".to_owned()),
        Some([Piece::Literal(name)]) => String::from_utf8_lossy(name).to_ascii_uppercase(),
        Some(_) => return Err("the first word is the command's name, as it stands".to_owned()),
    };
    if name.ends_with("SUBSCRIBE") || name == "MONITOR" {
        return Err(format!(
            "{name} has no single reply; `--preset pubsub` measures subscribers"
        ));
    }
    let is_run = |piece: &Piece| matches!(piece, Piece::KeyRun { .. });
    let runs = words.iter().flatten().filter(|piece| is_run(piece)).count();
    let alone = words
        .iter()
        .all(|word| word.len() == 1 || !word.iter().any(is_run));
    if runs > 1 || !alone {
        return Err("a command has one key run at most, a word of its own".to_owned());
    }
    Ok(Command { name, words })
}

/// Cuts the text into words.
fn words(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = text.bytes();
    let mut quote: Option<u8> = None;
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (None, b' ' | b'\t' | b'\n' | b'\r') => words.extend(word.take()),
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (Some(open), _) if byte == open => quote = None,
            (Some(b'"'), b'\\') => word.get_or_insert_default().push(escape(&mut bytes)?),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

fn escape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, String> {
    let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
    match bytes.next() {
        Some(b'n') => Ok(b'\n'),
        Some(b'r') => Ok(b'\r'),
        Some(b't') => Ok(b'\t'),
        Some(b'x') => hex(bytes.next())
            .zip(hex(bytes.next()))
            .map(|(high, low)| (high * 16 + low) as u8)
            .ok_or_else(|| "\\x is followed by two hexadecimal digits".to_owned()),
        Some(other) => Ok(other),
        None => Err("a quote is not closed".to_owned()),
    }
}

/// Cuts a word into literals and placeholders.
fn pieces(word: &[u8], draws: &mut Vec<Draw>) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let Some((name, after)) = placeholder(rest) else {
            literal.push(rest[0]);
            rest = &rest[1..];
            continue;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
        }
        pieces.push(piece(name, draws)?);
        rest = after;
    }
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(pieces)
}

/// The placeholder that `rest` begins with, and what follows: `__`, a small letter, whatever is no double underscore, `__`.
fn placeholder(rest: &[u8]) -> Option<(&str, &[u8])> {
    let inner = rest.strip_prefix(b"__")?;
    if !inner.first()?.is_ascii_lowercase() {
        return None;
    }
    let end = inner.windows(2).position(|pair| pair == b"__")?;
    let name = std::str::from_utf8(&inner[..end]).ok()?;
    Some((name, &inner[end + 2..]))
}

fn piece(inner: &str, draws: &mut Vec<Draw>) -> Result<Piece, String> {
    let (name, range) = match inner.split_once(':') {
        None => (inner, None),
        Some((name, range)) => {
            let (min, max) = parse_range(range)
                .ok_or_else(|| format!("`{range}` in __{inner}__ is not MIN-MAX"))?;
            (name, Some((min, max)))
        }
    };
    let has_key = !draws.is_empty();
    let mut draw = |kind| {
        draws.push(kind);
        draws.len() - 1
    };
    match (name, range) {
        ("key", None) => Ok(Piece::Key(draw(Draw::Sampled))),
        ("new_key", None) => Ok(Piece::Key(draw(Draw::Inserted))),
        ("rand_int", None) => Ok(Piece::KeyNumber(draw(Draw::Sampled))),
        ("same_key", None) if !has_key => Err("__same_key__ needs a key before it".to_owned()),
        ("same_key", None) => Ok(Piece::Key(0)),
        ("key_run", Some((min, max))) if min > 0 && max <= MAX_RUN => Ok(Piece::KeyRun {
            draw: draw(Draw::Sampled),
            min,
            max,
        }),
        ("key_run", _) => Err(format!("__key_run:MIN-MAX__ takes 1 to {MAX_RUN} keys")),
        ("value" | "data", None) => Ok(Piece::Value),
        ("bytes", None) => Ok(Piece::ValueBytes),
        ("field", None) => Ok(Piece::Field),
        ("score", None) => Ok(Piece::Int {
            min: 0,
            max: MAX_SCORE,
        }),
        ("int", None) => Ok(Piece::Int {
            min: 0,
            max: MAX_INT,
        }),
        ("int", Some((min, max))) => Ok(Piece::Int { min, max }),
        ("ttl", None) => Ok(Piece::Ttl),
        ("now_ms", None) => Ok(Piece::NowMs),
        ("now_us", None) => Ok(Piece::NowUs),
        ("stamp", None) => Ok(Piece::Stamp),
        _ => {
            let known: Vec<&str> = super::PLACEHOLDERS.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "__{inner}__ is none of the placeholders {}",
                known.join(", ")
            ))
        }
    }
}

fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (min, max) = text.split_once('-')?;
    let range: (u64, u64) = (min.parse().ok()?, max.parse().ok()?);
    (range.0 <= range.1 && range.1 < u64::MAX).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Vec<Piece> {
        vec![Piece::Literal(text.as_bytes().into())]
    }

    #[test]
    fn words_are_cut_at_blanks_and_kept_together_by_quotes() {
        let words = words("SET  'a b' \"c\\r\\n\\x41\\\"\" ''").unwrap();
        let want: [&[u8]; 4] = [b"SET", b"a b", b"c\r\nA\"", b""];
        assert_eq!(words, want);
        assert!(super::words("SET 'a").is_err() && super::words("SET \"\\x4\"").is_err());
    }

    #[test]
    fn placeholders_stand_within_words() {
        let parsed = template("zadd board:__int:1-4__ __score__ user:__key__:x").unwrap();
        assert_eq!(parsed.commands[0].name, "ZADD");
        let words = &parsed.commands[0].words;
        assert_eq!(words[0], literal("zadd"));
        assert_eq!(words[1][1], Piece::Int { min: 1, max: 4 });
        assert_eq!(
            words[3],
            [literal("user:"), vec![Piece::Key(0)], literal(":x")].concat()
        );
        assert_eq!(parsed.draws, [Draw::Sampled]);
    }

    #[test]
    fn placeholders_may_touch_and_other_underscores_are_text() {
        let parsed = template("ECHO __stamp____value__ my__KEY__ __ a__b").unwrap();
        let words = &parsed.commands[0].words;
        assert_eq!(words[1], [Piece::Stamp, Piece::Value]);
        assert_eq!(words[2], literal("my__KEY__"));
        assert_eq!((&words[3], &words[4]), (&literal("__"), &literal("a__b")));
    }

    #[test]
    fn a_group_shares_its_keys() {
        let parsed =
            template("GET __key__ ; SET __same_key__ __value__ ; DEL __new_key__").unwrap();
        assert_eq!(parsed.draws, [Draw::Sampled, Draw::Inserted]);
        let keys: Vec<Vec<usize>> = parsed.commands.iter().map(|c| c.keys().collect()).collect();
        assert_eq!(keys, [vec![0], vec![0], vec![1]]);
    }

    #[test]
    fn mistakes_are_told() {
        for text in [
            "",
            ";",
            "GET __key__ ;",
            "__key__ x",
            "GET __keys__",
            "GET __int:5__",
            "GET __int:5-1__",
            "GET __same_key__",
            "MGET x__key_run:1-2__",
            "MGET __key_run:1-2__ __key_run:1-2__",
            "MGET __key_run:0-2__",
            "MGET __key_run__",
            "SUBSCRIBE a",
            "MONITOR",
        ] {
            assert!(template(text).is_err(), "{text}");
        }
    }
}
