// Switches rules of the failover machine off, to show what breaks without them. Tests only:
// production code has no other way to make a Rules that leaves one out.
#pragma once

#include "operator/failover/rules.h"

namespace understudy::failover {

struct RulesForTests {
  static Rules Without(Rule rule) { return Without(Rules(), rule); }
  static Rules Without(Rules rules, Rule rule) {
    rules.off_ |= 1u << static_cast<int>(rule);
    return rules;
  }
};

}  // namespace understudy::failover
