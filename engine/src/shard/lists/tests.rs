//! What the model cannot say of lists: encodings, bounds, what is told, memory.

use proptest::prelude::*;

use super::model::play;
use crate::shard::tests::cases;

proptest! {
    #![proptest_config(cases(150, 1))]

    #[test]
    fn the_lists_of_a_shard_do_what_the_model_does(
        steps in prop::collection::vec(any::<u8>(), 1..1200),
    ) {
        play(&steps);
    }
}
