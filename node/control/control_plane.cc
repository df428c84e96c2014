#include "node/control/control_plane.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <chrono>
#include <utility>

#include "common/log.h"

namespace understudy::control {
namespace {

// A worker that has not ended a turn for this long makes the node unfit (the operator moves the
// role away), ...
constexpr Duration kUnfitAfter = Seconds(30);
// ... and for this long, dead (the kubelet restarts the container).
constexpr Duration kDeadAfter = Seconds(120);
constexpr auto kWatchInterval = std::chrono::seconds(1);
// At the latest; a silence is looked at when it is due.
constexpr Duration kSilenceInterval = Milliseconds(500);
// Changes within this time make one heartbeat.
constexpr auto kGatherChanges = std::chrono::milliseconds(2);
constexpr Duration kShortestGap = Milliseconds(10);

std::chrono::nanoseconds Chrono(Duration duration) {
  return std::chrono::nanoseconds(duration.ns);
}

}  // namespace

ControlPlane::ControlPlane(Options options, const Clock& clock, DataPath& data_path,
                           Incarnation incarnation, metrics::Registry& registry)
    : options_(std::move(options)),
      clock_(clock),
      data_path_(data_path),
      registry_(registry),
      conductor_(io_, clock, data_path, options_.pod_uid, incarnation),
      operators_(io_, conductor_, options_.operator_key_dir),
      peers_(io_, conductor_, options_.pod_name),
      peer_client_(io_, clock, conductor_, options_.pod_name, options_.admin_port),
      lifelines_(incarnation),
      lifeline_client_(io_, clock, options_.admin_port,
                       [this](const Incarnation& ended) {
                         conductor_.machine().ReportEnded(ended);
                         Beat();
                       }),
      server_(io_, clock, {.address = options_.address, .port = options_.admin_port}),
      beat_timer_(io_),
      soon_timer_(io_),
      ask_timer_(io_),
      watch_timer_(io_),
      silence_timer_(io_) {
  conductor_.set_events({.on_change = [this] { BeatSoon(); }, .on_role = [this] { OnRole(); }});
  Routes();
  registry_.AddCollector([this](metrics::Writer& writer) { Collect(writer); });
}

ControlPlane::~ControlPlane() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

Status ControlPlane::Bind() {
  if (Status status = server_.Listen(); !status.ok())
    return status.Prefixed("the admin port, which one process per Pod holds, can't be taken");
  return WriteTerminationLog();
}

// The kubelet's word about the end of this incarnation (FAILOVER.md section 4). The kubelet makes
// the file, so outside Kubernetes there is none.
Status ControlPlane::WriteTerminationLog() {
  if (options_.termination_log.empty()) return {};
  const int fd = open(options_.termination_log.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return {};
  const std::string& text = conductor_.machine().incarnation();
  const bool written =
      fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  if (fd >= 0) close(fd);
  if (written) return {};
  return Unavailable(fmt::format("the incarnation can't be written to {}: {}",
                                 options_.termination_log, strerror(error)));
}

void ControlPlane::Start() {
  conductor_.Publish();
  ScheduleBeat();
  ScheduleAsk();
  Watch();
  WatchSilence();
  thread_ = std::thread([this] { io_.run(); });
}

// ---- routes

void ControlPlane::Routes() {
  server_.Get("/livez", [this](const http::Request&) {
    const Duration longest = data_path_.LongestTurn();
    if (longest < kDeadAfter) return http::Response{200, "text/plain; charset=utf-8", "ok\n"};
    return http::Response{
        503, "text/plain; charset=utf-8",
        fmt::format("a worker has not ended a turn for {} s\n", longest.ms() / 1000)};
  });
  server_.Get("/readyz", [this](const http::Request&) { return Ready(); });
  server_.Get("/metrics", [this](const http::Request&) {
    return http::Response{200, "text/plain; version=0.0.4; charset=utf-8", registry_.Text()};
  });
  server_.Get("/v1/status", [this](const http::Request&) {
    return http::Response{200, "application/json", StateText(conductor_.State()) + "\n"};
  });
  ws::Options limits;
  limits.max_message_bytes = kMaxMessageBytes;
  server_.WebSocket("/v1/control", limits,
                    [this](const auto& channel) { return operators_.Accept(channel); });
  server_.WebSocket("/v1/peer", limits,
                    [this](const auto& channel) { return peers_.Accept(channel); });
  server_.WebSocket("/v1/lifeline", LifelineServer::Limits(),
                    [this](const auto& channel) { return lifelines_.Accept(channel); });
}

http::Response ControlPlane::Ready() {
  conductor_.Refresh();
  std::string why;
  if (conductor_.machine().Ready(clock_.Mono(), &why))
    return {200, "text/plain; charset=utf-8", "ok\n"};
  return {503, "text/plain; charset=utf-8", why + "\n"};
}

void ControlPlane::Collect(metrics::Writer& writer) {
  const NodeState state = conductor_.State();
  for (Role role : {Role::kUnassigned, Role::kReplica, Role::kPrimary, Role::kStandalone})
    writer.Sample("understudy_role", "gauge", "1 for the role that this node has.",
                  {{"role", std::string(RoleName(role))}}, state.role == role);
  writer.Sample("understudy_in_office", "gauge",
                "1 if the role order is of the newest epoch known.", {}, state.in_office);
  writer.Sample("understudy_epoch", "gauge", "The highest epoch known.", {},
                static_cast<double>(state.epoch));
  writer.Sample("understudy_configuration", "gauge", "Number of the configuration in force.", {},
                static_cast<double>(state.configuration));
  writer.Sample("understudy_replication_offset_bytes", "counter",
                "Bytes of the replication stream held.", {}, static_cast<double>(state.offset));
  writer.Sample("understudy_complete", "gauge", "1 if a whole data set is held.", {},
                state.complete);
  writer.Sample("understudy_write_lease_held", "gauge", "1 if this primary may acknowledge writes.",
                {}, state.lease_held);
  writer.Sample("understudy_write_lease_left_seconds", "gauge",
                "Time left of this primary's write lease; 0 also when none is needed.", {},
                static_cast<double>(state.lease_left_ms) / 1e3);
  if (state.role == Role::kReplica)
    writer.Sample("understudy_replica_lag_seconds", "gauge",
                  "Since this replica was last level with its primary.", {},
                  conductor_.machine().Lag(clock_.Mono()).seconds());
  writer.Sample("understudy_lifeline_open", "gauge",
                "1 if this replica's lifeline to its primary is open.", {},
                lifeline_client_.open());
  writer.Sample("understudy_unfit", "gauge", "1 if a worker is stuck.", {}, state.unfit);
  writer.Sample("understudy_operator_channels", "gauge", "Operator processes that are connected.",
                {}, static_cast<double>(operators_.proved()));
  writer.Sample("understudy_peer_channels", "gauge", "Voters that are connected to this primary.",
                {}, static_cast<double>(peers_.proved()));
}

// ---- time

void ControlPlane::Beat() {
  last_beat_ = clock_.Mono();
  const Heartbeat heartbeat = conductor_.BuildHeartbeat();
  operators_.Send(heartbeat);
  lifelines_.SendOffset(heartbeat.state.offset);
  ScheduleBeat();
}

void ControlPlane::BeatSoon() {
  if (beat_soon_) return;
  beat_soon_ = true;
  const Duration gap = last_beat_ + kShortestGap - clock_.Mono();
  soon_timer_.expires_after(std::max<std::chrono::nanoseconds>(kGatherChanges, Chrono(gap)));
  soon_timer_.async_wait([this](boost::system::error_code error) {
    beat_soon_ = false;
    if (!error) Beat();
  });
}

void ControlPlane::ScheduleBeat() {
  beat_timer_.expires_after(Chrono(conductor_.machine().HeartbeatInterval()));
  beat_timer_.async_wait([this](boost::system::error_code error) {
    if (!error) Beat();
  });
}

void ControlPlane::ScheduleAsk() {
  ask_timer_.expires_after(Chrono(conductor_.machine().LeaseRequestInterval()));
  ask_timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    peers_.Ask();
    ScheduleAsk();
  });
}

void ControlPlane::Watch() {
  const Duration longest = data_path_.LongestTurn();
  if (const bool unfit = longest >= kUnfitAfter; unfit != unfit_) {
    unfit_ = unfit;
    if (unfit) LOG_ERROR("unfit: a worker has not ended a turn for {} s", longest.ms() / 1000);
    if (!unfit) LOG_WARN("fit again: all workers end their turns");
    conductor_.machine().SetUnfit(unfit);
    BeatSoon();
  }
  watch_timer_.expires_after(kWatchInterval);
  watch_timer_.async_wait([this](boost::system::error_code error) {
    if (!error) Watch();
  });
}

// A replica is the second observer of its primary's silence (FAILOVER.md section 6, step 2): it tells
// it at the moment when it reaches detectionTimeout, not with the next heartbeat, up to a second later.
void ControlPlane::WatchSilence() {
  conductor_.Refresh();
  const MonoTime now = clock_.Mono();
  const MonoTime at = conductor_.machine().PrimarySilentAt(now);
  Duration wait = kSilenceInterval;
  if (at > now) {
    silence_told_ = false;
    wait = std::min(wait, at - now);
  } else if (!silence_told_) {
    silence_told_ = true;
    Beat();
  }
  silence_timer_.expires_after(Chrono(wait));
  silence_timer_.async_wait([this](boost::system::error_code error) {
    if (!error) WatchSilence();
  });
}

// ---- news

void ControlPlane::OnRole() {
  const role::RoleMachine& machine = conductor_.machine();
  peers_.OnRole();
  peer_client_.OnRole();
  lifeline_client_.Watch(machine.role() == Role::kReplica ? machine.configuration().primary
                                                          : NodeRef{});
  // The intervals are the role's.
  ScheduleBeat();
  ScheduleAsk();
  WatchSilence();
}

void ControlPlane::OnChange() {
  boost::asio::post(io_, [this] {
    conductor_.Refresh();
    BeatSoon();
  });
}

void ControlPlane::Terminate(std::function<void()> may_exit) {
  boost::asio::post(io_, [this, may_exit = std::move(may_exit)]() mutable {
    conductor_.Terminate(std::move(may_exit));
  });
}

}  // namespace understudy::control
