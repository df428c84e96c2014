// The replication log: the ordered stream, kept as far back as the backlog and the slowest replica need it.
//
//   blocks_   [ 16 KiB ][ 16 KiB ][ 16 KiB ][ 16 KiB ]
//              ^ first_       ^ a Reader's position    ^ end_
//
// Appending is a copy into the last block under one short lock, so the offset is exact when Append returns.
// All blocks have one size and follow each other without gaps, so a position is found by division. A block is
// dropped when it is older than the backlog and no Reader stands before its end; it is kept for a moment for the next
// one, since a replica that falls behind and catches up again and again would otherwise cost a page fault for each page
// of the stream. A Reader reads without the lock, since bytes below the end never change. The log knows in which database the stream is, and writes
// SELECT when it changes.
//
// It also holds the history: the id of the stream, and up to which offset older ids vouch for the same bytes.
//
// Threads: Append in any thread that holds the shard locks of what it appends; the rest in any thread. Lock
// order: shards, then this. Offsets count bytes from 0: "offset" is how many came before, and the next to read.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/replication/apply_sink.h"

namespace understudy::replication {

// An older id of the stream: its bytes below `end` are this stream's.
struct Ancestor {
  std::string replid;
  uint64_t end = 0;
  bool operator==(const Ancestor&) const = default;
};
inline constexpr size_t kMaxAncestors = 8;

struct History {
  std::string replid;               // 40 hex digits
  std::vector<Ancestor> ancestors;  // newest first
  uint64_t last_record_epoch = 0;   // of the newest epoch record in the stream, 0 = none
  bool operator==(const History&) const = default;
};

// The words of the record by which a new primary opens its epoch. A PING with an argument: harmless for Redis.
std::string EpochWord(uint64_t epoch);
// The epoch in such a word; 0 if it is something else.
uint64_t ParseEpochWord(std::string_view word);

void EncodeCommand(std::span<const std::string_view> argv, std::string* out);

class Log {
 public:
  static constexpr size_t kBlockBytes = 16 * 1024;

  // A place in the log that keeps everything after it. Used by one thread at a time.
  class Reader {
   public:
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    uint64_t position() const { return position_; }
    // Fills `out` with the bytes that follow, at most `max`; returns how many. They stay valid until Advance.
    size_t Peek(std::span<struct iovec> out, int* used, size_t max) const;
    void Advance(size_t bytes);
    uint64_t pending_bytes() const { return log_.end() - position_; }

   private:
    friend class Log;
    Reader(Log& log, uint64_t position) : log_(log), position_(position) {}
    Log& log_;
    uint64_t position_;  // log_.mutex_ for writing
  };

  // What a snapshot needs to know of the moment of its cut.
  struct Cut {
    uint64_t offset = 0;
    int db = 0;
    History history;
  };

  Log(std::string replid, uint64_t backlog_bytes);
  ~Log();

  // [shard locks held] See Replication::Append. CHECK: writable.
  uint64_t Append(std::span<const Record> records);
  // The stream's own records (PING, GETACK) of the replication thread; false if the log is not writable.
  bool AppendOwn(std::span<const std::string_view> argv);
  // [shard locks held, if the bytes change data] Bytes that came from the primary, whole records; db is the
  // stream's after them. epoch: of an epoch record among them, 0 = none.
  void AppendRaw(std::string_view bytes, int db, uint64_t epoch);
  // Opens `epoch`. CHECK: writable.
  void AppendEpochRecord(uint64_t epoch);

  bool active() const { return active_.load(std::memory_order_acquire); }
  uint64_t end() const { return end_.load(std::memory_order_acquire); }
  uint64_t first() const;
  int db() const;
  History history() const;

  // Appends become allowed or a broken invariant.
  void SetWritable(bool writable);
  bool writable() const;
  // From now on records are kept (or no longer). Standalone: a log that was inactive starts a new history.
  void Activate(std::string new_replid);
  void Deactivate();

  // A new id for what follows; the old one vouches for what there is. The next record selects its database.
  void StartHistory(std::string replid);
  // The primary gave the history another id (+CONTINUE).
  void RenameHistory(std::string replid);
  // After a full copy: what came before is forgotten. No Reader may exist (CHECK).
  void Reset(History history, uint64_t offset, int db);

  // [all shard locks held] Makes the next record select its database if this log writes its own records.
  Cut TakeCut();
  // Null if `position` is no longer (or not yet) there.
  std::unique_ptr<Reader> ReadFrom(uint64_t position);

  void SetBacklogBytes(uint64_t bytes);
  uint64_t held_bytes() const;
  // Frees half of the spare blocks that nobody has needed since the last call.
  void ReleaseSpare();
  // Of the blocks, whether filled, empty or spare. Any thread, no lock.
  size_t allocated_bytes() const { return allocated_.load(std::memory_order_relaxed); }

 private:
  struct Block {
    char bytes[kBlockBytes];
  };

  // begin: before the SELECT, if one is needed.
  uint64_t AppendEncoded(std::string_view begin, int first_db, std::string_view bytes, int last_db);
  void AppendLocked(std::string_view bytes);
  void RenameLocked(std::string replid);
  void SelectLocked(int db);
  std::unique_ptr<Block> NewBlockLocked();
  // Takes up to `limit` blocks that nobody needs off the front: spare ones, as many as are kept, and freed ones, which
  // the caller frees without the lock.
  void TrimLocked(size_t limit, std::vector<std::unique_ptr<Block>>* freed);
  void CountBlocksLocked();
  uint64_t LowestReaderLocked() const;

  std::atomic<uint64_t> end_{0};     // written under mutex_
  std::atomic<bool> active_{false};  // written under mutex_
  std::atomic<size_t> allocated_{0};  // written under mutex_

  mutable std::mutex mutex_;
  std::deque<std::unique_ptr<Block>> blocks_;  // mutex_
  std::vector<std::unique_ptr<Block>> spare_;  // mutex_: the one that was used last at the end
  size_t unused_spare_ = 0;                    // mutex_: the fewest since ReleaseSpare
  char* tail_ = nullptr;                       // mutex_: where the next byte goes, in the last block
  size_t room_ = 0;                            // mutex_: bytes left there
  uint64_t first_ = 0;                         // mutex_: offset of the first byte of the first block
  uint64_t backlog_bytes_;                     // mutex_
  std::vector<Reader*> readers_;               // mutex_
  History history_;                            // mutex_
  int db_ = 0;                                 // mutex_: selected at the end
  bool force_select_ = true;                   // mutex_
  bool writable_ = false;                      // mutex_
};

}  // namespace understudy::replication
