// Rules of users and files of them: a user that is written down and read back is the same, and may
// do the same.
#include <vector>

#include "node/resp/parser.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/node/acl/acl_fixture.h"

namespace understudy::acl {
namespace {

const CommandList& Commands() {
  static const CommandList* const commands = new CommandList(SomeCommands());
  return *commands;
}

void CompareVerdicts(const User& a, const User& b) {
  const std::string_view words[] = {"config", "get", "key1", "channel"};
  const KeyUse keys[] = {{"key1", kReads, 1}, {"key2", kWrites, 2}, {"", 0, 3}};
  const ChannelUse channels[] = {{"channel", false, 1}, {"ch*", true, 2}};
  for (uint32_t command = 0; command < Commands().size(); ++command) {
    for (size_t i = 0; i <= std::size(keys); ++i) {
      const Request request{command, words, std::span(keys).first(i),
                            std::span(channels).first(i == 0 ? 2 : 0)};
      const Verdict left = a.Check(request), right = b.Check(request);
      CHECK(left.denial == right.denial && left.argument == right.argument);
      CHECK(!a.everything() || left.allowed());
      CHECK(a.AllowsAnyArguments(command) == b.AllowsAnyArguments(command));
      CHECK(a.AllowsAllKeys(request, kReads) == b.AllowsAllKeys(request, kReads));
    }
  }
  CHECK(!LosesChannels(a, b, {}));
}

void WriteAndRead(const User& user, const Setting& setting) {
  const std::string text = FormatUser(user);
  const Result<Users> users = ParseUsers(text, "file", setting);
  CHECK(users.ok());
  const auto it = users->find(user.name());
  CHECK(it != users->end() && *it->second == user);
  CHECK(it->second->Describe() == user.Describe());
  CompareVerdicts(user, *it->second);
}

}  // namespace
}  // namespace understudy::acl

// First byte: r, rules of one user as words of a command; f, a file. In upper case: with all
// channels to begin with.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::acl;
  if (size > 2000) return -1;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  const Setting setting{Commands(), how == 'R' || how == 'F'};
  if (how == 'r' || how == 'R') {
    std::vector<std::string> words;
    if (!resp::SplitInline(in.Rest(), &words)) return 0;
    User user("alice", setting);
    const std::vector<std::string_view> views(words.begin(), words.end());
    if (!user.ApplyAll(setting, views).ok()) {
      User copy("alice", setting);
      for (const std::string_view word : views) {
        const User before = copy;
        if (!copy.Apply(setting, word).ok()) CHECK(copy == before);
      }
    }
    user.MayLogIn("password");
    WriteAndRead(user, setting);
  } else if (how == 'f' || how == 'F') {
    const Result<Users> users = ParseUsers(in.Rest(), "file", setting);
    if (!users.ok()) return 0;
    const std::string text = FormatUsers(*users);
    const Result<Users> again = ParseUsers(text, "file", setting);
    CHECK(again.ok() && again->size() == users->size() && FormatUsers(*again) == text);
    for (const auto& [name, user] : *users) WriteAndRead(*user, setting);
  } else {
    return -1;
  }
  return 0;
}
