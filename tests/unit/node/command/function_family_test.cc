#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

constexpr char kLibrary[] =
    "#!lua name=mylib\n"
    "redis.register_function{function_name='f1',callback=function(k,a) return redis.call('get') end,description='d',"
    "flags={'no-writes'}}\n"
    "redis.register_function('f2',function(k,a) undefinedx() end)\n"
    "redis.register_function('f3',function(k,a) return {#k,#a} end)";

class FunctionTest : public ServerTest {
 protected:
  std::string Load(const std::string& code, bool replace = false) {
    std::vector<std::string> words = {"FUNCTION", "LOAD"};
    if (replace) words.push_back("REPLACE");
    words.push_back(code);
    return c_->Do(words);
  }
  // A library `a` with this body.
  std::string LoadBody(const std::string& body) { return Load("#!lua name=a\n" + body); }
};

TEST_F(FunctionTest, FunctionsAreCalled) {
  EXPECT_EQ(Load(kLibrary), "\"mylib\"");
  Expect({{"FCALL f3 1 a b", "[:1, :1]"},
          {"FCALL F3 0", "[:0, :0]"},
          {"FCALL f9 0", "-ERR Function not found"},
          {"FCALL f1 0",
           "-ERR Wrong number of args calling Redis command from script script: f1, on @user_function:2."},
          {"FCALL f2 0",
           "-ERR user_function:3: Script attempted to access nonexistent global variable 'undefinedx' script: f2, on "
           "@user_function:3."},
          {"FCALL_RO f3 0", "-ERR Can not execute a script with write flag using *_ro command."},
          {"FCALL f3 x", "-ERR Bad number of keys provided"},
          {"FCALL f3 -1", "-ERR Number of keys can't be negative"},
          {"FCALL f3 3 a", "-ERR Number of keys can't be greater than number of args"},
          {"FUNCTION LIST",
           "[[\"library_name\", \"mylib\", \"engine\", \"LUA\", \"functions\", [[\"name\", \"f1\", \"description\", "
           "\"d\", \"flags\", [+no-writes]], [\"name\", \"f2\", \"description\", nil, \"flags\", []], [\"name\", \"f3\", "
           "\"description\", nil, \"flags\", []]]]]"},
          {"FUNCTION LIST LIBRARYNAME x*", "[]"},
          {"FUNCTION LIST LIBRARYNAME", "-ERR library name argument was not given"},
          {"FUNCTION LIST x", "-ERR Unknown argument x"},
          {"FUNCTION STATS",
           "[\"running_script\", nil, \"engines\", [\"LUA\", [\"libraries_count\", :1, \"functions_count\", :3]]]"},
          {"FUNCTION DELETE x", "-ERR Library not found"},
          {"FUNCTION FLUSH x", "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option"},
          {"FUNCTION DELETE mylib", "+OK"},
          {"FCALL f3 0", "-ERR Function not found"}});
}

TEST_F(FunctionTest, ALibraryThatIsWrongChangesNothing) {
  ASSERT_EQ(Load(kLibrary), "\"mylib\"");
  const std::string registering = "-ERR Error registering functions: ";
  const std::pair<std::string, std::string> bodies[] = {
      {"redis.call('get','x')",
       registering + "ERR user_function:2: Script attempted to access nonexistent global variable 'call'"},
      {"x=1", registering + "ERR user_function:2: Attempt to modify a readonly table"},
      {"return y", registering + "ERR user_function:2: Script attempted to access nonexistent global variable 'y'"},
      {"redis.register_function(1)",
       registering + "ERR calling redis.register_function with a single argument is only applicable to Lua table "
                     "(representing named arguments)."},
      {"redis.register_function('x.',function() end)",
       registering + "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one "
                     "character long"},
      {"redis.register_function{function_name='x',callback=1}",
       registering + "ERR callback argument given to redis.register_function must be a function"},
      {"redis.register_function{function_name='x',callback=function() end,flags={'q'}}",
       registering + "ERR unknown flag given"},
      {"redis.register_function('x',function() end) redis.register_function('x',function() end)",
       registering + "ERR Function already exists in the library"},
      {"local", "-ERR Error compiling function: user_function:2: '<name>' expected near '<eof>'"},
      {"return 1", "-ERR No functions registered"},
      {"redis.register_function('f3',function() end)", "-ERR Function f3 already exists"},
      {"while true do end", registering + "ERR FUNCTION LOAD timeout"},
  };
  for (const auto& [body, error] : bodies) EXPECT_EQ(LoadBody(body), error) << body;
  EXPECT_EQ(Load("x"), "-ERR Missing library metadata");
  EXPECT_EQ(Load("#!lua\nx"), "-ERR Library name was not given");
  EXPECT_EQ(Load("#!lua nam=a\nx"), "-ERR Invalid metadata value given: nam=a");
  EXPECT_EQ(Load("#!lua name=a.b\nx"), "-ERR Library names can only contain letters, numbers, or underscores(_) and must "
                                       "be at least one character long");
  EXPECT_EQ(Load("#!x name=a\nx"), "-ERR Engine 'x' not found");
  EXPECT_EQ(Load(kLibrary), "-ERR Library 'mylib' already exists");
  EXPECT_EQ(Do("FUNCTION LOAD zz x"), "-ERR Unknown option given: zz");
  EXPECT_EQ(Do("FCALL f3 0"), "[:0, :0]");
  EXPECT_NE(Do("INFO memory").find("number_of_functions:3\r\n"), std::string::npos);
  EXPECT_EQ(Load("#!lua name=mylib\nredis.register_function('g',function() return 1 end)", true), "\"mylib\"");
  Expect({{"FCALL g 0", ":1"}, {"FCALL f3 0", "-ERR Function not found"}});
}

TEST_F(FunctionTest, DumpAndRestoreKeepAllLibraries) {
  ASSERT_EQ(Load(kLibrary), "\"mylib\"");
  const std::string printed = Do("FUNCTION DUMP");
  c_->SendRaw("FUNCTION DUMP\r\n");
  const std::string head = c_->ReadRaw(1);
  ASSERT_EQ(head, "$");
  std::string digits;
  for (std::string c; (c = c_->ReadRaw(1)) != "\r";) digits += c;
  c_->ReadRaw(1);
  const std::string dump = c_->ReadRaw(std::stoul(digits));
  c_->ReadRaw(2);
  const auto restore = [&](const std::string& bytes, const std::string& policy) {
    return c_->Do(std::vector<std::string>{"FUNCTION", "RESTORE", bytes, policy});
  };
  EXPECT_EQ(restore(dump, "APPEND"), "-ERR Library mylib already exists");
  EXPECT_EQ(restore(dump, "x"), "-ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
  EXPECT_EQ(restore(dump, "REPLACE"), "+OK");
  EXPECT_EQ(restore(dump, "FLUSH"), "+OK");
  EXPECT_EQ(Do("FUNCTION FLUSH"), "+OK");
  EXPECT_EQ(Do("FCALL f3 0"), "-ERR Function not found");
  EXPECT_EQ(restore(dump, "APPEND"), "+OK");
  EXPECT_EQ(Do("FCALL f3 0"), "[:0, :0]");
  EXPECT_EQ(Do("FUNCTION DUMP"), printed);
  // Every damaged byte is found.
  for (size_t i = 0; i < dump.size(); ++i) {
    std::string damaged = dump;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_EQ(restore(damaged, "REPLACE").front(), '-') << i;
    EXPECT_EQ(restore(dump.substr(0, i), "REPLACE"), "-ERR DUMP payload version or checksum are wrong") << i;
  }
}

}  // namespace
}  // namespace understudy::command
