"""Changes that wait for the maintenance window, and how they come into force."""
import datetime
import os
import threading
import time

import lab
from case import Case

HEAD = "apiVersion: cache.understudy.dev/v1alpha1\n"
IMAGE = os.environ.get("IMAGE", "docker.io/understudy/understudy:0.1.0")
OTHER = "docker.io/understudy/understudy:window-test"  # the same image under another name
NODES = ("node-a", "node-b", "node-c")


def point(moment):
    return moment.strftime("%a:%H:%M").lower()


def window(minutes_from_now, length=120):
    """One that opens at the full minute that is at least so many minutes away; with the text of that minute."""
    now = datetime.datetime.now(datetime.timezone.utc)
    start = (now + datetime.timedelta(minutes=minutes_from_now, seconds=59)).replace(second=0, microsecond=0)
    return f"{point(start)}-{point(start + datetime.timedelta(minutes=length))}", start.strftime("%a %H:%MZ")


class Watch(threading.Thread):
    """Notes which member's Pod was replaced, in order, and how many members were not in sync at worst."""

    def __init__(self, case, name, members):
        super().__init__(daemon=True)
        self.case, self.name, self.members, self.stopping = case, name, members, threading.Event()
        self.uids, self.order, self.most_missing = self.pods(), [], 0

    def pods(self):
        found = {p["metadata"]["name"][:-2]: p["metadata"]["uid"] for p in lab.get("pods", ns=self.case.namespace)}
        return {node: uid for node, uid in found.items() if node.startswith(self.name + "-")}

    def run(self):
        while not self.stopping.wait(0.1):
            present = self.pods()
            for node, uid in present.items():
                if self.uids.get(node) != uid:
                    self.uids[node] = uid
                    self.order.append(node)
            self.most_missing = max(self.most_missing, self.members - len(present))


class Window(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for node in NODES:
            lab.cluster("shell", node, "--", "ctr", "images", "tag", "--force", IMAGE, OTHER)

    def edit(self, name, spec):
        """Applies the whole manifest of the group; returns it."""
        text = HEAD + f"kind: ReplicationGroup\nmetadata: {{name: {name}}}\nspec: {{primaryClusterId: {name}-a{spec}}}\n"
        self.apply(text)
        return text

    def pending(self, kind, name):
        return self.get(kind, name)["status"].get("pending", "")

    def wait_pending(self, kind, name, text, timeout=30):
        lab.until(f"{kind} {name} pending '{text}'", lambda: self.pending(kind, name) == text, timeout)

    def image_of(self, node):
        return lab.pod_of(node, self.namespace)["spec"]["containers"][0]["image"]

    def column(self, kind, name):
        """PENDING as kubectl prints it."""
        lines = lab.kubectl("get", kind, name, "-n", self.namespace).splitlines()
        begin = lines[0].index("PENDING")
        return lines[1][begin:lines[0].index("AGE", begin)].strip()

    def events(self, name, reason):
        """How often it was told."""
        return sum(e.get("series", {}).get("count", 1) for e in lab.get("events.events.k8s.io", ns=self.namespace)
                   if e["regarding"]["name"] == name and e["reason"] == reason)

    def watch(self, name, members):
        watch = Watch(self, name, members)
        watch.start()
        self.addCleanup(watch.stopping.set)
        return watch

    def test_what_waits_is_seen_and_changes_nothing_and_the_window_applies_it(self):
        far, until = window(3 * 24 * 60)
        self.make_group("wait", 2, spec=f", preferredMaintenanceWindow: '{far}'")
        before = {n: lab.pod_of(n, self.namespace)["metadata"]["uid"] for n in ("wait-a", "wait-r1", "wait-r2")}
        # The backlog takes a new process; the timeout is in force at once and waits for nothing.
        settings = f", node: {{image: '{OTHER}', parameters: {{tcp-backlog: 600, timeout: 3600}}}}"

        def in_force(node):
            client = self.redis(self.ip(node))
            return client("CONFIG", "GET", "tcp-backlog")[1], client("CONFIG", "GET", "timeout")[1]
        text = self.edit("wait", f", preferredMaintenanceWindow: '{far}'" + settings)
        words = f"image, parameters until {until}"
        for kind, name in (("rg", "wait"), ("ccl", "wait-a"), ("rr", "wait-r1"), ("rr", "wait-r2")):
            self.wait_pending(kind, name, words)
            self.assertEqual(self.column(kind, name), words)
            found = self.get(kind, name)
            self.assertEqual(lab.condition(found, "Ready")["status"], "True")
            self.assertEqual(lab.condition(found, "PendingModifications")["reason"], "WaitingForMaintenanceWindow")
            self.assertEqual(found["status"]["observedGeneration"], found["metadata"]["generation"])
            self.assertEqual(found["status"]["phase"], "available")
        lab.kubectl("diff", "-n", self.namespace, "-f", "-", stdin=text)  # fails if there is a difference
        self.assertIn(words, lab.kubectl("get", "understudy", "-n", self.namespace))
        line = {p["field"]: p for p in self.get("rr", "wait-r1")["status"]["pendingModifiedValues"]}
        self.assertEqual((line["image"]["from"], line["image"]["to"]), (IMAGE, OTHER))
        self.assertEqual(line["parameters"]["to"], "tcp-backlog=600")
        for node in before:
            self.assertEqual(in_force(node), ("511", "3600"), node)

        kinds = ("rg", "ccl", "rr", "statefulsets", "pods")
        versions = {k: [o["metadata"]["resourceVersion"] for o in lab.get(k, ns=self.namespace)] for k in kinds}
        time.sleep(15)  # long enough for whoever would write or restart
        self.assertEqual({k: [o["metadata"]["resourceVersion"] for o in lab.get(k, ns=self.namespace)] for k in kinds},
                         versions, "nothing is written while it waits")
        self.assertEqual({n: lab.pod_of(n, self.namespace)["metadata"]["uid"] for n in before}, before)

        writer = self.writer(self.service("wait"), "node-a", patience=1.0)
        soon, until = window(1)
        self.edit("wait", f", preferredMaintenanceWindow: '{soon}'" + settings)
        self.wait_pending("rg", "wait", f"image, parameters until {until}")
        watch = self.watch("wait", 3)
        lab.until("all is applied", lambda: self.pending("rg", "wait") == "", 240)
        group = self.wait_whole("wait", 3)
        watch.stopping.set()
        watch.join(5)
        self.assertEqual(watch.order, ["wait-r1", "wait-r2", "wait-a"], "replicas first, the primary last")
        self.assertLessEqual(watch.most_missing, 1)
        self.assertNotEqual(group["status"]["primary"], "wait-a")
        self.assertEqual([e["kind"] for e in group["status"]["failoverHistory"]], ["switchover"])
        for node in before:
            self.assertEqual(self.image_of(node), OTHER)
            self.assertEqual(in_force(node), ("600", "3600"), node)
        mark = time.monotonic()
        lab.until("the writer goes on", lambda: writer.acks[-1][1] > mark, 20, 0.02)
        writer.stop()
        client = self.primary_client("wait")
        last = {number % 1000: number for number, _, _ in writer.acks}
        lost = [k for k, number in last.items() if int(client("GET", f"w:{k}") or 0) < number]
        self.assertEqual(lost, [], "no acknowledged write is lost")
        for node in before:
            for reason in ("ModificationPending", "ApplyingModification", "ModificationApplied"):
                lab.until(f"{reason} of {node}", lambda n=node, r=reason: self.events(n, r) > 0, 20)
                self.assertEqual(self.events(node, reason), 1, f"{reason} of {node}")

    def test_apply_immediately_changes_resources_now(self):
        self.make_group("now", 1, spec=", applyImmediately: true")
        watch = self.watch("now", 2)
        self.edit("now", ", applyImmediately: true, node: {resources: {limits: {memory: 256Mi}}}")
        lab.until("replaced", lambda: len(watch.order) == 2, 120)
        self.wait_whole("now", 2)
        self.assertEqual(watch.order, ["now-r1", "now-a"])
        self.assertEqual(self.primary("now"), "now-r1")
        for node in ("now-a", "now-r1"):
            container = lab.pod_of(node, self.namespace)["spec"]["containers"][0]
            self.assertEqual(container["resources"]["limits"]["memory"], "256Mi")
            client = self.redis(self.ip(node))
            self.assertEqual(client("CONFIG", "GET", "maxmemory")[1], str(256 * 1024 * 1024 // 4 * 3))

    def test_a_revert_cancels_and_apply_immediately_flushes(self):
        far, until = window(2 * 24 * 60)
        head = f", preferredMaintenanceWindow: '{far}'"
        self.make_group("back", 1, spec=head)
        uids = [lab.pod_of(n, self.namespace)["metadata"]["uid"] for n in ("back-a", "back-r1")]
        self.edit("back", head + ", node: {parameters: {tcp-backlog: 600}}")
        self.wait_pending("rg", "back", f"parameters until {until}")
        self.edit("back", head)
        self.wait_pending("rg", "back", "")
        self.assertEqual(lab.condition(self.group("back"), "PendingModifications")["status"], "False")
        lab.until("the event", lambda: self.events("back-r1", "ModificationCancelled") == 1, 20)
        self.assertEqual([lab.pod_of(n, self.namespace)["metadata"]["uid"] for n in ("back-a", "back-r1")], uids)

        self.edit("back", head + ", node: {parameters: {tcp-backlog: 700}}")
        self.wait_pending("rg", "back", f"parameters until {until}")
        watch = self.watch("back", 2)
        self.edit("back", head + ", node: {parameters: {tcp-backlog: 700}}, applyImmediately: true")
        lab.until("flushed", lambda: self.pending("rg", "back") == "" and len(watch.order) == 2, 120)
        self.wait_whole("back", 2)
        self.assertEqual(watch.order, ["back-r1", "back-a"])

    def test_a_switchover_by_edit_waits_for_the_window(self):
        far, until = window(2 * 24 * 60)
        self.make_group("sw", 1, spec=f", preferredMaintenanceWindow: '{far}'")

        def ask(when):
            self.apply(HEAD + f"kind: ReplicationGroup\nmetadata: {{name: sw}}\n"
                       f"spec: {{primaryClusterId: sw-r1, preferredMaintenanceWindow: '{when}'}}\n")
        ask(far)
        self.wait_pending("rg", "sw", f"primaryClusterId until {until}")
        self.assertEqual(self.primary("sw"), "sw-a")
        self.assertEqual(lab.condition(self.group("sw"), "Degraded")["status"], "False")
        ask(window(-30)[0])  # it is open
        lab.until("switched over", lambda: self.primary("sw") == "sw-r1", 60)
        self.wait_whole("sw", 2)
        self.wait_pending("rg", "sw", "")
        self.assert_endpoint("sw", "sw-r1")

    def test_a_promote_and_a_demote_wait_for_the_window(self):
        far, until = window(2 * 24 * 60)
        self.make_group("verbs", 1, spec=f", preferredMaintenanceWindow: '{far}'")
        self.primary_client("verbs")("SET", "k", "v")
        lab.until("the replica has it", lambda: self.redis(self.ip("verbs-r1"))("GET", "k") == "v", 20)

        def replica(spec):
            self.apply(HEAD + f"kind: ReadReplica\nmetadata: {{name: verbs-r1}}\nspec: {{{spec}}}\n")
        replica("promotedFrom: verbs")
        self.wait_pending("rr", "verbs-r1", f"Promote until {until}")
        self.wait_pending("rg", "verbs", f"Promote until {until}")
        self.assertEqual(self.column("rr", "verbs-r1"), f"Promote until {until}")
        found = self.get("rr", "verbs-r1")
        self.assertEqual(found["status"]["role"], "replica")
        self.assertEqual(lab.condition(found, "Ready")["status"], "True")
        self.assertIn(until, lab.condition(found, "Accepted")["message"])
        replica("replicationGroupId: verbs")
        self.wait_pending("rr", "verbs-r1", "")
        lab.until("the event", lambda: self.events("verbs-r1", "ModificationCancelled") == 1, 20)
        self.wait_whole("verbs", 2)
        replica("promotedFrom: verbs, applyImmediately: true")
        lab.until("promoted", lambda: self.get("rr", "verbs-r1")["status"].get("role") == "standalone", 60)
        self.wait_pending("rr", "verbs-r1", "")
        self.assertEqual(self.redis(self.ip("verbs-r1"))("GET", "k"), "v")

        discards = f"replicationGroupId: verbs, discardExistingData: {self.get('rr', 'verbs-r1')['status']['dataset']}"
        replica(discards)
        self.wait_pending("rr", "verbs-r1", f"Demote until {until}")
        self.assertEqual(self.primary_client("verbs-r1")("SET", "k", "mine"), "OK")
        self.edit("verbs", f", preferredMaintenanceWindow: '{window(-30)[0]}'")  # it is open
        self.wait_whole("verbs", 2)
        self.wait_pending("rr", "verbs-r1", "")
        self.assertEqual(self.redis(self.ip("verbs-r1"))("GET", "k"), "v")

    def test_a_pod_that_is_made_anew_takes_what_waits(self):
        far, until = window(2 * 24 * 60)
        self.make_group("anew", 1, spec=f", preferredMaintenanceWindow: '{far}'")
        self.edit("anew", f", preferredMaintenanceWindow: '{far}', node: {{image: '{OTHER}'}}")
        self.wait_pending("rr", "anew-r1", f"image until {until}")
        self.delete("pod", "anew-r1-0")
        self.wait_pending("rr", "anew-r1", "", 60)
        self.wait_whole("anew", 2)
        self.assertEqual(self.image_of("anew-r1"), OTHER)
        self.assertEqual(self.image_of("anew-a"), IMAGE)
        self.assertEqual(self.pending("ccl", "anew-a"), f"image until {until}")

    def test_a_node_alone_says_that_its_data_is_lost_and_waits(self):
        far, until = window(2 * 24 * 60)

        def alone(more):
            self.apply(HEAD + f"kind: CacheCluster\nmetadata: {{name: solo}}\n"
                       f"spec: {{preferredMaintenanceWindow: '{far}'{more}}}\n")
        alone("")
        lab.until("available", lambda: (self.get("ccl", "solo") or {}).get("status", {}).get("phase") == "available", 60)
        client = self.primary_client("solo")
        client("SET", "k", "v")
        alone(", node: {parameters: {tcp-backlog: 600}}")
        self.wait_pending("ccl", "solo", f"parameters until {until}")
        self.assertIn("its data is lost", lab.condition(self.get("ccl", "solo"), "PendingModifications")["message"])
        self.assertEqual(client("GET", "k"), "v")
        alone(", node: {parameters: {tcp-backlog: 600}}, applyImmediately: true")
        self.wait_pending("ccl", "solo", "", 90)
        lab.until("available again", lambda: self.get("ccl", "solo")["status"]["phase"] == "available", 60)
        self.assertIsNone(self.primary_client("solo")("GET", "k"))

    def test_live_parameters_are_in_force_at_once_in_the_same_pod(self):
        far, until = window(2 * 24 * 60)

        def edit(parameters):
            self.edit("live", f", preferredMaintenanceWindow: '{far}', node: {{parameters: {{{parameters}}}}}")

        self.make_group("live", 0, spec=f", preferredMaintenanceWindow: '{far}'")
        uid = lab.pod_of("live-a", self.namespace)["metadata"]["uid"]
        client = self.primary_client("live")
        client("SET", "k", "v")

        def value(name):
            return client("CONFIG", "GET", name)[1]

        default = value("slowlog-max-len")
        edit("slowlog-max-len: 64")
        lab.until("it is in force", lambda: value("slowlog-max-len") == "64", 5, 0.05)
        lab.until("the event", lambda: self.events("live-a", "ParametersApplied") == 1, 20)
        client("CONFIG", "SET", "slowlog-max-len", "65")
        edit("slowlog-max-len: 64, tcp-backlog: 600, timeout: 3600")
        self.wait_pending("rg", "live", f"parameters until {until}")
        lab.until("the live one is in force", lambda: value("timeout") == "3600", 5, 0.05)
        self.assertEqual(value("slowlog-max-len"), "65", "the client's value: this declaration has not changed")
        self.assertEqual(value("tcp-backlog"), "511")
        for kind, name in (("rg", "live"), ("ccl", "live-a")):
            line, = self.get(kind, name)["status"]["pendingModifiedValues"]
            self.assertEqual((line["field"], line.get("from"), line["to"]), ("parameters", None, "tcp-backlog=600"))

        edit("")
        self.wait_pending("rg", "live", "")
        lab.until("the defaults are back", lambda: (value("slowlog-max-len"), value("timeout")) == (default, "0"), 5, 0.05)
        edit("slowlog-max-len: many, maxclients: 5000")
        lab.until("it is refused", lambda: lab.condition(self.get("ccl", "live-a"), "Accepted")["status"] == "False", 20)
        accepted = lab.condition(self.get("ccl", "live-a"), "Accepted")
        self.assertEqual(accepted["reason"], "InvalidParameterValue")
        self.assertIn("node.parameters.slowlog-max-len is refused", accepted["message"])
        self.assertEqual((value("slowlog-max-len"), value("maxclients")), (default, "5000"))
        self.assertEqual(lab.condition(self.group("live"), "Ready")["status"], "True")
        edit("maxclients: 5000")
        lab.until("it is accepted", lambda: lab.condition(self.get("ccl", "live-a"), "Accepted")["status"] == "True", 20)
        self.assertEqual(self.pending("ccl", "live-a"), "")
        self.assertEqual(lab.pod_of("live-a", self.namespace)["metadata"]["uid"], uid)
        self.assertEqual(client("GET", "k"), "v")

    def test_an_image_that_does_not_exist_stops_at_the_first_replica(self):
        self.make_group("typo", 2, spec=", applyImmediately: true")
        self.edit("typo", ", applyImmediately: true, node: {image: 'docker.io/understudy/understudy:typo'}")
        lab.until("the first replica fails",
                  lambda: lab.condition(self.get("rr", "typo-r1"), "Ready")["reason"] == "ContainerFailing", 90)
        time.sleep(5)  # a second one would go now
        self.assertEqual(self.image_of("typo-r2"), IMAGE)
        self.assertEqual(self.image_of("typo-a"), IMAGE)
        self.assertEqual(lab.condition(self.group("typo"), "Ready")["status"], "True")
        self.assertIn("typo-r1", lab.condition(self.get("rr", "typo-r2"), "PendingModifications")["message"])
        self.edit("typo", "")
        self.wait_whole("typo", 3)
        self.wait_pending("rg", "typo", "")
        self.assertEqual(self.image_of("typo-r1"), IMAGE)
        self.assertEqual(self.primary("typo"), "typo-a")

    def test_a_pod_that_the_api_server_refuses_costs_no_other_one(self):
        name = f"{self.namespace}-high"  # of the whole cluster
        settings = f"applyImmediately: true, node: {{priorityClassName: {name}}}"
        alone = HEAD + "kind: CacheCluster\nmetadata: {name: alone}\nspec: "
        self.apply(alone + "{}\n")
        self.make_group("refused", 1)
        nodes = (("ccl", "alone"), ("ccl", "refused-a"), ("rr", "refused-r1"))
        lab.until("it runs", lambda: (self.get("ccl", "alone").get("status") or {}).get("phase") == "available", 60)
        self.redis(self.ip("alone"))("SET", "k", "v")
        before = {node: lab.pod_of(node, self.namespace)["metadata"]["uid"] for _, node in nodes}

        self.apply(alone + "{" + settings + "}\n")
        self.edit("refused", ", " + settings)
        for kind, node in nodes:
            lab.until(f"{node} says so", lambda: lab.condition(self.get(kind, node), "Accepted")["status"] == "False", 30)
            accepted = lab.condition(self.get(kind, node), "Accepted")
            self.assertEqual((accepted["reason"], accepted["message"]),
                             ("InvalidParameterCombination", "the API server refuses its Pod: no PriorityClass with name "
                              f"{name} was found"))
            self.assertEqual(lab.condition(self.get(kind, node), "Ready")["status"], "True")
            self.assertEqual(lab.condition(self.get(kind, node), "Stalled")["status"], "False", "the class helps")
        self.assertEqual(lab.condition(self.group("refused"), "Accepted")["status"], "False")
        self.assertEqual(self.redis(self.ip("alone"))("GET", "k"), "v")
        self.assertEqual({node: lab.pod_of(node, self.namespace)["metadata"]["uid"] for _, node in nodes}, before)
        for _, node in nodes:
            self.assertEqual(self.events(node, "ModificationApplied"), 0)
        self.apply(HEAD + f"kind: CacheCluster\nmetadata: {{name: fresh}}\nspec: {{{settings}}}\n")

        def refusal_of_the_new_one():
            return lab.condition(self.get("ccl", "fresh"), "Accepted").get("message", "") == accepted["message"]
        lab.until("the new one says so", refusal_of_the_new_one, 40)

        # Taken back where it would cost data; in the group it comes into force once there is such a class.
        self.apply(alone + "{}\n")
        lab.until("accepted", lambda: lab.condition(self.get("ccl", "alone"), "Accepted")["status"] == "True", 30)
        self.addCleanup(lab.kubectl, "delete", "priorityclass", name, "--ignore-not-found")
        lab.kubectl("create", "priorityclass", name, "--value=1000")
        for _, node in nodes[1:]:
            lab.until(f"{node} has it", lambda: (lab.pod_of(node, self.namespace) or {"spec": {}})["spec"]
                      .get("priorityClassName") == name, 120)
        self.wait_whole("refused", 2)
        lab.until("the new one runs", lambda: self.get("ccl", "fresh")["status"]["phase"] == "available", 120)
        self.assertEqual(lab.pod_of("alone", self.namespace)["metadata"]["uid"], before["alone"])

    def test_a_pod_that_no_node_could_take_costs_no_other_one(self):
        label = f"understudy.test/{self.namespace}"
        settings = f"applyImmediately: true, node: {{nodeSelector: {{{label}: nvme}}}}"
        alone = HEAD + "kind: CacheCluster\nmetadata: {name: alone}\nspec: "
        self.apply(alone + "{}\n")
        self.make_group("homeless", 1)
        nodes = (("ccl", "alone"), ("ccl", "homeless-a"), ("rr", "homeless-r1"))
        lab.until("it runs", lambda: (self.get("ccl", "alone").get("status") or {}).get("phase") == "available", 60)
        self.redis(self.ip("alone"))("SET", "k", "v")
        before = {node: lab.pod_of(node, self.namespace)["metadata"]["uid"] for _, node in nodes}

        def refused(kind, node, words):
            def says():
                accepted = lab.condition(self.get(kind, node), "Accepted")
                return accepted["status"] == "False" and words in accepted["message"]
            lab.until(f"{node} says so", says, 30)
            found = self.get(kind, node)
            self.assertEqual(lab.condition(found, "Accepted")["reason"], "InsufficientCacheClusterCapacity")
            self.assertEqual(lab.condition(found, "Ready")["status"], "True")
            self.assertEqual(lab.condition(found, "Stalled")["status"], "False", "a Node helps")

        self.apply(alone + "{applyImmediately: true, availabilityZone: nowhere}\n")
        refused("ccl", "alone", "no Node is in zone nowhere; there are Nodes in zone")
        self.apply(alone + "{applyImmediately: true, node: {resources: {requests: {cpu: 4000}}}}\n")
        refused("ccl", "alone", "no Node has 4000 CPUs for it: the largest has ")
        self.apply(alone + "{" + settings + "}\n")
        self.edit("homeless", ", " + settings)
        for kind, node in nodes:
            refused(kind, node, f"no Node has the label {label}=nvme of nodeSelector")
        self.assertEqual(lab.condition(self.group("homeless"), "Accepted")["reason"], "InsufficientCacheClusterCapacity")
        time.sleep(5)  # a Pod would go now
        self.assertEqual(self.redis(self.ip("alone"))("GET", "k"), "v")
        self.assertEqual({node: lab.pod_of(node, self.namespace)["metadata"]["uid"] for _, node in nodes}, before)
        for _, node in nodes:
            self.assertEqual(self.events(node, "ApplyingModification"), 0)

        # A new node is not held back: an autoscaler has to see its Pod wait.
        self.apply(HEAD + f"kind: CacheCluster\nmetadata: {{name: fresh}}\nspec: {{{settings}}}\n")
        lab.until("its Pod waits", lambda: lab.condition(self.get("ccl", "fresh"), "Ready").get("reason") ==
                  "InsufficientCacheClusterCapacity", 60)
        self.assertEqual(lab.condition(self.get("ccl", "fresh"), "Accepted")["status"], "True")

        # Taken back where it would cost data; in the group it comes into force once there is such a Node.
        self.apply(alone + "{}\n")
        lab.until("accepted", lambda: lab.condition(self.get("ccl", "alone"), "Accepted")["status"] == "True", 30)
        host = lab.pod_of("homeless-a", self.namespace)["spec"]["nodeName"]
        self.addCleanup(lab.kubectl, "label", "node", host, f"{label}-")
        lab.kubectl("label", "node", host, f"{label}=nvme")
        for _, node in nodes[1:]:
            lab.until(f"{node} has it", lambda: ((lab.pod_of(node, self.namespace) or {"spec": {}})["spec"]
                                                 .get("nodeSelector") or {}).get(label) == "nvme", 120)
        self.wait_whole("homeless", 2)
        self.assertEqual(lab.condition(self.group("homeless"), "Accepted")["status"], "True")
        lab.until("the new one runs", lambda: self.get("ccl", "fresh")["status"]["phase"] == "available", 120)
        self.assertEqual(lab.pod_of("alone", self.namespace)["metadata"]["uid"], before["alone"])

    def test_a_new_node_whose_parameters_stop_it_says_so_and_starts_once_they_are_corrected(self):
        self.apply(HEAD + "kind: CacheCluster\nmetadata: {name: stops}\nspec: {node: {parameters: {nosuch: 1}}}\n")

        def accepted(status):
            found = lab.condition(self.get("ccl", "stops"), "Accepted")
            return found if found.get("status") == status else None
        found = lab.until("it is refused", lambda: accepted("False"), 60)
        self.assertEqual(found["reason"], "InvalidParameterValue")
        self.assertIn("its process can't be started with its parameters: 'nosuch' is not an option", found["message"])
        self.assertEqual(lab.condition(self.get("ccl", "stops"), "Stalled")["status"], "True")
        self.assertEqual(self.get("ccl", "stops")["status"]["phase"], "create-failed")
        self.apply(HEAD + "kind: CacheCluster\nmetadata: {name: stops}\nspec: {}\n")
        lab.until("it runs", lambda: self.get("ccl", "stops")["status"]["phase"] == "available", 60)
        self.assertTrue(accepted("True"))

    def test_a_window_that_is_none_is_refused_with_one_sentence(self):
        for text, words in (("sun:05:00-sun:05:59", "must be 60 minutes to 24 hours long"),
                            ("sun:05:00-mon:05:01", "must be 60 minutes to 24 hours long"),
                            ("sunday:05:00", "must be ddd:hh24:mi-ddd:hh24:mi in UTC")):
            for kind in ("CacheCluster", "ReplicationGroup"):
                error = self.refused(HEAD + f"kind: {kind}\nmetadata: {{name: bad}}\nspec: {{preferredMaintenanceWindow: '{text}'}}\n")
                self.assertIn(words, error)
