// The orders of one Decision. Each builder fills in everything that the node's role machine judges
// an order by; Send() keeps an order that is on its way from being repeated within kResend. Pure.
//
// A node takes an order only with a larger (epoch, configuration number) than its last role
// order's, so within one epoch nobody is ever told to follow another primary: that takes a new
// epoch.
#pragma once

#include "operator/failover/turn.h"

namespace understudy::failover {

// Sends to whoever answers from `pod` now. `number` tells orders of one kind and epoch apart.
void Send(Turn& turn, const PodView& pod, control::Order order, uint64_t number,
          Duration again = kResend);

// The primary's role under `configuration`. promotion: it must be complete and hold min_offset.
struct PrimaryOrder {
  bool promotion = false;
  uint64_t min_offset = 0;
};
void OrderPrimary(Turn& turn, const control::NodeRef& primary,
                  const control::Configuration& configuration, PrimaryOrder how);

// Every node of the group that does not follow `configuration.primary` in that epoch is told to.
// hold_back: an incarnation that is not told yet.
void OrderFollowers(Turn& turn, const control::Configuration& configuration,
                    std::string_view hold_back = {});

void OrderCopy(Turn& turn, const control::NodeRef& copier, const control::NodeRef& source,
               uint64_t epoch);
void OrderFence(Turn& turn, const PodView& pod, uint64_t epoch);
void OrderDemote(Turn& turn, const control::NodeRef& old, uint64_t epoch);
void AskOffset(Turn& turn, const PodView& pod, uint64_t epoch);
void OrderPause(Turn& turn, const control::NodeRef& node, uint64_t epoch);  // a primary, or the target of its switchover
void OrderResume(Turn& turn, const control::NodeRef& node, uint64_t epoch);
// Asks for fresh words, at most every kPoll.
void Poll(Turn& turn, const control::NodeRef& node, uint64_t epoch);

}  // namespace understudy::failover
