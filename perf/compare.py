#!/usr/bin/env python3
"""Compares servers by the processor time they spend per operation.

One client core saturates before a fast server does, so throughput says little: what is compared is the server's CPU
time, user and system, all threads, divided by the operations the load generator counted. Absolute figures move from
hour to hour on a shared machine; therefore all servers run at once, each idle but one, every case visits them in
turn, round after round, and the ratio given is the median of the ratios within each round.

    perf/compare.py --servers \\
        'floor=target/release/larder-floor --port {port}' \\
        'larder=target/release/larder-server --port {port} --cores 1' \\
        'redis=redis-server --port {port} --save "" --appendonly no'

The load generator is memtier_benchmark when it is at hand, else redis-benchmark (or valkey-benchmark by --load).
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

from servers import Server, parse_named

DEFAULT_CASES = "get1,set1,get16,set16,get64,set64"
# Operations of the first, uncounted run of a case, per command in flight on a connection.
CALIBRATION_OPS = 10_000


class Case:
    """GET or SET at one pipeline depth, such as `get16`."""

    def __init__(self, name):
        match = re.fullmatch(r"(get|set)([1-9]\d*)", name)
        if not match:
            raise argparse.ArgumentTypeError(f"not a case like get1 or set64: {name}")
        self.name = name
        self.verb = match[1]
        self.depth = int(match[2])


class Memtier:
    """Load by memtier_benchmark: runs for a time."""

    def __init__(self, path, options):
        self.path = path
        self.options = options

    def keys(self):
        return (b"key:%d" % index for index in range(1, self.options.keys + 1))

    def prepare(self, case, server):
        return None

    def run(self, case, server, _prepared):
        """The operations done and the rate per second."""
        options = self.options
        with tempfile.TemporaryDirectory() as directory:
            report = os.path.join(directory, "report.json")
            run_pinned(
                [
                    self.path, "--server", "127.0.0.1", "--port", str(server.port), "--protocol", "redis",
                    "--threads", "1", "--clients", str(options.connections), "--pipeline", str(case.depth),
                    "--ratio", "1:0" if case.verb == "set" else "0:1", "--data-size", str(options.value_bytes),
                    "--key-prefix", "key:", "--key-minimum", "1", "--key-maximum", str(options.keys),
                    "--key-pattern", "R:R", "--test-time", str(max(1, round(options.seconds))),
                    "--hide-histogram", "--json-out-file", report,
                ],
                options.load_core,
            )
            with open(report) as file:
                totals = json.load(file)["ALL STATS"]["Totals"]
        return totals["Count"], totals["Ops/sec"]


class RedisBenchmark:
    """Load by redis-benchmark or valkey-benchmark: runs for a number of operations, found by a first short run."""

    def __init__(self, path, options):
        self.path = path
        self.options = options

    def keys(self):
        return (b"key:%012d" % index for index in range(self.options.keys))

    def prepare(self, case, server):
        """The operations that take about the seconds asked for."""
        _, rate = self.run(case, server, CALIBRATION_OPS * case.depth)
        return int(rate * self.options.seconds)

    def run(self, case, server, operations):
        """The operations done and the rate per second."""
        options = self.options
        # Whole pipelines on every connection, so that exactly these operations are sent.
        unit = case.depth * options.connections
        operations = max(1, round(operations / unit)) * unit
        output = run_pinned(
            [
                self.path, "-h", "127.0.0.1", "-p", str(server.port), "-t", case.verb, "-P", str(case.depth),
                "-c", str(options.connections), "-d", str(options.value_bytes), "-r", str(options.keys),
                "-n", str(operations), "--csv",
            ],
            options.load_core,
        )
        for line in output.splitlines():
            cells = [cell.strip('"') for cell in line.split(",")]
            if cells[0].lower() == case.verb:
                return operations, float(cells[1])
        raise SystemExit(f"{self.path} reports no {case.verb}:\n{output}")


def run_pinned(command, core):
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    options = parse_options()
    load = find_load(options)
    named = parse_named(options.servers)
    baseline = options.baseline or named[0][0]
    if baseline not in [name for name, _ in named]:
        raise SystemExit(f"no server is named {baseline}")
    servers = []
    try:
        for name, command in named:
            server = Server(name, command, options.server_core)
            servers.append(server)
            server.fill(load.keys(), b"x" * options.value_bytes)
        print(
            f"load: {os.path.basename(load.path)}, {options.connections} connections,"
            f" {options.keys} keys, {options.value_bytes}-byte values, {options.rounds} x {options.seconds} s"
        )
        runs = measure(load, servers, options)
    finally:
        for server in servers:
            server.stop()
    results = summarise(runs, [name for name, _ in named], options.cases, baseline)
    print_table(results, runs, baseline)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(
                {"servers": dict(named), "load": load.path, "runs": runs, "results": results},
                file,
                indent=1,
            )


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", nargs="+", required=True, metavar="NAME=COMMAND", help="with {port} in COMMAND")
    parser.add_argument("--baseline", metavar="NAME", help="what ratios are to; the first server by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long one run takes")
    parser.add_argument(
        "--cases",
        type=lambda text: [Case(name) for name in text.split(",")],
        default=DEFAULT_CASES,
        help=f"by default {DEFAULT_CASES}",
    )
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--value-bytes", type=int, default=64)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--memtier", metavar="PATH", help="load by this memtier_benchmark")
    parser.add_argument("--load", metavar="PATH", help="load by this redis-benchmark or valkey-benchmark")
    parser.add_argument("--json", metavar="FILE", help="write every run and the summary")
    return parser.parse_args()


def find_load(options):
    memtier = options.memtier or (None if options.load else shutil.which("memtier_benchmark"))
    if memtier:
        return Memtier(memtier, options)
    for candidate in filter(None, [options.load, "redis-benchmark", "valkey-benchmark"]):
        path = shutil.which(candidate)
        if path:
            return RedisBenchmark(path, options)
    raise SystemExit("no load generator: name one by --memtier or --load")


def measure(load, servers, options):
    """Every run, as dictionaries."""
    prepared = {(c.name, s.name): load.prepare(c, s) for c in options.cases for s in servers}
    runs = []
    for round_index in range(options.rounds):
        for case in options.cases:
            for step in range(len(servers)):
                server = servers[(round_index + step) % len(servers)]
                runs.append(measure_one(load, case, server, prepared[case.name, server.name]))
                runs[-1]["round"] = round_index
    return runs


def measure_one(load, case, server, prepared):
    busy_before, wall_before = busy_seconds(), time.monotonic()
    children_before = children_seconds()
    cpu_before = server.cpu_ns()
    operations, rate = load.run(case, server, prepared)
    cpu_ns = server.cpu_ns() - cpu_before
    wall = time.monotonic() - wall_before
    ours = cpu_ns / 1e9 + children_seconds() - children_before
    return {
        "server": server.name,
        "case": case.name,
        "operations": operations,
        "ops_per_second": rate,
        "cpu_us_per_op": cpu_ns / 1e3 / operations,
        "rss_bytes": server.rss_bytes(),
        # Cores kept busy by anything else meanwhile, or stolen by the hypervisor.
        "foreign_cores": max(0.0, (busy_seconds() - busy_before - ours) / wall),
    }


def busy_seconds():
    """Seconds all cores together were not idle, stolen time included."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def summarise(runs, names, cases, baseline):
    """Per case and server: medians, spread and the ratio to the baseline within each round."""
    results = []
    for case in cases:
        cost = {(r["server"], r["round"]): r["cpu_us_per_op"] for r in runs if r["case"] == case.name}
        for name in names:
            mine = [r for r in runs if r["case"] == case.name and r["server"] == name]
            costs = [r["cpu_us_per_op"] for r in mine]
            results.append(
                {
                    "case": case.name,
                    "server": name,
                    "cpu_us_per_op": statistics.median(costs),
                    "lowest": min(costs),
                    "highest": max(costs),
                    "ratio": statistics.median(cost[name, r["round"]] / cost[baseline, r["round"]] for r in mine),
                    "ops_per_second": statistics.median(r["ops_per_second"] for r in mine),
                    "rss_bytes": mine[-1]["rss_bytes"],
                }
            )
    return results


def print_table(results, runs, baseline):
    head = f"/{baseline}"
    wide = max(10, len(head) + 2)
    print(f"{'case':<7}{'server':<16}{'µs/op':>8}{'lowest':>9}{'highest':>9}{head:>{wide}}{'kop/s':>9}{'RSS MiB':>9}")
    previous = None
    for row in results:
        if previous not in (None, row["case"]):
            print()
        previous = row["case"]
        print(
            f"{row['case']:<7}{row['server']:<16}{row['cpu_us_per_op']:>8.3f}{row['lowest']:>9.3f}"
            f"{row['highest']:>9.3f}{row['ratio']:>{wide}.3f}{row['ops_per_second'] / 1e3:>9.0f}"
            f"{row['rss_bytes'] / 2**20:>9.1f}"
        )
    foreign = [run["foreign_cores"] for run in runs]
    print(f"\ncores busy with anything else: median {statistics.median(foreign):.2f}, most {max(foreign):.2f}")


if __name__ == "__main__":
    main()
