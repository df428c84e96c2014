// Numbers, sizes, IDs and times as clients, files and resources spell them, beside what the C
// library makes of them.
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "common/canonical_int.h"
#include "node/config/config.h"
#include "node/config/notify_classes.h"
#include "node/types/score_text.h"
#include "node/types/stream_id.h"
#include "operator/api/meta.h"
#include "operator/api/validate.h"
#include "operator/plan/maintenance_window.h"
#include "tests/fuzz/fuzz.h"

namespace understudy {
namespace {

void Integers(const std::string& text) {
  int64_t value = 0, canonical = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_canonical = error == std::errc() && std::to_string(value) == text;
  CHECK(ParseCanonicalInt(text, &canonical) == is_canonical);
  CHECK(!is_canonical || canonical == value);
}

void Scores(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const double value = std::strtod(text.c_str(), &end);
  const bool whole = !text.empty() && end == text.c_str() + text.size() &&
                     std::strchr(" \t\n\v\f\r", text[0]) == nullptr;
  const bool fits = errno != ERANGE || (!std::isinf(value) && value != 0);
  const std::optional<double> score = types::ParseScore(text);
  CHECK(score.has_value() == (whole && fits && !std::isnan(value)));
  CHECK(!score || *score == value);
  if (const auto bound = types::ParseScoreBound(text)) CHECK(!std::isnan(bound->value));
  if (const auto bound = types::ParseLexBound(text)) CHECK(bound->member.size() <= text.size());
}

void PrintedScore(double score) {
  if (std::isnan(score)) return;
  types::ScoreBuffer buffer;
  const std::string text(types::FormatScore(score, buffer));
  const std::optional<double> again = types::ParseScore(text);
  CHECK(again && *again == score && std::signbit(*again) == std::signbit(score));
}

void StreamIds(const std::string& text) {
  if (const auto id = types::ParseStreamId(text); id.ok()) {
    const auto again = types::ParseStreamId(id->ToString());
    CHECK(again.ok() && *again == *id);
    char bytes[types::StreamId::kBytes];
    id->Store(bytes);
    CHECK(types::StreamId::Load(bytes) == *id);
    types::StreamId next = *id;
    if (types::Increment(&next)) {
      CHECK(next > *id && types::Decrement(&next) && next == *id);
    } else {
      CHECK(*id == types::kMaxStreamId);
    }
  }
  const auto first = types::ParseRangeStart(text), last = types::ParseRangeEnd(text);
  // Without a sequence number, all of a millisecond but its ends are left.
  const bool excluded = text.starts_with('(') && text.find('-') != std::string::npos;
  if (first.ok() && last.ok()) CHECK(excluded ? *first > *last : *first <= *last);
  if (const auto id = types::ParseNewStreamId(text); id.ok()) CHECK(!id->auto_ms || id->auto_seq);
  CHECK(types::ParseStreamPosition(text).ok() == (text == "$" || types::ParseStreamId(text).ok()));
}

void Sizes(const std::string& text) {
  const Result<int64_t> node = config::ParseMemory(text);
  const int64_t api = api::ParseMemorySize(text);
  // The operator lets nothing pass that a node would refuse, or understand otherwise.
  CHECK(api >= -1 && (api == -1 || (node.ok() && *node == api)));
  if (const auto classes = config::ParseNotifyClasses(text)) {
    CHECK(config::ParseNotifyClasses(config::NotifyLetters(*classes)) == classes);
  }
  if (const auto quantity = api::ParseQuantityMillis(text); quantity.ok()) CHECK(*quantity >= 0);
}

void Times(const std::string& text) {
  if (const Result<Duration> duration = api::ParseDuration(text); duration.ok()) {
    CHECK(duration->ns >= 0);
    const Result<Duration> again = api::ParseDuration(api::FormatDuration(*duration));
    CHECK(again.ok() && again->ms() == duration->ms());
  }
  if (const auto window = plan::ParseMaintenanceWindow(text); window.ok()) {
    const auto again = plan::ParseMaintenanceWindow(window->Text());
    CHECK(again.ok() && *again == *window);
    CHECK(window->NextOpening(WallTime{0}) > WallTime{0});
  }
}

}  // namespace
}  // namespace understudy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  if (size > 400) return -1;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Integers(text);
  Scores(text);
  StreamIds(text);
  Sizes(text);
  Times(text);
  double score = 0;
  std::memcpy(&score, data, std::min(size, sizeof score));
  PrintedScore(score);
  return 0;
}
