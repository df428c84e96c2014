#include "tests/simulation/edits/checks.h"

#include <algorithm>

#include "tests/simulation/edits/simulation.h"

namespace understudy::edits {
namespace {

constexpr int64_t kWithdrawnTicks = 600;  // an order that follows from what was declared may be on its way so long

const Json* NodeObject(const ApiServer& api, const std::string& name) {
  const Json* cluster = api.Get("CacheCluster", name);
  const Json* replica = api.Get("ReadReplica", name);
  if (cluster == nullptr || replica == nullptr) return cluster != nullptr ? cluster : replica;
  return api::ParseMeta(*replica).OlderThan(api::ParseMeta(*cluster)) ? replica : cluster;
}

std::optional<plan::GroupObject> GroupWithUid(const ApiServer& api, const std::string& uid) {
  const Json* document = api.WithUid("ReplicationGroup", uid);
  if (document == nullptr) return std::nullopt;
  return *plan::ParseGroupObject(*document);
}

}  // namespace

// ---- acknowledged writes

void Checks::Acknowledges(const CacheProcess& process, const Record& record, size_t offset) {
  const role::RoleMachine& machine = process.machine();
  Ledger& ledger = ledgers_[machine.group()];
  if (machine.role() == control::Role::kPrimary) {
    if (machine.role_epoch() < ledger.last_epoch) {
      throw Violation{"2 " + process.name + " acknowledges in epoch " + std::to_string(machine.role_epoch()) + " after " +
                      std::to_string(ledger.last_epoch)};
    }
    ledger.last_epoch = machine.role_epoch();
  }
  const uint32_t needed =
      machine.role() == control::Role::kPrimary ? machine.configuration().synchronous_replicas : 0;
  ledger.writes[record.number] = {record.epoch, offset, needed};
  ++acknowledged_;
}

void Checks::Failed(const CacheProcess& process) {
  for (const auto& [uid, ledger] : ledgers_) {
    for (const auto& [write, acked] : ledger.writes) {
      if (acked.synchronous_replicas > 0 && process.Holds(write)) failed_[write].insert(process.incarnation);
    }
  }
}

void Checks::ActsUnder(const CacheProcess& process, const control::Configuration& configuration) {
  for (auto& [write, acked] : ledgers_[process.machine().group()].writes) {
    acked.synchronous_replicas = std::min(acked.synchronous_replicas, configuration.synchronous_replicas);
  }
}

void Checks::BecomesPrimary(const CacheProcess& process, const std::string& group, uint64_t epoch,
                            const control::Configuration& configuration) {
  group_of_[process.incarnation] = group;
  deposed_.erase(process.incarnation);
  // What it took along while it stood alone is the group's from here on.
  if (const Json* node = NodeObject(simulation_.api(), process.name)) {
    Ledger& own = ledgers_[UidOf(*node)];
    for (const auto& [write, acked] : own.writes) {
      if (!process.Holds(write)) throw Violation{"3 " + process.name + " was claimed without a write that it acknowledged"};
      ledgers_[group].writes[write] = acked;
    }
    own.writes.clear();
  }
  CheckEmpty(process, group);
  CheckLoss(process, group, epoch);
  ActsUnder(process, configuration);
}

void Checks::CheckEmpty(const CacheProcess& process, const std::string& group) {
  if (process.HasData()) return;
  for (const CacheProcess* other : simulation_.Living()) {
    if (other == &process || other->machine().group() != group || !other->HasData()) continue;
    const Json* pod = simulation_.api().Get("Pod", other->name + "-0");
    const Json* node = NodeObject(simulation_.api(), other->name);
    if (pod == nullptr || UidOf(*pod) != other->pod_uid || node == nullptr) continue;
    if (pod->at("metadata").contains("deletionTimestamp") || node->at("metadata").contains("deletionTimestamp")) continue;
    const auto& writes = ledgers_[group].writes;
    const bool holds = std::any_of(writes.begin(), writes.end(), [&](const auto& w) { return other->Holds(w.first); });
    if (holds) throw Violation{"5 " + process.name + " is promoted without data, and " + other->name + " has the group's"};
  }
}

void Checks::CheckLoss(const CacheProcess& process, const std::string& group, uint64_t epoch) {
  bool recorded = false, data_lost = false;
  std::pair<uint64_t, uint64_t> winner;
  if (const auto found = GroupWithUid(simulation_.api(), group)) {
    const failover::GroupState& state = found->state;
    if (state.failover && state.failover->epoch == epoch) {
      recorded = true;
      data_lost = state.failover->data_lost;
      winner = {state.failover->offset_epoch, state.failover->offset};
    }
    for (const failover::HistoryEntry& entry : state.failover_history) {
      if (entry.epoch != epoch) continue;
      recorded = true;
      data_lost = entry.data_lost;
      winner = {entry.offset_epoch, entry.offset};
    }
  }
  auto& writes = ledgers_[group].writes;
  for (auto it = writes.begin(); it != writes.end();) {
    const auto& [write, acked] = *it;
    if (process.Holds(write)) {
      ++it;
      continue;
    }
    const std::string which = "write " + std::to_string(write) + " (epoch " + std::to_string(acked.epoch) + ", offset " +
                              std::to_string(acked.offset) + ", S=" + std::to_string(acked.synchronous_replicas) +
                              ") is lost as " + process.name + " " + process.incarnation + " becomes primary of epoch " +
                              std::to_string(epoch);
    if (acked.synchronous_replicas == 0) {
      if (!recorded) throw Violation{"4 " + which + " without a record"};
      if (std::pair<uint64_t, uint64_t>(acked.epoch, acked.offset) <= winner) {
        throw Violation{"4 " + which + ", not above the recorded offset " + std::to_string(winner.second)};
      }
    } else {
      if (failed_[write].size() <= acked.synchronous_replicas) {
        throw Violation{"3 " + which + ", of " + std::to_string(failed_[write].size()) + " failed copies"};
      }
      if (!data_lost) throw Violation{"3 " + which + " without DataLost"};
    }
    it = writes.erase(it);
  }
}

// ---- data that goes

std::string Checks::WhyKept(const CacheProcess& process, const std::string& group_uid) const {
  const Json* node = NodeObject(simulation_.api(), process.name);
  if (node == nullptr || node->at("metadata").contains("deletionTimestamp") || !process.HasData()) return "";
  // Its Pod ends with all that it has; the object may be another one's by then.
  if (simulation_.kubelet().Terminates(process.pod_uid)) return "";
  const auto declared = discardable_.find(UidOf(*node));
  for (std::string dataset = process.dataset(); !dataset.empty();) {
    if (declared != discardable_.end()) {
      const auto at = declared->second.find(dataset);
      if (at != declared->second.end() && simulation_.ticks() - at->second < kWithdrawnTicks) return "";
    }
    const auto parent = came_from_.find(dataset);
    dataset = parent == came_from_.end() ? "" : parent->second;
  }
  const auto group = GroupWithUid(simulation_.api(), group_uid);
  if (!group || group->state.dataset != process.dataset()) return "its data set " + process.dataset() + " is its own";
  // The same data set, as far as the primary has what was acknowledged here.
  const CacheProcess* primary = simulation_.Process(group->state.primary.incarnation);
  const auto own = ledgers_.find(UidOf(*node));
  if (primary == nullptr || own == ledgers_.end()) return "";
  for (const auto& [write, acked] : own->second.writes) {
    if (!primary->Holds(write)) return "it acknowledged write " + std::to_string(write) + ", which the group does not have";
  }
  return "";
}

void Checks::BecomesReplica(const CacheProcess& process, const role::BecomeReplica& order) {
  group_of_[process.incarnation] = order.group;
  if (!order.drop_data) return;
  if (const std::string why = WhyKept(process, order.group); !why.empty()) {
    throw Violation{"D " + process.name + " drops its data for group " + order.group + ": " + why};
  }
  if (const Json* node = NodeObject(simulation_.api(), process.name)) ledgers_[UidOf(*node)].writes.clear();
}

void Checks::Loads(const CacheProcess& process, const CacheProcess& from) {
  if (!from.complete()) throw Violation{"5 " + process.name + " loads from " + from.name + ", which is not complete"};
  if (process.HasData() && process.dataset() != from.dataset()) {
    throw Violation{"5 " + process.name + " replaces data set " + process.dataset() + " by " + from.dataset() + " of " +
                    from.name};
  }
  if (const std::string why = WhyKept(process, process.machine().group()); !why.empty()) {
    throw Violation{"D " + process.name + " drops its data to load from " + from.name + ": " + why};
  }
  if (const Json* node = NodeObject(simulation_.api(), process.name)) ledgers_[UidOf(*node)].writes.clear();
  if (deposed_.contains(process.incarnation)) Failed(process);
}

void Checks::Resynchronised(const CacheProcess& process) { deposed_.erase(process.incarnation); }
void Checks::Deposed(const CacheProcess& process) { deposed_.insert(process.incarnation); }

void Checks::StartsEmpty(const CacheProcess& process) {
  if (process.HasData()) throw Violation{"5 " + process.name + " empties itself"};
}

void Checks::Ended(const CacheProcess& process) {
  Failed(process);
  // Standing alone: nobody else had it.
  if (process.machine().role() == control::Role::kStandalone) ledgers_[process.machine().group()].writes.clear();
}

void Checks::BecomesStandalone(const CacheProcess& process, const std::string& uid) {
  const auto from = group_of_.find(process.incarnation);
  if (from == group_of_.end()) return;
  Ledger& group = ledgers_[from->second];
  for (const auto& [write, acked] : group.writes) {
    if (process.Holds(write)) ledgers_[uid].writes[write] = {acked.epoch, acked.offset, 0};
  }
  const auto object = GroupWithUid(simulation_.api(), from->second);
  if (!object || !failover::Started(object->state)) group.writes.clear();  // its last node took them along
}

void Checks::Parted(const std::string& from, const std::string& dataset) {
  if (!from.empty() && !dataset.empty() && from != dataset) came_from_[dataset] = from;
}

void Checks::Obeys(const CacheProcess& process, const control::Order& order) {
  if (order.kind != control::OrderKind::kRole || order.leaves_group.empty()) return;
  const auto left = GroupWithUid(simulation_.api(), order.leaves_group);
  if (!left || left->object.meta.deleted) return;
  if (failover::NamesIncarnation(left->state, process.incarnation)) {
    throw Violation{"V " + process.name + " " + process.incarnation + " leaves " + left->object.meta.name +
                    ", whose state still counts on it"};
  }
}

// ---- what users declared

void Checks::Declared(const Json& node) {
  const std::string dataset = JsonString(JsonAt(node, "spec"), "discardExistingData");
  if (!dataset.empty()) discardable_[UidOf(node)][dataset] = simulation_.ticks();
}

void Checks::AskedForPrimary(const Json& group) {
  const std::string named = JsonString(JsonAt(group, "spec"), "primaryClusterId");
  if (!named.empty()) ++asked_[UidOf(group) + "/" + named];
}

// ---- every tick

void Checks::Look() {
  for (const char* kind : {"CacheCluster", "ReadReplica"}) {
    for (const Json* node : simulation_.api().All(kind)) Declared(*node);
  }
  const MonoTime now = simulation_.clock().nodes();
  std::map<std::string, const CacheProcess*> by_group;
  for (const CacheProcess* process : simulation_.Living()) {
    if (!process->MayAcknowledge(now)) continue;
    const CacheProcess*& other = by_group[process->machine().group()];
    if (other != nullptr) {
      throw Violation{"1 " + process->name + " " + process->incarnation + " and " + other->name + " " +
                      other->incarnation + " can acknowledge, group " + process->machine().group()};
    }
    other = process;
  }
  CheckSuccessors();
}

}  // namespace understudy::edits
