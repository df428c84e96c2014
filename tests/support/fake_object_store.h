// The data of FakeApiServer: objects of any resource, with the rules of a Kubernetes API server
// that clients depend on. Verbs in, HTTP status and JSON out; no socket here.
//
// What it keeps to: one resourceVersion counter for everything; no change, no new version; uid,
// generation, creationTimestamp; finalizers; optimistic concurrency; preconditions of a deletion;
// the status subresource (a write to the object leaves `status` alone and the other way round);
// server-side apply with ownership of leaf fields and managedFields, forced, lists as units
// (conditions by type, finalizers and ownerReferences as sets are the exceptions that the operator
// needs); list with selectors and pages; an event log that can be compacted. What it leaves out:
// schemas, defaults, admission, garbage collection, RBAC, graceful Pod deletion.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/json.h"

namespace understudy::test {

// A collection: "/api/v1/pods", "/apis/apps/v1/statefulsets"; always without the namespace.
using CollectionName = std::string;

struct StoreAnswer {
  int status = 200;
  Json body;
};

struct StoreEvent {
  int64_t version = 0;
  std::string type;  // ADDED, MODIFIED, DELETED
  Json object;
  Json before;  // null for ADDED
};

struct ObjectName {
  CollectionName collection;
  std::string name_space;
  std::string name;
  std::string subresource;
};

struct ListQuery {
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;
  std::string continue_token;
  size_t limit = 0;
};

// Where a leaf is: "f:spec" a member, "k:Ready" an element of a list by key, "v:x" an element of a
// set.
using FieldPath = std::vector<std::string>;
using FlatObject = std::map<FieldPath, Json>;

// The leaves of an object without its identity and system fields, and the way back.
FlatObject Flatten(const Json& object);
Json Unflatten(const FlatObject& flat);

// Selectors: "a=b,c!=d,e,!f,g in (x,y)" on labels; "metadata.name=x,spec.y!=z" on fields.
bool MatchesLabels(const Json& object, const std::string& selector);
bool MatchesFields(const Json& object, const std::string& selector);

class FakeObjectStore {
 public:
  // A metav1.Status.
  static StoreAnswer Failure(int code, const std::string& reason, const std::string& message);

  StoreAnswer Get(const ObjectName& name) const;
  StoreAnswer List(const CollectionName& collection, const std::string& name_space,
                   const ListQuery& query) const;
  StoreAnswer Create(const ObjectName& collection_name, Json object, const std::string& manager);
  StoreAnswer Put(const ObjectName& name, Json object, const std::string& manager);
  StoreAnswer MergePatch(const ObjectName& name, const Json& patch, const std::string& manager);
  StoreAnswer JsonPatch(const ObjectName& name, const Json& patch, const std::string& manager);
  StoreAnswer Apply(const ObjectName& name, Json applied, const std::string& manager);
  StoreAnswer Delete(const ObjectName& name, const Json& options);
  // What tests use to play the others (kubelet, controllers, users): the whole object as given,
  // status included, made or replaced without preconditions.
  Json Set(const CollectionName& collection, Json object, const std::string& manager = "test");

  int64_t Version() const;
  // Forgets the log: watches and pages from older versions get 410.
  void Compact();
  // The next event of the collection above `after`, waiting until `stop()` is true (looked at
  // whenever Wake was called) or for `timeout_ms`. *version is set to the newest version looked at.
  enum class Next { kEvent, kNone, kExpired };
  Next NextEvent(const CollectionName& collection, int64_t after, int timeout_ms,
                 const std::function<bool()>& stop, StoreEvent* event, int64_t* version) const;
  void Wake();

 private:
  struct Owner {
    std::string manager;
    std::string operation;  // Apply, Update
    std::string subresource;
    auto operator<=>(const Owner&) const = default;
  };
  struct Stored {
    Json object;
    std::map<Owner, std::set<FieldPath>> fields;
  };
  using Key = std::pair<std::string, std::string>;  // namespace, name

  Stored* FindLocked(const ObjectName& name);
  // Makes `flat` the object's content, with `fields` as its owners, unless nothing changed.
  StoreAnswer CommitLocked(const ObjectName& name, const FlatObject& flat,
                           std::map<Owner, std::set<FieldPath>> fields);
  StoreAnswer InsertLocked(const ObjectName& name, const FlatObject& flat, const Owner& owner,
                           const Json& head);
  // PUT and the two patches: `next` is the whole object as the writer wants it.
  StoreAnswer UpdateLocked(const ObjectName& name, const Json& next, const std::string& manager);
  void AppendLocked(const CollectionName& collection, StoreEvent event);

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  int64_t version_ = 1000;                                   // mutex_
  int64_t compacted_ = 0;                                    // mutex_
  std::map<CollectionName, std::map<Key, Stored>> objects_;  // mutex_
  std::deque<std::pair<CollectionName, StoreEvent>> log_;    // mutex_
};

}  // namespace understudy::test
