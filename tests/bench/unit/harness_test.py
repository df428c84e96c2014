#!/usr/bin/env python3
"""What the harness concludes from figures, and what the hostile clients see of a server. Needs no build and no root."""
import importlib.machinery
import importlib.util
import os
import pathlib
import socket
import sys
import threading
import unittest
from unittest import mock

sys.dont_write_bytecode = True
BENCH = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCH / "harness"))
import peers_root  # noqa: E402,F401  (adds the folder of `progress` to the path)
import churn  # noqa: E402
import hostile  # noqa: E402
import hostile_clients  # noqa: E402
import report  # noqa: E402
from progress import Failure  # noqa: E402


def program():
    loader = importlib.machinery.SourceFileLoader("bench_program", str(BENCH / "bench"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def us(tail):
    return {"p50": 50.0, "p99": 80.0, "p99.9": tail, "max": 10 * tail}


def phase(tail, turn_cpu_ms=0.2):
    return churn.Phase(us(tail), us(5.0), 0.5, turn_cpu_ms, 3.0, 1000)


class ChurnTest(unittest.TestCase):
    def found(self, tail=150.0, turn_cpu_ms=0.2):
        pairs = [(phase(100.0), phase(150.0)), (phase(100.0), phase(tail, turn_cpu_ms)), (phase(100.0), phase(150.0))]
        return {(kind, name): pairs for kind in churn.KINDS for name in ("understudy", "valkey")}

    def test_each_phase_counts_beside_its_own_quiet_phase(self):
        pairs = [(phase(100.0), phase(150.0)), (phase(400.0), phase(600.0)), (phase(10.0), phase(90.0))]
        self.assertEqual(churn.tail_ratio(pairs), 1.5)

    def test_one_bad_round_of_three_does_not_decide_the_tail_but_the_longest_turn(self):
        rows = churn.musts(self.found(tail=9000.0, turn_cpu_ms=1.01), "understudy")
        self.assertEqual([row[3] for row in rows], [True, True, True, True, False])
        self.assertEqual(rows[-1][1:3], ("1.0", "1.01"))

    def test_a_tail_above_twice_the_quiet_one_is_not_reached(self):
        found = {key: [(phase(100.0), phase(201.0))] for key in self.found()}
        self.assertEqual([row[3] for row in churn.musts(found, "understudy")], [False, False, False, False, True])

    def test_a_node_that_does_not_tell_its_turns_is_a_failure(self):
        found = {key: [(phase(100.0, None), phase(150.0, None))] for key in self.found()}
        with self.assertRaisesRegex(Failure, "eventloop_cpu_max"):
            churn.musts(found, "understudy")

    def test_the_musts_are_lines_of_the_report(self):
        section = report.Section("x")
        section.musts(churn.musts(self.found(turn_cpu_ms=2.0), "understudy"))
        self.assertIn("| p99.9 while the table doubles ÷ quiet | 2.0 | 1.50 | yes |", section.lines)
        self.assertIn("| CPU time of any turn, ms | 1.0 | 2.00 | **no** |", section.lines)


def trial(tail=150.0, memory=5_000_000, left=0, **seen):
    counts = hostile_clients.tally()
    counts.update({"connects": 100_000, **seen})
    return hostile.Trial(us(100.0), us(tail), us(5.0), memory, counts, left, 0.3)


class HostileTest(unittest.TestCase):
    def judge(self, title, bad, connects=100_000):
        found = {(b.title, "understudy"): [trial(), bad if b.title == title else trial()] for b in hostile.BEHAVIOURS}
        return [row[0] for row in hostile.musts(found, "understudy", connects) if not row[3]]

    def test_all_is_reached_where_nothing_happened(self):
        self.assertEqual(self.judge("connects", trial()), [])

    def test_what_one_round_saw_of_memory_silence_and_lost_connections_decides(self):
        self.assertEqual(self.judge("clients that never read", trial(memory=129_000_000)), ["memory for clients that never read, MB"])
        self.assertEqual(self.judge("oversized arguments", trial(silent=1)), ["oversized arguments without an error or an end"])
        self.assertEqual(self.judge("half-open connections", trial(left=1)), ["connections that stay 30 s after half-open connections"])
        self.assertEqual(self.judge("deep pipelines", trial(tail=500.0)), ["p99.9 beside deep pipelines ÷ quiet"])

    def test_too_few_connects_are_a_failure(self):
        with self.assertRaisesRegex(Failure, "99,999 connects"):
            self.judge("connects", trial(connects=99_999))


class FakeServer:
    """Answers each connection's first bytes with `answer`; None: never answers; "": ends it."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.kept = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.kept.append(client)
            if self.answer is not None:
                try:
                    client.recv(1 << 20)
                    client.sendall(self.answer)
                except ConnectionError:
                    pass
                client.close()

    def close(self):
        self.listener.close()
        for client in self.kept:
            client.close()


class HostileClientsTest(unittest.TestCase):
    def run_against(self, answer, behave, until):
        server = FakeServer(answer)
        seen, stop = hostile_clients.tally(), threading.Event()
        thread = threading.Thread(target=behave, args=(server, stop, seen), daemon=True)
        thread.start()
        for _ in range(200):
            if until(seen):
                break
            thread.join(0.05)
        stop.set()
        thread.join(10)
        self.assertFalse(thread.is_alive())
        server.close()
        return seen

    def test_an_error_reply_is_seen(self):
        seen = self.run_against(b"-ERR Protocol error: invalid bulk length\r\n", hostile_clients.oversized_arguments, lambda s: s["errors"] >= 5)
        self.assertGreaterEqual(seen["errors"], 5)
        self.assertEqual(seen["silent"], 0)

    def test_a_reply_that_is_no_error_is_not_taken_for_one(self):
        seen = self.run_against(b"+OK\r\n", hostile_clients.oversized_arguments, lambda s: s["silent"] + s["closed"] >= 5)
        self.assertEqual(seen["errors"], 0)
        self.assertGreater(seen["silent"], 0)

    def test_silence_is_noticed(self):
        with mock.patch.object(hostile_clients, "_PATIENCE_S", 0.05), mock.patch.object(hostile_clients._connect, "__defaults__", (0.05,)):
            seen = self.run_against(None, hostile_clients.oversized_arguments, lambda s: s["silent"] >= 1)
        self.assertGreaterEqual(seen["silent"], 1)

    def test_connects_are_counted(self):
        seen = self.run_against(b"", hostile_clients.connects, lambda s: s["connects"] >= 30)
        self.assertGreaterEqual(seen["connects"], 30)


class SettingTest(unittest.TestCase):
    def setting(self, **environment):
        bench = program()
        options, _ = bench.parse(["churn"])
        with mock.patch.dict(os.environ, environment, clear=True):
            return bench.setting_of(options)

    def test_keys_rounds_and_seconds_come_from_the_environment(self):
        setting = self.setting(KEYS="300000", ROUNDS="2", SECONDS="1.5")
        self.assertEqual((setting.churn_keys, setting.rounds, setting.churn_s, setting.hostile_s), (300_000, 2, 1.5, 1.5))
        self.assertEqual(self.setting().churn_keys, 5_000_000)
        self.assertEqual(self.setting().hostile_connects, 100_000)

    def test_a_number_that_is_none_is_refused(self):
        with self.assertRaisesRegex(Failure, "KEYS must be a positive number, not 'many'"):
            self.setting(KEYS="many")


if __name__ == "__main__":
    unittest.main()
