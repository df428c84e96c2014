// What of a declaration a running node puts in force, and what it leaves open.
#include "node/config/declaration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace understudy::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using control::OpenParameter;

struct Node {
  explicit Node(std::vector<std::string> arguments) {
    EXPECT_TRUE(config.Load(arguments).ok());
    declaration.emplace(config, arguments);
    config.OnChange([this] { ++changes; });
  }
  void Take(std::vector<control::Parameter> values, std::vector<std::string> hold = {}) {
    const control::Parameters declared{"inc", std::move(values), std::move(hold)};
    declaration->Take(declared);
    EXPECT_EQ(declaration->state().taken, control::ParametersHash(declared));
  }
  const std::vector<OpenParameter>& open() const { return declaration->state().open; }
  Config config;
  std::optional<Declaration> declaration;
  int changes = 0;
};

TEST(Declaration, AtFirstItIsTheArguments) {
  Node node({"--port", "7000", "--slowlog-max-len", "64"});
  EXPECT_EQ(node.declaration->state().taken,
            control::ParametersHash({"", {{"slowlog-max-len", "64"}, {"port", "7000"}}, {}}));
  node.Take({{"port", "7000"}, {"slowlog-max-len", "64"}});
  EXPECT_THAT(node.open(), IsEmpty());
  EXPECT_EQ(node.changes, 0);
}

TEST(Declaration, PutsInForceWhatConfigSetCouldAlsoWhatOnlyTheOperatorMayAndLeavesTheRestOpen) {
  Node node({"--port", "7000", "--tcp-backlog", "100"});
  node.Take({{"port", "7000"}, {"tcp-backlog", "200"}, {"slowlog-max-len", "5"}, {"maxmemory", "1mb"}});
  EXPECT_EQ(node.config.slowlog_entries, 5);
  EXPECT_EQ(node.config.max_memory_bytes, 1 << 20);
  EXPECT_EQ(node.config.tcp_backlog, 100);
  EXPECT_THAT(node.open(), ElementsAre(OpenParameter{"tcp-backlog", "100", ""}));
  node.Take({{"port", "7000"}, {"tcp-backlog", "100"}});
  EXPECT_THAT(node.open(), IsEmpty());
  EXPECT_EQ(node.config.slowlog_entries, 128) << "declared no more: its default";
  EXPECT_EQ(node.config.max_memory_bytes, 0);
}

TEST(Declaration, WhatIsHeldWaitsForANewProcess) {
  Node node({"--maxmemory", "1mb"});
  node.Take({{"maxmemory", "2mb"}}, {"maxmemory"});
  EXPECT_EQ(node.config.max_memory_bytes, 1 << 20);
  EXPECT_THAT(node.open(), ElementsAre(OpenParameter{"maxmemory", "1mb", ""}));
  node.Take({{"maxmemory", "2mb"}});
  EXPECT_EQ(node.config.max_memory_bytes, 2 << 20);
}

TEST(Declaration, AWrongValueIsRefusedAndTheOthersAreTaken) {
  Node node(std::vector<std::string>{});
  node.Take({{"slowlog-max-len", "-1"}, {"nonsense", "1"}, {"tcp-backlog", "x"}, {"timeout", "9"}});
  EXPECT_EQ(node.config.timeout_s, 9);
  EXPECT_EQ(node.config.slowlog_entries, 128);
  ASSERT_EQ(node.open().size(), 3u);
  EXPECT_THAT(node.open()[0].reason, HasSubstr("'nonsense' is not an option"));
  EXPECT_EQ(node.open()[1], (OpenParameter{"slowlog-max-len", "", "argument must be between 0 and 2147483647 inclusive"}));
  EXPECT_EQ(node.open()[2], (OpenParameter{"tcp-backlog", "", "argument couldn't be parsed into an integer"}));
}

TEST(Declaration, WhatAClientHasSetHoldsUntilTheDeclarationOfThatOptionChanges) {
  Node node({"--timeout", "5"});
  const std::pair<std::string_view, std::string_view> change[] = {{"timeout", "77"}};
  ASSERT_TRUE(node.config.Set(change, {.managed = true}).ok());
  node.Take({{"timeout", "5"}, {"slowlog-max-len", "5"}});
  EXPECT_EQ(node.config.timeout_s, 77);
  node.Take({{"timeout", "6"}});
  EXPECT_EQ(node.config.timeout_s, 6);
}

TEST(Declaration, ComparesMeaningsAndKnowsAliases) {
  Node node({"--maxmemory", "1mb", "--tcp-backlog", "100", "--repl-ping-slave-period", "3"});
  node.Take({{"maxmemory", "1048576"}, {"tcp-backlog", "0100"}, {"repl-ping-replica-period", "3"}});
  EXPECT_THAT(node.open(), IsEmpty());
  EXPECT_EQ(node.changes, 0);
}

TEST(Declaration, AValueOfSeveralWordsIsOneArgument) {
  Node node({"--client-output-buffer-limit", "normal 1mb 1mb 5"});
  EXPECT_EQ(node.config.normal_limit().hard_bytes, 1 << 20);
  node.Take({{"client-output-buffer-limit", "normal 2mb 1mb 5"}});
  EXPECT_EQ(node.config.normal_limit().hard_bytes, 2 << 20);
  EXPECT_EQ(node.config.replica_limit().hard_bytes, 256 << 20);
  node.Take({});
  EXPECT_EQ(node.config.normal_limit().hard_bytes, 0);
}

TEST(Declaration, AllWordsThatAreAllowedAreTold) {
  Node node(std::vector<std::string>{});
  node.Take({{"maxmemory-policy", "none"}});
  ASSERT_EQ(node.open().size(), 1u);
  EXPECT_THAT(node.open()[0].reason, HasSubstr("volatile-lru"));
  EXPECT_THAT(node.open()[0].reason, HasSubstr("noeviction"));
}

TEST(Declaration, TellsNoSecretsAndBoundsWhatItTells) {
  Node node({"--masterauth", "secret", "--dir", std::string(500, 'x')});
  node.Take({{"dir", "y"}, {"masterauth", "other"}}, {"masterauth"});
  ASSERT_EQ(node.open().size(), 2u);
  EXPECT_EQ(node.open()[0].in_force, std::string(100, 'x') + "...");
  EXPECT_EQ(node.open()[1].in_force, "(secret)");
}

}  // namespace
}  // namespace understudy::config
