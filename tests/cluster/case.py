"""The base of all end-to-end tests: a namespace for each class, groups made by short words, and the checks
that several tests share."""
import json
import threading
import time
import unittest

import lab


class Case(unittest.TestCase):
    namespace = "default"

    @classmethod
    def setUpClass(cls):
        cls.namespace = "t-" + cls.__name__.lower()
        lab.make_namespace(cls.namespace)

    @classmethod
    def tearDownClass(cls):
        lab.cluster("heal")
        lab.kubectl("delete", "namespace", cls.namespace, "--wait=false", check=False)

    # ---- objects ------------------------------------------------------------------------------------------
    def apply(self, text):
        return lab.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=text)

    def refused(self, text):
        return lab.kubectl_refused("apply", "-n", self.namespace, "-f", "-", stdin=text)

    def get(self, kind, name):
        return lab.get(kind, name, self.namespace)

    def delete(self, kind, name):
        lab.kubectl("delete", kind, name, "-n", self.namespace, "--wait=false")

    def group(self, name):
        return self.get("replicationgroup", name)

    def make_group(self, name, replicas=1, zones=None, spec="", timeout=90):
        """A CacheCluster `<name>-a`, ReadReplicas `<name>-r1`…, a group over them; waits until all is in sync.
        zones: of the primary and each replica, e.g. "abc"."""
        def zone(i):
            return f", availabilityZone: ap-northeast-1{zones[i]}" if zones else ""
        head = "apiVersion: cache.understudy.dev/v1alpha1\n"
        text = head + f"kind: CacheCluster\nmetadata: {{name: {name}-a}}\nspec: {{replicationGroupId: {name}{zone(0)}}}\n"
        text += "---\n" + head + f"kind: ReplicationGroup\nmetadata: {{name: {name}}}\nspec: {{primaryClusterId: {name}-a{spec}}}\n"
        for i in range(1, replicas + 1):
            text += ("---\n" + head + f"kind: ReadReplica\nmetadata: {{name: {name}-r{i}}}\n"
                     f"spec: {{replicationGroupId: {name}{zone(i)}}}\n")
        self.apply(text)
        self.wait_whole(name, replicas + 1, timeout)

    def wait_whole(self, name, members, timeout=90):
        def whole():
            group = self.group(name)
            return (group["status"]["phase"] == "available" and group["status"]["membersReady"] == f"{members}/{members}"
                    and lab.condition(group, "Ready")["status"] == "True" and "failover" not in group["status"]
                    and len(group["status"]["configurations"]) == 1
                    and len(group["status"]["configurations"][0].get("voters", [])) == members - 1)
        lab.until(f"group {name} whole with {members} members", whole, timeout)
        return self.group(name)

    def primary(self, name):
        return self.group(name)["status"]["primary"]

    # ---- clients ------------------------------------------------------------------------------------------
    def ip(self, node):
        return lab.pod_ip(node, self.namespace)

    def service(self, name):
        return lab.service_ip(name, self.namespace)

    def redis(self, host, node="node-a"):
        """A client of a Pod or a Service. kube-proxy has a new Service or endpoint in its rules within a second,
        not at once; who connects before is refused."""
        client = lab.until(f"a connection to {host}", lambda: lab.Redis(node, host), 10, 0.02)
        self.addCleanup(client.close)
        return client

    def primary_client(self, service, node="node-a"):
        """A client of the primary behind a Service. In kube-proxy's second the Service may still lead to the node
        that was primary before, which refuses writes, or loads what it has on disk."""
        address = self.service(service)

        def connect():
            client = lab.Redis(node, address)
            try:
                if client("ROLE")[0] == "master":
                    return client
            except lab.ReplyError:
                pass
            client.close()
        client = lab.until(f"a connection to a primary behind {service}", connect, 10, 0.02)
        self.addCleanup(client.close)
        return client

    def writer(self, host, node="node-a", **kw):
        self.redis(host, node).close()
        writer = lab.Writer(node, host, **kw)
        writer.start()
        self.addCleanup(writer.stopping.set)
        lab.until("the writer's first acknowledgements", lambda: len(writer.acks) > 50, 20, 0.01)
        return writer

    def pids(self, node):
        return lab.node_pids(node, self.namespace)

    def host_of(self, node):
        return lab.pod_of(node, self.namespace)["spec"]["nodeName"]

    # ---- checks -------------------------------------------------------------------------------------------
    def wait_failed_over(self, name, epoch, timeout=40):
        """The group has another primary in a later epoch, and the Service points to it."""
        def done():
            status = self.group(name)["status"]
            return status["epoch"] > epoch and "failover" not in status
        lab.until(f"group {name} failed over from epoch {epoch}", done, timeout, 0.05)
        return self.group(name)

    def assert_endpoint(self, name, node):
        slice_ = self.get("endpointslice", f"{name}-primary")
        self.assertEqual([e["targetRef"]["name"] for e in slice_["endpoints"]], [f"{node}-0"])


class Probe(threading.Thread):
    """Writes straight to one node all the time, and notes each acknowledgement: [sent, received]."""

    def __init__(self, from_node, ip):
        super().__init__(daemon=True)
        self.from_node, self.ip, self.acks, self.stopping = from_node, ip, [], threading.Event()

    def run(self):
        client = None
        while not self.stopping.is_set():
            try:
                client = client or lab.Redis(self.from_node, self.ip, timeout=0.2)
                sent = time.monotonic()
                client("SET", "probe", sent)
                self.acks.append((sent, time.monotonic()))
            except lab.ReplyError:
                pass
            except OSError:
                if client:
                    client.close()
                client = None
            time.sleep(0.004)
        if client:
            client.close()


class Probes:
    """One Probe for each node, from a host that can reach it; `check` proves that no two acknowledged at the
    same time."""

    def __init__(self, places):
        self.probes = {name: Probe(*place) for name, place in places.items()}
        for probe in self.probes.values():
            probe.start()

    def stop(self):
        for probe in self.probes.values():
            probe.stopping.set()
        for probe in self.probes.values():
            probe.join(5)

    def check(self, test):
        """An acknowledgement of one node must not begin after another node, that took over from it, has
        acknowledged: in the order of receipt, each node appears in one stretch only."""
        self.stop()
        order = sorted((received, sent, name) for name, probe in self.probes.items() for sent, received in probe.acks)
        for (received, _, name), (_, sent, other) in zip(order, order[1:]):
            if name != other:
                test.assertGreater(sent, received - 0.25, f"{other} and {name} acknowledged side by side")
        stretches = [order[0][2]] if order else []
        for _, _, name in order:
            if name != stretches[-1]:
                stretches.append(name)
        test.assertEqual(len(stretches), len(set(stretches)), f"nodes acknowledged in turns: {stretches}")
        return stretches


def dump(obj):
    return json.dumps(obj, indent=2)
