#include <algorithm>

#include "operator/plan/plan.h"

namespace understudy::plan {

OrphanPlan PlanOrphans(const OrphanView& view, MonoTime now) {
  OrphanPlan plan;
  plan.announced = view.announced;
  if (!view.complete) return plan;
  // An owner that came back, in a list that was late, is forgotten.
  std::erase_if(plan.announced, [&](const auto& entry) { return view.living.contains(entry.first); });
  for (const OrphanView::Child& child : view.children) {
    const std::string& uid = child.owner.uid;
    if (uid.empty() || view.living.contains(uid)) continue;
    if (view.deletions_seen.contains(uid)) {
      plan.deletes.push_back({child.ref});
      continue;
    }
    const auto [announced, first] = plan.announced.try_emplace(uid, now);
    const MonoTime due = announced->second + kOrphanWait;
    if (now >= due) {
      plan.deletes.push_back({child.ref});
      continue;
    }
    plan.wake_at = std::min(plan.wake_at, due);
    if (first) {
      plan.events.push_back({child.ref, true, "OwnerGone", "DeleteOrphans",
                             child.owner.kind + " " + child.owner.name +
                                 ", which this was made for, does not exist; it and all else that was made for "
                                 "it will be deleted in 15 minutes"});
    }
  }
  for (const api::ObjectRef& map : view.key_maps) {
    if (!view.inhabited.contains(map.ns)) plan.deletes.push_back({map});
  }
  return plan;
}

}  // namespace understudy::plan
