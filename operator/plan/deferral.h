// The one door through which every deferrable step is asked for (API.md "Deferrable and immediate"): now, or
// in the maintenance window.
//
// One Deferral per object and plan, made from spec and time. Each step that the object may have is asked for
// in every plan, also when there is nothing to do (from == to); what waits is then exactly what was recorded,
// so nothing has to be remembered: an operator that was restarted, a revert, a newer edit, a moved window and
// applyImmediately all come out right by asking again. The caller goes on asking until the step has been
// done. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "operator/api/conditions.h"
#include "operator/api/pending.h"
#include "operator/api/replication_group.h"
#include "operator/plan/maintenance_window.h"

namespace understudy::plan {

struct DeferrableStep {
  std::string field;  // as users know it: "image", "primaryClusterId", "Promote"
  std::string from;   // in force
  std::string to;     // asked for; the same as `from`: nothing to do
  Duration needed;    // it is started only if it can end inside the window
  // What it costs beyond a moment, as a clause; "" = nothing. For the condition's message.
  std::string cost;
  bool harmless = false;  // nothing runs that it could disturb: never deferred
  bool begun = false;     // and the beginning is on record: it goes on
};

class Deferral {
 public:
  struct Entry {
    api::PendingModification value;
    std::string cost;
    std::string why;  // of a step that is due and still waits
  };

  // Of an object for which nothing is asked: nothing waits.
  Deferral() = default;
  // immediately: applyImmediately in force; lets all steps of this object pass.
  Deferral(MaintenanceWindow window, bool immediately, WallTime now)
      : window_(window), immediately_(immediately), now_(now) {}

  // Whether the step may start now. Recorded as pending in either case, until `from` is `to`.
  bool Due(const DeferrableStep& step);
  // A step at a time that the user set, whatever the window. from, to: as in DeferrableStep.
  void Await(std::string_view field, const std::string& from, const std::string& to, WallTime at);
  // A step that is due waits for something else than the window; why: a sentence without a full stop.
  void Hold(std::string_view field, std::string_view reason, std::string why);

  // Takes in what was asked of another one, which follows other wishes.
  void Include(const Deferral& other);

  const Entry* Find(std::string_view field) const;  // nullptr: not pending
  const std::vector<Entry>& entries() const { return entries_; }  // by field
  api::PendingModifications Values() const;
  // The value in force of a field that was asked for; nullptr for any other.
  const std::string* InForce(std::string_view field) const;
  // When an answer of Due changes by itself: the window opens, or gets too short. nullopt: never.
  std::optional<WallTime> changes_at() const { return changes_at_; }
  const std::optional<MaintenanceWindow>& window() const { return window_; }

 private:
  void ChangesAt(WallTime at);
  void Sort();

  std::optional<MaintenanceWindow> window_;
  bool immediately_ = false;
  WallTime now_;
  std::vector<Entry> entries_;
  std::vector<std::pair<std::string, std::string>> in_force_;
  std::optional<WallTime> changes_at_;
};

// The longest that steps take where nothing is wrong: an image pull, a start and a full copy; a switchover.
inline constexpr Duration kRestartNeeds = Seconds(10 * 60);
inline constexpr Duration kSwitchoverNeeds = Seconds(60);

// Of a group; of a node, with its group's wishes where it has none of its own (group: nullptr for a node
// without one).
Deferral DeferralOf(const api::ReplicationGroup& group, WallTime now);
Deferral DeferralOf(const api::CacheNode& node, const api::ReplicationGroup* group, WallTime now);

// status.pending: "image, Promote until Sun 05:00Z"; "image now" for what is due. "" when nothing is pending.
std::string PendingText(const api::PendingModifications& pending);

// A value as people see it: "unset" when there is none ("independent" for a group). Its field of
// status.pendingModifiedValues is absent then.
std::string ValueText(std::string_view field, const std::string& value);
// "a -> b", "a -> unset", "g -> independent".
std::string ChangeText(const api::PendingModification& one);

}  // namespace understudy::plan
