// The API server of the simulated cluster: documents with its rules about versions, generations, finalizers,
// preconditions and names, and one watch whose events a simulation may hold back.
//
// Admission is not here: edits.cc makes only what the CRDs' rules allow. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "common/result.h"
#include "operator/plan/plan.h"

namespace understudy::edits {

inline constexpr const char* kNamespace = "default";

class ApiServer {
 public:
  struct WatchEvent {
    Json document;
    bool gone = false;
  };

  explicit ApiServer(const Clock& clock) : clock_(clock) {}

  // nullptr: there is none.
  const Json* Get(const std::string& kind, const std::string& name) const;
  std::vector<const Json*> All(const std::string& kind) const;
  const Json* WithUid(const std::string& kind, const std::string& uid) const;

  // -- users and controllers: `change` gets the document; the new version is seen by the watch.
  void Put(const std::string& kind, const std::string& name, Json document);
  void Change(const std::string& kind, const std::string& name, const std::function<void(Json*)>& change,
              bool of_spec = false);
  // Waits for finalizers. Of a Pod: at once; graceful ends are the kubelet's.
  void Delete(const std::string& kind, const std::string& name);

  // -- the operator's requests, each with the object as it is afterwards
  Result<Json> WriteStatus(const plan::StatusWrite& write);
  Result<Json> Create(const Json& object);
  Result<Json> Apply(const Json& object);
  Result<Json> PatchLabels(const plan::LabelPod& label);
  Result<Json> PatchFinalizers(const plan::SetFinalizers& set);
  // kConflict: another object, or another version of it, has the name. The deletion itself is the caller's.
  Status MayDelete(const api::ObjectRef& ref) const;

  // Events that the operator has not taken yet, by kind and in their order.
  std::map<std::string, std::deque<WatchEvent>>& watch() { return watch_; }
  int64_t version() const { return version_; }

 private:
  static std::string Key(const std::string& kind, const std::string& name) { return kind + "/" + name; }
  Json* Find(const std::string& kind, const std::string& name);
  void Touch(const std::string& kind, Json* document);
  void Erase(const std::string& kind, const std::string& name);

  const Clock& clock_;
  std::map<std::string, Json> objects_;  // "Kind/name"
  std::map<std::string, std::deque<WatchEvent>> watch_;
  int64_t version_ = 0;
};

// metadata.uid.
std::string UidOf(const Json& document);

}  // namespace understudy::edits
