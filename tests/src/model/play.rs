//! Plays a dialogue on Larder's cores within the process, and holds every reply against the model.

use super::keyspace::{Expectation, Keyspace};
use super::steps::{SESSIONS, Step, Steps};
use crate::Outcome;
use crate::inprocess::Cluster;
use crate::quoting::escape;
use crate::resp;

const START_MS: u64 = 1_700_000_000_000;

/// What is sent and not yet answered.
struct Sent {
    args: Vec<Vec<u8>>,
    expected: Expectation,
}

/// Plays the steps that `bytes` stand for on so many cores.
///
/// # Errors
/// The first reply that the model does not allow, with the commands up to it.
pub fn check(bytes: &[u8], cores: u16) -> Outcome<()> {
    let mut cluster = Cluster::new(cores, START_MS)?;
    let clients: Vec<_> = (0..SESSIONS)
        .map(|number| cluster.connect(number % usize::from(cores)))
        .collect();
    let mut model = Keyspace::new(START_MS);
    let mut history = Vec::new();
    let mut pending: Option<(usize, Vec<u8>, Vec<Sent>)> = None;
    let mut steps = Steps::of(bytes).peekable();
    while let Some(step) = steps.next() {
        let (session, pipelined, args) = match step {
            Step::Advance { millis } => {
                history.push(format!("-- {millis} ms pass"));
                model.advance(millis);
                cluster.advance(millis);
                continue;
            }
            Step::Command {
                session,
                pipelined,
                args,
            } => (session, pipelined, args),
        };
        history.push(format!("@{session} {}", shown(&args)));
        let expected = model.apply(session, &args);
        let (_, request, sent) = pending.get_or_insert_with(|| (session, Vec::new(), Vec::new()));
        request.extend(resp::encode(&args));
        sent.push(Sent { args, expected });
        // A pipeline goes on while the same client sends.
        let goes_on = pipelined
            && matches!(steps.peek(), Some(Step::Command { session: next, .. }) if *next == session);
        if !goes_on {
            let (session, request, sent) = pending.take().expect("a command was just put there");
            let output = cluster.send(clients[session], &request);
            compare(&output, &sent).map_err(|why| explain(&why, cores, &history))?;
        }
    }
    for database in 0..16 {
        let found = scan(&mut cluster, clients[0], database)?;
        let expected = model.live_keys(database);
        if found != expected {
            let list = |keys: &[Vec<u8>]| {
                keys.iter()
                    .map(|key| shown(std::slice::from_ref(key)))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            let why = format!(
                "SCAN of database {database} gives {}, not {}",
                list(&found),
                list(&expected)
            );
            return Err(explain(&why, cores, &history));
        }
    }
    Ok(())
}

fn explain(why: &str, cores: u16, history: &[String]) -> String {
    format!("{cores} cores: {why}\n{}", history.join("\n"))
}

fn shown(args: &[Vec<u8>]) -> String {
    args.iter()
        .map(|arg| format!("\"{}\"", escape(arg)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn compare(output: &[u8], sent: &[Sent]) -> Outcome<()> {
    let mut at = 0;
    for Sent { args, expected } in sent {
        let (reply, used) = resp::parse(&output[at..])
            .map_err(|why| format!("{}: {why:?} in {}", shown(args), escape(&output[at..])))?;
        if !expected.allows(&reply) {
            return Err(format!(
                "{}: expected {expected:?}, got {}",
                shown(args),
                reply.lines().join(" ")
            ));
        }
        at += used;
    }
    if at < output.len() {
        return Err(format!(
            "more than was asked for: {}",
            escape(&output[at..])
        ));
    }
    Ok(())
}

/// Every key a whole `SCAN` gives, sorted; each is given at least once while nothing changes.
fn scan(
    cluster: &mut Cluster,
    client: crate::inprocess::Client,
    database: usize,
) -> Outcome<Vec<Vec<u8>>> {
    /// More rounds than any table of a few keys needs.
    const MAX_ROUNDS: usize = 100_000;
    cluster.call(client, &[&b"SELECT"[..], database.to_string().as_bytes()])?;
    let mut cursor = b"0".to_vec();
    let mut keys = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let reply = cluster.call(client, &[&b"SCAN"[..], &cursor, b"COUNT", b"3"])?;
        let resp::Reply::Array(parts) = &reply else {
            return Err(format!("SCAN gives {}", reply.lines().join(" ")));
        };
        let [resp::Reply::Bulk(next), resp::Reply::Array(batch)] = &parts[..] else {
            return Err(format!("SCAN gives {}", reply.lines().join(" ")));
        };
        keys.extend(
            batch
                .iter()
                .filter_map(|key| key.bytes().map(<[u8]>::to_vec)),
        );
        cursor.clone_from(next);
        if cursor == b"0" {
            keys.sort();
            keys.dedup();
            return Ok(keys);
        }
    }
    Err("SCAN does not end".into())
}
