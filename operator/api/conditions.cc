#include "operator/api/conditions.h"

#include <algorithm>

namespace understudy::api {
namespace {

Truth TruthFromName(std::string_view name) {
  if (name == "True") return Truth::kTrue;
  if (name == "False") return Truth::kFalse;
  return Truth::kUnknown;
}

auto Position(std::vector<Condition>& all, std::string_view type) {
  return std::lower_bound(all.begin(), all.end(), type,
                          [](const Condition& c, std::string_view t) { return c.type < t; });
}

}  // namespace

std::string OneLine(std::string_view text) {
  std::string line;
  bool gap = false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 0x7f) {
      gap = true;
      continue;
    }
    if (gap && !line.empty()) line += ' ';
    gap = false;
    line += c;
  }
  return line;
}

std::string_view TruthName(Truth truth) {
  switch (truth) {
    case Truth::kTrue: return "True";
    case Truth::kFalse: return "False";
    case Truth::kUnknown: return "Unknown";
  }
  return "Unknown";
}

const Condition* Conditions::Find(std::string_view type) const {
  for (const Condition& condition : all_) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

bool Conditions::IsTrue(std::string_view type) const {
  const Condition* condition = Find(type);
  return condition != nullptr && condition->status == Truth::kTrue;
}

std::string_view Conditions::Reason(std::string_view type) const {
  const Condition* condition = Find(type);
  return condition == nullptr ? std::string_view() : std::string_view(condition->reason);
}

void Conditions::Set(std::string_view type, Truth status, std::string_view reason, std::string_view message,
                     int64_t generation, WallTime now) {
  // Whole seconds, as the API server stores them.
  const WallTime second{now.unix_ms / 1000 * 1000};
  Condition next{std::string(type), status, std::string(reason), OneLine(message), second, generation};
  const auto it = Position(all_, type);
  if (it == all_.end() || it->type != type) {
    all_.insert(it, std::move(next));
    return;
  }
  if (it->status == status) next.last_transition = it->last_transition;
  *it = std::move(next);
}

void Conditions::Remove(std::string_view type) {
  std::erase_if(all_, [type](const Condition& condition) { return condition.type == type; });
}

Conditions ParseConditions(const Json& array) {
  Conditions conditions;
  if (!array.is_array()) return conditions;
  for (const Json& item : array) {
    Condition condition;
    condition.type = JsonString(item, "type");
    condition.status = TruthFromName(JsonString(item, "status"));
    condition.reason = JsonString(item, "reason");
    condition.message = JsonString(item, "message");
    if (!ParseRfc3339(JsonString(item, "lastTransitionTime"), &condition.last_transition)) {
      condition.last_transition = WallTime{};
    }
    condition.observed_generation = JsonInt(item, "observedGeneration");
    const auto it = Position(conditions.all_, condition.type);
    if (it == conditions.all_.end() || it->type != condition.type) conditions.all_.insert(it, condition);
  }
  return conditions;
}

Json ConditionsJson(const Conditions& conditions) {
  Json array = Json::array();
  for (const Condition& condition : conditions.all()) {
    array.push_back({{"type", condition.type},
                     {"status", TruthName(condition.status)},
                     {"reason", condition.reason},
                     {"message", condition.message},
                     {"lastTransitionTime", FormatRfc3339(condition.last_transition)},
                     {"observedGeneration", condition.observed_generation}});
  }
  return array;
}

}  // namespace understudy::api
