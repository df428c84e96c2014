// Switches safety rules off, for tests that show what breaks without them.
#pragma once

#include <initializer_list>

#include "node/role/rule_set.h"

namespace understudy::role {

class RuleSetTestPeer {
 public:
  static RuleSet Without(std::initializer_list<Rule> rules) {
    RuleSet set;
    for (Rule rule : rules) set.off_ |= static_cast<uint32_t>(rule);
    return set;
  }
};

}  // namespace understudy::role
