//! The few words compare itself speaks to a server: is it there, what is it, how many keys does it hold.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::scenario::Protocol;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// No answer to these questions is longer.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Whether the server on `port` answers and will take commands: the error it answers with where it will not.
///
/// # Errors
/// No connection, no answer, or an answer that says it is not ready.
pub(crate) fn ready(port: u16, protocol: Protocol) -> Result<()> {
    let answer = if is_memcached(protocol) {
        ask(port, b"version\r\n", ends_with_line)?
    } else {
        ask(port, b"*1\r\n$4\r\nPING\r\n", ends_with_line)?
    };
    // One that wants a password is there; the load brings it.
    let good = ["+PONG", "-NOAUTH", "VERSION "];
    if good.iter().any(|start| answer.starts_with(start)) {
        Ok(())
    } else {
        Err(Error::new(
            ErrorKind::InvalidData,
            format!("it answers {:?}", answer.trim()),
        ))
    }
}

/// Name and version as the server tells them; `None` when it does not.
pub(crate) fn version(port: u16, protocol: Protocol) -> Option<String> {
    if is_memcached(protocol) {
        let answer = ask(port, b"version\r\n", ends_with_line).ok()?;
        return Some(format!(
            "memcached {}",
            answer.strip_prefix("VERSION ")?.trim()
        ));
    }
    let info = ask(
        port,
        b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n",
        ends_with_bulk,
    )
    .ok()?;
    info_version(&info)
}

/// How many keys the server holds.
///
/// # Errors
/// No connection or no such answer.
pub(crate) fn key_count(port: u16, protocol: Protocol) -> Result<u64> {
    let wrong = |answer: &str| {
        Error::new(
            ErrorKind::InvalidData,
            format!("it answers {:?}", answer.trim()),
        )
    };
    if is_memcached(protocol) {
        let stats = ask(port, b"stats\r\n", |text| text.ends_with("END\r\n"))?;
        let count = stats
            .lines()
            .find_map(|line| line.strip_prefix("STAT curr_items "));
        return count
            .and_then(|count| count.trim().parse().ok())
            .ok_or_else(|| wrong(&stats));
    }
    let answer = ask(port, b"*1\r\n$6\r\nDBSIZE\r\n", ends_with_line)?;
    let count = answer
        .strip_prefix(':')
        .and_then(|count| count.trim().parse().ok());
    count.ok_or_else(|| wrong(&answer))
}

fn is_memcached(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::MemcachedText | Protocol::MemcachedMeta)
}

/// Sends `question` on a connection of its own and reads until `complete` says the answer is whole.
fn ask(port: u16, question: &[u8], complete: fn(&str) -> bool) -> Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(question)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&answer);
        if complete(&text) {
            return Ok(text.into_owned());
        }
        if answer.len() > MAX_ANSWER_BYTES {
            return Err(Error::new(ErrorKind::InvalidData, "the answer has no end"));
        }
    }
}

fn ends_with_line(text: &str) -> bool {
    text.ends_with("\r\n")
}

/// Whether `text` is a whole bulk string, or any other reply of one line.
fn ends_with_bulk(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n") else {
        return false;
    };
    match head.strip_prefix('$').map(str::parse::<usize>) {
        Some(Ok(length)) => body.len() >= length + 2,
        _ => true,
    }
}

/// The version in the answer to `INFO server`. What imitates Redis also gives the version it imitates: that comes last.
fn info_version(info: &str) -> Option<String> {
    for name in ["larder", "valkey", "dragonfly", "garnet", "keydb", "redis"] {
        let field = format!("{name}_version:");
        if let Some(version) = info.lines().find_map(|line| line.strip_prefix(&field)) {
            let version = version
                .trim()
                .trim_start_matches(name)
                .trim_start_matches([' ', '-']);
            return Some(format!("{name} {version}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server of one connection that answers with `answer`, in two pieces.
    fn answering(answer: &'static str) -> u16 {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 256];
            assert!(stream.read(&mut question).unwrap() > 0);
            let (first, second) = answer.split_at(answer.len() / 2);
            stream.write_all(first.as_bytes()).unwrap();
            stream.flush().unwrap();
            stream.write_all(second.as_bytes()).unwrap();
        });
        port
    }

    #[test]
    fn a_server_is_ready_when_it_says_so() {
        assert!(ready(answering("+PONG\r\n"), Protocol::Resp2).is_ok());
        assert!(
            ready(
                answering("-NOAUTH Authentication required.\r\n"),
                Protocol::Resp3
            )
            .is_ok()
        );
        assert!(ready(answering("VERSION 1.6\r\n"), Protocol::MemcachedText).is_ok());
        let loading = ready(answering("-LOADING in memory\r\n"), Protocol::Resp2).unwrap_err();
        assert!(loading.to_string().contains("LOADING"));
    }

    #[test]
    fn versions_are_those_of_the_server_and_not_of_what_it_imitates() {
        let info = "$62\r\n# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n";
        assert_eq!(
            version(answering(info), Protocol::Resp2).as_deref(),
            Some("valkey 9.1.2")
        );
        assert_eq!(
            info_version("redis_version:8.2.3\r\n").as_deref(),
            Some("redis 8.2.3")
        );
        assert_eq!(
            info_version("dragonfly_version:df-v1.2\r\n").as_deref(),
            Some("dragonfly df-v1.2")
        );
        assert_eq!(version(answering("-NOAUTH\r\n"), Protocol::Resp2), None);
        let memcached = version(answering("VERSION 1.6.45\r\n"), Protocol::MemcachedMeta);
        assert_eq!(memcached.as_deref(), Some("memcached 1.6.45"));
    }

    #[test]
    fn keys_are_counted() {
        assert_eq!(
            key_count(answering(":42\r\n"), Protocol::Resp2).unwrap(),
            42
        );
        let stats = "STAT pid 1\r\nSTAT curr_items 7\r\nEND\r\n";
        assert_eq!(
            key_count(answering(stats), Protocol::MemcachedText).unwrap(),
            7
        );
        assert!(key_count(answering("-ERR\r\n"), Protocol::Resp2).is_err());
    }
}
