// Engine: the replicas of this node.
#include <spdlog/fmt/fmt.h>
#include <sys/epoll.h>

#include <algorithm>
#include <optional>

#include "common/check.h"
#include "common/log.h"
#include "common/random.h"
#include "node/persist/rdb_format.h"
#include "node/replication/engine.h"
#include "node/replication/resync_rules.h"
#include "node/role/copy_rules.h"

namespace understudy::replication {
namespace {

// Nodes remembered beyond the attached ones and the voters.
constexpr size_t kMaxPeers = 32;

}  // namespace

Result<std::string> Engine::CheckHello(const Hello& hello) {
  Identity identity;
  {
    std::lock_guard lock(published_mutex_);
    identity = identity_;
  }
  if (identity.group.empty()) return Denied("this node belongs to no group");
  if (hello.group != identity.group) {
    return Denied(fmt::format("this node belongs to group {}, not to {}", identity.group, hello.group));
  }
  if (hello.epoch > identity.epoch) {
    LOG_WARN("a node of this group ({}) knows epoch {}, this one only {}", hello.incarnation, hello.epoch,
             identity.epoch);
    return Denied(fmt::format("this node knows only epoch {}, not {}", identity.epoch, hello.epoch));
  }
  if (hello.epoch < identity.epoch) {
    return Denied(fmt::format("epoch {} is over, this node is in epoch {}", hello.epoch, identity.epoch));
  }
  if (!VerifyHello(identity.key, hello)) return Denied("the proof is not made with this epoch's replication key");
  return FormatHelloAnswer(identity.key, hello, options_.incarnation);
}

role::CopySource Engine::Source() const {
  role::CopySource source;
  switch (mode_) {
    case Mode::kUnassigned: source.role = control::Role::kUnassigned; break;
    case Mode::kPrimary: source.role = control::Role::kPrimary; break;
    case Mode::kReplica: source.role = control::Role::kReplica; break;
    case Mode::kStandalone: source.role = control::Role::kStandalone; break;
  }
  source.in_office = !demoted_ && !fenced_;
  source.complete = data_.complete;
  source.loading = data_.loading;
  source.configuration = &configuration_;
  return source;
}

void Engine::Refuse(ReplicaLink& link, std::string_view error_line, std::string_view why) {
  LOG_INFO("{} refused: {}", link.Name(), why);
  link.SendError(error_line);
}

void Engine::Attach(int fd, std::string leftover, ReplicaHandshake handshake) {
  const MonoTime now = clock_.Mono();
  auto link = std::make_unique<ReplicaLink>(fd, std::move(leftover), std::move(handshake), now);
  const ReplicaHandshake& shake = link->handshake();
  const bool own = shake.has_hello;
  if (options_.standalone) {
    if (mode_ == Mode::kReplica && !(link_ && link_->up())) {
      return Refuse(*link, "-NOMASTERLINK Can't SYNC while not connected with my master", "no link to the primary");
    }
  } else {
    if (!own) {
      return Refuse(*link,
                    "-ERR only nodes of its own group may replicate from a node that the Understudy operator "
                    "manages",
                    "it is no node of this group");
    }
    // The role may have changed since CheckHello.
    if (shake.hello.group != identity_.group || shake.hello.epoch != identity_.epoch) {
      return Refuse(*link, "-ERR the epoch has changed, introduce yourself again", "its epoch is over");
    }
    if (!role::MayServeReplication(Source(), shake.copy_only)) {
      return Refuse(*link, "-NOMASTERLINK this node is not primary, or holds no whole data set",
                    "this node can't feed replicas");
    }
    for (auto it = replicas_.begin(); it != replicas_.end();) {
      const uint64_t id = it->first;
      const bool same = it->second->handshake().hello.incarnation == shake.hello.incarnation;
      ++it;
      if (same) DropReplica(id, "it attaches anew");
    }
  }
  if (!log_.active()) {
    LOG_INFO("the first replica attaches: the backlog is kept from now on");
    log_.Activate(RandomHex(20));
  }

  ResyncDecision decision;
  if (shake.sync) {
    decision.reason = "it asks for a full copy";
  } else {
    decision = DecideResync({log_.active(), log_.first(), log_.end(), log_.history()}, shake.replid, shake.offset);
  }
  std::unique_ptr<Log::Reader> reader;
  if (decision.partial) {
    reader = log_.ReadFrom(decision.position);
    if (!reader) decision.reason = "the backlog has just moved on";
  }
  Peer* peer = own ? &peers_[shake.hello.incarnation] : nullptr;
  if (peer) peer->last_heard = now;
  if (reader) {
    LOG_INFO("{} goes on at offset {}, {} bytes behind", link->Name(), decision.position, reader->pending_bytes());
    link->StartPartial(log_.history().replid, std::move(reader));
    ++partial_syncs_;
    if (peer) peer->needs_full_copy = false;
  } else {
    if (shake.replid != "?") ++partial_refused_;
    if (!data_.complete || data_.loading) {
      return Refuse(*link, "-LOADING Redis is loading the dataset in memory", "this node is loading itself");
    }
    bool beside = false;
    if (own) {
      control::NodeRef asker;
      asker.incarnation = shake.hello.incarnation;
      switch (role::AnswerFullCopy(Source(), asker, shake.copy_only)) {
        case role::CopyAnswer::kRefuse:
          return Refuse(*link, "-NOMASTERLINK this node is not in office: it starts no full copy", "not in office");
        case role::CopyAnswer::kLeaveVotersFirst:
          peer->needs_full_copy = true;
          stale_ = change_ = true;
          return Refuse(*link, kLeaveVotersFirstError, fmt::format("a voter needs a full copy: {}", decision.reason));
        case role::CopyAnswer::kReplace: break;
        case role::CopyAnswer::kBeside: beside = true; break;
      }
      // What it acknowledged before is what it is about to drop.
      if (!beside) peer->acked = 0;
      peer->needs_full_copy = false;
    }
    LOG_INFO("{} gets a full copy: {}", link->Name(), decision.reason);
    link->WaitForCopy(beside, decision.parted_at);
  }
  const uint64_t id = next_replica_++;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
  replicas_.emplace(id, std::move(link));
  stale_ = true;
  StartWaitingCopies();
}

void Engine::OnReplicaEvent(uint64_t id, uint32_t events, MonoTime now) {
  const auto it = replicas_.find(id);
  if (it == replicas_.end()) return;
  ReplicaLink& link = *it->second;
  if (events & EPOLLOUT) {
    link.set_writable();
    UpdateRegistration(id, link);
  }
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
  const uint64_t before = link.acked();
  const bool acked_before = link.has_acked();
  const ReplicaLink::State state_before = link.state();
  const Status status = link.Read(now);
  if (link.acked() != before || link.has_acked() != acked_before || link.state() != state_before) {
    stale_ = acks_grew_ = true;
  }
  if (state_before == ReplicaLink::State::kWaitFirstAck && link.state() == ReplicaLink::State::kOnline) {
    LOG_INFO("{} has loaded its copy and is online at offset {}", link.Name(), link.acked());
  }
  if (!status.ok()) DropReplica(id, status.message());
}

void Engine::UpdateRegistration(uint64_t id, ReplicaLink& link) {
  if (link.registered_for_write == link.wants_write()) return;
  epoll_event event{};
  event.events = EPOLLIN | (link.wants_write() ? EPOLLOUT : 0u);
  event.data.u64 = id;
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_MOD, link.fd(), &event) == 0);
  link.registered_for_write = link.wants_write();
}

void Engine::DropReplica(uint64_t id, std::string_view why) {
  const auto it = replicas_.find(id);
  if (it == replicas_.end()) return;
  NoteAcks();  // what it acknowledged last
  LOG_WARN("{} dropped: {}", it->second->Name(), why);
  replicas_.erase(it);
  ++replicas_dropped_;
  stale_ = change_ = true;
}

void Engine::DropAllReplicas(std::string_view why) {
  while (!replicas_.empty()) DropReplica(replicas_.begin()->first, why);
  if (copy_) EndCopy();
}

void Engine::StartWaitingCopies() {
  if (copy_ || copy_starting_) return;
  const auto waits = [](const auto& item) { return item.second->state() == ReplicaLink::State::kWaitCopy; };
  if (std::none_of(replicas_.begin(), replicas_.end(), waits)) return;
  copy_starting_ = true;
  // Workers that began their turn before the log became active may still write without appending; the cut must
  // come after them.
  hooks_.ShareKeyspace([this] {
    Post([this] { hooks_.DrainWorkers([this] { Post([this] { StartCopy(); }); }); });
  });
}

void Engine::StartCopy() {
  copy_starting_ = false;
  receivers_.clear();
  int rdb_version = persist::kValkeyRdbVersion;
  CopyContent content;
  std::optional<FullCopy::Form> form;
  for (const auto& [id, link] : replicas_) {
    if (link->state() != ReplicaLink::State::kWaitCopy) continue;
    const ReplicaHandshake& shake = link->handshake();
    const auto needed = shake.capa_eof ? FullCopy::Form::kStreamed : FullCopy::Form::kSpooled;
    if (receivers_.empty()) {
      content = shake.content;
      form = needed;
    }
    if (shake.content != content || needed != form) continue;  // they have their turn after this copy
    receivers_.push_back(id);
    rdb_version = std::min(rdb_version, RdbVersionFor(shake.has_hello, shake.rdb_only, shake.version));
  }
  if (receivers_.empty()) return hooks_.UnshareKeyspace();  // they left meanwhile
  copy_cut_told_ = false;
  copy_ = std::make_unique<FullCopy>(keyspace_, log_, hooks_, data_.dataset, *form, receivers_.size(), rdb_version,
                                     content, settings_.spool_dir, [this] { WakeNow(); });
}

void Engine::CopyProgress() {
  if (!copy_) return;
  if (!copy_cut_told_) {
    if (const Log::Cut* cut = copy_->cut()) {
      copy_cut_told_ = true;
      for (uint64_t id : receivers_) {
        std::unique_ptr<Log::Reader> reader = copy_->TakeReader();
        if (const auto it = replicas_.find(id); it != replicas_.end()) {
          const bool streamed = it->second->handshake().capa_eof;
          it->second->StartCopy(*cut, std::move(reader), streamed ? RandomHex(20) : std::string());
          ++full_syncs_;
        }
      }
      stale_ = true;
    }
  }
  if (const Status failure = copy_->failure(); !failure.ok()) {
    const std::vector<uint64_t> receivers = receivers_;
    for (uint64_t id : receivers) {
      const auto it = replicas_.find(id);
      if (it != replicas_.end() && !it->second->copy_done()) {
        DropReplica(id, fmt::format("the full copy failed: {}", failure.message()));
      }
    }
    return EndCopy();
  }
  uint64_t lowest = UINT64_MAX;
  bool needed = false;
  for (uint64_t id : receivers_) {
    const auto it = replicas_.find(id);
    if (it == replicas_.end() || it->second->copy_done()) continue;
    needed = true;
    lowest = std::min(lowest, it->second->next_chunk());
  }
  if (!needed) return EndCopy();
  copy_->DropBefore(lowest);
}

void Engine::EndCopy() {
  copy_.reset();
  receivers_.clear();
  stale_ = true;
  hooks_.UnshareKeyspace();
  StartWaitingCopies();
}

void Engine::NoteAcks() {
  for (auto& [incarnation, peer] : peers_) peer.attached = false;
  for (const auto& [id, link] : replicas_) {
    if (!link->handshake().has_hello) continue;
    Peer& peer = peers_[link->handshake().hello.incarnation];
    const bool online = link->state() == ReplicaLink::State::kOnline;
    if (link->has_acked()) peer.acked = link->acked();
    peer.attached = true;
    peer.last_heard = link->last_read();
    const bool in_sync = online && link->has_acked() && !samples_.empty() && link->acked() >= samples_.front().offset;
    if (online != peer.online || in_sync != peer.in_sync) change_ = stale_ = true;
    peer.online = online;
    peer.in_sync = in_sync;
  }
  for (auto it = peers_.begin(); it != peers_.end();) {
    Peer& peer = it->second;
    if (!peer.attached && (peer.online || peer.in_sync)) {
      peer.online = peer.in_sync = false;
      change_ = stale_ = true;
    }
    const bool voter = std::any_of(configuration_.voters.begin(), configuration_.voters.end(),
                                   [&](const control::NodeRef& v) { return v.incarnation == it->first; });
    if (peers_.size() > kMaxPeers && !peer.attached && !voter) {
      it = peers_.erase(it);
    } else {
      ++it;
    }
  }
}

std::vector<control::ReplicaAck> Engine::Acks(MonoTime now) const {
  std::vector<control::ReplicaAck> acks;
  for (const auto& [incarnation, peer] : peers_) {
    acks.push_back({incarnation, peer.acked, peer.in_sync, peer.needs_full_copy,
                    static_cast<uint64_t>(std::max<int64_t>((now - peer.last_heard).ms(), 0))});
  }
  return acks;
}

}  // namespace understudy::replication
