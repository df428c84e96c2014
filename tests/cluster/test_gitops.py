"""What holds when manifests in Git are the truth (API.md "Under GitOps", T1 to T5): a loop of apply, diff, prune,
revert and a new namespace, as Argo CD and Flux do it, against the real API server."""
import itertools
import json
import os
import signal
import subprocess
import time

import lab
from case import Case
from test_input import cluster, group, replica

KINDS = "replicationgroups.cache.understudy.dev,cacheclusters.cache.understudy.dev,readreplicas.cache.understudy.dev"
FOREGROUND = ("--cascade=foreground", "--wait=false")


class Repository:
    """Manifests as a Git repository has them, and what a GitOps controller does with them in one namespace."""

    def __init__(self, namespace, name):
        self.namespace, self.label = namespace, f"gitops={name}"
        self.commits, self.name = [{}], name

    def commit(self, **documents):
        """key = text, or None to remove the file."""
        new = {**self.commits[-1], **documents}
        self.commits.append({key: text for key, text in new.items() if text is not None})

    def revert(self):
        self.commits.append(self.commits[-2])

    def text(self):
        """Every document with the label that pruning goes by."""
        key, value = self.label.split("=")
        return "---\n".join(text.replace("metadata: {", f"metadata: {{labels: {{{key}: {value}}}, ", 1)
                            for text in self.commits[-1].values())

    def sync(self, *how):
        lab.kubectl("apply", *how, "-n", self.namespace, "-f", "-", stdin=self.text())
        self.prune()

    def prune(self):
        """In the foreground, as Argo CD does: whatever has the label and is not in the manifests."""
        wanted = {line.split("name: ")[1].split("}")[0].split(",")[0] + "/" + kind
                  for text in self.commits[-1].values() for kind in [text.split("kind: ")[1].split("\n")[0]]
                  for line in text.splitlines() if line.startswith("metadata:")}
        live = json.loads(lab.kubectl("get", KINDS, "-n", self.namespace, "-l", self.label, "-o", "json"))["items"]
        for item in live:
            if f"{item['metadata']['name']}/{item['kind']}" not in wanted and "deletionTimestamp" not in item["metadata"]:
                lab.kubectl("delete", item["kind"], item["metadata"]["name"], "-n", self.namespace, *FOREGROUND)

    def drift(self, *how):
        """What `kubectl diff` shows; "" = in sync."""
        done = subprocess.run([lab.CLUSTER, "kubectl", "diff", *how, "-n", self.namespace, "-f", "-"], input=self.text(),
                              capture_output=True, text=True, check=False)
        if done.returncode > 1:
            raise lab.Failure(f"kubectl diff: {done.stderr}")
        return done.stdout


class GitOps(Case):
    def repository(self, name, replicas=1, namespace=None, spec=""):
        """A group of `<name>-a` and replicas, committed and synced; whole."""
        repo = Repository(namespace or self.namespace, name)
        documents = {"a": cluster(f"{name}-a", f"{{replicationGroupId: {name}}}"),
                     "g": group(name, f"{{primaryClusterId: {name}-a{spec}}}")}
        for i in range(1, replicas + 1):
            documents[f"r{i}"] = replica(f"{name}-r{i}", f"{{replicationGroupId: {name}}}")
        repo.commit(**documents)
        repo.sync()
        if namespace is None:
            self.wait_whole(name, replicas + 1)
        return repo

    def versions(self, repo):
        live = json.loads(lab.kubectl("get", KINDS, "-n", repo.namespace, "-l", repo.label, "-o", "json"))["items"]
        return {f"{i['kind']}/{i['metadata']['name']}": (i["metadata"]["resourceVersion"], i["metadata"]["generation"]) for i in live}

    def fail_over(self, name):
        status = self.group(name)["status"]
        os.kill(self.pids(status["primary"])[0], signal.SIGKILL)
        self.wait_failed_over(name, status["epoch"])
        return self.wait_whole(name, len(status["members"]))

    def gone(self, kind, name, timeout=90):
        lab.until(f"{kind} {name} is gone", lambda: self.get(kind, name) is None, timeout)

    # ---- T1 ---------------------------------------------------------------------------------------------------
    def test_t1_the_same_manifests_change_nothing_also_after_a_failover(self):
        for how in ((), ("--server-side", "--force-conflicts")):
            with self.subTest(how=how):
                name = "t1s" if how else "t1c"
                repo = self.repository(name)
                repo.sync(*how)
                self.assertEqual(repo.drift(*how), "")
                group_after = self.fail_over(name)
                self.assertEqual(group_after["status"]["primary"], f"{name}-r1")
                self.assertEqual(repo.drift(*how), "", "self-heal would undo something")
                lab.until("at rest", lambda: self.at_rest(repo), 60)
                before, epoch = self.versions(repo), group_after["status"]["epoch"]
                for _ in range(3):
                    repo.sync(*how)
                time.sleep(3)
                self.assertEqual(self.versions(repo), before)
                self.assertEqual(self.group(name)["status"]["epoch"], epoch)
                self.assertEqual(self.primary(name), f"{name}-r1")

    def at_rest(self, repo):
        before = self.versions(repo)
        time.sleep(2)
        return self.versions(repo) == before

    # ---- T2 ---------------------------------------------------------------------------------------------------
    def test_t2_a_revert_undoes(self):
        repo = self.repository("t2", spec=", applyImmediately: true")
        self.primary_client("t2")("SET", "k", "kept")
        # A replica.
        repo.commit(r2=replica("t2-r2", "{replicationGroupId: t2}"))
        repo.sync()
        self.wait_whole("t2", 3)
        repo.revert()
        repo.sync()
        self.gone("rr", "t2-r2")
        self.wait_whole("t2", 2)
        # A switchover.
        repo.commit(g=group("t2", "{primaryClusterId: t2-r1, applyImmediately: true}"))
        repo.sync()
        lab.until("switched over", lambda: self.primary("t2") == "t2-r1", 40)
        self.wait_whole("t2", 2)
        self.assertEqual(repo.drift(), "")
        repo.revert()
        repo.sync()
        lab.until("and back", lambda: self.primary("t2") == "t2-a", 40)
        self.wait_whole("t2", 2)
        # The whole group, and back before anything else: it adopts what it left.
        repo.commit(g=None)
        repo.sync()
        self.gone("rg", "t2")
        repo.revert()
        repo.sync()
        self.wait_whole("t2", 2)
        self.assertEqual(self.primary_client("t2")("GET", "k"), "kept")

    def test_t2_a_revert_undoes_with_server_side_apply(self):
        def apply(spec):
            lab.kubectl("apply", "--server-side", "-n", self.namespace, "-f", "-", stdin=cluster("t2-ssa", spec))

        apply("{}")
        # Before its status says that it is independent, it may be a member as far as the API server knows.
        lab.until("it stands alone", lambda: self.get("ccl", "t2-ssa").get("status", {}).get("role") == "standalone", 40)
        for spec in ("{applyImmediately: true}", "{replicationGroupId: t2-none}", "{node: {podLabels: {a: b}}}"):
            apply(spec)
            apply("{}")
            self.assertEqual(self.get("ccl", "t2-ssa")["spec"], {}, spec)

    # ---- T3 ---------------------------------------------------------------------------------------------------
    def test_t3_on_an_empty_cluster_they_give_the_same_group_and_no_history(self):
        repo = self.repository("t3", 2)
        stamp = lab.kubectl("get", "rg", "t3", "-n", self.namespace, "-o", "jsonpath={.metadata.creationTimestamp}")
        noted = group("t3", "{primaryClusterId: t3-a}").replace(
            "name: t3}", f"name: t3, annotations: {{cache.understudy.dev/switchover-to: 't3-r2@{stamp}'}}}}")
        repo.commit(g=noted)
        repo.sync()
        lab.until("the switchover that it asks for", lambda: self.primary("t3") == "t3-r2", 40)
        self.wait_whole("t3", 3)
        self.fail_over("t3")
        time.sleep(1.1)  # creation times have whole seconds: the new group must be younger than the request
        other = self.namespace + "-new"
        lab.make_namespace(other)
        self.addCleanup(lab.kubectl, "delete", "namespace", other, "--wait=false", check=False)
        repo.namespace = other
        repo.sync()

        def whole():
            status = lab.get("rg", "t3", other)["status"]
            return status["membersReady"] == "3/3" and status["phase"] == "available"
        lab.until("the same group in the new namespace", whole, 120)
        time.sleep(3)
        status = lab.get("rg", "t3", other)["status"]
        self.assertEqual(status["primary"], "t3-a", "as the manifest says; the annotation is history there")
        self.assertNotIn("failoverHistory", {k: v for k, v in status.items() if v})
        self.assertEqual(lab.condition(lab.get("rg", "t3", other), "Degraded")["status"], "False")
        self.assertEqual(repo.drift(), "")

    # ---- T4 ---------------------------------------------------------------------------------------------------
    def test_t4_pruning_in_any_order_loses_nothing_that_is_still_declared(self):
        for number, order in enumerate(itertools.permutations(("rg", "ccl", "rr"))):
            with self.subTest(order=order):
                name = f"t4{number}"
                self.repository(name)
                objects = {"rg": name, "ccl": f"{name}-a", "rr": f"{name}-r1"}
                client = self.primary_client(name)
                for i in range(100):
                    client("SET", f"k:{i}", i)
                lab.until("the replica has it", lambda n=name: self.redis(self.ip(f"{n}-r1"))("DBSIZE") == 100, 20)
                nodes = [kind for kind in order if kind != "rg"]
                for kind in order:
                    lab.kubectl("delete", kind, objects[kind], "-n", self.namespace, *FOREGROUND)
                    if kind == nodes[-1]:
                        break  # nobody declares the data any more
                    self.gone(kind, objects[kind])
                    last = objects[nodes[-1]]
                    held = lab.until(f"{last} has the data", lambda n=last: self.redis(self.ip(n))("DBSIZE") == 100, 30)
                    self.assertTrue(held, f"after {kind} of {order}")
                for kind, one in objects.items():
                    lab.kubectl("delete", kind, one, "-n", self.namespace, *FOREGROUND, check=False)
                for kind, one in objects.items():
                    self.gone(kind, one)

    def test_t4_what_is_deleted_together_is_gone_at_once_in_any_order(self):
        documents = [cluster("t4del-a"), group("t4del", "{primaryClusterId: t4del-a}"),
                     replica("t4del-r", "{replicationGroupId: t4del}")]
        kinds = ["ccl/t4del-a", "rg/t4del", "rr/t4del-r"]
        for order in itertools.permutations(kinds):
            with self.subTest(order=order):
                self.apply("\n---\n".join(documents))
                self.wait_whole("t4del", 2)
                lab.kubectl("delete", "-n", self.namespace, "--wait=false", *order)
                # Nobody is left to take the role over, so the primary does not wait for that for its 25 s.
                for pod in ("t4del-a-0", "t4del-r-0"):
                    self.gone("pod", pod, 20)
                for one in kinds:
                    self.gone(*one.split("/"))

    def test_t4_everything_pruned_at_once_goes_without_help(self):
        repo = self.repository("t4all", 2)
        repo.commit(a=None, g=None, r1=None, r2=None)
        repo.prune()
        for kind, name in (("rg", "t4all"), ("ccl", "t4all-a"), ("rr", "t4all-r1"), ("rr", "t4all-r2")):
            self.gone(kind, name, 120)
        for kind, name in (("service", "t4all"), ("service", "t4all-reader"), ("statefulset", "t4all-a"), ("pdb", "t4all")):
            self.gone(kind, name)

    # ---- T5 ---------------------------------------------------------------------------------------------------
    def test_t5_the_operator_writes_no_field_that_a_user_owns(self):
        repo = self.repository("t5")
        self.fail_over("t5")
        lab.kubectl("scale", "rg", "t5", "-n", self.namespace, "--replicas=1")
        self.wait_whole("t5", 3)
        lab.kubectl("scale", "rg", "t5", "-n", self.namespace, "--replicas=0")
        self.wait_whole("t5", 2)
        live = json.loads(lab.kubectl("get", KINDS, "-n", self.namespace, "-l", repo.label, "-o", "json", "--show-managed-fields"))["items"]
        self.assertEqual(len(live), 3)
        for item in live:
            for entry in item["metadata"]["managedFields"]:
                if entry["manager"] == "understudy":
                    self.assertNotIn("f:spec", entry["fieldsV1"], f"{item['kind']} {item['metadata']['name']}")
        specs = {item["metadata"]["name"]: item["spec"] for item in live}
        self.assertEqual(specs["t5"]["primaryClusterId"], "t5-a")
        self.assertEqual(specs["t5-r1"], {"replicationGroupId": "t5"})

    # ---- adoption, protection, what stays behind -----------------------------------------------------------------
    def test_a_group_that_comes_back_adopts_what_it_left(self):
        repo = self.repository("back", 2)
        lab.kubectl("annotate", "rg", "back", "-n", self.namespace,
                    "cache.understudy.dev/switchover-to=back-r1@" + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        lab.until("back-r1 is primary", lambda: self.primary("back") == "back-r1", 40)
        before = self.wait_whole("back", 3)["status"]
        self.primary_client("back")("SET", "k", "of the group")
        lab.kubectl("delete", "rg", "back", "-n", self.namespace, *FOREGROUND)
        self.gone("rg", "back")
        alone = lab.until("its heir stands alone", lambda: self.get("rr", "back-r1")["status"].get("role") == "standalone" and
                          self.redis(self.ip("back-r1")), 60)
        lab.until("and takes writes", lambda: alone("SET", "later", "of the heir") == "OK", 30)
        uids = {n: lab.pod_of(n, self.namespace)["metadata"]["uid"] for n in ("back-a", "back-r1", "back-r2")}
        repo.sync()
        status = self.wait_whole("back", 3)["status"]
        self.assertEqual(status["primary"], "back-r1", "it has the newest data; the manifest names back-a")
        self.assertEqual(status["handledPrimaryClusterId"], "back-a")
        self.assertEqual(status["dataset"], before["dataset"])
        self.assertGreater(status["epoch"], before["epoch"])
        self.assertIn("PrimaryKept", lab.kubectl("get", "events", "-n", self.namespace, "-o", "json"))
        client = self.primary_client("back")
        self.assertEqual((client("GET", "k"), client("GET", "later")), ("of the group", "of the heir"))
        for node in ("back-a", "back-r2"):
            lab.until(f"{node} follows", lambda n=node: self.redis(self.ip(n))("GET", "later") == "of the heir", 30)
        self.assertEqual({n: lab.pod_of(n, self.namespace)["metadata"]["uid"] for n in uids}, uids, "no Pod was replaced")

    def test_a_protected_group_is_not_deleted(self):
        self.repository("prot", 0, spec=", deletionProtection: true")
        for words in ((), FOREGROUND):
            error = lab.kubectl_refused("delete", "rg", "prot", "-n", self.namespace, *words)
            self.assertIn("replication group prot is protected; set spec.deletionProtection to false before you delete it", error)
        self.assertNotIn("deletionTimestamp", self.group("prot")["metadata"])
        lab.kubectl("patch", "rg", "prot", "-n", self.namespace, "--type=merge", "-p", '{"spec":{"deletionProtection":false}}')
        lab.kubectl("delete", "rg", "prot", "-n", self.namespace, "--wait=false")
        self.gone("rg", "prot")

    def test_the_operators_key_goes_with_the_last_node_of_a_namespace(self):
        namespace = self.namespace + "-key"
        lab.make_namespace(namespace)
        self.addCleanup(lab.kubectl, "delete", "namespace", namespace, "--wait=false", check=False)
        lab.kubectl("apply", "-n", namespace, "-f", "-", stdin=cluster("one") + "---\n" + cluster("two"))
        key = lambda: lab.get("configmap", "understudy-operator", namespace)  # noqa: E731
        lab.until("both run", lambda: all(lab.condition(lab.get("ccl", n, namespace), "Ready").get("status") == "True" for n in ("one", "two")), 90)
        uid = key()["metadata"]["uid"]
        lab.kubectl("delete", "ccl", "one", "-n", namespace)
        lab.until("its Pod is gone", lambda: lab.get("pod", "one-0", namespace) is None, 60)
        time.sleep(2)
        self.assertEqual(key()["metadata"]["uid"], uid)
        lab.kubectl("delete", "ccl", "two", "-n", namespace)
        lab.until("the key is gone", lambda: key() is None, 90)
