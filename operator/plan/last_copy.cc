#include "operator/plan/last_copy.h"

#include "operator/plan/group_turn.h"

namespace understudy::plan {
namespace {

// The only member that stays without `leaver` and those that ask to leave; nullptr: there are others, or none.
MemberNow* OnlyOneThatStays(GroupTurn* turn, const MemberNow& leaver) {
  MemberNow *only = nullptr, *staying = nullptr;
  int others = 0, stay = 0;
  for (MemberNow& now : turn->members) {
    if (!now.member->wanted || now.name() == leaver.name()) continue;
    ++others;
    only = &now;
    // A primary that asks to leave does not go before another one has the role.
    if (!now.is_primary && now.member->AsksToLeave()) continue;
    ++stay;
    staying = &now;
  }
  // Nor does the one who gets the role from the leaver.
  if (leaver.is_primary && others == 1) return only;
  return stay == 1 ? staying : nullptr;
}

// A Pod that is new enough to be on its way to the group's data.
bool MayComeUp(const GroupTurn& turn, const MemberNow& now) {
  const NodeView& view = *now.member->view;
  const auto& pod = view.pod;
  if (!pod) return view.stateful_set && !NeverInSync(view.node);  // it is being made anew
  if (now.fault && now.fault->reason != api::reason::kCreating) return false;
  if (pod->running && turn.now < turn.view.failover.me.acquired_at + kHearingTime) return true;
  return turn.wall.unix_ms < pod->meta.created.unix_ms + kRestartNeeds.ms();
}

// One that can't, as it is broken or silent, would be waited for in vain.
bool HasOrGetsTheData(const GroupTurn& turn, const MemberNow& now) {
  if (now.is_primary) return true;
  if (now.words == nullptr) return MayComeUp(turn, now);
  return MayInherit(turn, *now.words);
}

// Its Pod is being made anew, or was since the leaver was told to go, and has not got the data.
bool WasReplacedMeanwhile(const MemberNow& only, const MemberNow& leaver) {
  if (only.in_sync) return false;
  const NodeView& view = *only.member->view;
  if (!view.pod) return view.stateful_set.has_value();
  return view.pod->meta.deleted || view.pod->meta.created.unix_ms >= leaver.member->view->node.meta.deleted->unix_ms;
}

}  // namespace

bool IsToBeReplaced(const GroupTurn& turn, MemberNow* now) {
  if (!now->member->can_run) return false;
  FillTemplate(turn, now);
  if (!now->pod_template) return false;
  const PodTemplate& pod_template = *now->pod_template;
  if (pod_template.live.asked) return true;
  if (!pod_template.outdated) return false;
  if (!pod_template.live.refused.empty()) return false;  // nothing is replaced before somebody corrects it
  Deferral asked = now->deferral;
  DeferrableStep step;
  step.needed = kRestartNeeds + kSwitchoverNeeds;
  return AskForReplacement(pod_template, step, &asked);
}

const MemberNow* WouldBeAloneWhenReplaced(GroupTurn* turn, const MemberNow& leaver) {
  MemberNow* only = OnlyOneThatStays(turn, leaver);
  const bool needed = only != nullptr && failover::Started(turn->state) && HasOrGetsTheData(*turn, leaver);
  return needed && IsToBeReplaced(*turn, only) ? only : nullptr;
}

std::string WhyKept(GroupTurn* turn, const MemberNow& leaver) {
  const std::string& group = turn->group.meta.name;
  if (const MemberNow* only = WouldBeAloneWhenReplaced(turn, leaver)) {
    return "waits until the Pod of " + only->name() + " has been replaced, which would cost " + group +
           " its data once nobody else has it";
  }
  const MemberNow* only = OnlyOneThatStays(turn, leaver);
  if (only != nullptr && leaver.is_primary && WasReplacedMeanwhile(*only, leaver)) {
    return "waits until the new Pod of " + only->name() + " has the data of " + group + ", which nobody else has";
  }
  return "";
}

}  // namespace understudy::plan
