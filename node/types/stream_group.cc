#include "node/types/stream_group.h"

#include <algorithm>
#include <unordered_map>

#include "common/check.h"

namespace understudy::types {

StreamGroup::~StreamGroup() {
  for (const auto& [name, consumer] : consumers_) *account_ -= NamedBytes(*consumer);
}

std::optional<int64_t> StreamGroup::Lag(const StreamLog& log) const {
  // Counters from outside may be any: the difference is that of Redis also where it does not fit.
  const auto behind = [&](uint64_t read) { return static_cast<int64_t>(log.entries_added() - read); };
  if (log.size() == 0) return 0;
  // Then all that is there is yet to come.
  if (last_id_ < log.first_id() && log.max_deleted_id() < log.first_id()) return static_cast<int64_t>(log.size());
  if (entries_read_ != kUnknown && !log.HasGapsFrom(last_id_)) return behind(static_cast<uint64_t>(entries_read_));
  const auto read = log.CountUpTo(last_id_);
  if (!read) return std::nullopt;
  return behind(*read);
}

bool StreamGroup::AdvanceLastId(StreamId last_id) {
  if (last_id <= last_id_) return false;
  last_id_ = last_id;
  return true;
}

// ---- Consumers ---------------------------------------------------------------------------------------------------

StreamConsumer* StreamGroup::FindConsumer(std::string_view name) {
  const auto found = consumers_.find(name);
  return found == consumers_.end() ? nullptr : found->second.get();
}

const StreamConsumer* StreamGroup::FindConsumer(std::string_view name) const {
  const auto found = consumers_.find(name);
  return found == consumers_.end() ? nullptr : found->second.get();
}

StreamConsumer* StreamGroup::CreateConsumer(std::string_view name, int64_t now_ms) {
  auto made = std::make_unique<StreamConsumer>(account_, name, now_ms);
  StreamConsumer* const consumer = made.get();
  *account_ += NamedBytes(*consumer);
  CHECK(consumers_.emplace(consumer->name(), std::move(made)).second);
  return consumer;
}

uint64_t StreamGroup::DeleteConsumer(StreamConsumer* consumer) {
  const uint64_t pending = consumer->pending();
  for (auto at = consumer->pending_.First(); at; at.Next()) CHECK(pending_.Erase(at.id()));
  *account_ -= NamedBytes(*consumer);
  consumers_.erase(consumers_.find(consumer->name()));
  return pending;
}

void StreamGroup::ForEachConsumer(FunctionRef<void(const StreamConsumer&)> fn) const {
  for (const auto& [name, consumer] : consumers_) fn(*consumer);
}

// ---- Delivery ----------------------------------------------------------------------------------------------------

uint64_t StreamGroup::Deliver(const StreamLog& log, StreamConsumer* consumer, uint64_t count, bool noack,
                              int64_t now_ms, FunctionRef<void(const StreamEntry&)> fn) {
  StreamId first = last_id_;
  if (count == 0 || log.last_id() <= last_id_ || !Increment(&first)) return 0;
  uint64_t given = 0;
  log.Walk(first, kMaxStreamId, false, [&](const StreamEntry& entry) {
    // One more is certain only where the group has read without gaps and nothing was deleted ahead of it.
    if (entries_read_ != kUnknown && last_id_ >= log.first_id() && !log.HasGapsFrom(last_id_)) {
      entries_read_ = EntriesRead(static_cast<uint64_t>(entries_read_) + 1);
    } else if (log.entries_added() > 0) {
      const auto read = log.CountUpTo(entry.id());
      entries_read_ = EntriesRead(read);
    }
    last_id_ = entry.id();
    if (!noack) {
      // XGROUP SETID may have gone back: then it is pending already, perhaps for another consumer.
      StreamPending* const pending = pending_.Insert(entry.id(), {nullptr, 0, 0}).value;
      Reassign(entry.id(), pending, consumer);
      pending->delivered_ms = now_ms;
      pending->deliveries = 1;
      consumer->active_ms_ = now_ms;
    }
    fn(entry);
    return ++given < count;
  });
  return given;
}

uint64_t StreamGroup::Redeliver(const StreamLog& log, StreamConsumer* consumer, StreamId after, uint64_t count,
                                int64_t now_ms, FunctionRef<void(StreamId, const StreamEntry*)> fn) {
  uint64_t given = 0;
  if (!Increment(&after)) return given;
  for (auto at = consumer->pending_.AtLeast(after); at && given < count; at.Next(), ++given) {
    const auto entry = log.Find(at.id());
    if (entry) {
      StreamPending* const pending = pending_.Find(at.id());
      pending->delivered_ms = now_ms;
      ++pending->deliveries;
    }
    fn(at.id(), entry ? &*entry : nullptr);
  }
  return given;
}

void StreamGroup::RemovePending(StreamId id, StreamConsumer* consumer) {
  CHECK(consumer->pending_.Erase(id) && pending_.Erase(id));
}

bool StreamGroup::Ack(StreamId id) {
  const StreamPending* const pending = pending_.Find(id);
  if (pending == nullptr) return false;
  RemovePending(id, pending->consumer);
  return true;
}

// ---- Claims ------------------------------------------------------------------------------------------------------

void StreamGroup::Reassign(StreamId id, StreamPending* pending, StreamConsumer* consumer) {
  if (pending->consumer == consumer) return;
  if (pending->consumer != nullptr) CHECK(pending->consumer->pending_.Erase(id));
  CHECK(consumer->pending_.Insert(id, {}).added);
  pending->consumer = consumer;
}

StreamGroup::Claimed StreamGroup::Claim(const StreamLog& log, StreamConsumer* consumer, StreamId id,
                                        const ClaimRule& rule, int64_t now_ms) {
  StreamPending* pending = pending_.Find(id);
  if (!log.Contains(id)) {
    if (pending == nullptr) return Claimed::kNo;
    RemovePending(id, pending->consumer);
    return Claimed::kGone;
  }
  if (pending == nullptr) {
    if (!rule.force) return Claimed::kNo;
    // Made as if delivered once before, as Redis does.
    pending = pending_.Insert(id, {nullptr, now_ms, 1}).value;
  } else if (pending->IdleMs(now_ms) < rule.min_idle_ms) {
    return Claimed::kNo;
  }
  Reassign(id, pending, consumer);
  pending->delivered_ms = rule.delivered_ms;
  if (rule.deliveries) {
    pending->deliveries = *rule.deliveries;
  } else if (!rule.just_id) {
    ++pending->deliveries;
  }
  consumer->active_ms_ = now_ms;
  return Claimed::kYes;
}

StreamId StreamGroup::AutoClaim(const StreamLog& log, StreamConsumer* consumer, StreamId start, uint64_t count,
                                int64_t min_idle_ms, bool just_id, int64_t now_ms, AutoClaimedFn fn) {
  uint64_t looks = count > UINT64_MAX / 10 ? UINT64_MAX : count * 10;
  auto at = pending_.AtLeast(start);
  for (; at && count > 0 && looks > 0; --looks) {
    const StreamId id = at.id();
    StreamPending& pending = at.value();
    const auto entry = log.Find(id);
    if (!entry) {
      fn(id, nullptr, pending);
      RemovePending(id, pending.consumer);
      --count;
      at = pending_.AtLeast(id);
      continue;
    }
    at.Next();
    if (pending.IdleMs(now_ms) < min_idle_ms) continue;
    Reassign(id, &pending, consumer);
    pending.delivered_ms = now_ms;
    if (!just_id) ++pending.deliveries;
    consumer->active_ms_ = now_ms;
    --count;
    fn(id, &*entry, pending);
  }
  return at ? at.id() : kMinStreamId;
}

// ---- What is pending ---------------------------------------------------------------------------------------------

void StreamGroup::WalkPending(StreamId first, StreamId last, const StreamConsumer* consumer,
                              FunctionRef<bool(StreamId, const StreamPending&)> fn) const {
  if (consumer == nullptr) {
    for (auto at = pending_.AtLeast(first); at && at.id() <= last; at.Next()) {
      if (!fn(at.id(), at.value())) return;
    }
    return;
  }
  for (auto at = consumer->pending_.AtLeast(first); at && at.id() <= last; at.Next()) {
    if (!fn(at.id(), *pending_.Find(at.id()))) return;
  }
}

bool StreamGroup::AddPending(StreamId id, int64_t delivered_ms, uint64_t deliveries) {
  return pending_.Insert(id, {nullptr, delivered_ms, deliveries}).added;
}

bool StreamGroup::GivePending(StreamId id, StreamConsumer* consumer) {
  StreamPending* const pending = pending_.Find(id);
  if (pending == nullptr || pending->consumer != nullptr) return false;
  Reassign(id, pending, consumer);
  return true;
}

void StreamGroup::CloneTo(StreamGroup* copy) const {
  std::unordered_map<const StreamConsumer*, StreamConsumer*> twins;
  for (const auto& [name, consumer] : consumers_) {
    StreamConsumer* const twin = copy->CreateConsumer(name, consumer->seen_ms_);
    twin->active_ms_ = consumer->active_ms_;
    for (auto at = consumer->pending_.First(); at; at.Next()) twin->pending_.Insert(at.id(), {});
    twins[consumer.get()] = twin;
  }
  for (auto at = pending_.First(); at; at.Next()) {
    StreamPending pending = at.value();
    pending.consumer = twins.at(pending.consumer);
    copy->pending_.Insert(at.id(), pending);
  }
}

size_t StreamGroup::Validate() const {
  size_t bytes = pending_.Validate();
  uint64_t size = 0;
  for (const auto& [name, consumer] : consumers_) {
    CHECK(consumer->name() == name);
    bytes += NamedBytes(*consumer) + consumer->pending_.Validate();
    size += consumer->pending();
    for (auto at = consumer->pending_.First(); at; at.Next()) {
      const StreamPending* const pending = pending_.Find(at.id());
      CHECK(pending != nullptr && pending->consumer == consumer.get());
    }
  }
  CHECK(size == pending_.size());
  return bytes;
}

}  // namespace understudy::types
