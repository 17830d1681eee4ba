//! HyperLogLogs that clients have set, of arbitrary bytes (`larder_tests::hyperloglogs`); the fuzz target of that name does the same.

use larder_tests::hyperloglogs::check;
use proptest::prelude::*;

/// A run of registers: often a long one of zeros, so that now and then they are all, or one that is longer written than it need be.
fn run() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => Just(vec![0x7F, 0xFF]),
        1 => Just(vec![0x5F, 0xFF]),
        1 => (0u8..3).prop_map(|more| vec![0x40, more]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bytes_that_a_client_has_set_are_counted_or_refused(
        head in any::<[u8; 4]>(),
        runs in prop::collection::vec(run(), 0..60),
    ) {
        let mut data = head.to_vec();
        data.extend(runs.concat());
        check(&data).map_err(TestCaseError::fail)?;
    }
}
