// The replication thread: one epoll loop over the replicas, the link to the primary, and tasks from others.
//
//   turn = tasks, events, sending, timers, news        (engine.cc)
//   replicas: attach, copies, acknowledgements         (engine_replicas.cc)
//   roles: a queue of orders, each carried out whole   (engine_roles.cc)
//
// Sending is not triggered by each append: workers call Wake() at the end of their turn, which costs a system
// call only if this thread sleeps. Under load it waits for a moment after each sending, without being woken by appends
// meanwhile, so that what many turns append is sent at once; not where clients wait for acknowledgements.
// Members without a remark belong to the replication thread.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "node/replication/full_copy.h"
#include "node/replication/log.h"
#include "node/replication/primary_link.h"
#include "node/replication/replica_link.h"
#include "node/replication/replication.h"

namespace understudy::replication {

class Engine {
 public:
  using Done = Replication::Done;

  Engine(Replication::Options options, store::Keyspace& keyspace, ApplySink& sink, Hooks& hooks, const Clock& clock,
         Log& log);
  ~Engine();
  Status Start();
  void Stop();

  // Any thread. See Replication::Wake.
  void Wake();
  void Post(std::function<void()> task);
  uint64_t SyncOffset() const { return sync_offset_.load(std::memory_order_acquire); }
  size_t CountAcked(uint64_t offset) const;
  void RequestAcks();
  Result<std::string> CheckHello(const Hello& hello);
  ReplicationState state() const;

  // Post these.
  void Attach(int fd, std::string leftover, ReplicaHandshake handshake);
  void Configure(Settings settings);
  void BecomePrimary(role::BecomePrimary order, Done done);
  void ActUnder(control::Configuration configuration, Done done);
  void BecomeReplica(role::BecomeReplica order, Done done);
  void StopApplying(Done done);
  void Demote(Done done);
  void Fence(Done done);
  void BecomeStandalone(role::BecomeStandalone order, Done done);
  void FollowForeign(std::string ip, uint16_t port, Done done);
  void FollowNobody(Done done);
  void CloseReplicas() { DropAllReplicas("CLIENT KILL"); }
  void CloseLink() {
    if (link_) link_->Reopen("CLIENT KILL", clock_.Mono());
  }

 private:
  // An order on its way: first the hooks, then `run`.
  struct Operation {
    std::string name;
    std::function<void()> before;   // may be empty
    bool share_keyspace = false;
    bool drain_if_writable = false;  // workers may be appending
    bool drain = false;              // workers may be reading what is to be dropped
    std::function<Status()> run;
    Done done;
  };
  // A voter's (or other own node's) acknowledgements in this office, kept when its link breaks: a process does
  // not lose what it has.
  struct Peer {
    uint64_t acked = 0;
    bool attached = false;
    bool online = false;
    bool in_sync = false;
    bool needs_full_copy = false;
    MonoTime last_heard;
  };
  struct OffsetSample {
    MonoTime at;
    uint64_t offset;
  };

  // engine.cc
  void Run();
  void Turn();
  int SleepMs(MonoTime now) const;
  // How long the stream's next bytes may still gather; 0: they are sent at once.
  Duration GatherLeft(MonoTime now) const;
  int WaitForEvents(int sleep_ms, Duration gather, std::span<epoll_event> events);
  // The same for what must not wait for bytes to gather.
  void WakeNow();
  void WriteWakeFd();
  void RunTasks();
  // stream: also what was appended to the log, not only copies and answers.
  void SendAll(MonoTime now, bool stream);
  bool AnythingToSend(bool stream) const;
  void Tick(MonoTime now);
  void UpdateSyncOffset();
  void TellNews(MonoTime now);
  void Publish(MonoTime now);

  // engine_replicas.cc
  void Refuse(ReplicaLink& link, std::string_view error_line, std::string_view why);
  void OnReplicaEvent(uint64_t id, uint32_t events, MonoTime now);
  void UpdateRegistration(uint64_t id, ReplicaLink& link);
  void DropReplica(uint64_t id, std::string_view why);
  void DropAllReplicas(std::string_view why);
  void StartWaitingCopies();
  void StartCopy();
  void CopyProgress();
  void EndCopy();
  void NoteAcks();
  role::CopySource Source() const;
  std::vector<control::ReplicaAck> Acks(MonoTime now) const;

  // engine_roles.cc
  void Enqueue(Operation operation);
  void RunOperations();
  void DrainOperation();
  void FinishOperation();
  void EndLink();
  void EmptyKeyspace();
  void StartEmpty(const std::string& dataset);
  void SetConfiguration(const control::Configuration& configuration);
  Status TakeOffice(const role::BecomePrimary& order);
  void StandAlone(bool start_empty, const std::string& dataset);
  void Follow(PrimaryLink::Target target);
  void RefuseWaitingCopies(std::string_view why);
  PrimaryLink::Parts LinkParts();
  void SetIdentity(Mode mode, const std::string& group, uint64_t epoch, const std::string& key);

  static constexpr uint64_t kWakeTag = 0;
  static constexpr uint64_t kPrimaryTag = 1;
  static constexpr uint64_t kFirstReplicaTag = 16;

  const Replication::Options options_;
  store::Keyspace& keyspace_;
  ApplySink& sink_;
  Hooks& hooks_;
  const Clock& clock_;
  Log& log_;
  Settings settings_;

  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> waiting_{false};   // in WaitForEvents
  std::atomic<bool> sleeping_{false};  // there, until something is appended
  std::atomic<bool> acks_requested_{false};
  int epoll_ = -1;
  int wake_fd_ = -1;

  std::mutex tasks_mutex_;
  std::vector<std::function<void()>> tasks_;  // tasks_mutex_

  // Role.
  std::deque<Operation> operations_;
  bool operation_running_ = false;   // the first one waits for a hook
  Mode mode_ = Mode::kUnassigned;
  bool demoted_ = false;
  bool fenced_ = false;
  bool stopped_applying_ = false;
  bool keyspace_shared_ = false;     // for the applier
  control::Configuration configuration_;
  uint64_t configuration_acked_ = 0;
  uint64_t configuration_mark_ = 0;  // end of the log when it came into force
  DataState data_;
  std::unique_ptr<PrimaryLink> link_;
  std::thread disposer_;

  // Replicas.
  std::map<uint64_t, std::unique_ptr<ReplicaLink>> replicas_;
  uint64_t next_replica_ = kFirstReplicaTag;
  std::unique_ptr<FullCopy> copy_;
  std::vector<uint64_t> receivers_;  // of copy_
  bool copy_starting_ = false;       // the keyspace is being shared for it
  bool copy_cut_told_ = false;
  std::map<control::Incarnation, Peer> peers_;
  std::deque<OffsetSample> samples_;  // of the log's end, for "in sync"
  MonoTime next_tick_, next_ping_, no_replicas_since_;
  MonoTime stream_sent_;  // the last time
  bool stale_ = false;   // the published state is no longer right
  bool acks_grew_ = false;      // worth Hooks::OnAcks
  bool change_ = false;    // worth Hooks::OnChange
  uint64_t full_syncs_ = 0, partial_syncs_ = 0, partial_refused_ = 0, replicas_dropped_ = 0;
  uint64_t stream_sends_ = 0;

  std::atomic<uint64_t> sync_offset_{UINT64_MAX};

  struct Identity {
    std::string group;
    uint64_t epoch = 0;
    std::string key;
  };
  mutable std::mutex published_mutex_;
  Identity identity_;                 // published_mutex_; written by the replication thread
  ReplicationState published_;        // published_mutex_
  MonoTime link_last_read_, link_down_since_;  // published_mutex_
  std::vector<MonoTime> replica_last_ack_;     // published_mutex_; of published_.replicas
  std::vector<MonoTime> ack_last_heard_;       // published_mutex_; of published_.acks
  std::vector<uint64_t> acked_;       // published_mutex_: of all attached replicas that acknowledged anything
};

}  // namespace understudy::replication
