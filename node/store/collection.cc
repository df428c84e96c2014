#include "node/store/collection.h"

#include "common/check.h"
#include "node/types/hash.h"
#include "node/types/list.h"
#include "node/types/set.h"
#include "node/types/sorted_set.h"
#include "node/types/stream.h"

namespace understudy::store {
namespace {

// Calls fn with the value as what it is.
template <typename Fn>
auto Visit(Type type, types::Encoding encoding, void* rep, Fn fn) {
  CHECK(rep != nullptr);
  switch (type) {
    case Type::kList: return fn(*types::Borrowed<types::List>(encoding, rep));
    case Type::kSet: return fn(*types::Borrowed<types::Set>(encoding, rep));
    case Type::kSortedSet: return fn(*types::Borrowed<types::SortedSet>(encoding, rep));
    case Type::kHash: return fn(*types::Borrowed<types::Hash>(encoding, rep));
    case Type::kStream: return fn(*types::Borrowed<types::Stream>(encoding, rep));
    case Type::kString: break;
  }
  CHECK(false);
}

template <typename Fn>
auto Visit(const Entry& entry, Fn fn) {
  return Visit(entry.type(), entry.encoding(), entry.rep(), fn);
}

constexpr auto kSize = [](const auto& value) { return static_cast<size_t>(value.Size()); };
constexpr auto kBytes = [](const auto& value) { return value.AllocatedBytes(); };
constexpr auto kClone = [](const auto& value) { return Collection(value.Clone()); };

}  // namespace

size_t Collection::Size() const { return Visit(type_, encoding_, rep_, kSize); }
size_t Collection::AllocatedBytes() const { return Visit(type_, encoding_, rep_, kBytes); }
Collection Collection::Clone() const { return Visit(type_, encoding_, rep_, kClone); }

bool Collection::HasExpiringFields() const {
  return type_ == Type::kHash && As<types::Hash>()->HasExpiringFields();
}

size_t Collection::FreeEffort() const {
  if (encoding_ != types::Encoding::kTable) return 1;
  if (type_ == Type::kList) return As<types::List>()->nodes();
  if (type_ != Type::kStream) return Size();
  size_t effort = As<types::Stream>()->log().nodes();
  As<types::Stream>()->ForEachGroup([&](const types::StreamGroup& group) { effort += 1 + group.pending(); });
  return effort;
}

void Collection::Destroy() {
  switch (type_) {
    case Type::kList: types::List::Adopt(encoding_, rep_); return;
    case Type::kSet: types::Set::Adopt(encoding_, rep_); return;
    case Type::kSortedSet: types::SortedSet::Adopt(encoding_, rep_); return;
    case Type::kHash: types::Hash::Adopt(encoding_, rep_); return;
    case Type::kStream: types::Stream::Adopt(encoding_, rep_); return;
    case Type::kString: break;
  }
  CHECK(false);
}

size_t CollectionBytes(const Entry& entry) { return Visit(entry, kBytes); }
size_t CollectionSize(const Entry& entry) { return Visit(entry, kSize); }
Collection CloneCollection(const Entry& entry) { return Visit(entry, kClone); }

int64_t NextFieldExpiry(Type type, types::Encoding encoding, void* rep) {
  if (type != Type::kHash || encoding != types::Encoding::kTable) return types::kNoExpire;
  return types::Borrowed<types::Hash>(encoding, rep)->next_expire_ms();
}

}  // namespace understudy::store
