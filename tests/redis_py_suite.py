#!/usr/bin/env python3
"""Runs the PyPI redis's own tests against Larder and holds a floor for each file of them.

    tests/redis_py_suite.py (--source DIR | --fetch DIR) --server-bin BIN [FILE ...]

The tests are in the package's source, which pip knows by name: --fetch has it brought into a directory and unpacked there, --source is
one that is unpacked already. They are run as they are, by a Python that has what tests/clients/requirements.txt names; each file against a
server of its own, which is started here. Tests of clusters, of Redis's modules and of TLS are not asked for.

The tests ask for the server's version and leave themselves out where it is too old. They are told the one whose commands Larder knows
(AS_VERSION), not the one it gives in INFO.

redis_py_suite_known.json says of each test that fails why, under "fails", and under "floors" how many of a file must pass. A failure that it
does not explain is marked NEW, a test that passes although it says otherwise is named too; --raise-floor lifts the floors to what this run
passed, and never lowers one.

Exit status: 0, or 1 for a file below its floor or a failure that is NEW, or 2 when the tests cannot be run.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from pathlib import Path

import suites
from suites import CannotRun, Server

PACKAGE = "redis"
KNOWN_FILE = Path(__file__).with_name("redis_py_suite_known.json")
REQUIREMENTS = Path(__file__).parent / "clients" / "requirements.txt"
AS_VERSION = "8.6.3"
# Files whose tests ask a server for something.
DEFAULT_FILES = ["test_commands", "test_pubsub", "test_connection", "test_connection_pool", "test_pipeline", "test_scripting", "test_function",
                 "test_lock", "test_monitor", "test_encoding", "test_retry", "test_multiprocessing", "test_keyspace_notifications", "test_hash"]
LEFT_OUT = "not (onlycluster or redismod or ssl or replica or cp_integration or multidb_integration)"
# Loaded by pytest: what is asked of the server's version is answered before tests are collected.
PLUGIN = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection(session):
    session.config.REDIS_INFO["version"] = {version!r}
"""


def pinned_version():
    """The version of the package whose tests are run: that of the client that other tests use."""
    found = re.search(rf"^{PACKAGE}==(\S+)$", REQUIREMENTS.read_text(), re.MULTILINE)
    return found[1]


def fetch(python, directory):
    """Has pip bring the package's source, and unpacks it."""
    directory = Path(directory)
    name = f"{PACKAGE}-{pinned_version()}"
    archive = directory / f"{name}.tar.gz"
    if not archive.exists():
        command = [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:",
                   "--dest", str(directory), name.replace("-", "==")]
        if subprocess.run(command, check=False).returncode != 0:
            raise CannotRun(f"pip does not bring the source of {name}")
    shutil.unpack_archive(archive, directory)
    return directory / name


def run_file(options, source, name):
    """Runs one file against a server of its own; gives (passed, failed with the first line of why, skipped, seconds, fault)."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="larder-redis-py-suite-") as directory:
        Path(directory, "as_version.py").write_text(PLUGIN.format(version=AS_VERSION))
        server = Server(options.server_bin, options.server_arg, directory)
        report = Path(directory) / "report.xml"
        command = [options.python, "-m", "pytest", "-q", "-p", "as_version", "-p", "no:cacheprovider", "-m", LEFT_OUT, "--tb=line",
                   "--junitxml", str(report), "--redis-url", f"redis://127.0.0.1:{server.port}/0", f"tests/{name}.py"]
        environment = {**os.environ, "PYTHONPATH": directory}
        try:
            ended = subprocess.run(command, cwd=source, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, timeout=options.seconds, check=False)
            output = ended.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired as why:
            output = (why.stdout or b"").decode(errors="replace") + f"\n(stopped after {options.seconds} s)"
        finally:
            fault = server.stop()
        if not report.exists():
            raise CannotRun(f"{name}: no report\n{output[-3000:]}")
        return (*results_of(report), time.monotonic() - started, fault)


def results_of(report):
    """What a report of pytest says. A test may fail and then fail again when it is taken down."""
    passed, failed, skipped = set(), {}, set()
    for case in xml.parse(report).getroot().iter("testcase"):
        name = case.get("name")
        problem = case.find("failure")
        if problem is None:
            problem = case.find("error")
        if problem is not None:
            failed.setdefault(name, (problem.get("message") or "").splitlines()[0][:160] if problem.get("message") else "")
        elif case.find("skipped") is not None:
            skipped.add((case.get("classname"), name))
        else:
            passed.add((case.get("classname"), name))
    return {one for one in passed if one[1] not in failed}, list(failed.items()), len(skipped)


def run_all(options):
    if not options.source and not options.fetch:
        raise CannotRun("--source or --fetch is needed")
    if not options.server_bin:
        raise CannotRun("--server-bin is needed")
    source = options.source or fetch(options.python, options.fetch)
    known = json.loads(KNOWN_FILE.read_text())
    floors = suites.Floors(known["floors"], options.raise_floor)
    below, totals = [], [0, 0, 0]
    runs = suites.side_by_side(lambda name: run_file(options, source, name), options.parts or DEFAULT_FILES, options.at_once)
    for name, (passed, failed, skipped, seconds, fault) in runs:
        totals = [total + more for total, more in zip(totals, (len(passed), len(failed), skipped))]
        print(f"{name:28} passed {len(passed):4}  failed {len(failed):3}  left out by themselves {skipped:4}  floor {floors.of(name):4}"
              f"  {seconds:5.1f} s", flush=True)
        names = [test for _, test in passed]
        fresh = suites.print_reasons(known["fails"].get(name, {}), names, failed, KNOWN_FILE)
        below.extend(f"{name}: NEW {test}" for test in fresh)
        below.extend(f"{name}: {fault}" for fault in [fault] if fault)
        below.extend(floors.hold(name, len(passed)))
    print(f"{'all':28} passed {totals[0]:4}  failed {totals[1]:3}  left out by themselves {totals[2]:4}")
    if options.raise_floor:
        KNOWN_FILE.write_text(json.dumps(known, indent=2) + "\n")
    return below


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", help="the unpacked source of the package")
    parser.add_argument("--fetch", help="a directory that the source is brought into")
    parser.add_argument("--python", default=sys.executable, help="a Python that has pytest and what the tests import")
    suites.add_arguments(parser, "file", "test_commands, or test_asyncio/test_commands")
    options = parser.parse_args()
    return suites.status_of(lambda: run_all(options), f"the tests of {PACKAGE}")


if __name__ == "__main__":
    sys.exit(main())
