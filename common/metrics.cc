#include "common/metrics.h"

#include <spdlog/fmt/fmt.h>

#include "common/check.h"

namespace understudy::metrics {
namespace {

std::string Escape(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string Render(const Labels& labels, std::string_view extra = "") {
  std::string out;
  for (const auto& [key, value] : labels) out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", key, Escape(value));
  if (!extra.empty()) out += fmt::format("{}{}", out.empty() ? "" : ",", extra);
  return out.empty() ? "" : "{" + out + "}";
}

}  // namespace

Histogram::Histogram(std::vector<double> upper_bounds)
    : bounds_(std::move(upper_bounds)), counts_(new std::atomic<uint64_t>[bounds_.size() + 1]) {
  for (size_t i = 0; i <= bounds_.size(); ++i) counts_[i] = 0;
}

void Histogram::Observe(double value) {
  size_t i = 0;
  while (i < bounds_.size() && value > bounds_[i]) ++i;
  counts_[i].fetch_add(1, std::memory_order_relaxed);
  double old = sum_.load(std::memory_order_relaxed);
  while (!sum_.compare_exchange_weak(old, old + value, std::memory_order_relaxed)) {
  }
}

void Writer::Sample(std::string_view name, std::string_view type, std::string_view help, const Labels& labels,
                    double value) {
  if (last_name_ != name) {
    out_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
    last_name_ = name;
  }
  out_ += fmt::format("{}{} {}\n", name, Render(labels), value);
}

Registry::Family& Registry::GetFamily(const std::string& name, const std::string& type, const std::string& help) {
  Family& family = families_[name];
  CHECK(family.type.empty() || family.type == type);
  family.type = type;
  family.help = help;
  return family;
}

Counter& Registry::GetCounter(const std::string& name, const std::string& help, const Labels& labels) {
  std::lock_guard lock(mutex_);
  auto& slot = GetFamily(name, "counter", help).counters[labels];
  if (!slot) slot = std::make_unique<Counter>();
  return *slot;
}

Gauge& Registry::GetGauge(const std::string& name, const std::string& help, const Labels& labels) {
  std::lock_guard lock(mutex_);
  auto& slot = GetFamily(name, "gauge", help).gauges[labels];
  if (!slot) slot = std::make_unique<Gauge>();
  return *slot;
}

Histogram& Registry::GetHistogram(const std::string& name, const std::string& help, std::vector<double> bounds,
                                  const Labels& labels) {
  std::lock_guard lock(mutex_);
  auto& slot = GetFamily(name, "histogram", help).histograms[labels];
  if (!slot) slot = std::make_unique<Histogram>(std::move(bounds));
  return *slot;
}

void Registry::AddCollector(std::function<void(Writer&)> collector) {
  std::lock_guard lock(mutex_);
  collectors_.push_back(std::move(collector));
}

std::string Registry::Text() const {
  std::lock_guard lock(mutex_);
  Writer writer;
  for (const auto& [name, family] : families_) {
    for (const auto& [labels, counter] : family.counters)
      writer.Sample(name, family.type, family.help, labels, static_cast<double>(counter->value()));
    for (const auto& [labels, gauge] : family.gauges)
      writer.Sample(name, family.type, family.help, labels, gauge->value());
    if (family.histograms.empty()) continue;
    writer.out_ += fmt::format("# HELP {} {}\n# TYPE {} histogram\n", name, family.help, name);
    for (const auto& [labels, histogram] : family.histograms) {
      uint64_t total = 0;
      for (size_t i = 0; i <= histogram->bounds_.size(); ++i) {
        total += histogram->counts_[i].load(std::memory_order_relaxed);
        const std::string le = i == histogram->bounds_.size() ? "+Inf" : fmt::format("{}", histogram->bounds_[i]);
        writer.out_ += fmt::format("{}_bucket{} {}\n", name, Render(labels, fmt::format("le=\"{}\"", le)), total);
      }
      writer.out_ += fmt::format("{}_sum{} {}\n{}_count{} {}\n", name, Render(labels), histogram->sum_.load(), name,
                                 Render(labels), total);
    }
  }
  for (const auto& collector : collectors_) collector(writer);
  return writer.Take();
}

}  // namespace understudy::metrics
