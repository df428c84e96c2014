#include "tests/simulation/edits/api_server.h"

namespace understudy::edits {

std::string UidOf(const Json& document) { return JsonString(JsonAt(document, "metadata"), "uid"); }

const Json* ApiServer::Get(const std::string& kind, const std::string& name) const {
  const auto it = objects_.find(Key(kind, name));
  return it == objects_.end() ? nullptr : &it->second;
}

Json* ApiServer::Find(const std::string& kind, const std::string& name) {
  const auto it = objects_.find(Key(kind, name));
  return it == objects_.end() ? nullptr : &it->second;
}

std::vector<const Json*> ApiServer::All(const std::string& kind) const {
  std::vector<const Json*> all;
  for (auto it = objects_.lower_bound(kind + "/"); it != objects_.end() && it->first.starts_with(kind + "/"); ++it) {
    all.push_back(&it->second);
  }
  return all;
}

const Json* ApiServer::WithUid(const std::string& kind, const std::string& uid) const {
  for (const Json* one : All(kind)) {
    if (UidOf(*one) == uid) return one;
  }
  return nullptr;
}

void ApiServer::Touch(const std::string& kind, Json* document) {
  (*document)["metadata"]["resourceVersion"] = std::to_string(++version_);
  watch_[kind].push_back({*document, false});
}

void ApiServer::Put(const std::string& kind, const std::string& name, Json document) {
  document["kind"] = kind;
  Json& metadata = document["metadata"];
  metadata["name"] = name;
  if (kind != "Node") metadata["namespace"] = kNamespace;
  metadata["uid"] = "uid-" + std::to_string(++version_);
  metadata["generation"] = 1;
  metadata["creationTimestamp"] = FormatRfc3339(clock_.Wall());
  Json& stored = objects_[Key(kind, name)] = std::move(document);
  Touch(kind, &stored);
}

void ApiServer::Change(const std::string& kind, const std::string& name, const std::function<void(Json*)>& change,
                       bool of_spec) {
  Json* document = Find(kind, name);
  CHECK(document != nullptr);
  const Json before = *document;
  change(document);
  if (*document == before) return;
  if (of_spec) {
    Json& metadata = (*document)["metadata"];
    metadata["generation"] = JsonInt(metadata, "generation") + 1;
  }
  Touch(kind, document);
}

void ApiServer::Erase(const std::string& kind, const std::string& name) {
  Json* document = Find(kind, name);
  (*document)["metadata"]["resourceVersion"] = std::to_string(++version_);
  watch_[kind].push_back({*document, true});
  objects_.erase(Key(kind, name));
}

void ApiServer::Delete(const std::string& kind, const std::string& name) {
  Json* document = Find(kind, name);
  if (document == nullptr) return;
  Json& metadata = (*document)["metadata"];
  if (JsonAt(metadata, "finalizers").empty()) {
    Erase(kind, name);
    // EndpointSlices belong to their Service.
    if (kind != "Service") return;
    std::vector<std::string> slices;
    for (const Json* slice : All("EndpointSlice")) {
      if (JsonString(JsonAt(slice->at("metadata"), "labels"), "kubernetes.io/service-name") == name) {
        slices.push_back(JsonString(slice->at("metadata"), "name"));
      }
    }
    for (const std::string& slice : slices) Erase("EndpointSlice", slice);
    return;
  }
  if (metadata.contains("deletionTimestamp")) return;
  metadata["deletionTimestamp"] = FormatRfc3339(clock_.Wall());
  metadata["generation"] = JsonInt(metadata, "generation") + 1;
  Touch(kind, document);
}

Result<Json> ApiServer::WriteStatus(const plan::StatusWrite& write) {
  Json* document = Find(write.ref.kind, write.ref.name);
  if (document == nullptr) return NotFound(write.ref.name + " is gone");
  const Json& metadata = (*document)["metadata"];
  if (UidOf(*document) != write.ref.uid || JsonString(metadata, "resourceVersion") != write.ref.resource_version) {
    return Conflict("status of " + write.ref.name + ": another version");
  }
  if ((*document)["status"] == write.status) return *document;
  (*document)["status"] = write.status;
  Touch(write.ref.kind, document);
  return *document;
}

Result<Json> ApiServer::Create(const Json& object) {
  const std::string kind = JsonString(object, "kind");
  const std::string name = JsonString(object.at("metadata"), "name");
  if (Find(kind, name) != nullptr) return Conflict(kind + " " + name + " exists");
  Json document = object;
  if (kind == "Service") document["spec"]["ipFamilies"] = {"IPv4"};
  if (kind == "CacheCluster" || kind == "ReadReplica") {
    document["status"] = {{"observedGeneration", -1}, {"phase", "creating"}};
  }
  Put(kind, name, std::move(document));
  return *Find(kind, name);
}

Result<Json> ApiServer::Apply(const Json& object) {
  const std::string kind = JsonString(object, "kind");
  const std::string name = JsonString(object.at("metadata"), "name");
  Json* document = Find(kind, name);
  if (document == nullptr || UidOf(*document) != UidOf(object)) return Conflict(kind + " " + name + " is another one");
  const Json before = *document;
  (*document)["metadata"]["labels"] = JsonAt(object.at("metadata"), "labels");
  (*document)["metadata"]["annotations"] = JsonAt(object.at("metadata"), "annotations");
  for (const char* part : {"spec", "data", "endpoints", "ports"}) {
    if (object.contains(part)) (*document)[part] = object[part];
  }
  if (kind == "Service") (*document)["spec"]["ipFamilies"] = {"IPv4"};
  if (*document == before) return *document;
  Json& metadata = (*document)["metadata"];
  metadata["generation"] = JsonInt(metadata, "generation") + 1;
  Touch(kind, document);
  return *document;
}

Result<Json> ApiServer::PatchLabels(const plan::LabelPod& label) {
  Json* pod = Find("Pod", label.ref.name);
  if (pod == nullptr) return NotFound(label.ref.name + " is gone");
  if (UidOf(*pod) != label.ref.uid) return Conflict(label.ref.name + " is another Pod");
  for (const auto& [key, value] : label.labels) {
    if (value) {
      (*pod)["metadata"]["labels"][key] = *value;
    } else {
      (*pod)["metadata"]["labels"].erase(key);
    }
  }
  Touch("Pod", pod);
  return *pod;
}

Result<Json> ApiServer::PatchFinalizers(const plan::SetFinalizers& set) {
  Json* document = Find(set.ref.kind, set.ref.name);
  if (document == nullptr) return NotFound(set.ref.name + " is gone");
  Json& metadata = (*document)["metadata"];
  if (UidOf(*document) != set.ref.uid || JsonString(metadata, "resourceVersion") != set.ref.resource_version) {
    return Conflict("finalizers of " + set.ref.name + ": another version");
  }
  metadata["finalizers"] = set.finalizers;
  if (metadata.contains("deletionTimestamp") && set.finalizers.empty()) {
    Json last = *document;
    Erase(set.ref.kind, set.ref.name);
    return last;
  }
  Touch(set.ref.kind, document);
  return *document;
}

Status ApiServer::MayDelete(const api::ObjectRef& ref) const {
  const Json* document = Get(ref.kind, ref.name);
  if (document == nullptr) return NotFound(ref.name + " is gone");
  const std::string version = JsonString(document->at("metadata"), "resourceVersion");
  if (UidOf(*document) != ref.uid || (!ref.resource_version.empty() && ref.resource_version != version)) {
    return Conflict(ref.name + " is not what was to be deleted");
  }
  return {};
}

}  // namespace understudy::edits
