"""Demote: an independent cache joins a group; its data goes only when it is named."""
import json
import os
import signal

import lab
from case import Case
from test_input import cluster, group, replica
from test_window import window


class Joining(Case):
    """What the tests of both classes do."""

    def make_group(self, name, replicas=1, zones=None, spec=", applyImmediately: true"):
        """At once and not in the maintenance window, of which test_window.py says more."""
        super().make_group(name, replicas, zones, spec)

    def alone(self, name, keys=20):
        """An independent CacheCluster with keys of its own; returns its data set."""
        self.apply(cluster(name))
        lab.until(f"{name} stands alone", lambda: self.get("ccl", name)["status"].get("role") == "standalone", 60)
        client = self.primary_client(name)
        for i in range(keys):
            client("SET", f"own:{i}", i)
        return self.get("ccl", name)["status"]["dataset"]

    def join(self, name, to, discard=None, kind="ccl"):
        lab.kubectl("patch", kind, name, "-n", self.namespace, "--type=merge", "-p",
                    json.dumps({"spec": {"replicationGroupId": to, "discardExistingData": discard, "promotedFrom": None}}))

    def wait_accepted(self, name, reason, kind="ccl", status=None, timeout=30):
        def there():
            found = lab.condition(self.get(kind, name), "Accepted")
            return found if found.get("reason") == reason and status in (None, found["status"]) else None
        return lab.until(f"{name}: Accepted {reason}", there, timeout)

    def check_serves_alone(self, name, keys=20):
        client = self.primary_client(name)
        self.assertEqual([client("GET", f"own:{i}") for i in range(keys)], [str(i) for i in range(keys)])
        self.assertEqual(client("SET", "own:0", 0), "OK")

    def check_copy(self, name, of):
        copy, source = self.redis(self.ip(name)), self.primary_client(of)
        lab.until("the copy is whole", lambda: copy("DBSIZE") == source("DBSIZE"), 20)
        self.check_data(copy)
        self.assertEqual(copy("ROLE")[0], "slave")
        with self.assertRaisesRegex(lab.ReplyError, "READONLY"):
            copy("SET", "x", "y")

    def check_data(self, client):
        self.assertEqual([client("GET", f"k:{i}") for i in range(50)], [f"v{i}" for i in range(50)])
        self.assertIsNone(client("GET", "own:0"))

    def fill(self, name):
        client = self.primary_client(name)
        for i in range(50):
            client("SET", f"k:{i}", f"v{i}")


class Demote(Joining):
    def test_is_refused_until_the_data_is_named_then_joins(self):
        self.make_group("dem", 1)
        self.fill("dem")
        dataset = self.alone("own")
        pod = lab.pod_of("own", self.namespace)["metadata"]["uid"]
        writer = self.writer(self.service("dem"), patience=1.0)
        self.join("own", "dem")
        found = self.wait_accepted("own", "WouldDiscardData", status="False")
        self.assertIn(f"discardExistingData: {dataset}", found["message"])
        self.check_serves_alone("own")
        self.join("own", "dem", "0123456789abcdef")
        lab.until("the other name is told", lambda: "0123456789abcdef" in self.wait_accepted("own", "WouldDiscardData")["message"], 30)
        self.check_serves_alone("own")
        client = self.primary_client("own")
        self.join("own", "dem", dataset)
        self.wait_whole("dem", 3)
        self.check_copy("own", "dem")
        with self.assertRaises((OSError, lab.ReplyError)):
            client("SET", "late", "x")  # the connection of before is closed
        self.assertEqual(lab.pod_of("own", self.namespace)["metadata"]["uid"], pod, "no restart")
        labels = lab.pod_of("own", self.namespace)["metadata"]["labels"]
        self.assertEqual(labels.get("cache.understudy.dev/reader"), "true")
        writer.stop()
        self.assertEqual(writer.errors, [])
        events = lab.kubectl("get", "events", "-n", self.namespace, "-o", "json")
        for reason in ("WouldDiscardData", "DemoteStarted", "DemoteComplete"):
            self.assertIn(reason, events)

    def test_an_empty_one_needs_no_permission(self):
        self.make_group("emp", 1)
        self.fill("emp")
        self.alone("void", 0)
        self.join("void", "emp")
        self.wait_whole("emp", 3)
        self.check_copy("void", "emp")

    def test_waits_for_a_group_that_does_not_exist(self):
        dataset = self.alone("early")
        self.join("early", "later", dataset)
        found = self.wait_accepted("early", "ReplicationGroupNotFoundFault", status="False")
        self.assertIn("later", found["message"])
        self.assertEqual(lab.condition(self.get("ccl", "early"), "Stalled")["status"], "False")
        self.check_serves_alone("early")
        self.apply(cluster("later-a") + "---\n" + group("later", "{primaryClusterId: later-a, applyImmediately: true}"))
        self.wait_whole("later", 2)
        self.assertEqual(self.primary("later"), "later-a")
        self.assertEqual(self.get("ccl", "early")["status"]["role"], "replica")

    def test_waits_for_room(self):
        self.make_group("room", 5)
        dataset = self.alone("seventh")
        self.join("seventh", "room", dataset)
        self.wait_accepted("seventh", "NodeQuotaForClusterExceeded", status="False")
        self.check_serves_alone("seventh")
        self.delete("rr", "room-r5")
        self.wait_whole("room", 6, 120)
        self.assertEqual(self.get("ccl", "seventh")["status"]["role"], "replica")

    def test_waits_for_a_group_that_is_not_available(self):
        self.make_group("down", 0)
        dataset = self.alone("patient")
        pid = self.pids("down-a")[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            lab.until("the group is not ready", lambda: lab.condition(self.group("down"), "Ready")["status"] == "False", 60)
            self.join("patient", "down", dataset)
            self.wait_accepted("patient", "InvalidReplicationGroupState", status="False")
            self.check_serves_alone("patient")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.wait_whole("down", 2)

    def test_a_promote_is_undone_by_a_demote(self):
        self.make_group("undo", 1)
        self.fill("undo")
        shared = self.get("rr", "undo-r1")["status"]["dataset"]
        lab.kubectl("patch", "rr", "undo-r1", "-n", self.namespace, "--type=merge", "-p",
                    '{"spec":{"replicationGroupId":null,"promotedFrom":"undo"}}')
        lab.until("it is independent", lambda: self.get("rr", "undo-r1")["status"].get("role") == "standalone", 60)
        self.assertEqual(self.redis(self.ip("undo-r1"))("SET", "own:0", "mine"), "OK")
        self.join("undo-r1", "undo", shared, "rr")
        found = self.wait_accepted("undo-r1", "WouldDiscardData", "rr")
        dataset = self.get("rr", "undo-r1")["status"]["dataset"]
        self.assertIn(f"discardExistingData: {dataset}", found["message"])
        self.assertEqual(self.redis(self.ip("undo-r1"))("GET", "own:0"), "mine")
        self.join("undo-r1", "undo", dataset, "rr")
        self.wait_whole("undo", 2)
        self.check_copy("undo-r1", "undo")

    def test_a_wish_that_waits_is_taken_back_by_the_manifest_as_it_was(self):
        self.make_group("later2", 1, spec=f", preferredMaintenanceWindow: '{window(2 * 24 * 60)[0]}'")
        dataset = self.alone("undecided")
        self.join("undecided", "later2", dataset)
        self.wait_accepted("undecided", "Demoting")
        lab.kubectl("patch", "ccl", "undecided", "-n", self.namespace, "--type=merge", "-p",
                    '{"spec":{"replicationGroupId":null,"discardExistingData":null}}')
        lab.until("nothing is pending", lambda: not self.get("ccl", "undecided")["status"].get("pending"), 30)
        self.check_serves_alone("undecided")
        # A member may not lose the field like that, nor a node that nobody has looked at yet.
        self.assertIn("confirm it with promotedFrom: later2", self.refused(replica("later2-r1", "{}")))
        # The group that it belongs to, not the one that it has asked for.
        self.join("later2-r1", "nosuch", kind="rr")
        self.wait_accepted("later2-r1", "ReplicationGroupNotFoundFault", "rr")
        for spec in ("{}", "{promotedFrom: nosuch}"):
            self.assertIn("confirm it with promotedFrom: later2", self.refused(replica("later2-r1", spec)))
        self.apply(replica("later2-r1", "{promotedFrom: later2}"))
        self.wait_accepted("later2-r1", "Promoting", "rr")
        self.join("later2-r1", "later2", kind="rr")
        self.wait_accepted("later2-r1", "Accepted", "rr")

    def test_a_restart_voids_the_permission(self):
        self.make_group("void2", 1)
        dataset = self.alone("again")
        os.kill(self.pids("again")[0], signal.SIGKILL)
        lab.until("another data set", lambda: self.get("ccl", "again")["status"]["dataset"] != dataset and
                  self.get("ccl", "again")["status"]["phase"] == "available", 60)
        self.primary_client("again")("SET", "own:0", 0)
        self.join("again", "void2", dataset)
        self.wait_accepted("again", "WouldDiscardData")
        self.assertEqual(self.redis(self.ip("again"))("GET", "own:0"), "0")

    def test_a_primary_that_dies_in_the_middle(self):
        self.make_group("mid", 2)
        self.fill("mid")
        for r in ("r1", "r2"):
            lab.until(f"{r} has the keys", lambda r=r: self.redis(self.ip(f"mid-{r}"))("GET", "k:49") == "v49", 20)
        dataset = self.alone("joins")
        epoch = self.group("mid")["status"]["epoch"]
        pid = self.pids("mid-a")[0]
        self.join("joins", "mid", dataset)
        os.kill(pid, signal.SIGKILL)
        self.wait_failed_over("mid", epoch, 60)
        primary = self.wait_whole("mid", 4, 120)["status"]["primary"]
        # What has joined before the end of the primary may be elected, with the whole copy.
        for name in {"joins", "mid-a", "mid-r1", "mid-r2"} - {primary}:
            self.check_copy(name, "mid")
        self.check_data(self.redis(self.ip(primary)))
        self.assertNotEqual(primary, "mid-a")


class Move(Joining):
    """From one group to another."""

    def test_of_a_replica(self):
        self.make_group("from", 1)
        self.make_group("to", 1)
        self.fill("to")
        self.primary_client("from")("SET", "own:0", "kept")
        lab.until("the replica has it", lambda: self.redis(self.ip("from-r1"))("GET", "own:0") == "kept", 20)
        dataset = self.get("rr", "from-r1")["status"]["dataset"]
        self.join("from-r1", "nowhere", dataset, "rr")
        self.wait_accepted("from-r1", "ReplicationGroupNotFoundFault", "rr")
        self.wait_whole("from", 2)
        self.join("from-r1", "to", None, "rr")
        self.wait_accepted("from-r1", "WouldDiscardData", "rr")
        self.join("from-r1", "to", dataset, "rr")
        self.wait_whole("to", 3)
        self.wait_whole("from", 1)
        self.check_copy("from-r1", "to")
        self.assertEqual(self.primary_client("from")("GET", "own:0"), "kept")

    def test_of_a_primary(self):
        self.make_group("main", 1)
        self.make_group("old", 1)
        self.fill("main")
        self.join("old-a", "main", self.get("ccl", "old-a")["status"]["dataset"])
        self.wait_accepted("old-a", "InvalidCacheClusterState", status="False")
        self.assertEqual(self.primary("old"), "old-a")
        self.delete("rr", "old-r1")
        self.wait_whole("main", 3, 120)
        self.check_copy("old-a", "main")
        found = lab.condition(self.group("old"), "Ready")
        self.assertEqual((found["status"], found["reason"]), ("False", "Emptied"))
        self.assertIsNone(self.get("endpointslice", "old-primary"))
        self.apply(replica("old-r2", "{replicationGroupId: old}"))
        self.wait_whole("old", 1)
        self.assertEqual(self.primary("old"), "old-r2")
