#include "common/crypto.h"
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

class ScriptTest : public ServerTest {
 protected:
  // EVAL of a text with any characters; the hash in an error's place is replaced by H.
  std::string Eval(const std::string& script, const std::vector<std::string>& more = {"0"},
                   const std::string& command = "EVAL") {
    std::vector<std::string> words = {command, script};
    words.insert(words.end(), more.begin(), more.end());
    std::string reply = c_->Do(words);
    const std::string hash = crypto::Sha1Hex(script);
    if (const size_t at = reply.find(hash); at != std::string::npos) reply.replace(at, hash.size(), "H");
    return reply;
  }
  void ExpectEval(const std::vector<std::pair<std::string, std::string>>& scripts) {
    for (const auto& [script, reply] : scripts) EXPECT_EQ(Eval(script), reply) << script;
  }
};

TEST_F(ScriptTest, ResultsBecomeReplies) {
  ExpectEval({{"return 1", ":1"},
              {"return 3.99", ":3"},
              {"return -3.99", ":-3"},
              {"return 'x'", "\"x\""},
              {"return true", ":1"},
              {"return false", "nil"},
              {"return nil", "nil"},
              {"return", "nil"},
              {"return {1,2.9,'a',nil,3}", "[:1, :2, \"a\"]"},
              {"return {}", "[]"},
              {"return {ok='fine\\nx'}", "+fine x"},
              {"return {err='MY text'}", "-MY text"},
              {"return redis.error_reply('A b')", "-A b"},
              {"return redis.error_reply('A')", "-ERR A"},
              {"return redis.error_reply('-A b')", "-A b"},
              {"return redis.status_reply('x')", "+x"},
              {"return redis.status_reply(1)", "-ERR wrong number or type of arguments"},
              {"return {double=3.5}", "\"3.5\""},
              {"return {map={a=1}}", "[\"a\", :1]"},
              {"return {set={a=true}}", "[\"a\"]"},
              {"return {big_number='12\\r\\n3'}", "\"12  3\""},
              {"return {verbatim_string={string='x',format='txt'}}", "\"x\""},
              {"return function() end", "nil"}});
}

TEST_F(ScriptTest, ResultsBecomeRepliesOfTheThirdProtocol) {
  c_ = Connect(3);
  ExpectEval({{"return {double=3.5}", ",3.5"},
              {"return {map={a=1}}", "{\"a\": :1}"},
              {"return {set={a=true}}", "~[\"a\"]"},
              {"return true", ":1"},
              {"return false", "nil"},
              {"redis.setresp(3) return true", "#t"},
              {"redis.setresp(3) return false", "#f"}});
}

TEST_F(ScriptTest, RepliesBecomeValues) {
  ExpectEval({{"return type(redis.call('set','k','v').ok)", "\"string\""},
              {"return redis.call('get','k')", "\"v\""},
              {"return redis.call('get','none') == false and 1", ":1"},
              {"redis.setresp(3) return redis.call('get','none') == nil and 1", ":1"},
              {"redis.call('hset','h','a','1') return redis.call('hgetall','h')", "[\"a\", \"1\"]"},
              {"redis.setresp(3) return redis.call('hgetall','h').map.a", "\"1\""},
              {"redis.call('sadd','s','m') redis.setresp(3) return redis.call('smembers','s').set.m and 1", ":1"},
              {"redis.call('zadd','z','1.5','m') redis.setresp(3) return redis.call('zscore','z','m')", "\"1.5\""},
              {"redis.setresp(3) return tostring(redis.call('zscore','z','m').double)", "\"1.5\""},
              {"return redis.pcall('incr','k').err", "\"ERR value is not an integer or out of range\""},
              {"return redis.call('mget','k','none')", "[\"v\", nil]"}});
}

TEST_F(ScriptTest, KeysAndArgumentsAreTables) {
  EXPECT_EQ(Eval("return {KEYS[1],KEYS[2],ARGV[1],#KEYS,#ARGV}", {"2", "a", "b", "c"}), "[\"a\", \"b\", \"c\", :2, :1]");
  EXPECT_EQ(Eval("return 1", {"x"}), "-ERR value is not an integer or out of range");
  EXPECT_EQ(Eval("return 1", {"1"}), "-ERR Number of keys can't be greater than number of args");
  EXPECT_EQ(Eval("return 1", {"-1"}), "-ERR Number of keys can't be negative");
}

TEST_F(ScriptTest, TheKeysOfAScriptAreFoundAlsoIfThereAreNone) {
  Expect({{"COMMAND GETKEYS EVAL x 2 a b c", "[\"a\", \"b\"]"}, {"COMMAND GETKEYS EVAL x 0 a", "[]"},
          {"COMMAND GETKEYSANDFLAGS FCALL f 0", "[]"}});
  ExpectError({"COMMAND GETKEYS EVAL x 2 a", "COMMAND GETKEYS EVAL x y a"}, "ERR Invalid arguments specified for command");
}

TEST_F(ScriptTest, ErrorsTellTheScriptAndTheLine) {
  ExpectEval({
      {"error('x')", "-ERR user_script:1: x script: H, on @user_script:1."},
      {"\nerror({err='My E'})", "-My E script: H, on @user_script:2."},
      {"error({})", "-ERR unknown error script: H, on @user_script:1."},
      {"return redis.call('nope')", "-ERR Unknown Redis command called from script script: H, on @user_script:1."},
      {"return redis.call('get')",
       "-ERR Wrong number of args calling Redis command from script script: H, on @user_script:1."},
      {"return redis.call()",
       "-ERR Please specify at least one argument for this redis lib call script: H, on @user_script:1."},
      {"return redis.call({})",
       "-ERR Lua redis lib command arguments must be strings or integers script: H, on @user_script:1."},
      {"return redis.call('eval','x',0)",
       "-ERR This Redis command is not allowed from script script: H, on @user_script:1."},
      {"redis.call('set','k','v') return redis.call('incr','k')",
       "-ERR value is not an integer or out of range script: H, on @user_script:1."},
      {"return redis.call('sadd','k','v')", "-WRONGTYPE Operation against a key holding the wrong kind of value script: "
                                             "H, on @user_script:1."},
      {"return redis.pcall('incr')", "-ERR Wrong number of args calling Redis command from script"},
      {"x y", "-ERR Error compiling script (new function): user_script:1: '=' expected near 'y'"},
      {"local ok, e = pcall(redis.call, 'get') return e",
       "\"ERR Wrong number of args calling Redis command from script\""},
      {"redis.setresp(4)", "-ERR RESP version must be 2 or 3. script: H, on @user_script:1."},
      {"redis.log(9,'x')", "-ERR Invalid debug level. script: H, on @user_script:1."},
      {"redis.set_repl(9)", "-ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE. script: "
                            "H, on @user_script:1."},
  });
}

TEST_F(ScriptTest, ShebangsSayWhatAScriptDoes) {
  ExpectEval({{"#!lua\nreturn 1", ":1"},
              {"#!lua flags=no-writes\nreturn redis.call('set','a','b')",
               "-ERR Write commands are not allowed from read-only scripts. script: H, on @user_script:2."},
              {"#!lua flags=no-writes,allow-stale\nreturn redis.call('get','a')", "nil"},
              {"#!foo\nreturn 1", "-ERR Unexpected engine in script shebang: #!foo"},
              {"#!lua flags=bad\nreturn 1", "-ERR Unexpected flag in script shebang: bad"},
              {"#!lua flags=no-writes,\nreturn 1", "-ERR Unexpected flag in script shebang: "},
              {"#!lua x=1\nreturn 1", "-ERR Unknown lua shebang option: x=1"},
              {"#!lua", "-ERR Invalid script shebang"}});
  EXPECT_EQ(Eval("return redis.call('set','a','b')", {"0"}, "EVAL_RO"),
            "-ERR Write commands are not allowed from read-only scripts. script: H, on @user_script:1.");
  EXPECT_EQ(Eval("return redis.call('publish','a','b')", {"0"}, "EVAL_RO"),
            "-ERR Write commands are not allowed from read-only scripts. script: H, on @user_script:1.");
  EXPECT_EQ(Eval("#!lua\nreturn 1", {"0"}, "EVAL_RO"),
            "-ERR Can not execute a script with write flag using *_ro command.");
  EXPECT_EQ(Eval("return redis.call('get','a')", {"0"}, "EVAL_RO"), "nil");
}

TEST_F(ScriptTest, ScriptsAreFoundByTheirHash) {
  const std::string hash = crypto::Sha1Hex("return 7");
  Expect({{"EVALSHA " + hash + " 0", "-NOSCRIPT No matching script. Please use EVAL."},
          {"SCRIPT EXISTS " + hash, "[:0]"}});
  EXPECT_EQ(c_->Do(std::vector<std::string>{"SCRIPT", "LOAD", "return 7"}), "\"" + hash + "\"");
  Expect({{"SCRIPT EXISTS " + hash + " x", "[:1, :0]"},
          {"EVALSHA " + hash + " 0", ":7"},
          {"EVALSHA_RO " + hash + " 0", ":7"},
          {"SCRIPT SHOW " + hash, "\"return 7\""},
          {"SCRIPT FLUSH x", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option"},
          {"FLUSHALL", "+OK"},
          {"EVALSHA " + hash + " 0", ":7"},
          {"SCRIPT FLUSH ASYNC", "+OK"},
          {"EVALSHA " + hash + " 0", "-NOSCRIPT No matching script. Please use EVAL."},
          {"SCRIPT KILL", "-NOTBUSY No scripts in execution right now."}});
}

TEST_F(ScriptTest, OnlyTheLastScriptsOfEvalAreKept) {
  ASSERT_EQ(c_->Do(std::vector<std::string>{"SCRIPT", "LOAD", "return -1"}).front(), '"');
  const std::string kept = crypto::Sha1Hex("return -1");
  for (int i = 0; i < 600; ++i) EXPECT_EQ(Eval("return " + std::to_string(i)), ":" + std::to_string(i));
  EXPECT_NE(Do("INFO memory").find("number_of_cached_scripts:501\r\n"), std::string::npos);
  EXPECT_EQ(Do("EVALSHA " + kept + " 0"), ":-1");
  EXPECT_EQ(Do("SCRIPT EXISTS " + crypto::Sha1Hex("return 0") + " " + crypto::Sha1Hex("return 599")), "[:0, :1]");
}

TEST_F(ScriptTest, NothingIsLeftInTheGlobals) {
  ExpectEval({
      {"a=10", "-ERR user_script:1: Attempt to modify a readonly table script: H, on @user_script:1."},
      {"return a", "-ERR user_script:1: Script attempted to access nonexistent global variable 'a' script: H, on "
                   "@user_script:1."},
      {"redis.x=1", "-ERR user_script:1: Attempt to modify a readonly table script: H, on @user_script:1."},
      {"redis.call=1", "-ERR user_script:1: Attempt to modify a readonly table script: H, on @user_script:1."},
      {"_G.x=1", "-ERR user_script:1: Attempt to modify a readonly table script: H, on @user_script:1."},
      {"getmetatable('').__index=1",
       "-ERR user_script:1: Attempt to modify a readonly table script: H, on @user_script:1."},
      {"getmetatable('').__index.x=1",
       "-ERR user_script:1: Attempt to modify a readonly table script: H, on @user_script:1."},
      {"getmetatable(_G).__index=1",
       "-ERR user_script:1: Attempt to modify a readonly table script: H, on @user_script:1."},
      {"rawset(_G,'x',1)", "-ERR Attempt to modify a readonly table script: H, on @user_script:1."},
      {"table.insert(redis,1)", "-ERR Attempt to modify a readonly table script: H, on @user_script:1."},
      {"setmetatable(redis,{})", "-ERR Attempt to modify a readonly table script: H, on @user_script:1."},
      {"local _,t = pairs(redis) t.x = 1",
       "-ERR user_script:1: Attempt to modify a readonly table script: H, on @user_script:1."},
      {"local f = loadstring('x = 1') f()",
       "-ERR [string \"x = 1\"]:1: Attempt to modify a readonly table script: H, on x = 1:1."},
      {"return redis.foo", "nil"},
      {"local n = 0 for k in pairs(redis) do n = n + 1 end return n > 20 and 1", ":1"},
      {"return rawget(redis,'call') == redis.call and 1", ":1"},
      {"return server.call == redis.call and 1", ":1"},
      {"local t = {1} table.insert(t,2) rawset(t,3,3) return table.remove(t)", ":3"},
  });
  // The place of an error is not written into what is shared.
  for (const char* shared : {"redis", "_G", "string"}) {
    EXPECT_TRUE(Eval("error(" + std::string(shared) + ")").starts_with("-ERR unknown error ")) << shared;
  }
  ExpectEval({{"return redis.source", "nil"},
              {"return string.source", "nil"},
              {"return pcall(function() return source end) and 1", "nil"}});
  for (const char* name : {"print", "dofile", "loadfile", "require", "module", "io", "debug", "package", "setfenv",
                           "getfenv", "newproxy"}) {
    EXPECT_EQ(Eval("return " + std::string(name)), "-ERR user_script:1: Script attempted to access nonexistent global "
                                                   "variable '" + std::string(name) + "' script: H, on @user_script:1.");
  }
}

TEST_F(ScriptTest, BytecodeIsRefused) {
  ExpectEval({{"return loadstring(string.dump(function() return 1 end)) == nil and 1", ":1"},
              {"local n = 0 return load(function() n = n + 1 if n == 1 then return '\\27Lua' end end) == nil and 1", ":1"},
              {"local n = 0 return load(function() n = n + 1 if n == 1 then return 'return 5' end end)()", ":5"},
              {"return os.clock() >= 0 and 1", ":1"},
              {"return os.execute", "nil"}});
  EXPECT_EQ(Eval("\033Lua").substr(0, 45), "-ERR Error compiling script (new function): u");
}

TEST_F(ScriptTest, RandomNumbersAreTheSameInEachRun) {
  // What drand48 gives for the seed 0.
  for (int run = 0; run < 2; ++run) EXPECT_EQ(Eval("return math.random()*1e9"), ":170828036");
  EXPECT_EQ(Eval("return {math.random(10),math.random(10),math.random(5,100)}"), "[:2, :8, :14]");
}

TEST_F(ScriptTest, TheDatabaseChosenInAScriptIsItsOwn) {
  ExpectEval({{"redis.call('select',3) redis.call('set','k','3') return redis.call('get','k')", "\"3\""},
              {"return redis.call('get','k')", "nil"}});
  Expect({{"GET k", "nil"}, {"SELECT 3", "+OK"}, {"GET k", "\"3\""}});
}

TEST_F(ScriptTest, ScriptsRunInsideTransactions) {
  Expect({{"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}});
  EXPECT_EQ(Eval("return redis.call('incr', KEYS[1])", {"1", "a"}), "+QUEUED");
  Expect({{"EXEC", "[+OK, :2]"}, {"GET a", "\"2\""}});
}

TEST_F(ScriptTest, AnErrorIsCountedOnce) {
  Do("SET s v");
  const auto count = [&](const std::string& script, const std::string& errors, const std::string& eval) {
    Do("CONFIG RESETSTAT");
    Eval(script);
    const std::string info = Do("INFO everything");
    EXPECT_NE(info.find("\r\ntotal_error_replies:" + errors + "\r\n"), std::string::npos) << script;
    const size_t at = info.find("cmdstat_eval:");
    EXPECT_NE(info.substr(at, info.find('\r', at) - at).find("failed_calls=" + eval), std::string::npos) << script;
    return info;
  };
  count("return redis.call('incr','s')", "1", "1");
  count("return redis.pcall('incr','s')", "1", "1");
  count("redis.pcall('incr','s') return 1", "1", "0");
  count("return redis.call('nope')", "1", "1");
  count("redis.pcall('nope') return 1", "1", "0");
  count("error('x')", "1", "1");
  count("local e = redis.pcall('incr','s') error(e.err)", "2", "1");
  count("for i = 1, 5 do redis.pcall('incr','s') end return 1", "5", "0");
  EXPECT_NE(count("return redis.error_reply('MY x')", "1", "1").find("errorstat_MY:count=1"), std::string::npos);
  EXPECT_NE(count("return redis.pcall('get')", "1", "1").find("cmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1"),
            std::string::npos);
}

TEST_F(ScriptTest, WhatSaysThatItWritesNothingIsNotPaused) {
  ASSERT_EQ(Do("SET k v"), "+OK");
  const std::string reads = "#!lua flags=no-writes\nreturn redis.call('get', 'k')";
  ASSERT_EQ(c_->Do(std::vector<std::string>{"FUNCTION", "LOAD", "#!lua name=l\nredis.register_function{function_name='f', "
                                            "callback=function() return redis.call('get', 'k') end, flags={'no-writes'}}"}),
            "\"l\"");
  const std::string hash = c_->Do(std::vector<std::string>{"SCRIPT", "LOAD", reads});
  auto queued = Connect(), other = Connect(), writer = Connect();
  EXPECT_EQ(writer->Do("MULTI"), "+OK");
  EXPECT_EQ(writer->Do(std::vector<std::string>{"EVAL", "#!lua\nreturn 2", "0"}), "+QUEUED");
  EXPECT_EQ(Do("CLIENT PAUSE 100000 WRITE"), "+OK");
  EXPECT_EQ(Eval(reads), "\"v\"");
  EXPECT_EQ(Do("EVALSHA " + hash + " 0"), "\"v\"");
  EXPECT_EQ(Do("FCALL f 0"), "\"v\"");
  EXPECT_EQ(Do("EVAL_RO 'return 1' 0"), ":1");
  EXPECT_EQ(queued->Do("MULTI"), "+OK");
  EXPECT_EQ(queued->Do(std::vector<std::string>{"EVAL", reads, "0"}), "+QUEUED");
  EXPECT_EQ(queued->Do("FCALL f 0"), "+QUEUED");
  EXPECT_EQ(queued->Do("EXEC"), "[\"v\", \"v\"]");
  // Whoever says nothing, or that it may write, waits.
  other->Send({"EVAL", "return 1", "0"});
  writer->Send({"EXEC"});
  EXPECT_TRUE(Eventually([&] { return Do("INFO clients").find("\r\nblocked_clients:2") != std::string::npos; }));
  EXPECT_EQ(Do("CLIENT UNPAUSE"), "+OK");
  EXPECT_EQ(other->Read(), ":1");
  EXPECT_EQ(writer->Read(), "[:2]");
}

TEST_F(ScriptTest, AUsersRulesHoldInScripts) {
  Expect({{"ACL SETUSER u on nopass ~a* +eval +get", "+OK"}, {"SET b 1", "+OK"}, {"AUTH u x", "+OK"}});
  EXPECT_EQ(Eval("return redis.call('get','b')"),
            "-NOPERM ACL failure in script: No permissions to access a key script: H, on @user_script:1.");
  EXPECT_EQ(Eval("return redis.call('set','a','b')"), "-NOPERM ACL failure in script: User u has no permissions to run "
                                                      "the 'set' command script: H, on @user_script:1.");
  EXPECT_EQ(Eval("return 1", {"1", "b"}), "-NOPERM No permissions to access a key");
  ExpectEval({{"return redis.acl_check_cmd('get','a1')", ":1"},
              {"return redis.acl_check_cmd('get','b')", "nil"},
              {"return redis.acl_check_cmd('nope')",
               "-ERR Invalid command passed to redis.acl_check_cmd() script: H, on @user_script:1."}});
}

TEST_F(ScriptTest, WithoutMemoryAScriptMayOnlyRead) {
  Expect({{"SET k v", "+OK"}, {"CONFIG SET maxmemory 1", "+OK"}});
  EXPECT_EQ(Eval("return redis.call('set','k','w')"),
            "-OOM command not allowed when used memory > 'maxmemory'. script: H, on @user_script:1.");
  EXPECT_EQ(Eval("#!lua\nreturn 1"),
            "-OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'");
  ExpectEval({{"return redis.call('get','k')", "\"v\""},
              {"redis.call('del','none') return redis.call('set','k','w')", "+OK"},
              {"#!lua flags=allow-oom\nreturn redis.call('set','k','x')", "+OK"},
              {"#!lua flags=no-writes\nreturn redis.call('get','k')", "\"x\""}});
  EXPECT_EQ(Do("CONFIG SET maxmemory 0"), "+OK");
}

TEST_F(ScriptTest, CommandsThatWaitDoNotWaitInScripts) {
  ExpectEval({{"return redis.call('blpop','none',0)", "nil"},
              {"return redis.call('blmove','none','other','left','right',0)", "nil"},
              {"return redis.call('bzpopmin','none',0)", "nil"},
              {"redis.call('rpush','l','a') return redis.call('brpop','l',0)", "[\"l\", \"a\"]"}});
}

TEST_F(ScriptTest, WhereADebuggerWouldStopScriptsGoOn) {
  ExpectEval({{"return redis.breakpoint()", "nil"}, {"redis.debug('x') return 1", ":1"}});
}

TEST_F(ScriptTest, HashesAndVersionsAreTold) {
  ExpectEval({{"return redis.sha1hex('')", "\"da39a3ee5e6b4b0d3255bfef95601890afd80709\""},
              {"return redis.sha1hex('abc')", "\"a9993e364706816aba3e25717850c26c9cd0d89d\""},
              {"return redis.REDIS_VERSION_NUM", ":" + std::to_string(0x070204)},
              {"return redis.replicate_commands()", ":1"}});
}

TEST_F(ScriptTest, ScriptsAreAtomicAcrossWorkers) {
  c_.reset();
  server_.reset();
  StartServer({"--workers", "3"});
  std::vector<std::thread> writers;
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&] {
      RespClient c(server_->port());
      for (int i = 0; i < 300; ++i) {
        c.Do(std::vector<std::string>{"EVAL", "redis.call('incr','a') redis.call('decr','b') return 1", "0"});
      }
    });
  }
  RespClient reader(server_->port());
  for (int i = 0; i < 500; ++i) {
    const std::string reply = reader.Do("MGET a b");
    if (reply == "[nil, nil]") continue;
    const size_t comma = reply.find(", ");
    ASSERT_EQ(std::stol(reply.substr(2)) + std::stol(reply.substr(comma + 3)), 0) << reply;
  }
  for (auto& t : writers) t.join();
  EXPECT_EQ(reader.Do("MGET a b"), "[\"900\", \"-900\"]");
}

}  // namespace
}  // namespace understudy::command
