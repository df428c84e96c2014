// What others ask of the operator: /metrics for Prometheus on one port, /healthz and /readyz for the kubelet
// on another, on a thread of their own.
//
// healthz answers as long as this thread does and never depends on the API server: a restart would not bring
// it back. readyz says whether the caches are filled; it does not depend on leadership, a standby is ready.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/result.h"

namespace understudy::serve {

struct Options {
  std::string address;         // literal IP; empty = all
  uint16_t metrics_port = 8080;
  uint16_t health_port = 8081;
};

class Endpoints {
 public:
  // ready: why this process is not ready yet, in one sentence; empty = it is. Any thread.
  Endpoints(Options options, const metrics::Registry& registry, const Clock& clock, std::function<std::string()> ready);
  ~Endpoints();
  // kUnavailable when a port is taken.
  Status Start();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::serve
