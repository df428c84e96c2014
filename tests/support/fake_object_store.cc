#include "tests/support/fake_object_store.h"

#include <algorithm>
#include <chrono>

#include "common/clock.h"
#include "common/random.h"

namespace understudy::test {
namespace {

bool IsStatusField(const FieldPath& path) {
  return !path.empty() && path[0] == "f:status";
}

// The part of `flat` that a write to `subresource` is about.
FlatObject Part(const FlatObject& flat, const std::string& subresource) {
  FlatObject out;
  for (const auto& [path, value] : flat) {
    if (IsStatusField(path) == (subresource == "status")) out[path] = value;
  }
  return out;
}

bool IsPrefix(const FieldPath& shorter, const FieldPath& longer) {
  return shorter.size() < longer.size() &&
         std::equal(shorter.begin(), shorter.end(), longer.begin());
}

std::set<FieldPath> Paths(const FlatObject& flat) {
  std::set<FieldPath> out;
  for (const auto& [path, value] : flat) out.insert(path);
  return out;
}

Json FieldsTree(const std::set<FieldPath>& paths) {
  Json root = Json::object();
  for (const FieldPath& path : paths) {
    Json* at = &root;
    for (const std::string& step : path) at = &(*at)[step];
    if (at->is_null()) *at = Json::object();
  }
  return root;
}

std::string Meta(const Json& object, const char* key) {
  return JsonString(JsonAt(object, "metadata"), key);
}

Json StatusOf(int code, const std::string& reason, const std::string& message) {
  return {{"kind", "Status"},
          {"apiVersion", "v1"},
          {"metadata", Json::object()},
          {"status", code < 300 ? "Success" : "Failure"},
          {"message", message},
          {"reason", reason},
          {"code", code}};
}

StoreAnswer Missing(const ObjectName& name) {
  return FakeObjectStore::Failure(404, "NotFound", "\"" + name.name + "\" not found");
}

}  // namespace

StoreAnswer FakeObjectStore::Failure(int code, const std::string& reason,
                                     const std::string& message) {
  return {code, StatusOf(code, reason, message)};
}

FakeObjectStore::Stored* FakeObjectStore::FindLocked(const ObjectName& name) {
  auto& collection = objects_[name.collection];
  const auto it = collection.find({name.name_space, name.name});
  return it == collection.end() ? nullptr : &it->second;
}

void FakeObjectStore::AppendLocked(const CollectionName& collection, StoreEvent event) {
  log_.emplace_back(collection, std::move(event));
  changed_.notify_all();
}

StoreAnswer FakeObjectStore::Get(const ObjectName& name) const {
  std::lock_guard lock(mutex_);
  Stored* stored = const_cast<FakeObjectStore*>(this)->FindLocked(name);
  if (stored == nullptr) return Missing(name);
  return {200, stored->object};
}

StoreAnswer FakeObjectStore::List(const CollectionName& collection, const std::string& name_space,
                                  const ListQuery& query) const {
  std::lock_guard lock(mutex_);
  if (!query.resource_version.empty() && query.resource_version != "0") {
    const int64_t wanted = std::stoll(query.resource_version);
    if (wanted > version_) {
      StoreAnswer answer =
          Failure(504, "Timeout", "Too large resource version: " + query.resource_version);
      answer.body["details"]["causes"] = {{{"reason", "ResourceVersionTooLarge"}}};
      return answer;
    }
  }
  int64_t version = version_;
  Key after;
  if (!query.continue_token.empty()) {
    const Json token = Json::parse(query.continue_token);
    version = token["version"];
    after = {token["namespace"], token["name"]};
    if (version < compacted_) {
      return Failure(410, "Expired", "The provided continue parameter is too old");
    }
  }
  Json items = Json::array();
  std::string next;
  Key last;
  const auto found = objects_.find(collection);
  if (found != objects_.end()) {
    for (const auto& [key, stored] : found->second) {
      if (!name_space.empty() && key.first != name_space) continue;
      if (!query.continue_token.empty() && key <= after) continue;
      if (!MatchesLabels(stored.object, query.label_selector)) continue;
      if (!MatchesFields(stored.object, query.field_selector)) continue;
      if (query.limit > 0 && items.size() == query.limit) {
        next =
            Json({{"version", version}, {"namespace", last.first}, {"name", last.second}}).dump();
        break;
      }
      items.push_back(stored.object);
      last = key;
    }
  }
  Json metadata = {{"resourceVersion", std::to_string(version)}};
  if (!next.empty()) metadata["continue"] = next;
  return {200, {{"kind", "List"}, {"apiVersion", "v1"}, {"metadata", metadata}, {"items", items}}};
}

StoreAnswer FakeObjectStore::InsertLocked(const ObjectName& name, const FlatObject& flat,
                                          const Owner& owner, const Json& head) {
  Json object = Unflatten(flat);
  object["apiVersion"] = JsonAt(head, "apiVersion");
  object["kind"] = JsonAt(head, "kind");
  Json& metadata = object["metadata"];
  metadata["name"] = name.name;
  if (!name.name_space.empty()) metadata["namespace"] = name.name_space;
  metadata["uid"] = RandomHex(16);
  metadata["generation"] = 1;
  metadata["creationTimestamp"] = FormatRfc3339(SystemClock().Wall());
  metadata["resourceVersion"] = std::to_string(++version_);
  Stored stored{.object = std::move(object), .fields = {{owner, Paths(flat)}}};
  stored.object["metadata"]["managedFields"] = {{{"manager", owner.manager},
                                                 {"operation", owner.operation},
                                                 {"fieldsType", "FieldsV1"},
                                                 {"fieldsV1", FieldsTree(Paths(flat))}}};
  const Json result = stored.object;
  objects_[name.collection][{name.name_space, name.name}] = std::move(stored);
  AppendLocked(name.collection, {version_, "ADDED", result, nullptr});
  return {201, result};
}

StoreAnswer FakeObjectStore::Create(const ObjectName& collection_name, Json object,
                                    const std::string& manager) {
  std::lock_guard lock(mutex_);
  ObjectName name = collection_name;
  name.name = Meta(object, "name");
  if (name.name.empty()) return Failure(422, "Invalid", "metadata.name: Required value");
  if (FindLocked(name) != nullptr) {
    return Failure(409, "AlreadyExists", "\"" + name.name + "\" already exists");
  }
  return InsertLocked(name, Part(Flatten(object), ""), {manager, "Update", ""}, object);
}

StoreAnswer FakeObjectStore::CommitLocked(const ObjectName& name, const FlatObject& flat,
                                          std::map<Owner, std::set<FieldPath>> fields) {
  Stored& stored = *FindLocked(name);
  std::erase_if(fields, [](const auto& entry) { return entry.second.empty(); });
  const FlatObject current = Flatten(stored.object);
  if (flat == current && fields == stored.fields) return {200, stored.object};

  const Json before = stored.object;
  Json next = Unflatten(flat);
  next["apiVersion"] = before["apiVersion"];
  next["kind"] = before["kind"];
  for (const char* key : {"name", "namespace", "uid", "generation", "creationTimestamp",
                          "deletionTimestamp", "deletionGracePeriodSeconds"}) {
    if (before["metadata"].contains(key)) next["metadata"][key] = before["metadata"][key];
  }
  const auto without = [](FlatObject all) {
    std::erase_if(all, [](const auto& entry) {
      return IsStatusField(entry.first) || entry.first[0] == "f:metadata";
    });
    return all;
  };
  if (without(flat) != without(current)) {
    next["metadata"]["generation"] = next["metadata"]["generation"].get<int64_t>() + 1;
  }
  next["metadata"]["resourceVersion"] = std::to_string(++version_);
  Json entries = Json::array();
  for (const auto& [owner, paths] : fields) {
    Json entry = {{"manager", owner.manager},
                  {"operation", owner.operation},
                  {"fieldsType", "FieldsV1"},
                  {"fieldsV1", FieldsTree(paths)}};
    if (!owner.subresource.empty()) entry["subresource"] = owner.subresource;
    entries.push_back(std::move(entry));
  }
  next["metadata"]["managedFields"] = std::move(entries);
  const bool gone = next["metadata"].contains("deletionTimestamp") &&
                    JsonAt(next["metadata"], "finalizers").empty();
  if (gone) {
    objects_[name.collection].erase({name.name_space, name.name});
  } else {
    stored.object = next;
    stored.fields = std::move(fields);
  }
  AppendLocked(name.collection, {version_, gone ? "DELETED" : "MODIFIED", next, before});
  return {200, next};
}

StoreAnswer FakeObjectStore::UpdateLocked(const ObjectName& name, const Json& next,
                                          const std::string& manager) {
  Stored* stored = FindLocked(name);
  if (stored == nullptr) return Missing(name);
  const std::string version = Meta(next, "resourceVersion");
  if (!version.empty() && version != Meta(stored->object, "resourceVersion")) {
    return Failure(409, "Conflict",
                   "the object has been modified; please apply your changes to the latest version");
  }
  const std::string uid = Meta(next, "uid");
  if (!uid.empty() && uid != Meta(stored->object, "uid")) {
    return Failure(409, "Conflict", "Precondition failed: UID in precondition: " + uid);
  }
  const FlatObject current = Flatten(stored->object);
  FlatObject wanted = Part(Flatten(next), name.subresource);
  for (const auto& [path, value] : current) {
    if (IsStatusField(path) != (name.subresource == "status")) wanted[path] = value;
  }
  auto fields = stored->fields;
  // A writer may take entries out of managedFields, but not the last one, or give one to another
  // manager or operation.
  const Json& entries = JsonAt(JsonAt(next, "metadata"), "managedFields");
  if (!entries.empty()) {
    fields.clear();
    for (const Json& entry : entries) {
      for (const auto& [owned, paths] : stored->fields) {
        if (JsonString(entry, "subresource") != owned.subresource || FieldsTree(paths) != JsonAt(entry, "fieldsV1")) continue;
        fields[{JsonString(entry, "manager"), JsonString(entry, "operation"), owned.subresource}] = paths;
        break;
      }
    }
  }
  const Owner owner{manager, "Update", name.subresource};
  for (const auto& [path, value] : wanted) {
    const auto had = current.find(path);
    if (had != current.end() && had->second == value) continue;
    for (auto& [other, paths] : fields) paths.erase(path);
    fields[owner].insert(path);
  }
  for (auto& [other, paths] : fields) {
    std::erase_if(paths, [&](const FieldPath& path) { return !wanted.contains(path); });
  }
  return CommitLocked(name, wanted, std::move(fields));
}

StoreAnswer FakeObjectStore::Put(const ObjectName& name, Json object, const std::string& manager) {
  std::lock_guard lock(mutex_);
  return UpdateLocked(name, object, manager);
}

StoreAnswer FakeObjectStore::MergePatch(const ObjectName& name, const Json& patch,
                                        const std::string& manager) {
  std::lock_guard lock(mutex_);
  Stored* stored = FindLocked(name);
  if (stored == nullptr) return Missing(name);
  Json next = stored->object;
  next.merge_patch(patch);
  return UpdateLocked(name, next, manager);
}

StoreAnswer FakeObjectStore::JsonPatch(const ObjectName& name, const Json& patch,
                                       const std::string& manager) {
  std::lock_guard lock(mutex_);
  Stored* stored = FindLocked(name);
  if (stored == nullptr) return Missing(name);
  try {
    return UpdateLocked(name, stored->object.patch(patch), manager);
  } catch (const Json::exception& e) {
    return Failure(422, "Invalid", std::string("the server rejected our request: ") + e.what());
  }
}

StoreAnswer FakeObjectStore::Apply(const ObjectName& name, Json applied,
                                   const std::string& manager) {
  std::lock_guard lock(mutex_);
  if (JsonAt(applied, "metadata").contains("managedFields")) {
    return Failure(400, "BadRequest", "metadata.managedFields must be nil");
  }
  const Owner owner{manager, "Apply", name.subresource};
  const FlatObject wanted = Part(Flatten(applied), name.subresource);
  Stored* stored = FindLocked(name);
  const std::string uid = Meta(applied, "uid");
  if (stored == nullptr) {
    if (!uid.empty()) return Failure(409, "Conflict", "uid mismatch: no existing object was found");
    if (!name.subresource.empty()) return Missing(name);
    return InsertLocked(name, wanted, owner, applied);
  }
  if (!uid.empty() && uid != Meta(stored->object, "uid")) {
    return Failure(422, "Invalid", "metadata.uid: Invalid value: field is immutable");
  }
  const std::string version = Meta(applied, "resourceVersion");
  if (!version.empty() && version != Meta(stored->object, "resourceVersion")) {
    return Failure(409, "Conflict",
                   "the object has been modified; please apply your changes to the latest version");
  }
  FlatObject live = Flatten(stored->object);
  auto fields = stored->fields;
  for (const FieldPath& path : fields[owner]) {
    if (wanted.contains(path)) continue;
    const bool shared = std::any_of(fields.begin(), fields.end(), [&](const auto& other) {
      return other.first != owner && other.second.contains(path);
    });
    if (!shared) live.erase(path);
  }
  for (const auto& [path, value] : wanted) {
    std::erase_if(live, [&](const auto& entry) {
      return IsPrefix(path, entry.first) || IsPrefix(entry.first, path);
    });
    const auto had = live.find(path);
    if (had == live.end() || had->second != value) {
      for (auto& [other, paths] : fields) paths.erase(path);
    }
    live[path] = value;
  }
  fields[owner] = Paths(wanted);
  for (auto& [other, paths] : fields) {
    std::erase_if(paths, [&](const FieldPath& path) { return !live.contains(path); });
  }
  return CommitLocked(name, live, std::move(fields));
}

StoreAnswer FakeObjectStore::Delete(const ObjectName& name, const Json& options) {
  std::lock_guard lock(mutex_);
  Stored* stored = FindLocked(name);
  if (stored == nullptr) return Missing(name);
  const Json& preconditions = JsonAt(options, "preconditions");
  for (const char* key : {"uid", "resourceVersion"}) {
    const std::string wanted = JsonString(preconditions, key);
    if (!wanted.empty() && wanted != Meta(stored->object, key)) {
      return Failure(409, "Conflict", std::string("Precondition failed: ") + key + " differs");
    }
  }
  const Json before = stored->object;
  Json last = before;
  last["metadata"]["resourceVersion"] = std::to_string(++version_);
  if (!JsonAt(last["metadata"], "finalizers").empty()) {
    if (before["metadata"].contains("deletionTimestamp")) {
      --version_;
      return {200, before};
    }
    last["metadata"]["deletionTimestamp"] = FormatRfc3339(SystemClock().Wall());
    stored->object = last;
    AppendLocked(name.collection, {version_, "MODIFIED", last, before});
    return {200, last};
  }
  objects_[name.collection].erase({name.name_space, name.name});
  AppendLocked(name.collection, {version_, "DELETED", last, before});
  return {200, StatusOf(200, "", "")};
}

Json FakeObjectStore::Set(const CollectionName& collection, Json object,
                          const std::string& manager) {
  std::lock_guard lock(mutex_);
  const ObjectName name{collection, Meta(object, "namespace"), Meta(object, "name"), ""};
  if (FindLocked(name) == nullptr) {
    return InsertLocked(name, Flatten(object), {manager, "Update", ""}, object).body;
  }
  const FlatObject flat = Flatten(object);
  return CommitLocked(name, flat, {{{manager, "Update", ""}, Paths(flat)}}).body;
}

int64_t FakeObjectStore::Version() const {
  std::lock_guard lock(mutex_);
  return version_;
}

void FakeObjectStore::Compact() {
  std::lock_guard lock(mutex_);
  // A version of its own, so that everything handed out until now is too old.
  compacted_ = ++version_;
  log_.clear();
  changed_.notify_all();
}

void FakeObjectStore::Wake() {
  std::lock_guard lock(mutex_);
  changed_.notify_all();
}

FakeObjectStore::Next FakeObjectStore::NextEvent(const CollectionName& collection, int64_t after,
                                                 int timeout_ms, const std::function<bool()>& stop,
                                                 StoreEvent* event, int64_t* version) const {
  std::unique_lock lock(mutex_);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    if (after < compacted_) return Next::kExpired;
    for (const auto& [of, logged] : log_) {
      if (logged.version <= after || of != collection) continue;
      *event = logged;
      *version = logged.version;
      return Next::kEvent;
    }
    *version = version_;
    if (stop() || changed_.wait_until(lock, until) == std::cv_status::timeout) return Next::kNone;
  }
}

}  // namespace understudy::test
