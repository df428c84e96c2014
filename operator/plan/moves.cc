#include "operator/plan/moves.h"

#include "operator/failover/test_failover.h"
#include "operator/plan/leaving_primary.h"
#include "operator/plan/pending_status.h"

namespace understudy::plan {
namespace {

using failover::MoveRequest;
using failover::TestFailover;
using Source = failover::MoveRequest::Source;

const MemberNow* PrimaryOf(const GroupTurn& turn) { return turn.Find(turn.state.primary.name); }

// A deleted group hands over to a member that stays: the first one that a user made and that is in sync.
std::string StayingTarget(const GroupTurn& turn) {
  for (const MemberNow& now : turn.members) {
    if (now.member->wanted && !now.member->operator_made && now.in_sync) return now.name();
  }
  return "";
}

void AddAway(const GroupTurn& turn, const MemberNow& primary, std::vector<MoveRequest>* moves) {
  const auto& pod = primary.member->view->pod;
  const bool current = pod && primary.process != nullptr && pod->meta.uid == primary.process->pod_uid;
  if (current && pod->disruption_target) {
    moves->push_back({Source::kAway, "", "", "the Pod of " + primary.name() + " is being evicted"});
    return;
  }
  const bool goes_along = turn.group.meta.deleted && primary.member->operator_made &&
                          turn.group.spec.deletion_policy == api::DeletionPolicy::kRetainClusters;
  if (!goes_along) return;
  if (std::string target = StayingTarget(turn); !target.empty()) {
    moves->push_back({Source::kAway, "", std::move(target),
                      "the group is being deleted and " + primary.name() + " goes with it"});
  }
}

// A request of a person: the name, and why it is refused as long as things are as they are, or for ever.
struct Asked {
  std::string target;
  std::string refused;
  bool forever = false;
};

const char* NotAMember(const GroupTurn& turn, const std::string& name) {
  const Member* member = turn.membership.Find(name);
  if (member == nullptr) return "which is no member of the group";
  return member->wanted ? nullptr : "which is being deleted";
}

// spec.primaryClusterId; nullopt: nothing new.
std::optional<Asked> AskedByEdit(const GroupTurn& turn) {
  const std::string& named = turn.group.spec.primary_cluster_id;
  if (!failover::Started(turn.state) || turn.group.meta.deleted || named.empty() ||
      named == turn.state.handled_primary_cluster_id) {
    return std::nullopt;
  }
  const std::string asks = "primaryClusterId asks for a switchover to " + named;
  if (const char* why = NotAMember(turn, named)) return Asked{named, asks + ", " + why};
  // Away from a claimed primary the edit would end the claim: it waits until the membership is declared.
  const MemberNow* primary = PrimaryOf(turn);
  if (primary != nullptr && !primary->member->declared && named != primary->name()) {
    return Asked{named, asks + "; it waits until " + primary->name() +
                            ", which is a member only by the earlier value, declares replicationGroupId " +
                            turn.group.meta.name};
  }
  return Asked{named, ""};
}

// Annotation switchover-to; nullopt: nothing new. One that is older than the group was meant for an earlier
// group of this name (it came back with its manifests) and is history.
std::optional<Asked> AskedByAnnotation(const GroupTurn& turn) {
  const std::string value = turn.group.meta.Annotation(api::kSwitchoverToAnnotation);
  if (!failover::Started(turn.state) || turn.group.meta.deleted || value.empty()) return std::nullopt;
  const Result<SwitchoverTo> to = ParseSwitchoverTo(value);
  if (!to.ok()) return Asked{"", std::string(to.status().message())};
  if (to->at < turn.group.meta.created) return std::nullopt;
  const std::string asks = "annotation switchover-to asks for a switchover to " + to->node;
  // Told for as long as it is so, though it counts as handled at once.
  if (to->at.unix_ms > turn.wall.unix_ms + kClockSkew.ms()) {
    return Asked{to->node,
                 asks + " at " + FormatRfc3339(to->at) +
                     ", which is in the future; nothing is done at that time either: the time is that of the request, "
                     "so set it anew when it shall happen",
                 true};
  }
  if (value == turn.state.handled_switchover_to) return std::nullopt;
  if (const char* why = NotAMember(turn, to->node)) return Asked{to->node, asks + ", " + why};
  return Asked{to->node, ""};
}

// spec.testFailover; nullopt: nothing new, or not yet.
std::optional<Asked> AskedByTest(const GroupTurn& turn) {
  const std::string& text = turn.group.spec.test_failover_at;
  if (!failover::Started(turn.state) || turn.group.meta.deleted) return std::nullopt;
  const TestFailover judged =
      failover::JudgeTestFailover(text, turn.group.meta.created, turn.state.handled_test_failover, turn.wall);
  if (judged == TestFailover::kHistory || judged == TestFailover::kLater) return std::nullopt;
  const std::string asks = "testFailover asks for a failover at " + text;
  if (judged == TestFailover::kExpired) {
    return Asked{"", asks + ", which is more than an hour ago; nothing is done any more: set requestedAt to the present time"};
  }
  if (!turn.group.spec.automatic_failover) {
    return Asked{"", asks + "; it waits as long as automaticFailover is false"};
  }
  return Asked{};
}

}  // namespace

Result<SwitchoverTo> ParseSwitchoverTo(std::string_view text) {
  const size_t at = text.find('@');
  SwitchoverTo to;
  if (at != std::string_view::npos && at > 0 && ParseRfc3339(std::string(text.substr(at + 1)), &to.at)) {
    to.node = std::string(text.substr(0, at));
    return to;
  }
  return Invalid("annotation " + std::string(api::kSwitchoverToAnnotation) + " is '" +
                 std::string(text.substr(0, 100)) +
                 "'; it must be the name of a member, @ and the time of the request, for example "
                 "redis-1@2026-01-31T12:00:00Z");
}

std::vector<MoveRequest> MovesOf(const GroupTurn& turn) {
  std::vector<MoveRequest> moves;
  if (!failover::Started(turn.state)) return moves;
  if (const MemberNow* primary = PrimaryOf(turn)) AddAway(turn, *primary, &moves);
  if (const auto asked = AskedByAnnotation(turn); asked && (asked->refused.empty() || asked->forever)) {
    const std::string value = turn.group.meta.Annotation(api::kSwitchoverToAnnotation);
    moves.push_back({Source::kAnnotation, value, asked->target,
                     "annotation switchover-to asks for " + asked->target, asked->forever});
  }
  if (const auto asked = AskedByTest(turn); asked && asked->refused.empty()) {
    const std::string& at = turn.group.spec.test_failover_at;
    moves.push_back({Source::kTest, at, "", "testFailover asks for a failover at " + at});
  }
  if (const std::string named = EditedPrimary(turn); turn.edit_due && !named.empty()) {
    moves.push_back({Source::kEdit, named, named, EditReason(named)});
  }
  if (turn.rollout && turn.rollout->hand_over) {
    moves.push_back({Source::kAway, "", turn.rollout->heir, HandOverReason(turn.state.primary.name)});
  }
  for (const MemberNow& now : turn.members) {
    if (!now.hands_over_to.empty()) moves.push_back({Source::kAway, "", now.hands_over_to, LeavingReason(now)});
  }
  return moves;
}

void AwaitTest(GroupTurn* turn, MonoTime now, Plan* plan) {
  if (turn->group.meta.deleted) return;
  constexpr const char* kField = "testFailover";
  const std::string& text = turn->group.spec.test_failover_at;
  const std::string& handled = turn->state.handled_test_failover;
  const TestFailover judged = failover::JudgeTestFailover(text, turn->group.meta.created, handled, turn->wall);
  const bool open = judged == TestFailover::kLater || judged == TestFailover::kDue;
  WallTime at;
  ParseRfc3339(text, &at);
  turn->deferral.Await(kField, handled, open ? text : handled, at);
  if (!open) return;
  if (judged == TestFailover::kDue && !turn->group.spec.automatic_failover) {
    turn->deferral.Hold(kField, api::reason::kApplyingModifications, "is due, but waits as long as automaticFailover is false");
  }
  const WallTime expires{at.unix_ms + failover::kTestFailoverExpires.ms()};
  WakeAt(judged == TestFailover::kLater ? at : expires, now, turn->wall, plan);
}

std::string EditedPrimary(const GroupTurn& turn) {
  const auto asked = AskedByEdit(turn);
  return asked && asked->refused.empty() ? asked->target : "";
}

std::string EditReason(const std::string& named) { return "primaryClusterId was set to " + named; }

std::string RefusedMove(const GroupTurn& turn) {
  for (const auto& asked : {AskedByAnnotation(turn), AskedByTest(turn), AskedByEdit(turn)}) {
    if (asked && !asked->refused.empty()) return asked->refused;
  }
  return "";
}

}  // namespace understudy::plan
