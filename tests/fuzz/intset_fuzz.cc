// Intsets: bytes that are found valid hold ascending integers; then edits give what a std::set
// gives.
#include <set>

#include "node/types/intset.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::types;
  if (size > 4096) return -1;
  fuzz::Input in(data, size);
  const std::string bytes(in.Bytes(in.Number(2)));
  if (!bytes.empty() && !IntsetView::Validate(bytes, true)) return 0;
  Intset integers = bytes.empty() ? Intset() : Intset::Copy(bytes);
  std::set<int64_t> expected;
  for (size_t i = 0; i < integers.Count(); ++i)
    CHECK(expected.insert(expected.end(), integers.Get(i)) != expected.end());
  CHECK(expected.size() == integers.Count());
  while (!in.empty()) {
    const uint8_t what = in.Byte();
    const size_t width = size_t{1} << (what & 3);
    const int shift = static_cast<int>(64 - 8 * width);
    const auto value = static_cast<int64_t>(in.Number(width) << shift) >> shift;
    CHECK(integers.Contains(value) == expected.contains(value));
    if ((what & 4) != 0) {
      CHECK(integers.Erase(value) == (expected.erase(value) == 1));
    } else {
      CHECK(integers.Add(value) == expected.insert(value).second);
    }
    const std::string copy(integers.AsBytes());
    CHECK(expected.empty() || IntsetView::Validate(copy, true));
    CHECK(integers.Count() == expected.size());
    size_t i = 0;
    for (const int64_t one : expected) CHECK(integers.Get(i++) == one);
  }
  return 0;
}
