// Loader: puts an RDB stream into a keyspace, key by key under the shard locks.
//
// Into the live keyspace after FlushAll, or beside it into a second one of the same Options, which
// Keyspace::SwapContents then exchanges in one moment, so that readers see either data set whole.
// One thread; it announces itself by Keyspace::SetShared if the keyspace is live.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "node/persist/rdb_reader.h"
#include "node/types/encoding.h"
#include "node/store/keyspace.h"

namespace understudy::persist {

class Loader final : private RdbHandler {
 public:
  struct Options {
    // Expired keys: a replica keeps them, since the primary's DEL will come; anyone else drops them.
    bool keep_expired = true;
    bool replace = false;  // a key that is there already is replaced, and is no error
    int64_t now_ms = 0;
    size_t max_string_bytes = 512u << 20;
    types::Limits limits;  // of compact encodings
  };
  Loader(store::Keyspace& into, const Options& options);

  // As RdbReader::Feed. A key that is there already is an error: the stream has it twice, or the keyspace
  // was not empty.
  Result<size_t> Feed(std::string_view chunk) { return reader_.Feed(chunk); }
  bool done() const { return reader_.done(); }
  Status Finish() const { return reader_.Finish(); }
  uint64_t bytes_read() const { return reader_.bytes_read(); }
  uint64_t keys_loaded() const { return keys_loaded_; }
  uint64_t keys_dropped() const { return keys_dropped_; }  // expired ones
  uint64_t keys_announced() const { return keys_announced_; }  // by the stream, for progress; 0 if it does not
  // Codes of libraries: the caller's to load.
  const std::vector<std::string>& functions() const { return functions_; }
  // All auxiliary fields read so far (the first 64).
  const std::map<std::string, std::string>& aux() const { return aux_; }

 private:
  Status OnAux(std::string_view name, std::string_view value) override;
  Status OnResizeDb(int db, uint64_t keys, uint64_t keys_with_expire) override;
  Status OnKey(const RdbKey& key) override;
  Status OnFunctions(std::string_view code) override;

  store::Keyspace& keyspace_;
  const Options options_;
  RdbReader reader_;
  uint64_t keys_loaded_ = 0;
  uint64_t keys_dropped_ = 0;
  uint64_t keys_announced_ = 0;
  std::map<std::string, std::string> aux_;
  std::vector<std::string> functions_;
};

}  // namespace understudy::persist
