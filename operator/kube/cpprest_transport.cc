// The only file that names cpprestsdk, so that leaving it is a one-file change. Guard rails against
// what the library does by itself: a pool of 4 threads instead of 40, no redirects, no exception
// that nobody takes (it would end the process), no waiting on a pool thread, a time limit for each
// call.
// clang-format off
#include <utility>
// cpprestsdk's header uses the old name, which Asio no longer includes by itself.
#include <boost/asio/io_service.hpp>
#include <cpprest/http_client.h>
#include <pplx/threadpool.h>
// clang-format on

#include <algorithm>
#include <cctype>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "common/log.h"
#include "operator/kube/tls_context.h"
#include "operator/kube/transport.h"

namespace understudy::kube {
namespace {

namespace rest = web::http;

constexpr size_t kPoolThreads = 4;
// The library's idle timer; calls end earlier by their own deadline.
constexpr std::chrono::seconds kIdleLimit{60};

// Where the pool's thread leaves the answer and the caller's thread waits for it. Shared, because a
// caller whose deadline passed goes away before the cancelled task is done.
class Slot {
 public:
  void Fill(Result<Response> answer) {
    std::lock_guard lock(mutex_);
    if (!answer_) answer_ = std::move(answer);
    filled_.notify_all();
  }
  std::optional<Result<Response>> Wait(Duration timeout) {
    std::unique_lock lock(mutex_);
    filled_.wait_for(lock, std::chrono::nanoseconds(timeout.ns),
                     [&] { return answer_.has_value(); });
    return answer_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::optional<Result<Response>> answer_;  // mutex_
};

// The Status of the exception that is being handled.
Status CurrentFailure(const std::string& authority) {
  try {
    throw;
  } catch (const rest::http_exception& e) {
    return Unavailable(authority + ": " + e.what());
  } catch (const std::exception& e) {
    return Unavailable(authority + ": " + e.what());
  } catch (...) {
    return Unavailable(authority + ": the request failed");
  }
}

Response Convert(const rest::http_response& from, std::vector<unsigned char> body) {
  Response out;
  out.status = from.status_code();
  out.body.assign(body.begin(), body.end());
  for (const auto& [name, value] : from.headers()) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    out.headers[lower] = value;
  }
  return out;
}

class CpprestTransport final : public Transport {
 public:
  explicit CpprestTransport(TransportContext context)
      : context_(std::move(context)),
        counter_(context_.registry),
        authority_(context_.credentials->server().Authority()),
        client_((context_.credentials->server().tls ? "https://" : "http://") + authority_,
                Config(context_.credentials)) {}

  Result<Response> Send(const Request& request, Deadline deadline) override {
    const std::string token = context_.credentials->Token();
    auto answer = Once(request, token, deadline);
    if (answer.ok() && answer->status == 401 && context_.credentials->TokenRefused(token)) {
      answer = Once(request, context_.credentials->Token(), deadline);
    }
    return answer;
  }

 private:
  static rest::client::http_client_config Config(std::shared_ptr<Credentials> credentials) {
    rest::client::http_client_config config;
    config.set_timeout(kIdleLimit);
    config.set_max_redirects(0);
    config.set_validate_certificates(true);
    // Runs for each new connection, so that a rotated CA or certificate is picked up.
    config.set_ssl_context_callback([credentials](boost::asio::ssl::context& context) {
      const auto material = credentials->ReadTls();
      Status status = material.ok() ? ConfigureTls(context, *material) : material.status();
      if (!status.ok()) LOG_ERROR("TLS to the API server: {}", status.message());
    });
    return config;
  }

  Result<Response> Once(const Request& request, const std::string& token, Deadline deadline) {
    auto slot = std::make_shared<Slot>();
    pplx::cancellation_token_source cancel;
    try {
      Start(request, token, slot, cancel.get_token());
    } catch (...) {
      slot->Fill(CurrentFailure(authority_));
    }
    auto answer = slot->Wait(deadline.Left(context_.clock.Mono()));
    if (!answer) {
      cancel.cancel();
      answer = Result<Response>(Unavailable(authority_ + ": no answer before the deadline"));
    }
    counter_.Count(request.method, answer->ok() ? (*answer)->status : 0);
    return *std::move(answer);
  }

  void Start(const Request& request, const std::string& token, std::shared_ptr<Slot> slot,
             pplx::cancellation_token cancel) {
    rest::http_request message(request.method);
    message.set_request_uri(web::uri(request.path));
    message.headers().add("Accept", "application/json");
    message.headers().add("User-Agent", context_.user_agent);
    if (!token.empty()) message.headers().add("Authorization", "Bearer " + token);
    if (!request.body.empty()) message.set_body(request.body, request.content_type);
    client_.request(message, cancel)
        .then([](rest::http_response response) {
          return response.extract_vector().then(
              [response](std::vector<unsigned char> body) { return Convert(response, std::move(body)); });
        })
        // The last step: who has the answer may end the process, and what the pool still had to do would be lost. Takes
        // every exception of the chain: one that is left over ends the process.
        .then([slot, authority = authority_](pplx::task<Response> chain) {
          try {
            slot->Fill(chain.get());
          } catch (...) {
            slot->Fill(CurrentFailure(authority));
          }
        });
  }

  const TransportContext context_;
  RequestCounter counter_;
  const std::string authority_;
  rest::client::http_client client_;
};

void StartPool() {
  static std::once_flag once;
  std::call_once(once, [] {
    try {
      crossplat::threadpool::initialize_with_threads(kPoolThreads);
    } catch (const std::exception& e) {
      LOG_WARN("cpprestsdk's thread pool keeps its default size: {}", e.what());
    }
  });
}

}  // namespace

Result<std::unique_ptr<Transport>> MakeCpprestTransport(TransportContext context) {
  const std::string& host = context.credentials->server().host;
  if (host.find(':') != std::string::npos) {
    return Invalid("the API server is given as the IPv6 address " + host +
                   ", which cpprestsdk can't reach; give a name");
  }
  StartPool();
  try {
    return std::unique_ptr<Transport>(std::make_unique<CpprestTransport>(std::move(context)));
  } catch (const std::exception& e) {
    return Invalid(std::string("the API server's address can't be used: ") + e.what());
  }
}

}  // namespace understudy::kube
