"""What the runners of suites that others wrote share: the server they start, their arguments, floors, reasons, and how they end."""

import concurrent.futures
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

START_SECONDS = 20
# What a server writes only when something is wrong with itself.
FAULT_SIGNS = ("panicked at", "AddressSanitizer", "fatal runtime error", "memory allocation of")


class CannotRun(Exception):
    """A suite could not be run at all."""


class Server:
    """A server started for one part of a suite, ended by its own process id."""

    def __init__(self, binary, arguments, directory):
        self.port = free_port()
        self.log_path = Path(directory) / "server.log"
        log = open(self.log_path, "wb")
        command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                   "--enable-debug-command", "yes", "--enable-protected-configs", "yes", *arguments]
        self.process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not answers_ping("127.0.0.1", self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotRun(f"{binary} does not answer:\n{self.log_path.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def died(self):
        return self.process.poll() is not None

    def stop(self):
        """Ends it; gives what it did that no server should, or None."""
        was_killed = False
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                was_killed = True
                self.process.kill()
                self.process.wait()
        if not was_killed and self.process.returncode != 0:
            return f"it ended with {self.process.returncode}"
        return fault_in(self.log_path)


def fault_in(log_path):
    """The line in a server's log that says it panicked, or None."""
    for line in log_path.read_text(errors="replace").splitlines():
        if any(sign in line for sign in FAULT_SIGNS):
            return f"its log says {line!r}"
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers_ping(host, port):
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def add_arguments(parser, part, example):
    """The arguments that every runner has; a suite consists of parts, which are called by this word."""
    parser.add_argument("--server-bin", type=os.path.abspath, default=os.environ.get("LARDER_SERVER_BIN"),
                        help="the server to start (or LARDER_SERVER_BIN)")
    parser.add_argument("--server-arg", action="append", default=[],
                        help="a further argument for the server; repeat for several: --server-arg=--cores --server-arg=2")
    parser.add_argument("--seconds", type=int, default=360, help=f"time limit of a {part}")
    parser.add_argument("--at-once", type=int, default=2, help=f"how many {part}s are run side by side: much of what they do is to wait")
    parser.add_argument("--raise-floor", action="store_true", help="write higher floors where this run passed more")
    parser.add_argument("parts", nargs="*", metavar=part.upper(), help=f"for instance {example}")


def side_by_side(run, parts, at_once):
    """Runs every part, so many at once; gives each with what came of it, in their order."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as workers:
        runs = [workers.submit(run, part) for part in parts]
        for part, one in zip(parts, runs):
            yield part, one.result()


class Floors:
    """How many tests of each part must pass at least; raised where more do, if that is asked for, and never lowered."""

    def __init__(self, floors, may_rise):
        self.floors, self.may_rise = floors, may_rise

    def of(self, part):
        return self.floors.get(part, 0)

    def hold(self, part, passed):
        """What is to be said of a part below its floor: nothing or one line."""
        floor = self.of(part)
        if passed < floor:
            return [f"{part}: {passed} passed, the floor is {floor}"]
        if self.may_rise and passed > floor:
            self.floors[part] = passed
        return []


def print_reasons(known, passed, failed, known_file):
    """Names each test that failed, of (name, detail), and why; gives those that nobody has explained."""
    for name, detail in failed:
        if name in known:
            print(f"    {name}: {known[name]}", flush=True)
        else:
            print(f"    NEW {name}" + (f"\n        {detail}" if detail else ""), flush=True)
    # Of several tests of one name, some may pass.
    for name in sorted(set(known) & set(passed) - {name for name, _ in failed}):
        print(f"    PASSES, so that {known_file.name} is out of date: {name}", flush=True)
    return [name for name, _ in failed if name not in known]


def status_of(run, suite):
    """The exit status of a runner: `run` gives a line for each thing that is not as it must be."""
    try:
        below = run()
    except CannotRun as why:
        print(f"cannot run {suite}: {why}", file=sys.stderr)
        return 2
    for line in below:
        print(f"BELOW THE FLOOR  {line}", file=sys.stderr)
    return 1 if below else 0
