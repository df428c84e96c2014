// What a watcher makes of an API server that answers anything: pages of a list, and lines of a
// stream. An input is lines; an empty one ends an answer; the answers are given to whatever is
// asked next. When none is left the watcher is stopped.
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include "common/log.h"
#include "operator/api/builtins.h"
#include "operator/kube/resource.h"
#include "operator/watch/cache.h"
#include "operator/watch/watcher.h"
#include "tests/fuzz/fuzz.h"

namespace understudy::watch {
namespace {

using Answer = std::vector<std::string>;

class Server final : public kube::Transport, public kube::StreamTransport {
 public:
  explicit Server(std::vector<Answer> answers) : answers_(std::move(answers)) {}

  Result<kube::Response> Send(const kube::Request&, Deadline) override {
    const std::optional<Answer> answer = Next();
    if (!answer) return Unavailable("no answer is left");
    kube::Response response;
    response.status = 200;
    for (const std::string& line : *answer) response.body += line;
    return response;
  }
  kube::StreamEnd Stream(const kube::Request&, const kube::StreamOptions&, kube::LineSink& sink,
                         std::stop_token stop) override {
    const std::optional<Answer> answer = Next();
    if (!answer) {
      std::unique_lock lock(mutex_);
      stopped_.wait(lock, stop, [] { return false; });
      return {.cause = kube::StreamEnd::Cause::kStopped};
    }
    sink.OnOpen();
    for (const std::string& line : *answer) {
      if (stop.stop_requested()) return {.cause = kube::StreamEnd::Cause::kStopped};
      sink.OnLine(line);
    }
    return {.cause = kube::StreamEnd::Cause::kEof};
  }
  // Not longer than it takes: an answer may tell the watcher to come back in an hour.
  void AwaitEnd() {
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, std::chrono::milliseconds(50), [&] { return end_; });
  }

 private:
  std::optional<Answer> Next() {
    std::lock_guard lock(mutex_);
    if (next_ < answers_.size()) return answers_[next_++];
    end_ = true;
    ended_.notify_all();
    return std::nullopt;
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  std::condition_variable_any stopped_;
  const std::vector<Answer> answers_;
  size_t next_ = 0;   // mutex_
  bool end_ = false;  // mutex_
};

Result<api::Pod> AnyPod(const Json& document) {
  Result<api::Pod> pod = api::ParsePod(document);
  return pod.ok() ? std::move(pod) : api::Pod{};
}

}  // namespace
}  // namespace understudy::watch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::watch;
  static const bool quiet = log::Init("fuzz", "error").ok();
  CHECK(quiet);
  fuzz::Input in(data, size);
  std::vector<Answer> answers(1);
  while (!in.empty() && answers.size() <= 10) {
    const std::string_view line = in.Line();
    if (line.empty()) {
      answers.emplace_back();
    } else {
      answers.back().emplace_back(line);
    }
  }
  SystemClock clock;
  Server server(std::move(answers));
  kube::Client client(server, clock);
  Cache<api::Pod> cache(AnyPod);
  cache.AddIndex("node", [](const api::Pod& pod) { return std::vector{pod.node_name}; });
  size_t present = 0;
  cache.AddHandler([&](const Change<api::Pod>& change) {
    CHECK(change.before != nullptr || change.after != nullptr);
    present += (change.after != nullptr ? 1 : 0) - (change.before != nullptr ? 1 : 0);
  });
  Watcher watcher({.resource = kube::kPods}, client, server, clock, cache,
                  {.timing = {.first_pause = Microseconds(1), .longest_pause = Microseconds(1)}});
  watcher.Start();
  server.AwaitEnd();
  client.Stop();
  watcher.Stop();
  CHECK(cache.size() == present);
  CHECK(cache.All().size() == present);
  return 0;
}
