//! Snapshots of cores without a runtime, whose files are pretended: what is answered, and what ends them early.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::dispatch::testing::Server;
use crate::persist::files::FileOp;
use crate::rdb::Checksum;
use crate::rdb::file::{Frame, Frames, Trailer};
use crate::shared::Shared;

/// A disk that is full for one operation, and what was done on it.
#[derive(Debug, Default)]
struct Disk {
    /// Which operation fails.
    full_at: Option<usize>,
    operations: usize,
    has_removed: bool,
    has_renamed: bool,
    file: Vec<u8>,
}

fn with_disk(server: &mut Server, full_at: Option<usize>) -> Rc<RefCell<Disk>> {
    let disk = Rc::new(RefCell::new(Disk {
        full_at,
        ..Disk::default()
    }));
    let played = Rc::clone(&disk);
    server.disk = Box::new(move |op| {
        let disk = &mut *played.borrow_mut();
        disk.operations += 1;
        if disk.full_at == Some(disk.operations - 1) {
            return Err(std::io::Error::from_raw_os_error(libc::ENOSPC));
        }
        match op {
            FileOp::Write { at, bytes, .. } => {
                let (at, end) = (*at as usize, *at as usize + bytes.len());
                let len = disk.file.len().max(end);
                disk.file.resize(len, 0);
                disk.file[at..end].copy_from_slice(bytes);
            }
            FileOp::Remove(_) => disk.has_removed = true,
            FileOp::Rename { .. } => disk.has_renamed = true,
            FileOp::Create(_) | FileOp::Sync(_) | FileOp::SyncDir(_) => {}
        }
        op.pretend()
    });
    disk
}

fn shared(server: &mut Server) -> Arc<Shared> {
    Arc::clone(&server.cores[0].state().shared)
}

/// The keys in a file that is whole.
fn keys(file: &[u8]) -> usize {
    let mut frames = Frames::new(Checksum::Checked);
    frames.add(file);
    frames.complete();
    let mut keys = 0;
    loop {
        match frames.next_frame().unwrap().unwrap() {
            Frame::Entry(..) => keys += 1,
            Frame::End(trailer) => {
                assert_eq!(trailer, Trailer::Fits);
                return keys;
            }
            _ => {}
        }
    }
}

#[test]
fn a_disk_that_is_full_at_any_operation_is_said_and_the_next_snapshot_comes_to_its_end() {
    for cores in [1, 2] {
        for full_at in 0.. {
            let mut server = Server::new(cores);
            let client = server.connect(0);
            for at in 0..50 {
                server.send(client, format!("SET key:{at} value\r\n").as_bytes());
            }
            let disk = with_disk(&mut server, Some(full_at));
            let reply = server.send(client, b"SAVE\r\n");
            assert!(shared(&mut server).snapshots.current().is_none());
            if disk.borrow().operations <= full_at {
                assert_eq!(reply, "+OK\r\n");
                assert_eq!(keys(&disk.borrow().file), 50);
                // A file, a chunk of each core, header and end, and to sync, name and sync again.
                assert_eq!(full_at, 6 + usize::from(cores));
                break;
            }
            let expected = "-ERR no snapshot was saved: cannot";
            assert!(reply.starts_with(expected), "{reply}");
            assert!(reply.contains("No space left"), "{reply}");
            // There is nothing before the first, and behind the last but one the file has its name.
            let Disk {
                has_removed,
                has_renamed,
                ..
            } = *disk.borrow();
            assert!(full_at == 0 || has_removed, "operation {full_at}");
            assert!(!has_renamed || full_at == 5 + usize::from(cores));
            let disk = with_disk(&mut server, None);
            assert_eq!(server.send(client, b"SAVE\r\n"), "+OK\r\n");
            assert_eq!(keys(&disk.borrow().file), 50);
        }
    }
}

#[test]
fn one_that_is_given_up_is_no_failure_of_the_disk_and_stops_no_writes() {
    for cores in [1, 3] {
        for end in ["BGSAVE CANCEL", "FLUSHALL"] {
            let mut server = Server::configured(cores, &[("save", "3600 1")]);
            let client = server.connect(0);
            for chunk in 0..400 {
                let pairs: String = (0..100).map(|at| format!(" key:{chunk}:{at} x")).collect();
                server.send(client, format!("MSET{pairs}\r\n").as_bytes());
            }
            // The server's time begins long after it was last saved: the first save point was due.
            let disk = with_disk(&mut server, None);
            server.receive(client, b"BGSAVE\r\n");
            server.some_turns(3);
            let reply = server.send(client, format!("{end}\r\n").as_bytes());
            assert!(!reply.contains('-'), "{reply}");
            let shared = shared(&mut server);
            assert!(shared.snapshots.current().is_none());
            assert!(shared.snapshots.last().is_ok, "{end}");
            assert!(!disk.borrow().has_renamed, "{end}");
            assert_eq!(server.send(client, b"SET key 1\r\n"), "+OK\r\n");
        }
    }
}

#[test]
fn who_wants_no_reply_gets_none_and_who_has_gone_is_not_missed() {
    let mut server = Server::new(2);
    let client = server.connect(1);
    let quiet = b"CLIENT REPLY OFF\r\nSAVE\r\nCLIENT REPLY ON\r\nPING\r\n";
    assert_eq!(server.send(client, quiet), "+OK\r\n+PONG\r\n");
    server.receive(client, b"SAVE\r\n");
    server.disconnect(client);
    server.turns();
    assert!(shared(&mut server).snapshots.current().is_none());
    assert_eq!(shared(&mut server).snapshots.last().saves, 2);
}

#[test]
fn behind_the_last_snapshot_nobody_is_served_unless_it_fails() {
    for cores in [1, 2] {
        let mut server = Server::new(cores);
        let [one, other] = [0, usize::from(cores) - 1].map(|core| server.connect(core));
        server.send(one, b"SET key 1\r\n");
        with_disk(&mut server, Some(2));
        server.receive(one, b"SHUTDOWN SAVE\r\n");
        let reply = server.send(other, b"SET key 2\r\n");
        assert_eq!(reply, "+OK\r\n", "it goes on");
        let error = server.send(one, b"GET key\r\n");
        assert_eq!(
            error,
            "-ERR Errors trying to SHUTDOWN. Check logs.\r\n$1\r\n2\r\n"
        );
        with_disk(&mut server, None);
        server.receive(one, b"SHUTDOWN SAVE\r\n");
        server.turns();
        assert!(shared(&mut server).is_stopping());
        assert_eq!(
            server.send(other, b"SET key 3\r\n"),
            "",
            "what is not saved is not answered"
        );
    }
}
