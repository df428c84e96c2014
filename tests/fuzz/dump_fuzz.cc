// RESTORE: type and value as DUMP gives them, without version and checksum, which are added. What
// is taken must be sound, and DUMP and RESTORE must give the same again.
#include "node/persist/rdb_reader.h"
#include "node/persist/rdb_writer.h"
#include "tests/fuzz/content.h"
#include "tests/fuzz/fuzz.h"

namespace understudy::persist {
namespace {

constexpr int kVersions[] = {kRdbVersion, kValkeyRdbVersion, kOldRdbVersion, 6, 12, 15, 81, 0};

const store::Entry* Restore(store::Keyspace& keyspace, std::string_view name,
                            std::string_view payload, const types::Limits& limits) {
  Result<store::StoredValue> value = ParseDumpPayload(payload, limits);
  if (!value.ok()) return nullptr;
  const uint64_t hash = store::Keyspace::Hash(name);
  return keyspace.ShardOf(hash).Put(0, name, hash, *std::move(value), 1'000'000);
}

}  // namespace
}  // namespace understudy::persist

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::persist;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  const types::Limits limits = (how & 8) != 0 ? fuzz::SmallLimits() : types::Limits();
  std::string payload(in.Rest());
  // As it is, it has no checksum most likely; then what is behind must not be looked at.
  CHECK(!ParseDumpPayload(payload.substr(0, 9), limits).ok());
  AppendDumpEnd(payload, kVersions[how & 7]);

  store::Keyspace keyspace({.shards = 1, .databases = 1});
  const store::Entry* const first = Restore(keyspace, "first", payload, limits);
  if (first == nullptr) return 0;
  const std::string dumped = DumpPayload(*first);
  const std::string content = fuzz::ContentOf(*first);
  const store::Entry* const second = Restore(keyspace, "second", dumped, limits);
  CHECK(second != nullptr);
  CHECK(fuzz::ContentOf(*second) == content);
  CHECK(second->type() == first->type());
  fuzz::ContentsOf(keyspace);
  return 0;
}
