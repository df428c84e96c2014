"""Bad input: one refusal or one condition with a sentence each, and recovery by itself."""
import json

import lab
from case import Case

HEAD = "apiVersion: cache.understudy.dev/v1alpha1\n"


def cluster(name, spec="{}"):
    return HEAD + f"kind: CacheCluster\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def replica(name, spec):
    return HEAD + f"kind: ReadReplica\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def group(name, spec):
    return HEAD + f"kind: ReplicationGroup\nmetadata: {{name: {name}}}\nspec: {spec}\n"


class Input(Case):
    def wait_condition(self, kind, name, type_, status, reason=None, timeout=30):
        def there():
            found = lab.condition(self.get(kind, name), type_)
            return found if found.get("status") == status and reason in (None, found.get("reason")) else None
        return lab.until(f"{kind} {name}: {type_} {status} {reason}", there, timeout)

    def test_an_unknown_field_is_refused(self):
        error = self.refused(cluster("unknown", "{replicas: 3}"))
        self.assertIn('unknown field "spec.replicas"', error)

    def test_values_out_of_bounds_are_refused_with_one_sentence(self):
        for document, words in (
                (group("bounds", "{synchronousReplicas: 9}"), "should be less than or equal to 5"),
                (group("bounds", "{failover: {leaseDuration: 10ms}}"), "must be 500ms to 60s"),
                (group("same", "{primaryClusterId: same}"), ""),
                (cluster("x" * 51), ""),
                (cluster("negative", "{node: {resources: {limits: {memory: -1Gi}}}}"), "must be a quantity, not below zero"),
                (cluster("managed", "{node: {parameters: {port: 1}}}"), "the operator sets these parameters itself"),
                (cluster("lines", '{node: {parameters: {notify-keyspace-events: "KEA\\nport 1"}}}'), "parameter values are one line")):
            self.assertIn(words, self.refused(document))

    def test_membership_can_not_be_dropped_by_accident(self):
        self.make_group("keep", 1)
        error = self.refused(replica("keep-r1", "{}"))
        self.assertIn("replicationGroupId", error)
        self.assertEqual(self.get("rr", "keep-r1")["spec"]["replicationGroupId"], "keep")

    def test_a_seventh_member_is_told_so_and_comes_in_when_there_is_room(self):
        self.make_group("full", 5)
        self.apply(replica("full-r6", "{replicationGroupId: full}"))
        found = self.wait_condition("rr", "full-r6", "Accepted", "False", "NodeQuotaForClusterExceeded")
        self.assertTrue(found["message"])
        self.assertIsNone(self.get("pod", "full-r6-0"))
        self.delete("rr", "full-r5")
        self.wait_condition("rr", "full-r6", "Accepted", "True", timeout=60)
        self.wait_condition("rr", "full-r6", "InSync", "True", timeout=60)

    def test_a_replica_waits_for_its_group(self):
        self.apply(replica("early", "{replicationGroupId: later}"))
        found = self.wait_condition("rr", "early", "Ready", "False")
        self.assertIn("later", found["message"])
        self.assertIsNone(self.get("pod", "early-0"))
        self.apply(cluster("later-a") + "---\n" + group("later", "{primaryClusterId: later-a}"))
        self.wait_condition("rr", "early", "InSync", "True", timeout=60)

    def test_a_group_waits_for_its_primary(self):
        self.apply(group("lonely", "{primaryClusterId: nobody}"))
        found = self.wait_condition("rg", "lonely", "Ready", "False")
        self.assertIn("nobody", found["message"])
        self.apply(cluster("nobody"))
        self.wait_condition("rg", "lonely", "Ready", "True", timeout=60)

    def test_a_zone_without_nodes(self):
        self.make_group("zone", 1)
        self.apply(replica("nozone", "{replicationGroupId: zone, availabilityZone: ap-northeast-1x}"))
        found = self.wait_condition("rr", "nozone", "Ready", "False", "InsufficientCacheClusterCapacity")
        self.assertIn("ap-northeast-1x", json.dumps(self.get("rr", "nozone")) + found["message"])
        self.assertEqual(lab.condition(self.group("zone"), "Ready")["status"], "True")

    def test_a_name_taken_by_a_foreign_object(self):
        lab.kubectl("create", "service", "clusterip", "taken", "--tcp=80:80", "-n", self.namespace)
        self.apply(cluster("taken"))
        found = self.wait_condition("ccl", "taken", "Accepted", "False", "NameConflict")
        self.assertIn("taken", found["message"])
        self.assertEqual(self.get("service", "taken")["spec"]["ports"][0]["port"], 80)
        self.delete("service", "taken")
        self.wait_condition("ccl", "taken", "Ready", "True", timeout=60)

    def test_a_standing_cluster_is_not_demoted(self):
        self.make_group("into", 1)
        self.apply(cluster("alone"))
        self.wait_condition("ccl", "alone", "Ready", "True", timeout=60)
        client = self.primary_client("alone")
        client("SET", "k", "v")
        self.apply(cluster("alone", "{replicationGroupId: into}"))
        found = self.wait_condition("ccl", "alone", "Accepted", "False")
        self.assertTrue(found["message"])
        self.assertEqual(client("GET", "k"), "v")
        self.assertEqual(client("SET", "k", "w"), "OK")
        self.assertEqual(self.group("into")["status"]["membersReady"], "2/2")
