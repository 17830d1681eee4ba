//! `CLUSTER`, `READONLY`, `READWRITE` and `ASKING`: the cores as nodes, for cluster clients (`core-endpoints yes`).
//!
//! A cluster client asks who owns which slots and sends each command to the port of the core that owns its key, so that
//! no command hops. Nothing more is needed of the client: there is no `MOVED`, no `ASK` and no `CROSSSLOT`, since every
//! port takes every command, and a client whose map is old is served all the same. Of the subcommands there are those
//! that tell; those by which servers are made into a cluster there are not.

mod flush;
mod keys;
mod ranges;
mod scan;
mod slot_stats;

use super::matching;
use crate::command::{
    Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Question, Run, SessionCall,
    walk_at_once,
};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SLOTS, Slot};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "asking",
        flags: Flags::FAST,
        summary: "Accepted, as a cluster client sends it where a slot moves; no command here needs it.",
        run: Run::OnSession(accept),
        ..ON_CONNECTION
    },
    CommandSpec {
        name: "cluster",
        arity: -2,
        flags: Flags::NONE,
        summary: "A container for commands about the cores as nodes of a cluster.",
        complexity: "Depends on subcommand",
        subcommands: SUBCOMMANDS,
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "clusterscan",
        arity: -2,
        flags: Flags::READONLY,
        categories: &[Category::Keyspace],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::NOT_KEY)]),
        tips: &[
            "nondeterministic_output",
            "request_policy:special",
            "response_policy:special",
        ],
        group: Group::Cluster,
        since: "9.1.0",
        syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type] [SLOT slot]",
        summary: "Walks the keys of the selected database by the cores that own their slots, some at a time. Of Valkey.",
        complexity: "O(1) for every call, O(N) for a whole walk, where N is the number of keys.",
        run: Run::Rounds(scan::begin),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "trimslots",
        arity: -5,
        flags: Flags::WRITE,
        categories: &[Category::Keyspace, Category::Dangerous],
        group: Group::Server,
        since: "8.4.0",
        syntax: "RANGES numranges startslot endslot [startslot endslot ...]",
        summary: "Removes the keys of slots that are served elsewhere: there are none.",
        complexity: "O(N) where N is the number of slots named",
        run: Run::OnSession(flush::trim),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "readonly",
        summary: "Accepted, as a cluster client sends it to read from replicas; there are none.",
        run: Run::OnSession(accept),
        ..ON_CONNECTION
    },
    CommandSpec {
        name: "readwrite",
        summary: "Accepted, as a cluster client sends it to end READONLY.",
        run: Run::OnSession(accept),
        ..ON_CONNECTION
    },
];

const ON_CONNECTION: CommandSpec = CommandSpec {
    arity: 1,
    flags: Flags::FAST.with(Flags::ANYTIME),
    categories: &[Category::Connection],
    group: Group::Cluster,
    since: "3.0.0",
    ..CommandSpec::BASE
};

const ABOUT_NODES: CommandSpec = CommandSpec {
    arity: 2,
    flags: Flags::STALE,
    group: Group::Cluster,
    since: "3.0.0",
    ..CommandSpec::BASE
};

/// What looks for keys of a slot has a place in the order.
const FINDS_KEYS: Flags = ABOUT_NODES.flags.with(Flags::WHOLE_KEYSPACE);

const ABOUT_ONE_NODE: CommandSpec = CommandSpec {
    arity: 3,
    flags: Flags::ADMIN.with(Flags::STALE),
    tips: &["nondeterministic_output"],
    syntax: "node-id",
    ..ABOUT_NODES
};

static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "cluster|count-failure-reports",
        summary: "Counts the reports that a node has failed: none.",
        complexity: "O(N) where N is the number of failure reports",
        run: Run::OnSession(failure_reports),
        ..ABOUT_ONE_NODE
    },
    CommandSpec {
        name: "cluster|countkeysinslot",
        arity: 3,
        syntax: "slot",
        summary: "Counts the keys of a slot.",
        complexity: "O(N) where N is the number of keys of the core that owns the slot.",
        flags: FINDS_KEYS,
        run: Run::EveryCore {
            each: |call| walk_at_once(call, keys::count),
            merge: matching::add,
        },
        walk: Some(keys::COUNT),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|flushslot",
        arity: -3,
        flags: Flags::WRITE
            .with(Flags::NO_ASYNC_LOADING)
            .with(Flags::ADMIN)
            .with(Flags::WHOLE_KEYSPACE),
        categories: &[Category::Keyspace],
        since: "9.0.0",
        syntax: "slot [ASYNC | SYNC]",
        summary: "Removes all keys of a slot, of all databases. Of Valkey.",
        complexity: "O(N) where N is the number of keys of the core that owns the slot. In one step.",
        run: Run::EveryCore {
            each: flush::slot_part,
            merge: flush::slot_reply,
        },
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|getkeysinslot",
        arity: 4,
        tips: &["nondeterministic_output"],
        syntax: "slot count",
        summary: "Answers keys of a slot.",
        complexity: "O(N) where N is the number of keys of the core that owns the slot.",
        flags: FINDS_KEYS,
        run: Run::EveryCore {
            each: |call| walk_at_once(call, keys::get),
            merge: matching::concatenate,
        },
        walk: Some(keys::GET),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|help",
        flags: Flags::ANYTIME,
        since: "5.0.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|info",
        tips: &["nondeterministic_output"],
        summary: "Describes the state of the cores as a cluster.",
        run: Run::OnSession(info),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|keyslot",
        arity: 3,
        syntax: "key",
        summary: "Answers the slot of a key.",
        complexity: "O(N) where N is the number of bytes in the key",
        run: Run::OnSession(key_slot),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|links",
        tips: &["nondeterministic_output"],
        since: "7.0.0",
        summary: "Lists the connections between nodes: cores need none.",
        complexity: "O(N) where N is the total number of Cluster nodes",
        run: Run::OnSession(links),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|myid",
        summary: "Answers the node id of the core that serves this client.",
        run: Run::OnSession(my_id),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|myshardid",
        since: "7.2.0",
        tips: &["nondeterministic_output"],
        summary: "Answers the shard id of the core that serves this client.",
        run: Run::OnSession(my_shard_id),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|nodes",
        tips: &["nondeterministic_output"],
        summary: "Lists the cores and their slots, a line each.",
        complexity: "O(N) where N is the total number of Cluster nodes",
        run: Run::OnSession(|call| tell(call, Question::Nodes)),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|replicas",
        since: "5.0.0",
        summary: "Lists the replicas of a node: there are none.",
        complexity: "O(N) where N is the number of replicas.",
        run: Run::OnSession(replicas),
        ..ABOUT_ONE_NODE
    },
    CommandSpec {
        name: "cluster|shards",
        tips: &["nondeterministic_output"],
        since: "7.0.0",
        summary: "Lists the cores as shards with their slots.",
        complexity: "O(N) where N is the total number of cluster nodes",
        run: Run::OnSession(|call| tell(call, Question::Shards)),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|slaves",
        deprecated: Some(("5.0.0", "`CLUSTER REPLICAS`")),
        summary: "Lists the replicas of a node: there are none.",
        complexity: "O(N) where N is the number of replicas.",
        run: Run::OnSession(replicas),
        ..ABOUT_ONE_NODE
    },
    CommandSpec {
        name: "cluster|slot-stats",
        arity: -4,
        flags: Flags::ANYTIME.with(Flags::BY_NODE),
        tips: &["nondeterministic_output", "request_policy:all_shards"],
        since: "8.2.0",
        syntax: "<SLOTSRANGE start-slot end-slot | ORDERBY metric [LIMIT limit] [ASC | DESC]>",
        summary: "Tells keys, and what they cost, by slot.",
        complexity: "O(N) where N is the number of keys, and O(N*log(N)) of slots with ORDERBY.",
        run: Run::EveryCore {
            each: |call| walk_at_once(call, slot_stats::begin),
            merge: slot_stats::merge,
        },
        walk: Some(slot_stats::WALK),
        ..ABOUT_NODES
    },
    CommandSpec {
        name: "cluster|slots",
        tips: &["nondeterministic_output"],
        deprecated: Some(("7.0.0", "`CLUSTER SHARDS`")),
        summary: "Lists the ranges of slots and the cores that own them.",
        complexity: "O(N) where N is the total number of Cluster nodes",
        run: Run::OnSession(|call| tell(call, Question::Slots)),
        ..ABOUT_NODES
    },
];

const HELP: &[&str] = &[
    "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "COUNT-FAILURE-REPORTS <node-id>",
    "    Return number of failure reports for <node-id>.",
    "COUNTKEYSINSLOT <slot>",
    "    Return the number of keys in <slot>.",
    "FLUSHSLOT <slot> [ASYNC|SYNC]",
    "    Remove the keys in <slot>.",
    "GETKEYSINSLOT <slot> <count>",
    "    Return key names stored by current node in a slot.",
    "INFO",
    "    Return information about the cluster.",
    "KEYSLOT <key>",
    "    Return the hash slot for <key>.",
    "LINKS",
    "    Return information about all network links between this node and its peers.",
    "    Output format is an array where each array element is a map containing attributes of a link",
    "MYID",
    "    Return the node id.",
    "MYSHARDID",
    "    Return the node's shard id.",
    "NODES",
    "    Return cluster configuration seen by node. Output format:",
    "    <id> <ip:port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
    "REPLICAS <node-id>",
    "    Return <node-id> replicas.",
    "SLOT-STATS <SLOTSRANGE start-slot end-slot|ORDERBY metric [LIMIT limit] [ASC|DESC]>",
    "    Return an array of slot usage statistics for slots assigned to the current node.",
    "SLOTS",
    "    Return information about slots range mappings. Each range is made of:",
    "    start, end, master and replicas IP addresses, ports and ids",
    "SHARDS",
    "    Return information about slot range mappings and the nodes associated with them.",
    "HELP",
    "    Prints this help.",
];

/// Where a client finds the server that connected by a unix socket: it is on this host.
const HOST_OF_UNIX_CLIENTS: &str = "127.0.0.1";

/// Refuses cluster commands where the cores have no endpoints of their own.
fn check_enabled(call: &SessionCall<'_>) -> CommandResult {
    match call.core.shared.core_ports() {
        Some(_) => Ok(()),
        None => Err(errors::CLUSTER_DISABLED),
    }
}

/// Writes the reply, where the cores are nodes.
fn answer(call: &mut SessionCall<'_>, write: impl FnOnce(&mut Reply<'_>)) -> CommandResult {
    check_enabled(call)?;
    call.reply(write);
    Ok(())
}

fn accept(call: &mut SessionCall<'_>) -> CommandResult {
    answer(call, |reply| reply.ok())
}

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    answer(call, |reply| reply.help(HELP))
}

fn links(call: &mut SessionCall<'_>) -> CommandResult {
    answer(call, |reply| reply.array(0))
}

fn key_slot(call: &mut SessionCall<'_>) -> CommandResult {
    let slot = Slot::of(call.args.at(2));
    answer(call, |reply| reply.integer(slot.number().into()))
}

fn my_id(call: &mut SessionCall<'_>) -> CommandResult {
    let id = call.core.shared.node_id(call.core.id);
    answer(call, |reply| reply.text(&id))
}

fn my_shard_id(call: &mut SessionCall<'_>) -> CommandResult {
    let id = call.core.shared.shard_id(call.core.id);
    answer(call, |reply| reply.text(&id))
}

fn failure_reports(call: &mut SessionCall<'_>) -> CommandResult {
    check_enabled(call)?;
    check_node(call)?;
    answer(call, |reply| reply.integer(0))
}

fn replicas(call: &mut SessionCall<'_>) -> CommandResult {
    check_enabled(call)?;
    check_node(call)?;
    answer(call, |reply| reply.array(0))
}

/// Whether argument 2 is the id of a node.
fn check_node(call: &SessionCall<'_>) -> Result<(), ErrorReply> {
    let shared = &call.core.shared;
    let id = call.args.at(2);
    let is_known = (0..shared.cores()).any(|core| shared.node_id(CoreId(core)).as_bytes() == id);
    is_known
        .then_some(())
        .ok_or_else(|| errors::unknown_node(id))
}

fn tell(call: &mut SessionCall<'_>, question: Question) -> CommandResult {
    let announced = call.core.config.cluster_announce_ip.as_deref();
    let host = announced
        .or(call.session.peer.local_host())
        .unwrap_or(HOST_OF_UNIX_CLIENTS);
    let reply = call
        .core
        .topology
        .reply(
            &call.core.shared,
            call.core.id,
            question,
            call.session.protocol,
            host,
        )
        .ok_or(errors::CLUSTER_DISABLED)?;
    call.session
        .output
        .append(|out| out.extend_from_slice(reply));
    Ok(())
}

fn info(call: &mut SessionCall<'_>) -> CommandResult {
    let shared = &call.core.shared;
    let ranges = shared.slots.ranges();
    let owns = |core: &CoreId| ranges.iter().any(|range| range.owner == *core);
    let owners = (0..shared.cores()).map(CoreId).filter(owns).count();
    let text = format!(
        "cluster_state:ok\r\n\
         cluster_slots_assigned:{SLOTS}\r\n\
         cluster_slots_ok:{SLOTS}\r\n\
         cluster_slots_pfail:0\r\n\
         cluster_slots_fail:0\r\n\
         cluster_known_nodes:{}\r\n\
         cluster_size:{owners}\r\n\
         cluster_current_epoch:{}\r\n\
         cluster_my_epoch:{}\r\n\
         cluster_stats_messages_sent:0\r\n\
         cluster_stats_messages_received:0\r\n\
         total_cluster_links_buffer_limit_exceeded:0\r\n",
        shared.cores(),
        shared.cores(),
        call.core.id.0 + 1,
    );
    answer(call, |reply| reply.verbatim("txt", text.as_bytes()))
}
