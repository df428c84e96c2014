// The one door to the JSON library. Documents are parsed, projected into typed structs and dropped: a kept
// document costs ten times its text.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace understudy {

using Json = nlohmann::json;

// kInvalid with the position for text that is not JSON. Never throws.
Result<Json> ParseJson(std::string_view text);

// Members of an object, with a default where absent or of another type. Never throw.
std::string JsonString(const Json& object, const char* key, std::string fallback = "");
int64_t JsonInt(const Json& object, const char* key, int64_t fallback = 0);
bool JsonBool(const Json& object, const char* key, bool fallback = false);
// The member, or a null document: JsonAt(JsonAt(pod, "status"), "podIP").
const Json& JsonAt(const Json& object, const char* key);

}  // namespace understudy
