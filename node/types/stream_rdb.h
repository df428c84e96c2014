// The form of streams in RDB files and DUMP: what comes in which order, without knowing how a file spells numbers.
//
//   nodes     = count (master ID as a text of 16 bytes, listpack as a text)*
//   counters  = entries, last ID [first ID, highest deleted ID, entries added]           [..]: since kV2
//   groups    = count (name, last ID [entries read], pending, consumers)*
//   pending   = count (16 bytes ID, 8 bytes time it was delivered, count of deliveries)*
//   consumers = count (name, 8 bytes time it was seen {8 bytes time it was active}, count (16 bytes ID)*)*
//                                                                                        {..}: since kV3
//   An ID in counters and groups is two lengths; numbers are lengths; bytes stand alone, without a length; times are
//   Unix milliseconds, little-endian.
//
// A writer gets the pieces in order through StreamSink. A reader asks StreamBuilder what kind of piece is next and
// gives it, at any time: a stream may arrive in any number of portions. Nothing that comes from outside is trusted.
// Source: the format as Redis 5 (kV1), 7.0 (kV2) and 7.2, Valkey (kV3) write it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/result.h"
#include "node/types/stream.h"

namespace understudy::types {

// By the numbers that are their types in RDB files.
enum class StreamForm : uint8_t { kV1 = 15, kV2 = 19, kV3 = 21 };

class StreamSink {
 public:
  virtual void Length(uint64_t n) = 0;
  virtual void Text(std::string_view bytes) = 0;   // with its length, as any string
  virtual void Bytes(std::string_view bytes) = 0;  // as they are

 protected:
  ~StreamSink() = default;
};

void WriteStream(const Stream& stream, StreamForm form, StreamSink& sink);

class StreamBuilder {
 public:
  enum class Piece : uint8_t { kLength, kText, kBytes, kDone };

  explicit StreamBuilder(StreamForm form) : form_(form) {}

  // What is to be given next, and for kBytes how many.
  Piece next() const;
  size_t bytes() const;
  // n: for kLength; text: for the others. kInvalid: it is no stream; nothing may follow.
  Status Give(uint64_t n);
  Status Give(std::string_view text);
  // Once next() is kDone.
  Stream Take() { return std::move(stream_); }

 private:
  enum class Step : uint8_t {
    kNodes, kMaster, kPack,
    kSize, kLastMs, kLastSeq, kFirstMs, kFirstSeq, kDeletedMs, kDeletedSeq, kAdded,
    kGroups, kGroup, kGroupMs, kGroupSeq, kEntriesRead,
    kPendings, kPendingId, kPendingTime, kDeliveries,
    kConsumers, kConsumer, kSeen, kActive, kOwns, kOwnId,
    kDone,
  };

  Status GiveNode(std::string_view bytes);
  Status EndCounters();
  Status MakeGroup(uint64_t entries_read, bool given);
  Status EndGroup();
  Status EndConsumer();

  const StreamForm form_;
  Step step_ = Step::kNodes;
  Stream stream_;
  // Of what has begun: how many are to come, and what was read of the next one.
  uint64_t nodes_ = 0, groups_ = 0, pendings_ = 0, consumers_ = 0, owns_ = 0;
  uint64_t owned_ = 0;  // pending entries of the group that have a consumer
  uint64_t size_ = 0;
  StreamId id_;
  StreamLog::Counters counters_;
  std::string name_;
  int64_t time_ms_ = 0;
  StreamGroup* group_ = nullptr;
  StreamConsumer* consumer_ = nullptr;
};

}  // namespace understudy::types
