"""Well-behaved clients beside hostile ones: do they keep their latency, and does the server keep its memory?"""
import os
import statistics
import threading
import time
from dataclasses import dataclass

import hostile_clients
import targets
from contenders import Group
from loads import fill, load
from progress import Failure, say
from report import Section, number

CLIENTS = {"command": "get:80,set:20", "connections": 50, "pipeline": 1, "cpus": 1}
SHARE = 0.25  # of what the server does saturated with them
CLIENT_MEMORY_MB = 64  # maxmemory-clients of all servers
SETTINGS = {"maxmemory-clients": f"{CLIENT_MEMORY_MB}mb", "tcp-keepalive": "1"}


@dataclass
class Behaviour:
    """An error or the end is due to each of its connects if `answered`; gone: the server has to find out by itself that
    they are not there any longer, within so many seconds."""
    title: str
    behave: object
    answered: bool = False
    gone_s: float = 0


BEHAVIOURS = [
    Behaviour("oversized arguments", hostile_clients.oversized_arguments, answered=True),
    Behaviour("deep pipelines", hostile_clients.deep_pipelines),
    Behaviour("half-open connections", hostile_clients.half_open_connections, gone_s=30),
    Behaviour("connects", hostile_clients.connects, gone_s=10),
    Behaviour("clients that never read", hostile_clients.clients_that_never_read),
    Behaviour("clients that send a byte a second", hostile_clients.one_byte_a_second),
]


@dataclass
class Trial:
    """µs by quantile; memory: most resident bytes more than before; left: connections that stayed; turn_ms: longest turn, CPU."""
    quiet: dict
    latency: dict
    lateness: dict
    memory: int
    seen: object
    left: int
    turn_ms: float


class _Background:
    """behave() in a thread on the load's CPU, after the load in importance; and the server's memory, watched."""

    def __init__(self, server, behaviour, seen):
        self.server, self.behaviour, self.seen = server, behaviour, seen
        self.stop, self.error, self.most = threading.Event(), None, server.memory()
        self.threads = [threading.Thread(target=self._run), threading.Thread(target=self._watch)]

    def _run(self):
        os.sched_setaffinity(0, {1})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        try:
            self.behaviour.behave(self.server, self.stop, self.seen)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def _watch(self):
        while not self.stop.wait(0.02):
            self.most = max(self.most, self.server.memory())

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def hostile(setting, contenders, own_name):
    """Latency of good clients and memory beside each kind of hostile client."""
    # Redis would add a third of an hour and say the same as Valkey.
    compared = [c for c in contenders if c.name != "redis"]
    section = Section("Hostile clients: one worker")
    section.text(f"50 good connections send GET and SET (80:20) at random moments, at {SHARE:.0%} of what the server does saturated; each hostile behaviour "
                 f"(`tests/bench/harness/hostile_clients.py`) in turn beside them, after a quiet phase of its own. maxmemory-clients is {CLIENT_MEMORY_MB} MB, "
                 "tcp-keepalive 1 s. Latency in µs, medians over the rounds; memory, connections and turns: the most. Memory: resident bytes above those "
                 "before. The hostile clients share CPU 1 with the load, whose own delay is shown.")
    found = {}
    for turn in range(setting.rounds):
        for contender in compared[turn % len(compared):] + compared[:turn % len(compared)]:
            with Group() as group:
                server = group.start(contender)
                for words in SETTINGS.items():
                    server.ask("CONFIG", "SET", *words)
                fill(server, "set", setting.hostile_keys)
                server.ask("SET", "big", "v" * hostile_clients.BIG_BYTES)
                most = load(server, **CLIENTS, keys=setting.hostile_keys, seconds=min(1, setting.hostile_s), warmup=setting.warmup_s)
                for behaviour in BEHAVIOURS:
                    say(f"hostile: {contender.name}, round {turn + 1} of {setting.rounds}, {behaviour.title}")
                    found.setdefault((behaviour.title, contender.name), []).append(
                        _trial(setting, server, behaviour, SHARE * most["ops_per_s"], turn))
    section.musts(musts(found, own_name, setting.hostile_connects))
    section.table(["hostile", "server", "quiet p50", "p99", "p99.9", "then p50", "p99", "p99.9", "max", "p99.9 ÷ quiet", "load's delay p99.9", "memory, MB",
                   "longest turn, CPU ms", *hostile_clients.OUTCOMES, "stayed"],
                  [_row(b.title, c.name, found[(b.title, c.name)]) for b in BEHAVIOURS for c in compared])
    return section


def tail_ratio(trials):
    return statistics.median(trial.latency["p99.9"] / trial.quiet["p99.9"] for trial in trials)


def musts(found, own_name, connects):
    """found: (title, server) -> [Trial] of the rounds."""
    rows = []
    for behaviour in BEHAVIOURS:
        trials = found[(behaviour.title, own_name)]
        ratio = tail_ratio(trials)
        rows.append((f"p99.9 beside {behaviour.title} ÷ quiet", number(targets.HOSTILE_TAIL, 1), number(ratio), ratio <= targets.HOSTILE_TAIL))
        memory_mb = max(trial.memory for trial in trials) / 1e6
        rows.append((f"memory for {behaviour.title}, MB", number(targets.HOSTILE_MEMORY_MB, 0), number(memory_mb, 0), memory_mb <= targets.HOSTILE_MEMORY_MB))
        if behaviour.answered:
            silent = max(trial.seen["silent"] for trial in trials)
            rows.append((f"{behaviour.title} without an error or an end", "0", str(silent), silent == 0))
        if behaviour.gone_s:
            left = max(trial.left for trial in trials)
            rows.append((f"connections that stay {behaviour.gone_s:.0f} s after {behaviour.title}", "0", str(left), left == 0))
        if behaviour.title == "connects":
            made = min(trial.seen["connects"] for trial in trials)
            if made < connects:
                raise Failure(f"there were {made:,} connects, {connects:,} are wanted: SECONDS must be larger")
    return rows


def _row(title, name, trials):
    def median(field, quantile):
        return statistics.median(getattr(trial, field)[quantile] for trial in trials)
    turns = [trial.turn_ms for trial in trials if trial.turn_ms is not None]
    return [title, name, *(number(median("quiet", q), 0) for q in ("p50", "p99", "p99.9")),
            *(number(median("latency", q), 0) for q in ("p50", "p99", "p99.9", "max")), number(tail_ratio(trials)), number(median("lateness", "p99.9"), 0),
            number(max(trial.memory for trial in trials) / 1e6, 0), number(max(turns, default=None)),
            *(f"{max(trial.seen[outcome] for trial in trials):,}" for outcome in hostile_clients.OUTCOMES), max(trial.left for trial in trials)]


def _trial(setting, server, behaviour, rate, turn):
    common = {**CLIENTS, "keys": setting.hostile_keys, "rate": rate, "sleep": True, "warmup": setting.warmup_s, "seed": turn + 1}
    quiet = load(server, seconds=setting.hostile_s, **common)
    clients = int(server.info("clients")["connected_clients"])
    server.ask("CONFIG", "RESETSTAT")
    before, seen = server.memory(), hostile_clients.tally()
    with _Background(server, behaviour, seen) as background:
        result = load(server, seconds=setting.hostile_s, **common)
        # Not so many a second on a busy machine: the rest beside nobody.
        deadline = time.monotonic() + 60
        while behaviour.behave is hostile_clients.connects and seen["connects"] < setting.hostile_connects and time.monotonic() < deadline:
            time.sleep(0.1)
    if background.error is not None:
        raise Failure(f"{server.name}, {behaviour.title}: {background.error}")
    stats = server.info("stats")
    deadline, left = time.monotonic() + max(5, behaviour.gone_s), 1
    while left > 0 and time.monotonic() < deadline:
        left = int(server.info("clients")["connected_clients"]) - clients
        time.sleep(0.1)
    turn_ms = int(stats["eventloop_cpu_max"]) / 1000 if "eventloop_cpu_max" in stats else None
    return Trial(quiet["latency_us"], result["latency_us"], result["lateness_us"], background.most - before, seen, max(0, left), turn_ms)
