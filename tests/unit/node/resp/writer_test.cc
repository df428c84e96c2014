#include "node/resp/writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "node/resp/errors.h"
#include "node/resp/glob.h"

namespace understudy::resp {
namespace {

std::string Written(int protocol, const std::function<void(Writer&)>& write) {
  StringOutput out;
  Writer writer(out, protocol);
  write(writer);
  return std::string(out.view());
}

TEST(Writer, WritesEachTypeInBothProtocols) {
  struct Case {
    std::function<void(Writer&)> write;
    std::string resp2, resp3;
  };
  const Case cases[] = {
      {[](Writer& w) { w.Ok(); }, "+OK\r\n", "+OK\r\n"},
      {[](Writer& w) { w.SimpleString("PONG"); }, "+PONG\r\n", "+PONG\r\n"},
      {[](Writer& w) { w.Error("ERR a\r\nb"); }, "-ERR a  b\r\n", "-ERR a  b\r\n"},
      {[](Writer& w) { w.Error("ERR a\n\r\n"); }, "-ERR a\r\n", "-ERR a\r\n"},
      {[](Writer& w) { w.Integer(-12); }, ":-12\r\n", ":-12\r\n"},
      {[](Writer& w) { w.Integer(INT64_MIN); }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
      {[](Writer& w) { w.Bulk("a\r\n"); }, "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"},
      {[](Writer& w) { w.BulkInteger(100); }, "$3\r\n100\r\n", "$3\r\n100\r\n"},
      {[](Writer& w) { w.Null(); }, "$-1\r\n", "_\r\n"},
      {[](Writer& w) { w.NullArray(); }, "*-1\r\n", "_\r\n"},
      {[](Writer& w) { w.Array(2); }, "*2\r\n", "*2\r\n"},
      {[](Writer& w) { w.Map(2); }, "*4\r\n", "%2\r\n"},
      {[](Writer& w) { w.Set(2); }, "*2\r\n", "~2\r\n"},
      {[](Writer& w) { w.Push(2); }, "*2\r\n", ">2\r\n"},
      {[](Writer& w) { w.Double(3.25); }, "$4\r\n3.25\r\n", ",3.25\r\n"},
      {[](Writer& w) { w.Boolean(true); }, ":1\r\n", "#t\r\n"},
      {[](Writer& w) { w.Verbatim("txt", "hi"); }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Written(2, c.write), c.resp2);
    EXPECT_EQ(Written(3, c.write), c.resp3);
  }
}

TEST(Writer, CountsErrorsAndKeepsTheirCode) {
  StringOutput out;
  Writer writer(out, 2);
  writer.Ok();
  EXPECT_EQ(writer.errors(), 0u);
  writer.Error("WRONGTYPE Operation");
  EXPECT_EQ(writer.errors(), 1u);
  EXPECT_EQ(writer.last_error_code(), "WRONGTYPE");
}

TEST(Writer, FormatsDoublesAsRedis) {
  EXPECT_EQ(FormatDouble(1), "1");
  EXPECT_EQ(FormatDouble(-0.5), "-0.5");
  EXPECT_EQ(FormatDouble(3.141), "3.141");
  EXPECT_EQ(FormatDouble(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(FormatDouble(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(FormatDouble(1e21), "1e+21");
  EXPECT_EQ(FormatLongDouble(10.5L), "10.5");
  EXPECT_EQ(FormatLongDouble(5.0e3L), "5000");
  EXPECT_EQ(FormatLongDouble(1.2L), "1.2");
  EXPECT_EQ(FormatLongDouble(-0.0L), "0");
}

TEST(Output, KeepsWhatWasWrittenWhenItGrows) {
  StringOutput out;
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string piece(static_cast<size_t>(i % 37), static_cast<char>('a' + i % 26));
    out.Append(piece);
    expected += piece;
  }
  EXPECT_EQ(out.view(), expected);
}

TEST(Errors, AWordIsPrintedUpToItsFirstZeroByte) {
  EXPECT_EQ(Printed("word"), "word");
  EXPECT_EQ(Printed(std::string_view("k\0x", 3)), "k");
  EXPECT_EQ(Printed("word", 2), "wo");
}

TEST(Glob, MatchesAsRedis) {
  struct Case {
    std::string_view pattern, text;
    bool matches;
  };
  const Case cases[] = {
      {"*", "", false},         {"*", "anything", true},   {"a*c", "abbbc", true},     {"a*c", "abbbd", false},
      {"h?llo", "hello", true}, {"h?llo", "hllo", false},  {"h[ae]llo", "hallo", true}, {"h[ae]llo", "hillo", false},
      {"h[^e]llo", "hallo", true}, {"h[^e]llo", "hello", false}, {"h[a-c]llo", "hbllo", true}, {"h[c-a]llo", "hbllo", true},
      {"a\\*b", "a*b", true},   {"a\\*b", "axb", false},   {"[\\]]", "]", true},       {"[", "[", false},
      {"a**b", "ab", true},     {"", "", true},   {"**", "", false},            {"", "a", false},           {"foo*", "foo", true},
  };
  for (const Case& c : cases) EXPECT_EQ(GlobMatch(c.pattern, c.text), c.matches) << c.pattern << " " << c.text;
  EXPECT_TRUE(GlobMatch("MAX*", "maxmemory", true));
  EXPECT_FALSE(GlobMatch("MAX*", "maxmemory", false));
}

TEST(Glob, HasNoExponentialPattern) {
  std::string pattern;
  for (int i = 0; i < 30; ++i) pattern += "a*";
  pattern += "b";
  EXPECT_FALSE(GlobMatch(pattern, std::string(5000, 'a')));
}

}  // namespace
}  // namespace understudy::resp
