// Random numbers of one thread of the generator, cheap enough for millions of keys a second.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

namespace understudy::load {

class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15 + 88172645463325252) {
    for (int i = 0; i < 16; ++i) Next();
  }

  uint64_t Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  // 0 .. limit - 1.
  uint64_t Below(uint64_t limit) { return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * limit) >> 64); }
  // (0, 1].
  double Fraction() { return static_cast<double>((Next() >> 11) + 1) * 0x1p-53; }
  // Nanoseconds to the next of independent events of this mean distance.
  int64_t Gap(double mean_ns) { return static_cast<int64_t>(-std::log(Fraction()) * mean_ns); }

 private:
  uint64_t state_;
};

// Key numbers whose frequency falls with their rank. Drawn once into a table that threads walk from places of
// their own: drawing costs more than a server's whole work on a pipelined command.
class ZipfTable {
 public:
  ZipfTable(uint64_t keys, double exponent, uint64_t seed) {
    // Spreads the hot ranks over the key numbers, one to one.
    uint64_t stride = 2'654'435'761;
    while (std::gcd(stride, keys) != 1) ++stride;
    Numbers numbers(seed);
    draws_.resize(kDraws);
    for (uint32_t& draw : draws_) {
      const uint64_t rank = Rank(numbers, static_cast<double>(keys), exponent);
      draw = static_cast<uint32_t>(static_cast<unsigned __int128>(rank) * stride % keys);
    }
  }
  uint32_t at(uint64_t place) const { return draws_[place & (kDraws - 1)]; }

 private:
  static constexpr uint64_t kDraws = 1 << 22;

  // 0 .. keys - 1; rejection-inversion: W. Hörmann and G. Derflinger, 1996.
  static uint64_t Rank(Numbers& numbers, double keys, double exponent) {
    const auto integral = [exponent](double x) {
      const double log_x = std::log(x);
      const double t = log_x * (1 - exponent);
      return (std::abs(t) > 1e-8 ? std::expm1(t) / t : 1 + t / 2) * log_x;
    };
    const auto inverse = [exponent](double x) {
      const double t = std::max(-1.0, x * (1 - exponent));
      return std::exp((std::abs(t) > 1e-8 ? std::log1p(t) / t : 1 - t / 2) * x);
    };
    const double low = integral(1.5) - 1, high = integral(keys + 0.5);
    while (true) {
      const double u = high + numbers.Fraction() * (low - high);
      const double x = inverse(u);
      const double k = std::min(keys, std::max(1.0, std::floor(x + 0.5)));
      if (u >= integral(k + 0.5) - std::exp(-exponent * std::log(k))) return static_cast<uint64_t>(k) - 1;
    }
  }

  std::vector<uint32_t> draws_;
};

// Which key comes next.
class KeyChoice {
 public:
  KeyChoice(uint64_t keys, std::shared_ptr<const ZipfTable> zipf, Numbers& numbers)
      : keys_(keys), zipf_(std::move(zipf)), numbers_(numbers), place_(numbers.Next()) {}

  // From now on the keys [from, to) one after the other, and again.
  void WalkThrough(uint64_t from, uint64_t to) {
    from_ = next_ = from;
    to_ = to;
  }

  uint64_t Next() {
    if (to_ > 0) {
      const uint64_t key = next_;
      next_ = key + 1 == to_ ? from_ : key + 1;
      return key;
    }
    return zipf_ ? zipf_->at(place_++) : numbers_.Below(keys_);
  }
  Numbers& numbers() { return numbers_; }

 private:
  const uint64_t keys_;
  const std::shared_ptr<const ZipfTable> zipf_;
  Numbers& numbers_;
  uint64_t place_;
  uint64_t from_ = 0, to_ = 0, next_ = 0;
};

}  // namespace understudy::load
