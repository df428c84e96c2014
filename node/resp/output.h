// Where reply bytes go. A Writer appends at `cursor_` and calls Grow() only when the room ends, so that a
// small reply costs a bounds check and a copy. Who derives from it decides where the bytes live: the turn
// buffer of a worker (net/turn_output.h), a string, nowhere.
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::resp {

class Output {
 public:
  virtual ~Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // `bytes` bytes to write to, followed by Commit(how many were written).
  char* Reserve(size_t bytes) {
    if (__builtin_expect(static_cast<size_t>(end_ - cursor_) < bytes, 0)) Grow(bytes);
    return cursor_;
  }
  void Commit(char* written_to) { cursor_ = written_to; }

  void Append(std::string_view bytes) {
    char* const to = Reserve(bytes.size());
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    cursor_ = to + bytes.size();
  }

 protected:
  Output() = default;
  // Must leave room for at least `bytes` between cursor_ and end_, with what was written so far kept.
  virtual void Grow(size_t bytes) = 0;

  char* cursor_ = nullptr;
  char* end_ = nullptr;
};

// Collects in a buffer of its own.
class StringOutput final : public Output {
 public:
  std::string_view view() const { return {buffer_.data(), static_cast<size_t>(cursor_ - buffer_.data())}; }
  void Clear() { cursor_ = buffer_.data(); }

 private:
  void Grow(size_t bytes) override;
  std::vector<char> buffer_;
};

// Drops everything: CLIENT REPLY OFF, commands of a primary's stream.
class DiscardOutput final : public Output {
 private:
  void Grow(size_t bytes) override;
  std::vector<char> buffer_;
};

}  // namespace understudy::resp
