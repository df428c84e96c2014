#include "node/command/scan_options.h"

#include <algorithm>
#include <charconv>

#include "node/command/call_context.h"
#include "node/resp/errors.h"

namespace understudy::command {
namespace {

// One call never walks more than this, whatever COUNT says.
constexpr int64_t kMostEntries = 1 << 24;

}  // namespace

bool ReadScanCursor(std::string_view text, uint64_t* cursor, resp::Writer& reply) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *cursor);
  if (error == std::errc() && end == text.data() + text.size() && !text.empty()) return true;
  reply.Error("ERR invalid cursor");
  return false;
}

bool ReadScanOptions(std::span<const std::string_view> words, std::optional<store::Type> scanned, ScanOptions* out,
                     resp::Writer& reply) {
  for (size_t i = 0; i < words.size(); ++i) {
    const bool last = i + 1 == words.size();
    if (Is(words[i], "count") && !last) {
      int64_t count = 0;
      if (!ReadInt64(words[++i], &count, reply)) return false;
      if (count < 1) {
        reply.Error(resp::kSyntaxError);
        return false;
      }
      out->count = static_cast<size_t>(std::min(count, kMostEntries));
    } else if (Is(words[i], "match") && !last) {
      out->pattern = words[++i];
    } else if (Is(words[i], "type") && !last && !scanned) {
      out->type = words[++i];
    } else if (Is(words[i], "novalues")) {
      if (scanned != store::Type::kHash) {
        reply.Error("ERR NOVALUES option can only be used in HSCAN");
        return false;
      }
      out->only_names = true;
    } else if (Is(words[i], "noscores")) {
      if (scanned != store::Type::kSortedSet) {
        reply.Error("ERR NOSCORES option can only be used in ZSCAN");
        return false;
      }
      out->only_names = true;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  return true;
}

}  // namespace understudy::command
