#!/usr/bin/env python3
"""Whether expiry keeps up: new keys with a time to live at full speed, and how many of those held are dead.

`larder-bench` sends SETs of keys never used before. Meanwhile this asks for the number of keys, the resident memory and
the commands so far, and reckons from the latter how many keys are alive. Prints a line every few seconds and a summary.

    perf/expire.py --server 'larder=target/release/larder-server --port {port} --cores 2' --cpus 0,1 --load same
    perf/expire.py --server 'redis=redis-server --port {port} --save ""' --cpus 0 --load mixed

Loads: `same`, all live for 2 s; `mixed`, 10 ms to 1 h, each decade equally often; `sparse`, one of a hundred lives for 2 s,
the others for ever.
"""

import argparse
import json
import os
import subprocess
import time

from servers import Server, encode, parse_named

# Of each load: weight, and the shortest and the longest time to live in milliseconds.
LOADS = {
    "same": [(1, (2000, 2000))],
    "mixed": [(1, (10**n, min(10 ** (n + 1), 3_600_000))) for n in range(1, 7)],
    "sparse": [(99, None), (1, (2000, 2000))],
}
SAMPLE_SECONDS = 0.25


def load_arguments(load):
    """The arguments of larder-bench for a load."""
    arguments = []
    for weight, ttl_ms in LOADS[load]:
        command = "SET __new_key__ value"
        if ttl_ms is not None:
            command += " PX __int:%d-%d__" % ttl_ms
        arguments += ["--command", command, "--command-weight", str(weight)]
    return arguments


def alive(load, samples, now):
    """How many of the keys written are alive at `now`; `samples` are times and the commands until then."""
    total = sum(weight for weight, _ in LOADS[load])
    count = 0.0
    for (before, first), (after, last) in zip(samples, samples[1:]):
        age_ms = (now - (before + after) / 2) * 1000
        half_ms = (after - before) / 2 * 1000
        for weight, ttl_ms in LOADS[load]:
            if ttl_ms is None:
                share = 1.0
            else:
                # Ages and times to live are both spread evenly; a sum over the ages will do.
                low, high = ttl_ms
                ages = [age_ms + half_ms * (step - 7.5) / 8 for step in range(16)]
                lives = [1.0 if age < low else 0.0 if age >= high else (high - age) / (high - low) for age in ages]
                share = sum(lives) / len(lives)
            count += (last - first) * weight / total * share
    return count


def field(info, name):
    """A field of INFO."""
    return info.split(name.encode() + b":")[1].split(b"\r\n")[0].decode()


def ask(link):
    """Commands so far, the percentage the server takes for dead, and its number of keys."""
    link.sendall(encode(b"INFO", b"stats") + encode(b"DBSIZE"))
    reply = b""
    while b"\r\n\r\n:" not in reply or not reply.endswith(b"\r\n"):
        reply += link.recv(1 << 16)
    commands, stale = int(field(reply, "total_commands_processed")), field(reply, "expired_stale_perc")
    return commands, stale, int(reply.rsplit(b":", 1)[1])


def measure(name, command, options):
    """One server under the load."""
    cpus = [int(cpu) for cpu in options.cpus.split(",")]
    program, *arguments = command.split(" ", 1)
    if os.path.exists(program):
        command = " ".join([os.path.abspath(program), *arguments])  # It runs in a directory of its own.
    server = Server(name, command, cpus[0])
    for task in os.listdir(f"/proc/{server.process.pid}/task"):
        os.sched_setaffinity(int(task), cpus)
    bench = None
    try:
        link = server.connect()
        bench = subprocess.Popen(
            [options.bench, "run", "--server", f"127.0.0.1:{server.port}", "--quiet", "--json", "-"]
            + ["--clients", str(options.clients), "--pipeline", "64", "--duration", str(options.seconds)]
            + load_arguments(options.load),
            stdout=subprocess.PIPE,
        )
        print(f"{name}: seconds  commands/s       keys      alive   dead  told dead      resident")
        began = time.monotonic()
        samples, shown, worst = [(began, ask(link)[0])], began, 0.0
        while bench.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            commands, stale, keys = ask(link)
            now = time.monotonic()
            samples.append((now, commands))
            if now - shown < options.every or bench.poll() is not None:
                continue
            living = alive(options.load, samples, now)
            dead = max(0.0, keys - living) / max(keys, 1)
            worst = max(worst, dead)
            rate = (commands - samples[0][1]) / (now - began)
            print(
                f"{name}: {now - began:7.0f} {rate:11.0f} {keys:10} {living:10.0f} {dead:6.1%} {stale:>9}%"
                f" {server.rss_bytes() / 2**20:9.0f} MiB",
                flush=True,
            )
            shown = now
        report = json.loads(bench.stdout.read())
        print(f"{name}: {summary(report)}; most dead {worst:.1%}")
        time.sleep(4)
        print(f"{name}: 4 s later {ask(link)[2]} keys, {server.rss_bytes() / 2**20:.0f} MiB", flush=True)
    finally:
        if bench is not None and bench.poll() is None:
            bench.terminate()
        server.stop()


def summary(report):
    """Throughput and latency of the load, and its slowest second after the first dead."""
    totals, latency = report["totals"], report["latency_us"]
    slowest = min(second["operations"] for second in report["intervals"][3:] or report["intervals"])
    return (
        f"{totals['ops_per_second']:.0f} SETs/s, slowest second {slowest}; a batch of 64 took"
        f" {latency['p50'] / 1000:.1f} ms (median), {latency['p99'] / 1000:.1f} (p99), {latency['max'] / 1000:.1f} (most)"
    )


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--server", action="append", required=True, help="name=command, with {port}")
    options.add_argument("--cpus", default="0,1", help="the processors of the server; the load runs where there is room")
    options.add_argument("--load", choices=LOADS, default="same")
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--every", type=float, default=5, help="seconds between two lines")
    options.add_argument("--clients", type=int, default=50)
    options.add_argument("--bench", default="target/release/larder-bench")
    options = options.parse_args()
    for name, command in parse_named(options.server):
        measure(name, command, options)


if __name__ == "__main__":
    main()
