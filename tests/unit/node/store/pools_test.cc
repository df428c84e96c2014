// The pools below the tables: runs of entries, arrays of buckets.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "node/store/bucket_pool.h"
#include "node/store/run_pool.h"

namespace understudy::store {
namespace {

using Pieces = std::vector<std::pair<char*, size_t>>;

// Each piece is filled with a letter of its own, so that two that overlap are found out.
void Fill(const Pieces& pieces) {
  for (size_t i = 0; i < pieces.size(); ++i) std::memset(pieces[i].first, static_cast<int>(i % 251), pieces[i].second);
}

void ExpectWhole(const Pieces& pieces) {
  for (size_t i = 0; i < pieces.size(); ++i) {
    for (size_t at = 0; at < pieces[i].second; at += 256) {
      ASSERT_EQ(static_cast<unsigned char>(pieces[i].first[at]), i % 251) << "piece " << i;
    }
  }
}

template <typename Pool>
void AllocateAndFreeAtRandom(Pool& pool, const std::vector<size_t>& sizes) {
  std::mt19937 random(7);
  Pieces pieces;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 100; ++i) {
      const size_t bytes = sizes[random() % sizes.size()];
      char* piece = static_cast<char*>(pool.Allocate(bytes));
      pieces.emplace_back(piece, bytes);
    }
    Fill(pieces);
    ExpectWhole(pieces);
    for (int i = 0; i < (round % 5 == 4 ? 400 : 60) && !pieces.empty(); ++i) {
      const size_t victim = random() % pieces.size();
      pool.Free(pieces[victim].first, pieces[victim].second);
      pieces[victim] = pieces.back();
      pieces.pop_back();
    }
    Fill(pieces);
    ExpectWhole(pieces);
  }
  for (const auto& [piece, bytes] : pieces) pool.Free(piece, bytes);
}

TEST(RunPool, RunsAreAlignedAndDoNotOverlap) {
  RunPool pool;
  for (const size_t bytes : {RunPool::kUnitBytes, 2 * RunPool::kUnitBytes}) {
    void* run = pool.Allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(run) % bytes, 0u);
    pool.Free(run, bytes);
  }
  AllocateAndFreeAtRandom(pool, {RunPool::kUnitBytes, 2 * RunPool::kUnitBytes});
  EXPECT_EQ(pool.used_bytes(), 0u);
}

// Does the pool have so many chunks, or has it within ten seconds?
bool ComesToHave(const RunPool& pool, size_t chunks) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (pool.mapped_bytes() != chunks * RunPool::kChunkBytes) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

TEST(RunPool, AChunkIsThereBeforeItIsNeeded) {
  constexpr size_t kRuns = RunPool::kChunkBytes / RunPool::kUnitBytes;
  RunPool pool;
  std::vector<void*> runs;
  const auto allocate = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) runs.push_back(pool.Allocate(RunPool::kUnitBytes));
  };
  allocate(10 * kRuns);
  ASSERT_TRUE(ComesToHave(pool, 11)) << "the tenth is full, the next one is prepared";
  allocate(1);
  EXPECT_EQ(pool.mapped_bytes(), 11 * RunPool::kChunkBytes) << "it was taken";
  // Its pages are there: none has to come when it is used.
  char* const base = static_cast<char*>(runs.back());
  std::vector<unsigned char> present(RunPool::kChunkBytes / 4096);
  ASSERT_EQ(mincore(base, RunPool::kChunkBytes, present.data()), 0);
  EXPECT_EQ(std::count_if(present.begin(), present.end(), [](unsigned char page) { return (page & 1) != 0; }),
            static_cast<ptrdiff_t>(present.size()));
  for (void* run : runs) pool.Free(run, RunPool::kUnitBytes);
  EXPECT_EQ(pool.mapped_bytes(), RunPool::kChunkBytes) << "what was prepared goes back with what was used";
}

TEST(RunPool, AFewChunksAreNotWorthAPreparedOne) {
  RunPool pool;
  std::vector<void*> runs;
  for (size_t i = 0; i < 3 * RunPool::kChunkBytes / RunPool::kUnitBytes; ++i) runs.push_back(pool.Allocate(RunPool::kUnitBytes));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(pool.mapped_bytes(), 3 * RunPool::kChunkBytes);
  for (void* run : runs) pool.Free(run, RunPool::kUnitBytes);
}

TEST(RunPool, GivesEmptyChunksBack) {
  RunPool pool;
  std::vector<void*> runs;
  for (size_t i = 0; i < 40 * RunPool::kChunkBytes / RunPool::kUnitBytes; ++i) runs.push_back(pool.Allocate(RunPool::kUnitBytes));
  EXPECT_EQ(pool.used_bytes(), 40 * RunPool::kChunkBytes);
  EXPECT_GE(pool.mapped_bytes(), 40 * RunPool::kChunkBytes);
  EXPECT_LE(pool.mapped_bytes(), 41 * RunPool::kChunkBytes) << "one is prepared at most";
  for (void* run : runs) pool.Free(run, RunPool::kUnitBytes);
  EXPECT_EQ(pool.used_bytes(), 0u);
  EXPECT_EQ(pool.mapped_bytes(), RunPool::kChunkBytes);
}

TEST(BucketPool, ArraysOfAllSizesShareRuns) {
  BucketPool pool;
  std::vector<size_t> sizes;
  for (size_t units = 1; units <= 8; ++units) sizes.push_back(units * BucketPool::kUnitBytes);
  AllocateAndFreeAtRandom(pool, sizes);
}

TEST(BucketPool, TheRoomOfOneSizeServesAnother) {
  BucketPool pool;
  const size_t before = RunPool::Get().used_bytes();
  std::vector<void*> small;
  for (int i = 0; i < 640; ++i) small.push_back(pool.Allocate(BucketPool::kUnitBytes));
  const size_t with_small = RunPool::Get().used_bytes();
  EXPECT_EQ(with_small - before, 640 * BucketPool::kUnitBytes);
  for (void* array : small) pool.Free(array, BucketPool::kUnitBytes);
  EXPECT_EQ(RunPool::Get().used_bytes(), before);
  std::vector<void*> large;
  for (int i = 0; i < 80; ++i) large.push_back(pool.Allocate(8 * BucketPool::kUnitBytes));
  EXPECT_EQ(RunPool::Get().used_bytes(), with_small);
  for (void* array : large) pool.Free(array, 8 * BucketPool::kUnitBytes);
}

}  // namespace
}  // namespace understudy::store
