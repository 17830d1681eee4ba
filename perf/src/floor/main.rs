//! `larder-floor`: the least a Redis-speaking server can cost here, to compare Larder with.
//!
//! One thread, one raw io_uring, one hashbrown map: kernel TCP and a table, nothing of a product on top. It knows GET,
//! SET, PING, DBSIZE and FLUSHALL, answers a load generator's COMMAND, CONFIG GET and INFO, and `+OK` to anything else. A
//! client that does not read its replies makes it grow: it is a yardstick, not a server.
//!
//! ```text
//! larder-floor --port 7000 --cpu 0 --send ring
//! ```

mod resp;
mod ring;
mod serve;
mod store;

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use serve::SendBy;

const USAGE: &str = "\
usage: larder-floor [--port PORT] [--cpu CPU] [--send ring|direct]
  --port PORT    listen on 127.0.0.1:PORT (default 7000)
  --cpu CPU      pin the thread to CPU
  --send ring    send replies by SEND entries, submitted with the wait (default)
  --send direct  send replies by send(2), one call per connection";

/// How long a port still held by a server that was just stopped is waited for.
const BIND_PATIENCE: Duration = Duration::from_secs(2);

struct Options {
    port: u16,
    cpu: Option<usize>,
    send_by: SendBy,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            port: 7000,
            cpu: None,
            send_by: SendBy::Ring,
        };
        while let Some(name) = words.next() {
            let mut value = || words.next().ok_or(format!("{name} needs a value"));
            let number = |text: String| text.parse().map_err(|_| format!("not a number: {text}"));
            match name.as_str() {
                "--port" => options.port = number(value()?)?,
                "--cpu" => options.cpu = Some(number(value()?)?.into()),
                "--send" => {
                    options.send_by = match value()?.as_str() {
                        "ring" => SendBy::Ring,
                        "direct" => SendBy::Direct,
                        other => return Err(format!("no such way to send: {other}")),
                    }
                }
                other => return Err(format!("no such option: {other}")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    if env::args().any(|word| word == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("larder-floor: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("larder-floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    if let Some(cpu) = options.cpu {
        ring::pin_to_cpu(cpu)?;
    }
    let listener = bind(options.port)?;
    println!("larder-floor: ready on {}", listener.local_addr()?);
    serve::serve(&listener, options.send_by)
}

fn bind(port: u16) -> io::Result<TcpListener> {
    let give_up = Instant::now() + BIND_PATIENCE;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}
