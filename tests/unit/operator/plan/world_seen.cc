// What a test sees of a World.
#include <algorithm>

#include "operator/manifests/manifests.h"
#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {

std::string World::Column(const char* kind, const std::string& name, const char* path) {
  Json* document = Get(kind, name);
  return document == nullptr ? "<gone>" : JsonString((*document)["status"], path);
}

namespace {
const Json& ConditionOf(const Json& document, const char* condition) {
  static const Json kNull;
  for (const Json& item : JsonAt(JsonAt(document, "status"), "conditions")) {
    if (JsonString(item, "type") == condition) return item;
  }
  return kNull;
}
}  // namespace

std::string World::Reason(const char* kind, const std::string& name, const char* condition) {
  return Exists(kind, name) ? JsonString(ConditionOf(*Get(kind, name), condition), "reason") : "<gone>";
}
std::string World::Truth(const char* kind, const std::string& name, const char* condition) {
  return Exists(kind, name) ? JsonString(ConditionOf(*Get(kind, name), condition), "status") : "<gone>";
}
std::string World::Message(const char* kind, const std::string& name, const char* condition) {
  return Exists(kind, name) ? JsonString(ConditionOf(*Get(kind, name), condition), "message") : "<gone>";
}

int World::Told(const std::string& reason, const std::string& about) const {
  return static_cast<int>(std::count_if(events_.begin(), events_.end(), [&](const Event& event) {
    return event.reason == reason && (about.empty() || event.regarding.name == about);
  }));
}

std::string World::NoteOf(const std::string& reason) const {
  for (auto it = events_.rbegin(); it != events_.rend(); ++it) {
    if (it->reason == reason) return it->note;
  }
  return "";
}

std::string World::PodLabel(const std::string& node, const char* label) {
  Json* pod = Get("Pod", node + "-0");
  return pod == nullptr ? "<gone>" : JsonString((*pod)["metadata"]["labels"], label);
}

std::string World::EndpointOf(const std::string& group) {
  Json* slice = Get("EndpointSlice", manifests::PrimarySliceName(group));
  if (slice == nullptr || (*slice)["endpoints"].empty()) return "";
  return JsonString((*slice)["endpoints"][0]["targetRef"], "name");
}

}  // namespace understudy::plan
