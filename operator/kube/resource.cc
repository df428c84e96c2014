#include "operator/kube/resource.h"

#include "common/check.h"

namespace understudy::kube {

std::string ApiVersion(const Resource& resource) {
  std::string out(resource.group);
  if (!out.empty()) out += '/';
  out += resource.version;
  return out;
}

std::string CollectionPath(const Resource& resource, std::string_view name_space) {
  CHECK(resource.namespaced || name_space.empty());
  std::string out = (resource.group.empty() ? "/api/" : "/apis/") + ApiVersion(resource);
  if (!name_space.empty()) out += "/namespaces/" + Encode(name_space);
  return out + '/' + std::string(resource.plural);
}

std::string ObjectPath(const Resource& resource, std::string_view name_space, std::string_view name,
                       std::string_view subresource) {
  CHECK(!name.empty() && resource.namespaced != name_space.empty());
  std::string out = CollectionPath(resource, name_space) + '/' + Encode(name);
  if (!subresource.empty()) out += '/' + std::string(subresource);
  return out;
}

std::string Encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

bool IsResourceVersion(std::string_view text) {
  if (text.empty() || text.front() == '0') return false;
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool NotOlder(std::string_view version, std::string_view minimum) {
  if (!IsResourceVersion(version) || !IsResourceVersion(minimum)) return false;
  if (version.size() != minimum.size()) return version.size() > minimum.size();
  return version >= minimum;
}

}  // namespace understudy::kube
