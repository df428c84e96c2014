#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

class HyperLogLogTest : public ServerTest {
 protected:
  void AddMany(const std::string& key, int from, int to) {
    for (int i = from; i < to; i += 500) {
      std::vector<std::string> words = {"PFADD", key};
      for (int k = i; k < std::min(i + 500, to); ++k) words.push_back("e" + std::to_string(k));
      ASSERT_EQ(c_->Do(words).front(), ':');
    }
  }
};

const std::string kNone = "WRONGTYPE Key is not a valid HyperLogLog string value.";
const std::string kCorrupt = "INVALIDOBJ Corrupted HLL object detected";
// Sixteen bytes of header, out of date, and no runs.
const std::string kBad = "\"HYLL\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x80\"";

TEST_F(HyperLogLogTest, ElementsAreCounted) {
  Expect({{"PFCOUNT k", ":0"},        {"PFADD k a b c", ":1"}, {"PFADD k a b c", ":0"}, {"PFCOUNT k", ":3"},
          {"PFCOUNT k", ":3"},        {"PFADD k", ":0"},       {"PFADD n", ":1"},       {"PFADD n", ":0"},
          {"PFCOUNT n", ":0"},        {"STRLEN n", ":18"},     {"TYPE k", "+string"},   {"PFCOUNT k n none", ":3"},
          {"PFADD n d", ":1"},        {"PFCOUNT k n", ":4"},   {"EXPIRE k 100", ":1"},  {"PFADD k d", ":1"},
          {"TTL k", ":100"},          {"PFCOUNT k", ":4"},     {"TTL k", ":100"}});
}

TEST_F(HyperLogLogTest, EstimatesAreThoseOfRedis) {
  AddMany("k", 0, 1000);
  Expect({{"PFCOUNT k", ":1008"}, {"PFDEBUG ENCODING k", "+sparse"}, {"STRLEN k", ":1906"}});
  AddMany("k", 1000, 10'000);
  Expect({{"PFCOUNT k", ":9973"}, {"PFDEBUG ENCODING k", "+dense"}, {"STRLEN k", ":12304"}});
  // A dense one is changed where it is; what changes nothing leaves the estimate.
  AddMany("k", 0, 10'000);
  Expect({{"PFADD k e1 e2", ":0"}, {"PFCOUNT k", ":9973"}});
  AddMany("k", 10'000, 100'000);
  Expect({{"PFCOUNT k", ":100853"}});
}

TEST_F(HyperLogLogTest, Merging) {
  AddMany("a", 0, 300);
  AddMany("b", 200, 600);
  AddMany("both", 0, 600);
  const std::string estimate = Do("PFCOUNT both");
  Expect({{"PFMERGE m a b none", "+OK"}, {"PFCOUNT m", estimate}, {"PFDEBUG ENCODING m", "+sparse"},
          {"PFMERGE a b", "+OK"}, {"PFCOUNT a", estimate}, {"PFMERGE fresh", "+OK"}, {"PFCOUNT fresh", ":0"},
          {"PFDEBUG TODENSE b", ":1"}, {"PFMERGE c b", "+OK"}, {"PFDEBUG ENCODING c", "+dense"}});
}

TEST_F(HyperLogLogTest, TheOptionBoundsTheSparseForm) {
  Expect({{"CONFIG GET hll-sparse-max-bytes", "[\"hll-sparse-max-bytes\", \"3000\"]"},
          {"CONFIG SET hll-sparse-max-bytes 30", "+OK"},
          {"PFADD k a b", ":1"}, {"PFDEBUG ENCODING k", "+sparse"},
          {"PFADD k c d e", ":1"}, {"PFDEBUG ENCODING k", "+dense"}, {"PFCOUNT k", ":5"}});
}

TEST_F(HyperLogLogTest, Debugging) {
  Expect({{"PFADD k a b c", ":1"},
          {"PFDEBUG DECODE k", "\"Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603\""},
          {"PFDEBUG TODENSE k", ":1"},
          {"PFDEBUG TODENSE k", ":0"},
          {"PFCOUNT k", ":3"},
          {"PFSELFTEST", "+OK"}});
  ExpectError({"PFDEBUG DECODE k"}, "ERR HLL encoding is not sparse");
  Expect({{"PFDEBUG SIMD off", "+OK"}, {"PFDEBUG SIMD ON", "+OK"}});
  ExpectError({"PFDEBUG SIMD k"}, "ERR Argument must be ON or OFF");
  ExpectError({"PFDEBUG FOO k"}, "ERR Unknown PFDEBUG subcommand 'FOO'");
  ExpectError({"PFDEBUG GETREG none"}, "ERR The specified key does not exist");
  Expect({{"PFADD g a", ":1"}});
  const std::string registers = Do("PFDEBUG GETREG g");
  EXPECT_EQ(std::count(registers.begin(), registers.end(), ':'), 16384);
  EXPECT_EQ(Do("PFDEBUG ENCODING g"), "+dense");
}

TEST_F(HyperLogLogTest, WhatIsNoneIsRefused) {
  Expect({{"SET k abc", "+OK"}, {"PFADD good a", ":1"}});
  ExpectError({"PFADD k a", "PFCOUNT k", "PFCOUNT good k", "PFMERGE k good", "PFMERGE m k", "PFDEBUG DECODE k"}, kNone);
  Expect({{"SET k " + kBad, "+OK"}, {"PFDEBUG DECODE k", "\"\""}});
  ExpectError({"PFADD k a", "PFCOUNT k", "PFCOUNT good k", "PFMERGE m k", "PFMERGE k good", "PFDEBUG GETREG k", "PFDEBUG TODENSE k"},
              kCorrupt);
  Expect({{"EXISTS m", ":0"}, {"STRLEN k", ":16"}});
}

TEST_F(HyperLogLogTest, ReplicasHoldTheSameBytes) {
  const auto primary_config = std::move(config_);
  const auto primary = std::move(server_);
  const auto at_primary = std::move(c_);
  StartServer({"--replicaof", "127.0.0.1", std::to_string(primary->port())});
  c_ = Connect();
  ASSERT_TRUE(Eventually([&] { return Do("INFO replication").find("master_link_status:up") != std::string::npos; }));
  EXPECT_EQ(at_primary->Do("PFADD k a b c"), ":1");
  EXPECT_TRUE(Eventually([&] { return Do("GET k") == at_primary->Do("GET k"); }));
  // Asked first, the replica answers without keeping its estimate: its bytes stay the primary's.
  Expect({{"PFCOUNT k", ":3"}});
  EXPECT_EQ(Do("GET k"), at_primary->Do("GET k"));
  const std::string before = Do("GET k");
  EXPECT_EQ(at_primary->Do("PFCOUNT k"), ":3");
  EXPECT_NE(at_primary->Do("GET k"), before);
  EXPECT_TRUE(Eventually([&] { return Do("GET k") == at_primary->Do("GET k"); }));
  // PFCOUNT inside a transaction, too.
  EXPECT_EQ(at_primary->Do("PFADD k d"), ":1");
  EXPECT_EQ(at_primary->Do("MULTI"), "+OK");
  EXPECT_EQ(at_primary->Do("PFCOUNT k"), "+QUEUED");
  EXPECT_EQ(at_primary->Do("BITFIELD f SET u8 0 7"), "+QUEUED");
  EXPECT_EQ(at_primary->Do("BITOP NOT g f"), "+QUEUED");
  EXPECT_EQ(at_primary->Do("EXEC"), "[:4, [:0], :1]");
  EXPECT_TRUE(Eventually([&] { return Do("GET g") == "\"\xf8\""; }));
  EXPECT_EQ(Do("GET k"), at_primary->Do("GET k"));
  server_.reset();
}

}  // namespace
}  // namespace understudy::command
