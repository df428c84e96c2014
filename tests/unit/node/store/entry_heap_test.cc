#include "node/store/entry_heap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "tests/unit/node/store/store_test_support.h"

namespace understudy::store {
namespace {

TEST(EntryHeap, BlocksDoNotOverlapAndTheAccountReturnsToZero) {
  EntryHeap heap;
  Rng rng(1);
  struct Block {
    size_t bytes;
    uint8_t fill;
  };
  std::map<char*, Block> blocks;
  for (int i = 0; i < 200'000; ++i) {
    if (blocks.size() < 3000 && !rng.OneIn(3)) {
      const size_t bytes = 1 + (rng.OneIn(20) ? rng.Below(5000) : rng.Below(300));
      char* block = static_cast<char*>(heap.Allocate(bytes));
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % 8, 0u);
      const auto after = blocks.lower_bound(block);
      if (after != blocks.end()) {
        ASSERT_LE(block + bytes, after->first);
      }
      if (after != blocks.begin()) {
        ASSERT_LE(std::prev(after)->first + std::prev(after)->second.bytes, block);
      }
      const auto fill = static_cast<uint8_t>(rng.Next());
      std::memset(block, fill, bytes);
      blocks.emplace(block, Block{bytes, fill});
    } else if (!blocks.empty()) {
      auto it = blocks.begin();
      std::advance(it, static_cast<long>(rng.Below(std::min<size_t>(blocks.size(), 50))));
      for (size_t j = 0; j < it->second.bytes; ++j) ASSERT_EQ(static_cast<uint8_t>(it->first[j]), it->second.fill);
      heap.Free(it->first, it->second.bytes);
      blocks.erase(it);
    }
  }
  size_t asked = 0;
  for (const auto& [block, info] : blocks) asked += info.bytes;
  EXPECT_GE(heap.live_bytes(), asked);
  for (const auto& [block, info] : blocks) heap.Free(block, info.bytes);
  EXPECT_EQ(heap.live_bytes(), 0u);
  EXPECT_EQ(heap.large_blocks(), 0u);
}

TEST(EntryHeap, SmallSizesLoseAtMostSevenBytes) {
  for (size_t bytes = 1; bytes <= EntryHeap::kSlabMaxBytes; ++bytes) {
    EXPECT_LT(EntryHeap::BlockBytes(nullptr, bytes) - bytes, 8u);
  }
}

}  // namespace
}  // namespace understudy::store
