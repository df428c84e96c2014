#include "common/json.h"

namespace understudy {

Result<Json> ParseJson(std::string_view text) {
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& e) {
    return Invalid(std::string("not JSON: ") + e.what());
  }
}

const Json& JsonAt(const Json& object, const char* key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto it = object.find(key);
  return it == object.end() ? kNull : *it;
}

std::string JsonString(const Json& object, const char* key, std::string fallback) {
  const Json& value = JsonAt(object, key);
  return value.is_string() ? value.get<std::string>() : std::move(fallback);
}

int64_t JsonInt(const Json& object, const char* key, int64_t fallback) {
  const Json& value = JsonAt(object, key);
  return value.is_number_integer() ? value.get<int64_t>() : fallback;
}

bool JsonBool(const Json& object, const char* key, bool fallback) {
  const Json& value = JsonAt(object, key);
  return value.is_boolean() ? value.get<bool>() : fallback;
}

}  // namespace understudy
