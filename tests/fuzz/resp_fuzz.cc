// The parser of commands, arrays and inline ones: whatever the pieces in which the input comes, it
// finds what a parser finds that has all of it and takes the grammar letter by letter.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/resp/parser.h"
#include "tests/fuzz/fuzz.h"

namespace understudy::resp {
namespace {

using Words = std::vector<std::string>;

struct Parsed {
  std::vector<Words> commands;
  std::string error;
  bool operator==(const Parsed&) const = default;
};

constexpr Limits kLimits{.max_bulk_bytes = 1000, .max_arguments = 100};

// ---------------------------------------------------------------------------------------------- by
// the letter

// Without leading zeros, spaces or a plus.
std::optional<int64_t> NumberOf(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = text.substr(negative ? 1 : 0);
  if (text == "0") return 0;
  if (digits.empty() || digits.size() > 19 || digits[0] == '0') return std::nullopt;
  __int128 n = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    n = n * 10 + (c - '0');
  }
  if (n > INT64_MAX) return std::nullopt;
  return static_cast<int64_t>(negative ? -n : n);
}

class Reference {
 public:
  Reference(std::string_view input, const Limits& limits) : rest_(input), limits_(limits) {}

  Parsed Run() {
    while (!rest_.empty() && parsed_.error.empty()) {
      if (!(rest_[0] == '*' ? Array() : Inline())) break;
    }
    return std::move(parsed_);
  }

 private:
  bool Fail(std::string error) {
    parsed_.error = "Protocol error: " + error;
    return false;
  }
  // False: it breaks off.
  bool Header(std::string_view* text) {
    const size_t end = rest_.find('\r');
    if (end == std::string_view::npos || end + 2 > rest_.size()) return false;
    *text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 2);
    return true;
  }
  bool Array() {
    std::string_view text;
    if (!Header(&text)) return false;
    const int64_t count = NumberOf(text).value_or(INT64_MAX);
    if (count > limits_.max_arguments) return Fail("invalid multibulk length");
    if (limits_.unauthenticated && count > kUnauthenticatedArguments)
      return Fail("unauthenticated multibulk length");
    Words words;
    for (int64_t i = 0; i < count; ++i) {
      if (rest_.empty()) return false;
      if (rest_[0] != '$') return Fail(std::string("expected '$', got '") + rest_[0] + "'");
      if (!Header(&text)) return false;
      const int64_t size = NumberOf(text).value_or(-1);
      if (size < 0 || size > limits_.max_bulk_bytes) return Fail("invalid bulk length");
      if (limits_.unauthenticated && size > kUnauthenticatedBulkBytes)
        return Fail("unauthenticated bulk length");
      if (rest_.size() < static_cast<size_t>(size) + 2) return false;
      words.emplace_back(rest_.substr(0, static_cast<size_t>(size)));
      rest_.remove_prefix(static_cast<size_t>(size) + 2);
    }
    if (!words.empty()) parsed_.commands.push_back(std::move(words));
    return true;
  }
  bool Inline() {
    const size_t end = rest_.find('\n');
    if (end == std::string_view::npos) return false;
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    Words words;
    if (!SplitInline(line, &words)) return Fail("unbalanced quotes in request");
    if (!words.empty()) parsed_.commands.push_back(std::move(words));
    return true;
  }

  std::string_view rest_;
  const Limits limits_;
  Parsed parsed_;
};

// ---------------------------------------------------------------------------------------------- in
// pieces

// sizes: of the pieces, again and again.
Parsed InPieces(std::string_view input, const Limits& limits, std::string_view sizes) {
  Parsed parsed;
  std::unique_ptr<Partial> partial;
  std::string buffer;
  size_t piece = 0;
  while (!input.empty() && parsed.error.empty()) {
    const size_t size = std::min<size_t>(
        input.size(), sizes.empty() ? input.size()
                                    : static_cast<uint8_t>(sizes[piece++ % sizes.size()]) % 64 + 1);
    buffer += input.substr(0, size);
    input.remove_prefix(size);
    for (bool more = true; more && parsed.error.empty();) {
      // An allocation as long as the input, so that a look beyond it is seen.
      const std::vector<char> copy(buffer.begin(), buffer.end());
      Arguments arguments;
      const ParseResult result = Parse({copy.data(), copy.size()}, limits, &arguments, &partial);
      CHECK(result.consumed <= buffer.size());
      more = result.outcome == Outcome::kCommand;
      if (more) {
        CHECK(result.arguments == arguments.views.size() && result.arguments > 0 &&
              result.consumed > 0);
        parsed.commands.emplace_back(arguments.views.begin(), arguments.views.end());
      } else {
        CHECK(arguments.views.empty() || result.outcome == Outcome::kError);
        parsed.error = result.error;
      }
      if (result.outcome == Outcome::kNeedMore) CHECK(result.needed <= buffer.size() + 1100);
      buffer.erase(0, result.consumed);
    }
  }
  return parsed;
}

// As the worker reads a pipeline: the usual commands by ParsePlain.
Parsed Plain(std::string_view input, const Limits& limits) {
  Parsed parsed;
  std::unique_ptr<Partial> partial;
  const PlainLimits plain(limits);
  while (!input.empty()) {
    Arguments arguments;
    uint32_t count = 0;
    size_t used = ParsePlain(input.data(), input.data() + input.size(), plain, &arguments, &count);
    if (used == 0) {
      const ParseResult result = Parse(input, limits, &arguments, &partial);
      parsed.error = result.error;
      if (result.outcome != Outcome::kCommand) break;
      used = result.consumed;
    } else {
      CHECK(count == arguments.views.size() && count > 0);
    }
    parsed.commands.emplace_back(arguments.views.begin(), arguments.views.end());
    input.remove_prefix(used);
  }
  return parsed;
}

}  // namespace
}  // namespace understudy::resp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::resp;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  const std::string_view sizes = in.Bytes(how % 8);
  Limits limits = kLimits;
  limits.unauthenticated = (how & 0x80) != 0;
  const std::string_view input = in.Rest();
  if (input.size() > 4096) return -1;
  const Parsed expected = Reference(input, limits).Run();
  CHECK(InPieces(input, limits, {}) == expected);
  CHECK(InPieces(input, limits, sizes) == expected);
  CHECK(Plain(input, limits) == expected);
  return 0;
}
