#include "tests/simulation/world.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/check.h"

namespace understudy::simulation {

double Dice::Exponential(double mean) {
  return -std::log(1.0 - Unit()) * mean;
}

namespace {

constexpr uint32_t kLease_ms = 2000;

// Names of random faults; some twice, to make them likelier.
const std::vector<std::string>& FaultKinds() {
  static const std::vector<std::string> kinds = {
      "crash", "crash",  "crashprim", "stop",    "stopprim", "isoprim",   "isoprim",
      "cutop", "split",  "isonode",   "opcrash", "opstop",   "oprelease", "opapi",
      "force", "reject", "slow",      "lag",     "stale",    "add",       "remove",
      "sets",  "sett",   "af",        "switch",  "touch",    "term",      "unfit"};
  return kinds;
}

const std::vector<std::string>& Labels() {
  static const std::vector<std::string> labels = {"takeover:fence",
                                                  "takeover:promote",
                                                  "done",
                                                  "cfg:pending",
                                                  "cfg:commit",
                                                  "switch:pause",
                                                  "switch:demote",
                                                  "switch:promote",
                                                  "switch:abort",
                                                  "restore:fence",
                                                  "restore:copy",
                                                  "restore:promote",
                                                  "term"};
  return labels;
}

const std::vector<std::string>& FaultsAtSteps() {
  static const std::vector<std::string> kinds = {"crash",   "crashprim", "crashwin", "opcrash",
                                                 "opcrash", "opstop",    "stopprim", "isoprim",
                                                 "isonode", "cutop",     "lag",      "slow"};
  return kinds;
}

}  // namespace

World::World(uint64_t seed, Options options) : options_(std::move(options)), dice_(seed * 2 + 1) {
  location = "world";
  Dice f(seed * 2);
  const Story* story = options_.story;
  replicas_ = static_cast<int>(f.Of(std::vector<int64_t>{1, 1, 2, 2, 2, 3, 3, 4, 5}));
  uint32_t s = std::min<uint32_t>(static_cast<uint32_t>(replicas_),
                                  f.Of(std::vector<uint32_t>{0, 0, 1, 1, 1, 2}));
  drift_ = f.Unit() < .6;
  loss_ = f.Of(std::vector<double>{0, .01, .1});
  duplicates_ = f.Of(std::vector<double>{0, .02, .2});
  late_ = f.Of(std::vector<double>{0, .002, .02});
  bool automatic = f.Unit() < .85;
  int64_t end_ms = f.Of(std::vector<int64_t>{8000, 15000, 25000});
  std::vector<std::string> kinds;
  std::vector<std::string> pool = FaultKinds();
  for (int64_t n = 2 + f.Below(5); n > 0; --n) {
    const size_t at = static_cast<size_t>(f.Below(static_cast<int64_t>(pool.size())));
    kinds.push_back(pool[at]);
    pool.erase(pool.begin() + static_cast<ptrdiff_t>(at));
  }
  const double gap_ms = f.Of(std::vector<double>{300, 700, 1500, 3000});
  std::vector<PlannedFault> plan;
  for (double t = 3000; t < static_cast<double>(end_ms); t += f.Exponential(gap_ms) + 1) {
    plan.push_back({static_cast<int64_t>(t), f.Of(kinds), f.Next() | 1});
  }
  for (int64_t n = f.Below(5); n > 0; --n)
    plan.push_back({f.Of(Labels()), f.Of(FaultsAtSteps()), f.Next() | 1});
  planned_ = plan.size();
  for (size_t i = 0; i < plan.size(); ++i) {
    if (!options_.leave_out.contains(i)) plan_.push_back(plan[i]);
  }
  if (story) {
    replicas_ = story->replicas;
    s = static_cast<uint32_t>(story->synchronous_replicas);
    automatic = story->automatic_failover;
    end_ms = story->end_ms;
    loss_ = duplicates_ = late_ = 0;
    drift_ = false;
    rates_ = story->rates;
    plan_ = story->plan;
  }
  end_us_ = end_ms * kMs;
  GroupSpec spec;
  for (int i = 0; i <= replicas_; ++i) spec.names.push_back("n" + std::to_string(i));
  members_made_ = replicas_ + 1;
  spec.synchronous_replicas = s;
  spec.lease_ms = kLease_ms;
  spec.automatic_failover = automatic;
  for (const std::string& n : spec.names) StartProcess(NewPod(n));
  api_ = std::make_unique<ApiServer>(*this, failover::GroupState{}, spec);
  if (!options_.from_nothing) Establish();
  StartOperator("op1");
  StartOperator("op2");
  for (const PlannedFault& fault : plan_) {
    if (const int64_t* at_ms = std::get_if<int64_t>(&fault.when)) {
      At(*at_ms * kMs, *this, [this, fault] { Inject(fault, nullptr); });
    }
  }
  At(end_us_, *this, [this] { Heal(); });
  At(50 * kMs, *this, [this] { ClientWrites(); });
}

World::~World() = default;

void World::Establish() {
  control::Configuration c;
  c.number = c.epoch = 1;
  c.primary = PodOf("n0")->process->Ref();
  c.synchronous_replicas = api_->spec().synchronous_replicas;
  c.lease_ms = kLease_ms;
  for (const std::string& n : api_->spec().names) {
    if (n != "n0") c.voters.push_back(PodOf(n)->process->Ref());
  }
  failover::GroupState st;
  st.epoch = 1;
  st.primary = c.primary;
  st.configurations = {c};
  st.dataset = "d0";
  st.handled_primary_cluster_id = "n0";
  api_ = std::make_unique<ApiServer>(*this, st, GroupSpec(api_->spec()));
  for (const std::string& n : api_->spec().names) {
    PodOf(n)->process->Establish(c, "group");
    ever_listed_.insert(PodOf(n)->process->incarnation);
  }
  primaries_.insert(PodOf("n0")->process);
}

std::string World::Describe() const {
  return "R=" + std::to_string(replicas_) +
         " S=" + std::to_string(api_->spec().synchronous_replicas) +
         (drift_ ? " drifting clocks" : "") + (options_.from_nothing ? " from nothing" : "");
}

double World::RateOf(const std::string& at) {
  auto found = rates_.find(at);
  if (found != rates_.end()) return found->second;
  const double drawn =
      drift_ ? dice_.Of(std::vector<double>{.91, .91, .95, 1, 1.05, 1.09, 1.09}) : 1;
  rates_[at] = drawn;
  return drawn;
}

// -- plumbing
// -------------------------------------------------------------------------------------------

void World::AddTrace(const std::string& text) {
  char at[32];
  std::snprintf(at, sizeof at, "%9.1f ", static_cast<double>(now_us_) / 1000.0);
  trace_.push_back(at + text);
}

void World::At(int64_t delay_us, Actor& who, std::function<void()> act) {
  queue_.push({now_us_ + std::max<int64_t>(delay_us, 0), ++order_, &who, std::move(act)});
}

bool World::Blocked(const Actor& from, const Actor& to) const {
  if (cuts_.empty()) return false;
  auto cut = cuts_.find({from.location, to.location});
  return cut != cuts_.end() && cut->second > now_us_;
}

bool World::Rejecting(const Actor& from, const Actor& to) const {
  auto found = rejecting_.find({from.location, to.location});
  return found != rejecting_.end() && found->second > now_us_;
}

void World::Send(Actor& from, Actor& to, const char* kind, std::function<void()> deliver) {
  if (Blocked(from, to)) return;
  const int copies = duplicates_ > 0 && dice_.Unit() < duplicates_ ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    if (loss_ > 0 && dice_.Unit() < loss_) continue;
    int64_t delay_us = 1 * kMs + static_cast<int64_t>(dice_.Exponential(3.3) * kMs);
    if (dice_.Unit() < (slow_until_us_ > now_us_ ? .08 : late_))
      delay_us += (300 + dice_.Below(6700)) * kMs;
    if (!lagging_.empty()) {
      auto lag = lagging_.find({from.location, to.location});
      if (lag != lagging_.end() && lag->second > now_us_)
        delay_us += (500 + dice_.Below(2500)) * kMs;
    }
    for (size_t h = 0; h < holds_.size(); ++h) {
      if (holds_[h].kind != kind || holds_[h].to != to.location) continue;
      const Hold hold = holds_[h];
      holds_.erase(holds_.begin() + static_cast<ptrdiff_t>(h));
      if (hold.again) At(delay_us, to, deliver);
      delay_us += hold.delay_us;
      break;
    }
    At(delay_us, to, deliver);
  }
}

Pod* World::PodOf(const std::string& member) {
  for (size_t i = pods_.size(); i-- > 0;) {
    if (pods_[i].member == member && pods_[i].exists) return &pods_[i];
  }
  return nullptr;
}

Pod* World::PodByUid(const std::string& uid) {
  for (Pod& p : pods_) {
    if (p.uid == uid) return &p;
  }
  return nullptr;
}

NodeProcess* World::Process(const std::string& incarnation) {
  auto found = by_incarnation_.find(incarnation);
  return found == by_incarnation_.end() ? nullptr : found->second;
}

OperatorProcess* World::OperatorAt(const std::string& at) {
  for (auto& op : operators_) {
    if (op->location == at) return op.get();
  }
  return nullptr;
}

Pod& World::NewPod(const std::string& member) {
  pods_.push_back({member, NewId("pod"), nullptr, true});
  return pods_.back();
}

NodeProcess& World::StartProcess(Pod& pod) {
  processes_.push_back(std::make_unique<NodeProcess>(*this, pod.member, pod.uid, NewId("i")));
  NodeProcess& node = *processes_.back();
  by_incarnation_[node.incarnation] = &node;
  pod.process = &node;
  node.StartTimers();
  return node;
}

void World::ClientWrites() {
  std::vector<NodeProcess*> primaries(primaries_.begin(), primaries_.end());
  std::sort(primaries.begin(), primaries.end(), [](const NodeProcess* a, const NodeProcess* b) {
    return a->incarnation < b->incarnation;
  });
  for (NodeProcess* p : primaries) {
    if (!p->stopped) {
      p->OnClientWrite();
    } else if (p->inbox.size() < 200) {
      p->inbox.push_back([p] { p->OnClientWrite(); });
    }
  }
  const bool busy = now_us_ < end_us_ + 30000 * kMs;
  At((busy ? 40 : 150) * kMs, *this, [this] { ClientWrites(); });
}

std::optional<Violation> World::Run() {
  try {
    while (!queue_.empty() && !done_) {
      Event event = std::move(const_cast<Event&>(queue_.top()));
      queue_.pop();
      now_us_ = event.at_us;
      if (!event.who->alive) continue;
      if (event.who->stopped) {
        event.who->inbox.push_back(std::move(event.act));
        continue;
      }
      ++events_;
      event.act();
      CheckLeases();
    }
  } catch (const Violation& v) {
    Trace("VIOLATION " + v.what);
    return v;
  }
  return std::nullopt;
}

}  // namespace understudy::simulation
