#include "common/metrics.h"

#include <gtest/gtest.h>

namespace understudy::metrics {
namespace {

TEST(Metrics, AreWrittenInPrometheusText) {
  Registry registry;
  registry.GetCounter("orders_total", "Orders by kind.", {{"kind", "role"}}).Add(3);
  registry.GetCounter("orders_total", "Orders by kind.", {{"kind", "a\"b\\\n"}}).Add();
  registry.GetGauge("lag_seconds", "Lag.").Set(1.5);
  EXPECT_EQ(registry.Text(),
            "# HELP lag_seconds Lag.\n# TYPE lag_seconds gauge\nlag_seconds 1.5\n"
            "# HELP orders_total Orders by kind.\n# TYPE orders_total counter\n"
            "orders_total{kind=\"a\\\"b\\\\\\n\"} 1\norders_total{kind=\"role\"} 3\n");
}

TEST(Metrics, HistogramsAreCumulative) {
  Registry registry;
  Histogram& histogram = registry.GetHistogram("took_seconds", "Time.", {0.1, 1});
  for (double value : {0.05, 0.1, 0.5, 3.0}) histogram.Observe(value);
  const std::string text = registry.Text();
  EXPECT_NE(text.find("took_seconds_bucket{le=\"0.1\"} 2\ntook_seconds_bucket{le=\"1\"} "
                      "3\ntook_seconds_bucket{le=\"+Inf\"} 4\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("took_seconds_sum 3.65\ntook_seconds_count 4\n"), std::string::npos) << text;
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameMetric) {
  Registry registry;
  EXPECT_EQ(&registry.GetCounter("a", "A.", {{"x", "1"}}),
            &registry.GetCounter("a", "A.", {{"x", "1"}}));
  EXPECT_NE(&registry.GetCounter("a", "A.", {{"x", "1"}}),
            &registry.GetCounter("a", "A.", {{"x", "2"}}));
}

TEST(Metrics, CollectorsAreAskedWhenScraped) {
  Registry registry;
  int scrapes = 0;
  registry.AddCollector([&](Writer& writer) {
    writer.Sample("clients", "gauge", "Clients.", {{"db", "0"}}, ++scrapes);
    writer.Sample("clients", "gauge", "Clients.", {{"db", "1"}}, 9);
  });
  EXPECT_EQ(
      registry.Text(),
      "# HELP clients Clients.\n# TYPE clients gauge\nclients{db=\"0\"} 1\nclients{db=\"1\"} 9\n");
  EXPECT_NE(registry.Text().find("clients{db=\"0\"} 2"), std::string::npos);
}

}  // namespace
}  // namespace understudy::metrics
