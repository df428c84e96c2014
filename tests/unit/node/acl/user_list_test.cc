#include "node/acl/user_list.h"

#include <gtest/gtest.h>

#include "tests/unit/node/acl/acl_fixture.h"

namespace understudy::acl {
namespace {

TEST(UserList, ReadsWhatItWrites) {
  const CommandList commands = SomeCommands();
  const std::string text = "\n  user bob on nopass ~a  +get (~b +set)\r\nuser alice off resetchannels -@all\n\n";
  const Result<Users> users = ParseUsers(text, "f", {commands});
  ASSERT_TRUE(users.ok()) << users.status().ToString();
  const std::string written = FormatUsers(*users);
  EXPECT_EQ(written,
            "user alice off sanitize-payload resetchannels -@all\n"
            "user bob on nopass sanitize-payload ~a resetchannels -@all +get (~b resetchannels -@all +set)\n"
            "user default on nopass sanitize-payload ~* &* +@all\n");
  EXPECT_EQ(FormatUsers(*ParseUsers(written, "f", {commands})), written);
}

TEST(UserList, TellsAllMistakesWithTheirLines) {
  const CommandList commands = SomeCommands();
  const std::string end = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
  const std::pair<std::string, std::string> cases[] = {
      {"bob on", "f:1 should start with user keyword followed by the username. "},
      {"user", "f:1 should start with user keyword followed by the username. "},
      {"user bob on\n\nuser bob on", "WARNING: Duplicate user 'bob' found on line 3. "},
      {"user a\tb on", "'f:1: username 'a\tb' contains invalid characters. "},
      {"user bob +nope +@nope",
       "f:1: Error in applying operation '+nope': Unknown command or category name in ACL. "
       "f:1: Error in applying operation '+@nope': Unknown command or category name in ACL. "},
      {"user bob >secret foo bar", "f:1: Syntax error. "},
      {"user bob (+get", "f:1: Unmatched parenthesis in selector definition. "},
      {"user a foo\nuser b foo", "f:1: Syntax error. f:2: Syntax error. "},
  };
  for (const auto& [text, errors] : cases) {
    const Result<Users> users = ParseUsers(text, "f", {commands});
    ASSERT_FALSE(users.ok()) << text;
    EXPECT_EQ(users.status().message(), errors + end);
  }
}

}  // namespace
}  // namespace understudy::acl
