// The table and the rules of users against what a real server says: tests/golden/commands holds its answers.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "node/command/acl.h"
#include "node/server.h"
#include "tests/support/resp_client.h"

namespace understudy::command {
namespace {

std::vector<std::string> LinesOf(const std::string& name) {
  std::ifstream in("tests/golden/commands/" + name);
  EXPECT_TRUE(in.good()) << name;
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with('#')) lines.push_back(line);
  }
  return lines;
}

std::string AccessText(KeyAccess access) {
  switch (access) {
    case KeyAccess::kNone:
      return "";
    case KeyAccess::kRead:
      return "RO+access";
    case KeyAccess::kReadWrite:
      return "RW+access+update";
    case KeyAccess::kOverwrite:
      return "OW+update";
    case KeyAccess::kRemove:
      return "RM+delete";
    case KeyAccess::kInsert:
      return "RW+insert";
    case KeyAccess::kLook:
      return "RO";
    case KeyAccess::kReadCached:
      return "RW+access";
    case KeyAccess::kUpdate:
      return "RW+update";
    case KeyAccess::kCreate:
      return "OW+insert";
    case KeyAccess::kTake:
      return "RW+access+delete";
    case KeyAccess::kDelete:
      return "RW+delete";
    case KeyAccess::kMerge:
      return "RW+access+insert";
  }
  return "?";
}

// As a line of redis-7.0.txt.
std::string Described(const Table& table, uint32_t index) {
  const Row& row = table.At(index);
  std::string out = table.FullName(index) + ":";
  for (size_t i = 0; i < acl::CategoryNames().size(); ++i) {
    if (CategoriesOf(row) >> i & 1) out += " @" + std::string(acl::CategoryNames()[i]);
  }
  if (row.access == KeyAccess::kNone) return out;
  out += " ; " + AccessText(row.access) + (row.keys.vary != nullptr ? "+variable_flags" : "");
  if (row.keys.others != KeyAccess::kNone) out += " , " + AccessText(row.keys.others);
  return out;
}

// In one line of theirs several specifications may say the same; ours has the first and what differs from it.
std::string Shortened(const std::string& line) {
  const size_t at = line.find(" ; ");
  if (at == std::string::npos) return line;
  std::vector<std::string> specs;
  std::string rest = line.substr(at + 3);
  for (size_t comma; (comma = rest.find(" , ")) != std::string::npos; rest.erase(0, comma + 3))
    specs.push_back(rest.substr(0, comma));
  specs.push_back(rest);
  std::string out = line.substr(0, at) + " ; " + specs[0];
  for (size_t i = 1; i < specs.size(); ++i) {
    if (specs[i] != specs[0] && specs[i] != specs[i - 1]) out += " , " + specs[i];
  }
  return out;
}

TEST(AclTable, CategoriesAndKeysAreThoseOfRedis) {
  const Table table = BuildCommandTable();
  std::map<std::string, std::string> theirs;
  for (const std::string& line : LinesOf("redis-7.0.txt")) theirs[line.substr(0, line.find(':'))] = line;
  int compared = 0;
  for (uint32_t i = 0; i < table.size(); ++i) {
    const auto found = theirs.find(table.FullName(i));
    if (found == theirs.end()) continue;   // newer than that server, or a row of our own
    if (found->first == "wait") continue;  // @blocking since Redis 7.2
    EXPECT_EQ(Described(table, i), Shortened(found->second));
    ++compared;
  }
  EXPECT_GT(compared, 100);
}

// "allowed", "command", or "key NAME".
std::string Outcome(const acl::User& user, const Table& table, const std::string& command) {
  const std::vector<std::string> words = test::SplitWords(command);
  const std::vector<std::string_view> args(words.begin(), words.end());
  const Row* row = table.Find(args[0]);
  if (row != nullptr && !row->subcommands.empty() && args.size() > 1) row = FindSubcommand(*row, args);
  if (row == nullptr) return "no such command";
  const acl::Verdict verdict = CheckPermission(user, *row, args, {0, 16});
  if (row->ordinary && HasOneKey(*row, args.size())) {
    EXPECT_EQ(MayRunOrdinary(user, *row, args, 0), verdict.allowed()) << command << ": the short way differs";
  }
  if (verdict.allowed()) return "allowed";
  if (verdict.denial == acl::Denial::kCommand) return "command";
  return "key " + std::string(args[verdict.argument]);
}

TEST(AclTable, PermissionsAreThoseOfRedis) {
  const Table table = BuildCommandTable();
  const acl::CommandList commands = ListCommands(table);
  acl::User user("u", {commands});
  std::string rules;
  int compared = 0;
  for (const std::string& line : LinesOf("acl-dryrun-redis-7.0.txt")) {
    if (!line.starts_with("  ")) {
      rules = line;
      const std::vector<std::string> words = test::SplitWords(line);
      const std::vector<std::string_view> views(words.begin(), words.end());
      user = acl::User("u", {commands});
      const Status status = user.ApplyAll({commands}, views);
      ASSERT_TRUE(status.ok()) << rules << ": " << status.ToString();
      continue;
    }
    const size_t equals = line.find(" = ");
    EXPECT_EQ(Outcome(user, table, line.substr(2, equals - 2)), line.substr(equals + 3)) << rules << ": " << line;
    ++compared;
  }
  EXPECT_GT(compared, 1000);
}

TEST(AclTable, ChannelsAreThoseThatTheRowNames) {
  Row rows[] = {
      {"publish", 3, kPubsub | kFast, {}, KeyAccess::kNone, "", "", "", "", "", nullptr, {}, Channels::kFirst},
      {"subscribe", -2, kPubsub, {}, KeyAccess::kNone, "", "", "", "", "", nullptr, {}, Channels::kAll},
      {"psubscribe", -2, kPubsub, {}, KeyAccess::kNone, "", "", "", "", "", nullptr, {}, Channels::kAllPatterns},
      {"unsubscribe", -1, kPubsub, {}, KeyAccess::kNone, "", "", "", "", "", nullptr},
  };
  const std::span<const Row> families[] = {rows};
  const Table table(families);
  const acl::CommandList commands = ListCommands(table);
  acl::User user("u", {commands});
  for (const std::string_view rule : {"+@pubsub", "&news*"}) ASSERT_TRUE(user.Apply({commands}, rule).ok());
  const auto check = [&](std::vector<std::string_view> args) {
    const acl::Verdict verdict = CheckPermission(user, *table.Find(args[0]), args, {0, 16});
    return verdict.allowed() ? "allowed" : DenialText(verdict, user, args[0], args, true);
  };
  const std::string other = "User u has no permissions to access the 'other' channel";
  EXPECT_EQ(check({"publish", "news1", "other"}), "allowed");
  EXPECT_EQ(check({"publish", "other", "news1"}), other);
  EXPECT_EQ(check({"subscribe", "news1", "news2"}), "allowed");
  EXPECT_EQ(check({"subscribe", "news1", "other"}), other);
  EXPECT_EQ(check({"psubscribe", "news*"}), "allowed");
  EXPECT_EQ(check({"psubscribe", "news1"}), "User u has no permissions to access the 'news1' channel");
  EXPECT_EQ(check({"unsubscribe", "other"}), "allowed") << "whoever may not listen may still stop to";
}

}  // namespace
}  // namespace understudy::command
