#include "tests/simulation/api_server.h"

#include "tests/simulation/world.h"

namespace understudy::simulation {

ApiServer::ApiServer(World& world, failover::GroupState status, GroupSpec spec) : world_(world) {
  location = "api";
  history_.push_back({0, 1, std::move(status), std::move(spec)});
}

void ApiServer::ChangeSpec(GroupSpec spec) {
  history_.push_back({world_.now_us(), history_.back().version + 1, status(), std::move(spec)});
}

void ApiServer::Rollback() {
  rolled_back_ = true;
  history_.push_back(
      {world_.now_us(), history_.back().version + 1, history_.front().status, spec()});
}

void ApiServer::OnGet(OperatorProcess& from, uint64_t request) {
  size_t at = history_.size() - 1;
  if (world_.stale_reads() && world_.dice().Unit() < .6) {  // a read from a cache that lags
    const int64_t then = world_.now_us() - world_.dice().Below(6000) * kMs;
    while (at > 0 && history_[at].at_us > then) --at;
  }
  world_.Send(*this, from, "reply", [&from, request, v = history_[at], slice = slice_] {
    from.OnReply(request, true, v.version, v.status, v.spec);
    from.OnSlice(slice);
  });
}

void ApiServer::OnPut(OperatorProcess& from, uint64_t request, int64_t version,
                      const failover::GroupState& status_in) {
  if (version != history_.back().version) {
    world_.Send(*this, from, "reply",
                [&from, request] { from.OnReply(request, false, 0, {}, {}); });
    return;
  }
  const failover::GroupState before = status();
  history_.push_back({world_.now_us(), version + 1, status_in, spec()});
  world_.Send(*this, from, "reply", [&from, request, v = history_.back()] {
    from.OnReply(request, true, v.version, v.status, v.spec);
  });
  world_.Persisted(from, before, status_in);
}

void ApiServer::OnPutSlice(OperatorProcess& from, const std::string& pod_uid) {
  slice_ = pod_uid;
  world_.Send(*this, from, "slice", [&from, pod_uid] { from.OnSlice(pod_uid); });
}

void ApiServer::OnGetLease(OperatorProcess& from, MonoTime sent) {
  world_.Send(*this, from, "lease", [&from, h = lease_holder_, v = lease_version_, sent] {
    from.OnLease(false, h, v, sent, false);
  });
}

void ApiServer::OnPutLease(OperatorProcess& from, int64_t version, MonoTime sent) {
  const bool ok = version == lease_version_ || lease_holder_ == from.identity;
  if (ok) {
    lease_holder_ = from.identity;
    ++lease_version_;
  }
  world_.Send(*this, from, "lease", [&from, ok, h = lease_holder_, v = lease_version_, sent] {
    from.OnLease(ok, h, v, sent, true);
  });
}

void ApiServer::OnDropLease(OperatorProcess& from, int64_t) {
  if (lease_holder_ != from.identity) return;
  lease_holder_.clear();
  ++lease_version_;
}

}  // namespace understudy::simulation
