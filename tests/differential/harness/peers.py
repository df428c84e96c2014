"""The servers of a run: our node, redis-server 7.0 of Debian 12, and redis-server 8.0 and valkey-server 9.1 of Debian sid."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench" / "harness"))
import contenders  # noqa: E402
import peers_root  # noqa: E402
from progress import Failure  # noqa: E402

NODE = contenders.NODE
# Debian 12's redis-tools brings the server too: redis-check-rdb is the same program, which goes by the name it is called by.
_REDIS_7 = "/usr/bin/redis-check-rdb"
_COMMON = ["--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"]


def _node(path):
    def argv(port, _workers, directory):
        return ["nice", "-n", "19", str(path), "--standalone", "--port", str(port), "--workers", "1", "--dir", directory, *_COMMON]
    return argv


def _redis_7(port, _workers, directory):
    return ["nice", "-n", "19", "bash", "-c", f'exec -a redis-server {_REDIS_7} "$@"', "redis-server", "--port", str(port), "--dir", directory, *_COMMON]


def _of_sid(program):
    def argv(port, _workers, directory):
        return ["nice", "-n", "19", *peers_root.command([program, "--port", str(port), "--dir", directory, *_COMMON])]
    return argv


def replica_of(ours, port):
    """Another node, started, that follows the one on that port."""
    def argv(*arguments):
        return [*ours.argv(*arguments), "--replicaof", "127.0.0.1", str(port)]
    return start(contenders.Contender("replica", argv, ours.version))


def ours(path):
    if not os.access(path, os.X_OK):
        raise Failure(f"there is no program {path}; `make differential` builds it")
    version = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return contenders.Contender("understudy", _node(path), version)


NAMES = ["redis-7.0", "redis-8.0", "valkey-9.1"]


def _peer(name):
    if name == "redis-7.0":
        return contenders.Contender(name, _redis_7, "redis-server 7.0 (Debian 12)")
    if name not in NAMES:
        raise Failure(f"PEERS knows no '{name}'; there are {', '.join(NAMES)}")
    peers_root.make()
    program = f"{name.partition('-')[0]}-server"
    return contenders.Contender(name, _of_sid(program), f"{program} {peers_root.versions()[program]} (Debian {peers_root.SUITE})", peers_root.ROOT)


def start(contender):
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    return contender.start(cpus=cpus, name=f"differential-{contender.name}")


def start_peer(name):
    """Started, and of the version that its name says."""
    server = start(_peer(name))
    info = server.info("server")
    version = info.get("valkey_version" if name.startswith("valkey") else "redis_version", "")
    if not version.startswith(name.partition("-")[2] + "."):
        raise Failure(f"{name} is of version {version} here: the table of known differences (known.py) is of another one")
    return server
