// Rules at random: whatever is applied, the user's description makes the same user again.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/node/acl/acl_fixture.h"

namespace understudy::acl {
namespace {

class RandomRules {
 public:
  explicit RandomRules(uint64_t seed) : random_(seed) {}

  uint64_t Below(uint64_t n) { return random_() % n; }
  template <size_t N>
  std::string Pick(const char* const (&words)[N]) {
    return words[Below(N)];
  }
  std::string Rule() {
    static constexpr const char* kOfUser[] = {"on",
                                              "off",
                                              "nopass",
                                              "resetpass",
                                              ">a",
                                              ">b",
                                              "<a",
                                              "skip-sanitize-payload",
                                              "sanitize-payload",
                                              "clearselectors",
                                              "reset"};
    const uint64_t kind = Below(20);
    if (kind == 0) return Pick(kOfUser);
    if (kind > 2) return OfSelector();
    std::string selector = "(";
    for (uint64_t i = Below(5); i > 0; --i) selector += OfSelector() + (i > 1 ? " " : "");
    return selector + ")";
  }
  // Anything.
  std::string Garbage() {
    static constexpr char kBytes[] = "+-~&%<>#!()@|* abRWgetconfig0\"'\\\xff\t";
    std::string out;
    for (uint64_t i = Below(12); i > 0; --i) out += kBytes[Below(sizeof kBytes)];
    return out;
  }

 private:
  std::string OfSelector() {
    static constexpr const char* kWords[] = {"allkeys",     "resetkeys",     "~*", "~a", "~b*", "%R~a", "%W~c", "%RW~d",
                                             "allchannels", "resetchannels", "&*", "&a", "&b*"};
    static constexpr const char* kCommands[] = {"get",         "SET",    "del",        "select",     "select|0",
                                                "select|1",    "config", "config|get", "config|set", "list59",
                                                "last",        "@all",   "@string",    "@write",     "@slow",
                                                "@connection", "@list",  "@admin",     "nothing",    "@nothing"};
    if (Below(3) == 0) return Pick(kWords);
    return (Below(2) == 0 ? "+" : "-") + Pick(kCommands);
  }
  std::mt19937_64 random_;
};

// A user's line of the ACL file reads back as him.
void ExpectReadsBack(const User& user, const Setting& setting) {
  const std::string line = FormatUser(user);
  const Result<Users> users = ParseUsers(line + "\n", "file", setting);
  ASSERT_TRUE(users.ok()) << line << ": " << users.status().ToString();
  const User& again = *users->at(user.name());
  EXPECT_EQ(again.Describe(), user.Describe());
  EXPECT_TRUE(again == user) << line;
  EXPECT_EQ(again.everything(), user.everything()) << line;
}

TEST(UserRandom, EveryDescriptionReadsBackAsTheSameUser) {
  const CommandList commands = SomeCommands();
  for (uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    RandomRules random(seed);
    const Setting setting{commands, seed % 4 == 0};
    User user("bob", setting);
    for (int i = 0; i < 40; ++i) {
      const User before = user;
      const std::string rule = random.Rule();
      if (!user.Apply(setting, rule).ok()) {
        EXPECT_TRUE(user == before) << rule << " failed and changed something";
      }
      ExpectReadsBack(user, setting);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(UserRandom, GarbageIsRefusedOrTaken) {
  const CommandList commands = SomeCommands();
  RandomRules random(1);
  User user("bob", {commands});
  int taken = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::string> words;
    for (uint64_t n = random.Below(4) + 1; n > 0; --n)
      words.push_back(random.Below(2) ? random.Garbage() : random.Rule());
    const std::vector<std::string_view> views(words.begin(), words.end());
    const Status status = user.ApplyAll({commands}, views);
    taken += status.ok();
    EXPECT_EQ(status.ok(), status.message().empty());
    if (i % 100 == 0) user = User("bob", {commands});
  }
  EXPECT_GT(taken, 1000);
  EXPECT_FALSE(user.Describe().empty());
}

}  // namespace
}  // namespace understudy::acl
