"""The servers that are compared, and one running instance of them."""
import atexit
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

import peers_root
from progress import Failure, tail
from resp import Connection

ROOT = pathlib.Path(__file__).resolve().parents[3]
NODE = ROOT / "build" / "release" / "bin" / "understudy-node"
LOGS = ROOT / "build" / "bench" / "logs"
MAX_CLIENTS = 11_000
# With FIRST=1 servers and load come before all else on their CPUs: on a machine that is busy with other things latency
# would be theirs. Not by real-time priority: a server that has work all the time is stopped for 50 ms a second there.
FIRST = ["nice", "-n", "-20"] if os.environ.get("FIRST", "") not in ("", "0") else []
_START_S = 60
_running = set()


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Contender:
    """name: as in the tables. argv(port, workers, directory): how it is started. root: what is / to it."""

    def __init__(self, name, argv, version, root="/"):
        self.name = name
        self.argv = argv
        self.version = version
        self.root = root

    def start(self, workers=1, cpus="0", name=None):
        return Server(self, workers, cpus, name or self.name)


class Server:
    """A started contender, pinned to CPUs."""

    def __init__(self, contender, workers, cpus, name):
        self.name = name
        self.contender = contender
        self.port = free_port()
        # Of its own: a replica leaves a file there that the next server would load.
        self.directory = tempfile.TemporaryDirectory(prefix="understudy-bench-", dir=os.path.join(contender.root, "tmp"))
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{name.replace('/', '_').replace(' ', '_')}-{self.port}.log"
        argv = [*FIRST, "taskset", "-c", cpus, *contender.argv(self.port, workers, os.path.join("/tmp", os.path.basename(self.directory.name)))]
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                            preexec_fn=die_with_parent)
        self.pid = self.process.pid
        _running.add(self)
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self.process.poll() is not None:
                raise Failure(f"{name} ended at its start; its last lines ({self.log}):\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise Failure(f"{name} does not answer {_START_S} s after its start; its log is {self.log}")
            time.sleep(0.02)

    def _answers(self):
        try:
            self.ask("PING")
        except (OSError, Failure):
            return False
        return True

    def connect(self):
        return Connection(self.port)

    def ask(self, *words):
        connection = self.connect()
        try:
            return connection(*words)
        finally:
            connection.close()

    def knows(self, commands):
        return all(entry is not None for entry in self.ask("COMMAND", "INFO", *commands))

    def info(self, section):
        lines = (line.partition(":") for line in self.ask("INFO", section).splitlines())
        return {key: value for key, _, value in lines}

    def memory(self, field="VmRSS"):
        """Bytes: VmRSS is what it has now, VmHWM the most that it had."""
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith(field + ":"))

    def cpu_s(self):
        """CPU time of all its threads so far."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total / 1e9

    def stop(self):
        if self not in _running:
            return
        _running.discard(self)
        self.process.kill()
        self.process.wait()
        self.directory.cleanup()


class Group:
    """Servers that live as long as a with block."""

    def __init__(self):
        self.servers = []

    def start(self, contender, **options):
        self.servers.append(contender.start(**options))
        return self.servers[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.stop()


@atexit.register
def _stop_all():
    for server in list(_running):
        server.stop()


def _node(path):
    def argv(port, workers, directory):
        return [str(path), "--standalone", "--bind", "127.0.0.1", "--port", str(port), "--workers", str(workers), "--dir", directory,
                "--maxclients", str(MAX_CLIENTS), "--save", ""]
    return argv


def _peer(program):
    def argv(port, workers, directory):
        return peers_root.command([program, "--port", str(port), "--bind", "127.0.0.1", "--protected-mode", "no", "--save", "",
                                   "--appendonly", "no", "--io-threads", str(workers), "--maxclients", str(MAX_CLIENTS),
                                   "--dir", directory, "--daemonize", "no"])
    return argv


def choose(names):
    """The contenders of a comma-separated list; NAME=PATH is another build of the node."""
    chosen = []
    for name in filter(None, names.split(",")):
        own_name, _, path = name.partition("=")
        if name in ("valkey", "redis"):
            peers_root.make()
            package = f"{name}-server"
            chosen.append(Contender(name, _peer(package), f"{package} {peers_root.versions()[package]} (Debian {peers_root.SUITE})",
                                     peers_root.ROOT))
            continue
        if name != "understudy" and not path:
            raise Failure(f"there is no contender '{name}'; there are understudy, valkey, redis, and NAME=PATH for another build of the node")
        path = path or NODE
        if not os.access(path, os.X_OK):
            raise Failure(f"there is no program {path}; `make build` makes it")
        version = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True).stdout.strip()
        chosen.append(Contender(own_name, _node(path), version))
    if len({contender.name for contender in chosen}) != len(chosen) or not chosen:
        raise Failure("the contenders must be one or more, each with a name of its own")
    return chosen
