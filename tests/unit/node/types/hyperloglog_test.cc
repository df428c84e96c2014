#include "node/types/hyperloglog.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace understudy::types::hll {
namespace {

constexpr size_t kSparseBytes = 3000;

uint64_t Fnv(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string Sparse(std::string_view runs) {
  std::string value = Empty().substr(0, kHeaderBytes);
  OutdateEstimate(value);
  return value + std::string(runs);
}

struct Stage {
  int elements;
  uint64_t estimate;
  size_t bytes;
  uint64_t before, after;  // hash of the value before and after it was counted
};

// What redis-server 7.0.15 answers after PFADD of e0, e1, ... to PFCOUNT and GET.
constexpr Stage kRedis[] = {
    {1, 1, 21, 0xfffb6faeff77f7cd, 0x546d16fdfd2c805a},
    {10, 10, 48, 0x953ea581c3d6700b, 0xd06c25fbeaa23420},
    {100, 100, 285, 0xdc190eeb2be4c6cc, 0x40dec5e3b1513cfa},
    {500, 506, 1068, 0x1295390da0900aba, 0x4785b546f1b4a8cb},
    {1000, 1008, 1906, 0x65d14d844e16560d, 0x4ded8ea0046b668d},
    {2000, 2000, 12304, 0xa0e78bcc7a3f3407, 0xdd4d26f186b57d33},
    {10000, 9973, 12304, 0x333c56856f234b26, 0x91141a0852dc0034},
    {100000, 100853, 12304, 0x7c404b6cb4918fbf, 0xfd1fc23694773e63},
};

TEST(HyperLogLog, BytesAndEstimatesAreThoseOfRedis) {
  std::string value = Empty();
  int i = 0;
  for (const Stage& stage : kRedis) {
    for (; i < stage.elements; ++i) {
      ASSERT_NE(Raise(&value, MarkOf("e" + std::to_string(i)), kSparseBytes), Raised::kCorrupt);
    }
    EXPECT_EQ(value.size(), stage.bytes) << i;
    EXPECT_EQ(Fnv(value), stage.before) << i;
    EXPECT_EQ(LastEstimate(value), std::nullopt);
    const auto estimate = Estimate(value);
    ASSERT_TRUE(estimate.has_value());
    EXPECT_EQ(*estimate, stage.estimate);
    SetEstimate(value, *estimate);
    EXPECT_EQ(LastEstimate(value), estimate);
    EXPECT_EQ(Fnv(value), stage.after) << i;
  }
}

TEST(HyperLogLog, AnEmptyOneIsOneRunOfZeros) {
  const std::string value = Empty();
  EXPECT_EQ(value, std::string("HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", 18));
  EXPECT_TRUE(IsValid(value));
  EXPECT_EQ(Estimate(value), 0u);
  EXPECT_EQ(LastEstimate(value), 0u);
  EXPECT_EQ(Describe(value), "Z:16384");
}

TEST(HyperLogLog, BothFormsHoldWhatWasPutIntoThem) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 30; ++round) {
    std::string sparse = Empty(), dense = Empty();
    ASSERT_TRUE(MakeDense(&dense));
    Registers registers{};
    // Close together, so that runs are split and joined in all ways.
    const uint32_t width = 1u << (4 + random() % 11);
    for (int i = 0; i < 2000; ++i) {
      const Mark mark{static_cast<uint32_t>(random() % width), static_cast<uint8_t>(1 + random() % (round % 2 ? 3 : 40))};
      const bool raises = registers[mark.index] < mark.value;
      registers[mark.index] = std::max(registers[mark.index], mark.value);
      ASSERT_EQ(Raise(&sparse, mark, kSparseBytes), raises ? Raised::kYes : Raised::kNo);
      ASSERT_EQ(Raise(&dense, mark, kSparseBytes), raises ? Raised::kYes : Raised::kNo);
      if (i % 50 == 0) {
        ASSERT_EQ(Read(sparse), registers);
        ASSERT_EQ(Read(dense), registers);
        ASSERT_TRUE(IsValid(sparse));
        ASSERT_LE(sparse.size(), IsDense(sparse) ? kDenseBytes : kSparseBytes);
      }
    }
    EXPECT_EQ(Estimate(sparse), Estimate(registers));
    ASSERT_TRUE(MakeDense(&sparse));
    EXPECT_EQ(sparse, dense);
  }
}

TEST(HyperLogLog, ValuesAbove32NeedTheDenseForm) {
  std::string value = Empty();
  EXPECT_EQ(Raise(&value, {5, 32}, kSparseBytes), Raised::kYes);
  EXPECT_FALSE(IsDense(value));
  EXPECT_EQ(Raise(&value, {5, 33}, kSparseBytes), Raised::kYes);
  EXPECT_TRUE(IsDense(value));
  EXPECT_EQ((*Read(value))[5], 33);
}

TEST(HyperLogLog, ASparseOneThatBecomesTooLongGetsDense) {
  std::string value = Empty();
  EXPECT_EQ(Raise(&value, {100, 1}, 21), Raised::kYes);
  EXPECT_FALSE(IsDense(value));
  EXPECT_EQ(Raise(&value, {9000, 1}, 21), Raised::kYes);
  EXPECT_TRUE(IsDense(value));
  EXPECT_EQ((*Read(value))[100], 1);
  EXPECT_EQ((*Read(value))[9000], 1);
}

TEST(HyperLogLog, MergingTakesTheLargerRegisters) {
  std::string a = Empty(), b = Empty(), both = Empty();
  for (int i = 0; i < 3000; ++i) {
    const Mark mark = MarkOf(std::to_string(i));
    Raise(i % 3 == 0 ? &a : &b, mark, kSparseBytes);
    Raise(&both, mark, kSparseBytes);
  }
  EXPECT_FALSE(IsDense(a));
  EXPECT_TRUE(IsDense(b));
  Registers registers{};
  ASSERT_TRUE(Merge(a, &registers));
  ASSERT_TRUE(Merge(b, &registers));
  EXPECT_EQ(Read(both), registers);
}

TEST(HyperLogLog, WhatIsNoneIsNotTakenForOne) {
  std::string dense = Empty();
  ASSERT_TRUE(MakeDense(&dense));
  EXPECT_TRUE(IsValid(dense));
  EXPECT_FALSE(IsValid(""));
  EXPECT_FALSE(IsValid("HYLL"));
  EXPECT_FALSE(IsValid(dense + "x"));
  EXPECT_FALSE(IsValid(dense.substr(1)));
  EXPECT_FALSE(IsValid(dense.substr(0, dense.size() - 1)));
  std::string other = Empty();
  other[4] = 2;
  EXPECT_FALSE(IsValid(other));
  other = Empty();
  other[3] = 'l';
  EXPECT_FALSE(IsValid(other));
}

TEST(HyperLogLog, RunsThatDoNotMakeAllRegistersAreCorrupt) {
  const std::string_view cases[] = {
      "", std::string_view("\x7f", 1), std::string_view("\x7f\xfe", 2), std::string_view("\x7f\xff\x00", 3),
      std::string_view("\x7f\xff\x80", 3), std::string_view("\x00\x7f", 2),
  };
  for (const std::string_view runs : cases) {
    std::string value = Sparse(runs);
    ASSERT_TRUE(IsValid(value));
    EXPECT_EQ(Estimate(value), std::nullopt);
    EXPECT_EQ(Read(value), std::nullopt);
    const std::string before = value;
    EXPECT_FALSE(MakeDense(&value));
    EXPECT_EQ(Raise(&value, {16383, 40}, kSparseBytes), Raised::kCorrupt);
    EXPECT_EQ(value, before);
  }
  std::string value = Sparse(std::string_view("\x7f\xfe", 2));
  EXPECT_EQ(Raise(&value, {16383, 1}, kSparseBytes), Raised::kCorrupt);
  value = Sparse("\x7f");
  EXPECT_EQ(Raise(&value, {0, 1}, kSparseBytes), Raised::kCorrupt);
}

TEST(HyperLogLog, NoBytesMakeItReadOrWriteElsewhere) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 20'000; ++round) {
    std::string runs(random() % 12, '\0');
    for (char& c : runs) c = static_cast<char>(random());
    std::string value = Sparse(runs);
    Estimate(value);
    Describe(value);
    Raise(&value, {static_cast<uint32_t>(random() % kRegisters), static_cast<uint8_t>(1 + random() % kMostValue)}, kSparseBytes);
    MakeDense(&value);
  }
}

TEST(HyperLogLog, TheSelfTestPasses) {
  EXPECT_EQ(SelfTest(1, 20'000, kSparseBytes), "");
  EXPECT_EQ(SelfTest(2, 1'000, 0), "");
}

}  // namespace
}  // namespace understudy::types::hll
