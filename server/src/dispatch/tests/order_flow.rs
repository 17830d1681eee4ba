//! The rules of the order in dispatch, from 8 on: what data flows for, replies, messages, copies, time.

#![cfg(test)]

use larder_engine::{Access, DbIndex};

use crate::dispatch::tests::order::{NIL, World, array, bulk};

// Rule 8.

#[test]
fn nobody_has_a_lock_before_its_place_so_that_requests_which_cross_do_not_wait_for_each_other() {
    let mut world = World::new(4);
    world.says(0, "MSETNX K1 a K2 a");
    world.says(3, "MSETNX K1 b K2 b");
    world.give_place(0);
    world.give_place(3);
    for (from, to) in [(0, 1), (3, 2), (3, 1), (0, 2)] {
        world.server.deliver_one(from, to);
    }
    assert_eq!(world.rests(0), ":1\r\n");
    assert_eq!(world.rests(3), ":0\r\n");
    world.says(0, "MGET K1 K2");
    assert_eq!(world.rests(0), array(&["a", "a"]));
    world.end();
}

#[test]
fn what_is_kept_for_a_client_that_waited_is_kept_from_single_commands_and_not_from_transactions() {
    let mut world = World::new(3);
    world.says(0, "BLPOP K1 K2 0");
    assert_eq!(world.rests(0), "");
    world.says(1, "RPUSH K1 v");
    assert_eq!(world.hears(1), ":1\r\n");
    // The key is reserved; word of that does not reach core 0 for now.
    world.says(1, "LLEN K1");
    assert_eq!(world.hears(1), "", "it comes behind who waited");
    world.says(2, "EXISTS K1 K2");
    world.give_place(2);
    world.pass_mail(2, 1);
    world.pass_mail(1, 2);
    assert_eq!(world.hears(2), ":1\r\n");
    let taken = world.rests(0);
    assert!(taken.ends_with(&bulk("v")), "{taken}");
    world.end();
}

#[test]
fn what_a_session_sends_behind_a_script_that_begins_again_comes_behind_it() {
    for core in 0..3 {
        let mut world = World::new(3);
        let script =
            "redis.call('SET', KEYS[1], KEYS[2]) redis.call('SET', ARGV[1], 'new') return 'done'";
        let eval = format!("EVAL \"{script}\" 2 K1 K2 K0\r\nMGET K0 K1");
        world.says(core, &eval);
        let (new, key) = ("new", world.keys[2].clone());
        assert_eq!(world.rests(core), bulk("done") + &array(&[new, &key]));
        world.end();
    }
}

#[test]
fn a_script_that_reached_for_a_key_of_its_own_core_may_reach_for_another_core_the_next_time() {
    for core in 0..3 {
        let mut world = World::new(3);
        let script = "redis.call('SET', KEYS[1], 'k') redis.call('SET', ARGV[1], 'new')";
        let beside = format!("{}x", world.keys[1]);
        let beside = (0..).map(|at| format!("{beside}{at}"));
        let slots = &world.server.cores[0].state().shared.slots;
        let beside = { beside }.find(|key| slots.core_of(key.as_bytes()).index() == 1);
        world.says(
            core,
            &format!("EVAL \"{script}\" 1 K1 {}", beside.expect("one is found")),
        );
        assert_eq!(world.rests(core), NIL);
        world.says(core, &format!("EVAL \"{script}\" 1 K1 K0\r\nMGET K0 K1"));
        assert_eq!(world.rests(core), NIL.to_owned() + &array(&["new", "k"]));
        world.end();
    }
}

// Rule 9.

#[test]
fn what_a_vote_was_taken_of_stays_as_it_was_until_the_outcome() {
    let mut world = World::new(3);
    world.says(0, "MSETNX K1 a K2 a");
    world.give_place(0);
    world.pass_mail(0, 1);
    world.pass_mail(0, 2);
    // Both cores have been asked, and neither knows what comes of it.
    world.says(1, "APPEND K1 x");
    world.says(2, "GET K2");
    assert_eq!(world.hears(1) + &world.hears(2), "");
    assert_eq!(world.rests(0), ":1\r\n");
    assert_eq!(world.rests(1), ":2\r\n");
    assert_eq!(world.rests(2), bulk("a"));
    world.says(0, "MSETNX K0 b K2 b\r\nMGET K0 K2");
    assert_eq!(
        world.rests(0),
        ":0\r\n".to_owned() + "*2\r\n" + NIL + &bulk("a")
    );
    world.end();
}

#[test]
fn what_a_client_watches_on_several_cores_does_not_change_between_the_vote_and_the_commands() {
    let mut world = World::new(3);
    let exec = "MULTI\r\nSET K0 done\r\nEXEC";
    let queued = "+OK\r\n+QUEUED\r\n";
    world.says(0, "WATCH K1 K2");
    world.rests(0);
    world.says(0, exec);
    world.give_place(0);
    world.pass_mail(0, 1);
    world.says(1, "SET K1 x\r\nGET K0");
    assert_eq!(world.hears(1), "", "it has been voted on");
    assert_eq!(world.rests(0), queued.to_owned() + "*1\r\n+OK\r\n");
    assert_eq!(world.rests(1), "+OK\r\n".to_owned() + &bulk("done"));
    // A vote against it on any core is enough.
    for changed in [1, 2] {
        world.says(0, "WATCH K1 K2");
        world.rests(0);
        world.says(changed, &format!("SET K{changed} y"));
        world.rests(changed);
        world.says(0, exec);
        assert_eq!(world.rests(0), queued.to_owned() + "*-1\r\n");
    }
    world.end();
}

#[test]
fn what_is_watched_is_so_until_an_exec_that_waits_for_locks_has_run() {
    let mut world = World::new(3);
    world.says(0, "WATCH K1");
    assert_eq!(world.rests(0), "+OK\r\n");
    world.says(2, "MSETNX K1 a K2 a");
    world.give_place(2);
    world.pass_mail(2, 1);
    // The key is locked, and not written yet.
    world.says(0, "MULTI\r\nAPPEND K1 x\r\nEXEC");
    world.pass_mail(0, 1);
    world.pass_mail(1, 0);
    assert_eq!(world.hears(0), "+OK\r\n+QUEUED\r\n");
    assert_eq!(world.rests(2), ":1\r\n");
    assert_eq!(world.rests(0), "*-1\r\n");
    world.says(0, "MULTI\r\nAPPEND K1 x\r\nEXEC");
    assert!(
        world.rests(0).ends_with("*1\r\n:2\r\n"),
        "it watches nothing more"
    );
    world.end();
}

// Rule 10.

#[test]
fn a_reply_leaves_when_all_cores_have_run_their_parts() {
    for (command, reply) in [
        ("MSET K1 a K2 a", "+OK\r\n".to_owned()),
        ("MGET K1 K2", array(&["a", "a"])),
        (
            "MULTI\r\nSET K1 a\r\nGET K2\r\nEXEC",
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\na\r\n".to_owned(),
        ),
        ("DEL K1 K2", ":2\r\n".to_owned()),
        ("DBSIZE", ":0\r\n".to_owned()),
    ] {
        for late in [1, 2] {
            let mut world = World::new(3);
            world.says(1, "MSET K1 a K2 a");
            world.rests(1);
            if command == "DBSIZE" {
                world.says(1, "FLUSHALL");
                world.rests(1);
            }
            world.says(0, command);
            let said = world.hears(0);
            world.give_place(0);
            let soon = 3 - late;
            world.pass_mail(0, soon);
            world.pass_mail(soon, 0);
            assert_eq!(world.hears(0), "", "{command}, core {late} late");
            assert_eq!(said + &world.rests(0), reply);
            world.end();
        }
    }
}

// Rule 11.

#[test]
fn that_all_is_gone_is_told_behind_what_every_core_answered_before() {
    let mut world = World::new(3);
    let target = world.server.connect(0);
    let id = world.server.send(target, b"CLIENT ID\r\n");
    world
        .server
        .send(target, b"SUBSCRIBE __redis__:invalidate\r\n");
    world.says(
        0,
        &format!("CLIENT TRACKING ON REDIRECT {}", id[1..].trim()),
    );
    world.says(1, "SET K1 old");
    world.rests(1);
    assert_eq!(world.rests(0), "+OK\r\n");
    // The answer to a read is under way when all is emptied.
    world.says(0, "GET K1");
    world.pass_mail(0, 1);
    world.server.ship_between(1, 0);
    world.says(2, "FLUSHALL");
    world.server.turn_of(2);
    world.server.deliver_one(2, 0);
    world.server.cores[0].end_turn();
    world.server.turn_of(1);
    world.server.ship_from(0);
    world.server.turn_of(2);
    while world.server.deliver_one(2, 0) {}
    world.server.cores[0].end_turn();
    assert_eq!(world.hears(2), "+OK\r\n", "all cores have emptied theirs");
    assert_eq!(world.server.take_output(target), b"");
    assert!(world.server.deliver_one(1, 0));
    assert_eq!(world.hears(0), bulk("old"));
    assert_eq!(world.server.take_output(target), b"");
    let told = world.server.send(target, b"");
    assert!(told.ends_with("invalidate\r\n$-1\r\n"), "{told}");
    world.server.disconnect(target);
    world.end();
}

// Rule 12.

/// A world in which core 0 has a copy of the key on core 1, whose value is "old".
fn with_copy() -> World {
    let mut world = World::configured(3, &[("hot-key-copies", "yes")]);
    world.says(1, "SET K1 old");
    world.rests(1);
    let key = world.keys[1].clone();
    world.server.cores[1].offer(DbIndex(0), key.as_bytes());
    world.rests(0);
    world.says(0, "GET K1");
    world.rests(0);
    world.says(0, "GET K1");
    assert_eq!(world.hears(0), bulk("old"), "a copy answers");
    world
}

#[test]
fn a_copy_is_not_read_behind_a_transaction_that_the_owner_of_its_key_has_yet_to_pass() {
    let mut world = with_copy();
    let writer = world.server.connect(0);
    world.client_says(writer, "MSET K0 new K1 new");
    world.give_place(0);
    world.says(0, "GET K0");
    assert_eq!(world.hears(0), bulk("new"));
    world.says(0, "GET K1");
    assert_eq!(world.hears(0), "");
    assert_eq!(world.rests(0), bulk("new"));
    world.server.disconnect(writer);
    world.end();
}

#[test]
fn nor_behind_one_that_waits_for_a_lock_there() {
    let mut world = with_copy();
    // It reads the key on core 1, which may be read meanwhile.
    world.says(2, "COPY K1 K2");
    world.give_place(2);
    world.pass_mail(2, 1);
    world.server.deliver_one(2, 0);
    world.says(0, "GET K1");
    assert_eq!(world.hears(0), bulk("old"), "a copy answers");
    let writer = world.server.connect(0);
    world.client_says(writer, "MSET K0 new K1 new");
    world.give_place(0);
    world.pass_mail(0, 1);
    world.says(0, "GET K0");
    assert_eq!(world.hears(0), bulk("new"));
    world.says(0, "GET K1");
    assert_eq!(world.hears(0), "");
    assert_eq!(world.rests(0), bulk("new"));
    assert_eq!(world.rests(2), ":1\r\n");
    world.server.disconnect(writer);
    world.end();
}

// Rule 13.

#[test]
fn nobody_finds_a_key_alive_after_another_with_its_deadline_was_gone() {
    let mut world = World::new(2);
    let deadline = world.server.now_ms + 100;
    let set = format!("SET K0 v PXAT {deadline}\r\nSET K1 v PXAT {deadline}");
    world.says(0, &set);
    world.rests(0);
    // Core 1 alone looks at its clock.
    world.server.now_ms = deadline + 50;
    let clock = world.server.clock();
    world.server.cores[1].begin_turn(clock);
    world.says(1, "GET K1");
    assert_eq!(world.hears(1), NIL);
    world.says(0, "GET K0");
    assert_eq!(world.hears(0), NIL);
    world.says(0, "MGET K0 K1");
    assert_eq!(world.rests(0), "*2\r\n".to_owned() + NIL + NIL);
    world.end();
}

#[test]
fn a_transaction_has_the_time_of_its_place_on_all_cores() {
    for tick_is_first in [false, true] {
        let mut world = World::new(2);
        let deadline = world.server.now_ms + 100;
        let set = format!("SET K0 v PXAT {deadline}\r\nSET K1 v PXAT {deadline}");
        world.says(0, &set);
        world.rests(0);
        world.says(0, "MGET K0 K1");
        world.server.now_ms = deadline + 50;
        let clock = world.server.clock();
        if tick_is_first {
            world.server.cores[1].begin_turn(clock);
        }
        world.give_place(0);
        world.server.cores[1].begin_turn(clock);
        let expected = match tick_is_first {
            true => "*2\r\n".to_owned() + NIL + NIL,
            false => array(&["v", "v"]),
        };
        assert_eq!(world.rests(0), expected);
        world.end();
    }
}

/// Keys of one deadline on both cores; the client of core 0 asks for that of core 1, and whatever `behind` says, just before the
/// deadline. Then the time comes on core 1, which takes a turn before it hears of that.
fn asked_before_the_deadline(world: &mut World, behind: &str) {
    let deadline = world.server.now_ms + 100;
    let set = format!("SET K0 v PXAT {deadline}\r\nSET K1 v PXAT {deadline}");
    world.says(0, &set);
    world.rests(0);
    world.server.now_ms = deadline - 1;
    world.server.turns();
    world.says(0, &format!("GET K1\r\n{behind}"));
    // So late that the hand is sure to look.
    world.server.now_ms = deadline + 60_000;
    world.server.turn_of(1);
}

#[test]
fn what_is_sent_to_another_core_is_judged_by_the_time_at_which_it_was_sent() {
    for behind in ["GET K0", "STRLEN K0", "APPEND K0 w"] {
        let mut world = World::new(2);
        // What comes behind has run where it was sent: the key was alive.
        asked_before_the_deadline(&mut world, behind);
        let heard = world.rests(0);
        assert!(heard.starts_with(&bulk("v")), "{behind}: {heard}");
        assert_ne!(&heard[bulk("v").len()..], NIL);
        world.says(0, "GET K1\r\nGET K0");
        assert_eq!(world.rests(0), NIL.to_owned() + NIL);
        // The hand goes on when all has come that was sent before.
        for _ in 0..3 {
            world.server.advance(1);
            world.server.turns();
        }
        assert!(!has_key(&mut world, 1));
        world.end();
    }
}

#[test]
fn each_command_of_a_batch_is_judged_by_its_own_time() {
    let mut world = World::new(2);
    asked_before_the_deadline(&mut world, "");
    // Core 0 comes to the deadline before it has sent anything.
    let clock = world.server.clock();
    world.server.cores[0].begin_turn(clock);
    world.says(0, "GET K0\r\nGET K1");
    assert_eq!(world.rests(0), bulk("v") + NIL + NIL);
    world.end();
}

#[test]
fn a_key_that_was_seen_gone_stays_so_for_what_was_sent_before() {
    let mut world = World::new(2);
    asked_before_the_deadline(&mut world, "PEXPIRE K1 1000");
    world.says(1, "GET K1");
    assert_eq!(world.hears(1), NIL);
    assert_eq!(world.rests(0), NIL.to_owned() + ":0\r\n");
    world.says(1, "GET K1");
    assert_eq!(world.hears(1), NIL);
    world.end();
}

// Rule 14.

/// Whether core `core` has its key.
fn has_key(world: &mut World, core: usize) -> bool {
    let key = world.keys[core].clone();
    let shard = &mut world.server.cores[core].state().shard;
    let key = shard.hasher().key(key.as_bytes());
    shard.get(DbIndex(0), key, Access::Peek).is_some()
}

#[test]
fn a_key_that_moves_to_another_core_stays_until_it_is_there_and_nobody_sees_two_or_none() {
    let (mut with_both, mut steps) = (0, 0);
    let mut is_over = false;
    while !is_over {
        for first in [1, 2] {
            let mut world = World::new(3);
            world.says(1, "SET K1 v");
            world.rests(1);
            world.says(0, "RENAME K1 K2");
            for step in 0..steps {
                world.server.turn_of(step % 3);
                let found = [has_key(&mut world, 1), has_key(&mut world, 2)];
                assert_ne!(found, [false, false], "lost at step {step}");
                with_both += usize::from(found == [true, true]);
            }
            is_over = world.hears(0) == "+OK\r\n";
            // Whoever finds it there, or here no more, finds it so on the other core, too.
            let second = 3 - first;
            world.says(first, &format!("GET K{first}"));
            let has_moved = (world.rests(first) == NIL) == (first == 1);
            world.says(second, &format!("GET K{second}"));
            let is_moved_then = (world.rests(second) == NIL) == (second == 1);
            assert!(is_moved_then || !has_moved, "after {steps} steps");
            world.says(0, "EXISTS K1 K2");
            assert!(world.rests(0).ends_with(":1\r\n"));
            world.end();
        }
        steps += 1;
    }
    assert!(with_both > 0, "the test meets what it is about");
}
