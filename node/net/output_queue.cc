#include "node/net/output_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/check.h"

namespace understudy::net {

void OutputQueue::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (!chunks_) chunks_ = std::make_unique<std::deque<Chunk>>();
  size_ += bytes.size();
  if (!chunks_->empty() && !chunks_->back().shared) {
    Chunk& last = chunks_->back();
    const size_t n = std::min(last.capacity - last.end, bytes.size());
    std::memcpy(last.data.get() + last.end, bytes.data(), n);
    last.end += n;
    bytes.remove_prefix(n);
  }
  if (bytes.empty()) return;
  Chunk chunk;
  chunk.capacity = std::max(bytes.size(), kChunkBytes);
  chunk.data.reset(new char[chunk.capacity]);
  allocated_ += chunk.capacity;
  std::memcpy(chunk.data.get(), bytes.data(), bytes.size());
  chunk.end = bytes.size();
  chunks_->push_back(std::move(chunk));
}

void OutputQueue::AppendShared(std::shared_ptr<const std::string> bytes) {
  if (bytes->empty()) return;
  if (!chunks_) chunks_ = std::make_unique<std::deque<Chunk>>();
  Chunk chunk;
  chunk.capacity = chunk.end = bytes->size();
  chunk.shared = std::move(bytes);
  size_ += chunk.end;
  allocated_ += chunk.capacity;
  chunks_->push_back(std::move(chunk));
}

char* OutputQueue::ReserveLarge(size_t bytes) {
  if (!chunks_) chunks_ = std::make_unique<std::deque<Chunk>>();
  Chunk chunk;
  chunk.capacity = bytes;
  allocated_ += bytes;
  chunk.data.reset(new char[bytes]);
  chunks_->push_back(std::move(chunk));
  return chunks_->back().data.get();
}

void OutputQueue::CommitLarge(size_t bytes) {
  Chunk& last = chunks_->back();
  CHECK(bytes <= last.capacity);
  last.end = bytes;
  size_ += bytes;
  if (bytes == 0) {
    allocated_ -= last.capacity;
    chunks_->pop_back();
  }
  if (chunks_->empty()) chunks_.reset();
}

size_t OutputQueue::Gather(std::span<iovec> pieces, size_t limit) const {
  size_t n = 0;
  if (!chunks_) return 0;
  for (const Chunk& chunk : *chunks_) {
    if (n == pieces.size() || limit == 0) break;
    const size_t size = std::min(chunk.end - chunk.begin, limit);
    pieces[n++] = {const_cast<char*>(chunk.bytes()) + chunk.begin, size};  // only read
    limit -= size;
  }
  return n;
}

void OutputQueue::Drop(size_t bytes) {
  CHECK(bytes <= size_);
  size_ -= bytes;
  while (bytes > 0) {
    Chunk& first = chunks_->front();
    const size_t n = std::min(first.end - first.begin, bytes);
    first.begin += n;
    bytes -= n;
    if (first.begin == first.end) {
      allocated_ -= first.capacity;
      chunks_->pop_front();
    }
  }
  if (size_ == 0) chunks_.reset();
}

}  // namespace understudy::net
