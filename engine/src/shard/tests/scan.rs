//! Scans: what they meet, and how much a call does.

use super::*;

#[test]
fn a_scan_meets_what_stays_while_the_table_grows_and_shrinks() {
    for growing in [true, false] {
        let mut shard = shard();
        let (stays, others) = (300, 6000);
        fill(&mut shard, stays, TtlChange::Clear);
        if !growing {
            (stays..stays + others)
                .for_each(|n| put(&mut shard, &number(n), b"v", TtlChange::Clear));
        }
        let (mut seen, mut cursor, mut step) = (BTreeSet::new(), ScanCursor(0), 0);
        loop {
            cursor = shard.scan(DB, cursor, 10, &mut |entry| {
                seen.insert(entry.key().to_vec());
            });
            assert!(cursor.0 < 1 << 48);
            if cursor == ScanCursor(0) {
                break;
            }
            let batch = stays + step * 200..(stays + step * 200 + 200).min(stays + others);
            for n in batch {
                if growing {
                    put(&mut shard, &number(n), b"v", TtlChange::Clear);
                } else {
                    take(&mut shard, &number(n));
                }
            }
            step += 1;
        }
        shard.check();
        assert!((0..stays).all(|n| seen.contains(&number(n))));
    }
}

#[test]
fn a_scan_call_emits_about_what_was_asked_for() {
    let mut shard = shard();
    fill(&mut shard, 5000, TtlChange::Clear);
    let mut emitted = 0;
    shard.scan(DB, ScanCursor(0), 10, &mut |_| emitted += 1);
    assert!((10..60).contains(&emitted), "whole nodes: {emitted}");
    let mut all = 0;
    assert_eq!(
        shard.scan(DB, ScanCursor(0), 10_000, &mut |_| all += 1),
        ScanCursor(0)
    );
    assert_eq!(all, 5000);
    assert_eq!(
        shard.scan(DB, ScanCursor(u64::MAX), 10, &mut |_| {}),
        ScanCursor(0)
    );
}
