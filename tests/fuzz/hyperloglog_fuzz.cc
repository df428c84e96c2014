// HyperLogLogs as strings from outside: both forms hold the same registers, whatever is added.
#include <vector>

#include "node/types/hyperloglog.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  namespace hll = understudy::types::hll;
  fuzz::Input in(data, size);
  std::vector<hll::Mark> marks(in.Byte() % 32);
  const size_t sparse_bytes = in.Number(2);
  for (hll::Mark& mark : marks) {
    mark.index = static_cast<uint32_t>(in.Number(2) % hll::kRegisters);
    mark.value = static_cast<uint8_t>(in.Byte() % hll::kMostValue + 1);
  }
  std::string value(in.Rest());
  if (value == "dense") {  // 12 kB that no input needs to spell
    value = hll::Empty();
    CHECK(hll::MakeDense(&value));
  }
  hll::MarkOf(value);
  if (!hll::IsValid(value)) return 0;
  hll::Describe(value);
  std::optional<hll::Registers> registers = hll::Read(value);
  CHECK(registers.has_value() == hll::Estimate(value).has_value());
  hll::LastEstimate(value);
  std::string dense = value;
  CHECK(hll::MakeDense(&dense) == registers.has_value());
  for (const hll::Mark& mark : marks) {
    const hll::Raised raised = hll::Raise(&value, mark, sparse_bytes);
    CHECK(hll::IsValid(value));
    if (!registers) continue;
    uint8_t& expected = (*registers)[mark.index];
    CHECK(raised == (expected < mark.value ? hll::Raised::kYes : hll::Raised::kNo));
    expected = std::max(expected, mark.value);
    CHECK(hll::Raise(&dense, mark, sparse_bytes) == raised);
    CHECK(hll::Read(value) == registers && hll::Read(dense) == registers);
    CHECK(raised == hll::Raised::kNo || !hll::LastEstimate(value));
  }
  if (!registers) return 0;
  const uint64_t estimate = hll::Estimate(*registers);
  CHECK(hll::Estimate(value) == estimate && hll::Estimate(dense) == estimate);
  hll::SetEstimate(value, estimate & INT64_MAX);
  CHECK(hll::LastEstimate(value) == (estimate & INT64_MAX));
  return 0;
}
