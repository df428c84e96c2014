// Turns input bytes into commands: RESP2 arrays of bulk strings, and inline commands.
//
// Arguments are views into the input, in a caller's list that is re-used from turn to turn: no allocation
// per command. ParsePlain() takes the usual command, which is there as a whole; Parse() takes everything. A command that has not arrived as a whole leaves a Partial behind, with which parsing goes on
// where it stopped, so that a command of a million arguments in small pieces costs linear time.
// Errors and limits are Redis's, word for word (clients and test suites match on them). Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

// A list of views that only grows, so that a parser may write several behind its end and then say how many.
class Views {
 public:
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }
  const std::string_view* data() const { return data_.get(); }
  const std::string_view* begin() const { return data_.get(); }
  const std::string_view* end() const { return data_.get() + size_; }
  const std::string_view& operator[](size_t i) const { return data_[i]; }
  // Room for `more` behind the end; then Grew(how many were written), at most as many.
  std::string_view* Room(size_t more) {
    if (capacity_ - size_ < more) [[unlikely]] Grow(more);
    return data_.get() + size_;
  }
  void Grew(size_t n) { size_ += n; }
  void push_back(std::string_view view) {
    *Room(1) = view;
    ++size_;
  }
  void Shrink(size_t size) { size_ = size; }  // forgets what follows
  void clear() { size_ = 0; }

 private:
  void Grow(size_t more);
  std::unique_ptr<std::string_view[]> data_;
  size_t size_ = 0, capacity_ = 0;
};

// The arguments of the commands of a turn. Views point into the input, or into `unquoted` for words of inline
// commands that were written in quotes.
struct Arguments {
  Views views;
  std::deque<std::string> unquoted;
  void Clear() {
    views.clear();
    if (!unquoted.empty()) unquoted.clear();
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

// What ParsePlain() checks, in the form in which it does.
struct PlainLimits {
  explicit PlainLimits(const Limits& limits)
      : arguments(static_cast<uint64_t>(std::clamp<int64_t>(
            limits.unauthenticated ? kUnauthenticatedArguments : limits.max_arguments, 0, kMostPlainArguments))),
        bulk_bytes(static_cast<uint64_t>(std::max<int64_t>(
            limits.unauthenticated ? std::min(limits.max_bulk_bytes, kUnauthenticatedBulkBytes)
                                   : limits.max_bulk_bytes, 0))) {}
  static constexpr int64_t kMostPlainArguments = 9'999'999;
  uint64_t arguments;
  uint64_t bulk_bytes;
};

namespace plain {

inline bool LineEndAt(const char* p) {
  uint16_t two;
  std::memcpy(&two, p, sizeof two);
  return two == 0x0a0d;
}

// A header's number with its line end at `p`, which has at least 5 bytes before `end`: one or two digits at once,
// up to seven one by one. Returns where the line ends, null if it is anything else.
inline const char* ReadNumber(const char* p, const char* end, uint64_t* out) {
  const unsigned first = static_cast<unsigned char>(p[0]) - '0';
  if (first > 9) return nullptr;
  *out = first;
  if (LineEndAt(p + 1)) return p + 3;
  const unsigned second = static_cast<unsigned char>(p[1]) - '0';
  if (first == 0 || second > 9) return nullptr;
  *out = first * 10 + second;
  if (LineEndAt(p + 2)) return p + 4;
  p += 2;
  for (int i = 0; i < 5 && end - p >= 3; ++i) {
    const unsigned digit = static_cast<unsigned char>(*p++) - '0';
    if (digit > 9) return nullptr;
    *out = *out * 10 + digit;
    if (LineEndAt(p)) return p + 2;
  }
  return nullptr;
}

}  // namespace plain

// The usual command, in one pass without state: an array of bulk strings with short headers, all of it there.
// Returns how many bytes it takes and appends its arguments; 0 = nothing was done, ask Parse(). The bytes are
// exactly those that the arguments are encoded as in a replication stream, which takes them as they are.
inline size_t ParsePlain(const char* begin, const char* end, const PlainLimits& limits, Arguments* arguments,
                         uint32_t* count) {
  uint64_t n = 0;
  if (end - begin < 6 || *begin != '*') return 0;
  const char* p = plain::ReadNumber(begin + 1, end, &n);
  // An argument takes six bytes at least: no room is made for what can't be there.
  if (p == nullptr || n == 0 || n > limits.arguments || n * 6 > static_cast<uint64_t>(end - p)) return 0;
  std::string_view* const room = arguments->views.Room(n);
  for (std::string_view* to = room; to != room + n; ++to) {
    uint64_t size = 0;
    if (end - p < 6 || *p != '$') return 0;
    p = plain::ReadNumber(p + 1, end, &size);
    if (p == nullptr || size > limits.bulk_bytes || static_cast<uint64_t>(end - p) < size + 2) return 0;
    *to = std::string_view(p, size);
    p += size;
    if (!plain::LineEndAt(p)) return 0;
    p += 2;
  }
  arguments->views.Grew(n);
  *count = static_cast<uint32_t>(n);
  return static_cast<size_t>(p - begin);
}

// Parses the first command of `input`. partial: null before the first try; must be handed back with the same
// input (and more) after kNeedMore.
ParseResult Parse(std::string_view input, const Limits& limits, Arguments* arguments,
                  std::unique_ptr<Partial>* partial);

// The words of a line, with Redis's quoting ("a\x41\n", 'a\'b'); false if the quotes don't match. Inline
// commands and configuration files.
bool SplitInline(std::string_view line, std::vector<std::string>* words);

}  // namespace understudy::resp
