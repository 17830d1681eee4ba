//! What an episode is made of: commands with what their replies promise, and steps of commands.

use std::fmt::Write as _;

use crate::quoting::escape;

/// The number of a connection: the first two of a target speak RESP2, RESP3; the others are for who waits.
pub type Session = usize;

/// Connections that send ordinary commands.
pub const SESSIONS: usize = 2;

/// Connections of clients that block, RESP2 and RESP3 in turns, behind the ordinary ones.
pub const WAITERS: usize = 3;

/// A command and what of its reply is the same on every server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its name and arguments.
    pub words: Vec<Vec<u8>>,
    /// Which of the words are keys; a script's command has them in `KEYS`.
    pub keys: Vec<usize>,
    /// What is the same.
    pub promise: Promise,
}

/// What of a reply is the same on every server. Errors and nulls are so, to the last byte, whatever the promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promise {
    /// All of it.
    Exact,
    /// The members of an array or a set; their order is free.
    Members,
    /// The pairs of a map or of a flat array; their order is free.
    Pairs,
    /// The numbers that are no deadlines. Of a deadline, what is left of it or when it is, in units of so many
    /// milliseconds, may differ by the time that the commands took.
    Deadline {
        /// Milliseconds.
        unit_ms: i64,
    },
    /// Its type.
    Kind,
    /// What of streams, groups and consumers is told beside times, the size of trees and what payloads do not carry.
    Timeless,
    /// What this command's is, whose reply it is: of scripts.
    Of(Box<Command>),
    /// Each member of the array, as the reply of a command of its own: of `EXEC` and of scripts.
    Each(Vec<Command>),
}

/// One step. It ends with the replies of all servers read, so that the next finds them at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Commands sent in one write.
    Pipeline {
        /// Over this connection.
        session: Session,
        /// One or more.
        commands: Vec<Command>,
    },
    /// A command whose deadline is soon; then it passes, and what it belonged to is gone.
    Passing {
        /// Over this connection.
        session: Session,
        /// The command.
        command: Command,
        /// The key whose deadline, or whose fields' deadlines, pass.
        key: Vec<u8>,
        /// Not later than so many milliseconds after the command.
        within_ms: u64,
    },
    /// A command that answers some of the members that `all` answers.
    Sample {
        /// Over this connection.
        session: Session,
        /// What answers all members, or pairs.
        all: Command,
        /// The command.
        command: Command,
        /// How many it answers.
        count: Sampled,
    },
    /// A scan from its start to its end; what it answers, as a set, is what is there.
    Scan {
        /// Over this connection.
        session: Session,
        /// The words before the cursor.
        before: Vec<Vec<u8>>,
        /// The words behind the cursor.
        after: Vec<Vec<u8>>,
        /// A reply has pairs of field and value.
        has_pairs: bool,
    },
    /// A scan during which elements come and go: what is there all the time is met, and what never was is not.
    ScanAmid {
        /// Over this connection.
        session: Session,
        /// The words before the cursor.
        before: Vec<Vec<u8>>,
        /// The words behind the cursor.
        after: Vec<Vec<u8>>,
        /// What answers all that is there.
        all: Command,
        /// What comes between the replies of the scan, one each.
        between: Vec<Command>,
    },
    /// `DUMP` of one key, and `RESTORE` of the payload under another, with these words behind it.
    Payload {
        /// Over this connection.
        session: Session,
        /// The key dumped.
        from: Vec<u8>,
        /// `RESTORE`, the new key and the deadline.
        restore: Vec<Vec<u8>>,
        /// The words behind the payload.
        options: Vec<Vec<u8>>,
        /// A byte of the payload is inverted before it is restored, counted from its end.
        damage: Option<usize>,
    },
    /// Clients block one after the other, then commands come that may serve them, then who still waits is unblocked.
    Waiting {
        /// What each waiter sends; each is seen to have blocked, or has its reply, before the next comes.
        waiters: Vec<Command>,
        /// Over this connection.
        session: Session,
        /// Commands sent one by one.
        wakers: Vec<Command>,
        /// `CLIENT UNBLOCK … ERROR`, not `TIMEOUT`.
        with_error: bool,
    },
}

/// How many members a sampling command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// One key of the keyspace; none when it is empty.
    Key,
    /// One field, not in an array; none when there are none.
    Field,
    /// Different ones, so many or all.
    Different(usize),
    /// So many, some perhaps more than once; none when there are none.
    Any(usize),
}

/// Makes words of anything.
pub fn words<A: AsRef<[u8]>>(all: &[A]) -> Vec<Vec<u8>> {
    all.iter().map(|word| word.as_ref().to_vec()).collect()
}

impl Command {
    /// A command whose whole reply is the same; none of its words is a key.
    #[must_use]
    pub fn of<A: AsRef<[u8]>>(all: &[A]) -> Self {
        Self {
            words: words(all),
            keys: Vec::new(),
            promise: Promise::Exact,
        }
    }

    /// With one more word.
    #[must_use]
    pub fn arg(mut self, word: impl AsRef<[u8]>) -> Self {
        self.words.push(word.as_ref().to_vec());
        self
    }

    /// With one more word, which is a key.
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.keys.push(self.words.len());
        self.arg(key)
    }

    /// With more words, which are keys.
    #[must_use]
    pub fn some_keys<A: AsRef<[u8]>>(self, keys: &[A]) -> Self {
        keys.iter().fold(self, |command, key| command.key(key))
    }

    /// With more words.
    #[must_use]
    pub fn with<A: AsRef<[u8]>>(mut self, more: &[A]) -> Self {
        self.words.extend(words(more));
        self
    }

    /// With this promise.
    #[must_use]
    pub fn promise(mut self, promise: Promise) -> Self {
        self.promise = promise;
        self
    }

    /// Its name, in upper case.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.words.first().map_or(&b""[..], |word| word);
        String::from_utf8_lossy(name).to_ascii_uppercase()
    }

    /// The line one types to send it.
    #[must_use]
    pub fn line(&self) -> String {
        line_of(&self.words)
    }
}

/// Words as redis-cli reads them. A long one is shown by its length and its first bytes.
#[must_use]
pub fn line_of(words: &[Vec<u8>]) -> String {
    const SHOWN_WORD_BYTES: usize = 400;
    const SHOWN_WORDS: usize = 40;
    let mut out = String::new();
    for word in words.iter().take(SHOWN_WORDS) {
        if !out.is_empty() {
            out.push(' ');
        }
        let is_plain = !word.is_empty()
            && word.len() <= SHOWN_WORD_BYTES
            && word
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte));
        if is_plain {
            out.push_str(&String::from_utf8_lossy(word));
        } else if word.len() <= SHOWN_WORD_BYTES {
            let _ = write!(out, "\"{}\"", escape(word));
        } else {
            let _ = write!(out, "<{} bytes: \"{}\"…>", word.len(), escape(&word[..20]));
        }
    }
    if words.len() > SHOWN_WORDS {
        let _ = write!(out, " … ({} words)", words.len());
    }
    out
}

impl Step {
    /// How many commands it sends at least.
    #[must_use]
    pub fn commands(&self) -> usize {
        match self {
            Self::Pipeline { commands, .. } => commands.len(),
            Self::Passing { .. } | Self::Scan { .. } => 1,
            Self::Sample { .. } | Self::Payload { .. } => 2,
            Self::ScanAmid { between, .. } => 2 + between.len(),
            Self::Waiting {
                waiters, wakers, ..
            } => waiters.len() + wakers.len(),
        }
    }

    /// Whether it has a command of a name that begins so, in a script or by itself.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let is_named = |word: &Vec<u8>| {
            let word = word.get(..name.len());
            word.is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        let has = |commands: &[Command]| {
            let mut words = commands.iter().flat_map(|command| &command.words);
            words.any(is_named)
        };
        match self {
            Self::Pipeline { commands, .. } => has(commands),
            Self::Waiting { wakers, .. } => has(wakers),
            Self::ScanAmid { between, .. } => has(between),
            _ => false,
        }
    }

    /// The step as lines for a person: the connection, and what goes over it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let at = |session: &Session, text: String| format!("@{session} {text}");
        match self {
            Self::Pipeline { session, commands } => {
                let mut lines: Vec<String> = commands
                    .iter()
                    .map(|command| at(session, command.line()))
                    .collect();
                if lines.len() > 1 {
                    lines[0].push_str("    (in one write with those that follow)");
                    for line in &mut lines[1..] {
                        line.insert_str(0, "   ");
                    }
                }
                lines
            }
            Self::Passing {
                session,
                command,
                within_ms,
                ..
            } => vec![at(
                session,
                format!("{}    (and {within_ms} ms pass)", command.line()),
            )],
            Self::Sample {
                session, command, ..
            } => vec![at(session, command.line())],
            Self::Scan {
                session,
                before,
                after,
                ..
            } => {
                let text = format!("{} <cursor> {}", line_of(before), line_of(after));
                vec![at(session, text)]
            }
            Self::ScanAmid {
                session,
                before,
                after,
                between,
                ..
            } => {
                let text = format!(
                    "{} <cursor> {}    (and between its replies:)",
                    line_of(before),
                    line_of(after)
                );
                let mut lines = vec![at(session, text)];
                lines.extend(between.iter().map(|one| format!("   {}", one.line())));
                lines
            }
            Self::Payload {
                session,
                from,
                restore,
                options,
                damage,
            } => {
                let dump = line_of(&[b"DUMP".to_vec(), from.clone()]);
                let note = damage.map_or(String::new(), |at| {
                    format!("    (its byte {at} from the end inverted)")
                });
                let restore = format!("{} <payload> {}{note}", line_of(restore), line_of(options));
                vec![at(session, dump), at(session, restore)]
            }
            Self::Waiting {
                waiters,
                session,
                wakers,
                with_error,
            } => {
                let mut lines: Vec<String> = waiters
                    .iter()
                    .enumerate()
                    .map(|(number, command)| at(&(SESSIONS + number), command.line()))
                    .collect();
                lines.extend(wakers.iter().map(|command| at(session, command.line())));
                let how = if *with_error { "ERROR" } else { "TIMEOUT" };
                lines.push(at(session, format!("CLIENT UNBLOCK <each waiter> {how}")));
                lines
            }
        }
    }

    /// Its commands each by itself: not in one write, not in a transaction or a script, and nobody waits.
    #[must_use]
    pub fn apart(&self) -> Option<Vec<Self>> {
        let (session, commands) = match self {
            Self::Pipeline { session, commands } => (*session, commands),
            Self::Waiting {
                session, wakers, ..
            } => (*session, wakers),
            _ => return None,
        };
        let frame = ["MULTI", "EXEC", "DISCARD"];
        let is_frame = |command: &&Command| frame.contains(&command.name().as_str());
        let inner: Vec<Command> = commands
            .iter()
            .filter(|command| !is_frame(command))
            .flat_map(|command| match &command.promise {
                Promise::Each(inner) => inner.clone(),
                Promise::Of(inner) => vec![(**inner).clone()],
                _ => vec![command.clone()],
            })
            .collect();
        let is_apart = matches!(self, Self::Pipeline { .. }) && commands.len() == 1;
        (!is_apart || inner != *commands).then(|| {
            inner
                .into_iter()
                .map(|command| Self::Pipeline {
                    session,
                    commands: vec![command],
                })
                .collect()
        })
    }

    /// The same with one command less, for each that can be left out by itself.
    #[must_use]
    pub fn smaller(&self) -> Vec<Self> {
        let without = |all: &[Command], place: usize| {
            let mut rest = all.to_vec();
            rest.remove(place);
            rest
        };
        match self {
            Self::Pipeline { session, commands } if commands.len() > 1 => {
                let is_transaction = |place: &usize| {
                    ["MULTI", "EXEC", "DISCARD"].contains(&commands[*place].name().as_str())
                };
                (0..commands.len())
                    .filter(|place| !is_transaction(place))
                    .map(|place| {
                        let mut rest = without(commands, place);
                        unqueue(&mut rest, commands, place);
                        Self::Pipeline {
                            session: *session,
                            commands: rest,
                        }
                    })
                    .collect()
            }
            Self::Waiting {
                waiters,
                session,
                wakers,
                with_error,
            } => {
                let make = |waiters: Vec<Command>, wakers: Vec<Command>| Self::Waiting {
                    waiters,
                    session: *session,
                    wakers,
                    with_error: *with_error,
                };
                let fewer_wakers =
                    (0..wakers.len()).map(|at| make(waiters.clone(), without(wakers, at)));
                let fewer_waiters = (0..waiters.len())
                    .filter(|_| waiters.len() > 1)
                    .map(|at| make(without(waiters, at), wakers.clone()));
                fewer_wakers.chain(fewer_waiters).collect()
            }
            Self::ScanAmid {
                session,
                before,
                after,
                all,
                between,
            } => (0..between.len())
                .map(|at| Self::ScanAmid {
                    session: *session,
                    before: before.clone(),
                    after: after.clone(),
                    all: all.clone(),
                    between: without(between, at),
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// What is left out between `MULTI` and `EXEC` has no reply in that of `EXEC`.
fn unqueue(rest: &mut [Command], before: &[Command], place: usize) {
    let Some(multi) = before[..place]
        .iter()
        .rposition(|command| command.name() == "MULTI")
    else {
        return;
    };
    for command in &mut rest[place..] {
        let is_exec = command.name() == "EXEC";
        if let Promise::Each(parts) = &mut command.promise
            && is_exec
        {
            let own = place - multi - 1;
            if own < parts.len() {
                parts.remove(own);
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_a_transaction_leaves_the_promise_of_its_exec() {
        let [a, b] = ["a", "b"].map(|key| Command::of(&["GET", key]));
        let exec = Command::of(&["EXEC"]).promise(Promise::Each(vec![a.clone(), b.clone()]));
        let step = Step::Pipeline {
            session: 0,
            commands: vec![Command::of(&["MULTI"]), a, b.clone(), exec],
        };
        let smaller = step.smaller();
        assert_eq!(smaller.len(), 2);
        let Step::Pipeline { commands, .. } = &smaller[0] else {
            panic!("{smaller:?}");
        };
        assert_eq!(commands.len(), 3);
        assert_eq!(commands[2].promise, Promise::Each(vec![b]));
    }

    #[test]
    fn a_line_is_as_one_types_it() {
        let command = Command::of(&[&b"SET"[..], b"a b", b"", b"\xff", b"plain"]);
        assert_eq!(command.line(), r#"SET "a b" "" "\xff" plain"#);
    }
}
