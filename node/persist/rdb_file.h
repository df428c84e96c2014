// RDB in files.
//
// RdbFile writes one that takes its name only when it is whole and on the disk: until Commit it is `temp-<pid>.rdb`
// beside it, and whatever fails leaves the former file as it was. What a process that was killed has left is removed
// when somebody saves there again, or loads. LoadRdbFile reads one.
// One thread each. Messages name the file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "node/persist/loader.h"
#include "node/persist/snapshot.h"

namespace understudy::persist {

class RdbFile final : public ChunkSink {
 public:
  // dir: absolute, or from the working directory on.
  RdbFile(std::string dir, std::string name);
  ~RdbFile();  // removes what was not committed
  RdbFile(const RdbFile&) = delete;
  RdbFile& operator=(const RdbFile&) = delete;

  Status Open();
  // Hands what was written to the disk on the way, so that little is left to wait for in Commit.
  Status Write(std::string_view bytes) override;
  // Waits until all of it is on the disk, then gives it its name.
  Status Commit();
  // Removes temporary files of processes that are no more. They hold a lock on theirs (flock), since numbers of processes
  // in other containers say nothing.
  static void RemoveLeftBehind(const std::string& dir);
  // For who ends this process while another thread writes: removes what it has written. Any thread.
  static void RemoveTemporary(const std::string& dir);

 private:
  const std::string dir_, path_, temporary_;
  int fd_ = -1;
  uint64_t written_ = 0, handed_ = 0;
};

// Told after each piece of the file: bytes read so far, and in all. False: give up (kUnavailable).
using LoadProgress = std::function<bool(uint64_t read, uint64_t total)>;

// Feeds the file to the loader, to its end. kNotFound: there is no such file. kInvalid: damaged, or cut off.
Status LoadRdbFile(const std::string& path, Loader& loader, const LoadProgress& progress);

}  // namespace understudy::persist
