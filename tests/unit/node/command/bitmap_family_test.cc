#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using BitmapTest = ServerTest;

const std::string kOffset = "ERR bit offset is not an integer or out of range";
const std::string kSyntax = "ERR syntax error";
const std::string kNotInteger = "ERR value is not an integer or out of range";

TEST_F(BitmapTest, BitsAreSetAndRead) {
  Expect({{"GETBIT k 0", ":0"},     {"SETBIT k 7 1", ":0"},   {"SETBIT k 7 1", ":1"},  {"GETBIT k 7", ":1"},
          {"GET k", "\"\x01\""},     {"SETBIT k 7 0", ":1"},   {"STRLEN k", ":1"},      {"SETBIT k 100 0", ":0"},
          {"STRLEN k", ":13"},      {"GETBIT k 4000000", ":0"}, {"SET n 12 EX 100", "+OK"}, {"SETBIT n 6 1", ":0"},
          {"GET n", "\"32\""},      {"TTL n", ":100"},        {"OBJECT ENCODING n", "\"raw\""}});
  ExpectError({"SETBIT k -1 1", "SETBIT k x 1", "SETBIT k 4294967296 1", "GETBIT k -1", "GETBIT k 4294967296",
               "GETBIT k #1"},
              kOffset);
  ExpectError({"SETBIT k 1 2", "SETBIT k 1 -1", "SETBIT k 1 x"}, "ERR bit is not an integer or out of range");
  Expect({{"CONFIG SET proto-max-bulk-len 1mb", "+OK"}, {"SETBIT k 8388607 1", ":0"}});
  ExpectError({"SETBIT k 8388608 1"}, kOffset);
}

TEST_F(BitmapTest, ASetBitThatChangesNothingDoesNotFailATransaction) {
  auto other = Connect();
  for (const auto& [bit, exec] : {std::pair{"SETBIT k 9 1", "[+PONG]"}, {"SETBIT k 9 0", "nil"}, {"SETBIT k 99 0", "nil"}}) {
    Expect({{"DEL k", Do("EXISTS k")}, {"SETBIT k 9 1", ":0"}, {"WATCH k", "+OK"}});
    EXPECT_EQ(other->Do(bit).front(), ':');
    Expect({{"MULTI", "+OK"}, {"PING", "+QUEUED"}, {"EXEC", exec}});
  }
}

TEST_F(BitmapTest, BitCountCountsRangesOfBytesAndBits) {
  Expect({{"SET k foobar", "+OK"},          {"BITCOUNT k", ":26"},            {"BITCOUNT k 0 0", ":4"},
          {"BITCOUNT k 1 1", ":6"},         {"BITCOUNT k 1 1 BYTE", ":6"},    {"BITCOUNT k 5 30 BIT", ":17"},
          {"BITCOUNT k -2 -1", ":7"},       {"BITCOUNT k -1 -2", ":0"},       {"BITCOUNT k -100 -101", ":0"},
          {"BITCOUNT k 2 1", ":0"},         {"BITCOUNT k 0 1000", ":26"},     {"BITCOUNT k 4", ":7"},
          {"BITCOUNT k 0 -1 BIT", ":26"},   {"BITCOUNT k 3 3 BIT", ":0"},     {"BITCOUNT none", ":0"},
          {"BITCOUNT none 0 -1", ":0"},     {"BITCOUNT k -100 -100", ":4"}});
  ExpectError({"BITCOUNT k 0 1 x", "BITCOUNT none 0 1 x", "BITCOUNT k 0 1 BIT x"}, kSyntax);
  ExpectError({"BITCOUNT k x", "BITCOUNT k 0 x", "BITCOUNT none a b"}, kNotInteger);
}

TEST_F(BitmapTest, BitPosFindsTheFirstBit) {
  Expect({{"SET k \"\\xff\\xf0\\x00\"", "+OK"}, {"BITPOS k 0", ":12"},        {"BITPOS k 1", ":0"},
          {"BITPOS k 1 2", ":-1"},              {"BITPOS k 0 2", ":16"},      {"BITPOS k 0 0 0", ":-1"},
          {"BITPOS k 1 8 -1 BIT", ":8"},        {"BITPOS k 0 3 11 BIT", ":-1"}, {"BITPOS k 0 13 14 BIT", ":13"},
          {"BITPOS k 1 -1 -3", ":-1"},          {"BITPOS k 1 -1", ":-1"},     {"BITPOS none 0", ":0"},
          {"BITPOS none 1", ":-1"},             {"SET k \"\\xff\\xff\"", "+OK"}, {"BITPOS k 0", ":16"},
          {"BITPOS k 0 1", ":16"},              {"BITPOS k 0 0 -1", ":-1"},   {"BITPOS k 0 5", ":-1"},
          {"SET k ''", "+OK"},                  {"BITPOS k 0", ":-1"},        {"BITPOS k 1", ":-1"}});
  ExpectError({"BITPOS k 2", "BITPOS k -1"}, "ERR The bit argument must be 1 or 0.");
  ExpectError({"BITPOS k x", "BITPOS k 1 x", "BITPOS k 1 0 x"}, kNotInteger);
  ExpectError({"BITPOS k 1 0 1 x", "BITPOS k 1 0 1 BIT x"}, kSyntax);
}

TEST_F(BitmapTest, BitOpCombinesStrings) {
  Expect({{"SET a \"\\x0f\\xff\\x10\"", "+OK"}, {"SET b \"\\x3c\\x01\"", "+OK"},
          {"BITOP AND d a b", ":3"},            {"GET d", std::string("\"\x0c\x01\0\"", 5)},
          {"BITOP or d a b none", ":3"},        {"GET d", "\"\x3f\xff\x10\""},
          {"BITOP XOR d a b", ":3"},            {"GET d", "\"\x33\xfe\x10\""},
          {"BITOP NOT d b", ":2"},              {"GET d", "\"\xc3\xfe\""},
          {"BITOP AND d a none", ":3"},         {"GET d", std::string("\"\0\0\0\"", 5)},
          {"BITOP NOT a a", ":3"},              {"GET a", std::string("\"\xf0\0\xef\"", 5)},
          {"BITOP OR d none none2", ":0"},      {"EXISTS d", ":0"},
          {"SET d v EX 100", "+OK"},            {"BITOP OR d b", ":2"},
          {"TTL d", ":-1"},                     {"OBJECT ENCODING d", "\"raw\""}});
  ExpectError({"BITOP NAND d a b"}, kSyntax);
  ExpectError({"BITOP NOT d a b"}, "ERR BITOP NOT must be called with a single source key.");
  // Large ones live in a block of their own.
  const std::string large(100'000, 'a');
  EXPECT_EQ(c_->Do({"SET", "l", large}), "+OK");
  Expect({{"BITOP NOT m l", ":100000"}, {"BITCOUNT m", ":500000"}, {"BITOP XOR m m l", ":100000"}, {"BITCOUNT m", ":800000"},
          {"BITOP AND l l m", ":100000"}});
  EXPECT_EQ(Do("GET l"), "\"" + large + "\"");
}

TEST_F(BitmapTest, BitFieldReadsAndWritesNumbers) {
  Expect({{"BITFIELD k", "[]"},
          {"EXISTS k", ":0"},
          {"BITFIELD k GET u8 0 GET i64 1000", "[:0, :0]"},
          {"EXISTS k", ":0"},
          {"BITFIELD k SET u8 0 255 GET u4 0 GET i4 0 GET u8 4", "[:0, :15, :-1, :240]"},
          {"STRLEN k", ":1"},
          {"BITFIELD k SET i64 #1 -2 GET i64 #1 GET u63 65", "[:0, :-2, :9223372036854775806]"},
          {"STRLEN k", ":16"},
          {"BITFIELD k INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1", "[:0, :3]"},
          {"BITFIELD_RO k GET u8 0 GET u2 102", "[:255, :3]"}});
}

TEST_F(BitmapTest, BitFieldOverflows) {
  Expect({{"BITFIELD k SET i8 0 127 INCRBY i8 0 1", "[:0, :-128]"},
          {"BITFIELD k OVERFLOW SAT INCRBY i8 0 -100 INCRBY i8 0 300", "[:-128, :127]"},
          {"BITFIELD k OVERFLOW FAIL INCRBY i8 0 1 OVERFLOW WRAP INCRBY i8 0 -1", "[nil, :126]"},
          {"BITFIELD k OVERFLOW SAT SET i8 0 1000 GET i8 0 SET i8 0 -1000 GET i8 0", "[:126, :127, :127, :-128]"},
          {"BITFIELD k SET u8 0 257 GET u8 0 INCRBY u8 0 -2", "[:128, :1, :255]"},
          {"BITFIELD k OVERFLOW SAT SET u8 0 -1 GET u8 0 INCRBY u8 0 -300", "[:255, :255, :0]"},
          {"BITFIELD k OVERFLOW FAIL SET u8 0 256 INCRBY u8 0 -1 GET u8 0", "[nil, nil, :0]"},
          {"BITFIELD n SET i64 0 9223372036854775807 INCRBY i64 0 1", "[:0, :-9223372036854775808]"},
          {"BITFIELD n OVERFLOW SAT INCRBY i64 0 -1 INCRBY i64 0 -9223372036854775808", "[:-9223372036854775808, :-9223372036854775808]"},
          {"BITFIELD s OVERFLOW SAT SET i16 0 -9223372036854775808 GET i16 0", "[:0, :32767]"},
          {"BITFIELD m SET u63 0 9223372036854775807 INCRBY u63 0 1", "[:0, :0]"},
          // It grew to where it would have written.
          {"BITFIELD grown OVERFLOW FAIL SET u8 80 256", "[nil]"},
          {"STRLEN grown", ":11"}});
}

TEST_F(BitmapTest, BitFieldRefusesWhatIsWrong) {
  ExpectError({"BITFIELD k GET u64 0", "BITFIELD k GET i65 0", "BITFIELD k GET i0 0", "BITFIELD k GET x8 0",
               "BITFIELD k GET U8 0", "BITFIELD k GET u 0", "BITFIELD k GET '' 0"},
              "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
  ExpectError({"BITFIELD k GET u8 -1", "BITFIELD k GET u8 #-1", "BITFIELD k GET u8 4294967296",
               "BITFIELD k SET u8 #536870912 1", "BITFIELD k GET u8 #9223372036854775807",
               "BITFIELD k SET u63 4294967295 1"},
              kOffset);
  ExpectError({"BITFIELD k GET u8", "BITFIELD k SET u8 0", "BITFIELD k INCRBY u8 0", "BITFIELD k FOO", "BITFIELD k OVERFLOW"},
              kSyntax);
  ExpectError({"BITFIELD k SET u8 0 x", "BITFIELD k INCRBY u8 0 1.5"}, kNotInteger);
  ExpectError({"BITFIELD k OVERFLOW x"}, "ERR Invalid OVERFLOW type specified");
  ExpectError({"BITFIELD_RO k SET u8 0 1", "BITFIELD_RO k GET u8 0 INCRBY u8 0 1"},
              "ERR BITFIELD_RO only supports the GET subcommand");
  Expect({{"EXISTS k", ":0"}});
}

TEST_F(BitmapTest, OptionsWithinOptionsAreDocumented) {
  const std::string docs = Do("COMMAND DOCS bitcount bitfield");
  EXPECT_NE(docs.find("\"display_text\", \"end\""), std::string::npos) << docs;
  EXPECT_NE(docs.find("\"display_text\", \"increment\""), std::string::npos) << docs;
  EXPECT_EQ(docs.find("BIT]"), std::string::npos) << docs;
  EXPECT_EQ(docs.find("[GET"), std::string::npos) << docs;
}

TEST_F(BitmapTest, ALongWayToABitNeedsItsMemory) {
  Expect({{"CONFIG SET maxmemory 20mb", "+OK"}, {"SETBIT k 80 1", ":0"}});
  ExpectError({"SETBIT k 400000000 1"}, "OOM command not allowed when used memory > 'maxmemory'.");
  Expect({{"STRLEN k", ":11"}});
}

}  // namespace
}  // namespace understudy::command
