// Output that could not be sent in the turn that made it: a queue of chunks. Empty, it owns no memory.
//
// Small pieces are collected in chunks of 16 KiB; a big one gets a chunk of its own size and is written there
// directly, so that a reply of n bytes is copied once, not n / 16 KiB times. Bytes that many connections get are shared
// by their queues.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace understudy::net {

class OutputQueue {
 public:
  void Append(std::string_view bytes);
  // Keeps them where they are. Worth it from kSharedBytes on.
  void AppendShared(std::shared_ptr<const std::string> bytes);
  static constexpr size_t kSharedBytes = 16 * 1024;
  // Room for `bytes` in a chunk of its own; CommitLarge says how much of it was used. Nothing else may be
  // called in between.
  char* ReserveLarge(size_t bytes);
  void CommitLarge(size_t bytes);

  size_t size() const { return size_; }
  size_t allocated_bytes() const { return allocated_; }  // of the chunks, shared ones too
  bool empty() const { return size_ == 0; }
  // The first bytes, at most `limit` of them, as pieces for writev. Returns how many pieces.
  size_t Gather(std::span<iovec> pieces, size_t limit) const;
  // The first `bytes` were sent.
  void Drop(size_t bytes);

 private:
  struct Chunk {
    std::unique_ptr<char[]> data;
    std::shared_ptr<const std::string> shared;  // instead of data
    size_t capacity = 0;
    size_t begin = 0, end = 0;
    const char* bytes() const { return shared ? shared->data() : data.get(); }
  };
  static constexpr size_t kChunkBytes = 16 * 1024;

  std::unique_ptr<std::deque<Chunk>> chunks_;  // null when empty: an empty deque is not free
  size_t size_ = 0;
  size_t allocated_ = 0;
};

}  // namespace understudy::net
