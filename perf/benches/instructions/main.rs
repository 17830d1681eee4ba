//! How many instructions the hot paths take, counted under callgrind by gungraun.
//!
//! Every function does its work [`OPERATIONS`] times, on data that is the same on every run, prepared outside of the count
//! and, where buffers grow, done once before. Run by `larder-instructions`, which divides, compares with the recorded
//! baseline and judges; see `perf/README.md`. A bench's name is its function's and its case's: `get_hit.pipeline_64`.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "what gungraun's macros make of the functions below"
)]

use std::hint::black_box;

use gungraun::prelude::*;
use larder_engine::bench::{BareArena, BareBlock, BareList};
use larder_engine::{End, Shard, TtlChange};
use larder_perf::data::{self, VALUE, get, key, pipelines, scattered};
use larder_perf::server::Server;
use larder_perf::shard::{Hashed, filled};
use larder_perf::work::{self, KEYS, OPERATIONS};
use larder_server::routing::{CoreId, SlotMap};
use larder_server::session::Prefixes;

/// A server and what it is to be sent.
type Fed = (Server, Vec<Vec<u8>>);
/// A shard and the keys it is to be asked for.
type Asked = (Shard, Vec<Hashed>);
/// As [`Asked`], and the value to set them to.
type Written = (Shard, Vec<Hashed>, &'static [u8]);
/// An arena, its blocks, and their size.
type Carved = (BareArena, Vec<BareBlock>, usize);

/// Pipeline depth of scripts.
const SCRIPTS_PIPELINE: usize = 16;

/// A server that has been sent `input` once.
fn warmed(mut server: Server, input: Vec<Vec<u8>>) -> Fed {
    server.run(&input);
    (server, input)
}

fn gets(pipeline: usize) -> Fed {
    let input = pipelines(scattered(OPERATIONS, KEYS).map(get), pipeline);
    warmed(Server::filled(KEYS), input)
}

fn misses(pipeline: usize) -> Fed {
    let input = pipelines((KEYS..KEYS + OPERATIONS).map(get), pipeline);
    warmed(Server::filled(KEYS), input)
}

fn overwrites(pipeline: usize) -> Fed {
    let commands = scattered(OPERATIONS, KEYS).map(|number| data::set(number, &VALUE));
    warmed(Server::filled(KEYS), pipelines(commands, pipeline))
}

/// A server on which a case is prepared.
fn commands(made: fn() -> work::commands::Case) -> Fed {
    let case = made();
    let mut server = Server::new(1);
    server.run(&pipelines(case.before.into_iter(), 64));
    let input = pipelines(case.counted.into_iter(), 64);
    match case.is_repeatable {
        true => warmed(server, input),
        false => (server, input),
    }
}

fn under_far_limit((server, input): Fed) -> Fed {
    warmed(server.under_far_limit(), input)
}

fn gets_under_far_limit(pipeline: usize) -> Fed {
    under_far_limit(gets(pipeline))
}

/// Memory of an evicting server that holds all keys of a bench.
const AMPLE_BYTES: u64 = 1 << 30;
/// Uses of an entry after which most policies count no more.
const USES_OFTEN: usize = 8;
/// Memory of one that has been sent more than it holds.
const FULL_BYTES: u64 = 4 << 20;

/// GETs of keys that are there, under a policy that has been told of them, of keys that have been asked for so many times before.
fn gets_counted(policy: &str, pipeline: usize, times: usize) -> Fed {
    let mut server = Server::new(1).evicting(AMPLE_BYTES, policy, &[]);
    let sets = (0..KEYS).map(|number| data::set(number, &VALUE));
    server.run(&pipelines(sets, 64));
    let input = pipelines(scattered(OPERATIONS, KEYS).map(get), pipeline);
    for _ in 0..times {
        server.run(&input);
    }
    (server, input)
}

/// The second use of an entry since it came, which counts.
fn gets_of_used_once((policy, pipeline): (&str, usize)) -> Fed {
    gets_counted(policy, pipeline, 1)
}

/// A use of an entry that has been used often, as most hits of a cache are.
fn gets_of_used_often(policy: &str) -> Fed {
    gets_counted(policy, 64, USES_OFTEN)
}

/// SETs of keys that are not there, under a policy that evicts about as many.
fn sets_evicting(policy: &str) -> Fed {
    let mut server = Server::new(1).evicting(FULL_BYTES, policy, &[]);
    let sets = |numbers: std::ops::Range<usize>| {
        pipelines(numbers.map(|number| data::set(number, &VALUE)), 64)
    };
    server.run(&sets(0..4 * KEYS));
    (server, sets(4 * KEYS..4 * KEYS + OPERATIONS))
}

fn overwrites_under_far_limit(pipeline: usize) -> Fed {
    under_far_limit(overwrites(pipeline))
}

fn inserts_under_far_limit(pipeline: usize) -> Fed {
    let (server, input) = inserts(pipeline);
    (server.under_far_limit(), input)
}

fn far_gets_under_far_limit(pipeline: usize) -> Fed {
    let (server, input) = far_gets(pipeline);
    let mut server = server.under_far_limit();
    for piece in &input {
        server.turn_with_hops(piece);
    }
    (server, input)
}

/// Keys that are not there cannot be set twice: the server is warmed with others.
fn inserts(pipeline: usize) -> Fed {
    let commands = (KEYS..KEYS + OPERATIONS).map(|number| data::set(number, &VALUE));
    (Server::filled(KEYS), pipelines(commands, pipeline))
}

/// As [`overwrites`], of entries with a deadline, each of which gets a later one.
fn overwrites_of_deadlines(pipeline: usize) -> Fed {
    let sets = |ttl_ms| {
        let numbers = (0..OPERATIONS).map(|at| at * (KEYS / OPERATIONS));
        pipelines(
            numbers.map(move |number| data::set_px(number, &VALUE, ttl_ms)),
            pipeline,
        )
    };
    let (server, _) = warmed(Server::filled(KEYS), sets(20_000));
    (server, sets(30_000))
}

/// As [`inserts`], with deadlines.
fn inserts_with_deadlines(pipeline: usize) -> Fed {
    let commands = (KEYS..KEYS + OPERATIONS).map(|number| data::set_px(number, &VALUE, 30_000));
    (Server::filled(KEYS), pipelines(commands, pipeline))
}

/// Scripts of so many keys, by their text.
fn evals(keys: usize) -> Fed {
    scripts(("EVAL", data::SCRIPT), keys, &[])
}

/// Scripts of so many keys, by their SHA-1.
fn evals_by_sha(keys: usize) -> Fed {
    let numbers: Vec<usize> = (0..keys).collect();
    let first = data::script("EVAL", data::SCRIPT, &numbers);
    scripts(("EVALSHA", data::SCRIPT_SHA), keys, &first)
}

/// Calls of a function with so many keys.
fn calls(keys: usize) -> Fed {
    scripts(("FCALL", "f"), keys, &data::load_library())
}

/// Scripts on a server that has been sent `first`.
fn scripts((command, what): (&str, &str), keys: usize, first: &[u8]) -> Fed {
    let commands = scattered(OPERATIONS, KEYS).map(|number| {
        let numbers: Vec<usize> = (0..keys).map(|at| (number + at) % KEYS).collect();
        data::script(command, what, &numbers)
    });
    let mut server = Server::filled(KEYS);
    server.turn(first);
    warmed(server, pipelines(commands, SCRIPTS_PIPELINE))
}

/// Scripts of a key that lives on the core the client is not on.
fn far_evals(pipeline: usize) -> Fed {
    let mut server = Server::new(2);
    let far: Vec<usize> = (0..)
        .filter(|&number| server.core_of(&key(number)) == CoreId(1))
        .take(OPERATIONS)
        .collect();
    let sets = far.iter().map(|&number| data::set(number, &VALUE));
    for piece in pipelines(sets, pipeline) {
        server.turn_with_hops(&piece);
    }
    let scripts = far
        .iter()
        .map(|&number| data::script("EVAL", data::SCRIPT, &[number]));
    let input = pipelines(scripts, pipeline);
    for piece in &input {
        let replied = server.turn_with_hops(piece);
        assert_eq!(replied, pipeline * data::BULK_BYTES);
    }
    (server, input)
}

/// GETs of keys that all live on the core the client is not on.
fn far_gets(pipeline: usize) -> Fed {
    let mut server = Server::new(2);
    let far: Vec<usize> = (0..)
        .filter(|&number| server.core_of(&key(number)) == CoreId(1))
        .take(OPERATIONS)
        .collect();
    for piece in pipelines(
        far.iter().map(|&number| data::set(number, &VALUE)),
        pipeline,
    ) {
        server.turn_with_hops(&piece);
    }
    let input = pipelines(far.iter().map(|&number| get(number)), pipeline);
    for piece in &input {
        server.turn_with_hops(piece);
    }
    (server, input)
}

#[library_benchmark]
#[bench::pipeline_1(args = (1), setup = gets)]
#[bench::pipeline_64(args = (64), setup = gets)]
#[bench::limited_1(args = (1), setup = gets_under_far_limit)]
#[bench::limited_64(args = (64), setup = gets_under_far_limit)]
fn get_hit((mut server, input): Fed) -> Fed {
    black_box(server.run(&input));
    (server, input)
}

#[library_benchmark]
#[bench::noeviction_1(args = (("noeviction", 1)), setup = gets_of_used_once)]
#[bench::lru_1(args = (("allkeys-lru", 1)), setup = gets_of_used_once)]
#[bench::ttl_1(args = (("volatile-ttl", 1)), setup = gets_of_used_once)]
#[bench::adaptive_1(args = (("allkeys-adaptive", 1)), setup = gets_of_used_once)]
#[bench::noeviction_16(args = (("noeviction", 16)), setup = gets_of_used_once)]
#[bench::lru_16(args = (("allkeys-lru", 16)), setup = gets_of_used_once)]
#[bench::lfu_16(args = (("allkeys-lfu", 16)), setup = gets_of_used_once)]
#[bench::lrm_16(args = (("allkeys-lrm", 16)), setup = gets_of_used_once)]
#[bench::random_16(args = (("allkeys-random", 16)), setup = gets_of_used_once)]
#[bench::ttl_16(args = (("volatile-ttl", 16)), setup = gets_of_used_once)]
#[bench::fifo_16(args = (("allkeys-fifo", 16)), setup = gets_of_used_once)]
#[bench::sieve_16(args = (("allkeys-sieve", 16)), setup = gets_of_used_once)]
#[bench::s3fifo_16(args = (("allkeys-s3fifo", 16)), setup = gets_of_used_once)]
#[bench::gdsf_16(args = (("allkeys-gdsf", 16)), setup = gets_of_used_once)]
#[bench::adaptive_16(args = (("allkeys-adaptive", 16)), setup = gets_of_used_once)]
#[bench::noeviction_64(args = (("noeviction", 64)), setup = gets_of_used_once)]
#[bench::lru_64(args = (("allkeys-lru", 64)), setup = gets_of_used_once)]
#[bench::lfu_64(args = (("allkeys-lfu", 64)), setup = gets_of_used_once)]
#[bench::lrm_64(args = (("allkeys-lrm", 64)), setup = gets_of_used_once)]
#[bench::random_64(args = (("allkeys-random", 64)), setup = gets_of_used_once)]
#[bench::ttl_64(args = (("volatile-ttl", 64)), setup = gets_of_used_once)]
#[bench::fifo_64(args = (("allkeys-fifo", 64)), setup = gets_of_used_once)]
#[bench::sieve_64(args = (("allkeys-sieve", 64)), setup = gets_of_used_once)]
#[bench::s3fifo_64(args = (("allkeys-s3fifo", 64)), setup = gets_of_used_once)]
#[bench::gdsf_64(args = (("allkeys-gdsf", 64)), setup = gets_of_used_once)]
#[bench::adaptive_64(args = (("allkeys-adaptive", 64)), setup = gets_of_used_once)]
fn get_counted((mut server, input): Fed) -> Fed {
    black_box(server.run(&input));
    (server, input)
}

#[library_benchmark]
#[bench::noeviction(args = ("noeviction"), setup = gets_of_used_often)]
#[bench::lru(args = ("allkeys-lru"), setup = gets_of_used_often)]
#[bench::lfu(args = ("allkeys-lfu"), setup = gets_of_used_often)]
#[bench::lrm(args = ("allkeys-lrm"), setup = gets_of_used_often)]
#[bench::random(args = ("allkeys-random"), setup = gets_of_used_often)]
#[bench::ttl(args = ("volatile-ttl"), setup = gets_of_used_often)]
#[bench::fifo(args = ("allkeys-fifo"), setup = gets_of_used_often)]
#[bench::sieve(args = ("allkeys-sieve"), setup = gets_of_used_often)]
#[bench::s3fifo(args = ("allkeys-s3fifo"), setup = gets_of_used_often)]
#[bench::gdsf(args = ("allkeys-gdsf"), setup = gets_of_used_often)]
#[bench::adaptive(args = ("allkeys-adaptive"), setup = gets_of_used_often)]
fn get_often((mut server, input): Fed) -> Fed {
    black_box(server.run(&input));
    (server, input)
}

#[library_benchmark]
#[bench::pipeline_1(args = (1), setup = misses)]
#[bench::pipeline_64(args = (64), setup = misses)]
fn get_miss((mut server, input): Fed) -> Fed {
    black_box(server.run(&input));
    (server, input)
}

#[library_benchmark]
#[bench::sismember(args = (work::commands::sismember), setup = commands)]
#[bench::sadd_known(args = (work::commands::sadd_known), setup = commands)]
#[bench::sadd_new(args = (work::commands::sadd_new), setup = commands)]
#[bench::zadd_moves(args = (work::commands::zadd_moves), setup = commands)]
#[bench::zscore(args = (work::commands::zscore), setup = commands)]
#[bench::hset_over(args = (work::commands::hset_over), setup = commands)]
#[bench::hget(args = (work::commands::hget), setup = commands)]
#[bench::geosearch(args = (work::commands::geosearch), setup = commands)]
#[bench::pfadd_known(args = (work::commands::pfadd_known), setup = commands)]
#[bench::pfadd_sparse(args = (work::commands::pfadd_sparse), setup = commands)]
#[bench::pfadd_dense(args = (work::commands::pfadd_dense), setup = commands)]
#[bench::pfcount_kept(args = (work::commands::pfcount_kept), setup = commands)]
#[bench::pfcount_sparse(args = (work::commands::pfcount_sparse), setup = commands)]
#[bench::pfmerge_dense(args = (work::commands::pfmerge_dense), setup = commands)]
#[bench::xadd_new(args = (work::commands::xadd_new), setup = commands)]
#[bench::xrange_of_10(args = (work::commands::xrange_of_10), setup = commands)]
#[bench::xreadgroup_xack(args = (work::commands::xreadgroup_xack), setup = commands)]
fn of_type((mut server, input): Fed) -> Fed {
    black_box(server.run(&input));
    (server, input)
}

#[library_benchmark]
#[bench::pipeline_64(args = (64), setup = far_gets)]
#[bench::limited_64(args = (64), setup = far_gets_under_far_limit)]
fn get_hop((mut server, input): Fed) -> Fed {
    for piece in &input {
        black_box(server.turn_with_hops(piece));
    }
    (server, input)
}

#[library_benchmark]
#[bench::pipeline_1(args = (1), setup = overwrites)]
#[bench::pipeline_64(args = (64), setup = overwrites)]
#[bench::limited_1(args = (1), setup = overwrites_under_far_limit)]
#[bench::limited_64(args = (64), setup = overwrites_under_far_limit)]
fn set_overwrite((mut server, input): Fed) -> Fed {
    black_box(server.run(&input));
    (server, input)
}

#[library_benchmark]
#[bench::pipeline_64(args = (64), setup = inserts)]
#[bench::limited_64(args = (64), setup = inserts_under_far_limit)]
#[bench::evicting_lru(args = ("allkeys-lru"), setup = sets_evicting)]
#[bench::evicting_s3fifo(args = ("allkeys-s3fifo"), setup = sets_evicting)]
#[bench::evicting_adaptive(args = ("allkeys-adaptive"), setup = sets_evicting)]
fn set_insert((mut server, input): Fed) -> Fed {
    black_box(server.run(&input));
    (server, input)
}

#[library_benchmark]
#[bench::insert_pipeline_64(args = (64), setup = inserts_with_deadlines)]
#[bench::overwrite_pipeline_64(args = (64), setup = overwrites_of_deadlines)]
fn set_px((mut server, input): Fed) -> Fed {
    black_box(server.run(&input));
    (server, input)
}

#[library_benchmark]
#[bench::one_key(args = (1), setup = evals)]
#[bench::two_keys(args = (2), setup = evals)]
#[bench::by_sha(args = (1), setup = evals_by_sha)]
#[bench::function(args = (1), setup = calls)]
fn script((mut server, input): Fed) -> Fed {
    black_box(server.run(&input));
    (server, input)
}

#[library_benchmark]
#[bench::pipeline_16(args = (SCRIPTS_PIPELINE), setup = far_evals)]
fn script_hop((mut server, input): Fed) -> Fed {
    for piece in &input {
        black_box(server.turn_with_hops(piece));
    }
    (server, input)
}

/// Clients that wait, each for a key of its own, with so many commands at once, and others that push as many.
fn hand_overs(depth: usize) -> (Server, Vec<[Vec<u8>; 2]>) {
    let numbers = scattered(OPERATIONS / depth, KEYS);
    let input = numbers.map(|number| {
        let number = KEYS + number;
        [
            data::blpop(number).repeat(depth),
            data::rpush(number).repeat(depth),
        ]
    });
    let (mut server, input) = (Server::filled(KEYS), Vec::from_iter(input));
    for [waits, pushes] in &input {
        let replied = server.hand_over(waits, pushes);
        assert!(replied > depth * data::HANDED_OVER_BYTES);
    }
    (server, input)
}

#[library_benchmark]
#[bench::depth_1(args = (1), setup = hand_overs)]
#[bench::depth_16(args = (16), setup = hand_overs)]
fn hand_over((mut server, input): (Server, Vec<[Vec<u8>; 2]>)) -> (Server, Vec<[Vec<u8>; 2]>) {
    for [waits, pushes] in &input {
        black_box(server.hand_over(waits, pushes));
    }
    (server, input)
}

fn get_pieces(pipeline: usize) -> Vec<Vec<u8>> {
    pipelines((0..OPERATIONS).map(get), pipeline)
}

fn set_pieces(pipeline: usize) -> Vec<Vec<u8>> {
    pipelines(
        (0..OPERATIONS).map(|number| data::set(number, &VALUE)),
        pipeline,
    )
}

#[library_benchmark]
#[bench::get_pipeline_64(args = (64), setup = get_pieces)]
#[bench::set_pipeline_64(args = (64), setup = set_pieces)]
fn parse(pieces: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    black_box(work::parser::whole(&pieces));
    pieces
}

#[library_benchmark]
#[bench::set(args = (1), setup = set_pieces)]
fn parse_halved(pieces: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    black_box(work::parser::halved(&pieces));
    pieces
}

/// An output buffer that has grown enough.
fn output() -> Vec<u8> {
    Vec::with_capacity(1 << 16)
}

#[library_benchmark]
#[bench::bytes_64(setup = output)]
fn reply_bulk(mut out: Vec<u8>) -> Vec<u8> {
    black_box(work::reply::bulk(&mut out, &VALUE, OPERATIONS));
    out
}

#[library_benchmark]
#[bench::up_to_4_digits(setup = output)]
fn reply_integer(mut out: Vec<u8>) -> Vec<u8> {
    black_box(work::reply::integer(&mut out, OPERATIONS));
    out
}

#[library_benchmark]
#[bench::plain(args = (OPERATIONS), setup = work::routing::plain_keys)]
#[bench::tagged(args = (OPERATIONS), setup = work::routing::tagged_keys)]
fn slot_of(keys: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    black_box(work::routing::slots(&keys));
    keys
}

fn routed() -> (SlotMap, Vec<Vec<u8>>) {
    (SlotMap::even(4), work::routing::plain_keys(OPERATIONS))
}

#[library_benchmark]
#[bench::of_4(setup = routed)]
fn core_of((map, keys): (SlotMap, Vec<Vec<u8>>)) -> (SlotMap, Vec<Vec<u8>>) {
    black_box(work::routing::cores(&map, &keys));
    (map, keys)
}

fn hits() -> Asked {
    (
        filled(KEYS, TtlChange::Clear),
        work::lookup::present(OPERATIONS, KEYS),
    )
}

fn absences() -> Asked {
    (
        filled(KEYS, TtlChange::Clear),
        work::lookup::absent(OPERATIONS, KEYS),
    )
}

fn written_present(value: &'static [u8]) -> Written {
    let (shard, keys) = hits();
    (shard, keys, value)
}

fn written_absent(value: &'static [u8]) -> Written {
    let (shard, keys) = absences();
    (shard, keys, value)
}

/// Keys to write while so many others are watched.
fn written_beside_watched(count: usize) -> Written {
    let (mut shard, keys, value) = written_present(&VALUE);
    work::concern::watch(&mut shard, KEYS, count);
    (shard, keys, value)
}

/// Keys that change while so many others are prefixes that clients want to hear of.
fn prefixes(count: usize) -> (Prefixes, Vec<Hashed>) {
    let keys = work::lookup::present(OPERATIONS, KEYS);
    (work::concern::prefixes(KEYS, count), keys)
}

fn dead() -> Asked {
    (
        work::expiry::all_due(KEYS),
        work::lookup::present(OPERATIONS, KEYS),
    )
}

#[library_benchmark]
#[bench::hit(setup = hits)]
#[bench::miss(setup = absences)]
#[bench::expired(setup = dead)]
fn lookup((mut shard, keys): Asked) -> Asked {
    black_box(work::lookup::each(&mut shard, &keys));
    (shard, keys)
}

#[library_benchmark]
#[bench::of_16(consts = (16), setup = hits)]
#[bench::of_32(consts = (32), setup = hits)]
fn lookup_batch<const N: usize>((mut shard, keys): Asked) -> Asked {
    black_box(work::lookup::batches::<N>(&mut shard, &keys));
    (shard, keys)
}

#[library_benchmark]
#[bench::insert(args = (&VALUE), setup = written_absent)]
#[bench::same_size(args = (&VALUE), setup = written_present)]
#[bench::other_size(args = (&work::set::LONGER_VALUE), setup = written_present)]
#[bench::beside_1_watched(args = (1), setup = written_beside_watched)]
#[bench::beside_10000_watched(args = (10_000), setup = written_beside_watched)]
fn shard_set((mut shard, keys, value): Written) -> Written {
    black_box(work::set::all(&mut shard, &keys, value));
    (shard, keys, value)
}

#[library_benchmark]
#[bench::of_1(args = (1), setup = prefixes)]
#[bench::of_100(args = (100), setup = prefixes)]
#[bench::of_10000(args = (10_000), setup = prefixes)]
fn prefixes_note((mut prefixes, keys): (Prefixes, Vec<Hashed>)) -> (Prefixes, Vec<Hashed>) {
    black_box(work::concern::note(&mut prefixes, &keys));
    (prefixes, keys)
}

#[library_benchmark]
#[bench::due(args = (OPERATIONS), setup = work::expiry::all_due)]
fn expiry_entry(mut shard: Shard) -> Shard {
    black_box(work::expiry::hand_until_done(&mut shard));
    shard
}

#[library_benchmark]
#[bench::none_due(args = (KEYS), setup = work::expiry::none_due)]
fn expiry_step(mut shard: Shard) -> Shard {
    black_box(work::expiry::hand_steps(&mut shard, OPERATIONS));
    shard
}

fn bare(bytes: usize) -> Carved {
    (work::arena::empty(), Vec::with_capacity(OPERATIONS), bytes)
}

fn carved(bytes: usize) -> Carved {
    let (mut arena, mut blocks, bytes) = bare(bytes);
    work::arena::alloc(&mut arena, &mut blocks, bytes, OPERATIONS);
    (arena, blocks, bytes)
}

#[library_benchmark]
#[bench::bytes_24(args = (24), setup = bare)]
#[bench::bytes_88(args = (88), setup = bare)]
#[bench::bytes_512(args = (512), setup = bare)]
#[bench::bytes_4096(args = (4096), setup = bare)]
fn arena_alloc((mut arena, mut blocks, bytes): Carved) -> Carved {
    work::arena::alloc(&mut arena, &mut blocks, bytes, OPERATIONS);
    (arena, blocks, bytes)
}

#[library_benchmark]
#[bench::bytes_24(args = (24), setup = carved)]
#[bench::bytes_88(args = (88), setup = carved)]
#[bench::bytes_512(args = (512), setup = carved)]
#[bench::bytes_4096(args = (4096), setup = carved)]
fn arena_reuse((mut arena, mut blocks, bytes): Carved) -> Carved {
    work::arena::reuse(&mut arena, &mut blocks, bytes);
    (arena, blocks, bytes)
}

fn listed(end: End) -> (BareList, End) {
    (work::list::filled(work::list::ELEMENTS), end)
}

#[library_benchmark]
#[bench::head(args = (End::Head), setup = listed)]
#[bench::tail(args = (End::Tail), setup = listed)]
fn list_push((mut list, end): (BareList, End)) -> BareList {
    work::list::push(&mut list, end, OPERATIONS);
    list
}

#[library_benchmark]
#[bench::head(args = (End::Head), setup = listed)]
#[bench::tail(args = (End::Tail), setup = listed)]
fn list_pop((mut list, end): (BareList, End)) -> BareList {
    black_box(work::list::pop(&mut list, end, OPERATIONS));
    list
}

#[library_benchmark]
#[bench::of_100000(args = (work::list::ELEMENTS), setup = work::list::filled)]
#[bench::of_1000000(args = (10 * work::list::ELEMENTS), setup = work::list::filled)]
fn list_index(list: BareList) -> BareList {
    black_box(work::list::index(&list, OPERATIONS));
    list
}

#[library_benchmark]
#[bench::of_100(args = (work::list::ELEMENTS), setup = work::list::filled)]
fn list_range(list: BareList) -> BareList {
    black_box(work::list::range(&list, OPERATIONS));
    list
}

#[library_benchmark]
#[bench::of_100000(args = (work::list::ELEMENTS), setup = work::list::filled)]
fn list_insert(mut list: BareList) -> BareList {
    work::list::insert(&mut list, OPERATIONS);
    list
}

#[library_benchmark]
#[bench::of_100000(args = (work::list::ELEMENTS), setup = work::list::filled)]
fn list_remove(mut list: BareList) -> BareList {
    work::list::remove(&mut list, OPERATIONS);
    list
}

type Cores = [work::order::Core; 2];

#[library_benchmark]
#[bench::alone(args = (1), setup = work::order::two_cores)]
fn order_append(mut cores: Cores) -> Cores {
    work::order::append(&mut cores, OPERATIONS);
    cores
}

#[library_benchmark]
#[bench::with_parts(args = (OPERATIONS), setup = work::order::to_be_passed)]
#[bench::of_no_concern(args = (OPERATIONS), setup = work::order::of_no_concern)]
fn order_entry(mut cores: Cores) -> Cores {
    black_box(work::order::catch_up(&mut cores));
    cores
}

#[library_benchmark]
#[bench::nothing(args = (1), setup = work::order::two_cores)]
fn order_look(mut cores: Cores) -> Cores {
    black_box(work::order::look(&mut cores, OPERATIONS));
    cores
}

#[library_benchmark]
#[bench::nothing(args = (1), setup = work::order::two_cores)]
fn order_turn(mut cores: Cores) -> Cores {
    black_box(work::order::turns_with_nothing(&mut cores, OPERATIONS));
    cores
}

#[library_benchmark]
#[bench::on_both_cores(args = (1), setup = work::order::two_cores)]
fn order_transaction(mut cores: Cores) -> Cores {
    black_box(work::order::transactions(&mut cores, OPERATIONS));
    cores
}

library_benchmark_group!(
    name = hot_paths,
    benchmarks = [
        get_hit,
        get_counted,
        get_often,
        get_miss,
        get_hop,
        set_overwrite,
        set_insert,
        set_px,
        of_type,
        script,
        script_hop,
        hand_over,
        parse,
        parse_halved,
        reply_bulk,
        reply_integer,
        slot_of,
        core_of,
        lookup,
        lookup_batch,
        shard_set,
        prefixes_note,
        expiry_entry,
        expiry_step,
        arena_alloc,
        arena_reuse,
        list_push,
        list_pop,
        list_index,
        list_range,
        list_insert,
        list_remove,
        order_append,
        order_entry,
        order_look,
        order_turn,
        order_transaction
    ]
);

main!(library_benchmark_groups = hot_paths);
