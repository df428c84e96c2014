"""Faults of the operator and of the API server: they must not cost the caches anything."""
import os
import signal
import subprocess
import time

import lab
from case import Case, Probes


class Operator(Case):
    def steady(self, name, seconds, fault, recover):
        """While `fault` lasts: no write refused, no failover. Grants resume after it."""
        self.make_group(name, 1, "ba")
        before = self.group(name)["status"]
        writer = self.writer(self.service(name), "node-a", patience=1.0)
        fault()
        try:
            time.sleep(seconds)
            errors = list(writer.errors)
        finally:
            recover()
        self.assertEqual(errors, [])
        self.assertLess(time.monotonic() - writer.acks[-1][2], 1.0)
        lab.until("the operator is back", lambda: self.group(name) is not None and lab.leader(), 60)
        time.sleep(3)
        writer.stop()
        self.assertEqual(writer.errors, [])
        after = self.wait_whole(name, 2)["status"]
        self.assertEqual(after["epoch"], before["epoch"])
        self.assertEqual(after["primary"], before["primary"])

    def test_api_server_down_for_a_minute(self):
        self.steady("api", 60, lambda: lab.cluster("apiserver", "stop"), lambda: lab.cluster("apiserver", "start"))
        # What is made after it comes up too. Kubernetes takes its time: its Nodes are Unknown by then, and kubelets,
        # scheduler and controllers each come back after a pause of up to a minute.
        self.make_group("after", 2, "cba", timeout=300)

    def test_no_operator_for_a_minute(self):
        def scale(n):
            lab.kubectl("scale", "deployment", "-n", lab.SYSTEM, "-l", "app.kubernetes.io/name=understudy", f"--replicas={n}")
        self.steady("zero", 60, lambda: scale(0), lambda: scale(2))
        lab.kubectl("rollout", "status", "deployment", "-n", lab.SYSTEM, "-l", "app.kubernetes.io/name=understudy", "--timeout=60s")

    def test_operator_cut_off_from_the_primary_alone_does_nothing(self):
        self.make_group("seen", 1, "cb")
        before = self.group("seen")["status"]
        writer = self.writer(self.service("seen"), "node-a", patience=1.0)
        lab.cluster("cut", f"{lab.SYSTEM}/{lab.leader_pod()}", "--from", f"{self.namespace}/seen-a-0")
        time.sleep(8)
        lab.cluster("heal")
        writer.stop()
        self.assertEqual(writer.errors, [])
        after = self.wait_whole("seen", 2)["status"]
        self.assertEqual((after["epoch"], after["primary"]), (before["epoch"], before["primary"]))

    def test_operator_cut_off_from_all_nodes_does_nothing(self):
        self.make_group("blind", 1, "cb")
        before = self.group("blind")["status"]
        writer = self.writer(self.service("blind"), "node-a", patience=1.0)
        leader = f"{lab.SYSTEM}/{lab.leader_pod()}"
        for node in ("blind-a", "blind-r1"):
            lab.cluster("cut", leader, "--from", f"{self.namespace}/{node}-0")
        time.sleep(8)
        lab.cluster("heal")
        writer.stop()
        self.assertEqual(writer.errors, [])
        after = self.wait_whole("blind", 2)["status"]
        self.assertEqual((after["epoch"], after["primary"]), (before["epoch"], before["primary"]))

    def test_leader_killed_in_the_middle_of_a_takeover(self):
        self.make_group("mid", 2, "cba")
        epoch = self.group("mid")["status"]["epoch"]
        pod = lab.leader_pod()
        pids = [int(p) for p in lab.cluster("pids", f"{lab.SYSTEM}/{pod}").split()]
        # The fence is persisted when the primary has been silent for a second; a watch tells at once.
        begun = subprocess.Popen([lab.CLUSTER, "kubectl", "wait", "--for=jsonpath={.status.failover.step}=fence", "rg/mid",
                                  "-n", self.namespace, "--timeout=30s"], stdout=subprocess.DEVNULL)
        time.sleep(1)
        stopped = self.pids("mid-a")[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            self.assertEqual(begun.wait(40), 0, "the takeover has begun")
            os.kill(pids[0], signal.SIGKILL)
            group = self.wait_failed_over("mid", epoch, 60)
        finally:
            os.kill(stopped, signal.SIGCONT)
        self.assertEqual(group["status"]["epoch"], epoch + 1, "one election")
        self.wait_whole("mid", 3)

    def test_leader_on_the_primarys_host_is_cut_off_with_it(self):
        self.make_group("both", 2, "cba")
        lab.move_leader(lambda host: host == "node-c")
        epoch = self.group("both")["status"]["epoch"]
        writer = self.writer(self.service("both"), "node-a")
        probes = Probes({n: (self.host_of(n), self.ip(n)) for n in ("both-a", "both-r1", "both-r2")})
        self.addCleanup(probes.stop)
        time.sleep(0.3)
        lab.cluster("cut", "node-c")
        cut = time.monotonic()
        try:
            group = self.wait_failed_over("both", epoch, 60)
            self.assertNotEqual(group["status"]["primary"], "both-a")
            mark = time.monotonic()
            lab.until("the writer goes on", lambda: writer.acks[-1][1] > mark, 20, 0.02)
            # The operator beside it grants until its own leadership cannot be renewed (renewDeadline 4 s), and each
            # grant lasts T (1.5 s).
            last = max((received for _, received in probes.probes["both-a"].acks), default=0)
            self.assertLess(last - cut, 4 + 1.5 + 0.3)
            probes.check(self)
        finally:
            lab.cluster("heal")
        self.wait_whole("both", 3, 120)
