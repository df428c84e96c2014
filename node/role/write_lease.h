// The write lease of a primary (FAILOVER.md section 5): may it acknowledge writes, and until when?
//
// Grantors are the operator and each voter. A grant counts from the moment the primary SENT the
// request that it answers, on the primary's own clock, for the T of the configuration in force: a
// smaller T also shortens what is held already. With R voters, A(R) of the R + 1 grantors are
// needed (common/control/quorum.h); none with R = 0. Voters are named by incarnation; grants of
// nodes that are no voters are kept (they may become voters by the next configuration) but not
// counted.
//
// Pure; owned by the role machine, so by the admin thread. Request numbers are given out once per
// incarnation, over all channels and epochs: heartbeats and lease requests draw from the same
// counter.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "common/clock.h"
#include "common/control/messages.h"
#include "node/role/rule_set.h"

namespace understudy::role {

// "As long as it likes": no grants are needed.
inline constexpr MonoTime kForever{INT64_MAX / 4};

class WriteLease {
 public:
  // Requests of which the sending time is remembered; a grant for an older one is ignored (safe: it
  // could only have lengthened the lease).
  static constexpr size_t kRememberedRequests = 1024;

  explicit WriteLease(RuleSet rules = {}) : rules_(rules) {}

  // A new office: all grants of earlier epochs are void.
  void Start(uint64_t epoch, const control::Configuration& configuration);
  // Another configuration of the same epoch: grants stay, judged by its voters and its T from now
  // on.
  void Change(const control::Configuration& configuration);
  // Leaves office: nothing is held any more.
  void Stop();

  // The number for a request that is sent at or after `now`. Ask before sending, never after.
  uint64_t NextRequest(MonoTime now);

  // Grants. False if ignored: not in office, another epoch, an unknown or forgotten request.
  bool OnOperatorGrant(uint64_t seq, uint64_t epoch);
  bool OnVoterGrant(const control::NodeRef& voter, uint64_t seq, uint64_t epoch);

  // Writes may be acknowledged strictly before this time: kForever with R = 0, "never" when not in
  // office or when too few grants were ever given. Does not depend on the present, so that it can
  // be published.
  MonoTime HeldUntil() const;
  bool Held(MonoTime now) const { return now < HeldUntil(); }

 private:
  static constexpr char kOperator[] = "";  // no incarnation is empty
  // Grants are remembered for the operator and the nodes that answer; a group has at most a dozen
  // nodes.
  static constexpr size_t kMaxGrantors = 64;

  struct Given {
    MonoTime sent;          // the request
    uint32_t lease_ms = 0;  // T when the grant arrived; used only with the rule kClamp off
  };
  bool Record(const std::string& grantor, uint64_t seq, uint64_t epoch);
  MonoTime Expiry(const Given& given) const;
  std::string Key(const control::NodeRef& voter) const;

  RuleSet rules_;
  bool in_office_ = false;
  uint64_t epoch_ = 0;
  control::Configuration configuration_;
  uint64_t last_seq_ = 0;
  std::deque<MonoTime> sent_;  // of requests last_seq_ - size + 1 ... last_seq_
  std::map<std::string, Given> grants_;
};

}  // namespace understudy::role
