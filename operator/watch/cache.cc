#include "operator/watch/cache.h"

namespace understudy::watch {

std::string ObjectKey(std::string_view name_space, std::string_view name) {
  if (name_space.empty()) return std::string(name);
  std::string out;
  out.reserve(name_space.size() + 1 + name.size());
  out.append(name_space).append("/").append(name);
  return out;
}

std::string ObjectKeyOf(const Json& object) {
  const Json& metadata = JsonAt(object, "metadata");
  return ObjectKey(JsonString(metadata, "namespace"), JsonString(metadata, "name"));
}

}  // namespace understudy::watch
