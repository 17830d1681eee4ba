//! The model, and what it cannot say: what a use is, what is where, bounds.

use proptest::prelude::*;

use super::model::play;
use crate::shard::tests::cases;

proptest! {
    #![proptest_config(cases(60, 2))]

    #[test]
    fn hashes_do_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1500)) {
        play(&steps);
    }
}
