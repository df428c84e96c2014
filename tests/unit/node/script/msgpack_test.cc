#include "tests/unit/node/script/script_fixture.h"

namespace understudy::script {
namespace {

class MsgpackTest : public InterpreterTest {
 protected:
  // The bytes of cmsgpack.pack(values) in hexadecimal.
  std::string Packed(const std::string& values) {
    return Text("return (cmsgpack.pack(" + values + "):gsub('.', function(c) return string.format('%02x', c:byte()) end))");
  }
};

TEST_F(MsgpackTest, ValuesTakeTheFewestBytes) {
  const std::pair<std::string, std::string> cases[] = {
      {"nil", "c0"},           {"true", "c3"},         {"false", "c2"},        {"0", "00"},
      {"127", "7f"},           {"128", "cc80"},        {"256", "cd0100"},      {"65536", "ce00010000"},
      {"4294967296", "cf0000000100000000"},            {"-1", "ff"},           {"-32", "e0"},
      {"-33", "d0df"},         {"-129", "d1ff7f"},     {"-32769", "d2ffff7fff"}, {"-2147483649", "d3ffffffff7fffffff"},
      {"0.5", "ca3f000000"},   {"0.1", "cb3fb999999999999a"}, {"'a'", "a161"}, {"{}", "90"},
      {"{1,2}", "920102"},     {"{a=1}", "81a16101"},  {"{[2]=1}", "810201"},  {"1,'b'", "01a162"},
      {"function() end", "c0"},
  };
  for (const auto& [values, bytes] : cases) EXPECT_EQ(Packed(values), bytes) << values;
  EXPECT_EQ(Packed("string.rep('x',32)").substr(0, 4), "d920");
  EXPECT_EQ(Packed("string.rep('x',256)").substr(0, 6), "da0100");
  EXPECT_EQ(Packed("string.rep('x',65536)").substr(0, 10), "db00010000");
}

TEST_F(MsgpackTest, RoundTripsKeepValues) {
  EXPECT_EQ(Text("local t = {1,-5,0.25,'x',{a={true,false}},{}} local u = cmsgpack.unpack(cmsgpack.pack(t)) "
                 "return cjson.encode(t) == cjson.encode(u) and 'same'"),
            "same");
  EXPECT_EQ(Text("local a,b,c = cmsgpack.unpack(cmsgpack.pack(1,'x',nil,2)) return a..b..tostring(c)"), "1xnil");
  EXPECT_EQ(Text("local at,v = cmsgpack.unpack_one(cmsgpack.pack(1,'x')) local e,w = "
                 "cmsgpack.unpack_one(cmsgpack.pack(1,'x'),at) return at..v..e..w"),
            "11-1x");
  EXPECT_EQ(Text("local at,a,b = cmsgpack.unpack_limit(cmsgpack.pack(1,2,3),2) return at..a..b"), "212");
}

TEST_F(MsgpackTest, DepthIsLimited) {
  EXPECT_EQ(Text("local t = {} for i=1,20 do t = {t} end return #cmsgpack.pack(t)"), "17");
  EXPECT_EQ(Error("cmsgpack.unpack(string.rep('\\145',100000))"), "user_script:1: stack overflow (a value is nested too deeply)");
}

TEST_F(MsgpackTest, WrongBytesAreRefused) {
  ExpectErrors({{"cmsgpack.unpack('\\129')", "Missing bytes in input."},
                {"cmsgpack.unpack('\\193')", "Bad data format in input."},
                {"cmsgpack.unpack('\\196\\1x')", "Bad data format in input."},
                {"cmsgpack.unpack('\\221\\255\\255\\255\\255')", "Missing bytes in input."},
                {"cmsgpack.unpack('\\219\\255\\255\\255\\255x')", "Missing bytes in input."},
                {"cmsgpack.unpack('\\129\\192\\1')", "Bad data format in input."},
                {"cmsgpack.unpack_one('x',2)", "Start offset 2 greater than input length 1."},
                {"cmsgpack.unpack_one('x',-1)", "Invalid request to unpack with offset of -1 and limit of 1."},
                {"cmsgpack.pack()", "bad argument #0 to 'pack' (MessagePack pack needs input.)"}});
  const std::string bytes = "\x83\xa1\x61\xcd\x01\x02\xa1\x62\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\xa1\x63\x92\xc0\xd1\xff\x7f";
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int byte = 0; byte < 256; byte += 5) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(byte);
      const std::string_view arguments[] = {damaged, std::string_view(bytes).substr(0, i)};
      arguments_.assign(std::begin(arguments), std::end(arguments));
      EXPECT_EQ(Text("pcall(cmsgpack.unpack, ARGV[1]) return tostring(pcall(cmsgpack.unpack, ARGV[2]))"),
                i == 0 ? "true" : "false");
    }
  }
}

}  // namespace
}  // namespace understudy::script
