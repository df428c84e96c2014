#include "node/acl/denial_log.h"

#include <gtest/gtest.h>

namespace understudy::acl {
namespace {

DenialLog::Entry Refused(std::string object, std::string user = "bob", std::string_view reason = "command") {
  DenialLog::Entry entry;
  entry.reason = reason;
  entry.context = "toplevel";
  entry.object = std::move(object);
  entry.user = std::move(user);
  entry.client = "id=1";
  return entry;
}

TEST(DenialLog, NewestFirstAndNoMoreThanAskedFor) {
  DenialLog log;
  for (int i = 0; i < 5; ++i) log.Add(Refused(std::to_string(i)), 1000 + i, 3);
  ASSERT_EQ(log.entries().size(), 3u);
  EXPECT_EQ(log.entries()[0].object, "4");
  EXPECT_EQ(log.entries()[0].id, 4u);
  EXPECT_EQ(log.entries()[2].object, "2");
  log.Add(Refused("5"), 2000, 0);
  EXPECT_TRUE(log.entries().empty()) << "acllog-max-len 0 keeps nothing";
}

TEST(DenialLog, TheSameWithinAMinuteCountsUpAndComesToTheFront) {
  DenialLog log;
  log.Add(Refused("get"), 1000, 10);
  log.Add(Refused("set"), 2000, 10);
  DenialLog::Entry again = Refused("get");
  again.client = "id=2";
  log.Add(again, 61'000, 10);
  ASSERT_EQ(log.entries().size(), 2u);
  const DenialLog::Entry& first = log.entries()[0];
  EXPECT_EQ(first.object, "get");
  EXPECT_EQ(first.count, 2u);
  EXPECT_EQ(first.id, 0u);
  EXPECT_EQ(first.client, "id=2");
  EXPECT_EQ(first.created_ms, 1000);
  EXPECT_EQ(first.updated_ms, 61'000);
  log.Add(Refused("set"), 62'001, 10);
  EXPECT_EQ(log.entries().size(), 3u) << "over a minute later it is another";
}

TEST(DenialLog, WhatDiffersIsAnotherEntry) {
  DenialLog log;
  log.Add(Refused("get"), 1, 100);
  log.Add(Refused("get", "alice"), 1, 100);
  log.Add(Refused("get", "bob", "key"), 1, 100);
  DenialLog::Entry in_transaction = Refused("get");
  in_transaction.context = "multi";
  log.Add(in_transaction, 1, 100);
  EXPECT_EQ(log.entries().size(), 4u);
  for (int i = 0; i < 10; ++i) log.Add(Refused("x" + std::to_string(i)), 1, 100);
  log.Add(Refused("get"), 1, 100);
  EXPECT_EQ(log.entries().size(), 15u) << "only the ten newest are compared";
  log.Clear();
  EXPECT_TRUE(log.entries().empty());
}

}  // namespace
}  // namespace understudy::acl
