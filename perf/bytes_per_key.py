#!/usr/bin/env python3
"""Resident bytes a server spends per key above the key and the value themselves.

Each server is started fresh, filled with N distinct keys through one pipelined connection, and its resident memory
read before and after. Servers run one after another.

    perf/bytes_per_key.py --keys 3000000 --servers \\
        'larder=target/release/larder-server --port {port} --cores 1' \\
        'redis=redis-server --port {port} --save "" --appendonly no'
"""

import argparse
import json
import time

from servers import Server, parse_named

KEY_BYTES = 16


def main():
    options = parse_options()
    results = []
    print(f"{options.keys} keys of {KEY_BYTES} + {options.value_bytes} bytes, {describe_ttl(options.ttl)}")
    print(f"{'server':<16} {'B/key over payload':>18} {'resident MiB':>13} {'fill s':>7}")
    for name, command in parse_named(options.servers):
        result = measure(name, command, options)
        results.append(result)
        print(
            f"{name:<16} {result['bytes_per_key']:>18.1f} {result['rss_after'] / 2**20:>13.1f}"
            f" {result['fill_seconds']:>7.1f}",
            flush=True,
        )
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", nargs="+", required=True, metavar="NAME=COMMAND", help="with {port} in COMMAND")
    parser.add_argument("--keys", type=int, default=3_000_000)
    parser.add_argument("--value-bytes", type=int, default=64)
    parser.add_argument("--ttl", type=int, metavar="SECONDS", help="give every key this time to live")
    parser.add_argument("--core", type=int, default=0, help="core the server is pinned to")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds to wait before reading resident memory")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def describe_ttl(ttl):
    return "no TTL" if ttl is None else f"TTL {ttl} s"


def measure(name, command, options):
    server = Server(name, command, options.core)
    try:
        time.sleep(options.settle)
        before = server.rss_bytes()
        started = time.monotonic()
        keys = (b"key:%012d" % index for index in range(options.keys))
        server.fill(keys, b"v" * options.value_bytes, options.ttl)
        fill_seconds = time.monotonic() - started
        time.sleep(options.settle)
        after = server.rss_bytes()
        held = server.dbsize()
    finally:
        server.stop()
    if held != options.keys:
        raise SystemExit(f"{name} holds {held} keys instead of {options.keys}")
    payload = KEY_BYTES + options.value_bytes
    return {
        "server": name,
        "command": command,
        "keys": options.keys,
        "ttl_seconds": options.ttl,
        "rss_before": before,
        "rss_after": after,
        "bytes_per_key": (after - before) / options.keys - payload,
        "fill_seconds": fill_seconds,
    }


if __name__ == "__main__":
    main()
