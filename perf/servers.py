"""Servers under measurement: started from a command template, talked to in RESP, read through /proc.

Python's standard library only; Linux only.
"""

import os
import shlex
import socket
import subprocess
import tempfile
import time

# How long a server may take to answer its first PING, and to stop.
START_SECONDS = 10
STOP_SECONDS = 10


def parse_named(texts):
    """The pairs of `name=command` texts, as a list of (name, command)."""
    named = []
    for text in texts:
        name, equals, command = text.partition("=")
        if not equals or not name or not command:
            raise SystemExit(f"not of the form name=command: {text}")
        named.append((name, command))
    return named


def free_port():
    """A port nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def encode(*words):
    """A command in RESP."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Server:
    """One running server, pinned to one core unless that is None, in a directory of its own."""

    def __init__(self, name, command, core):
        self.name = name
        self.port = free_port()
        self._directory = tempfile.TemporaryDirectory(prefix=f"larder-perf-{name}-")
        self._log = open(os.path.join(self._directory.name, "log"), "w+b")
        words = shlex.split(command.replace("{port}", str(self.port)))
        # The program is named from here, and started in that directory.
        if os.sep in words[0]:
            words[0] = os.path.abspath(words[0])
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self._directory.name,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )
        self._await_ping()

    def _await_ping(self):
        give_up = time.monotonic() + START_SECONDS
        while True:
            try:
                with self.connect() as link:
                    link.sendall(b"PING\r\n")
                    if link.recv(64).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > give_up:
                self._log.seek(0)
                log = self._log.read().decode(errors="replace")
                self.stop()
                raise SystemExit(f"{self.name} does not answer PING:\n{log}")
            time.sleep(0.02)

    def connect(self):
        """A connection to it."""
        link = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def cpu_ns(self):
        """Processor time of all its threads so far, user and system, from the scheduler's own count."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as file:
                    total += int(file.read().split()[0])
            except FileNotFoundError:
                pass  # The thread ended between listing and reading.
        return total

    def rss_bytes(self):
        """Its resident memory."""
        with open(f"/proc/{self.process.pid}/status") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError(f"{self.name} has no VmRSS")

    def fill(self, keys, value, ttl_seconds=None, batch=2000):
        """Sets every key of the iterable `keys`, in pipelined batches; every reply must be +OK."""
        expiry = () if ttl_seconds is None else (b"EX", b"%d" % ttl_seconds)
        with self.connect() as link:
            pending = []
            for key in keys:
                pending.append(encode(b"SET", key, value, *expiry))
                if len(pending) == batch:
                    self._exchange(link, pending)
                    pending = []
            self._exchange(link, pending)

    def _exchange(self, link, commands):
        link.sendall(b"".join(commands))
        wanted = b"+OK\r\n" * len(commands)
        got = bytearray()
        while len(got) < len(wanted):
            chunk = link.recv(1 << 16)
            if not chunk:
                break
            got += chunk
        if got != wanted:
            raise SystemExit(f"{self.name} answered SET with {bytes(got[:80])!r}")

    def dbsize(self):
        """How many keys it says it holds."""
        with self.connect() as link:
            link.sendall(encode(b"DBSIZE"))
            reply = link.recv(64)
        if not reply.startswith(b":"):
            raise SystemExit(f"{self.name} answered DBSIZE with {reply!r}")
        return int(reply[1:])

    def stop(self):
        """Ends it and removes its directory."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
        self._directory.cleanup()
