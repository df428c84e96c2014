// Files: the former one stays until the new one is whole; what is read is whole, or an error.
#include "node/persist/rdb_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/node/persist/persist_test_support.h"

namespace understudy::persist {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class RdbFileTest : public ::testing::Test {
 protected:
  RdbFileTest() {
    std::filesystem::create_directory(dir_);
    keyspace_.SetShared(true);
  }
  ~RdbFileTest() override { std::filesystem::remove_all(dir_); }

  void Set(const std::string& key, const std::string& value) {
    store::At at(keyspace_, key);
    store::OneShardGuard guard(keyspace_, at.shard);
    at.shard.Set(0, key, at.hash, value, 0, {});
  }
  Status Save(const std::string& name) {
    RdbFile file(dir_, name);
    RETURN_IF_ERROR(file.Open());
    Result<std::unique_ptr<Snapshot>> snapshot =
        Snapshot::Begin(keyspace_, {.keep_field_expiry = true}, [] { return AuxFields(); });
    if (!snapshot.ok()) return snapshot.status();
    RETURN_IF_ERROR((*snapshot)->Run(file));
    return file.Commit();
  }
  Result<Contents> Read(const std::string& name) {
    store::Keyspace loaded({.shards = 4, .databases = 16});
    Loader loader(loaded, {});
    RETURN_IF_ERROR(LoadRdbFile(dir_ + "/" + name, loader, [&](uint64_t read, uint64_t total) {
      EXPECT_LE(read, total);
      return true;
    }));
    return ContentsOf(loaded, store::Keyspace::Locking::kTake);
  }
  std::string Bytes(const std::string& name) {
    std::ifstream in(dir_ + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(dir_ + "/" + name, std::ios::binary) << bytes;
  }
  size_t Files() { return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(dir_), {})); }

  const std::string dir_ = ::testing::TempDir() + "/understudy-rdb-file-" + std::to_string(getpid());
  store::Keyspace keyspace_{{.shards = 4, .databases = 16}};
};

TEST_F(RdbFileTest, WhatIsReadIsWhatWasWritten) {
  // Several pieces of what is read at once.
  for (int i = 0; i < 3000; ++i) Set("key" + std::to_string(i), std::string(1000, static_cast<char>('a' + i % 26)));
  ASSERT_TRUE(Save("dump.rdb").ok());
  const Result<Contents> contents = Read("dump.rdb");
  ASSERT_TRUE(contents.ok()) << contents.status().ToString();
  EXPECT_EQ(*contents, ContentsOf(keyspace_, store::Keyspace::Locking::kTake));
}

TEST_F(RdbFileTest, WhatIsNotCommittedLeavesTheFormerFileAndNothingElse) {
  Set("k", "former");
  ASSERT_TRUE(Save("dump.rdb").ok());
  const std::string former = Bytes("dump.rdb");
  {
    RdbFile file(dir_, "dump.rdb");
    ASSERT_TRUE(file.Open().ok());
    ASSERT_TRUE(file.Write("half of a").ok());
    EXPECT_EQ(Files(), 2u);
    EXPECT_EQ(Bytes("dump.rdb"), former);
  }
  EXPECT_EQ(Bytes("dump.rdb"), former);
  EXPECT_EQ(Files(), 1u);
  Set("k", "new");
  ASSERT_TRUE(Save("dump.rdb").ok());
  EXPECT_THAT(Bytes("dump.rdb"), HasSubstr("new"));
  EXPECT_EQ(Files(), 1u);
}

TEST_F(RdbFileTest, WhatAKilledProcessLeftIsRemovedByTheNextSaveAndWhatOthersWriteIsNot) {
  const std::string mine = "temp-" + std::to_string(getpid()) + ".rdb";  // of a process before, in a container like this
  const std::string dead = "temp-2000000000.rdb", elsewhere = "temp-2000000001.rdb", alive = "temp-1.rdb";
  for (const std::string& name : {mine, dead, elsewhere, alive, std::string("temp-x.rdb"), std::string("temp-7.rdb.old")}) {
    Write(name, "half of a file");
  }
  const int fd = open((dir_ + "/" + elsewhere).c_str(), O_RDONLY);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  ASSERT_TRUE(Save("dump.rdb").ok());
  EXPECT_EQ(Bytes(mine), "");
  EXPECT_EQ(Bytes(dead), "");
  EXPECT_EQ(Files(), 5u) << "the new one, two with other names, and those of two processes";
  close(fd);
  RdbFile::RemoveLeftBehind(dir_);
  EXPECT_EQ(Bytes(elsewhere), "");
  EXPECT_EQ(Files(), 4u);
}

TEST_F(RdbFileTest, ADirectoryThatIsNotThereOrInTheWayIsAnErrorThatNamesTheFile) {
  RdbFile nowhere(dir_ + "/none", "dump.rdb");
  EXPECT_THAT(std::string(nowhere.Open().message()), HasSubstr(dir_ + "/none/temp-"));
  // A directory has the name.
  std::filesystem::create_directory(dir_ + "/dump.rdb");
  const Status status = Save("dump.rdb");
  EXPECT_THAT(std::string(status.message()), StartsWith("can't replace '" + dir_ + "/dump.rdb'"));
  EXPECT_EQ(Files(), 1u) << "the temporary file is gone";
}

TEST_F(RdbFileTest, AFileThatIsNotWholeIsAnErrorThatSaysWhere) {
  Set("k", "some value");
  ASSERT_TRUE(Save("whole.rdb").ok());
  const std::string whole = Bytes("whole.rdb");
  for (size_t size = 0; size < whole.size(); ++size) {
    Write("cut.rdb", whole.substr(0, size));
    const Result<Contents> contents = Read("cut.rdb");
    ASSERT_FALSE(contents.ok()) << size;
    EXPECT_THAT(std::string(contents.status().message()), HasSubstr("cut.rdb: RDB breaks off at byte"));
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    Write("damaged.rdb", damaged);
    EXPECT_FALSE(Read("damaged.rdb").ok()) << at;
  }
  EXPECT_EQ(Read("none.rdb").status().code(), Code::kNotFound);
}

TEST_F(RdbFileTest, WhoLoadsMayGiveUp) {
  Set("k", std::string(3 << 20, 'x'));
  ASSERT_TRUE(Save("dump.rdb").ok());
  store::Keyspace loaded({.shards = 4, .databases = 16});
  Loader loader(loaded, {});
  int pieces = 0;
  const Status status = LoadRdbFile(dir_ + "/dump.rdb", loader, [&](uint64_t, uint64_t) { return ++pieces < 2; });
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_EQ(pieces, 2);
}

}  // namespace
}  // namespace understudy::persist
