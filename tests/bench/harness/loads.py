"""Runs of the load generator, and their medians over rounds."""
import json
import statistics
import subprocess
from dataclasses import dataclass

from contenders import FIRST, ROOT, die_with_parent
from progress import Failure

LOAD = ROOT / "build" / "release" / "bin" / "understudy-load"


@dataclass
class Workload:
    """title: in tables. command: of understudy-load. needs: commands that a server must know, the one that fills last.
    divisor: 1 for strings, 10 for collections, of which there are as many fewer. may_miss: a key may be gone."""
    title: str
    command: str
    needs: tuple
    divisor: int = 1
    may_miss: bool = False


WORKLOADS = [
    Workload("GET", "get", ("get", "set")),
    Workload("SET", "set", ("set",)),
    Workload("80 % GET, 20 % SET", "get:80,set:20", ("get", "set")),
    Workload("MGET of 10", "mget", ("mget", "set")),
    Workload("MSET of 10", "mset", ("mset", "set")),
    Workload("INCR", "incr", ("incr",)),
    Workload("HGET", "hget", ("hget", "hset"), 10),
    Workload("HSET", "hset", ("hset",), 10),
    # Pushes and pops are chosen by chance: now and then a list is empty.
    Workload("LPUSH, RPOP", "lpush,rpop", ("lpush", "rpop", "rpush"), 10, True),
    Workload("SADD", "sadd", ("sadd",), 10),
    Workload("ZADD", "zadd", ("zadd",), 10),
    Workload("ZRANGE of 10", "zrange", ("zrange", "zadd"), 10),
    Workload("EVAL of a GET", "eval", ("eval", "set")),
]


def workload(command):
    return next(w for w in WORKLOADS if w.command == command)


class Running:
    """understudy-load with these options (value_size=64 is --value-size 64), beside whatever else goes on."""

    def __init__(self, server, **options):
        self.server = server
        self.argv = [str(LOAD), "--port", str(server.port)]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            self.argv += [flag] if value is True else [flag, str(value)]
        self.process = subprocess.Popen([*FIRST, *self.argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)

    def result(self):
        """What it printed, when it has ended."""
        out, errors = self.process.communicate()
        if self.process.returncode:
            raise Failure(f"{self.server.name}: `{' '.join(self.argv[1:])}`: {errors.strip() or f'exit code {self.process.returncode}'}")
        return json.loads(out)

    def cancel(self):
        self.process.kill()
        self.process.communicate()


def load(server, **options):
    """Runs understudy-load and returns what it printed."""
    running = Running(server, **options)
    try:
        return running.result()
    except BaseException:
        running.cancel()
        raise


def fill(server, command, keys, **options):
    return load(server, command=command, keys=keys, fill_only=True, cpus=1, pipeline=32, connections=16, **options)


@dataclass
class Case:
    """One load that every contender gets. options: of understudy-load."""
    title: str
    pipeline: int
    options: dict
    may_miss: bool = False


@dataclass
class Summary:
    """Medians over the rounds; the range is that of CPU time."""
    cpu_us: float
    cpu_us_min: float
    cpu_us_max: float
    ops_per_s: float
    busy: float
    sleeps: float
    load_cpu_us: float


def measure(setting, cases, servers_of, step):
    """(case index, server name) -> Summary. Contenders take turns within each case of each round, so that whatever
    changes on the machine meets them alike; step(text) is told how far it is."""
    found = {}
    for turn in range(setting.rounds):
        for index, case in enumerate(cases):
            servers = servers_of(case)
            for server in servers[turn % len(servers):] + servers[:turn % len(servers)] if servers else []:
                step(f"round {turn + 1} of {setting.rounds}, {case.title}, pipeline {case.pipeline}")
                result = load(server, watch=server.pid, pipeline=case.pipeline, seconds=setting.seconds, warmup=setting.warmup_s,
                              seed=turn + 1, **case.options)
                if result["nulls"] and not case.may_miss:
                    raise Failure(f"{server.name} did not find {result['nulls']} keys of {case.title} that had been written")
                found.setdefault((index, server.name), []).append(result)
    return {key: summary(results) for key, results in found.items()}


def summary(results):
    """Of the runs of one load."""
    def median(field):
        return statistics.median(r[field] for r in results)
    cpu = [r["server_cpu_us_per_op"] for r in results]
    return Summary(statistics.median(cpu), min(cpu), max(cpu), median("ops_per_s"), median("server_busy"), median("server_sleeps_per_op"),
                   median("load_cpu_us_per_op"))
