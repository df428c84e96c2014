#include "operator/api/validate.h"

#include <algorithm>
#include <cctype>

namespace understudy::api {
namespace {

// An empty node takes 9.5 MB, and the container runtime some before it.
constexpr int64_t kLeastMemory_bytes = 16 << 20;

int64_t QuantityAt(const Json& resources, const char* which, const char* name) {
  const auto parsed = ParseQuantityMillis(IntOrString(JsonAt(JsonAt(resources, which), name)));
  return parsed.ok() ? *parsed : 0;
}

Status ValidateResources(const Json& resources) {
  if (resources.is_null()) return {};
  for (const char* which : {"limits", "requests"}) {
    const Json& list = JsonAt(resources, which);
    if (!list.is_object()) continue;
    for (const auto& [name, value] : list.items()) {
      const auto parsed = ParseQuantityMillis(IntOrString(value));
      if (!parsed.ok()) {
        return parsed.status().Prefixed("node.resources." + std::string(which) + "." + name);
      }
    }
  }
  const int64_t memory = QuantityAt(resources, "limits", "memory") / 1000;
  if (const Json& limit = JsonAt(JsonAt(resources, "limits"), "memory"); !limit.is_null() && memory < kLeastMemory_bytes) {
    return Invalid("node.resources.limits.memory (" + IntOrString(limit) +
                   ") is less than a node can start with; it must be 16Mi at least, for example 512Mi");
  }
  const Json& requests = JsonAt(resources, "requests");
  if (!requests.is_object()) return {};
  for (const auto& [name, value] : requests.items()) {
    const int64_t limit = QuantityAt(resources, "limits", name.c_str());
    if (limit > 0 && QuantityAt(resources, "requests", name.c_str()) > limit) {
      return Invalid("node.resources.requests." + name + " (" + IntOrString(value) +
                     ") is above its limit (" + IntOrString(JsonAt(JsonAt(resources, "limits"), name.c_str())) +
                     "); it may be at most the limit");
    }
  }
  return {};
}

Status ValidateMaxMemory(const NodeSettings& settings) {
  const auto it = settings.parameters.find("maxmemory");
  if (it == settings.parameters.end()) return {};
  const int64_t bytes = ParseMemorySize(it->second);
  if (bytes < 0) {
    return Invalid("node.parameters.maxmemory is '" + it->second +
                   "'; it may be a number of bytes or a size such as 512mb or 2gb");
  }
  const int64_t limit = LimitMillis(settings.resources, "memory") / 1000;
  if (limit > 0 && bytes > limit) {
    return Invalid("node.parameters.maxmemory (" + it->second + ") is above the memory limit (" +
                   IntOrString(JsonAt(JsonAt(settings.resources, "limits"), "memory")) +
                   "); leave it out to use 75 % of the limit");
  }
  return {};
}

// The shape that our own terms are merged into (manifests/stateful_set.cc).
Status ValidateAffinity(const Json& affinity) {
  if (affinity.is_null()) return {};
  const Json& required =
      JsonAt(JsonAt(affinity, "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution");
  if (!required.is_null()) {
    const Json& terms = JsonAt(required, "nodeSelectorTerms");
    const bool objects = terms.is_array() && !terms.empty() &&
                         std::all_of(terms.begin(), terms.end(), [](const Json& t) { return t.is_object(); });
    if (!objects) {
      return Invalid("node.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution needs "
                     "nodeSelectorTerms, a list of at least one term, as in a Pod");
    }
  }
  const Json& preferred =
      JsonAt(JsonAt(affinity, "podAntiAffinity"), "preferredDuringSchedulingIgnoredDuringExecution");
  if (!preferred.is_null() && !preferred.is_array()) {
    return Invalid("node.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution must be "
                   "a list, as in a Pod");
  }
  return {};
}

}  // namespace

int64_t LimitMillis(const Json& resources, const char* name) { return QuantityAt(resources, "limits", name); }

int64_t ParseMemorySize(const std::string& text) {
  size_t digits = 0;
  int64_t value = 0;
  while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits]))) {
    if (digits >= 15) return -1;
    value = value * 10 + (text[digits] - '0');
    ++digits;
  }
  if (digits == 0) return -1;
  std::string unit = text.substr(digits);
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return std::tolower(c); });
  int64_t factor = 0;
  if (unit.empty() || unit == "b") factor = 1;
  if (unit == "k") factor = 1000;
  if (unit == "kb") factor = 1024;
  if (unit == "m") factor = 1'000'000;
  if (unit == "mb") factor = 1 << 20;
  if (unit == "g") factor = 1'000'000'000;
  if (unit == "gb") factor = 1 << 30;
  if (factor == 0 || value > INT64_MAX / factor) return -1;
  return value * factor;
}

Status ValidateSettings(const NodeSettings& settings) {
  RETURN_IF_ERROR(ValidateResources(settings.resources));
  RETURN_IF_ERROR(ValidateMaxMemory(settings));
  return ValidateAffinity(settings.affinity);
}

}  // namespace understudy::api
