#include "operator/api/pending.h"

#include <algorithm>

namespace understudy::api {

const PendingModification* FindPending(const PendingModifications& pending, std::string_view field) {
  for (const PendingModification& one : pending) {
    if (one.field == field) return &one;
  }
  return nullptr;
}

PendingModifications ParsePendingModifications(const Json& array) {
  PendingModifications pending;
  if (!array.is_array()) return pending;
  for (const Json& item : array) {
    PendingModification one;
    one.field = JsonString(item, "field");
    one.from = JsonString(item, "from");
    one.to = JsonString(item, "to");
    if (!ParseRfc3339(JsonString(item, "notBefore"), &one.not_before)) one.not_before = {};
    one.reason = JsonString(item, "reason");
    pending.push_back(std::move(one));
  }
  std::sort(pending.begin(), pending.end(), [](const auto& a, const auto& b) { return a.field < b.field; });
  return pending;
}

Json PendingModificationsJson(const PendingModifications& pending) {
  Json array = Json::array();
  for (const PendingModification& one : pending) {
    Json item = {{"field", one.field}, {"reason", one.reason}};
    if (!one.from.empty()) item["from"] = one.from;
    if (!one.to.empty()) item["to"] = one.to;
    if (one.not_before.unix_ms != 0) item["notBefore"] = FormatRfc3339(one.not_before);
    array.push_back(std::move(item));
  }
  return array;
}

}  // namespace understudy::api
