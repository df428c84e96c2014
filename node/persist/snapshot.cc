#include "node/persist/snapshot.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "common/check.h"
#include "node/persist/crc64.h"
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

}  // namespace

Snapshot::Snapshot(store::Keyspace& keyspace, const Options& options, int slot)
    : keyspace_(keyspace), options_(options), slot_(slot) {}

Result<std::unique_ptr<Snapshot>> Snapshot::Begin(store::Keyspace& keyspace, const Options& options,
                                                  const std::function<AuxFields()>& at_cut) {
  CHECK(keyspace.shared());
  const int slot = TakeSlot();
  if (slot < 0) return Unavailable(fmt::format("{} snapshots are running already", store::kMaxSnapshots));
  std::unique_ptr<Snapshot> snapshot(new Snapshot(keyspace, options, slot));
  const uint32_t version = last_version.fetch_add(1) + 1;
  std::map<int, std::pair<uint64_t, uint64_t>> sizes;  // by database: keys, with expiry
  AuxFields fields;
  {
    store::AllShardsGuard guard(keyspace);
    fields = at_cut();
    for (uint32_t shard = 0; shard < keyspace.shard_count(); ++shard) {
      for (store::Keyspace::TableRef& ref : keyspace.TablesOf(shard)) {
        ref.table->AttachSink(slot, snapshot.get(), ref.db, version);
        sizes[ref.db].first += ref.table->size();
        sizes[ref.db].second += ref.table->expires();
        snapshot->tables_.push_back({ref.db, shard, std::move(ref.table)});
      }
    }
  }
  std::string& head = snapshot->head_;
  AppendRdbMagic(head, options.rdb_version);
  AppendRdbAux(head, "redis-ver", options.rdb_version == kOldRdbVersion ? "5.0.0" : "7.2.0");  // what the format corresponds to
  AppendRdbAux(head, "redis-bits", "64");
  for (const auto& [name, value] : fields) AppendRdbAux(head, name, value);
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

void Snapshot::AppendTo(std::deque<Piece>& pieces, int db, const store::Entry& entry) {
  if (pieces.empty() || pieces.back().db != db || pieces.back().blob || pieces.back().bytes.size() >= kPieceBytes) {
    pieces.push_back({db, {}, {}, 0});
  }
  Piece& piece = pieces.back();
  ++piece.keys;
  if (entry.external()) {
    AppendRdbEntryHead(piece.bytes, entry);
    piece.blob = store::BlobRef::Share(entry.blob());
  } else {
    AppendRdbEntry(piece.bytes, entry);
  }
}

void Snapshot::AddPreImage(int db, const store::Entry& entry) {
  std::lock_guard lock(pre_images_mutex_);
  if (overflowed_) return;
  const size_t before = pre_images_.empty() ? 0 : pre_images_.back().Cost();
  const size_t pieces = pre_images_.size();
  AppendTo(pre_images_, db, entry);
  const size_t added = pre_images_.back().Cost() - (pre_images_.size() == pieces ? before : 0);
  NotePreImageBytes(pre_image_bytes_ + added);
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
  keyspace_.snapshots_under_pressure().fetch_add(pressure ? 1 : -1, std::memory_order_relaxed);
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
  while (bytes_written_ - start < options_.chunk_bytes) {
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
        AppendTo(pieces, captured.db, entry);
      });
    }
    if (!more) {
      DetachTable(captured);
      ++table_at_;
      position_ = 0;
    }
    bytes = 0;
    for (const Piece& piece : pieces) bytes += piece.Cost();
  }
  for (const Piece& piece : pieces) RETURN_IF_ERROR(WritePiece(piece, sink));
  return {};
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
