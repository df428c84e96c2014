#include "node/types/stream.h"

#include <malloc.h>

#include <memory>

#include "common/check.h"

namespace understudy::types {

struct Stream::Rep {
  size_t bytes = 0;  // of all parts, which it outlives
  StreamLog log{&bytes};
  Named<StreamGroup> groups;
};

Stream::Stream() : rep_(new Rep) {}

Stream Stream::Adopt(Encoding encoding, void* rep) {
  CHECK(encoding == Encoding::kTable);
  return Stream(static_cast<Rep*>(rep));
}

Stream::~Stream() { delete rep_; }

Stream Stream::Clone() const {
  Stream copy;
  log().CloneTo(&copy.log());
  for (const auto& [name, group] : rep_->groups) {
    group->CloneTo(copy.CreateGroup(name, group->last_id(), group->entries_read()));
  }
  return copy;
}

size_t Stream::AllocatedBytes() const { return malloc_usable_size(rep_) + rep_->bytes; }

StreamLog& Stream::log() { return rep_->log; }
const StreamLog& Stream::log() const { return rep_->log; }

size_t Stream::groups() const { return rep_->groups.size(); }

StreamGroup* Stream::FindGroup(std::string_view name) {
  const auto found = rep_->groups.find(name);
  return found == rep_->groups.end() ? nullptr : found->second.get();
}

const StreamGroup* Stream::FindGroup(std::string_view name) const {
  const auto found = rep_->groups.find(name);
  return found == rep_->groups.end() ? nullptr : found->second.get();
}

StreamGroup* Stream::CreateGroup(std::string_view name, StreamId last_id, int64_t entries_read) {
  if (FindGroup(name) != nullptr) return nullptr;
  auto made = std::make_unique<StreamGroup>(&rep_->bytes, name, last_id, entries_read);
  StreamGroup* const group = made.get();
  rep_->bytes += NamedBytes(*group);
  rep_->groups.emplace(group->name(), std::move(made));
  return group;
}

bool Stream::DestroyGroup(std::string_view name) {
  const auto found = rep_->groups.find(name);
  if (found == rep_->groups.end()) return false;
  rep_->bytes -= NamedBytes(*found->second);
  rep_->groups.erase(found);
  return true;
}

void Stream::ForEachGroup(FunctionRef<void(const StreamGroup&)> fn) const {
  for (const auto& [name, group] : rep_->groups) fn(*group);
}

void Stream::Validate() const {
  size_t bytes = log().Validate();
  for (const auto& [name, group] : rep_->groups) {
    CHECK(group->name() == name);
    bytes += NamedBytes(*group) + group->Validate();
  }
  CHECK(bytes == rep_->bytes);
}

}  // namespace understudy::types
