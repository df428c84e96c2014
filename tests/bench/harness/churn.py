"""Latency while the data set changes: it grows over a doubling, a fifth of it expires, maxmemory evicts.

Each kind of change stands beside a quiet phase that comes just before it and has the same load: a writer that
overwrites keys in the quiet phase and makes new ones in the other. So the difference is what the change costs the
clients, not what the writer costs them.
"""
import math
import statistics
import time
from dataclasses import dataclass

import targets
from contenders import Group
from loads import Running, fill, load
from progress import Failure, say
from report import Section, number

# Half of what the server can, half each from clients and writer; the writer's pipeline makes 5 million keys in half a
# minute.
SHARE_EACH = 0.25
CLIENTS = {"command": "get:80,set:20", "connections": 50, "pipeline": 1, "cpus": 1}
WRITER = {"command": "set", "connections": 10, "pipeline": 16, "cpus": 1}
KINDS = ["the table doubles", "keys expire", "maxmemory evicts, allkeys-lru", "maxmemory evicts, allkeys-lfu"]
QUANTILES = ("p50", "p99", "p99.9", "max")


@dataclass
class Phase:
    """latency, lateness: µs by quantile. turn_*: longest turn of the loop in ms, None where the server does not tell.
    changed: keys that came, expired or were evicted meanwhile."""
    latency: dict
    lateness: dict
    busy: float
    turn_cpu_ms: float
    turn_ms: float
    changed: int


def churn(setting, contenders, own_name):
    """p99.9 while the table doubles, keys expire and are evicted, beside quiet phases; the longest turn."""
    # Redis would add a third of an hour and say the same as Valkey.
    compared = [c for c in contenders if c.name != "redis"]
    section = Section(f"Growth, expiry and eviction: one worker, {setting.churn_keys:,} keys, half load")
    section.text("50 connections send GET and SET (80:20) of known keys at random moments, a quarter of what the server does saturated. A writer "
                 "(10 connections, pipeline 16) sends SET at a quarter of its saturated rate: in the quiet phase before each change it overwrites known "
                 f"keys, during the change it writes new ones (expiry: it goes on as before, {setting.churn_keys // 5:,} keys that were written with "
                 "one TTL fall due meanwhile). Latency is the clients', µs, from the moment at which a command was due; medians over the rounds, the "
                 "longest turn over all. Both loads sleep between their moments, as they share CPU 1; what waking up takes is in all phases alike. A turn's CPU time is its thread's own; its wall time includes what others did on the core.")
    found = {}
    for turn in range(setting.rounds):
        order = compared[turn % len(compared):] + compared[:turn % len(compared)]
        for contender in order:
            with Group() as group:
                server = group.start(contender)
                for kind, pair in _round(setting, server, turn).items():
                    found.setdefault((kind, contender.name), []).append(pair)
    section.musts(musts(found, own_name))
    section.table(["while", "server", "busy", "quiet p50", "p99", "p99.9", "then p50", "p99", "p99.9", "max", "p99.9 ÷ quiet", "load's delay p99.9, quiet",
                   "then", "longest turn, CPU ms", "wall ms", "1,000 keys changed"],
                  [_row(kind, c.name, found[(kind, c.name)]) for kind in KINDS for c in compared])
    section.chart("churn", "p99.9 while the data set changes ÷ quiet", "times", KINDS,
                  {c.name: [tail_ratio(found[(kind, c.name)]) for kind in KINDS] for c in compared})
    return section


def tail_ratio(pairs):
    """Median over the rounds of p99.9 in the phase ÷ that of its own quiet phase."""
    return statistics.median(phase.latency["p99.9"] / quiet.latency["p99.9"] for quiet, phase in pairs)


def musts(found, own_name):
    """found: (kind, server) -> [(quiet, phase)] of the rounds."""
    rows = []
    for kind in KINDS:
        value = tail_ratio(found[(kind, own_name)])
        rows.append((f"p99.9 while {kind} ÷ quiet", number(targets.CHURN_TAIL, 1), number(value), value <= targets.CHURN_TAIL))
    told = [phase.turn_cpu_ms for (_, name), pairs in found.items() if name == own_name for pair in pairs for phase in pair
            if phase.turn_cpu_ms is not None]
    if not told:
        raise Failure(f"{own_name} does not tell eventloop_cpu_max in INFO stats")
    rows.append(("CPU time of any turn, ms", number(targets.TURN_CPU_MS, 1), number(max(told)), max(told) <= targets.TURN_CPU_MS))
    return rows


def _row(kind, name, pairs):
    def median(which, field, quantile):
        return statistics.median(getattr(pair[which], field)[quantile] for pair in pairs)

    def longest(field):
        return max((v for pair in pairs if (v := getattr(pair[1], field)) is not None), default=None)
    return [kind, name, number(statistics.median(phase.busy for _, phase in pairs)), *(number(median(0, "latency", q), 0) for q in QUANTILES[:3]),
            *(number(median(1, "latency", q), 0) for q in QUANTILES), number(tail_ratio(pairs)), number(median(0, "lateness", "p99.9"), 0),
            number(median(1, "lateness", "p99.9"), 0), number(longest("turn_cpu_ms")), number(longest("turn_ms")),
            number(statistics.median(phase.changed for _, phase in pairs) / 1000, 0)]


def _round(setting, server, turn):
    """kind -> (quiet, phase) of one server that is empty."""
    keys, seconds = setting.churn_keys, setting.churn_s
    say(f"churn: {server.name}, round {turn + 1} of {setting.rounds}: {keys:,} keys")
    fill_s = fill(server, "set", keys)["fill_seconds"]
    saturated = {"watch": server.pid, "seconds": min(1, seconds), "warmup": setting.warmup_s, "keys": keys, "seed": turn + 1}
    rates = [SHARE_EACH * load(server, **saturated, **options)["ops_per_s"] for options in (CLIENTS, WRITER)]

    def measure(kind, counter, seconds, **writer):
        say(f"churn: {server.name}, round {turn + 1}: {kind}, {seconds:.0f} s")
        return _phase(setting, server, rates, turn, keys, counter, seconds, writer)

    def quiet(known):
        return measure("quiet", None, seconds, keys=known)
    found = {}

    # First, as the others need room: the keys that expire are beside those that stay.
    expiring = max(1000, keys // 5)
    expected_s = fill_s * expiring / keys
    ttl_s = math.ceil(2 * expected_s + setting.warmup_s + seconds + 1)
    before = quiet(keys)
    begin = time.monotonic()
    fill(server, "setex", expiring, ttl=ttl_s)
    # They fall due as they were written, from ttl_s after the first on.
    late = begin + ttl_s - setting.warmup_s - 0.2 - time.monotonic()
    if late < 0:
        raise Failure(f"{server.name}: the keys with a TTL were written too slowly to be there before the first is due")
    time.sleep(late)
    found[KINDS[1]] = (before, measure(KINDS[1], "expired_keys", seconds, keys=keys))

    size = int(server.ask("DBSIZE"))
    before = quiet(keys)
    room = {"distribution": "sequence", "keys": 100 * keys}
    found[KINDS[0]] = (before, measure(KINDS[0], "keys", max(seconds, keys / rates[1]), first_key=keys, **room))
    grown = int(server.ask("DBSIZE"))
    if grown < 1.8 * size and not setting.short:
        raise Failure(f"{server.name} had {size:,} keys before and {grown:,} after the growth, less than twice as many: the writer was too slow")

    written = grown
    for place, policy in ((2, "allkeys-lru"), (3, "allkeys-lfu")):
        server.ask("CONFIG", "SET", "maxmemory-policy", policy)
        before = quiet(keys)
        server.ask("CONFIG", "SET", "maxmemory", server.info("memory")["used_memory"])
        found[KINDS[place]] = (before, measure(KINDS[place], "evicted_keys", seconds, first_key=2 * written, **room))
        server.ask("CONFIG", "SET", "maxmemory", 0)
        written *= 2
    for kind, (_, phase) in found.items():
        if phase.changed <= 0:
            raise Failure(f"{server.name}: nothing changed while {kind}")
    return found


def _phase(setting, server, rates, turn, keys, counter, seconds, writer):
    def count():
        if counter is None:
            return 0
        return int(server.ask("DBSIZE")) if counter == "keys" else int(server.info("stats")[counter])
    server.ask("CONFIG", "RESETSTAT")
    before = count()
    # It begins before the measured window and ends after it.
    writing = Running(server, **{**WRITER, **writer}, rate=rates[1], sleep=True, warmup=0, seconds=setting.warmup_s + seconds, seed=turn + 100)
    try:
        result = load(server, **CLIENTS, keys=keys, rate=rates[0], sleep=True, seconds=seconds, warmup=setting.warmup_s, watch=server.pid, seed=turn + 1)
    except BaseException:
        writing.cancel()
        raise
    writing.result()
    stats = server.info("stats")

    def milliseconds(field):
        return int(stats[field]) / 1000 if field in stats else None
    return Phase(result["latency_us"], result["lateness_us"], result["server_busy"], milliseconds("eventloop_cpu_max"),
                 milliseconds("eventloop_duration_max"), count() - before)
