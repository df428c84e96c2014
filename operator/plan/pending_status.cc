#include "operator/plan/pending_status.h"

#include <algorithm>

namespace understudy::plan {
namespace {

namespace reason = api::reason;
using api::PendingModification;

// The wall clock may be set: looked at again by then.
constexpr Duration kLongestSleep = Seconds(3600);

struct Line {
  PendingModification value;
  std::string of;  // members, when it is a group's line
  std::vector<std::string> costs;
  std::string why;
  bool same = true;  // all members go from the same value to the same
};

int Rank(std::string_view why) {
  if (why == reason::kApplyingModifications) return 0;
  return why == reason::kWaitingForMembers ? 1 : 2;
}

std::string Sentence(const Line& line) {
  const PendingModification& value = line.value;
  std::string text = value.field + (line.of.empty() ? "" : " of " + line.of);
  text += line.same ? " (" + ChangeText(value) + ") " : " (differs by member) ";
  if (value.reason == reason::kWaitingForMaintenanceWindow) {
    return text + "waits for the maintenance window, " + WeekTimeText(value.not_before);
  }
  if (value.reason == reason::kWaitingForRequestedTime) return text + "waits for that time";
  return text + (line.why.empty() ? "is being applied" : line.why);
}

void Set(const std::vector<Line>& lines, const std::optional<MaintenanceWindow>& window, int64_t generation,
         WallTime wall, auto* status) {
  status->effective_maintenance_window = window ? window->Text() : "";
  status->pending_modified_values.clear();
  std::string message;
  std::vector<std::string> costs;
  std::string_view why = reason::kNothingPending;
  for (const Line& line : lines) {
    status->pending_modified_values.push_back(line.value);
    message += (message.empty() ? "" : "; ") + Sentence(line);
    for (const std::string& cost : line.costs) {
      if (std::find(costs.begin(), costs.end(), cost) == costs.end()) costs.push_back(cost);
    }
    if (why == reason::kNothingPending || Rank(line.value.reason) < Rank(why)) why = line.value.reason;
  }
  for (const std::string& cost : costs) message += "; " + cost;
  status->pending = PendingText(status->pending_modified_values);
  const bool any = !lines.empty();
  status->conditions.Set(api::kPendingModifications, any ? api::Truth::kTrue : api::Truth::kFalse, why,
                         any ? std::move(message) : "no modification is pending", generation, wall);
}

Line LineOf(const Deferral::Entry& entry) {
  Line line{entry.value, "", {}, entry.why};
  if (!entry.cost.empty()) line.costs.push_back(entry.cost);
  return line;
}

// Another member's entry for a field that has a line: the most advanced one speaks for all.
void Merge(const std::string& member, const Deferral::Entry& entry, Line* line) {
  if (line->value.from != entry.value.from || line->value.to != entry.value.to) {
    line->same = false;
    line->value.from.clear();
    line->value.to.clear();
  }
  const bool ahead = Rank(entry.value.reason) < Rank(line->value.reason);
  const bool earlier = entry.value.reason == line->value.reason && entry.value.not_before < line->value.not_before;
  if (ahead || earlier) {
    line->value.reason = entry.value.reason;
    line->value.not_before = entry.value.not_before;
    line->why = entry.why;
  }
  line->of += ", " + member;
  if (!entry.cost.empty()) line->costs.push_back(entry.cost);
}

}  // namespace

void SetPending(const Deferral& deferral, int64_t generation, WallTime wall, api::CacheNodeStatus* status) {
  std::vector<Line> lines;
  for (const Deferral::Entry& entry : deferral.entries()) lines.push_back(LineOf(entry));
  Set(lines, deferral.window(), generation, wall, status);
}

void SetPending(const GroupTurn& turn, api::ReplicationGroupStatus* status) {
  std::vector<Line> lines;
  for (const Deferral::Entry& entry : turn.deferral.entries()) lines.push_back(LineOf(entry));
  for (const MemberNow& now : turn.members) {
    for (const Deferral::Entry& entry : now.deferral.entries()) {
      const auto line = std::find_if(lines.begin(), lines.end(),
                                     [&](const Line& l) { return l.value.field == entry.value.field; });
      if (line != lines.end()) {
        Merge(now.name(), entry, &*line);
        continue;
      }
      lines.push_back(LineOf(entry));
      lines.back().of = now.name();
    }
  }
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.value.field < b.value.field; });
  Set(lines, turn.deferral.window(), turn.group.meta.generation, turn.wall, status);
}

void AddPendingEvents(const api::ObjectRef& ref, const api::PendingModifications& before, const Deferral& deferral,
                      Plan* plan) {
  // One event for all fields: of several alike, one after the other, only the first one's words are kept.
  std::string pending, applying, applied, cancelled;
  const auto add = [](std::string* note, const std::string& words) { *note += (note->empty() ? "" : "; ") + words; };
  const auto tell = [&](const char* why, const char* before_it, const std::string& note) {
    if (!note.empty()) plan->events.push_back({ref, false, why, "Modify", before_it + note});
  };
  std::string cost;
  for (const Deferral::Entry& entry : deferral.entries()) {
    const PendingModification& value = entry.value;
    const PendingModification* then = api::FindPending(before, value.field);
    const bool replaced = then != nullptr && (then->to != value.to || then->from != value.from);
    const bool begins = then == nullptr || replaced;
    const std::string change = value.field + " " + ChangeText(value);
    if (begins && value.reason != reason::kApplyingModifications) {
      add(&pending, Sentence(LineOf(entry)) + (replaced ? ", instead of the change to " + ValueText(then->field, then->to) : ""));
      cost = entry.cost;
    }
    if (value.reason == reason::kApplyingModifications && (begins || then->reason != value.reason)) {
      add(&applying, change);
      cost = entry.cost;
    }
  }
  const api::PendingModifications now = deferral.Values();
  for (const PendingModification& then : before) {
    const std::string* in_force = deferral.InForce(then.field);
    if (in_force == nullptr || api::FindPending(now, then.field) != nullptr) continue;
    const std::string change = then.field + " " + ChangeText(then);
    add(*in_force == then.to ? &applied : &cancelled, change);
  }
  if (!cost.empty()) add(!applying.empty() ? &applying : &pending, cost);
  tell("ModificationPending", "", pending);
  tell("ApplyingModification", "Applying ", applying);
  tell("ModificationApplied", "Applied ", applied);
  tell("ModificationCancelled", "No longer pending: ", cancelled);
}

void WakeFor(const Deferral& deferral, MonoTime now, WallTime wall, Plan* plan) {
  if (const std::optional<WallTime> at = deferral.changes_at()) WakeAt(*at, now, wall, plan);
}

void WakeAt(WallTime at, MonoTime now, WallTime wall, Plan* plan) {
  const Duration until = Milliseconds(std::max<int64_t>(at.unix_ms - wall.unix_ms, 0));
  plan->wake_at = std::min(plan->wake_at, now + std::min(until, kLongestSleep));
}

}  // namespace understudy::plan
