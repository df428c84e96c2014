#include "node/types/distinct.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "common/canonical_int.h"

namespace understudy::types {

bool AllDistinct(ListpackView pack, size_t stride) {
  // An integer that was left as a text is the same as the integer.
  using Key = std::tuple<bool, int64_t, std::string_view>;
  std::vector<Key> keys;
  keys.reserve(pack.Count() / stride);
  size_t skip = 0;
  pack.ForEach([&](const ListpackValue& value) {
    if (skip-- > 0) return true;
    skip = stride - 1;
    ListpackValue::Buffer buffer;
    int64_t integer = value.integer();
    if (value.is_integer() || ParseCanonicalInt(value.Text(buffer), &integer)) {
      keys.emplace_back(true, integer, std::string_view());
    } else {
      keys.emplace_back(false, 0, value.Text(buffer));
    }
    return true;
  });
  std::sort(keys.begin(), keys.end());
  return std::adjacent_find(keys.begin(), keys.end()) == keys.end();
}

}  // namespace understudy::types
