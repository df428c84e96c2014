#include "operator/manifests/labels.h"
#include "operator/manifests/manifests.h"

namespace understudy::manifests {
namespace {

Json NodeLabels(const api::CacheNode& node) {
  Json labels = CommonLabels(node.meta.name, "cache-node");
  labels[api::kClusterLabel] = node.meta.name;
  return labels;
}

Json GroupLabels(const api::ReplicationGroup& group) {
  Json labels = CommonLabels(group.meta.name, "replication-group");
  labels[api::kGroupLabel] = group.meta.name;
  return labels;
}

// Owned by its Service; one endpoint, ready and serving whatever the kubelet thinks.
Json BuildSlice(Json metadata, const std::string& service, const std::string& service_uid,
                const std::string& address_type, const SliceTarget& target) {
  metadata["labels"]["kubernetes.io/service-name"] = service;
  metadata["labels"]["endpointslice.kubernetes.io/managed-by"] = kSliceManager;
  metadata["ownerReferences"] = Json::array({{{"apiVersion", "v1"},
                                              {"kind", "Service"},
                                              {"name", service},
                                              {"uid", service_uid},
                                              {"controller", true}}});
  Json endpoint = {{"addresses", {target.address}},
                   {"conditions", {{"ready", true}, {"serving", true}, {"terminating", false}}},
                   {"targetRef",
                    {{"kind", "Pod"},
                     {"name", target.pod_name},
                     {"namespace", metadata["namespace"]},
                     {"uid", target.pod_uid}}}};
  if (!target.node_name.empty()) endpoint["nodeName"] = target.node_name;
  if (!target.zone.empty()) endpoint["zone"] = target.zone;
  return WithHash({{"apiVersion", "discovery.k8s.io/v1"},
                   {"kind", "EndpointSlice"},
                   {"metadata", std::move(metadata)},
                   {"addressType", address_type},
                   {"ports", Json::array({{{"name", "redis"}, {"port", kDataPort}, {"protocol", "TCP"}}})},
                   {"endpoints", Json::array({std::move(endpoint)})}});
}

}  // namespace

// Selector-less, with a slice of ours: the end of a Pod then changes no Service that kube-proxy follows, so that
// the primary's slice is the first Service-related write of a takeover (FAILOVER.md section 8).
Json BuildNodeService(const api::CacheNode& node) {
  return WithHash({{"apiVersion", "v1"},
                   {"kind", "Service"},
                   {"metadata", ChildMeta(node.meta.name, node.meta, api::NodeKindName(node.kind), NodeLabels(node))},
                   {"spec",
                    {{"type", "ClusterIP"}, {"ipFamilyPolicy", "SingleStack"}, {"ports", Ports(false)}}}});
}

Json BuildHeadlessService(const api::CacheNode& node) {
  return WithHash({{"apiVersion", "v1"},
                   {"kind", "Service"},
                   {"metadata", ChildMeta(HeadlessName(node.meta.name), node.meta, api::NodeKindName(node.kind),
                                          NodeLabels(node))},
                   {"spec",
                    {{"type", "ClusterIP"},
                     {"clusterIP", "None"},
                     {"publishNotReadyAddresses", true},
                     {"selector", {{api::kClusterLabel, node.meta.name}}},
                     {"ports", Ports(true)}}}});
}

// Selector-less: its one EndpointSlice moves with the primary in one write, whatever the kubelet thinks.
Json BuildPrimaryService(const api::ReplicationGroup& group) {
  return WithHash({{"apiVersion", "v1"},
                   {"kind", "Service"},
                   {"metadata", ChildMeta(group.meta.name, group.meta, "ReplicationGroup", GroupLabels(group))},
                   {"spec",
                    {{"type", "ClusterIP"}, {"ipFamilyPolicy", "SingleStack"}, {"ports", Ports(false)}}}});
}

Json BuildReaderService(const api::ReplicationGroup& group, int server_minor) {
  return WithHash({{"apiVersion", "v1"},
                   {"kind", "Service"},
                   {"metadata", ChildMeta(ReaderName(group.meta.name), group.meta, "ReplicationGroup",
                                          GroupLabels(group))},
                   {"spec",
                    {{"type", "ClusterIP"},
                     {"trafficDistribution", server_minor >= 34 ? "PreferSameZone" : "PreferClose"},
                     {"selector", {{api::kGroupLabel, group.meta.name}, {api::kReaderLabel, "true"}}},
                     {"ports", Ports(false)}}}});
}

Json BuildDisruptionBudget(const api::ReplicationGroup& group, int max_unavailable) {
  return WithHash({{"apiVersion", "policy/v1"},
                   {"kind", "PodDisruptionBudget"},
                   {"metadata", ChildMeta(group.meta.name, group.meta, "ReplicationGroup", GroupLabels(group))},
                   {"spec",
                    {{"maxUnavailable", max_unavailable},
                     {"unhealthyPodEvictionPolicy", "AlwaysAllow"},
                     {"selector", {{"matchLabels", {{api::kGroupLabel, group.meta.name}}}}}}}});
}

Json BuildPrimarySlice(const api::ReplicationGroup& group, const std::string& service_uid,
                       const std::string& address_type, const SliceTarget& target) {
  return BuildSlice(ChildMeta(PrimarySliceName(group.meta.name), group.meta, "ReplicationGroup", GroupLabels(group)),
                    group.meta.name, service_uid, address_type, target);
}

Json BuildNodeSlice(const api::CacheNode& node, const std::string& service_uid, const std::string& address_type,
                    const SliceTarget& target) {
  return BuildSlice(
      ChildMeta(NodeSliceName(node.meta.name), node.meta, api::NodeKindName(node.kind), NodeLabels(node)),
      node.meta.name, service_uid, address_type, target);
}

Json BuildConfigMap(const std::string& ns, const std::string& public_key) {
  return WithHash({{"apiVersion", "v1"},
                   {"kind", "ConfigMap"},
                   {"metadata",
                    {{"name", kConfigMapName},
                     {"namespace", ns},
                     {"labels", CommonLabels("understudy", "operator-key")},
                     {"annotations", Json::object()}}},
                   {"data", {{kPublicKeyFile, public_key}}}});
}

}  // namespace understudy::manifests
