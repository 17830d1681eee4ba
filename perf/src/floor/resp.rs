//! The least of RESP2 a load generator needs: command arrays and inline commands in, replies out.

/// Arguments kept of a command; further ones are skipped over.
const KEPT_ARGUMENTS: usize = 3;
/// Largest argument count and length taken, as in Redis: 1 Mi arguments, 512 MiB.
const MAX_ARGUMENTS: usize = 1 << 20;
const MAX_ARGUMENT_BYTES: usize = 512 << 20;

/// A command in the bytes it arrived in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Get { key: &'a [u8] },
    Set { key: &'a [u8], value: &'a [u8] },
    Ping,
    Dbsize,
    Flushall,
    ConfigGet { parameter: &'a [u8] },
    ListCommands,
    Info,
    Other,
}

/// Not RESP; the connection is of no more use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The first command of `input` and its length in bytes, or `None` when it is not all there.
///
/// # Errors
///
/// [`Malformed`] when no continuation of `input` could make it valid.
#[inline]
pub(crate) fn next_command(input: &[u8]) -> Result<Option<(Command<'_>, usize)>, Malformed> {
    match input.first() {
        None => Ok(None),
        Some(b'*') => next_array(input),
        Some(_) => Ok(next_inline(input)),
    }
}

#[inline]
fn next_array(input: &[u8]) -> Result<Option<(Command<'_>, usize)>, Malformed> {
    let Some((count, mut at)) = number(input, 1, MAX_ARGUMENTS)? else {
        return Ok(None);
    };
    let mut kept: [&[u8]; KEPT_ARGUMENTS] = [b""; KEPT_ARGUMENTS];
    for index in 0..count {
        match input.get(at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(_) => return Err(Malformed),
        }
        let Some((len, start)) = number(input, at + 1, MAX_ARGUMENT_BYTES)? else {
            return Ok(None);
        };
        let end = start + len;
        if input.len() < end + 2 {
            return Ok(None);
        }
        if let Some(slot) = kept.get_mut(index) {
            *slot = &input[start..end];
        }
        at = end + 2;
    }
    Ok(Some((classify(&kept[..count.min(KEPT_ARGUMENTS)]), at)))
}

fn next_inline(input: &[u8]) -> Option<(Command<'_>, usize)> {
    let end = input.iter().position(|&byte| byte == b'\n')?;
    let mut words = input[..end]
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let mut kept: [&[u8]; KEPT_ARGUMENTS] = [b""; KEPT_ARGUMENTS];
    let mut count = 0;
    for (slot, word) in kept.iter_mut().zip(&mut words) {
        *slot = word;
        count += 1;
    }
    Some((classify(&kept[..count]), end + 1))
}

/// The decimal number at `at`, and where the line after it starts.
#[inline]
fn number(input: &[u8], at: usize, max: usize) -> Result<Option<(usize, usize)>, Malformed> {
    let mut value = 0;
    for (index, &byte) in input.iter().enumerate().skip(at) {
        match byte {
            b'0'..=b'9' => value = value * 10 + usize::from(byte - b'0'),
            b'\r' if input.len() > index + 1 => return Ok(Some((value, index + 2))),
            b'\r' => return Ok(None),
            _ => return Err(Malformed),
        }
        if value > max {
            return Err(Malformed);
        }
    }
    Ok(None)
}

#[inline]
fn classify<'a>(arguments: &[&'a [u8]]) -> Command<'a> {
    match *arguments {
        [name, key] if is(name, b"get") => Command::Get { key },
        [name, key, value] if is(name, b"set") => Command::Set { key, value },
        [name, ..] if is(name, b"ping") => Command::Ping,
        [name, ..] if is(name, b"dbsize") => Command::Dbsize,
        [name, ..] if is(name, b"flushall") => Command::Flushall,
        [name, get, parameter] if is(name, b"config") && is(get, b"get") => {
            Command::ConfigGet { parameter }
        }
        [name, ..] if is(name, b"command") => Command::ListCommands,
        [name, ..] if is(name, b"info") => Command::Info,
        _ => Command::Other,
    }
}

#[inline]
fn is(name: &[u8], lower: &[u8]) -> bool {
    name.eq_ignore_ascii_case(lower)
}

/// Appends `value` as a bulk string.
#[inline]
pub(crate) fn push_bulk(out: &mut Vec<u8>, value: &[u8]) {
    // '$', 20 digits, two line ends.
    out.reserve(value.len() + 25);
    push_number(out, b'$', value.len());
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a line of `mark` and `number`: an integer with `:`, a length with `$` or `*`.
#[inline]
pub(crate) fn push_number(out: &mut Vec<u8>, mark: u8, mut number: usize) {
    let mut line = [0; 24];
    line[22..].copy_from_slice(b"\r\n");
    let mut start = 22;
    loop {
        start -= 1;
        line[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    start -= 1;
    line[start] = mark;
    out.extend_from_slice(&line[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_only_when_it_is_complete() {
        let whole = b"*3\r\n$3\r\nSeT\r\n$1\r\nk\r\n$5\r\nv\r\n12\r\n";
        for cut in 0..whole.len() {
            assert_eq!(next_command(&whole[..cut]), Ok(None), "cut at {cut}");
        }
        let set = Command::Set {
            key: b"k",
            value: b"v\r\n12",
        };
        assert_eq!(next_command(whole), Ok(Some((set, whole.len()))));
    }

    #[test]
    fn an_inline_command_ends_with_its_line() {
        let get = Command::Get { key: b"k" };
        assert_eq!(next_command(b"get  k\r\nPING\r\n"), Ok(Some((get, 8))));
        assert_eq!(next_command(b"PING"), Ok(None));
    }

    #[test]
    fn input_that_cannot_become_valid_is_refused() {
        for input in [
            &b"*x"[..],
            b"*1\r\n:1\r\n",
            b"*1\r\n$-1\r\n",
            b"*9999999999",
        ] {
            assert_eq!(next_command(input), Err(Malformed));
        }
    }

    #[test]
    fn lengths_are_written_in_decimal() {
        let mut out = Vec::new();
        push_bulk(&mut out, b"0123456789");
        push_number(&mut out, b':', 0);
        push_number(&mut out, b':', usize::MAX);
        assert_eq!(out, b"$10\r\n0123456789\r\n:0\r\n:18446744073709551615\r\n");
    }
}
