//! Commands of positions, which are sorted sets.

use super::Maker;
use crate::differential::step::{Command, Promise};

/// What is made here.
pub(super) const COMMANDS: &[&str] = &[
    "GEOADD",
    "GEOPOS",
    "GEODIST",
    "GEOHASH",
    "GEOSEARCH",
    "GEOSEARCHSTORE",
    "GEORADIUS",
    "GEORADIUSBYMEMBER",
    "GEORADIUS_RO",
    "GEORADIUSBYMEMBER_RO",
];

/// Whose members are positions, as a rule.
const POSITIONS: [&str; 2] = ["g:1", "{t}g:2"];

const UNITS: [&str; 4] = ["m", "km", "ft", "mi"];

impl Maker<'_> {
    pub(super) fn geo_command(&mut self) -> Command {
        // Positions are to be there.
        let name = match self.random.below(4) {
            0 => "GEOADD",
            _ => self.name(COMMANDS),
        };
        let key = self.geo_key();
        let command = Command::of(&[name]).key(&key);
        match name {
            "GEOADD" => self.positions(command),
            "GEOPOS" | "GEOHASH" => command.with(&self.some_scored(4)),
            "GEODIST" => {
                let command = command.arg(self.scored()).arg(self.scored());
                match self.random.below(3) {
                    0 => command,
                    _ => command.arg(UNITS[self.random.below(UNITS.len())]),
                }
            }
            "GEOSEARCH" => {
                let command = self.shape(command);
                self.found(command)
            }
            "GEOSEARCHSTORE" => {
                let command = Command::of(&[name]).key(self.sorted_set_key()).key(&key);
                let command = self.shape(command);
                let command = self.first_of_found(command);
                match self.random.below(3) {
                    0 => command.arg("STOREDIST"),
                    _ => command,
                }
            }
            _ => self.radius(name, command),
        }
    }

    /// No key of other sorted sets: whose scores are no positions, many of them are at one, and none of them is nearer.
    fn geo_key(&mut self) -> Vec<u8> {
        POSITIONS[self.random.below(POSITIONS.len())].into()
    }

    fn positions(&mut self, mut command: Command) -> Command {
        for (option, odds) in [("NX", 8), ("XX", 8), ("CH", 4)] {
            if self.random.one_in(odds) && self.may_add(option) {
                command = command.arg(option);
            }
        }
        let members = self.different_scored(if self.is_large { 60 } else { 8 });
        members.into_iter().fold(command, |command, member| {
            let [longitude, latitude] = self.position();
            command.arg(longitude).arg(latitude).arg(member)
        })
    }

    /// From where `GEOSEARCH` looks, and how far.
    fn shape(&mut self, command: Command) -> Command {
        let command = match self.random.below(3) {
            0 => command.arg("FROMMEMBER").arg(self.scored()),
            _ => {
                let [longitude, latitude] = self.position();
                command.arg("FROMLONLAT").arg(longitude).arg(latitude)
            }
        };
        match self.random.one_in(2) {
            true => self.around(command.arg("BYRADIUS")),
            false => {
                let width = self.random.between(1, 9000).to_string();
                self.around(command.arg("BYBOX").arg(width))
            }
        }
    }

    /// `GEORADIUS` and its kin; some store what they find, as it was or its distance.
    fn radius(&mut self, name: &str, command: Command) -> Command {
        let command = match name.contains("BYMEMBER") {
            true => command.arg(self.scored()),
            false => {
                let [longitude, latitude] = self.position();
                command.arg(longitude).arg(latitude)
            }
        };
        let command = self.around(command);
        if name.ends_with("_RO") || !self.random.one_in(3) {
            return self.found(command);
        }
        let command = self.first_of_found(command);
        let how = ["STORE", "STOREDIST"][self.random.below(2)];
        command.arg(how).key(self.sorted_set_key())
    }

    /// What is told of what is found, which is in any order if in none that is asked for.
    fn found(&mut self, command: Command) -> Command {
        let mut command = self.first_of_found(command);
        for option in ["WITHCOORD", "WITHDIST", "WITHHASH"] {
            if self.random.one_in(3) {
                command = command.arg(option);
            }
        }
        let is_ordered = command
            .words
            .iter()
            .any(|word| word == b"ASC" || word == b"DESC");
        match is_ordered {
            true => command,
            false => command.promise(Promise::Members),
        }
    }

    /// The nearest or the farthest, or all.
    fn first_of_found(&mut self, command: Command) -> Command {
        match self.random.below(5) {
            0 => command.arg("ASC"),
            1 => command.arg("DESC"),
            2 => command.arg("COUNT").arg(self.small(5)),
            3 => command.arg("COUNT").arg(self.small(5)).arg("DESC"),
            _ => command,
        }
    }

    /// A length and its unit.
    fn around(&mut self, command: Command) -> Command {
        let length = self.random.between(1, 9000).to_string();
        command.arg(length).arg(["km", "mi"][self.random.below(2)])
    }

    /// Two are never near each other by chance, so that one of them is the nearer.
    fn position(&mut self) -> [String; 2] {
        let longitude = self.random.below(3_600_000) as f64 / 10_000.0 - 180.0;
        let latitude = self.random.below(1_700_000) as f64 / 10_000.0 - 85.0;
        [longitude.to_string(), latitude.to_string()]
    }
}
