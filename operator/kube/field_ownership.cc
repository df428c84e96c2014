#include "operator/kube/field_ownership.h"

namespace understudy::kube {
namespace {

bool IsOwnUpdate(const Json& entry) {
  return JsonString(entry, "manager") == kFieldManager &&
         JsonString(entry, "operation") == "Update" && JsonString(entry, "subresource").empty();
}

}  // namespace

bool HasOwnUpdateEntry(const Json& object) {
  for (const Json& entry : JsonAt(JsonAt(object, "metadata"), "managedFields")) {
    if (IsOwnUpdate(entry)) return true;
  }
  return false;
}

Json BuildDropOwnUpdateEntry(const Json& object) {
  const Json& entries = JsonAt(JsonAt(object, "metadata"), "managedFields");
  Json patch = Json::array();
  // From the back, so that the places of the others stay right.
  for (size_t i = entries.size(); i-- > 0;) {
    if (!IsOwnUpdate(entries[i])) continue;
    const std::string path = "/metadata/managedFields/" + std::to_string(i);
    patch.push_back({{"op", "test"}, {"path", path}, {"value", entries[i]}});
    patch.push_back({{"op", "remove"}, {"path", path}});
  }
  return patch;
}

}  // namespace understudy::kube
