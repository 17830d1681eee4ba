#!/usr/bin/env python3
"""What it costs to hand an element over: one client waits in BLPOP, another pushes, and the first has it.

Several pairs of clients, each with a queue of its own. At depth 16 the waiting client sends sixteen BLPOPs at once, of which the
first waits and the others behind it, and the other sixteen RPUSHes. Servers are up at once and visited in turn, piece by piece.
Prints server CPU (all threads, user and system) an element, the median over the pieces, and its ratio to the first server's.

    perf/hand_over.py --servers \\
        'redis=redis-server --port {port} --save "" --appendonly no' \\
        'larder=target/release/larder-server --port {port} --cores 1'
"""

import argparse
import statistics
import time

from servers import Server, encode, parse_named

PAIRS = 8
PIECE_SECONDS = 0.4
VALUE = b"v" * 16


class Pair:
    """A client that waits and one that pushes."""

    def __init__(self, server, number, depth):
        self.queue = b"queue:%d" % number
        self.waiting, self.pushing = server.connect(), server.connect()
        self.wait = encode(b"BLPOP", self.queue, b"0") * depth
        self.push = encode(b"RPUSH", self.queue, VALUE) * depth
        reply = b"*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(self.queue), self.queue, len(VALUE), VALUE)
        self.expected = reply * depth
        self.depth = depth

    def close(self):
        self.waiting.close()
        self.pushing.close()


def receive(link, is_all):
    got = bytearray()
    while not is_all(got):
        chunk = link.recv(1 << 16)
        if not chunk:
            raise SystemExit("the server closed the connection")
        got += chunk
    return got


def round_of(pairs):
    """Every pair hands over as many elements as it is deep."""
    for pair in pairs:
        pair.waiting.sendall(pair.wait)
    for pair in pairs:
        pair.pushing.sendall(pair.push)
    for pair in pairs:
        got = receive(pair.waiting, lambda got: len(got) >= len(pair.expected))
        if got != pair.expected:
            raise SystemExit(f"BLPOP was answered with {bytes(got[:100])!r}")
        receive(pair.pushing, lambda got: got.count(b"\r\n") >= pair.depth)


def piece(server, pairs):
    """CPU nanoseconds an element."""
    began, elements = time.monotonic(), 0
    before = server.cpu_ns()
    while time.monotonic() - began < PIECE_SECONDS:
        round_of(pairs)
        elements += sum(pair.depth for pair in pairs)
    return (server.cpu_ns() - before) / elements


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", nargs="+", required=True, metavar="NAME=COMMAND", help="with {port} in COMMAND")
    parser.add_argument("--depths", default="1,16")
    parser.add_argument("--pieces", type=int, default=9)
    parser.add_argument("--core", type=int, default=0, help="core the servers are pinned to")
    options = parser.parse_args()
    servers = [Server(name, command, options.core) for name, command in parse_named(options.servers)]
    try:
        for depth in map(int, options.depths.split(",")):
            pairs = [[Pair(server, number, depth) for number in range(PAIRS)] for server in servers]
            costs = [[] for _ in servers]
            for number in range(options.pieces + 1):
                for at, server in enumerate(servers):
                    cost = piece(server, pairs[at])
                    if number > 0:
                        costs[at].append(cost)
            for at, server in enumerate(servers):
                cost = statistics.median(costs[at])
                ratio = statistics.median(ours / first for ours, first in zip(costs[at], costs[0]))
                print(f"depth {depth:>2}  {server.name:<10} {cost / 1000:>7.2f} us an element  {ratio:>5.2f}", flush=True)
            for pair in [pair for of_server in pairs for pair in of_server]:
                pair.close()
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    main()
