//! Random episodes: a seed gives the same steps again, whatever the servers answer.
//!
//! Keys are few, so that commands meet on them, and have types that they are mostly used with. What is made never depends
//! on how fast a server is: a relative deadline is at least a quarter of an hour away and does not come, or it is some
//! milliseconds away, alone in its step, and has passed when the step ends ([`Step::Passing`]). Relative deadlines that are
//! compared with others (`GT`, `LT`) lie in a range so wide that two are never near each other.

mod geo;
mod hashes;
mod keys;
mod lists;
mod pools;
mod sets;
mod sorted_sets;
mod steps;
mod streams;
mod strings;
mod waits;
mod wraps;

use std::collections::BTreeSet;

use super::step::{Command, SESSIONS, Step};
use crate::random::Random;
use sorted_sets::ALIKE;

/// The commands that episodes may have.
#[must_use]
pub fn commands() -> BTreeSet<&'static str> {
    let families = [
        strings::COMMANDS,
        keys::COMMANDS,
        hashes::COMMANDS,
        lists::COMMANDS,
        sets::COMMANDS,
        sorted_sets::COMMANDS,
        geo::COMMANDS,
        streams::COMMANDS,
    ];
    families.into_iter().flatten().copied().collect()
}

/// Where the keys of a subject are. Who waits for keys of several cores is served when these have heard of each other:
/// the order between keys that are written at once is not Redis's then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cores {
    /// All on one core.
    One,
    /// On several.
    Several,
}

/// What the reference has.
#[derive(Debug)]
pub struct Known {
    /// Its commands, in upper case.
    pub commands: BTreeSet<String>,
    /// It answers as since 7.2, which shows in that scripts may call commands that block. Since then, too, a client that waits has its
    /// command run again when a key is written: its first key counts, not the one written first, and a wrong type is an
    /// error.
    pub since_7_2: bool,
}

impl Known {
    /// Whether it has this command.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.commands.contains(name)
    }

    /// `XINFO` has all fields.
    pub(super) fn tells_of_streams_as_now(&self) -> bool {
        self.has("XCFGSET")
    }

    /// Numbers to sort by are only what is a number (since 8.0): no blank before it, no `0x`.
    fn sorts_strictly(&self) -> bool {
        self.has("HGETEX")
    }
}

/// Makes episodes.
#[derive(Debug)]
pub struct Maker<'a> {
    random: Random,
    known: &'a Known,
    /// Whether all keys are on one core.
    cores: Cores,
    /// What most commands of this episode are about.
    theme: Theme,
    /// Collections grow to thousands of elements.
    is_large: bool,
    /// The episode begins with thresholds of its own between encodings.
    has_thresholds: bool,
    /// Something is sorted.
    sorts: bool,
    /// The step being made has a client that waits, beside a Redis before 7.2.
    is_awaited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    Hashes,
    Lists,
    Sets,
    SortedSets,
    Streams,
    Strings,
    Keys,
}

/// Steps of an episode.
const STEPS: usize = 60;

impl<'a> Maker<'a> {
    /// One for an episode of this number, in a run of this seed.
    #[must_use]
    pub fn new(seed: u64, episode: u64, known: &'a Known, cores: Cores) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(episode));
        let theme = {
            use Theme::{Hashes, Keys, Lists, Sets, SortedSets, Streams, Strings};
            [
                Hashes, Hashes, Hashes, Lists, Lists, Lists, Sets, Sets, SortedSets, SortedSets,
                Streams, Streams, Strings, Keys,
            ][random.below(14)]
        };
        let is_large = random.one_in(4);
        let has_thresholds = random.one_in(2);
        let sorts = random.one_in(2);
        Self {
            random,
            known,
            cores,
            theme,
            is_large,
            has_thresholds,
            sorts,
            is_awaited: false,
        }
    }

    /// The steps of the episode.
    #[must_use]
    pub fn episode(mut self) -> Vec<Step> {
        let mut steps = vec![];
        if self.has_thresholds {
            steps.push(self.thresholds());
        }
        while steps.len() < STEPS {
            self.next(&mut steps);
        }
        steps
    }

    fn next(&mut self, steps: &mut Vec<Step>) {
        let session = self.random.below(SESSIONS);
        match self.random.below(100) {
            0..56 => {
                let count = match self.random.below(4) {
                    0 => 1,
                    _ => self.random.between(2, 16),
                };
                let mut commands: Vec<_> = (0..count).map(|_| self.command()).collect();
                if self.theme == Theme::Lists && self.random.one_in(3) {
                    commands.extend(self.insert());
                }
                steps.push(Step::Pipeline { session, commands });
            }
            56..68 => self.transaction(session, steps),
            68..80 => {
                let commands = vec![self.script()];
                steps.push(Step::Pipeline { session, commands });
            }
            80..82 => steps.extend(self.passing(session)),
            82..86 => steps.push(self.sample(session)),
            86..90 => steps.push(self.scan(session)),
            90 => steps.push(self.scan_amid(session)),
            91..94 => steps.push(self.payload(session)),
            _ => self.waiting(session, steps),
        }
    }

    /// A command whose reply, or what is promised of it, follows from what was there; now and then one that is wrong.
    fn command(&mut self) -> Command {
        let command = self.right_command();
        if self.random.one_in(18) {
            self.spoil(command)
        } else {
            command
        }
    }

    fn right_command(&mut self) -> Command {
        // Two thirds are the theme's.
        let theme = if self.random.one_in(3) {
            self.any_theme()
        } else {
            self.theme
        };
        match theme {
            Theme::Hashes => self.hash_command(),
            Theme::Lists => self.list_command(),
            Theme::Sets => self.set_command(),
            Theme::SortedSets if self.random.one_in(5) => self.geo_command(),
            Theme::SortedSets => self.sorted_set_command(),
            Theme::Streams => self.stream_command(),
            Theme::Strings => self.string_command(),
            Theme::Keys => self.key_command(),
        }
    }

    fn any_theme(&mut self) -> Theme {
        use Theme::{Hashes, Keys, Lists, Sets, SortedSets, Streams, Strings};
        [
            Hashes, Lists, Sets, SortedSets, Streams, Strings, Keys, Keys,
        ][self.random.below(8)]
    }

    /// One of these names that the reference knows.
    fn name(&mut self, names: &[&'static str]) -> &'static str {
        loop {
            let name = names[self.random.below(names.len())];
            if self.knows(name) {
                return name;
            }
        }
    }

    fn knows(&self, name: &str) -> bool {
        let is_drawn = match name {
            "SORT" | "SORT_RO" => self.sorts,
            "XINFO" => self.known.tells_of_streams_as_now(),
            _ => true,
        };
        is_drawn && self.known.has(name)
    }

    /// Wrong in one way: a word less or more, another word, another type of key.
    fn spoil(&mut self, mut command: Command) -> Command {
        let name = command.name();
        // These could come to answer by chance, or to reach where no audit looks.
        const KEPT: [&str; 8] = [
            "SELECT",
            "SWAPDB",
            "SORT",
            "SORT_RO",
            "HRANDFIELD",
            "SRANDMEMBER",
            "SPOP",
            "ZRANDMEMBER",
        ];
        if KEPT.contains(&name.as_str()) {
            return command;
        }
        // What ranges of names answer where scores differ is promised nowhere, nor which of some at one place is the nearest.
        let has = |word: &str| command.words.iter().any(|other| other == word.as_bytes());
        let needs_its_key = has(ALIKE) || name.starts_with("GEO");
        if has(ALIKE) && name == "ZADD" {
            return command;
        }
        // A wrong word must not be a time to wait for, nor a deadline that comes.
        let may_wait = name.starts_with('B') || has("BLOCK");
        let wrong: &[&str] = if may_wait {
            &["", "x", "-1", "nope"]
        } else {
            &[
                "",
                "x",
                "0",
                "-1",
                "1.5",
                "nope",
                "FIELDS",
                "KEEPTTL",
                "9223372036854775807",
                "9223372036854775808",
                "99999999999999999999999",
            ]
        };
        let mut wrong = wrong.to_vec();
        // Too late for a field's deadline. Redis takes the least and the greatest number for the index 0 of a list, and LREM
        // refuses the least count since 8.0.
        match name.as_bytes()[0] {
            b'H' => wrong.extend(["281474976710656", "-9223372036854775808"]),
            _ if may_wait => {}
            _ if name == "LSET" => wrong.retain(|word| *word != "9223372036854775807"),
            _ if name == "LREM" => {}
            _ => wrong.push("-9223372036854775808"),
        }
        let last = command.words.len() - 1;
        let place = self.random.between(0, last);
        match self.random.below(5) {
            0 if last > 0 && !command.keys.contains(&last) => {
                command.words.pop();
            }
            1 if !may_wait => {
                let word = wrong[self.random.below(wrong.len())];
                command.words.push(word.into());
            }
            // A field named twice ends redis-server 8.6.3.
            2 if place > usize::from(needs_its_key) && (name != "HSETEX" || place < 4) => {
                let word = wrong[self.random.below(wrong.len())];
                command.words[place] = word.into();
            }
            3 if !needs_its_key => {
                for key in command.keys.clone() {
                    command.words[key] = self.any_key();
                }
            }
            _ => {
                let flipped = command.words[0].iter().map(|byte| byte ^ 0x20).collect();
                command.words[0] = flipped;
            }
        }
        command
    }
}
