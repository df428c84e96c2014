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

TEST_F(InterpreterTest, SettingsOfARunEndWithIt) {
  EXPECT_EQ(Eval("redis.setresp(3) return true", 3), "#t\r\n");
  EXPECT_EQ(Eval("return true", 3), ":1\r\n");
  EXPECT_EQ(Eval("math.randomseed(5) return math.random(1000)"), Eval("math.randomseed(5) return math.random(1000)"));
  EXPECT_NE(Eval("math.randomseed(5) return math.random(1000)"), Eval("return math.random(1000)"));
}

TEST(ScriptCache, TheLastScriptsOfEvalAreKeptAndThoseThatWereLoaded) {
  Interpreter interpreter(Interpreter::Kind::kEval);
  ScriptCache cache(interpreter);
  ASSERT_TRUE(cache.Add("loaded", "return 1", true).ok());
  for (size_t i = 0; i < ScriptCache::kMostOfEval; ++i) {
    ASSERT_TRUE(cache.Add("s" + std::to_string(i), "return 1", false).ok());
  }
  EXPECT_NE(cache.Find("s0"), nullptr);  // used last from now on
  ASSERT_TRUE(cache.Add("more", "return 1", false).ok());
  EXPECT_NE(cache.Find("s0"), nullptr);
  EXPECT_EQ(cache.Find("s1"), nullptr);
  EXPECT_NE(cache.Find("loaded"), nullptr);
  // One of EVAL that is loaded is kept, too.
  ASSERT_TRUE(cache.Add("s2", "return 1", true).ok());
  EXPECT_EQ(cache.size(), ScriptCache::kMostOfEval + 1);
  cache.Clear();
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_EQ(cache.bytes(), 0u);
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
