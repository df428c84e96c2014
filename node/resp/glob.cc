#include "node/resp/glob.h"

#include <algorithm>
#include <cctype>

namespace understudy::resp {
namespace {

char Fold(char c, bool ignore_case) {
  return ignore_case ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : c;
}

// Does the element of `pattern` at *p (not a "*") match `c`? Moves *p behind the element.
bool MatchOne(std::string_view pattern, size_t* p, char c, bool ignore_case) {
  const char kind = pattern[(*p)++];
  c = Fold(c, ignore_case);
  if (kind == '?') return true;
  if (kind == '\\' && *p < pattern.size()) return Fold(pattern[(*p)++], ignore_case) == c;
  if (kind != '[') return Fold(kind, ignore_case) == c;
  const bool negated = *p < pattern.size() && pattern[*p] == '^';
  if (negated) ++*p;
  bool found = false;
  while (*p < pattern.size() && pattern[*p] != ']') {
    if (pattern[*p] == '\\' && *p + 1 < pattern.size()) {
      ++*p;
      found = found || Fold(pattern[*p], ignore_case) == c;
      ++*p;
    } else if (*p + 2 < pattern.size() && pattern[*p + 1] == '-') {
      char low = Fold(pattern[*p], ignore_case), high = Fold(pattern[*p + 2], ignore_case);
      if (low > high) std::swap(low, high);
      found = found || (c >= low && c <= high);
      *p += 3;
    } else {
      found = found || Fold(pattern[*p], ignore_case) == c;
      ++*p;
    }
  }
  if (*p < pattern.size()) ++*p;  // the "]"; a class that is not closed ends with the pattern
  return found != negated;
}

}  // namespace

bool GlobMatch(std::string_view pattern, std::string_view text, bool ignore_case) {
  if (text.empty()) return pattern.empty();
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
      continue;
    }
    size_t next = p;
    if (p < pattern.size() && MatchOne(pattern, &next, text[t], ignore_case)) {
      p = next;
      ++t;
      continue;
    }
    if (star == std::string_view::npos) return false;
    p = star + 1;
    t = ++star_text;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace understudy::resp
