// Logging for both programs: one line a message to standard error or a file, any thread. The library behind it
// (spdlog) is named in log.cc only, apart from its formatter.
//   LOG_INFO("replica {} attached at offset {}", name, offset);
// Levels: debug (development), info (each change of state, once), warn (something a person may have to
// look at), error (work was lost or refused).
#pragma once

#include <spdlog/fmt/fmt.h>

#include <string>
#include <string_view>

#include "common/result.h"

namespace understudy::log {

enum class Level { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3 };

// level: debug, info, warn, error or off. file: empty = standard error. Called once in main, before other threads
// start.
Status Init(std::string_view program, std::string_view level, const std::string& file = "");
// Any thread. False: there is no such level.
bool SetLevel(std::string_view level);
bool Enabled(Level level);
void Write(Level level, std::string_view text);

}  // namespace understudy::log

#define UNDERSTUDY_LOG(level, ...)                                                       \
  do {                                                                                   \
    if (::understudy::log::Enabled(level)) ::understudy::log::Write(level, fmt::format(__VA_ARGS__)); \
  } while (false)
#define LOG_DEBUG(...) UNDERSTUDY_LOG(::understudy::log::Level::kDebug, __VA_ARGS__)
#define LOG_INFO(...) UNDERSTUDY_LOG(::understudy::log::Level::kInfo, __VA_ARGS__)
#define LOG_WARN(...) UNDERSTUDY_LOG(::understudy::log::Level::kWarn, __VA_ARGS__)
#define LOG_ERROR(...) UNDERSTUDY_LOG(::understudy::log::Level::kError, __VA_ARGS__)
