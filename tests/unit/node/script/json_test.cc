#include "tests/unit/node/script/script_fixture.h"

namespace understudy::script {
namespace {

using JsonTest = InterpreterTest;

TEST_F(JsonTest, ValuesAreEncoded) {
  ExpectTexts({{"cjson.encode({1,2,3})", "[1,2,3]"},
               {"cjson.encode({})", "{}"},
               {"cjson.encode({[1]=1,[3]=2})", "[1,null,2]"},
               {"cjson.encode({a=1})", "{\"a\":1}"},
               {"cjson.encode({[1]='a',x='b'}):len()", "17"},
               {"cjson.encode({[-1]=1})", "{\"-1\":1}"},
               {"cjson.encode({[1.5]=1})", "{\"1.5\":1}"},
               {"cjson.encode(cjson.null)", "null"},
               {"cjson.encode({nil})", "{}"},
               {"cjson.encode(true)", "true"},
               {"cjson.encode(0.1)", "0.1"},
               {"cjson.encode(1e20)", "1e+20"},
               {"cjson.encode(123456789012345)", "1.2345678901234e+14"},
               {"cjson.encode('a\"b\\\\c/d\\b\\t\\n\\f\\r\\1\\127')", "\"a\\\"b\\\\c\\/d\\b\\t\\n\\f\\r\\u0001\\u007f\""}});
}

TEST_F(JsonTest, WhatCantBeEncodedIsRefused) {
  ExpectErrors({
      {"cjson.encode(function() end)", "Cannot serialise function: type not supported"},
      {"cjson.encode(0/0)", "Cannot serialise number: must not be NaN or Inf"},
      {"cjson.encode(1/0)", "Cannot serialise number: must not be NaN or Inf"},
      {"cjson.encode({[true]=1})", "Cannot serialise boolean: table key must be a number or string"},
      {"cjson.encode({[100]=1})", "Cannot serialise table: excessively sparse array"},
      {"cjson.encode()", "bad argument #1 to 'encode' (expected 1 argument)"},
  });
  EXPECT_EQ(Text("local a = {} a[1] = a return cjson.encode(a)"),
            "ERR user_script:1: Cannot serialise, excessive nesting (1001) script: H, on @user_script:1.");
}

TEST_F(JsonTest, ValuesAreDecoded) {
  ExpectTexts({{"cjson.decode('[1,2.5,\"x\"]')[3]", "x"},
               {"cjson.decode('{\"a\":{\"b\":[true,false,null]}}').a.b[3] == cjson.null and 'null'", "null"},
               {"tostring(cjson.decode('[-1.5e3]')[1])", "-1500"},
               {"cjson.decode('\"\\\\u00e9\\\\ud83d\\\\ude00\\\\/\\\\n\"')", "\xc3\xa9\xf0\x9f\x98\x80/\n"},
               {"tostring(cjson.decode('0x10'))", "16"},
               {"tostring(cjson.decode('[nan]')[1])", "nan"},
               {"tostring(#cjson.decode(' [ ] '))", "0"}});
}

TEST_F(JsonTest, WrongTextIsRefusedAtItsPlace) {
  ExpectErrors({
      {"cjson.decode('[1')", "Expected comma or array end but found T_END at character 3"},
      {"cjson.decode('')", "Expected value but found T_END at character 1"},
      {"cjson.decode('{1:2}')", "Expected object key string but found T_NUMBER at character 2"},
      {"cjson.decode('{\"a\" 1}')", "Expected colon but found T_NUMBER at character 6"},
      {"cjson.decode('{\"a\":1 2}')", "Expected comma or object end but found T_NUMBER at character 8"},
      {"cjson.decode('[] x')", "Expected the end but found invalid token at character 4"},
      {"cjson.decode('\"a')", "Expected value but found unexpected end of string at character 3"},
      {"cjson.decode('\"\\\\q\"')", "Expected value but found invalid escape code at character 2"},
      {"cjson.decode('\"\\\\u12\"')", "Expected value but found invalid unicode escape code at character 2"},
      {"cjson.decode('\"\\\\udc00\"')", "Expected value but found invalid unicode escape code at character 2"},
      {"cjson.decode('-')", "Expected value but found invalid number at character 1"},
      {"cjson.decode('[\\0')", "JSON parser does not support UTF-16 or UTF-32"},
      {"cjson.decode(string.rep('[',1001))", "Found too many nested data structures (1001)"},
  });
}

TEST_F(JsonTest, SettingsHoldForTheirTable) {
  EXPECT_EQ(Text("local j = cjson.new() j.encode_sparse_array(true) return j.encode({[100]=1})"), "{\"100\":1}");
  EXPECT_EQ(Text("local j = cjson.new() j.encode_invalid_numbers('null') return j.encode({1/0})"), "[null]");
  EXPECT_EQ(Text("local j = cjson.new() j.encode_invalid_numbers(true) return j.encode({1/0,0/0})").substr(0, 5), "[inf,");
  EXPECT_EQ(Text("local j = cjson.new() j.encode_number_precision(3) return j.encode(3.14159)"), "3.14");
  EXPECT_EQ(Text("local j = cjson.new() j.decode_max_depth(2) return j.decode('[[[1]]]')").substr(0, 16), "ERR user_script:");
  EXPECT_EQ(Text("local a,b,c = cjson.encode_sparse_array() return tostring(a)..b..c"), "false210");
  ExpectErrors({{"cjson.encode_number_precision(15)",
                 "bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14)"}});
}

TEST_F(JsonTest, RoundTripsKeepValues) {
  EXPECT_EQ(Text("local t = {a={1,2,{b='x'}},c='\\0\\200',d=1.25,e=false} local s = cjson.encode(t) "
                 "local u = cjson.decode(s) return tostring(u.a[3].b == 'x' and u.c == t.c and u.d == 1.25 and u.e == false)"),
            "true");
}

TEST_F(JsonTest, NoDamagedTextDoesHarm) {
  const std::string text = R"({"a":[1,-2.5e3,"\u00e9\n",{"b":null}],"c":true})";
  for (size_t i = 0; i < text.size(); ++i) {
    for (const char byte : {'\0', '"', '\\', '{', ']', '9', 'x', '\xff'}) {
      std::string damaged = text;
      damaged[i] = byte;
      const std::string_view arguments[] = {damaged, std::string_view(text).substr(0, i)};
      arguments_.assign(std::begin(arguments), std::end(arguments));
      EXPECT_EQ(Text("pcall(cjson.decode, ARGV[1]) local ok = pcall(cjson.decode, ARGV[2]) return tostring(ok)"), "false");
    }
  }
}

}  // namespace
}  // namespace understudy::script
