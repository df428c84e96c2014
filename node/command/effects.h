// What a command changed, in the form in which replicas are told: zero or more argument vectors.
//
// A handler says so explicitly; a write that changed nothing says nothing and is not replicated (Redis's
// "dirty" counter). Relative times become absolute ones, random choices become their outcome. The caller hands
// the records to the replication log while the shard locks are still held. Views must stay valid until then:
// arguments of the command do, other texts are kept by Keep(). One object a worker, re-used: nothing is copied
// of a command that is replicated as it was sent.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/check.h"
#include "node/replication/apply_sink.h"

namespace understudy::command {

// The arguments of a command and the bytes that they came in, if the log may take these bytes as they are.
struct Sent {
  const std::string_view* argv = nullptr;
  std::string_view bytes = {};
};

class Effects {
 public:
  // Before the first command, and for the next one. wanted: somebody reads the records.
  void Reset(bool wanted, Sent sent = {}) {
    wanted_ = wanted;
    sent_ = sent;
    if (!records_.empty() || !texts_.empty()) Clear();
  }
  bool wanted() const { return wanted_; }
  bool empty() const { return records_.empty(); }

  // The command as it was sent: all its arguments, where they are.
  void Verbatim(int db, std::span<const std::string_view> argv) {
    ++changes_;
    if (!wanted_) return;
    records_.push_back({db, argv, argv.data() == sent_.argv ? sent_.bytes : std::string_view()});
  }
  // Another one, of at most kMostWords.
  void Add(int db, std::initializer_list<std::string_view> argv) {
    Add(db, std::span<const std::string_view>(argv.begin(), argv.size()));
  }
  void Add(int db, std::span<const std::string_view> argv) {
    ++changes_;
    if (!wanted_) return;
    CHECK(argv.size() <= kMostWords);
    Words& words = words_.emplace_back();
    std::copy(argv.begin(), argv.end(), words.begin());
    records_.push_back({db, {words.data(), argv.size()}});
  }
  // Another one, of any number of words.
  void AddLong(int db, std::vector<std::string_view> argv) {
    ++changes_;
    if (!wanted_) return;
    records_.push_back({db, long_words_.emplace_back(std::move(argv))});
  }
  // Keeps a text as long as the records.
  std::string_view Keep(std::string text) {
    if (!wanted_) return {};
    return texts_.emplace_back(std::move(text));
  }
  // The same of a number.
  std::string_view Keep(int64_t number) { return wanted_ ? Keep(std::to_string(number)) : std::string_view(); }

  // The same of a command's words.
  std::span<const std::string_view> KeepWords(std::span<const std::string_view> words) {
    size_t bytes = 0;
    for (const std::string_view word : words) bytes += word.size();
    std::string& text = texts_.emplace_back();
    text.reserve(bytes);
    std::vector<std::string_view>& kept = long_words_.emplace_back();
    for (const std::string_view word : words) {
      kept.emplace_back(text.data() + text.size(), word.size());
      text += word;
    }
    return kept;
  }

  // Calls to Verbatim and Add since this object was made, also when nobody wants them: a command that has changed
  // something has changed this. Save points count by it.
  uint64_t changes() const { return changes_; }
  // What was recorded elsewhere.
  void CountChanges(uint64_t changes) { changes_ += changes; }

  // Valid until the next call of anything else.
  std::span<const replication::Record> Records() const { return records_; }

 private:
  static constexpr size_t kMostWords = 8;
  using Words = std::array<std::string_view, kMostWords>;
  void Clear() {
    records_.clear();
    if (!words_.empty()) words_.clear();
    if (!long_words_.empty()) long_words_.clear();
    if (!texts_.empty()) texts_.clear();
  }
  bool wanted_ = false;
  Sent sent_;
  uint64_t changes_ = 0;
  std::deque<Words> words_;        // of Add; a deque does not move them
  std::deque<std::vector<std::string_view>> long_words_;  // of AddLong
  std::deque<std::string> texts_;
  std::vector<replication::Record> records_;
};

}  // namespace understudy::command
