// The API server's verbs for any resource, over a Transport: paths, content types, preconditions,
// and the mapping of HTTP statuses to Codes with the server's own sentence in the message.
//
// Thread-safe and blocking; each call ends by its deadline. A request that the server declined for
// now (429 or 5xx *with* Retry-After, as client-go has it) is repeated at the time it names, if
// that is before the deadline; nothing else is repeated here. Writers use JSON objects with
// apiVersion, kind and metadata.name (and namespace).
//
// HTTP -> Code: 404 kNotFound; 409 kConflict; 410 kExpired; 400, 422 and other 4xx kInvalid; 401,
// 403 kDenied; 429, 5xx and no answer kUnavailable. No answer leaves open whether the request was
// carried out.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/json.h"
#include "common/result.h"
#include "operator/kube/field_ownership.h"
#include "operator/kube/resource.h"
#include "operator/kube/transport.h"

namespace understudy::kube {

struct ListOptions {
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;
  std::string resource_version_match;
  int limit = 0;               // 0: no limit
  std::string continue_token;  // of the page before
};

struct ApplyOptions {
  std::string subresource;  // "status", or empty
};

struct DeleteOptions {
  std::string uid;               // precondition; empty: whatever has the name
  std::string resource_version;  // precondition
  std::string propagation;       // Background, Foreground, Orphan; empty: the server's default
  int64_t grace_seconds = -1;    // below 0: the object's own
};

// What a first write found.
struct FirstWrite {
  Json object;           // as it is on the server now
  bool created = false;  // false: it was there; look whose it is before going on
};

class Client {
 public:
  Client(Transport& transport, const Clock& clock) : transport_(transport), clock_(clock) {}

  Result<Json> Get(const Resource& resource, const std::string& name_space, const std::string& name,
                   Deadline deadline);
  // One page: {metadata: {resourceVersion, continue}, items}.
  Result<Json> List(const Resource& resource, const std::string& name_space,
                    const ListOptions& options, Deadline deadline);
  // POST of a fixed name. kConflict: it exists.
  Result<Json> Create(const Resource& resource, const Json& object, Deadline deadline);
  // What Create would answer now, admission included; nothing is created. kConflict, which is looked at last: the
  // name is taken, and nothing else is in the way.
  Status TryCreate(const Resource& resource, const Json& object, Deadline deadline);
  // The first write of an object of ours (API.md, "Under GitOps"): POST, and if something of that
  // name exists, what that is. Also right when the POST was carried out twice.
  Result<FirstWrite> CreateOwned(const Resource& resource, const Json& object, Deadline deadline);
  // Server-side apply by field manager "understudy", forced. metadata.uid in the object: kInvalid
  // or kConflict if another object has the name, instead of merging into it.
  // metadata.resourceVersion: kConflict if it is no longer that. Without the uid a missing object
  // is created.
  Result<Json> Apply(const Resource& resource, const Json& object, const ApplyOptions& options,
                     Deadline deadline);
  // An apply of what CreateOwned may have made: the first one also makes the POST's fields ours to
  // drop (field_ownership.h), so a field that it leaves out goes. May be repeated after a failure in
  // between. object must have metadata.uid.
  Result<Json> FirstApply(const Resource& resource, const Json& object, Deadline deadline);
  Result<Json> MergePatch(const Resource& resource, const std::string& name_space,
                          const std::string& name, const Json& patch,
                          const std::string& subresource, Deadline deadline);
  // patch: an array of operations. A `test` that fails is kInvalid.
  Result<Json> JsonPatch(const Resource& resource, const std::string& name_space,
                         const std::string& name, const Json& patch, const std::string& subresource,
                         Deadline deadline);
  // Replaces it; metadata.resourceVersion, if given, must still be current (kConflict).
  Result<Json> Put(const Resource& resource, const Json& object, const std::string& subresource,
                   Deadline deadline);
  // The object that is being deleted, or a metav1.Status. A failed precondition is kConflict.
  Result<Json> Delete(const Resource& resource, const std::string& name_space,
                      const std::string& name, const DeleteOptions& options, Deadline deadline);

  // Ends waits for a Retry-After, now and later; requests in flight end by their deadlines.
  void Stop();

  const Clock& clock() const { return clock_; }

 private:
  Result<Json> Call(const Request& request, Deadline deadline);
  // dry_run: "All", or empty for one that is carried out.
  Result<Json> Post(const Resource& resource, const Json& object, const std::string& dry_run, Deadline deadline);
  // True after `delay`, false if stopped.
  bool Wait(Duration delay);

  Transport& transport_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stopped_ = false;  // mutex_
};

// The Status of an HTTP error answer; `body` is a metav1.Status if it is JSON.
// "PATCH /api/v1/…: 409 Conflict: the object has been modified".
Status StatusOfAnswer(const Request& request, int http_status, std::string_view body);
// The API server's own words in the message of such a Status: "the object has been modified".
std::string WordsOfAnswer(std::string_view message);

}  // namespace understudy::kube
