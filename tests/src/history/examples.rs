//! Histories written by hand: what the checker finds in each.

#![cfg(test)]

use super::*;

/// A history of operations that do not overlap unless their times say so.
fn at(client: usize, from_ns: u64, to_ns: u64, actions: Vec<Action>) -> Operation {
    Operation {
        client,
        connection: None,
        form: "test",
        invoked_ns: from_ns,
        completed_ns: to_ns,
        fate: Fate::Happened,
        actions,
    }
}

/// All at the same time, so that real time says nothing.
fn together(all: Vec<Vec<Action>>) -> Vec<Operation> {
    let all = all.into_iter().enumerate();
    all.map(|(client, actions)| at(client, 0, 1000, actions))
        .collect()
}

/// The same, later than another operation was.
fn together_after(first: Vec<Action>, all: Vec<Vec<Action>>) -> Vec<Operation> {
    let mut history = together(all);
    for operation in &mut history {
        operation.invoked_ns += 20;
    }
    history.insert(0, at(99, 0, 10, first));
    history
}

fn with_fate(mut operation: Operation, fate: Fate) -> Operation {
    operation.fate = fate;
    if fate == Fate::Unknown {
        operation.completed_ns = u64::MAX;
    }
    operation
}

fn read(key: u32, tokens: &[u32]) -> Action {
    Action::Read {
        key: Key(key),
        value: Value::of(tokens),
    }
}

fn append(key: u32, token: u32, length: usize) -> Action {
    Action::Append {
        key: Key(key),
        token: Token(token),
        length: Some(length),
    }
}

fn append_unanswered(key: u32, token: u32) -> Action {
    Action::Append {
        key: Key(key),
        token: Token(token),
        length: None,
    }
}

fn write(key: u32, token: u32) -> Action {
    Action::Write {
        key: Key(key),
        token: Token(token),
    }
}

fn delete(key: u32) -> Action {
    Action::Delete { key: Key(key) }
}

fn copy(key: u32, into: u32) -> Action {
    Action::Copy {
        key: Key(key),
        into: Copied(into),
    }
}

fn found(history: &[Operation]) -> Box<Violation> {
    check(history).expect_err("this history is not strictly serializable")
}

#[test]
fn a_strictly_serializable_history_is_found_to_be_one() {
    let history = [
        at(0, 0, 10, vec![write(1, 1), write(2, 2)]),
        // Overlapping operations, whose order the replies tell.
        at(1, 20, 50, vec![append(1, 3, 2), append(2, 4, 2)]),
        at(2, 20, 50, vec![read(1, &[1]), read(2, &[2])]),
        at(3, 30, 60, vec![read(1, &[1, 3]), append(1, 5, 3)]),
        at(0, 70, 80, vec![write(1, 6)]),
        at(0, 75, 95, vec![read(1, &[6, 7]), read(2, &[2, 4])]),
        at(2, 75, 90, vec![append(1, 7, 2)]),
        at(0, 100, 110, vec![delete(1), delete(2)]),
        at(1, 105, 120, vec![append(1, 8, 1)]),
        at(2, 130, 140, vec![read(1, &[8]), read(2, &[])]),
    ];
    let checked = check(&history).unwrap();
    assert_eq!(checked.operations, history.len());
    // Of key 1: nothing, 1, 1 3, 1 3 5, 6, 6 7, nothing, 8; of key 2: nothing, 2, 2 4, nothing.
    assert_eq!(checked.versions, 12);
}

#[test]
fn transactions_whose_writes_lie_in_different_orders_are_a_cycle_of_writes() {
    let violation = found(&together(vec![
        vec![append(1, 1, 1), append(2, 2, 2)],
        vec![append(1, 3, 2), append(2, 4, 1)],
    ]));
    assert_eq!(violation.anomaly, Anomaly::WriteCycle);
    assert_eq!(violation.operations.len(), 2);
}

#[test]
fn a_read_of_what_was_discarded_is_an_aborted_read() {
    let discarded = with_fate(at(0, 0, 10, vec![append_unanswered(1, 2)]), Fate::DidNot);
    let history = [
        at(0, 0, 10, vec![append(1, 1, 1)]),
        discarded,
        at(1, 20, 30, vec![read(1, &[1, 2])]),
    ];
    assert_eq!(found(&history).anomaly, Anomaly::AbortedRead);
    let replaced = with_fate(at(0, 0, 10, vec![write(1, 1)]), Fate::DidNot);
    let history = [replaced, at(1, 20, 30, vec![read(1, &[1])])];
    assert_eq!(found(&history).anomaly, Anomaly::AbortedRead);
}

#[test]
fn a_transaction_seen_between_two_of_its_writes_is_an_intermediate_read() {
    let violation = found(&together(vec![
        vec![append(1, 1, 1), append(1, 2, 2)],
        vec![read(1, &[1])],
        vec![read(1, &[1, 2])],
    ]));
    assert_eq!(violation.anomaly, Anomaly::IntermediateRead);
}

#[test]
fn transactions_that_each_see_the_other_are_circular_information_flow() {
    let violation = found(&together(vec![
        vec![append(1, 1, 1), read(2, &[2])],
        vec![append(2, 2, 1), read(1, &[1])],
    ]));
    assert_eq!(violation.anomaly, Anomaly::CircularFlow);
}

#[test]
fn a_write_behind_one_that_its_writer_had_not_seen_is_a_lost_update() {
    let violation = found(&together_after(
        vec![write(1, 1)],
        vec![
            vec![read(1, &[1]), append(1, 2, 2)],
            vec![read(1, &[1]), append(1, 3, 3)],
        ],
    ));
    assert_eq!(violation.anomaly, Anomaly::LostUpdate);
    assert_eq!(violation.operations, [1, 2]);
}

#[test]
fn half_of_a_transaction_seen_is_read_skew() {
    let violation = found(&together(vec![
        vec![append(1, 1, 1), append(2, 2, 1)],
        vec![read(1, &[1]), read(2, &[])],
    ]));
    assert_eq!(violation.anomaly, Anomaly::ReadSkew);
}

#[test]
fn transactions_that_each_overwrite_what_the_other_read_are_write_skew() {
    let violation = found(&together(vec![
        vec![read(1, &[]), append(2, 1, 1)],
        vec![read(2, &[]), append(1, 2, 1)],
    ]));
    assert_eq!(violation.anomaly, Anomaly::WriteSkew);
    assert_eq!(violation.operations.len(), 2);
}

#[test]
fn a_read_of_an_older_state_than_was_seen_before_is_against_real_time() {
    let history = [
        at(0, 0, 10, vec![append(1, 1, 1)]),
        at(1, 20, 30, vec![read(1, &[])]),
    ];
    assert_eq!(found(&history).anomaly, Anomaly::AgainstRealTime);
    // Of two overlapping operations either may be first.
    let history = [
        at(0, 0, 20, vec![append(1, 1, 1)]),
        at(1, 20, 30, vec![read(1, &[])]),
    ];
    assert!(check(&history).is_ok());
}

#[test]
fn real_time_is_kept_over_many_operations_and_several_keys() {
    // Two writers of different keys, one after the other; a reader who sees the second only.
    let mut history = vec![
        at(0, 0, 10, vec![append(1, 1, 1)]),
        at(1, 50, 60, vec![append(2, 2, 1)]),
        at(2, 0, 100, vec![read(1, &[]), read(2, &[2])]),
    ];
    for number in 0..20 {
        let from_ns = 11 + number;
        history.push(at(3, from_ns, from_ns + 1, vec![read(3, &[])]));
    }
    let violation = found(&history);
    assert_eq!(violation.anomaly, Anomaly::AgainstRealTime);
    let mut operations = violation.operations.clone();
    operations.sort_unstable();
    assert_eq!(operations, [0, 1, 2], "the shortest: {violation}");
}

#[test]
fn what_nobody_wrote_there_is_garbage() {
    for tokens in [&[1, 9][..], &[9], &[1, 1], &[1, 2], &[2], &[1, 3]] {
        let history = together(vec![
            vec![append(1, 1, 1)],
            vec![append(2, 2, 1)],
            vec![write(1, 3)],
            vec![read(1, tokens)],
        ]);
        assert_eq!(found(&history).anomaly, Anomaly::Garbage, "{tokens:?}");
    }
    let mut torn = together(vec![vec![append(1, 1, 1)], vec![]]);
    torn[1].actions.push(Action::Read {
        key: Key(1),
        value: Value(Value::of(&[1]).0[..5].to_vec()),
    });
    assert_eq!(found(&torn).anomaly, Anomaly::Garbage);
}

#[test]
fn values_that_do_not_continue_each_other_have_no_order() {
    let history = together(vec![
        vec![append(1, 1, 1), append(1, 2, 2)],
        vec![append_unanswered(1, 3)],
        vec![read(1, &[1, 2])],
        vec![read(1, &[1, 3])],
    ]);
    assert_eq!(found(&history).anomaly, Anomaly::IncompatibleOrders);
}

#[test]
fn an_append_must_stand_where_its_reply_says() {
    let elsewhere = together(vec![
        vec![append(1, 1, 1)],
        vec![append(1, 2, 3)],
        vec![read(1, &[1, 2])],
    ]);
    assert_eq!(found(&elsewhere).anomaly, Anomaly::IncompatibleOrders);
    let lost = [
        at(0, 0, 10, vec![write(1, 1)]),
        at(1, 20, 30, vec![append(1, 2, 2)]),
        at(2, 20, 30, vec![append(1, 3, 2)]),
        at(0, 40, 50, vec![read(1, &[1, 3])]),
    ];
    assert_eq!(found(&lost).anomaly, Anomaly::IncompatibleOrders);
}

#[test]
fn who_does_not_see_its_own_write_is_found_out() {
    let history = together(vec![vec![append(1, 1, 1), read(1, &[])]]);
    assert_eq!(found(&history).anomaly, Anomaly::OwnWriteUnseen);
}

#[test]
fn an_operation_without_a_reply_may_have_happened_late_or_never() {
    let unknown = |operation: Operation| with_fate(operation, Fate::Unknown);
    let lost = unknown(at(1, 20, 0, vec![append_unanswered(1, 2), write(2, 3)]));
    let first = at(0, 0, 10, vec![write(1, 1), write(2, 9)]);
    let reads = |from_ns: u64, one: &[u32], two: &[u32]| {
        at(2, from_ns, from_ns + 5, vec![read(1, one), read(2, two)])
    };
    let never = [first.clone(), lost.clone(), reads(90, &[1], &[9])];
    assert!(check(&never).is_ok());
    let late = [
        first.clone(),
        lost.clone(),
        reads(50, &[1], &[9]),
        reads(90, &[1, 2], &[3]),
    ];
    assert!(check(&late).is_ok());
    // Seen in one key, it has happened to the other too.
    let half = [first.clone(), lost.clone(), reads(90, &[1, 2], &[9])];
    assert_eq!(found(&half).anomaly, Anomaly::ReadSkew);
    let half = [first.clone(), lost.clone(), reads(90, &[1], &[3])];
    assert_eq!(found(&half).anomaly, Anomaly::ReadSkew);
    // But not before it was sent.
    let early = [first, lost, reads(12, &[1, 2], &[3])];
    assert_eq!(found(&early).anomaly, Anomaly::AgainstRealTime);
}

#[test]
fn a_transaction_over_a_watch_that_missed_a_change_is_a_lost_update() {
    let history = [
        at(0, 0, 10, vec![write(1, 1)]),
        at(1, 20, 60, vec![append(1, 2, 2)]),
        // The read since WATCH counts as a part of the transaction.
        at(2, 50, 60, vec![read(1, &[1]), append(1, 3, 3)]),
    ];
    assert_eq!(found(&history).anomaly, Anomaly::LostUpdate);
}

#[test]
fn nobody_sees_a_value_from_before_the_replacement_or_behind_the_deletion() {
    let first = at(0, 0, 10, vec![write(1, 1)]);
    let old = [
        first.clone(),
        at(0, 20, 30, vec![write(1, 2)]),
        at(1, 40, 50, vec![read(1, &[1])]),
    ];
    assert_eq!(found(&old).anomaly, Anomaly::AgainstRealTime);
    let deleted = [
        first.clone(),
        at(0, 20, 30, vec![delete(1)]),
        at(1, 40, 50, vec![read(1, &[1])]),
    ];
    assert_eq!(found(&deleted).anomaly, Anomaly::AgainstRealTime);
    let empty_too_early = [
        first,
        at(1, 15, 18, vec![read(1, &[])]),
        at(0, 20, 30, vec![delete(1)]),
    ];
    assert_eq!(found(&empty_too_early).anomaly, Anomaly::AgainstRealTime);
}

#[test]
fn a_violation_is_named_by_a_cycle_without_real_time_and_shown_by_a_shorter_one_with_it() {
    // The last saw nothing of the first, which was over by then; by way of the second it has come after it too.
    let history = [
        at(0, 0, 10, vec![append(3, 4, 1), append(1, 1, 1)]),
        at(1, 0, 90, vec![append(2, 2, 1), read(1, &[1])]),
        at(2, 20, 30, vec![append(2, 3, 2), read(3, &[])]),
    ];
    let violation = found(&history);
    assert_eq!(violation.anomaly, Anomaly::ReadSkew, "{violation}");
    let mut shown = violation.operations.clone();
    shown.sort_unstable();
    assert_eq!(shown, [0, 2], "{violation}");
}

/// The same, sent on one connection each by those of one client.
fn on_connections(mut history: Vec<Operation>, clients: &[usize]) -> Vec<Operation> {
    for (operation, client) in history.iter_mut().zip(clients) {
        operation.client = *client;
        operation.connection = Some(*client);
    }
    history
}

#[test]
fn what_one_connection_sends_happens_in_its_order_on_each_key() {
    // In flight at the same time: the append that was sent first comes second.
    let history = together(vec![vec![append(1, 1, 2)], vec![append(1, 2, 1)]]);
    check(&on_connections(history.clone(), &[0, 1])).unwrap();
    let violation = found(&on_connections(history, &[0, 0]));
    assert_eq!(violation.anomaly, Anomaly::AgainstProgramOrder);
    let why = "both on history:{1}:1, A was sent before B on the same connection";
    assert!(violation.text.contains(why), "{violation}");

    // A read behind a transaction does not see it.
    let history = together(vec![
        vec![append(1, 1, 1), append(2, 2, 1)],
        vec![read(2, &[])],
    ]);
    check(&history).unwrap();
    let violation = found(&on_connections(history, &[3, 3]));
    assert_eq!(violation.anomaly, Anomaly::AgainstProgramOrder);

    // Over two keys: A before B on one, B before C on the other; and what A read was written behind what C did.
    let history = together(vec![
        vec![append(1, 1, 1), read(3, &[3])],
        vec![append(1, 2, 2), append(2, 6, 1)],
        vec![append(2, 4, 2)],
        vec![read(2, &[6, 4]), append(3, 5, 2)],
        vec![append(3, 3, 1)],
    ]);
    check(&on_connections(history.clone(), &[0, 0, 0, 1, 2])).unwrap();
    let mut turned = history;
    turned[0].actions[1] = read(3, &[3, 5]);
    let violation = found(&on_connections(turned, &[0, 0, 0, 1, 2]));
    assert_eq!(violation.operations.len(), 4);
}

#[test]
fn operations_on_different_keys_may_happen_in_any_order_though_one_connection_sent_them() {
    let history = together(vec![
        vec![append(1, 1, 1)],
        vec![append(2, 2, 1)],
        vec![read(1, &[]), read(2, &[2])],
    ]);
    check(&on_connections(history, &[0, 0, 1])).unwrap();
}

#[test]
fn what_had_no_reply_keeps_its_place_on_its_connection_if_it_happened() {
    let unanswered = with_fate(at(0, 0, 0, vec![append_unanswered(1, 1)]), Fate::Unknown);
    let others = [
        at(0, 0, 50, vec![append(1, 2, 1)]),
        at(1, 60, 70, vec![read(1, &[2, 1])]),
    ];
    let history: Vec<_> = [unanswered].into_iter().chain(others).collect();
    check(&on_connections(history.clone(), &[0, 2, 1])).unwrap();
    let violation = found(&on_connections(history, &[0, 0, 1]));
    assert_eq!(violation.anomaly, Anomaly::AgainstProgramOrder);
}

#[test]
fn a_copy_is_a_read_of_what_it_holds_in_the_end() {
    let history = |fate: Fate, holds: &[u32]| {
        let copying = at(1, 40, 50, vec![copy(1, 7), delete(1)]);
        let mut history = [
            at(0, 0, 10, vec![write(1, 1)]),
            at(0, 20, 30, vec![append(1, 2, 2)]),
            with_fate(copying, fate),
            at(0, 60, 70, vec![read(1, &[])]),
        ];
        reveal(
            &mut history,
            &HashMap::from([(Copied(7), Value::of(holds))]),
        );
        history
    };
    for fate in [Fate::Happened, Fate::Unknown] {
        assert!(check(&history(fate, &[1, 2])).is_ok());
        let old = found(&history(fate, &[1]));
        assert_eq!(old.anomaly, Anomaly::LostUpdate, "{old}");
    }
    let empty = found(&history(Fate::Happened, &[]));
    assert_eq!(empty.anomaly, Anomaly::LostUpdate, "{empty}");
}

#[test]
#[should_panic(expected = "overlap")]
fn replacements_that_overlap_cannot_be_checked() {
    let _ = check(&together(vec![vec![write(1, 1)], vec![write(1, 2)]]));
}

#[test]
fn a_violation_is_told_with_its_operations_and_why_each_comes_before_the_next() {
    let violation = found(&together_after(
        vec![write(1, 1)],
        vec![
            vec![read(1, &[1]), append(1, 2, 2)],
            vec![read(1, &[1]), append(1, 3, 3)],
        ],
    ));
    let expected = "strict serializability is broken: G-single, a lost update
  a cycle of 2 operations:
    A is before B: in history:{1}:1, A's 0000002 is followed by B's 0000003
    B is before A: of history:{1}:1, B read 0000001, which A's 0000002 follows
  A  client 0, 0.000 ms to 0.001 ms, test
       history:{1}:1 was [0000001]
       history:{1}:1 append 0000002, has 2 since
  B  client 1, 0.000 ms to 0.001 ms, test
       history:{1}:1 was [0000001]
       history:{1}:1 append 0000003, has 3 since";
    assert_eq!(violation.to_string(), expected);
}

#[test]
fn a_long_history_is_checked_in_time_that_grows_with_it_alone() {
    // 200 keys of 50 appends, all one after the other: 10,000 operations, whose real time is 50 million pairs.
    let mut history = Vec::new();
    for number in 0..10_000_u32 {
        let (key, length) = (number % 200, number as usize / 200 + 1);
        let from_ns = u64::from(number) * 10;
        history.push(at(
            0,
            from_ns,
            from_ns + 5,
            vec![append(key, number, length)],
        ));
    }
    let checked = check(&history).unwrap();
    assert_eq!(checked.dependencies, 200 * 49);
    // The last append to a key, sent before all others had their replies.
    history[9_999].invoked_ns = 1;
    history[9_999].completed_ns = 2;
    assert_eq!(found(&history).anomaly, Anomaly::AgainstRealTime);
}
