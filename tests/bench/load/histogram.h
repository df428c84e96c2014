// Counts durations in buckets of at most 1.6 % of their length, from 1 ns to hours.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace understudy::load {

class Histogram {
 public:
  void Add(int64_t ns) {
    const uint64_t value = ns < 0 ? 0 : static_cast<uint64_t>(ns);
    ++buckets_[Index(value)];
    ++count_;
    max_ = std::max(max_, value);
  }
  void Merge(const Histogram& other) {
    for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }
  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  // The duration that this share of all does not exceed, rounded up to its bucket's end.
  uint64_t Quantile(double share) const {
    const uint64_t wanted = std::max<uint64_t>(1, static_cast<uint64_t>(share * static_cast<double>(count_) + 0.5));
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= wanted) return std::min(max_, Last(i));
    }
    return max_;
  }

 private:
  static constexpr int kBits = 6;  // 64 buckets for each power of two
  static constexpr uint64_t kSteps = 1 << kBits;
  static constexpr size_t kBuckets = kSteps * 40;

  static size_t Index(uint64_t value) {
    if (value < kSteps) return value;
    const int shift = std::bit_width(value) - 1 - kBits;
    return std::min<size_t>(kBuckets - 1, kSteps * static_cast<size_t>(shift + 1) + ((value >> shift) - kSteps));
  }
  static uint64_t Last(size_t index) {
    if (index < kSteps) return index;
    const size_t shift = index / kSteps - 1;
    return ((kSteps + index % kSteps + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace understudy::load
