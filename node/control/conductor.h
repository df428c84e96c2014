// Carries out what the role machine decides: publishes the gate, has the data path change its role,
// settles the transition, and sends the acknowledgement once it is true.
//
// Order within a transition: the gate first (it closes at once), then the actions, then the facts
// anew, then the gate again (it opens last), then the acknowledgements. Everything on the admin
// thread; Done callbacks of the data path come back to it through the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/control/messages.h"
#include "node/control/data_path.h"
#include "node/role/role_machine.h"

namespace understudy::control {

class Conductor {
 public:
  // What others are told; called on the admin thread, after the gate was published.
  struct Events {
    std::function<void()> on_change;  // worth a heartbeat at once
    std::function<void()> on_role;    // role, epoch, configuration or whom to follow may be another
  };

  Conductor(boost::asio::io_context& io, const Clock& clock, DataPath& data_path,
            std::string pod_uid, Incarnation incarnation);
  void set_events(Events events) { events_ = std::move(events); }

  // Orders of the operator; `acknowledge` is called once, now or after the transition.
  void OnOrder(const Order& order, std::function<void(const OrderAck&)> acknowledge);
  void OnOperatorGrant(const Grant& grant);
  void OnParameters(const Parameters& declared);
  void OnVoterAnswer(const NodeRef& voter, const LeaseGrant& grant);
  // Primary: the request that is sent to every voter at this moment.
  LeaseRequest BuildLeaseRequest();
  // Voter: the answer, or the reason why the channel is wrong.
  Result<LeaseGrant> OnLeaseRequest(const LeaseRequest& request);

  // Looks at the data path anew. True if that is worth a heartbeat.
  bool Refresh();
  // A heartbeat's content; takes a request number, so send it at once.
  Heartbeat BuildHeartbeat();
  NodeState State();

  role::RoleMachine& machine() { return machine_; }
  const role::RoleMachine& machine() const { return machine_; }
  // After something was told to the machine directly.
  void Publish();
  // SIGTERM: asks for a switchover; `may_exit` is called once, when nobody waits for one (any
  // more).
  void Terminate(std::function<void()> may_exit);

 private:
  // A transition whose actions were started; settles when its own and all earlier ones are done.
  struct Progress {
    uint64_t transition = 0;
    size_t left = 0;
    Status status;  // the first failure
  };
  struct Waiting {
    uint64_t transition = 0;
    Order order;
    role::Outcome outcome;
    std::function<void(const OrderAck&)> acknowledge;
  };
  NodeState StateOf(NodeState state) const;  // with what is no business of the role machine
  void CarryOut(const std::vector<role::Action>& actions, uint64_t transition);
  void Start(const role::Action& action, DataPath::Done done);
  void OnActionDone(uint64_t transition, const Status& status);
  void Advance();
  void ArmPause();
  bool EndPauseIfOver();
  void CheckExit();

  boost::asio::io_context& io_;
  const Clock& clock_;
  DataPath& data_path_;
  role::RoleMachine machine_;
  Events events_;
  std::deque<Progress> in_progress_;  // in the order of their transitions
  std::deque<Waiting> waiting_;       // acknowledgements, in that order too
  uint64_t last_started_ = 0;
  // The newest transition that the data path failed to carry out, until a later one settles.
  uint64_t failed_ = 0;
  Status failure_;
  boost::asio::steady_timer pause_timer_;
  std::function<void()> may_exit_;
};

}  // namespace understudy::control
