#include "node/types/stream_rdb.h"

#include <bit>
#include <cstring>

#include "common/check.h"

namespace understudy::types {
namespace {

constexpr size_t kTimeBytes = sizeof(int64_t);
// More than XSETID can say, and room for all that will ever be added.
constexpr uint64_t kMostEverAdded = UINT64_MAX / 4 * 3;

class Writer {
 public:
  explicit Writer(StreamSink& sink) : sink_(sink) {}
  void Length(uint64_t n) { sink_.Length(n); }
  void Text(std::string_view text) { sink_.Text(text); }
  void Lengths(StreamId id) {
    sink_.Length(id.ms);
    sink_.Length(id.seq);
  }
  void IdText(StreamId id) {
    id.Store(id_);
    sink_.Text({id_, sizeof id_});
  }
  void IdBytes(StreamId id) {
    id.Store(id_);
    sink_.Bytes({id_, sizeof id_});
  }
  void Time(int64_t ms) {
    static_assert(std::endian::native == std::endian::little);
    char bytes[kTimeBytes];
    std::memcpy(bytes, &ms, sizeof ms);
    sink_.Bytes({bytes, sizeof bytes});
  }

 private:
  StreamSink& sink_;
  char id_[StreamId::kBytes];
};

void WriteGroup(const StreamGroup& group, StreamForm form, Writer& out) {
  out.Text(group.name());
  out.Lengths(group.last_id());
  if (form >= StreamForm::kV2) out.Length(static_cast<uint64_t>(group.entries_read()));
  out.Length(group.pending());
  group.WalkPending(kMinStreamId, kMaxStreamId, nullptr, [&](StreamId id, const StreamPending& pending) {
    out.IdBytes(id);
    out.Time(pending.delivered_ms);
    out.Length(pending.deliveries);
    return true;
  });
  out.Length(group.consumers());
  group.ForEachConsumer([&](const StreamConsumer& consumer) {
    out.Text(consumer.name());
    out.Time(consumer.seen_ms());
    if (form >= StreamForm::kV3) out.Time(consumer.active_ms());
    out.Length(consumer.pending());
    consumer.ForEachPending([&](StreamId id) { out.IdBytes(id); });
  });
}

}  // namespace

void WriteStream(const Stream& stream, StreamForm form, StreamSink& sink) {
  Writer out(sink);
  const StreamLog& log = stream.log();
  out.Length(log.nodes());
  log.ForEachNode([&](StreamId master, std::string_view bytes) {
    out.IdText(master);
    out.Text(bytes);
  });
  out.Length(log.size());
  out.Lengths(log.last_id());
  if (form >= StreamForm::kV2) {
    out.Lengths(log.first_id());
    out.Lengths(log.max_deleted_id());
    out.Length(log.entries_added());
  }
  out.Length(stream.groups());
  stream.ForEachGroup([&](const StreamGroup& group) { WriteGroup(group, form, out); });
}

// ---- Reading -----------------------------------------------------------------------------------------------------

StreamBuilder::Piece StreamBuilder::next() const {
  switch (step_) {
    case Step::kMaster:
    case Step::kPack:
    case Step::kGroup:
    case Step::kConsumer: return Piece::kText;
    case Step::kPendingId:
    case Step::kPendingTime:
    case Step::kSeen:
    case Step::kActive:
    case Step::kOwnId: return Piece::kBytes;
    case Step::kDone: return Piece::kDone;
    default: return Piece::kLength;
  }
}

size_t StreamBuilder::bytes() const {
  return step_ == Step::kPendingId || step_ == Step::kOwnId ? StreamId::kBytes : kTimeBytes;
}

Status StreamBuilder::GiveNode(std::string_view bytes) {
  if (!stream_.log().AppendNode(id_, bytes)) return Invalid("stream: a node is damaged, or not in order");
  step_ = --nodes_ > 0 ? Step::kMaster : Step::kSize;
  return {};
}

Status StreamBuilder::EndCounters() {
  StreamLog& log = stream_.log();
  if (size_ != log.size()) return Invalid("stream: its length is not that of its nodes");
  if (counters_.last_id < log.top_id()) return Invalid("stream: its last ID is below that of an entry");
  if (counters_.entries_added < size_) return Invalid("stream: it has more entries than were ever added");
  if (counters_.entries_added > kMostEverAdded) return Invalid("stream: more entries were added than can ever be");
  // The first ID that the file has is that of the nodes, or wrong.
  log.SetCounters(counters_);
  step_ = Step::kGroups;
  return {};
}

Status StreamBuilder::MakeGroup(uint64_t entries_read, bool given) {
  auto read = static_cast<int64_t>(entries_read);
  if (!given) {
    read = StreamGroup::EntriesRead(stream_.log().CountUpTo(id_));
  }
  if (read < StreamGroup::kUnknown) return Invalid("stream: a group has read less than nothing");
  group_ = stream_.CreateGroup(name_, id_, read);
  if (group_ == nullptr) return Invalid("stream: two groups have the same name");
  owned_ = 0;
  step_ = Step::kPendings;
  return {};
}

Status StreamBuilder::EndGroup() {
  if (owned_ != group_->pending()) return Invalid("stream: a pending entry has no consumer");
  step_ = --groups_ > 0 ? Step::kGroup : Step::kDone;
  return {};
}

Status StreamBuilder::Give(uint64_t n) {
  switch (step_) {
    case Step::kNodes:
      nodes_ = n;
      step_ = n > 0 ? Step::kMaster : Step::kSize;
      return {};
    case Step::kSize: size_ = n; step_ = Step::kLastMs; return {};
    case Step::kLastMs: counters_.last_id.ms = n; step_ = Step::kLastSeq; return {};
    case Step::kLastSeq:
      counters_.last_id.seq = n;
      step_ = Step::kFirstMs;
      if (form_ >= StreamForm::kV2) return {};
      counters_.entries_added = size_;
      return EndCounters();
    case Step::kFirstMs: step_ = Step::kFirstSeq; return {};
    case Step::kFirstSeq: step_ = Step::kDeletedMs; return {};
    case Step::kDeletedMs: counters_.max_deleted_id.ms = n; step_ = Step::kDeletedSeq; return {};
    case Step::kDeletedSeq: counters_.max_deleted_id.seq = n; step_ = Step::kAdded; return {};
    case Step::kAdded: counters_.entries_added = n; return EndCounters();
    case Step::kGroups:
      groups_ = n;
      step_ = n > 0 ? Step::kGroup : Step::kDone;
      return {};
    case Step::kGroupMs: id_.ms = n; step_ = Step::kGroupSeq; return {};
    case Step::kGroupSeq:
      id_.seq = n;
      step_ = Step::kEntriesRead;
      if (form_ >= StreamForm::kV2) return {};
      return MakeGroup(0, false);
    case Step::kEntriesRead: return MakeGroup(n, true);
    case Step::kPendings:
      pendings_ = n;
      step_ = n > 0 ? Step::kPendingId : Step::kConsumers;
      return {};
    case Step::kDeliveries:
      if (!group_->AddPending(id_, time_ms_, n)) return Invalid("stream: an entry is pending twice");
      step_ = --pendings_ > 0 ? Step::kPendingId : Step::kConsumers;
      return {};
    case Step::kConsumers:
      consumers_ = n;
      step_ = Step::kConsumer;
      return n > 0 ? Status() : EndGroup();
    case Step::kOwns:
      owns_ = n;
      step_ = Step::kOwnId;
      return n > 0 ? Status() : EndConsumer();
    default: CHECK(false);
  }
}

Status StreamBuilder::EndConsumer() {
  step_ = Step::kConsumer;
  return --consumers_ > 0 ? Status() : EndGroup();
}

Status StreamBuilder::Give(std::string_view text) {
  const auto time = [&] {
    int64_t ms;
    CHECK(text.size() == sizeof ms);
    std::memcpy(&ms, text.data(), sizeof ms);
    return ms;
  };
  switch (step_) {
    case Step::kMaster:
      if (text.size() != StreamId::kBytes) return Invalid("stream: a node's ID is not 16 bytes long");
      id_ = StreamId::Load(text.data());
      step_ = Step::kPack;
      return {};
    case Step::kPack: return GiveNode(text);
    case Step::kGroup: name_ = text; step_ = Step::kGroupMs; return {};
    case Step::kPendingId:
      CHECK(text.size() == StreamId::kBytes);
      id_ = StreamId::Load(text.data());
      step_ = Step::kPendingTime;
      return {};
    case Step::kPendingTime: time_ms_ = time(); step_ = Step::kDeliveries; return {};
    case Step::kConsumer:
      if (group_->FindConsumer(text) != nullptr) return Invalid("stream: two consumers have the same name");
      consumer_ = group_->CreateConsumer(text, 0);
      step_ = Step::kSeen;
      return {};
    case Step::kSeen:
      // Older forms do not tell them apart.
      consumer_->SetTimes(time(), time());
      step_ = form_ >= StreamForm::kV3 ? Step::kActive : Step::kOwns;
      return {};
    case Step::kActive: consumer_->SetTimes(consumer_->seen_ms(), time()); step_ = Step::kOwns; return {};
    case Step::kOwnId:
      CHECK(text.size() == StreamId::kBytes);
      if (!group_->GivePending(StreamId::Load(text.data()), consumer_)) {
        return Invalid("stream: an entry is pending for a consumer but not for its group, or for two");
      }
      ++owned_;
      return --owns_ > 0 ? Status() : EndConsumer();
    default: CHECK(false);
  }
}

}  // namespace understudy::types
