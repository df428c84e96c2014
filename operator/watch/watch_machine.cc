#include "operator/watch/watch_machine.h"

#include <algorithm>

#include "common/check.h"

namespace understudy::watch {
namespace {

using Cause = kube::StreamEnd::Cause;

// The server is there and says: not now, or not you.
bool Declines(int http_status) {
  return http_status == 429 || http_status == 401 || http_status == 403;
}

}  // namespace

WatchOutput WatchMachine::Step(const WatchInput& input, MonoTime now, double jitter) {
  if (std::holds_alternative<Started>(input)) return Enter(State::kWatchList, jitter);
  if (std::holds_alternative<PauseOver>(input)) {
    CHECK(state_ == State::kPause);
    return Enter(after_pause_, jitter);
  }
  if (const auto* event = std::get_if<WatchEvent>(&input)) return OnEvent(*event, now);
  if (const auto* over = std::get_if<StreamOver>(&input)) return OnStreamOver(*over, now, jitter);
  if (const auto* page = std::get_if<PageListed>(&input)) return OnPage(*page, now, jitter);
  return OnListFailed(std::get<ListFailed>(input), now, jitter);
}

WatchOutput WatchMachine::Enter(State state, double jitter) {
  state_ = state;
  stream_error_ = 0;
  WatchOutput out;
  // The server ends streams at a random time, so that not all come back at once.
  const std::string timeout =
      "&timeoutSeconds=" + std::to_string(300 + static_cast<int>(jitter * 301));
  switch (state) {
    case State::kWatchList:
      out.command = WatchCommand::kOpenStream;
      out.clear_staged = true;
      out.query =
          "watch=1&allowWatchBookmarks=true&sendInitialEvents=true"
          "&resourceVersionMatch=NotOlderThan" +
          timeout;
      return out;
    case State::kWatch:
      out.command = WatchCommand::kOpenStream;
      out.query = "watch=1&allowWatchBookmarks=true&resourceVersion=" + resource_version_ + timeout;
      return out;
    case State::kList:
      out.command = WatchCommand::kList;
      out.clear_staged = true;
      out.limit = whole_list_ ? 0 : kPageSize;
      return out;
    case State::kIdle:
    case State::kPause:
      break;
  }
  CHECK(false);
  return out;
}

WatchOutput WatchMachine::PauseThen(State next, Duration at_least, MonoTime now, double jitter) {
  if (now - failed_at_ > timing_.healthy_after) failures_ = 0;
  failed_at_ = now;
  const Duration base = timing_.first_pause * static_cast<double>(1 << std::min(failures_, 20));
  ++failures_;
  state_ = State::kPause;
  after_pause_ = next;
  WatchOutput out;
  out.command = WatchCommand::kPause;
  out.pause = std::max(at_least, std::min(base * (1.0 + jitter), timing_.longest_pause));
  return out;
}

WatchOutput WatchMachine::OnInitialEvent(const WatchEvent& event, MonoTime now) {
  WatchOutput out;
  switch (event.type) {
    case WatchEvent::Type::kAdded:
    case WatchEvent::Type::kModified:
      out.op = StoreOp::kStage;
      return out;
    case WatchEvent::Type::kDeleted:
      out.op = StoreOp::kUnstage;
      return out;
    case WatchEvent::Type::kBookmark:
      break;
    case WatchEvent::Type::kError:
      CHECK(false);
  }
  // The initial objects come in no order: until they are complete their versions mean nothing.
  if (!event.initial_events_end) return out;
  state_ = State::kWatch;
  resource_version_ = event.resource_version;
  committed_at_ = now;
  refused_watches_ = 0;
  out.commit = true;
  out.resource_version = resource_version_;
  return out;
}

WatchOutput WatchMachine::OnEvent(const WatchEvent& event, MonoTime now) {
  CHECK(state_ == State::kWatchList || state_ == State::kWatch);
  WatchOutput out;
  if (stream_error_ != 0) return out;  // after an error nothing in the stream counts
  if (event.type == WatchEvent::Type::kError) {
    stream_error_ = event.error_code == 0 ? 500 : event.error_code;
    stream_error_retry_ = event.retry_after;
    out.command = WatchCommand::kCloseStream;
    return out;
  }
  if (state_ == State::kWatchList) return OnInitialEvent(event, now);
  refused_watches_ = 0;
  if (!event.resource_version.empty()) resource_version_ = event.resource_version;
  out.resource_version = resource_version_;
  if (event.type == WatchEvent::Type::kDeleted) {
    out.op = StoreOp::kRemove;
  } else if (event.type != WatchEvent::Type::kBookmark) {
    out.op = StoreOp::kUpsert;
  }
  return out;
}

WatchOutput WatchMachine::OnInitialStreamOver(const StreamOver& over, MonoTime now, double jitter) {
  switch (over.cause) {
    case Cause::kRefused:
    case Cause::kBroken:
    case Cause::kStopped:
      return PauseThen(State::kWatchList, {}, now, jitter);
    case Cause::kHttpError:
      if (Declines(over.http_status)) {
        return PauseThen(State::kWatchList, over.retry_after, now, jitter);
      }
      break;
    case Cause::kEof:
    case Cause::kSilent:
    case Cause::kMalformed:
      break;
  }
  whole_list_ = false;
  return Enter(State::kList, jitter);
}

WatchOutput WatchMachine::OnStreamOver(StreamOver over, MonoTime now, double jitter) {
  CHECK(state_ == State::kWatchList || state_ == State::kWatch);
  if (stream_error_ != 0) {
    over.cause = Cause::kHttpError;
    over.http_status = stream_error_;
    over.retry_after = stream_error_retry_;
  }
  if (state_ == State::kWatchList) return OnInitialStreamOver(over, now, jitter);
  switch (over.cause) {
    case Cause::kEof:
      if (over.lasted < timing_.very_short) return PauseThen(State::kWatch, {}, now, jitter);
      return Enter(State::kWatch, jitter);
    case Cause::kSilent:
      return Enter(State::kWatch, jitter);
    case Cause::kStopped:
    case Cause::kRefused:
    case Cause::kBroken:
      return PauseThen(State::kWatch, {}, now, jitter);
    case Cause::kMalformed:
      // The same line would come again; a list has no limit on one object.
      whole_list_ = false;
      return PauseThen(State::kList, {}, now, jitter);
    case Cause::kHttpError:
      break;
  }
  if (over.http_status == 410) {
    if (now - committed_at_ >= timing_.resync_gap) return Enter(State::kWatchList, jitter);
    return PauseThen(State::kWatchList, {}, now, jitter);
  }
  if (Declines(over.http_status)) return PauseThen(State::kWatch, over.retry_after, now, jitter);
  // 5xx also stands for a version from the future, after the cluster's data was restored from a
  // backup.
  if (over.http_status >= 500 && ++refused_watches_ < kMaxRewatchFailures) {
    return PauseThen(State::kWatch, over.retry_after, now, jitter);
  }
  refused_watches_ = 0;
  return PauseThen(State::kWatchList, over.retry_after, now, jitter);
}

WatchOutput WatchMachine::OnPage(const PageListed& page, MonoTime now, double jitter) {
  CHECK(state_ == State::kList);
  WatchOutput out;
  if (!page.continue_token.empty()) {
    out.command = WatchCommand::kList;
    out.limit = kPageSize;
    out.continue_token = page.continue_token;
  } else {
    resource_version_ = page.resource_version;
    committed_at_ = now;
    refused_watches_ = 0;
    out = Enter(State::kWatch, jitter);
    out.commit = true;
    out.resource_version = resource_version_;
  }
  out.op = StoreOp::kStage;
  return out;
}

WatchOutput WatchMachine::OnListFailed(const ListFailed& failed, MonoTime now, double jitter) {
  CHECK(state_ == State::kList);
  if (failed.code == Code::kExpired && !whole_list_) {
    whole_list_ = true;
    return Enter(State::kList, jitter);
  }
  return PauseThen(State::kWatchList, {}, now, jitter);
}

}  // namespace understudy::watch
