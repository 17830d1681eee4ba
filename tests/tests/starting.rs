//! How the server starts, or does not: what protects and is not obeyed stops it, signals end it at any moment, and it takes no more
//! connections than it has descriptors for.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use larder_tests::client::Client;
use larder_tests::programs;
use larder_tests::random::Random;
use larder_tests::resp::Reply;
use larder_tests::scratch::ScratchDir;
use larder_tests::server::{IoBackend, Options, Server};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that is not waited for.
struct Starting {
    child: Child,
    scratch: ScratchDir,
}

impl Starting {
    fn with(arguments: &[&str], stdin: Stdio) -> Self {
        let scratch = ScratchDir::new("starting").unwrap();
        let log = fs::File::create(scratch.path().join("log")).unwrap();
        let child = Command::new(programs::larder_server().unwrap())
            .args(arguments)
            .current_dir(scratch.path())
            .stdin(stdin)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, scratch }
    }

    fn directory(&self) -> &Path {
        self.scratch.path()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory().join("log")).unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it still runs:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the process takes care of SIGTERM itself: before, it has not begun to run.
    fn wait_until_it_heeds_signals(&self) {
        const SIGTERM: u64 = 15;
        let status = format!("/proc/{}/status", self.child.id());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&status).unwrap();
            let blocked = text
                .lines()
                .find_map(|line| line.strip_prefix("SigBlk:"))
                .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            if blocked.is_some_and(|mask| mask & 1 << (SIGTERM - 1) != 0) {
                return;
            }
            assert!(Instant::now() < deadline, "{text}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn what_protects_and_is_not_obeyed_stops_the_start_with_one_line() {
    let scratch = ScratchDir::new("refused").unwrap();
    let file = scratch.path().join("larder.conf");
    for (line, name, reason) in [
        (
            "user default on >secret ~* +@all",
            "user",
            "there are no ACL users yet",
        ),
        ("aclfile users.acl", "aclfile", "there are no ACL users yet"),
        ("tls-port 7001", "tls-port", "there is no TLS yet"),
        ("appendonly yes", "appendonly", "there is no append log yet"),
        (
            "replicaof 10.0.0.1 6379",
            "replicaof",
            "there is no replication yet",
        ),
        (
            "rename-command NOSUCH x",
            "rename-command",
            "No such command",
        ),
        ("loadmodule x.so", "loadmodule", "there are no modules"),
    ] {
        fs::write(&file, format!("# kept\nport 0\n{line}\n")).unwrap();
        let mut server = Starting::with(&[file.to_str().unwrap()], Stdio::null());
        assert_eq!(server.ended().code(), Some(1), "{line}");
        let log = server.log();
        let said = log.lines().last().unwrap();
        let expected = format!("larder-server: {}:3: '{name}': {reason}", file.display());
        assert!(said.starts_with(&expected), "{log}");
    }
}

#[test]
fn a_server_that_nobody_could_connect_to_does_not_start() {
    for arguments in [&["--port", "0"][..], &["--bind", "", "--port", "7"]] {
        let mut server = Starting::with(arguments, Stdio::null());
        assert_eq!(server.ended().code(), Some(1));
        assert!(
            server.log().contains("there is nothing to listen on"),
            "{}",
            server.log()
        );
    }
    let mut server = Starting::with(&["--port", "0", "--unixsocket", "s.sock"], Stdio::null());
    let socket = server.directory().join("s.sock");
    let deadline = Instant::now() + PATIENCE;
    while !server.log().contains("Ready") {
        assert!(Instant::now() < deadline, "{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(socket.exists());
    server.signal("TERM");
    assert!(server.ended().success());
    assert!(!socket.exists());
}

/// Where redis.conf of Debian's packages (6.0 and 7.0) is not a comment and not the default.
const WHAT_PACKAGES_SET: &str = "daemonize yes\nsupervised auto\nalways-show-logo no\nsave 900 1\nsave 300 10\nsave 60 10000\n\
                                 protected-mode yes\nappendonly no\nreplica-read-only yes\nlazyfree-lazy-eviction no\n\
                                 client-output-buffer-limit replica 256mb 64mb 60\nlist-max-ziplist-size -2\n";

#[test]
fn the_configuration_that_a_redis_package_installs_starts() {
    let text = fs::read_to_string("/etc/redis/redis.conf")
        .unwrap_or_else(|_| WHAT_PACKAGES_SET.to_owned());
    let scratch = ScratchDir::new("package").unwrap();
    // Its files lie where only its own user may write.
    let moved = ["logfile", "dir", "pidfile", "port", "unixsocket"];
    let kept = text.lines().filter(|line| {
        let name = line.split_whitespace().next().unwrap_or_default();
        !moved.contains(&name)
    });
    let file = scratch.path().join("redis.conf");
    let text: String = kept.map(|line| format!("{line}\n")).collect();
    fs::write(&file, text).unwrap();
    let mut server = Starting::with(
        &[
            file.to_str().unwrap(),
            "--port",
            "0",
            "--unixsocket",
            "s.sock",
        ],
        Stdio::null(),
    );
    let deadline = Instant::now() + PATIENCE;
    while !server.log().contains("Ready") {
        assert!(Instant::now() < deadline, "{}", server.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal("TERM");
    assert!(server.ended().success());
}

#[test]
fn the_file_with_the_process_id_is_there_as_long_as_the_server() {
    let backend = IoBackend::under_test()[0];
    let options = Options::larder(2, backend).directive("pidfile", "larder.pid");
    let mut server = Server::start(&options).unwrap();
    let file = server.directory().join("larder.pid");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        format!("{}\n", server.pid())
    );
    server.signal("TERM").unwrap();
    assert!(server.wait_for_exit(PATIENCE).unwrap().success());
    assert!(!file.exists());

    // One that cannot be written keeps no server from starting, and is said.
    let options = Options::larder(1, backend).directive("pidfile", "/no/such/place/larder.pid");
    let server = Server::start(&options).unwrap();
    server
        .await_log("pidfile /no/such/place/larder.pid: cannot be written")
        .unwrap();
}

#[test]
fn a_signal_ends_the_server_at_any_moment_of_its_start() {
    let mut random = Random::new(7);
    for round in 0..40 {
        let backend = ["io_uring", "epoll"][round % 2];
        let mut server = Starting::with(
            &[
                "--port",
                "0",
                "--unixsocket",
                "s.sock",
                "--pidfile",
                "s.pid",
                "--io-backend",
                backend,
                "--cores",
                "2",
            ],
            Stdio::null(),
        );
        server.wait_until_it_heeds_signals();
        std::thread::sleep(Duration::from_micros(random.below(60_000) as u64));
        server.signal(["TERM", "INT"][round / 2 % 2]);
        let status = server.ended();
        assert_eq!(status.code(), Some(0), "{}", server.log());
        for left in ["s.sock", "s.pid"] {
            assert!(
                !server.directory().join(left).exists(),
                "{left} is left behind"
            );
        }
    }
}

/// Its configuration never comes to an end.
#[test]
fn a_signal_ends_a_server_whose_start_waits_for_something() {
    for name in ["TERM", "INT"] {
        let mut server = Starting::with(&["-"], Stdio::piped());
        let mut stdin = server.child.stdin.take().unwrap();
        stdin.write_all(b"port 0\n").unwrap();
        server.wait_until_it_heeds_signals();
        server.signal(name);
        assert_eq!(server.ended().code(), Some(0), "{}", server.log());
        drop(stdin);
    }
}

/// Starts Larder where at most `descriptors` can be open, privileges to raise that taken away.
fn start_with_descriptors(descriptors: u32, backend: IoBackend, port: u16) -> Option<Starting> {
    let program = programs::larder_server().unwrap();
    let scratch = ScratchDir::new("descriptors").unwrap();
    let log = fs::File::create(scratch.path().join("log")).unwrap();
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0);
    let bounded = "setpriv --bounding-set=-sys_resource";
    if is_root
        && !Command::new("setpriv")
            .arg("--version")
            .output()
            .is_ok_and(|ran| ran.status.success())
    {
        larder_tests::tools::skip("root can raise every limit, and there is no setpriv");
        return None;
    }
    let script = format!(
        "ulimit -n {descriptors}; exec {} {} --port {port} --bind 127.0.0.1 --cores 2 --io-backend {}",
        if is_root { bounded } else { "" },
        program.display(),
        backend.directive(),
    );
    let child = Command::new("sh")
        .args(["-c", &script])
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    Some(Starting { child, scratch })
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn connections_beyond_the_descriptors_are_refused_and_none_waits() {
    for backend in IoBackend::under_test() {
        let port = free_port();
        let Some(server) = start_with_descriptors(100, backend, port) else {
            return;
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let deadline = Instant::now() + PATIENCE;
        let mut operator = loop {
            if let Ok(client) = Client::connect(address) {
                break client;
            }
            assert!(Instant::now() < deadline, "{}", server.log());
            std::thread::sleep(Duration::from_millis(10));
        };
        let shown = operator.run("CONFIG GET maxclients").unwrap().lines();
        let maxclients: usize = shown
            .last()
            .unwrap()
            .trim()
            .trim_matches('"')
            .parse()
            .unwrap();
        assert!((20..80).contains(&maxclients), "{maxclients}");
        let said = format!("warning: maxclients is lowered from 10000 to {maxclients}: ");
        assert!(server.log().contains(&said), "{}", server.log());

        let mut sockets: Vec<TcpStream> = (0..150)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let mut served = 1;
        for socket in &mut sockets {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            // One that is refused may be closed already.
            drop(socket.write_all(b"PING\r\n"));
            let mut answer = [0; 64];
            match socket.read(&mut answer) {
                Ok(read) if answer[..read].starts_with(b"+PONG") => served += 1,
                Ok(read) if read > 0 => assert!(
                    answer[..read].starts_with(b"-ERR max number of clients reached\r\n"),
                    "{}",
                    answer[..read].escape_ascii()
                ),
                // Closed with what it sent unread: the refusal is lost on the way.
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
                Err(error) => panic!("one of 150 waits: {error}\n{}", server.log()),
            }
        }
        assert_eq!(served, maxclients, "{}", server.log());

        let refused = operator.run("CONFIG SET maxclients 999999999").unwrap();
        let expected = format!(
            "ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to \
             handle the specified number of clients, try with {maxclients}"
        );
        assert_eq!(refused, Reply::Error(expected.into_bytes()));
        assert_eq!(
            operator.run("CONFIG SET maxclients 20").unwrap().to_text(),
            "OK"
        );
        drop(sockets);
    }
}

#[test]
fn without_descriptors_for_a_single_client_the_server_does_not_start() {
    let Some(mut server) = start_with_descriptors(30, IoBackend::Epoll, free_port()) else {
        return;
    };
    assert_eq!(server.ended().code(), Some(1));
    let log = server.log();
    assert!(
        log.contains("the limit of 30 file descriptors is too low"),
        "{log}"
    );
}
