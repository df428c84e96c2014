"""Sections about memory, and about what a node costs that has nothing to do."""
import statistics
import time

import targets
from contenders import Group
from loads import fill
from progress import say
from report import Section, number, ratio, verdict
from speed import REFERENCE

STEPS = 8  # key counts across one doubling, so that no table's growth is met at its best or worst

# (title, command that fills, value bytes, how many fewer keys, commands that a server must know)
KINDS = [
    ("string 16 + 32", "set", 32, 1, ("set",)),
    ("string 16 + 16, TTL", "setex", 16, 1, ("setex",)),
    ("string 16 + 512", "set", 512, 1, ("set",)),
    ("hash, 10 fields of 10 + 8", "hset", 8, 10, ("hset",)),
    ("list, 10 elements of 8", "lpush", 8, 10, ("rpush",)),
    ("set, 10 members of 10", "sadd", 8, 10, ("sadd",)),
    ("sorted set, 10 members of 10", "zadd", 8, 10, ("zadd",)),
]


def memory(setting, contenders, own_name):
    """Bytes per key, mean of eight key counts across one doubling; peak while loading."""
    section = Section("Memory per key")
    section.text(f"Resident bytes after loading, less those of the empty server, per key: mean of {STEPS} counts from {setting.memory_keys * (STEPS + 1) // STEPS:,} to "
                 f"{2 * setting.memory_keys:,} keys of 16 B (collections: a tenth of that). In brackets the least and the most. Peak: most resident "
                 "memory while loading ÷ that at the end.")
    rows, chart, missing = [], {contender.name: [] for contender in contenders}, {}
    for title, command, value, divisor, needs in KINDS:
        found = {}
        for contender in contenders:
            with Group() as group:
                server = group.start(contender)
                if not server.knows(needs):
                    missing.setdefault(contender.name, []).append(title)
                    continue
                say(f"memory: {title}, {contender.name}")
                found[contender.name] = _per_key(server, command, value, setting.memory_keys // divisor)
        row = [title]
        for name, values in chart.items():
            values.append(found[name][0] if name in found else None)
            row.append(f"{found[name][0]:.1f} ({found[name][1]:.0f}–{found[name][2]:.0f})" if name in found else "–")
        own = found.get(own_name)
        must, goal = targets.MEMORY.get(title, (found[REFERENCE][0] if REFERENCE in found else None, None))
        rows.append([*row, number(ratio(found[REFERENCE][0], own[0]) if REFERENCE in found and own else None),
                     number(must, 1), verdict(-own[0], -must) if own and must else "", number(goal, 0), number(own[3] if own else None),
                     number(targets.PEAK_MEMORY), verdict(-own[3], -targets.PEAK_MEMORY) if own else ""])
    for name, titles in missing.items():
        section.text(f"Left out for {name}, which does not know the commands: {', '.join(titles)}.")
    section.table(["value", *(f"{c.name}, bytes" for c in contenders), f"{REFERENCE} / {own_name}", "at most", "reached", "goal",
                   f"{own_name}'s peak", "at most", "reached"], rows)
    section.chart("memory", "Memory per key", "bytes", [kind[0] for kind in KINDS], chart)
    return section


def _per_key(server, command, value, keys):
    """(mean, least, most bytes per key, peak over final)."""
    empty = server.memory()
    fill(server, command, keys, value_size=value)
    sizes, filled = [], keys
    for step in range(1, STEPS + 1):
        count = keys + keys * step // STEPS
        fill(server, command, count, value_size=value, fill_from=filled)
        filled = count
        sizes.append((server.memory() - empty) / filled)
    return statistics.mean(sizes), min(sizes), max(sizes), server.memory("VmHWM") / server.memory()


def idle(setting, contenders, own_name):
    """An empty node, alone and with many idle connections."""
    section = Section("A node that has nothing to do")
    section.text(f"One worker, no data. Connections: {setting.idle_connections:,} that each sent one PING before. CPU over {setting.idle_s} s, of one core.")
    rows = []
    for contender in contenders:
        with Group() as group:
            say(f"idle: {contender.name}")
            server = group.start(contender)
            alone = _share(server, setting.idle_s)
            empty = server.memory()
            connections = [server.connect() for _ in range(setting.idle_connections)]
            for connection in connections:
                connection.send([["PING"]])
            for connection in connections:
                connection.reply()
            with_connections = _share(server, setting.idle_s)
            per_connection = (server.memory() - empty) / len(connections)
            for connection in connections:
                connection.close()
        mine = contender.name == own_name
        rows.append([contender.name, number(empty / 1e6, 1), verdict(-empty / 1e6, -targets.IDLE_MEMORY_MB) if mine else "", number(per_connection, 0),
                     verdict(-per_connection, -targets.IDLE_CONNECTION_BYTES) if mine else "", number(alone * 100),
                     verdict(-alone * 100, -targets.IDLE_CPU_PERCENT) if mine else "", number(with_connections * 100)])
    section.table(["server", "resident MB", f"at most {targets.IDLE_MEMORY_MB}", "bytes per idle connection", f"at most {targets.IDLE_CONNECTION_BYTES:,}",
                   "CPU %", f"at most {targets.IDLE_CPU_PERCENT}", "CPU % with the connections"], rows)
    return section


def _share(server, seconds):
    before, start = server.cpu_s(), time.monotonic()
    time.sleep(seconds)
    return (server.cpu_s() - before) / (time.monotonic() - start)
