#!/usr/bin/env python3
"""How long do other clients wait while one sets, overwrites and deletes large values?

    perf/stall.py [--bytes N] [--times N] PORT...

One client PINGs and another GETs a small key, each a connection and a process of its own, without a pause; meanwhile a
third sends `SET key <N bytes>` twice, and `DEL key`, for a few keys (on a server of several cores some lie on either).
For each port: the longest and the 99.9th percentile wait of each of the two clients, in milliseconds, by what the third
was doing; and the seconds the third took for a SET.
"""

import argparse
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
    got = b""
    while not got.endswith(b"\r\n"):
        chunk = sock.recv(4096)
        if not chunk:
            raise SystemExit("the server closed the connection")
        got += chunk
    return got


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


def measure(port, size, times):
    ready, over = multiprocessing.Barrier(3), multiprocessing.Event()
    probes = {}
    with connect(port) as sock:
        sock.sendall(command("SET", "small", "v" * 10))
        line(sock)
    for name, request in {"PING": command("PING"), "GET": command("GET", "small")}.items():
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=probe, args=(port, request, ready, over, theirs))
        process.start()
        probes[name] = (process, ours)
    sock = connect(port)
    value = b"x" * size
    spans, seconds = [], []
    ready.wait()
    time.sleep(0.2)
    for key in [f"large:{n}" for n in range(times)]:
        for what, request in [
            ("SET", command("SET", key, value)),
            ("overwrite", command("SET", key, value)),
            ("DEL", command("DEL", key)),
        ]:
            began = time.monotonic()
            sock.sendall(request)
            line(sock)
            took = time.monotonic() - began
            if what == "SET":
                seconds.append(took)
            time.sleep(0.1)  # What the server puts off is its doing, too.
            spans.append((what, began, time.monotonic()))
    over.set()
    print(f"port {port}: SET of {size} bytes takes {min(seconds):.3f} to {max(seconds):.3f} s")
    for name, (process, pipe) in probes.items():
        waits = pipe.recv()
        process.join()
        for what in ["SET", "overwrite", "DEL"]:
            ours = [(begin, end) for w, begin, end in spans if w == what]
            hit = sorted(
                wait for at, wait in waits if any(begin <= at + wait and at <= end for begin, end in ours)
            )
            most, tail = hit[-1] * 1e3, hit[int(len(hit) * 0.999)] * 1e3
            print(f"  {name:4} during {what:9}: longest {most:7.2f} ms, 99.9% {tail:7.2f} ms of {len(hit)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=100_000_000)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("ports", type=int, nargs="+")
    arguments = parser.parse_args()
    for port in arguments.ports:
        measure(port, arguments.bytes, arguments.times)


if __name__ == "__main__":
    main()
