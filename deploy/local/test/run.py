"""Runs the self-test: state of the host before, cluster up, the tests, down, host after."""
import sys
import tempfile
import time

import faults
import harness
import lifecycle
import workload
from harness import check, cluster, traces

# Each of them uses only what prepare() set up.
_TESTS = {
    "nodes": workload.test_nodes, "commands": workload.test_commands, "helm": workload.test_helm,
    "services": workload.test_services, "exec": workload.test_exec_and_logs,
    "tokens": workload.test_tokens, "cut": faults.test_cut_pod, "pairs": faults.test_cut_pairs,
    "oneway": faults.test_one_way, "processes": faults.test_processes,
    "outage": faults.test_outage, "apiserver": faults.test_apiserver,
    "crashes": lifecycle.test_crashes, "refusals": lifecycle.test_refusals,
}


def main(names):
    unknown = [name for name in names if name not in [*_TESTS, "unfinished"]]
    if unknown:
        print(f"no such test: {' '.join(unknown)}; tests are {' '.join(_TESTS)} unfinished",
              file=sys.stderr)
        return 2
    began = time.monotonic()
    cluster("down")
    before = traces()
    check("nothing of a cluster is there before", not before["processes"] and
          not before["cgroups"], before)
    print("up", flush=True)
    up = lifecycle.test_up()
    if up:
        with tempfile.TemporaryDirectory() as work:
            usable = workload.prepare(work)
            for name, test in _TESTS.items():
                if not usable or (names and name not in names):
                    continue
                print(f"{name} ({time.monotonic() - began:.0f} s)", flush=True)
                try:
                    test()
                except Exception as error:  # one broken test must not hide the others
                    check(f"{name} ran to its end", False, repr(error))
                    cluster("heal")
    print(f"down ({time.monotonic() - began:.0f} s)", flush=True)
    done = cluster("down")
    check("down succeeds", done.returncode == 0, done.stderr)
    harness.check_traces("after down", before)
    done = cluster("down")
    check("down of nothing succeeds", done.returncode == 0, done.stderr)
    if up and (not names or "unfinished" in names):
        print(f"unfinished ({time.monotonic() - began:.0f} s)", flush=True)
        lifecycle.test_unfinished(before)
    print(f"{harness.passed} passed, {len(harness.failed)} failed")
    for name in harness.failed:
        print(f"  failed: {name}")
    return 1 if harness.failed else 0
