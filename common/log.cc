#include "common/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

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

Status Init(std::string_view program, std::string_view level) {
  Level parsed;
  if (level == "debug") {
    parsed = Level::kDebug;
  } else if (level == "info") {
    parsed = Level::kInfo;
  } else if (level == "warn") {
    parsed = Level::kWarn;
  } else if (level == "error") {
    parsed = Level::kError;
  } else {
    return Invalid(fmt::format("log level '{}' is not one of debug, info, warn, error", level));
  }
  Logger().set_level(Map(parsed));
  Logger().set_pattern(fmt::format("%Y-%m-%dT%H:%M:%S.%eZ %L {} %v", program), spdlog::pattern_time_type::utc);
  return {};
}

bool Enabled(Level level) { return Logger().should_log(Map(level)); }
void Write(Level level, std::string_view text) { Logger().log(Map(level), "{}", text); }

}  // namespace understudy::log
