// Saver: the data set in a file, `dbfilename` in `dir`: saved now, in the background, at save points and at the end;
// loaded at the start and by DEBUG RELOAD.
//
// No fork: a snapshot (persist/snapshot.h) is written by this object's thread while clients are served; SAVE is the
// same with a client that waits. The file is that of one moment, the cut; the former file stays until the new one is
// whole and on the disk (persist/rdb_file.h). What a save costs: writers copy what they overwrite before it is written,
// in all at most 64 MB, or without an operator half of what the data set takes; near to that they are slowed down,
// beyond it the save fails. Changes since the last save are what the workers count anyway (Dispatcher::changes), less
// what it was at its cut; batches that were running then may be counted to both sides.
//
// One thing at a time, on one thread; what waits is what clients wait for. Under the operator nothing is loaded and
// nothing is saved by itself (docs/decisions/0022-files.md).
//
// Threads: any, unless it says otherwise. Callbacks run on the saver's thread, with no lock held.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"

namespace understudy::role {
class RoleGate;
}

namespace understudy::command {

struct Services;

class Saver {
 public:
  using Done = std::function<void(Status)>;

  // gate: closed while data is loaded.
  explicit Saver(role::RoleGate& gate);
  ~Saver();
  // Before workers start.
  void Start(Services& services);
  // Gives up what is under way. Before the workers stop.
  void Stop();

  // ---- Saving --------------------------------------------------------------------------------------------
  // False: a save in the background is under way. Behind another one it waits for its turn. at_cut: the point in time
  // is fixed, or there is an error; done: the save has ended.
  bool Save(bool background, Done at_cut, Done done);
  // In the background as soon as no save is under way.
  void Schedule();
  // FLUSHALL has emptied the data. True if there are save points: then a save of what is left begins, one in the
  // background is given up, and `done` is called at the end.
  bool SaveAfterFlush(Done done);
  // Before the process ends: gives up what is under way, then saves what nobody changes any more (writes are paused).
  void SaveLast(Done done);
  // The process ends at once: what is under way leaves no file behind.
  void Abandon();
  // Worker 0, every 100 ms or so: save points.
  void OnTick(int64_t now_ms);
  // Options were changed.
  void OnOptions();

  // ---- Loading -------------------------------------------------------------------------------------------
  // Before workers start: is there a file? Then no data is served until Load has ended.
  bool WillLoad();
  // After WillLoad said yes. An error leaves the data unserved.
  void Load(Done done);
  struct Reload {
    bool save = true, flush = true, merge = false;
  };
  // DEBUG RELOAD. The error's message is the reply.
  void ReloadData(Reload reload, Done done);
  bool loading() const { return loading_.load(std::memory_order_acquire); }

  // ---- Figures -------------------------------------------------------------------------------------------
  struct State {
    bool in_background = false;        // a save in the background is under way
    int64_t save_started_ms = 0;       // wall
    uint64_t keys_saved = 0, keys_to_save = 0;
    int64_t last_save_s = 0;           // unix time of the last one that succeeded; of the start before it
    bool last_ok = true;
    int64_t last_background_s = -1;    // how long it took
    uint64_t saves = 0;                // that were begun
    int64_t load_started_ms = 0;
    uint64_t load_read_bytes = 0, load_total_bytes = 0;
    uint64_t keys_loaded = 0, keys_expired = 0;  // by the last load
  };
  State state() const;
  void ResetCounters();  // CONFIG RESETSTAT
  uint64_t changes_since_save() const;

 private:
  void Run();
  void Enqueue(std::function<void()> job);  // mutex_ held
  bool StartSave(bool background, Done at_cut, Done done);  // mutex_ held; as Save
  void RunSave(bool background, const Done& at_cut, const Done& done);
  Status WriteFile(const Done& at_cut);
  Status ReadFile(bool keep_expired, bool merge);
  void DrainWorkers();
  void ShareKeyspace();
  void UnshareKeyspace();
  void SetLoading(bool loading);
  void UpdateWritesFail();  // mutex_ held
  std::string Path() const;

  Services* services_ = nullptr;
  role::RoleGate& gate_;
  std::thread thread_;
  std::atomic<bool> loading_{false};
  std::atomic<bool> given_up_{false};     // the job under way is to end soon
  std::atomic<uint64_t> saved_changes_{0};  // Dispatcher::changes at the cut of the last save
  std::atomic<uint64_t> keys_saved_{0}, keys_to_save_{0}, load_read_bytes_{0}, load_total_bytes_{0};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;  // mutex_
  bool stop_ = false;                       // mutex_
  bool busy_ = false;                       // mutex_: a job is under way
  bool background_ = false;                 // mutex_: a save in the background waits or is under way
  bool scheduled_ = false;                  // mutex_
  int64_t last_try_ms_ = 0;                 // mutex_
  std::string writes_in_;                   // mutex_: directory of the save under way, or the last one
  State state_;                             // mutex_; the counters above are filled in by state()
};

// The codes of all libraries. With all shards locked.
std::vector<std::string> FunctionCodes(const Services& services);

}  // namespace understudy::command
