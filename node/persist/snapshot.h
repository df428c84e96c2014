// Snapshot: the whole keyspace as it is at one moment, as an RDB stream, while commands go on.
//
// No fork, no copy of everything, no long lock. The cut: all shards are locked for some tens of microseconds,
// the caller takes the replication offset, the tables are noted. Then Step() walks them, one shard lock at a
// time for at most about 50 microseconds. A writer that comes first to a part that the walk has not reached
// hands it over before it changes it (store/pre_image.h), so each key is in the stream once, as it was at the
// cut. FLUSHALL, SWAPDB and SwapContents only replace whole tables; the snapshot keeps the old ones alive.
// Large values are shared, not copied.
//
// Collections can't be shared: one that is changed before the walk has come to it is serialised whole by the writer
// that changes it, under the shard's lock, and so is one by the walk when it comes to it. Either takes time (about a
// second for 10 million elements) and memory (its size in RDB) in proportion to it; compact ones cost a copy of their
// bytes.
//
// Memory: what writers hand over waits here until Step sends it, and Step sends it before it walks on. If the
// receiver is slow and it grows beyond half of pre_image_limit_bytes, Keyspace::WritersShouldWait turns true
// and admission can slow writers down; beyond the limit the snapshot fails, the memory is freed, and the
// caller starts anew (the choice: neither may a slow replica stop the clients of the primary, nor may it take
// its memory). A large value that was handed over counts in full; serialising a collection stops where it would go
// beyond the limit.
//
// Threads: Begin, Step and the destructor on one thread (the full-copy thread), the keyspace being shared from
// before Begin to after the destructor (Keyspace::SetShared), and alive. At most store::kMaxSnapshots at once
// in a process.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "node/persist/rdb_writer.h"
#include "node/store/keyspace.h"
#include "node/store/pre_image.h"

namespace understudy::persist {

// Where the RDB goes. Called by Step on its thread, with no lock held: it may block.
class ChunkSink {
 public:
  // bytes: good during the call. An error ends the snapshot and comes out of Step.
  virtual Status Write(std::string_view bytes) = 0;

 protected:
  ~ChunkSink() = default;
};

class Snapshot final : private store::PreImageSink {
 public:
  struct Options {
    size_t pre_image_limit_bytes = 64u << 20;
    size_t chunk_bytes = 64u << 10;    // about what one Write gets, large values apart
    size_t entries_a_lock = 128;       // entries serialised while a shard is locked
    int rdb_version = kRdbVersion;     // or kOldRdbVersion, kValkeyRdbVersion
    bool keys = true;                  // false: only what comes before them
    bool keep_field_expiry = false;    // kValkeyRdbVersion if there are hashes whose fields have a TTL, which it keeps
    // Called at the cut: the codes of libraries of functions. May be empty.
    std::function<std::vector<std::string>()> functions = {};
    bool checksum = true;              // false: 8 zero bytes, which every reader accepts
  };

  // Takes the cut. at_cut runs while all shards are locked: it gives the fields that must match the data
  // (repl-id, repl-offset, ...), and should do little else.
  // kUnavailable: kMaxSnapshots are running already.
  static Result<std::unique_ptr<Snapshot>> Begin(store::Keyspace& keyspace, const Options& options,
                                                 const std::function<AuxFields()>& at_cut);
  ~Snapshot();  // gives up if not done

  // Writes the next piece, about chunk_bytes. True when the stream is complete.
  // kUnavailable: overwritten data went beyond the limit. Other errors are the sink's. Errors are final.
  Result<bool> Step(ChunkSink& sink);
  // Steps until done.
  Status Run(ChunkSink& sink);

  uint64_t bytes_written() const { return bytes_written_; }
  uint64_t keys_written() const { return keys_written_; }
  size_t pre_image_peak_bytes() const;

 private:
  struct Captured {
    int db;
    uint32_t shard;
    std::shared_ptr<store::Table> table;
  };
  // A piece of the stream: records of one database, then perhaps a large value that ends the last of them.
  struct Piece {
    int db;
    std::string bytes;
    store::BlobRef blob;
    uint64_t keys = 0;
    bool continued = false;  // the last record goes on in the next piece
    size_t Cost() const { return bytes.size() + (blob ? blob.view().size() : 0); }
  };

  Snapshot(store::Keyspace& keyspace, const Options& options, int slot);
  void AddPreImage(int db, const store::Entry& entry) override;
  // Appends a record to the last piece, and to new ones if that is of another database or long enough. Gives up after
  // about `most` bytes of it. Returns the bytes that it added.
  size_t AppendTo(std::deque<Piece>& pieces, int db, const store::Entry& entry, size_t most) const;
  Status WritePreImages(ChunkSink& sink);
  Status WalkSome(ChunkSink& sink);
  Status WritePiece(const Piece& piece, ChunkSink& sink);
  Status WriteBytes(std::string_view bytes, ChunkSink& sink);
  void NotePreImageBytes(size_t bytes);  // pre_images_mutex_ held
  void DetachTable(Captured& captured);

  store::Keyspace& keyspace_;
  const Options options_;
  const int slot_;               // among the process's kMaxSnapshots
  int rdb_version_;              // constant from the cut on
  std::vector<Captured> tables_;
  size_t table_at_ = 0;          // tables_ before it are done
  uint64_t position_ = 0;        // within tables_[table_at_]
  std::string head_;             // what precedes the keys; empty once written
  bool finished_ = false;
  Status failed_;
  int selected_db_ = -1;
  uint64_t crc_ = 0;
  uint64_t bytes_written_ = 0;
  uint64_t keys_written_ = 0;

  // Handed over by writers. Its mutex comes after the shard locks.
  mutable std::mutex pre_images_mutex_;
  std::deque<Piece> pre_images_;     // pre_images_mutex_
  size_t pre_image_bytes_ = 0;       // pre_images_mutex_; with the piece that is being written
  size_t pre_image_peak_bytes_ = 0;  // pre_images_mutex_
  bool overflowed_ = false;          // pre_images_mutex_
  bool under_pressure_ = false;      // pre_images_mutex_
};

}  // namespace understudy::persist
