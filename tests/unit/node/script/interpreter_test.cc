#include "node/script/flags.h"
#include "node/script/script_cache.h"
#include "tests/unit/node/script/script_fixture.h"

namespace understudy::script {
namespace {

TEST_F(InterpreterTest, RepliesOfCommandsBecomeValues) {
  host_.answers = {{"i", ":5\r\n"},          {"d", ",1.5\r\n"}, {"n", "_\r\n"},          {"b", "#t\r\n"},
                   {"v", "=5\r\ntxt:x\r\n"}, {"g", "(12\r\n"},  {"p", ">1\r\n:1\r\n"},   {"m", "%1\r\n+k\r\n*1\r\n:2\r\n"},
                   {"s", "~1\r\n$1\r\na\r\n"}, {"l", "*-1\r\n"}, {"a", "|1\r\n+x\r\n+y\r\n:7\r\n"}, {"e", "-BAD x\r\n"}};
  ExpectTexts({{"redis.call('i')..''", "5"},
               {"redis.call('d').double..''", "1.5"},
               {"tostring(redis.call('n'))", "nil"},
               {"tostring(redis.call('b'))", "true"},
               {"redis.call('v').verbatim_string.format..redis.call('v').verbatim_string.string", "txtx"},
               {"redis.call('g').big_number", "12"},
               {"#redis.call('p')..''", "1"},
               {"redis.call('m').map[1] == nil and 'none'", "none"},
               {"tostring(redis.call('s').set.a)", "true"},
               {"tostring(redis.call('l'))", "false"},
               {"redis.call('a')..''", "7"},
               {"redis.pcall('e').err", "BAD x"}});
}

TEST_F(InterpreterTest, WordsOfCommandsAreTextsAndNumbers) {
  host_.answers = {{"c", "+OK\r\n"}};
  Eval("redis.call('c', 1, 1.5, 0.1, 1e20, -3, 'a\\0b', 12345678901234)");
  ASSERT_EQ(host_.calls.size(), 1u);
  EXPECT_EQ(host_.calls[0],
            (std::vector<std::string>{"c", "1", "1.5", "0.1", "1e+20", "-3", std::string("a\0b", 3), "12345678901234"}));
}

TEST_F(InterpreterTest, DeepResultsEndWithAnError) {
  const std::string reply = Eval("local t = {} t[1] = t return t");
  EXPECT_TRUE(reply.ends_with("-ERR reached lua stack limit\r\n")) << reply.substr(reply.size() - 60);
  EXPECT_EQ(Eval("return 1"), ":1\r\n");
}

TEST_F(InterpreterTest, AnInterruptEndsAnyLoop) {
  host_.most_interrupts = 3;
  for (const char* script : {"while true do end", "while true do pcall(function() while true do end end) end",
                             "local f f = function() return f() end f()",
                             "coroutine.wrap(function() while true do end end)()",
                             "for i=1,1e15 do end", "while true do xpcall(function() error() end, function() end) end"}) {
    host_.interrupts = 0;
    EXPECT_TRUE(Eval(script).starts_with("-ERR Script killed by user with SCRIPT KILL.")) << script;
    host_.interrupts = -1'000'000;
    EXPECT_EQ(Eval("for i=1,1e6 do end return 1"), ":1\r\n");
  }
}

TEST_F(InterpreterTest, PatternsThatWouldTakeTheWholeStackAreRefused) {
  for (const char* function : {"find", "match", "gsub"}) {
    EXPECT_EQ(Error("string." + std::string(function) + "(('a'):rep(400000), ('a?'):rep(400000), '')"),
              "user_script:1: pattern too complex") << function;
  }
  EXPECT_EQ(Error("('a'):rep(400000):gmatch(('a*'):rep(400000))()"), "user_script:1: pattern too complex");
  // What is long and simple, or plain, is as good as before; and the longest that is allowed.
  EXPECT_EQ(Eval("return ('b' .. ('a'):rep(20000)):find(('a'):rep(20000))"), ":2\r\n");
  EXPECT_EQ(Eval("return ('b' .. ('.'):rep(20000)):find(('.'):rep(20000), 1, true)"), ":2\r\n");
  EXPECT_EQ(Eval("return ('a'):rep(20000):find(('a?'):rep(8192))"), ":1\r\n");
  EXPECT_EQ(Eval("return select('#', ('a'):rep(9000):find(('a*'):rep(8192)))"), ":2\r\n");
}

TEST_F(InterpreterTest, AnErrorLeavesNothingInTheTableThatIsRaised) {
  for (const char* table : {"_G", "redis", "string"}) {
    EXPECT_EQ(Eval("error(" + std::string(table) + ")"),
              "-ERR unknown error script: H, on @user_script:1.\r\n") << table;
    EXPECT_EQ(Eval("local ok, found = pcall(function() return " + std::string(table) + ".source end) return ok and found"),
              "$-1\r\n") << table;
  }
  EXPECT_TRUE(Eval("return source").find("nonexistent global variable 'source'") != std::string::npos);
}

TEST_F(InterpreterTest, MemoryIsCountedAndComesBack) {
  const size_t before = interpreter_.bytes();
  EXPECT_EQ(Eval("local t = {} for i=1,10000 do t[i] = 'x'..i end return 1"), ":1\r\n");
  EXPECT_EQ(Eval("collectgarbage() return 1"), ":1\r\n");
  EXPECT_LT(interpreter_.bytes(), before + 100'000);
}

TEST_F(InterpreterTest, ARunThatNeedsTooMuchMemoryEnds) {
  most_bytes_ = 8 << 20;
  const std::string deep = "local t = {1} for i = 1, 40 do t = {t, t} end return ";
  for (const std::string& script :
       {std::string("local t = {} for i = 1, 1e9 do t[i] = {} end"), std::string("return string.rep('x', 1e9)"),
        std::string("local t = {} for i = 1, 1e4 do t[i] = string.rep('x', 1e4) .. i end"), deep + "cjson.encode(t)",
        std::string("local s = string.rep('x', 1e6) return load(function() return s end)"),
        std::string("local s = string.rep('x', 4e6) return struct.pack('c0c0c0', s, s, s)"),
        std::string("local t = {} for i = 1, 1000 do t[i] = 'abc' end for d = 1, 8 do local u = {} for i = 1, 1000 do u[i] "
                    "= t end t = u end return cmsgpack.pack(t)")}) {
    EXPECT_EQ(Text(script).substr(0, 28), "ERR Error running script H, ") << script;
    EXPECT_TRUE(Text(script).ends_with("not enough memory")) << Text(script);
  }
  EXPECT_LT(interpreter_.bytes(), size_t{2} << 20);
  // What is garbage by then does not count for the next one.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Eval("return #string.rep('x', 2e6)"), ":2000000\r\n");
  // An error that is caught is one like others.
  EXPECT_EQ(Text("local ok, e = pcall(string.rep, 'x', 1e9) return e"), "not enough memory");
}

TEST_F(InterpreterTest, LongPatternsAreRefused) {
  for (const char* call : {"find", "match", "gmatch", "gsub"}) {
    const std::string begin = std::string("local p = string.rep('a?', 2e5) return string.") + call + "(p, p, '')";
    EXPECT_TRUE(Text(begin).starts_with("ERR user_script:1: pattern too complex")) << call;
  }
  EXPECT_TRUE(Text("local p = string.rep('a?', 2e5) return p:find(p)").starts_with("ERR user_script:1: pattern too"));
  // A text is none, however long it is.
  EXPECT_EQ(Eval("local t = string.rep('a', 2e5) return {t:find(t)}"), "*2\r\n:1\r\n:200000\r\n");
  EXPECT_EQ(Eval("local t = string.rep('a?', 2e5) return {t:find(t, 1, true)}"), "*2\r\n:1\r\n:400000\r\n");
}

TEST_F(InterpreterTest, ThePaceOfCollectionIsNotAScriptsToChange) {
  EXPECT_EQ(Eval("return {collectgarbage('stop'), collectgarbage('setpause', 1e6), collectgarbage('setstepmul', 1), "
                 "collectgarbage('restart')}"),
            "*4\r\n:0\r\n:0\r\n:0\r\n:0\r\n");
  for (int i = 0; i < 100; ++i) Eval("return #string.rep('x', 1e6)");
  EXPECT_LT(interpreter_.bytes(), size_t{20} << 20);
  EXPECT_EQ(Eval("return type(collectgarbage('count')) .. collectgarbage() .. type(collectgarbage('step'))"),
            "$14\r\nnumber0boolean\r\n");
}

TEST_F(InterpreterTest, SettingsOfARunEndWithIt) {
  EXPECT_EQ(Eval("redis.setresp(3) return true", 3), "#t\r\n");
  EXPECT_EQ(Eval("return true", 3), ":1\r\n");
  EXPECT_EQ(Eval("math.randomseed(5) return math.random(1000)"), Eval("math.randomseed(5) return math.random(1000)"));
  EXPECT_NE(Eval("math.randomseed(5) return math.random(1000)"), Eval("return math.random(1000)"));
}

TEST(ScriptCache, TheLastScriptsOfEvalAreKeptAndThoseThatWereLoaded) {
  Interpreter interpreter(Interpreter::Kind::kEval);
  ScriptCache cache(interpreter);
  const auto text = [](size_t i) { return "return " + std::to_string(i); };
  ASSERT_TRUE(cache.Add("loaded", "return 'loaded'", true).ok());
  for (size_t i = 0; i < ScriptCache::kMostOfEval; ++i) {
    ASSERT_TRUE(cache.Add("s" + std::to_string(i), text(i), false).ok());
  }
  EXPECT_NE(cache.Find("s0"), nullptr);  // used last from now on
  ASSERT_TRUE(cache.Add("more", "return 'more'", false).ok());
  EXPECT_NE(cache.Find("s0"), nullptr);
  EXPECT_EQ(cache.Find("s1"), nullptr);
  EXPECT_NE(cache.Find("loaded"), nullptr);
  EXPECT_EQ(cache.FindText(text(0)), cache.Find("s0"));
  EXPECT_EQ(cache.FindText(text(1)), nullptr);
  // One of EVAL that is loaded is kept, too.
  ASSERT_TRUE(cache.Add("s2", text(2), true).ok());
  EXPECT_EQ(cache.size(), ScriptCache::kMostOfEval + 1);
  cache.Clear();
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(cache.FindText(text(2)), nullptr);
}

TEST(Shebang, SaysFlags) {
  const Result<Shebang> shebang = ReadShebang("#!lua flags=no-writes,allow-oom\nreturn 1");
  ASSERT_TRUE(shebang.ok());
  EXPECT_EQ(shebang->flags, kNoWrites | kAllowOom);
  EXPECT_EQ(shebang->code, "\nreturn 1");
  EXPECT_EQ(ReadShebang("return 1")->flags, kSaysNothing);
}

}  // namespace
}  // namespace understudy::script
