// Streams for the tests of keys with values of every type: random changes of one, and what it holds as a text.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "node/types/stream.h"
#include "tests/unit/node/store/store_test_support.h"

namespace understudy::store {

// What every form of RDB keeps: not how many entries were added and read, nor when consumers were active.
inline void ShowStream(const types::Stream& stream, std::vector<std::string>* parts) {
  parts->push_back("last " + stream.log().last_id().ToString());
  stream.log().Walk(types::kMinStreamId, types::kMaxStreamId, false, [&](const types::StreamEntry& entry) {
    std::string words = entry.id().ToString();
    entry.ForEachField([&](const types::ListpackValue& field, const types::ListpackValue& value) {
      words += " " + field.ToString() + "=" + value.ToString();
    });
    parts->push_back(words);
    return true;
  });
  stream.ForEachGroup([&](const types::StreamGroup& group) {
    parts->push_back("group " + group.name() + " " + group.last_id().ToString());
    group.ForEachConsumer([&](const types::StreamConsumer& consumer) {
      parts->push_back(group.name() + " " + consumer.name() + " seen " + std::to_string(consumer.seen_ms()));
    });
    group.WalkPending(types::kMinStreamId, types::kMaxStreamId, nullptr,
                      [&](types::StreamId id, const types::StreamPending& pending) {
                        parts->push_back(group.name() + " " + id.ToString() + " " + pending.consumer->name() + " " +
                                         std::to_string(pending.delivered_ms) + " " +
                                         std::to_string(pending.deliveries));
                        return true;
                      });
  });
}

// A stream in a model: copied as a value.
struct ModelStream {
  types::Stream stream;
  ModelStream() = default;
  ModelStream(ModelStream&&) = default;
  ModelStream& operator=(ModelStream&&) = default;
  ModelStream(const ModelStream& other) : stream(other.stream.Clone()) {}
  ModelStream& operator=(const ModelStream& other) {
    stream = other.stream.Clone();
    return *this;
  }
};

// One random change, which may be made to any number of equal streams.
using StreamChange = std::function<void(types::Stream&)>;
inline StreamChange RandomStreamChange(Rng& rng, const std::string& word, const types::Limits& limits, int64_t now_ms) {
  const std::string group_name = "g" + std::to_string(rng.Below(2)), consumer_name = "c" + std::to_string(rng.Below(3));
  const uint64_t n = rng.Below(10);
  switch (rng.Below(8)) {
    case 0:
      return [=](types::Stream& stream) {
        if (const auto first = stream.log().First(); first && n < 5) {
          stream.log().Erase(first->id());
        } else if (const auto last = stream.log().Last()) {
          stream.log().Erase(last->id());
        }
      };
    case 1:
      return [=](types::Stream& stream) { stream.log().Trim({.max_length = n * 3}); };
    case 2:
      return [=](types::Stream& stream) { stream.CreateGroup(group_name, types::kMinStreamId, 0); };
    case 3:
    case 4:
      return [=](types::Stream& stream) {
        types::StreamGroup* const group = stream.FindGroup(group_name);
        if (group == nullptr) return;
        types::StreamConsumer* consumer = group->FindConsumer(consumer_name);
        if (consumer == nullptr) consumer = group->CreateConsumer(consumer_name, now_ms);
        group->Deliver(stream.log(), consumer, n, false, now_ms, [](const types::StreamEntry&) {});
        if (n < 5) group->Ack(group->first_pending());
      };
    case 5:
      return [=](types::Stream& stream) {
        if (n == 0) stream.DestroyGroup(group_name);
      };
    default:
      return [=](types::Stream& stream) {
        for (uint64_t i = 0; i <= n; ++i) {
          const auto id = stream.log().NextId({.auto_ms = true, .auto_seq = true}, now_ms);
          const std::string number = std::to_string(i);
          const std::string_view words[] = {"field", word, number, "value"};
          if (!id.ok()) continue;
          EXPECT_TRUE(stream.log().Append(*id, std::span(words).first(n < 5 ? 2 : 4), limits).ok());
        }
      };
  }
}

}  // namespace understudy::store
