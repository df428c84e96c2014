// The commands that the generator sends: their bytes are made once, and only the digits of keys, members and
// scores are written for each.
//
// Each kind of value has keys of its own ("key:", "hsh:" ...), so that every mix works on one data set.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "tests/bench/load/numbers.h"
#include "tests/bench/load/options.h"

namespace understudy::load {

// What a place in a command's text is filled with.
enum class Slot : uint8_t { kKey, kElement, kScore };

class CommandText {
 public:
  CommandText() = default;
  // "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n" and where its digits are.
  static CommandText Begin(size_t words);
  CommandText& Word(std::string_view word);
  CommandText& Key(std::string_view prefix, const Options& options);
  CommandText& Element();                // "m:00000007", number chosen for each command
  CommandText& Element(uint32_t fixed);  // always this one
  CommandText& Score();

  size_t bytes() const { return text_.size(); }
  // Writes the command for random keys to `out`, which has room for bytes().
  void Write(char* out, KeyChoice& keys, uint32_t elements) const;
  // The command for one key: every key in it is number `key`.
  void WriteFor(char* out, uint64_t key, Numbers& numbers, uint32_t elements) const;

 private:
  struct Place {
    uint32_t offset;
    Slot slot;
  };
  template <typename NextKey>
  void WriteWith(char* out, NextKey next_key, Numbers& numbers, uint32_t elements) const;
  void AddWord(std::string_view word);

  std::string text_;
  std::vector<Place> places_;
};

// The start of a reply that is whole when it has `size` bytes: such replies are checked at a glance.
struct ExpectedReply {
  std::string prefix;  // at most 8 bytes
  uint32_t size = 0;
};

// A mix of commands with their shares.
class Workload {
 public:
  // kInvalid: an unknown name or a weight that is none.
  static Result<Workload> Parse(const Options& options);

  const CommandText& Choose(Numbers& numbers) const {
    return choices_.size() == 1 ? texts_[0] : texts_[choices_[numbers.Below(choices_.size())]];
  }
  size_t max_bytes() const { return max_bytes_; }
  const std::vector<ExpectedReply>& expected() const { return expected_; }
  // One command for each kind of value that the mix uses: it makes the value of a key.
  const std::vector<CommandText>& fills() const { return fills_; }
  size_t max_fill_bytes() const { return max_fill_bytes_; }

 private:
  std::vector<CommandText> texts_;
  std::vector<uint8_t> choices_;  // indexes of texts_, each as often as its weight says
  std::vector<ExpectedReply> expected_;
  std::vector<CommandText> fills_;
  size_t max_bytes_ = 0;
  size_t max_fill_bytes_ = 0;
};

// "get set mget ...", for --help.
std::string CommandNames();

}  // namespace understudy::load
