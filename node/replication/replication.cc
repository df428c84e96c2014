#include "node/replication/replication.h"

#include <algorithm>

#include "common/random.h"
#include "node/replication/engine.h"
#include "node/replication/log.h"

namespace understudy::replication {

Replication::Replication(Options options, store::Keyspace& keyspace, ApplySink& sink, Hooks& hooks, const Clock& clock)
    : log_(std::make_unique<Log>(RandomHex(20), std::max<uint64_t>(options.settings.backlog_bytes, Log::kBlockBytes))),
      engine_(std::make_unique<Engine>(std::move(options), keyspace, sink, hooks, clock, *log_)) {}

Replication::~Replication() { Stop(); }

Status Replication::Start() { return engine_->Start(); }
void Replication::Stop() { engine_->Stop(); }

uint64_t Replication::Append(std::span<const Record> records) { return log_->Append(records); }
void Replication::Wake() { engine_->Wake(); }
bool Replication::active() const { return log_->active(); }
size_t Replication::HeldBytes() const { return log_->allocated_bytes(); }
uint64_t Replication::offset() const { return log_->end(); }
uint64_t Replication::SyncOffset() const { return engine_->SyncOffset(); }
size_t Replication::CountAcked(uint64_t offset) const { return engine_->CountAcked(offset); }
void Replication::RequestAcks() { engine_->RequestAcks(); }
Result<std::string> Replication::CheckHello(const Hello& hello) { return engine_->CheckHello(hello); }
ReplicationState Replication::state() const { return engine_->state(); }

void Replication::AdoptReplica(int fd, std::string leftover, ReplicaHandshake handshake) {
  engine_->Post(
      [engine = engine_.get(), fd, leftover = std::move(leftover), handshake = std::move(handshake)]() mutable {
        engine->Attach(fd, std::move(leftover), std::move(handshake));
      });
}

void Replication::BecomePrimary(role::BecomePrimary order, Done done) {
  engine_->Post([engine = engine_.get(), order = std::move(order), done = std::move(done)]() mutable {
    engine->BecomePrimary(std::move(order), std::move(done));
  });
}

void Replication::ActUnder(control::Configuration configuration, Done done) {
  engine_->Post([engine = engine_.get(), configuration = std::move(configuration), done = std::move(done)]() mutable {
    engine->ActUnder(std::move(configuration), std::move(done));
  });
}

void Replication::BecomeReplica(role::BecomeReplica order, Done done) {
  engine_->Post([engine = engine_.get(), order = std::move(order), done = std::move(done)]() mutable {
    engine->BecomeReplica(std::move(order), std::move(done));
  });
}

void Replication::StopApplying(Done done) {
  engine_->Post([engine = engine_.get(), done = std::move(done)]() mutable { engine->StopApplying(std::move(done)); });
}

void Replication::Demote(Done done) {
  engine_->Post([engine = engine_.get(), done = std::move(done)]() mutable { engine->Demote(std::move(done)); });
}

void Replication::Fence(Done done) {
  engine_->Post([engine = engine_.get(), done = std::move(done)]() mutable { engine->Fence(std::move(done)); });
}

void Replication::BecomeStandalone(role::BecomeStandalone order, Done done) {
  engine_->Post([engine = engine_.get(), order = std::move(order), done = std::move(done)]() mutable {
    engine->BecomeStandalone(std::move(order), std::move(done));
  });
}

void Replication::FollowForeign(std::string ip, uint16_t port, Done done) {
  engine_->Post([engine = engine_.get(), ip = std::move(ip), port, done = std::move(done)]() mutable {
    engine->FollowForeign(std::move(ip), port, std::move(done));
  });
}

void Replication::FollowNobody(Done done) {
  engine_->Post([engine = engine_.get(), done = std::move(done)]() mutable { engine->FollowNobody(std::move(done)); });
}

void Replication::CloseReplicas() {
  engine_->Post([engine = engine_.get()] { engine->CloseReplicas(); });
}

void Replication::CloseLink() {
  engine_->Post([engine = engine_.get()] { engine->CloseLink(); });
}

void Replication::Configure(Settings settings) {
  engine_->Post([engine = engine_.get(), settings = std::move(settings)]() mutable {
    engine->Configure(std::move(settings));
  });
}

}  // namespace understudy::replication
