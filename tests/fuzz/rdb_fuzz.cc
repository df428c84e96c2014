// RDB files: read as a whole and in pieces with the same outcome; what was read is sound, and what
// is written from it, for readers of every age, is read back as the same.
#include "node/persist/crc64.h"
#include "node/persist/loader.h"
#include "node/persist/rdb_writer.h"
#include "tests/fuzz/content.h"
#include "tests/fuzz/fuzz.h"

namespace understudy::persist {
namespace {

struct Loaded {
  explicit Loaded(const Loader::Options& options) : loader(keyspace, options) {}
  store::Keyspace keyspace{{.shards = 2, .databases = 4}};
  Loader loader;
  bool ok = true;
};

// sizes: of the pieces; empty: one piece.
void Load(Loaded& to, std::string_view rdb, std::string_view sizes) {
  for (size_t i = 0; to.ok && !to.loader.done() && !rdb.empty(); ++i) {
    const size_t wanted =
        sizes.empty() ? rdb.size() : static_cast<uint8_t>(sizes[i % sizes.size()]) % 32 + size_t{1};
    const std::string piece(rdb.substr(0, wanted));  // an allocation of its own
    const Result<size_t> used = to.loader.Feed(piece);
    to.ok = used.ok();
    if (!to.ok) break;
    CHECK(*used == piece.size() || (to.loader.done() && *used < piece.size()));
    rdb.remove_prefix(*used);
  }
  CHECK(to.loader.Finish().ok() == to.loader.done());
}

std::string Write(store::Keyspace& keyspace, int version) {
  std::string out;
  AppendRdbMagic(out, version);
  for (int db = 0; db < keyspace.databases(); ++db) {
    AppendRdbSelectDb(out, db);
    keyspace.ForEach(db, 0, store::View::kRaw, store::Keyspace::Locking::kHeld,
                     [&](const store::Entry& entry) { AppendRdbEntry(out, entry, version); });
  }
  AppendRdbEnd(out, Crc64(0, out));
  return out;
}

}  // namespace
}  // namespace understudy::persist

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::persist;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  const std::string_view sizes = in.Bytes(how & 7);
  const std::string_view rdb = in.Rest();
  const Loader::Options options{.keep_expired = (how & 16) == 0,
                                .now_ms = 1'000'000,
                                .max_string_bytes = 1 << 20,
                                .limits = (how & 8) != 0 ? fuzz::SmallLimits() : types::Limits()};
  Loaded whole(options), pieces(options);
  Load(whole, rdb, {});
  Load(pieces, rdb, sizes);
  CHECK(whole.ok == pieces.ok);
  CHECK(whole.loader.done() == pieces.loader.done());
  const auto contents = fuzz::ContentsOf(whole.keyspace);
  CHECK(contents == fuzz::ContentsOf(pieces.keyspace));
  if (!whole.loader.done()) return 0;

  Loader::Options again = options;
  again.keep_expired = true;
  again.max_string_bytes = 512 << 20;
  for (const int version : {kOldRdbVersion, kRdbVersion, kValkeyRdbVersion}) {
    Loaded copy(again);
    Load(copy, Write(whole.keyspace, version), {});
    CHECK(copy.ok && copy.loader.done());
    if (version == kOldRdbVersion) {
      // Streams of that time do not know all that ours do.
      CHECK(copy.keyspace.TotalSize() == contents.size());
      continue;
    }
    const fuzz::Leaving leaving{.field_times = version != kValkeyRdbVersion};
    CHECK(fuzz::ContentsOf(copy.keyspace, leaving) == fuzz::ContentsOf(whole.keyspace, leaving));
  }
  return 0;
}
