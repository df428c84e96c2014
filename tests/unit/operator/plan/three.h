// A group of three in a World, and what tests of its rollout look at.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {

// The worlds begin on a Thursday, 08:53:20 UTC.
inline constexpr const char* kWindow = R"("preferredMaintenanceWindow": "sat:02:00-sat:03:00")";

inline WallTime At(const std::string& text) {
  WallTime time;
  EXPECT_TRUE(ParseRfc3339(text, &time)) << text;
  return time;
}
inline const WallTime kOpening = At("2025-10-11T02:00:00Z");

inline std::string PodUid(World* world, const std::string& node) {
  Json* pod = world->Get("Pod", node + "-0");
  return pod == nullptr ? "" : JsonString((*pod)["metadata"], "uid");
}

inline std::string ImageOf(World* world, const std::string& node) {
  Json* pod = world->Get("Pod", node + "-0");
  return pod == nullptr ? "" : JsonString((*pod)["spec"]["containers"][0], "image");
}

// A primary "a" and replicas "b", "c" in group "g".
class Three {
 public:
  explicit Three(const std::string& spec = "") {
    Edit(spec);
    world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
    world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
    world.ApplyYaml(kRr, "c", R"({"replicationGroupId": "g"})");
    EXPECT_TRUE(world.Settle());
    EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
    for (const char* node : {"a", "b", "c"}) pods[node] = PodUid(&world, node);
  }
  void Edit(const std::string& spec) {
    world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", )" + std::string(kWindow) + (spec.empty() ? "" : ", " + spec) + "}");
  }
  // Rounds until nothing is left to do; the order in which Pods were replaced. At no time more members than
  // `may_be_down` do not work.
  std::vector<std::string> Order(int may_be_down = 1) {
    constexpr int kRounds = 300;
    std::vector<std::string> order;
    int quiet = 0;
    for (int i = 0; i < kRounds && quiet < 3; ++i) {
      quiet = world.Round() == 0 ? quiet + 1 : 0;
      int down = 0;
      for (auto& [node, uid] : pods) {
        const std::string now = PodUid(&world, node);
        if (now != uid) order.push_back(node);
        uid = now;
        control::NodeState* process = world.Process(node);
        const bool works = process != nullptr && (process->role == control::Role::kPrimary ||
                                                  process->link == control::LinkState::kUp);
        if (!works) ++down;
      }
      EXPECT_LE(down, may_be_down) << "in round " << i;
      world.Advance(Milliseconds(100));
    }
    EXPECT_EQ(quiet, 3) << "it does not come to rest";
    return order;
  }
  // Until `node` has a Pod of that image; no further.
  void RunUntilImage(const std::string& node, const std::string& image) {
    for (int i = 0; i < 20 && ImageOf(&world, node) != image; ++i) {
      world.Round();
      world.Advance(Milliseconds(100));
    }
    ASSERT_EQ(ImageOf(&world, node), image);
    pods[node] = PodUid(&world, node);
  }
  bool SameObservedGeneration(const char* kind, const std::string& name) {
    Json& document = *world.Get(kind, name);
    return JsonInt(document["status"], "observedGeneration") == JsonInt(document["metadata"], "generation");
  }

  World world;
  std::map<std::string, std::string> pods;
};

}  // namespace understudy::plan
