// What the tests of commands on streams share.
#pragma once

#include <string>
#include <string_view>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {

class StreamTest : public ServerTest {
 protected:
  static constexpr const char* kBadId = "ERR Invalid stream ID specified as stream command argument";

  // Entries 1-0 to n-0, each with its number.
  void Fill(const std::string& key, int n) {
    for (int i = 1; i <= n; ++i) {
      const std::string number = std::to_string(i);
      EXPECT_EQ(Do("XADD " + key + " " + number + "-0 n " + number), "\"" + number + "-0\"");
    }
  }
  // The reply with such entries: "1-0 2-0".
  static std::string Ids(std::string_view ids) {
    std::string out;
    for (const std::string& id : test::SplitWords(ids)) {
      const std::string number = id.substr(0, id.find('-'));
      out += (out.empty() ? "" : ", ") + ("[\"" + id + "\", [\"n\", \"" + number + "\"]]");
    }
    return "[" + out + "]";
  }
};

}  // namespace understudy::command
