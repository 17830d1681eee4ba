//! Payloads changed at random, as damage and malice would: bits, lengths, whole ranges.

use larder_server::rdb::{Version, seal_as};

use super::{MANNERS, Plain, as_kept, read, read_payload, write};
use crate::inprocess::Cluster;
use crate::random::Random;
use crate::resp::Reply;

/// Bytes that mean something in one format or another.
const TELLING: &[u8] = &[
    0, 1, 2, 3, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xe0, 0xf0, 0xf1, 0xf4,
    0xfd, 0xfe, 0xff,
];

/// Changes a type and its value in one to four places.
pub fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.between(1, 4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let len = random.below((bytes.len() - at).min(20) + 1);
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = TELLING[random.below(TELLING.len())],
            2 => bytes[at] = bytes[at].wrapping_add(1),
            3 => bytes[at] = bytes[at].wrapping_sub(1),
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..at + len)),
            6 => {
                // A range again, somewhere else.
                let again = bytes[at..at + len].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, again);
            }
            _ => {
                // A length of another form.
                let mut length = vec![[0x40, 0x80, 0x81, 0xc3][random.below(4)]];
                length.extend((0..8).map(|_| TELLING[random.below(TELLING.len())]));
                length.truncate(random.between(2, 9));
                let to = (at + random.below(3)).min(bytes.len());
                bytes.splice(at..to, length);
            }
        }
    }
}

/// Reads a type and a value that may be damaged. What is accepted is a value: written again, in every manner, it reads the
/// same.
///
/// Gives whether it is accepted.
///
/// # Errors
/// It reads otherwise.
///
/// # Panics
/// As [`read`].
pub fn check(version: Version, bytes: &[u8]) -> Result<bool, String> {
    let Ok((plain, _)) = read(version, bytes) else {
        return Ok(false);
    };
    let expected = plain.clone().as_written().sorted();
    for manner in MANNERS {
        let Some(payload) = write(&plain, manner) else {
            break;
        };
        let again = read_payload(&payload).map_err(|why| format!("{manner:?}: {why}"))?;
        if again.sorted() != expected {
            return Err(format!("{manner:?}: {expected:?} reads otherwise"));
        }
    }
    Ok(true)
}

/// Has a server within the process restore a type and a value that may be damaged, over a key that holds something else: it holds
/// what was read then, as `DUMP` tells it, or what it held, if it was refused.
///
/// Gives whether it is accepted.
///
/// # Errors
/// It holds another value, or the server answers something else.
///
/// # Panics
/// As [`read`].
pub fn check_restored(version: Version, bytes: &[u8]) -> Result<bool, String> {
    // At the beginning of time, so that no deadline has passed.
    let mut cluster = Cluster::new(1, 0)?;
    let client = cluster.connect(0);
    cluster.call(client, &["SET", "k", "untouched"])?;
    let payload = seal_as(bytes.to_vec(), version);
    let words: [&[u8]; 5] = [b"RESTORE", b"k", b"0", &payload, b"REPLACE"];
    let answer = cluster.call(client, &words)?;
    let read = read(version, bytes).map(|(plain, _)| plain);
    if read
        .as_ref()
        .is_ok_and(|plain| plain.has_deadline_before(1))
    {
        // Valkey's may have passed even then.
        return Ok(true);
    }
    let expected = read.ok().map(as_kept);
    let is_accepted = match (&answer, &expected) {
        (Reply::Status(_), Some(_)) => true,
        (Reply::Error(text), None) if text == b"ERR Bad data format" => false,
        _ => return Err(format!("{:?} where {expected:?} was read", answer.lines())),
    };
    let Reply::Bulk(dumped) = cluster.call(client, &["DUMP", "k"])? else {
        return Err("the key is gone".into());
    };
    let is = read_payload(&dumped)?.sorted();
    let untouched = Plain::String(b"untouched".to_vec());
    match is == expected.unwrap_or(untouched) {
        true => Ok(is_accepted),
        false => Err(format!("it holds {is:?}")),
    }
}
