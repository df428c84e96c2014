#include "operator/kube/events.h"

#include <algorithm>
#include <chrono>

#include "common/log.h"
#include "common/random.h"

namespace understudy::kube {
namespace {

constexpr size_t kMaxNoteBytes = 1024;
constexpr size_t kMaxNameBytes = 230;
constexpr Duration kSendTimeout = Seconds(10);
constexpr Duration kSweepInterval = Seconds(30);

// Cuts between characters, not inside one.
std::string Cut(std::string text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text;
}

std::string KeyPart(const ObjectReference& ref) {
  return ref.kind + '\0' + ref.name_space + '\0' + ref.name + '\0' + ref.uid;
}

std::string SeriesKey(const Event& event) {
  std::string key = (event.type == EventType::kWarning ? "W" : "N") + event.reason + '\0' +
                    event.action + '\0' + event.note + '\0' + KeyPart(event.regarding);
  if (event.related) key += '\0' + KeyPart(*event.related);
  return key;
}

Json Encode(const ObjectReference& ref) {
  Json out = {{"apiVersion", ref.api_version}, {"kind", ref.kind}, {"name", ref.name}};
  if (!ref.name_space.empty()) out["namespace"] = ref.name_space;
  if (!ref.uid.empty()) out["uid"] = ref.uid;
  return out;
}

}  // namespace

EventRecorder::EventRecorder(Client& client, const Clock& clock, metrics::Registry& registry,
                             EventRecorderOptions options)
    : client_(client),
      clock_(clock),
      options_(std::move(options)),
      sent_(registry.GetCounter("understudy_events_sent_total", "Kubernetes Events written.")),
      dropped_(registry.GetCounter("understudy_events_dropped_total",
                                   "Kubernetes Events given up or never queued.")),
      swept_at_(clock.Mono()) {
  CHECK(!options_.instance.empty());
}

EventRecorder::~EventRecorder() {
  Stop();
}

void EventRecorder::Start() {
  CHECK(!thread_.joinable());
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
}

void EventRecorder::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

Json EventRecorder::BuildBody(const Event& event, const std::string& name,
                              const std::string& name_space, WallTime now) const {
  Json body = {{"apiVersion", ApiVersion(kEvents)},
               {"kind", kEvents.kind},
               {"metadata", {{"name", name}, {"namespace", name_space}}},
               {"eventTime", FormatRfc3339Micro(now)},
               {"reportingController", options_.controller},
               {"reportingInstance", Cut(options_.instance, 128)},
               {"action", Cut(event.action, 128)},
               {"reason", Cut(event.reason, 128)},
               {"regarding", Encode(event.regarding)},
               {"note", Cut(event.note, kMaxNoteBytes)},
               {"type", event.type == EventType::kWarning ? "Warning" : "Normal"}};
  if (event.related) body["related"] = Encode(*event.related);
  return body;
}

void EventRecorder::Record(Event event) {
  CHECK(!event.reason.empty() && !event.action.empty() && !event.regarding.name.empty());
  const std::string key = SeriesKey(event);
  std::lock_guard lock(mutex_);
  const MonoTime now = clock_.Mono();
  const auto it = series_.find(key);
  if (it != series_.end() && now - it->second.last_seen <= options_.series_gap) {
    Series& series = it->second;
    ++series.count;
    series.last_seen = now;
    series.last_observed_time = FormatRfc3339Micro(clock_.Wall());
    if (series.count == 2 || now - series.sent_at >= options_.series_refresh) {
      EnqueueCountLocked(key, series, now);
    }
    return;
  }
  if (it != series_.end() && it->second.count > it->second.sent_count) {
    EnqueueCountLocked(key, it->second, now);  // of the series that is over
  }
  if (series_.size() >= kMaxSeries) SweepLocked(now);
  Series series{
      .name = Cut(event.regarding.name, kMaxNameBytes) + "." + RandomHex(8),
      .name_space = event.regarding.name_space.empty() ? "default" : event.regarding.name_space,
      .last_seen = now,
      .sent_at = now};
  EnqueueLocked({.key = key,
                 .name_space = series.name_space,
                 .name = series.name,
                 .body = BuildBody(event, series.name, series.name_space, clock_.Wall())});
  // Without room each occurrence becomes an object of its own.
  if (series_.size() < kMaxSeries || series_.contains(key)) series_[key] = std::move(series);
}

void EventRecorder::EnqueueLocked(Item item) {
  if (queue_.size() >= kMaxQueued) {
    dropped_.Add();
    return;
  }
  queue_.push_back(std::move(item));
  changed_.notify_all();
}

void EventRecorder::EnqueueCountLocked(const std::string& key, Series& series, MonoTime now) {
  series.sent_count = series.count;
  series.sent_at = now;
  EnqueueLocked(
      {.key = key,
       .name_space = series.name_space,
       .name = series.name,
       .create = false,
       .body = {{"series",
                 {{"count", series.count}, {"lastObservedTime", series.last_observed_time}}}}});
}

void EventRecorder::SweepLocked(MonoTime now) {
  swept_at_ = now;
  for (auto it = series_.begin(); it != series_.end();) {
    Series& series = it->second;
    const bool over = now - series.last_seen > options_.series_gap;
    const bool stale = now - series.sent_at >= options_.series_refresh;
    if (series.count > series.sent_count && (over || stale))
      EnqueueCountLocked(it->first, series, now);
    it = over ? series_.erase(it) : std::next(it);
  }
}

void EventRecorder::Run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const MonoTime now = clock_.Mono();
    if (now - swept_at_ >= kSweepInterval) SweepLocked(now);
    if (queue_.empty()) {
      changed_.wait_for(lock, stop, std::chrono::nanoseconds(kSweepInterval.ns),
                        [&] { return !queue_.empty(); });
      continue;
    }
    const Item item = queue_.front();
    sending_ = true;
    lock.unlock();
    const Deadline deadline = Deadline::In(client_.clock(), kSendTimeout);
    const auto answer = item.create ? client_.Create(kEvents, item.body, deadline)
                                    : client_.MergePatch(kEvents, item.name_space, item.name,
                                                         item.body, "", deadline);
    lock.lock();
    sending_ = false;
    const Code code = answer.status().code();
    if (code == Code::kUnavailable && ++queue_.front().attempts < options_.max_attempts) {
      // The server is away for all of them: nothing overtakes.
      changed_.wait_for(lock, stop, std::chrono::nanoseconds(options_.retry_pause.ns),
                        [] { return false; });
      continue;
    }
    queue_.pop_front();
    if (answer.ok() || (item.create && code == Code::kConflict)) {
      sent_.Add();
    } else {
      dropped_.Add();
      // The object is not there: the next occurrence makes a new one.
      series_.erase(item.key);
      LOG_DEBUG("an event was given up: {}", answer.status().ToString());
    }
    changed_.notify_all();
  }
}

bool EventRecorder::Flush(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const MonoTime now = clock_.Mono();
  for (auto& [key, series] : series_) {
    if (series.count > series.sent_count) EnqueueCountLocked(key, series, now);
  }
  return changed_.wait_for(lock, std::chrono::nanoseconds(deadline.Left(now).ns),
                           [&] { return queue_.empty() && !sending_; });
}

}  // namespace understudy::kube
