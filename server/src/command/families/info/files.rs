//! What `INFO persistence` says of files.

use super::sections::Fields;
use crate::observe::{PartReader, PartWriter};
use crate::shared::Shared;

/// Figures of snapshots and of loading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileFacts {
    /// As [`crate::persist::snapshot::LastSave`] has them.
    saved_secs: i64,
    saves: i64,
    is_ok: i64,
    took_secs: i64,
    saved_changes: i64,
    /// When the snapshot under way began, in milliseconds of Unix time; zero: there is none.
    saving_since_ms: i64,
    /// As [`crate::persist::load::LoadFigures`] has them.
    loads: i64,
    load_began_ms: i64,
    load_total_bytes: i64,
    load_read_bytes: i64,
    loaded_keys: i64,
    expired_keys: i64,
}

impl FileFacts {
    pub(super) fn of(shared: &Shared) -> Self {
        let (last, load) = (shared.snapshots.last(), shared.loading.figures());
        let current = shared.snapshots.current();
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Self {
            saved_secs: last.saved_secs,
            saves: signed(last.saves),
            is_ok: last.is_ok.into(),
            took_secs: last.took_secs,
            saved_changes: signed(last.changes),
            saving_since_ms: current.map_or(0, |job| job.claim.begun_ms),
            loads: load.is_on.into(),
            load_began_ms: signed(load.began_ms),
            load_total_bytes: signed(load.total_bytes),
            load_read_bytes: signed(load.read_bytes),
            loaded_keys: signed(load.keys),
            expired_keys: signed(load.expired),
        }
    }

    fn numbers(&mut self) -> [&mut i64; 12] {
        [
            &mut self.saved_secs,
            &mut self.saves,
            &mut self.is_ok,
            &mut self.took_secs,
            &mut self.saved_changes,
            &mut self.saving_since_ms,
            &mut self.loads,
            &mut self.load_began_ms,
            &mut self.load_total_bytes,
            &mut self.load_read_bytes,
            &mut self.loaded_keys,
            &mut self.expired_keys,
        ]
    }

    pub(super) fn write(self, part: &mut PartWriter<'_>) {
        let mut copy = self;
        copy.numbers()
            .into_iter()
            .for_each(|number| part.signed(*number));
    }

    pub(super) fn read(part: &mut PartReader<'_>) -> Self {
        let mut facts = Self::default();
        facts
            .numbers()
            .into_iter()
            .for_each(|number| *number = part.signed());
        facts
    }

    /// The section, of a server that has seen so many changes, at this time in milliseconds of Unix time.
    pub(super) fn show(self, changes: u64, now_ms: i64, fields: &mut Fields<'_>) {
        fields.title("Persistence");
        fields.add("loading", self.loads);
        fields.add_all(
            0,
            &[
                "async_loading",
                "current_cow_peak",
                "current_cow_size",
                "current_cow_size_age",
            ],
        );
        fields.add("current_fork_perc", "0.00");
        fields.add_all(
            0,
            &["current_save_keys_processed", "current_save_keys_total"],
        );
        let changes = i64::try_from(changes).unwrap_or(i64::MAX);
        fields.add(
            "rdb_changes_since_last_save",
            (changes - self.saved_changes).max(0),
        );
        fields.add(
            "rdb_bgsave_in_progress",
            u64::from(self.saving_since_ms > 0),
        );
        fields.add("rdb_last_save_time", self.saved_secs);
        fields.add(
            "rdb_last_bgsave_status",
            if self.is_ok != 0 { "ok" } else { "err" },
        );
        fields.add("rdb_last_bgsave_time_sec", self.took_secs);
        let since_secs = match self.saving_since_ms {
            0 => -1,
            since_ms => (now_ms - since_ms) / 1000,
        };
        fields.add("rdb_current_bgsave_time_sec", since_secs);
        fields.add("rdb_saves", self.saves);
        fields.add("rdb_last_cow_size", 0);
        fields.add("rdb_last_load_keys_expired", self.expired_keys);
        fields.add("rdb_last_load_keys_loaded", self.loaded_keys);
        fields.add_all(
            0,
            &[
                "aof_enabled",
                "aof_rewrite_in_progress",
                "aof_rewrite_scheduled",
            ],
        );
        fields.add_all(
            -1,
            &["aof_last_rewrite_time_sec", "aof_current_rewrite_time_sec"],
        );
        fields.add("aof_last_bgrewrite_status", "ok");
        fields.add_all(0, &["aof_rewrites", "aof_rewrites_consecutive_failures"]);
        fields.add("aof_last_write_status", "ok");
        fields.add_all(
            0,
            &[
                "aof_last_cow_size",
                "module_fork_in_progress",
                "module_fork_last_cow_size",
            ],
        );
        if self.loads != 0 {
            self.show_loading(now_ms, fields);
        }
    }

    fn show_loading(self, now_ms: i64, fields: &mut Fields<'_>) {
        let (read, total) = (self.load_read_bytes, self.load_total_bytes.max(1));
        let took_ms = (now_ms - self.load_began_ms).max(0);
        fields.add("loading_start_time", self.load_began_ms / 1000);
        fields.add("loading_total_bytes", self.load_total_bytes);
        fields.add("loading_loaded_bytes", read);
        fields.add(
            "loading_loaded_perc",
            format!("{:.2}", 100.0 * read as f64 / total as f64),
        );
        let eta_ms = took_ms * (total - read).max(0) / read.max(1);
        fields.add("loading_eta_seconds", (eta_ms + 999) / 1000);
    }
}
