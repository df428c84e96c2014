// What goes wrong: random faults, and the commands that stories are written in.
//
// Commands (separated by ';'; "lead", "other" and "ops" stand for operators; times in ms):
//   after <ms> <command>            cut <a,..> <b,..> <ms>      cut1 <from> <to> <ms>
//   crash <node> [<restart ms>]     stop <node|op> <ms>         lag <from> <to> <ms>
//   hold|again <kind> <to> <ms>     opcrash <op> <ms>           release <op>
//   stale <ms>                      reject <node> <ms>          force <node> <ms>
//   add|remove <node>               sets <S>  sett <T>          switch <node>
//   rollback (the API server's store is restored from the beginning of the run)
// hold delays the next message of that kind to that place; again delivers it a second time, later.
#include <algorithm>
#include <sstream>

#include "common/check.h"
#include "tests/simulation/world.h"

namespace understudy::simulation {
namespace {

std::vector<std::string> Split(const std::string& text, char by) {
  std::vector<std::string> parts;
  std::string part;
  std::istringstream in(text);
  while (std::getline(in, part, by)) {
    const size_t from = part.find_first_not_of(' ');
    if (from == std::string::npos) continue;
    parts.push_back(part.substr(from, part.find_last_not_of(' ') - from + 1));
  }
  return parts;
}

void Replace(std::string* text, const std::string& what, const std::string& by) {
  for (size_t at = text->find(what); at != std::string::npos;
       at = text->find(what, at + by.size())) {
    text->replace(at, what.size(), by);
  }
}

}  // namespace

void World::Inject(const PlannedFault& fault, OperatorProcess* op) {
  if (fault.seed == 0) {
    Command(fault.command);
  } else {
    RandomFault(fault.command, fault.seed, op);
  }
}

// -- processes
// ------------------------------------------------------------------------------------------

void World::Kill(NodeProcess& node, bool failure) {
  if (!node.alive) return;
  Trace(node.name + " " + node.incarnation + " ends");
  node.alive = false;
  primaries_.erase(&node);
  if (failure) Failed(node);
  for (OperatorProcess* op : node.operators) {
    if (op->alive && !Blocked(node, *op))
      Send(node, *op, "fin", [op, &node] { op->OnLifelineEnd(&node); });
  }
  for (const auto& q : processes_) {
    if (q->alive && q->follows() == node.incarnation && !Blocked(node, *q)) {
      Send(node, *q, "linkfin", [q = q.get(), &node] { q->OnLifelineEnd(&node); });
    }
  }
  At((100 + dice_.Below(1200)) * kMs, *this, [this, &node] { Report(node); });
}

void World::EndAfterTerm(NodeProcess& node, int checks) {
  if (!node.alive) return;
  if (checks > 0 && !node.machine().MayExit()) {
    At(50 * kMs, *this, [this, &node, checks] { EndAfterTerm(node, checks - 1); });
    return;
  }
  Kill(node);
  if (node.location == node.name) At(300 * kMs, *this, [this, n = node.name] { Restart(n); });
}

void World::Report(NodeProcess& node) {  // the kubelet: container terminated
  if (Blocked(node, *api_)) {
    At(500 * kMs, *this, [this, &node] { Report(node); });
  } else {
    PodByUid(node.pod_uid)->terminated.push_back(node.incarnation);
  }
}

void World::Restart(const std::string& member) {
  Pod* pod = PodOf(member);
  if (pod && pod->process && !pod->process->alive) StartProcess(*pod);
}

void World::Stop(Actor& actor, int64_t ms) {
  actor.stopped = true;
  actor.stopped_at = now_us_;
  At(ms * kMs, *this, [this, &actor] { Wake(actor); });
}

void World::Wake(Actor& actor) {
  if (!actor.alive || !actor.stopped) return;
  Trace(actor.location + " wakes");
  actor.stopped = false;
  if (options_.story && options_.story->frozen_clock) actor.lost_us += now_us_ - actor.stopped_at;
  std::vector<std::function<void()>> box;
  box.swap(actor.inbox);
  for (std::function<void()>& act : box) {
    if (actor.alive && !actor.stopped) act();
  }
}

void World::CrashOperator(const std::string& at, int64_t ms) {
  for (size_t i = 0; i < operators_.size(); ++i) {
    if (operators_[i]->location != at) continue;
    operators_[i]->alive = false;
    ended_operators_.push_back(std::move(operators_[i]));
    operators_.erase(operators_.begin() + static_cast<ptrdiff_t>(i));
    break;
  }
  At(ms * kMs, *this, [this, at] { StartOperator(at); });
}

void World::StartOperator(const std::string& at) {
  if (OperatorAt(at) != nullptr) return;
  operators_.push_back(std::make_unique<OperatorProcess>(*this, at));
  operators_.back()->StartTimers();
}

void World::Cut(const std::string& a, const std::string& b, int64_t ms, bool both) {
  cuts_[{a, b}] = now_us_ + ms * kMs;
  if (both) cuts_[{b, a}] = now_us_ + ms * kMs;
}

// The Pod is deleted by force on a node that is cut off; its process goes on there.
void World::ForceDelete(const std::string& member, int64_t ms,
                        const std::vector<std::string>& far) {
  Pod* pod = PodOf(member);
  NodeProcess* node = pod ? pod->process : nullptr;
  if (node == nullptr || node->location != node->name) return;
  node->location = member + "!" + node->incarnation;
  for (const char* x : {"op1", "op2", "api"}) Cut(node->location, x, ms + 3000);
  Cut(node->location, member, ms + 3000);
  for (const std::string& x : far) Cut(node->location, x, ms + 3000);
  pod->exists = false;
  StartProcess(NewPod(member));
  At((ms + 3000) * kMs, *this, [this, node] { Kill(*node); });
}

void World::Reject(const std::string& member, int64_t ms) {  // a network policy that answers RST
  for (const char* op : {"op1", "op2"}) {
    rejecting_[{op, member}] = now_us_ + ms * kMs;
    Cut(op, member, ms);
  }
}

// -- the user
// -------------------------------------------------------------------------------------------

void World::AddMember(const std::string& member) {
  GroupSpec spec = api_->spec();
  StartProcess(NewPod(member));
  spec.names.push_back(member);
  api_->ChangeSpec(spec);
}

void World::Remove(const std::string& member) {
  GroupSpec spec = api_->spec();
  std::erase(spec.names, member);
  api_->ChangeSpec(spec);
  At(200 * kMs, *this, [this, member] { Reap(member); });
}

// The Pod of a removed member goes when nothing names it any more.
void World::Reap(const std::string& member) {
  Pod* pod = PodOf(member);
  if (pod == nullptr || pod->process == nullptr) return;
  const failover::GroupState& st = api_->status();
  const std::string& i = pod->process->incarnation;
  if (st.primary.incarnation == i || (st.failover && st.failover->winner.incarnation == i)) {
    GroupSpec spec = api_->spec();  // it became primary: the removal is refused
    spec.names.push_back(member);
    api_->ChangeSpec(spec);
  } else if (failover::NamesIncarnation(st, i) || st.failover) {
    At(200 * kMs, *this, [this, member] { Reap(member); });
  } else {
    Kill(*pod->process, false);
    pod->exists = false;
  }
}

void World::RandomEdit(const std::string& kind, Dice& dice) {
  GroupSpec spec = api_->spec();
  const std::string primary = api_->status().primary.name;
  if (kind == "add") {
    if (spec.names.size() < 6) AddMember("n" + std::to_string(members_made_++));
    return;
  }
  if (kind == "remove") {
    if (primary.empty()) return;  // not started: who remains could be fewer than S needs
    std::vector<std::string> others = spec.names;
    std::erase(others, primary);
    const int64_t least = std::max<int64_t>(1, spec.synchronous_replicas);
    if (static_cast<int64_t>(others.size()) - 1 >= least && !api_->status().failover)
      Remove(dice.Of(others));
    return;
  }
  if (kind == "sets") {
    spec.synchronous_replicas = static_cast<uint32_t>(
        std::min<int64_t>(dice.Below(3), static_cast<int64_t>(spec.names.size()) - 1));
  } else if (kind == "sett") {
    spec.lease_ms = dice.Of(std::vector<uint32_t>{1000, 2000, 4000});
  } else if (kind == "af") {
    spec.automatic_failover = !spec.automatic_failover;
  } else if (kind == "switch") {
    ++spec.switch_number;
    spec.switch_to = dice.Of(spec.names);
  }
  api_->ChangeSpec(spec);
}

// -- random faults
// --------------------------------------------------------------------------------------

void World::RandomFault(const std::string& kind_in, uint64_t seed, OperatorProcess* op) {
  Dice f(seed);
  std::string kind = kind_in;
  const failover::GroupState& st = api_->status();
  const std::vector<std::string> names = api_->spec().names;
  std::vector<std::string> live;
  for (const std::string& n : names) {
    if (PodOf(n)->process->alive) live.push_back(n);
  }
  if (live.empty()) return;
  std::string n = f.Of(live);
  if (kind == "crashwin" && st.failover && !st.failover->winner.name.empty()) {
    n = st.failover->winner.name;
    kind = "crash";
  }
  if (kind.ends_with("prim")) {
    n = st.primary.name.empty() ? n : st.primary.name;
    kind.resize(kind.size() - 4);
  }
  Pod* pod = PodOf(n);
  if (kind == "crashwin" || pod == nullptr || !pod->process->alive) return;
  NodeProcess& p = *pod->process;
  const int64_t ms = f.Of(std::vector<int64_t>{200, 800, 2000, 3000, 5000, 9000});
  if (op == nullptr) op = OperatorAt(f.Unit() < .5 ? "op1" : "op2");
  if (op == nullptr) op = operators_.empty() ? nullptr : operators_[0].get();
  if (op == nullptr) return;
  std::vector<std::string> others = names;
  std::erase(others, n);
  std::vector<std::string> everybody = names;
  for (const char* x : {"op1", "op2", "api"}) everybody.push_back(x);
  Trace("FAULT " + kind + " " + n + " " + op->location + " " + std::to_string(ms));
  if (kind == "crash") {
    Kill(p);
    At(f.Of(std::vector<int64_t>{20, 100, 400, 1500, 4000}) * kMs, *this,
       [this, n] { Restart(n); });
  } else if (kind == "stop") {
    Stop(p, ms);
  } else if (kind == "iso") {  // the primary from both operators, and from some of the replicas
    for (const char* x : {"op1", "op2", "api"}) Cut(n, x, ms, f.Unit() < .9);
    const double share = f.Of(std::vector<double>{.3, .6, 1});
    for (const std::string& x : others) {
      if (f.Unit() < share) Cut(n, x, ms, f.Unit() < .9);
    }
  } else if (kind == "isonode") {
    for (const std::string& x : everybody) {
      if (x != n) Cut(n, x, ms);
    }
  } else if (kind == "cutop") {
    for (const std::string& x : names) {
      if (f.Unit() < .5) Cut(op->location, x, ms, f.Unit() < .8);
    }
  } else if (kind == "split") {
    std::vector<std::string> side;
    for (const std::string& x : everybody) {
      if (f.Unit() < .5) side.push_back(x);
    }
    for (const std::string& a : side) {
      for (const std::string& b : everybody) {
        if (std::find(side.begin(), side.end(), b) == side.end()) Cut(a, b, ms);
      }
    }
  } else if (kind == "opcrash") {
    CrashOperator(op->location, f.Of(std::vector<int64_t>{100, 1000, 4000}));
  } else if (kind == "opstop") {
    Stop(*op, ms);
  } else if (kind == "oprelease") {
    if (!op->stopped) op->Release();
  } else if (kind == "opapi") {
    Cut(op->location, "api", ms, f.Unit() < .7);
  } else if (kind == "force") {
    std::vector<std::string> far;
    for (const std::string& x : others) {
      if (f.Unit() < .5) far.push_back(x);
    }
    ForceDelete(n, ms, far);
  } else if (kind == "reject") {
    Reject(n, ms);
    for (const auto& x : operators_) {
      if (f.Unit() < .3) At(2 * kMs, *x, [o = x.get(), &p] { o->OnLifelineEnd(&p); });
    }
  } else if (kind == "slow") {
    slow_until_us_ = now_us_ + ms * kMs;
  } else if (kind == "lag") {
    if (!others.empty()) lagging_[{st.primary.name, f.Of(others)}] = now_us_ + ms * kMs;
  } else if (kind == "stale") {
    stale_ = true;
    At(ms * kMs, *this, [this] { stale_ = false; });
  } else if (kind == "term") {  // SIGTERM: a primary asks for a switchover and waits, at most 5 s
    p.SetTerminating();
    At(50 * kMs, *this, [this, &p] { EndAfterTerm(p, 100); });
  } else if (kind == "unfit") {
    p.SetUnfit(true);
    At(ms * kMs, *this, [&p] {
      if (p.alive) p.SetUnfit(false);
    });
  } else {
    RandomEdit(kind, f);
  }
}

// -- stories
// --------------------------------------------------------------------------------------------

void World::Command(const std::string& commands) {
  std::string lead = "op1";
  for (const auto& op : operators_) {
    if (op->leads()) lead = op->location;
  }
  for (std::string command : Split(commands, ';')) {
    Replace(&command, "lead", lead);
    Replace(&command, "other", lead == "op1" ? "op2" : "op1");
    Replace(&command, "ops", "op1,op2");
    Obey(Split(command, ' '));
  }
}

void World::Obey(const std::vector<std::string>& w) {
  if (w[0] == "after") {
    std::string rest;
    for (size_t i = 2; i < w.size(); ++i) rest += w[i] + " ";
    At(std::stoll(w[1]) * kMs, *this, [this, rest] { Command(rest); });
    return;
  }
  std::string all;
  for (const std::string& x : w) all += " " + x;
  Trace("DO" + all);
  const std::string x = w.size() > 1 ? w[1] : "";
  const bool number = w.size() > 1 && w.back().find_first_not_of("0123456789") == std::string::npos;
  const int64_t ms = number ? std::stoll(w.back()) : 0;
  GroupSpec spec = api_->spec();
  if (w[0] == "cut" || w[0] == "cut1") {
    for (const std::string& a : Split(x, ',')) {
      for (const std::string& b : Split(w[2], ',')) Cut(a, b, ms, w[0] == "cut");
    }
  } else if (w[0] == "crash") {
    Kill(*PodOf(x)->process);
    if (ms > 0) At(ms * kMs, *this, [this, x] { Restart(x); });
  } else if (w[0] == "stop") {
    if (OperatorProcess* op = OperatorAt(x)) {
      Stop(*op, ms);
    } else {
      Stop(*PodOf(x)->process, ms);
    }
  } else if (w[0] == "lag") {
    lagging_[{x, w[2]}] = now_us_ + ms * kMs;
  } else if (w[0] == "hold" || w[0] == "again") {
    holds_.push_back({w[0] == "again", x, w[2], ms * kMs});
  } else if (w[0] == "opcrash") {
    CrashOperator(x, ms);
  } else if (w[0] == "release") {
    OperatorAt(x)->Release();
  } else if (w[0] == "stale") {
    stale_ = true;
    At(ms * kMs, *this, [this] { stale_ = false; });
  } else if (w[0] == "rollback") {
    api_->Rollback();
  } else if (w[0] == "reject") {
    Reject(x, ms);
  } else if (w[0] == "force") {
    std::vector<std::string> far = spec.names;
    std::erase(far, x);
    ForceDelete(x, ms, far);
  } else if (w[0] == "remove") {
    Remove(x);
  } else if (w[0] == "add") {
    AddMember(x);
  } else if (w[0] == "sets" || w[0] == "sett" || w[0] == "switch") {
    if (w[0] == "sets") spec.synchronous_replicas = static_cast<uint32_t>(ms);
    if (w[0] == "sett") spec.lease_ms = static_cast<uint32_t>(ms);
    if (w[0] == "switch") {
      ++spec.switch_number;
      spec.switch_to = x;
    }
    api_->ChangeSpec(spec);
  } else {
    CHECK(false);
  }
}

}  // namespace understudy::simulation
