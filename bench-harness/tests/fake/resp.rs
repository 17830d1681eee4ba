//! The RESP side of the fake server.

use std::io::{self, BufRead, Write};

use larder_bench::run::setup::key_slot;

use super::{Cluster, Fate, Socket, State, read_line};

/// What a connection has said of itself.
#[derive(Default)]
struct Peer {
    authenticated: bool,
    resp3: bool,
    asking: bool,
}

pub fn converse(
    mut reader: impl BufRead,
    mut socket: Box<dyn Socket>,
    state: &State,
) -> io::Result<()> {
    let mut peer = Peer {
        authenticated: state.password.is_none(),
        ..Peer::default()
    };
    while let Some(words) = read_command(&mut reader)? {
        let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
        if let Some(reply) = introduce(&name, &words, &mut peer, state) {
            socket.write_all(&reply)?;
            continue;
        }
        if name == "SUBSCRIBE" {
            let kind = if peer.resp3 { ">" } else { "*" };
            let channel = bulk(&words[1]);
            state
                .subscribers
                .lock()
                .unwrap()
                .push((words[1].clone(), socket.another()));
            socket.write_all(
                &[
                    kind.as_bytes(),
                    b"3\r\n$9\r\nsubscribe\r\n",
                    &channel,
                    b":1\r\n",
                ]
                .concat(),
            )?;
            continue;
        }
        let fate = state.meet(&words, b"-ERR ordered by the test\r\n");
        let reply = redirect(&words, &mut peer, state)
            .unwrap_or_else(|| answer(&name, &words, peer.resp3, state));
        match fate {
            Fate::Send => socket.write_all(&reply)?,
            Fate::Replace(other) => socket.write_all(&other)?,
            Fate::Drop => {}
            Fate::Close => return Ok(()),
        }
    }
    Ok(())
}

fn read_command(reader: &mut impl BufRead) -> io::Result<Option<Vec<Vec<u8>>>> {
    let Some(line) = read_line(reader)? else {
        return Ok(None);
    };
    let Some(count) = line.strip_prefix(b"*") else {
        // An inline command, as a client of another protocol would send.
        let words = line.split(|&b| b == b' ').map(<[u8]>::to_vec);
        return Ok(Some(words.collect()));
    };
    let number = |digits: &[u8]| -> usize { std::str::from_utf8(digits).unwrap().parse().unwrap() };
    let mut words = Vec::new();
    for _ in 0..number(count) {
        let header = read_line(reader)?.unwrap();
        let mut word = vec![0; number(header.strip_prefix(b"$").unwrap()) + 2];
        reader.read_exact(&mut word)?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Ok(Some(words))
}

/// Answers what belongs to the introduction; such commands do not count.
fn introduce(name: &str, words: &[Vec<u8>], peer: &mut Peer, state: &State) -> Option<Vec<u8>> {
    let password = words.last().map(Vec::as_slice);
    let right = state
        .password
        .is_none_or(|want| password == Some(want.as_bytes()));
    match name {
        "AUTH" if right => {
            peer.authenticated = true;
            return Some(b"+OK\r\n".to_vec());
        }
        "AUTH" => return Some(b"-WRONGPASS invalid username-password pair\r\n".to_vec()),
        "HELLO" if words.len() > 2 && !right => {
            return Some(b"-WRONGPASS invalid username-password pair\r\n".to_vec());
        }
        "HELLO" if words.len() > 2 || peer.authenticated => {
            peer.authenticated = true;
            peer.resp3 = true;
            return Some(b"%1\r\n$6\r\nserver\r\n$4\r\nfake\r\n".to_vec());
        }
        _ => {}
    }
    if !peer.authenticated {
        return Some(b"-NOAUTH Authentication required.\r\n".to_vec());
    }
    match name {
        "PING" => Some(b"+PONG\r\n".to_vec()),
        "SELECT" => Some(b"+OK\r\n".to_vec()),
        "INFO" => Some(bulk(b"# Server\r\nredis_version:9.9.9\r\n")),
        "CLUSTER" => {
            let cluster = state.cluster.lock().unwrap();
            let what = String::from_utf8_lossy(&words[1]).to_ascii_uppercase();
            Some(match (cluster.as_ref(), what.as_str()) {
                (Some(cluster), "SLOTS") if !cluster.knows_shards_only => slots(cluster),
                (Some(cluster), "SHARDS") => shards(cluster),
                _ => b"-ERR This instance has cluster support disabled\r\n".to_vec(),
            })
        }
        "ASKING" => {
            peer.asking = true;
            Some(b"+OK\r\n".to_vec())
        }
        _ if !name.chars().all(|c| c.is_ascii_uppercase()) => {
            Some(format!("-ERR unknown command '{}'\r\n", name.to_lowercase()).into_bytes())
        }
        "VERSION" => Some(b"-ERR unknown command 'version'\r\n".to_vec()),
        _ => None,
    }
}

fn slots(cluster: &Cluster) -> Vec<u8> {
    let mut reply = format!("*{}\r\n", cluster.told.len());
    for (first, last, port) in &cluster.told {
        reply.push_str(&format!(
            "*3\r\n:{first}\r\n:{last}\r\n*4\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n*0\r\n"
        ));
    }
    reply.into_bytes()
}

fn shards(cluster: &Cluster) -> Vec<u8> {
    let mut reply = format!("*{}\r\n", cluster.told.len());
    for (first, last, port) in &cluster.told {
        reply.push_str(&format!(
            "*4\r\n$5\r\nslots\r\n*2\r\n:{first}\r\n:{last}\r\n$5\r\nnodes\r\n*1\r\n*6\r\n$4\r\nport\r\n:{port}\r\n\
             $8\r\nendpoint\r\n$9\r\n127.0.0.1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
        ));
    }
    reply.into_bytes()
}

/// What a node of a cluster says to a key that is not its own.
fn redirect(words: &[Vec<u8>], peer: &mut Peer, state: &State) -> Option<Vec<u8>> {
    let cluster = state.cluster.lock().unwrap();
    let cluster = cluster.as_ref()?;
    let slot = key_slot(words.get(1)?);
    let asking = std::mem::take(&mut peer.asking);
    if asking && cluster.importing.contains(&slot) {
        return None;
    }
    if let Some((_, port)) = cluster.asking.iter().find(|(asked, _)| *asked == slot) {
        return Some(format!("-ASK {slot} 127.0.0.1:{port}\r\n").into_bytes());
    }
    let within = |range: &&(u16, u16, u16)| (range.0..=range.1).contains(&slot);
    let (_, _, owner) = cluster.real.iter().find(within).unwrap();
    let elsewhere = *owner != cluster.port;
    elsewhere.then(|| format!("-MOVED {slot} 127.0.0.1:{owner}\r\n").into_bytes())
}

fn answer(name: &str, words: &[Vec<u8>], resp3: bool, state: &State) -> Vec<u8> {
    let nil: &[u8] = if resp3 { b"_\r\n" } else { b"$-1\r\n" };
    let found = |value: Option<Vec<u8>>| value.map_or(nil.to_vec(), |value| bulk(&value));
    match name {
        "GET" => found(state.get(&words[1])),
        "SET" => {
            state.set(&words[1], &words[2]);
            b"+OK\r\n".to_vec()
        }
        "MGET" => {
            let mut reply = format!("*{}\r\n", words.len() - 1).into_bytes();
            for key in &words[1..] {
                reply.extend(found(state.get(key)));
            }
            reply
        }
        "HSET" => {
            let key = [words[1].as_slice(), b"/", &words[2]].concat();
            state.set(&key, &words[3]);
            b":1\r\n".to_vec()
        }
        "HGET" => found(state.get(&[words[1].as_slice(), b"/", &words[2]].concat())),
        "PUBLISH" => publish(&words[1], &words[2], resp3, state),
        "ZREVRANGE" => b"*0\r\n".to_vec(),
        "RPOP" | "ZREVRANK" => nil.to_vec(),
        _ => b":1\r\n".to_vec(),
    }
}

fn publish(channel: &[u8], payload: &[u8], resp3: bool, state: &State) -> Vec<u8> {
    let kind: &[u8] = if resp3 { b">" } else { b"*" };
    let message = [
        kind,
        b"3\r\n$7\r\nmessage\r\n",
        &bulk(channel),
        &bulk(payload),
    ]
    .concat();
    let mut receivers = 0;
    for (subscribed, socket) in state.subscribers.lock().unwrap().iter_mut() {
        if subscribed == channel && socket.write_all(&message).is_ok() {
            receivers += 1;
        }
    }
    format!(":{receivers}\r\n").into_bytes()
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
