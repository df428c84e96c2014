#include "node/store/entry.h"

#include <malloc.h>

#include <cstdlib>
#include <new>

#include "common/check.h"
#include "node/store/collection.h"
#include "node/store/entry_heap.h"

namespace understudy::store {
namespace {

types::Kind KindOf(Type type) {
  switch (type) {
    case Type::kList: return types::Kind::kList;
    case Type::kSet: return types::Kind::kSet;
    case Type::kSortedSet: return types::Kind::kSortedSet;
    case Type::kHash: return types::Kind::kHash;
    case Type::kStream: return types::Kind::kStream;
    case Type::kString: break;
  }
  CHECK(false);
}

}  // namespace

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kString: return "string";
    case Type::kList: return "list";
    case Type::kSet: return "set";
    case Type::kSortedSet: return "zset";
    case Type::kHash: return "hash";
    case Type::kStream: return "stream";
  }
  CHECK(false);
}

Blob* Blob::New(size_t size, size_t capacity) {
  CHECK(size <= capacity);
  void* memory = std::malloc(sizeof(Blob) + capacity);
  CHECK(memory != nullptr);
  return new (memory) Blob(size, capacity);
}

void Blob::Unref() {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    this->~Blob();
    std::free(this);
  }
}

size_t Blob::allocated_bytes() const { return malloc_usable_size(const_cast<Blob*>(this)); }

std::string_view Entry::EncodingName() const {
  if (!is_string()) return types::EncodingName(KindOf(type()), encoding());
  const std::string_view v = value();
  int64_t ignored;
  if (string_hint() == StringHint::kAuto && ParseCanonicalInt(v, &ignored)) return "int";
  return string_hint() != StringHint::kRaw && v.size() <= 44 ? "embstr" : "raw";
}

size_t Entry::BlockBytes() const {
  const size_t key_bytes = key().size();
  return BytesFor(key_bytes, has_expire(), tail_bytes());
}

size_t Entry::AllocatedBytes() const {
  const size_t block = EntryHeap::BlockBytes(this, BlockBytes());
  if (!is_string()) return block + CollectionBytes(*this);
  return block + (external() ? blob()->allocated_bytes() : 0);
}

}  // namespace understudy::store
