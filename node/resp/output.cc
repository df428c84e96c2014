#include "node/resp/output.h"

#include <algorithm>

namespace understudy::resp {

void StringOutput::Grow(size_t bytes) {
  const size_t used = static_cast<size_t>(cursor_ - buffer_.data());
  buffer_.resize(std::max({used + bytes, buffer_.size() * 2, size_t{256}}));
  cursor_ = buffer_.data() + used;
  end_ = buffer_.data() + buffer_.size();
}

void DiscardOutput::Grow(size_t bytes) {
  if (buffer_.size() < bytes) buffer_.resize(std::max(bytes, size_t{4096}));
  cursor_ = buffer_.data();
  end_ = buffer_.data() + buffer_.size();
}

}  // namespace understudy::resp
