#include "operator/plan/deferral.h"

#include <algorithm>
#include <map>

#include "common/check.h"
#include "operator/plan/promote_demote.h"

namespace understudy::plan {

namespace {

// The schema has refused what can't be read.
MaintenanceWindow WindowOr(const std::string& text, MaintenanceWindow otherwise) {
  const auto parsed = ParseMaintenanceWindow(text);
  return parsed.ok() ? *parsed : otherwise;
}

MaintenanceWindow WindowOf(const api::ReplicationGroup& group) {
  return WindowOr(group.spec.preferred_maintenance_window, DefaultMaintenanceWindow(group.meta.uid));
}

}  // namespace

void Deferral::ChangesAt(WallTime at) { changes_at_ = changes_at_ ? std::min(*changes_at_, at) : at; }

bool Deferral::Due(const DeferrableStep& step) {
  CHECK(window_.has_value());
  in_force_.emplace_back(step.field, step.from);
  if (step.from == step.to) return false;
  Entry entry;
  entry.value = {step.field, step.from, step.to, {}, std::string(api::reason::kApplyingModifications)};
  entry.cost = step.cost;
  const Duration left = window_->Left(now_);
  const bool fits = left >= step.needed && left.ns > 0;
  const bool passes = step.harmless || step.begun || immediately_;
  const bool due = passes || fits;
  if (!due) {
    entry.value.reason = api::reason::kWaitingForMaintenanceWindow;
    entry.value.not_before = window_->NextOpening(now_);
    ChangesAt(entry.value.not_before);
  } else if (!passes) {
    // A millisecond after the last moment at which it still fits.
    ChangesAt({now_.unix_ms + (left - step.needed).ms() + 1});
  }
  entries_.push_back(std::move(entry));
  Sort();
  return due;
}

void Deferral::Await(std::string_view field, const std::string& from, const std::string& to, WallTime at) {
  in_force_.emplace_back(field, from);
  if (from == to) return;
  Entry entry;
  entry.value = {std::string(field), from, to, {}, std::string(api::reason::kApplyingModifications)};
  if (at > now_) {
    entry.value.reason = api::reason::kWaitingForRequestedTime;
    entry.value.not_before = at;
  }
  entries_.push_back(std::move(entry));
  Sort();
}

void Deferral::Sort() {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.value.field < b.value.field; });
}

void Deferral::Include(const Deferral& other) {
  entries_.insert(entries_.end(), other.entries_.begin(), other.entries_.end());
  in_force_.insert(in_force_.end(), other.in_force_.begin(), other.in_force_.end());
  if (other.changes_at_) ChangesAt(*other.changes_at_);
  Sort();
}

void Deferral::Hold(std::string_view field, std::string_view reason, std::string why) {
  for (Entry& entry : entries_) {
    if (entry.value.field != field) continue;
    entry.value.reason = reason;
    entry.why = why;
  }
}

const Deferral::Entry* Deferral::Find(std::string_view field) const {
  for (const Entry& entry : entries_) {
    if (entry.value.field == field) return &entry;
  }
  return nullptr;
}

api::PendingModifications Deferral::Values() const {
  api::PendingModifications values;
  for (const Entry& entry : entries_) values.push_back(entry.value);
  return values;
}

const std::string* Deferral::InForce(std::string_view field) const {
  for (const auto& [known, value] : in_force_) {
    if (known == field) return &value;
  }
  return nullptr;
}

Deferral DeferralOf(const api::ReplicationGroup& group, WallTime now) {
  return {WindowOf(group), group.spec.apply_immediately.value_or(false), now};
}

Deferral DeferralOf(const api::CacheNode& node, const api::ReplicationGroup* group, WallTime now) {
  const MaintenanceWindow inherited = group == nullptr ? DefaultMaintenanceWindow(node.meta.uid) : WindowOf(*group);
  const bool immediately = group != nullptr && group->spec.apply_immediately.value_or(false);
  return {WindowOr(node.spec.preferred_maintenance_window, inherited),
          node.spec.apply_immediately.value_or(immediately), now};
}

std::string PendingText(const api::PendingModifications& pending) {
  std::map<int64_t, std::string> by_time;
  for (const api::PendingModification& one : pending) {
    std::string& fields = by_time[one.not_before.unix_ms];
    fields += (fields.empty() ? "" : ", ") + one.field;
  }
  std::string text;
  for (const auto& [at, fields] : by_time) {
    text += (text.empty() ? "" : "; ") + fields + (at == 0 ? " now" : " until " + WeekTimeText({at}));
  }
  return text;
}

std::string ValueText(std::string_view field, const std::string& value) {
  if (!value.empty()) return value;
  return field == kPromoteField || field == kDemoteField ? "independent" : "unset";
}

std::string ChangeText(const api::PendingModification& one) {
  return ValueText(one.field, one.from) + " -> " + ValueText(one.field, one.to);
}

}  // namespace understudy::plan
