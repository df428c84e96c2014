#include "node/persist/function_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/persist/rdb_format.h"
#include "tests/unit/node/persist/persist_test_support.h"

namespace understudy::persist {
namespace {

TEST(FunctionDump, HoldsAllCodes) {
  const std::string_view codes[] = {"#!lua name=a\nx", "12", ""};
  const Result<std::vector<std::string>> read = ParseFunctions(DumpFunctions(codes));
  ASSERT_TRUE(read.ok());
  EXPECT_THAT(*read, ::testing::ElementsAre("#!lua name=a\nx", "12", ""));
  EXPECT_TRUE(ParseFunctions(DumpFunctions({}))->empty());
}

TEST(FunctionDump, ADamagedOneIsRefused) {
  const std::string_view codes[] = {"#!lua name=a\nx"};
  const std::string dump = DumpFunctions(codes);
  for (size_t i = 0; i < dump.size(); ++i) {
    std::string damaged = dump;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(ParseFunctions(damaged).ok()) << i;
    EXPECT_FALSE(ParseFunctions(std::string_view(dump).substr(0, i)).ok()) << i;
  }
}

// A snapshot of a keyspace with these functions.
std::string SnapshotWith(std::vector<std::string> codes, int version) {
  store::Keyspace keyspace({.shards = 4, .databases = 16});
  keyspace.SetShared(true);
  Snapshot::Options options;
  options.rdb_version = version;
  options.functions = [&] { return codes; };
  auto snapshot = Snapshot::Begin(keyspace, options, [] { return AuxFields(); });
  EXPECT_TRUE(snapshot.ok());
  StringSink sink;
  EXPECT_TRUE((*snapshot)->Run(sink).ok());
  return sink.rdb;
}

TEST(FunctionDump, SnapshotsHaveFunctionsAndLoadersReadThem) {
  for (const int version : {kRdbVersion, kValkeyRdbVersion, kOldRdbVersion}) {
    store::Keyspace keyspace({.shards = 4, .databases = 16});
    Loader loader(keyspace, {});
    const std::string rdb = SnapshotWith({"code of a", "code of b"}, version);
    for (const char& byte : rdb) ASSERT_TRUE(loader.Feed({&byte, 1}).ok());
    ASSERT_TRUE(loader.Finish().ok());
    if (version == kOldRdbVersion) {
      EXPECT_TRUE(loader.functions().empty());
    } else {
      EXPECT_THAT(loader.functions(), ::testing::ElementsAre("code of a", "code of b"));
    }
  }
}

}  // namespace
}  // namespace understudy::persist
