#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/persist/crc64.h"
#include "node/persist/lzf.h"
#include "node/persist/rdb_format.h"
#include "tests/unit/node/persist/persist_test_support.h"

namespace understudy::persist {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

std::string SnapshotOf(store::Keyspace& keyspace, const Snapshot::Options& options = {}, AuxFields aux = {}) {
  keyspace.SetShared(true);
  StringSink sink;
  {
    auto snapshot = Snapshot::Begin(keyspace, options, [&] { return aux; });
    EXPECT_TRUE(snapshot.ok());
    EXPECT_TRUE((*snapshot)->Run(sink).ok());
    EXPECT_EQ((*snapshot)->bytes_written(), sink.rdb.size());
    EXPECT_EQ((*snapshot)->keys_written(), keyspace.TotalSize());
  }
  keyspace.SetShared(false);
  return sink.rdb;
}

void FillSmall(store::Keyspace& keyspace) {
  store::Put(keyspace, 0, "", "");
  store::Put(keyspace, 0, "a", "1");
  store::Put(keyspace, 0, "b", "-30000", 0, {.expire_ms = 1'700'000'000'123});
  store::Put(keyspace, 3, "1234567", "2147483647");
  store::Put(keyspace, 3, "c", "2147483648");
  store::Put(keyspace, 3, std::string(300, 'k'), std::string(70, 'v'));
  store::Put(keyspace, 9, "d", std::string(20'000, 'x'), 0, {.expire_ms = 5});
  store::Put(keyspace, 9, "e", "007");
  store::Put(keyspace, 9, "bin\0\r\n"s, "\0\xff\r\n"s);
}

TEST(Crc64, KnownValueInAnySplit) {
  EXPECT_EQ(Crc64(0, "123456789"), 0xe9c6d914c4b8d9caULL);
  const std::string text = "This is a test of the emergency broadcast system, in pieces of all lengths.";
  for (size_t i = 0; i <= text.size(); ++i) {
    EXPECT_EQ(Crc64(Crc64(0, text.substr(0, i)), text.substr(i)), Crc64(0, text));
  }
}

TEST(Rdb, WhatIsWrittenReadsBackTheSame) {
  store::Keyspace keyspace({.shards = 8, .databases = 16});
  FillSmall(keyspace);
  store::Rng rng(1);
  for (int i = 0; i < 20'000; ++i) {
    const size_t size = rng.OneIn(100) ? rng.Below(100'000) : rng.Below(200);
    store::Put(keyspace, static_cast<int>(rng.Below(16)), std::to_string(rng.Next() >> rng.Below(64)),
               rng.OneIn(3) ? std::to_string(static_cast<int64_t>(rng.Next()) >> rng.Below(64))
                            : std::string(size, 'v'),
               0, {.expire_ms = rng.OneIn(3) ? static_cast<int64_t>(rng.Next() >> 2) : store::kNoExpire});
  }
  for (const bool checksum : {true, false}) {
    const std::string rdb = SnapshotOf(keyspace, {.checksum = checksum});
    Result<Contents> loaded = Load(rdb);
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    EXPECT_EQ(*loaded, ContentsOf(keyspace, store::Keyspace::Locking::kTake));
  }
}

TEST(Rdb, ChunksOfAnySizeGiveTheSameAndWhatFollowsIsLeft) {
  store::Keyspace keyspace;
  FillSmall(keyspace);
  const std::string rdb = SnapshotOf(keyspace) + "*1\r\n$4\r\nPING\r\n";
  const Contents expected = ContentsOf(keyspace, store::Keyspace::Locking::kTake);
  for (const size_t step : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{100}, size_t{4096}, rdb.size()}) {
    store::Keyspace into;
    Loader loader(into, {});
    size_t at = 0;
    while (!loader.done()) {
      ASSERT_LT(at, rdb.size());
      const std::string_view chunk = std::string_view(rdb).substr(at, step);
      Result<size_t> used = loader.Feed(chunk);
      ASSERT_TRUE(used.ok()) << used.status().ToString();
      at += *used;
      if (!loader.done()) {
        ASSERT_EQ(*used, chunk.size());
      }
    }
    EXPECT_EQ(rdb.substr(at), "*1\r\n$4\r\nPING\r\n");
    EXPECT_EQ(loader.bytes_read(), at);
    EXPECT_EQ(loader.keys_announced(), expected.size());
    EXPECT_EQ(loader.keys_loaded(), expected.size());
    EXPECT_EQ(ContentsOf(into, store::Keyspace::Locking::kTake), expected);
  }
}

TEST(Rdb, AuxFieldsOfTheCutComeThrough) {
  store::Keyspace keyspace;
  const std::string rdb = SnapshotOf(keyspace, {}, {{kAuxReplId, std::string(40, 'f')}, {kAuxReplOffset, "12345678901"},
                                                   {kAuxDataset, "d-1"}, {kAuxEpoch, "7"}});
  store::Keyspace into;
  Loader loader(into, {});
  ASSERT_TRUE(loader.Feed(rdb).ok());
  ASSERT_TRUE(loader.done());
  EXPECT_EQ(loader.aux().at(kAuxReplOffset), "12345678901");
  EXPECT_EQ(loader.aux().at(kAuxReplId), std::string(40, 'f'));
  EXPECT_EQ(loader.aux().at(kAuxEpoch), "7");
}

TEST(Rdb, EveryTruncationIsAnError) {
  store::Keyspace keyspace({.shards = 2, .databases = 16});
  FillSmall(keyspace);
  Del(keyspace, 9, "d");
  const std::string rdb = SnapshotOf(keyspace);
  for (size_t n = 0; n < rdb.size(); ++n) {
    Result<Contents> loaded = Load(std::string_view(rdb).substr(0, n));
    ASSERT_FALSE(loaded.ok()) << n;
    EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("breaks off"));
  }
}

TEST(Rdb, EveryFlippedBitIsAnErrorWithChecksum) {
  store::Keyspace keyspace({.shards = 2, .databases = 16});
  FillSmall(keyspace);
  Del(keyspace, 9, "d");
  std::string rdb = SnapshotOf(keyspace);
  for (size_t i = 0; i < rdb.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      rdb[i] = static_cast<char>(rdb[i] ^ 1 << bit);
      ASSERT_FALSE(Load(rdb).ok()) << i << " " << bit;
      rdb[i] = static_cast<char>(rdb[i] ^ 1 << bit);
    }
  }
  ASSERT_TRUE(Load(rdb).ok());
}

TEST(Rdb, DamageWithoutChecksumNeverCrashes) {
  store::Keyspace keyspace({.shards = 1, .databases = 16});
  FillSmall(keyspace);
  Del(keyspace, 9, "d");
  std::string rdb = SnapshotOf(keyspace, {.checksum = false});
  // An LZF string too, at the place of the end.
  rdb.resize(rdb.size() - 9);
  rdb += "\0\x01z\xc3\x05\x06\x01""ab\x40\0\xff"s + std::string(8, '\0');
  ASSERT_TRUE(Load(rdb).ok());
  store::Rng rng(5);
  int accepted = 0;
  const size_t rounds = 20'000 / store::kSlowdown;
  for (size_t i = 0; i < rounds; ++i) {
    std::string damaged = rdb;
    for (uint64_t n = rng.Below(4) + 1; n > 0; --n) {
      const size_t at = 9 + rng.Below(damaged.size() - 9);
      switch (rng.Below(3)) {
        case 0: damaged[at] = static_cast<char>(rng.Next()); break;
        case 1: damaged.erase(at, rng.Below(5)); break;
        default: damaged.insert(at, 1, static_cast<char>(rng.Next())); break;
      }
    }
    if (Load(damaged).ok()) ++accepted;
  }
  EXPECT_GT(accepted, static_cast<int>(rounds / 50));  // damage inside a value goes unnoticed: that is what the checksum is for
  EXPECT_LT(accepted, static_cast<int>(rounds));
}

// ---- What others write -----------------------------------------------------------------------------------------

std::string Foreign(std::string_view magic, std::string_view records) {
  std::string rdb = std::string(magic) + std::string(records) + "\xff";
  if (magic != "REDIS0003") {
    const uint64_t crc = Crc64(0, rdb);
    rdb.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  }
  return rdb;
}

TEST(ForeignRdb, AllEncodingsOfStringsAndLengths) {
  const std::string records =
      "\xfa\x09redis-ver\x05""7.2.4"s           // auxiliary fields, one with an integer
      "\xfa\x0aredis-bits\xc0\x40"s
      "\xfe\x00\xfb\x04\x01"s
      "\x00\x02i8\xc0\x85"s                     // -123
      "\x00\x03i16\xc1\x39\x30"s                // 12345
      "\xfd\x80\x51\x01\x65\x00\x03i32\xc2\x15\xcd\x5b\x07"s  // expiry in seconds, 123456789
      "\xfe\x0f"s
      "\x00\x41\x2c"s + std::string(300, 'k') + "\x80\x00\x00\x00\x02hi"s      // 14-bit and 32-bit lengths
      + "\xfc\x15\xcd\x5b\x07\x00\x00\x00\x00\xf8\x40\x64\xf9\x05\x00\x01x\x81\x00\x00\x00\x00\x00\x00\x00\x01y"s;
  for (const char* magic : {"REDIS0003", "REDIS0006", "REDIS0009", "REDIS0011", "REDIS0015", "VALKEY080", "VALKEY081"}) {
    Result<Contents> loaded = Load(Foreign(magic, records));
    ASSERT_TRUE(loaded.ok()) << magic << " " << loaded.status().ToString();
    const Contents expected = {{{0, "i8"}, {"-123", store::kNoExpire}},
                               {{0, "i16"}, {"12345", store::kNoExpire}},
                               {{0, "i32"}, {"123456789", 0x65015180LL * 1000}},
                               {{15, std::string(300, 'k')}, {"hi", store::kNoExpire}},
                               {{15, "x"}, {"y", 123456789}}};
    EXPECT_EQ(*loaded, expected);
  }
}

TEST(ForeignRdb, LzfWithLiteralsShortAndLongCopies) {
  // "abc", then 3 + 2 bytes back 3, then 7 + 2 + 30 bytes back 1.
  const std::string compressed = "\x02""abc\x60\x02\xe0\x1e\x00"s;
  Result<std::string> text = LzfDecompress(compressed, 3 + 5 + 39);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "abcabcab" + std::string(39, 'b'));
  EXPECT_FALSE(LzfDecompress(compressed, 46).ok());
  EXPECT_FALSE(LzfDecompress(compressed, 48).ok());
  EXPECT_FALSE(LzfDecompress("\x02""ab"s, 3).ok());        // literals missing
  EXPECT_FALSE(LzfDecompress("\x00""a\x20\x01"s, 4).ok()); // from before the start
  EXPECT_FALSE(LzfDecompress("\x00""a\xe0"s, 4).ok());
  EXPECT_FALSE(LzfDecompress("\x00""a\x20"s, 4).ok());
  Result<Contents> loaded = Load(Foreign("REDIS0011", "\xfe\x00\x00\x01k\xc3\x09\x2f"s + compressed));
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ((loaded->at({0, "k"}).first), *text);
}

TEST(ForeignRdb, SlotInfoOfAClusterIsSkipped) {
  EXPECT_TRUE(Load(Foreign("REDIS0012", "\xfe\x00\xf4\x40\x64\x01\x00\x00\x01k\x01v"s)).ok());
}

std::string ErrorOf(std::string_view magic, std::string_view records) {
  Result<Contents> loaded = Load(Foreign(magic, records));
  return loaded.ok() ? "no error" : std::string(loaded.status().message());
}

TEST(ForeignRdb, WhatIsNotSupportedIsNamed) {
  EXPECT_THAT(ErrorOf("REDIS0011", "\xfe\x00\x1a\x01s"s),
              HasSubstr("type 26 (a stream) is not supported by this version"));
  EXPECT_THAT(ErrorOf("REDIS0012", "\x16\x01h"s), HasSubstr("type 22 (a hash)"));
  EXPECT_THAT(ErrorOf("VALKEY081", "\x18\x01h"s), HasSubstr("type 24 (a hash)"));
  EXPECT_THAT(ErrorOf("REDIS0011", "\x63"s), HasSubstr("type 99 (unknown)"));
  EXPECT_THAT(ErrorOf("REDIS0011", "\xf6\x01x"s), HasSubstr("functions of Redis 7.0 before its release"));
  EXPECT_THAT(ErrorOf("REDIS0011", "\xf7"s), HasSubstr("data of a module"));
  EXPECT_THAT(ErrorOf("REDIS0011", "\xf3"s), HasSubstr("opcode 243"));
  EXPECT_THAT(ErrorOf("REDIS0016", ""), HasSubstr("version 16 of Redis is not supported"));
  EXPECT_THAT(ErrorOf("REDIS0000", ""), HasSubstr("is not a number"));
  EXPECT_THAT(ErrorOf("VALKEY082", ""), HasSubstr("version 82 of Valkey is not supported"));
  EXPECT_THAT(ErrorOf("HTTP/1.1 ", ""), HasSubstr("does not start with REDIS or VALKEY"));
  EXPECT_THAT(ErrorOf("REDIS0011", "\xfe\x10"s), HasSubstr("database 16 is beyond the 16 configured"));
  EXPECT_THAT(ErrorOf("REDIS0011", "\x00\x01k\x01v\x00\x01k\x01w"s), HasSubstr("there already"));
  EXPECT_THAT(ErrorOf("REDIS0011", "\x00\x01k\x81\x00\x00\x00\x01\x00\x00\x00\x00"s), HasSubstr("longer than"));
  EXPECT_THAT(ErrorOf("REDIS0011", "\x00\x01k\xc3\x01\x80\x10\x00\x00\x00q"s), HasSubstr("too short for its contents"));
  EXPECT_THAT(ErrorOf("REDIS0011", "\x00\x01k\xc4"s), HasSubstr("string encoding 4"));
}

TEST(ForeignRdb, AfterAnErrorNothingMoreIsRead) {
  store::Keyspace into;
  Loader loader(into, {});
  ASSERT_FALSE(loader.Feed("GARBAGE").ok());
  EXPECT_FALSE(loader.Feed("REDIS0011\xff").ok());
  EXPECT_FALSE(loader.Finish().ok());
  EXPECT_FALSE(loader.done());
}

TEST(Loader, DropsOrKeepsExpiredKeys) {
  const std::string rdb = Foreign("REDIS0011", "\xfc\x64\0\0\0\0\0\0\0\x00\x01k\x01v\x00\x01l\x01w"s);
  for (const bool keep : {true, false}) {
    store::Keyspace into;
    Loader loader(into, {.keep_expired = keep, .now_ms = 101});
    ASSERT_TRUE(loader.Feed(rdb).ok());
    EXPECT_TRUE(loader.done());
    EXPECT_EQ(into.Size(0), keep ? 2u : 1u);
    EXPECT_EQ(loader.keys_dropped(), keep ? 0u : 1u);
  }
}

// ---- DUMP ------------------------------------------------------------------------------------------------------

TEST(Dump, PayloadsReadBackAndRedissOwnAreUnderstood) {
  store::Keyspace keyspace;
  for (const std::string& value : {""s, "10"s, "hello"s, std::string(50'000, 'x')}) {
    const std::string payload = DumpPayload(*store::Put(keyspace, 0, "k", value));
    Result<store::StoredValue> read = ParseDumpPayload(payload);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read->view(), value);
  }
  // From the documentation of DUMP: SET mykey 10, Redis 7.0.
  Result<store::StoredValue> ten = ParseDumpPayload("\x00\xc0\n\n\x00n\x9fWE\x0e\xae""c\xbb"s);
  ASSERT_TRUE(ten.ok()) << ten.status().ToString();
  EXPECT_EQ(ten->view(), "10");
}

TEST(Dump, DamagedPayloadsAreRefused) {
  store::Keyspace keyspace;
  std::string payload = DumpPayload(*store::Put(keyspace, 0, "k", "hello world"));
  for (size_t n = 0; n < payload.size(); ++n) EXPECT_FALSE(ParseDumpPayload(payload.substr(0, n)).ok());
  for (size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<char>(payload[i] ^ 1);
    EXPECT_FALSE(ParseDumpPayload(payload).ok()) << i;
    payload[i] = static_cast<char>(payload[i] ^ 1);
  }
  const std::string no_crc(8, '\0');
  EXPECT_TRUE(ParseDumpPayload("\x00\x01v\x0b\x00"s + no_crc).ok());
  EXPECT_FALSE(ParseDumpPayload("\x00\x01v\x00\x0b\x00"s + no_crc).ok());  // more than a value
  EXPECT_FALSE(ParseDumpPayload("\x04\x01v\x0b\x00"s + no_crc).ok());
  EXPECT_FALSE(ParseDumpPayload("\x00\x01v\x14\x00"s + no_crc).ok());      // version 20
}

}  // namespace
}  // namespace understudy::persist
