"""Promote: a replica leaves its group with its data, key by key, and the group keeps serving."""
import json
import os
import signal
import time

import lab
from case import Case
from test_input import cluster, group, replica


class Promote(Case):
    KEYS = 300

    def make_group(self, name, replicas=1, zones=None, spec=", applyImmediately: true"):
        """At once and not in the maintenance window, of which test_window.py says more."""
        super().make_group(name, replicas, zones, spec)

    def fill(self, name, replicas=("r1",)):
        """Keys of several kinds in the group, on every replica; returns what they are."""
        client = self.primary_client(name)
        for i in range(self.KEYS):
            client("SET", f"k:{i}", f"v{i}")
        client("SET", "expires", "soon", "EX", 3600)
        for r in replicas:
            lab.until(f"{r} has them", lambda r=r: self.redis(self.ip(f"{name}-{r}"))("GET", f"k:{self.KEYS - 1}") == f"v{self.KEYS - 1}", 20)
        return {f"k:{i}": f"v{i}" for i in range(self.KEYS)} | {"expires": "soon"}

    def held(self, client, keys):
        return {key: client("GET", key) for key in keys}

    def promote(self, name, of, kind="rr"):
        lab.kubectl("patch", kind, name, "-n", self.namespace, "--type=merge", "-p",
                    json.dumps({"spec": {"replicationGroupId": None, "promotedFrom": of}}))

    def wait_alone(self, name, kind="rr", timeout=60):
        def alone():
            status = self.get(kind, name)["status"]
            return status.get("role") == "standalone" and status["phase"] == "available" and not status.get("replicationGroupId")
        lab.until(f"{name} is independent", alone, timeout)
        return self.get(kind, name)

    def wait_condition(self, kind, name, type_, reason, timeout=30):
        return lab.until(f"{kind} {name}: {type_} {reason}",
                         lambda: (lambda c: c if c.get("reason") == reason else None)(lab.condition(self.get(kind, name), type_)), timeout)

    def events(self):
        return lab.kubectl("get", "events", "-n", self.namespace, "-o", "json")

    def test_leaves_with_its_data_and_the_group_goes_on(self):
        self.make_group("pro", 2)
        keys = self.fill("pro", ("r1", "r2"))
        before, pod = self.group("pro")["status"], lab.pod_of("pro-r1", self.namespace)["metadata"]["uid"]
        dataset = self.get("rr", "pro-r1")["status"]["dataset"]
        pids = {n: self.pids(n) for n in ("pro-a", "pro-r1", "pro-r2")}
        writer = self.writer(self.service("pro"), patience=1.0)
        self.promote("pro-r1", "pro")
        status = self.wait_alone("pro-r1")["status"]
        self.assertNotEqual(status["dataset"], dataset, "another data set from here on")
        self.assertEqual(lab.pod_of("pro-r1", self.namespace)["metadata"]["uid"], pod, "its Pod is not restarted")
        alone = self.primary_client("pro-r1")
        self.assertEqual(self.held(alone, keys), keys)
        self.assertGreater(alone("TTL", "expires"), 0)
        self.assertEqual(alone("SET", "k:0", "mine"), "OK")
        self.assertEqual(alone("ROLE")[0], "master")
        # The group: whole, uninterrupted, and it does not see what the other one writes.
        self.wait_whole("pro", 2)
        mark = time.monotonic()
        lab.until("the writer goes on", lambda: writer.acks[-1][1] > mark, 10, 0.02)
        writer.stop()
        self.assertEqual(writer.errors, [])
        after = self.group("pro")["status"]
        self.assertEqual((after["epoch"], after["primary"]), (before["epoch"], before["primary"]))
        self.assertEqual(self.primary_client("pro")("GET", "k:0"), "v0")
        self.assertEqual({n: self.pids(n) for n in pids}, pids, "no process was restarted")
        labels = lab.pod_of("pro-r1", self.namespace)["metadata"]["labels"]
        self.assertEqual(labels.get("cache.understudy.dev/role"), "standalone")
        for label in ("group", "reader"):
            self.assertNotIn(f"cache.understudy.dev/{label}", labels)
        events = self.events()
        for reason in ("PromoteStarted", "PromoteComplete"):
            self.assertIn(reason, events)
        self.assertNotIn("DataLost", events)

    def test_removing_the_field_alone_is_refused_and_so_are_both_at_once(self):
        self.make_group("acc", 1)
        error = self.refused(replica("acc-r1", "{}"))
        self.assertIn("confirm it with promotedFrom: acc", error)
        error = self.refused(replica("acc-r1", "{promotedFrom: other}"))
        self.assertIn("confirm it with promotedFrom: acc", error)
        error = self.refused(replica("acc-r1", "{promotedFrom: acc, replicationGroupId: acc}"))
        self.assertIn("only one of them may be set", error)
        self.assertIn("replicationGroupId", self.refused(replica("acc-new", "{}")))
        self.wait_whole("acc", 2)

    def test_of_the_primary_waits_for_a_switchover(self):
        self.make_group("pri", 1)
        keys = self.fill("pri")
        self.promote("pri-a", "pri", "ccl")
        found = self.wait_condition("ccl", "pri-a", "Accepted", "InvalidCacheClusterState")
        self.assertEqual(found["status"], "False")
        self.assertIn("primaryClusterId", found["message"])
        self.assertEqual(self.primary("pri"), "pri-a")
        lab.kubectl("patch", "rg", "pri", "-n", self.namespace, "--type=merge", "-p", '{"spec":{"primaryClusterId":"pri-r1"}}')
        self.wait_alone("pri-a", "ccl")
        self.assertEqual(self.primary("pri"), "pri-r1")
        self.assertEqual(self.held(self.redis(self.ip("pri-a")), keys), keys)
        self.assertEqual(self.held(self.primary_client("pri"), keys), keys)

    def test_waits_while_it_is_cut_off_and_can_be_taken_back(self):
        self.make_group("can", 1, "cb")
        lab.cluster("cut", f"{self.namespace}/can-r1-0", "--from", f"{self.namespace}/can-a-0")
        try:
            lab.until("it is not in sync", lambda: lab.condition(self.get("rr", "can-r1"), "InSync")["status"] == "False", 60)
            self.promote("can-r1", "can")
            self.wait_condition("rr", "can-r1", "Accepted", "Promoting")
            lab.kubectl("patch", "rr", "can-r1", "-n", self.namespace, "--type=merge", "-p",
                        '{"spec":{"replicationGroupId":"can","promotedFrom":null}}')
            self.wait_condition("rr", "can-r1", "Accepted", "Accepted")
        finally:
            lab.cluster("heal")
        self.wait_whole("can", 2)

    def test_the_last_replica_may_go(self):
        self.make_group("last", 1)
        self.promote("last-r1", "last")
        self.wait_alone("last-r1")
        self.wait_whole("last", 1)
        found = self.group("last")
        self.assertEqual(lab.condition(found, "FailoverReady")["status"], "False")
        self.assertEqual(found["status"]["automaticFailover"], "enabling")
        self.assertEqual(self.redis(self.service("last-reader"))("PING"), "PONG")

    def test_a_primary_that_dies_in_the_middle(self):
        self.make_group("mid", 2)
        keys = self.fill("mid", ("r1", "r2"))
        epoch = self.group("mid")["status"]["epoch"]
        pid = self.pids("mid-a")[0]
        self.promote("mid-r1", "mid")
        os.kill(pid, signal.SIGKILL)
        group_ = self.wait_failed_over("mid", epoch, 60)
        new = group_["status"]["primary"]
        self.assertEqual(self.held(self.primary_client("mid"), keys), keys)
        if new == "mid-r1":
            self.wait_condition("rr", "mid-r1", "Accepted", "InvalidCacheClusterState")
        else:
            self.wait_alone("mid-r1")
            self.assertEqual(self.held(self.redis(self.ip("mid-r1")), keys), keys)

    def test_an_operator_that_dies_in_the_middle(self):
        self.make_group("op", 1)
        keys = self.fill("op")
        pod = lab.leader_pod()
        pids = [int(p) for p in lab.cluster("pids", f"{lab.SYSTEM}/{pod}").split()]
        self.promote("op-r1", "op")
        os.kill(pids[0], signal.SIGKILL)
        self.wait_alone("op-r1")
        self.assertEqual(self.held(self.redis(self.ip("op-r1")), keys), keys)
        self.wait_whole("op", 1)

    def test_on_an_empty_cluster_it_is_an_empty_cluster(self):
        self.apply(group("gone", "{primaryClusterId: gone-a}") + "---\n" + cluster("gone-a", "{promotedFrom: gone}") + "---\n" +
                   replica("gone-r1", "{replicationGroupId: gone}"))
        self.wait_alone("gone-a", "ccl")
        self.wait_whole("gone", 1)
        self.assertEqual(self.primary("gone"), "gone-r1")
        self.assertEqual(self.redis(self.ip("gone-a"))("DBSIZE"), 0)

    def test_of_what_a_deleted_group_left(self):
        self.make_group("left", 1)
        keys = self.fill("left")
        self.delete("rg", "left")
        lab.until("the group is gone", lambda: self.group("left") is None, 60)
        self.promote("left-r1", "left")
        self.wait_alone("left-r1")
        alone = self.redis(self.ip("left-r1"))
        self.assertEqual(self.held(alone, keys), keys)
        self.assertEqual(alone("SET", "k:0", "mine"), "OK")
