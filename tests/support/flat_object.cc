#include "common/check.h"
#include "tests/support/fake_object_store.h"

namespace understudy::test {
namespace {

// Lists that server-side apply merges element by element: member name -> key inside the element, or
// empty for a set of strings.
const std::map<std::string, std::string>& MergedLists() {
  static const std::map<std::string, std::string> kLists = {
      {"conditions", "type"}, {"ownerReferences", "uid"}, {"finalizers", ""}};
  return kLists;
}

bool IsSystemField(const FieldPath& path) {
  if (path.size() == 1) return path[0] == "f:apiVersion" || path[0] == "f:kind";
  if (path.size() < 2 || path[0] != "f:metadata") return false;
  static const std::set<std::string> kNames = {
      "f:name",          "f:namespace",         "f:uid",
      "f:generation",    "f:resourceVersion",   "f:creationTimestamp",
      "f:managedFields", "f:deletionTimestamp", "f:deletionGracePeriodSeconds"};
  return kNames.count(path[1]) > 0;
}

void Collect(const Json& value, const std::string& member, FieldPath& path, FlatObject& out) {
  if (IsSystemField(path)) return;
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, child] : value.items()) {
      path.push_back("f:" + key);
      Collect(child, key, path, out);
      path.pop_back();
    }
    return;
  }
  const auto list = MergedLists().find(member);
  if (value.is_array() && !value.empty() && list != MergedLists().end()) {
    for (const Json& element : value) {
      const bool set = list->second.empty();
      path.push_back(set ? "v:" + element.get<std::string>()
                         : "k:" + JsonString(element, list->second.c_str()));
      if (set) {
        out[path] = element;
      } else {
        Collect(element, "", path, out);
      }
      path.pop_back();
    }
    return;
  }
  if (!value.is_null()) out[path] = value;
}

// The child of `at` that `step` names; made if missing.
Json& Descend(Json& at, const std::string& step, const std::string& list_key) {
  const std::string name = step.substr(2);
  if (step[0] == 'f') return at[name];
  if (!at.is_array()) at = Json::array();
  if (step[0] == 'k') {
    for (Json& element : at) {
      if (JsonString(element, list_key.c_str()) == name) return element;
    }
  }
  at.push_back(nullptr);
  return at.back();
}

}  // namespace

FlatObject Flatten(const Json& object) {
  FlatObject out;
  FieldPath path;
  Collect(object, "", path, out);
  return out;
}

Json Unflatten(const FlatObject& flat) {
  Json root = Json::object();
  for (const auto& [path, value] : flat) {
    Json* at = &root;
    for (size_t i = 0; i < path.size(); ++i) {
      std::string list_key;
      if (i > 0) {
        const auto list = MergedLists().find(path[i - 1].substr(2));
        if (list != MergedLists().end()) list_key = list->second;
      }
      at = &Descend(*at, path[i], list_key);
      // The key itself may come later among the element's members; it is needed to find the
      // element.
      if (path[i][0] == 'k' && !at->contains(list_key)) (*at)[list_key] = path[i].substr(2);
    }
    *at = value;
  }
  return root;
}

}  // namespace understudy::test
