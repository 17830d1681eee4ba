#!/usr/bin/env python3
"""What a hop costs: GET of keys on the client's own core against GET of keys on the other, on a server of two cores; and
what a command over both costs beside it: MGET of ten keys, five of each.

One connection, alternating pieces of each kind. Which keys are remote is found out
by asking `INFO stats` for `larder_hops` before and after. Prints server CPU (all threads, user and system) and latency
per operation, at several pipeline depths, the median over the pieces.

    perf/hop.py --server 'target/release/larder-server --port {port} --cores 2' [--depths 1,16,64]
"""

import argparse
import os
import statistics
import time

from servers import Server, encode

PIECE_SECONDS = 0.5
KEYS_PER_SIDE = 1000
MGET_KEYS = 10


def receive(link, wanted):
    """Reads so many bytes of replies."""
    while wanted > 0:
        got = len(link.recv(min(wanted, 1 << 20)))
        if not got:
            raise SystemExit("the server closed the connection")
        wanted -= got


def bulks_bytes(count, value_bytes):
    """Bytes of `count` values of `value_bytes` each, as replies."""
    return count * (len(b"$%d\r\n\r\n" % value_bytes) + value_bytes)


def hops(link):
    """The server's count of hops so far."""
    link.sendall(encode(b"INFO", b"stats"))
    text = b""
    while b"larder_hops:" not in text or not text.endswith(b"\r\n\r\n"):
        text += link.recv(1 << 16)
        if text.endswith(b"\r\n") and b"larder_hops:" in text:
            break
    return int(text.split(b"larder_hops:")[1].split(b"\r\n")[0])


def split_keys(link, value):
    """Keys of the connection's own core, and of the other."""
    own, other = [], []
    index = 0
    while min(len(own), len(other)) < KEYS_PER_SIDE:
        key = b"key:%012d" % index
        index += 1
        before = hops(link)
        link.sendall(encode(b"SET", key, value))
        link.recv(64)
        link.sendall(encode(b"GET", key))
        receive(link, bulks_bytes(1, len(value)))
        # INFO itself asks the other core; the two commands hop twice if the key is remote.
        side = other if hops(link) - before >= 3 else own
        if len(side) < KEYS_PER_SIDE:
            side.append(key)
    return own, other


def gets(keys):
    """A GET of each key."""
    return [encode(b"GET", key) for key in keys]


def mgets(own, other):
    """MGETs of ten keys, five of each core."""
    half = MGET_KEYS // 2
    starts = range(0, min(len(own), len(other)) - half + 1, half)
    return [encode(b"MGET", *own[start : start + half], *other[start : start + half]) for start in starts]


def piece(server, link, commands, depth, reply_bytes):
    """CPU and latency, in microseconds, of `commands` at `depth` for a while; each is answered by `reply_bytes`."""
    batches = [
        b"".join((commands * 2)[start : start + depth]) for start in range(0, len(commands), depth)
    ]
    latencies = []
    cpu_before, end, operations = server.cpu_ns(), time.perf_counter() + PIECE_SECONDS, 0
    while time.perf_counter() < end:
        for batch in batches:
            began = time.perf_counter()
            link.sendall(batch)
            receive(link, depth * reply_bytes)
            latencies.append(time.perf_counter() - began)
            operations += depth
    return (server.cpu_ns() - cpu_before) / operations / 1e3, statistics.median(latencies) * 1e6


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", required=True, help="command with {port}")
    options.add_argument("--depths", default="1,16,64")
    options.add_argument("--pieces", type=int, default=5)
    options = options.parse_args()
    server = Server("larder", options.server, 0)
    for task in os.listdir(f"/proc/{server.process.pid}/task"):
        try:
            os.sched_setaffinity(int(task), range(os.cpu_count()))
        except OSError:
            pass
    value = b"v" * 64
    try:
        link = server.connect()
        own, other = split_keys(link, value)
        one = bulks_bytes(1, len(value))
        many = len(b"*%d\r\n" % MGET_KEYS) + bulks_bytes(MGET_KEYS, len(value))
        kinds = [(gets(own), one), (gets(other), one), (mgets(own, other), many)]
        print("           CPU, µs an operation          latency, µs")
        print("depth      own   remote     MGET      own   remote     MGET   MGET/remote")
        for depth in map(int, options.depths.split(",")):
            rounds = [
                [piece(server, link, commands, depth, reply) for commands, reply in kinds]
                for _ in range(options.pieces)
            ]
            medians = [
                statistics.median(pieces[kind][what] for pieces in rounds) for what in range(2) for kind in range(3)
            ]
            figures = "".join(f"{median:9.2f}" for median in medians)
            print(f"{depth:5}{figures}{medians[2] / medians[1]:14.2f}")
    finally:
        server.stop()


if __name__ == "__main__":
    main()
