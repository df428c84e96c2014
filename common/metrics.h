// Metrics in Prometheus' text format. A Registry owns metrics made at start-up; updating one is an atomic
// add, from any thread. Values that already live elsewhere are read when scraped, by a Collector.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void Set(double v) { value_.store(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> upper_bounds);
  void Observe(double value);

 private:
  friend class Registry;
  const std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

// What a Collector writes into while a scrape runs.
class Writer {
 public:
  // type: counter, gauge or untyped. HELP and TYPE are written once a name.
  void Sample(std::string_view name, std::string_view type, std::string_view help, const Labels& labels, double value);
  std::string Take() { return std::move(out_); }

 private:
  friend class Registry;
  std::string out_;
  std::string last_name_;
};

class Registry {
 public:
  // The same name and labels give the same metric. References live as long as the Registry.
  Counter& GetCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& GetGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& GetHistogram(const std::string& name, const std::string& help, std::vector<double> bounds,
                          const Labels& labels = {});
  void AddCollector(std::function<void(Writer&)> collector);
  std::string Text() const;

 private:
  struct Family {
    std::string type, help;
    std::map<Labels, std::unique_ptr<Counter>> counters;
    std::map<Labels, std::unique_ptr<Gauge>> gauges;
    std::map<Labels, std::unique_ptr<Histogram>> histograms;
  };
  Family& GetFamily(const std::string& name, const std::string& type, const std::string& help);

  mutable std::mutex mutex_;
  std::map<std::string, Family> families_;                    // mutex_
  std::vector<std::function<void(Writer&)>> collectors_;      // mutex_
};

}  // namespace understudy::metrics
