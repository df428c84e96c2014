// Reads RDB in pieces of any size: files, and the full copy from a primary (ours, Redis 2.4 to 8, Valkey).
//
// The reader keeps at most one incomplete record, of a collection one incomplete element; lengths are checked against
// Limits before memory is taken for them. What is not supported is an error that names it, never skipped: a copy that
// lacks keys would be taken for complete. Errors are final: the reader then refuses to go on. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"
#include "node/persist/value_reader.h"
#include "node/store/shard.h"

namespace understudy::persist {

// A key as read. Views are good during the call only.
struct RdbKey {
  int db = 0;
  std::string_view key;
  std::string_view value;                   // of a string
  store::Collection* collection = nullptr;  // of any other type; may be moved from
  int64_t expire_ms = store::kNoExpire;
  uint32_t idle_seconds = 0;
};

// Told what is read, in order. An error ends the reading and comes out of Feed.
class RdbHandler {
 public:
  virtual Status OnAux(std::string_view name, std::string_view value) = 0;
  // Expected numbers for the database that follows; a hint from outside, not to be trusted.
  virtual Status OnResizeDb(int db, uint64_t keys, uint64_t keys_with_expire) = 0;
  virtual Status OnKey(const RdbKey& key) = 0;
  // The code of a library.
  virtual Status OnFunctions(std::string_view code) = 0;

 protected:
  ~RdbHandler() = default;
};

class RdbReader {
 public:
  struct Limits {
    size_t max_string_bytes = 512u << 20;  // longest key or value
    int databases = 16;
    types::Limits compact = {};            // of compact encodings
  };
  RdbReader(RdbHandler& handler, const Limits& limits);

  // Reads all whole records there are. Returns how many bytes of `chunk` belong to the RDB: all of them, until
  // done() turns true; what follows the end is the caller's (the replication stream).
  // kInvalid: not RDB, damaged, or something this version does not support.
  Result<size_t> Feed(std::string_view chunk);
  // The end and the checksum were read.
  bool done() const { return state_ == State::kDone; }
  // The input has ended: OK if done(), else an error that says where it broke off.
  Status Finish() const;
  uint64_t bytes_read() const { return bytes_read_; }
  // Number in the header, 0 before it was read; 80 and above are Valkey's.
  int version() const { return version_; }

 private:
  enum class State { kMagic, kRecords, kDone, kFailed };

  // Reads one record at the start of `in`. 0: wanted_ bytes are needed. Else the bytes it took.
  Result<size_t> ReadRecord(std::string_view in);
  Result<size_t> ReadMagic(std::string_view in);
  // Goes on with value_; at: where it goes on in `in`.
  Result<size_t> ReadValue(std::string_view in, size_t at);
  Status Fail(std::string what);

  RdbHandler& handler_;
  const Limits limits_;
  State state_ = State::kMagic;
  std::string pending_;     // start of a record that is not complete
  size_t wanted_ = 0;       // bytes of it that must be there before another attempt is worth it
  uint64_t bytes_read_ = 0;  // of whole records
  uint64_t crc_ = 0;
  int version_ = 0;
  int db_ = 0;
  // Of the key that follows.
  int64_t expire_ms_ = store::kNoExpire;
  uint32_t idle_seconds_ = 0;
  // While a collection is read.
  std::string key_;
  std::unique_ptr<ValueReader> value_;
};

// What is looked at beside the value itself.
struct DumpChecks {
  bool version = true, checksum = true;
};
// Whether version and checksum of a DUMP payload are right. kInvalid: "DUMP payload version or checksum are wrong" is
// what Redis says.
Status CheckDumpPayload(std::string_view payload, const DumpChecks& checks = {});
// The value in a DUMP payload, for RESTORE (without TTL: RESTORE has its own). kInvalid: as CheckDumpPayload; wrong
// kind or content; a collection without elements ("Bad data format").
Result<store::StoredValue> ParseDumpPayload(std::string_view payload, const types::Limits& limits = {},
                                             const DumpChecks& checks = {});

}  // namespace understudy::persist
