#include "node/role/copy_rules.h"

#include <algorithm>
#include <vector>

#include "common/check.h"

namespace understudy::role {
namespace {

bool IsVoter(const control::Configuration& configuration, const control::Incarnation& incarnation) {
  return std::any_of(
      configuration.voters.begin(), configuration.voters.end(),
      [&](const control::NodeRef& voter) { return voter.incarnation == incarnation; });
}

bool Counts(const control::Configuration& configuration, const control::ReplicaAck& ack,
            RuleSet rules) {
  return !rules.on(Rule::kSyncVoters) || IsVoter(configuration, ack.incarnation);
}

}  // namespace

bool MayServeReplication(const CopySource& source, bool copy_only) {
  if (!source.complete || source.loading) return false;
  return source.role == control::Role::kPrimary ||
         (copy_only && source.role == control::Role::kReplica);
}

CopyAnswer AnswerFullCopy(const CopySource& source, const control::NodeRef& asker, bool copy_only,
                          RuleSet rules) {
  if (!MayServeReplication(source, copy_only)) return CopyAnswer::kRefuse;
  // A copy-only order comes from the operator, which chose this source after an election.
  if (copy_only) return CopyAnswer::kReplace;
  // A demoted primary may finish what was begun, but whoever dropped its data for its sake would
  // lose both.
  if (!source.in_office)
    return rules.on(Rule::kFullCopyInOffice) ? CopyAnswer::kRefuse : CopyAnswer::kReplace;
  CHECK(source.configuration != nullptr);
  const control::Configuration& configuration = *source.configuration;
  if (!rules.on(Rule::kComplete) || configuration.synchronous_replicas == 0 ||
      !IsVoter(configuration, asker.incarnation))
    return CopyAnswer::kReplace;
  return configuration.voters.size() > configuration.synchronous_replicas
             ? CopyAnswer::kLeaveVotersFirst
             : CopyAnswer::kBeside;
}

bool MayStartLoading(uint64_t epoch, uint64_t role_epoch, RuleSet rules) {
  return epoch <= role_epoch || !rules.on(Rule::kFullCopyInOffice);
}

uint32_t CountAcked(std::span<const control::ReplicaAck> acks,
                    const control::Configuration& configuration, uint64_t offset, RuleSet rules) {
  return static_cast<uint32_t>(
      std::count_if(acks.begin(), acks.end(), [&](const control::ReplicaAck& ack) {
        return ack.offset >= offset && Counts(configuration, ack, rules);
      }));
}

uint64_t SyncOffset(std::span<const control::ReplicaAck> acks,
                    const control::Configuration& configuration, RuleSet rules) {
  const size_t needed = configuration.synchronous_replicas;
  if (needed == 0) return UINT64_MAX;
  std::vector<uint64_t> offsets;
  for (const control::ReplicaAck& ack : acks)
    if (Counts(configuration, ack, rules)) offsets.push_back(ack.offset);
  if (offsets.size() < needed) return 0;
  std::nth_element(offsets.begin(), offsets.begin() + static_cast<ptrdiff_t>(needed - 1),
                   offsets.end(), std::greater<>());
  return offsets[needed - 1];
}

}  // namespace understudy::role
