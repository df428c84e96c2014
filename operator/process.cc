#include "operator/process.h"

#include <signal.h>

#include <CLI/CLI.hpp>

#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

#include "common/log.h"
#include "common/metrics.h"
#include "operator/apply/apply_plan.h"
#include "operator/kube/client.h"
#include "operator/kube/credentials.h"
#include "operator/kube/events.h"
#include "operator/kube/leader_lease.h"
#include "operator/nodes/node_table.h"
#include "operator/observe/observe.h"
#include "operator/observe/world.h"
#include "operator/reconcile/controller.h"
#include "operator/serve/serve.h"
#include "operator/watch/watcher.h"
#include "operator/watch/work_queue.h"

namespace understudy {
namespace {

// What this operator writes into status needs at least this schema (annotation on the CRDs): a server with an
// older one would answer 500 to unknown fields and stop every takeover at its first write.
constexpr int kNeededSchema = 5;
// How often the Secret with the operator's key is looked at: put back if it was deleted, followed if replaced.
constexpr Duration kKeyPeriod = Seconds(20);
constexpr const char* kSchemaAnnotation = "cache.understudy.dev/schema";
constexpr const char* kLeaseName = "understudy-operator";
constexpr Duration kRetryStart = Seconds(5);
constexpr Duration kStopBudget = Seconds(10);

std::atomic<bool> g_stop{false};
void OnSignal(int) { g_stop = true; }

void Sleep(Duration d) {
  for (int64_t left = d.ms(); left > 0 && !g_stop; left -= 50) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Why the installed schema is not enough; empty if it is.
std::string SchemaProblem(kube::Client& client, const Clock& clock) {
  for (const kube::Resource& kind : {kube::kReplicationGroups, kube::kCacheClusters, kube::kReadReplicas}) {
    const std::string name = std::string(kind.plural) + "." + std::string(kind.group);
    const auto crd =
        client.Get(kube::kCustomResourceDefinitions, "", name, Deadline::In(clock, Seconds(10)));
    if (!crd.ok()) return "can't read CustomResourceDefinition " + name + ": " + std::string(crd.status().message());
    const std::string text = JsonString(JsonAt(JsonAt(*crd, "metadata"), "annotations"), kSchemaAnnotation, "0");
    if (std::atoi(text.c_str()) < kNeededSchema) {
      return "CustomResourceDefinition " + name + " has schema " + text + ", this operator needs " +
             std::to_string(kNeededSchema) + " or later; apply the CRDs of its chart first";
    }
  }
  return "";
}

// The minor version of the server, 0 if it does not tell.
Result<int> ServerMinor(kube::Transport& transport, const Clock& clock) {
  const auto answer = transport.Send({"GET", "/version", "", ""}, Deadline::In(clock, Seconds(10)));
  if (!answer.ok()) return answer.status();
  if (answer->status != 200) return Unavailable("GET /version: " + std::to_string(answer->status));
  const auto version = ParseJson(answer->body);
  if (!version.ok()) return version.status();
  return std::atoi(JsonString(*version, "minor").c_str());
}

// Repeats until it works or the process is told to stop; says why it does not, once for each reason.
template <typename F>
bool Insist(const char* what, F attempt) {
  std::string last;
  while (!g_stop) {
    const std::string problem = attempt();
    if (problem.empty()) return true;
    if (problem != last) LOG_WARN("{}: {}; trying again every {} s", what, problem, kRetryStart.ns / 1'000'000'000);
    last = problem;
    Sleep(kRetryStart);
  }
  return false;
}

Result<kube::Server> ParseServer(const std::string& url) {
  kube::Server server;
  std::string rest = url;
  if (rest.rfind("https://", 0) == 0) {
    rest = rest.substr(8);
  } else if (rest.rfind("http://", 0) == 0) {
    rest = rest.substr(7);
    server.tls = false;
    server.port = 80;
  } else {
    return Invalid("--api-server '" + url + "' is not http(s)://host[:port]");
  }
  const size_t colon = rest.rfind(':');
  const size_t bracket = rest.rfind(']');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    const int port = std::atoi(rest.substr(colon + 1).c_str());
    if (port < 1 || port > 65535) return Invalid("--api-server '" + url + "' has a port that is not 1 to 65535");
    server.port = static_cast<uint16_t>(port);
    rest = rest.substr(0, colon);
  }
  if (rest.size() > 2 && rest.front() == '[' && rest.back() == ']') rest = rest.substr(1, rest.size() - 2);
  if (rest.empty()) return Invalid("--api-server '" + url + "' names no host");
  server.host = rest;
  return server;
}

class Process {
 public:
  explicit Process(const OperatorOptions& options) : options_(options) {}

  Status Run();

 private:
  kube::Leadership LeadershipNow() const {
    kube::Leadership leadership = lease_->Get();
    leadership.leading = leadership.leading && clock_.Mono() < leadership.valid_until;
    return leadership;
  }
  std::string NotReady() const {
    if (!started_) return "starting: no contact with the API server yet";
    if (!world_->Synced()) return "the caches are not filled yet";
    return "";
  }
  void OnNodeChange(const std::string& owner) {
    const size_t slash = owner.find('/');
    const std::string key = world_->KeyOfNode(owner.substr(0, slash), owner.substr(slash + 1));
    if (!key.empty()) queue_->Add(key, watch::Priority::kFailover);
  }

  const OperatorOptions& options_;
  SystemClock clock_;
  metrics::Registry registry_;
  std::shared_ptr<kube::Credentials> credentials_;
  std::unique_ptr<kube::Transport> transport_, lease_transport_;
  std::unique_ptr<kube::StreamTransport> streams_;
  std::unique_ptr<kube::Client> client_;
  std::unique_ptr<kube::EventRecorder> events_;
  std::unique_ptr<nodes::OperatorKey> key_;
  std::unique_ptr<nodes::NodeTable> nodes_;
  std::unique_ptr<observe::World> world_;
  std::unique_ptr<observe::Observer> observer_;
  std::unique_ptr<watch::WorkQueue> queue_;
  std::unique_ptr<apply::PlanApplier> applier_;
  std::unique_ptr<kube::LeaderLease> lease_;
  std::unique_ptr<reconcile::Controller> controller_;
  std::vector<std::unique_ptr<watch::Watcher>> watchers_;
  std::atomic<bool> started_{false};
};

Status Process::Run() {
  serve::Endpoints endpoints({options_.address, options_.metrics_port, options_.health_port}, registry_, clock_,
                             [this] { return NotReady(); });
  RETURN_IF_ERROR(endpoints.Start());

  if (options_.api_server.empty()) {
    auto in_cluster = kube::Credentials::InCluster(clock_);
    if (!in_cluster.ok()) return in_cluster.status();
    credentials_ = *in_cluster;
  } else {
    const auto server = ParseServer(options_.api_server);
    if (!server.ok()) return server.status();
    auto given = kube::Credentials::Explicit(
        *server, {options_.ca_file, options_.certificate_file, options_.key_file, "", options_.name_space}, clock_);
    if (!given.ok()) return given.status();
    credentials_ = *given;
  }
  const std::string name_space = options_.name_space.empty() ? credentials_->name_space() : options_.name_space;
  if (name_space.empty()) return Invalid("the operator's namespace is unknown: give --namespace");

  const kube::TransportContext context{.credentials = credentials_, .clock = clock_, .registry = registry_};
  auto transport = kube::MakeCpprestTransport(context);
  if (!transport.ok()) return transport.status();
  transport_ = *std::move(transport);
  lease_transport_ = kube::MakeBeastTransport(context);
  streams_ = kube::MakeBeastStream(context);
  client_ = std::make_unique<kube::Client>(*transport_, clock_);

  plan::Settings settings{.operator_namespace = name_space, .default_node_image = options_.node_image};
  if (!Insist("waiting for the API server", [&]() -> std::string {
        const auto minor = ServerMinor(*transport_, clock_);
        if (!minor.ok()) return std::string(minor.status().message());
        settings.server_minor = *minor;
        return "";
      }) ||
      !Insist("waiting for the resources' schema", [&] { return SchemaProblem(*client_, clock_); }) ||
      !Insist("waiting for the operator's key", [&]() -> std::string {
        auto key = nodes::OperatorKey::LoadOrCreate(*client_, name_space, Deadline::In(clock_, Seconds(10)));
        if (!key.ok()) return std::string(key.status().message());
        key_ = std::make_unique<nodes::OperatorKey>(*std::move(key));
        return "";
      })) {
    return {};
  }
  settings.public_key = key_->public_pem();
  started_ = true;

  const std::string identity = kube::MakeLeaseIdentity(options_.pod_name);
  queue_ = std::make_unique<watch::WorkQueue>("understudy", clock_, registry_,
                                              watch::WorkQueueOptions{.longest_retry = Seconds(5)});
  nodes_ = std::make_unique<nodes::NodeTable>(
      nodes::Options{.identity = identity, .leadership = [this] { return LeadershipNow(); }, .matters = plan::NeedsPlan},
      *key_, clock_, registry_);
  world_ = std::make_unique<observe::World>(*nodes_, clock_);
  // Before whoever asks it; it starts when the caches are filled.
  lease_ = std::make_unique<kube::LeaderLease>(
      kube::LeaseConfig{.identity = identity}, name_space, kLeaseName, *lease_transport_, clock_, registry_,
      kube::LeaseCallbacks{
          [this](const kube::Leadership& leadership) {
            LOG_INFO("leading, term {}", leadership.term);
            world_->EnqueueAll(watch::Priority::kNormal);
          },
          [](const std::string& reason) { LOG_WARN("not leading any more: {}", reason); }});
  observer_ = std::make_unique<observe::Observer>(*world_, *nodes_, settings);
  events_ = std::make_unique<kube::EventRecorder>(*client_, clock_, registry_,
                                                  kube::EventRecorderOptions{.instance = options_.pod_name});
  events_->Start();
  applier_ = std::make_unique<apply::PlanApplier>(
      *client_, *nodes_, *events_, clock_,
      apply::PlanApplier::Hooks{[this] { return LeadershipNow(); },
                                [this](const kube::Resource& resource, const Json& object) { world_->Wrote(resource, object); }});
  nodes_->Start([this](const std::string& owner) { OnNodeChange(owner); });
  world_->OnChanges([this](const std::string& key, watch::Priority priority) { queue_->Add(key, priority); });
  // An API server that comes back is followed again soon: failovers of that moment depend on it, and it is a
  // handful of watches.
  const watch::WatcherOptions options{.timing = {.longest_pause = Seconds(5)}};
  for (const auto& [spec, target] : world_->Watches()) {
    watchers_.push_back(std::make_unique<watch::Watcher>(spec, *client_, *streams_, clock_, *target, options));
    watchers_.back()->Start();
  }
  while (!g_stop && !world_->Synced()) std::this_thread::sleep_for(std::chrono::milliseconds(20));

  controller_ = std::make_unique<reconcile::Controller>(reconcile::Controller::Parts{
      *world_, *observer_, *applier_, *nodes_, *queue_, [this] { return LeadershipNow(); }, clock_, registry_});
  controller_->Start(options_.workers);
  lease_->Start();
  lease_->SetEligible(true);
  LOG_INFO("started as {} in namespace {}", identity, name_space);

  MonoTime look_at_key = clock_.Mono() + kKeyPeriod;
  while (!g_stop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (clock_.Mono() < look_at_key) continue;
    look_at_key = clock_.Mono() + kKeyPeriod;
    const Result<bool> ours = key_->Keep(*client_, name_space, Deadline::In(clock_, Seconds(5)));
    if (!ours.ok()) LOG_WARN("the operator's key: {}", ours.status().message());
    if (ours.ok() && !*ours) {
      LOG_WARN("the operator's key was replaced: ending, to start anew with it");
      break;
    }
  }
  LOG_INFO("stopping");
  lease_->Release(Deadline::In(clock_, kStopBudget));
  queue_->ShutDown();
  controller_->Stop();
  events_->Flush(Deadline::In(clock_, Seconds(2)));
  client_->Stop();
  lease_->Stop();
  nodes_->Stop();
  for (auto& watcher : watchers_) watcher->RequestStop();
  watchers_.clear();
  events_->Stop();
  return {};
}

}  // namespace

Result<OperatorOptions> ParseOperatorOptions(const std::vector<std::string>& args, std::string* exit_text) {
  OperatorOptions options;
  options.pod_name = Environment("POD_NAME");
  options.name_space = Environment("POD_NAMESPACE");
  CLI::App app{"Understudy operator: keeps replication groups of cache nodes on Kubernetes.", "understudy-operator"};
  app.set_version_flag("--version", std::string("understudy-operator ") + UNDERSTUDY_VERSION);
  app.add_option("--node-image", options.node_image, "Image of nodes whose spec names none")->required();
  app.add_option("--namespace", options.name_space, "The operator's own namespace (default: POD_NAMESPACE, else that of its service account)");
  app.add_option("--pod-name", options.pod_name, "Its name in the Lease and in events (default: POD_NAME)");
  app.add_option("--log-level", options.log_level, "debug, info, warn or error")->capture_default_str();
  app.add_option("--workers", options.workers, "Groups worked on at the same time")->capture_default_str()->check(CLI::Range(1, 64));
  app.add_option("--listen-address", options.address, "Address of the two ports below (default: all)");
  app.add_option("--metrics-port", options.metrics_port, "Port of /metrics")->capture_default_str();
  app.add_option("--health-port", options.health_port, "Port of /healthz and /readyz")->capture_default_str();
  app.add_option("--api-server", options.api_server, "URL of the API server, outside a cluster");
  app.add_option("--ca-file", options.ca_file, "Its CA, with --api-server");
  app.add_option("--client-certificate", options.certificate_file, "Client certificate, with --api-server");
  app.add_option("--client-key", options.key_file, "Its key, with --api-server");
  try {
    // CLI11 takes the arguments from the back.
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp&) {
    *exit_text = app.help();
    return options;
  } catch (const CLI::CallForVersion&) {
    *exit_text = app.version() + "\n";
    return options;
  } catch (const CLI::ParseError& error) {
    return Invalid(std::string(error.what()) + "; see --help");
  }
  if (options.pod_name.empty()) options.pod_name = "understudy-operator";
  return options;
}

Status RunOperator(const OperatorOptions& options) {
  RETURN_IF_ERROR(log::Init("operator", options.log_level));
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return Process(options).Run();
}

}  // namespace understudy
