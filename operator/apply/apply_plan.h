// Carries a Plan out: the only place that writes objects and sends orders.
//
// The order of the steps is plan.h's: persist, and nothing else if there was something to persist; orders;
// actions, the primary EndpointSlice first among them; statuses; events. A step that fails ends the plan,
// which is then made anew from what is true by then: nothing is retried from here.
// Thread rules: one call at a time for a key; different keys side by side. Blocks on the API server, at
// most kWriteTimeout a request.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/json.h"
#include "common/result.h"
#include "operator/kube/client.h"
#include "operator/kube/events.h"
#include "operator/nodes/node_table.h"
#include "operator/plan/plan.h"

namespace understudy::apply {

inline constexpr Duration kWriteTimeout = Seconds(5);

// What was refused is tried again after this time: the server's rules may have changed.
inline constexpr Duration kRejectedFor = Seconds(60);

class PlanApplier {
 public:
  struct Hooks {
    // Asked before each write and before orders are sent.
    std::function<kube::Leadership()> leadership;
    // What the server answered to a write, before the watch shows it, so that the next plan sees it.
    std::function<void(const kube::Resource&, const Json& object)> written;
  };

  PlanApplier(kube::Client& client, nodes::NodeTable& nodes, kube::EventRecorder& events, const Clock& clock,
              Hooks hooks)
      : client_(client), nodes_(nodes), events_(events), clock_(clock), hooks_(std::move(hooks)) {}

  enum class Next {
    kWait,      // until wake_at or the next change
    kAgain,     // something was persisted: plan at once from what was written
    kRejected,  // the API server refuses a StatefulSet or the Pod of one: plan at once, with that in mind
  };
  struct Outcome {
    Next next = Next::kWait;
    std::string rejected_name;  // kRejected: of the StatefulSet
    plan::Rejection rejection;
  };
  // group_uid: of the key's object, whose grants the plan sets. under: acquired_at of the leadership under
  // which the plan was made; under a later one it is void. kConflict: observe again, soon; any other
  // failure: again with back-off. kDenied also when this process does not lead any more.
  Result<Outcome> Apply(const std::string& group_uid, const plan::Plan& plan, MonoTime under);
  // Reads the group anew: to be done, before anything else, after a write whose outcome is unknown
  // (kUnavailable), because no decision may be made from a status older than what was perhaps written.
  // kNotFound: it is gone.
  Status ReadGroup(const std::string& ns, const std::string& name);

 private:
  Status CheckLeads(MonoTime under) const;
  Status WriteStatus(const plan::StatusWrite& write);
  Status Act(const plan::Action& action);
  Outcome Rejected(const Json& stateful_set, std::string message, bool waits) const;
  std::optional<Outcome> RejectionOf(const plan::Action& action, const Status& done) const;
  // Whether the API server would take the Pod that an action leads to. kUnavailable: unknown, and the action must wait.
  Result<std::optional<Outcome>> TryPod(const plan::Action& action);
  void Record(const std::vector<plan::Event>& events);
  Deadline Limit() const { return Deadline::In(clock_, kWriteTimeout); }

  kube::Client& client_;
  nodes::NodeTable& nodes_;
  kube::EventRecorder& events_;
  const Clock& clock_;
  const Hooks hooks_;
};

// The resource of an object's kind; CHECKs that it is one that plans write.
const kube::Resource& ResourceOf(const std::string& kind);

}  // namespace understudy::apply
