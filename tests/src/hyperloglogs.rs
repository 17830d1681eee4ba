//! HyperLogLogs of arbitrary bytes: strings that a client has set, and that Larder is to take for one, or refuse.

use crate::Outcome;
use crate::inprocess::{Client, Cluster};
use crate::placed::key_on;
use crate::resp::Reply;

/// The most bytes of a value's registers that are tried.
const REGISTERS_MAX_BYTES: usize = 12_288;

/// A value with this header, its registers made of `bytes`; a dense one has as many as it needs.
fn value(is_dense: bool, count: &[u8; 8], bytes: &[u8]) -> Vec<u8> {
    let mut value = b"HYLL".to_vec();
    value.extend([u8::from(!is_dense), 0, 0, 0]);
    value.extend(count);
    let bytes = &bytes[..bytes.len().min(REGISTERS_MAX_BYTES)];
    value.extend(bytes);
    if is_dense {
        value.resize(
            16 + REGISTERS_MAX_BYTES,
            bytes.first().copied().unwrap_or(0),
        );
    }
    value
}

fn call(cluster: &mut Cluster, client: Client, args: &[&[u8]]) -> Outcome<Reply> {
    let reply = cluster.call(client, args)?;
    match &reply {
        Reply::Error(text) if !is_expected(text) => Err(format!(
            "{}: {}",
            String::from_utf8_lossy(args[0]),
            String::from_utf8_lossy(text)
        )),
        _ => Ok(reply),
    }
}

/// Whether a command may answer this of a value that is none.
fn is_expected(error: &[u8]) -> bool {
    [&b"WRONGTYPE Key is not"[..], b"INVALIDOBJ "]
        .iter()
        .any(|text| error.starts_with(text))
}

/// Sets two values made of `data` and has all commands work on them. What they answer must agree: a value is refused by each command that
/// looks at all its registers, or by none, and is estimated alike however it is written.
///
/// # Errors
/// It does not, or a command answers something else.
pub fn check(data: &[u8]) -> Outcome<()> {
    let Some((&[cores, kinds, low, high], bytes)) = data.split_first_chunk::<4>() else {
        return Ok(());
    };
    let cores = [1, 2][usize::from(cores) % 2];
    let mut cluster = Cluster::new(cores, 1_700_000_000_000)?;
    let client = cluster.connect(0);
    let (first, second) = bytes.split_at(bytes.len().min(usize::from(low) * 16));
    let count = [low, 0, 0, 0, 0, 0, 0, high];
    let keys = [
        key_on(0, cores, "a"),
        key_on(cores - 1, cores, "b"),
        key_on(0, cores, "c"),
    ];
    let [a, b, c] = [0, 1, 2].map(|at: usize| keys[at].as_bytes());
    for (key, registers, dense_bit) in [(a, first, 1), (b, second, 2)] {
        let value = value(kinds & dense_bit > 0, &count, registers);
        call(&mut cluster, client, &[b"SET", key, &value])?;
    }
    for key in [a, b] {
        let kept = call(&mut cluster, client, &[b"PFCOUNT", key])?;
        let merged = call(&mut cluster, client, &[b"PFCOUNT", key, key])?;
        let is_refused = |reply: &Reply| matches!(reply, Reply::Error(_));
        if is_refused(&kept) && !is_refused(&merged) || high >= 0x80 && kept != merged {
            return Err(format!("{kept:?} alone, {merged:?} with itself"));
        }
        let stored = call(&mut cluster, client, &[b"PFMERGE", c, key])?;
        if is_refused(&stored) != is_refused(&merged) {
            return Err(format!("{merged:?}, and merged {stored:?}"));
        }
        if !is_refused(&stored) {
            let again = call(&mut cluster, client, &[b"PFCOUNT", c])?;
            if again != merged {
                return Err(format!("{merged:?}, and once merged {again:?}"));
            }
        }
        call(&mut cluster, client, &[b"DEL", c])?;
    }
    call(&mut cluster, client, &[b"PFCOUNT", a, b])?;
    call(&mut cluster, client, &[b"PFADD", a, &[low], &[high], bytes])?;
    call(&mut cluster, client, &[b"PFADD", b, bytes, first])?;
    call(&mut cluster, client, &[b"PFMERGE", c, a, b])?;
    call(&mut cluster, client, &[b"PFMERGE", a, b])?;
    let decoded = call(&mut cluster, client, &[b"PFDEBUG", b"ENCODING", b])?;
    if decoded == Reply::Status(b"sparse".to_vec()) {
        call(&mut cluster, client, &[b"PFDEBUG", b"DECODE", b])?;
    }
    call(&mut cluster, client, &[b"PFDEBUG", b"TODENSE", b])?;
    call(&mut cluster, client, &[b"PFCOUNT", b])?;
    Ok(())
}
