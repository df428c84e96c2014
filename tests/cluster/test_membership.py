"""Replicas come and go, nodes and groups are deleted: the data that anybody still declares stays."""
import os
import signal
import threading
import time

import lab
from case import Case
from test_input import cluster, group, replica


class Membership(Case):
    def test_a_standing_cluster_becomes_the_first_primary_with_its_data(self):
        self.apply(cluster("stand"))
        lab.until("standalone", lambda: lab.condition(self.get("ccl", "stand"), "Ready")["status"] == "True", 60)
        uid = lab.pod_of("stand", self.namespace)["metadata"]["uid"]
        self.primary_client("stand")("SET", "k", "before")
        self.apply(group("claims", "{primaryClusterId: stand}") + "---\n" + replica("claims-r1", "{replicationGroupId: claims}"))
        self.wait_whole("claims", 2)
        self.assertEqual(lab.pod_of("stand", self.namespace)["metadata"]["uid"], uid, "no restart")
        lab.until("the replica has the data", lambda: self.redis(self.ip("claims-r1"))("GET", "k") == "before", 10)

    def test_replicas_added_and_removed(self):
        self.make_group("grow", 1)
        self.apply(replica("grow-r2", "{replicationGroupId: grow}"))
        self.wait_whole("grow", 3)
        self.delete("rr", "grow-r1")
        self.wait_whole("grow", 2)
        lab.until("its Pod and its object are gone", lambda: self.get("rr", "grow-r1") is None and self.get("pod", "grow-r1-0") is None, 60)
        for kind, name in (("statefulset", "grow-r1"), ("service", "grow-r1"), ("service", "grow-r1-node")):
            lab.until(f"{kind} {name} is gone", lambda k=kind, n=name: self.get(k, n) is None, 30)

    def test_a_replica_lost_comes_back_and_votes_again(self):
        self.make_group("lose", 2)
        client = self.primary_client("lose")
        old = self.group("lose")["status"]["configurations"][0]
        os.kill(self.pids("lose-r1")[0], signal.SIGKILL)

        def replaced():
            configurations = self.group("lose")["status"]["configurations"]
            return len(configurations) == 1 and len(configurations[0].get("voters", [])) == 2 and configurations[0]["number"] > old["number"]
        lab.until("the new process votes", replaced, 60)
        self.assertEqual(client("SET", "k", "v"), "OK")
        self.assertEqual(self.group("lose")["status"]["epoch"], 1)

    def test_writes_without_the_replicas_they_need_are_refused_until_one_comes(self):
        self.make_group("need", 1, spec=", synchronousReplicas: 1")
        self.assertEqual(self.primary_client("need")("SET", "k", "v"), "OK")
        self.delete("rr", "need-r1")
        lab.kubectl("delete", "pod", "need-r1-0", "-n", self.namespace, "--grace-period=0", "--force", "--wait=false")

        ends = []

        def write():
            client = lab.Redis("node-a", self.ip("need-a"), timeout=60)
            try:
                while client("SET", "k", "x") == "OK":
                    time.sleep(0.05)
            except (lab.ReplyError, OSError) as error:
                ends.append(str(error))
            finally:
                client.close()
        writer = threading.Thread(target=write, daemon=True)
        writer.start()

        def answer():
            # For 10 s a write waits for the replica that was there.
            client = lab.Redis("node-a", self.ip("need-a"), timeout=1)
            try:
                return client("SET", "k", "w")
            except lab.ReplyError as error:
                return str(error)
            finally:
                client.close()
        lab.until("writes are refused", lambda: answer().startswith("NOREPLICAS"), 40, 0.5)
        writer.join(2)
        self.assertEqual(ends, ["closed by the server"], "the write that waited ends with its connection")
        self.assertEqual(lab.condition(self.group("need"), "Ready")["reason"], "NotEnoughReplicas")
        self.assertEqual(lab.condition(self.get("ccl", "need-a"), "Ready")["reason"], "NotEnoughReplicas")
        self.assertIn("NotEnoughReplicas", lab.kubectl("get", "events", "-n", self.namespace, "-o", "json"))
        self.apply(replica("need-r2", "{replicationGroupId: need}"))
        self.wait_whole("need", 2)
        self.assertEqual(answer(), "OK")
        lab.until("the deleted one is gone", lambda: self.get("rr", "need-r1") is None, 30)

    def test_a_deleted_primary_is_replaced(self):
        self.make_group("heir", 1)
        self.primary_client("heir")("SET", "k", "kept")
        lab.until("the replica has it", lambda: self.redis(self.ip("heir-r1"))("GET", "k") == "kept", 10)
        self.delete("ccl", "heir-a")
        lab.until("the replica is primary", lambda: self.primary("heir") == "heir-r1", 60)
        lab.until("its object is gone", lambda: self.get("ccl", "heir-a") is None, 60)
        self.assertEqual(self.primary_client("heir")("GET", "k"), "kept")

    def test_a_deleted_group_leaves_its_members_with_their_data(self):
        self.make_group("gone", 1)
        self.primary_client("gone")("SET", "k", "kept")
        lab.until("the replica has it", lambda: self.redis(self.ip("gone-r1"))("GET", "k") == "kept", 10)
        self.delete("rg", "gone")
        lab.until("the group is gone", lambda: self.group("gone") is None, 60)
        alone = lab.until("the primary stands alone", lambda: self.get("ccl", "gone-a")["status"].get("role") == "standalone" and
                          self.redis(self.ip("gone-a")), 60)
        self.assertEqual(alone("GET", "k"), "kept")
        lab.until("it takes writes", lambda: alone("SET", "k", "more") == "OK", 30)
        other = self.redis(self.ip("gone-r1"))
        self.assertEqual(other("GET", "k"), "kept")
        with self.assertRaisesRegex(lab.ReplyError, "READONLY"):
            other("SET", "k", "x")
        reason = lab.until("it says why", lambda: lab.condition(self.get("rr", "gone-r1"), "Ready").get("reason"), 30)
        self.assertIn("ReplicationGroupNotFound", reason)
        for name in ("gone", "gone-reader"):
            lab.until(f"service {name} is gone", lambda n=name: self.get("service", n) is None, 30)

    def test_a_group_whose_nodes_were_all_deleted_starts_anew_with_the_next_one(self):
        self.make_group("anew", 1)
        epoch = self.group("anew")["status"]["epoch"]
        lab.kubectl("delete", "ccl/anew-a", "rr/anew-r1", "-n", self.namespace, "--wait=false")
        lab.until("it says that it is empty", lambda: lab.condition(self.group("anew"), "Ready")["reason"] == "Emptied", 60)
        lab.until("its nodes are gone", lambda: self.get("pod", "anew-a-0") is None and self.get("pod", "anew-r1-0") is None, 60)
        # What proved that the old processes have ended goes with the operator that saw it.
        lab.kubectl("delete", "pod", "-n", lab.SYSTEM, "--all", "--grace-period=1")
        self.apply(replica("anew-r2", "{replicationGroupId: anew}"))
        group = self.wait_whole("anew", 1)
        self.assertEqual(group["status"]["primary"], "anew-r2")
        self.assertGreater(group["status"]["epoch"], epoch)
        self.assertEqual(self.primary_client("anew")("SET", "k", "v"), "OK")

    def test_every_node_lost_starts_empty_and_says_so(self):
        self.make_group("all", 1)
        epoch = self.group("all")["status"]["epoch"]
        pids = [self.pids(n)[0] for n in ("all-a", "all-r1")]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        status = self.wait_failed_over("all", epoch, 60)["status"]
        self.assertTrue(status["failoverHistory"][-1].get("dataLost"), status["failoverHistory"][-1])
        self.wait_whole("all", 2)
        events = lab.kubectl("get", "events", "-n", self.namespace, "-o", "json")
        self.assertIn("DataLost", events)
