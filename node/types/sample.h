// Random members and fields, for SRANDMEMBER, HRANDFIELD and their like. Chance is handed in: `random` gives 64
// random bits per call. Pure.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/function_ref.h"
#include "node/types/dict.h"

namespace understudy::types {

using Random64 = FunctionRef<uint64_t()>;

// 0 to bound - 1.
inline uint64_t RandomBelow(uint64_t random, uint64_t bound) {
  return static_cast<uint64_t>(static_cast<__uint128_t>(random) * bound >> 64);
}

// `count` of `n` indexes, each choice as likely, in ascending order: fn(index).
template <typename Fn>
void SelectInOrder(size_t n, size_t count, Random64 random, Fn fn) {
  for (size_t i = 0; i < n && count > 0; ++i) {
    if (RandomBelow(random(), n - i) >= count) continue;
    fn(i);
    --count;
  }
}

// `count` different ones of `elements`, which it reorders.
template <typename Element, typename Fn>
void SelectDistinct(std::vector<Element>* elements, size_t count, Random64 random, Fn fn) {
  for (size_t i = 0; i < count && i < elements->size(); ++i) {
    std::swap((*elements)[i], (*elements)[i + RandomBelow(random(), elements->size() - i)]);
    fn((*elements)[i]);
  }
}

// `count` different elements of a table that has more.
template <typename Element, typename Fn>
void SelectDistinct(const Dict<Element>& dict, size_t count, Random64 random, Fn fn) {
  // Drawing again what was drawn already costs more than a walk, from a third on (Redis's bound, too).
  if (count > dict.size() / 3) {
    std::vector<Element*> all;
    all.reserve(dict.size());
    dict.ForEach([&](Element* element) {
      all.push_back(element);
      return true;
    });
    SelectDistinct(&all, count, random, fn);
    return;
  }
  std::unordered_set<const Element*> drawn;
  drawn.reserve(count);
  for (size_t draws = 0; drawn.size() < count && draws < 64 + 16 * count; ++draws) {
    Element* element = dict.Random(random());
    if (drawn.insert(element).second) fn(element);
  }
  // Only a poor source of chance leaves something to be found here.
  dict.ForEach([&](Element* element) {
    if (drawn.size() < count && drawn.insert(element).second) fn(element);
    return drawn.size() < count;
  });
}

}  // namespace understudy::types
