#include "tests/scenario/stories.h"

#include "tests/support/failover_rules.h"
#include "tests/unit/node/role/rule_set_test_peer.h"

namespace understudy::simulation {
namespace {

using failover::Rule;
using NodeRule = role::Rule;

RuleSwitches Machine(Rule rule) {
  RuleSwitches r;
  r.machine = failover::RulesForTests::Without(rule);
  return r;
}

RuleSwitches Node(NodeRule rule) {
  RuleSwitches r;
  r.node = role::RuleSetTestPeer::Without({rule});
  return r;
}

RuleSwitches Both(Rule rule, NodeRule node_rule) {
  RuleSwitches r = Machine(rule);
  r.node = role::RuleSetTestPeer::Without({node_rule});
  return r;
}

RuleSwitches RenewFromReply() {
  RuleSwitches r;
  r.renew_from_sending = false;
  return r;
}

RuleSwitches ForgetPredecessors() {
  RuleSwitches r;
  r.wait_for_predecessors = false;
  return r;
}

std::string Times(int n, const std::string& command) {
  std::string all;
  for (int i = 0; i < n; ++i) all += command + ";";
  return all;
}

Story Tell(int replicas, int synchronous, std::vector<PlannedFault> plan, int64_t end_ms = 16000) {
  Story s;
  s.replicas = replicas;
  s.synchronous_replicas = synchronous;
  s.plan = std::move(plan);
  s.end_ms = end_ms;
  return s;
}

const std::string kFar = " 30000";  // until the faults end

std::vector<ToldStory> Build() {
  std::vector<ToldStory> all;
  auto tell = [&all](std::string name, RuleSwitches without, std::string violates, Story story) {
    all.push_back({std::move(name), without, std::move(violates), std::move(story)});
  };

  // -- two primaries, or acknowledgements that go back
  tell("H1 a refused connection is not proof of death", Machine(Rule::kRefused), "12",
       Tell(1, 0, {{4000, "reject n0 9000; cut n0 n1 9000"}}));
  tell("H2 the same Pod means the same Pod UID", Machine(Rule::kPodUid), "12",
       Tell(1, 0, {{4000, "force n0 9000"}}));
  tell("H3 configurations are numbered", Node(NodeRule::kConfigurationNumber), "12",
       Tell(1, 0,
            {{3000, "again promote n0 5000; crash n1 20"}, {8100, "cut n0 ops,n1,api" + kFar}}));
  tell("H4 a new leader writes its term first", Machine(Rule::kTermWrite), "12",
       Tell(1, 0,
            {{4000, "cut n0 ops,n1,api 2900; cut other n1" + kFar},
             {"done", "stale 9000; cut n1 n0" + kFar + "; release lead; cut lead api" + kFar}},
            20000));
  tell("H5 the wait counts from proofs of death", Machine(Rule::kWaitDead), "12",
       Tell(3, 0, {{4000, "cut lead n0,n2,n3" + kFar + "; cut n1 n0" + kFar}, {8500, "crash n2"}}));
  tell("H6 S and T belong to the configuration: T", Machine(Rule::kConfigST), "12",
       Tell(3, 0,
            {{3000, "sett 4000"},
             {6000, "cut lead n0" + kFar + "; cut n1 n0" + kFar + "; sett 1000"},
             {"takeover:fence", "cut n0 n2,n3" + kFar}}));
  tell("H6 a smaller T shortens the grants already held", Node(NodeRule::kClamp), "12",
       Tell(3, 0,
            {{3000, "sett 4000"}, {6000, "sett 500"}, {6800, "cut n0 ops,n1,n2,n3,api" + kFar}}));
  Story drifting = Tell(3, 0,
                        {{3000, "sett 4000"},
                         {6000, "cut lead n0" + kFar + "; cut n1 n0" + kFar},
                         {"takeover:fence", Times(30, "hold nack n0" + kFar)}});
  drifting.rates = {{"n0", .91}, {"n2", 1.09}, {"n3", 1.09}, {"op1", 1.09}, {"op2", 1.09}};
  tell("H7 the wait is 1.25 T", Machine(Rule::kWait125), "12", drifting);
  tell("H8 a voter is an incarnation", Node(NodeRule::kVoterIncarnation), "12",
       Tell(3, 0,
            {{4000, "cut lead n0,n3" + kFar + "; cut n0 n2" + kFar},
             {4500, "hold role n1 2500; crash n1 20"},
             {5200, "cut lead n1" + kFar}}));
  Story slow_renewal =
      Tell(1, 0,
           {{2000, "sett 500"},
            {3000, "hold lease lead 7900"},
            {4500, "cut1 lead api" + kFar + "; cut n0 n1,other" + kFar + "; cut lead n1" + kFar}},
           30000);
  slow_renewal.lease_ms[0] = 15000;
  slow_renewal.lease_ms[1] = 10000;
  slow_renewal.lease_ms[2] = 2000;
  tell("H9 leadership counts from the sending of the renewal", RenewFromReply(), "12",
       slow_renewal);
  Story cut_together = Tell(
      1, 0, {{3000, "sett 4000"}, {6000, "cut lead api,n1" + kFar + "; cut n0 n1,other" + kFar}}, 30000);
  cut_together.rates = {{"n0", .91}, {"op1", 1.09}, {"op2", 1.09}};
  tell("a new leader waits for what the one before it granted", ForgetPredecessors(), "12", cut_together);
  tell("a status that went back: an epoch above it stops all grants", Machine(Rule::kEpochAbove),
       "12",
       Tell(1, 0, {{4000, "cut n0 ops,n1,api 4700"}, {"done", "rollback; cut n0 n1" + kFar}}));

  // -- acknowledged writes lost with S >= 1
  tell(
      "H10 no configuration before its voters caught up", Both(Rule::kCatchUp, NodeRule::kCatchUp),
      "3",
      Tell(
          2, 1,
          {{4000, "cut n0 n2" + kFar}, {6000, "remove n1"}, {"cfg:commit", "after 300 crash n0"}}));
  tell("H11 a switchover promotes at the offset of the demotion", Machine(Rule::kFinalOffset), "3",
       Tell(3, 1,
            {{4000, "switch n1"}, {"switch:pause", "opcrash lead" + kFar + "; cut n0 n1" + kFar}},
            20000));
  tell("H12 an election covers every configuration", Machine(Rule::kEveryConfig), "3",
       Tell(1, 1,
            {{3000, "add n2"},
             {"cfg:pending", "cut1 lead api" + kFar + "; cut n0 n1" + kFar +
                                 "; after 2000 crash n0; after 2000 cut ops n2 9000"}},
            20000));
  tell("H12 S and T belong to the configuration: S", Machine(Rule::kConfigST), "3",
       Tell(2, 1,
            {{4000, "cut n0 n2" + kFar},
             {5000, "sets 2"},
             {6500, "cut ops n1" + kFar + "; crash n0"}}));
  tell("H13 older configurations stay until the winner caught up", Machine(Rule::kEstablish), "3",
       Tell(2, 1,
            {{4000, "cut n0 n2" + kFar},
             {5000, "cut n0 ops,n1,api" + kFar},
             {"takeover:promote", "cut n1 n2" + kFar},
             {"done", "crash n1"}}));
  tell("H14 only voters count for S", Node(NodeRule::kSyncVoters), "3",
       Tell(2, 1,
            {{3000, "crash n2 20"},
             {3330, "cut lead n2" + kFar},
             {5000, "cut n0 n1" + kFar},
             {6000, "crash n0"}}));
  Story restore =
      Tell(2, 1, {{4000, "cut n0 n2" + kFar}, {5000, "cut ops n1" + kFar + "; crash n0 100"}});
  restore.automatic_failover = false;
  tell("H15 a restore needs the same cover", Machine(Rule::kRestoreCover), "3", restore);
  tell("H16 a voter never drops its data", Node(NodeRule::kComplete), "3",
       Tell(1, 1, {{4000, "cut n0 n1 2000"}, {6050, "after 200 crash n0"}}));
  tell("H16 a half-loaded node is no candidate", Machine(Rule::kComplete), "6",
       Tell(1, 0, {{4000, "cut n0 n1 2000"}, {6050, "after 200 crash n0"}}));
  tell("H16 a demoted primary starts no full copy", Node(NodeRule::kFullCopyInOffice), "3",
       Tell(2, 1, {{4000, "stop n0 1750"}, {"takeover:promote", "crash n0 800"}}));
  tell("H17 candidates compare by their last record", Machine(Rule::kHistoryCompare), "34",
       Tell(2, 1,
            {{4000, "cut n0 n2" + kFar},
             {5000, "cut n0 ops,n1,api 9000"},
             {"takeover:promote", "cut n1 n2" + kFar},
             {"done", "after 300 crash n1"}},
            18000));
  tell("H18 offsets are read after the wait", Both(Rule::kFreshRead, NodeRule::kFreshRead), "3",
       Tell(3, 1,
            {{4000, "cut lead n0" + kFar + "; cut n0 n3" + kFar},
             {"takeover:fence", Times(30, "hold nack n0" + kFar) + "after 300 lag n1 lead" + kFar +
                                    "; after 700 cut n0 n2" + kFar + "; after 1000 crash n0"}}));

  // -- empty or half-loaded primary
  tell("H19 an election names an incarnation and its offset",
       Both(Rule::kOrderIncarnation, NodeRule::kOrderIncarnation), "5",
       Tell(1, 0, {{4000, "cut n0 ops,n1,api" + kFar}, {"takeover:promote", "crash n1 20"}}));
  tell("H20 an empty start needs every Pod", Machine(Rule::kAllHeard), "5",
       Tell(2, 0,
            {{4000, "cut lead n1" + kFar + "; crash n0"},
             {"done", "after 100 cut n1 n2" + kFar + "; after 200 crash n2 20"}}));

  // -- stuck for ever
  tell("H21 a demoted old primary is a candidate", Machine(Rule::kOldCandidate), "6",
       Tell(1, 1, {{4000, "switch n1"}, {"switch:demote", "crash n1 20"}}));
  tell("H22 waiting ends when all who are silent are dead", Machine(Rule::kDeadFinal), "6",
       Tell(2, 1, {{4000, "crash n0 500; crash n1 500"}}));
  tell("H23 a change may be appended while one waits", Machine(Rule::kConfigList), "6",
       Tell(2, 1, {{4000, "cut n0 n1 9000"}, {4500, "crash n2 20"}, {5500, "crash n1 20"}}));
  tell("H24 late orders of the same epoch change nothing", Node(NodeRule::kEqualEpoch), "6",
       Tell(2, 0, {{4000, "again query n2 3000; crash n0 100"}}));
  return all;
}

}  // namespace

const std::vector<ToldStory>& Stories() {
  static const std::vector<ToldStory> stories = Build();
  return stories;
}

}  // namespace understudy::simulation
