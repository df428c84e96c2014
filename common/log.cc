#include "common/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <utility>

namespace understudy::log {
namespace {

spdlog::level::level_enum Map(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarn: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& Logger() {
  // Never destroyed: threads may log while statics are torn down.
  static spdlog::logger* logger = [] {
    auto* made = new spdlog::logger("understudy", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(spdlog::level::info);
    made->flush_on(spdlog::level::debug);
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L %v", spdlog::pattern_time_type::utc);
    return made;
  }();
  return *logger;
}

}  // namespace

bool SetLevel(std::string_view level) {
  constexpr std::pair<std::string_view, spdlog::level::level_enum> kLevels[] = {
      {"debug", spdlog::level::debug}, {"info", spdlog::level::info}, {"warn", spdlog::level::warn},
      {"error", spdlog::level::err},   {"off", spdlog::level::off}};
  for (const auto& [name, value] : kLevels) {
    if (level != name) continue;
    Logger().set_level(value);
    return true;
  }
  return false;
}

Status Init(std::string_view program, std::string_view level, const std::string& file) {
  if (!SetLevel(level)) {
    return Invalid(fmt::format("log level '{}' is not one of debug, info, warn, error, off", level));
  }
  if (!file.empty()) {
    try {
      Logger().sinks() = {std::make_shared<spdlog::sinks::basic_file_sink_mt>(file)};
    } catch (const spdlog::spdlog_ex& error) {
      return Unavailable(fmt::format("can't log to '{}': {}", file, error.what()));
    }
  }
  Logger().set_pattern(fmt::format("%Y-%m-%dT%H:%M:%S.%eZ %L {} %v", program), spdlog::pattern_time_type::utc);
  return {};
}

bool Enabled(Level level) { return Logger().should_log(Map(level)); }
void Write(Level level, std::string_view text) { Logger().log(Map(level), "{}", text); }

}  // namespace understudy::log
