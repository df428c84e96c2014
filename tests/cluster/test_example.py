"""The documented example, word for word and in every order, and what a steady group does not do."""
import itertools
import os
import re
import signal
import time

import lab
from case import Case

EXAMPLE = (lab.ROOT / "deploy/examples/example.yaml").read_text(encoding="utf-8")
DOCUMENTS = [d.strip() for d in re.split(r"^---$", EXAMPLE, flags=re.M) if "kind:" in d]


class Example(Case):
    @classmethod
    def setUpClass(cls):
        """Every test makes its own namespace: the names are the example's."""

    @classmethod
    def tearDownClass(cls):
        pass

    def in_namespace(self, name):
        self.namespace = name
        lab.make_namespace(name)
        self.addCleanup(lab.kubectl, "delete", "namespace", name, "--wait=false")

    def make(self, name):
        self.in_namespace(name)
        self.apply(EXAMPLE)
        return self.wait_whole("examplereplication", 2)

    def in_every_order(self, name, apply):
        """The example in a namespace for each order of its documents, in which `apply` brings them; each when it is whole."""
        namespaces = []
        for number, order in enumerate(itertools.permutations(DOCUMENTS)):
            namespaces.append(f"{name}-{number}")
            self.in_namespace(namespaces[-1])
            apply(order)
        for self.namespace in namespaces:
            yield self.namespace, self.wait_whole("examplereplication", 2)

    def test_works_in_every_order_of_its_documents(self):
        def one_by_one(order):
            for document in order:
                self.apply(document)

        for namespace, group in self.in_every_order("t-order", one_by_one):
            self.assertEqual(group["status"]["primary"], "exampleredis", namespace)
            replica = self.get("readreplica", "exampleredis-read-1")
            self.assertEqual(replica["status"]["availabilityZone"], "ap-northeast-1a")

    def test_applied_as_one_file_spreads_over_the_zones_in_every_order(self):
        for namespace, group in self.in_every_order("t-zones", lambda order: self.apply("\n---\n".join(order))):
            replica = self.get("readreplica", "exampleredis-read-1")
            primary = self.get("cachecluster", "exampleredis")
            self.assertEqual(replica["status"]["availabilityZone"], "ap-northeast-1a", namespace)
            self.assertIn(primary["status"]["availabilityZone"], ["ap-northeast-1b", "ap-northeast-1c"], namespace)
            self.assertNotEqual(self.host_of("exampleredis"), self.host_of("exampleredis-read-1"), namespace)
            spread = lab.condition(group, "ZoneSpreadSatisfied")
            self.assertEqual((spread["status"], spread["reason"]), ("True", "Spread"), namespace)

    def test_shows_the_documented_columns(self):
        self.make("t-columns")
        lab.until("lag", lambda: self.get("rr", "exampleredis-read-1")["status"].get("lag") == "0B", 20)
        out = lab.kubectl("get", "understudy", "-n", self.namespace)
        lines = [line.split() for line in out.splitlines() if line.strip()]
        self.assertEqual(lines[0][:5], ["NAME", "STATUS", "ROLE", "GROUP", "ZONE"])
        self.assertEqual(lines[1][:4], ["cachecluster.cache.understudy.dev/exampleredis", "available", "primary",
                                        "examplereplication"])
        self.assertEqual(lines[3][:6], ["readreplica.cache.understudy.dev/exampleredis-read-1", "available", "replica",
                                        "examplereplication", "ap-northeast-1a", "0B"])
        self.assertEqual(lines[4][:5], ["NAME", "STATUS", "PRIMARY", "READY", "FAILOVER"])
        self.assertEqual(lines[5][:5], ["replicationgroup.cache.understudy.dev/examplereplication", "available",
                                        "exampleredis", "2/2", "enabled"])

    def test_writes_go_to_the_primary_and_reads_come_from_the_replica(self):
        self.make("t-data")
        primary = self.primary_client("examplereplication")
        self.assertEqual(primary("SET", "k", "v"), "OK")
        replica = self.redis(self.service("exampleredis-read-1"))
        lab.until("the replica has the write", lambda: replica("GET", "k") == "v", 5, 0.01)
        with self.assertRaisesRegex(lab.ReplyError, "READONLY"):
            replica("SET", "k", "w")
        reader = self.service("examplereplication-reader")
        lab.until("the reader endpoint leads to the replica", lambda: self.redis(reader)("ROLE")[0] == "slave", 10)

    def test_clients_can_not_move_roles(self):
        self.make("t-roles")
        primary = self.primary_client("examplereplication")
        for command in (["REPLICAOF", "NO", "ONE"], ["SLAVEOF", "127.0.0.1", "1"], ["FAILOVER"], ["SHUTDOWN"]):
            with self.assertRaisesRegex(lab.ReplyError, "managed by the Understudy operator"):
                primary(*command)
        self.assertEqual(primary("ROLE")[0], "master")

    def test_applied_again_changes_nothing_also_after_a_failover(self):
        group = self.make("t-again")
        epoch = group["status"]["epoch"]
        os.kill(self.pids("exampleredis")[0], signal.SIGKILL)
        group = self.wait_failed_over("examplereplication", epoch)
        self.assertEqual(group["status"]["primary"], "exampleredis-read-1")
        group = self.wait_whole("examplereplication", 2)
        self.apply(EXAMPLE)
        lab.kubectl("diff", "-n", self.namespace, "-f", "-", stdin=EXAMPLE)
        time.sleep(3)  # a flip back would begin at once
        after = self.group("examplereplication")
        self.assertEqual(after["status"]["primary"], "exampleredis-read-1")
        self.assertEqual(after["status"]["epoch"], group["status"]["epoch"])
        self.assertEqual(after["metadata"]["resourceVersion"], group["metadata"]["resourceVersion"])

    def test_a_steady_group_writes_nothing_for_a_minute(self):
        self.make("t-steady")
        client = self.primary_client("examplereplication")
        lab.until("settled", lambda: self.get("rr", "exampleredis-read-1")["status"].get("lag") == "0B", 20)
        time.sleep(12)  # the change of LAG may come up to 10 s later
        kinds = ["rg", "rr", "ccl", "statefulsets", "services", "endpointslices", "pdb", "configmaps", "pods"]

        def versions():
            return {f"{k}/{o['metadata']['name']}": o["metadata"]["resourceVersion"]
                    for k in kinds for o in lab.get(k, ns=self.namespace)}
        before = versions()
        for i in range(60):  # loaded or not
            client("SET", f"steady:{i}", "x" * 1000)
            time.sleep(1)
        self.assertEqual(versions(), before)
