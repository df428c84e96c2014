// Keys that hold a collection, under every command that is not of its type.
#include <gmock/gmock.h>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using namespace std::string_literals;

const std::string kWrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value";

struct Value {
  std::string type, encoding, payload;  // of RESTORE
};

// Small and large forms. There are no commands yet that make the other types.
const std::string kFooter = "\x0b\x00"s + std::string(8, '\0');  // no checksum
const Value kValues[] = {
    {"hash", "listpack", "\x10\x0d\x0d\x00\x00\x00\x02\x00\x81"s + "a\x02\x81"s + "b\x02\xff"s + kFooter},
    {"hash", "hashtable", "\x04\x02\x01"s + "a\x01"s + "b\x01"s + "c\x80\x00\x00\x00\x64"s + std::string(100, 'x') + kFooter},
    {"list", "listpack", "\x12\x01\x02\x0d\x0d\x00\x00\x00\x02\x00\x81"s + "a\x02\x81"s + "b\x02\xff"s + kFooter},
    {"list", "quicklist", "\x12\x02\x01\x01"s + "a\x01\x01"s + "b"s + kFooter},
    {"set", "intset", "\x0b\x0a\x02\x00\x00\x00\x01\x00\x00\x00\x07\x00"s + kFooter},
    {"set", "listpack", "\x14\x0d\x0d\x00\x00\x00\x02\x00\x81"s + "a\x02\x81"s + "b\x02\xff"s + kFooter},
    {"set", "hashtable", "\x02\x02\x01"s + "a\x80\x00\x00\x00\x64"s + std::string(100, 'x') + kFooter},
    {"zset", "listpack", "\x11\x0c\x0c\x00\x00\x00\x02\x00\x81"s + "a\x02\x07\x01\xff"s + kFooter},
    {"zset", "skiplist",
     "\x05\x02\x01"s + "a\x00\x00\x00\x00\x00\x00\xf0\x3f\x80\x00\x00\x00\x64"s + std::string(100, 'x') +
         "\x00\x00\x00\x00\x00\x00\xf0\x3f"s + kFooter},
    {"stream", "stream",
     "\x15\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x1d\x1d\x00\x00\x00\x0a\x00"s +
         "\x01\x01\x00\x01\x01\x01\x81"s + "a\x02\x00\x01\x02\x01\x00\x01\x00\x01\x81"s + "b\x02\x04\x01\xff"s +
         "\x01\x01\x01\x01\x01\x00\x00\x01\x00"s + kFooter},
};

class WrongTypeTest : public ServerTest {
 protected:
  void Make(const Value& value, const std::string& key = "c") {
    ASSERT_EQ(c_->Do({"RESTORE", key, "0", value.payload, "REPLACE"}), "+OK") << value.type << " " << value.encoding;
    ASSERT_EQ(Do("TYPE " + key), "+" + value.type);
    ASSERT_EQ(Do("OBJECT ENCODING " + key), "\"" + value.encoding + "\"");
  }
  std::string Dumped(const std::string& key) { return Do("DUMP " + key); }
};

// Key c holds the collection, s a string that is no number, p a HyperLogLog; others do not exist.
struct Case {
  std::string command, reply;
};
const Case kCases[] = {
    // Strings.
    {"GET c", kWrongType},
    {"SET c v GET", kWrongType},
    {"SET c v NX GET", kWrongType},
    {"SET c v NX", "nil"},
    {"SETNX c v", ":0"},
    {"MSETNX none v c v", ":0"},
    {"GETSET c v", kWrongType},
    {"GETDEL c", kWrongType},
    {"GETEX c", kWrongType},
    {"GETEX c EX 0", kWrongType},
    {"GETEX c EX 100", kWrongType},
    {"GETEX c PERSIST", kWrongType},
    {"MGET c s none", "[nil, \"text\", nil]"},
    {"LCS c s", "-ERR The specified keys must contain string values"},
    {"LCS s c LEN", "-ERR The specified keys must contain string values"},
    {"LCS c none oops", "-ERR The specified keys must contain string values"},
    {"INCR c", kWrongType},
    {"DECR c", kWrongType},
    {"INCRBY c 1", kWrongType},
    {"DECRBY c 1", kWrongType},
    {"INCRBYFLOAT c 1", kWrongType},
    {"INCRBYFLOAT c x", kWrongType},
    {"APPEND c v", kWrongType},
    {"STRLEN c", kWrongType},
    {"SETRANGE c 0 v", kWrongType},
    {"SETRANGE c 0 ''", kWrongType},
    {"GETRANGE c 0 -1", kWrongType},
    {"SUBSTR c 0 -1", kWrongType},
    // Bits.
    {"GETBIT c 0", kWrongType},
    {"SETBIT c 0 1", kWrongType},
    {"SETBIT c 100000 0", kWrongType},
    {"BITCOUNT c", kWrongType},
    {"BITCOUNT c 0 -1 BIT", kWrongType},
    {"BITPOS c 1", kWrongType},
    {"BITPOS c 0 0 -1 BIT", kWrongType},
    {"BITOP NOT none c", kWrongType},
    {"BITOP AND none s c", kWrongType},
    {"BITOP OR c c s", kWrongType},
    {"BITFIELD c GET u8 0", kWrongType},
    {"BITFIELD c SET u8 0 1", kWrongType},
    {"BITFIELD c INCRBY u8 100 1", kWrongType},
    {"BITFIELD c", kWrongType},
    {"BITFIELD_RO c GET u8 0", kWrongType},
    // HyperLogLogs.
    {"PFADD c", kWrongType},
    {"PFADD c a", kWrongType},
    {"PFCOUNT c", kWrongType},
    {"PFCOUNT p c", kWrongType},
    {"PFMERGE c", kWrongType},
    {"PFMERGE c p", kWrongType},
    {"PFMERGE none p c", kWrongType},
    {"PFDEBUG GETREG c", kWrongType},
    {"PFDEBUG ENCODING c", kWrongType},
    {"PFDEBUG TODENSE c", kWrongType},
    {"PFADD s a", "-WRONGTYPE Key is not a valid HyperLogLog string value."},
    {"PFCOUNT s c", "-WRONGTYPE Key is not a valid HyperLogLog string value."},
    // Keys, whatever they hold.
    {"EXISTS c", ":1"},
    {"TOUCH c", ":1"},
    {"TTL c", ":-1"},
    {"PERSIST c", ":0"},
    {"OBJECT REFCOUNT c", ":1"},
    {"OBJECT IDLETIME c", ":0"},
    {"RENAMENX s c", ":0"},
    {"COPY s c", ":0"},
};

TEST_F(WrongTypeTest, EachCommandRefusesEachKindOfCollectionAndLeavesItAsItIs) {
  Do("SET s text");
  Do("PFADD p a b");
  for (const Value& value : kValues) {
    ASSERT_NO_FATAL_FAILURE(Make(value));
    const std::string before = Dumped("c");
    for (const Case& c : kCases) {
      EXPECT_EQ(Do(c.command), c.reply) << c.command << " with a " << value.type << " as " << value.encoding;
    }
    EXPECT_EQ(Dumped("c"), before) << value.type << " " << value.encoding;
    EXPECT_EQ(Do("DBSIZE"), ":3") << value.type << " " << value.encoding;
    if (value.type == "hash") continue;
    for (const std::string command :
         {"HSET c a 1", "HSETNX c a 1", "HGET c a", "HMGET c a", "HDEL c a", "HLEN c", "HSTRLEN c a", "HEXISTS c a",
          "HGETALL c", "HKEYS c", "HVALS c", "HINCRBY c a 1", "HINCRBYFLOAT c a 1", "HRANDFIELD c", "HSCAN c 0",
          "HEXPIRE c 0 FIELDS 1 a", "HTTL c FIELDS 1 a", "HPERSIST c FIELDS 1 a", "HGETEX c EX 0 FIELDS 1 a",
          "HGETDEL c FIELDS 1 a", "HSETEX c EX 0 FIELDS 1 a 1"}) {
      EXPECT_EQ(Do(command), kWrongType) << command << " with a " << value.type << " as " << value.encoding;
    }
    EXPECT_EQ(Dumped("c"), before) << value.type << " " << value.encoding;
  }
}

TEST_F(WrongTypeTest, CollectionsAreReplacedMovedAndCopiedAsAnyValue) {
  for (const Value& value : kValues) {
    SCOPED_TRACE(value.type + " " + value.encoding);
    Do("FLUSHALL");
    ASSERT_NO_FATAL_FAILURE(Make(value));
    const std::string dump = Dumped("c");
    Do("SET s text");
    Expect({{"EXPIRE c 100", ":1"},
            {"COPY c d", ":1"},
            {"TTL d", ":100"},
            {"RENAME d e", "+OK"},
            {"EXISTS d", ":0"},
            {"TTL e", ":100"},
            {"PERSIST e", ":1"},
            {"COPY e s REPLACE", ":1"},
            {"MOVE e 1", ":1"},
            {"SWAPDB 0 1", "+OK"}});
    EXPECT_EQ(Dumped("e"), dump);
    Expect({{"SWAPDB 0 1", "+OK"}, {"TYPE s", "+" + value.type}});
    EXPECT_EQ(Dumped("c"), dump);
    EXPECT_EQ(Dumped("s"), dump);
    const std::string scanned = Do("SCAN 0 COUNT 1000 TYPE " + value.type);
    EXPECT_THAT(scanned, ::testing::AllOf(::testing::HasSubstr("\"c\""), ::testing::HasSubstr("\"s\"")));
    EXPECT_EQ(Do("SCAN 0 COUNT 1000 TYPE string"), "[\"0\", []]");
    EXPECT_THAT(Do("DEBUG OBJECT c"), ::testing::HasSubstr(" encoding:" + value.encoding + " "));
    EXPECT_GT(std::stoll(Do("MEMORY USAGE c").substr(1)), 30);
    Expect({{"SET c v", "+OK"},
            {"TTL c", ":-1"},
            {"GET c", "\"v\""},
            {"BITOP NOT s c", ":1"},
            {"TYPE s", "+string"},
            {"COPY e c REPLACE DB 0", ":0"},
            {"DEL c s", ":2"}});
    ASSERT_NO_FATAL_FAILURE(Make(value));
    Expect({{"MSET c 1 d 2", "+OK"}, {"INCR c", ":2"}});
    ASSERT_NO_FATAL_FAILURE(Make(value));
    Expect({{"SETEX c 100 v", "+OK"}, {"GETDEL c", "\"v\""}});
    ASSERT_NO_FATAL_FAILURE(Make(value));
    Expect({{"UNLINK c", ":1"}, {"GETSET c v", "nil"}});
  }
}

TEST_F(WrongTypeTest, AFullCopyHasThemAll) {
  int number = 0;
  for (const Value& value : kValues) Make(value, "c" + std::to_string(number++));
  const int64_t later = clock_.Wall().unix_ms + 100'000;
  Do("HSETEX f PXAT " + std::to_string(later) + " FIELDS 2 a 1 b 2");
  std::vector<std::string> dumps;
  for (int i = 0; i < number; ++i) dumps.push_back(Dumped("c" + std::to_string(i)));
  const auto primary_config = std::move(config_);
  const auto primary = std::move(server_);
  const auto at_primary = std::move(c_);
  StartServer({"--replicaof", "127.0.0.1", std::to_string(primary->port())});
  c_ = Connect();
  ASSERT_TRUE(Eventually([&] { return Do("INFO replication").find("master_link_status:up") != std::string::npos; }));
  for (int i = 0; i < number; ++i) EXPECT_EQ(Dumped("c" + std::to_string(i)), dumps[static_cast<size_t>(i)]) << i;
  EXPECT_EQ(Do("HPEXPIRETIME f FIELDS 1 a"), "[:" + std::to_string(later) + "]");
  // What the stream brings afterwards.
  EXPECT_EQ(at_primary->Do("HSETEX f EX 200 FIELDS 1 a 3"), ":1");
  EXPECT_EQ(at_primary->Do("HINCRBYFLOAT f b 0.5"), "\"2.5\"");
  EXPECT_EQ(at_primary->Do("HEXPIRE f 0 FIELDS 1 none"), "[:-2]");
  EXPECT_EQ(at_primary->Do("HGETDEL c0 FIELDS 1 a"), "[\"b\"]");
  EXPECT_EQ(at_primary->Do("SET end 1"), "+OK");
  ASSERT_TRUE(Eventually([&] { return Do("EXISTS end") == ":1"; }));
  Expect({{"HMGET f a b", "[\"3\", \"2.5\"]"}, {"HTTL f FIELDS 2 a b", at_primary->Do("HTTL f FIELDS 2 a b")}, {"EXISTS c0", ":0"}});
  EXPECT_EQ(Do("HPEXPIRETIME f FIELDS 1 b"), "[:" + std::to_string(later) + "]");
  EXPECT_EQ(Do("HSET f x 1").substr(0, 9), "-READONLY");
  server_.reset();
}

}  // namespace
}  // namespace understudy::command
