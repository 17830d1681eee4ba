//! What the model cannot say by itself: encodings, what `MEMORY USAGE` answers, events, and types.

use proptest::prelude::*;

use super::model::play;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 150 },
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_sorted_sets_of_a_shard_do_what_the_model_does(
        steps in prop::collection::vec(any::<u8>(), 1..1500),
    ) {
        play(&steps);
    }
}
