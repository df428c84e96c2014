// Turns input bytes into commands: RESP2 arrays of bulk strings, and inline commands.
//
// Arguments are views into the input, in a caller's vector that is re-used from turn to turn: no allocation
// per command. A command that has not arrived as a whole leaves a Partial behind, with which parsing goes on
// where it stopped, so that a command of a million arguments in small pieces costs linear time.
// Errors and limits are Redis's, word for word (clients and test suites match on them). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::resp {

struct Limits {
  int64_t max_bulk_bytes = 512LL * 1024 * 1024;  // proto-max-bulk-len
  int64_t max_arguments = INT32_MAX;
  // Before a client has authenticated: it must not make the server reserve memory.
  bool unauthenticated = false;
};
inline constexpr size_t kMaxInlineBytes = 64 * 1024;
inline constexpr int64_t kUnauthenticatedArguments = 10;
inline constexpr int64_t kUnauthenticatedBulkBytes = 16384;

// The arguments of the commands of a turn. Views point into the input, or into `unquoted` for words of inline
// commands that were written in quotes.
struct Arguments {
  std::vector<std::string_view> views;
  std::deque<std::string> unquoted;
  void Clear() {
    views.clear();
    unquoted.clear();
  }
};

// Where parsing of one command stopped. Offsets count from the command's first byte.
struct Partial {
  struct Range {
    size_t offset, size;
  };
  int64_t arguments = -1;    // announced, -1 = header not read yet
  int64_t bulk_bytes = -1;   // of the argument that is being read, -1 = its header not read yet
  size_t position = 0;       // next byte to look at
  std::vector<Range> done;   // arguments read
};

enum class Outcome : uint8_t {
  kCommand,   // one command; its arguments were appended
  kNeedMore,  // not there as a whole yet
  kError,     // the connection can't go on: ParseResult::error says why
};

struct ParseResult {
  Outcome outcome = Outcome::kNeedMore;
  size_t consumed = 0;  // kCommand: bytes of the command (and of empty lines before it). kNeedMore: bytes of
                        // empty commands before the unfinished one, which can be dropped
  size_t needed = 0;    // kNeedMore: the least total size of the input (after `consumed`) worth another try
  size_t arguments = 0;
  std::string error;    // kError: "Protocol error: ..." without the leading "-ERR "
};

// Parses the first command of `input`. partial: null before the first try; must be handed back with the same
// input (and more) after kNeedMore.
ParseResult Parse(std::string_view input, const Limits& limits, Arguments* arguments,
                  std::unique_ptr<Partial>* partial);

// The words of a line, with Redis's quoting ("a\x41\n", 'a\'b'); false if the quotes don't match. Inline
// commands and configuration files.
bool SplitInline(std::string_view line, std::vector<std::string>* words);

}  // namespace understudy::resp
