#include "operator/reconcile/failover_counts.h"

namespace understudy::reconcile {

FailoverCounts::FailoverCounts(metrics::Registry& registry) {
  registry.AddCollector([table = table_](metrics::Writer& writer) {
    std::lock_guard lock(table->mutex);
    for (const auto& [group, counts] : table->counts) {
      for (size_t kind = 0; kind < counts.size(); ++kind) {
        writer.Sample("understudy_failovers_total", "counter", "Changes of the primary recorded in status.failoverHistory",
                      {{"namespace", group.first},
                       {"group", group.second},
                       {"kind", std::string(failover::KindName(static_cast<failover::Kind>(kind)))}},
                      static_cast<double>(counts[kind]));
      }
    }
  });
}

void FailoverCounts::Know(const std::string& ns, const std::string& group) {
  std::lock_guard lock(table_->mutex);
  table_->counts.try_emplace({ns, group});
}

void FailoverCounts::Add(const std::string& ns, const std::string& group, failover::Kind kind) {
  std::lock_guard lock(table_->mutex);
  ++table_->counts[{ns, group}].at(static_cast<size_t>(kind));
}

void FailoverCounts::Forget(const std::string& ns, const std::string& group) {
  std::lock_guard lock(table_->mutex);
  table_->counts.erase({ns, group});
}

}  // namespace understudy::reconcile
