//! The section `hits`: how often keys are found, and what goes by itself, as `LARDER STATS` tells it.

use super::sections::Fields;
use crate::command::families::larder::HitsReport;
use crate::observe::HitCounts;

pub(super) fn write(report: &HitsReport, fields: &mut Fields<'_>) {
    let removed = &report.removed;
    fields.title("Hits");
    fields.add("larder_hit_ratio", ratio(report.all.hit_ratio()));
    for (db, counts) in report.asked_databases() {
        fields.add(&format!("larder_hits_db{db}"), shown(counts));
    }
    for (nth, (prefix, counts)) in report.prefixes.iter().enumerate() {
        fields.add(
            &format!("larder_hits_prefix_{nth}"),
            format_args!("prefix={},{}", prefix.escape_ascii(), shown(*counts)),
        );
    }
    fields.add("larder_evicted_bytes", removed.evicted_bytes);
    fields.add("larder_evicted_keys_per_sec", report.evicted_per_sec);
    fields.add("larder_expired_bytes", removed.expired_bytes);
    fields.add("larder_expired_keys_per_sec", report.expired_per_sec);
    fields.add(
        "larder_age_at_eviction",
        format_args!(
            "known_by={},keys={},mean_secs={},median_below_secs={},tenth_below_secs={}",
            report.ages_by.name(),
            removed.ages.len(),
            removed.ages.mean_secs(),
            removed.ages.below_secs(500),
            removed.ages.below_secs(100),
        ),
    );
    fields.add("larder_dead_keys", report.dead);
    fields.add("larder_dead_bytes", report.dead_bytes);
    fields.add("larder_dead_share", ratio(report.dead_share()));
}

fn shown(counts: HitCounts) -> String {
    let HitCounts { hits, misses } = counts;
    format!(
        "hits={hits},misses={misses},ratio={}",
        ratio(counts.hit_ratio())
    )
}

fn ratio(ratio: f64) -> String {
    format!("{ratio:.4}")
}
