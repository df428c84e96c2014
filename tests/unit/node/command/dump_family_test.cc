#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using namespace std::string_literals;

class DumpTest : public ServerTest {
 protected:
  // DUMP's answer as bytes.
  std::string Dumped(const std::string& key) {
    const std::string reply = c_->Do({"DUMP", key});
    return reply.size() < 2 ? reply : reply.substr(1, reply.size() - 2);
  }
  std::string Restore(const std::string& key, const std::string& ttl, const std::string& payload,
                      std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"RESTORE", key, ttl, payload});
    return c_->Do(options);
  }
};

TEST_F(DumpTest, EveryTypeComesBack) {
  Do("SET s text");
  Do("SET n 10");
  Do("HSET h a 1 b 2");
  Do("CONFIG SET hash-max-listpack-entries 3");
  Do("HSET big a 1 b 2 c 3 d 4");
  for (const std::string key : {"s", "n", "h", "big"}) {
    const std::string payload = Dumped(key), encoding = c_->Do({"OBJECT", "ENCODING", key});
    EXPECT_EQ(Restore("copy", "0", payload, {"REPLACE"}), "+OK");
    EXPECT_EQ(Dumped("copy"), payload);
    EXPECT_EQ(Do("OBJECT ENCODING copy"), encoding);
  }
  EXPECT_EQ(Do("HGET copy d"), "\"4\"");
  EXPECT_EQ(Do("DUMP none"), "nil");
}

// As Redis 7.0 gave them.
TEST_F(DumpTest, PayloadsOfRedisAreUnderstood) {
  const std::pair<std::string, std::string> payloads[] = {
      {"hash",
       "\x10\x16\x16\x00\x00\x00\x04\x00\x81"
       "a\x02\x01\x01\x81"
       "b\x02\x85hello\x06\xff\n\x00\xe8\xc5\xfe\x99\xee\x07\x95]"s},
      {"list",
       "\x12\x01\x02\x0f\x0f\x00\x00\x00\x03\x00\x81"
       "a\x02\x01\x01\x81"
       "b\x02\xff\n\x00\x90"
       "C\xa3L\xeb\x8e\x1b\x1c"s},
      {"set",
       "\x02\x03\xc0\x01\x01"
       "b\x01"
       "a\n\x00"
       "Dg\xf0\xc6\xe2\xd1.["s},
      {"set",
       "\x0b\x14\x04\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00p\x11\x01\x00\n\x00\x85\xd5\xc1\x06[\x1d\xd0U"s},
      {"zset",
       "\x11\x14\x14\x00\x00\x00\x04\x00\x81"
       "a\x02\x83"
       "1.5\x04\x81"
       "b\x02\x02\x01\xff\n\x00\xfa\x02\xb4%\xaf\x18\x87"
       "c"s},
      {"hash",
       "\x04\x02\x01"
       "b\xc0\x02\x01"
       "a\xc0\x01\n\x00"
       "f\x84\xaa\r&\xddJ\xb2"s},
      {"zset",
       "\x05\x02\x01"
       "a\x00\x00\x00\x00\x00\x00\xf8?\x01"
       "b\x00\x00\x00\x00\x00\x00\xf0\xff\n\x00H\x97~3e\x9e"
       "f\x0b"s},
  };
  for (const auto& [type, payload] : payloads) {
    EXPECT_EQ(Restore("k", "0", payload, {"REPLACE"}), "+OK");
    EXPECT_EQ(Do("TYPE k"), "+" + type);
  }
  Restore("h", "0", payloads[0].second);
  Expect({{"HGETALL h", "[\"a\", \"1\", \"b\", \"hello\"]"}, {"OBJECT ENCODING h", "\"listpack\""}});
}

TEST_F(DumpTest, TimesToLive) {
  Do("SET s text");
  const std::string payload = Dumped("s");
  EXPECT_EQ(Restore("k", "100000", payload), "+OK");
  EXPECT_EQ(Do("TTL k"), ":100");
  EXPECT_EQ(Restore("k", "33000000000123", payload, {"replace", "absttl"}), "+OK");
  EXPECT_EQ(Do("PEXPIRETIME k"), ":33000000000123");
  EXPECT_EQ(Restore("k", "0", payload, {"REPLACE"}), "+OK");
  EXPECT_EQ(Do("TTL k"), ":-1");
  EXPECT_EQ(Restore("k", "1", payload, {"REPLACE", "ABSTTL"}), "+OK");  // long ago
  EXPECT_EQ(Do("EXISTS k"), ":0");
  EXPECT_EQ(Restore("k", "9223372036854775807", payload), "+OK");
  EXPECT_EQ(Do("EXISTS k"), ":1");
}

TEST_F(DumpTest, IdleTimeAndFrequency) {
  Do("SET s text");
  const std::string payload = Dumped("s");
  EXPECT_EQ(Restore("k", "0", payload, {"IDLETIME", "1000"}), "+OK");
  EXPECT_EQ(Do("OBJECT IDLETIME k").substr(0, 4), ":100");  // a second may have begun
  Do("CONFIG SET maxmemory-policy allkeys-lfu lfu-decay-time 0");
  EXPECT_EQ(Restore("f", "0", payload, {"FREQ", "100"}), "+OK");
  EXPECT_EQ(Do("OBJECT FREQ f"), ":100");
}

TEST_F(DumpTest, Refusals) {
  Do("SET s text");
  Do("HSET h a 1");
  const std::string payload = Dumped("s");
  const std::string not_integer = "-ERR value is not an integer or out of range", syntax = "-ERR syntax error";
  const std::string wrong = "-ERR DUMP payload version or checksum are wrong";
  EXPECT_EQ(Do("RESTORE k 0"), "-ERR wrong number of arguments for 'restore' command");
  EXPECT_EQ(Restore("k", "x", "v"), not_integer);
  EXPECT_EQ(Restore("k", "-1", "v"), "-ERR Invalid TTL value, must be >= 0");
  EXPECT_EQ(Restore("k", "0", "v"), wrong);
  EXPECT_EQ(Restore("h", "x", "v"), "-BUSYKEY Target key name already exists.");
  EXPECT_EQ(Restore("k", "0", payload, {"IDLETIME", "-1"}), "-ERR Invalid IDLETIME value, must be >= 0");
  EXPECT_EQ(Restore("k", "0", payload, {"FREQ", "256"}), "-ERR Invalid FREQ value, must be >= 0 and <= 255");
  EXPECT_EQ(Restore("k", "0", payload, {"FREQ", "1", "IDLETIME", "1"}), syntax);
  EXPECT_EQ(Restore("k", "0", payload, {"IDLETIME"}), syntax);
  EXPECT_EQ(Restore("k", "0", payload, {"OOPS"}), syntax);
  EXPECT_EQ(Restore("k", "0", payload, {"FREQ", "x"}), not_integer);
  std::string damaged = payload;
  damaged[1] = static_cast<char>(damaged[1] ^ 1);
  EXPECT_EQ(Restore("k", "0", damaged), wrong);
  // A right footer around nonsense.
  EXPECT_EQ(Restore("k", "0", "\x10\x01z\x0b\x00"s + std::string(8, '\0')), "-ERR Bad data format");
  EXPECT_EQ(Restore("s", "0", "\x10\x01z\x0b\x00"s + std::string(8, '\0'), {"REPLACE"}), "-ERR Bad data format");
  Expect({{"EXISTS k", ":0"}, {"GET s", "\"text\""}});
}

TEST_F(DumpTest, ChecksCanBeRelaxed) {
  Do("SET s text");
  const std::string payload = Dumped("s"), wrong = "-ERR DUMP payload version or checksum are wrong";
  std::string unknown = payload;
  unknown[unknown.size() - 10] = '\xde';
  unknown.replace(unknown.size() - 8, 8, 8, '\0');  // no checksum
  EXPECT_EQ(Restore("k", "0", unknown), wrong);
  Expect({{"CONFIG SET rdb-version-check relaxed", "+OK"}});
  EXPECT_EQ(Restore("k", "0", unknown), "+OK");
  Expect({{"GET k", "\"text\""}, {"CONFIG SET rdb-version-check strict", "+OK"}});
  EXPECT_EQ(Restore("k", "0", unknown, {"REPLACE"}), wrong);
  ExpectError({"CONFIG SET rdb-version-check no"},
              "ERR CONFIG SET failed (possibly related to argument 'rdb-version-check') - argument(s) must be one of the "
              "following: strict, relaxed");
  std::string damaged = payload;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  EXPECT_EQ(Restore("k", "0", damaged, {"REPLACE"}), wrong);
  Expect({{"DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", "+OK"}});
  EXPECT_EQ(Restore("k", "0", damaged, {"REPLACE"}), "+OK");
  Expect({{"DEBUG SET-SKIP-CHECKSUM-VALIDATION 0", "+OK"}});
  EXPECT_EQ(Restore("k", "0", damaged, {"REPLACE"}), wrong);
}

TEST_F(DumpTest, DebugObjectTellsItsLength) {
  Expect({{"SET s 10", "+OK"}, {"HSET h a 1 b hello", ":2"}});
  EXPECT_NE(Do("DEBUG OBJECT s").find(" encoding:int serializedlength:2 "), std::string::npos);
  EXPECT_NE(Do("DEBUG OBJECT h").find(" encoding:listpack serializedlength:23 "), std::string::npos);
}

}  // namespace
}  // namespace understudy::command
