#!/usr/bin/env python3
"""Resident bytes a server spends per element of a collection above the elements themselves: fields with their values, members of a
set or a sorted set, elements of a list, or the values of a stream's entries.

Each server is started fresh for each collection, filled through one pipelined connection, and its resident memory read before
and after. Of a large one it is read again after churn (scores written over; half, then nine tenths of the elements removed at
random), beside what is left of it built fresh. Servers run one after another.

    perf/bytes_per_element.py --servers \\
        'larder=target/release/larder-server --port {port} --cores 1' \\
        'redis=redis-server --port {port} --save "" --appendonly no'
"""

import argparse
import random
import time

from servers import Server, encode, parse_named

BATCH = 1000


def name(index):
    return b"field:%010d" % index


def value(index):
    return b"value:%010d" % index


def length_of(index):
    """8 to 24 bytes, by the element's number."""
    return 8 + index * 7919 % 17


def hash_of(count):
    """One hash of so many fields of 16 + 16 bytes."""
    return [(encode(b"HSET", b"hash", name(i), value(i)), 32) for i in range(count)]


def volatile_hash_of(count):
    """The same, each field with a deadline."""
    commands = hash_of(count)
    expire = [(encode(b"HEXPIRE", b"hash", b"86400", b"FIELDS", b"1", name(i)), 0) for i in range(count)]
    return commands + expire


def small_hashes_of(count):
    """A tenth as many hashes of ten fields of 8 + 16 bytes; their keys count as payload."""
    commands = []
    for i in range(count // 10):
        words = [word for n in range(10) for word in (b"field:%02d" % n, value(i * 10 + n))]
        commands.append((encode(b"HSET", b"hash:%08d" % i, *words), 10 * 24 + 13))
    return commands


def set_of(count):
    """One set of members of 16 bytes."""
    return [(encode(b"SADD", b"set", value(i)), 16) for i in range(count)]


def integer_set_of(count):
    """One set of integers in a scattered order; their digits count as payload."""
    numbers = (b"%d" % (i * 7919 % count) for i in range(count))
    return [(encode(b"SADD", b"set", number), len(number)) for number in numbers]


def small_sets_of(count):
    """A tenth as many sets of ten members of 16 bytes; their keys count as payload."""
    commands = []
    for i in range(count // 10):
        members = [value(i * 10 + n) for n in range(10)]
        commands.append((encode(b"SADD", b"set:%08d" % i, *members), 10 * 16 + 12))
    return commands


def list_of(count):
    """One list of elements of 16 bytes."""
    return [(encode(b"RPUSH", b"list", value(i)), 16) for i in range(count)]


def varying_list_of(count):
    """One list of elements of 8 to 24 bytes."""
    elements = (b"v" * length_of(i) for i in range(count))
    return [(encode(b"RPUSH", b"list", element), len(element)) for element in elements]


def sorted_set_of(count):
    """One sorted set of members of 16 bytes, their scores scattered; a score counts as no payload."""
    scores = random.Random(1)
    return [(encode(b"ZADD", b"zset", b"%.17g" % scores.random(), value(i)), 16) for i in range(count)]


def counted_sorted_set_of(count):
    """One sorted set of members of 16 bytes whose scores are integers, one after the other."""
    return [(encode(b"ZADD", b"zset", b"%d" % i, value(i)), 16) for i in range(count)]


def small_sorted_sets_of(count):
    """A tenth as many sorted sets of ten members of 16 bytes; their keys count as payload."""
    commands = []
    for i in range(count // 10):
        words = [word for n in range(10) for word in (b"%d" % (n * 7), value(i * 10 + n))]
        commands.append((encode(b"ZADD", b"zset:%08d" % i, *words), 10 * 16 + 13))
    return commands


def entry(index):
    """An entry of two fields with values of 8 bytes; ten come in a millisecond. What its id and its fields' names take counts."""
    return encode(b"XADD", b"stream", entry_id(index), b"temperature", b"%08d" % index, b"humidity", b"%08x" % index), 16


def entry_id(index):
    return b"%d-%d" % (1_700_000_000_000 + index // 10, index % 10)


def stream_of(count):
    return [entry(i) for i in range(count)]


CASES = {
    "hash": hash_of,
    "hash-ttl": volatile_hash_of,
    "small-hashes": small_hashes_of,
    "set": set_of,
    "integer-set": integer_set_of,
    "small-sets": small_sets_of,
    "sorted-set": sorted_set_of,
    "counted-sorted-set": counted_sorted_set_of,
    "small-sorted-sets": small_sorted_sets_of,
    "list": list_of,
    "varying-list": varying_list_of,
    "stream": stream_of,
}


def removals(count, remove, build):
    """Half, then nine tenths removed at random: what is done, the commands that do it, and those that build what is left."""
    order = list(range(count))
    random.Random(2).shuffle(order)
    half, most = count // 2, count * 9 // 10
    yield "half were removed", [remove(i) for i in order[:half]], [build(i) for i in sorted(order[half:])]
    yield "nine tenths were removed", [remove(i) for i in order[half:most]], [build(i) for i in sorted(order[most:])]


def churn_of_hash(count):
    yield from removals(count, lambda i: encode(b"HDEL", b"hash", name(i)), hash_of(count).__getitem__)


def churn_of_set(count):
    yield from removals(count, lambda i: encode(b"SREM", b"set", value(i)), set_of(count).__getitem__)


def churn_of_sorted_set(count):
    scores = random.Random(3)
    again = [(encode(b"ZADD", b"zset", b"%.17g" % scores.random(), value(i)), 16) for i in range(count)]
    yield "all scores were written over", [command for command, _ in again], again
    yield from removals(count, lambda i: encode(b"ZREM", b"zset", value(i)), again.__getitem__)


def churn_of_counted_sorted_set(count):
    yield from removals(count, lambda i: encode(b"ZREM", b"zset", value(i)), counted_sorted_set_of(count).__getitem__)


def churn_of_stream(count):
    yield from removals(count, lambda i: encode(b"XDEL", b"stream", entry_id(i)), entry)


CHURN = {
    "hash": churn_of_hash,
    "set": churn_of_set,
    "sorted-set": churn_of_sorted_set,
    "counted-sorted-set": churn_of_counted_sorted_set,
    "stream": churn_of_stream,
}


def exchange(link, commands):
    """Sends commands and reads the lines of their replies: HEXPIRE answers two, as XADD does."""
    for at in range(0, len(commands), BATCH):
        batch = commands[at : at + BATCH]
        link.sendall(b"".join(batch))
        wanted = sum(2 if b"\r\nHEXPIRE" in command or b"\r\nXADD" in command else 1 for command in batch)
        lines = 0
        while lines < wanted:
            got = link.recv(1 << 16)
            if not got or got.startswith(b"-"):
                raise SystemExit(f"the server answered {got[:100]!r}")
            lines += got.count(b"\r\n")


def filled(server, commands, settle):
    """Resident bytes before these commands, and after them. A few have run before and were flushed: what a server touches of itself when
    it is used at all, its code among it, is no element's."""
    with server.connect() as link:
        exchange(link, [command for command, _ in commands[:BATCH]] + [encode(b"FLUSHALL")])
    time.sleep(settle)
    before = server.rss_bytes()
    with server.connect() as link:
        exchange(link, [command for command, _ in commands])
    time.sleep(settle)
    return before, server.rss_bytes()


def measure(label, command, case, options):
    commands = CASES[case](options.elements)
    payload = sum(of_payload for _, of_payload in commands)
    server = Server(label, command, options.core)
    try:
        before, after = filled(server, commands, options.settle)
        print(f"{case:<18} {label:<12} {(after - before - payload) / options.elements:>8.2f} B an element above the payload", flush=True)
        if case in CHURN:
            churn(server, label, command, before, CHURN[case](options.elements), options)
    finally:
        server.stop()


def churn(server, label, command, before, steps, options):
    """Changes the collection, and compares what it has become with the same built fresh."""
    for done, commands, left in steps:
        with server.connect() as link:
            exchange(link, commands)
        time.sleep(options.settle)
        resident = server.rss_bytes() - before
        fresh = Server(label, command, options.core)
        try:
            fresh_before, fresh_after = filled(fresh, left, options.settle)
        finally:
            fresh.stop()
        ratio = resident / (fresh_after - fresh_before)
        print(f"{'':<18} {label:<12} {ratio:>8.2f} of fresh after {done}, {options.settle:.0f} s later", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", nargs="+", required=True, metavar="NAME=COMMAND", help="with {port} in COMMAND")
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--core", type=int, default=0, help="core the server is pinned to")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds to wait before reading resident memory")
    options = parser.parse_args()
    for case in options.cases:
        for label, command in parse_named(options.servers):
            measure(label, command, case, options)


if __name__ == "__main__":
    main()
