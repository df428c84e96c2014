#include "node/replication/engine.h"

#include <spdlog/fmt/fmt.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/check.h"
#include "common/log.h"
#include "common/random.h"
#include "node/role/copy_rules.h"

namespace understudy::replication {
namespace {

constexpr Duration kTickPeriod = Milliseconds(100);
// Where nobody waits for acknowledgements, what is appended within this time is sent by one system call, however many
// turns of the workers it comes from.
constexpr Duration kGatherTime = Microseconds(500);
// A replica that is so far behind catches up as fast as it can.
constexpr uint64_t kGatherBytes = 64 * 1024;
constexpr int kEventsPerTurn = 64;

}  // namespace

Engine::Engine(Replication::Options options, store::Keyspace& keyspace, ApplySink& sink, Hooks& hooks,
               const Clock& clock, Log& log)
    : options_(std::move(options)),
      keyspace_(keyspace),
      sink_(sink),
      hooks_(hooks),
      clock_(clock),
      log_(log),
      settings_(options_.settings) {}

Engine::~Engine() { CHECK(!thread_.joinable()); }

Status Engine::Start() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (epoll_ < 0 || wake_fd_ < 0) {
    return Unavailable(fmt::format("replication: no descriptors: {}", std::strerror(errno)));
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeTag;
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_fd_, &event) == 0);
  if (options_.standalone) {
    mode_ = Mode::kStandalone;
    data_.complete = true;
    data_.follows_log = true;
    data_.dataset = RandomHex(16);
    log_.SetWritable(true);
    SetIdentity(mode_, "", 0, "");
  } else {
    // Offsets decide elections: they count from the first write on.
    log_.Activate(RandomHex(20));
  }
  const MonoTime now = clock_.Mono();
  next_tick_ = now;
  next_ping_ = now + Milliseconds(static_cast<int64_t>(settings_.ping_period_ms));
  no_replicas_since_ = now;
  Publish(now);
  thread_ = std::thread([this] { Run(); });
  return {};
}

void Engine::Stop() {
  if (!thread_.joinable()) return;
  stop_ = true;
  WakeNow();
  thread_.join();
  copy_.reset();
  link_.reset();
  replicas_.clear();
  for (Operation& operation : operations_) {
    if (operation.done) operation.done(Unavailable("the node is ending"));
  }
  operations_.clear();
  if (disposer_.joinable()) disposer_.join();
  close(epoll_);
  close(wake_fd_);
}

// Read-modify-writes on both sides: either this sees that the thread sleeps, or the thread, on its way to sleep, sees
// what was appended or posted before.
void Engine::Wake() {
  if (sleeping_.exchange(false, std::memory_order_acq_rel)) WriteWakeFd();
}

void Engine::WakeNow() {
  if (waiting_.exchange(false, std::memory_order_acq_rel)) WriteWakeFd();
}

void Engine::WriteWakeFd() {
  const uint64_t one = 1;
  CHECK(write(wake_fd_, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

void Engine::Post(std::function<void()> task) {
  {
    std::lock_guard lock(tasks_mutex_);
    tasks_.push_back(std::move(task));
  }
  WakeNow();
}

void Engine::RequestAcks() {
  if (!acks_requested_.exchange(true)) WakeNow();
}

void Engine::Run() {
  while (!stop_) Turn();
}

int Engine::SleepMs(MonoTime now) const {
  MonoTime wake = next_tick_;
  if (link_) wake = std::min(wake, link_->NextDeadline());
  const Duration left = wake - now;
  return left.ns <= 0 ? 0 : static_cast<int>(left.ns / 1'000'000 + 1);
}

Duration Engine::GatherLeft(MonoTime now) const {
  if (configuration_.synchronous_replicas > 0) return {};
  for (const auto& [id, link] : replicas_) {
    if (link->pending_bytes() >= kGatherBytes) return {};
  }
  return std::max(stream_sent_ + kGatherTime - now, Duration{});
}

bool Engine::AnythingToSend(bool stream) const {
  return std::any_of(replicas_.begin(), replicas_.end(),
                     [&](const auto& item) { return item.second->HasWork(copy_.get(), stream); });
}

int Engine::WaitForEvents(int sleep_ms, Duration gather, std::span<epoll_event> events) {
  if (gather.ns > 0 && sleep_ms > 0) {
    // epoll_wait counts in milliseconds, and epoll_pwait2 is too new for some hosts.
    pollfd poll{.fd = epoll_, .events = POLLIN, .revents = 0};
    const timespec left{.tv_sec = 0, .tv_nsec = static_cast<long>(gather.ns)};
    ppoll(&poll, 1, &left, nullptr);
    sleep_ms = 0;
  }
  return epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), sleep_ms);
}

void Engine::Turn() {
  const MonoTime before = clock_.Mono();
  int sleep_ms = SleepMs(before);
  const Duration gather = GatherLeft(before);
  waiting_.exchange(true, std::memory_order_acq_rel);
  if (gather.ns == 0) sleeping_.exchange(true, std::memory_order_acq_rel);
  bool tasks;
  {
    std::lock_guard lock(tasks_mutex_);
    tasks = !tasks_.empty();
  }
  if (tasks || stop_ || acks_requested_.load() || AnythingToSend(gather.ns == 0)) sleep_ms = 0;
  if (copy_ && !copy_cut_told_ && copy_->cut()) sleep_ms = 0;
  epoll_event events[kEventsPerTurn];
  const int count = WaitForEvents(sleep_ms, gather, events);
  sleeping_.store(false, std::memory_order_release);
  waiting_.store(false, std::memory_order_release);
  CHECK(count >= 0 || errno == EINTR);

  const MonoTime now = clock_.Mono();
  RunTasks();
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[i].data.u64;
    if (tag == kWakeTag) {
      uint64_t ignored;  // one read takes all wake-ups
      [[maybe_unused]] const ssize_t n = read(wake_fd_, &ignored, sizeof ignored);
    } else if (tag == kPrimaryTag) {
      if (link_) link_->OnEvent(events[i].events, now);
    } else {
      OnReplicaEvent(tag, events[i].events, now);
    }
  }
  if (link_) link_->Tick(now);
  bool stream = GatherLeft(now).ns == 0;
  if (acks_requested_.exchange(false) && !replicas_.empty()) {
    static constexpr std::string_view kGetAck[] = {"REPLCONF", "GETACK", "*"};
    log_.AppendOwn(kGetAck);
    stream = true;
  }
  CopyProgress();
  SendAll(now, stream);
  if (now >= next_tick_) Tick(now);
  NoteAcks();
  TellNews(now);
}

void Engine::RunTasks() {
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(tasks_mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) task();
  RunOperations();
}

void Engine::SendAll(MonoTime now, bool stream) {
  std::vector<std::pair<uint64_t, std::string>> dropped;
  bool sends = false;
  for (auto& [id, link] : replicas_) {
    if (!link->HasWork(copy_.get(), stream)) continue;
    sends = sends || (stream && link->pending_bytes() > 0);
    const Status status = link->Send(now, copy_.get());
    if (!status.ok()) {
      dropped.emplace_back(id, status.message());
    } else {
      UpdateRegistration(id, *link);
    }
  }
  if (sends) {
    stream_sent_ = now;
    ++stream_sends_;
  }
  for (const auto& [id, why] : dropped) DropReplica(id, why);
}

void Engine::Tick(MonoTime now) {
  next_tick_ = now + kTickPeriod;
  log_.ReleaseSpare();
  samples_.push_back({now, log_.end()});
  while (samples_.size() > 1 && now - samples_[1].at >= Seconds(1)) samples_.pop_front();

  std::vector<std::pair<uint64_t, std::string>> dropped;
  for (auto& [id, link] : replicas_) {
    const Status status = link->Tick(now, settings_);
    if (!status.ok()) dropped.emplace_back(id, status.message());
  }
  for (const auto& [id, why] : dropped) DropReplica(id, why);

  if (now >= next_ping_) {
    next_ping_ = now + Milliseconds(static_cast<int64_t>(settings_.ping_period_ms));
    static constexpr std::string_view kPing[] = {"PING"};
    if (!replicas_.empty() && hooks_.InOffice()) log_.AppendOwn(kPing);
  }
  if (!replicas_.empty() || copy_ || copy_starting_ || !log_.active()) {
    no_replicas_since_ = now;
  } else if (options_.standalone && mode_ == Mode::kStandalone && settings_.backlog_ttl_ms > 0 &&
             now - no_replicas_since_ >= Milliseconds(static_cast<int64_t>(settings_.backlog_ttl_ms))) {
    LOG_INFO("no replica for {} ms (repl-backlog-ttl): the backlog is freed", settings_.backlog_ttl_ms);
    log_.Deactivate();
  }
  stale_ = true;  // silence and "in sync" move with time
}

void Engine::UpdateSyncOffset() {
  uint64_t offset = 0;
  if (mode_ == Mode::kStandalone) {
    offset = UINT64_MAX;
  } else if (mode_ == Mode::kPrimary) {
    offset = role::SyncOffset(Acks(clock_.Mono()), configuration_);
    if (configuration_acked_ != configuration_.number && offset >= configuration_mark_) {
      configuration_acked_ = configuration_.number;
      change_ = true;
    }
  }
  if (offset > sync_offset_.load(std::memory_order_relaxed)) acks_grew_ = true;
  sync_offset_.store(offset, std::memory_order_release);
}

void Engine::TellNews(MonoTime now) {
  // First the figures, then the news, so that who is told sees them.
  if (stale_) {
    stale_ = false;
    UpdateSyncOffset();
    Publish(now);
    hooks_.OnFigures();
  }
  if (acks_grew_) {
    acks_grew_ = false;
    hooks_.OnAcks();
  }
  if (change_) {
    change_ = false;
    hooks_.OnChange();
  }
}

void Engine::Publish(MonoTime now) {
  ReplicationState s;
  s.mode = mode_;
  s.demoted = demoted_;
  s.dataset = data_.dataset;
  s.complete = data_.complete;
  s.loading = data_.loading;
  s.needs_full_copy = data_.needs_full_copy;
  s.dropped_bytes = data_.dropped_bytes;
  s.configuration = configuration_.number;
  s.configuration_acked = configuration_acked_;
  s.acks = Acks(now);
  std::vector<MonoTime> last_heard;
  for (const control::ReplicaAck& ack : s.acks) last_heard.push_back(peers_.at(ack.incarnation).last_heard);
  std::vector<uint64_t> acked;
  std::vector<MonoTime> last_acks;
  for (const auto& [id, link] : replicas_) {
    ReplicaInfo info;
    info.ip = link->ip();
    info.port = link->handshake().listening_port;
    switch (link->state()) {
      case ReplicaLink::State::kWaitCopy: info.state = "wait_bgsave"; break;
      case ReplicaLink::State::kSendCopy:
      case ReplicaLink::State::kWaitFirstAck: info.state = "send_bulk"; break;
      case ReplicaLink::State::kOnline: info.state = "online"; break;
    }
    info.acked = link->acked();
    info.pending_bytes = link->pending_bytes();
    if (link->handshake().has_hello) info.incarnation = link->handshake().hello.incarnation;
    s.replicas.push_back(std::move(info));
    last_acks.push_back(link->has_acked() ? link->last_ack() : link->last_read());
    if (link->has_acked() && link->state() == ReplicaLink::State::kOnline) acked.push_back(link->acked());
  }
  MonoTime link_last_read = now, link_down_since = now;
  if (link_) {
    s.link = link_->link_state();
    s.primary = link_->target().incarnation;
    s.primary_ip = link_->target().address;
    s.primary_port = link_->target().port;
    s.link_error = link_->last_error();
    s.load_read_bytes = link_->load_read_bytes();
    link_last_read = link_->last_read();
    link_down_since = link_->up() ? now : link_->down_since();
  }
  s.full_syncs = full_syncs_;
  s.partial_syncs = partial_syncs_;
  s.partial_refused = partial_refused_;
  s.replicas_dropped = replicas_dropped_;
  s.stream_sends = stream_sends_;
  s.backlog_size_bytes = settings_.backlog_bytes;
  const bool link_up = link_ && link_->up();

  std::lock_guard lock(published_mutex_);
  published_ = std::move(s);
  published_.link_down_ms = link_ && !link_up ? 1 : 0;  // state() puts the figure in
  link_last_read_ = link_last_read;
  link_down_since_ = link_down_since;
  replica_last_ack_ = std::move(last_acks);
  ack_last_heard_ = std::move(last_heard);
  acked_ = std::move(acked);
}

ReplicationState Engine::state() const {
  ReplicationState s;
  const MonoTime now = clock_.Mono();
  const auto since_ms = [now](MonoTime then) { return static_cast<uint64_t>(std::max<int64_t>((now - then).ms(), 0)); };
  {
    std::lock_guard lock(published_mutex_);
    s = published_;
    if (s.link != control::LinkState::kNone) s.link_silent_ms = since_ms(link_last_read_);
    if (s.link_down_ms > 0) s.link_down_ms = std::max<uint64_t>(since_ms(link_down_since_), 1);
    for (size_t i = 0; i < s.replicas.size(); ++i) s.replicas[i].lag_s = since_ms(replica_last_ack_[i]) / 1000;
    for (size_t i = 0; i < s.acks.size(); ++i) s.acks[i].silent_ms = since_ms(ack_last_heard_[i]);
  }
  const History history = log_.history();
  s.replid = history.replid;
  s.replid2 = history.ancestors.empty() ? std::string(40, '0') : history.ancestors.front().replid;
  s.second_offset = history.ancestors.empty() ? -1 : static_cast<int64_t>(history.ancestors.front().end) + 1;
  s.last_record_epoch = history.last_record_epoch;
  s.backlog_active = log_.active();
  s.backlog_first_offset = log_.first() + 1;
  s.backlog_held_bytes = log_.held_bytes();
  s.offset = log_.end();
  return s;
}

size_t Engine::CountAcked(uint64_t offset) const {
  std::lock_guard lock(published_mutex_);
  return static_cast<size_t>(std::count_if(acked_.begin(), acked_.end(), [&](uint64_t a) { return a >= offset; }));
}

void Engine::Configure(Settings settings) {
  log_.SetBacklogBytes(std::max<uint64_t>(settings.backlog_bytes, Log::kBlockBytes));
  settings_ = std::move(settings);
}

}  // namespace understudy::replication
