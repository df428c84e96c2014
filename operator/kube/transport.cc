#include "operator/kube/transport.h"

#include <charconv>

namespace understudy::kube {

void RequestCounter::Count(const std::string& method, int code) {
  registry_
      .GetCounter("rest_client_requests_total",
                  "HTTP requests to the API server by status code and method.",
                  {{"code", code == 0 ? "<error>" : std::to_string(code)}, {"method", method}})
      .Add();
}

std::string TransportContext::DefaultUserAgent() {
  return "understudy-operator/" UNDERSTUDY_VERSION;
}

Duration ParseRetryAfter(std::string_view value) {
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error != std::errc() || end != value.data() + value.size() || seconds < 0) return {};
  return Seconds(std::min(seconds, kLongestRetryAfterSeconds));
}

}  // namespace understudy::kube
