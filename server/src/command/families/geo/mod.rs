//! Positions on the earth: sorted sets whose scores are cells of a grid ([`grid`]).
//!
//! | file | commands |
//! |---|---|
//! | `positions` | `GEOADD`, `GEOPOS`, `GEODIST`, `GEOHASH` |
//! | `search` | `GEOSEARCH`, `GEOSEARCHSTORE`; the arguments of all searches, and what is done with what they find |
//! | `steps` | searches that look at many members, or find many |
//! | `radius` | `GEORADIUS`, `GEORADIUSBYMEMBER`, and those that only read |
//!
//! ```text
//!  arguments ──▶ center and shape ──▶ at most nine cells that cover it ──▶ members of these scores ──▶ those within ──▶ in order
//!  (request)     (shape, earth)       (area, grid)                         (find)
//! ```
//! All arithmetic is that of Redis, operation for operation, so that the last digit of every position and distance is the same.

mod area;
mod around;
mod earth;
mod find;
mod grid;
mod positions;
mod radius;
mod request;
mod search;
mod shape;
mod steps;
mod unit;

pub(crate) use {
    positions::COMMANDS as POSITIONS, radius::COMMANDS as RADIUS, search::COMMANDS as SEARCH,
};

use crate::command::{Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys};

/// What commands that answer positions have in common.
const READING: CommandSpec = CommandSpec {
    flags: Flags::READONLY,
    categories: &[Category::Geo],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
    group: Group::Geo,
    ..CommandSpec::BASE
};
