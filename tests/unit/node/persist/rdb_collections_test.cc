// Collections in RDB: what is written reads back, also from others' files, and what is damaged is one error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/persist/crc64.h"
#include "node/persist/old_packs.h"
#include "node/persist/rdb_format.h"
#include "tests/unit/node/persist/persist_test_support.h"

namespace understudy::persist {
namespace {

using store::At;
using store::Collection;
using store::Keyspace;
using testing::HasSubstr;
using namespace std::string_literals;

std::string SnapshotOf(Keyspace& keyspace, int version, size_t chunk_bytes = 1000) {
  keyspace.SetShared(true);
  StringSink sink;
  {
    auto snapshot =
        Snapshot::Begin(keyspace, {.chunk_bytes = chunk_bytes, .rdb_version = version}, [] { return AuxFields(); });
    EXPECT_TRUE(snapshot.ok() && (*snapshot)->Run(sink).ok());
    EXPECT_EQ((*snapshot)->keys_written(), keyspace.TotalSize());
  }
  keyspace.SetShared(false);
  return sink.rdb;
}

void Fill(Keyspace& keyspace, uint64_t seed, bool field_expiry, uint64_t largest = 60) {
  store::CollectionWriter writer(keyspace, seed);
  writer.set_field_expiry(field_expiry);
  writer.set_largest(largest);
  for (size_t i = 0; i < 6000 / store::kSlowdown; ++i) writer.Step(100);
}

TEST(RdbCollections, WhatIsWrittenReadsBackInEveryVersionAndInChunksOfAnySize) {
  for (const int version : {kOldRdbVersion, kRdbVersion, kValkeyRdbVersion}) {
    SCOPED_TRACE(version);
    Keyspace keyspace({.shards = 4, .databases = 2});
    Fill(keyspace, 1, version == kValkeyRdbVersion);
    const std::string rdb = SnapshotOf(keyspace, version);
    EXPECT_TRUE(rdb.starts_with(version == kValkeyRdbVersion ? "VALKEY080"
                                : version == kRdbVersion     ? "REDIS0011"
                                                             : "REDIS0009"));
    const Contents expected = ContentsOf(keyspace, Keyspace::Locking::kTake);
    ASSERT_GT(expected.size(), 50u);
    for (const size_t step : {size_t{1}, size_t{7}, size_t{333}, rdb.size()}) {
      Keyspace into({.shards = 2, .databases = 2});
      Loader loader(into, {.limits = store::SmallLimits()});
      size_t at = 0;
      while (!loader.done()) {
        ASSERT_LT(at, rdb.size());
        const std::string_view chunk = std::string_view(rdb).substr(at, step);
        Result<size_t> used = loader.Feed(chunk);
        ASSERT_TRUE(used.ok()) << used.status().ToString();
        at += *used;
      }
      EXPECT_EQ(at, rdb.size());
      ASSERT_EQ(ContentsOf(into, Keyspace::Locking::kTake), expected);
      into.Validate();
    }
  }
}

TEST(RdbCollections, EncodingsComeBackAsTheyWere) {
  Keyspace keyspace({.shards = 1, .databases = 2});
  Fill(keyspace, 3, false);
  const std::string rdb = SnapshotOf(keyspace, kRdbVersion);
  Keyspace into({.shards = 1, .databases = 2});
  Loader loader(into, {.limits = store::SmallLimits()});
  ASSERT_TRUE(loader.Feed(rdb).ok());
  std::set<std::string> met;
  for (int db = 0; db < 2; ++db) {
    keyspace.ForEach(db, 0, store::View::kRaw, Keyspace::Locking::kTake, [&](const store::Entry& entry) {
      const std::string key(entry.key());
      At at(into, key);
      const store::Entry* copy = at.shard.Peek(db, key, at.hash, 0, store::View::kRaw);
      ASSERT_NE(copy, nullptr);
      // A table may have become small enough to be compact: Redis does not keep it either.
      if (entry.encoding() != types::Encoding::kTable || store::CollectionSize(entry) > 11) {
        EXPECT_EQ(copy->EncodingName(), entry.EncodingName()) << store::Shown(entry);
      }
      met.insert(std::string(store::TypeName(entry.type())) + " " + std::string(entry.EncodingName()));
    });
  }
  for (const char* kind : {"list listpack", "list quicklist", "set intset", "set listpack", "set hashtable",
                           "zset listpack", "zset skiplist", "hash listpack", "hash hashtable", "stream stream"}) {
    EXPECT_TRUE(met.contains(kind)) << kind;
  }
}

TEST(RdbCollections, FieldsKeepTheirTimesOnlyInVersion80) {
  Keyspace keyspace({.shards = 1, .databases = 1});
  types::Hash hash;
  hash.Set("a", "1", 5000, types::Limits(), 0);
  hash.Set("b", "2", types::kNoExpire, types::Limits(), 0);
  At at(keyspace, "h");
  at.shard.SetCollection(0, "h", at.hash, Collection(std::move(hash)), 0);
  EXPECT_EQ((Load(SnapshotOf(keyspace, kValkeyRdbVersion))->at({0, "h"}).first), "hash:a=1@5000:b=2");
  EXPECT_EQ((Load(SnapshotOf(keyspace, kRdbVersion))->at({0, "h"}).first), "hash:a=1:b=2");
  EXPECT_EQ((Load(SnapshotOf(keyspace, kOldRdbVersion))->at({0, "h"}).first), "hash:a=1:b=2");
}

TEST(RdbCollections, EveryTruncationIsAnError) {
  Keyspace keyspace({.shards = 1, .databases = 2});
  store::CollectionWriter writer(keyspace, 5);
  writer.set_field_expiry(true);
  for (int i = 0; i < 200; ++i) writer.Step(12);
  const std::string rdb = SnapshotOf(keyspace, kValkeyRdbVersion);
  const size_t step = rdb.size() / 3000 * store::kSlowdown + 1;
  for (size_t n = 0; n < rdb.size(); n += step) {
    Result<Contents> loaded = Load(std::string_view(rdb).substr(0, n), 2);
    ASSERT_FALSE(loaded.ok()) << n;
    EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("breaks off"));
  }
}

TEST(RdbCollections, DamageIsAnErrorOrAnotherValueNeverACrash) {
  for (const int version : {kOldRdbVersion, kRdbVersion, kValkeyRdbVersion}) {
    Keyspace keyspace({.shards = 1, .databases = 2});
    store::CollectionWriter writer(keyspace, 7);
    writer.set_field_expiry(true);
    writer.set_largest(30);
    for (int i = 0; i < 300; ++i) writer.Step(10);
    std::string rdb = SnapshotOf(keyspace, version);
    rdb.replace(rdb.size() - 8, 8, std::string(8, '\0'));  // no checksum
    ASSERT_TRUE(Load(rdb, 2).ok());
    store::Rng rng(static_cast<uint64_t>(version));
    size_t accepted = 0;
    const size_t rounds = 4000 / store::kSlowdown;
    for (size_t i = 0; i < rounds; ++i) {
      std::string damaged = rdb;
      for (uint64_t n = rng.Below(3) + 1; n > 0; --n) {
        const size_t at = 9 + rng.Below(damaged.size() - 9);
        switch (rng.Below(4)) {
          case 0:
            damaged[at] = static_cast<char>(rng.Next());
            break;
          case 1:
            damaged[at] = static_cast<char>(damaged[at] ^ 1 << rng.Below(8));
            break;
          case 2:
            damaged.erase(at, rng.Below(5));
            break;
          default:
            damaged.insert(at, 1, static_cast<char>(rng.Next()));
            break;
        }
      }
      if (Load(damaged, 2).ok()) ++accepted;
    }
    EXPECT_LT(accepted, rounds);
  }
}

// ---- Snapshots while collections change --------------------------------------------------------------------------

struct Running {
  std::unique_ptr<Snapshot> snapshot;
  Contents at_cut;
  StringSink sink;
};

std::unique_ptr<Running> BeginNow(Keyspace& keyspace, const Snapshot::Options& options) {
  auto running = std::make_unique<Running>();
  auto begun = Snapshot::Begin(keyspace, options, [&] {
    running->at_cut = ContentsOf(keyspace, Keyspace::Locking::kHeld);
    return AuxFields{};
  });
  EXPECT_TRUE(begun.ok()) << begun.status().ToString();
  running->snapshot = *std::move(begun);
  return running;
}

TEST(SnapshotOfCollections, InterleavedWithEveryKindOfChangeEqualsTheCut) {
  for (uint64_t seed = 1; seed <= 12 / std::min<uint64_t>(store::kSlowdown, 6); ++seed) {
    SCOPED_TRACE(seed);
    Keyspace keyspace({.shards = seed % 3 == 0 ? 1u : 4u, .databases = 2});
    keyspace.SetShared(true);
    store::CollectionWriter writer(keyspace, seed);
    writer.set_field_expiry(true);
    writer.set_largest(seed % 4 == 0 ? 3000 : 60);
    store::Rng& rng = writer.rng();
    for (int i = 0; i < 5000; ++i) writer.Step(300);
    {
      std::vector<std::unique_ptr<Running>> running;
      const Snapshot::Options options{
          .chunk_bytes = 1 + rng.Below(3000), .entries_a_lock = 1 + rng.Below(20), .rdb_version = kValkeyRdbVersion};
      running.push_back(BeginNow(keyspace, options));
      int begun = 1;
      while (!running.empty()) {
        for (uint64_t i = rng.Below(20); i > 0; --i) writer.Step(300);
        if (HasFatalFailure()) return;
        if (rng.OneIn(20)) writer.Sweep();
        if (rng.OneIn(200)) writer.Flush(static_cast<int>(rng.Below(2)));
        if (rng.OneIn(50)) writer.Swap();
        if (rng.OneIn(50) && begun < 6 && running.size() < store::kMaxSnapshots) {
          running.push_back(BeginNow(keyspace, options));
          ++begun;
        }
        const size_t i = rng.Below(running.size());
        Result<bool> done = running[i]->snapshot->Step(running[i]->sink);
        ASSERT_TRUE(done.ok()) << done.status().ToString();
        if (!*done) continue;
        Result<Contents> loaded = Load(running[i]->sink.rdb, 2);
        ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
        ASSERT_TRUE(*loaded == running[i]->at_cut);
        running.erase(running.begin() + static_cast<long>(i));
      }
    }
    keyspace.SetShared(false);
    keyspace.Validate();
  }
}

types::Set LargeSet(int members) {
  types::Set set("a", 1, types::Limits());
  for (int i = 0; i < members; ++i) set.Add("member " + std::to_string(i), types::Limits());
  return set;
}

TEST(SnapshotOfCollections, ALargeOneThatIsChangedGoesInPiecesAndStaysWhole) {
  Keyspace keyspace({.shards = 1, .databases = 1});
  for (int i = 0; i < 200; ++i) store::Put(keyspace, 0, "k" + std::to_string(i), std::string(500, 'x'));
  At at(keyspace, "s");
  at.shard.SetCollection(0, "s", at.hash, Collection(LargeSet(50'000)), 0);
  keyspace.SetShared(true);
  {
    auto running = BeginNow(keyspace, {.chunk_bytes = 100});
    // Before the walk begins: where it comes to the key first depends on the keyspace's hash.
    at.shard.Erase(0, "s", at.hash);
    EXPECT_GT(running->snapshot->pre_image_peak_bytes(), 500'000u);
    ASSERT_TRUE(running->snapshot->Step(running->sink).ok());
    for (int i = 0; i < 200; ++i) store::Put(keyspace, 0, "k" + std::to_string(i), "y");
    ASSERT_TRUE(running->snapshot->Run(running->sink).ok());
    EXPECT_LT(running->sink.largest, 40'000u);
    EXPECT_TRUE(*Load(running->sink.rdb) == running->at_cut);
  }
  keyspace.SetShared(false);
}

TEST(SnapshotOfCollections, OneThatIsTooLargeForTheLimitIsNotSerialisedToItsEnd) {
  Keyspace keyspace({.shards = 1, .databases = 1});
  At at(keyspace, "s");
  at.shard.SetCollection(0, "s", at.hash, Collection(LargeSet(200'000)), 0);
  keyspace.SetShared(true);
  {
    auto running = BeginNow(keyspace, {.pre_image_limit_bytes = 200'000});
    at.shard.Erase(0, "s", at.hash);
    EXPECT_LT(running->snapshot->pre_image_peak_bytes(), 300'000u);
    Result<bool> step = running->snapshot->Step(running->sink);
    ASSERT_FALSE(step.ok());
    EXPECT_EQ(step.status().code(), Code::kUnavailable);
  }
  keyspace.SetShared(false);
}

// ---- What others write ---------------------------------------------------------------------------------------------

std::string Loaded(std::string_view magic, std::string_view record) {
  std::string rdb = std::string(magic) + std::string(record) + "\xff" + std::string(magic < "REDIS0005" ? 0 : 8, '\0');
  Result<Contents> loaded = Load(rdb);
  if (!loaded.ok()) return std::string(loaded.status().message());
  return loaded->empty() ? "nothing" : loaded->begin()->second.first;
}

template <typename T>
std::string Raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// entries: encoded, without the length of the entry before.
std::string Ziplist(const std::vector<std::string>& entries) {
  std::string body;
  size_t before = 0, last = 10;
  for (const std::string& entry : entries) {
    last = 10 + body.size();
    const std::string whole =
        (before < 254 ? std::string(1, static_cast<char>(before)) : "\xfe"s + Raw(static_cast<uint32_t>(before))) +
        entry;
    before = whole.size();
    body += whole;
  }
  return Raw(static_cast<uint32_t>(11 + body.size())) + Raw(static_cast<uint32_t>(last)) +
         Raw(static_cast<uint16_t>(entries.size())) + body + "\xff";
}

std::string Length(size_t n) {
  if (n < 64) return std::string(1, static_cast<char>(n));
  return std::string(1, static_cast<char>(0x40 | n >> 8)) + static_cast<char>(n & 255);
}
std::string Str(std::string_view text) {
  return Length(text.size()) + std::string(text);
}

TEST(ForeignCollections, PlainForms) {
  EXPECT_EQ(Loaded("REDIS0001",
                   "\x01\x01k\x03\x01"
                   "b\xc0\x07\x01"
                   "b"),
            "list:b:7:b");
  EXPECT_EQ(Loaded("REDIS0006",
                   "\x02\x01k\x02\x01"
                   "b\xc0\x07"),
            "set:7:b");
  EXPECT_EQ(Loaded("REDIS0006",
                   "\x03\x01k\x03\x01"
                   "b\x03"
                   "1.5\x01"
                   "a\xfe\x01"
                   "c\xff"),
            "zset:a=inf:b=1.500000:c=-inf");
  EXPECT_EQ(Loaded("REDIS0009",
                   "\x04\x01k\x02\x01"
                   "b\xc0\x07\x01"
                   "a\x00"s),
            "hash:a=:b=7");
  EXPECT_EQ(Loaded("REDIS0009",
                   "\x05\x01k\x01\x01"
                   "b" +
                       Raw(-2.5)),
            "zset:b=-2.500000");
}

TEST(ForeignCollections, ZiplistsWithEveryKindOfEntry) {
  const std::string long_text(300, 'x'), longer_text(20'000, 'y');
  const std::string values = Ziplist(
      {"\x03"
       "abc",
       "\x41\x2c" + long_text, "\x80\x00\x00\x4e\x20"s + longer_text, "\xfe\x85", "\xc0" + Raw(int16_t{-300}),
       "\xf0\x01\x00\x80"s, "\xd0" + Raw(int32_t{-70'000'000}), "\xe0" + Raw(int64_t{1} << 40), "\xf1", "\xfd"});
  const std::string shown =
      "list:abc:" + long_text + ":" + longer_text + ":-123:-300:-8388607:-70000000:1099511627776:0:12";
  const std::string blob =
      "\x80\x00\x00"s + static_cast<char>(values.size() >> 8) + static_cast<char>(values.size() & 255) + values;
  EXPECT_EQ(Loaded("REDIS0006", "\x0a\x01k" + blob), shown);
  EXPECT_EQ(Loaded("REDIS0009", "\x0e\x01k\x02" + blob + Str(Ziplist({"\x01z"}))), shown + ":z");
  EXPECT_EQ(Loaded("REDIS0006", "\x0c\x01k" + Str(Ziplist({"\x01"
                                                           "b",
                                                           "\x03"
                                                           "1.5",
                                                           "\x01"
                                                           "a",
                                                           "\xf3"}))),
            "zset:a=2.000000:b=1.500000");
  EXPECT_EQ(Loaded("REDIS0006", "\x0d\x01k" + Str(Ziplist({"\x01"
                                                           "b",
                                                           "\x03"
                                                           "1.5",
                                                           "\xf2", "\xf3"}))),
            "hash:1=2:b=1.5");
  EXPECT_EQ(Loaded("REDIS0006", "\x0a\x01k" + Str(Ziplist({}))), "nothing");
}

TEST(ForeignCollections, ZipmapsAndIntsets) {
  EXPECT_EQ(Loaded("REDIS0003", "\x09\x01k" + Str("\x02\x01"
                                                  "a\x02\x01"
                                                  "12.\x01"
                                                  "b\x00\x00\xff"s)),
            "hash:a=12:b=");
  EXPECT_EQ(
      Loaded("REDIS0006", "\x0b\x01k" + Str(Raw(uint32_t{2}) + Raw(uint32_t{2}) + Raw(int16_t{-5}) + Raw(int16_t{7}))),
      "set:-5:7");
}

TEST(ForeignCollections, HashesWithTimesOfRedis7_4) {
  // Base 1000; a at 1000 + 5 - 1, b for ever.
  EXPECT_EQ(Loaded("REDIS0012", "\x18\x01k" + Raw(int64_t{1000}) +
                                    "\x02\x05\x01"
                                    "a\x01"
                                    "1\x00\x01"
                                    "b\x01"
                                    "2"s),
            "hash:a=1@1004:b=2");
  types::Listpack pack;
  for (const char* text : {"a", "1", "1004", "b", "2", "0"}) pack.Append(std::string_view(text));
  EXPECT_EQ(Loaded("REDIS0012", "\x19\x01k" + Raw(int64_t{1004}) + Str(pack.AsBytes())), "hash:a=1@1004:b=2");
}

TEST(ForeignCollections, KeysWithoutElementsAreSkipped) {
  for (const char type : {1, 2, 3, 4, 5, 14, 18}) {
    EXPECT_EQ(Loaded("REDIS0009", std::string(1, type) + "\x01k\x00"s), "nothing") << int{type};
  }
}

TEST(ForeignCollections, WhatIsWrongInsideIsNamed) {
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x02\x01k\x02\x01"
                     "b\x01"
                     "b"),
              HasSubstr("a set has a member twice"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x04\x01k\x02\x01"
                     "b\x01"
                     "1\x01"
                     "b\x01"
                     "2"),
              HasSubstr("a hash has a field twice"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x05\x01k\x02\x01"
                     "b" +
                         Raw(1.0) +
                         "\x01"
                         "b" +
                         Raw(1.0)),
              HasSubstr("a member twice"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x05\x01k\x01\x01"
                     "b" +
                         Raw(double{NAN})),
              HasSubstr("a score is not a number"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x03\x01k\x01\x01"
                     "b\xfd"),
              HasSubstr("a score is not a number"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x03\x01k\x01\x01"
                     "b\x01x"),
              HasSubstr("a score is not a number"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x12\x01k\x01\x03\x01"
                     "b"),
              HasSubstr("a node of an unknown kind"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x12\x01k\x01\x02\x01"
                     "b"),
              HasSubstr("the listpack of a list is damaged"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x10\x01k\x01"
                     "b"),
              HasSubstr("the listpack of a hash is damaged"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x11\x01k\x01"
                     "b"),
              HasSubstr("the listpack of a sorted set is damaged"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x14\x01k\x01"
                     "b"),
              HasSubstr("the listpack of a set is damaged"));
  EXPECT_THAT(Loaded("REDIS0009",
                     "\x0b\x01k\x01"
                     "b"),
              HasSubstr("an intset is damaged"));
  EXPECT_THAT(Loaded("REDIS0009", "\x0d\x01k" + Str(Ziplist({"\x01"
                                                             "b"}))),
              HasSubstr("a ziplist is damaged"));
  EXPECT_THAT(Loaded("REDIS0009", "\x09\x01k" + Str("\x01\x01"
                                                    "a\xff"s)),
              HasSubstr("a zipmap is damaged"));
  EXPECT_THAT(Loaded("VALKEY080",
                     "\x16\x01k\x01\x01"
                     "a\x01"
                     "1" +
                         Raw(int64_t{-2})),
              HasSubstr("before 1970"));
}

TEST(OldPacks, DamageIsFoundAndNothingOutsideIsRead) {
  const std::string ziplist =
      Ziplist({"\x03"
               "abc",
               "\x41\x2c" + std::string(300, 'x'), "\xfe\x85", "\xc0" + Raw(int16_t{-300}), "\xf1"});
  const std::string zipmap =
      "\x02\x01"
      "a\x02\x01"
      "12.\x01"
      "b\x00\x00\xff"s;
  const auto any = [](const types::ListpackValue&) { return true; };
  const auto any_pair = [](std::string_view, std::string_view) { return true; };
  ASSERT_TRUE(WalkZiplist(ziplist, any));
  ASSERT_TRUE(WalkZipmap(zipmap, any_pair));
  // A length that a byte holds is never written in five.
  EXPECT_TRUE(WalkZipmap(std::string("\x01\x03" "abc\x03\x00" "def\xff", 11), any_pair));
  EXPECT_FALSE(WalkZipmap(std::string("\x01\xfe\x03\x00\x00\x00" "abc\x03\x00" "def\xff", 15), any_pair));
  for (size_t n = 0; n < ziplist.size(); ++n) EXPECT_FALSE(WalkZiplist(ziplist.substr(0, n), any));
  for (size_t n = 0; n < zipmap.size(); ++n) EXPECT_FALSE(WalkZipmap(zipmap.substr(0, n), any_pair));
  store::Rng rng(3);
  for (int i = 0; i < 20'000; ++i) {
    for (const std::string& whole : {ziplist, zipmap}) {
      std::string damaged = whole;
      damaged[rng.Below(damaged.size())] = static_cast<char>(rng.Next());
      damaged[rng.Below(damaged.size())] = static_cast<char>(rng.Next());
      const std::unique_ptr<char[]> exact(new char[damaged.size()]);  // so that the sanitizer sees its end
      std::copy(damaged.begin(), damaged.end(), exact.get());
      WalkZiplist({exact.get(), damaged.size()}, any);
      WalkZipmap({exact.get(), damaged.size()}, any_pair);
    }
  }
}

// ---- DUMP ------------------------------------------------------------------------------------------------------------

TEST(DumpOfCollections, ReadsBackTheSameAndDamageIsRefused) {
  Keyspace keyspace({.shards = 1, .databases = 2});
  Fill(keyspace, 11, true);
  store::Rng rng(1);
  Keyspace into({.shards = 1, .databases = 1});
  At to(into, "k");
  keyspace.ForEach(0, 0, store::View::kRaw, Keyspace::Locking::kTake, [&](const store::Entry& entry) {
    std::string payload = DumpPayload(entry);
    Result<store::StoredValue> read = ParseDumpPayload(payload, store::SmallLimits());
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(store::Shown(*to.shard.Put(0, "k", to.hash, *std::move(read), 0)), store::Shown(entry));
    for (int i = 0; i < 20; ++i) {
      std::string damaged = payload;
      damaged[rng.Below(damaged.size() - 10)] ^= static_cast<char>(1 << rng.Below(8));
      EXPECT_FALSE(ParseDumpPayload(damaged).ok());
      damaged.replace(damaged.size() - 8, 8, Raw(Crc64(0, std::string_view(damaged).substr(0, damaged.size() - 8))));
      (void)ParseDumpPayload(damaged, store::SmallLimits());  // a right checksum over anything
    }
  });
  into.Validate();
}

}  // namespace
}  // namespace understudy::persist
