// Glob patterns: a table of all prefixes gives the same answer, and no pattern takes more than text
// times pattern.
#include <vector>

#include "node/resp/glob.h"
#include "tests/fuzz/fuzz.h"

namespace {

struct Element {
  bool star = false;
  bool matches[256] = {};
};

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::vector<Element> ElementsOf(std::string_view pattern, bool ignore_case) {
  const auto fold = [&](char c) { return ignore_case ? Lower(c) : c; };
  std::vector<Element> elements;
  while (!pattern.empty()) {
    Element& element = elements.emplace_back();
    const auto take = [&] {
      const char c = pattern[0];
      pattern.remove_prefix(1);
      return c;
    };
    // Which characters, before they are folded.
    const auto allow = [&](char low, char high) {
      if (low > high) std::swap(low, high);
      for (int c = -128; c < 128; ++c) {
        const char folded = fold(static_cast<char>(c));
        if (folded >= low && folded <= high) element.matches[static_cast<uint8_t>(c)] = true;
      }
    };
    const char kind = take();
    if (kind == '*') {
      element.star = true;
    } else if (kind == '?') {
      std::fill(std::begin(element.matches), std::end(element.matches), true);
    } else if (kind == '[') {
      const bool negated = pattern.starts_with('^');
      if (negated) take();
      while (!pattern.empty() && pattern[0] != ']') {
        char low = take();
        if (low == '\\' && !pattern.empty()) {
          low = fold(take());
          allow(low, low);
        } else if (pattern.size() >= 2 && pattern[0] == '-') {
          take();
          allow(fold(low), fold(take()));
        } else {
          allow(fold(low), fold(low));
        }
      }
      if (!pattern.empty()) take();
      for (bool& match : element.matches) match = match != negated;
    } else {
      const char c = fold(kind == '\\' && !pattern.empty() ? take() : kind);
      allow(c, c);
    }
  }
  return elements;
}

bool Matches(const std::vector<Element>& elements, std::string_view text) {
  std::vector<bool> reached(text.size() + 1);  // by the elements so far, the text up to there
  reached[0] = true;
  for (const Element& element : elements) {
    std::vector<bool> next(text.size() + 1);
    for (size_t i = 0; i <= text.size(); ++i) {
      if (element.star) {
        next[i] = reached[i] || (i > 0 && next[i - 1]);
      } else {
        next[i] = i > 0 && reached[i - 1] && element.matches[static_cast<uint8_t>(text[i - 1])];
      }
    }
    reached = std::move(next);
  }
  return reached[text.size()];
}

}  // namespace

// First line: the pattern. "i" in front: in any case.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 2000) return -1;
  understudy::fuzz::Input in(data, size);
  const bool ignore_case = in.Byte() == 'i';
  const std::string pattern(in.Line()), text(in.Rest());
  CHECK(understudy::resp::GlobMatch(pattern, text, ignore_case) ==
        Matches(ElementsOf(pattern, ignore_case), text));
  return 0;
}
