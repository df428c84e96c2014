// understudy-load: loads a server and prints what was measured as one line of JSON.
#include <cstdio>
#include <string>
#include <vector>

#include "tests/bench/load/generator.h"

namespace {

using namespace understudy;

int Fail(const Status& status, int code) {
  std::fprintf(stderr, "understudy-load: %s\n", std::string(status.message()).c_str());
  return code;
}

void PrintQuantiles(const char* name, const load::Histogram& histogram) {
  const auto us = [](uint64_t ns) { return static_cast<double>(ns) / 1e3; };
  std::printf(R"(, "%s": {"count": %llu, "p50": %.1f, "p99": %.1f, "p99.9": %.1f, "max": %.1f})", name,
              static_cast<unsigned long long>(histogram.count()), us(histogram.Quantile(0.5)), us(histogram.Quantile(0.99)),
              us(histogram.Quantile(0.999)), us(histogram.max()));
}

void Print(const load::Options& options, const load::Report& report) {
  std::printf(R"({"command": "%s", "connections": %u, "pipeline": %u, "keys": %llu, "key_size": %u, "value_size": %u)",
              options.command.c_str(), options.connections, options.pipeline, static_cast<unsigned long long>(options.keys),
              options.key_bytes, options.value_bytes);
  if (options.fill) {
    std::printf(R"(, "filled": %llu, "fill_seconds": %.3f)", static_cast<unsigned long long>(report.filled), report.fill_s);
  }
  if (!options.fill_only) {
    const double operations = static_cast<double>(report.operations);
    std::printf(R"(, "seconds": %.4f, "operations": %llu, "ops_per_s": %.0f, "nulls": %llu, "load_cpu_us_per_op": %.4f)",
                report.window_s, static_cast<unsigned long long>(report.operations), operations / report.window_s,
                static_cast<unsigned long long>(report.nulls), static_cast<double>(report.own_cpu_ns) / 1e3 / operations);
    if (options.watch_pid != 0) {
      const double cpu_ns = static_cast<double>(report.watched.cpu_ns);
      std::printf(R"(, "server_cpu_us_per_op": %.4f, "server_busy": %.4f, "server_sleeps_per_op": %.5f)", cpu_ns / 1e3 / operations,
                  cpu_ns / 1e9 / report.window_s, static_cast<double>(report.watched.sleeps) / operations);
    }
    if (options.rate > 0) {
      std::printf(R"(, "rate": %.0f)", options.rate);
      PrintQuantiles("latency_us", report.latency);
      PrintQuantiles("lateness_us", report.lateness);
    }
  }
  std::printf("}\n");
}

}  // namespace

int main(int argc, char** argv) {
  std::string exit_text;
  const Result<load::Options> options = load::ParseOptions({argv + 1, argv + argc}, &exit_text);
  if (!exit_text.empty()) {
    std::fputs(exit_text.c_str(), stdout);
    return 0;
  }
  if (!options.ok()) return Fail(options.status(), 2);
  const Result<load::Workload> workload = load::Workload::Parse(*options);
  if (!workload.ok()) return Fail(workload.status(), 2);
  const Result<load::Report> report = load::RunLoad(*options, *workload);
  if (!report.ok()) return Fail(report.status(), 1);
  Print(*options, *report);
  return 0;
}
