// What is built for a node and a group, byte for byte (tests/golden/manifests), and the rules behind it.
#include "operator/manifests/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/golden/golden.h"

namespace understudy::manifests {
namespace {

using golden::ExpectGolden;

api::CacheNode Node(const std::string& spec) {
  auto json = ParseJson(spec);
  EXPECT_TRUE(json.ok());
  const Json document = {{"metadata", {{"name", "exampleredis-read-1"}, {"namespace", "default"}, {"uid", "node-uid"}}},
                         {"spec", *json}};
  auto node = api::ParseCacheNode(api::NodeKind::kReadReplica, document);
  EXPECT_TRUE(node.ok());
  return *std::move(node);
}

api::ReplicationGroup Group() {
  api::ReplicationGroup group;
  group.meta.name = "examplereplication";
  group.meta.ns = "default";
  group.meta.uid = "group-uid";
  return group;
}

Json StatefulSet(const api::CacheNode& node, const std::string& group, api::MultiAz multi_az) {
  NodeInput input;
  input.node = &node;
  input.settings = node.spec.node;
  input.image = input.image_alone = "understudy:1";
  input.group = group;
  input.multi_az = multi_az;
  auto set = BuildStatefulSet(input);
  EXPECT_TRUE(set.ok()) << set.status().ToString();
  return *std::move(set);
}

const Json& Container(const Json& set) { return set.at("spec").at("template").at("spec").at("containers").at(0); }
std::string TemplateHash(const Json& set) {
  return set.at("spec").at("template").at("metadata").at("annotations").at(api::kTemplateHashAnnotation);
}

TEST(GoldenManifests, AMemberByDefault) {
  const api::CacheNode node =
      Node(R"({"replicationGroupId": "examplereplication", "availabilityZone": "ap-northeast-1a"})");
  ExpectGolden("manifests/member.json", StatefulSet(node, "examplereplication", api::MultiAz::kPreferred).dump(1) + "\n");
}

TEST(GoldenManifests, AMemberWithEverySetting) {
  const api::CacheNode node = Node(R"({"availabilityZone": "z1", "node": {
    "image": "mirror/understudy:2", "priorityClassName": "high", "serviceAccountName": "puller", "nodeSelector": {"disk": "ssd"},
    "resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}, "requests": {"cpu": 1, "memory": "1Gi"}},
    "parameters": {"maxmemory-policy": "allkeys-lru", "hz": 20},
    "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "arch", "operator": "In", "values": ["arm64"]}]}, {"matchFields": []}]}},
      "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "podAffinityTerm": {"topologyKey": "rack"}}]}},
    "podLabels": {"team": "a"}, "podAnnotations": {"note": "b"}}})");
  ExpectGolden("manifests/member_full.json", StatefulSet(node, "examplereplication", api::MultiAz::kRequired).dump(1) + "\n");
}

TEST(GoldenManifests, ANodeThatStandsAlone) {
  ExpectGolden("manifests/standalone.json", StatefulSet(Node("{}"), "", api::MultiAz::kDisabled).dump(1) + "\n");
}

TEST(GoldenManifests, ServicesAndBudget) {
  const api::CacheNode node = Node("{}");
  const SliceTarget target{"10.1.2.3", "node-a", "z1", "exampleredis-0", "pod-uid"};
  Json all = Json::array({BuildNodeService(node), BuildHeadlessService(node), BuildPrimaryService(Group()),
                          BuildReaderService(Group(), 36), BuildDisruptionBudget(Group(), 2),
                          BuildPrimarySlice(Group(), "service-uid", "IPv4", target),
                          BuildNodeSlice(node, "service-uid", "IPv4", target), BuildConfigMap("default", "KEY")});
  ExpectGolden("manifests/services.json", all.dump(1) + "\n");
}

// An upgrade of the operator must roll nobody by accident: if these change, every template is outdated.
TEST(GoldenManifests, TemplateHashes) {
  std::string text;
  for (const char* spec : {"{}", R"({"availabilityZone": "z1"})", R"({"node": {"parameters": {"hz": 20}}})",
                           R"({"node": {"resources": {"limits": {"memory": "1Gi", "cpu": 2}}}})"}) {
    text += TemplateHash(StatefulSet(Node(spec), "", api::MultiAz::kDisabled)) + "  " + spec + "\n";
  }
  ExpectGolden("manifests/template_hashes.txt", text);
}

TEST(Manifests, AServiceAccountNeedsANewPodAndMountsNoToken) {
  const Json with = StatefulSet(Node(R"({"node": {"serviceAccountName": "puller"}})"), "", api::MultiAz::kDisabled);
  const Json without = StatefulSet(Node("{}"), "", api::MultiAz::kDisabled);
  const Json& spec = with["spec"]["template"]["spec"];
  EXPECT_EQ(spec["serviceAccountName"], "puller");
  EXPECT_EQ(spec["serviceAccount"], "puller");
  EXPECT_EQ(spec["automountServiceAccountToken"], false);
  EXPECT_NE(TemplateHash(with), TemplateHash(without));
  EXPECT_FALSE(without["spec"]["template"]["spec"].contains("serviceAccountName"));
}

TEST(Manifests, JoiningAGroupMakesNoTemplateOutdated) {
  const api::CacheNode node = Node("{}");
  EXPECT_EQ(TemplateHash(StatefulSet(node, "", api::MultiAz::kDisabled)),
            TemplateHash(StatefulSet(node, "examplereplication", api::MultiAz::kRequired)));
  EXPECT_NE(AppliedHash(StatefulSet(node, "", api::MultiAz::kDisabled)),
            AppliedHash(StatefulSet(node, "examplereplication", api::MultiAz::kRequired)));
}

TEST(Manifests, ZonesToAvoidAreAPreferenceBesideTheUsersAndMakeNoTemplateOutdated) {
  const api::CacheNode node = Node(R"({"node": {"affinity": {"nodeAffinity": {
    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {"matchExpressions": []}}]}}}})");
  NodeInput input;
  input.node = &node;
  input.settings = node.spec.node;
  input.image = input.image_alone = "understudy:1";
  input.group = "examplereplication";
  input.multi_az = api::MultiAz::kPreferred;
  const auto terms = [](const Result<Json>& set) {
    return set->at("spec").at("template").at("spec").at("affinity").at("nodeAffinity").at(
        "preferredDuringSchedulingIgnoredDuringExecution");
  };
  const auto anywhere = BuildStatefulSet(input);
  input.avoid_zones = {"z1", "z2"};
  const auto elsewhere = BuildStatefulSet(input);
  ASSERT_TRUE(anywhere.ok() && elsewhere.ok());
  EXPECT_EQ(terms(anywhere).size(), 1u);
  ASSERT_EQ(terms(elsewhere).size(), 2u);
  EXPECT_EQ(terms(elsewhere)[0], terms(anywhere)[0]);
  EXPECT_EQ(terms(elsewhere)[1], *ParseJson(R"({"weight": 100, "preference": {"matchExpressions": [
    {"key": "topology.kubernetes.io/zone", "operator": "NotIn", "values": ["z1", "z2"]}]}})"));
  EXPECT_EQ(TemplateHash(*elsewhere), TemplateHash(*anywhere));
  EXPECT_NE(AppliedHash(*elsewhere), AppliedHash(*anywhere));
  input.multi_az = api::MultiAz::kDisabled;
  const auto disabled = BuildStatefulSet(input);
  ASSERT_TRUE(disabled.ok());
  EXPECT_EQ(terms(disabled).size(), 1u);
}

TEST(Manifests, ATemplateKnowsTheOneOfTheNodeWithoutItsGroupsSettings) {
  const api::CacheNode node = Node(R"({"node": {"parameters": {"hz": 20}}})");
  NodeInput input;
  input.node = &node;
  input.settings = node.spec.node;
  input.image = input.image_alone = "understudy:1";
  const auto alone = BuildStatefulSet(input);
  input.group = "examplereplication";
  input.image = "understudy:2";
  input.settings.parameters["maxclients"] = "100";
  const auto member = BuildStatefulSet(input);
  ASSERT_TRUE(alone.ok() && member.ok());
  const Json& annotations = member->at("spec").at("template").at("metadata").at("annotations");
  EXPECT_NE(TemplateHash(*member), TemplateHash(*alone));
  EXPECT_EQ(annotations.at(api::kTemplateAloneAnnotation), TemplateHash(*alone));
}

TEST(Manifests, ATemplateSaysWhatItWasMadeFrom) {
  const api::CacheNode node = Node(R"({"node": {"parameters": {"hz": 20, "timeout": "5"},
    "resources": {"limits": {"memory": "1Gi", "cpu": 2}, "requests": {"cpu": 1}}}})");
  const TemplateValues values = ValuesOf(StatefulSet(node, "", api::MultiAz::kDisabled));
  EXPECT_EQ(values.image, "understudy:1");
  EXPECT_EQ(values.parameters, "hz=20 timeout=5");
  EXPECT_EQ(values.resources, "limits cpu=2 memory=1Gi; requests cpu=1");
  const auto of = [](const char* spec) { return ValuesOf(StatefulSet(Node(spec), "", api::MultiAz::kDisabled)); };
  EXPECT_EQ(of("{}").rest, values.rest) << "neither image nor resources nor parameters are in the rest";
  EXPECT_NE(of(R"({"node": {"podLabels": {"a": "b"}}})").rest, values.rest);
  EXPECT_EQ(of(R"({"replicationGroupId": "g"})").rest, of("{}").rest);
  EXPECT_FALSE(ParseTemplateValues("").has_value());
  EXPECT_FALSE(ParseTemplateValues("[1]").has_value());
}

TEST(Manifests, AValueReachesTheProcessAsItStands) {
  const Json set = StatefulSet(Node(R"x({"node": {"parameters": {"a": "$(POD_IP)", "b": "x$$y$"}}})x"), "",
                               api::MultiAz::kDisabled);
  const Json& args = set["spec"]["template"]["spec"]["containers"][0]["args"];
  EXPECT_EQ(args[args.size() - 3], "$$(POD_IP)");
  EXPECT_EQ(args[args.size() - 1], "x$$$$y$$");
  const auto arguments = ArgumentsOf(set);
  ASSERT_GE(arguments.size(), 2u);
  EXPECT_EQ(arguments.front().first, "port");
  EXPECT_EQ(arguments.end()[-2], std::make_pair(std::string("a"), std::string("$(POD_IP)")));
  EXPECT_EQ(arguments.end()[-1], std::make_pair(std::string("b"), std::string("x$$y$")));
}

TEST(Manifests, LongValuesAreCutButStayDifferentAndWhole) {
  const auto of = [](const std::string& value) { return Shortened(value); };
  const std::string begin(500, 'x');
  EXPECT_EQ(of(of(begin)), of(begin)) << "what was cut stays as it is";
  EXPECT_LT(of(begin).size(), 230u);
  EXPECT_NE(of(begin + "a"), of(begin + "b"));
  EXPECT_EQ(of(begin), of(begin));
  // Never inside a character: the text goes into JSON.
  for (int shift = 0; shift < 4; ++shift) {
    std::string wide(static_cast<size_t>(shift), 'x');
    for (int i = 0; i < 100; ++i) wide += "\xE2\x82\xAC";
    EXPECT_FALSE(of(wide).empty()) << shift;
    EXPECT_TRUE(ParseJson(Json(of(wide)).dump()).ok()) << shift;
  }
}

TEST(Manifests, MaxmemoryIsThreeQuartersOfTheLimitUnlessTheUserNamesIt) {
  using ::testing::Contains;
  using ::testing::Not;
  const auto args = [](const char* spec) {
    return Container(StatefulSet(Node(spec), "", api::MultiAz::kDisabled)).at("args").get<std::vector<std::string>>();
  };
  EXPECT_THAT(args(R"({"node": {"resources": {"limits": {"memory": "1Gi"}}}})"), Contains("805306368"));
  EXPECT_THAT(args(R"({"node": {"resources": {"requests": {"memory": "1Gi"}}}})"), Not(Contains("--maxmemory")));
  EXPECT_THAT(args(R"({"node": {"resources": {"limits": {"memory": "1Gi"}}, "parameters": {"maxmemory": "1mb"}}})"),
              testing::AllOf(Contains("1mb"), Not(Contains("805306368"))));
  EXPECT_THAT(args(R"({"node": {"resources": {"limits": {"cpu": "1500m"}}}})"), Contains("--workers"));
}

TEST(Manifests, NoChildHasAnOwnerReferenceButTheSlice) {
  const api::CacheNode node = Node("{}");
  const SliceTarget target{"10.1.2.3", "", "", "exampleredis-0", "pod-uid"};
  for (const Json& object : {StatefulSet(node, "g", api::MultiAz::kPreferred), BuildNodeService(node),
                             BuildHeadlessService(node), BuildPrimaryService(Group()), BuildReaderService(Group(), 30),
                             BuildDisruptionBudget(Group(), 1)}) {
    EXPECT_FALSE(object.at("metadata").contains("ownerReferences")) << object.at("kind");
    EXPECT_NE(object.at("metadata").at("annotations").at(api::kOwnerUidAnnotation), "");
  }
  EXPECT_TRUE(BuildPrimarySlice(Group(), "s", "IPv4", target).at("metadata").contains("ownerReferences"));
}

TEST(Manifests, TheReaderPrefersItsZoneInTheWordsOfTheServer) {
  EXPECT_EQ(BuildReaderService(Group(), 34).at("spec").at("trafficDistribution"), "PreferSameZone");
  EXPECT_EQ(BuildReaderService(Group(), 33).at("spec").at("trafficDistribution"), "PreferClose");
  EXPECT_FALSE(BuildPrimaryService(Group()).at("spec").contains("selector"));
  EXPECT_FALSE(BuildPrimaryService(Group()).at("spec").contains("trafficDistribution"));
}

TEST(Manifests, SettingsThatNoPodCouldHaveAreRefused) {
  const api::CacheNode node = Node(R"({"node": {"resources": {"limits": {"memory": "many"}}}})");
  NodeInput input;
  input.node = &node;
  input.settings = node.spec.node;
  EXPECT_EQ(BuildStatefulSet(input).status().code(), Code::kInvalid);
}

}  // namespace
}  // namespace understudy::manifests
