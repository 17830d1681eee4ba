#!/usr/bin/env python3
"""What it costs to write when memory is full: SETs of keys never used before, each of which has others evicted.

Servers are up at once, filled far beyond their `maxmemory`, and visited in turn, round after round. Prints server CPU (all
threads, user and system) an operation, the median over the rounds, its ratio to the first server's in the same round, and
how many keys were evicted for each that was set.

    perf/evict.py --servers \\
        'redis=redis-server --port {port} --save "" --maxmemory 64mb --maxmemory-policy allkeys-lru' \\
        'adaptive=target/release/larder-server --port {port} --cores 1 --maxmemory 64mb --maxmemory-policy allkeys-adaptive'

With --hits, GETs of keys that are there instead, far fewer than memory has room for: what counting uses costs, where the first
server does not evict.
"""

import argparse
import os
import shutil
import statistics
import subprocess

from servers import Server, encode, parse_named


def load(options, server, prefix, operations, arguments):
    """Has larder-bench send so many operations; returns the server's CPU nanoseconds for each."""
    before = server.cpu_ns()
    command = [
        options.bench, "run", "--quiet", "--server", "127.0.0.1:%d" % server.port, "--clients", "50", "--threads", "1",
        "--pipeline", str(options.pipeline), "--operations", str(operations), "--value-bytes", str(options.value_bytes),
        "--key-prefix", prefix, *arguments,
    ]  # fmt: skip
    done = subprocess.run(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, {options.load_core}),
    )
    if done.returncode != 0:
        raise SystemExit("larder-bench failed: " + done.stderr.decode())
    return (server.cpu_ns() - before) / operations


def set_new(options, server, prefix, keys):
    """Sets keys that were not there."""
    arguments = ["--keys", str(keys), "--key-distribution", "sequential", "--command", "SET __key__ __value__"]
    return load(options, server, prefix, keys, arguments)


def get_hits(options, server, operations):
    """Gets keys that are there."""
    arguments = ["--keys", str(options.keys), "--command", "GET __key__"]
    return load(options, server, "hit:", operations, arguments)


def stat(server, name):
    """A figure of INFO stats."""
    with server.connect() as link:
        link.sendall(encode(b"INFO", b"stats"))
        reply = b""
        while not reply.endswith(b"\r\n\r\n") and b"\r\n%s:" % name not in reply[:-32]:
            reply += link.recv(1 << 16)
    return int(reply.split(name + b":")[1].split(b"\r\n")[0])


def visit(options, server, number):
    """CPU an operation, and keys evicted, or hits, for each."""
    figure = b"keyspace_hits" if options.hits else b"evicted_keys"
    before = stat(server, figure)
    if options.hits:
        cost = get_hits(options, server, options.operations)
    else:
        cost = set_new(options, server, "round%d:" % number, options.operations)
    return cost, (stat(server, figure) - before) / options.operations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", nargs="+", required=True, metavar="NAME=COMMAND", help="with {port} in COMMAND")
    parser.add_argument("--hits", action="store_true", help="GET hits instead of SETs of new keys")
    parser.add_argument("--pipeline", type=int, default=16)
    parser.add_argument("--value-bytes", type=int, default=64)
    parser.add_argument("--fill", type=int, default=1_000_000, help="keys set before, without --hits")
    parser.add_argument("--keys", type=int, default=100_000, help="keys to hit, with --hits")
    parser.add_argument("--operations", type=int, default=300_000, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--bench", default=shutil.which("larder-bench") or "target/release/larder-bench")
    options = parser.parse_args()
    servers = [Server(name, command, options.server_core) for name, command in parse_named(options.servers)]
    try:
        for server in servers:
            if options.hits:
                set_new(options, server, "hit:", options.keys)
            else:
                set_new(options, server, "fill:", options.fill)
        rounds = [[visit(options, server, number) for server in servers] for number in range(options.rounds)]
        what = "hits" if options.hits else "evicted"
        for at, server in enumerate(servers):
            cost = statistics.median(visits[at][0] for visits in rounds) / 1000
            ratio = statistics.median(visits[at][0] / visits[0][0] for visits in rounds)
            part = statistics.mean(visits[at][1] for visits in rounds)
            mib = server.rss_bytes() / (1 << 20)
            print(f"{server.name:<16} {cost:>7.3f} us an operation {ratio:>6.3f}  {part:.2f} {what} an operation, {mib:.0f} MiB")
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    main()
