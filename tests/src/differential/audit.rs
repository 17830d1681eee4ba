//! The whole keyspace compared: what an episode left, in every database, with types, encodings and deadlines.

use super::play::{Difference, Play};
use super::step::{Command, Promise};
use crate::Outcome;
use crate::resp::Reply;

/// Databases that episodes use.
pub(super) const DATABASES: [&str; 3] = ["0", "1", "2"];

const SESSION: usize = 0;

/// Compares all keys of all databases; gives the first difference.
pub(super) fn keyspace(play: &mut Play<'_>) -> Outcome<Option<Difference>> {
    // A shrunk episode may have left a transaction open.
    play.exchange(SESSION, &[super::step::words(&["DISCARD"])])?;
    for database in DATABASES {
        let select = Command::of(&["SELECT", database]);
        let all = Command::of(&["KEYS", "*"]).promise(Promise::Members);
        let size = Command::of(&["DBSIZE"]);
        let commands = [select, size, all];
        let sent: Vec<_> = commands
            .iter()
            .map(|command| command.words.clone())
            .collect();
        let answers = play.exchange(SESSION, &sent)?;
        if let Some(found) = play.compare(&commands, &answers) {
            return Ok(Some(found));
        }
        let Reply::Array(keys) = &answers[0][2] else {
            return Err(format!("KEYS: {:?}", answers[0][2].lines()));
        };
        for key in keys.iter().filter_map(Reply::bytes) {
            if let Some(found) = entry(play, key)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

fn entry(play: &mut Play<'_>, key: &[u8]) -> Outcome<Option<Difference>> {
    let at = |words: &[&[u8]]| Command::of(words);
    let mut commands = vec![
        at(&[b"TYPE", key]),
        at(&[b"PEXPIRETIME", key]).promise(Promise::Deadline { unit_ms: 1 }),
        at(&[b"OBJECT", b"ENCODING", key]),
    ];
    let kind = play.exchange(SESSION, &[commands[0].words.clone()])?;
    match kind[0][0].bytes() {
        Some(b"string") => commands.push(at(&[b"GET", key])),
        Some(b"list") => {
            commands.push(at(&[b"LLEN", key]));
            commands.push(at(&[b"LRANGE", key, b"0", b"-1"]));
        }
        Some(b"set") => {
            commands.push(at(&[b"SCARD", key]));
            commands.push(at(&[b"SMEMBERS", key]).promise(Promise::Members));
        }
        Some(b"zset") => {
            commands.push(at(&[b"ZCARD", key]));
            commands.push(at(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]));
        }
        Some(b"stream") => {
            commands.push(at(&[b"XLEN", key]));
            commands.push(at(&[b"XRANGE", key, b"-", b"+"]));
            if play.ledger.tells_of_streams {
                let full = at(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]);
                commands.push(full.promise(Promise::Timeless));
            }
        }
        Some(b"hash") => {
            commands.push(at(&[b"HLEN", key]));
            commands.push(at(&[b"HGETALL", key]).promise(Promise::Pairs));
            if play.ledger.has_field_deadlines
                && let Some(command) = deadlines_of(play, key)?
            {
                commands.push(command);
            }
        }
        _ => {}
    }
    play.pipeline(SESSION, &commands)
}

/// `HPEXPIRETIME` of all fields that the reference has.
fn deadlines_of(play: &mut Play<'_>, key: &[u8]) -> Outcome<Option<Command>> {
    let fields = play.exchange(SESSION, &[super::step::words(&[b"HKEYS", key])])?;
    let Reply::Array(fields) = &fields[0][0] else {
        return Ok(None);
    };
    let names: Vec<&[u8]> = fields.iter().filter_map(Reply::bytes).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let count = names.len().to_string();
    let command = Command::of(&[b"HPEXPIRETIME", key, b"FIELDS", count.as_bytes()])
        .with(&names)
        .promise(Promise::Deadline { unit_ms: 1 });
    Ok(Some(command))
}
