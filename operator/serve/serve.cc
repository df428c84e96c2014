#include "operator/serve/serve.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <thread>
#include <utility>

#include "common/http_server.h"

namespace understudy::serve {

class Endpoints::Impl {
 public:
  Impl(Options options, const metrics::Registry& registry, const Clock& clock, std::function<std::string()> ready)
      : work_(boost::asio::make_work_guard(io_)),
        metrics_(io_, clock, {.address = options.address, .port = options.metrics_port}),
        health_(io_, clock, {.address = options.address, .port = options.health_port}) {
    metrics_.Get("/metrics", [&registry](const http::Request&) {
      return http::Response{200, "text/plain; version=0.0.4; charset=utf-8", registry.Text()};
    });
    health_.Get("/healthz", [](const http::Request&) { return http::Response{.body = "ok\n"}; });
    health_.Get("/readyz", [ready = std::move(ready)](const http::Request&) {
      const std::string why_not = ready();
      if (why_not.empty()) return http::Response{.body = "ok\n"};
      return http::Response{.status = 503, .body = why_not + "\n"};
    });
  }

  ~Impl() {
    work_.reset();
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Status Start() {
    RETURN_IF_ERROR(metrics_.Listen().Prefixed("metrics"));
    RETURN_IF_ERROR(health_.Listen().Prefixed("probes"));
    thread_ = std::thread([this] { io_.run(); });
    return {};
  }

 private:
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  http::Server metrics_;
  http::Server health_;
  std::thread thread_;
};

Endpoints::Endpoints(Options options, const metrics::Registry& registry, const Clock& clock,
                     std::function<std::string()> ready)
    : impl_(std::make_unique<Impl>(std::move(options), registry, clock, std::move(ready))) {}
Endpoints::~Endpoints() = default;
Status Endpoints::Start() { return impl_->Start(); }

}  // namespace understudy::serve
