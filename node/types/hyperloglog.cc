#include "node/types/hyperloglog.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace understudy::types::hll {
namespace {

constexpr unsigned kIndexBits = 14;
constexpr unsigned kHashBits = 64 - kIndexBits;
constexpr uint64_t kSeed = 0xadc83b19;
constexpr size_t kFormAt = 4, kEstimateAt = 8;
constexpr char kDense = 0, kSparse = 1;
constexpr size_t kShortRun = 64, kLongestValueRun = 4;
constexpr uint8_t kMostSparseValue = 32;

// MurmurHash64A.
uint64_t Hash(std::string_view text) {
  constexpr uint64_t kFactor = 0xc6a4a7935bd1e995;
  constexpr int kShift = 47;
  uint64_t hash = kSeed ^ (text.size() * kFactor);
  for (; text.size() >= 8; text.remove_prefix(8)) {
    uint64_t word;
    std::memcpy(&word, text.data(), sizeof word);
    if (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
    word *= kFactor;
    word ^= word >> kShift;
    hash = (hash ^ word * kFactor) * kFactor;
  }
  if (!text.empty()) {
    for (size_t i = 0; i < text.size(); ++i) hash ^= uint64_t{static_cast<unsigned char>(text[i])} << 8 * i;
    hash *= kFactor;
  }
  hash ^= hash >> kShift;
  hash *= kFactor;
  return hash ^ hash >> kShift;
}

// ---------------------------------------------------------------------------------------------- sparse form

// One run.
struct Run {
  size_t bytes = 0;  // 0: there is none
  size_t length = 0;
  uint8_t value = 0;
};

// At the beginning of the text.
Run FirstRun(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = static_cast<unsigned char>(text[0]);
  if (byte & 0x80) return {1, (byte & 3u) + 1, static_cast<uint8_t>((byte >> 2 & 31) + 1)};
  if (!(byte & 0x40)) return {1, (byte & 63u) + 1, 0};
  if (text.size() < 2) return {};
  return {2, ((byte & 63u) << 8 | static_cast<unsigned char>(text[1])) + 1, 0};
}

void AppendValues(uint8_t value, size_t length, std::string* to) {
  if (length > 0) to->push_back(static_cast<char>(0x80 | (value - 1) << 2 | static_cast<int>(length - 1)));
}

void AppendZeros(size_t length, std::string* to) {
  if (length == 0) return;
  if (length > kShortRun) to->push_back(static_cast<char>(0x40 | (length - 1) >> 8));
  to->push_back(static_cast<char>(length - 1));
}

std::string_view Body(std::string_view value) { return value.substr(kHeaderBytes); }

// Calls visit(index, run) for all of them. False: corrupt.
template <typename Visit>
bool ForEachRun(std::string_view value, Visit visit) {
  size_t index = 0;
  for (std::string_view rest = Body(value); !rest.empty();) {
    const Run run = FirstRun(rest);
    if (run.bytes == 0 || index + run.length > kRegisters) return false;
    visit(index, run);
    index += run.length;
    rest.remove_prefix(run.bytes);
  }
  return index == kRegisters;
}

// Neighbours with one value become one run where it may be as long. As far as Redis looks, so that the bytes are the
// same: five runs from `at` on.
void JoinRuns(std::string* value, size_t at) {
  for (int looked = 0; looked < 5 && at < value->size(); ++looked) {
    const Run run = FirstRun(std::string_view(*value).substr(at));
    if (run.value > 0 && at + 1 < value->size()) {
      const Run next = FirstRun(std::string_view(*value).substr(at + 1));
      if (next.value == run.value && run.length + next.length <= kLongestValueRun) {
        std::string joined;
        AppendValues(run.value, run.length + next.length, &joined);
        value->replace(at, 2, joined);
        continue;  // with what is behind it now
      }
    }
    at += std::max<size_t>(run.bytes, 1);
  }
}

Raised RaiseDense(std::string* value, Mark mark) {
  if (!DenseNeeds(*value, mark)) return Raised::kNo;
  SetDense(*value, mark);
  OutdateEstimate(*value);
  return Raised::kYes;
}

Raised RaiseInDenseForm(std::string* value, Mark mark) {
  return MakeDense(value) ? RaiseDense(value, mark) : Raised::kCorrupt;
}

Raised RaiseSparse(std::string* value, Mark mark, size_t sparse_bytes) {
  if (mark.value > kMostSparseValue) return RaiseInDenseForm(value, mark);
  // The run that has the register, and the one before it.
  size_t at = kHeaderBytes, before = kHeaderBytes, first = 0;
  Run run;
  for (;;) {
    run = FirstRun(std::string_view(*value).substr(at));
    if (run.bytes == 0) return Raised::kCorrupt;
    if (mark.index < first + run.length) break;
    before = at;
    at += run.bytes;
    first += run.length;
  }
  if (run.value >= mark.value) return Raised::kNo;
  const size_t left = mark.index - first, right = run.length - left - 1;
  std::string pieces;
  const auto append = [&](size_t length) {
    run.value > 0 ? AppendValues(run.value, length, &pieces) : AppendZeros(length, &pieces);
  };
  append(left);
  AppendValues(mark.value, 1, &pieces);
  append(right);
  if (pieces.size() > run.bytes && value->size() + pieces.size() - run.bytes > sparse_bytes) {
    return RaiseInDenseForm(value, mark);
  }
  value->replace(at, run.bytes, pieces);
  JoinRuns(value, before);
  OutdateEstimate(*value);
  return Raised::kYes;
}

// ---------------------------------------------------------------------------------------------- dense form

// Calls visit(index, value) for all registers, four of them from three bytes at a time.
template <typename Visit>
void ForEachDense(std::string_view value, Visit visit) {
  const char* p = value.data() + kHeaderBytes;
  for (size_t i = 0; i < kRegisters; i += 4, p += 3) {
    const auto byte = [p](int n) { return uint32_t{static_cast<unsigned char>(p[n])}; };
    const uint32_t four = byte(0) | byte(1) << 8 | byte(2) << 16;
    visit(i, static_cast<uint8_t>(four & 63));
    visit(i + 1, static_cast<uint8_t>(four >> 6 & 63));
    visit(i + 2, static_cast<uint8_t>(four >> 12 & 63));
    visit(i + 3, static_cast<uint8_t>(four >> 18));
  }
}

uint8_t DenseRegister(std::string_view value, uint32_t index) {
  const size_t at = kHeaderBytes + index * 6 / 8;
  const unsigned shift = index * 6 % 8;
  unsigned two = static_cast<unsigned char>(value[at]);
  if (shift > 2) two |= static_cast<unsigned>(static_cast<unsigned char>(value[at + 1])) << 8;
  return static_cast<uint8_t>(two >> shift & 63);
}

// ---------------------------------------------------------------------------------------------- estimate

// How many registers have each value.
using Histogram = std::array<uint32_t, 64>;

double Sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double y = 1, z = x, before;
  do {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  } while (before != z);
  return z;
}

double Tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1, z = 1 - x, before;
  do {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  } while (before != z);
  return z / 3;
}

uint64_t Estimate(const Histogram& histogram) {
  constexpr double kAlpha = 0.721347520444481703680;  // 1 / (2 ln 2)
  constexpr double m = kRegisters;
  double z = m * Tau((m - histogram[kHashBits + 1]) / m);
  for (unsigned value = kHashBits; value >= 1; --value) {
    z += histogram[value];
    z *= 0.5;
  }
  z += m * Sigma(histogram[0] / m);
  return static_cast<uint64_t>(std::llround(kAlpha * m * m / z));
}

}  // namespace

Mark MarkOf(std::string_view element) {
  const uint64_t hash = Hash(element);
  const uint64_t rest = hash >> kIndexBits | uint64_t{1} << kHashBits;
  return {static_cast<uint32_t>(hash & (kRegisters - 1)), static_cast<uint8_t>(std::countr_zero(rest) + 1)};
}

bool IsValid(std::string_view value) {
  if (value.size() < kHeaderBytes || !value.starts_with("HYLL")) return false;
  if (value[kFormAt] == kDense) return value.size() == kDenseBytes;
  return value[kFormAt] == kSparse;
}

bool IsDense(std::string_view value) { return value[kFormAt] == kDense; }

std::string Empty() {
  std::string value(kHeaderBytes, '\0');
  value.replace(0, 4, "HYLL");
  value[kFormAt] = kSparse;
  AppendZeros(kRegisters, &value);
  return value;
}

Raised Raise(std::string* value, Mark mark, size_t sparse_bytes) {
  return IsDense(*value) ? RaiseDense(value, mark) : RaiseSparse(value, mark, sparse_bytes);
}

bool DenseNeeds(std::string_view value, Mark mark) { return DenseRegister(value, mark.index) < mark.value; }

void SetDense(std::span<char> value, Mark mark) {
  const size_t at = kHeaderBytes + mark.index * 6 / 8;
  const unsigned shift = mark.index * 6 % 8;
  const auto put = [](char* byte, unsigned mask, unsigned bits) {
    *byte = static_cast<char>((static_cast<unsigned char>(*byte) & ~mask) | bits);
  };
  put(&value[at], 63u << shift & 0xff, static_cast<unsigned>(mark.value) << shift & 0xff);
  if (shift > 2) put(&value[at + 1], 63u >> (8 - shift), static_cast<unsigned>(mark.value) >> (8 - shift));
}

bool MakeDense(std::string* value) {
  if (IsDense(*value)) return true;
  std::string dense = value->substr(0, kHeaderBytes);
  dense[kFormAt] = kDense;
  dense.resize(kDenseBytes);
  const bool whole = ForEachRun(*value, [&](size_t index, const Run& run) {
    for (size_t i = 0; run.value > 0 && i < run.length; ++i) {
      SetDense(dense, {static_cast<uint32_t>(index + i), run.value});
    }
  });
  if (whole) *value = std::move(dense);
  return whole;
}

bool Merge(std::string_view value, Registers* registers) {
  if (IsDense(value)) {
    ForEachDense(value, [&](size_t i, uint8_t v) { (*registers)[i] = std::max((*registers)[i], v); });
    return true;
  }
  return ForEachRun(value, [&](size_t index, const Run& run) {
    for (size_t i = 0; run.value > 0 && i < run.length; ++i) {
      (*registers)[index + i] = std::max((*registers)[index + i], run.value);
    }
  });
}

std::optional<Registers> Read(std::string_view value) {
  std::optional<Registers> registers = Registers{};
  if (!Merge(value, &*registers)) registers.reset();
  return registers;
}

uint64_t Estimate(const Registers& registers) {
  Histogram histogram{};
  for (const uint8_t value : registers) ++histogram[value];
  return Estimate(histogram);
}

std::optional<uint64_t> Estimate(std::string_view value) {
  Histogram histogram{};
  if (IsDense(value)) {
    ForEachDense(value, [&](size_t, uint8_t v) { ++histogram[v]; });
  } else if (!ForEachRun(value, [&](size_t, const Run& run) { histogram[run.value] += static_cast<uint32_t>(run.length); })) {
    return std::nullopt;
  }
  return Estimate(histogram);
}

std::optional<uint64_t> LastEstimate(std::string_view value) {
  uint64_t estimate = 0;
  for (size_t i = 0; i < 8; ++i) estimate |= uint64_t{static_cast<unsigned char>(value[kEstimateAt + i])} << 8 * i;
  if (estimate >> 63) return std::nullopt;
  return estimate;
}

void SetEstimate(std::span<char> value, uint64_t estimate) {
  for (size_t i = 0; i < 8; ++i) value[kEstimateAt + i] = static_cast<char>(estimate >> 8 * i);
}

void OutdateEstimate(std::span<char> value) { value[kEstimateAt + 7] = static_cast<char>(value[kEstimateAt + 7] | 0x80); }

// ---------------------------------------------------------------------------------------------- for PFDEBUG, PFSELFTEST

std::string Describe(std::string_view value) {
  std::string text;
  for (std::string_view rest = Body(value); !rest.empty();) {
    const Run run = FirstRun(rest);
    if (run.bytes == 0) break;
    if (!text.empty()) text += ' ';
    if (run.value > 0) {
      text += "v:" + std::to_string(run.value) + "," + std::to_string(run.length);
    } else {
      text += (run.bytes == 1 ? "z:" : "Z:") + std::to_string(run.length);
    }
    rest.remove_prefix(run.bytes);
  }
  return text;
}

std::string SelfTest(uint64_t seed, uint32_t elements, size_t sparse_bytes) {
  std::string sparse = Empty(), dense = Empty();
  MakeDense(&dense);
  Registers registers{};
  uint32_t next_check = 1;
  for (uint32_t i = 1; i <= elements; ++i) {
    const uint64_t element = i ^ seed;
    const Mark mark = MarkOf({reinterpret_cast<const char*>(&element), sizeof element});
    registers[mark.index] = std::max(registers[mark.index], mark.value);
    if (Raise(&sparse, mark, sparse_bytes) != Raise(&dense, mark, sparse_bytes)) return "dense/sparse disagree";
    if (i != next_check) continue;
    next_check *= 10;
    if (Read(sparse) != registers || Read(dense) != registers) return "registers are not what was put into them";
    if (i < sparse_bytes / 8 && IsDense(sparse)) return "sparse encoding not used";
    const uint64_t estimate = Estimate(registers);
    if (Estimate(sparse) != estimate || Estimate(dense) != estimate) return "dense/sparse disagree";
    // Six standard errors; of very few, one that fell together with another.
    const double most = std::max(std::ceil(6 * 1.04 / std::sqrt(double{kRegisters}) * i), 1.0);
    if (std::fabs(static_cast<double>(estimate) - i) > most) {
      return "Too big error. card:" + std::to_string(i) + " estimate:" + std::to_string(estimate);
    }
  }
  return {};
}

}  // namespace understudy::types::hll
