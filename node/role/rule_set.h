// Which of the node's safety rules are in force. All of them, always: a rule can be switched off
// only by tests that show what breaks without it (the stories H1-H24 of the failover model).
// Production code has no way to switch one off: the setter is private, and the class that may call
// it lives in the test folder.
#pragma once

#include <cstdint>

namespace understudy::role {

// Names as in the model; the sentences are those of FAILOVER.md.
enum class Rule : uint32_t {
  kConfigurationNumber =
      1 << 0,       // cfgver: an order whose (epoch, number) is not larger changes nothing
  kClamp = 1 << 1,  // clamp: a smaller T shortens the grants already held
  kVoterIncarnation = 1 << 2,  // voterinc: grants count by incarnation (off: by the Pod's name)
  kOrderIncarnation = 1 << 3,  // orderinc: another incarnation, or one that holds less, refuses
  kCatchUp = 1 << 4,     // catchup: a configuration is acknowledged when S voters hold its offset
  kSyncVoters = 1 << 5,  // svoters: only voters of the configuration in force count for S
  kComplete = 1 << 6,    // complete: a voter never drops its data for a full copy
  kFullCopyInOffice = 1 << 7,  // fullfrom: a full copy starts only between two that are in office
  kEqualEpoch =
      1 << 8,  // eqepoch: fence, demote, question of e change nothing after a role order of e
  kFreshRead = 1 << 9,  // freshread: answering the offset question stops applying
};

class RuleSet {
 public:
  constexpr RuleSet() = default;  // every rule
  constexpr bool on(Rule rule) const { return (off_ & static_cast<uint32_t>(rule)) == 0; }

 private:
  friend class RuleSetTestPeer;  // tests/unit/node/role/rule_set_test_peer.h
  uint32_t off_ = 0;
};

}  // namespace understudy::role
