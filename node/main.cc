// understudy-node: the program. Reads options, starts the server, waits for the signal that ends it.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/exit_code.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/random.h"
#include "node/config/config.h"
#include "node/config/declaration.h"
#include "node/control/control_plane.h"
#include "node/server.h"
#include "node/server_data_path.h"

// jemalloc reads it at start: pages that are no longer used go back to the system without an allocation's help.
extern "C" const char* malloc_conf;
const char* malloc_conf = "background_thread:true";

namespace {

// Test suites of other servers look for these words in the output (docs: valkey's tests/support/server.tcl).
void AnnounceStart() {
  std::printf("understudy-node %s PID: %d Server initialized\n", std::string(understudy::config::kServerVersion).c_str(),
              getpid());
  std::fflush(stdout);
}
void AnnounceService(uint16_t port) {
  std::printf("Ready to accept connections tcp, port %d\n", port);
  std::fflush(stdout);
}

understudy::Status WritePid(const std::string& path) {
  std::ofstream file(path);
  file << getpid() << "\n";
  file.close();
  if (file) return {};
  return understudy::Unavailable("can't write '" + path + "' (option pidfile)");
}

// The operator quotes this line (docs/conditions.md).
int Fail(const understudy::Status& status, int exit_code = 1) {
  std::fprintf(stderr, "%s%s\n", understudy::kNodePrefix, std::string(status.message()).c_str());
  return exit_code;
}

// No destructors: every socket, listeners included, is closed by the end of the process and not before.
[[noreturn]] void End(understudy::Server& server, const understudy::config::Config& config) {
  server.saver().Abandon();
  if (!config.unix_socket.empty()) unlink(config.unix_socket.c_str());
  if (!config.pid_file.empty()) unlink(config.pid_file.c_str());
  _exit(0);
}

// SIGTERM of a node that the operator leads: a primary with voters asks for a switchover and goes on serving
// until it is no longer primary (FAILOVER.md section 7); every other node ends at once. Returns when the
// time is up, as it must without an operator, or at SIGINT. The kubelet may send SIGTERM more than once (its
// own restart, a deletion with a shorter grace period): that changes nothing.
void HandOver(understudy::Server& server, understudy::control::ControlPlane& plane,
              const understudy::config::Config& config, const understudy::Clock& clock, const sigset_t& signals) {
  using namespace understudy;
  const Duration bound = Seconds(config.shutdown_timeout_s.load());
  const MonoTime until = clock.Mono() + bound;
  LOG_INFO("SIGTERM: ends as soon as no other node has to become primary first, at most {} s from now",
           bound.ms() / 1000);
  plane.Terminate([&server, &config] {
    LOG_INFO("SIGTERM: nothing is left to hand over");
    End(server, config);
  });
  for (Duration left = bound; left > Duration{}; left = until - clock.Mono()) {
    const timespec wait{left.ns / 1'000'000'000, left.ns % 1'000'000'000};
    if (sigtimedwait(&signals, nullptr, &wait) == SIGINT) break;
  }
  LOG_WARN("SIGTERM: ends although no other node has become primary");
}

// SIGTERM or SIGINT without an operator: as SHUTDOWN. If that is not possible the node goes on; who insists by SIGINT
// ends it at once. Never returns.
[[noreturn]] void EndInOrder(understudy::Server& server, const understudy::config::Config& config, int signal_number,
                             const sigset_t& signals) {
  using namespace understudy;
  for (;;) {
    if (server.saver().loading()) {
      LOG_INFO("signal {} while data is loaded: ending at once", signal_number);
      End(server, config);
    }
    if (signal_number == SIGINT && server.shutdown().under_way()) {
      LOG_WARN("SIGINT while shutting down: ending at once");
      server.saver().Abandon();
      _exit(1);
    }
    LOG_INFO("Received {} scheduling shutdown...", signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
    const uint32_t flags = signal_number == SIGTERM ? config.on_sigterm : config.on_sigint;
    const command::Shutdown::Options options{.save = (flags & config::kShutdownSave) != 0,
                                             .no_save = (flags & config::kShutdownNoSave) != 0,
                                             .now = (flags & config::kShutdownNow) != 0,
                                             .force = (flags & config::kShutdownForce) != 0};
    server.shutdown().Begin(options, [] {
      LOG_WARN("the signal was received, but there were errors trying to shut down the server");
    });
    sigwait(&signals, &signal_number);
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace understudy;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  for (const std::string& argument : arguments) {
    if (argument == "--help" || argument == "-h") {
      std::fputs(config::Config::Help().c_str(), stdout);
      return 0;
    }
    if (argument == "--version" || argument == "-v") {
      std::fputs(config::Config::Version().c_str(), stdout);
      return 0;
    }
  }
  config::Config config;
  if (const Status status = config.Load(arguments); !status.ok()) {
    return Fail(status, kBadConfigurationExit);
  }
  if (chdir(config.dir().c_str()) != 0) {
    return Fail(NotFound("can't change to the directory '" + config.dir() + "' (option dir)"), kBadConfigurationExit);
  }
  if (const Status status = log::Init("understudy-node", LogLevelOf(config), config.log_file); !status.ok()) {
    return Fail(status);
  }
  const char* pod_uid = getenv("POD_UID");
  if (!config.standalone && (pod_uid == nullptr || *pod_uid == '\0')) {
    return Fail(Invalid("POD_UID is not set: the operator sets it in each Pod; outside Kubernetes start with --standalone"));
  }

  // Signals are taken by this thread alone; the threads that are started below inherit the mask.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);

  const SystemClock clock;
  const std::string incarnation = RandomHex(16);
  metrics::Registry registry;
  Server server(config, clock, incarnation, [&] { End(server, config); });
  config::Declaration declaration(config, arguments);
  ServerDataPath data_path(server, declaration);
  std::unique_ptr<control::ControlPlane> plane;
  if (!config.standalone) {
    const char* host_name = getenv("HOSTNAME");
    plane = std::make_unique<control::ControlPlane>(
        control::ControlPlane::Options{.admin_port = config.admin_port,
                                       .operator_key_dir = config.operator_key_dir,
                                       .termination_log = config.termination_log,
                                       .pod_uid = pod_uid,
                                       .pod_name = host_name == nullptr ? "" : host_name},
        clock, data_path, incarnation, registry);
    // First of all: the port is the lock that one process per Pod holds.
    if (const Status status = plane->Bind(); !status.ok()) return Fail(status);
    data_path.set_plane(plane.get());
    server.set_role_events(&data_path);
  }
  if (const Status status = server.Start(); !status.ok()) return Fail(status);
  registry.AddCollector([&server](metrics::Writer& writer) { server.CollectMetrics(writer); });
  if (plane) plane->Start();
  // As Redis: who starts many of them must not fail for a folder that is not there.
  if (!config.pid_file.empty()) {
    if (const Status status = WritePid(config.pid_file); !status.ok()) LOG_WARN("{}", status.message());
  }
  LOG_INFO("serving port {} with {} worker threads{}", server.port(), server.dispatcher().workers().size(),
           config.standalone ? "" : ", incarnation " + incarnation + ", waiting for a role");
  AnnounceStart();
  server.Load([&server](Status status) {
    // Never with a part of the data, or without it: its owner decides what is to become of it.
    if (!status.ok()) _exit(Fail(status.Prefixed("Fatal error loading the DB, exiting")));
    AnnounceService(server.port());
  });

  int signal_number = 0;
  sigwait(&signals, &signal_number);
  if (!plane) EndInOrder(server, config, signal_number, signals);
  if (signal_number == SIGTERM) {
    HandOver(server, *plane, config, clock, signals);
  } else {
    LOG_INFO("signal {}: ending at once", signal_number);
  }
  End(server, config);
}
