// PreImageSink: what a snapshot gives the tables, so that writers save the old state before they change it.
//
// Each segment of a table divides its range of hashes into 64 intervals, and keeps for each running snapshot
// one bit an interval: "the snapshot has this part". A writer that is about to change an interval whose bit is
// not set hands all its entries to the sink first, then sets the bit. The interval of a key depends on its
// hash only, so segments may grow and split meanwhile.
#pragma once

#include <cstdint>

namespace understudy::store {

class Entry;

// At most this many snapshots run at once in a process.
inline constexpr int kMaxSnapshots = 4;

class PreImageSink {
 public:
  // Under the shard's lock, on the writer's thread: copy what is needed, quickly; no waiting, no I/O.
  // db: the database's number at the cut.
  virtual void AddPreImage(int db, const Entry& entry) = 0;

 protected:
  ~PreImageSink() = default;
};

}  // namespace understudy::store
