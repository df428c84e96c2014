#include "operator/api/meta.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <tuple>

namespace understudy::api {
namespace {

constexpr std::string_view kOwnPrefix = "cache.understudy.dev/";

WallTime TimeAt(const Json& object, const char* key) {
  WallTime time;
  if (!ParseRfc3339(JsonString(object, key), &time)) return WallTime{};
  return time;
}

// Digits with an optional fraction from `text`, advancing it; false if there are none. Up to 9 digits
// on each side of the point, so that nothing overflows.
bool ReadDecimal(std::string_view* text, int64_t* whole, int64_t* billionths) {
  size_t n = 0;
  *whole = 0;
  while (n < text->size() && std::isdigit(static_cast<unsigned char>((*text)[n]))) {
    if (n >= 15) return false;
    *whole = *whole * 10 + ((*text)[n] - '0');
    ++n;
  }
  const size_t digits = n;
  *billionths = 0;
  size_t fraction_digits = 0;
  if (n < text->size() && (*text)[n] == '.') {
    int64_t scale = 100'000'000;
    for (++n; n < text->size() && std::isdigit(static_cast<unsigned char>((*text)[n])); ++n) {
      *billionths += ((*text)[n] - '0') * scale;
      scale /= 10;
      ++fraction_digits;
    }
  }
  text->remove_prefix(n);
  return digits + fraction_digits > 0;
}

}  // namespace

bool HasFinalizer(const std::vector<std::string>& finalizers) {
  return std::find(finalizers.begin(), finalizers.end(), kFinalizer) != finalizers.end();
}

bool ObjectMeta::HasFinalizer() const { return api::HasFinalizer(finalizers); }

std::string ObjectMeta::Label(const char* key) const {
  const auto it = labels.find(key);
  return it == labels.end() ? "" : it->second;
}

std::string ObjectMeta::Annotation(const char* key) const {
  const auto it = annotations.find(key);
  return it == annotations.end() ? "" : it->second;
}

bool ObjectMeta::OlderThan(const ObjectMeta& other) const {
  return std::tie(created, uid) < std::tie(other.created, other.uid);
}

std::vector<std::string> ParseStrings(const Json& array) {
  std::vector<std::string> strings;
  if (!array.is_array()) return strings;
  for (const Json& one : array) {
    if (one.is_string()) strings.push_back(one.get<std::string>());
  }
  return strings;
}

std::map<std::string, std::string> ParseStringMap(const Json& object) {
  std::map<std::string, std::string> map;
  if (!object.is_object()) return map;
  for (const auto& [key, value] : object.items()) {
    if (value.is_string()) map[key] = value.get<std::string>();
  }
  return map;
}

ObjectMeta ParseMeta(const Json& document) {
  const Json& metadata = JsonAt(document, "metadata");
  ObjectMeta meta;
  meta.ns = JsonString(metadata, "namespace");
  meta.name = JsonString(metadata, "name");
  meta.uid = JsonString(metadata, "uid");
  meta.resource_version = JsonString(metadata, "resourceVersion");
  meta.generation = JsonInt(metadata, "generation");
  meta.created = TimeAt(metadata, "creationTimestamp");
  if (JsonAt(metadata, "deletionTimestamp").is_string()) {
    meta.deleted = TimeAt(metadata, "deletionTimestamp");
  }
  meta.labels = ParseStringMap(JsonAt(metadata, "labels"));
  for (auto& [key, value] : ParseStringMap(JsonAt(metadata, "annotations"))) {
    if (key.starts_with(kOwnPrefix)) meta.annotations.emplace(key, value);
  }
  meta.finalizers = ParseStrings(JsonAt(metadata, "finalizers"));
  return meta;
}

Result<Duration> ParseDuration(std::string_view text) {
  const Status bad = Invalid("'" + std::string(text.substr(0, 32)) +
                             "' is not a duration such as 500ms, 1.5s, 2m or 1h");
  if (text.empty()) return bad;
  Duration total;
  while (!text.empty()) {
    int64_t whole = 0, billionths = 0;
    if (!ReadDecimal(&text, &whole, &billionths)) return bad;
    int64_t unit_ns = 0;
    size_t length = 1;
    if (text.starts_with("ms")) {
      unit_ns = 1'000'000;
      length = 2;
    } else if (text.starts_with("s")) {
      unit_ns = 1'000'000'000;
    } else if (text.starts_with("m")) {
      unit_ns = 60'000'000'000;
    } else if (text.starts_with("h")) {
      unit_ns = 3'600'000'000'000;
    } else {
      return bad;
    }
    text.remove_prefix(length);
    if (whole > 1'000'000) return bad;  // far above every bound of ours, far below an overflow
    total = total + Duration{whole * unit_ns} + Duration{billionths * (unit_ns / 1000) / 1'000'000};
    if (total > Seconds(2'000'000'000)) return bad;  // as far from an overflow
  }
  return total;
}

std::string FormatDuration(Duration d) {
  const int64_t ms = d.ms();
  if (ms % 3'600'000 == 0 && ms != 0) return std::to_string(ms / 3'600'000) + "h";
  if (ms % 60'000 == 0 && ms != 0) return std::to_string(ms / 60'000) + "m";
  if (ms < 1000) return std::to_string(ms) + "ms";
  if (ms % 1000 == 0) return std::to_string(ms / 1000) + "s";
  std::string fraction = std::to_string(1000 + ms % 1000).substr(1);
  while (fraction.back() == '0') fraction.pop_back();
  return std::to_string(ms / 1000) + "." + fraction + "s";
}

Result<int64_t> ParseQuantityMillis(std::string_view text) {
  const Status bad = Invalid("'" + std::string(text.substr(0, 32)) +
                             "' is not a quantity such as 512Mi, 1.5Gi, 2 or 500m");
  int64_t whole = 0, billionths = 0;
  std::string_view rest = text;
  if (!ReadDecimal(&rest, &whole, &billionths)) return bad;
  static const std::map<std::string_view, double> kUnits = {
      {"", 1e3},    {"n", 1e-6}, {"u", 1e-3}, {"m", 1},     {"k", 1e6},   {"M", 1e9},
      {"G", 1e12},  {"T", 1e15}, {"P", 1e18}, {"Ki", 0x1p10 * 1e3}, {"Mi", 0x1p20 * 1e3},
      {"Gi", 0x1p30 * 1e3}, {"Ti", 0x1p40 * 1e3}, {"Pi", 0x1p50 * 1e3}};
  double unit = 0;
  if (const auto it = kUnits.find(rest); it != kUnits.end()) {
    unit = it->second;
  } else if (rest.size() >= 2 && rest.size() <= 3 && (rest[0] == 'e' || rest[0] == 'E') &&
             std::all_of(rest.begin() + 1, rest.end(), [](unsigned char c) { return std::isdigit(c); })) {
    unit = 1e3 * std::pow(10.0, std::stoi(std::string(rest.substr(1))));
  } else {
    return bad;
  }
  const long double value =
      (static_cast<long double>(whole) + static_cast<long double>(billionths) / 1e9L) * unit;
  if (value > 9e18L) return bad;
  return static_cast<int64_t>(std::llroundl(value));
}

std::optional<bool> OptionalBool(const Json& object, const char* key) {
  const Json& value = JsonAt(object, key);
  if (!value.is_boolean()) return std::nullopt;
  return value.get<bool>();
}

std::string IntOrString(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return std::to_string(value.get<int64_t>());
  return "";
}

}  // namespace understudy::api
