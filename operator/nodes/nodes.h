// What is known of the cache nodes' processes, as views are made from it.
//
// NodeTable hears them over the network. Whoever stands in for it (a simulation) decides itself what was
// heard and when.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/control/messages.h"
#include "operator/failover/view.h"

namespace understudy::nodes {

// The Pod that a link goes to.
struct Target {
  std::string pod_uid;
  std::string address;  // literal IP
  std::string owner;    // opaque to this folder: handed back by the change callback
  bool operator==(const Target&) const = default;
};

// What is known of one Pod's process.
struct Known {
  failover::Channel channel;
  std::optional<failover::Heard> heard;
  std::optional<failover::Heard> answer;  // newest one with a nonce
};

// Any thread.
class Nodes {
 public:
  virtual ~Nodes() = default;

  // A link to this Pod from now on. Another address or owner replaces the old one.
  virtual void SetTarget(const Target& target) = 0;
  // No link any more; what is known stays.
  virtual void RemoveTarget(const std::string& pod_uid) = 0;
  // Drops what is known of a Pod without a link.
  virtual void Forget(const std::string& pod_uid) = 0;

  virtual std::optional<Known> Get(const std::string& pod_uid) const = 0;
  // Ends of this process's lifelines to these incarnations.
  virtual std::vector<failover::LifelineEnd> Lifelines(const std::vector<control::Incarnation>& incarnations) const = 0;
  // The newest grant to any primary of the group.
  virtual MonoTime LastGrant(const std::string& group_uid) const = 0;
};

}  // namespace understudy::nodes
