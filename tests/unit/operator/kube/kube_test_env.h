// What the tests of this folder share: a fake API server with credentials, clock and metrics for
// it.
#pragma once

#include <memory>
#include <string>

#include "common/clock.h"
#include "common/metrics.h"
#include "operator/kube/client.h"
#include "operator/kube/credentials.h"
#include "operator/kube/transport.h"
#include "tests/support/fake_api_server.h"

namespace understudy::kube {

// Long enough for any machine, short enough for a test that hangs.
inline constexpr Duration kPlenty = Seconds(30);

struct KubeTestEnv {
  explicit KubeTestEnv(test::FakeServerOptions options = {}) : server(options) {}

  std::shared_ptr<Credentials> Plain(CredentialFiles files = {}) {
    auto made = Credentials::Explicit({.tls = false, .host = "127.0.0.1", .port = server.port()},
                                      std::move(files), clock);
    CHECK(made.ok());
    return *made;
  }
  TransportContext Context(std::shared_ptr<Credentials> credentials) {
    return {.credentials = std::move(credentials), .clock = clock, .registry = registry};
  }
  Deadline Soon() const { return Deadline::In(clock, kPlenty); }

  SystemClock clock;
  metrics::Registry registry;
  test::FakeApiServer server;
};

inline Json ConfigMap(const std::string& name, const std::string& value) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}, {"namespace", "default"}}},
          {"data", {{"key", value}}}};
}

}  // namespace understudy::kube
