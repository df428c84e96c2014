// Input that was read but not executed. Empty, it owns no memory; it grows with what arrives, not with what
// a client announces.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace understudy::net {

class InputBuffer {
 public:
  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  size_t capacity() const { return capacity_; }

  void Append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(Room(bytes.size()), bytes.data(), bytes.size());
    end_ += bytes.size();
  }
  // By how much Room(bytes, most) makes the buffer larger.
  size_t Growth(size_t bytes, size_t most = SIZE_MAX) const {
    return capacity_ - end_ >= bytes ? 0 : NextCapacity(bytes, most) - std::min(capacity_, NextCapacity(bytes, most));
  }
  // Room for `bytes` behind the content; views taken earlier are invalid. Then Grew(n). More is taken in advance,
  // but no more than `most` in all.
  char* Room(size_t bytes, size_t most = SIZE_MAX) {
    if (capacity_ - end_ < bytes) {
      const size_t used = size();
      const size_t capacity = NextCapacity(bytes, most);
      std::unique_ptr<char[]> bigger(new char[capacity]);
      if (used > 0) std::memcpy(bigger.get(), data_.get() + begin_, used);
      data_ = std::move(bigger);
      capacity_ = capacity;
      begin_ = 0;
      end_ = used;
    }
    return data_.get() + end_;
  }
  void Grew(size_t bytes) { end_ += bytes; }
  void Consume(size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) Clear();
  }
  void Clear() {
    data_.reset();
    capacity_ = begin_ = end_ = 0;
  }

 private:
  size_t NextCapacity(size_t bytes, size_t most) const {
    return std::max({size() + bytes, std::min(size() + size() / 2, most), size_t{1024}});
  }
  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace understudy::net
