// HyperLogLog: how many different elements were there, within 0.81 %, in at most 12 KiB.
//
// A value is a string in Redis's format, byte for byte, since it is dumped, replicated and read with GET:
//
//   byte 0..3  4                      5..7   8..15                                  16..
//   +--------+----------------------+------+--------------------------------------+-----------+
//   | "HYLL" | 0 dense, 1 sparse    | 0    | the last estimate, little-endian; its| registers |
//   |        |                      |      | top bit set: out of date             |           |
//   +--------+----------------------+------+--------------------------------------+-----------+
//
//   dense   16384 registers of 6 bits, the least significant bits of a byte first: 12288 bytes
//   sparse  runs of registers:  00llllll            l + 1 zeros, up to 64
//                               01llllll llllllll   l + 1 zeros, up to 16384
//                               1vvvvvll            l + 1 times the value v + 1, up to 4 times up to 32
//
// An element's hash (MurmurHash64A) chooses a register with its low 14 bits; the register keeps the largest number of
// zeros that followed, plus one. The estimate is Ertl's (arXiv:1702.01284), computed in Redis's order of operations, so
// that it is the same number.
//
// What changes a value takes a std::string with all of it; a dense one may be changed where it is. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace understudy::types::hll {

inline constexpr size_t kRegisters = 1 << 14;
inline constexpr size_t kHeaderBytes = 16;
inline constexpr size_t kDenseBytes = kHeaderBytes + kRegisters * 6 / 8;
inline constexpr uint8_t kMostValue = 51;  // of a register: 64 - 14 zeros, plus one

using Registers = std::array<uint8_t, kRegisters>;

// What an element asks of which register.
struct Mark {
  uint32_t index;
  uint8_t value;
};
Mark MarkOf(std::string_view element);

// Has it the header, and the size of its form? The runs of a sparse one may be wrong all the same: "corrupt" below.
bool IsValid(std::string_view value);
bool IsDense(std::string_view value);
// Without elements: sparse, its estimate is 0.
std::string Empty();

enum class Raised : uint8_t { kNo, kYes, kCorrupt };
// Raises a register to the mark if it is lower, which puts the estimate out of date. A sparse value that would take
// more than sparse_bytes, or can't hold the mark, becomes dense.
Raised Raise(std::string* value, Mark mark, size_t sparse_bytes);
bool DenseNeeds(std::string_view value, Mark mark);          // is the register lower?
void SetDense(std::span<char> value, Mark mark);             // leaves the estimate as it is
// False: corrupt, nothing was done.
bool MakeDense(std::string* value);

// Raises registers to those of the value. False: corrupt.
bool Merge(std::string_view value, Registers* registers);
// All of them. Nothing: corrupt.
std::optional<Registers> Read(std::string_view value);

uint64_t Estimate(const Registers& registers);
std::optional<uint64_t> Estimate(std::string_view value);  // nothing: corrupt
std::optional<uint64_t> LastEstimate(std::string_view value);  // nothing: out of date
void SetEstimate(std::span<char> value, uint64_t estimate);
void OutdateEstimate(std::span<char> value);

// The runs of a sparse value as PFDEBUG DECODE shows them: "Z:16000 v:3,1 z:40".
std::string Describe(std::string_view value);
// Both forms against an array of bytes, and the estimate of `elements` different ones. What failed, or empty.
std::string SelfTest(uint64_t seed, uint32_t elements, size_t sparse_bytes);

}  // namespace understudy::types::hll
