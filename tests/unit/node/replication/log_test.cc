#include "node/replication/log.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

namespace understudy::replication {
namespace {

const std::string kId(40, 'a');

std::string Read(Log::Reader& reader, size_t max = SIZE_MAX) {
  struct iovec parts[8];
  std::string out;
  while (max > 0) {
    int used = 0;
    const size_t n = reader.Peek(parts, &used, std::min<size_t>(max, 100'000));
    if (n == 0) break;
    for (int i = 0; i < used; ++i) out.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    reader.Advance(n);
    max -= std::min(max, n);
  }
  return out;
}

std::unique_ptr<Log> WritableLog(uint64_t backlog = 1 << 20) {
  auto log = std::make_unique<Log>(kId, backlog);
  log->Activate(kId);
  log->SetWritable(true);
  return log;
}

uint64_t Put(Log& log, int db, std::vector<std::string_view> argv) {
  const Record record{db, argv};
  return log.Append({&record, 1});
}

TEST(Log, SelectsTheDatabaseWhenItChanges) {
  auto log = WritableLog();
  auto reader = log->ReadFrom(0);
  Put(*log, 0, {"SET", "k", "v"});
  Put(*log, 0, {"DEL", "k"});
  const uint64_t end = Put(*log, 3, {"DEL", "x"});
  const std::string expected =
      "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n"
      "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*2\r\n$3\r\nDEL\r\n$1\r\nx\r\n";
  EXPECT_EQ(Read(*reader), expected);
  EXPECT_EQ(end, expected.size());
  EXPECT_EQ(log->end(), expected.size());
  EXPECT_EQ(log->db(), 3);
}

TEST(Log, WrapsSeveralRecordsInMultiAndExec) {
  auto log = WritableLog();
  auto reader = log->ReadFrom(0);
  const std::string_view a[] = {"DEL", "a"};
  const std::string_view b[] = {"DEL", "b"};
  const Record records[] = {{1, a}, {2, b}};
  log->Append(records);
  EXPECT_EQ(Read(*reader),
            "*1\r\n$5\r\nMULTI\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"
            "*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n");
  EXPECT_EQ(log->db(), 2);
}

TEST(Log, SelectsAgainAfterACutAndAfterANewHistory) {
  auto log = WritableLog();
  Put(*log, 0, {"DEL", "a"});
  auto reader = log->ReadFrom(log->end());
  EXPECT_EQ(log->TakeCut().offset, log->end());
  Put(*log, 0, {"DEL", "b"});
  EXPECT_EQ(Read(*reader), "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n");
  log->StartHistory(std::string(40, 'b'));
  log->AppendEpochRecord(7);
  Put(*log, 0, {"DEL", "c"});
  EXPECT_EQ(Read(*reader),
            "*2\r\n$4\r\nPING\r\n$18\r\nunderstudy-epoch=7\r\n"
            "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$3\r\nDEL\r\n$1\r\nc\r\n");
  EXPECT_EQ(log->history().last_record_epoch, 7u);
}

TEST(Log, KeepsNothingUntilItIsActive) {
  Log log(kId, 1 << 20);
  log.SetWritable(true);
  EXPECT_EQ(Put(log, 0, {"SET", "k", "v"}), 0u);
  EXPECT_EQ(log.end(), 0u);
  log.Activate(std::string(40, 'c'));
  EXPECT_GT(Put(log, 0, {"SET", "k", "v"}), 0u);
  EXPECT_EQ(log.history().replid, std::string(40, 'c'));
}

TEST(Log, KeepsTheBacklogAndDropsWhatIsOlder) {
  constexpr uint64_t kBacklog = 4 * Log::kBlockBytes;
  auto log = WritableLog(kBacklog);
  const std::string value(1000, 'x');
  for (int i = 0; i < 1000; ++i) Put(*log, 0, {"SET", "k", value});
  EXPECT_GE(log->held_bytes(), kBacklog);
  EXPECT_LE(log->held_bytes(), kBacklog + 2 * Log::kBlockBytes);
  EXPECT_EQ(log->first() + log->held_bytes(), log->end());
  EXPECT_EQ(log->ReadFrom(log->first() - 1), nullptr);
  EXPECT_NE(log->ReadFrom(log->first()), nullptr);
  EXPECT_EQ(log->ReadFrom(log->end() + 1), nullptr);
}

TEST(Log, ASlowReaderKeepsWhatItHasNotRead) {
  auto log = WritableLog(Log::kBlockBytes);
  auto reader = log->ReadFrom(0);
  const std::string value(1000, 'x');
  for (int i = 0; i < 1000; ++i) Put(*log, 0, {"SET", "k", value});
  EXPECT_EQ(log->first(), 0u);
  EXPECT_EQ(reader->pending_bytes(), log->end());
  Read(*reader, 500'000);
  EXPECT_GT(log->first(), 400'000u);
  EXPECT_LE(log->first(), reader->position());
  reader.reset();
  EXPECT_LE(log->held_bytes(), 3 * Log::kBlockBytes);
}

TEST(Log, BlocksThatAReaderLetsGoAreUsedAgainAndFreedWhereNobodyNeedsThem) {
  auto log = WritableLog(Log::kBlockBytes);
  auto reader = log->ReadFrom(0);
  const std::string value(1000, 'x');
  const auto fall_behind = [&] {
    for (int i = 0; i < 1000; ++i) Put(*log, 0, {"SET", "k", value});
    const size_t most = log->allocated_bytes();
    Read(*reader);
    EXPECT_LE(log->held_bytes(), 3 * Log::kBlockBytes);
    return most;
  };
  const size_t once = fall_behind();
  EXPECT_GE(once, 60 * Log::kBlockBytes);
  EXPECT_EQ(log->allocated_bytes(), once) << "kept for the next time";
  log->ReleaseSpare();
  EXPECT_EQ(log->allocated_bytes(), once) << "a moment ago they were needed";
  EXPECT_LE(fall_behind(), once + 2 * Log::kBlockBytes);
  for (int i = 0; i < 10; ++i) log->ReleaseSpare();
  EXPECT_LE(log->allocated_bytes(), 4 * Log::kBlockBytes);
  fall_behind();
  reader.reset();
}

TEST(Log, ASmallerBacklogTakesEffectAtOnce) {
  auto log = WritableLog(1 << 20);
  const std::string value(1000, 'x');
  for (int i = 0; i < 1000; ++i) Put(*log, 0, {"SET", "k", value});
  EXPECT_GT(log->held_bytes(), 900'000u);
  log->SetBacklogBytes(Log::kBlockBytes);
  EXPECT_LE(log->held_bytes(), 3 * Log::kBlockBytes);
}

TEST(Log, RemembersOlderIdsUpToWhereTheyVouch) {
  auto log = WritableLog();
  Put(*log, 0, {"DEL", "a"});
  const uint64_t first_end = log->end();
  log->StartHistory(std::string(40, 'b'));
  Put(*log, 0, {"DEL", "b"});
  log->RenameHistory(std::string(40, 'c'));
  log->RenameHistory(std::string(40, 'c'));
  const History history = log->history();
  EXPECT_EQ(history.replid, std::string(40, 'c'));
  ASSERT_EQ(history.ancestors.size(), 2u);
  EXPECT_EQ(history.ancestors[0], (Ancestor{std::string(40, 'b'), log->end()}));
  EXPECT_EQ(history.ancestors[1], (Ancestor{kId, first_end}));
  for (int i = 0; i < 20; ++i) log->StartHistory(std::string(40, static_cast<char>('0' + i % 10)));
  EXPECT_EQ(log->history().ancestors.size(), kMaxAncestors);
}

TEST(Log, EpochWordsAreReadBack) {
  EXPECT_EQ(ParseEpochWord(EpochWord(1)), 1u);
  EXPECT_EQ(ParseEpochWord(EpochWord(UINT64_MAX)), UINT64_MAX);
  for (const char* other : {"", "hello", "understudy-epoch=", "understudy-epoch=x", "understudy-epoch=1x",
                            "understudy-epoch=-1", "understudy-epoch=99999999999999999999999"}) {
    EXPECT_EQ(ParseEpochWord(other), 0u) << other;
  }
}

using LogDeathTest = ::testing::Test;
TEST(LogDeathTest, AppendingWithoutTheRightToIsABrokenInvariant) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto log = WritableLog();
  log->SetWritable(false);
  EXPECT_DEATH(Put(*log, 0, {"DEL", "a"}), "writable_");
}

// Random appends, readers and trims against the whole stream kept in a string.
TEST(Log, AgreesWithAModelUnderRandomUse) {
  std::string pool(200'000, '\0');
  std::mt19937 bytes_random(1);
  for (char& c : pool) c = static_cast<char>(bytes_random());
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const uint64_t backlog = Log::kBlockBytes * (1 + random() % 8);
    Log log(kId, backlog);
    log.Activate(kId);
    const uint64_t base = random() % 2 ? 0 : 1 + random() % 1'000'000;
    log.Reset(History{kId, {}, 0}, base, 0);
    std::string model;  // bytes from `base` on
    std::map<int, std::pair<std::unique_ptr<Log::Reader>, uint64_t>> readers;
    int next_reader = 0;
    for (int step = 0; step < 3000; ++step) {
      const uint32_t what = random() % 10;
      if (what < 5) {
        const size_t size = random() % 20 == 0 ? random() % 60'000 : random() % 300;
        const std::string bytes = pool.substr(random() % 100'000, size + 1);
        log.AppendRaw(bytes, 0, 0);
        model += bytes;
      } else if (what == 5 && readers.size() < 4) {
        const uint64_t first = log.first();
        ASSERT_GE(first, base);
        const uint64_t at = first + random() % (log.end() - first + 1);
        auto reader = log.ReadFrom(at);
        ASSERT_NE(reader, nullptr);
        readers.emplace(next_reader++, std::make_pair(std::move(reader), at));
      } else if (what < 9 && !readers.empty()) {
        auto it = readers.begin();
        std::advance(it, random() % readers.size());
        auto& [reader, at] = it->second;
        struct iovec parts[3];
        int used = 0;
        const size_t n = reader->Peek(parts, &used, 1 + random() % 60'000);
        std::string got;
        for (int i = 0; i < used; ++i) got.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
        ASSERT_EQ(got.size(), n);
        ASSERT_EQ(got, model.substr(at - base, n));
        const size_t advance = n == 0 ? 0 : random() % (n + 1);
        reader->Advance(advance);
        at += advance;
      } else if (!readers.empty() && random() % 4 == 0) {
        readers.erase(readers.begin());
      }
      ASSERT_EQ(log.end(), base + model.size());
      uint64_t lowest = log.end() - std::min(log.end() - base, backlog);
      for (const auto& [id, reader] : readers) lowest = std::min(lowest, reader.second);
      ASSERT_LE(log.first(), lowest);
    }
  }
}

TEST(Log, ManyWritersAndReadersSeeOneOrder) {
  auto log = WritableLog(64 * 1024 * 1024);
  constexpr int kWriters = 4, kEach = 5000;
  std::vector<std::thread> threads;
  std::string seen[2];
  std::atomic<bool> done{false};
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&log, w] {
      for (int i = 0; i < kEach; ++i) {
        const std::string key = std::to_string(w) + ":" + std::to_string(i);
        const uint64_t before = log->end();
        ASSERT_GT(Put(*log, w % 2, {"SET", key, "v"}), before);
      }
    });
  }
  std::vector<std::thread> readers;
  for (std::string& out : seen) {
    readers.emplace_back([&out, &done, reader = std::shared_ptr<Log::Reader>(log->ReadFrom(0))] {
      while (!done || reader->pending_bytes() > 0) out += Read(*reader, 10'000);
    });
  }
  for (auto& t : threads) t.join();
  done = true;
  for (auto& t : readers) t.join();
  EXPECT_EQ(seen[0].size(), log->end());
  EXPECT_TRUE(seen[0] == seen[1]);
  // Each writer's records are in its order.
  for (int w = 0; w < kWriters; ++w) {
    size_t at = 0;
    for (int i = 0; i < kEach; ++i) {
      at = seen[0].find("\n" + std::to_string(w) + ":" + std::to_string(i) + "\r", at);
      ASSERT_NE(at, std::string::npos);
    }
  }
}

}  // namespace
}  // namespace understudy::replication
