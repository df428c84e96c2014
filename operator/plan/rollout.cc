#include "operator/plan/rollout.h"

#include <algorithm>
#include <vector>

#include "operator/plan/group_turn.h"
#include "operator/plan/moves.h"
#include "operator/plan/objects.h"

namespace understudy::plan {
namespace {

constexpr const char* kPrimaryField = "primaryClusterId";

// Processes of this Pod that the state counts on and whose end is not on record with them.
std::vector<control::Incarnation> CountedOn(const GroupTurn& turn, const MemberNow& now) {
  std::vector<control::Incarnation> named;
  if (now.process == nullptr) return named;
  for (const control::NodeRef& node : failover::NamedNodes(turn.state)) {
    if (node.pod_uid != now.process->pod_uid) continue;
    const auto& running = turn.state.failover;
    if (running && running->old.incarnation == node.incarnation && !running->proof.empty()) continue;
    named.push_back(node.incarnation);
  }
  return named;
}

// Does its part: nobody waits for it.
bool Works(const GroupTurn& turn, const MemberNow& now) {
  const auto& pod = now.member->view->pod;
  if (!pod || pod->meta.deleted || now.words == nullptr || turn.state.configurations.empty()) return false;
  const auto& voters = turn.state.configurations.back().voters;
  if (now.is_primary) {
    const control::NodeState* words = turn.PrimaryWords();
    return words != nullptr && words->in_office && !words->paused && (words->lease_held || voters.empty());
  }
  return now.in_sync && Votes(turn, now);
}

// Others to hand over to; also those that the group still counts on while their objects go.
bool HasOthers(const GroupTurn& turn, const MemberNow& now) {
  if (now.is_primary && !turn.state.configurations.empty() && !turn.state.configurations.back().voters.empty()) {
    return true;
  }
  return std::any_of(turn.members.begin(), turn.members.end(), [&](const MemberNow& other) {
    return other.member->wanted && other.name() != now.name();
  });
}

// What was announced stays so while the role moves or voters settle: it is told once.
void Hold(const GroupTurn& turn, MemberNow* now, const std::string& why) {
  const api::PendingModifications& said = now->member->view->node.status.pending_modified_values;
  for (const Deferral::Entry& entry : std::vector(now->deferral.entries())) {
    const std::string& field = entry.value.field;
    if (std::find(std::begin(kTemplateFields), std::end(kTemplateFields), field) == std::end(kTemplateFields)) continue;
    const bool announced = failover::Started(turn.state) && std::find(said.begin(), said.end(), entry.value) != said.end();
    if (announced && entry.value.reason == api::reason::kApplyingModifications) {
      now->deferral.Hold(field, api::reason::kApplyingModifications, "is to be applied, but " + why);
    } else {
      now->deferral.Hold(field, api::reason::kWaitingForMembers, why);
    }
  }
}

// Whether a process is still being asked which parameters it takes while it runs. Then nothing new begins with any
// member: what the answer leaves to do may begin with another one.
bool FillTemplates(GroupTurn* turn) {
  bool asked = false;
  for (MemberNow& now : turn->members) {
    if (!IsServed(*turn, *now.member)) continue;
    FillTemplate(*turn, &now);
    asked = asked || (now.pod_template && now.pod_template->live.asked);
  }
  if (!asked) return false;
  for (MemberNow& now : turn->members) {
    const bool runs = now.pod_template && !CannotRun(*now.member->view, now.process);
    if (runs) KeepAsTold(*now.member->view, &*now.pod_template);
  }
  return true;
}

// Members whose Pod may be replaced now, as far as the window goes.
std::vector<MemberNow*> AskMembers(GroupTurn* turn) {
  std::vector<MemberNow*> due;
  for (MemberNow& now : turn->members) {
    if (!now.member->wanted || !now.member->can_run || !now.pod_template) continue;
    DeferrableStep step;
    step.needed = kRestartNeeds;
    if (now.is_primary && HasOthers(*turn, now)) {
      step.needed = kRestartNeeds + kSwitchoverNeeds;
    } else if (now.is_primary) {
      step.cost = now.name() + " has no replica, so its data is lost when its Pod is replaced";
    }
    step.harmless = now.pod_template->outdated && NothingRuns(*now.member->view, now.process, CountedOn(*turn, now));
    const bool may = AskForReplacement(*now.pod_template, step, &now.deferral);
    if (!may || now.member->view->pod->meta.deleted) continue;
    if (step.harmless) {
      turn->rollout->replace.insert(now.name());
    } else if (!now.pod_template->live.refused.empty()) {
      Hold(*turn, &now, kRefusedWords);
    } else if (!step.cost.empty() && NobodyAsked(*now.pod_template, now.member->settings)) {
      Hold(*turn, &now, kNobodyAskedWords);
    } else if (now.parts) {
      Hold(*turn, &now, "waits until it has left replication group " + turn->group.meta.name);
    } else {
      due.push_back(&now);
    }
  }
  return due;
}

// Why nobody may be replaced now; "" when nothing speaks against `chosen`, who may be down itself.
std::string WhyNot(const GroupTurn& turn, const MemberNow* chosen) {
  if (!failover::Started(turn.state)) return kUntilStartedWords;
  if (turn.state.failover) return "waits until the primary role has moved";
  std::string down;
  for (const MemberNow& now : turn.members) {
    const bool counts = now.member->wanted || now.kept;
    if (!counts || &now == chosen || Works(turn, now)) continue;
    down += (down.empty() ? "" : ", ") + now.name();
  }
  if (!down.empty()) return "waits until " + down + " is in sync and in its role";
  if (turn.state.configurations.size() != 1) return "waits until the group's voters have settled";
  return "";
}

// What was recorded of the replacement of its Pod; nullptr: it has the wanted template.
const Deferral::Entry* ReplacementOf(const MemberNow& now) {
  for (const char* field : kTemplateFields) {
    if (const Deferral::Entry* entry = now.deferral.Find(field)) return entry;
  }
  return nullptr;
}

// It may not work for long: a replica without a fault does not count, as its Pod is going, or it starts, copies or
// catches up.
bool IsStuck(const GroupTurn& turn, const MemberNow& now) {
  if (!now.member->wanted || Works(turn, now)) return false;
  const auto& pod = now.member->view->pod;
  const bool going = pod && pod->meta.deleted;
  return now.is_primary || (now.fault && now.fault->reason != api::reason::kCreating && !going);
}

// Which of the replacements that are due comes before a switchover to `target`; "" = none.
std::string BeforeSwitchover(const GroupTurn& turn, const MemberNow& target, const MemberNow* chosen,
                             const std::string& why_not) {
  const Deferral::Entry* own = ReplacementOf(target);
  if (own != nullptr && !target.parts && own->value.reason != api::reason::kWaitingForMaintenanceWindow) {
    return why_not.empty() ? "waits until " + target.name() + " has been replaced" : why_not;
  }
  const bool stuck = std::any_of(turn.members.begin(), turn.members.end(),
                                 [&](const MemberNow& now) { return IsStuck(turn, now); });
  if (chosen == nullptr || stuck) return "";
  if (!why_not.empty()) return why_not;
  return chosen->is_primary ? "" : "waits until " + chosen->name() + " has been replaced";
}

// A target that is to be replaced itself goes first, as a replica: otherwise the rollout, which replaces the primary
// last, would hand over again. For the same reason the switchover comes after the other replicas, but for one that
// has a fault, and not before it is known who has to be replaced (`asked`: somebody's answer decides).
void AskForSwitchover(const MemberNow* chosen, const std::string& why_not, bool asked, GroupTurn* turn) {
  const std::string named = EditedPrimary(*turn);
  DeferrableStep step{kPrimaryField, turn->state.primary.name, named, kSwitchoverNeeds};
  if (named.empty()) step.to = step.from;  // whoever it is: a switchover that was aborted has not come into force
  const MemberNow* target = named.empty() ? nullptr : turn->Find(named);
  // Both wait for one window: what is left of this one must do for both.
  const Deferral::Entry* own = target == nullptr ? nullptr : ReplacementOf(*target);
  const bool together = own != nullptr && own->value.reason == api::reason::kWaitingForMaintenanceWindow &&
                        target->deferral.window() == turn->deferral.window();
  if (together) step.needed = kRestartNeeds + kSwitchoverNeeds;
  turn->edit_due = turn->deferral.Due(step);
  if (named == turn->state.primary.name && !named.empty()) {
    turn->edit_due = true;  // nothing moves, the machine only notes that it was asked for
    return;
  }
  if (!turn->edit_due || target == nullptr) return;
  const std::string why = asked ? "waits until the members have said which parameters they take as they run"
                                : BeforeSwitchover(*turn, *target, chosen, why_not);
  if (!why.empty()) {
    turn->deferral.Hold(kPrimaryField, api::reason::kWaitingForMembers, why);
    turn->edit_due = false;
  }
}

MemberNow* Choose(const GroupTurn& turn, const std::vector<MemberNow*>& due) {
  MemberNow* chosen = nullptr;
  const auto rank = [&](const MemberNow& now) { return now.is_primary ? 2 : Works(turn, now) ? 1 : 0; };
  for (MemberNow* now : due) {  // by name
    if (chosen == nullptr || rank(*now) < rank(*chosen)) chosen = now;
  }
  return chosen;
}

// The primary is replaced next, when another member has its role: the one that primaryClusterId names, if it can be.
void HandOver(GroupTurn* turn, MemberNow* primary) {
  if (const std::string named = EditedPrimary(*turn); turn->edit_due && !named.empty()) {
    Hold(*turn, primary, "waits until the primary role has moved to " + named);
    return;
  }
  if (!Announced(primary->member->view->node.status, primary->deferral)) return;
  Rollout& rollout = *turn->rollout;
  rollout.hand_over = true;
  int best = -1;
  for (const MemberNow& now : turn->members) {
    if (!now.member->wanted || now.is_primary || now.parts || !now.pod_template || now.pod_template->outdated) continue;
    // Who asks to leave would have to hand over once more.
    const bool named = now.name() == turn->group.spec.primary_cluster_id;
    const int rank = (now.member->AsksToLeave() ? 0 : 2) + (named ? 1 : 0);
    if (rank <= best) continue;
    best = rank;
    rollout.heir = now.name();
  }
}

std::string Without(const std::string& prefix, const std::string& text) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

}  // namespace

bool BlocksHandOver(const GroupTurn& turn, const std::string& blocked) {
  if (blocked.empty() || !turn.rollout || !turn.rollout->hand_over) return false;
  // A switchover that was aborted is tried again for the rollout.
  return blocked.starts_with(HandOverReason(turn.state.primary.name)) ||
         blocked == turn.view.memory.failover.move_blocked;
}

void TellWhyNotHandedOver(const std::string& blocked, GroupTurn* turn) {
  if (!BlocksHandOver(*turn, blocked)) return;
  const std::string why = Without(HandOverReason(turn->state.primary.name) + ": ", blocked);
  for (MemberNow& now : turn->members) {
    if (!now.is_primary) continue;
    for (const char* field : kTemplateFields) {
      now.deferral.Hold(field, api::reason::kApplyingModifications, "is to be applied, but " + why);
    }
  }
}

void TellWhyNotSwitchedOver(const std::string& blocked, GroupTurn* turn) {
  const std::string named = EditedPrimary(*turn);
  const bool history = blocked == turn->view.memory.failover.move_blocked;
  if (blocked.empty() || history || !turn->edit_due || named.empty()) return;
  turn->deferral.Hold(kPrimaryField, api::reason::kWaitingForMembers,
                      "is to be applied, but " + Without(EditReason(named) + ": ", blocked));
}

std::string HandOverReason(const std::string& primary) {
  return "the Pod of " + primary + " is to be replaced, to apply its pending modifications";
}

void FillTemplate(const GroupTurn& turn, MemberNow* now) {
  if (now->pod_template || !now->unbuildable.ok()) return;
  NodeObjects objects;
  objects.view = now->member->view;
  objects.settings = now->member->settings;
  objects.group = turn.group.meta.name;
  objects.pool = now->member->pool;
  objects.multi_az = turn.group.spec.multi_az;
  objects.avoid_zones = ZonesToAvoid(turn.membership, *now->member, turn.view.zones);
  objects.rejected = &turn.view.memory.rejected;
  objects.now = turn.now;
  auto built = BuildNode(objects, turn.view.settings);
  if (built.ok()) {
    now->placement = JudgePlacement(*now->member->view, now->process, *built, turn.view.fleet.get(), turn.view.memory, turn.wall);
    now->unbuildable = PlacementStatus(now->placement);
    if (!now->unbuildable.ok()) return;
    now->pod_template = PodTemplateOf(*now->member->view, {now->process, &turn.view.memory, turn.now}, *std::move(built));
  } else {
    now->unbuildable = built.status();
  }
}

void FillRollout(GroupTurn* turn) {
  turn->rollout.emplace();
  const bool asked = FillTemplates(turn);
  const std::vector<MemberNow*> due = AskMembers(turn);
  MemberNow* chosen = Choose(*turn, due);
  const std::string why_not = chosen == nullptr ? "" : WhyNot(*turn, chosen);
  AskForSwitchover(chosen, why_not, asked, turn);
  if (chosen == nullptr) return;
  for (MemberNow* now : due) {
    if (!why_not.empty()) {
      Hold(*turn, now, why_not);
    } else if (now != chosen) {
      Hold(*turn, now, "waits until " + chosen->name() + " has been replaced");
    }
  }
  if (!why_not.empty() || asked) return;
  if (chosen->is_primary && HasOthers(*turn, *chosen)) {
    HandOver(turn, chosen);
  } else {
    turn->rollout->replace.insert(chosen->name());
  }
}

}  // namespace understudy::plan
