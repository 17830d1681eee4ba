#!/usr/bin/env python3
"""Whether the miss-ratio curve tells the truth: hit ratios that `LARDER MRC` predicts, against those of servers with so much memory.

A trace, a key a line, is replayed by `larder-bench` (GET, and SET on a miss) against a server with `--maxmemory` and each policy, which
is then asked for its curve; and against servers with a quarter, half, twice and four times as much. The same load for all, so many
commands a second: `lru` tells times in seconds, and among what was used in the same second any goes, so how often it hits depends on how
fast requests come. Prints, for each policy and memory, what was measured and by how many points each prediction is off, and how many are
off by more than two. One client, one command at a time: the order of requests is the trace's. Which keys are sampled is drawn anew by each
server, and what a policy draws, so figures differ from run to run: with `--runs`, each is the mean of so many, and what a prediction is
off by is told of each run's against that mean.

    perf/mrc.py --trace trace.txt --value-bytes 8000 --maxmemory 64
"""

import argparse
import subprocess

from servers import Server, encode

PERCENTS = [25, 50, 100, 200, 400]


def read_reply(file):
    """A reply in RESP2, maps as flat lists."""
    line = file.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind == b"*":
        return [read_reply(file) for _ in range(int(rest))]
    if kind == b"$":
        text = file.read(int(rest) + 2)[:-2]
        return text.decode()
    if kind == b"-":
        raise SystemExit(f"the server answers {line.decode()}")
    return rest.decode()


def ask(server, *words):
    """The reply to a command."""
    with server.connect() as link, link.makefile("rb") as file:
        link.sendall(encode(*words))
        return read_reply(file)


def as_map(flat):
    """A flat list of names and values as a dict."""
    return dict(zip(flat[::2], flat[1::2]))


def replay(arguments, policy, maxmemory_bytes):
    """The hit ratio of a server over the whole trace, and its curve: (policy, percent) to hit ratio."""
    command = (
        f"{arguments.server} --port {{port}} --cores {arguments.cores} --save '' "
        f"--maxmemory {maxmemory_bytes} --maxmemory-policy allkeys-{policy} "
        f"--miss-ratio-curve yes --miss-ratio-curve-entries {arguments.entries} --miss-ratio-curve-cpu-percent 100"
    )
    server = Server(policy, command, arguments.cpu)
    try:
        subprocess.run(
            [arguments.bench, "run", "--server", f"127.0.0.1:{server.port}", "--replay", arguments.trace]
            + ["--value-bytes", str(arguments.value_bytes), "--clients", "1", "--threads", "1", "--pipeline", "1"]
            + (["--rate", str(arguments.rate)] if arguments.rate else []),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        told = as_map(ask(server, b"LARDER", b"MRC"))
        lookups = as_map(as_map(ask(server, b"LARDER", b"STATS"))["lookups"])
    finally:
        server.stop()
    curve = {}
    for line, points in as_map(told["curves"]).items():
        for point in map(as_map, points):
            curve[line, int(point["percent"])] = float(point["hit-ratio"])
    return float(lookups["hit-ratio"]), curve


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", required=True, help="a key a line")
    parser.add_argument("--value-bytes", type=int, default=8000)
    parser.add_argument("--maxmemory", type=float, required=True, help="the present memory, in MiB")
    parser.add_argument("--rate", type=float, default=4000, help="commands a second; 0: as many as the server answers")
    parser.add_argument("--policies", default="adaptive,lru,s3fifo")
    parser.add_argument("--entries", type=int, default=2048, help="of each of the curve's caches")
    parser.add_argument("--runs", type=int, default=1, help="of each server")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--cpu", type=int, default=0, help="where the server runs")
    parser.add_argument("--server", default="target/release/larder-server")
    parser.add_argument("--bench", default="target/release/larder-bench")
    arguments = parser.parse_args()
    policies = arguments.policies.split(",")
    maxmemory_bytes = int(arguments.maxmemory * (1 << 20))
    measured, curves = {}, {policy: [] for policy in policies}
    for policy in policies:
        for percent in PERCENTS:
            runs = [replay(arguments, policy, maxmemory_bytes * percent // 100) for _ in range(arguments.runs)]
            measured[policy, percent] = sum(ratio for ratio, _ in runs) / arguments.runs
            if percent == 100:
                curves[policy] = [curve for _, curve in runs]
    print("| policy, memory | measured | " + " | ".join(f"off by, {policy} in force" for policy in policies) + " |")
    print("|---|---|" + "---|" * len(policies))
    offs = []
    for (policy, percent), ratio in measured.items():
        row = [[100 * (curve[policy, percent] - ratio) for curve in curves[present]] for present in policies]
        offs += [abs(off) for cell in row for off in cell]
        cells = (" ".join(f"{off:+.2f}" for off in cell) for cell in row)
        print(f"| {policy} {percent}% | {ratio:.4f} | " + " | ".join(cells) + " |")
    beyond = sum(off > 2 for off in offs)
    mean = sum(offs) / len(offs)
    print(f"\n{len(offs)} points, off by {mean:.2f} on average, {max(offs):.2f} at most, {beyond} by more than 2")


if __name__ == "__main__":
    main()
