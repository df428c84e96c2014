#include "operator/kube/field_ownership.h"

#include <string_view>

namespace understudy::kube {
namespace {

bool IsOwn(const Json& entry, std::string_view operation) {
  return JsonString(entry, "manager") == kFieldManager &&
         JsonString(entry, "operation") == operation && JsonString(entry, "subresource").empty();
}

}  // namespace

bool HasOwnUpdateEntry(const Json& object) {
  for (const Json& entry : JsonAt(JsonAt(object, "metadata"), "managedFields")) {
    if (IsOwn(entry, "Update")) return true;
  }
  return false;
}

Json BuildOwnByApply(const Json& object) {
  const Json& entries = JsonAt(JsonAt(object, "metadata"), "managedFields");
  Json patch = Json::array();
  if (!HasOwnUpdateEntry(object)) return patch;
  // From the back, so that the places of the others stay right.
  for (size_t i = entries.size(); i-- > 0;) {
    const bool made_by_post = IsOwn(entries[i], "Update");
    if (!made_by_post && !IsOwn(entries[i], "Apply")) continue;
    const std::string path = "/metadata/managedFields/" + std::to_string(i);
    patch.push_back({{"op", "test"}, {"path", path}, {"value", entries[i]}});
    if (made_by_post) {
      patch.push_back({{"op", "replace"}, {"path", path + "/operation"}, {"value", "Apply"}});
    } else {
      patch.push_back({{"op", "remove"}, {"path", path}});
    }
  }
  return patch;
}

}  // namespace understudy::kube
