#include "operator/kube/client.h"

#include <algorithm>
#include <chrono>

#include "common/log.h"

namespace understudy::kube {
namespace {

constexpr int kMaxAttempts = 10;
constexpr size_t kMaxMessageBytes = 2000;

Code CodeOf(int http_status) {
  switch (http_status) {
    case 401:
    case 403:
      return Code::kDenied;
    case 404:
      return Code::kNotFound;
    case 409:
      return Code::kConflict;
    case 410:
      return Code::kExpired;
    case 429:
      return Code::kUnavailable;
    default:
      break;
  }
  if (http_status >= 500) return Code::kUnavailable;
  return http_status >= 400 ? Code::kInvalid : Code::kInternal;
}

// "a=b&c=d" from the pairs whose value isn't empty.
std::string Query(std::initializer_list<std::pair<const char*, std::string>> pairs) {
  std::string out;
  for (const auto& [key, value] : pairs) {
    if (value.empty()) continue;
    out += (out.empty() ? "?" : "&") + std::string(key) + "=" + Encode(value);
  }
  return out;
}

// Text that is not UTF-8 (a user's annotation can't be, a message of ours might) must not throw.
std::string Text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

struct Named {
  std::string name_space;
  std::string name;
};

Named NameOf(const Resource& resource, const Json& object) {
  const Json& metadata = JsonAt(object, "metadata");
  Named out{JsonString(metadata, "namespace"), JsonString(metadata, "name")};
  CHECK(!out.name.empty() && out.name_space.empty() != resource.namespaced);
  return out;
}

}  // namespace

Status StatusOfAnswer(const Request& request, int http_status, std::string_view body) {
  std::string reason, text;
  if (const auto parsed = ParseJson(body); parsed.ok()) {
    reason = JsonString(*parsed, "reason");
    text = JsonString(*parsed, "message");
  } else {
    text = std::string(body.substr(0, 200));
  }
  if (text.size() > kMaxMessageBytes) text.resize(kMaxMessageBytes);
  const std::string path = request.path.substr(0, request.path.find('?'));
  return Status(CodeOf(http_status),
                fmt::format("{} {}: {}{}{}{}{}", request.method, path, http_status,
                            reason.empty() ? "" : " ", reason, text.empty() ? "" : ": ", text));
}

std::string WordsOfAnswer(std::string_view message) {
  std::string_view words = message;
  for (int part = 0; part < 2; ++part) {  // the request, the status
    const size_t end = words.find(": ");
    if (end == std::string_view::npos) return std::string(message);
    words.remove_prefix(end + 2);
  }
  return std::string(words);
}

bool Client::Wait(Duration delay) {
  std::unique_lock lock(mutex_);
  stop_changed_.wait_for(lock, std::chrono::nanoseconds(delay.ns), [&] { return stopped_; });
  return !stopped_;
}

void Client::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  stop_changed_.notify_all();
}

Result<Json> Client::Call(const Request& request, Deadline deadline) {
  for (int attempt = 1;; ++attempt) {
    auto answer = transport_.Send(request, deadline);
    if (!answer.ok()) {
      return answer.status().Prefixed(request.method + " " +
                                      request.path.substr(0, request.path.find('?')));
    }
    if (const auto warning = answer->headers.find("warning"); warning != answer->headers.end()) {
      LOG_WARN("{} {}: the API server warns: {}", request.method, request.path, warning->second);
    }
    if (answer->status >= 200 && answer->status < 300) {
      auto parsed = ParseJson(answer->body);
      if (!parsed.ok()) return Internal(request.path + " answered " + parsed.status().ToString());
      return parsed;
    }
    Status failed = StatusOfAnswer(request, answer->status, answer->body);
    const bool declined = answer->status == 429 || answer->status >= 500;
    const auto header = answer->headers.find("retry-after");
    if (!declined || header == answer->headers.end() || attempt == kMaxAttempts) return failed;
    const Duration delay = ParseRetryAfter(header->second);
    if (delay >= deadline.Left(clock_.Mono())) return failed;
    if (!Wait(delay)) return failed;
  }
}

Result<Json> Client::Get(const Resource& resource, const std::string& name_space,
                         const std::string& name, Deadline deadline) {
  return Call({.method = "GET", .path = ObjectPath(resource, name_space, name)}, deadline);
}

Result<Json> Client::List(const Resource& resource, const std::string& name_space,
                          const ListOptions& options, Deadline deadline) {
  return Call({.method = "GET",
               .path = CollectionPath(resource, name_space) +
                       Query({{"labelSelector", options.label_selector},
                              {"fieldSelector", options.field_selector},
                              {"resourceVersion", options.resource_version},
                              {"resourceVersionMatch", options.resource_version_match},
                              {"limit", options.limit > 0 ? std::to_string(options.limit) : ""},
                              {"continue", options.continue_token}})},
              deadline);
}

Result<Json> Client::Post(const Resource& resource, const Json& object, const std::string& dry_run,
                          Deadline deadline) {
  const Named named = NameOf(resource, object);
  return Call({.method = "POST",
               .path = CollectionPath(resource, named.name_space) +
                       Query({{"fieldManager", kFieldManager}, {"dryRun", dry_run}}),
               .body = Text(object),
               .content_type = "application/json"},
              deadline);
}

Result<Json> Client::Create(const Resource& resource, const Json& object, Deadline deadline) {
  return Post(resource, object, "", deadline);
}

Status Client::TryCreate(const Resource& resource, const Json& object, Deadline deadline) {
  return Post(resource, object, "All", deadline).status();
}

Result<FirstWrite> Client::CreateOwned(const Resource& resource, const Json& object,
                                       Deadline deadline) {
  auto created = Create(resource, object, deadline);
  if (created.ok()) return FirstWrite{.object = *std::move(created), .created = true};
  if (created.status().code() != Code::kConflict) return created.status();
  const Named named = NameOf(resource, object);
  auto existing = Get(resource, named.name_space, named.name, deadline);
  // A 409 of a name that isn't there has another reason, which its sentence tells.
  if (existing.status().code() == Code::kNotFound) return created.status();
  if (!existing.ok()) return existing.status();
  return FirstWrite{.object = *std::move(existing), .created = false};
}

Result<Json> Client::Apply(const Resource& resource, const Json& object,
                           const ApplyOptions& options, Deadline deadline) {
  CHECK(!JsonAt(object, "metadata").contains("managedFields"));
  const Named named = NameOf(resource, object);
  return Call({.method = "PATCH",
               .path = ObjectPath(resource, named.name_space, named.name, options.subresource) +
                       Query({{"fieldManager", kFieldManager}, {"force", "true"}}),
               .body = Text(object),
               .content_type = "application/apply-patch+yaml"},
              deadline);
}

Result<Json> Client::FirstApply(const Resource& resource, const Json& object, Deadline deadline) {
  CHECK(!JsonString(JsonAt(object, "metadata"), "uid").empty());
  auto applied = Apply(resource, object, {}, deadline);
  if (!applied.ok()) return applied;
  const Named named = NameOf(resource, object);
  if (!HasOwnUpdateEntry(*applied)) return applied;
  // Another writer may change managedFields between reading and patching; then look again.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const Json patch = BuildOwnByApply(*applied);
    if (patch.empty()) return Apply(resource, object, {}, deadline);
    auto patched = JsonPatch(resource, named.name_space, named.name, patch, "", deadline);
    const Code code = patched.status().code();
    if (patched.ok()) return Apply(resource, object, {}, deadline);
    if (code != Code::kInvalid && code != Code::kConflict) return patched;
    applied = Get(resource, named.name_space, named.name, deadline);
    if (!applied.ok()) return applied;
  }
  return Conflict("managedFields of " + named.name +
                  " kept changing; our first entry is still in it");
}

Result<Json> Client::MergePatch(const Resource& resource, const std::string& name_space,
                                const std::string& name, const Json& patch,
                                const std::string& subresource, Deadline deadline) {
  return Call({.method = "PATCH",
               .path = ObjectPath(resource, name_space, name, subresource) +
                       Query({{"fieldManager", kFieldManager}}),
               .body = Text(patch),
               .content_type = "application/merge-patch+json"},
              deadline);
}

Result<Json> Client::JsonPatch(const Resource& resource, const std::string& name_space,
                               const std::string& name, const Json& patch,
                               const std::string& subresource, Deadline deadline) {
  CHECK(patch.is_array());
  return Call({.method = "PATCH",
               .path = ObjectPath(resource, name_space, name, subresource) +
                       Query({{"fieldManager", kFieldManager}}),
               .body = Text(patch),
               .content_type = "application/json-patch+json"},
              deadline);
}

Result<Json> Client::Put(const Resource& resource, const Json& object,
                         const std::string& subresource, Deadline deadline) {
  const Named named = NameOf(resource, object);
  return Call({.method = "PUT",
               .path = ObjectPath(resource, named.name_space, named.name, subresource) +
                       Query({{"fieldManager", kFieldManager}}),
               .body = Text(object),
               .content_type = "application/json"},
              deadline);
}

Result<Json> Client::Delete(const Resource& resource, const std::string& name_space,
                            const std::string& name, const DeleteOptions& options,
                            Deadline deadline) {
  Json body = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
  if (!options.resource_version.empty()) {
    body["preconditions"]["resourceVersion"] = options.resource_version;
  }
  if (!options.propagation.empty()) body["propagationPolicy"] = options.propagation;
  if (options.grace_seconds >= 0) body["gracePeriodSeconds"] = options.grace_seconds;
  return Call({.method = "DELETE",
               .path = ObjectPath(resource, name_space, name),
               .body = Text(body),
               .content_type = "application/json"},
              deadline);
}

}  // namespace understudy::kube
