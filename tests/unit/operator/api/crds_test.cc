// The custom resource definitions: parts that must be the same are the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "operator/api/cache_node.h"

namespace understudy::api {
namespace {

std::string Read(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.good()) << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The `properties` of spec.node: from its line to the next one of the same or a smaller indentation.
std::string NodeProperties(const std::string& crd) {
  const std::string head = "\n              node:\n";
  const size_t begin = crd.find(head);
  EXPECT_NE(begin, std::string::npos);
  const size_t properties = crd.find("\n                properties:\n", begin);
  EXPECT_NE(properties, std::string::npos);
  std::istringstream lines(crd.substr(properties + 1));
  std::string line, block;
  std::getline(lines, line);  // `properties:` itself
  while (std::getline(lines, line) && line.starts_with("                  ")) block += line + "\n";
  return block;
}

TEST(Crds, TheNodeSettingsAreOneSchemaInAllThreeKinds) {
  const std::string group = NodeProperties(Read("crds/replicationgroup.yaml"));
  EXPECT_GT(group.size(), 2000u);
  EXPECT_EQ(NodeProperties(Read("crds/cachecluster.yaml")), group);
  EXPECT_EQ(NodeProperties(Read("crds/readreplica.yaml")), group);
}

TEST(Crds, NoQuantityMayBeBelowZero) {
  const std::string crd = Read("crds/cachecluster.yaml");
  int rules = 0;
  for (size_t at = crd.find("- rule: isQuantity"); at != std::string::npos; at = crd.find("- rule: isQuantity", at + 1)) {
    EXPECT_THAT(crd.substr(at, crd.find('\n', at) - at), ::testing::HasSubstr("&& !string(self).startsWith('-')"));
    ++rules;
  }
  EXPECT_EQ(rules, 2);
}

TEST(Crds, TheChartHasTheSameOnes) {
  for (const char* kind : {"cachecluster", "readreplica", "replicationgroup"}) {
    const std::string name = std::string(kind) + ".yaml";
    EXPECT_EQ(Read("charts/understudy/templates/crds/" + name), Read("crds/" + name))
        << "run deploy/install/generate";
  }
}

// The API server alone tries the rule itself (tests/cluster/test_demote.py): a member may lose replicationGroupId
// only to promotedFrom, and an independent node that no group has taken in yet may take its wish back.
TEST(Crds, OnlyANodeThatIsIndependentByItsStatusMayLoseItsGroupWithoutPromotedFrom) {
  for (const char* kind : {"cachecluster", "readreplica"}) {
    std::string crd = Read("crds/" + std::string(kind) + ".yaml");
    const char* head = "\n        x-kubernetes-validations:\n";
    const size_t root = crd.find(head);
    ASSERT_NE(root, std::string::npos) << "it stands at the root, where status can be seen";
    EXPECT_EQ(crd.find(head, root + 1), std::string::npos) << "of two lists one would be lost";
    const size_t begin = crd.find("!has(oldSelf.spec.replicationGroupId)", root);
    ASSERT_NE(begin, std::string::npos);
    const std::string rule = crd.substr(begin, crd.find("fieldPath:", begin) - begin);
    for (const char* part : {"has(self.spec.replicationGroupId)", "oldSelf.status.replicationGroupId : oldSelf.spec.replicationGroupId)) ||",
                             "oldSelf.status.epoch > 0", "!has(oldSelf.status.groupUid)"}) {
      EXPECT_THAT(rule, ::testing::HasSubstr(part)) << kind;
    }
    EXPECT_EQ(crd.find("!has(oldSelf.replicationGroupId)"), std::string::npos) << "a second rule at spec refuses it again";
  }
}

TEST(Crds, HelmKeepsThemAndTheOperatorKnowsTheirSchema) {
  for (const char* kind : {"cachecluster", "readreplica", "replicationgroup"}) {
    const std::string crd = Read("crds/" + std::string(kind) + ".yaml");
    EXPECT_THAT(crd, ::testing::HasSubstr("helm.sh/resource-policy: keep"));
    EXPECT_THAT(crd, ::testing::HasSubstr("cache.understudy.dev/schema: '5'"));
  }
}

// A status with a field that the schema lacks is refused by the API server as a whole (500).
void ExpectKeys(const Json& value, const std::string& crd, const std::string& where) {
  if (value.is_array()) {
    for (const Json& one : value) ExpectKeys(one, crd, where);
  } else if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      EXPECT_THAT(crd, ::testing::HasSubstr(" " + key + ":\n")) << where << " lacks status field " << key;
      ExpectKeys(member, crd, where);
    }
  }
}

TEST(Crds, HaveEveryFieldOfTheStatuses) {
  for (const auto& [kind, golden] : {std::pair("replicationgroup", "replication_group"), std::pair("cachecluster", "cache_node"),
                                     std::pair("readreplica", "cache_node")}) {
    const auto status = ParseJson(Read("tests/golden/status/" + std::string(golden) + ".json"));
    ASSERT_TRUE(status.ok());
    ASSERT_GT(status->size(), 5u);
    ExpectKeys(*status, Read("crds/" + std::string(kind) + ".yaml"), kind);
  }
}

// The page that people are sent to knows every word that they can meet.
TEST(Conditions, EveryTypeAndReasonIsExplained) {
  const std::string page = Read("docs/conditions.md");
  std::istringstream header(Read("operator/api/conditions.h"));
  int words = 0;
  for (std::string line; std::getline(header, line);) {
    if (!line.starts_with("inline constexpr std::string_view")) continue;
    const size_t begin = line.find('"') + 1;
    const std::string word = line.substr(begin, line.rfind('"') - begin);
    EXPECT_THAT(page, ::testing::HasSubstr(word)) << word;
    ++words;
  }
  EXPECT_GT(words, 40);
}

}  // namespace
}  // namespace understudy::api
