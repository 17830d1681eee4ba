#!/usr/bin/env python3
"""Runs units of Redis 7.0.15's own test suite against Larder and holds a floor for each.

    tests/redis_suite.py --source DIR [--server-bin BIN | --address HOST:PORT] [UNIT ...]

DIR is an unpacked source of redis 7.0.15. Three ways:

* shared (the default): the server is started here, afresh for each unit (or is the one at --address), and the suite
  is told to use it. Tests that need a server of their own or replication leave themselves out.
* without DEBUG (--without-debug): as shared, in all units that can run so, but for the tests that need DEBUG or PFDEBUG: 1739 tests of
  redis-server 7.0.15, the figure by which servers can be compared.
* own (--own): the suite starts servers itself, as it does with redis-server, with the arguments and the
  configuration files it likes. This is the only way to run some units at all.

redis_suite_known.json says of each test that does not pass why: under "fails" those that run and fail, under "left_out"
those that are not run because the rest of their unit would wait for ever behind them, under "not_run" those that leave themselves out,
under "slow" those that are run with --slow only.
A failure that it does not explain is marked NEW, a test that passes although it says otherwise is named too.

Beyond that the suite is run as it is but for two things (copy_of_suite): a server without functions need not know FUNCTION FLUSH,
and where a test expects the encoding quicklist, or of a set hashtable, listpack is right too, as Redis has answered for small ones since
7.2.

For each unit the passed tests are counted against what redis-server passes in the same way, a fixed number, so that a
unit that breaks off cannot look complete. Fewer passes than the unit's floor in redis_suite_floor.json is a failure;
--raise-floor lifts the floors to what this run passed, and never lowers one.

Exit status: 0, or 1 for a unit below its floor, or 2 when the suite cannot be run.
"""

import argparse
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import suites
from suites import CannotRun, Server

# What redis-server 7.0.15 passes, by the way of running: {unit: tests}.
DENOMINATORS = {
    "shared": {
        "protocol": 25, "type/string": 72, "type/incr": 25, "bitops": 45, "bitfield": 16, "info-command": 3,
        "keyspace": 53, "expire": 62, "scan": 17, "introspection": 27, "introspection-2": 43, "slowlog": 14,
        "latency-monitor": 14, "querybuf": 2, "type/list": 238, "type/list-2": 2, "type/list-3": 9, "type/set": 97, "type/zset": 270,
        "type/hash": 73, "type/stream": 63, "type/stream-cgroups": 48, "sort": 48, "multi": 46, "scripting": 266,
        "functions": 94, "tracking": 54, "pubsub": 30, "geo": 59, "hyperloglog": 20, "dump": 12, "pause": 14,
        "other": 19, "quit": 3, "lazyfree": 4, "violations": 1,
    },
    "without_debug": {
        "protocol": 19, "type/string": 72, "type/incr": 23, "bitops": 45, "bitfield": 16, "info-command": 3,
        "keyspace": 52, "expire": 56, "scan": 17, "introspection": 27, "introspection-2": 43, "slowlog": 9,
        "latency-monitor": 13, "type/list": 220, "type/list-3": 9, "type/set": 94, "type/zset": 270, "type/hash": 72,
        "type/stream": 63, "type/stream-cgroups": 48, "sort": 48, "multi": 39, "scripting": 188, "functions": 90,
        "tracking": 51, "pubsub": 30, "geo": 59, "hyperloglog": 16, "dump": 11, "pause": 14, "other": 14, "quit": 3,
        "lazyfree": 4, "violations": 1,
    },
    "own": {
        "protocol": 25, "type/string": 72, "type/incr": 25, "bitops": 45, "bitfield": 20, "info-command": 3,
        "keyspace": 53, "expire": 63, "scan": 17, "introspection": 42, "introspection-2": 43, "slowlog": 14,
        "latency-monitor": 14, "querybuf": 2, "auth": 10, "acl": 90, "info": 17, "limits": 1, "wait": 5,
        "maxmemory": 31, "client-eviction": 17, "networking": 5, "shutdown": 8, "obuf-limits": 9,
        "pendingquerybuf": 1, "replybufsize": 1, "type/set": 97, "pubsubshard": 11, "scripting": 301, "functions": 109,
        "lazyfree": 4, "memefficiency": 5,
    },
}

# The units that stand mostly on strings, keys, connections, scripts and the server itself.
DEFAULT_UNITS = {
    "shared": [
        "protocol", "type/string", "type/incr", "type/hash", "bitops", "bitfield", "info-command", "keyspace", "expire", "scan",
        "introspection", "introspection-2", "slowlog", "latency-monitor", "querybuf", "multi", "other",
        "pubsub", "tracking", "scripting", "functions", "type/list", "type/list-3", "type/set", "type/zset", "sort", "hyperloglog", "geo",
        "type/stream", "type/stream-cgroups",
    ],
    "own": ["obuf-limits", "info", "limits", "querybuf", "replybufsize", "networking", "latency-monitor", "pubsubshard",
            "client-eviction", "maxmemory", "memefficiency", "lazyfree", "expire"],
}

# The tags left out, as the suite understands them. querybuf and type/list-2 consist of slow tests only.
LEFT_OUT = {
    "shared": "-slow -needs:repl -large-memory",
    "without_debug": "-slow -needs:debug -needs:pfdebug -needs:repl -large-memory",
    "own": "-slow -needs:repl -large-memory",
}
KEEPS_SLOW = {"querybuf", "type/list-2"}

FLOOR_FILE = Path(__file__).with_name("redis_suite_floor.json")
KNOWN_FILE = Path(__file__).with_name("redis_suite_known.json")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
OF_FILE = re.compile(r" in tests/\S+$")
RESULT = re.compile(r"^\[(ok|err|exception|timeout)\]: (.*)$")
# What the suite says when the port for its own test clients was taken before it could listen on it.
SUITE_PORT_TAKEN = 'address already in use /     while executing / "socket -server accept_test_clients'
PORT_ATTEMPTS = 5
# Ports that the suite may take for its own clients and servers. It also takes some below those it is told of.
FIRST_PORT, PORTS_OF_PLACE, PORTS_OF_RUN, PORTS_BELOW_BASE = 21000, 4000, 200, 40


def cut_lines(tree, cut):
    """Takes lines out of units of the copied suite that stand outside of its tests, so that nothing behind them could run."""
    for unit, lines in cut.items():
        path = tree / "tests" / "unit" / f"{unit}.tcl"
        text = path.read_text()
        for line in lines:
            if f"{line}\n" not in text:
                raise CannotRun(f"{unit} has no line {line!r} to be left out")
            text = text.replace(f"{line}\n", "")
        path.write_text(text)


def strip(tree, stripped):
    """Takes texts out of units of the copied suite: what they ask of a server that it has not, outside of its tests."""
    for unit, texts in stripped.items():
        path = tree / "tests" / "unit" / f"{unit}.tcl"
        text = path.read_text()
        for part in texts:
            if part not in text:
                raise CannotRun(f"{unit} has nothing like {part!r} to be stripped")
            text = text.replace(part, "")
        path.write_text(text)


def copy_of_suite(source, server_binary, arguments, way, directory):
    """A tree the suite can run in: its scripts, and under src/ the programs it calls."""
    source = Path(source)
    if not (source / "runtest").is_file():
        raise CannotRun(f"no runtest in {source}: not an unpacked source of redis")
    tree = Path(directory)
    tree.mkdir()
    for name in ("runtest", "redis.conf"):
        shutil.copy2(source / name, tree / name)
    for name in ("tests", "utils"):
        shutil.copytree(source / name, tree / name, ignore=shutil.ignore_patterns("modules", "tmp"))
    (tree / "tests" / "tmp").mkdir(exist_ok=True)
    # Before each file the suite empties the server, of functions too: a server that has none is as empty. No test is
    # touched by this.
    preparation = tree / "tests" / "support" / "server.tcl"
    text = preparation.read_text()
    preparation.write_text(text.replace("    r function flush\n", "    catch {r function flush}\n"))
    # Small lists and sets are listpacks since redis 7.2, and clients are told so; to 7.0.15 every list is a quicklist, and a set that has
    # other members than integers a hash table.
    assertions = tree / "tests" / "support" / "test.tcl"
    text = assertions.read_text()
    matches = "    assert_match $enc $val\n"
    if matches not in text:
        raise CannotRun("the suite asserts encodings in another way than redis 7.0.15")
    is_small = '    if {$enc eq "quicklist" && $val eq "listpack"} {return}\n'
    is_small += '    if {$enc eq "hashtable" && $val eq "listpack" && [r type $key] eq "set"} {return}\n'
    assertions.write_text(text.replace(matches, is_small + matches))
    (tree / "src").mkdir()
    for program in ("redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb"):
        found = shutil.which(program)
        if found:
            (tree / "src" / program).symlink_to(found)
        elif program in ("redis-cli", "redis-benchmark"):
            raise CannotRun(f"{program} is not installed")
    if way == "own":
        # The suite gives a configuration file first; what is ours follows it.
        extra = " ".join(arguments)
        wrapper = tree / "src" / "redis-server"
        wrapper.write_text(f'#!/bin/sh\nexec "{server_binary}" "$@" {extra}\n')
        wrapper.chmod(0o755)
    return tree


def run_unit(place, unit, way, address, seconds, left_out):
    """Runs one unit; gives (names passed, names failed with the first line of why).

    The suite looks for a free port of its own for its test clients, closes it, and opens it again, which now and then
    fails. Then nothing has run: it is begun again, at other ports."""
    for _ in range(PORT_ATTEMPTS):
        passed, failed = run_once(place, unit, way, address, seconds, left_out)
        if passed or not any(SUITE_PORT_TAKEN in why for _, why in failed):
            break
    return passed, failed


def run_once(place, unit, way, address, seconds, left_out):
    tags = LEFT_OUT[way]
    if unit in KEEPS_SLOW:
        tags = tags.replace("-slow ", "")
    file = unit if "/" in unit and not unit.startswith("type") else f"unit/{unit}"
    command = ["./runtest", "--durable", "--clients", "1", *place.ports(), "--tags", tags, "--single", file]
    for name in left_out:
        command += ["--skiptest", name]
    if address:
        command += ["--host", address[0], "--port", str(address[1])]
    process = subprocess.Popen(command, cwd=place.tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds)
        in_time = True
    except subprocess.TimeoutExpired:
        in_time = False
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    passed, failed, done = [], [], False
    lines = COLOUR.sub("", output.decode(errors="replace")).splitlines()
    for number, line in enumerate(lines):
        result = RESULT.match(line)
        if result and result[1] == "ok":
            passed.append(re.sub(r" \(\d+ ms\)$", "", result[2]))
        elif result and result[1] == "err" and not OF_FILE.search(result[2]):
            continue  # What an exception said; the test that it ended is named in the next one.
        elif result:
            detail = lines[number + 1] if number + 1 < len(lines) else ""
            failed.append((OF_FILE.sub("", result[2]), detail.strip()[:160]))
        elif re.match(r"\[\d+/\d+ done\]", line):
            done = True
    if not in_time:
        failed.append((f"(stopped after {seconds} s)", lines[-1][:160] if lines else ""))
    elif not done and not any(name.startswith("(") for name, _ in failed):
        failed.append(("(the unit broke off)", " / ".join(line for line in lines[-6:] if line.strip())[:300]))
    return passed, failed


@dataclass
class Place:
    """Where one unit at a time is run."""

    tree: Path
    first_port: int

    def ports(self):
        """Where the suite looks for ports of its own: others than any other place's, and than those of the unit before."""
        at = self.first_port + random.randrange(0, PORTS_OF_PLACE, PORTS_OF_RUN)
        return ["--baseport", str(at), "--portcount", str(PORTS_OF_RUN - PORTS_BELOW_BASE)]


def places(options, way, known, directory):
    """As many places as units run at once."""
    free = queue.SimpleQueue()
    for number in range(options.at_once):
        tree = copy_of_suite(options.source, options.server_bin, options.server_arg, way, Path(directory) / str(number))
        cut_lines(tree, known["cut"])
        strip(tree, known["stripped"])
        free.put(Place(tree, FIRST_PORT + number * PORTS_OF_PLACE))
    return free


@dataclass
class Run:
    """What came of a unit."""

    passed: list
    failed: list
    seconds: float
    faults: list


def run_at(place, unit, options, way, left_out):
    """Runs a unit at a place, in the shared way against a server of its own unless there is one already."""
    started = time.monotonic()
    server, faults = None, []
    try:
        address = options.address
        if way != "own" and not address:
            server = Server(options.server_bin, options.server_arg, place.tree)
            address = ("127.0.0.1", server.port)
        passed, failed = run_unit(place, unit, way, address if way != "own" else None, options.seconds, left_out)
        if server and server.died():
            failed.append(("(the server died)", server.log_path.read_text(errors="replace")[-600:]))
    finally:
        faults = [server.stop()] if server else [suites.fault_in(log) for log in sorted((place.tree / "tests" / "tmp").glob("server*/std*"))]
    return Run(passed, failed, time.monotonic() - started, [fault for fault in faults if fault])


def run_all(options, directory):
    if not options.source:
        raise CannotRun("--source is needed")
    if not options.server_bin and (options.own or not options.address):
        raise CannotRun("--server-bin is needed (or --address)")
    way = "own" if options.own else "without_debug" if options.without_debug else "shared"
    all_floors = json.loads(FLOOR_FILE.read_text())
    floors = suites.Floors(all_floors.setdefault(way, {}), options.raise_floor)
    known = json.loads(KNOWN_FILE.read_text())
    free = places(options, way, known, directory)

    def slow_of(unit):
        return {} if options.slow else known["slow"].get(unit, {})

    def run(unit):
        place = free.get()
        try:
            return run_at(place, unit, options, way, {**known["left_out"].get(unit, {}), **slow_of(unit)})
        finally:
            free.put(place)

    below, totals = [], [0, 0, 0]
    for unit, one in suites.side_by_side(run, options.parts or DEFAULT_UNITS.get(way) or list(DENOMINATORS[way]), options.at_once):
        of = DENOMINATORS[way].get(unit)
        totals = [total + more for total, more in zip(totals, (len(one.passed), len(one.failed), of or 0))]
        print(f"{unit:24} passed {len(one.passed):4}  failed {len(one.failed):3}  of {of if of is not None else '?':>4}"
              f"  floor {floors.of(unit):4}  {one.seconds:5.1f} s", flush=True)
        suites.print_reasons(known["fails"].get(unit, {}), one.passed, one.failed, KNOWN_FILE)
        for name, reason in known["left_out"].get(unit, {}).items():
            print(f"    {name}: left out, {reason}", flush=True)
        for name, reason in slow_of(unit).items():
            print(f"    {name}: slow, {reason}", flush=True)
        for name, reason in known["not_run"].get(unit, {}).items():
            print(f"    {name}: not run, {reason}", flush=True)
        below.extend(f"{unit}: {fault}" for fault in one.faults)
        below.extend(floors.hold(unit, len(one.passed)))
    print(f"{'all':24} passed {totals[0]:4}  failed {totals[1]:3}  of {totals[2]:4}")
    if options.raise_floor:
        ordered = {name: dict(sorted(all_floors[name].items())) for name in sorted(all_floors)}
        FLOOR_FILE.write_text(json.dumps(ordered, indent=2) + "\n")
    return below


def address_of(text):
    host, _, port = text.rpartition(":")
    return host or "127.0.0.1", int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=os.environ.get("REDIS_SUITE_SOURCE"),
                        help="unpacked source of redis 7.0.15 (or REDIS_SUITE_SOURCE)")
    parser.add_argument("--address", type=address_of, help="HOST:PORT of a server that runs already")
    parser.add_argument("--own", action="store_true", help="let the suite start its servers itself")
    parser.add_argument("--without-debug", action="store_true",
                        help="leave out what needs DEBUG, in all units that a shared server can run: 1739 tests, for a figure to compare")
    parser.add_argument("--slow", action="store_true", help="run the tests too that are known to be slow")
    suites.add_arguments(parser, "unit", "type/string")
    options = parser.parse_args()
    if options.address:
        options.at_once = 1
    with tempfile.TemporaryDirectory(prefix="larder-redis-suite-") as directory:
        return suites.status_of(lambda: run_all(options, directory), "Redis's suite")


if __name__ == "__main__":
    sys.exit(main())
