//! The memcached side of the fake server: text and meta.

use std::io::{self, BufRead, Write};

use super::{Fate, Socket, State, read_line};

pub fn converse(
    mut reader: impl BufRead,
    mut socket: Box<dyn Socket>,
    state: &State,
) -> io::Result<()> {
    let mut authenticated = state.password.is_none();
    while let Some(line) = read_line(&mut reader)? {
        let mut words: Vec<Vec<u8>> = line.split(|&b| b == b' ').map(<[u8]>::to_vec).collect();
        let name = words[0].clone();
        let length = match name.as_slice() {
            b"set" => words.get(4),
            b"ms" => words.get(2),
            _ => None,
        };
        if let Some(length) = length {
            let length: usize = String::from_utf8_lossy(length).parse().unwrap();
            let mut body = vec![0; length + 2];
            reader.read_exact(&mut body)?;
            body.truncate(length);
            words.push(body);
        }
        if let Some(reply) = introduce(&words, &mut authenticated, state) {
            socket.write_all(&reply)?;
            continue;
        }
        let fate = state.meet(&words, b"SERVER_ERROR ordered by the test\r\n");
        let reply = answer(&words, state);
        match fate {
            Fate::Send => socket.write_all(&reply)?,
            Fate::Replace(other) => socket.write_all(&other)?,
            Fate::Drop => {}
            Fate::Close => return Ok(()),
        }
    }
    Ok(())
}

fn introduce(words: &[Vec<u8>], authenticated: &mut bool, state: &State) -> Option<Vec<u8>> {
    if let (false, Some(password)) = (*authenticated, state.password) {
        let token = words.last().filter(|_| words[0] == b"set");
        *authenticated = token.is_some_and(|token| token.ends_with(password.as_bytes()));
        return Some(match (token, *authenticated) {
            (Some(_), true) => b"STORED\r\n".to_vec(),
            (Some(_), false) => b"CLIENT_ERROR authentication failure\r\n".to_vec(),
            (None, _) => b"CLIENT_ERROR unauthenticated\r\n".to_vec(),
        });
    }
    match words[0].as_slice() {
        b"version" => Some(b"VERSION 1.9.9\r\n".to_vec()),
        b"mn" => Some(b"MN\r\n".to_vec()),
        b"get" | b"set" | b"mg" | b"ms" | b"incr" | b"touch" => None,
        _ => Some(b"ERROR\r\n".to_vec()),
    }
}

fn answer(words: &[Vec<u8>], state: &State) -> Vec<u8> {
    match words[0].as_slice() {
        b"get" => match state.get(&words[1]) {
            None => b"END\r\n".to_vec(),
            Some(value) => {
                let head = format!(
                    "VALUE {} 0 {}\r\n",
                    String::from_utf8_lossy(&words[1]),
                    value.len()
                );
                [head.as_bytes(), &value, b"\r\nEND\r\n"].concat()
            }
        },
        b"mg" => match state.get(&words[1]) {
            None => b"EN\r\n".to_vec(),
            Some(value) => [
                format!("VA {}\r\n", value.len()).as_bytes(),
                &value,
                b"\r\n",
            ]
            .concat(),
        },
        b"set" | b"ms" => {
            state.set(&words[1], words.last().unwrap());
            if words[0] == b"set" {
                b"STORED\r\n".to_vec()
            } else {
                b"HD\r\n".to_vec()
            }
        }
        b"touch" => b"TOUCHED\r\n".to_vec(),
        _ => b"1\r\n".to_vec(),
    }
}
