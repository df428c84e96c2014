#include "node/resp/parser.h"

#include <algorithm>
#include <cstring>

namespace understudy::resp {
namespace {

struct Line {
  bool complete = false;
  std::string_view text;  // without the line end
  size_t next = 0;        // where the next byte is
};

// A header line: at most kMaxInlineBytes, ended by \r and one more byte.
Line ReadLine(std::string_view input, size_t at) {
  const char* begin = input.data() + at;
  const void* cr = std::memchr(begin, '\r', input.size() - at);
  if (cr == nullptr) return {};
  const size_t size = static_cast<size_t>(static_cast<const char*>(cr) - begin);
  if (at + size + 2 > input.size()) return {};
  return {true, {begin, size}, at + size + 2};
}

// A decimal integer without leading zeros, spaces or a plus, as Redis reads them.
bool ParseNumber(std::string_view text, int64_t* out) {
  if (text.empty() || text.size() > 20) return false;
  const bool negative = text[0] == '-';
  size_t i = negative ? 1 : 0;
  if (i == text.size()) return false;
  if (text[i] == '0') {
    *out = 0;
    return text.size() == 1;
  }
  uint64_t value = 0;
  for (; i < text.size(); ++i) {
    const unsigned digit = static_cast<unsigned char>(text[i]) - '0';
    if (digit > 9) return false;
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value)) return false;
  }
  if (value > static_cast<uint64_t>(INT64_MAX)) return false;
  *out = negative ? -static_cast<int64_t>(value) : static_cast<int64_t>(value);
  return true;
}

ParseResult Failed(std::string error) {
  ParseResult r;
  r.outcome = Outcome::kError;
  r.error = std::move(error);
  return r;
}

std::string Unexpected(char got) {
  std::string text = "Protocol error: expected '$', got '";
  text.push_back(got);
  return text + "'";
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f'; }

// One word that starts at `i`; moves `i` behind it. False if its quotes don't match.
bool ReadWord(std::string_view line, size_t* i, std::string* word) {
  bool in_double = false, in_single = false;
  for (;; ++*i) {
    const bool end = *i >= line.size();
    const char c = end ? '\0' : line[*i];
    if (in_double) {
      if (end) return false;
      if (c == '\\' && *i + 3 < line.size() && line[*i + 1] == 'x' && HexDigit(line[*i + 2]) >= 0 &&
          HexDigit(line[*i + 3]) >= 0) {
        word->push_back(static_cast<char>(HexDigit(line[*i + 2]) * 16 + HexDigit(line[*i + 3])));
        *i += 3;
      } else if (c == '\\' && *i + 1 < line.size()) {
        const char escaped = line[++*i];
        constexpr std::string_view kNames = "nrtba", kBytes = "\n\r\t\b\a";
        const size_t which = kNames.find(escaped);
        word->push_back(which == std::string_view::npos ? escaped : kBytes[which]);
      } else if (c == '"') {
        ++*i;
        return *i >= line.size() || IsSpace(line[*i]);  // a closing quote ends the word
      } else {
        word->push_back(c);
      }
    } else if (in_single) {
      if (end) return false;
      if (c == '\\' && *i + 1 < line.size() && line[*i + 1] == '\'') {
        word->push_back('\'');
        ++*i;
      } else if (c == '\'') {
        ++*i;
        return *i >= line.size() || IsSpace(line[*i]);
      } else {
        word->push_back(c);
      }
    } else if (end || IsSpace(c) || c == '\0') {
      return true;
    } else if (c == '"') {
      in_double = true;
    } else if (c == '\'') {
      in_single = true;
    } else {
      word->push_back(c);
    }
  }
}

// Views of the words of a line without quotes.
void SplitPlain(std::string_view line, Views* words) {
  size_t i = 0;
  while (i < line.size()) {
    while (i < line.size() && IsSpace(line[i])) ++i;
    const size_t begin = i;
    while (i < line.size() && !IsSpace(line[i])) ++i;
    if (i > begin) words->push_back(line.substr(begin, i - begin));
  }
}

// An inline command, or an empty line (kCommand without arguments).
ParseResult ParseInline(std::string_view input, Arguments* arguments) {
  const size_t newline = input.find('\n');
  if (newline == std::string_view::npos) {
    if (input.size() > kMaxInlineBytes) return Failed("Protocol error: too big inline request");
    return {};
  }
  std::string_view line = input.substr(0, newline);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  const size_t before = arguments->views.size();
  if (line.find_first_of(std::string_view("\"'\0", 3)) == std::string_view::npos) {
    SplitPlain(line, &arguments->views);
  } else {
    std::vector<std::string> words;
    if (!SplitInline(line, &words)) return Failed("Protocol error: unbalanced quotes in request");
    for (std::string& word : words) {
      arguments->unquoted.push_back(std::move(word));
      arguments->views.push_back(arguments->unquoted.back());
    }
  }
  ParseResult r;
  r.outcome = Outcome::kCommand;
  r.consumed = newline + 1;
  r.arguments = arguments->views.size() - before;
  return r;
}

// A "*" command whose parsing stopped earlier, or whose first pass ran out of input.
class ArrayParser {
 public:
  ArrayParser(std::string_view input, const Limits& limits) : input_(input), limits_(limits) {}

  ParseResult Run(Arguments* arguments, std::unique_ptr<Partial>* partial) {
    Partial local;
    Partial& state = *partial ? **partial : local;
    if (state.arguments < 0) {
      const Line line = ReadLine(input_, 1);
      if (!line.complete) {
        if (input_.size() > kMaxInlineBytes) return Failed("Protocol error: too big mbulk count string");
        return NeedMore(input_.size() + 1);
      }
      if (!ParseNumber(line.text, &state.arguments) || state.arguments > limits_.max_arguments) {
        return Failed("Protocol error: invalid multibulk length");
      }
      if (limits_.unauthenticated && state.arguments > kUnauthenticatedArguments) {
        return Failed("Protocol error: unauthenticated multibulk length");
      }
      state.position = line.next;
      if (state.arguments <= 0) return Command(state.position, 0);
    }
    if (*partial != nullptr) return Resume(&state, arguments);
    const size_t before = arguments->views.size();
    for (int64_t done = 0; done < state.arguments; ++done) {
      ParseResult r;
      std::string_view value;
      if (!ReadArgument(&state, &value, &r)) {
        if (r.outcome == Outcome::kNeedMore) Save(*arguments, before, &state, partial);
        arguments->views.Shrink(before);
        return r;
      }
      arguments->views.push_back(value);
    }
    return Command(state.position, static_cast<size_t>(state.arguments));
  }

 private:
  // Commands of few arguments are cheaper to parse again than to remember.
  static constexpr size_t kRemember = 8;

  static ParseResult Command(size_t consumed, size_t arguments) {
    ParseResult r;
    r.outcome = Outcome::kCommand;
    r.consumed = consumed;
    r.arguments = arguments;
    return r;
  }
  static ParseResult NeedMore(size_t needed) {
    ParseResult r;
    r.needed = needed;
    return r;
  }

  bool ReadArgument(Partial* state, std::string_view* value, ParseResult* stop) {
    if (state->bulk_bytes < 0) {
      if (state->position >= input_.size()) {
        *stop = NeedMore(input_.size() + 1);
        return false;
      }
      if (input_[state->position] != '$') {
        *stop = Failed(Unexpected(input_[state->position]));
        return false;
      }
      const Line line = ReadLine(input_, state->position + 1);
      if (!line.complete) {
        *stop = input_.size() - state->position > kMaxInlineBytes
                    ? Failed("Protocol error: too big bulk count string")
                    : NeedMore(input_.size() + 1);
        return false;
      }
      int64_t size = 0;
      if (!ParseNumber(line.text, &size) || size < 0 || size > limits_.max_bulk_bytes) {
        *stop = Failed("Protocol error: invalid bulk length");
        return false;
      }
      if (limits_.unauthenticated && size > kUnauthenticatedBulkBytes) {
        *stop = Failed("Protocol error: unauthenticated bulk length");
        return false;
      }
      state->bulk_bytes = size;
      state->position = line.next;
    }
    const size_t size = static_cast<size_t>(state->bulk_bytes);
    if (input_.size() - state->position < size + 2) {
      *stop = NeedMore(state->position + size + 2);
      return false;
    }
    *value = input_.substr(state->position, size);
    state->position += size + 2;
    state->bulk_bytes = -1;
    return true;
  }

  // Views are made at the end only: the input may move between two tries.
  ParseResult Resume(Partial* state, Arguments* arguments) {
    while (state->done.size() < static_cast<size_t>(state->arguments)) {
      ParseResult r;
      std::string_view value;
      if (!ReadArgument(state, &value, &r)) return r;
      state->done.push_back({static_cast<size_t>(value.data() - input_.data()), value.size()});
    }
    for (const Partial::Range& r : state->done) arguments->views.push_back(input_.substr(r.offset, r.size));
    return Command(state->position, state->done.size());
  }

  void Save(const Arguments& arguments, size_t before, Partial* state, std::unique_ptr<Partial>* partial) {
    if (arguments.views.size() - before < kRemember) return;
    for (size_t i = before; i < arguments.views.size(); ++i) {
      const std::string_view v = arguments.views[i];
      state->done.push_back({static_cast<size_t>(v.data() - input_.data()), v.size()});
    }
    *partial = std::make_unique<Partial>(std::move(*state));
  }

  const std::string_view input_;
  const Limits& limits_;
};

}  // namespace

void Views::Grow(size_t more) {
  const size_t capacity = std::max({size_ + more, capacity_ * 2, size_t{64}});
  std::unique_ptr<std::string_view[]> bigger(new std::string_view[capacity]);
  std::copy(begin(), end(), bigger.get());
  data_ = std::move(bigger);
  capacity_ = capacity;
}

bool SplitInline(std::string_view line, std::vector<std::string>* words) {
  size_t i = 0;
  for (;;) {
    while (i < line.size() && IsSpace(line[i])) ++i;
    if (i >= line.size() || line[i] == '\0') return true;
    if (!ReadWord(line, &i, &words->emplace_back())) return false;
  }
}

ParseResult Parse(std::string_view input, const Limits& limits, Arguments* arguments,
                  std::unique_ptr<Partial>* partial) {
  size_t skipped = 0;
  while (skipped < input.size()) {
    const std::string_view rest = input.substr(skipped);
    ParseResult r;
    if (rest[0] == '*') {
      uint32_t count = 0;
      const size_t plain = *partial != nullptr ? 0
                                               : ParsePlain(rest.data(), rest.data() + rest.size(),
                                                            PlainLimits(limits), arguments, &count);
      if (plain > 0) {
        r.outcome = Outcome::kCommand;
        r.consumed = skipped + plain;
        r.arguments = count;
        return r;
      }
      r = ArrayParser(rest, limits).Run(arguments, partial);
    } else {
      r = ParseInline(rest, arguments);
    }
    if (r.outcome == Outcome::kCommand) partial->reset();
    if (r.outcome == Outcome::kCommand && r.arguments == 0) {  // an empty line, "*0": nothing to answer
      skipped += r.consumed;
      continue;
    }
    if (r.outcome == Outcome::kNeedMore) {
      r.consumed = skipped;
    } else {
      r.consumed += skipped;
    }
    return r;
  }
  ParseResult r;
  r.consumed = skipped;
  return r;
}

}  // namespace understudy::resp
