// Bytes read from a socket and not used yet: room at the end, consumed at the start, no zero-filling.
// One thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace understudy::replication {

class InputBuffer {
 public:
  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  // At least `bytes` writable bytes; views become invalid. Then Commit what was written.
  char* Room(size_t bytes) {
    if (capacity_ - end_ < bytes) {
      const size_t used = size();
      if (begin_ > 0 && capacity_ - used >= bytes && begin_ >= used) {
        std::memmove(data_.get(), data_.get() + begin_, used);
      } else {
        capacity_ = used + bytes + used / 2;
        std::unique_ptr<char[]> bigger(new char[capacity_]);
        if (used > 0) std::memcpy(bigger.get(), data_.get() + begin_, used);
        data_ = std::move(bigger);
      }
      begin_ = 0;
      end_ = used;
    }
    return data_.get() + end_;
  }
  size_t room_bytes() const { return capacity_ - end_; }
  void Commit(size_t bytes) { end_ += bytes; }
  void Append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(Room(bytes.size()), bytes.data(), bytes.size());
    Commit(bytes.size());
  }
  void Consume(size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
    // A buffer that one huge value needed is given back.
    if (empty() && capacity_ > kKeptBytes) Clear();
  }
  void Clear() {
    data_.reset();
    begin_ = end_ = capacity_ = 0;
  }

 private:
  static constexpr size_t kKeptBytes = 4 * 1024 * 1024;
  std::unique_ptr<char[]> data_;
  size_t begin_ = 0, end_ = 0, capacity_ = 0;
};

}  // namespace understudy::replication
