#include "node/persist/loader.h"

#include <spdlog/fmt/fmt.h>

#include "node/store/shard_guard.h"

namespace understudy::persist {
namespace {
constexpr size_t kMaxAuxFields = 64;
}

Loader::Loader(store::Keyspace& into, const Options& options)
    : keyspace_(into), options_(options),
      reader_(*this, {.max_string_bytes = options.max_string_bytes, .databases = into.databases(),
                      .compact = options.limits}) {}

Status Loader::OnAux(std::string_view name, std::string_view value) {
  if (aux_.size() < kMaxAuxFields) aux_.emplace(name, value);
  return {};
}

Status Loader::OnResizeDb(int /*db*/, uint64_t keys, uint64_t /*keys_with_expire*/) {
  keys_announced_ += keys;
  return {};
}

Status Loader::OnFunctions(std::string_view code) {
  functions_.emplace_back(code);
  return {};
}

Status Loader::OnKey(const RdbKey& key) {
  if (!options_.keep_expired && key.expire_ms != store::kNoExpire && options_.now_ms > key.expire_ms) {
    ++keys_dropped_;
    return {};
  }
  const uint64_t hash = store::Keyspace::Hash(key.key);
  store::Shard& shard = keyspace_.ShardOf(hash);
  store::OneShardGuard guard(keyspace_, shard);
  if (!options_.replace && shard.Peek(key.db, key.key, hash, options_.now_ms, store::View::kRaw) != nullptr) {
    return Invalid(fmt::format("RDB has a key of database {} that is there already", key.db));
  }
  if (key.collection != nullptr) {
    store::StoredValue value;
    value.expire_ms = key.expire_ms;
    value.idle_seconds = key.idle_seconds;
    value.collection = std::move(*key.collection);
    shard.Put(key.db, key.key, hash, std::move(value), options_.now_ms);
  } else {
    shard.Set(key.db, key.key, hash, key.value, options_.now_ms - int64_t{key.idle_seconds} * 1000,
              {.expire_ms = key.expire_ms});
  }
  ++keys_loaded_;
  return {};
}

}  // namespace understudy::persist
