#!/usr/bin/env python3
"""Does resident memory stay within `maxmemory`?

    perf/ceiling.py --server 'larder-server --port {port} --cores 2' [--maxmemory MB] [--policy NAME] [--seconds N]
                    [--csv FILE] [--plot FILE]

Starts the server with that limit and offers it four times as much: two writers work on values of all types, of 10 bytes to
64 KiB, in phases of different sizes. They set, append, add to collections and take from them, delete, set deadlines, and
publish; some of it within MULTI. A hundred clients ask for large values, lists and hashes, or subscribe, and read slowly.

Every 100 ms `VmRSS` of the process is taken. What is told: the most of it, as a part of the limit, and beyond what was resident
before any client came; what was evicted and refused; what the server says of its memory when it was most. Peers take the same
options as Larder.
"""

import argparse
import csv
import os
import random
import select
import shutil
import socket
import threading
import multiprocessing
import time

from servers import Server

READERS = 100
WRITERS = 2
SAMPLE_SECONDS = 0.1
PHASE_SECONDS = 5
# Commands sent before their replies are read.
BATCH = 50
# Bytes of values, by phase.
PHASES = [(10, 200), (200, 2000), (10, 65536), (2000, 16384), (10, 60), (16384, 65536)]
MAX_VALUE = 65536


def command(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(word), word) for word in words])


class Writer:
    """A client that changes values of all types."""

    def __init__(self, port, number, limit_bytes):
        self.random = random.Random(number)
        self.port = port
        self.limit = limit_bytes
        self.noise = self.random.randbytes(2 * MAX_VALUE)
        self.sent = self.refused = self.errors = 0
        self.sock = None

    def value(self, sizes):
        least, most = sizes
        # As many of each order of magnitude.
        size = int(least * (most / least) ** self.random.random())
        at = self.random.randrange(MAX_VALUE)
        return self.noise[at : at + size]

    def small(self):
        return self.value((10, 100))

    def batch(self, sizes):
        """Some commands, on keys of which there are as many as make up four times the limit."""
        mean, keys = keys_of(sizes, self.limit)
        choose, commands = self.random.random, []
        for _ in range(BATCH):
            kind, key, dice = self.random.randrange(6), self.random.randrange(keys), choose()
            name = b"%s:%d:%d" % (b"shlzxq"[kind : kind + 1], mean, key)
            if dice < 0.08:
                commands.append(command("DEL", name))
            elif dice < 0.12:
                commands.append(command("EXPIRE", name, 1 + key % 20))
            elif dice < 0.13:
                commands.append(command("PUBLISH", "news", self.value((100, 4000))))
            elif kind == 0:
                words = ["SET", name, self.value(sizes)] + (["EX", 5 + key % 60] if dice < 0.3 else [])
                commands.append(command("APPEND", name, self.small()) if dice > 0.9 else command(*words))
            elif kind == 1:
                field = b"f%d" % self.random.randrange(64)
                commands.append(command("HDEL", name, field) if dice < 0.3 else command("HSET", name, field, self.value(sizes)))
            elif kind == 2:
                commands.append(command("LTRIM", name, 0, 7) if dice < 0.3 else command("RPUSH", name, self.value(sizes)))
            elif kind == 3:
                member = self.value((10, 60))
                words = ["ZREMRANGEBYRANK", name, 0, 5] if dice < 0.3 else ["ZADD", name, self.random.randrange(10**6), member]
                commands.append(command(*words))
            elif kind == 4:
                words = ["XTRIM", name, "MAXLEN", 8] if dice < 0.3 else ["XADD", name, "*", "field", self.value(sizes)]
                commands.append(command(*words))
            else:
                commands.append(command("SPOP", name, 3) if dice < 0.3 else command("SADD", name, *[self.small() for _ in range(4)]))
        if choose() < 0.1:
            commands = [command("MULTI")] + commands[:10] + [command("EXEC")]
        return b"".join(commands)

    def run(self, until, told):
        while time.time() < until:
            try:
                self.go_on(until)
            except (OSError, ConnectionError):
                time.sleep(0.1)
        told.put((self.sent, self.refused, self.errors))

    def go_on(self, until):
        self.sock = socket.create_connection(("127.0.0.1", self.port))
        self.sock.settimeout(60)
        number = 0
        while time.time() < until:
            sizes = PHASES[int(time.time() / PHASE_SECONDS) % len(PHASES)]
            number += 1
            mark = b"$9\r\n%09d\r\n" % number
            data = self.batch(sizes)
            self.sock.sendall(data + command("ECHO", b"%09d" % number))
            self.sent += len(data)
            got, tail = b"", b""
            while not tail.endswith(mark):
                got = self.sock.recv(1 << 20)
                if not got:
                    raise ConnectionError
                self.refused += got.count(b"-OOM")
                self.errors += got.count(b"-ERR") + got.count(b"-WRONGTYPE")
                tail = (tail + got)[-64:]


def keys_of(sizes, limit):
    """The mean size of a phase's values, and of how many keys of each type they are: four times the limit in all."""
    mean = (sizes[0] + sizes[1]) // 3
    return mean, max(100, 4 * limit // mean // 6)


def read_slowly(port, limit, until):
    """A hundred clients that ask for much and read little of it."""
    chooser, poll, clients = random.Random(99), select.poll(), {}

    def connect(number):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        clients[sock.fileno()] = (sock, number)
        poll.register(sock, select.POLLIN)
        ask(sock, number)

    def ask(sock, number):
        if number % 4 == 3:
            return send(sock, command("SUBSCRIBE", "news"))
        asked = []
        for _ in range(64):
            # What is written now is there.
            mean, keys = keys_of(PHASES[int(time.time() / PHASE_SECONDS) % len(PHASES)], limit)
            key = chooser.randrange(keys)
            read = chooser.choice([("GET", "s"), ("HGETALL", "h"), ("LRANGE", "l"), ("SMEMBERS", "q"), ("XRANGE", "x")])
            ends = {"LRANGE": (0, -1), "XRANGE": ("-", "+")}.get(read[0], ())
            asked.append(command(read[0], f"{read[1]}:{mean}:{key}", *ends))
        send(sock, b"".join(asked))

    def send(sock, data):
        try:
            sock.send(data)
        except OSError:
            pass

    def lose(fd):
        sock, number = clients.pop(fd)
        poll.unregister(fd)
        sock.close()
        return number

    lost = list(range(READERS))
    while time.time() < until:
        while lost:
            try:
                connect(lost[-1])
                lost.pop()
            except OSError:
                break
        for fd, _ in poll.poll(100):
            sock, number = clients[fd]
            try:
                got = sock.recv(chooser.choice([512, 4096, 16384]))
                if not got:
                    lost.append(lose(fd))
                elif number % 4 != 3 and chooser.random() < 0.2:
                    ask(sock, number)
            except BlockingIOError:
                pass
            except OSError:
                lost.append(lose(fd))
        time.sleep(0.02)


def resident(pid):
    """Bytes resident: all, and those of no file."""
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    kib = lambda name: int(fields[name].split()[0]) * 1024
    return kib("VmRSS"), kib("RssAnon")


def info(port):
    """INFO's fields, from a connection of its own; nothing where the server is too busy."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(command("INFO", "memory", "stats", "clients"))
            got = b""
            while not got.endswith(b"\r\n\r\n") and len(got) < 1 << 16:
                more = sock.recv(1 << 16)
                got += more
                if not more or b"\r\n\r\n" in got[-8:]:
                    break
                if got[:1] == b"$" and b"\r\n" in got:
                    head, _, body = got.partition(b"\r\n")
                    if len(body) >= int(head[1:]) + 2:
                        break
            lines = got.decode(errors="replace").split("\r\n")
            return dict(line.split(":", 1) for line in lines if ":" in line)
    except (OSError, ValueError):
        return {}


def plot(samples, limit, path, title):
    """The samples as an SVG, written by hand."""
    width, height, left, bottom = 900, 360, 60, 40
    longest = max(at for at, *_ in samples) or 1
    top = max(limit * 1.1, max(rss for _, rss, *_ in samples) * 1.02)
    across = lambda at: left + (width - left - 20) * at / longest
    up = lambda value: height - bottom - (height - bottom - 30) * value / top
    line = lambda values: " ".join(f"{across(at):.1f},{up(value):.1f}" for at, value in values)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="18">{title}</text>',
    ]
    for part, color, name in [(1.0, "#c00", "maxmemory"), (1.02, "#e99", "102%")]:
        y = up(limit * part)
        out.append(f'<line x1="{left}" x2="{width - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="{color}" stroke-dasharray="4 3"/>')
        if part == 1.0:
            out.append(f'<text x="{left + 4}" y="{y + 14:.1f}" fill="{color}">{name}</text>')
    for index, color, name in [(1, "#06c", "resident"), (2, "#393", "used_memory"), (3, "#a60", "clients")]:
        values = [(sample[0], sample[index]) for sample in samples if sample[index] is not None]
        out.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.2" points="{line(values)}"/>')
        out.append(f'<text x="{left + 100 * index}" y="{height - 8}" fill="{color}">{name}</text>')
    for step in range(0, 6):
        value = top * step / 5
        out.append(f'<text x="4" y="{up(value) + 4:.1f}">{value / 2**20:.0f} MiB</text>')
        out.append(f'<text x="{across(longest * step / 5) - 8:.1f}" y="{height - 24}">{longest * step / 5:.0f} s</text>')
    out.append("</svg>")
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n")


def measure(options):
    limit = options.maxmemory << 20
    line = f"{options.server} --maxmemory {limit} --maxmemory-policy {options.policy}"
    server = Server("ceiling", line, None)
    try:
        pid, port = server.process.pid, server.port
        base, _ = resident(pid)
        began = time.time()
        until = began + options.seconds
        told = multiprocessing.Queue()
        writers = [
            multiprocessing.Process(target=Writer(port, number, limit).run, args=(until, told), daemon=True)
            for number in range(WRITERS)
        ]
        readers = [multiprocessing.Process(target=read_slowly, args=(port, limit, until), daemon=True)] if options.readers else []
        for process in writers + readers:
            process.start()
        samples, most, at_most, latest = [], 0, {}, {}

        def watch():
            while time.time() < until:
                latest.update(info(port))
                time.sleep(SAMPLE_SECONDS)

        threading.Thread(target=watch, daemon=True).start()
        while time.time() < until:
            rss, anon = resident(pid)
            number = lambda name: int(latest[name]) if name in latest else None
            samples.append((time.time() - began, rss, number("used_memory"), number("mem_clients_normal"), anon, number("larder_maxmemory_counted"), number("larder_resident_uncounted"), number("allocator_active")))
            if rss > most:
                most, at_most = rss, dict(latest, anon=anon)
            time.sleep(SAMPLE_SECONDS)
        totals = [told.get(timeout=90) for _ in writers]
        last = info(port)
        if options.maps:
            shutil.copyfile(f"/proc/{pid}/smaps", options.maps)
    finally:
        server.stop()
    sent, refused, errors = (sum(column) for column in zip(*totals))
    print(f"limit {limit >> 20} MiB, {options.policy}: {options.server}")
    print(f"  resident at most {most / 2**20:.1f} MiB: {most / limit:.2%} of the limit; beyond the {base / 2**20:.1f} MiB at start {(most - base) / limit:.2%}")
    print(f"  sent {sent / 2**20:.0f} MiB; evicted {last.get('evicted_keys')}; refused {refused}; other errors {errors}; clients evicted {last.get('evicted_clients')}")
    names = "used_memory used_memory_rss mem_clients_normal allocator_active mem_fragmentation_ratio allocator_frag_ratio larder_between_cores_bytes used_memory_lua anon larder_maxmemory_counted larder_resident_uncounted".split()
    print("  when it was most:", ", ".join(f"{name} {at_most[name]}" for name in names if name in at_most))
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["seconds", "resident_bytes", "used_memory", "clients_bytes", "anonymous_bytes", "counted_bytes", "uncounted_bytes", "active_bytes"])
            rows.writerows((f"{at:.1f}", *rest) for at, *rest in samples)
    if options.plot:
        title = f"maxmemory {options.maxmemory} MiB, {options.policy}, {READERS if options.readers else 0} slow readers, {sent >> 20} MiB written"
        plot(samples, limit, options.plot, title)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True, help="command line, with {port}")
    parser.add_argument("--maxmemory", type=int, default=256, help="MiB")
    parser.add_argument("--policy", default="allkeys-lru")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--no-readers", dest="readers", action="store_false", help="without slow readers")
    parser.add_argument("--csv")
    parser.add_argument("--plot")
    parser.add_argument("--maps", help="where the process's mappings at the end are written")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
