#include "operator/watch/watcher.h"

#include <algorithm>
#include <chrono>

#include "common/log.h"
#include "common/random.h"

namespace understudy::watch {
namespace {

using Cause = kube::StreamEnd::Cause;

const char* CauseName(Cause cause) {
  switch (cause) {
    case Cause::kEof:
      return "ended";
    case Cause::kStopped:
      return "closed";
    case Cause::kHttpError:
      return "refused by the server";
    case Cause::kRefused:
      return "connection refused";
    case Cause::kSilent:
      return "silent";
    case Cause::kBroken:
      return "broken";
    case Cause::kMalformed:
      return "malformed";
  }
  return "unknown";
}

// False for a line that is not a watch event. The views point into `line`.
bool ParseEvent(const Json& line, WatchEvent* out) {
  const std::string type = JsonString(line, "type");
  const Json& object = JsonAt(line, "object");
  if (!object.is_object()) return false;
  if (type == "ADDED") {
    out->type = WatchEvent::Type::kAdded;
  } else if (type == "MODIFIED") {
    out->type = WatchEvent::Type::kModified;
  } else if (type == "DELETED") {
    out->type = WatchEvent::Type::kDeleted;
  } else if (type == "BOOKMARK") {
    out->type = WatchEvent::Type::kBookmark;
  } else if (type == "ERROR") {
    out->type = WatchEvent::Type::kError;
    out->error_code = static_cast<int>(JsonInt(object, "code", 500));
    const int64_t seconds = JsonInt(JsonAt(object, "details"), "retryAfterSeconds");
    out->retry_after = Seconds(std::clamp<int64_t>(seconds, 0, kube::kLongestRetryAfterSeconds));
    return true;
  } else {
    return false;
  }
  const Json& metadata = JsonAt(object, "metadata");
  const Json& version = JsonAt(metadata, "resourceVersion");
  if (!version.is_string()) return false;
  out->resource_version = version.get_ref<const std::string&>();
  out->initial_events_end =
      JsonString(JsonAt(metadata, "annotations"), "k8s.io/initial-events-end") == "true";
  return true;
}

}  // namespace

// Feeds the lines of one stream to the machine and the target.
class Watcher::Sink final : public kube::LineSink {
 public:
  Sink(Watcher& watcher, std::stop_source& stream) : watcher_(watcher), stream_(stream) {}

  void OnOpen() override { opened_at_ = watcher_.clock_.Mono(); }
  void OnLine(std::string_view text) override {
    if (stream_.stop_requested()) return;
    const auto line = ParseJson(text);
    WatchEvent event;
    if (!line.ok() || !ParseEvent(*line, &event)) {
      malformed_ = true;
      stream_.request_stop();
      return;
    }
    if (event.type == WatchEvent::Type::kError) {
      LOG_INFO("watch of {}: the server reports {}", watcher_.spec_.resource.plural,
               JsonString(JsonAt(*line, "object"), "message"));
    }
    const WatchOutput output = watcher_.Step(event);
    watcher_.Store(output, JsonAt(*line, "object"));
    if (output.command == WatchCommand::kCloseStream) stream_.request_stop();
  }

  bool malformed() const { return malformed_; }
  MonoTime opened_at() const { return opened_at_; }

 private:
  Watcher& watcher_;
  std::stop_source& stream_;
  bool malformed_ = false;
  MonoTime opened_at_;
};

Watcher::Watcher(WatchSpec spec, kube::Client& client, kube::StreamTransport& streams,
                 const Clock& clock, WatchTarget& target, WatcherOptions options)
    : spec_(std::move(spec)),
      client_(client),
      streams_(streams),
      clock_(clock),
      target_(target),
      options_(options),
      machine_(options.timing) {}

Watcher::~Watcher() {
  Stop();
}

void Watcher::Start() {
  CHECK(!thread_.joinable());
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
}

void Watcher::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

WatchOutput Watcher::Step(const WatchInput& input) {
  const double jitter = static_cast<double>(RandomU64() >> 11) / static_cast<double>(1ULL << 53);
  return machine_.Step(input, clock_.Mono(), jitter);
}

void Watcher::Store(const WatchOutput& output, const Json& object) {
  switch (output.op) {
    case StoreOp::kNone:
      break;
    case StoreOp::kStage:
      target_.Stage(object);
      break;
    case StoreOp::kUnstage:
      target_.Unstage(object);
      break;
    case StoreOp::kUpsert:
      target_.Upsert(object);
      break;
    case StoreOp::kRemove:
      target_.Remove(object);
      break;
  }
  if (output.commit) {
    target_.Commit(output.resource_version);
  } else if (!output.resource_version.empty()) {
    target_.Progress(output.resource_version);
  }
}

void Watcher::Run(std::stop_token stop) {
  WatchOutput output = Step(Started{});
  while (!stop.stop_requested()) {
    if (output.clear_staged) target_.ClearStaged();
    switch (output.command) {
      case WatchCommand::kOpenStream:
        output = RunStream(output.query, stop);
        break;
      case WatchCommand::kList:
        output = RunList(output);
        break;
      case WatchCommand::kPause: {
        std::unique_lock lock(mutex_);
        pause_.wait_for(lock, stop, std::chrono::nanoseconds(output.pause.ns),
                        [] { return false; });
        if (!stop.stop_requested()) output = Step(PauseOver{});
        break;
      }
      case WatchCommand::kNone:
      case WatchCommand::kCloseStream:
        CHECK(false);
    }
  }
}

WatchOutput Watcher::RunStream(const std::string& query, std::stop_token stop) {
  std::string path = kube::CollectionPath(spec_.resource, spec_.name_space) + "?" + query;
  if (!spec_.label_selector.empty()) path += "&labelSelector=" + kube::Encode(spec_.label_selector);
  if (!spec_.field_selector.empty()) path += "&fieldSelector=" + kube::Encode(spec_.field_selector);
  std::stop_source stream;
  std::stop_callback forward(stop, [&stream] { stream.request_stop(); });
  Sink sink(*this, stream);
  kube::StreamEnd end = streams_.Stream({.method = "GET", .path = std::move(path)}, options_.stream,
                                        sink, stream.get_token());
  if (stop.stop_requested()) return {};
  if (sink.malformed()) {
    end.cause = Cause::kMalformed;
    end.message = "a line is not a watch event";
  }
  if (end.cause == Cause::kEof || end.cause == Cause::kStopped) {
    LOG_DEBUG("watch of {}: {}", spec_.resource.plural, CauseName(end.cause));
  } else {
    LOG_WARN("watch of {}: {}: {}", spec_.resource.plural, CauseName(end.cause), end.message);
  }
  const MonoTime opened = sink.opened_at();
  return Step(StreamOver{
      .cause = end.cause,
      .http_status = end.http_status,
      .retry_after = end.retry_after,
      .lasted = opened == MonoTime{} ? Duration{} : clock_.Mono() - opened,
  });
}

WatchOutput Watcher::RunList(const WatchOutput& wanted) {
  const auto page = client_.List(spec_.resource, spec_.name_space,
                                 {.label_selector = spec_.label_selector,
                                  .field_selector = spec_.field_selector,
                                  .limit = wanted.limit,
                                  .continue_token = wanted.continue_token},
                                 Deadline::In(clock_, options_.list_timeout));
  if (!page.ok()) {
    LOG_WARN("list of {}: {}", spec_.resource.plural, page.status().ToString());
    return Step(ListFailed{.code = page.status().code()});
  }
  const Json& metadata = JsonAt(*page, "metadata");
  const std::string version = JsonString(metadata, "resourceVersion");
  const std::string token = JsonString(metadata, "continue");
  WatchOutput output = Step(PageListed{.resource_version = version, .continue_token = token});
  for (const Json& item : JsonAt(*page, "items")) target_.Stage(item);
  if (output.commit) target_.Commit(output.resource_version);
  return output;
}

}  // namespace understudy::watch
