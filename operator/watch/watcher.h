// Follows one collection of the API server and feeds a WatchTarget: the driver of WatchMachine,
// with a thread of its own. It ends only by Stop; every failure is logged and answered by the
// machine.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "common/clock.h"
#include "common/json.h"
#include "operator/kube/client.h"
#include "operator/kube/resource.h"
#include "operator/kube/transport.h"
#include "operator/watch/watch_machine.h"

namespace understudy::watch {

// Where objects go; all calls come from the watcher's thread. The documents are not kept.
class WatchTarget {
 public:
  virtual ~WatchTarget() = default;
  // Staged objects are not visible before Commit puts them in the place of everything.
  virtual void ClearStaged() = 0;
  virtual void Stage(const Json& object) = 0;
  virtual void Unstage(const Json& object) = 0;
  virtual void Commit(const std::string& resource_version) = 0;
  virtual void Upsert(const Json& object) = 0;
  // object: its last state.
  virtual void Remove(const Json& object) = 0;
  // Everything up to this version has been delivered.
  virtual void Progress(const std::string& resource_version) = 0;
};

struct WatchSpec {
  kube::Resource resource;
  std::string name_space;      // empty: all
  std::string label_selector;  // empty: all
  std::string field_selector;
};

struct WatcherOptions {
  WatchTiming timing;
  kube::StreamOptions stream;
  Duration list_timeout = Seconds(30);  // a page
};

class Watcher {
 public:
  // All references must outlive the watcher.
  Watcher(WatchSpec spec, kube::Client& client, kube::StreamTransport& streams, const Clock& clock,
          WatchTarget& target, WatcherOptions options = {});
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  void Start();
  // Ends the stream without waiting. Stopping many: first all of these, then all Stop.
  void RequestStop() { thread_.request_stop(); }
  // Ends the stream and joins the thread; a page being listed is waited for.
  void Stop();

 private:
  class Sink;

  void Run(std::stop_token stop);
  WatchOutput Step(const WatchInput& input);
  WatchOutput RunStream(const std::string& query, std::stop_token stop);
  WatchOutput RunList(const WatchOutput& wanted);
  void Store(const WatchOutput& output, const Json& object);

  const WatchSpec spec_;
  kube::Client& client_;
  kube::StreamTransport& streams_;
  const Clock& clock_;
  WatchTarget& target_;
  const WatcherOptions options_;

  WatchMachine machine_;  // the watcher's thread
  std::mutex mutex_;
  std::condition_variable_any pause_;
  std::jthread thread_;
};

}  // namespace understudy::watch
