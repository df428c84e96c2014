// How requests reach the API server: one question with one answer (Transport), or a question whose
// answer is an endless sequence of lines (StreamTransport: a watch). No kind, no retry policy and
// no cache here.
//
// Implementations: CpprestTransport (reconcilers), BeastTransport (a connection of its own: the
// leader lease, which must never wait behind other calls), BeastStream (watches). All are
// thread-safe and block the calling thread. A Transport may send a request twice (cpprestsdk
// re-sends silently when a kept connection turns out to be closed), so callers send only what is
// safe to repeat: GET, apply, PUT and PATCH, DELETE with a uid, POST of a fixed name.
#pragma once

#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/result.h"
#include "operator/kube/credentials.h"

namespace understudy::kube {

struct Request {
  std::string method;
  std::string path;  // with the query, percent-encoded
  std::string body;
  std::string content_type;  // empty without a body
};

struct Response {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> headers;  // names in lower case
};

class Transport {
 public:
  virtual ~Transport() = default;
  // The answer, whatever its HTTP status. kUnavailable: none came before the deadline or the
  // connection broke; the request may have been carried out all the same.
  virtual Result<Response> Send(const Request& request, Deadline deadline) = 0;
};

// Receives the lines of a stream, in the calling thread of Stream.
class LineSink {
 public:
  virtual ~LineSink() = default;
  // The server answered 200; lines follow.
  virtual void OnOpen() = 0;
  // One line without its newline; valid during the call only.
  virtual void OnLine(std::string_view line) = 0;
};

// Why a stream is over.
struct StreamEnd {
  enum class Cause {
    kEof,        // the server ended it properly
    kStopped,    // the stop token asked for it
    kHttpError,  // answered with another status than 200: http_status, body, retry_after
    kRefused,    // nobody listens there
    kSilent,     // nothing came for StreamOptions::max_silence
    kBroken,     // connection, TLS or name resolution failed
    kMalformed,  // a line above the limit, or not HTTP
  };
  Cause cause = Cause::kEof;
  std::string message;  // one sentence; empty for kEof and kStopped
  int http_status = 0;
  std::string body;        // of an error answer, at most 64 KiB
  Duration retry_after{};  // 0: none given
};

struct StreamOptions {
  Duration connect_timeout = Seconds(10);  // name, TCP, TLS and the answer's headers: each
  // The server sends a bookmark about once a minute, so more than two missing ones mean a dead
  // stream.
  Duration max_silence = Seconds(150);
  size_t max_line_bytes = 4 << 20;
};

class StreamTransport {
 public:
  virtual ~StreamTransport() = default;
  // Runs in the calling thread until the stream ends. A stop takes effect within milliseconds, in
  // any phase. Never throws; an exception of `sink` is not allowed.
  virtual StreamEnd Stream(const Request& request, const StreamOptions& options, LineSink& sink,
                           std::stop_token stop) = 0;
};

// rest_client_requests_total{code,method}: every HTTP exchange, also the repeated ones. Any thread.
class RequestCounter {
 public:
  explicit RequestCounter(metrics::Registry& registry) : registry_(registry) {}
  // code: the HTTP status, or 0 when no answer came.
  void Count(const std::string& method, int code);

 private:
  metrics::Registry& registry_;
};

// What all implementations need. The references must outlive them.
struct TransportContext {
  std::shared_ptr<Credentials> credentials;
  const Clock& clock;
  metrics::Registry& registry;
  std::string user_agent = DefaultUserAgent();

  static std::string DefaultUserAgent();  // "understudy-operator/<version>"
};

// Nobody is sent away for longer.
inline constexpr int64_t kLongestRetryAfterSeconds = 3600;
// Seconds of a Retry-After header value; 0 if there is none or it is no number.
Duration ParseRetryAfter(std::string_view value);

// For reconcilers. kInvalid for a server that is an IPv6 literal, which cpprestsdk can't reach.
// The library verifies with our CA only, but parses the system's CA bundle (27 ms of CPU) for each
// new connection first, unless SSL_CERT_FILE names the cluster's CA: set it in the Deployment.
Result<std::unique_ptr<Transport>> MakeCpprestTransport(TransportContext context);
// One kept connection; concurrent calls take turns.
std::unique_ptr<Transport> MakeBeastTransport(TransportContext context);
std::unique_ptr<StreamTransport> MakeBeastStream(TransportContext context);

}  // namespace understudy::kube
