//! What a directive is: its name, what values it takes, its default and who may change it.

/// One directive of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// Its name, in lower case.
    pub name: &'static str,
    /// A second name with the same meaning, mostly from before a renaming.
    pub alias: Option<&'static str>,
    /// What values it takes.
    pub kind: Kind,
    /// Its default, as `CONFIG GET` shows it.
    pub default: &'static str,
    /// Who may change it while the server runs.
    pub change: Change,
    /// Shown by `CONFIG GET` for its exact name only.
    pub hidden: bool,
    /// Its value is a secret, which logs do not show.
    pub sensitive: bool,
}

/// What values a directive takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A number within bounds, both included.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// File permissions, in octal.
    Octal {
        /// The greatest.
        max: u32,
    },
    /// Bytes, with an optional unit (`100mb`).
    Memory {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Bytes, or a percentage of `maxmemory`.
    MemoryOrPercent,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Several of these words; the first stands for none of the others.
    Flags(&'static [&'static str]),
    /// Any text; empty means unset.
    Text,
    /// A file's name without a path.
    FileName {
        /// Whether it may be empty.
        may_be_empty: bool,
    },
    /// A number of ticks a second, brought within bounds.
    Hz,
    /// `SECONDS CHANGES` pairs.
    Save,
    /// `PREFIX BYTES OPS` of quotas.
    Quotas,
    /// `CLASS HARD SOFT SECONDS` for classes of clients.
    OutputLimits,
    /// Addresses to listen on.
    Bind,
    /// Classes of keyspace notifications.
    KeyspaceEvents,
    /// Three numbers for the kernel's out-of-memory killer.
    OomScores,
    /// Percentages of a distribution.
    Percentiles,
    /// Prefixes of keys.
    Prefixes,
    /// `HOST PORT`, or `no one`.
    ReplicaOf,
    /// What is told of slots: `no`, `yes`, or some of `cpu`, `net` and `mem`.
    SlotStats,
    /// An existing directory.
    Directory,
    /// `auto`, a number of cores, or a list of CPUs (`0-3,6`).
    Cores,
}

/// Who may change a directive while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Anyone.
    Free,
    /// No one.
    Never,
    /// No one, but setting what is set already is no error.
    AtStartOnly,
    /// Whom `enable-protected-configs` allows.
    Protected,
}

impl Kind {
    /// Whether a value may be several words.
    pub fn takes_words(self) -> bool {
        matches!(
            self,
            Self::Flags(_)
                | Self::Save
                | Self::Quotas
                | Self::SlotStats
                | Self::OutputLimits
                | Self::Bind
                | Self::OomScores
                | Self::Percentiles
                | Self::Prefixes
                | Self::ReplicaOf
        )
    }
}

impl Directive {
    pub(super) const fn new(name: &'static str, kind: Kind, default: &'static str) -> Self {
        Self {
            name,
            alias: None,
            kind,
            default,
            change: Change::Free,
            hidden: false,
            sensitive: false,
        }
    }

    pub(super) const fn yes_no(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Bool, default)
    }

    pub(super) const fn int(name: &'static str, min: i64, max: i64, default: &'static str) -> Self {
        Self::new(name, Kind::Integer { min, max }, default)
    }

    pub(super) const fn memory(
        name: &'static str,
        min: u64,
        max: u64,
        default: &'static str,
    ) -> Self {
        Self::new(name, Kind::Memory { min, max }, default)
    }

    pub(super) const fn text(name: &'static str, default: &'static str) -> Self {
        Self::new(name, Kind::Text, default)
    }

    pub(super) const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    pub(super) const fn change(mut self, change: Change) -> Self {
        self.change = change;
        self
    }

    pub(super) const fn never(self) -> Self {
        self.change(Change::Never)
    }

    pub(super) const fn at_start(self) -> Self {
        self.change(Change::AtStartOnly)
    }

    pub(super) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(super) const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }
}
