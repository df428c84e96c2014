#include "node/acl/denial_log.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace understudy::acl {
namespace {

constexpr size_t kLookedAt = 10;
constexpr int64_t kSameForMs = 60'000;

}  // namespace

void DenialLog::Add(Entry entry, int64_t now_ms, size_t most) {
  entry.created_ms = entry.updated_ms = now_ms;
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(std::min(kLookedAt, entries_.size()));
  const auto same = std::find_if(entries_.begin(), end, [&](const Entry& e) {
    return e.reason == entry.reason && e.context == entry.context && std::abs(e.updated_ms - now_ms) <= kSameForMs &&
           e.object == entry.object && e.user == entry.user;
  });
  if (most > 0 && same != end) {
    Entry again = std::move(*same);
    entries_.erase(same);
    ++again.count;
    again.client = std::move(entry.client);
    again.updated_ms = now_ms;
    entries_.push_front(std::move(again));
  } else if (most > 0) {
    entry.id = next_id_++;
    entries_.push_front(std::move(entry));
  }
  if (entries_.size() > most) entries_.resize(most);
}

}  // namespace understudy::acl
