// A role machine on virtual time with a replication that does at once what it is told.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "node/role/role_machine.h"
#include "tests/unit/node/role/rule_set_test_peer.h"

namespace understudy::role {

inline control::NodeRef Node(const std::string& name) {
  return {name, "uid-" + name, "inc-" + name, "host-" + name, "10.0.0.1"};
}

class MachineFixture : public testing::Test {
 protected:
  void SetUp() override {
    machine = RoleMachine("uid-me", "inc-me");
    facts = {};
    done.clear();
  }
  static control::Order Base(control::OrderKind kind, uint64_t epoch) {
    control::Order order;
    order.id = 1;
    order.kind = kind;
    order.group = "G";
    order.epoch = epoch;
    order.incarnation = "inc-me";
    return order;
  }
  static control::Order Primary(uint64_t epoch, uint64_t number,
                                std::vector<std::string> voters = {}, uint32_t s = 0,
                                uint32_t lease_ms = 1500) {
    control::Order order = Base(control::OrderKind::kRole, epoch);
    order.role = control::Role::kPrimary;
    order.configuration = {number, epoch, Node("me"), {}, s, lease_ms};
    for (const std::string& voter : voters) order.configuration.voters.push_back(Node(voter));
    order.replication_key = "key-" + std::to_string(epoch);
    return order;
  }
  static control::Order First(uint64_t epoch = 1) {
    control::Order order = Primary(epoch, 1);
    order.fresh_dataset = "data-1";
    return order;
  }
  static control::Order Promotion(uint64_t epoch, uint64_t number, uint64_t min_offset) {
    control::Order order = Primary(epoch, number, {"a"});
    order.promotion = true;
    order.min_offset = min_offset;
    return order;
  }
  static control::Order Replica(uint64_t epoch, uint64_t number, const std::string& primary = "p") {
    control::Order order = Base(control::OrderKind::kRole, epoch);
    order.role = control::Role::kReplica;
    order.configuration = {number, epoch, Node(primary), {}, 0, 1500};
    order.replication_key = "key-" + std::to_string(epoch);
    return order;
  }
  static control::Order Standalone(uint64_t epoch, const std::string& object) {
    control::Order order = Base(control::OrderKind::kRole, epoch);
    order.group = object;
    order.role = control::Role::kStandalone;
    return order;
  }

  // Hands the order in, carries the actions out, acknowledges.
  control::OrderAck Do(const control::Order& order) {
    machine.Observe(facts, now);
    const Outcome outcome = machine.OnOrder(order, now);
    Perform(outcome.actions, outcome.transition);
    return machine.Ack(order, outcome, now);
  }
  void Perform(const std::vector<Action>& actions, uint64_t transition) {
    for (const Action& action : actions) {
      done.push_back(action);
      if (const auto* primary = std::get_if<BecomePrimary>(&action)) {
        facts.complete = true;
        facts.offset = primary->start_empty ? 10 : facts.offset + 10;
        facts.last_record_epoch = primary->epoch;
        facts.acks.clear();
      }
      if (const auto* alone = std::get_if<BecomeStandalone>(&action); alone != nullptr)
        facts.complete = true;
    }
    machine.Observe(facts, now);
    machine.Settled(transition, now);
  }
  control::OrderAck LoadedReplica(uint64_t epoch, uint64_t number, uint64_t offset) {
    const control::OrderAck ack = Do(Replica(epoch, number));
    facts.complete = true;
    facts.offset = offset;
    facts.link = control::LinkState::kUp;
    facts.last_record_epoch = epoch;
    machine.Observe(facts, now);
    return ack;
  }
  control::LeaseRequest Request(uint64_t epoch, const std::string& primary = "p") const {
    return {1, epoch, "inc-" + primary, 0};
  }
  template <typename T>
  size_t Count() const {
    size_t n = 0;
    for (const Action& action : done) n += std::holds_alternative<T>(action);
    return n;
  }
  control::NodeState State() const { return machine.State(now); }
  GateState::Mode Mode() const { return machine.Gate().mode; }

  RoleMachine machine{"uid-me", "inc-me"};
  ReplicationFacts facts;
  std::vector<Action> done;
  MonoTime now{1'000'000'000'000};
};

}  // namespace understudy::role
