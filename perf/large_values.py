#!/usr/bin/env python3
"""What removing large values costs, and what they leave behind.

    perf/large_values.py --value-bytes 65536 --keys 5000 --servers \\
        'larder=target/release/larder-server --port {port} --cores 1' \\
        'redis=redis-server --port {port} --save "" --appendonly no'

Each server in turn is filled with so many values, and all are deleted in random order, in pipelines of 16, one key a DEL.
Printed are the values stored (a server may refuse some), the mappings the kernel counts when half of them are deleted
(values that lie side by side may share one), server CPU per SET and per DEL (until it is at rest again), and resident
memory: full, with half of them, at rest after the deletion, and what it began with.
"""

import argparse
import os
import random
import time

from servers import Server, encode, parse_named

PIPELINE = 16
# At rest: no processor time but that of periodic duties.
REST_SECONDS = 0.5
REST_NS = 20_000_000


def run(link, commands):
    """Sends `commands` and reads a line for each; those that are no error."""
    link.sendall(b"".join(commands))
    got = b""
    while got.count(b"\r\n") < len(commands):
        chunk = link.recv(1 << 16)
        if not chunk:
            raise SystemExit("the server closed the connection")
        got += chunk
    return sum(not line.startswith(b"-") for line in got.split(b"\r\n")[:-1])


def cost(server, link, commands):
    """How many succeeded, and microseconds of server CPU for each."""
    began, done = server.cpu_ns(), 0
    for first in range(0, len(commands), PIPELINE):
        done += run(link, [command() for command in commands[first : first + PIPELINE]])
    before = None
    while before is None or server.cpu_ns() - before > REST_NS:
        before = server.cpu_ns()
        time.sleep(REST_SECONDS)
    return done, (server.cpu_ns() - began) / 1000 / len(commands)


def measure(name, command, arguments):
    server = Server(name, command, arguments.server_core)
    try:
        value = b"v" * arguments.value_bytes
        empty = server.rss_bytes()
        with server.connect() as link:
            keys = [b"key:%d" % index for index in range(arguments.keys)]
            stored, set_us = cost(server, link, [lambda key=key: encode(b"SET", key, value) for key in keys])
            full = server.rss_bytes()
            random.Random(1).shuffle(keys)
            requests = [lambda key=key: encode(b"DEL", key) for key in keys]
            _, first_us = cost(server, link, requests[: len(keys) // 2])
            with open(f"/proc/{server.process.pid}/maps") as maps:
                mappings = sum(1 for _ in maps)
            half = server.rss_bytes()
            _, second_us = cost(server, link, requests[len(keys) // 2 :])
        after = server.rss_bytes()
        print(
            f"{name:10} {arguments.value_bytes:8} bytes: {stored} stored, {mappings} mappings, SET {set_us:.1f} us, "
            f"DEL {(first_us + second_us) / 2:.1f} us, resident {full >> 20} MiB, {half >> 20} with half of them, "
            f"{after >> 20} with none, {empty >> 20} at first",
            flush=True,
        )
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", nargs="+", required=True, metavar="NAME=COMMAND", help="with {port} in COMMAND")
    parser.add_argument("--value-bytes", type=int, default=65536)
    parser.add_argument("--keys", type=int, default=5000)
    parser.add_argument("--server-core", type=int, default=0)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {1})
    for name, command in parse_named(arguments.servers):
        measure(name, command, arguments)


if __name__ == "__main__":
    main()
