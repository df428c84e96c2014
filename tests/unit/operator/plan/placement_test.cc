// Which Pods no Node could ever take, and what is said of it.
#include "operator/plan/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <ostream>
#include <string>

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;

Json Parse(const std::string& text) {
  auto json = ParseJson(text);
  EXPECT_TRUE(json.ok()) << text;
  return *std::move(json);
}

// Two Nodes in zone a, one of which has an SSD and is dedicated, and one that is not ready in zone b.
const std::map<std::string, const char*> kNodes = {
    {"n1", R"({"metadata": {"labels": {"topology.kubernetes.io/zone": "a", "rank": "3"}},
               "status": {"allocatable": {"cpu": "2", "memory": "4Gi", "example.com/gpu": "0"}}})"},
    {"n2", R"({"metadata": {"labels": {"topology.kubernetes.io/zone": "a", "disk": "ssd", "rank": "7", "odd": "x"}},
               "spec": {"taints": [{"key": "dedicated", "value": "db", "effect": "NoSchedule"},
                                   {"key": "soft", "effect": "PreferNoSchedule"}]},
               "status": {"allocatable": {"cpu": "7500m", "memory": "16Gi"}}})"},
    {"n3", R"({"metadata": {"labels": {"topology.kubernetes.io/zone": "b"}},
               "spec": {"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"},
                                   {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]},
               "status": {"conditions": [{"type": "Ready", "status": "Unknown"}],
                          "allocatable": {"cpu": "1", "memory": "2Gi"}}})"}};

Fleet MakeFleet(const std::map<std::string, const char*>& documents) {
  Fleet fleet;
  for (const auto& [name, text] : documents) {
    Json document = Parse(text);
    document["metadata"]["name"] = name;
    fleet.nodes.push_back(std::make_shared<const api::Node>(*api::ParseNode(document)));
  }
  return fleet;
}

std::string Why(const std::string& pod_spec, const std::string& zone = "", const Fleet& fleet = MakeFleet(kNodes)) {
  return WhyNoNodeTakes({{"spec", {{"template", {{"spec", Parse(pod_spec)}}}}}}, zone, fleet);
}

struct Case {
  const char* pod;   // its spec
  const char* zone;  // that is asked for
  const char* why;   // "" = it fits
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.pod << " " << one.zone; }

class Places : public testing::TestWithParam<Case> {};

TEST_P(Places, OrSaysWhyNot) { EXPECT_EQ(Why(GetParam().pod, GetParam().zone), GetParam().why); }

constexpr const char* kTolerates = R"("tolerations": [{"key": "dedicated", "operator": "Exists"}])";

#define REQUIRED(terms) \
  R"({"tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": )" terms "}}}}"
#define EXPRESSION(text) REQUIRED(R"([{"matchExpressions": [{)" text R"(}]}])")
#define FIELD(text) REQUIRED(R"([{"matchFields": [{)" text R"(}]}])")
constexpr const char* kNoMatch = "no Node matches what nodeAffinity of affinity requires";

INSTANTIATE_TEST_SUITE_P(NodeSelector, Places, testing::Values(
    Case{"{}", "", ""},
    Case{R"({"nodeSelector": {"disk": "nvme"}})", "", "no Node has the label disk=nvme of nodeSelector"},
    Case{R"({"nodeSelector": {"disk": "ssd", "rank": "3"}})", "", "no Node has the labels disk=ssd, rank=3 of nodeSelector"},
    Case{R"({"nodeSelector": {"rank": "3"}})", "", ""},
    Case{R"({"nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]})", "", ""}));

INSTANTIATE_TEST_SUITE_P(Zone, Places, testing::Values(
    Case{"{}", "a", ""},
    Case{"{}", "b", ""},  // not ready: it may come back
    Case{"{}", "c", "no Node is in zone c; there are Nodes in zones a, b"},
    Case{R"({"nodeSelector": {"disk": "ssd"}})", "b",
         "no Node in zone b has the label disk=ssd of nodeSelector"}));

INSTANTIATE_TEST_SUITE_P(NodeAffinity, Places, testing::Values(
    Case{EXPRESSION(R"("key": "disk", "operator": "In", "values": ["nvme", "ssd"])"), "", ""},
    Case{EXPRESSION(R"("key": "disk", "operator": "In", "values": ["nvme"])"), "", kNoMatch},
    Case{EXPRESSION(R"("key": "disk", "operator": "NotIn", "values": ["ssd"])"), "", ""},  // also without the label
    Case{EXPRESSION(R"("key": "topology.kubernetes.io/zone", "operator": "NotIn", "values": ["a", "b"])"), "", kNoMatch},
    Case{EXPRESSION(R"("key": "disk", "operator": "Exists")"), "", ""},
    Case{EXPRESSION(R"("key": "gone", "operator": "Exists")"), "", kNoMatch},
    Case{EXPRESSION(R"("key": "disk", "operator": "DoesNotExist")"), "", ""},
    Case{EXPRESSION(R"("key": "topology.kubernetes.io/zone", "operator": "DoesNotExist")"), "", kNoMatch},
    Case{EXPRESSION(R"("key": "rank", "operator": "Gt", "values": ["6"])"), "", ""},
    Case{EXPRESSION(R"("key": "rank", "operator": "Gt", "values": ["7"])"), "", kNoMatch},
    Case{EXPRESSION(R"("key": "rank", "operator": "Lt", "values": ["4"])"), "", ""},
    Case{EXPRESSION(R"("key": "rank", "operator": "Lt", "values": ["3"])"), "", kNoMatch},
    Case{EXPRESSION(R"("key": "odd", "operator": "Lt", "values": ["3"])"), "", kNoMatch},
    Case{EXPRESSION(R"("key": "disk", "operator": "Like", "values": ["n*"])"), "", ""},  // not understood
    Case{FIELD(R"("key": "metadata.name", "operator": "In", "values": ["n2"])"), "", ""},
    Case{FIELD(R"("key": "metadata.name", "operator": "In", "values": ["n9"])"), "", kNoMatch},
    Case{FIELD(R"("key": "metadata.name", "operator": "NotIn", "values": ["n1"])"), "", ""},
    Case{REQUIRED("[{}]"), "", kNoMatch},
    Case{REQUIRED(R"([{"matchExpressions": [{"key": "gone", "operator": "Exists"}]},
                      {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}])"), "", ""},  // one of them
    Case{REQUIRED(R"([{"matchExpressions": [{"key": "disk", "operator": "Exists"}, {"key": "rank", "operator": "In", "values": ["3"]}]}])"),
         "", kNoMatch},
    Case{REQUIRED(R"([{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}])"), "b",
         "no Node in zone b matches what nodeAffinity of affinity requires"},
    Case{R"({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
          {"weight": 1, "preference": {"matchExpressions": [{"key": "gone", "operator": "Exists"}]}}]}}})", "", ""}));

constexpr const char* kTaint =
    "no Node with the label disk=ssd of nodeSelector takes it: each has a taint that tolerations leave out "
    "(dedicated=db:NoSchedule)";
#define TOLERATION(text) R"({"nodeSelector": {"disk": "ssd"}, "tolerations": [{)" text "}]}"

INSTANTIATE_TEST_SUITE_P(Tolerations, Places, testing::Values(
    Case{R"({"nodeSelector": {"disk": "ssd"}})", "", kTaint},
    Case{TOLERATION(R"("operator": "Exists")"), "", ""},
    Case{TOLERATION(R"("key": "dedicated", "operator": "Exists")"), "", ""},
    Case{TOLERATION(R"("key": "dedicated", "operator": "Exists", "effect": "NoSchedule")"), "", ""},
    Case{TOLERATION(R"("key": "dedicated", "operator": "Exists", "effect": "NoExecute")"), "", kTaint},
    Case{TOLERATION(R"("key": "dedicated", "value": "db")"), "", ""},
    Case{TOLERATION(R"("key": "dedicated", "operator": "Equal", "value": "web")"), "", kTaint},
    Case{TOLERATION(R"("key": "dedicated")"), "", kTaint},
    Case{TOLERATION(R"("key": "other", "operator": "Exists")"), "", kTaint},
    Case{TOLERATION(R"("key": "dedicated", "operator": "Gt", "value": "1")"), "", ""}));  // not understood

#define REQUESTS(text) R"({"tolerations": [{"operator": "Exists"}], "containers": [{"resources": {"requests": {)" text "}}}]}"

INSTANTIATE_TEST_SUITE_P(Requests, Places, testing::Values(
    Case{REQUESTS(R"("cpu": "7500m", "memory": "16Gi")"), "", ""},
    Case{REQUESTS(R"("cpu": "64")"), "", "no Node has 64 CPUs for it: the largest has 7.5"},
    Case{REQUESTS(R"("cpu": 64)"), "", "no Node has 64 CPUs for it: the largest has 7.5"},
    Case{REQUESTS(R"("memory": "64Gi")"), "", "no Node has 64Gi of memory for it: the largest has 16Gi"},
    Case{REQUESTS(R"("memory": "17179869185")"), "",
         "no Node has 17179869185 of memory for it: the largest has 17179869184"},
    Case{REQUESTS(R"("memory": "3Gi")"), "b", "no Node in zone b has 3Gi of memory for it: the largest has 2Gi"},
    Case{REQUESTS(R"("cpu": "many")"), "", ""},  // the API server's to refuse
    Case{REQUESTS(R"("hugepages-2Mi": "4Mi")"), "", "no Node has 4Mi of hugepages-2Mi for it: the largest has 0"},
    Case{REQUESTS(R"("example.com/gpu": "1")"), "", "no Node has 1 of example.com/gpu for it: the largest has 0"},
    Case{REQUESTS(R"("example.com/fpga": "1")"), "", ""},  // no Node lists it: it may come from elsewhere
    Case{R"({"containers": [{"resources": {"limits": {"cpu": "64"}}}]})", "",
         "no Node has 64 CPUs for it: the largest has 7.5"},
    Case{R"({"containers": [{"resources": {"limits": {"cpu": "64"}, "requests": {"cpu": "1"}}}]})", "", ""},
    Case{R"({"containers": [{"resources": {"requests": {"cpu": "1"}}}, {"resources": {"requests": {"cpu": "1500m"}}}]})", "",
         "no Node without other taints than those tolerated has 2.5 CPUs for it: the largest has 2"},
    Case{R"({"containers": [{"resources": {"requests": {"cpu": "1"}}}],
             "initContainers": [{"resources": {"requests": {"cpu": "2"}}}, {"resources": {"requests": {"cpu": "9"}}}]})", "",
         "no Node has 9 CPUs for it: the largest has 7.5"},
    Case{R"({"containers": [{"resources": {"requests": {"cpu": "2"}}}],
             "initContainers": [{"resources": {"requests": {"cpu": "2"}}}, {"resources": {"requests": {"cpu": "2"}}}]})", "", ""},
    Case{R"({"containers": [{"resources": {"requests": {"cpu": "6"}}}],
             "initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"cpu": "2"}}}]})", "",
         "no Node has 8 CPUs for it: the largest has 7.5"},
    Case{R"({"initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"cpu": "4"}}},
                                {"resources": {"requests": {"cpu": "4"}}}]})", "",
         "no Node has 8 CPUs for it: the largest has 7.5"}));

TEST(WhyNoNodeTakes, NamesTheConstraintsAsTheyNarrowTheChoiceDown) {
  EXPECT_EQ(Why(R"({"nodeSelector": {"disk": "ssd"}, )" + std::string(kTolerates) +
                R"(, "containers": [{"resources": {"requests": {"cpu": "8"}}}]})"),
            "no Node has 8 CPUs for it: the largest has 7.5");
  EXPECT_EQ(Why(R"({"nodeSelector": {"rank": "3"}, "containers": [{"resources": {"requests": {"cpu": "4"}}}]})", "a"),
            "no Node in zone a with the label rank=3 of nodeSelector has 4 CPUs for it: the largest has 2");
}

TEST(WhyNoNodeTakes, ACordonedNodeTakesWhatToleratesTheCordon) {
  const auto cordoned = MakeFleet({{"n1", R"({"spec": {"unschedulable": true,
      "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}})"}});
  EXPECT_EQ(Why("{}", "", cordoned), "no Node takes it: each is cordoned");
  EXPECT_EQ(Why(R"({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]})", "", cordoned), "");
  const auto both = MakeFleet({{"n1", R"({"spec": {"unschedulable": true}})"},
                               {"n2", R"({"spec": {"taints": [{"key": "own", "effect": "NoExecute"}]}})"}});
  EXPECT_EQ(Why("{}", "", both),
            "no Node takes it: each is cordoned or has a taint that tolerations leave out (own:NoExecute)");
}

TEST(WhyNoNodeTakes, NothingWhereNothingIsKnown) {
  EXPECT_EQ(Why(R"({"nodeSelector": {"disk": "nvme"}})", "c", {}), "") << "of Nodes";
  const auto fresh = MakeFleet({{"n1", "{}"}});
  EXPECT_EQ(Why(REQUESTS(R"("cpu": "64", "memory": "1Ti")"), "", fresh), "") << "of what it has";
  EXPECT_THAT(Why("{}", "c", fresh), HasSubstr("none has the label topology.kubernetes.io/zone"));
}

TEST(WhyNoNodeTakes, TellsOfNoMoreZonesThanOneReads) {
  std::map<std::string, std::string> texts;
  std::map<std::string, const char*> documents;
  for (char c = 'a'; c < 'p'; ++c) {
    texts[std::string(1, c)] = R"({"metadata": {"labels": {"topology.kubernetes.io/zone": ")" + std::string(1, c) + R"("}}})";
  }
  for (const auto& [name, text] : texts) documents[name] = text.c_str();
  EXPECT_EQ(Why("{}", "z", MakeFleet(documents)),
            "no Node is in zone z; there are Nodes in zones a, b, c, d, e, f, g, h, ...");
}

}  // namespace
}  // namespace understudy::plan
