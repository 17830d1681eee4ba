//! How a connection introduces itself: password, protocol, database; and how it learns who is at the other end.

use std::io;
use std::time::Duration;

use super::dialogue::{Dialogue, NoAnswer, Value};
use crate::run::error::RunError;
use crate::run::net::{Address, Stream};
use crate::run::protocol::Protocol;
use crate::run::reply::excerpt;

/// What a connection says before anything else.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// What is to be spoken.
    pub protocol: Protocol,
    /// The name to go by; the default user's when there is only a password.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The database to select.
    pub db: u32,
    /// The longest wait for an answer.
    pub timeout: Duration,
}

/// Connects and introduces itself. The socket still blocks.
///
/// # Errors
/// When there is no server, it refuses the password, or it speaks another protocol.
pub fn connect(address: &Address, introduction: &Introduction) -> Result<Stream, RunError> {
    let failed = |error| RunError::Connect {
        address: address.to_string(),
        error,
    };
    let stream = address.connect(introduction.timeout).map_err(failed)?;
    stream.set_timeout(introduction.timeout).map_err(failed)?;
    let mut meeting = Meeting {
        address,
        protocol: introduction.protocol,
        dialogue: Dialogue::new(&stream),
    };
    if introduction.protocol.is_resp() {
        meeting.introduce_resp(introduction)?;
    } else {
        meeting.introduce_memcached(introduction)?;
    }
    Ok(stream)
}

/// The server's name and version as it tells them.
#[must_use]
pub fn identify(stream: &Stream, protocol: Protocol) -> Option<String> {
    let mut dialogue = Dialogue::new(stream);
    if !protocol.is_resp() {
        let line = dialogue.ask_line("version\r\n").ok()?;
        return Some(format!("memcached {}", line.strip_prefix("VERSION ")?));
    }
    let info = dialogue.ask(&["INFO", "server"]).ok()?;
    let field = |name: &str| {
        let lines = info.text()?.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.next().map(str::to_owned)
    };
    // Servers that are like Redis claim a Redis version beside their own.
    for name in [
        "larder",
        "valkey",
        "dragonfly",
        "garnet",
        "kvrocks",
        "redis",
    ] {
        if let Some(version) = field(&format!("{name}_version")) {
            let version = version
                .trim_start_matches(&format!("{name}-"))
                .trim_start_matches("df-v");
            return Some(format!("{name} {version}"));
        }
    }
    None
}

/// Subscribes to a channel.
///
/// # Errors
/// When the server refuses.
pub fn subscribe(stream: &Stream, address: &Address, channel: &str) -> Result<(), RunError> {
    let mut meeting = Meeting {
        address,
        protocol: Protocol::Resp2,
        dialogue: Dialogue::new(stream),
    };
    let answer = meeting.ask(&["SUBSCRIBE", channel])?;
    let confirmed = answer.list().first().and_then(Value::text) == Some("subscribe");
    if confirmed {
        return Ok(());
    }
    Err(RunError::Rejected {
        address: address.to_string(),
        asked: "SUBSCRIBE".to_owned(),
        answer: said(&answer),
    })
}

struct Meeting<'a> {
    address: &'a Address,
    protocol: Protocol,
    dialogue: Dialogue<'a>,
}

impl Meeting<'_> {
    fn introduce_resp(&mut self, introduction: &Introduction) -> Result<(), RunError> {
        let user = introduction.user.as_deref();
        let password = introduction.password.as_deref();
        if introduction.protocol == Protocol::Resp3 {
            let mut words = vec!["HELLO", "3"];
            if let Some(password) = password {
                words.extend(["AUTH", user.unwrap_or("default"), password]);
            }
            let answer = self.ask(&words)?;
            self.refuse_errors("HELLO 3", &answer)?;
        } else if let Some(password) = password {
            let mut words = vec!["AUTH"];
            words.extend(user);
            words.push(password);
            let answer = self.ask(&words)?;
            if let Value::Error(answer) = answer {
                return Err(self.auth_refused(answer));
            }
        }
        let answer = self.ask(&["PING"])?;
        self.refuse_errors("PING", &answer)?;
        if introduction.db > 0 {
            let db = introduction.db.to_string();
            let answer = self.ask(&["SELECT", &db])?;
            if let Value::Error(answer) = answer {
                return Err(RunError::Rejected {
                    address: self.address.to_string(),
                    asked: format!("SELECT {db}"),
                    answer,
                });
            }
        }
        Ok(())
    }

    fn introduce_memcached(&mut self, introduction: &Introduction) -> Result<(), RunError> {
        if let Some(password) = &introduction.password {
            // memcached with an authentication file takes the first `set` for name and password.
            let token = format!(
                "{} {password}",
                introduction.user.as_deref().unwrap_or_default()
            );
            let request = format!("set auth 0 0 {}\r\n{token}\r\n", token.len());
            let answer = self.ask_line("set auth", &request)?;
            if answer != "STORED" {
                return Err(self.auth_refused(answer));
            }
        }
        let answer = self.ask_line("version", "version\r\n")?;
        if answer.starts_with("CLIENT_ERROR unauthenticated") {
            return Err(self.auth_refused(answer));
        }
        if !answer.starts_with("VERSION ") {
            return Err(self.wrong_protocol("version", &answer));
        }
        if introduction.protocol == Protocol::MemcachedMeta {
            let answer = self.ask_line("mn", "mn\r\n")?;
            if answer != "MN" {
                return Err(self.wrong_protocol("mn", &answer));
            }
        }
        Ok(())
    }

    fn ask(&mut self, words: &[&str]) -> Result<Value, RunError> {
        let answer = self.dialogue.ask(words);
        // Passwords stay out of error lines.
        answer.map_err(|error| self.no_answer(words[0], error))
    }

    fn ask_line(&mut self, asked: &str, request: &str) -> Result<String, RunError> {
        let answer = self.dialogue.ask_line(request);
        answer.map_err(|error| self.no_answer(asked, error))
    }

    fn refuse_errors(&self, asked: &str, answer: &Value) -> Result<(), RunError> {
        let Value::Error(line) = answer else {
            return Ok(());
        };
        if ["NOAUTH", "WRONGPASS", "NOPERM"]
            .iter()
            .any(|code| line.starts_with(code))
        {
            return Err(self.auth_refused(line.clone()));
        }
        Err(self.wrong_protocol(asked, line))
    }

    fn auth_refused(&self, answer: String) -> RunError {
        RunError::AuthRefused {
            address: self.address.to_string(),
            answer,
        }
    }

    fn wrong_protocol(&self, asked: &str, answer: &str) -> RunError {
        RunError::WrongProtocol {
            address: self.address.to_string(),
            protocol: self.protocol,
            asked: asked.to_owned(),
            answer: format!("\"{}\"", excerpt(answer.as_bytes())),
        }
    }

    fn no_answer(&self, asked: &str, error: NoAnswer) -> RunError {
        match error {
            NoAnswer::Malformed(excerpt) => RunError::WrongProtocol {
                address: self.address.to_string(),
                protocol: self.protocol,
                asked: asked.to_owned(),
                answer: format!("\"{excerpt}\""),
            },
            NoAnswer::Io(error) => RunError::Connect {
                address: self.address.to_string(),
                error: io::Error::new(error.kind(), format!("to {asked}: {error}")),
            },
        }
    }
}

fn said(value: &Value) -> String {
    match value {
        Value::Error(text) | Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    }
}
