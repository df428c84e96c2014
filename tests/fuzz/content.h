// What a stored value holds, as one text that does not depend on its encoding; and a keyspace's
// invariants.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/check.h"
#include "node/store/keyspace.h"
#include "node/types/hash.h"
#include "node/types/list.h"
#include "node/types/score_text.h"
#include "node/types/set.h"
#include "node/types/sorted_set.h"
#include "node/types/stream.h"
#include "node/types/stream_rdb.h"

namespace understudy::fuzz {

// Small ones, so that short inputs meet every encoding.
inline types::Limits SmallLimits() {
  types::Limits limits;
  limits.hash_max_listpack_entries = 4;
  limits.set_max_intset_entries = 4;
  limits.set_max_listpack_entries = 5;
  limits.zset_max_listpack_entries = 4;
  limits.list_max_listpack_size = 4;
  limits.stream_node_max_entries = 3;
  return limits;
}

// Texts that can't run into each other.
inline std::string Framed(std::string_view text) {
  return std::to_string(text.size()) + ":" + std::string(text);
}

// What of a value does not count.
struct Leaving {
  bool field_times = false;   // when a hash's fields expire
  bool stream_times = false;  // when consumers were seen and entries delivered
};

// The pieces of a stream's form, one after the other.
inline std::string FormOf(const types::Stream& stream, bool without_times = false) {
  class Sink final : public types::StreamSink {
   public:
    explicit Sink(bool without_times) : without_times_(without_times) {}
    void Length(uint64_t n) override { out += "n" + std::to_string(n); }
    void Text(std::string_view bytes) override { out += "t" + Framed(bytes); }
    void Bytes(std::string_view bytes) override {
      out += without_times_ && bytes.size() == sizeof(int64_t) ? "b" : "b" + Framed(bytes);
    }
    std::string out;

   private:
    const bool without_times_;
  };
  Sink sink(without_times);
  types::WriteStream(stream, types::StreamForm::kV3, sink);
  return std::move(sink.out);
}

inline std::string ContentOf(const store::Entry& entry, const Leaving& leaving = {}) {
  std::vector<std::string> parts;
  types::ListpackValue::Buffer first, second;
  bool sorted = false;
  switch (entry.type()) {
    case store::Type::kString:
      parts.emplace_back(entry.value());
      break;
    case store::Type::kList:
      entry.As<types::List>()->Validate();
      entry.As<types::List>()->WalkAll([&](const types::ListpackValue& value) {
        parts.emplace_back(value.Text(first));
        return true;
      });
      break;
    case store::Type::kSet:
      sorted = true;
      entry.As<types::Set>()->Validate();
      entry.As<types::Set>()->ForEach([&](const types::Set::Member& member) {
        parts.emplace_back(member.Text(first));
        return true;
      });
      break;
    case store::Type::kSortedSet:
      entry.As<types::SortedSet>()->Validate();
      entry.As<types::SortedSet>()->WalkAll([&](std::string_view member, double score) {
        types::ScoreBuffer buffer;
        // Zero has two forms, and one of them is lost where it is kept as an integer.
        parts.push_back(Framed(member) +
                        std::string(types::FormatScore(score == 0 ? 0 : score, buffer)));
        return true;
      });
      break;
    case store::Type::kHash:
      sorted = true;
      entry.As<types::Hash>()->Validate();
      entry.As<types::Hash>()->ForEach(INT64_MIN, [&](const types::Hash::Field& field) {
        parts.push_back(Framed(field.name.Text(first)) + Framed(field.value.Text(second)) +
                        (leaving.field_times ? "" : std::to_string(field.expire_ms)));
        return true;
      });
      break;
    case store::Type::kStream:
      entry.As<types::Stream>()->Validate();
      parts.push_back(FormOf(*entry.As<types::Stream>(), leaving.stream_times));
      break;
  }
  if (sorted) std::sort(parts.begin(), parts.end());
  std::string out(store::TypeName(entry.type()));
  for (const std::string& part : parts) out += Framed(part);
  return out;
}

// {database, key} -> {content, expiry}
using Contents = std::map<std::pair<int, std::string>, std::pair<std::string, int64_t>>;

// CHECKs that all is as it must be, and that the memory in use is what a recount gives. All locks
// are held.
inline Contents ContentsOf(store::Keyspace& keyspace, const Leaving& leaving = {}) {
  Contents contents;
  keyspace.Validate();
  size_t held = 0;
  for (int db = 0; db < keyspace.databases(); ++db) {
    keyspace.ForEach(
        db, 0, store::View::kRaw, store::Keyspace::Locking::kHeld, [&](const store::Entry& entry) {
          held += entry.AllocatedBytes();
          contents[{db, std::string(entry.key())}] = {ContentOf(entry, leaving), entry.expire_ms()};
        });
  }
  CHECK(contents.size() == keyspace.TotalSize());
  CHECK(keyspace.UsedBytes() == held + keyspace.IndexBytes());
  return contents;
}

}  // namespace understudy::fuzz
