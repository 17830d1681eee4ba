//! The command logs of a core: the newest of its commands that took long, were large, or had a large reply.
//!
//! Entries of a log are numbered over all cores, so that `COMMANDLOG GET` can merge the cores' rings newest first. What an entry
//! keeps of a command is bounded as in Redis: 32 arguments of 128 bytes.

use std::collections::VecDeque;

use super::parts::{PartReader, PartWriter};

/// Arguments an entry keeps; the last says how many there were more.
pub const ARGS_MAX: usize = 32;

/// Bytes of an argument an entry keeps; a remark behind them says how many there were more.
pub const ARG_MAX_BYTES: usize = 128;

/// Why a command is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// It took long: the slow log.
    Slow,
    /// It was large itself.
    LargeRequest,
    /// Its reply was.
    LargeReply,
}

impl LogKind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Slow, Self::LargeRequest, Self::LargeReply];

    /// The name clients know.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::LargeRequest => "large-request",
            Self::LargeReply => "large-reply",
        }
    }
}

/// What a command took of its core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Its time, in nanoseconds; none, if it was not timed by itself.
    pub nanos: u64,
    /// Bytes of its reply.
    pub reply_bytes: u64,
}

/// One logged command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number in its log, over all cores.
    pub id: u64,
    /// When it ran.
    pub unix_secs: i64,
    /// How long it took, in microseconds, or how many bytes it or its reply had.
    pub value: u64,
    /// Its arguments, shortened.
    pub args: Vec<Box<[u8]>>,
    /// The client's address.
    pub addr: Box<str>,
    /// The client's name.
    pub name: Box<[u8]>,
}

impl LogEntry {
    /// Appends the entry to a part.
    pub fn write(&self, part: &mut PartWriter<'_>) {
        part.number(self.id);
        part.signed(self.unix_secs);
        part.number(self.value);
        part.bytes(self.addr.as_bytes());
        part.bytes(&self.name);
        part.number(self.args.len() as u64);
        for arg in &self.args {
            part.bytes(arg);
        }
    }

    /// Reads an entry that [`Self::write`] wrote.
    pub fn read(part: &mut PartReader<'_>) -> Self {
        let (id, unix_secs, value) = (part.number(), part.signed(), part.number());
        let (addr, name) = (part.text().into(), part.bytes().into());
        let args = (0..part.number()).map(|_| part.bytes().into()).collect();
        Self {
            id,
            unix_secs,
            value,
            args,
            addr,
            name,
        }
    }
}

/// What of a command an entry keeps. `args` yields each argument, or a stand-in for a secret.
pub fn shorten<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Box<[u8]>> {
    let count = args.len();
    let kept = if count > ARGS_MAX {
        ARGS_MAX - 1
    } else {
        count
    };
    let mut short: Vec<Box<[u8]>> = args.take(kept).map(shorten_one).collect();
    if kept < count {
        short.push(
            format!("... ({} more arguments)", count - kept)
                .into_bytes()
                .into(),
        );
    }
    short
}

fn shorten_one(arg: &[u8]) -> Box<[u8]> {
    if arg.len() <= ARG_MAX_BYTES {
        return arg.into();
    }
    let mut short = arg[..ARG_MAX_BYTES].to_vec();
    short.extend_from_slice(format!("... ({} more bytes)", arg.len() - ARG_MAX_BYTES).as_bytes());
    short.into()
}

/// The logs of one core.
#[derive(Debug, Default)]
pub struct CommandLogs([CommandLog; LogKind::ALL.len()]);

impl CommandLogs {
    /// One of them.
    pub fn of(&self, kind: LogKind) -> &CommandLog {
        &self.0[kind as usize]
    }

    /// One of them, to be changed.
    pub fn of_mut(&mut self, kind: LogKind) -> &mut CommandLog {
        &mut self.0[kind as usize]
    }
}

/// A log of one core.
#[derive(Debug, Default)]
pub struct CommandLog {
    /// Newest first.
    entries: VecDeque<LogEntry>,
}

impl CommandLog {
    /// Takes in an entry and drops the oldest ones beyond `max`.
    pub fn push(&mut self, entry: LogEntry, max: usize) {
        self.entries.push_front(entry);
        self.entries.truncate(max);
    }

    /// The entries, newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets all entries.
    pub fn reset(&mut self) {
        self.entries = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64) -> LogEntry {
        LogEntry {
            id,
            unix_secs: 5,
            value: 9,
            args: vec![b"get".to_vec().into(), b"\xff".to_vec().into()],
            addr: "127.0.0.1:1".into(),
            name: b"me".to_vec().into(),
        }
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let mut log = CommandLog::default();
        for id in 0..10 {
            log.push(entry(id), 3);
        }
        assert_eq!(
            log.iter().map(|entry| entry.id).collect::<Vec<_>>(),
            [9, 8, 7]
        );
        log.push(entry(10), 0);
        assert!(log.is_empty());
    }

    #[test]
    fn long_commands_and_long_arguments_are_shortened_with_a_remark() {
        let long = vec![b'x'; 130];
        let args: Vec<&[u8]> = vec![&long; 33];
        let short = shorten(args.iter().copied());
        assert_eq!(short.len(), 32);
        assert_eq!(&*short[31], b"... (2 more arguments)");
        assert!(short[0].ends_with(b"x... (2 more bytes)"));
        assert_eq!(short[0].len(), 128 + "... (2 more bytes)".len());
        assert_eq!(shorten(args[..32].iter().copied()).len(), 32);
    }

    #[test]
    fn an_entry_survives_its_way_to_another_core() {
        let mut part = Vec::new();
        entry(3).write(&mut PartWriter(&mut part));
        assert_eq!(LogEntry::read(&mut PartReader::new(&part)), entry(3));
    }
}
