#include "node/replication/log.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>

#include "common/check.h"

namespace understudy::replication {
namespace {

constexpr std::string_view kEpochPrefix = "understudy-epoch=";
constexpr std::string_view kMulti = "*1\r\n$5\r\nMULTI\r\n";
constexpr std::string_view kExec = "*1\r\n$4\r\nEXEC\r\n";
// Blocks that may be given back for each one that is begun.
constexpr size_t kTrimPerBlock = 3;
// Of blocks that are kept: 16 MiB.
constexpr size_t kMostSpareBlocks = 1024;
// A scratch buffer larger than this is given back after use.
constexpr size_t kKeptScratchBytes = 1024 * 1024;

void AppendHeader(char type, uint64_t value, std::string* out) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  CHECK(error == std::errc());
  out->push_back(type);
  out->append(digits, end);
  out->append("\r\n");
}

void EncodeSelect(int db, std::string* out) {
  const std::string text = std::to_string(db);
  const std::string_view argv[] = {"SELECT", text};
  EncodeCommand(argv, out);
}

}  // namespace

std::string EpochWord(uint64_t epoch) { return std::string(kEpochPrefix) + std::to_string(epoch); }

uint64_t ParseEpochWord(std::string_view word) {
  if (!word.starts_with(kEpochPrefix)) return 0;
  word.remove_prefix(kEpochPrefix.size());
  uint64_t epoch = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), epoch);
  return error == std::errc() && end == word.data() + word.size() ? epoch : 0;
}

void EncodeCommand(std::span<const std::string_view> argv, std::string* out) {
  AppendHeader('*', argv.size(), out);
  for (std::string_view word : argv) {
    AppendHeader('$', word.size(), out);
    out->append(word);
    out->append("\r\n");
  }
}

Log::Log(std::string replid, uint64_t backlog_bytes) : backlog_bytes_(backlog_bytes) {
  history_.replid = std::move(replid);
}

Log::~Log() { CHECK(readers_.empty()); }

uint64_t Log::Append(std::span<const Record> records) {
  if (!active() || records.empty()) return end();
  // The usual write: the client's own bytes.
  if (records.size() == 1 && !records[0].encoded.empty()) {
    return AppendEncoded({}, records[0].db, records[0].encoded, records[0].db);
  }
  static thread_local std::string scratch;
  scratch.clear();
  int db = records.front().db;
  for (const Record& record : records) {
    if (record.db != db) {
      db = record.db;
      EncodeSelect(db, &scratch);
    }
    if (record.encoded.empty()) {
      EncodeCommand(record.argv, &scratch);
    } else {
      scratch.append(record.encoded);
    }
  }
  if (records.size() > 1) scratch.append(kExec);
  const uint64_t offset = AppendEncoded(records.size() > 1 ? kMulti : "", records.front().db, scratch, db);
  if (scratch.capacity() > kKeptScratchBytes) scratch = std::string();
  return offset;
}

uint64_t Log::AppendEncoded(std::string_view begin, int first_db, std::string_view bytes, int last_db) {
  std::lock_guard lock(mutex_);
  CHECK(writable_);
  if (!begin.empty()) [[unlikely]] AppendLocked(begin);
  SelectLocked(first_db);
  AppendLocked(bytes);
  db_ = last_db;
  return end_.load(std::memory_order_relaxed);
}

bool Log::AppendOwn(std::span<const std::string_view> argv) {
  std::string bytes;
  EncodeCommand(argv, &bytes);
  std::lock_guard lock(mutex_);
  if (!writable_ || !active()) return false;
  AppendLocked(bytes);
  return true;
}

void Log::AppendRaw(std::string_view bytes, int db, uint64_t epoch) {
  std::lock_guard lock(mutex_);
  CHECK(!writable_);
  AppendLocked(bytes);
  db_ = db;
  if (epoch > 0) history_.last_record_epoch = epoch;
}

void Log::AppendEpochRecord(uint64_t epoch) {
  std::string record;
  const std::string word = EpochWord(epoch);
  const std::string_view argv[] = {"PING", word};
  EncodeCommand(argv, &record);
  std::lock_guard lock(mutex_);
  CHECK(writable_ && active());
  AppendLocked(record);
  history_.last_record_epoch = epoch;
}

void Log::SelectLocked(int db) {
  if (!force_select_ && db == db_) return;
  std::string select;
  EncodeSelect(db, &select);
  AppendLocked(select);
  force_select_ = false;
}

void Log::AppendLocked(std::string_view bytes) {
  uint64_t end = end_.load(std::memory_order_relaxed);
  while (!bytes.empty()) {
    if (room_ == 0) {
      // A block that the backlog no longer needs becomes the new one: no allocation in the steady state. More than
      // one may go, so that a backlog that was too long becomes shorter.
      std::vector<std::unique_ptr<Block>> freed;
      TrimLocked(kTrimPerBlock, &freed);
      blocks_.push_back(NewBlockLocked());
      CountBlocksLocked();
      tail_ = blocks_.back()->bytes;
      room_ = kBlockBytes;
    }
    const size_t part = std::min(bytes.size(), room_);
    std::memcpy(tail_, bytes.data(), part);
    tail_ += part;
    room_ -= part;
    bytes.remove_prefix(part);
    end += part;
  }
  end_.store(end, std::memory_order_release);
}

uint64_t Log::LowestReaderLocked() const {
  uint64_t lowest = UINT64_MAX;
  for (const Reader* reader : readers_) lowest = std::min(lowest, reader->position_);
  return lowest;
}

void Log::TrimLocked(size_t limit, std::vector<std::unique_ptr<Block>>* freed) {
  const uint64_t end = end_.load(std::memory_order_relaxed);
  while (limit-- > 0 && blocks_.size() > 1) {
    const uint64_t next = first_ + kBlockBytes;
    if (end < next || end - next < backlog_bytes_ || LowestReaderLocked() < next) return;
    std::vector<std::unique_ptr<Block>>& to = spare_.size() < kMostSpareBlocks ? spare_ : *freed;
    to.push_back(std::move(blocks_.front()));
    blocks_.pop_front();
    first_ = next;
    CountBlocksLocked();
  }
}

std::unique_ptr<Log::Block> Log::NewBlockLocked() {
  if (spare_.empty()) return std::unique_ptr<Block>(new Block);
  std::unique_ptr<Block> block = std::move(spare_.back());
  spare_.pop_back();
  unused_spare_ = std::min(unused_spare_, spare_.size());
  return block;
}

void Log::ReleaseSpare() {
  std::vector<std::unique_ptr<Block>> freed;
  std::lock_guard lock(mutex_);
  const auto unused = static_cast<std::ptrdiff_t>((unused_spare_ + 1) / 2);
  std::move(spare_.begin(), spare_.begin() + unused, std::back_inserter(freed));
  spare_.erase(spare_.begin(), spare_.begin() + unused);
  unused_spare_ = spare_.size();
  CountBlocksLocked();
}

void Log::CountBlocksLocked() {
  allocated_.store((blocks_.size() + spare_.size()) * sizeof(Block), std::memory_order_relaxed);
}

uint64_t Log::first() const {
  std::lock_guard lock(mutex_);
  return first_;
}

int Log::db() const {
  std::lock_guard lock(mutex_);
  return db_;
}

History Log::history() const {
  std::lock_guard lock(mutex_);
  return history_;
}

void Log::SetWritable(bool writable) {
  std::lock_guard lock(mutex_);
  writable_ = writable;
}

bool Log::writable() const {
  std::lock_guard lock(mutex_);
  return writable_;
}

void Log::Activate(std::string new_replid) {
  std::lock_guard lock(mutex_);
  if (active()) return;
  // Writes that were not logged are in the data: the old id says nothing about it.
  history_.replid = std::move(new_replid);
  history_.ancestors.clear();
  force_select_ = true;
  active_.store(true, std::memory_order_release);
}

void Log::Deactivate() {
  std::deque<std::unique_ptr<Block>> freed;
  std::lock_guard lock(mutex_);
  CHECK(readers_.empty());
  active_.store(false, std::memory_order_release);
  freed.swap(blocks_);
  CountBlocksLocked();
  room_ = 0;
  first_ = end();
}

void Log::RenameLocked(std::string replid) {
  history_.ancestors.insert(history_.ancestors.begin(), Ancestor{std::move(history_.replid), end()});
  if (history_.ancestors.size() > kMaxAncestors) history_.ancestors.pop_back();
  history_.replid = std::move(replid);
}

void Log::StartHistory(std::string replid) {
  std::lock_guard lock(mutex_);
  RenameLocked(std::move(replid));
  force_select_ = true;
}

void Log::RenameHistory(std::string replid) {
  std::lock_guard lock(mutex_);
  if (replid != history_.replid) RenameLocked(std::move(replid));
}

void Log::Reset(History history, uint64_t offset, int db) {
  std::deque<std::unique_ptr<Block>> freed;
  std::lock_guard lock(mutex_);
  CHECK(readers_.empty());
  freed.swap(blocks_);
  CountBlocksLocked();
  room_ = 0;
  history_ = std::move(history);
  first_ = offset;
  end_.store(offset, std::memory_order_release);
  db_ = db;
  force_select_ = true;
}

Log::Cut Log::TakeCut() {
  std::lock_guard lock(mutex_);
  if (writable_) force_select_ = true;
  return {end(), db_, history_};
}

std::unique_ptr<Log::Reader> Log::ReadFrom(uint64_t position) {
  std::lock_guard lock(mutex_);
  if (position < first_ || position > end()) return nullptr;
  std::unique_ptr<Reader> reader(new Reader(*this, position));
  readers_.push_back(reader.get());
  return reader;
}

void Log::SetBacklogBytes(uint64_t bytes) {
  std::vector<std::unique_ptr<Block>> freed;
  std::lock_guard lock(mutex_);
  backlog_bytes_ = bytes;
  TrimLocked(SIZE_MAX, &freed);
}

uint64_t Log::held_bytes() const {
  std::lock_guard lock(mutex_);
  return end() - first_;
}

Log::Reader::~Reader() {
  std::vector<std::unique_ptr<Block>> freed;
  std::lock_guard lock(log_.mutex_);
  std::erase(log_.readers_, this);
  log_.TrimLocked(SIZE_MAX, &freed);
}

size_t Log::Reader::Peek(std::span<struct iovec> out, int* used, size_t max) const {
  *used = 0;
  std::lock_guard lock(log_.mutex_);
  const size_t available = std::min<uint64_t>(log_.end() - position_, max);
  size_t left = available;
  uint64_t at = position_;
  while (left > 0 && static_cast<size_t>(*used) < out.size()) {
    const size_t block = (at - log_.first_) / kBlockBytes;
    const size_t inside = (at - log_.first_) % kBlockBytes;
    const size_t part = std::min(left, kBlockBytes - inside);
    out[*used] = {log_.blocks_[block]->bytes + inside, part};
    ++*used;
    at += part;
    left -= part;
  }
  return available - left;
}

void Log::Reader::Advance(size_t bytes) {
  std::vector<std::unique_ptr<Block>> freed;
  std::lock_guard lock(log_.mutex_);
  position_ += bytes;
  CHECK(position_ <= log_.end());
  log_.TrimLocked(SIZE_MAX, &freed);
}

}  // namespace understudy::replication
