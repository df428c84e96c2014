#include "node/persist/snapshot.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "common/check.h"
#include "node/persist/crc64.h"
#include "node/persist/function_dump.h"
#include "node/persist/rdb_format.h"
#include "node/store/shard_guard.h"
#include "node/store/table.h"

namespace understudy::persist {
namespace {

// Slots of running snapshots, a bit each; and a number that no two snapshots of this process share. Tables
// may move between keyspaces (SwapContents), so both are the process's.
std::atomic<uint32_t> slots_taken{0};
std::atomic<uint32_t> last_version{0};

int TakeSlot() {
  uint32_t taken = slots_taken.load();
  for (;;) {
    int slot = 0;
    while (slot < store::kMaxSnapshots && (taken >> slot & 1) != 0) ++slot;
    if (slot == store::kMaxSnapshots) return -1;
    if (slots_taken.compare_exchange_weak(taken, taken | 1u << slot)) return slot;
  }
}

// A piece that has grown this long is closed, so that growing it copies little under a shard's lock.
constexpr size_t kPieceBytes = 32 * 1024;
// A record of so many bytes counts as an entry more: the lock is held for about the same time.
constexpr size_t kBytesOfAnEntry = 512;

}  // namespace

Snapshot::Snapshot(store::Keyspace& keyspace, const Options& options, int slot)
    : keyspace_(keyspace), options_(options), slot_(slot), rdb_version_(options.rdb_version) {}

Result<std::unique_ptr<Snapshot>> Snapshot::Begin(store::Keyspace& keyspace, const Options& options,
                                                  const std::function<AuxFields()>& at_cut) {
  CHECK(keyspace.shared());
  const int slot = TakeSlot();
  if (slot < 0) return Unavailable(fmt::format("{} snapshots are running already", store::kMaxSnapshots));
  std::unique_ptr<Snapshot> snapshot(new Snapshot(keyspace, options, slot));
  const uint32_t version = last_version.fetch_add(1) + 1;
  std::map<int, std::pair<uint64_t, uint64_t>> sizes;  // by database: keys, with expiry
  AuxFields fields;
  std::vector<std::string> functions;
  {
    store::AllShardsGuard guard(keyspace);
    fields = at_cut();
    if (options.functions) functions = options.functions();
    for (uint32_t shard = 0; options.keys && shard < keyspace.shard_count(); ++shard) {
      for (store::Keyspace::TableRef& ref : keyspace.TablesOf(shard)) {
        ref.table->AttachSink(slot, snapshot.get(), ref.db, version);
        if (options.keep_field_expiry && ref.table->may_have_field_expiry()) {
          snapshot->rdb_version_ = kValkeyRdbVersion;
        }
        sizes[ref.db].first += ref.table->size();
        sizes[ref.db].second += ref.table->expires();
        snapshot->tables_.push_back({ref.db, shard, std::move(ref.table)});
      }
    }
  }
  std::string& head = snapshot->head_;
  const int rdb_version = snapshot->rdb_version_;
  AppendRdbMagic(head, rdb_version);
  // What the format corresponds to.
  const char* const release = rdb_version == kOldRdbVersion ? "5.0.0" : "7.2.0";
  AppendRdbAux(head, rdb_version >= kFirstValkeyVersion ? "valkey-ver" : "redis-ver",
               rdb_version >= kFirstValkeyVersion ? "9.0.0" : release);
  AppendRdbAux(head, "redis-bits", "64");
  for (const auto& [name, value] : fields) AppendRdbAux(head, name, value);
  // Readers of the old version don't know them.
  if (rdb_version == kOldRdbVersion) functions.clear();
  for (const std::string& code : functions) AppendRdbFunction(head, code);
  for (const auto& [db, size] : sizes) {
    AppendRdbSelectDb(head, db);
    AppendRdbResizeDb(head, size.first, size.second);
    snapshot->selected_db_ = db;
  }
  return snapshot;
}

Snapshot::~Snapshot() {
  for (size_t i = table_at_; i < tables_.size(); ++i) DetachTable(tables_[i]);
  {
    std::lock_guard lock(pre_images_mutex_);
    NotePreImageBytes(0);
  }
  slots_taken.fetch_and(~(1u << slot_));
}

// Ends a table's part in the snapshot. Its last reference may go here, so a flushed table is freed here.
void Snapshot::DetachTable(Captured& captured) {
  {
    store::OneShardGuard guard(keyspace_, keyspace_.shard(captured.shard));
    captured.table->DetachSink(slot_);
  }
  captured.table.reset();
}

size_t Snapshot::AppendTo(std::deque<Piece>& pieces, int db, const store::Entry& entry, size_t most) const {
  if (pieces.empty() || pieces.back().db != db || pieces.back().blob || pieces.back().bytes.size() >= kPieceBytes) {
    pieces.push_back({db, {}, {}, 0});
  }
  Piece& first = pieces.back();
  const size_t before = first.Cost();
  ++first.keys;
  if (entry.external()) {
    AppendRdbEntryHead(first.bytes, entry);
    first.blob = store::BlobRef::Share(entry.blob());
    return first.Cost() - before;
  }
  size_t added = 0;  // in pieces that are full
  size_t start = before;
  AppendRdbEntryInPieces(&first.bytes, entry, rdb_version_, [&](std::string* bytes) -> std::string* {
    if (bytes->size() < kPieceBytes) return bytes;
    added += bytes->size() - start;
    if (added > most) return nullptr;
    start = 0;
    pieces.back().continued = true;
    pieces.push_back({db, {}, {}, 0});
    return &pieces.back().bytes;
  });
  return added > most ? added : added + pieces.back().bytes.size() - start;
}

void Snapshot::AddPreImage(int db, const store::Entry& entry) {
  std::lock_guard lock(pre_images_mutex_);
  if (overflowed_) return;
  const size_t most = options_.pre_image_limit_bytes - std::min(options_.pre_image_limit_bytes, pre_image_bytes_);
  NotePreImageBytes(pre_image_bytes_ + AppendTo(pre_images_, db, entry, most));
  if (pre_image_bytes_ > options_.pre_image_limit_bytes) {
    overflowed_ = true;
    pre_images_.clear();
    NotePreImageBytes(0);
  }
}

void Snapshot::NotePreImageBytes(size_t bytes) {
  keyspace_.snapshot_bytes().fetch_add(bytes - pre_image_bytes_, std::memory_order_relaxed);
  pre_image_bytes_ = bytes;
  pre_image_peak_bytes_ = std::max(pre_image_peak_bytes_, bytes);
  // Up at half of the limit, down at a quarter.
  const bool pressure = bytes > options_.pre_image_limit_bytes / (under_pressure_ ? 4 : 2);
  if (pressure == under_pressure_) return;
  under_pressure_ = pressure;
  keyspace_.CountSnapshotPressure(pressure ? 1 : -1);
}

size_t Snapshot::pre_image_peak_bytes() const {
  std::lock_guard lock(pre_images_mutex_);
  return pre_image_peak_bytes_;
}

Status Snapshot::WriteBytes(std::string_view bytes, ChunkSink& sink) {
  if (options_.checksum) crc_ = Crc64(crc_, bytes);
  RETURN_IF_ERROR(sink.Write(bytes));
  bytes_written_ += bytes.size();
  return {};
}

Status Snapshot::WritePiece(const Piece& piece, ChunkSink& sink) {
  if (piece.db != selected_db_) {
    std::string select;
    AppendRdbSelectDb(select, piece.db);
    RETURN_IF_ERROR(WriteBytes(select, sink));
    selected_db_ = piece.db;
  }
  RETURN_IF_ERROR(WriteBytes(piece.bytes, sink));
  if (piece.blob) RETURN_IF_ERROR(WriteBytes(piece.blob.view(), sink));
  keys_written_ += piece.keys;
  return {};
}

// Writes what writers handed over, until it is all gone or a chunk is full.
Status Snapshot::WritePreImages(ChunkSink& sink) {
  const uint64_t start = bytes_written_;
  bool continued = false;  // nothing else may be written before the rest of the record
  while (continued || bytes_written_ - start < options_.chunk_bytes) {
    Piece piece;
    {
      std::lock_guard lock(pre_images_mutex_);
      if (overflowed_) {
        return Unavailable(fmt::format("snapshot given up: the receiver is too slow, more than {} bytes of "
                                       "overwritten data waited for it", options_.pre_image_limit_bytes));
      }
      if (pre_images_.empty()) return {};
      piece = std::move(pre_images_.front());
      pre_images_.pop_front();
    }
    RETURN_IF_ERROR(WritePiece(piece, sink));
    continued = piece.continued;
    std::lock_guard lock(pre_images_mutex_);
    if (!overflowed_) NotePreImageBytes(pre_image_bytes_ - piece.Cost());
  }
  return {};
}

// Walks on, lock by lock, until a chunk is full or all tables are done.
Status Snapshot::WalkSome(ChunkSink& sink) {
  std::deque<Piece> pieces;
  size_t bytes = 0;
  while (table_at_ < tables_.size() && bytes < options_.chunk_bytes) {
    Captured& captured = tables_[table_at_];
    bool more;
    {
      store::OneShardGuard guard(keyspace_, keyspace_.shard(captured.shard));
      more = captured.table->WalkUnsaved(slot_, &position_, options_.entries_a_lock, [&](const store::Entry& entry) {
        const size_t added = AppendTo(pieces, captured.db, entry, SIZE_MAX);
        bytes += added;
        return 1 + (entry.external() ? 0 : added / kBytesOfAnEntry);
      });
    }
    if (!more) {
      DetachTable(captured);
      ++table_at_;
      position_ = 0;
    }
  }
  keyspace_.snapshot_bytes().fetch_add(bytes, std::memory_order_relaxed);
  Status status;
  for (auto piece = pieces.begin(); piece != pieces.end() && status.ok(); ++piece) status = WritePiece(*piece, sink);
  keyspace_.snapshot_bytes().fetch_sub(bytes, std::memory_order_relaxed);
  return status;
}

Result<bool> Snapshot::Step(ChunkSink& sink) {
  if (!failed_.ok()) return failed_;
  if (finished_) return true;
  const auto step = [&]() -> Status {
    if (!head_.empty()) {
      RETURN_IF_ERROR(WriteBytes(head_, sink));
      head_.clear();
    }
    const bool walked = table_at_ == tables_.size();  // from here on no writer hands over more
    RETURN_IF_ERROR(WritePreImages(sink));
    if (!walked) return WalkSome(sink);
    {
      std::lock_guard lock(pre_images_mutex_);
      if (!pre_images_.empty()) return {};
    }
    std::string end;
    if (options_.checksum) {
      AppendRdbEnd(end, crc_);
    } else {
      end.push_back(static_cast<char>(kOpEof));
      end.append(8, '\0');
    }
    RETURN_IF_ERROR(sink.Write(end));
    bytes_written_ += end.size();
    finished_ = true;
    return {};
  };
  failed_ = step();
  if (!failed_.ok()) return failed_;
  return finished_;
}

Status Snapshot::Run(ChunkSink& sink) {
  for (;;) {
    Result<bool> done = Step(sink);
    if (!done.ok()) return done.status();
    if (*done) return {};
  }
}

}  // namespace understudy::persist
