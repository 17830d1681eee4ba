//! What scripts' texts show of their keys, against what they do: texts made at random, of all that a script may try to come by
//! other keys. `LARDER_TEXTS` is how many.
#![allow(clippy::unwrap_used)]

use larder_tests::declared::Watcher;
use larder_tests::random::Random;

/// Bytes of which a text is made.
const TEXT_BYTES: usize = 160;

#[test]
fn what_shows_that_it_keeps_to_its_keys_does() {
    let asked = std::env::var("LARDER_TEXTS").ok();
    let texts: u64 = asked.map_or(100_000, |count| count.parse().unwrap());
    let mut watcher = Watcher::default();
    let (mut shown, mut named) = (0, 0);
    for seed in 0..texts {
        let mut random = Random::new(seed);
        let bytes: Vec<u8> = (0..TEXT_BYTES).map(|_| random.number() as u8).collect();
        let seen = watcher
            .check(&bytes)
            .unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        shown += u64::from(seen.is_shown);
        named += u64::from(seen.keys > 0);
    }
    // Else nothing was tried.
    assert!(
        shown > texts / 50 && named > texts / 100,
        "{shown} show their keys, {named} of these name any"
    );
}
