// The invariants of FAILOVER.md section 10, as the world checks them.
#include <algorithm>

#include "tests/simulation/world.h"

namespace understudy::simulation {
namespace {

constexpr int64_t kQuiet_us = 45000 * kMs;

// Which step a write of the status took; "" for none that stories name.
std::string LabelOf(const failover::GroupState& before, const failover::GroupState& after) {
  using failover::Kind;
  using failover::Step;
  if (before.term != after.term) return "term";
  if (after.failover && (!before.failover || before.failover->step != after.failover->step ||
                         before.failover->kind != after.failover->kind ||
                         before.failover->epoch != after.failover->epoch)) {
    const failover::Failover& fo = *after.failover;
    const std::string kind =
        fo.kind == Kind::kSwitchover ? "switch" : std::string(KindName(fo.kind));
    return kind + ":" + std::string(StepName(fo.step));
  }
  if (before.failover && !after.failover) {
    return before.failover->step == Step::kPromote ? "done" : "switch:abort";
  }
  if (after.configurations.size() > before.configurations.size()) return "cfg:pending";
  if (after.configurations.size() < before.configurations.size()) return "cfg:commit";
  return "";
}

}  // namespace

void World::Persisted(OperatorProcess& by, const failover::GroupState& before,
                      const failover::GroupState& after) {
  last_persisted_us_ = now_us_;
  if (after.epoch < before.epoch) throw Violation{"2 the epoch of the status went back"};
  for (const control::Configuration& c : after.configurations) {
    ever_listed_.insert(c.primary.incarnation);
    for (const control::NodeRef& v : c.voters) ever_listed_.insert(v.incarnation);
  }
  const std::string label = LabelOf(before, after);
  if (tracing()) {
    std::string list;
    for (const control::Configuration& c : after.configurations) {
      list += " #" + std::to_string(c.number) + " " + c.primary.incarnation + "(";
      for (const control::NodeRef& v : c.voters) list += v.name + ":" + v.incarnation + " ";
      list += ") S=" + std::to_string(c.synchronous_replicas);
    }
    Trace(by.location + " persists " + label + ": epoch " + std::to_string(after.epoch) +
          " primary " + after.primary.name + ":" + after.primary.incarnation +
          (after.failover
               ? " old " + after.failover->old.name + " winner " + after.failover->winner.name +
                     " offset " + std::to_string(after.failover->offset)
               : "") +
          list);
  }
  // 4: what an old primary has to drop is counted exactly.
  for (const failover::HistoryEntry& e : after.failover_history) {
    if (api_->rolled_back()) break;  // what the counting needs was lost with the status
    const bool new_one =
        std::none_of(before.failover_history.begin(), before.failover_history.end(),
                     [&](const failover::HistoryEntry& b) {
                       return b.epoch == e.epoch && b.old_returned == e.old_returned;
                     });
    const NodeProcess* old = Process(e.old_primary.incarnation);
    if (!new_one || e.old_primary.incarnation == e.new_primary.incarnation) continue;
    if (e.old_returned.unix_ms == 0 || old == nullptr || !old->alive || !old->complete ||
        !old->deposed)
      continue;
    if (!old->log.empty() && old->log.back().epoch >= e.epoch) continue;
    if (!promoted_logs_.contains(e.epoch)) continue;  // elected, but never promoted
    const Log& winner = promoted_logs_[e.epoch];
    size_t common = 0;
    while (common < old->log.size() && common < winner.size() &&
           old->log[common] == winner[common]) {
      ++common;
    }
    const size_t above = old->log.size() - common;
    if (e.dropped_bytes != above) {
      throw Violation{"4 " + e.old_primary.name + " drops " + std::to_string(above) +
                      ", recorded are " + std::to_string(e.dropped_bytes)};
    }
  }
  Reached(by, label);
}

void World::Reached(OperatorProcess& by, const std::string& label) {
  for (size_t i = 0; i < plan_.size(); ++i) {
    const std::string* when = std::get_if<std::string>(&plan_[i].when);
    if (when == nullptr || label.empty() || *when != label) continue;
    const PlannedFault fault = plan_[i];
    plan_.erase(plan_.begin() + static_cast<ptrdiff_t>(i));
    if (now_us_ < end_us_) Inject(fault, &by);
    break;
  }
}

void World::Acknowledged(NodeProcess& by, size_t offset, uint32_t write) {
  ++acknowledgements_;
  const uint64_t epoch = by.machine().role_epoch();
  if (epoch < last_epoch_) {
    throw Violation{"2 acknowledgement in epoch " + std::to_string(epoch) + " after " +
                    std::to_string(last_epoch_)};
  }
  last_epoch_ = epoch;
  last_acknowledged_us_ = now_us_;
  const uint32_t s = by.machine().configuration().synchronous_replicas;
  if (s > 0) {
    protected_[write] = {s, {epoch, offset}};
  } else {
    unprotected_[write] = {epoch, offset};
  }
}

void World::Failed(NodeProcess& node) {
  for (const Record& r : node.log) {
    if (r.write != 0) failed_[r.write].insert(node.incarnation);
  }
}

// The user asks for less: the promise for earlier writes shrinks with it.
void World::Lowered(uint32_t synchronous_replicas) {
  if (synchronous_replicas == 0) {
    for (const auto& [write, p] : protected_) unprotected_[write] = p.at;
    protected_.clear();
  }
  for (auto& [write, p] : protected_)
    p.synchronous_replicas = std::min(p.synchronous_replicas, synchronous_replicas);
}

// A full resynchronisation: a deposed primary that drops what it has counts as failed.
void World::Dropped(NodeProcess& node) {
  if (node.deposed) Failed(node);
}

void World::Promoted(NodeProcess& node, uint64_t epoch) {
  Trace(node.name + " " + node.incarnation + " promoted, epoch " + std::to_string(epoch) +
        ", offset " + std::to_string(node.log.size()));
  primaries_.insert(&node);
  promoted_logs_[epoch] = node.log;
  if (!node.complete || node.log.empty()) {
    for (const auto& q : processes_) {
      if (q->alive && q.get() != &node && q->complete && q->log.size() > 1 &&
          EverListed(q->incarnation) && q->location == q->name) {
        throw Violation{"5 " + node.name + " " + node.incarnation +
                        " promoted empty or half loaded, " + q->name + " " + q->incarnation +
                        " has data"};
      }
    }
  }
  std::set<uint32_t> have;
  for (const Record& r : node.log) have.insert(r.write);
  const failover::GroupState& st = api_->status();
  for (auto it = unprotected_.begin(); it != unprotected_.end();) {
    if (have.contains(it->first)) {
      ++it;
      continue;
    }
    const bool recorded = st.failover && st.failover->epoch == epoch;
    if (recorded &&
        it->second <= std::pair<uint64_t, size_t>(st.failover->offset_epoch, st.failover->offset)) {
      throw Violation{"4 write " + std::to_string(it->first) + " at offset " +
                      std::to_string(it->second.second) +
                      " is lost, not above the recorded offset " +
                      std::to_string(st.failover->offset)};
    }
    it = unprotected_.erase(it);
  }
  bool recorded_loss = false;
  bool lost = false;
  for (auto it = protected_.begin(); it != protected_.end();) {
    if (have.contains(it->first)) {
      ++it;
      continue;
    }
    const size_t failures = failed_[it->first].size();
    if (failures <= it->second.synchronous_replicas) {
      throw Violation{"3 write " + std::to_string(it->first) + " (S=" +
                      std::to_string(it->second.synchronous_replicas) + ") lost by promoting " +
                      node.name + " " + node.incarnation + " in epoch " + std::to_string(epoch) +
                      ", only " + std::to_string(failures) + " copies had failed"};
    }
    lost = true;
    it = protected_.erase(it);  // S + 1 failures: outside the promise
  }
  if (st.failover && st.failover->epoch == epoch) recorded_loss = st.failover->data_lost;
  if (lost && st.failover && st.failover->epoch == epoch && !recorded_loss) {
    throw Violation{"3 writes were lost in epoch " + std::to_string(epoch) + " without DataLost"};
  }
}

void World::CheckLeases() {
  if (primaries_.size() < 2) return;
  if (options_.story && options_.story->frozen_clock)
    return;  // only what is really acknowledged counts
  std::string names;
  int count = 0;
  for (NodeProcess* p : primaries_) {
    if (!p->MayAcknowledge()) continue;
    ++count;
    names += (count > 1 ? " and " : "") + p->name + " " + p->incarnation + " (epoch " +
             std::to_string(p->machine().role_epoch()) + ", configuration " +
             std::to_string(p->machine().configuration().number) +
             ", R=" + std::to_string(p->machine().configuration().voters.size()) + ")";
  }
  if (count > 1) throw Violation{"1 " + names + " can acknowledge"};
}

void World::CheckEnd() {
  const failover::GroupState& st = api_->status();
  const GroupSpec& spec = api_->spec();
  std::string bad;
  auto say = [&bad](const std::string& what) { bad += (bad.empty() ? "" : "; ") + what; };
  if (st.failover) {
    say("still in " + std::string(KindName(st.failover->kind)) + ":" +
        std::string(StepName(st.failover->step)));
  }
  NodeProcess* primary = Process(st.primary.incarnation);
  if (primaries_.size() != 1) say(std::to_string(primaries_.size()) + " primaries");
  if (primary == nullptr || !primaries_.contains(primary) || !primary->MayAcknowledge()) {
    say("the primary of the status cannot acknowledge");
  }
  if (now_us_ - last_acknowledged_us_ > 2500 * kMs) {
    say("no acknowledgement for " + std::to_string((now_us_ - last_acknowledged_us_) / kMs) +
        " ms");
  }
  if (primary && api_->slice() != primary->pod_uid) say("the EndpointSlice names another Pod");
  for (const std::string& n : spec.names) {
    NodeProcess* p = PodOf(n)->process;
    if (p == primary) continue;
    if (!p->LinkedTo(st.primary.incarnation) || p->machine().role_epoch() != st.epoch)
      say(n + " is not attached");
  }
  if (!st.failover && st.configurations.size() != 1) say("configuration pending");
  if (bad.empty()) {
    std::set<std::string> voters, expected;
    for (const control::NodeRef& v : st.configurations[0].voters) voters.insert(v.incarnation);
    for (const std::string& n : spec.names) {
      if (PodOf(n)->process != primary) expected.insert(PodOf(n)->process->incarnation);
    }
    if (voters != expected) say("voters incomplete");
  }
  if (!bad.empty()) throw Violation{"6 not converged: " + bad};
  if (now_us_ - last_persisted_us_ < 5000 * kMs)
    throw Violation{"7 status written in steady state"};
}

void World::Heal() {
  Trace("HEAL");
  cuts_.clear();
  lagging_.clear();
  rejecting_.clear();
  holds_.clear();
  stale_ = false;
  slow_until_us_ = 0;
  loss_ = late_ = duplicates_ = 0;
  for (const auto& p : processes_) {
    if (p->alive && p->location != p->name) Kill(*p);
    Wake(*p);
    if (p->alive) p->SetUnfit(false);
  }
  std::vector<std::string> members;
  for (const Pod& pod : pods_) {
    if (pod.exists) members.push_back(pod.member);
  }
  for (const std::string& m : members) Restart(m);
  for (const char* at : {"op1", "op2"}) {
    if (OperatorProcess* op = OperatorAt(at)) {
      Wake(*op);
    } else {
      StartOperator(at);
    }
  }
  At(kQuiet_us, *this, [this] {
    CheckEnd();
    done_ = true;
  });
}

}  // namespace understudy::simulation
