// Kubernetes as Pods see it: the StatefulSet controller, the scheduler, a kubelet on each of three hosts in three
// zones, and what their loss looks like. Drives ApiServer and starts and ends processes. One thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "common/clock.h"
#include "common/json.h"

namespace understudy::edits {

class Simulation;

// Of a Pod: the UID of the StatefulSet that made it.
inline constexpr const char* kSetAnnotation = "simulation/set";

class Kubelet {
 public:
  explicit Kubelet(Simulation& simulation);

  void Tick();
  // A DELETE of the Pod: its process gets SIGTERM and its grace; -1: the Pod's own, 0: the object goes at once, the
  // process when its kubelet hears of it.
  void DeletePod(const std::string& name, int64_t grace_seconds = -1);
  // The process has ended by itself; the kubelet tells that later, and starts another one.
  void ContainerEnded(const std::string& pod_uid, const std::string& incarnation);
  // Power off, with all processes; or cut off from everybody, with its processes alive.
  void LoseHost(const std::string& host, bool power_off, Duration d);
  void ReturnHost(const std::string& host);
  bool HostLost(const std::string& host) const { return lost_.contains(host); }
  void ReturnAllHosts();
  bool Terminates(const std::string& pod_uid) const { return terminating_.contains(pod_uid); }
  bool Calm() const { return lost_.empty() && ends_.empty() && terminating_.empty(); }

 private:
  struct Lost {
    MonoTime since;
    MonoTime until;
    bool not_ready = false;
    bool evicted = false;
  };
  struct Ended {
    std::string incarnation;
    MonoTime tell_at;
    MonoTime restart_at;
    bool told = false;
  };

  void MakePods();
  void TellOfEnds();
  void EndTerminating();
  void WatchHosts();
  void SetReady(const std::string& host, bool ready);
  std::string HostFor(const Json& pod) const;

  Simulation& simulation_;
  std::map<std::string, Lost> lost_;             // by host
  std::map<std::string, Ended> ends_;            // by Pod UID
  std::map<std::string, MonoTime> terminating_;  // Pod UID -> end of its grace
  std::map<std::string, MonoTime> strays_;       // incarnation whose Pod object is gone -> when it is ended
};

}  // namespace understudy::edits
