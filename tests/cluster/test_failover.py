"""The primary is lost in each of the ways that a machine can lose it; asserted on what happened, not on how
long it took. `make failover-report` measures the times."""
import os
import signal
import threading
import time

import lab
from case import Case, Probes


class Failover(Case):
    """Each test makes a group with its primary in zone c and a replica in zone b, writes through the primary
    Service all the time, writes straight to both nodes all the time, and takes the primary away."""

    def begin(self, name, replicas=1, zones="cba"):
        self.make_group(name, replicas, zones)
        self.name, self.old = name, f"{name}-a"
        before = self.group(name)
        self.epoch = before["status"]["epoch"]
        self.old_uid = lab.pod_of(self.old, self.namespace)["metadata"]["uid"]
        self.service_address = self.service(name)
        # From where a client still reaches everybody that it may reach.
        self.load = self.writer(self.service_address, "node-a")
        nodes = [self.old] + [f"{name}-r{i}" for i in range(1, replicas + 1)]
        self.probes = Probes({n: (self.host_of(n), self.ip(n)) for n in nodes})
        self.addCleanup(self.probes.stop)
        time.sleep(0.3)

    def end(self, timeout=40):
        """After the fault: another primary, the writer goes on, nobody acknowledged beside it."""
        group = self.wait_failed_over(self.name, self.epoch, timeout)
        new = group["status"]["primary"]
        self.assertNotEqual(new, self.old)
        self.assert_endpoint(self.name, new)
        mark = time.monotonic()
        lab.until("the writer goes on", lambda: self.load.acks[-1][1] > mark, 20, 0.02)
        self.load.stop()
        stretches = self.probes.check(self)
        self.assertEqual(stretches[-1], new)
        record = group["status"]["failoverHistory"][-1]
        self.assertEqual(record["oldPrimary"]["name"], self.old)
        self.assertEqual(record["newPrimary"]["name"], new)
        client = self.redis(self.service_address)
        self.assertEqual(client("ROLE")[0], "master")
        self.check_kept(client, record)
        return group, record

    def check_kept(self, client, record):
        """With S = 0 only the last acknowledged writes may be lost; the record says above which offset. What the
        writer had acknowledged a second before the end must be there."""
        by_key = {}
        for number, _, acknowledged in self.load.acks:
            by_key[number % 1000] = (number, acknowledged)
        last_before = max((a for _, _, a in self.load.acks if a < self.load.acks[-1][2] - 5), default=0)
        lost = [k for k, (number, acknowledged) in by_key.items()
                if acknowledged < last_before - 1 and int(client("GET", f"w:{k}") or 0) < number]
        self.assertEqual(lost, [], record)

    def test_process_killed(self):
        self.begin("kill")
        os.kill(self.pids(self.old)[0], signal.SIGKILL)
        _, record = self.end()
        self.assertTrue(record["proof"], record)
        # It comes back empty within a second, and must become a replica of the new primary.
        group = self.wait_whole(self.name, 2)
        self.assertEqual(group["status"]["primary"], "kill-r1")
        client = self.redis(self.ip(self.old))
        self.assertEqual(client("ROLE")[0], "slave")
        new = self.redis(self.ip("kill-r1"))
        lab.until("the copy is complete", lambda: client("DBSIZE") == new("DBSIZE") > 10, 10)

    def test_without_automatic_failover_the_restarted_primary_gets_its_role_and_the_data_back(self):
        self.make_group("manual", 2, "cba", spec=", automaticFailover: false")
        client = self.redis(self.service("manual"))
        data = {f"k:{i}": f"v{i}" for i in range(500)}
        for key, value in data.items():
            client("SET", key, value)
        client("WAIT", 2, 2000)
        for again in range(2):  # the second copy is made in the epoch of the first one's roles
            epoch = self.group("manual")["status"]["epoch"]
            os.kill(self.pids("manual-a")[0], signal.SIGKILL)
            group = self.wait_failed_over("manual", epoch)
            self.assertEqual(group["status"]["primary"], "manual-a")
            self.assertEqual(group["status"]["failoverHistory"][-1]["kind"], "restore")
            self.wait_whole("manual", 3)
            for node in ("manual-a", "manual-r1", "manual-r2"):
                copy = self.redis(self.ip(node))
                self.assertEqual({key: copy("GET", key) for key in data}, data, f"{node}, round {again}")
            self.redis(self.service("manual"))("SET", "k:0", "v0")

    def test_container_killed(self):
        self.begin("container")
        container = lab.pod_of(self.old, self.namespace)["status"]["containerStatuses"][0]["containerID"].split("//")[1]
        lab.cluster("shell", self.host_of(self.old), "--", "ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", container)
        _, record = self.end()
        self.assertTrue(record["proof"], record)
        group = self.wait_whole(self.name, 2)
        self.assertEqual(group["status"]["primary"], "container-r1")

    def test_pod_deleted(self):
        self.begin("del")
        lab.kubectl("delete", "pod", f"{self.old}-0", "-n", self.namespace, "--wait=false", "--grace-period=0", "--force")
        self.end()
        self.wait_whole(self.name, 2)

    def test_pod_deleted_gracefully(self):
        self.begin("term")
        lab.kubectl("delete", "pod", f"{self.old}-0", "-n", self.namespace, "--wait=false")
        self.end()
        self.wait_whole(self.name, 2)

    def test_process_stopped(self):
        self.begin("stop")
        pid = self.pids(self.old)[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            _, record = self.end()
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertFalse(record.get("proof"), record)
        # The same process goes on, learns that it is not primary any more, and follows.
        group = self.wait_whole(self.name, 2)
        self.assertEqual(group["status"]["primary"], "stop-r1")
        with self.assertRaisesRegex(lab.ReplyError, "READONLY"):
            self.redis(self.ip(self.old))("SET", "x", "y")

    def test_node_cut_off(self):
        # The operators must not be on the host that is cut: see test_operator for that.
        self.begin("cut")
        host = self.host_of(self.old)
        lab.move_leader(lambda other: other != host)
        lab.cluster("cut", host)
        cut = time.monotonic()
        try:
            self.end()
            # The isolated primary refuses writes within T: its last acknowledgement to a client on its own
            # host is not later than that after the cut.
            last = max((received for _, received in self.probes.probes[self.old].acks), default=0)
            self.assertLess(last - cut, 1.5 + 0.3)
        finally:
            lab.cluster("heal")
        group = self.wait_whole(self.name, 2, 120)
        self.assertNotEqual(group["status"]["primary"], self.old)

    def test_a_reply_that_was_cut_off_never_comes_late(self):
        """A primary that hears but is not heard executes a client's write; the reply is stuck in its network. It
        must not come when the cut heals: then the write is lost, and another primary has acknowledged others."""
        self.begin("late")
        host = self.host_of(self.old)
        lab.move_leader(lambda other: other != host)
        inner = lab.Redis(self.pids(self.old)[0], "127.0.0.1", timeout=1)
        clients = [lab.Redis("node-a", self.ip(self.old), timeout=40) for _ in range(3)]
        clients[0]("SET", "late", "before")
        time.sleep(0.3)  # the replica has it
        answers = {}

        def wait_for(i, client):
            try:
                answers[i] = client("SET", "late", f"lost {i}")
            except (OSError, lab.ReplyError) as error:
                answers[i] = error
        threads = [threading.Thread(target=wait_for, args=one, daemon=True) for one in enumerate(clients)]
        lab.cluster("cut", f"{self.namespace}/{self.old}-0", "--one-way")
        try:
            threads[0].start()
            lab.until("the write is executed", lambda: inner("GET", "late") == "lost 0", 1, 0.005)
            for thread in threads[1:]:  # nearer to the end of the lease
                time.sleep(0.5)
                thread.start()
            group, _ = self.end()
            new = self.redis(self.ip(group["status"]["primary"]))
            self.assertEqual(new("GET", "late"), "before")
        finally:
            lab.cluster("heal")
        for thread in threads:
            thread.join(40)
        self.assertEqual(set(answers), {0, 1, 2})
        self.assertNotIn("OK", answers.values(), f"an acknowledgement of a write that is lost: {answers}")
        self.wait_whole(self.name, 2)

    def test_two_replicas_one_is_chosen_and_the_other_follows_with_a_partial_resync(self):
        self.begin("two", 2, "cba")
        os.kill(self.pids(self.old)[0], signal.SIGKILL)
        group, _ = self.end()
        new = group["status"]["primary"]
        self.wait_whole(self.name, 3)
        other = ({"two-r1", "two-r2"} - {new}).pop()
        info = self.redis(self.ip(new))("INFO", "stats")
        self.assertIn("sync_partial_ok:1", info)
        self.assertEqual(self.redis(self.ip(other))("ROLE")[0], "slave")


class LostNode(Case):
    def test_node_powered_off_and_on(self):
        self.make_group("power", 1, "cb")
        epoch = self.group("power")["status"]["epoch"]
        writer = self.writer(self.service("power"), "node-a")
        lab.move_leader(lambda host: host != "node-c")
        lab.cluster("poweroff", "node-c")
        try:
            group = self.wait_failed_over("power", epoch)
            self.assertEqual(group["status"]["primary"], "power-r1")
            mark = time.monotonic()
            lab.until("the writer goes on", lambda: writer.acks[-1][1] > mark, 20, 0.02)
        finally:
            lab.cluster("start", "node-c")
        self.wait_whole("power", 2, 180)
        self.assertEqual(self.primary("power"), "power-r1")
