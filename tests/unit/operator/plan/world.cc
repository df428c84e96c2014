#include "tests/unit/operator/plan/world.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/overloaded.h"
#include "operator/manifests/manifests.h"
#include "operator/plan/membership.h"

namespace understudy::plan {
namespace {

constexpr const char* kNamespace = "default";
}  // namespace

World::World() {
  settings.operator_namespace = "understudy-system";
  settings.default_node_image = "understudy:1";
  settings.public_key = "KEY";
  settings.server_minor = 36;
}

Json* World::Get(const char* kind, const std::string& name) {
  const auto it = objects_.find(Key(kind, name));
  return it == objects_.end() ? nullptr : &it->second;
}

void World::Touch(Json* document) { (*document)["metadata"]["resourceVersion"] = std::to_string(++next_); }

void World::Annotate(const char* kind, const std::string& name, const char* key, const std::string& value) {
  Json* document = Get(kind, name);
  ASSERT_NE(document, nullptr);
  if (!(*document)["metadata"].contains("annotations")) (*document)["metadata"]["annotations"] = Json::object();
  (*document)["metadata"]["annotations"].erase(key);
  if (!value.empty()) (*document)["metadata"]["annotations"][key] = value;
  Touch(document);
}

void World::Put(const char* kind, const std::string& name, Json document) {
  document["kind"] = kind;
  Json& metadata = document["metadata"];
  metadata["name"] = name;
  metadata["namespace"] = kNamespace;
  metadata["uid"] = "uid-" + std::to_string(++next_);
  metadata["generation"] = 1;
  metadata["creationTimestamp"] = FormatRfc3339(wall_);
  Touch(&document);
  objects_[Key(kind, name)] = std::move(document);
  wall_.unix_ms += 1000;  // no two objects of one age, unless a test wants it
}

void World::ApplyYaml(const char* kind, const std::string& name, const std::string& spec) {
  auto parsed = ParseJson(spec);
  ASSERT_TRUE(parsed.ok()) << spec;
  if (Json* existing = Get(kind, name)) {
    if ((*existing)["spec"] == *parsed) return;
    (*existing)["spec"] = *parsed;
    (*existing)["metadata"]["generation"] = JsonInt((*existing)["metadata"], "generation") + 1;
    Touch(existing);
    return;
  }
  Put(kind, name, {{"spec", *parsed}, {"status", {{"observedGeneration", -1}, {"phase", "creating"}}}});
}

void World::Erase(const char* kind, const std::string& name) {
  Json* document = Get(kind, name);
  if (document == nullptr) return;
  deletions_seen_.insert(JsonString((*document)["metadata"], "uid"));
  objects_.erase(Key(kind, name));
  if (std::string_view(kind) == "StatefulSet") Erase("Pod", name + "-0");
  if (std::string_view(kind) == "Pod") {
    const std::string node = name.substr(0, name.size() - 2);
    if (const auto it = processes_.find(node); it != processes_.end()) {
      failover::PodView view;
      view.member = node;
      view.pod_uid = it->second.pod_uid;
      view.exists = false;
      view.ever_started = true;
      view.heard = failover::Heard{it->second.state, now_};
      view.channel.down_since = now_;
      if (kubelet_tells_ends) view.terminated = {it->second.state.incarnation};
      vanished_[view.pod_uid] = view;
      processes_.erase(it);
    }
  }
  if (std::string_view(kind) != "Service") return;
  Erase("EndpointSlice", manifests::PrimarySliceName(name));
  Erase("EndpointSlice", manifests::NodeSliceName(name));
}

void World::Delete(const char* kind, const std::string& name) {
  Json* document = Get(kind, name);
  if (document == nullptr) return;
  Json& metadata = (*document)["metadata"];
  if (!metadata.contains("finalizers") || metadata["finalizers"].empty()) {
    Erase(kind, name);
    return;
  }
  if (!metadata.contains("deletionTimestamp")) {
    metadata["deletionTimestamp"] = FormatRfc3339(wall_);
    metadata["generation"] = JsonInt(metadata, "generation") + 1;
    Touch(document);
  }
}

control::NodeState* World::Process(const std::string& node) {
  const auto it = processes_.find(node);
  return it == processes_.end() ? nullptr : &it->second.state;
}

void World::SetChannel(const std::string& node, bool up) {
  Process_& process = processes_.at(node);
  process.channel_up = up;
  (up ? process.up_since : process.down_since) = now_;
}

void World::SetUnschedulable(const std::string& node, const std::string& words) {
  if (words.empty()) {
    unschedulable_.erase(node);
  } else {
    unschedulable_[node] = words;
  }
}

void World::SetBroken(const std::string& node, const std::string& reason) {
  if (reason.empty()) {
    broken_.erase(node);
  } else {
    broken_[node] = reason;
  }
}

void World::KillProcess(const std::string& node) {
  Process_& process = processes_.at(node);
  Json* pod = Get("Pod", node + "-0");
  ASSERT_NE(pod, nullptr);
  (*pod)["status"]["containerStatuses"][0]["lastState"] = {
      {"terminated", {{"exitCode", 137}, {"message", process.state.incarnation}}}};
  Touch(pod);
  process.state = {};
  process.state.pod_uid = process.pod_uid;
  process.state.incarnation = "inc-" + std::to_string(++next_);
  process.up_since = now_;
  process.answer.reset();
  StartOptions(node, &process);
}

// The zone that is required; else the emptiest host, outside the zones that are to be avoided if there is one.
std::string World::HostFor(const Json& pod_spec) const {
  const Json& affinity = JsonAt(JsonAt(pod_spec, "affinity"), "nodeAffinity");
  const std::string required = JsonAt(affinity, "requiredDuringSchedulingIgnoredDuringExecution").dump();
  const std::string preferred = JsonAt(affinity, "preferredDuringSchedulingIgnoredDuringExecution").dump();
  std::map<std::string, int> load;
  for (const auto& [key, document] : objects_) {
    if (key.starts_with("Pod/")) ++load[JsonString(document.at("spec"), "nodeName")];
  }
  for (const std::string& host : kHosts) {
    const std::string zone = "\"" + ZoneOfHost(host) + "\"";
    if (required.find(zone) != std::string::npos) return host;
    if (preferred.find(zone) != std::string::npos) load[host] += 1000;
  }
  return *std::min_element(kHosts.begin(), kHosts.end(), [&](const auto& a, const auto& b) { return load[a] < load[b]; });
}

void World::RunKubelet() {
  std::vector<std::string> sets;
  for (const auto& [key, document] : objects_) {
    if (key.starts_with("StatefulSet/")) sets.push_back(key.substr(12));
  }
  for (const std::string& name : sets) {
    Json* set = Get("StatefulSet", name);
    (*set)["status"]["observedGeneration"] = (*set)["metadata"]["generation"];
    if (Exists("Pod", name + "-0")) {
      Json* pod = Get("Pod", name + "-0");
      // A Pod that found a Node after all starts.
      const bool stuck = unschedulable_.contains(name) || (*pod)["status"].contains("containerStatuses");
      if (JsonString((*pod)["status"], "phase") != "Pending" || stuck) continue;
      objects_.erase(Key("Pod", name + "-0"));
    }
    const Json& pod_template = (*Get("StatefulSet", name))["spec"]["template"];
    Json pod = {{"metadata", pod_template["metadata"]}, {"spec", pod_template["spec"]}};
    if (const auto it = unschedulable_.find(name); it != unschedulable_.end()) {
      pod["status"] = {{"phase", "Pending"},
                       {"conditions", Json::array({{{"type", "PodScheduled"}, {"status", "False"}, {"message", it->second}}})}};
      Put("Pod", name + "-0", std::move(pod));
      continue;
    }
    const std::string host = HostFor(pod["spec"]);
    pod["spec"]["nodeName"] = host;
    if (const auto it = broken_.find(name); it != broken_.end()) {
      pod["status"] = {{"phase", "Pending"},
                       {"startTime", FormatRfc3339(wall_)},
                       {"containerStatuses",
                        Json::array({{{"name", "cache"}, {"state", {{"waiting", {{"reason", it->second}}}}}}})}};
      Put("Pod", name + "-0", std::move(pod));
      continue;
    }
    const std::string ip = "10.0.0." + std::to_string(++next_ % 250);
    pod["status"] = {{"phase", "Running"},
                     {"podIP", ip},
                     {"conditions", Json::array({{{"type", "Ready"}, {"status", "True"}}})},
                     {"containerStatuses",
                      Json::array({{{"name", "cache"}, {"state", {{"running", {{"startedAt", "x"}}}}}}})}};
    Put("Pod", name + "-0", std::move(pod));
    Process_ process;
    process.pod_uid = JsonString((*Get("Pod", name + "-0"))["metadata"], "uid");
    process.state.pod_uid = process.pod_uid;
    process.state.incarnation = "inc-" + std::to_string(++next_);
    process.up_since = now_;
    StartOptions(name, &process);
    processes_[name] = std::move(process);
  }
}

// Every replica that follows a living primary has everything, unless a test says otherwise.
void World::UpdateAcks() {
  for (auto& [name, process] : processes_) process.state.acks.clear();
  for (auto& [name, replica] : processes_) {
    if (replica.state.role != control::Role::kReplica) continue;
    control::NodeState* primary = nullptr;
    for (auto& [other, process] : processes_) {
      if (process.state.incarnation == replica.state.primary) primary = &process.state;
    }
    const bool follows = primary != nullptr && primary->role == control::Role::kPrimary &&
                         primary->group == replica.state.group;
    replica.state.link = follows ? control::LinkState::kUp : control::LinkState::kConnecting;
    if (!follows) continue;
    replica.state.dataset = primary->dataset;
    replica.state.keys = primary->keys;
    replica.state.complete = true;
    const bool behind = out_of_sync_[name];
    if (!behind) replica.state.offset = primary->offset;
    replica.state.last_record_epoch = primary->last_record_epoch;
    control::ReplicaAck ack;
    ack.incarnation = replica.state.incarnation;
    ack.offset = replica.state.offset;
    ack.in_sync = !behind;
    if (far_behind_) {
      primary->offset = std::max<uint64_t>(primary->offset, 100 << 20);
      ack.offset = 1;
    }
    primary->acks.push_back(ack);
  }
}

void World::Obey(const failover::OutgoingOrder& out) {
  for (auto& [name, process] : processes_) {
    control::NodeState& state = process.state;
    const control::Order& order = out.order;
    if (process.pod_uid != out.pod_uid || state.incarnation != order.incarnation) continue;
    const bool changes_group = !state.group.empty() && state.group != order.group;
    if (order.role == control::Role::kReplica && state.role == control::Role::kStandalone) {
      ASSERT_TRUE(order.drop_data) << name << " was told to follow without leave to drop its data";
      ASSERT_TRUE(state.keys == 0 || order.drop_dataset == state.dataset) << name << " would lose other data";
      state.keys = 0;
      state.dataset.clear();
      state.complete = false;
    }
    if (order.role == control::Role::kStandalone && order.promotion) {
      ASSERT_TRUE(state.complete) << name << " was promoted without its data";
    }
    if (changes_group) {
      ASSERT_EQ(order.leaves_group, state.group) << name << " was told to leave a group that it is not in";
      ASSERT_EQ(order.leaves_epoch, state.epoch);
      for (const auto& [key, document] : objects_) {
        const bool exists = key.starts_with("ReplicationGroup/") && document["metadata"]["uid"] == state.group;
        ASSERT_TRUE(!exists || order.role == control::Role::kStandalone)
            << name << " was told to pass to another group directly, and " << key << " exists";
      }
      state.epoch = 0;
    }
    const control::Role was = state.role;
    ASSERT_GE(order.epoch, state.epoch) << name << " got an order of an old epoch";
    if (order.kind == control::OrderKind::kPoll) return;
    state.group = order.group;
    state.epoch = order.epoch;
    switch (order.kind) {
      case control::OrderKind::kRole:
        state.role = order.role;
        if (order.role == control::Role::kStandalone) state.primary.clear();
        state.role_epoch = order.epoch;
        state.in_office = true;
        state.paused = false;
        state.configuration = order.configuration.number;
        if (order.role == control::Role::kReplica) {
          state.primary = order.configuration.primary.incarnation;
          state.lease_held = false;
          break;
        }
        // Data that parts from its group's is another data set (Promote).
        if (state.dataset.empty() || (order.role == control::Role::kStandalone && was == control::Role::kReplica)) {
          state.dataset = order.fresh_dataset;
        }
        state.complete = true;
        state.configuration_acked = order.configuration.number;
        state.synchronous_replicas = order.configuration.synchronous_replicas;
        state.lease_ms = order.configuration.lease_ms;
        // Standing alone opens no epoch: the history goes on.
        if (order.role == control::Role::kPrimary) state.last_record_epoch = order.epoch;
        state.lease_held = true;
        state.lease_left_ms = 1000;
        if (state.offset == 0) state.offset = 14;
        break;
      case control::OrderKind::kFence: state.last_granted_ms_ago = 60'000; break;
      case control::OrderKind::kDemote:
        state.in_office = false;
        state.lease_held = false;
        break;
      case control::OrderKind::kOffset: break;
      case control::OrderKind::kPause: state.paused = !deaf_; break;
      case control::OrderKind::kResume: state.paused = false; break;
      case control::OrderKind::kPoll: return;
    }
    state.nonce = order.nonce;
    if (order.nonce != 0) process.answer = failover::Heard{state, now_};
  }
}

bool World::WriteStatus(const StatusWrite& write) {
  Json* document = Get(write.ref.kind.c_str(), write.ref.name);
  if (document == nullptr) return false;
  Json& metadata = (*document)["metadata"];
  if (JsonString(metadata, "uid") != write.ref.uid ||
      JsonString(metadata, "resourceVersion") != write.ref.resource_version) {
    return false;
  }
  EXPECT_NE((*document)["status"], write.status) << "a status was written that changes nothing";
  (*document)["status"] = write.status;
  Touch(document);
  ++writes_;
  return true;
}

bool World::Act(const Action& action) {
  if (!std::holds_alternative<ConfirmExists>(action) && !std::holds_alternative<TryPod>(action)) ++writes_;
  const auto same = [&](const api::ObjectRef& ref) -> Json* {
    Json* document = Get(ref.kind.c_str(), ref.name);
    return document != nullptr && JsonString((*document)["metadata"], "uid") == ref.uid ? document : nullptr;
  };
  return std::visit(
      Overloaded{
          [&](const CreateObject& create) {
            const std::string kind = JsonString(create.object, "kind");
            const std::string name = JsonString(create.object["metadata"], "name");
            if (Exists(kind.c_str(), name)) return false;
            Put(kind.c_str(), name, create.object);
            if (kind == "Service") (*Get("Service", name))["spec"]["ipFamilies"] = {"IPv4"};
            if (kind == "CacheCluster" || kind == "ReadReplica") {
              (*Get(kind.c_str(), name))["status"] = {{"observedGeneration", -1}, {"phase", "creating"}};
            }
            return true;
          },
          [&](const ApplyObject& apply) {
            const std::string kind = JsonString(apply.object, "kind");
            Json* document = Get(kind.c_str(), JsonString(apply.object["metadata"], "name"));
            if (document == nullptr || JsonString((*document)["metadata"], "uid") !=
                                           JsonString(apply.object["metadata"], "uid")) {
              return false;
            }
            (*document)["metadata"]["labels"] = apply.object["metadata"]["labels"];
            (*document)["metadata"]["annotations"] = apply.object["metadata"]["annotations"];
            for (const char* part : {"spec", "data", "endpoints", "ports"}) {
              if (apply.object.contains(part)) (*document)[part] = apply.object[part];
            }
            if (kind == "Service") (*document)["spec"]["ipFamilies"] = {"IPv4"};
            (*document)["metadata"]["generation"] = JsonInt((*document)["metadata"], "generation") + 1;
            Touch(document);
            return true;
          },
          [&](const DeleteObject& del) {
            const Json* there = same(del.ref);
            if (there == nullptr) return true;
            if (del.ref.kind == "Pod" && del.grace_seconds == 1) ended_at_once.insert(del.ref.name);
            const std::string version = JsonString(there->at("metadata"), "resourceVersion");
            if (!del.ref.resource_version.empty() && del.ref.resource_version != version) return true;
            Delete(del.ref.kind.c_str(), del.ref.name);
            return true;
          },
          [&](const ForceDeletePod& del) {
            if (same(del.ref) != nullptr) Erase("Pod", del.ref.name);
            return true;
          },
          [&](const LabelPod& label) {
            Json* pod = same(label.ref);
            if (pod == nullptr) return true;
            for (const auto& [key, value] : label.labels) {
              if (value) {
                (*pod)["metadata"]["labels"][key] = *value;
              } else {
                (*pod)["metadata"]["labels"].erase(key);
              }
            }
            Touch(pod);
            return true;
          },
          [&](const SetFinalizers& set) {
            Json* document = same(set.ref);
            if (document == nullptr) return std::ranges::find(set.finalizers, api::kFinalizer) == set.finalizers.end();
            Json& metadata = (*document)["metadata"];
            if (JsonString(metadata, "resourceVersion") != set.ref.resource_version) return false;
            metadata["finalizers"] = set.finalizers;
            Touch(document);
            if (metadata.contains("deletionTimestamp") && set.finalizers.empty()) {
              Erase(set.ref.kind.c_str(), set.ref.name);
            }
            return true;
          },
          [&](const ConfirmExists& confirm) { return same(confirm.ref) != nullptr; },
          [&](const TryPod&) { return true; }},
      action);
}

bool World::MayStep() {
  if (steps_left_ == 0) crashed_ = true;
  if (crashed_) return false;
  if (steps_left_ > 0) --steps_left_;
  return true;
}

void World::OneStep() {
  CrashAfter(1);
  for (int i = 0; i < 5 && !crashed_; ++i) {
    Round();
    Advance(Milliseconds(100));
  }
  crashed_ = false;
  steps_left_ = -1;
}

void World::RestartOperator() {
  crashed_ = false;
  steps_left_ = -1;
  memories_.clear();
  deletions_seen_.clear();
  announced_.clear();
  ++terms_;
  leads_since_ = now_;
}

bool World::Carry(const std::string& key, const Plan& plan) {
  if (crashed_) return false;
  memories_[key] = plan.memory;
  if (!plan.persist.empty()) {
    EXPECT_TRUE(plan.orders.empty() && plan.parameters.empty() && plan.actions.empty() && plan.statuses.empty())
        << "a plan that persists must do nothing else";
  }
  bool done = true;
  for (const StatusWrite& write : plan.persist) done = done && MayStep() && WriteStatus(write);
  if (done) {
    for (const failover::OutgoingOrder& order : plan.orders) {
      if (MayStep()) Obey(order);
    }
    for (const OutgoingParameters& out : plan.parameters) {
      if (MayStep()) Take(out);
    }
    for (const Action& action : plan.actions) done = done && MayStep() && Act(action);
    for (const StatusWrite& write : plan.statuses) done = done && MayStep() && WriteStatus(write);
  }
  if (crashed_) return false;
  EXPECT_TRUE(done) << "a plan made from what is there conflicted: " << key;
  events_.insert(events_.end(), plan.events.begin(), plan.events.end());
  UpdateAcks();
  return !plan.persist.empty();
}

Plan World::GroupPlan(const std::string& name) {
  return PlanGroup(GroupViewOf(*ParseGroupObject(*Get("ReplicationGroup", name))), now_, wall_);
}

Plan World::LonePlan(const char* kind, const std::string& name) {
  const auto parsed = std::string_view(kind) == "CacheCluster" ? api::NodeKind::kCacheCluster : api::NodeKind::kReadReplica;
  return PlanLone(LoneViewOf(*api::ParseCacheNode(parsed, *Get(kind, name))), now_, wall_);
}

int World::Round() {
  int work = 0;
  const auto busy = [&](const Plan& plan) {
    work += static_cast<int>(plan.persist.size() + plan.orders.size() + plan.parameters.size() + plan.actions.size() + plan.statuses.size());
  };
  for (const GroupObject& group : Groups()) {
    const std::string& name = group.object.meta.name;
    for (bool again = true; again && Exists("ReplicationGroup", name);) {
      const Plan plan = GroupPlan(name);
      busy(plan);
      again = Carry("ReplicationGroup/" + name, plan);
    }
  }
  for (const api::CacheNode& node : Nodes()) {
    const std::string kind(api::NodeKindName(node.kind));
    for (bool again = true; again && Exists(kind.c_str(), node.meta.name);) {
      const std::vector<GroupObject> groups = Groups();
      std::vector<const GroupObject*> pointers;
      for (const GroupObject& group : groups) pointers.push_back(&group);
      const api::CacheNode now = *api::ParseCacheNode(node.kind, *Get(kind.c_str(), node.meta.name));
      if (!ResponsibleGroup(now, pointers).empty()) break;
      const Plan plan = LonePlan(kind.c_str(), node.meta.name);
      busy(plan);
      again = Carry(kind + "/" + node.meta.name, plan);
    }
  }
  OrphanView orphans;
  orphans.complete = true;
  orphans.announced = announced_;
  for (const std::string& uid : deletions_seen_) orphans.deletions_seen[uid] = now_;
  for (const auto& [key, document] : objects_) {
    const api::ObjectMeta meta = api::ParseMeta(document);
    orphans.living.insert(meta.uid);
    for (const char* kind : {kRg, kCc, kRr}) {
      if (key.starts_with(Key(kind, ""))) orphans.living_keys.insert(OwnerKey({"", kind, meta.ns, meta.name, meta.uid, ""}));
    }
    for (const char* kind : {"CacheCluster/", "ReadReplica/", "StatefulSet/", "Pod/"}) {
      if (key.starts_with(kind)) orphans.inhabited.insert(meta.ns);
    }
    const bool ours = meta.Label("app.kubernetes.io/managed-by") == "understudy";
    if (key.starts_with("ConfigMap/") && ours) orphans.key_maps.push_back({"", "ConfigMap", meta.ns, meta.name, meta.uid, ""});
    if (meta.OwnerUid().empty() || key.starts_with("EndpointSlice/")) continue;
    orphans.children.push_back({{"", JsonString(document, "kind"), meta.ns, meta.name, meta.uid, ""},
                                OwnerOf(meta)});
  }
  const OrphanPlan plan = PlanOrphans(orphans, now_, wall_);
  announced_ = plan.announced;
  events_.insert(events_.end(), plan.events.begin(), plan.events.end());
  for (const DeleteObject& del : plan.deletes) {
    if (MayStep()) Act(del);
  }
  work += static_cast<int>(plan.deletes.size());
  RunKubelet();
  UpdateAcks();
  return work;
}

void World::Advance(Duration d) {
  now_ = now_ + d;
  wall_.unix_ms += d.ms();
}

bool World::Settle(int rounds) {
  int quiet = 0;
  for (int i = 0; i < rounds; ++i) {
    quiet = Round() == 0 ? quiet + 1 : 0;
    if (quiet == 3) return true;
    Advance(Milliseconds(100));
  }
  return false;
}

void ApplyExample(World* world) {
  world->ApplyYaml(kCc, "exampleredis", "{}");
  world->ApplyYaml(kRg, "examplereplication",
                   R"({"primaryClusterId": "exampleredis", "description": "examplereplication"})");
  world->ApplyYaml(kRr, "exampleredis-read-1",
                   R"({"replicationGroupId": "examplereplication", "availabilityZone": "zone-a"})");
}

}  // namespace understudy::plan
