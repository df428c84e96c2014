// Engine: role changes, one at a time and in order.
#include <spdlog/fmt/fmt.h>

#include "common/check.h"
#include "common/log.h"
#include "common/random.h"
#include "node/replication/engine.h"
#include "node/store/shard_guard.h"

namespace understudy::replication {

void Engine::Enqueue(Operation operation) { operations_.push_back(std::move(operation)); }

void Engine::RunOperations() {
  while (!operation_running_ && !operations_.empty()) {
    operation_running_ = true;
    Operation& operation = operations_.front();
    if (operation.before) operation.before();
    if (operation.share_keyspace && !keyspace_shared_) {
      hooks_.ShareKeyspace([this] {
        Post([this] {
          keyspace_shared_ = true;
          DrainOperation();
        });
      });
    } else {
      DrainOperation();
    }
  }
}

void Engine::DrainOperation() {
  const Operation& operation = operations_.front();
  if (operation.drain || (operation.drain_if_writable && log_.writable())) {
    hooks_.DrainWorkers([this] { Post([this] { FinishOperation(); }); });
  } else {
    FinishOperation();
  }
}

void Engine::FinishOperation() {
  Operation operation = std::move(operations_.front());
  operations_.pop_front();
  const Status status = operation.run();
  if (!status.ok()) LOG_WARN("{} refused: {}", operation.name, status.message());
  if (mode_ != Mode::kReplica && keyspace_shared_) {
    hooks_.UnshareKeyspace();
    keyspace_shared_ = false;
  }
  UpdateSyncOffset();
  Publish(clock_.Mono());  // final before anybody is told
  operation_running_ = false;
  if (operation.done) operation.done(status);
}

void Engine::SetIdentity(Mode mode, const std::string& group, uint64_t epoch, const std::string& key) {
  mode_ = mode;
  std::lock_guard lock(published_mutex_);
  identity_ = Identity{group, epoch, key};
}

void Engine::EndLink() { link_.reset(); }

void Engine::EmptyKeyspace() {
  store::AllShardsGuard guard(keyspace_);
  keyspace_.FlushAll();
}

// What follows belongs to nobody's history: a new id, counted from 0.
void Engine::StartEmpty(const std::string& dataset) {
  EmptyKeyspace();
  if (log_.writable()) log_.SetWritable(false);
  log_.Reset(History{RandomHex(20), {}, 0}, 0, 0);
  data_.dataset = dataset;
  data_.complete = true;
  data_.follows_log = true;
}

void Engine::SetConfiguration(const control::Configuration& configuration) {
  configuration_ = configuration;
  configuration_mark_ = log_.end();
  stale_ = true;
}

Status Engine::TakeOffice(const role::BecomePrimary& order) {
  if (!order.start_empty && !data_.complete) {
    return Conflict(fmt::format("epoch {}: this node holds no whole data set to be primary of", order.epoch));
  }
  const bool was_loading = !data_.complete || data_.loading;
  EndLink();
  DropAllReplicas("the primary opens another epoch");
  if (order.start_empty) {
    StartEmpty(order.dataset);
  } else {
    log_.StartHistory(RandomHex(20));
    data_.follows_log = true;
  }
  log_.SetWritable(true);
  log_.AppendEpochRecord(order.epoch);
  peers_.clear();
  samples_.clear();
  demoted_ = fenced_ = stopped_applying_ = false;
  data_.needs_full_copy = false;
  SetIdentity(Mode::kPrimary, order.group, order.epoch, order.replication_key);
  SetConfiguration(order.configuration);
  if (was_loading) hooks_.OnLoading(false);
  LOG_INFO("primary of epoch {}: history {} from offset {}", order.epoch, log_.history().replid, log_.end());
  return {};
}

void Engine::BecomePrimary(role::BecomePrimary order, Done done) {
  Operation operation;
  operation.name = fmt::format("primary role of epoch {}", order.epoch);
  operation.share_keyspace = operation.drain = order.start_empty;
  if (order.start_empty) operation.before = [this] { hooks_.OnLoading(true); };
  operation.run = [this, order = std::move(order)] {
    const Status status = TakeOffice(order);
    if (order.start_empty) hooks_.OnLoading(!data_.complete);
    return status;
  };
  operation.done = std::move(done);
  Enqueue(std::move(operation));
}

void Engine::ActUnder(control::Configuration configuration, Done done) {
  Operation operation;
  operation.name = fmt::format("configuration {}", configuration.number);
  operation.run = [this, configuration = std::move(configuration)]() -> Status {
    if (mode_ != Mode::kPrimary) return Conflict("this node is not primary");
    SetConfiguration(configuration);
    return {};
  };
  operation.done = std::move(done);
  Enqueue(std::move(operation));
}

PrimaryLink::Parts Engine::LinkParts() {
  return {
      .log = log_,
      .keyspace = keyspace_,
      .sink = sink_,
      .hooks = hooks_,
      .clock = clock_,
      .settings = settings_,
      .data = data_,
      .epoll = epoll_,
      .epoll_tag = kPrimaryTag,
      .incarnation = options_.incarnation,
      .listening_port = options_.listening_port,
      .version = options_.version,
      .post = [this](std::function<void()> task) { Post(std::move(task)); },
      .changed = [this] { stale_ = change_ = true; },
      .drop_replicas = [this](std::string_view why) { DropAllReplicas(why); },
      .dispose =
          [this](std::unique_ptr<store::Keyspace> keyspace) {
            if (disposer_.joinable()) disposer_.join();
            disposer_ = std::thread([keyspace = std::move(keyspace)]() mutable { keyspace.reset(); });
          },
  };
}

void Engine::Follow(PrimaryLink::Target target) {
  const MonoTime now = clock_.Mono();
  log_.SetWritable(false);
  demoted_ = fenced_ = false;
  configuration_ = {};
  peers_.clear();
  if (mode_ == Mode::kReplica && link_ && link_->target().incarnation == target.incarnation &&
      link_->target().address == target.address && link_->target().port == target.port &&
      link_->target().copy_only == target.copy_only) {
    link_->AllowLoading();
    link_->Retarget(std::move(target), now);
    return;
  }
  EndLink();
  DropAllReplicas("this node follows another primary");
  stopped_applying_ = false;
  LOG_INFO("follows {}:{} from offset {} (history {})", target.address, target.port, log_.end(), log_.history().replid);
  link_ = std::make_unique<PrimaryLink>(LinkParts(), std::move(target), now);
}

void Engine::BecomeReplica(role::BecomeReplica order, Done done) {
  Operation operation;
  operation.name = fmt::format("replica role of epoch {}", order.epoch);
  operation.share_keyspace = true;
  operation.drain_if_writable = true;
  operation.drain = order.drop_data;
  if (order.drop_data) operation.before = [this] { hooks_.OnLoading(true); };
  operation.run = [this, order = std::move(order)]() -> Status {
    if (order.drop_data) {
      EndLink();
      DropAllReplicas("this node drops its data");
      log_.SetWritable(false);
      StartEmpty("");
      data_.complete = data_.follows_log = false;
    }
    PrimaryLink::Target target;
    target.address = order.primary.address;
    target.port = options_.primary_port;
    target.own = true;
    target.group = order.group;
    target.epoch = order.copy_only ? order.copy_epoch : order.epoch;
    target.incarnation = order.primary.incarnation;
    target.key = order.replication_key;
    target.copy_only = order.copy_only;
    Follow(std::move(target));
    SetIdentity(Mode::kReplica, order.group, order.epoch, order.replication_key);
    return {};
  };
  operation.done = std::move(done);
  Enqueue(std::move(operation));
}

void Engine::StopApplying(Done done) {
  Operation operation;
  operation.name = "offset question";
  operation.run = [this]() -> Status {
    EndLink();
    stopped_applying_ = true;
    LOG_INFO("stops applying at offset {}", log_.end());
    return {};
  };
  operation.done = std::move(done);
  Enqueue(std::move(operation));
}

void Engine::RefuseWaitingCopies(std::string_view why) {
  std::vector<uint64_t> waiting;
  for (const auto& [id, link] : replicas_) {
    if (link->state() == ReplicaLink::State::kWaitCopy) waiting.push_back(id);
  }
  for (uint64_t id : waiting) DropReplica(id, why);
}

void Engine::Demote(Done done) {
  Operation operation;
  operation.name = "demotion";
  operation.drain_if_writable = true;
  operation.run = [this]() -> Status {
    log_.SetWritable(false);
    demoted_ = true;
    RefuseWaitingCopies("this node is no longer in office");
    LOG_INFO("demoted: the last offset is {}", log_.end());
    return {};
  };
  operation.done = std::move(done);
  Enqueue(std::move(operation));
}

void Engine::Fence(Done done) {
  Operation operation;
  operation.name = "fence";
  operation.run = [this]() -> Status {
    fenced_ = true;
    if (link_) link_->ForbidLoading();
    RefuseWaitingCopies("this node knows a higher epoch");
    return {};
  };
  operation.done = std::move(done);
  Enqueue(std::move(operation));
}

void Engine::StandAlone(bool start_empty, const std::string& dataset) {
  EndLink();
  DropAllReplicas("this node stands alone now");
  if (start_empty) {
    StartEmpty(dataset);
  } else {
    log_.StartHistory(RandomHex(20));
    data_.follows_log = true;
    if (!dataset.empty()) data_.dataset = dataset;
  }
  log_.SetWritable(true);
  peers_.clear();
  configuration_ = {};
  demoted_ = fenced_ = stopped_applying_ = false;
  data_.needs_full_copy = false;
}

void Engine::BecomeStandalone(role::BecomeStandalone order, Done done) {
  Operation operation;
  operation.name = "standalone role";
  operation.share_keyspace = operation.drain = order.start_empty;
  if (order.start_empty) operation.before = [this] { hooks_.OnLoading(true); };
  operation.run = [this, order = std::move(order)]() -> Status {
    if (!order.start_empty && !data_.complete) return Conflict("this node holds no whole data set to stand alone with");
    StandAlone(order.start_empty, order.dataset);
    SetIdentity(Mode::kStandalone, order.group, order.epoch, "");
    hooks_.OnLoading(false);
    LOG_INFO("stands alone: history {} from offset {}", log_.history().replid, log_.end());
    return {};
  };
  operation.done = std::move(done);
  Enqueue(std::move(operation));
}

void Engine::FollowForeign(std::string ip, uint16_t port, Done done) {
  Operation operation;
  operation.name = "REPLICAOF";
  operation.before = [this] { hooks_.OnReplicaOf(true); };
  operation.share_keyspace = true;
  operation.drain_if_writable = true;
  operation.run = [this, ip = std::move(ip), port]() -> Status {
    if (!log_.active()) {
      // Writes that were not counted are in the data: it follows no log.
      log_.Activate(RandomHex(20));
      data_.follows_log = false;
    }
    PrimaryLink::Target target;
    target.address = ip;
    target.port = port;
    Follow(std::move(target));
    SetIdentity(Mode::kReplica, "", 0, "");
    return {};
  };
  operation.done = std::move(done);
  Enqueue(std::move(operation));
}

void Engine::FollowNobody(Done done) {
  Operation operation;
  operation.name = "REPLICAOF NO ONE";
  operation.run = [this]() -> Status {
    if (mode_ == Mode::kReplica) {
      // A half that was loaded is nobody's data.
      StandAlone(!data_.complete, data_.complete ? "" : RandomHex(16));
      SetIdentity(Mode::kStandalone, "", 0, "");
      hooks_.OnLoading(false);
      LOG_INFO("stands alone: history {} from offset {}", log_.history().replid, log_.end());
    }
    hooks_.OnReplicaOf(false);
    return {};
  };
  operation.done = std::move(done);
  Enqueue(std::move(operation));
}

}  // namespace understudy::replication
