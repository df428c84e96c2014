// What a command changed, in the form in which replicas are told: zero or more argument vectors.
//
// A handler says so explicitly; a write that changed nothing says nothing and is not replicated (Redis's
// "dirty" counter). Relative times become absolute ones, random choices become their outcome. The caller hands
// the records to the replication log while the shard locks are still held. Views must stay valid until then:
// arguments of the command do, other texts are kept by Keep(). One object a worker, re-used: no allocation for
// a command that is replicated as it was sent.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
    changes_ = 0;
    if (!ranges_.empty()) {
      ranges_.clear();
      words_.clear();
      texts_.clear();
    }
  }
  bool wanted() const { return wanted_; }
  bool empty() const { return ranges_.empty(); }

  // The command as it was sent.
  void Verbatim(int db, std::span<const std::string_view> argv) {
    ++changes_;
    if (!wanted_) return;
    ranges_.push_back({db, static_cast<uint32_t>(words_.size()), static_cast<uint32_t>(argv.size()),
                       argv.data() == sent_.argv ? sent_.bytes : std::string_view()});
    words_.insert(words_.end(), argv.begin(), argv.end());
  }
  void Add(int db, std::initializer_list<std::string_view> argv) { Verbatim(db, {argv.begin(), argv.size()}); }
  // Keeps a text as long as the records.
  std::string_view Keep(std::string text) {
    if (!wanted_) return {};
    return texts_.emplace_back(std::move(text));
  }

  // Calls to Verbatim and Add, also when nobody wants them: "did the command change anything?"
  uint64_t changes() const { return changes_; }

  // Valid until the next call of anything else.
  std::span<const replication::Record> Records() {
    records_.clear();
    for (const Range& r : ranges_) records_.push_back({r.db, {words_.data() + r.first, r.count}, r.encoded});
    return records_;
  }

 private:
  struct Range {
    int db;
    uint32_t first, count;
    std::string_view encoded;
  };
  bool wanted_ = false;
  Sent sent_;
  uint64_t changes_ = 0;
  std::vector<Range> ranges_;
  std::vector<std::string_view> words_;
  std::deque<std::string> texts_;
  std::vector<replication::Record> records_;
};

}  // namespace understudy::command
