#include "node/command/saver.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "common/clock.h"
#include "common/log.h"
#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/command/memory.h"
#include "node/config/config.h"
#include "node/persist/loader.h"
#include "node/persist/rdb_file.h"
#include "node/persist/snapshot.h"
#include "node/role/role_gate.h"
#include "node/script/scripts.h"
#include "node/store/shard_guard.h"

namespace understudy::command {
namespace {

// After a failure save points wait so long.
constexpr int64_t kRetryMs = 5000;
constexpr size_t kLeastPreImageBytes = 64 << 20;

}  // namespace

std::vector<std::string> FunctionCodes(const Services& services) {
  std::vector<std::string> codes;
  for (const auto& [name, library] : services.scripts.functions().libraries()) codes.push_back(library.code);
  return codes;
}

Saver::Saver(role::RoleGate& gate) : gate_(gate) {}

Saver::~Saver() { Stop(); }

void Saver::Start(Services& services) {
  services_ = &services;
  state_.last_save_s = services.clock.Wall().unix_ms / 1000;
  thread_ = std::thread([this] { Run(); });
}

void Saver::Stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    given_up_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
  thread_.join();
}

void Saver::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (stop_) return;
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    given_up_ = false;
    busy_ = true;
    lock.unlock();
    job();
    lock.lock();
    busy_ = false;
  }
}

void Saver::Enqueue(std::function<void()> job) {
  jobs_.push_back(std::move(job));
  wake_.notify_all();
}

std::string Saver::Path() const { return services_->config.dir() + "/" + services_->config.db_filename(); }

void Saver::DrainWorkers() {
  for (net::Worker* worker : services_->dispatcher.workers()) worker->PostAndWait([] {});
}

void Saver::ShareKeyspace() {
  services_->dispatcher.workers()[0]->PostAndWait([this] { services_->keyspace.SetShared(true); });
}

void Saver::UnshareKeyspace() {
  services_->dispatcher.workers()[0]->Post([&keyspace = services_->keyspace] { keyspace.SetShared(false); });
}

// ---------------------------------------------------------------------------------------------- saving

bool Saver::Save(bool background, Done at_cut, Done done) {
  std::lock_guard lock(mutex_);
  return StartSave(background, std::move(at_cut), std::move(done));
}

bool Saver::StartSave(bool background, Done at_cut, Done done) {
  if (background_) return false;
  background_ = background;
  Enqueue([this, background, at_cut = std::move(at_cut), done = std::move(done)] {
    RunSave(background, at_cut, done);
  });
  return true;
}

void Saver::Schedule() {
  std::lock_guard lock(mutex_);
  scheduled_ = true;
}

bool Saver::SaveAfterFlush(Done done) {
  if (services_->config.save_points().empty()) return false;
  std::lock_guard lock(mutex_);
  if (state_.in_background) given_up_ = true;
  Enqueue([this, done = std::move(done)] { RunSave(false, nullptr, done); });
  return true;
}

void Saver::Abandon() {
  std::lock_guard lock(mutex_);
  if (!writes_in_.empty()) persist::RdbFile::RemoveTemporary(writes_in_);
}

void Saver::SaveLast(Done done) {
  std::lock_guard lock(mutex_);
  given_up_ = true;
  jobs_.push_front([this, done = std::move(done)] {
    LOG_INFO("Saving the final RDB snapshot before exiting.");
    RunSave(false, nullptr, done);
  });
  wake_.notify_all();
}

void Saver::RunSave(bool background, const Done& at_cut, const Done& done) {
  {
    std::lock_guard lock(mutex_);
    state_.in_background = background;
    state_.save_started_ms = last_try_ms_ = services_->clock.Wall().unix_ms;
    ++state_.saves;
  }
  if (background) LOG_INFO("Background saving started");
  const Status status = WriteFile(at_cut);
  if (status.ok()) {
    LOG_INFO("DB saved on disk");
    if (background) LOG_INFO("Background saving terminated with success");
  } else if (given_up_) {
    LOG_INFO("saving was given up");
  } else {
    LOG_ERROR("{} error: {}", background ? "Background saving" : "Saving", status.message());
  }
  {
    std::lock_guard lock(mutex_);
    const int64_t now_ms = services_->clock.Wall().unix_ms;
    state_.in_background = false;
    if (background) {
      background_ = false;
      state_.last_background_s = (now_ms - state_.save_started_ms) / 1000;
    }
    if (status.ok()) state_.last_save_s = now_ms / 1000;
    // What was given up says nothing about the disk; a client who waits is told himself.
    if (status.ok() || (background && !given_up_)) state_.last_ok = status.ok();
    UpdateWritesFail();
  }
  if (done) done(status);
}

Status Saver::WriteFile(const Done& at_cut) {
  store::Keyspace& keyspace = services_->keyspace;
  const std::string dir = services_->config.dir();
  {
    std::lock_guard lock(mutex_);
    writes_in_ = dir;
  }
  persist::RdbFile file(dir, services_->config.db_filename());
  ShareKeyspace();
  DrainWorkers();  // they tell their changes behind a batch
  uint64_t changes = 0;
  Status status = file.Open();
  std::unique_ptr<persist::Snapshot> snapshot;
  if (status.ok()) {
    const persist::AuxFields facts = {{"ctime", std::to_string(services_->clock.Wall().unix_ms / 1000)},
                                      {"used-mem", std::to_string(ReadMemoryUse(*services_).total())},
                                      {"aof-base", "0"}};
    persist::Snapshot::Options options;
    // A Pod's memory has room for what a full copy may take, and no more.
    options.pre_image_limit_bytes = kLeastPreImageBytes;
    if (services_->standalone) options.pre_image_limit_bytes = std::max(kLeastPreImageBytes, keyspace.UsedBytes() / 2);
    options.keep_field_expiry = true;
    options.functions = [this] { return FunctionCodes(*services_); };
    options.checksum = services_->config.rdb_checksum;
    Result<std::unique_ptr<persist::Snapshot>> begun = persist::Snapshot::Begin(keyspace, options, [&] {
      changes = services_->dispatcher.changes();
      keys_to_save_ = keyspace.TotalSize();
      return facts;
    });
    if (begun.ok()) {
      snapshot = *std::move(begun);
    } else {
      status = begun.status();
    }
  }
  if (at_cut) at_cut(status);
  for (bool complete = false; status.ok() && !complete;) {
    const Result<bool> stepped = snapshot->Step(file);
    if (!stepped.ok()) {
      status = stepped.status();
    } else if (given_up_) {
      status = Unavailable("the save was given up");
    } else {
      complete = *stepped;
      keys_saved_ = snapshot->keys_written();
    }
  }
  snapshot.reset();
  UnshareKeyspace();
  if (status.ok()) status = file.Commit();
  if (status.ok()) saved_changes_ = changes;
  keys_saved_ = keys_to_save_ = 0;
  return status;
}

void Saver::OnTick(int64_t now_ms) {
  const std::vector<config::SavePoint> points = services_->config.save_points();
  std::lock_guard lock(mutex_);
  if ((points.empty() && !scheduled_) || busy_ || !jobs_.empty() || loading()) return;
  if (!state_.last_ok && now_ms - last_try_ms_ <= kRetryMs) return;
  if (std::exchange(scheduled_, false)) {
    StartSave(true, nullptr, nullptr);
    return;
  }
  const uint64_t changes = changes_since_save();
  for (const config::SavePoint& point : points) {
    if (changes < static_cast<uint64_t>(point.changes) || now_ms / 1000 - state_.last_save_s <= point.seconds) continue;
    LOG_INFO("{} changes in {} seconds. Saving...", point.changes, point.seconds);
    StartSave(true, nullptr, nullptr);
    return;
  }
}

void Saver::OnOptions() {
  std::lock_guard lock(mutex_);
  UpdateWritesFail();
}

void Saver::UpdateWritesFail() {
  services_->keyspace.SetWritesFail(!state_.last_ok && services_->config.stop_writes_on_save_error &&
                                   !services_->config.save_points().empty());
}

// ---------------------------------------------------------------------------------------------- loading

void Saver::SetLoading(bool loading) {
  if (loading) {
    std::lock_guard lock(mutex_);
    state_.load_started_ms = services_->clock.Wall().unix_ms;
    load_read_bytes_ = load_total_bytes_ = 0;
  }
  loading_.store(loading, std::memory_order_release);
  gate_.BlockForLoading(loading);
}

bool Saver::WillLoad() {
  persist::RdbFile::RemoveLeftBehind(services_->config.dir());
  if (access(Path().c_str(), F_OK) != 0 && errno == ENOENT) return false;
  SetLoading(true);
  return true;
}

void Saver::Load(Done done) {
  std::lock_guard lock(mutex_);
  Enqueue([this, done = std::move(done)] {
    const int64_t start_ms = services_->clock.Wall().unix_ms;
    // A replica's primary says when keys go.
    const Status status = ReadFile(!services_->config.replica_of_host.empty(), false);
    if (status.ok()) {
      saved_changes_ = services_->dispatcher.changes();
      const State figures = state();
      LOG_INFO("DB loaded from disk: {:.3f} seconds, {} keys, {} more had expired",
               static_cast<double>(services_->clock.Wall().unix_ms - start_ms) / 1000, figures.keys_loaded,
               figures.keys_expired);
      SetLoading(false);
    }
    done(status);
  });
}

Status Saver::ReadFile(bool keep_expired, bool merge) {
  store::Keyspace& keyspace = services_->keyspace;
  ShareKeyspace();
  persist::Loader loader(keyspace, {.keep_expired = keep_expired,
                                    .replace = merge,
                                    .now_ms = services_->clock.Wall().unix_ms,
                                    .limits = services_->config.limits()});
  Status status = persist::LoadRdbFile(Path(), loader, [this](uint64_t read, uint64_t total) {
    load_read_bytes_ = read;
    load_total_bytes_ = total;
    return !given_up_;
  });
  if (status.ok()) {
    store::AllShardsGuard guard(keyspace);
    using Policy = script::FunctionLibraries::Policy;
    status = services_->scripts.functions()
                 .Restore(loader.functions(), merge ? Policy::kReplace : Policy::kFlush)
                 .Prefixed(Path() + ": functions");
  }
  UnshareKeyspace();
  std::lock_guard lock(mutex_);
  state_.keys_loaded = loader.keys_loaded();
  state_.keys_expired = loader.keys_dropped();
  return status;
}

void Saver::ReloadData(Reload reload, Done done) {
  std::lock_guard lock(mutex_);
  Enqueue([this, reload, done = std::move(done)] {
    // From here on nobody changes anything until the file is in memory.
    SetLoading(true);
    DrainWorkers();
    Status status;
    if (reload.save) {
      RunSave(false, nullptr, [&](Status saved) { status = std::move(saved); });
      if (!status.ok()) {
        SetLoading(false);
        return done(Unavailable(""));
      }
    }
    if (reload.flush) {
      ShareKeyspace();
      {
        store::AllShardsGuard guard(services_->keyspace);
        services_->keyspace.FlushAll();
      }
      UnshareKeyspace();
    }
    status = ReadFile(false, reload.merge);
    if (status.ok()) {
      LOG_WARN("DB reloaded by DEBUG RELOAD");
    } else {
      LOG_ERROR("DEBUG RELOAD: {}", status.message());
      status = Invalid("Error trying to load the RDB dump, check server logs.");
    }
    SetLoading(false);
    done(status);
  });
}

// ---------------------------------------------------------------------------------------------- figures

uint64_t Saver::changes_since_save() const {
  const uint64_t saved = saved_changes_.load();
  return services_->dispatcher.changes() - saved;
}

void Saver::ResetCounters() {
  std::lock_guard lock(mutex_);
  state_.saves = 0;
}

Saver::State Saver::state() const {
  std::lock_guard lock(mutex_);
  State state = state_;
  state.keys_saved = keys_saved_;
  state.keys_to_save = keys_to_save_;
  state.load_read_bytes = load_read_bytes_;
  state.load_total_bytes = load_total_bytes_;
  return state;
}

}  // namespace understudy::command
