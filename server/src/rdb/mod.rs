//! Values in Redis's RDB format: what `DUMP` answers, `RESTORE` takes, and snapshot files hold.
//!
//! ```text
//! payload.rs     the footer of DUMP, and the version in it
//! value.rs       one value of any type: which type it is, and who reads it
//!                    ┌──────────┬──────────┴─┬───────────────┬─────────────┐
//! types          list.rs     hash.rs      set.rs      sorted_set.rs    stream/      elements, fields, members, entries, one after the other
//!                    └──────────┴──────┬─────┴───────────────┴─────────────┘
//! packed.rs      a small collection in one string: listpack.rs, ziplist.rs, zipmap.rs, intset.rs
//! input.rs       lengths, strings (lzf.rs), numbers; output.rs writes them
//! ```
//! Nothing is believed: each length is checked against the bytes there are, each count against what comes, and what a field or a
//! member may not be is refused, as Redis does with `sanitize-dump-payload yes`. What reading takes is bounded by the bytes that
//! are read: a packed string by 88 times its own ([`limits::LZF_MAX_RATIO`]), fields and members by a copy of each. Readers go
//! forward over the bytes once, give each element as it comes and keep no bytes: they are given them each time. So whoever reads
//! builds a value on the way, when there is time for it, and drops it if the end is a [`Fault`].
//!
//! Source: "Redis RDB File Format" and what servers write; versions 6 to 13 of Redis's, 80 of Valkey's ([`Version`]).

mod crc64;
mod fault;
pub mod file;
mod hash;
mod input;
mod intset;
mod item;
mod kind;
pub mod limits;
mod list;
mod listpack;
mod lzf;
mod output;
mod packed;
mod payload;
mod seen;
mod set;
mod sorted_set;
mod stream;
mod value;
mod version;
mod ziplist;
mod zipmap;

pub use crc64::{Sum, Summed, combine};
pub use fault::Fault;
pub use hash::{Field, Hash, HashForm, HashThresholds, HashWriter};
pub use input::Input;
pub use item::{Item, Text};
pub use list::{List, ListWriter};
pub use output::{Output, Packing};
pub use payload::{Checksum, FOOTER_BYTES, WrongFooter, open, seal, seal_as, summed, unseal};
pub use seen::Duplicates;
pub use set::{Set, SetWriter};
pub use sorted_set::{Member, SortedSet, SortedSetForm, SortedSetWriter};
pub use stream::{Stream, StreamWriter};
pub use value::Value;
pub use version::Version;
