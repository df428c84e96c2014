"""Sections about speed: CPU time of commands, data sets, connections, workers, replicas, latency."""
import statistics
import subprocess
import time

import targets
from contenders import ROOT, Group
from loads import WORKLOADS, Case, fill, load, measure, summary, workload
from progress import Failure, say
from report import Section, number, ratio, verdict

REFERENCE = "valkey"
# Of the rate that the load reaches beside the replica on one CPU.
SHARE_WITH_REPLICA = 0.6


def _step(section):
    """Says how far a section is, at most every ten seconds."""
    last = [0.0]

    def step(text):
        if time.monotonic() - last[0] >= 10:
            last[0] = time.monotonic()
            say(f"{section}: {text}")
    return step


def _cases(setting, workloads, connections, keys, cpus="1"):
    return [Case(w.title, pipeline, {"command": w.command, "connections": connections, "keys": max(1, keys // w.divisor), "cpus": cpus},
                 w.may_miss)
            for w in workloads for pipeline in setting.pipelines]


def _fill_all(setting, server, workloads, keys):
    """Every kind of value that the workloads use, once."""
    done = set()
    for w in workloads:
        kind = w.needs[-1]
        if kind not in done and server.knows(w.needs):
            done.add(kind)
            fill(server, w.command, max(1, keys // w.divisor))


def _leave_out(section, servers, workloads):
    """title -> servers that know the commands; says which do not."""
    knows = {w.title: [s for s in servers if s.knows(w.needs)] for w in workloads}
    for server in servers:
        missing = [w.title for w in workloads if server not in knows[w.title]]
        if missing:
            section.text(f"Left out for {server.name}, which does not know the commands: {', '.join(missing)}.")
    return knows


def _tables(section, cases, servers, results, own_name, with_targets=False):
    """Ratios first, then all figures."""
    names = [server.name for server in servers]
    head = ["commands", "pipeline", *(f"{name}, CPU µs/op" for name in names)]
    compared = own_name in names and REFERENCE in names
    if compared:
        head.append(f"{REFERENCE} / {own_name}")
        if with_targets:
            head += ["must", "reached", "goal", "kernel's ceiling"]
    rows = []
    for index, case in enumerate(cases):
        found = {name: results.get((index, name)) for name in names}
        row = [case.title, case.pipeline, *(number(f and f.cpu_us, 3) for f in found.values())]
        if compared:
            reference, own = found[REFERENCE], found[own_name]
            value = ratio(reference and reference.cpu_us, own and own.cpu_us)
            row.append(number(value))
            if with_targets:
                must, goal, ceiling = targets.cpu(case.title, case.pipeline)
                row += [number(must), verdict(value, must), number(goal, 1), number(ceiling, 1)]
        rows.append(row)
    section.table(head, rows)
    section.text("All figures. Range: least and most CPU time of the rounds. Busy: CPU time of all the server's threads over the window; "
                 "below 1 a worker waited for the load, and a cheaper server then sleeps more and does not show more operations.")
    section.table(["commands", "pipeline", "server", "CPU µs/op", "range", "1,000 ops/s", "busy", "sleeps/op", "load's CPU µs/op"],
                  [[case.title, case.pipeline, name, number(f.cpu_us, 3), f"{f.cpu_us_min:.3f}–{f.cpu_us_max:.3f}",
                    number(f.ops_per_s / 1000, 0), number(f.busy), number(f.sleeps, 4), number(f.load_cpu_us, 3)]
                   for index, case in enumerate(cases) for name in names if (f := results.get((index, name)))])


def _cpu_charts(setting, section, name, title, cases, servers, results):
    for pipeline in setting.pipelines:
        places = [i for i, case in enumerate(cases) if case.pipeline == pipeline]
        section.chart(f"{name}-{pipeline}", f"{title}, pipeline {pipeline}", "server CPU µs per operation", [cases[i].title for i in places],
                      {s.name: [(f.cpu_us if (f := results.get((i, s.name))) else None) for i in places] for s in servers})


def commands(setting, contenders, own_name):
    """Server CPU per operation, all command families: 50 connections, 1 worker."""
    section = Section("Commands: one worker, 50 connections")
    workloads = [w for w in WORKLOADS if not setting.commands or w.command in setting.commands]
    section.text(f"{setting.keys:,} keys of 16 B chosen uniformly, values of 64 B; {setting.keys // 10:,} hashes, lists, sets and sorted sets of "
                 "10 elements each. Writes replace what is there, so nothing grows while it is measured.")
    with Group() as group:
        servers = [group.start(contender) for contender in contenders]
        knows = _leave_out(section, servers, workloads)
        for server in servers:
            say(f"commands: filling {server.name}")
            _fill_all(setting, server, workloads, setting.keys)
        cases = _cases(setting, workloads, 50, setting.keys)
        results = measure(setting, cases, lambda case: knows[case.title], _step("commands"))
        _tables(section, cases, servers, results, own_name, with_targets=True)
        _cpu_charts(setting, section, "commands", "Commands", cases, servers, results)
    return section


def keys(setting, contenders, own_name):
    """GET and SET on a small, a middle and a large data set."""
    section = Section("Size of the data set: one worker, 50 connections")
    workloads = [workload("get"), workload("set")]
    cases, results, servers = [], {}, []
    for count in setting.key_counts:
        with Group() as group:
            servers = [group.start(contender) for contender in contenders]
            for server in servers:
                say(f"keys: filling {server.name} with {count:,} keys")
                _fill_all(setting, server, workloads, count)
            here = _cases(setting, workloads, 50, count)
            found = measure(setting, here, lambda _, s=servers: s, _step(f"keys, {count:,}"))
        for index, case in enumerate(here):
            for server in servers:
                results[(len(cases), server.name)] = found[(index, server.name)]
            cases.append(Case(f"{case.title}, {count:,} keys", case.pipeline, case.options))
    _tables(section, cases, servers, results, own_name)
    _cpu_charts(setting, section, "keys", "Size of the data set", cases, servers, results)
    return section


def connections(setting, contenders, own_name):
    """GET and SET over many connections."""
    section = Section(f"{setting.connections:,} connections: one worker")
    workloads = [workload("get"), workload("set")]
    with Group() as group:
        servers = [group.start(contender) for contender in contenders]
        for server in servers:
            _fill_all(setting, server, workloads, setting.keys)
        cases = _cases(setting, workloads, setting.connections, setting.keys)
        results = measure(setting, cases, lambda _: servers, _step("connections"))
        _tables(section, cases, servers, results, own_name)
    return section


def workers(setting, contenders, own_name):
    """Two workers with their load on two CPUs, beside one worker."""
    section = Section("Two workers")
    section.text("Two workers (`--io-threads 2` for the others) share both CPUs with their load. So a connection's load is on the CPU of its worker or "
                 "on the other one, half each, and the second costs more, in the kernel. One worker is therefore measured in both places, on CPU 0 "
                 "with the load on CPU 0 and with it on CPU 1; the work of two is 2 × the mean of both costs ÷ the cost with two workers.")
    workloads = [workload("get"), workload("set"), workload("get:80,set:20")]
    with Group() as group:
        ones = [group.start(contender, name=f"{contender.name}, 1 worker") for contender in contenders]
        twos = [group.start(contender, workers=2, cpus="0,1", name=f"{contender.name}, 2 workers") for contender in contenders]
        for server in ones + twos:
            _fill_all(setting, server, workloads, setting.keys)
        places = [_cases(setting, workloads, 50, setting.keys, cpus) for cpus in ("0", "1", "0,1")]
        # Turn about, so that what is compared meets the same machine.
        cases = [case for same in zip(*places) for case in same]
        results = measure(setting, cases, lambda case: twos if case.options["cpus"] == "0,1" else ones, _step("workers"))
    rows = []
    for index in range(0, len(cases), len(places)):
        for one, two in zip(ones, twos):
            near, far, both = results[(index, one.name)], results[(index + 1, one.name)], results[(index + 2, two.name)]
            work = (near.cpu_us + far.cpu_us) / both.cpu_us
            must = targets.WORK_OF_TWO if one.contender.name == own_name else None
            rows.append([cases[index].title, cases[index].pipeline, one.contender.name, number(near.cpu_us, 3), number(far.cpu_us, 3),
                         number(both.cpu_us, 3), number(work), number(must, 1), verdict(work, must),
                         *(number(f.ops_per_s / 1000, 0) for f in (near, far, both))])
    section.table(["commands", "pipeline", "server", "1 worker, load beside it: CPU µs/op", "1 worker, load on CPU 1: CPU µs/op", "2 workers: CPU µs/op",
                   "work of two", "must", "reached", "1 worker, load beside it: 1,000 ops/s", "1 worker, load on CPU 1", "2 workers"], rows)
    return section


def replica(setting, contenders, own_name):
    """SET with a replica attached, beside SET alone."""
    section = Section("One replica attached")
    section.text("SET, 50 connections, one worker on CPU 0. The replica is on CPU 1, beside the load, and takes time from it; a load that sends less "
                 f"comes in smaller turns, which cost more each. So both servers get one rate, {SHARE_WITH_REPLICA:.0%} of what the load reaches with the "
                 "replica, at which the replica keeps up. Rate kept: what the primary's CPU time allows, CPU per operation alone ÷ with the replica.")
    sets = [workload("set")]
    with Group() as group:
        alone, attached, replicas = [], [], []
        for contender in contenders:
            alone.append(group.start(contender, name=f"{contender.name}, alone"))
            attached.append(group.start(contender, name=f"{contender.name}, replica attached"))
            replicas.append(group.start(contender, cpus="1", name=f"{contender.name}, replica"))
            for server in (alone[-1], attached[-1]):
                _fill_all(setting, server, sets, setting.keys)
            replicas[-1].ask("REPLICAOF", "127.0.0.1", attached[-1].port)
        for server in replicas:
            _await_link(server)
        syncs = [server.info("stats")["sync_full"] for server in attached]
        cases = _cases(setting, sets, 50, setting.keys)
        results = {}
        for index, case in enumerate(cases):
            for pair in zip(alone, attached):
                common = {"watch": pair[1].pid, "pipeline": case.pipeline, "warmup": setting.warmup_s, "seconds": setting.seconds, **case.options}
                rate = SHARE_WITH_REPLICA * load(pair[1], **common)["ops_per_s"]
                found = {server.name: [] for server in pair}
                for turn in range(setting.rounds):
                    for server in pair[turn % 2:] + pair[:turn % 2]:
                        _step("replica")(f"round {turn + 1} of {setting.rounds}, {server.name}, pipeline {case.pipeline} at {rate:,.0f}/s")
                        found[server.name].append(load(server, **{**common, "watch": server.pid, "rate": rate, "seed": turn + 1}))
                for server in pair:
                    results[(index, server.name)] = summary(found[server.name])
        for server, before, copy in zip(attached, syncs, replicas):
            if server.info("stats")["sync_full"] != before or copy.info("replication")["master_link_status"] != "up":
                raise Failure(f"{server.name}: the replica lost its link while it was measured, so the figures are not those of an attached one")
    rows = []
    for index, case in enumerate(cases):
        for one, two in zip(alone, attached):
            a, b = results[(index, one.name)], results[(index, two.name)]
            kept = a.cpu_us / b.cpu_us
            must = targets.RATE_WITH_REPLICA if one.contender.name == own_name else None
            rows.append([case.pipeline, one.contender.name, number(b.ops_per_s, 0), number(a.cpu_us, 3), number(b.cpu_us, 3), number(kept),
                         number(must), verdict(kept, must), number(b.busy)])
    section.table(["pipeline", "server", "ops/s", "alone, CPU µs/op", "with a replica, CPU µs/op", "rate kept", "must", "reached", "busy with it"],
                  rows)
    return section


def _await_link(server):
    deadline = time.monotonic() + 120
    while server.info("replication")["master_link_status"] != "up":
        if time.monotonic() > deadline:
            raise Failure(f"{server.name} did not attach within 120 s; its log is {server.log}")
        time.sleep(0.1)


def latency(setting, contenders, own_name):
    """Latency at 70 % load, open loop."""
    section = Section("Latency at 70 % load: one worker, 50 connections, pipeline 1")
    reference = REFERENCE if any(c.name == REFERENCE for c in contenders) else contenders[0].name
    section.text(f"Commands are sent at random moments of the given mean rate, answered or not; latency counts from the moment at which a command "
                 f"was due. Each server at 70 % of what {reference} does saturated, and at 70 % of its own. Medians over the rounds, µs; "
                 "the load's own delay in sending is part of the latency and shown beside it.")
    workloads = [workload("get"), workload("set"), workload("get:80,set:20")]
    rows, chart = [], {}
    with Group() as group:
        servers = [group.start(contender) for contender in contenders]
        for server in servers:
            _fill_all(setting, server, workloads, setting.keys)
        for w in workloads:
            case = _cases(setting, [w], 50, setting.keys)[0]
            case.pipeline = 1
            most = measure(setting, [case], lambda _: servers, _step("latency"))
            plans = [(server, 0.7 * most[(0, server.name)].ops_per_s, "own") for server in servers if server.name != reference]
            plans = [(server, 0.7 * most[(0, reference)].ops_per_s, reference) for server in servers] + plans
            found = {}
            for turn in range(setting.rounds):
                for place, (server, rate, _) in enumerate(plans):
                    say(f"latency: {w.title}, {server.name} at {rate:,.0f}/s, round {turn + 1} of {setting.rounds}")
                    found.setdefault(place, []).append(load(server, rate=rate, seconds=setting.latency_s, warmup=setting.warmup_s, seed=turn + 1,
                                                            pipeline=1, watch=server.pid, **case.options))

            def median(place, kind, field, found=found):
                return statistics.median(r[kind][field] for r in found[place])
            base = median([p for p, (s, _, _) in enumerate(plans) if s.name == reference][0], "latency_us", "p99.9")
            for place, (server, rate, of) in enumerate(plans):
                tail = median(place, "latency_us", "p99.9")
                shown = verdict(base / tail, 1) if server.name == own_name and of == reference != own_name else ""
                rows.append([w.title, server.name, of, number(rate, 0), *(number(median(place, "latency_us", q), 0) for q in ("p50", "p99", "p99.9", "max")),
                             shown, number(median(place, "lateness_us", "p99.9"), 0),
                             number(statistics.median(r["server_busy"] for r in found[place]))])
                if of == reference:
                    chart.setdefault(server.name, []).append(tail)
    section.table(["commands", "server", "70 % of", "ops/s", "p50", "p99", "p99.9", "max", f"p99.9 no worse than {reference}'s", "load's delay p99.9", "busy"],
                  rows)
    section.chart("latency", f"p99.9 at 70 % of {reference}'s rate", "µs", [w.title for w in workloads], chart)
    return section


def valkey_benchmark(setting, contenders, own_name):
    """The same with valkey-benchmark as the load."""
    import peers_root
    peers_root.make()
    section = Section("Load from valkey-benchmark")
    section.text("It costs more than the servers, so at pipeline 1 it does not saturate them: read the CPU time, and the busy share beside the rate.")
    rows = []
    with Group() as group:
        servers = [group.start(contender) for contender in contenders]
        for test in ("set", "get"):
            for pipeline in setting.pipelines:
                found = {}
                for turn in range(setting.rounds):
                    for server in servers[turn % len(servers):] + servers[:turn % len(servers)]:
                        say(f"valkey-benchmark: {test}, pipeline {pipeline}, {server.name}, round {turn + 1} of {setting.rounds}")
                        found.setdefault(server.name, []).append(_valkey_benchmark(setting, server, test, pipeline))
                median = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in found.items()}
                for name, (cpu_us, rate, busy) in median.items():
                    value = ratio(median[REFERENCE][0], cpu_us) if name == own_name and REFERENCE in median else None
                    rows.append([test.upper(), pipeline, name, number(cpu_us, 3), number(rate / 1000, 0), number(busy),
                                 number(value) if value else ""])
    section.table(["commands", "pipeline", "server", "CPU µs/op", "1,000 ops/s", "busy", f"{REFERENCE} / {own_name}, CPU"], rows)
    return section


def _valkey_benchmark(setting, server, test, pipeline):
    import peers_root
    # About as long as the windows of the other sections, at the rates that this program reaches.
    operations = int(setting.seconds * {1: 100_000, 16: 700_000}.get(pipeline, 1_200_000))
    argv = ["taskset", "-c", "1", *peers_root.command(
        ["valkey-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-c", "50", "-P", str(pipeline), "-n", str(operations), "-d", "64",
         "-r", str(setting.keys), "-t", test, "--csv"])]
    before = server.cpu_s()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    cpu_s = server.cpu_s() - before
    cells = done.stdout.strip().splitlines()[-1].split(",") if done.stdout.strip() else []
    if done.returncode or len(cells) < 2:
        raise Failure(f"valkey-benchmark against {server.name}: {done.stderr.strip() or done.stdout.strip()}")
    rate = float(cells[1].strip('"'))
    return cpu_s * 1e6 / operations, rate, cpu_s * rate / operations


def store(setting, _, own_name):
    """The node's store without network and commands."""
    section = Section(f"The store of {own_name} alone")
    section.text("No network, no parser: what is left of the server's user time. Compare it with the CPU per operation at pipeline 64 to see where "
                 "time goes, and with the memory per key above to see what the process adds.")
    done = subprocess.run(["taskset", "-c", "0", str(ROOT / "build" / "release" / "bin" / "store_bench"), str(setting.keys)],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"store_bench: {done.stderr.strip()}")
    section.code(done.stdout)
    return section
