#include "operator/plan/membership.h"

#include <algorithm>
#include <array>
#include <set>

#include "operator/api/validate.h"
#include "operator/manifests/manifests.h"
#include "operator/plan/observation.h"

namespace understudy::plan {
namespace {

constexpr std::string_view kGroupKind = "ReplicationGroup";

// The Service names that an object of ours derives.
std::array<std::string, 2> DerivedNames(std::string_view kind, const std::string& name) {
  return {name, kind == kGroupKind ? manifests::ReaderName(name) : manifests::HeadlessName(name)};
}

// The Service that both need; "" = none.
std::string SharedService(std::string_view kind, const std::string& name, std::string_view other_kind,
                          const std::string& other_name) {
  for (const std::string& mine : DerivedNames(kind, name)) {
    for (const std::string& theirs : DerivedNames(other_kind, other_name)) {
      if (mine == theirs) return mine;
    }
  }
  return "";
}

// What stands under a name that an object derives; null: nothing.
struct Found {
  const char* kind;
  const api::ObjectMeta* meta;
};

std::string NameConflict(std::string_view kind, const api::ObjectMeta& meta, const std::vector<NameClaim>& claims,
                         const std::vector<Found>& found) {
  for (const NameClaim& claim : claims) {
    if (claim.meta.uid == meta.uid || !claim.meta.OlderThan(meta)) continue;
    if (std::string service = SharedService(kind, meta.name, claim.kind, claim.meta.name); !service.empty()) {
      return "Service " + meta.ns + "/" + service + " is that of the older " + claim.kind + " " + claim.meta.name +
             "; give this object another name";
    }
  }
  for (const Found& child : found) {
    if (child.meta == nullptr || !child.meta->OwnerUid().empty()) continue;  // ours, or an orphan that will be removed
    return ForeignObject(child.kind, *child.meta) + ", or give this object another name";
  }
  return "";
}

// ResponsibleGroup's terms for a group that a node names, or that names it, but that has not got it yet.
bool MayTake(const GroupObject& group, const api::CacheNode& node) {
  // One that stands alone joins when the group accepts its data to be dropped (promote_demote.h). Its order as
  // primary may still be on the way.
  if (StandsAlone(node) ? group.state.primary.name == node.meta.name : Has(group, node.meta.name)) return true;
  if (group.object.meta.deleted) return false;
  // It is taken once it says that it stands alone.
  return !IsLeaving(node.status) && (!failover::Started(group.state) || !StandsAlone(node));
}

// Whether the group's state counts on the process that the node's status knows: then it is the group's, whatever
// that status says. (The write of a leader that was deposed meanwhile may have come late.)
bool NamesProcess(const GroupObject& group, const api::CacheNode& node) {
  if (group.object.meta.deleted || node.status.incarnation.empty()) return false;
  for (const control::NodeRef& ref : failover::NamedNodes(group.state)) {
    if (ref.name == node.meta.name && ref.incarnation == node.status.incarnation) return true;
  }
  return false;
}

std::string JoinNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<NameClaim> ClaimsFor(const GroupView& view, const NodeView& node) {
  std::vector<NameClaim> claims = view.claims;
  claims.push_back({std::string(kGroupKind), view.group.object.meta});
  for (const NodeView& other : view.nodes) {
    if (other.node.meta.uid != node.node.meta.uid) {
      claims.push_back({std::string(api::NodeKindName(other.node.kind)), other.node.meta});
    }
  }
  return claims;
}

std::string GroupNameConflict(const GroupView& view) {
  std::vector<NameClaim> claims = view.claims;
  for (const NodeView& node : view.nodes) {
    claims.push_back({std::string(api::NodeKindName(node.node.kind)), node.node.meta});
  }
  return NameConflict(kGroupKind, view.group.object.meta, claims,
                      {{"Service", MetaOf(view.primary_service)},
                       {"Service", MetaOf(view.reader_service)},
                       {"PodDisruptionBudget", MetaOf(view.disruption_budget)}});
}

// A process of this group runs there, or one that is not heard and may be: what the lost status of a group knew, or the
// node that takes the data of an emptied group along.
bool MayBeOurs(const GroupView& view, const NodeView& node) {
  const control::NodeState* words = WordsOf(ProcessOf(view, node));
  if (words != nullptr) return words->group == view.group.object.meta.uid;
  return node.pod && node.pod->running;
}

// Accepted of one member that has a place.
void Judge(const GroupView& view, Member* member) {
  const api::CacheNode& node = member->view->node;
  const std::string& group = view.group.object.meta.name;
  member->reason = api::reason::kAccepted;
  if (const std::string conflict = NodeNameConflict(*member->view, ClaimsFor(view, *member->view));
      !conflict.empty()) {
    member->accepted = member->can_run = false;
    member->reason = api::reason::kNameConflict;
    member->message = conflict;
    return;
  }
  if (const Status valid = api::ValidateSettings(member->settings); !valid.ok()) {
    member->accepted = member->can_run = false;
    member->reason = api::reason::kInvalidParameterCombination;
    member->message = std::string(valid.message());
    return;
  }
  if (member->declared) {
    member->message = "member of replication group " + group;
    return;
  }
  const auto& listed = view.group.object.status.members;
  const bool claimed = view.group.object.spec.primary_cluster_id == node.meta.name;
  const bool was_declared =
      node.status.group_uid == view.group.object.meta.uid &&
      (!claimed || node.status.conditions.Reason(api::kAccepted) == api::reason::kMembershipLost ||
       std::any_of(listed.begin(), listed.end(), [&](const api::MemberStatus& m) {
         return m.name == node.meta.name && m.declared;
       }));
  if (was_declared) {
    member->accepted = false;
    member->reason = api::reason::kMembershipLost;
    member->message = "replicationGroupId is gone without a Promote; the node stays a member: set "
                      "replicationGroupId to " + group + " again, or promotedFrom to " + group + " to promote it";
    return;
  }
  member->reason = api::reason::kMembershipNotDeclared;
  member->message = "claimed by replication group " + group + " as its primaryClusterId; set " +
                    "replicationGroupId to " + group + " to declare the membership";
}

void JudgeGroup(const GroupView& view, Membership* membership) {
  const api::ReplicationGroup& group = view.group.object;
  if (std::string conflict = GroupNameConflict(view); !conflict.empty()) {
    membership->group_reason = api::reason::kNameConflict;
    membership->group_message = std::move(conflict);
    return;
  }
  // Whom the group wants as its first primary, or to switch over to, must be its own to have.
  const std::string& named = group.spec.primary_cluster_id;
  if (named.empty() || named == view.group.state.handled_primary_cluster_id ||
      membership->Find(named) != nullptr) {
    return;
  }
  for (const NodeView& node : view.nodes) {
    if (node.node.meta.name != named) continue;
    // Nobody minds that it names the node of a start long ago.
    if (node.node.spec.promoted_from == group.meta.name && !failover::Started(view.group.state)) return;
    membership->group_reason = api::reason::kInvalidCacheClusterState;
    const bool started = failover::Started(view.group.state);
    const std::string& joined = node.node.status.replication_group_id;
    const std::string& other = joined.empty() ? node.node.spec.replication_group_id : joined;
    membership->group_message =
        "primaryClusterId names " + named +
        (StandsAlone(node.node) && started ? ", which stands alone with its own data"
         : other.empty()                   ? ", which is no member of it (see condition Accepted of that object)"
                                           : ", which belongs to replication group " + other) +
        "; it may name a member of this group" +
        (started ? "" : ", or, as the group has not been started, a CacheCluster that belongs to none");
    return;
  }
}

// The node that primaryClusterId names, and the eldest declared member where that one has left: promoted away,
// or out of an emptied group.
std::string FirstPrimary(const GroupView& view, const std::vector<Member>& candidates) {
  const api::ReplicationGroup& group = view.group.object;
  const std::string named = group.spec.primary_cluster_id.empty() ? api::OperatorMadeName(group.meta.name, 1)
                                                                  : group.spec.primary_cluster_id;
  bool left = view.group.state.epoch > 0;
  for (const NodeView& node : view.nodes) {
    if (node.node.meta.name == named) left = left || node.node.spec.promoted_from == group.meta.name;
  }
  const Member* eldest = nullptr;
  for (const Member& member : candidates) {
    if (member.returns) continue;
    if (member.name() == named) return named;
    if (!member.declared || !member.wanted) continue;
    if (eldest == nullptr || member.view->node.meta.OlderThan(eldest->view->node.meta)) eldest = &member;
  }
  if (!left) return named;
  return eldest == nullptr ? "" : eldest->name();
}

bool IsOperatorMadeName(const std::string& group, const std::string& node) {
  for (int number = 1; number <= api::kMaxPoolNumber; ++number) {
    if (node == api::OperatorMadeName(group, number)) return true;
  }
  return false;
}

// A group has `replicas` beside one node, which is the one that the user names, or the one that it started with. Who
// made that one by hand makes it anew by hand; the operator's is not made twice, but a node of the pool more.
int StandIns(const GroupView& view, const Membership& membership) {
  const api::ReplicationGroup& group = view.group.object;
  const std::string& named = group.spec.primary_cluster_id;
  const bool users = !named.empty() && !IsOperatorMadeName(group.meta.name, named);
  if (view.group.state.epoch == 0 || users || !membership.joiners.empty()) return 0;
  return std::any_of(membership.members.begin(), membership.members.end(),
                     [](const Member& member) { return member.wanted && !member.pool; })
             ? 0
             : 1;
}

}  // namespace

const Member* Membership::Find(const std::string& name) const {
  for (const Member& member : members) {
    if (member.name() == name) return &member;
  }
  return nullptr;
}

int Membership::Wanted() const {
  return static_cast<int>(std::count_if(members.begin(), members.end(), [](const Member& m) { return m.wanted; }));
}

std::vector<std::string> ZonesToAvoid(const Membership& membership, const Member& member,
                                      const std::set<std::string>& zones) {
  if (!member.view->node.spec.availability_zone.empty()) return {};
  std::map<std::string, int> pinned;
  for (const std::string& zone : zones) pinned[zone] = 0;
  int free = 1;
  for (const Member& other : membership.members) {
    if (!other.wanted) continue;
    const std::string& zone = other.view->node.spec.availability_zone;
    if (!zone.empty()) ++pinned[zone];
    if (zone.empty() && other.name() < member.name()) ++free;
  }
  // How many each zone has once so many that may be anywhere have filled up the emptiest.
  int level = 1;
  const auto room = [&pinned](int up_to) {
    int sum = 0;
    for (const auto& [zone, count] : pinned) sum += std::max(0, up_to - count);
    return sum;
  };
  while (!pinned.empty() && room(level) < free) ++level;
  std::vector<std::string> full;
  for (const auto& [zone, count] : pinned) {
    if (count >= level) full.push_back(zone);
  }
  return full;
}

bool StandsAlone(const api::CacheNode& node) { return node.status.epoch > 0; }

bool IsLeaving(const api::CacheNodeStatus& status) {
  return status.epoch > 0 && (status.role == "replica" || status.role == "primary");
}

const std::string& NamedGroup(const api::CacheNode& node) {
  if (!node.spec.replication_group_id.empty()) return node.spec.replication_group_id;
  return node.spec.promoted_from.empty() ? node.status.replication_group_id : node.spec.promoted_from;
}

bool Has(const GroupObject& group, const std::string& node) {
  if (group.state.primary.name == node) return true;
  for (const api::MemberStatus& member : group.object.status.members) {
    if (member.name == node) return true;
  }
  for (const control::NodeRef& ref : failover::NamedNodes(group.state)) {
    if (ref.name == node) return true;
  }
  return false;
}

std::vector<const GroupObject*> GroupsOf(const GroupView& view) {
  std::vector<const GroupObject*> groups = {&view.group};
  for (const GroupObject& other : view.other_groups) groups.push_back(&other);
  return groups;
}

std::string ResponsibleGroup(const api::CacheNode& node, std::span<const GroupObject* const> groups) {
  for (const GroupObject* group : groups) {
    if (!node.status.group_uid.empty() && group->object.meta.uid == node.status.group_uid) {
      return group->object.meta.name;
    }
  }
  for (const GroupObject* group : groups) {
    if (NamesProcess(*group, node)) return group->object.meta.name;
  }
  if (!node.spec.replication_group_id.empty()) {
    for (const GroupObject* group : groups) {
      if (group->object.meta.name != node.spec.replication_group_id) continue;
      // The heir of a deleted group stands alone from its status on, while the group still lists it.
      const bool left = group->object.meta.deleted && StandsAlone(node);
      return !left && MayTake(*group, node) ? group->object.meta.name : "";
    }
    return "";
  }
  const GroupObject* claiming = nullptr;
  for (const GroupObject* group : groups) {
    const bool left = group->object.meta.deleted && StandsAlone(node);
    if (left || group->object.spec.primary_cluster_id != node.meta.name || !MayTake(*group, node)) continue;
    if (node.spec.promoted_from == group->object.meta.name) continue;  // it has left, or never came
    if (claiming == nullptr || group->object.meta.OlderThan(claiming->object.meta)) claiming = group;
  }
  return claiming == nullptr ? "" : claiming->object.meta.name;
}

std::vector<std::string> NameCandidates(std::string_view kind, const std::string& name) {
  std::vector<std::string> candidates;
  for (const std::string& derived : DerivedNames(kind, name)) {
    candidates.push_back(derived);
    for (std::string_view suffix : {"-node", "-reader"}) {
      if (derived.size() > suffix.size() && derived.ends_with(suffix)) {
        candidates.push_back(derived.substr(0, derived.size() - suffix.size()));
      }
    }
  }
  // Nodes that the operator may have to make for a group (api::kMaxPoolNumber).
  if (kind == kGroupKind) {
    for (int number = 1; number <= api::kMaxPoolNumber; ++number) {
      candidates.push_back(api::OperatorMadeName(name, number));
    }
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  return candidates;
}

std::string ForeignObject(std::string_view kind, const api::ObjectMeta& meta) {
  std::string whose = meta.Label("app.kubernetes.io/managed-by");
  if (!whose.empty()) whose = " (managed by " + whose;
  if (const std::string instance = meta.Label("app.kubernetes.io/instance"); !instance.empty()) {
    whose += (whose.empty() ? " (" : ", ") + ("instance " + instance);
  }
  if (!whose.empty()) whose += ")";
  return std::string(kind) + " " + meta.ns + "/" + meta.name + " exists and was not made by Understudy" + whose +
         "; remove it";
}

std::string NodeNameConflict(const NodeView& view, const std::vector<NameClaim>& claims) {
  return NameConflict(api::NodeKindName(view.node.kind), view.node.meta, claims,
                      {{"StatefulSet", MetaOf(view.stateful_set)},
                       {"Service", MetaOf(view.service)},
                       {"Service", MetaOf(view.headless)}});
}

Membership PlanMembership(const GroupView& view, const std::vector<const NodeView*>& joiners) {
  const api::ReplicationGroup& group = view.group.object;
  const std::vector<const GroupObject*> groups = GroupsOf(view);
  Membership membership;
  std::vector<Member> candidates;
  for (const NodeView& node : view.nodes) {
    if (ResponsibleGroup(node.node, groups) != group.meta.name) continue;
    Member member;
    member.view = &node;
    member.settings = api::MergeSettings(group.spec.node, node.node.spec.node);
    member.wanted = !node.node.meta.deleted;
    member.accepted_before = node.node.status.group_uid == group.meta.uid || Has(view.group, node.node.meta.name);
    const api::CacheNodeSpec& spec = node.node.spec;
    member.promotes = spec.replication_group_id.empty() && spec.promoted_from == group.meta.name;
    if (spec.replication_group_id != group.meta.name) member.moves_to = spec.replication_group_id;
    member.declared = spec.replication_group_id == group.meta.name || member.AsksToLeave();
    const bool claimed = spec.replication_group_id.empty() && group.spec.primary_cluster_id == node.node.meta.name;
    const bool asks = spec.replication_group_id == group.meta.name || (claimed && !member.promotes);
    member.returns = !failover::Started(view.group.state) && !asks && member.wanted && !MayBeOurs(view, node);
    member.operator_made = node.node.MadeFor(group.meta.uid);
    member.pool = member.operator_made && !node.node.meta.Label(api::kPoolLabel).empty();
    if (!member.wanted && !member.accepted_before && !node.stateful_set && !node.node.meta.HasFinalizer()) {
      continue;  // never was one, and nothing of it has to be put away
    }
    candidates.push_back(std::move(member));
  }
  membership.first_primary = FirstPrimary(view, candidates);
  // Those who have a place, the named primary, then by age.
  const auto rank = [&](const Member& member) {
    if (member.accepted_before) return 0;
    return member.name() == membership.first_primary ? 1 : 2;
  };
  std::sort(candidates.begin(), candidates.end(), [&](const Member& a, const Member& b) {
    if (rank(a) != rank(b)) return rank(a) < rank(b);
    return a.view->node.meta.OlderThan(b.view->node.meta);
  });

  std::vector<std::string> holders;
  const auto full = [&] { return holders.size() == static_cast<size_t>(api::kMaxMembers); };
  auto joiner = joiners.begin();
  const auto admit_joiners = [&](const api::ObjectMeta* before) {
    for (; joiner != joiners.end() && !full(); ++joiner) {
      const api::ObjectMeta& meta = (*joiner)->node.meta;
      if (before != nullptr && !meta.OlderThan(*before)) return;
      membership.joiners.push_back(*joiner);
      holders.push_back(meta.name);
    }
  };
  for (Member& member : candidates) {
    if (member.wanted && rank(member) == 2) admit_joiners(&member.view->node.meta);
    Judge(view, &member);
    const auto& set = member.view->stateful_set;
    const bool runs = set && set->meta.OwnerUid() == member.view->node.meta.uid;
    if (!runs && member.reason == api::reason::kNameConflict) {
      membership.refused.push_back(std::move(member));
      continue;
    }
    if (member.wanted && full()) {
      member.accepted = member.can_run = false;
      member.waits = true;
      member.reason = api::reason::kNodeQuotaForClusterExceeded;
      member.message = "replication group " + group.meta.name + " has its " + std::to_string(api::kMaxMembers) +
                       " nodes already (" + JoinNames(holders) + "); it comes in when one of them leaves";
      membership.refused.push_back(std::move(member));
      continue;
    }
    if (member.wanted) holders.push_back(member.name());
    membership.members.push_back(std::move(member));
  }
  admit_joiners(nullptr);
  std::sort(membership.members.begin(), membership.members.end(),
            [](const Member& a, const Member& b) { return a.name() < b.name(); });
  membership.stand_ins = StandIns(view, membership);
  JudgeGroup(view, &membership);
  return membership;
}

}  // namespace understudy::plan
