// SORT: the elements of a list, a set or a sorted set, in order of themselves or of what other keys hold.
//
// With BY or GET and a pattern it reads keys that only the elements tell: every shard is locked then (KeySpec::beyond),
// and the user must be allowed to read all keys.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/command/acl.h"
#include "node/command/call_context.h"
#include "node/command/hash_access.h"
#include "node/command/store_result.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/list.h"
#include "node/types/set.h"
#include "node/types/sorted_set.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::List;
using types::Set;
using types::SortedSet;

// ---------------------------------------------------------------------------------------------- arguments

struct Options {
  bool descending = false;
  bool by_text = false;                 // ALPHA
  int64_t offset = 0, count = -1;       // LIMIT
  std::optional<std::string_view> by;   // a pattern
  bool keep_order = false;              // BY without a pattern
  std::vector<std::string_view> gets;
  uint32_t destination = 0;             // the argument behind STORE; 0 = none
};

bool IsPattern(std::string_view text) { return text.find('*') != std::string_view::npos; }

// may_store: SORT, not SORT_RO. all_keys: the user may read all. Returns the error, or nothing.
std::string_view ReadOptions(Args args, bool may_store, bool all_keys, Options* out) {
  for (size_t i = 2; i < args.size(); ++i) {
    const size_t following = args.size() - i - 1;
    if (Is(args[i], "asc") || Is(args[i], "desc")) {
      out->descending = Is(args[i], "desc");
    } else if (Is(args[i], "alpha")) {
      out->by_text = true;
    } else if (Is(args[i], "limit") && following >= 2) {
      if (!ParseInt64(args[i + 1], &out->offset) || !ParseInt64(args[i + 2], &out->count)) return resp::kNotInteger;
      i += 2;
    } else if (may_store && Is(args[i], "store") && following >= 1) {
      out->destination = static_cast<uint32_t>(++i);
    } else if (Is(args[i], "by") && following >= 1) {
      const std::string_view pattern = args[++i];
      if (!IsPattern(pattern)) {
        out->keep_order = true;
      } else if (!all_keys) {
        return "ERR BY option of SORT denied due to insufficient ACL permissions.";
      }
      out->by = pattern;
    } else if (Is(args[i], "get") && following >= 1) {
      if (!all_keys) return "ERR GET option of SORT denied due to insufficient ACL permissions.";
      out->gets.push_back(args[++i]);
    } else {
      return resp::kSyntaxError;
    }
  }
  return {};
}

// Nothing is told of arguments that are wrong: the handler touches no key then.
bool FindSortKeys(Args args, std::vector<uint32_t>* indexes) {
  Options options;
  indexes->push_back(1);
  if (ReadOptions(args, true, true, &options).empty() && options.destination != 0) {
    indexes->push_back(options.destination);
  }
  return true;
}

bool ReadsOtherKeys(Args args) {
  Options options;
  if (!ReadOptions(args, true, true, &options).empty()) return false;
  return (options.by && !options.keep_order) || std::any_of(options.gets.begin(), options.gets.end(), IsPattern);
}

// ---------------------------------------------------------------------------------------------- other keys

// Calls fn with what the pattern leads to for an element: the element for '#', a string, or a field of a hash for
// "key*->field". False if there is none.
template <typename Fn>
bool WithValue(CallContext& ctx, std::string_view pattern, std::string_view element, Fn fn) {
  if (pattern == "#") {
    fn(element);
    return true;
  }
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return false;
  const size_t arrow = pattern.find("->", star + 1);
  const bool of_hash = arrow != std::string_view::npos && arrow + 2 < pattern.size();
  std::string name(pattern.substr(0, star));
  name.append(element).append(pattern.substr(star + 1, of_hash ? arrow - star - 1 : std::string_view::npos));
  const store::Entry* entry = LookupRead(ctx, AnyKey(ctx, name));
  if (entry == nullptr || entry->type() != (of_hash ? store::Type::kHash : store::Type::kString)) return false;
  if (!of_hash) {
    fn(entry->value());
    return true;
  }
  const auto field = FindField(ctx, entry, pattern.substr(arrow + 2));
  if (!field) return false;
  types::ListpackValue::Buffer buffer;
  fn(field->value.Text(buffer));
  return true;
}

// ---------------------------------------------------------------------------------------------- sorting

struct Element {
  std::string text;
  size_t index = 0;
  double number = 0;                                 // what it is sorted by without ALPHA
  std::optional<std::string> weight = std::nullopt;  // and with ALPHA and BY
};

uint64_t SizeOf(const store::Entry* entry) { return entry != nullptr ? store::CollectionSize(*entry) : 0; }

// Elements of one that has an order, from `first` on, backward if `reverse`; all of a set.
std::vector<Element> Load(const store::Entry* entry, uint64_t first, uint64_t count, bool reverse) {
  std::vector<Element> elements;
  if (count == 0) return elements;
  elements.reserve(count);
  const auto add = [&](std::string_view text) {
    elements.push_back({std::string(text), elements.size()});
    return true;
  };
  const auto add_value = [&](const types::ListpackValue& value) {
    types::ListpackValue::Buffer buffer;
    return add(value.Text(buffer));
  };
  if (entry->type() == store::Type::kSet) {
    entry->As<Set>()->ForEach(add_value);
    return elements;
  }
  const uint64_t from = reverse ? SizeOf(entry) - first - count : first;
  if (entry->type() == store::Type::kList) {
    entry->As<List>()->Walk(from, count, reverse, add_value);
  } else {
    entry->As<SortedSet>()->Walk({from, count}, reverse, [&](std::string_view member, double) { return add(member); });
  }
  return elements;
}

// As strtod reads it, and all of it.
bool ParseWeight(std::string_view text, double* out) {
  const std::string copy(text);
  char* rest = nullptr;
  errno = 0;
  *out = std::strtod(copy.c_str(), &rest);
  return *rest == '\0' && errno != ERANGE && !std::isnan(*out);
}

// Looks up what they are sorted by. False if that is no number but should be one.
bool Weigh(CallContext& ctx, const Options& options, std::vector<Element>* elements) {
  if (options.by_text && !options.by) return true;
  bool good = true;
  for (Element& element : *elements) {
    const auto weigh = [&](std::string_view text) {
      if (options.by_text) {
        element.weight = text;
      } else {
        good = ParseWeight(text, &element.number) && good;
      }
    };
    if (options.by) {
      WithValue(ctx, *options.by, element.text, weigh);
    } else {
      weigh(element.text);
    }
  }
  return good;
}

// Elements without a weight come first; what is equal stays as it was, numbers are then ordered by their elements.
int Compare(const Element& a, const Element& b, const Options& options) {
  if (options.by_text && options.by) return a.weight < b.weight ? -1 : a.weight == b.weight ? 0 : 1;
  if (!options.by_text && a.number != b.number) return a.number < b.number ? -1 : 1;
  return a.text.compare(b.text);
}

// The first `wanted` are in order then.
void Order(const Options& options, size_t wanted, std::vector<Element>* elements) {
  const auto before = [&](const Element& a, const Element& b) {
    const int order = Compare(a, b, options);
    return order != 0 ? (order < 0) != options.descending : a.index < b.index;
  };
  if (wanted == elements->size()) {
    std::sort(elements->begin(), elements->end(), before);
  } else {
    std::partial_sort(elements->begin(), elements->begin() + static_cast<std::ptrdiff_t>(wanted), elements->end(), before);
  }
}

// ---------------------------------------------------------------------------------------------- the outcome

void Reply(CallContext& ctx, const Options& options, std::span<const Element> elements, Writer& reply) {
  reply.Array(elements.size() * std::max<size_t>(options.gets.size(), 1));
  for (const Element& element : elements) {
    if (options.gets.empty()) reply.Bulk(element.text);
    for (const std::string_view pattern : options.gets) {
      if (!WithValue(ctx, pattern, element.text, [&](std::string_view value) { reply.Bulk(value); })) reply.Null();
    }
  }
}

// Replicas are told the outcome: they may know of other keys, as of fields that have expired here.
void AddOutcome(CallContext& ctx, const Key& key, const std::vector<std::string>& values) {
  ctx.effects.Add(ctx.db, {"DEL", key.name});
  constexpr size_t kMostInOne = 1024;
  for (size_t first = 0; first < values.size(); first += kMostInOne) {
    std::vector<std::string_view> words = {"RPUSH", key.name};
    for (size_t i = first; i < std::min(first + kMostInOne, values.size()); ++i) {
      words.push_back(ctx.effects.Keep(values[i]));
    }
    ctx.effects.AddLong(ctx.db, std::move(words));
  }
}

void Store(CallContext& ctx, const Options& options, std::span<Element> elements, std::string_view destination,
           Writer& reply) {
  std::vector<std::string> values;
  for (Element& element : elements) {
    for (const std::string_view pattern : options.gets) {
      std::string& value = values.emplace_back();
      WithValue(ctx, pattern, element.text, [&](std::string_view text) { value = text; });
    }
    if (options.gets.empty()) values.push_back(std::move(element.text));
  }
  const types::Limits limits = ctx.services.config.limits();
  List list;
  for (const std::string& value : values) list.Push(types::ListEnd::kTail, value, limits);
  const Key key = AnyKey(ctx, destination);
  if (StoreResult(ctx, key, std::move(list), config::kNotifyList, "sortstore")) AddOutcome(ctx, key, values);
  reply.Integer(static_cast<int64_t>(values.size()));
}

void Run(CallContext& ctx, Args args, bool may_store, Writer& reply) {
  Options options;
  const bool all_keys = ctx.session == nullptr || MayAccessAllKeys(*ctx.session, *ctx.row, args, acl::kReads);
  if (const auto error = ReadOptions(args, may_store, all_keys, &options); !error.empty()) return reply.Error(error);
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  const bool is_set = entry != nullptr && entry->type() == store::Type::kSet;
  if (entry != nullptr && !is_set && entry->type() != store::Type::kList &&
      HasOtherType(entry, store::Type::kSortedSet, reply)) {
    return;
  }
  if (options.keep_order && is_set && options.destination != 0) {
    // A set has no order that could be kept in a list.
    options.keep_order = false;
    options.by_text = true;
    options.by.reset();
  }
  const uint64_t size = SizeOf(entry);
  uint64_t first = std::min(static_cast<uint64_t>(std::max<int64_t>(options.offset, 0)), size);
  const uint64_t count = options.count < 0 ? size - first : std::min(static_cast<uint64_t>(options.count), size - first);
  std::vector<Element> elements;
  if (options.keep_order && !is_set) {
    elements = Load(entry, first, count, options.descending);
    first = 0;
  } else {
    elements = Load(entry, 0, size, false);
  }
  if (!options.keep_order) {
    if (!Weigh(ctx, options, &elements)) return reply.Error("ERR One or more scores can't be converted into double");
    Order(options, first + count, &elements);
  }
  const std::span<Element> outcome = std::span(elements).subspan(first, count);
  if (options.destination != 0) return Store(ctx, options, outcome, args[options.destination], reply);
  Reply(ctx, options, outcome, reply);
}

void Sort(CallContext& ctx, Args args, Writer& reply) { Run(ctx, args, true, reply); }
void SortRo(CallContext& ctx, Args args, Writer& reply) { Run(ctx, args, false, reply); }

// clang-format off
constexpr KeyForm kPatterns = {.access = KeyAccess::kRead};  // of BY and GET
constexpr KeyForm kSortForms[] = {kPatterns, {.access = KeyAccess::kOverwrite}}, kSortRoForms[] = {kPatterns};
constexpr KeySpec kSort{1, 1, 1, FindSortKeys, KeyAccess::kOverwrite, nullptr, ReadsOtherKeys, kSortForms};
constexpr KeySpec kSortRo{1, 1, 1, nullptr, KeyAccess::kNone, nullptr, ReadsOtherKeys, kSortRoForms};
const Row kRows[] = {
  {"sort", -2, kWrite | kDenyOom, kSort, KeyAccess::kRead, "@set @sortedset @list @dangerous", "generic", "1.0.0", "Sorts the elements of a list, a set or a sorted set, and may store them.", "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA] [STORE destination]", Sort},
  {"sort_ro", -2, kReadonly, kSortRo, KeyAccess::kRead, "@set @sortedset @list @dangerous", "generic", "7.0.0", "Sorts the elements of a list, a set or a sorted set.", "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA]", SortRo},
};
// clang-format on

}  // namespace

std::span<const Row> SortCommands() { return kRows; }

}  // namespace understudy::command
