#include "node/types/bits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace understudy::types {
namespace {

// What each function must give, bit by bit.
std::vector<bool> Spread(std::string_view bytes) {
  std::vector<bool> bits;
  for (const char c : bytes) {
    for (int i = 7; i >= 0; --i) bits.push_back((static_cast<unsigned char>(c) >> i & 1) != 0);
  }
  return bits;
}

class BitsTest : public ::testing::Test {
 protected:
  uint64_t Random(uint64_t below) { return random_() % below; }
  // Mostly long runs of equal bits, so that words are skipped.
  std::string RandomBytes(size_t size) {
    std::string bytes(size, Random(2) == 0 ? '\0' : '\xff');
    for (uint64_t n = Random(4); n > 0 && size > 0; --n) bytes[Random(size)] = static_cast<char>(Random(256));
    return bytes;
  }
  std::mt19937_64 random_{1};
};

TEST_F(BitsTest, BitsAreCountedFromTheMostSignificantOfTheFirstByte) {
  const std::string_view bytes("\x80\x01", 2);
  EXPECT_TRUE(BitAt(bytes, 0));
  EXPECT_FALSE(BitAt(bytes, 1));
  EXPECT_TRUE(BitAt(bytes, 15));
  EXPECT_FALSE(BitAt(bytes, 16));
  EXPECT_FALSE(BitAt(bytes, UINT64_MAX));
}

TEST_F(BitsTest, CountingAndFindingAgreeWithBitByBit) {
  for (int round = 0; round < 20'000; ++round) {
    const std::string bytes = RandomBytes(1 + Random(60));
    const std::vector<bool> bits = Spread(bytes);
    uint64_t first = Random(bits.size()), last = Random(bits.size());
    if (first > last) std::swap(first, last);
    uint64_t count = 0;
    int64_t found[2] = {-1, -1};
    for (uint64_t i = first; i <= last; ++i) {
      count += bits[i];
      if (found[bits[i]] < 0) found[bits[i]] = static_cast<int64_t>(i);
    }
    ASSERT_EQ(CountBits(bytes, first, last), count);
    ASSERT_EQ(FindBit(bytes, first, last, false), found[0]);
    ASSERT_EQ(FindBit(bytes, first, last, true), found[1]);
    ASSERT_EQ(CountBits(bytes), static_cast<uint64_t>(std::count(bits.begin(), bits.end(), true)));
  }
}

TEST_F(BitsTest, CombiningAgreesWithByteByByte) {
  for (int round = 0; round < 2'000; ++round) {
    const auto operation = static_cast<BitOperation>(Random(4));
    const size_t n = operation == BitOperation::kNot ? 1 : 1 + Random(4);
    // Some reach over the border between two parts.
    const size_t most = round % 20 == 0 ? 40'000 : 50;
    std::vector<std::string> texts;
    size_t longest = 0;
    for (size_t i = 0; i < n; ++i) {
      texts.emplace_back(Random(most), '\0');
      for (char& c : texts.back()) c = static_cast<char>(Random(256));
      longest = std::max(longest, texts.back().size());
    }
    std::string expected(longest, '\0');
    for (size_t at = 0; at < longest; ++at) {
      for (size_t i = 0; i < n; ++i) {
        const char c = at < texts[i].size() ? texts[i][at] : '\0';
        char& to = expected[at];
        if (operation == BitOperation::kNot) {
          to = static_cast<char>(~c);
        } else if (i == 0) {
          to = c;
        } else {
          to = static_cast<char>(operation == BitOperation::kAnd ? to & c : operation == BitOperation::kOr ? to | c : to ^ c);
        }
      }
    }
    const std::vector<std::string_view> sources(texts.begin(), texts.end());
    std::string combined(longest, 'x');
    CombineBits(operation, sources, combined);
    ASSERT_EQ(combined, expected);
  }
}

TEST_F(BitsTest, NumbersAreReadAsTheyWereWrittenAndNothingElseChanges) {
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(1 + Random(20), '\0');
    for (char& c : bytes) c = static_cast<char>(Random(256));
    std::vector<bool> bits = Spread(bytes);
    const auto width = static_cast<unsigned>(1 + Random(std::min<size_t>(64, bits.size())));
    const uint64_t offset = Random(bits.size() - width + 1);
    const uint64_t value = random_() >> (64 - width);
    for (unsigned i = 0; i < width; ++i) bits[offset + i] = (value >> (width - 1 - i) & 1) != 0;
    WriteBits(bytes, offset, width, value | (width < 64 ? random_() << width : 0));
    ASSERT_EQ(Spread(bytes), bits);
    ASSERT_EQ(ReadBits(bytes, offset, width), value);
  }
}

TEST_F(BitsTest, BehindTheEndThereAreZeros) {
  EXPECT_EQ(ReadBits("", 0, 64), 0u);
  EXPECT_EQ(ReadBits("\xff", 4, 8), 0xf0u);
  EXPECT_EQ(ReadBits("\xff", 8, 1), 0u);
  EXPECT_EQ(ReadBits("\xff", UINT64_MAX, 64), 0u);
}

}  // namespace
}  // namespace understudy::types
