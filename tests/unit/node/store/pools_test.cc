// The pools below the tables: runs of entries, arrays of buckets.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
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

TEST(RunPool, GivesEmptyChunksBack) {
  RunPool pool;
  std::vector<void*> runs;
  for (size_t i = 0; i < 40 * RunPool::kChunkBytes / RunPool::kUnitBytes; ++i) runs.push_back(pool.Allocate(RunPool::kUnitBytes));
  EXPECT_EQ(pool.used_bytes(), 40 * RunPool::kChunkBytes);
  EXPECT_EQ(pool.mapped_bytes(), 40 * RunPool::kChunkBytes);
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
