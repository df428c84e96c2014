// The node's admin port and everything behind it: probes, metrics, status, the operator's control
// channels, peer channels, lifelines, and the role machine that they feed.
//
// One thread of its own (the admin thread), so that a busy or copying data path never looks dead.
// Bind() takes the port before anything else of the node starts: it is the lock that one process
// per Pod holds. The port and the lifelines stay open until the process ends; the destructor is for
// tests.
//
//   ControlPlane plane(options, clock, data_path, incarnation);
//   Status s = plane.Bind();            // first of all
//   ... start the data path ...
//   plane.Start();
//   on SIGTERM: plane.Terminate([] { _exit(0); });
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "common/clock.h"
#include "common/control/messages.h"
#include "common/http_server.h"
#include "common/metrics.h"
#include "common/result.h"
#include "node/control/conductor.h"
#include "node/control/data_path.h"
#include "node/control/lifeline.h"
#include "node/control/operator_channel.h"
#include "node/control/peer_channel.h"

namespace understudy::control {

class ControlPlane {
 public:
  struct Options {
    std::string address;                               // to listen on; empty = all
    uint16_t admin_port = 8379;                        // --admin-port; also that of the other nodes
    std::string operator_key_dir = "/etc/understudy";  // --operator-key-dir
    std::string termination_log = "/dev/termination-log";  // --termination-log; empty = none
    std::string pod_uid;                                   // POD_UID
    std::string pod_name;                                  // HOSTNAME; for logs of others
  };

  // All must outlive this object. registry: what /metrics shows; this object adds its own, so the
  // registry is not to be read after it.
  ControlPlane(Options options, const Clock& clock, DataPath& data_path, Incarnation incarnation,
               metrics::Registry& registry);
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  // Takes the port and writes the incarnation to the termination log.
  Status Bind();
  // Starts the admin thread: answers from now on.
  void Start();
  uint16_t port() const { return server_.port(); }

  // Any thread. News of the data path: worth a heartbeat.
  void OnChange();
  // Any thread. `may_exit` is called on the admin thread when no switchover is waited for.
  void Terminate(std::function<void()> may_exit);

 private:
  Status WriteTerminationLog();
  void Routes();
  void Beat();
  void BeatSoon();
  void ScheduleBeat();
  void ScheduleAsk();
  void Watch();
  void WatchSilence();
  void OnRole();
  http::Response Ready();
  void Collect(metrics::Writer& writer);

  const Options options_;
  const Clock& clock_;
  DataPath& data_path_;
  metrics::Registry& registry_;

  boost::asio::io_context io_{1};
  Conductor conductor_;
  OperatorChannels operators_;
  PeerServer peers_;
  PeerClient peer_client_;
  LifelineServer lifelines_;
  LifelineClient lifeline_client_;
  http::Server server_;
  boost::asio::steady_timer beat_timer_, soon_timer_, ask_timer_, watch_timer_, silence_timer_;
  bool beat_soon_ = false;
  bool silence_told_ = false;  // the primary's present silence was told in a heartbeat
  bool unfit_ = false;
  MonoTime last_beat_;
  std::thread thread_;
};

}  // namespace understudy::control
