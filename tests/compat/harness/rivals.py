"""The two servers that a suite meets, one after the other: our node, and valkey-server of Debian sid as the yardstick."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench" / "harness"))
import contenders  # noqa: E402
import peers_root  # noqa: E402
from progress import Failure  # noqa: E402

ROOT, NODE = contenders.ROOT, contenders.NODE


def _node(path):
    def argv(port, workers, directory):
        return ["nice", "-n", "19", str(path), "--standalone", "--bind", "127.0.0.1", "--port", str(port), "--workers", str(workers),
                "--dir", directory, "--save", "", "--enable-protected-configs", "yes", "--enable-debug-command", "yes"]
    return argv


def _valkey(port, _workers, directory):
    # What its own external CI run starts.
    return ["nice", "-n", "19", *peers_root.command(
        ["valkey-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory, "--enable-protected-configs", "yes",
         "--enable-debug-command", "yes", "--enable-module-command", "yes"])]


def ours(node):
    """node: path of our program."""
    if not os.access(node, os.X_OK):
        raise Failure(f"there is no program {node}; `make compat` builds it")
    version = subprocess.run([str(node), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return _rival("understudy", _node(node), version, program=node)


def yardstick():
    peers_root.make()
    version = f"valkey-server {peers_root.versions()['valkey-server']} (Debian {peers_root.SUITE})"
    return _rival("valkey", _valkey, version, root=peers_root.ROOT)


def _rival(name, argv, version, root="/", program=None):
    """program: path of our program, None for a server of the root. endless: suite, file -> tests that it can't end."""
    rival = contenders.Contender(name, argv, version, root)
    rival.program = program
    rival.endless = lambda suite, file: []
    return rival


def start(rival):
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    return rival.start(cpus=cpus, name=f"compat-{rival.name}")


def ended(server):
    """Empty while the server runs, else how it ended."""
    code = server.process.poll()
    return "" if code is None else f"the server ended with code {code} (log {server.log.relative_to(ROOT)})"
