//! Ranges of ids, scores and names whose ends are arbitrary (`larder_tests::ranges`); the fuzz target of that name does the same.

use larder_tests::ranges::check;
use proptest::prelude::*;

/// What ends are made of.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let telling = [
        "(",
        "[",
        "-",
        "+",
        "0",
        "1",
        "7",
        "100",
        "-0",
        ".5",
        "e1",
        "inf",
        "nan",
        " ",
        "m1",
        "filler7",
        "18446744073709551615",
        "18446744073709551616",
        "0x1",
        "\0",
    ];
    prop_oneof![
        9 => prop::sample::select(telling.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

fn end() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..4).prop_map(|pieces| {
        let mut end = pieces.concat();
        end.truncate(39);
        end
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn all_commands_understand_the_ends_of_a_range_alike(
        kind in any::<u8>(),
        ends in [end(), end()],
        members in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut data = vec![kind, ends[0].len() as u8, ends[1].len() as u8];
        data.extend(ends.concat());
        data.extend(members);
        check(&data).map_err(TestCaseError::fail)?;
    }
}
