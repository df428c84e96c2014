// Metric understudy_failovers_total{namespace, group, kind}: changes of the primary that this process has recorded in
// status.failoverHistory; kind as there (takeover, restore, switchover).
//
// Kept by group and written when scraped, as a counter of the Registry would stay when its group is deleted. A known
// group shows all kinds from 0 on, so that its first failover is an increase. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "common/metrics.h"
#include "operator/failover/state.h"

namespace understudy::reconcile {

class FailoverCounts {
 public:
  explicit FailoverCounts(metrics::Registry& registry);
  void Know(const std::string& ns, const std::string& group);
  void Add(const std::string& ns, const std::string& group, failover::Kind kind);
  void Forget(const std::string& ns, const std::string& group);

 private:
  struct Table {
    std::mutex mutex;
    std::map<std::pair<std::string, std::string>, std::array<uint64_t, failover::kKindCount>> counts;  // mutex
  };
  const std::shared_ptr<Table> table_ = std::make_shared<Table>();  // the registry's collector may outlive this object
};

}  // namespace understudy::reconcile
