#include "node/config/notify_classes.h"

namespace understudy::config {
namespace {

struct Letter {
  char letter;
  uint32_t classes;
};
// In the order in which they are shown: A stands for the first ten.
constexpr Letter kLetters[] = {
    {'g', kNotifyGeneric},  {'$', kNotifyString},  {'l', kNotifyList},     {'s', kNotifySet},
    {'h', kNotifyHash},     {'z', kNotifySortedSet}, {'x', kNotifyExpired}, {'e', kNotifyEvicted},
    {'t', kNotifyStream},   {'d', kNotifyModule},  {'n', kNotifyNew},      {'K', kNotifyKeyspace},
    {'E', kNotifyKeyevent}, {'m', kNotifyKeyMiss},
};
constexpr uint32_t kAll = kNotifyGeneric | kNotifyString | kNotifyList | kNotifySet | kNotifyHash | kNotifySortedSet |
                          kNotifyExpired | kNotifyEvicted | kNotifyStream | kNotifyModule;

}  // namespace

std::optional<uint32_t> ParseNotifyClasses(std::string_view letters) {
  uint32_t classes = 0;
  for (const char c : letters) {
    uint32_t named = c == 'A' ? kAll : 0;
    for (const Letter& l : kLetters) {
      if (l.letter == c) named = l.classes;
    }
    if (named == 0) return std::nullopt;
    classes |= named;
  }
  return classes;
}

std::string NotifyLetters(uint32_t classes) {
  const bool all = (classes & kAll) == kAll;
  std::string letters = all ? "A" : "";
  for (const Letter& l : kLetters) {
    if ((classes & l.classes) && !(all && (l.classes & kAll))) letters += l.letter;
  }
  return letters;
}

}  // namespace understudy::config
