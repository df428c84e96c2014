// The cache node: builds all parts, gives each what it needs of the others, and starts them in order.
//
// Order of start: keyspace, replication, workers (their listeners last), so that nothing is served before it
// can be. There is no order of stop: the process ends at once and the kernel closes everything, listeners to
// the end (FAILOVER.md section 4: a listener that is gone means a process that is gone). The destructor, which
// tests use, stops the workers, then replication.
//
// --standalone: this class itself decides the role (REPLICAOF). Under the operator the role machine does; it
// gets the news of replication through RoleEvents and publishes to gate().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/result.h"
#include "node/command/apply_sink.h"
#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/command/saver.h"
#include "node/command/shutdown.h"
#include "node/command/table.h"
#include "node/config/config.h"
#include "node/net/worker.h"
#include "node/pubsub/channels.h"
#include "node/replication/replication.h"
#include "node/role/role_gate.h"
#include "node/script/scripts.h"
#include "node/store/keyspace.h"

namespace understudy::metrics {
class Writer;
}

namespace understudy {

// What the role machine wants to hear of replication; the meanings are those of replication::Hooks.
class RoleEvents {
 public:
  virtual ~RoleEvents() = default;
  // On the replication thread. From the return of OnLoading(true) on the gate must refuse data commands.
  virtual void OnLoading(bool loading) = 0;
  // On the replication thread: worth a heartbeat.
  virtual void OnChange() = 0;
};

class Server final : public replication::Hooks {
 public:
  // config: loaded; must outlive this object, as clock must. incarnation: of this process. exit: ends the process, for
  // SHUTDOWN and Shutdown::Begin.
  Server(config::Config& config, const Clock& clock, std::string incarnation, std::function<void()> exit);
  ~Server() override;

  // Before Start; without it (and with --standalone) the server is its own role machine.
  void set_role_events(RoleEvents* events) { role_events_ = events; }
  // Binds, then starts the threads. An error is one sentence. If there is a file to load (--standalone), data commands
  // are answered -LOADING until Load is done.
  Status Start();
  // After Start, once: loads it, and follows the primary of the option replicaof. done: on any thread; at once if there
  // is nothing to load. An error means that the data can't be served.
  void Load(std::function<void(Status)> done);
  // The port that is served: config.port, or the one that the kernel chose for port 0.
  uint16_t port() const { return port_; }

  // ---- For the role machine and the admin port; any thread unless the part itself says otherwise -----------
  role::RoleGate& gate() { return gate_; }
  store::Keyspace& keyspace() { return *keyspace_; }
  replication::Replication& replication() { return *replication_; }
  command::Dispatcher& dispatcher() { return *dispatcher_; }
  const std::string& incarnation() const { return incarnation_; }
  // The node left the primary role, and the gate says so: what is queued is answered -READONLY, clients are
  // closed.
  void CloseClients() { dispatcher_->CloseAllClients(); }
  // A pause of the gate ended, or its end moved.
  void WakePausedClients() { dispatcher_->WakePaused(); }
  command::Saver& saver() { return *saver_; }
  command::Shutdown& shutdown() { return *shutdown_; }
  // What /metrics shows of memory. Any thread, after Start.
  void CollectMetrics(metrics::Writer& writer) const;
  // Runs on each worker; `done` (on the last worker) after all did.
  void PostToAllWorkers(std::function<void(net::Worker&)> task, std::function<void()> done);
  // Workers that have not ended a turn for this long make the node unfit; the longest of all workers.
  Duration LongestTurn() const;

  // ---- replication::Hooks
  std::vector<std::string> Functions() override;
  Status ReplaceFunctions(const std::vector<std::string>& codes) override;
  void DrainWorkers(std::function<void()> done) override;
  void ShareKeyspace(std::function<void()> done) override;
  void UnshareKeyspace() override;
  void OnLoading(bool loading) override;
  void OnChange() override;
  bool InOffice() override { return gate_.InOffice(clock_.Mono()); }
  void OnAcks() override;
  void OnFigures() override;
  void OnReplicaOf(bool replica) override;

 private:
  Status OpenListeners(uint32_t workers, std::vector<std::vector<int>>* listeners);
  void RaiseFileLimit();
  void ApplySettings();
  void PublishStandalone();

  config::Config& config_;
  const Clock& clock_;
  const std::string incarnation_;
  uint16_t port_ = 0;
  RoleEvents* role_events_ = nullptr;

  command::Table table_;
  role::RoleGate gate_;
  std::unique_ptr<store::Keyspace> keyspace_;
  command::ApplySink sink_;
  std::unique_ptr<replication::Replication> replication_;
  std::unique_ptr<command::Dispatcher> dispatcher_;
  std::unique_ptr<pubsub::Channels> channels_;
  std::unique_ptr<script::Scripts> scripts_;
  std::unique_ptr<command::Saver> saver_;
  std::unique_ptr<command::Shutdown> shutdown_;
  std::unique_ptr<command::Services> services_;
  bool loads_ = false;  // there is a file
  std::vector<std::unique_ptr<net::Worker>> workers_;

  // --standalone only: what was last published. Replication thread.
  bool is_replica_ = false;
  bool is_loading_ = false;
  bool has_enough_replicas_ = true;
  bool is_stale_ = false;
  uint64_t generation_ = 1;
};

// loglevel in the words of common/log.h.
std::string_view LogLevelOf(const config::Config& config);

// All families, in the order of COMMAND.
command::Table BuildCommandTable();

}  // namespace understudy
