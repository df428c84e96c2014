// What the tests of persist share: a keyspace's contents as a map, and a sink that keeps what it is given.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "node/persist/loader.h"
#include "node/persist/snapshot.h"
#include "node/store/keyspace.h"
#include "node/store/shard_guard.h"
#include "tests/unit/node/store/collections.h"
#include "tests/unit/node/store/store_test_support.h"

namespace understudy::persist {

// {database, key} -> {value, of a collection store::Shown; expiry}
using Contents = std::map<std::pair<int, std::string>, std::pair<std::string, int64_t>>;

inline Contents ContentsOf(store::Keyspace& keyspace, store::Keyspace::Locking locking) {
  Contents contents;
  for (int db = 0; db < keyspace.databases(); ++db) {
    keyspace.ForEach(db, 0, store::View::kRaw, locking, [&](const store::Entry& entry) {
      contents[{db, std::string(entry.key())}] = {entry.is_string() ? std::string(entry.value()) : store::Shown(entry),
                                                  entry.expire_ms()};
    });
  }
  return contents;
}

class StringSink : public ChunkSink {
 public:
  Status Write(std::string_view bytes) override {
    largest = std::max(largest, bytes.size());
    rdb += bytes;
    return {};
  }
  std::string rdb;
  size_t largest = 0;
};

// Loads a whole RDB. The keyspace is `into`, or a new one.
inline Result<Contents> Load(std::string_view rdb, int databases = 16) {
  store::Keyspace keyspace({.shards = 4, .databases = databases});
  Loader loader(keyspace, {.limits = store::SmallLimits()});
  Result<size_t> used = loader.Feed(rdb);
  if (!used.ok()) return used.status();
  RETURN_IF_ERROR(loader.Finish());
  if (*used != rdb.size()) return Invalid("bytes follow the end");
  keyspace.Validate();
  return ContentsOf(keyspace, store::Keyspace::Locking::kTake);
}

}  // namespace understudy::persist
