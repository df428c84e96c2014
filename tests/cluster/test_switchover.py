"""The primary role moves while the primary works: by edit, by annotation, because its Pod or its object goes; and
what refuses, aborts or interrupts it. Every acknowledged write is compared key by key."""
import datetime
import os
import signal
import time

import lab
from case import Case, Probes

ANNOTATION = "cache.understudy.dev/switchover-to"


def now(seconds=0):
    stamp = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return stamp.strftime("%Y-%m-%dT%H:%M:%SZ")


class Switchover(Case):
    def begin(self, name, replicas=1, zones="cba", spec=""):
        """A group under load through its Service, with a probe at each node."""
        self.make_group(name, replicas, zones, spec)
        self.name, self.old = name, f"{name}-a"
        self.epoch = self.group(name)["status"]["epoch"]
        self.address = self.service(name)
        self.load = self.writer(self.address, "node-a")
        nodes = [self.old] + [f"{name}-r{i}" for i in range(1, replicas + 1)]
        self.probes = Probes({n: (self.host_of(n), self.ip(n)) for n in nodes})
        self.addCleanup(self.probes.stop)

    def edit(self, name, target):
        lab.kubectl("patch", "rg", name, "-n", self.namespace, "--type=merge", "-p",
                    f'{{"spec":{{"primaryClusterId":"{target}","applyImmediately":true}}}}')

    def annotate(self, name, value):
        lab.kubectl("annotate", "rg", name, "-n", self.namespace, "--overwrite", f"{ANNOTATION}={value}")

    def wait_primary(self, name, node, timeout=40):
        def there():
            status = self.group(name)["status"]
            return status["primary"] == node and "failover" not in status
        lab.until(f"{node} is primary of {name}", there, timeout, 0.05)
        return self.group(name)["status"]

    def wait_blocked(self, name, words, timeout=30):
        def there():
            found = lab.condition(self.group(name), "Degraded")
            return found.get("reason") == "SwitchoverBlocked" and words in found["message"]
        lab.until(f"{name} says that the switchover is blocked: {words}", there, timeout)

    def end(self, new, kind="switchover"):
        """The role is at `new`; the writer goes on there; nobody acknowledged beside it; nothing is lost."""
        status = self.wait_primary(self.name, new)
        self.assertGreater(status["epoch"], self.epoch)
        self.assert_endpoint(self.name, new)
        record = status["failoverHistory"][-1]
        self.assertEqual((record["kind"], record["newPrimary"]["name"]), (kind, new), record)
        self.wait_written()
        stretches = self.probes.check(self)
        self.assertEqual(stretches[-1], new)
        self.assert_nothing_lost()
        return record

    def assert_nothing_lost(self):
        newest = {}
        for number, _, _ in self.load.acks:
            newest[number % 1000] = number
        client = self.primary_client(self.name)
        held = {key: int(client("GET", f"w:{key}") or 0) for key in newest}
        lost = {key: (number, held[key]) for key, number in newest.items() if held[key] < number}
        self.assertEqual(lost, {}, "acknowledged writes that are not there: key, acknowledged, held")

    def quiet(self, name, seconds=3):
        """Nothing moves and nothing is written."""
        before = self.group(name)["metadata"]["resourceVersion"]
        time.sleep(seconds)
        self.assertEqual(self.group(name)["metadata"]["resourceVersion"], before)

    # ---- asked for -----------------------------------------------------------------------------------------
    def test_by_edit_once_per_edit(self):
        self.begin("edit")
        self.edit("edit", "edit-r1")
        record = self.end("edit-r1")
        self.assertEqual(record["oldPrimary"]["name"], "edit-a")
        group = self.wait_whole("edit", 2)
        self.assertEqual(group["status"]["handledPrimaryClusterId"], "edit-r1")
        # The edit is not enforced: a failover stays, and the same manifest changes nothing.
        os.kill(self.pids("edit-r1")[0], signal.SIGKILL)
        self.wait_primary("edit", "edit-a")
        self.wait_whole("edit", 2)
        self.edit("edit", "edit-r1")
        self.quiet("edit")
        self.assertEqual(self.primary("edit"), "edit-a")

    def test_a_test_failover_moves_the_role_once_per_time(self):
        self.begin("test", 2)
        self.assertIn("requestedAt", self.refused(
            "{apiVersion: cache.understudy.dev/v1alpha1, kind: ReplicationGroup, metadata: {name: never}, "
            "spec: {testFailover: {requestedAt: soon}}}"))
        wanted, later = now(), now(86400)

        def ask(at):
            lab.kubectl("patch", "rg", "test", "-n", self.namespace, "--type=merge", "-p",
                        f'{{"spec":{{"testFailover":{{"requestedAt":"{at}"}}}}}}')
        ask(now(-3600))  # before the group was made
        self.quiet("test")
        ask(wanted)
        lab.until("the role has moved", lambda: self.primary("test") != self.old, 20, 0.05)
        record = self.end(self.primary("test"))
        self.assertEqual(record["reason"], "TestFailover", record)
        group = self.wait_whole("test", 3)
        self.assertEqual(group["status"]["handledTestFailover"], wanted)
        ask(wanted)
        self.quiet("test")
        ask(later)
        lab.until("it is pending", lambda: (self.group("test")["status"].get("pending") or "")
                  .startswith("testFailover until "), 10)
        self.quiet("test")

    def test_clients_that_a_late_kube_proxy_leads_to_the_old_primary_go_on_at_the_new_one(self):
        self.begin("late", 2)
        client, closed = self.primary_client("late"), None
        # A change of any Service delays the next one by up to a second.
        lab.kubectl("create", "service", "clusterip", "noise", "--tcp=1", "-n", self.namespace)
        self.annotate("late", f"late-r1@{now()}")
        refused = served = 0
        end = time.monotonic() + 20
        while time.monotonic() < end and served < 500:  # reconnects when it is closed, and for no refusal
            try:
                if client is None:
                    client = lab.Redis("node-a", self.address, timeout=1.0)
                client("SET", "late", served)
                served += closed is not None
                time.sleep(0.002)
            except lab.ReplyError as error:
                self.assertTrue(str(error).startswith(("READONLY", "LOADING", "NOLEASE")), error)
                refused += 1
            except OSError:
                closed = closed or time.monotonic()
                client = None
        self.assertEqual(served, 500, f"{refused} refusals")
        self.assertEqual(client("ROLE")[0], "master")
        client.close()
        self.end("late-r1")

    def test_by_annotation_once_per_value(self):
        self.begin("note", 2)
        value = f"note-r2@{now()}"
        self.annotate("note", value)
        self.end("note-r2")
        group = self.wait_whole("note", 3)
        self.assertEqual(group["status"]["handledSwitchoverTo"], value)
        self.assertEqual(group["spec"]["primaryClusterId"], "note-a", "the spec is the user's")
        self.annotate("note", f"note-r2@{now(1)}")  # it is primary already
        lab.until("handled", lambda: self.group("note")["status"]["handledSwitchoverTo"] != value, 20)
        self.assertEqual(self.group("note")["status"]["epoch"], group["status"]["epoch"])
        self.annotate("note", f"note-a@{now(2)}")
        self.wait_primary("note", "note-a")

    def test_by_annotation_that_cannot_be_meant(self):
        self.make_group("odd", 1)
        epoch = self.group("odd")["status"]["epoch"]
        self.annotate("odd", "odd-r1")
        self.wait_blocked("odd", "is 'odd-r1'; it must be the name of a member, @ and the time")
        self.annotate("odd", f"nobody@{now()}")
        self.wait_blocked("odd", "nobody, which is no member of the group")
        self.assertIn("SwitchoverBlocked", lab.kubectl("get", "events", "-n", self.namespace, "-o", "json"))
        self.annotate("odd", "odd-r1@2020-01-01T00:00:00Z")  # older than the group: history
        lab.until("no longer blocked", lambda: lab.condition(self.group("odd"), "Degraded")["status"] == "False", 20)
        self.quiet("odd")
        self.assertEqual(self.group("odd")["status"]["epoch"], epoch)

    # ---- refused, waits, aborted -----------------------------------------------------------------------------
    def test_to_a_node_that_is_missing_or_lags(self):
        self.make_group("lag", 1, "cb")
        client = self.primary_client("lag")
        epoch = self.group("lag")["status"]["epoch"]
        self.edit("lag", "lag-r9")
        self.wait_blocked("lag", "lag-r9, which is no member of the group")
        pid = self.pids("lag-r1")[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            for i in range(200):
                client("SET", f"big:{i}", "x" * 20000)
            # Before that the switchover would begin, and be aborted: a request is acted on once.
            lab.until("lag-r1 is seen to lag", lambda: lab.condition(self.get("rr", "lag-r1"), "InSync")["status"] == "False", 30)
            self.edit("lag", "lag-r1")
            self.wait_blocked("lag", "lag-r1")
            self.assertEqual(self.group("lag")["status"]["epoch"], epoch)
            self.assertEqual(client("SET", "k", "v"), "OK")
        finally:
            os.kill(pid, signal.SIGCONT)
        self.wait_primary("lag", "lag-r1")  # it has caught up
        client = self.primary_client("lag")
        self.assertEqual(client("GET", "k"), "v")
        self.assertEqual(sum(client("EXISTS", f"big:{i}") for i in range(200)), 200)

    # ---- interrupted -----------------------------------------------------------------------------------------
    def held_in_pause(self):
        """Begins a switchover whose target is stopped: it stays in step pause until the budget of 2 s is over. A
        target counts as in sync for about a second after it was stopped; a machine on which the request takes
        longer than that tries again."""
        target = f"{self.name}-r1"
        pid = self.pids(target)[0]
        self.addCleanup(lambda: os.path.exists(f"/proc/{pid}") and os.kill(pid, signal.SIGCONT))
        for _ in range(6):
            os.kill(pid, signal.SIGSTOP)
            self.annotate(self.name, f"{target}@{now()}")
            try:
                lab.until("step pause", lambda: self.group(self.name)["status"].get("failover", {}).get("step") == "pause", 2, 0.02)
                return pid
            except lab.Failure:
                lab.kubectl("annotate", "rg", self.name, "-n", self.namespace, f"{ANNOTATION}-")
                os.kill(pid, signal.SIGCONT)
                status = self.wait_whole(self.name, len(self.probes.probes))["status"]
                self.assertEqual(status["primary"], self.old, "a request that was taken back was acted on")
        self.fail("the request never came while the target still counted as in sync")

    def wait_written(self):
        mark = time.monotonic()
        lab.until("the writer goes on", lambda: self.load.acks[-1][1] > mark, 20, 0.02)
        self.load.stop()

    def test_aborted_when_the_target_does_not_catch_up(self):
        self.begin("abort")
        pid = self.held_in_pause()
        self.wait_blocked("abort", "was aborted")
        os.kill(pid, signal.SIGCONT)
        self.wait_written()
        status = self.wait_whole("abort", 2)["status"]
        self.assertEqual((status["primary"], status["epoch"]), ("abort-a", self.epoch))
        self.assertEqual(self.probes.check(self), ["abort-a"])
        self.assert_nothing_lost()
        self.assertLess(self.load.gap(0), 3.5, "writes were held for longer than the budget")
        # Handled, though it did not happen; asked again it happens.
        self.annotate("abort", f"abort-r1@{now()}")
        self.wait_primary("abort", "abort-r1")
        lab.until("no longer blocked", lambda: lab.condition(self.group("abort"), "Degraded")["status"] == "False", 30)

    def test_old_primary_killed_in_the_middle(self):
        self.begin("mid")
        pid = self.held_in_pause()
        os.kill(self.pids(self.old)[0], signal.SIGKILL)
        os.kill(pid, signal.SIGCONT)
        status = self.wait_primary("mid", "mid-r1")
        self.assertEqual(status["failoverHistory"][-1]["kind"], "takeover")
        self.wait_written()
        self.assertEqual(self.probes.check(self)[-1], "mid-r1")
        self.wait_whole("mid", 2)

    def kill_leader(self, name=None):
        lab.kubectl("delete", "pod", name or lab.leader_pod(), "-n", lab.SYSTEM, "--grace-period=0", "--force", "--wait=false")

    def wait_operators(self):
        lab.until("two operators", lambda: len([p for p in lab.operator_pods() if p["status"]["phase"] == "Running"
                                                and "deletionTimestamp" not in p["metadata"]]) == 2, 60)

    def test_operator_killed_while_writes_are_held(self):
        self.begin("oppause")
        leader = lab.leader_pod()  # found before: the pause has a budget of 2 s
        pid = self.held_in_pause()
        self.kill_leader(leader)
        os.kill(pid, signal.SIGCONT)
        self.end("oppause-r1")  # the next operator goes on from the persisted step
        self.wait_whole("oppause", 2)
        self.wait_operators()

    def test_operator_killed_at_any_moment(self):
        self.begin("opany")
        for number, delay in enumerate((0.02, 0.06, 0.1, 0.15)):
            epoch = self.group("opany")["status"]["epoch"]
            other = {"opany-a": "opany-r1", "opany-r1": "opany-a"}[self.primary("opany")]
            value = f"{other}@{now(number)}"
            self.annotate("opany", value)
            time.sleep(delay)
            self.kill_leader()

            def over(value=value):
                status = self.group("opany")["status"]
                return "failover" not in status and status["handledSwitchoverTo"] == value
            lab.until("the next operator ended what was begun", over, 40, 0.1)
            status = self.wait_whole("opany", 2)["status"]
            # Begun is completed, unless its pause ran over the budget while nobody led.
            self.assertIn((status["primary"], status["epoch"] > epoch), ((other, True), ({"opany-a": "opany-r1", "opany-r1": "opany-a"}[other], False)))
            self.wait_operators()
        self.wait_written()
        self.assert_nothing_lost()

    # ---- the primary goes --------------------------------------------------------------------------------------
    def test_object_deleted(self):
        self.begin("obj")
        uid = lab.pod_of(self.old, self.namespace)["metadata"]["uid"]
        began = time.monotonic()
        self.delete("ccl", self.old)
        self.end("obj-r1")
        lab.until("its Pod and object are gone", lambda: self.get("ccl", self.old) is None and self.get("pod", f"{self.old}-0") is None, 60)
        self.assertLess(time.monotonic() - began, 20, "the process waited for its bound")
        # Applied again it is a new, empty node, and a replica.
        self.apply(f"apiVersion: cache.understudy.dev/v1alpha1\nkind: CacheCluster\nmetadata: {{name: {self.old}}}\n"
                   f"spec: {{replicationGroupId: {self.name}}}\n")
        group = self.wait_whole("obj", 2)
        self.assertEqual(group["status"]["primary"], "obj-r1")
        self.assertNotEqual(lab.pod_of(self.old, self.namespace)["metadata"]["uid"], uid)

    def test_object_deleted_in_the_foreground(self):
        self.begin("fore")
        lab.kubectl("delete", "ccl", self.old, "-n", self.namespace, "--cascade=foreground", "--wait=false")
        self.end("fore-r1")
        lab.until("its object is gone", lambda: self.get("ccl", self.old) is None, 60)

    def test_pod_deleted_with_its_grace_period(self):
        self.begin("pod")
        uid = lab.pod_of(self.old, self.namespace)["metadata"]["uid"]
        began = time.monotonic()
        lab.kubectl("delete", "pod", f"{self.old}-0", "-n", self.namespace, "--wait=false")
        self.end("pod-r1")

        def replaced():
            pod = lab.pod_of(self.old, self.namespace)
            return pod and pod["metadata"]["uid"] != uid
        lab.until("the Pod is replaced", replaced, 40, 0.1)
        self.assertLess(time.monotonic() - began, 20, "the process waited for its bound")
        group = self.wait_whole("pod", 2)
        self.assertEqual(group["status"]["primary"], "pod-r1", "the replacement is a replica")

    def test_pod_evicted(self):
        self.begin("evict")
        host = self.host_of(self.old)
        try:
            lab.kubectl("drain", host, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=90s",
                        "--pod-selector", f"cache.understudy.dev/cluster={self.old}")
            self.end("evict-r1")
        finally:
            lab.kubectl("uncordon", host)
        self.wait_whole("evict", 2)

    def test_the_last_node_ends_at_once(self):
        self.make_group("last", 0)
        began = time.monotonic()
        lab.kubectl("delete", "pod", "last-a-0", "-n", self.namespace)
        self.assertLess(time.monotonic() - began, 15)

    def test_a_replica_ends_at_once(self):
        self.make_group("rep", 1)
        epoch = self.group("rep")["status"]["epoch"]
        began = time.monotonic()
        lab.kubectl("delete", "pod", "rep-r1-0", "-n", self.namespace)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(self.wait_whole("rep", 2)["status"]["epoch"], epoch)
