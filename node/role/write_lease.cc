#include "node/role/write_lease.h"

#include <algorithm>
#include <vector>

#include "common/control/quorum.h"

namespace understudy::role {

void WriteLease::Start(uint64_t epoch, const control::Configuration& configuration) {
  in_office_ = true;
  epoch_ = epoch;
  grants_.clear();
  configuration_ = configuration;
}

void WriteLease::Change(const control::Configuration& configuration) {
  configuration_ = configuration;
}

void WriteLease::Stop() {
  in_office_ = false;
  grants_.clear();
}

uint64_t WriteLease::NextRequest(MonoTime now) {
  sent_.push_back(now);
  if (sent_.size() > kRememberedRequests) sent_.pop_front();
  return ++last_seq_;
}

std::string WriteLease::Key(const control::NodeRef& voter) const {
  return rules_.on(Rule::kVoterIncarnation) ? voter.incarnation : voter.name;
}

bool WriteLease::OnOperatorGrant(uint64_t seq, uint64_t epoch) {
  return Record(kOperator, seq, epoch);
}

bool WriteLease::OnVoterGrant(const control::NodeRef& voter, uint64_t seq, uint64_t epoch) {
  const std::string key = Key(voter);
  return !key.empty() && Record(key, seq, epoch);
}

bool WriteLease::Record(const std::string& grantor, uint64_t seq, uint64_t epoch) {
  if (!in_office_ || epoch != epoch_) return false;
  if (seq > last_seq_ || seq + sent_.size() <= last_seq_) return false;
  const MonoTime sent = sent_[sent_.size() - 1 - (last_seq_ - seq)];
  if (grants_.size() >= kMaxGrantors && !grants_.contains(grantor)) {
    const auto oldest = std::min_element(
        grants_.begin(), grants_.end(),
        [](const auto& a, const auto& b) { return a.second.sent < b.second.sent; });
    grants_.erase(oldest);
  }
  const auto [it, added] = grants_.try_emplace(grantor, Given{sent, configuration_.lease_ms});
  const Given given{sent, configuration_.lease_ms};
  if (!added && Expiry(given) > Expiry(it->second)) it->second = given;
  return true;
}

MonoTime WriteLease::Expiry(const Given& given) const {
  const uint32_t lease_ms = rules_.on(Rule::kClamp) ? configuration_.lease_ms : given.lease_ms;
  return given.sent + Milliseconds(lease_ms);
}

MonoTime WriteLease::HeldUntil() const {
  if (!in_office_) return {};
  const size_t needed = control::GrantsNeeded(configuration_.voters.size());
  if (needed == 0) return kForever;
  std::vector<MonoTime> until;
  const auto add = [&](const std::string& key) {
    if (const auto it = grants_.find(key); it != grants_.end()) until.push_back(Expiry(it->second));
  };
  add(kOperator);
  for (const control::NodeRef& voter : configuration_.voters) add(Key(voter));
  if (until.size() < needed) return {};
  // It ends when the needed-th longest of the grants ends.
  std::nth_element(until.begin(), until.begin() + (needed - 1), until.end(), std::greater<>());
  return until[needed - 1];
}

}  // namespace understudy::role
