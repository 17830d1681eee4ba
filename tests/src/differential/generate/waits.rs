//! Clients that wait for lists, sorted sets and streams, and commands that serve them, or not.

use super::{Cores, Maker, Theme};
use crate::differential::step::{Command, Promise, Session, Step, WAITERS};

/// What clients of one step wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Lists,
    SortedSets,
    Streams,
}

impl Awaited {
    /// The commands that wait for it.
    fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Lists => &["BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP"],
            Self::SortedSets => &["BZPOPMIN", "BZPOPMAX", "BZMPOP"],
            Self::Streams => &["XREAD", "XREADGROUP"],
        }
    }
}

impl Maker<'_> {
    /// Clients that block on keys, mostly empty, and commands that serve them, or not.
    pub(super) fn waiting(&mut self, session: Session, steps: &mut Vec<Step>) {
        let awaited = self.awaited();
        if !self.random.one_in(3) {
            let commands = self.emptied(awaited);
            steps.push(Step::Pipeline { session, commands });
        }
        let count = self.random.between(1, WAITERS);
        // Those who carry elements on, and those who wait for several keys, not together.
        let carries = self.random.one_in(2);
        let waiters = (0..count).map(|_| self.waiter(awaited, carries)).collect();
        // Which of two keys that come with a database is first is chance, even on one core.
        let alone = count == 1;
        // Who waits for a key that is stored over something else is not told by Redis.
        let stores = self.random.one_in(3);
        self.is_awaited = !self.known.since_7_2;
        let mut wakers = Vec::new();
        match self.random.below(5) {
            0 => {
                let count = self.random.between(1, 3);
                let inner = self.wakers_at_once(awaited, count, alone, stores);
                wakers.push(Command::of(&["MULTI"]));
                wakers.extend(inner.iter().cloned());
                wakers.push(Command::of(&["EXEC"]).promise(Promise::Each(inner)));
            }
            1 => {
                let count = self.random.between(1, 3);
                let inner = self.wakers_at_once(awaited, count, alone, stores);
                wakers.push(self.script_of_several(inner));
            }
            _ => {
                let count = self.random.between(1, 4);
                wakers.extend((0..count).map(|_| self.waker(awaited, alone, stores)));
            }
        }
        self.is_awaited = false;
        steps.push(Step::Waiting {
            waiters,
            session,
            wakers,
            with_error: self.random.one_in(2),
        });
    }

    fn awaited(&mut self) -> Awaited {
        use Awaited::{Lists, SortedSets, Streams};
        match self.theme {
            Theme::Lists => Lists,
            Theme::SortedSets => SortedSets,
            Theme::Streams => Streams,
            _ => [Lists, SortedSets, Streams][self.random.below(3)],
        }
    }

    /// Nothing is there that is waited for; of streams, groups that have had everything.
    fn emptied(&mut self, awaited: Awaited) -> Vec<Command> {
        let keys = match awaited {
            Awaited::Lists => self.all_list_keys(),
            Awaited::SortedSets => self.all_sorted_set_keys(),
            Awaited::Streams => self.all_stream_keys(),
        };
        let mut commands = vec![Command::of(&["DEL"]).some_keys(&keys)];
        if awaited == Awaited::Streams {
            for key in keys {
                let command = Command::of(&["XGROUP", "CREATE"]).key(key);
                commands.push(command.arg(self.group()).arg("$").arg("MKSTREAM"));
            }
        }
        commands
    }

    /// A command that waits long enough.
    fn waiter(&mut self, awaited: Awaited, carries: bool) -> Command {
        let timeout = ["0", "1000", "5000.5"][self.random.below(3)];
        loop {
            let name = self.name(awaited.commands());
            let command = match awaited {
                Awaited::Lists => self.blocking_command(name, timeout),
                Awaited::SortedSets => self.blocking_sorted_set_command(name, timeout),
                Awaited::Streams => self.blocking_stream_command(name),
            };
            let is_carrying = ["BLMOVE", "BRPOPLPUSH"].contains(&name);
            let waits_for_one = command.keys.len() == 1 || is_carrying;
            let is_fit = match self.cores {
                _ if !self.known.since_7_2 => waits_for_one,
                Cores::One => true,
                Cores::Several if carries => waits_for_one,
                Cores::Several => !is_carrying,
            };
            if is_fit {
                return command;
            }
        }
    }

    /// Wakers that give one key all at once.
    fn wakers_at_once(
        &mut self,
        awaited: Awaited,
        count: usize,
        alone: bool,
        stores: bool,
    ) -> Vec<Command> {
        let key = self.awaited_key(awaited);
        (0..count)
            .map(|_| {
                if self.known.since_7_2 && self.cores == Cores::One {
                    self.waker(awaited, alone, stores)
                } else {
                    self.giving(awaited, &key)
                }
            })
            .collect()
    }

    fn awaited_key(&mut self, awaited: Awaited) -> Vec<u8> {
        match awaited {
            Awaited::Lists => self.list_key(),
            Awaited::SortedSets => self.sorted_set_key(),
            Awaited::Streams => self.stream_key(),
        }
    }

    fn giving_any(&mut self, awaited: Awaited) -> Command {
        let key = self.awaited_key(awaited);
        self.giving(awaited, &key)
    }

    /// A command that gives a key what is waited for.
    fn giving(&mut self, awaited: Awaited, key: &[u8]) -> Command {
        match awaited {
            Awaited::Lists => {
                let name = ["LPUSH", "RPUSH"][self.random.below(2)];
                let count = self.random.between(1, 4);
                let elements: Vec<_> = (0..count).map(|_| self.element()).collect();
                Command::of(&[name]).key(key).with(&elements)
            }
            Awaited::SortedSets => {
                let command = Command::of(&["ZADD"]).key(key);
                self.scores_and_members(command, 4)
            }
            Awaited::Streams => self.addition(Command::of(&["XADD"]).key(key)),
        }
    }

    /// A command that makes something of what is there, and gives it.
    fn carrying(&mut self, awaited: Awaited) -> Command {
        let (from, to) = (self.awaited_key(awaited), self.awaited_key(awaited));
        match awaited {
            Awaited::Lists => {
                let command = Command::of(&["LMOVE"]).key(from).key(to);
                command.arg("LEFT").arg("RIGHT")
            }
            Awaited::SortedSets => {
                let command = Command::of(&["ZINCRBY"]).key(to);
                command.arg(self.score()).arg(self.scored())
            }
            Awaited::Streams => {
                let command = Command::of(&["XGROUP"]);
                self.group_command(command, &to)
            }
        }
    }

    /// A command that stores something, whatever was there; of streams, none does.
    fn storing(&mut self, awaited: Awaited) -> Command {
        let (from, to) = (self.awaited_key(awaited), self.awaited_key(awaited));
        match awaited {
            Awaited::Lists if !self.sorts => self.giving(awaited, &to),
            Awaited::Lists => {
                let command = Command::of(&["SORT"]).key(from);
                command.arg("ALPHA").arg("STORE").key(to)
            }
            Awaited::SortedSets if self.random.one_in(2) => {
                let command = Command::of(&["ZRANGESTORE"]).key(to).key(from);
                command.arg("0").arg("-1")
            }
            Awaited::SortedSets => {
                let command = Command::of(&["ZUNIONSTORE"]).key(to).arg("2").key(from);
                command.key(self.sorted_set_key())
            }
            Awaited::Streams => Command::of(&["XDEL"]).key(to).with(&self.some_ids()),
        }
    }

    /// A command that may give a key what is waited for, or make it something else.
    fn waker(&mut self, awaited: Awaited, alone: bool, stores: bool) -> Command {
        let kinds = match self.cores {
            _ if !self.known.since_7_2 => 8,
            Cores::One if alone => 12,
            _ => 11,
        };
        let key = self.awaited_key(awaited);
        match self.random.below(kinds) {
            7 if !stores => self.giving(awaited, &key),
            8 | 10 | 11 if stores => self.giving(awaited, &key),
            0..6 => self.giving_any(awaited),
            6 => self.carrying(awaited),
            7 => self.storing(awaited),
            8 => Command::of(&["SET"]).key(key).arg("x"),
            9 => Command::of(&["DEL"]).key(key),
            10 => {
                let name = ["RENAME", "COPY"][self.random.below(2)];
                let to = self.awaited_key(awaited);
                Command::of(&[name]).key(key).key(to)
            }
            _ => Command::of(&["SWAPDB", "0", "1"]),
        }
    }
}
