//! Clusters: commands go to the node that owns their key, and where `MOVED` and `ASK` send them.
#![allow(clippy::unwrap_used)]

mod fake;

use fake::run::{failure, report};
use fake::{Cluster, Fake, State};
use larder_bench::run::setup::key_slot;

const LAST: u16 = 16383;
const HALF: u16 = 8191;

/// Two nodes, each told who owns what.
fn two_nodes() -> [Fake; 2] {
    let nodes = [Fake::resp(State::default()), Fake::resp(State::default())];
    let ranges = vec![(0, HALF, nodes[0].port), (HALF + 1, LAST, nodes[1].port)];
    for node in &nodes {
        *node.state.cluster.lock().unwrap() = Some(Cluster {
            told: ranges.clone(),
            real: ranges.clone(),
            asking: Vec::new(),
            importing: Vec::new(),
            port: node.port,
            knows_shards_only: false,
        });
    }
    nodes
}

fn change(nodes: &[Fake], change: impl Fn(usize, &mut Cluster)) {
    for (index, node) in nodes.iter().enumerate() {
        change(index, node.state.cluster.lock().unwrap().as_mut().unwrap());
    }
}

const LOAD: &[&str] = &[
    "--cluster",
    "--preload",
    "--verify",
    "--keys",
    "300",
    "--operations",
    "1000",
    "--clients",
    "4",
    "--pipeline",
    "5",
    "--threads",
    "2",
];

#[test]
fn every_command_goes_to_the_owner_of_its_key() {
    for shards in [false, true] {
        let nodes = two_nodes();
        change(&nodes, |_, cluster| cluster.knows_shards_only = shards);
        let report = report(&nodes[0].address(), LOAD);
        assert_eq!(
            (report.totals.operations, report.totals.redirects),
            (1000, 0)
        );
        assert_eq!(report.totals.hit_ratio, Some(1.0));
        assert!(nodes.iter().all(|node| node.command_count() > 400));
        assert_eq!(nodes[0].command_count() + nodes[1].command_count(), 1300);
    }
}

#[test]
fn hash_tags_keep_keys_together() {
    let nodes = two_nodes();
    let tag = "{tag}:";
    report(
        &nodes[0].address(),
        &[LOAD, &["--key-prefix", tag]].concat(),
    );
    let owner = usize::from(key_slot(b"tag") > HALF);
    assert_eq!(nodes[owner].command_count(), 1300);
    assert_eq!(nodes[1 - owner].command_count(), 0);
}

#[test]
fn moved_slots_are_followed_and_remembered() {
    let nodes = two_nodes();
    let first = nodes[0].port;
    // All is said to be the first node's, and half of it is not.
    change(&nodes, |_, cluster| cluster.told = vec![(0, LAST, first)]);
    let report = report(&nodes[0].address(), LOAD);
    assert_eq!((report.totals.operations, report.totals.errors), (1000, 0));
    assert_eq!(report.totals.hit_ratio, Some(1.0));
    // Every slot is redirected at most once a thread and key in flight, and only in the preload.
    assert!(nodes[1].command_count() > 400);
    assert!(report.totals.redirects < 300, "{}", report.totals.redirects);
}

#[test]
fn a_slot_in_migration_is_asked_for_elsewhere_every_time() {
    let nodes = two_nodes();
    let slot = key_slot(b"{a}");
    let [giver, taker] = if slot <= HALF { [0, 1] } else { [1, 0] };
    let taker_port = nodes[taker].port;
    change(&nodes, |index, cluster| {
        if index == giver {
            cluster.asking = vec![(slot, taker_port)];
        } else {
            cluster.importing = vec![slot];
        }
    });
    let report = report(
        &nodes[0].address(),
        &[
            "--cluster",
            "--key-prefix",
            "{a}:",
            "--operations",
            "200",
            "--keys",
            "50",
            "--clients",
            "2",
            "--pipeline",
            "3",
            "--verify",
            "--preload",
        ],
    );
    assert_eq!((report.totals.operations, report.totals.errors), (200, 0));
    assert_eq!(report.totals.redirects, 200);
    assert_eq!(report.totals.hit_ratio, Some(1.0));
    assert_eq!(nodes[taker].command_count(), 250);
}

#[test]
fn a_target_that_is_no_cluster_says_so() {
    let fake = Fake::resp(State::default());
    let line = failure(&["--server", &fake.address(), "--cluster"]);
    assert!(
        line.ends_with("refuses CLUSTER SLOTS: ERR This instance has cluster support disabled"),
        "{line}"
    );
}

#[test]
fn without_cluster_mode_a_redirect_is_an_error_with_a_hint() {
    let nodes = two_nodes();
    let ran = fake::run::run(&[
        "--server",
        &nodes[0].address(),
        "--operations",
        "100",
        "--keys",
        "1000",
    ]);
    assert!(
        ran.stdout.contains("(a cluster needs --cluster)"),
        "{}",
        ran.stdout
    );
}
