// A Kubernetes API server for tests: real HTTP (or HTTPS) on 127.0.0.1 and a port of the kernel's
// choice, any resource path, the rules of FakeObjectStore, and faults on demand.
//
//   FakeApiServer server;
//   server.store().Set("/api/v1/pods", pod);                     // play kubelet, controller or
//   user server.AddFault({.method = "POST", .path = "/leases", .action =
//   Fault::Action::kDropReply});
//   ... credentials: Credentials::Explicit({.tls = false, .host = "127.0.0.1", .port =
//   server.port()}, …) server.WaitForRequests("PATCH", "/status", 2);
//
// Faults are looked at in the order in which they were added; the first that matches is used,
// `times` times. Streams get bookmarks each `bookmark_interval_ms` and end after their
// timeoutSeconds. A thread per connection; the destructor ends all of them.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fake_object_store.h"

namespace understudy::test {

struct Fault {
  enum class Action {
    kAnswer,  // `status` with a metav1.Status of `reason`, and `headers`; the request isn't carried
              // out
    kDropRequest,  // close the connection without carrying the request out
    kDropReply,    // carry it out, then close the connection without an answer (no streams)
    kHang,         // carry nothing out and never answer
    kSilent,       // streams: open, then send nothing any more, bookmarks neither
    kCut,          // streams: after `after_lines` lines send half of the next one, then close
    kEnd,          // streams: after `after_lines` lines end properly
    kInject,       // streams: after `after_lines` lines send `line`, then go on
  };
  std::string method;  // empty: any
  std::string path;    // part of the target, query included; empty: any
  int times = 1;
  Action action = Action::kAnswer;
  int status = 500;
  std::string reason = "InternalError";
  std::map<std::string, std::string> headers;
  int after_lines = 0;
  std::string line;
};

struct SeenRequest {
  std::string method;
  std::string target;
  std::string body;
  std::map<std::string, std::string> headers;  // names in lower case
  int connection = 0;                          // numbered in the order of acceptance
};

struct FakeServerTls {
  std::string certificate_pem;
  std::string key_pem;
  std::string client_ca_pem;  // empty: no client certificate is asked for
};

struct FakeServerOptions {
  std::string address = "127.0.0.1";
  std::optional<FakeServerTls> tls;
  int bookmark_interval_ms = 100;
  bool watch_list = true;  // false: sendInitialEvents is refused with 422
};

class FakeApiServer {
 public:
  using Options = FakeServerOptions;

  explicit FakeApiServer(Options options = {});
  ~FakeApiServer();
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  uint16_t port() const { return port_; }
  FakeObjectStore& store() { return store_; }

  void AddFault(Fault fault);
  void ClearFaults();
  // Other bearer tokens than this get 401. Empty: anybody may come.
  void RequireToken(const std::string& token);
  void SetTls(FakeServerTls tls);  // for connections from now on
  // Closes all connections, streams and kept ones alike.
  void CloseConnections();
  // Closes the listener and all connections (connection refused), and opens it again on the same
  // port.
  void Pause();
  void Resume();

  std::vector<SeenRequest> Requests() const;
  // Requests so far whose method is `method` (empty: any) and whose target contains `path`.
  int CountRequests(const std::string& method, const std::string& path) const;
  // Waits until there are `count` of them; false after 30 s.
  bool WaitForRequests(const std::string& method, const std::string& path, int count) const;

 private:
  struct Connection;
  class Session;

  void Listen();
  void StopListening();
  void Accept();
  std::optional<Fault> TakeFault(const std::string& method, const std::string& target);

  const int bookmark_interval_ms_;
  const bool watch_list_;
  const std::string address_;
  uint16_t port_ = 0;
  FakeObjectStore store_;

  std::atomic<int> listener_{-1};
  std::thread acceptor_;
  mutable std::mutex mutex_;
  mutable std::condition_variable seen_;
  std::list<std::unique_ptr<Connection>> connections_;  // mutex_
  std::vector<Fault> faults_;                           // mutex_
  std::vector<SeenRequest> requests_;                   // mutex_
  std::string token_;                                   // mutex_
  std::optional<FakeServerTls> tls_;                    // mutex_
};

}  // namespace understudy::test
