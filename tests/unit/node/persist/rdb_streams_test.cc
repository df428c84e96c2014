// Streams in RDB and DUMP: what each form keeps, what Redis wrote, and damage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/persist/crc64.h"
#include "node/persist/rdb_format.h"
#include "node/persist/rdb_reader.h"
#include "node/persist/rdb_writer.h"
#include "tests/unit/node/persist/persist_test_support.h"

namespace understudy::persist {
namespace {

using store::At;
using store::Collection;
using store::Keyspace;
using types::Stream;
using namespace std::string_literals;

// As Redis 7.0 gave it: five entries were added, one was deleted; two groups, one of them with two consumers.
const std::string kFromRedis =
    "\x13\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01@YY\x00\x00\x00\x1f\x00\x03\x01\x01"
    "\x01\x02\x01\x81"
    "a\x02\x81"
    "b\x02\x00\x01\x02\x01\x00\x01\x00\x01\x01\x01\x83two\x04\x05\x01\x02\x01\x00\x01\x01\x01\x03\x01\x84"
    "four\x05\x05\x01\x01\x01\x04\x01\xdf\xff\x02\x01\x01\x85other\x06\x81x\x02\x06\x01\x02\x01\x06\x01\xdf\xff\x02\t"
    "\x01\x83ten\x04\x05\x01\xff\x03\x07\x00\x01\x01\x05\x00\x04\x02\x05"
    "empty\x07\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x01g\x01\x02\x81\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00"
    "\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xe8\x03\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00"
    "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\xd0\x07\x00\x00\x00\x00\x00\x00\x01\x02\x05"
    "alice\nz\xce,\xa2\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x03"
    "bob\x06z\xce,\xa2\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\n\x00\xbd\x8a"
    "\xe8S.\x8d\xdd\x01"s;
const std::string kEmptyFromRedis = "\x13\x00\x00\x03\x03\x00\x00\x03\x03\x01\x00\n\x00\x89Y\xd7;U\x06\x01Z"s;

std::string Shown(const Stream& stream) {
  std::vector<std::string> parts;
  store::ShowStream(stream, &parts);
  std::string out;
  for (const std::string& part : parts) out += part + "\n";
  return out;
}

// Puts it under key s.
void Store(Keyspace& keyspace, Collection value) {
  At at(keyspace, "s");
  store::StoredValue stored;
  stored.collection = std::move(value);
  at.shard.Put(0, "s", at.hash, std::move(stored), 0);
}

const store::Entry& EntryOf(Keyspace& keyspace) {
  At at(keyspace, "s");
  return *at.shard.Peek(0, "s", at.hash, 0, store::View::kRaw);
}

TEST(RdbStreams, WhatRedisDumpedIsUnderstood) {
  Result<store::StoredValue> value = ParseDumpPayload(kFromRedis);
  ASSERT_TRUE(value.ok()) << value.status().ToString();
  const auto stream = value->collection.As<Stream>();
  stream->Validate();
  EXPECT_EQ(Shown(*stream),
            "last 7-0\n1-1 a=1 b=two\n1-2 a=3 b=four\n7-0 a=9 b=ten\ngroup empty 7-0\ngroup g 1-2\n"
            "g alice seen 1796048058890\ng bob seen 1796048058886\ng 1-1 bob 1000 3\ng 1-2 alice 2000 1\n");
  EXPECT_EQ(stream->log().entries_added(), 4u);
  EXPECT_EQ(stream->log().max_deleted_id(), (types::StreamId{5, 0}));
  EXPECT_EQ(stream->FindGroup("g")->entries_read(), types::StreamGroup::kUnknown);

  value = ParseDumpPayload(kEmptyFromRedis);
  ASSERT_TRUE(value.ok()) << value.status().ToString();
  EXPECT_EQ(value->collection.As<Stream>()->Size(), 0u);
  EXPECT_EQ(value->collection.As<Stream>()->log().last_id(), (types::StreamId{3, 3}));
}

TEST(RdbStreams, ADumpComesBackWithAllThatTheStreamRemembers) {
  Keyspace keyspace({.shards = 1, .databases = 1});
  Store(keyspace, std::move(ParseDumpPayload(kFromRedis)->collection));
  const std::string payload = DumpPayload(EntryOf(keyspace));
  EXPECT_EQ(payload[0], kTypeStream3);
  Result<store::StoredValue> value = ParseDumpPayload(payload);
  ASSERT_TRUE(value.ok()) << value.status().ToString();
  const auto stream = value->collection.As<Stream>();
  EXPECT_EQ(Shown(*stream), Shown(*EntryOf(keyspace).As<Stream>()));
  EXPECT_EQ(stream->log().entries_added(), 4u);
  EXPECT_EQ(stream->log().max_deleted_id(), (types::StreamId{5, 0}));
}

std::string SnapshotOf(Keyspace& keyspace, int version) {
  keyspace.SetShared(true);
  StringSink sink;
  {
    auto snapshot = Snapshot::Begin(keyspace, {.rdb_version = version}, [] { return AuxFields(); });
    EXPECT_TRUE(snapshot.ok() && (*snapshot)->Run(sink).ok());
  }
  keyspace.SetShared(false);
  return sink.rdb;
}

TEST(RdbStreams, AFileForOldReadersLacksCountersOnly) {
  Keyspace keyspace({.shards = 1, .databases = 1});
  Stream made = ParseDumpPayload(kFromRedis)->collection.As<Stream>()->Clone();
  made.FindGroup("g")->SetId({1, 2}, 2);
  made.FindGroup("g")->FindConsumer("bob")->SetTimes(500, 400);
  Store(keyspace, Collection(std::move(made)));
  for (const int version : {kOldRdbVersion, kRdbVersion, kValkeyRdbVersion}) {
    SCOPED_TRACE(version);
    Keyspace into({.shards = 1, .databases = 1});
    Loader loader(into, {});
    ASSERT_TRUE(loader.Feed(SnapshotOf(keyspace, version)).ok());
    const auto stream = EntryOf(into).As<Stream>();
    EXPECT_EQ(Shown(*stream), Shown(*EntryOf(keyspace).As<Stream>()));
    const bool old = version == kOldRdbVersion;
    EXPECT_EQ(stream->log().entries_added(), old ? 3u : 4u);
    EXPECT_EQ(stream->log().max_deleted_id(), (types::StreamId{old ? 0u : 5u, 0}));
    EXPECT_EQ(stream->FindGroup("g")->entries_read(), old ? types::StreamGroup::kUnknown : 2);
    EXPECT_EQ(stream->FindGroup("g")->FindConsumer("bob")->active_ms(), old ? 500 : 400);
    into.Validate();
  }
}

TEST(RdbStreams, AKeyKeepsAStreamWithoutEntries) {
  Keyspace keyspace({.shards = 1, .databases = 1});
  Store(keyspace, std::move(ParseDumpPayload(kFromRedis)->collection));
  At at(keyspace, "s");
  {
    store::Entry* const entry = at.shard.FindForWrite(0, "s", at.hash, 0, store::View::kNormal);
    store::Edit<Stream> stream(at.shard, 0, "s", at.hash, *entry, 0);
    EXPECT_EQ(stream->log().Trim({.max_length = 0}), 3u);
  }
  EXPECT_EQ(EntryOf(keyspace).As<Stream>()->Size(), 0u);
  keyspace.Validate();
  for (const int version : {kOldRdbVersion, kRdbVersion, kValkeyRdbVersion}) {
    Result<Contents> loaded = Load(SnapshotOf(keyspace, version));
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    EXPECT_EQ(*loaded, ContentsOf(keyspace, Keyspace::Locking::kTake));
  }
}

TEST(RdbStreams, EveryTruncationIsAnError) {
  const std::string body = kFromRedis.substr(0, kFromRedis.size() - 10);
  for (size_t n = 1; n < body.size(); ++n) {
    EXPECT_FALSE(ParseDumpPayload(body.substr(0, n) + "\x0b\x00"s + std::string(8, '\0')).ok()) << n;
  }
  EXPECT_TRUE(ParseDumpPayload(body + "\x0b\x00"s + std::string(8, '\0')).ok());
}

TEST(RdbStreams, DamageIsAnErrorOrASoundStream) {
  const std::string body = kFromRedis.substr(0, kFromRedis.size() - 10);
  store::Rng rng(11);
  size_t sound = 0;
  const size_t rounds = 200'000 / store::kSlowdown;
  for (size_t i = 0; i < rounds; ++i) {
    std::string damaged = body;
    for (uint64_t n = rng.Below(2) + 1; n > 0; --n) {
      const size_t at = 1 + rng.Below(damaged.size() - 1);
      damaged[at] = static_cast<char>(rng.OneIn(2) ? rng.Next() : static_cast<uint64_t>(damaged[at]) ^ 1 << rng.Below(8));
    }
    damaged[0] = static_cast<char>(rng.OneIn(8) ? kTypeStream3 : rng.OneIn(8) ? kTypeStream : kTypeStream2);
    Result<store::StoredValue> value = ParseDumpPayload(damaged + "\x0b\x00"s + std::string(8, '\0'));
    if (!value.ok()) continue;
    ++sound;
    // Whatever it is now, it is one that can be used and changed.
    Stream stream = value->collection.As<Stream>()->Clone();
    stream.Validate();
    for (int change = 0; change < 5; ++change) {
      store::RandomStreamChange(rng, "word", store::SmallLimits(), 1'800'000'000'000)(stream);
    }
    stream.Validate();
  }
  EXPECT_GT(sound, rounds / 50);
  EXPECT_LT(sound, rounds);
}

}  // namespace
}  // namespace understudy::persist
