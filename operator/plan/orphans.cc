#include <algorithm>

#include "operator/plan/observation.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

api::ObjectRef OwnerOf(const api::ObjectMeta& child) {
  api::ObjectRef owner;
  owner.uid = child.OwnerUid();
  if (owner.uid.empty()) return owner;
  const std::string text = child.Annotation(api::kOwnerAnnotation);
  const size_t slash = text.find('/');
  owner.api_version = std::string(api::kApiVersion);
  owner.kind = text.substr(0, slash);
  owner.ns = child.ns;
  owner.name = slash == std::string::npos ? "" : text.substr(slash + 1);
  return owner;
}

std::string OwnerKey(const api::ObjectRef& owner) {
  return (owner.kind == "ReplicationGroup" ? "group " : "node ") + owner.ns + "/" + owner.name;
}

OrphanPlan PlanOrphans(const OrphanView& view, MonoTime now, WallTime wall) {
  OrphanPlan plan;
  plan.announced = view.announced;
  if (!view.complete) return plan;
  // An owner that came back, in a list that was late, is forgotten.
  std::erase_if(plan.announced, [&](const auto& entry) { return view.living.contains(entry.first); });
  for (const OrphanView::Child& child : view.children) {
    const std::string& uid = child.owner.uid;
    if (uid.empty() || view.living.contains(uid)) continue;
    if (view.living_keys.contains(OwnerKey(child.owner))) {
      plan.announced.erase(uid);
      continue;
    }
    const auto remove = [&] {
      plan.deletes.push_back({child.ref});
      plan.wake_at = std::min(plan.wake_at, now + kLookAgain);  // it may be another version by now
    };
    if (view.deletions_seen.contains(uid)) {
      remove();
      continue;
    }
    const auto [announced, first] = plan.announced.try_emplace(uid, now);
    const MonoTime due = announced->second + kOrphanWait;
    if (now >= due) {
      remove();
      continue;
    }
    plan.wake_at = std::min(plan.wake_at, due);
    if (first) {
      plan.events.push_back({child.ref, true, "OwnerGone", "DeleteOrphans",
                             child.owner.kind + " " + child.owner.name +
                                 ", which this was made for, does not exist; it and all else that was made for it will "
                                 "be deleted at " +
                                 FormatRfc3339({wall.unix_ms + kOrphanWait.ms()}) +
                                 ", in 15 minutes; an operator that takes over before then waits for as long anew"});
    }
  }
  for (const api::ObjectRef& map : view.key_maps) {
    if (!view.inhabited.contains(map.ns)) plan.deletes.push_back({map});
  }
  return plan;
}

}  // namespace understudy::plan
