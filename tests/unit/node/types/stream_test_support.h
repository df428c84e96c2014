// What the tests of streams share: entries as texts, and a reader of the RDB form's pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "node/types/stream.h"
#include "node/types/stream_rdb.h"

namespace understudy::types {

using Words = std::vector<std::string>;

inline Words WordsOf(const StreamEntry& entry) {
  Words words;
  entry.ForEachField([&](const ListpackValue& field, const ListpackValue& value) {
    words.push_back(field.ToString());
    words.push_back(value.ToString());
  });
  return words;
}

inline Status Append(StreamLog& log, StreamId id, const Words& words, const Limits& limits = {}) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  return log.Append(id, views, limits);
}

// Entries 1-0, 2-0, ... `count`-0.
inline void Fill(StreamLog& log, uint64_t count, const Limits& limits = {}) {
  for (uint64_t i = 1; i <= count; ++i) {
    if (!Append(log, {i, 0}, {"n", std::to_string(i)}, limits).ok()) return;
  }
}

inline std::vector<StreamId> IdsOf(const StreamLog& log, StreamId first = kMinStreamId, StreamId last = kMaxStreamId,
                                   bool reverse = false, size_t most = SIZE_MAX) {
  std::vector<StreamId> ids;
  if (most == 0) return ids;
  log.Walk(first, last, reverse, [&](const StreamEntry& entry) {
    ids.push_back(entry.id());
    return ids.size() < most;
  });
  return ids;
}

// The RDB form as a row of pieces.
struct StreamPiece {
  StreamBuilder::Piece kind;
  uint64_t length = 0;
  std::string text;
  bool operator==(const StreamPiece&) const = default;
};
using StreamPieces = std::vector<StreamPiece>;

class PieceSink : public StreamSink {
 public:
  void Length(uint64_t n) override { pieces.push_back({StreamBuilder::Piece::kLength, n, ""}); }
  void Text(std::string_view bytes) override { pieces.push_back({StreamBuilder::Piece::kText, 0, std::string(bytes)}); }
  void Bytes(std::string_view bytes) override {
    pieces.push_back({StreamBuilder::Piece::kBytes, 0, std::string(bytes)});
  }
  StreamPieces pieces;
};

inline StreamPieces PiecesOf(const Stream& stream, StreamForm form = StreamForm::kV3) {
  PieceSink sink;
  WriteStream(stream, form, sink);
  return sink.pieces;
}

}  // namespace understudy::types
