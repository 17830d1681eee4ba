//! Lookup of a command by its name.
//!
//! An open-addressed table keyed by the name's first eight bytes in lower case and its length, built once at start. A
//! lookup is one multiplication, one probe and, for names beyond eight bytes, one comparison.
//!
//! With `rename-command` a command is found by another name, or by none. That is all that changes, as in Redis: errors,
//! `COMMAND` and the statistics call it by its own name.

use std::sync::OnceLock;

use larder_engine::KeyAhead;

use crate::command::{Blocking, CommandSpec, FAMILIES, FieldUse, Flags, Group, Run, StepsFn};
use crate::config::{ConfigError, Renames};
use crate::observe::CommandId;

/// A command in the table.
#[derive(Debug)]
pub struct Command {
    /// What is said about it.
    pub spec: &'static CommandSpec,
    /// The name it is found by, in lower case.
    pub name: &'static str,
    /// Its number.
    pub id: CommandId,
    /// Where its first key stands; zero if it has none, or none that the spec alone tells.
    pub first_key: u8,
    /// What it does with the field that the argument behind its first key names, if that names one.
    pub field: Option<FieldUse>,
    /// Whether it writes what its first key holds as a whole, or removes it.
    pub writes_whole: bool,
    /// How it begins where it may take several turns.
    pub steps: Option<StepsFn>,
    /// Whether it takes constant time, so that it shares its turn's time instead of being timed by itself.
    pub shares_turn: bool,
    /// Whether it takes constant time and no more memory than a few times its arguments: what is said of a run of such
    /// commands holds for each.
    pub is_plain: bool,
    /// Its subcommands.
    pub subcommands: Vec<Command>,
}

impl Command {
    /// Its first key, of this hash, as the engine brings it near.
    #[inline(always)]
    pub(crate) fn key_ahead(&self, hash: u64) -> KeyAhead {
        KeyAhead {
            hash,
            writes: self.writes_whole,
        }
    }

    /// The subcommand called `name`, letters of any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&Command> {
        // Its name in Redis stands before each, with a bar, whatever the configuration calls it.
        let own_at = self.spec.name.len() + 1;
        self.subcommands.iter().find(|command| {
            let own = &command.spec.name.as_bytes()[own_at..];
            own.eq_ignore_ascii_case(name)
        })
    }
}

/// Slots of the table; a power of two, several times the number of commands.
const SLOTS: usize = 2048;

/// All commands.
#[derive(Debug)]
pub struct CommandTable {
    commands: Vec<Command>,
    count: u16,
    slots: Box<[Slot; SLOTS]>,
    /// By number: the command in `commands`, or that and the subcommand in its.
    by_id: Vec<(u16, Option<u16>)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    prefix: u64,
    len: u16,
    /// Index into `commands` plus one; zero is vacant.
    command: u16,
}

impl CommandTable {
    /// The table of the process.
    pub fn global() -> &'static Self {
        static TABLE: OnceLock<CommandTable> = OnceLock::new();
        TABLE.get_or_init(|| {
            Self::build(
                specs()
                    .map(|spec| (spec, Some(spec.name.to_owned())))
                    .collect(),
            )
        })
    }

    /// The table in which commands are found by the names `renames` gives them. It lives as long as the process.
    ///
    /// # Errors
    /// The first line that cannot be obeyed.
    pub fn renamed(renames: &Renames) -> Result<&'static Self, ConfigError> {
        if renames.is_empty() {
            return Ok(Self::global());
        }
        let mut names: Vec<_> = specs()
            .map(|spec| (spec, Some(spec.name.to_owned())))
            .collect();
        for (line, rename) in renames.iter().enumerate() {
            let place_of = |wanted: &str| {
                names.iter().position(|(_, name)| {
                    name.as_ref()
                        .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
                })
            };
            let Some(renamed) = place_of(&rename.from) else {
                return Err(renames.refused(line, "No such command in rename-command"));
            };
            if place_of(&rename.to).is_some_and(|holder| holder != renamed) {
                return Err(renames.refused(line, "Target command name already exists"));
            }
            names[renamed].1 = Some(rename.to.to_ascii_lowercase()).filter(|name| !name.is_empty());
        }
        Ok(Box::leak(Box::new(Self::build(names))))
    }

    fn build(names: Vec<(&'static CommandSpec, Option<String>)>) -> Self {
        let mut table = Self {
            commands: Vec::new(),
            count: 0,
            slots: Box::new([Slot::default(); SLOTS]),
            by_id: Vec::new(),
        };
        for (spec, name) in names {
            let command = table.number(spec);
            match name {
                Some(name) if name == spec.name => table.insert(command),
                Some(name) => table.insert(Command {
                    name: String::leak(name),
                    ..command
                }),
                // Nothing finds it; its number stays its own.
                None => {}
            }
        }
        table.by_id = vec![(u16::MAX, None); table.count()];
        for (at, command) in table.commands.iter().enumerate() {
            table.by_id[command.id.index()] = (at as u16, None);
            for (sub, command) in command.subcommands.iter().enumerate() {
                table.by_id[command.id.index()] = (at as u16, Some(sub as u16));
            }
        }
        table
    }

    /// The command of this number.
    ///
    /// # Panics
    /// If nothing finds it: it has no name.
    #[inline]
    pub fn get(&self, id: CommandId) -> &Command {
        let (at, sub) = self.by_id[id.index()];
        let command = &self.commands[usize::from(at)];
        sub.map_or(command, |sub| &command.subcommands[usize::from(sub)])
    }

    fn number(&mut self, spec: &'static CommandSpec) -> Command {
        let id = CommandId(self.count);
        let takes_one = matches!(spec.run, Run::Blocking(Blocking { takes_one, .. }) if takes_one);
        let shares_turn = spec.flags.has(Flags::FAST) || spec.complexity == "O(1)" || takes_one;
        self.count += 1;
        Command {
            spec,
            name: spec.name,
            id,
            first_key: spec.keys.first(),
            field: spec.field,
            writes_whole: spec.flags.has(Flags::WRITE)
                && matches!(
                    spec.group,
                    Group::Generic | Group::String | Group::Bitmap | Group::HyperLogLog
                ),
            steps: spec.steps,
            shares_turn,
            is_plain: shares_turn && !spec.flags.has(Flags::GROWS),
            subcommands: spec
                .subcommands
                .iter()
                .map(|spec| self.number(spec))
                .collect(),
        }
    }

    fn insert(&mut self, command: Command) {
        let name = command.name.as_bytes();
        assert!(
            self.find(name).is_none(),
            "command {} is specified twice",
            command.spec.name
        );
        let prefix = prefix_of(name);
        let mut at = home(prefix, name.len());
        while self.slots[at].command != 0 {
            at = (at + 1) % SLOTS;
        }
        self.commands.push(command);
        self.slots[at] = Slot {
            prefix,
            len: name.len() as u16,
            command: self.commands.len() as u16,
        };
    }

    /// The command called `name`, letters of any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&Command> {
        let prefix = prefix_of(name);
        let mut at = home(prefix, name.len());
        loop {
            let slot = self.slots[at];
            if slot.command == 0 {
                return None;
            }
            if slot.prefix == prefix && usize::from(slot.len) == name.len() {
                let command = &self.commands[usize::from(slot.command) - 1];
                if name.len() <= 8 || command.name.as_bytes().eq_ignore_ascii_case(name) {
                    return Some(command);
                }
            }
            at = (at + 1) % SLOTS;
        }
    }

    /// `LARDER REBALANCE`, in whose name the server moves slots.
    pub fn rebalance() -> &'static Command {
        let larder = Self::global().find(b"larder");
        larder
            .and_then(|larder| larder.subcommand(b"rebalance"))
            .expect("it is in the table")
    }

    /// `EXEC`.
    pub fn exec() -> &'static Command {
        Self::global().find(b"exec").expect("it is in the table")
    }

    /// Every command, subcommands within theirs.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Command> {
        self.commands.iter()
    }

    /// Number of commands, subcommands included: what [`CommandId`] is below.
    pub fn count(&self) -> usize {
        self.count.into()
    }
}

/// What is said about every command, in the order of their numbers.
fn specs() -> impl Iterator<Item = &'static CommandSpec> {
    FAMILIES.iter().copied().flatten()
}

/// The first eight bytes of `name`, letters in lower case; shorter names are filled up with zeros. Reads overlapping
/// words instead of byte by byte.
#[inline]
fn prefix_of(name: &[u8]) -> u64 {
    let len = name.len();
    let word = if let Some(first) = name.first_chunk::<8>() {
        u64::from_le_bytes(*first)
    } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        u64::from(first) | u64::from(last) << (8 * (len - 4))
    } else if let (Some(first), Some(last)) = (name.first(), name.last()) {
        let middle = len / 2;
        u64::from(*first)
            | u64::from(name[middle]) << (8 * middle)
            | u64::from(*last) << (8 * (len - 1))
    } else {
        0
    };
    lower(word)
}

/// Lowers the ASCII letters `A-Z` in eight bytes at once.
#[inline]
fn lower(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let ascii = word & (ONES * 0x7f);
    let at_least_a = ascii + ONES * (0x80 - b'A' as u64);
    let beyond_z = ascii + ONES * (0x80 - b'Z' as u64 - 1);
    let upper = at_least_a & !beyond_z & !word & (ONES * 0x80);
    word | (upper >> 2)
}

#[inline]
fn home(prefix: u64, len: usize) -> usize {
    ((prefix ^ len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOTS.trailing_zeros()))
        as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blocks_shares_its_turn_if_it_takes_one_element() {
        let table = CommandTable::global();
        for (name, shares) in [("blpop", true), ("blmove", true), ("blmpop", false)] {
            let command = table.find(name.as_bytes()).unwrap();
            assert_eq!(command.shares_turn, shares, "{name}");
        }
    }

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        let table = CommandTable::global();
        for command in table.iter() {
            let name = command.spec.name;
            for spelt in [name.to_owned(), name.to_uppercase()] {
                assert_eq!(
                    table.find(spelt.as_bytes()).unwrap().id,
                    command.id,
                    "{spelt}"
                );
            }
            assert!(
                table
                    .find(format!("{name}x").as_bytes())
                    .is_none_or(|found| found.id != command.id)
            );
        }
        assert!(table.find(b"").is_none());
        assert!(table.find(b"\x07et").is_none());
        assert!(table.find(&[0xff; 300]).is_none());
    }

    fn renames(line: &str) -> Renames {
        let args: Vec<String> = line.split(' ').map(|word| word.replace('\'', "")).collect();
        crate::config::Config::load(None, &args)
            .unwrap()
            .renames()
            .clone()
    }

    #[test]
    fn a_renamed_command_is_found_by_its_new_name_alone() {
        let own = |name: &[u8]| CommandTable::global().find(name).unwrap().id;
        let line = "--rename-command GET MyGet --rename-command SET get --rename-command CONFIG '' \
                    --rename-command SUBSCRIBE a-rather-long-name --rename-command mget MGET --rename-command MyGet g";
        let table = CommandTable::renamed(&renames(line)).unwrap();
        for (name, expected) in [
            (&b"G"[..], Some(own(b"get"))),
            (b"GET", Some(own(b"set"))),
            (b"mGet", Some(own(b"mget"))),
            (b"A-RATHER-long-name", Some(own(b"subscribe"))),
            (b"del", Some(own(b"del"))),
            (b"myget", None),
            (b"set", None),
            (b"config", None),
            (b"subscribe", None),
            (b"", None),
        ] {
            let found = table.find(name).map(|command| command.id);
            assert_eq!(found, expected, "{}", name.escape_ascii());
        }
        assert_eq!(table.count(), CommandTable::global().count());
        assert_eq!(table.iter().len() + 1, CommandTable::global().iter().len());
    }

    #[test]
    fn a_rename_that_cannot_be_obeyed_is_refused_with_its_place() {
        for (line, expected) in [
            (
                "--rename-command NOSUCH x",
                "No such command in rename-command",
            ),
            (
                "--rename-command config|get x",
                "No such command in rename-command",
            ),
            (
                "--rename-command GET set",
                "Target command name already exists",
            ),
            (
                "--rename-command GET x --rename-command GET y",
                "No such command in rename-command",
            ),
        ] {
            let error = CommandTable::renamed(&renames(line))
                .unwrap_err()
                .to_string();
            assert_eq!(
                error,
                format!("command line: '--rename-command': {expected}")
            );
        }
    }

    #[test]
    fn only_letters_are_lowered() {
        for byte in 0..=255u8 {
            let expected = u64::from_le_bytes([byte.to_ascii_lowercase(); 8]);
            assert_eq!(lower(u64::from_le_bytes([byte; 8])), expected, "{byte:#x}");
        }
    }

    #[test]
    fn specs_are_consistent() {
        fn check(command: &Command) {
            let spec = command.spec;
            assert_eq!(spec.name, spec.name.to_lowercase());
            assert!(!spec.summary.is_empty(), "{} has no summary", spec.name);
            assert_ne!(spec.arity, 0, "{} takes at least its name", spec.name);
            let is_container = matches!(spec.run, Run::Container);
            // `COMMAND` runs by itself too.
            assert!(
                !is_container || !spec.subcommands.is_empty(),
                "{}",
                spec.name
            );
            command.subcommands.iter().for_each(check);
        }
        CommandTable::global().iter().for_each(check);
    }
}
