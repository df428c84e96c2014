#include "node/server_data_path.h"

#include <utility>

namespace understudy {

role::ReplicationFacts ServerDataPath::Facts() {
  replication::ReplicationState state = server_.replication().state();
  return {.dataset = std::move(state.dataset),
          .history_id = std::move(state.replid),
          .last_record_epoch = state.last_record_epoch,
          .offset = state.offset,
          .complete = state.complete,
          .loading = state.loading,
          .keys = server_.keyspace().TotalSize(),
          .link = state.link,
          .link_silent_ms = state.link_silent_ms,
          .acks = std::move(state.acks)};
}

void ServerDataPath::BecomePrimary(const role::BecomePrimary& action, Done done) {
  server_.replication().BecomePrimary(action, std::move(done));
}

void ServerDataPath::ActUnder(const role::ActUnder& action, Done done) {
  server_.replication().ActUnder(action.configuration, std::move(done));
}

void ServerDataPath::BecomeReplica(const role::BecomeReplica& action, Done done) {
  if (action.close_clients) server_.CloseClients();
  server_.replication().BecomeReplica(action, std::move(done));
}

void ServerDataPath::BecomeStandalone(const role::BecomeStandalone& action, Done done) {
  server_.replication().BecomeStandalone(action, std::move(done));
}

void ServerDataPath::Fence(const role::Fenced&, Done done) { server_.replication().Fence(std::move(done)); }

void ServerDataPath::StopApplying(const role::StopApplying&, Done done) {
  server_.replication().StopApplying(std::move(done));
}

void ServerDataPath::Demote(const role::Demote&, Done done) {
  server_.CloseClients();
  server_.replication().Demote(std::move(done));
}

void ServerDataPath::OnLoading(bool loading) {
  // At once, here: replication must not wait for the admin thread, which opens the gate again by the facts.
  server_.gate().BlockForLoading(loading);
  plane_->OnChange();
}

}  // namespace understudy
