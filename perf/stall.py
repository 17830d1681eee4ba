#!/usr/bin/env python3
"""How long do other clients wait while one works on large values?

    perf/stall.py [--bytes N] [--times N] [--do set|move|read|dump|look|sorted|stream|free] PORT...

Two clients, each a connection and a process of its own, send a small command without a pause; meanwhile a third works on
values of N bytes.

set:   it sends `SET key <value>` twice, and `DEL key`, for a few keys (on a server of several cores some lie on either). The
       others PING and GET a small key.
move:  it copies a key to one of the other half of the slots, which on a server of two cores lies on the other, appends to
       the copy, and renames the source to a third key over there, and back. The others GET a small key of each half.
read:  it reads a key of each half, one of them on another core than its own, combines one into a key of the other half
       (BITOP), and has a script read each. The others as before.
dump:  it dumps a hash in the one half and a list in the other, of N bytes in fields of 16 + 16 bytes and elements of 16, and
       restores what it got beside them. The others as before.
look:  it looks at many keys, or at many elements of a list and a hash in the one half, and of sets in either: there are N / 100
       of each. The others as before.

sorted: it pops, removes and finds members of sorted sets of N bytes in members of 16, which lie in either half. The others as
       before.

stream: of a stream of N bytes in entries of 16, all of which a consumer has, it deletes a quarter by their ids, then the consumer, and
       trims what is left. The others as before.

free:   it has a collection of each type, of N bytes in elements of 16, go: removed, and expired; then it flushes N / 16 keys, alone and
        beside another database. The others as before.

For each port: the longest and the 99.9th percentile wait of each of the two clients, in milliseconds, by what the third
was doing, `nothing` among it; and the seconds that took.
"""

import argparse
import binascii
import multiprocessing
import socket
import time


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def command(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(word), word) for word in words])


def line(sock):
    """Reads one line, byte by byte: others may come behind it."""
    got = b""
    while not got.endswith(b"\r\n"):
        chunk = sock.recv(1)
        if not chunk:
            raise SystemExit("the server closed the connection")
        got += chunk
    return got


def skip_array(sock):
    """Reads a reply that is an array, and keeps nothing of it. Nothing comes behind it."""
    file, left = sock.makefile("rb"), 1
    while left:
        header = file.readline()
        left -= 1
        if header[:1] == b"*":
            left += int(header[1:])
        elif header[:1] == b"$":
            file.read(int(header[1:]) + 2)


def reply(sock):
    """Reads a reply: a line, what a string holds, or nothing of an array."""
    begins = sock.recv(64, socket.MSG_PEEK)
    if begins.startswith(b"*"):
        return skip_array(sock)
    if not begins.startswith(b"$"):
        return line(sock)
    header = begins[: begins.index(b"\r\n")]
    room, at = memoryview(bytearray(len(header) + 2 + int(header[1:]) + 2)), 0
    while at < len(room):
        at += sock.recv_into(room[at:])
    return room[len(header) + 2 : -2]


def probe(port, request, ready, over, pipe):
    """Sends `request` again and again and tells when, and how long it waited."""
    sock = connect(port)
    waits = []
    ready.wait()
    while not over.is_set():
        began = time.monotonic()
        sock.sendall(request)
        sock.recv(4096)
        waits.append((began, time.monotonic() - began))
    pipe.send(waits)


def key_of_half(half, name):
    """A key of the lower or the upper half of the slots."""
    tags = (f"{{{n}}}{name}" for n in range(1000))
    return next(key for key in tags if binascii.crc_hqx(key[1 : key.index("}")].encode(), 0) % 16384 // 8192 == half)


def set_and_delete(times, value):
    for key in [f"large:{n}" for n in range(times)]:
        yield "nothing", None
        yield "SET", command("SET", key, value)
        yield "overwrite", command("SET", key, value)
        yield "DEL", command("DEL", key)


def copy_and_rename(times, value):
    for n in range(times):
        source, copy, moved = key_of_half(n % 2, "source"), key_of_half(1 - n % 2, "copy"), key_of_half(1 - n % 2, "moved")
        yield "SET", command("SET", source, value)
        yield "nothing", None
        yield "COPY", command("COPY", source, copy)
        yield "APPEND", command("APPEND", copy, "x")
        yield "DEL copy", command("DEL", copy)
        yield "RENAME", command("RENAME", source, moved)
        yield "and back", command("RENAME", moved, source)
        yield "DEL", command("DEL", source)


def read(times, value):
    keys = [key_of_half(half, "source") for half in range(2)]
    for key in keys:
        yield "SET", command("SET", key, value)
    for _ in range(times):
        yield "nothing", None
        for half in range(2):
            yield f"GET {half}", command("GET", keys[half])
        for half in range(2):
            yield f"BITOP {half}", command("BITOP", "NOT", key_of_half(1 - half, "to"), keys[half])
        for half in range(2):
            yield f"EVAL {half}", command("EVAL", "return #redis.call('GET', KEYS[1])", 2, keys[half], key_of_half(1 - half, "to"))
    for key in keys + [key_of_half(half, "to") for half in range(2)]:
        yield "DEL", command("DEL", key)


def large_keys():
    return [key_of_half(half, name) for half, name in enumerate(["hash", "list"])]


def fill(sock, size):
    large, texts = large_keys(), [f"{n:016}" for n in range(size // 16)]
    for first in range(0, len(texts), 1000):
        for name, key in zip(["HSET", "RPUSH"], large):
            sock.sendall(command(name, key, *texts[first : first + 1000]))
            line(sock)


def dump_and_restore(times, _):
    for _ in range(times):
        yield "nothing", None
        for half, key in enumerate(large_keys()):
            payload = yield f"DUMP {key[key.index('}') + 1 :]}", command("DUMP", key)
            restore = command("RESTORE", key_of_half(half, "copy"), 0, bytes(payload), "REPLACE")
            yield f"RESTORE {key[key.index('}') + 1 :]}", restore


def fill_to_look(sock, size):
    numbers = [str(n) for n in range(size // 100)]
    at = {name: key_of_half(half, name) for name, half in [("list", 0), ("hash", 0), ("set", 0), ("few", 1)]}
    for first in range(0, len(numbers), 1000):
        some = numbers[first : first + 1000]
        sock.sendall(command("MSET", *(word for n in some for word in (f"key:{n}", n))))
        sock.sendall(command("RPUSH", at["list"], *some))
        sock.sendall(command("HSET", at["hash"], *(word for n in some for word in (n, n))))
        sock.sendall(command("SADD", at["set"], *(f"member:{n}" for n in some)))
        for _ in range(4):
            line(sock)
    sock.sendall(command("HEXPIRE", at["hash"], 10000, "FIELDS", 1, 0) + command("SADD", at["few"], "a", "b"))
    for _ in range(3):
        line(sock)
    return at


def look(times, _):
    at = {name: key_of_half(half, name) for name, half in [("list", 0), ("hash", 0), ("set", 0), ("few", 1)]}
    there, away = key_of_half(0, "to"), key_of_half(1, "to")
    for _ in range(times):
        yield "nothing", None
        for words in [
            ["KEYS", "none*"],
            ["KEYS", "*"],
            ["LPOS", at["list"], "none"],
            ["LREM", at["list"], 0, "none"],
            ["HGETALL", at["hash"]],
            ["HRANDFIELD", at["hash"], -1000],
            ["SUNIONSTORE", there, at["set"], at["few"]],
            ["SORT", at["list"], "LIMIT", 0, 10],
            ["SORT", at["list"], "BY", "key:*", "LIMIT", 0, 10],
            ["SORT", at["list"], "STORE", away],
        ]:
            shown = " ".join(word for word in map(str, words) if word.isupper())
            yield (f"{shown} {words[1]}" if words[0] == "KEYS" else shown), command(*words)


def whole(sock):
    """Reads a reply of any kind, behind which a PING was sent."""
    tail = b""
    while not tail.endswith(b"+PONG\r\n"):
        tail = (tail + sock.recv(1 << 20))[-16:]


def fill_sorted(sock, size):
    numbers, keys = range(size // 16), [key_of_half(half, name) for half, name in enumerate(["scores", "places"])]
    for first in numbers[::1000]:
        some = numbers[first : first + 1000]
        scored = [word for n in some for word in (n * 7919 % 1_000_003, f"{n:016}")]
        placed = [word for n in some for word in (f"15.{n * 7919 % 1_000_003:06}", f"37.{n * 104_729 % 1_000_003:06}", f"{n:016}")]
        for name, key, words in zip(["ZADD", "GEOADD"], keys, [scored, placed]):
            sock.sendall(command(name, key, *words))
            line(sock)


def pop_and_find(times, value):
    members, (scores, places) = len(value) // 16, [key_of_half(half, name) for half, name in enumerate(["scores", "places"])]
    copies = [key_of_half(half, "copy") for half in range(2)]
    around = ["FROMLONLAT", "15.5", "37.5", "BYRADIUS", "300", "km"]
    for _ in range(times):
        yield "nothing", None
        yield "COPY", command("COPY", scores, copies[0], "REPLACE")
        yield "ZPOPMIN third", command("ZPOPMIN", copies[0], members // 3)
        yield "ZREMRANGE", command("ZREMRANGEBYRANK", copies[0], 1, members // 3)
        yield "ZMPOP all", command("ZMPOP", 1, copies[0], "MAX", "COUNT", members)
        yield "COPY", command("COPY", scores, copies[0], "REPLACE")
        yield "ZPOPMAX all", command("ZPOPMAX", copies[0], members)
        yield "GEOSEARCH", command("GEOSEARCH", places, *around)
        yield "nearest 10", command("GEOSEARCH", places, *around, "ASC", "COUNT", 10)
        yield "in order", command("GEOSEARCH", places, *around, "DESC", "WITHCOORD", "WITHDIST")
        yield "STORE", command("GEOSEARCHSTORE", copies[1], places, *around)
        yield "STORE there", command("GEOSEARCHSTORE", copies[0], places, *around)
        yield "DEL", command("DEL", *copies)


# Adds entries from one id on to another, and gives them to a consumer.
FILL_STREAM = """
for number = ARGV[1], ARGV[2] do redis.call('XADD', KEYS[1], number .. '-0', 'n', string.format('%016d', number)) end
redis.call('XREADGROUP', 'GROUP', 'group', 'me', 'STREAMS', KEYS[1], '>')
return 1
"""


def stream(times, value):
    key, count = key_of_half(0, "stream"), len(value) // 16
    for _ in range(times):
        yield "fill", command("XGROUP", "CREATE", key, "group", 0, "MKSTREAM")
        for first in range(1, count, 1000):
            yield "fill", command("EVAL", FILL_STREAM, 1, key, first, min(first + 999, count))
        yield "nothing", None
        yield "XDEL", command("XDEL", key, *range(1, count // 4))
        yield "DELCONSUMER", command("XGROUP", "DELCONSUMER", key, "group", "me")
        yield "XTRIM", command("XTRIM", key, "MAXLEN", 0)
        yield "DEL", command("DEL", key)


# Makes elements from one number on to another of a collection, or keys.
FILL = """
local one = {
  hash = function(name) redis.call('HSET', KEYS[1], name, 1) end,
  set = function(name) redis.call('SADD', KEYS[1], name) end,
  list = function(name) redis.call('RPUSH', KEYS[1], name) end,
  zset = function(name, number) redis.call('ZADD', KEYS[1], number, name) end,
  stream = function(name, number) redis.call('XADD', KEYS[1], number .. '-0', 'n', name) end,
}
local add = one[ARGV[1]]
for number = ARGV[2], ARGV[3] do add(string.format('%016d', number), number) end
return 1
"""


def free(times, value):
    count, key = len(value) // 16, key_of_half(0, "large")
    for kind in ["hash", "set", "list", "zset", "stream"] * times:
        for goes in [["DEL", key], ["PEXPIRE", key, 1]]:
            for first in range(1, count, 10_000):
                yield "fill", command("EVAL", FILL, 1, key, kind, first, min(first + 9999, count))
            yield "nothing", None
            yield f"{kind} {goes[0]}", command(*goes)
            for _ in range(20):
                yield f"{kind} {goes[0]}", None
    for beside in [False, True] * times:
        yield "fill", command("DEBUG", "POPULATE", count, "key")
        if beside:
            yield "fill", command("COPY", "key:0", "key:0", "DB", 1, "REPLACE")
        yield "nothing", None
        yield f"FLUSHDB {'beside' if beside else 'alone'}", command("FLUSHDB")
        for _ in range(20):
            yield f"FLUSHDB {'beside' if beside else 'alone'}", None


def measure(port, size, times, do):
    ready, over = multiprocessing.Barrier(3), multiprocessing.Event()
    small = [key_of_half(half, "small") for half in range(2)]
    with connect(port) as sock:
        for key in small:
            sock.sendall(command("SET", key, "v" * 10))
            line(sock)
        if do == "dump":
            fill(sock, size)
        if do == "look":
            fill_to_look(sock, size)
        if do == "sorted":
            fill_sorted(sock, size)
    if do == "set":
        steps, asked = set_and_delete, {"PING": command("PING"), "GET": command("GET", small[0])}
    else:
        steps = {
            "move": copy_and_rename,
            "read": read,
            "dump": dump_and_restore,
            "look": look,
            "sorted": pop_and_find,
            "stream": stream,
            "free": free,
        }[do]
        asked = {f"half {half}": command("GET", small[half]) for half in range(2)}
    probes = {}
    for name, request in asked.items():
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=probe, args=(port, request, ready, over, theirs))
        process.start()
        probes[name] = (process, ours)
    sock = connect(port)
    spans = {}
    ready.wait()
    time.sleep(0.2)
    steps, got = steps(times, b"x" * size), None
    while True:
        try:
            what, request = steps.send(got)
        except StopIteration:
            break
        began = time.monotonic()
        if request and do == "look":
            sock.sendall(request + command("PING"))
            whole(sock)
        elif request:
            sock.sendall(request)
            got = reply(sock)
        took = time.monotonic() - began
        time.sleep(0.1 if what != "fill" else 0)  # What the server puts off is its doing, too.
        spans.setdefault(what, []).append((began, time.monotonic(), took))
    over.set()
    print(f"port {port}, {size} bytes")
    waits = {}
    for name, (process, pipe) in probes.items():
        waits[name] = pipe.recv()
        process.join()
    for what, ours in spans.items():
        seconds = [took for *_, took in ours]
        print(f"  {what:16} takes {min(seconds):.4f} to {max(seconds):.4f} s")
        for name in probes:
            hit = sorted(
                wait for at, wait in waits[name] if any(begin <= at + wait <= end for begin, end, _ in ours)
            )
            most, tail = hit[-1] * 1e3, hit[int(len(hit) * 0.999)] * 1e3
            print(f"    {name:6} meanwhile: longest {most:7.2f} ms, 99.9% {tail:7.2f} ms of {len(hit)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=100_000_000)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--do", choices=["set", "move", "read", "dump", "look", "sorted", "stream", "free"], default="set")
    parser.add_argument("ports", type=int, nargs="+")
    arguments = parser.parse_args()
    for port in arguments.ports:
        measure(port, arguments.bytes, arguments.times, arguments.do)


if __name__ == "__main__":
    main()
