// Configuration: files, the command line, CONFIG SET, and what the operator declares. Nothing is
// taken by halves, and what CONFIG GET shows can be set.
#include <utility>
#include <vector>

#include "node/config/config.h"
#include "node/config/declaration.h"
#include "node/config/option_table.h"
#include "tests/fuzz/fuzz.h"

namespace understudy::config {
namespace {

constexpr std::string_view kAll[] = {"*"};

void File(std::string_view text) {
  Config config;
  const Status status = config.LoadText(text, "file");
  CHECK(status.ok() || !status.message().empty());
  CHECK(!config.Get(kAll).empty());
}

void CommandLine(fuzz::Input& in) {
  std::vector<std::string> arguments;
  while (!in.empty()) arguments.emplace_back(in.Line());
  // Another first word is the name of a file.
  if (arguments.empty() || !arguments[0].starts_with("-"))
    arguments.insert(arguments.begin(), "--standalone");
  Config config;
  if (config.Load(arguments).ok()) CHECK(!config.Get(kAll).empty());
}

void Set(fuzz::Input& in) {
  std::vector<std::pair<std::string_view, std::string_view>> changes;
  const bool managed = (in.Byte() & 1) != 0;
  while (!in.empty()) {
    const std::string_view line = in.Line();
    const size_t end = std::min(line.find(' '), line.size());
    changes.emplace_back(line.substr(0, end), line.substr(std::min(end + 1, line.size())));
  }
  Config config;
  const std::vector<Config::Pair> before = config.Get(kAll);
  if (!config.Set(changes, managed).ok()) {
    CHECK(config.Get(kAll) == before);
    return;
  }
  const std::vector<Config::Pair> after = config.Get(kAll);
  for (const auto& [name, value] : changes) {
    const std::string_view patterns[] = {name};
    for (const auto& [shown, text] : config.Get(patterns)) {
      const std::pair<std::string_view, std::string_view> again[] = {{shown, text}};
      CHECK((FindOption(shown)->flags & kLive) == 0 || config.Set(again, false).ok());
    }
  }
  CHECK(config.Get(kAll) == after);
}

// Two declarations, parted by an empty line.
void Declare(fuzz::Input& in) {
  const std::vector<std::string> arguments = {"--maxmemory", "1gb",  "--timeout",
                                              "10",          "--hz", "20"};
  Config config;
  CHECK(config.Load(arguments).ok());
  Declaration declaration(config, arguments);
  while (!in.empty()) {
    control::Parameters declared;
    for (std::string_view line = in.Line(); !line.empty(); line = in.Line()) {
      const size_t end = std::min(line.find(' '), line.size());
      const std::string name(line.substr(0, end));
      if (name == "hold") {
        declared.hold.emplace_back(line.substr(std::min(end + 1, line.size())));
      } else {
        declared.values.push_back({name, std::string(line.substr(std::min(end + 1, line.size())))});
      }
    }
    declaration.Take(declared);
    CHECK(declaration.state().taken == control::ParametersHash(declared));
  }
}

}  // namespace
}  // namespace understudy::config

// First byte: f, c, s or d.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy::config;
  understudy::fuzz::Input in(data, size);
  switch (in.Byte()) {
    case 'f':
      File(in.Rest());
      break;
    case 'c':
      CommandLine(in);
      break;
    case 's':
      Set(in);
      break;
    case 'd':
      Declare(in);
      break;
    default:
      return -1;
  }
  return 0;
}
