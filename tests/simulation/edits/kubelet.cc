#include "tests/simulation/edits/kubelet.h"

#include <algorithm>

#include "tests/simulation/edits/simulation.h"

namespace understudy::edits {

const std::vector<std::string> kHosts = {"host-a", "host-b", "host-c"};

namespace {

std::string NodeOfPod(const std::string& pod) { return pod.substr(0, pod.size() - 2); }
std::string ZoneOfHost(const std::string& host) { return "zone-" + host.substr(5); }
constexpr Duration kNotReadyAfter = Seconds(5);
constexpr Duration kEvictedAfter = Seconds(10);
constexpr int64_t kOwnGraceSeconds = 30;

}  // namespace

Kubelet::Kubelet(Simulation& simulation) : simulation_(simulation) {
  for (const std::string& host : kHosts) {
    simulation_.api().Put("Node", host,
                          {{"metadata", {{"labels", {{"topology.kubernetes.io/zone", ZoneOfHost(host)}}}}},
                           {"status", {{"conditions", Json::array({{{"type", "Ready"}, {"status", "True"}}})}}}});
  }
}

void Kubelet::Tick() {
  WatchHosts();
  TellOfEnds();
  EndTerminating();
  MakePods();
}

std::string Kubelet::HostFor(const Json& pod) const {
  const std::string text = pod.at("spec").dump();
  std::map<std::string, int> load;
  for (const Json* other : simulation_.api().All("Pod")) ++load[JsonString(other->at("spec"), "nodeName")];
  std::string best;
  for (const std::string& host : kHosts) {
    const bool pinned = text.find("\"" + ZoneOfHost(host) + "\"") != std::string::npos;
    if (pinned) return HostLost(host) ? "" : host;
    if (!HostLost(host) && (best.empty() || load[host] < load[best])) best = host;
  }
  return best;
}

void Kubelet::MakePods() {
  ApiServer& api = simulation_.api();
  std::vector<std::string> names;
  for (const Json* set : api.All("StatefulSet")) names.push_back(JsonString(set->at("metadata"), "name"));
  for (const std::string& name : names) {
    const Json& set = *api.Get("StatefulSet", name);
    if (JsonInt(JsonAt(set, "status"), "observedGeneration") != JsonInt(set.at("metadata"), "generation")) {
      api.Change("StatefulSet", name, [](Json* d) {
        (*d)["status"]["observedGeneration"] = (*d)["metadata"]["generation"];
      });
    }
    const std::string pod_name = name + "-0";
    if (api.Get("Pod", pod_name) != nullptr) continue;
    const Json& pod_template = api.Get("StatefulSet", name)->at("spec").at("template");
    Json pod = {{"metadata", pod_template.at("metadata")}, {"spec", pod_template.at("spec")}};
    pod["metadata"]["annotations"][kSetAnnotation] = UidOf(*api.Get("StatefulSet", name));
    const std::string host = HostFor(pod);
    if (host.empty()) continue;  // the scheduler waits for its zone
    pod["spec"]["nodeName"] = host;
    const std::string ip = "10.0.0." + std::to_string(simulation_.NewNumber() % 250 + 1);
    pod["status"] = {{"phase", "Running"},
                     {"podIP", ip},
                     {"conditions", Json::array({{{"type", "Ready"}, {"status", "True"}}})},
                     {"containerStatuses",
                      Json::array({{{"name", "cache"}, {"state", {{"running", {{"startedAt", "x"}}}}}}})}};
    api.Put("Pod", pod_name, std::move(pod));
    simulation_.StartProcess(name, UidOf(*api.Get("Pod", pod_name)), host);
  }
  // A Pod whose StatefulSet is gone or another one is garbage.
  std::vector<std::string> garbage;
  for (const Json* pod : api.All("Pod")) {
    const std::string pod_name = JsonString(pod->at("metadata"), "name");
    const Json* set = api.Get("StatefulSet", NodeOfPod(pod_name));
    const std::string made_by = JsonString(JsonAt(pod->at("metadata"), "annotations"), kSetAnnotation);
    if (set != nullptr && UidOf(*set) == made_by) continue;
    if (!pod->at("metadata").contains("deletionTimestamp")) garbage.push_back(pod_name);
  }
  for (const std::string& pod : garbage) DeletePod(pod);
}

void Kubelet::DeletePod(const std::string& name, int64_t grace_seconds) {
  ApiServer& api = simulation_.api();
  const Json* pod = api.Get("Pod", name);
  if (pod == nullptr) return;
  const std::string uid = UidOf(*pod);
  CacheProcess* process = simulation_.ProcessOf(NodeOfPod(name));
  if (grace_seconds == 0) {
    if (process != nullptr && process->alive) strays_[process->incarnation] = simulation_.clock().nodes() + kTick;
    terminating_.erase(uid);
    ends_.erase(uid);
    api.Delete("Pod", name);
    return;
  }
  const Duration grace = Seconds(grace_seconds < 0 ? kOwnGraceSeconds : grace_seconds);
  const MonoTime end = simulation_.clock().nodes() + grace;
  const auto [known, first] = terminating_.try_emplace(uid, end);
  known->second = std::min(known->second, end);  // a later DELETE may shorten it
  if (!first) return;
  api.Change("Pod", name, [&](Json* d) {
    (*d)["metadata"]["deletionTimestamp"] = FormatRfc3339({simulation_.clock().Wall().unix_ms + grace.ms()});
  });
  if (process != nullptr && process->alive && !HostLost(process->host)) process->Terminate();
}

void Kubelet::ContainerEnded(const std::string& pod_uid, const std::string& incarnation) {
  const MonoTime now = simulation_.clock().nodes();
  const Duration late = kTick * static_cast<double>(simulation_.dice().Below(8));
  ends_[pod_uid] = {incarnation, now + late, now + late + kTick * static_cast<double>(1 + simulation_.dice().Below(15))};
}

void Kubelet::TellOfEnds() {
  ApiServer& api = simulation_.api();
  const MonoTime now = simulation_.clock().nodes();
  for (auto it = ends_.begin(); it != ends_.end();) {
    const Json* pod = api.WithUid("Pod", it->first);
    if (pod == nullptr) {
      it = ends_.erase(it);
      continue;
    }
    Ended& end = it->second;
    const std::string name = JsonString(pod->at("metadata"), "name");
    const std::string host = JsonString(pod->at("spec"), "nodeName");
    if (HostLost(host) || now < end.tell_at) {
      ++it;
      continue;
    }
    const Json terminated = {{"terminated", {{"exitCode", 137}, {"reason", "Error"}, {"message", end.incarnation}}}};
    if (!end.told) {
      end.told = true;
      api.Change("Pod", name, [&](Json* d) { (*d)["status"]["containerStatuses"][0]["state"] = terminated; });
    }
    if (pod->at("metadata").contains("deletionTimestamp")) {
      ++it;  // EndTerminating removes it
      continue;
    }
    if (now < end.restart_at) {
      ++it;
      continue;
    }
    api.Change("Pod", name, [&](Json* d) {
      Json& container = (*d)["status"]["containerStatuses"][0];
      container["lastState"] = terminated;
      container["state"] = {{"running", {{"startedAt", "y"}}}};
      container["restartCount"] = JsonInt(container, "restartCount") + 1;
    });
    simulation_.StartProcess(NodeOfPod(name), it->first, host);
    it = ends_.erase(it);
  }
}

void Kubelet::EndTerminating() {
  ApiServer& api = simulation_.api();
  const MonoTime now = simulation_.clock().nodes();
  for (auto it = strays_.begin(); it != strays_.end();) {
    CacheProcess* process = simulation_.Process(it->first);
    if (process->alive && (HostLost(process->host) || now < it->second)) {
      ++it;
      continue;
    }
    if (process->alive) simulation_.EndProcess(process, "its Pod was deleted by force");
    it = strays_.erase(it);
  }
  for (auto it = terminating_.begin(); it != terminating_.end();) {
    const Json* pod = api.WithUid("Pod", it->first);
    if (pod == nullptr) {
      it = terminating_.erase(it);
      continue;
    }
    const std::string name = JsonString(pod->at("metadata"), "name");
    if (HostLost(JsonString(pod->at("spec"), "nodeName"))) {
      ++it;
      continue;
    }
    CacheProcess* process = simulation_.ProcessOf(NodeOfPod(name));
    const bool alive = process != nullptr && process->alive;
    if (alive && (process->stopped || !process->MayExit()) && now < it->second) {
      ++it;
      continue;
    }
    if (alive) simulation_.EndProcess(process, "its Pod is deleted");
    // The last version of the object says that the process has ended.
    const auto ended = ends_.find(it->first);
    const std::string incarnation = ended != ends_.end() ? ended->second.incarnation : process ? process->incarnation : "";
    api.Change("Pod", name, [&](Json* d) {
      (*d)["status"]["containerStatuses"][0]["state"] = {{"terminated", {{"exitCode", 0}, {"message", incarnation}}}};
    });
    api.Delete("Pod", name);
    ends_.erase(it->first);
    it = terminating_.erase(it);
  }
}

void Kubelet::SetReady(const std::string& host, bool ready) {
  simulation_.api().Change("Node", host, [&](Json* d) {
    (*d)["status"]["conditions"][0]["status"] = ready ? "True" : "Unknown";
  });
}

void Kubelet::LoseHost(const std::string& host, bool power_off, Duration d) {
  const MonoTime now = simulation_.clock().nodes();
  lost_[host] = {now, now + d};
  for (CacheProcess* process : simulation_.Living()) {
    if (process->host != host) continue;
    if (power_off) simulation_.EndProcess(process, "its host is off");
  }
}

void Kubelet::ReturnHost(const std::string& host) {
  lost_.erase(host);
  SetReady(host, true);
  // Its kubelet ends what has no Pod any more, and lets terminating Pods know.
  for (CacheProcess* process : simulation_.Living()) {
    if (process->host == host && terminating_.contains(process->pod_uid)) process->Terminate();
  }
}

void Kubelet::ReturnAllHosts() {
  while (!lost_.empty()) ReturnHost(std::string(lost_.begin()->first));
}

void Kubelet::WatchHosts() {
  const MonoTime now = simulation_.clock().nodes();
  std::vector<std::string> back;
  for (auto& [host, lost] : lost_) {
    if (now >= lost.until) {
      back.push_back(host);
      continue;
    }
    if (!lost.not_ready && now - lost.since >= kNotReadyAfter) {
      lost.not_ready = true;
      SetReady(host, false);
    }
    if (lost.evicted || now - lost.since < kEvictedAfter) continue;
    lost.evicted = true;
    for (const Json* pod : simulation_.api().All("Pod")) {
      if (JsonString(pod->at("spec"), "nodeName") == host) DeletePod(JsonString(pod->at("metadata"), "name"));
    }
  }
  for (const std::string& host : back) ReturnHost(host);
}

}  // namespace understudy::edits
