#include "node/command/client_registry.h"

#include "node/net/worker.h"

namespace understudy::command {

ClientRegistry::ClientRegistry(uint32_t workers) {
  for (uint32_t i = 0; i < workers; ++i) workers_.push_back(std::make_unique<PerWorker>());
}

void ClientRegistry::Add(Session& session) {
  PerWorker& mine = *workers_[session.connection.worker().index()];
  std::lock_guard lock(mine.mutex);
  mine.sessions.emplace(session.connection.id(), &session);
}

void ClientRegistry::Remove(Session& session) {
  PerWorker& mine = *workers_[session.connection.worker().index()];
  std::lock_guard lock(mine.mutex);
  mine.sessions.erase(session.connection.id());
}

void ClientRegistry::ForEach(const std::function<void(Session&)>& visit) const {
  std::vector<std::unique_lock<std::mutex>> locks;
  std::map<uint64_t, Session*> all;
  for (const auto& worker : workers_) {
    locks.emplace_back(worker->mutex);
    all.insert(worker->sessions.begin(), worker->sessions.end());
  }
  for (const auto& [id, session] : all) visit(*session);
}

void ClientRegistry::ForEachOf(net::Worker& worker, const std::function<void(Session&)>& visit) const {
  PerWorker& mine = *workers_[worker.index()];
  std::lock_guard lock(mine.mutex);
  for (const auto& [id, session] : mine.sessions) visit(*session);
}

void ClientRegistry::Update(Session& session, const std::function<void(Session&)>& change) {
  PerWorker& mine = *workers_[session.connection.worker().index()];
  std::lock_guard lock(mine.mutex);
  change(session);
}

std::optional<uint32_t> ClientRegistry::WorkerOf(uint64_t id) const {
  for (uint32_t i = 0; i < workers_.size(); ++i) {
    std::lock_guard lock(workers_[i]->mutex);
    if (workers_[i]->sessions.contains(id)) return i;
  }
  return std::nullopt;
}

size_t ClientRegistry::size() const {
  size_t n = 0;
  for (const auto& worker : workers_) {
    std::lock_guard lock(worker->mutex);
    n += worker->sessions.size();
  }
  return n;
}

}  // namespace understudy::command
