// The part of ObjectMeta that we use, common to all kinds, and the names that are ours.
//
// Pure values. Labels are kept whole (selectors may name any); of annotations only our own, so that a
// cache does not hold other people's kilobytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "common/result.h"

namespace understudy::api {

inline constexpr std::string_view kGroup = "cache.understudy.dev";
inline constexpr std::string_view kApiVersion = "cache.understudy.dev/v1alpha1";
inline constexpr std::string_view kFinalizer = "cache.understudy.dev/membership";

// Labels (API.md, Names). `kRoleLabel` and `kReaderLabel` exist on live Pods only, never in a template.
inline constexpr const char* kClusterLabel = "cache.understudy.dev/cluster";
inline constexpr const char* kGroupLabel = "cache.understudy.dev/group";
inline constexpr const char* kPoolLabel = "cache.understudy.dev/pool";
inline constexpr const char* kRoleLabel = "cache.understudy.dev/role";
inline constexpr const char* kReaderLabel = "cache.understudy.dev/reader";

// Annotations. Children carry no ownerReference: foreground deletion would take them past our finalizer.
inline constexpr const char* kOwnerUidAnnotation = "cache.understudy.dev/owner-uid";
inline constexpr const char* kOwnerAnnotation = "cache.understudy.dev/owner";  // "ReplicationGroup/name"
inline constexpr const char* kHashAnnotation = "cache.understudy.dev/applied-hash";
inline constexpr const char* kTemplateHashAnnotation = "cache.understudy.dev/template-hash";
inline constexpr const char* kSwitchoverToAnnotation = "cache.understudy.dev/switchover-to";
// What the template was made from, in words: says what differs when the hashes do.
inline constexpr const char* kTemplateValuesAnnotation = "cache.understudy.dev/template-values";
// The hash that the template would have without its group's settings: who leaves a group is not outdated by it.
inline constexpr const char* kTemplateAloneAnnotation = "cache.understudy.dev/template-alone-hash";
inline constexpr const char* kConfirmDeadAnnotation = "cache.understudy.dev/confirm-dead";

struct ObjectMeta {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
  int64_t generation = 0;
  WallTime created;                 // creationTimestamp, whole seconds
  std::optional<WallTime> deleted;  // deletionTimestamp
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;  // only those of cache.understudy.dev/
  std::vector<std::string> finalizers;

  bool HasFinalizer() const;  // ours
  std::string Label(const char* key) const;       // "" when absent
  std::string Annotation(const char* key) const;  // "" when absent
  // Our annotation on a child: the UID of the object that it was made for, "" on a foreign object.
  std::string OwnerUid() const { return Annotation(kOwnerUidAnnotation); }
  // Older first, then the smaller UID: the order in which newcomers are admitted and names are given.
  bool OlderThan(const ObjectMeta& other) const;
};

// Names one object for deletes, events and patches.
struct ObjectRef {
  std::string api_version;
  std::string kind;
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;  // empty: no precondition
  bool operator==(const ObjectRef&) const = default;
};

// metadata of any document; never fails, absent members stay empty.
ObjectMeta ParseMeta(const Json& document);

std::map<std::string, std::string> ParseStringMap(const Json& object);
// The strings of a JSON array; empty for something else.
std::vector<std::string> ParseStrings(const Json& array);
// Ours is among them.
bool HasFinalizer(const std::vector<std::string>& finalizers);

// "1.5s", "500ms", "1m30s" as CEL and the CRDs write durations; kInvalid otherwise.
Result<Duration> ParseDuration(std::string_view text);
std::string FormatDuration(Duration d);  // the shortest of "500ms", "1.5s", "10s", "1h"

// A Kubernetes quantity ("512Mi", "1.5", "500m", "2e9") in thousandths of its unit; kInvalid otherwise.
Result<int64_t> ParseQuantityMillis(std::string_view text);

// A boolean that may be absent.
std::optional<bool> OptionalBool(const Json& object, const char* key);

// Text of a JSON int-or-string.
std::string IntOrString(const Json& value);

}  // namespace understudy::api
