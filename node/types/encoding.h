// How a value is represented, and up to which sizes it stays compact.
//
// The pointer in an entry leads to one block of bytes (listpack, intset), or to the large form (table). Values move
// to a larger form when a limit is passed, exactly when Redis's do, and never back: OBJECT ENCODING shows it, and
// programs and test suites look. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace understudy::types {

// As kept in two bits of the entry.
enum class Encoding : uint8_t { kListpack = 0, kIntset = 1, kTable = 2 };

enum class Kind : uint8_t { kHash, kList, kSet, kSortedSet, kStream };

// Options of the same names (list-max-listpack-size for list_...). Defaults are those of Redis 7.2 and Valkey 9.1.
// _value: bytes of the longest member, field or value.
struct Limits {
  size_t hash_max_listpack_entries = 512;
  size_t hash_max_listpack_value = 64;
  size_t set_max_intset_entries = 512;
  size_t set_max_listpack_entries = 128;
  size_t set_max_listpack_value = 64;
  size_t zset_max_listpack_entries = 128;
  size_t zset_max_listpack_value = 64;
  // Positive: entries of a node. -1 to -5: 4, 8, 16, 32, 64 KiB of it.
  int64_t list_max_listpack_size = -2;
  // 0: no limit of this kind.
  uint64_t stream_node_max_bytes = 4096;
  uint64_t stream_node_max_entries = 100;
};

// As OBJECT ENCODING answers.
constexpr std::string_view EncodingName(Kind kind, Encoding encoding) {
  if (kind == Kind::kStream) return "stream";
  switch (encoding) {
    case Encoding::kListpack: return "listpack";
    case Encoding::kIntset: return "intset";
    case Encoding::kTable: break;
  }
  switch (kind) {
    case Kind::kList: return "quicklist";
    case Kind::kSortedSet: return "skiplist";
    default: return "hashtable";
  }
}

}  // namespace understudy::types
